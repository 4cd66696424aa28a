"""make_report.py VERSION: the page of `mindbench report` on standard output, of what it reads on
standard input (host/cli/report_input.h).

Errors are one line on standard error, as mindbench writes them, and exit status 4.
"""

import sys
import traceback

USAGE = 4


def fail(line):
    sys.stderr.write(f"mindbench: error: report: {line}\n")
    return USAGE


def main(version):
    try:
        import page
        import result_file
    except ImportError as error:
        return fail(f"{error.name or error} cannot be imported by {sys.executable}; "
                    "run scripts/setup report, or name another Python in MINDBENCH_PYTHON")
    try:
        text = page.render(result_file.read(sys.stdin.buffer), version)
    except MemoryError:
        return fail("no memory for the page; report fewer files")
    except Exception as error:  # a value that nobody thought of: where, in one line
        place = traceback.extract_tb(error.__traceback__)[-1]
        why = " ".join(result_file.clean(str(error)).split())[:200]
        return fail(f"the page cannot be made: {type(error).__name__}: {why} (in {place.name}, line "
                    f"{place.lineno}); check the files with mindbench verify")
    sys.stdout.buffer.write(text.encode("utf-8"))
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
