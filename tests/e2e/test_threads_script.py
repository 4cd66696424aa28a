"""scripts/threads on a mindbench of paper: the counts, the options it passes on, the table."""

import pathlib
import shutil
import subprocess
import textwrap

import pytest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "threads"

FAKE = textwrap.dedent("""\
    #!/usr/bin/env python3
    import json, sys
    args = sys.argv[1:]
    n = int(args[args.index("--threads") + 1])
    mind = {"latency_p50_us": 100.0 / n}
    torch = {"latency_p50_us": 300.0} if n == 1 else {"latency_p50_us": None}
    result = {"args": args, "benchmarks": {"net": {"executors": {"mind": mind, "torch-jit": torch}}}}
    if n != 7:
        json.dump(result, open(args[args.index("--json") + 1], "w"))
    sys.exit(5 if n == 7 else 0)
    """)


@pytest.fixture
def script(tmp_path):
    for folder in ("scripts", "build"):
        (tmp_path / folder).mkdir()
    shutil.copy(SCRIPT, tmp_path / "scripts" / "threads")
    fake = tmp_path / "build" / "mindbench"
    fake.write_text(FAKE)
    fake.chmod(0o755)

    def run(threads, *args):
        return subprocess.run([tmp_path / "scripts" / "threads", *args], capture_output=True, text=True,
                              env={"PATH": "/usr/bin:/bin", "THREADS": threads}, check=False)

    return run


def test_table(script):
    done = script("4 1", "--samples", "9", "net.mind")
    assert done.returncode == 0, done.stderr
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines == ["net", "executor 1 thread 4 threads", "mind 100.0 us 1.00x 25.0 us 4.00x",
                     "torch-jit 300.0 us 1.00x not measured", "ideal 1.00x 4.00x"]


def test_options_are_passed_on(script, tmp_path):
    script("2", "--samples", "9", "net.mind")
    text = (tmp_path / "results" / "threads" / "threads_2.json").read_text()
    assert '"--samples", "9", "net.mind", "--threads", "2"' in text


def test_a_run_that_measured_nothing_ends_it(script):
    assert script("7").returncode == 5


def test_counts_must_be_numbers(script):
    for threads in ("two", "0 1", "-1"):
        done = script(threads)
        assert done.returncode == 1 and "THREADS" in done.stderr
