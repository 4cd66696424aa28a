/* mindbench report: result files as one HTML page. The page is made by scripts/report, in Python
 * with matplotlib and Jinja2; this is what a user meets of it. */
#include "cli.h"
#include "machine.h"
#include "outfile.h"
#include "report.h"
#include "report_input.h"
#include "script.h"

#include <errno.h>
#include <getopt.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char help[] =
    "Usage: mindbench report RESULT.json... -o REPORT.html [--csv FILE] [--md FILE]\n\n"
    "Makes one page of result files (mindbench run --json) and of tables of kernels (mindbench\n"
    "bench-kernels --json): ratios with their intervals, every sample, start-up, machine and "
    "settings,\n"
    "warnings, and each plot as a table too. Of a merged file (mindbench merge) every result is "
    "shown,\n"
    "or only the one that ALL.json#N names. The page is one file, has no script and loads "
    "nothing;\n"
    "it is made for light and dark screens, phones and paper.\n\n"
    "  -o, --output FILE      the page; stdout is a FILE too\n"
    "      --csv FILE         a row for each program and executor, of several results with the\n"
    "                         name of its result first\n"
    "      --md FILE          the same as a Markdown table\n"
    "  -h, --help\n\n"
    "The page needs Python 3 with matplotlib and Jinja2: scripts/setup report installs them.\n"
    "MINDBENCH_PYTHON names another Python than that of .venv.\n"
    "Exit status: 0 done, 4 usage or environment, or a file that is no result.\n";

enum option_id { OPT_CSV = 256, OPT_MD };

static const struct option long_options[] = {
    {"output", required_argument, NULL, 'o'},
    {"csv", required_argument, NULL, OPT_CSV},
    {"md", required_argument, NULL, OPT_MD},
    {"help", no_argument, NULL, 'h'},
    {0},
};

struct options {
    const char *page, *csv, *md;
    char **files;
    size_t n_files;
};

extern char **environ;

/* Writes beside and renames; `write` needs to check nothing. */
static int write_file(const char *name, void (*write)(const void *what, FILE *out),
                      const void *what) {
    struct mb_outfile *file = NULL;
    struct mb_err err;
    enum mb_status st = mb_outfile_open(name, &file, &err);
    if (st == MB_OK) {
        write(what, mb_outfile_stream(file));
        st = mb_outfile_commit(file, &err);
    }
    return st == MB_OK ? MB_EXIT_OK : mb_cli_error(MB_EXIT_USAGE, "report: %s", err.text);
}

/* ---- the page ---- */

/* Starts the script with `input` as its standard input and its standard output into *from. 0 or an
 * errno. */
