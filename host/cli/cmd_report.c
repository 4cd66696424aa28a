/* mindbench report: result files as one HTML page. The page is made by scripts/report, in Python
 * with matplotlib and Jinja2; this is what a user meets of it. */
#include "cli.h"
#include "machine.h"
#include "outfile.h"
#include "script.h"

#include <errno.h>
#include <getopt.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char help[] =
    "Usage: mindbench report RESULT.json... -o REPORT.html\n\n"
    "Makes one page of result files (mindbench run --json) and of tables of kernels (mindbench\n"
    "bench-kernels --json): ratios with their intervals, every sample, start-up, machine and "
    "settings,\n"
    "warnings, and each plot as a table too. The page is one file, has no script and loads "
    "nothing;\n"
    "it is made for light and dark screens, phones and paper.\n\n"
    "  -o, --output FILE      the page; stdout is a FILE too\n"
    "  -h, --help\n\n"
    "It needs Python 3 with matplotlib and Jinja2: scripts/setup report installs them.\n"
    "MINDBENCH_PYTHON names another Python than that of .venv.\n"
    "Exit status: 0 done, 4 usage or environment, or a file that is no result.\n";

static const struct option long_options[] = {
    {"output", required_argument, NULL, 'o'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

extern char **environ;

/* Starts the script with its standard output into *from. 0 or an errno. */
static int start(char **argv, pid_t *pid, FILE **from) {
    int ends[2];
    if (pipe(ends) != 0) return errno;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
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

/* All that the script writes, in memory from malloc. Returns an exit status; the script has said
 * what went wrong when it ends with MB_EXIT_USAGE. */
static int run_script(char **argv, char **page, size_t *len) {
    FILE *from = NULL, *to = open_memstream(page, len);
    char part[1 << 16];
    size_t n;
    pid_t pid;
    int ended = 0;
    int error = to ? start(argv, &pid, &from) : ENOMEM;
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

static int write_page(const char *name, const char *page, size_t len) {
    struct mb_outfile *file = NULL;
    struct mb_err err;
    enum mb_status st = MB_OK;
    MB_TRY(mb_outfile_open(name, &file, &err));
    fwrite(page, 1, len, mb_outfile_stream(file));
    st = mb_outfile_commit(file, &err);
out:
    return st == MB_OK ? MB_EXIT_OK : mb_cli_error(MB_EXIT_USAGE, "report: %s", err.text);
}

static bool same_file(const char *a, const char *b) {
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static int make_page(const char *output, char **files, size_t n_files) {
    char python[PATH_MAX], script[PATH_MAX], *page = NULL;
    size_t len = 0;
    if (!mb_beside_program(script, "report/", "make_report", ".py"))
        return mb_cli_error(MB_EXIT_USAGE,
                            "report: report/make_report.py is not beside the program; build again");
    for (size_t i = 0; i < n_files; i++)
        if (same_file(files[i], output))
            return mb_cli_error(MB_EXIT_USAGE,
                                "report: -o %s: it is one of the files to report; name another one",
                                output);
    if (!mb_cli_writable(output)) return MB_EXIT_USAGE;
    char **argv = calloc(n_files + 5, sizeof *argv);
    if (!argv) return mb_cli_error(MB_EXIT_USAGE, "report: out of memory");
    mb_script_python(python);
    argv[0] = python;
    argv[1] = (char[]){"-B"}; /* nothing is written beside the program */
    argv[2] = script;
    argv[3] = (char *)(uintptr_t)mb_build()->version;
    memcpy(argv + 4, files, n_files * sizeof *files);
    int status = run_script(argv, &page, &len);
    if (status == MB_EXIT_OK) status = write_page(output, page, len);
    free(page);
    free(argv);
    return status;
}

int mb_cmd_report(int argc, char **argv) {
    const char *output = NULL;
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":o:h", long_options, NULL)) != -1) {
        if (option == 'h') {
            fputs(help, stdout);
            return MB_EXIT_OK;
        }
        if (option == '?' || option == ':') return mb_cli_bad_option(argc, argv, option);
        output = optarg;
    }
    if (optind == argc)
        return mb_cli_error(MB_EXIT_USAGE,
                            "report: no result file; name one that mindbench run --json wrote");
    if (!output)
        return mb_cli_error(MB_EXIT_USAGE, "report: no name for the page; add -o REPORT.html");
    return make_page(output, argv + optind, (size_t)(argc - optind));
}