static int start(char **argv, FILE *input, pid_t *pid, FILE **from) {
    int ends[2];
    if (pipe(ends) != 0) return errno;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fileno(input), STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    int error = posix_spawnp(pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    *from = error ? NULL : fdopen(ends[0], "r");
    if (!*from) close(ends[0]);
    return error;
}

struct text {
    char *bytes;
    size_t len;
};

/* All that the script writes, in memory from malloc. Returns an exit status; the script has said
 * what went wrong when it ends with MB_EXIT_USAGE. */
static int run_script(char **argv, FILE *input, struct text *page) {
    FILE *from = NULL, *to = open_memstream(&page->bytes, &page->len);
    char part[1 << 16];
    size_t n;
    pid_t pid;
    int ended = 0;
    int error = to ? start(argv, input, &pid, &from) : ENOMEM;
    if (error) {
        if (to) fclose(to);
        return mb_cli_error(MB_EXIT_USAGE,
                            "report: cannot start %s: %s; install Python 3, or name one in "
                            "MINDBENCH_PYTHON",
                            argv[0], strerror(error));
    }
    while (from && (n = fread(part, 1, sizeof part, from)) > 0) fwrite(part, 1, n, to);
    if (from) fclose(from);
    const bool kept = from && !ferror(to);
    const bool closed = fclose(to) == 0;
    while (waitpid(pid, &ended, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(ended) && WEXITSTATUS(ended) == MB_EXIT_USAGE) return MB_EXIT_USAGE;
    if (!WIFEXITED(ended) || WEXITSTATUS(ended) != 0)
        return mb_cli_error(MB_EXIT_USAGE, "report: %s ended with %s %d before the page was made",
                            argv[0], WIFEXITED(ended) ? "status" : "signal",
                            WIFEXITED(ended) ? WEXITSTATUS(ended) : WTERMSIG(ended));
    if (!kept || !closed)
        return mb_cli_error(MB_EXIT_USAGE, "report: no memory for the page; report fewer files");
    return MB_EXIT_OK;
}

static void write_text(const void *page, FILE *out) {
    const struct text *text = page;
    fwrite(text->bytes, 1, text->len, out);
}

static int make_page(const struct options *o, const struct mb_report_input *in) {
    char python[PATH_MAX], script[PATH_MAX];
    struct text page = {0};
    if (!mb_beside_program(script, "report/", "make_report", ".py"))
        return mb_cli_error(MB_EXIT_USAGE,
                            "report: report/make_report.py is not beside the program; build again");
    mb_script_python(python);
    /* -B: nothing is written beside the program */
    char *argv[] = {python, (char[]){"-B"}, script, (char *)(uintptr_t)mb_build()->version, NULL};
    int status = run_script(argv, in->lines, &page);
    if (status == MB_EXIT_OK) status = write_file(o->page, write_text, &page);
    free(page.bytes);
    return status;
}

/* ---- rows ---- */

static void write_csv(const void *input, FILE *out) {
    const struct mb_report_input *in = input;
    if (in->n_results == 1)
        mb_report_csv(in->results[0].result, out);
    else
        mb_report_csv_all(in->results, in->n_results, out);
}

static void write_md(const void *input, FILE *out) {
    const struct mb_report_input *in = input;
    if (in->n_results == 1)
        mb_report_md(in->results[0].result, out);
    else
        mb_report_md_all(in->results, in->n_results, out);
}

/* ---- all of it ---- */

/* Every file is read before anything is written. */
static int read_files(const struct options *o, struct mb_report_input *in) {
    const char *outputs[] = {o->page, o->csv, o->md};
    const size_t n = sizeof outputs / sizeof *outputs;
    struct mb_err err;
    enum mb_status st = mb_report_input_open(in, &err);
    for (size_t i = 0; i < o->n_files && st == MB_OK; i++)
        st = mb_report_input_add(in, o->files[i], outputs, n, &err);
    if (st == MB_OK) st = mb_report_input_end(in, &err);
    if (st != MB_OK) return mb_cli_error(MB_EXIT_USAGE, "report: %s", err.text);
    if ((o->csv || o->md) && in->kernels)
        return mb_cli_error(MB_EXIT_USAGE,
                            "report: %s: a table of kernels has no row in --csv and --md; name "
                            "files that mindbench run or mindbench merge wrote",
                            in->kernels);
    for (size_t i = 0; i < n; i++)
        if (outputs[i] && !mb_cli_writable(outputs[i])) return MB_EXIT_USAGE;
    return MB_EXIT_OK;
}

static int report(const struct options *o) {
    struct mb_report_input in = {0};
    int status = read_files(o, &in);
    if (status == MB_EXIT_OK && o->csv) status = write_file(o->csv, write_csv, &in);
    if (status == MB_EXIT_OK && o->md) status = write_file(o->md, write_md, &in);
    if (status == MB_EXIT_OK && o->page) status = make_page(o, &in);
    mb_report_input_close(&in);
    return status;
}

int mb_cmd_report(int argc, char **argv) {
    struct options o = {0};
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":o:h", long_options, NULL)) != -1) {
        switch (option) {
        case 'h': fputs(help, stdout); return MB_EXIT_OK;
        case 'o': o.page = optarg; break;
        case OPT_CSV: o.csv = optarg; break;
        case OPT_MD: o.md = optarg; break;
        default: return mb_cli_bad_option(argc, argv, option);
        }
    }
    o.files = argv + optind;
    o.n_files = (size_t)(argc - optind);
    if (o.n_files == 0)
        return mb_cli_error(MB_EXIT_USAGE,
                            "report: no result file; name one that mindbench run --json wrote");
    if (!o.page && !o.csv && !o.md)
        return mb_cli_error(MB_EXIT_USAGE, "report: no name for the page; add -o REPORT.html");
    return report(&o);
}
