/* mindbench selftest: tries to fool the harness. */
#include "cheats.h"
#include "cli.h"
#include "executors.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "Usage: mindbench selftest --race NAME [RUN OPTIONS] [WORKLOAD | FILE.mind]...\n\n"
    "      --race NAME        as mindbench run, with the executors mind and selftest-NAME:\n"
    "                         slower3 is mind and a wait of 3 % of each run's own time\n"
    "  -h, --help\n";

/* `run` with the executors of the race put before the other arguments. */
static int race(const char *name, int n_rest, char **rest) {
    char executors[64] = "";
    snprintf(executors, sizeof executors, "mind,selftest-%s", name);
    if (!mb_executor_find(strchr(executors, ',') + 1, "cpu"))
        return mb_cli_error(MB_EXIT_USAGE, "selftest: --race %s: there is no such executor", name);
    char **argv = calloc((size_t)n_rest + 4, sizeof *argv);
    if (!argv) return mb_cli_error(MB_EXIT_USAGE, "selftest: no memory for the arguments");
    argv[0] = (char[]){"run"};
    argv[1] = (char[]){"--executors"};
    argv[2] = executors;
    memcpy(argv + 3, rest, (size_t)n_rest * sizeof *argv);
    const int status = mb_cmd_run(n_rest + 3, argv);
    free(argv);
    return status;
}

int mb_cmd_selftest(int argc, char **argv) {
    static const struct option long_options[] = {
        {"race", required_argument, NULL, 'r'}, {"help", no_argument, NULL, 'h'}, {0}};
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "+:h", long_options, NULL)) != -1) {
        if (option == 'h') {
            fputs(help, stdout);
            return MB_EXIT_OK;
        }
        if (option != 'r') return mb_cli_bad_option(argc, argv, option);
        const int first = optind;
        mb_cheats_admit();
        optind = 0; /* getopt begins anew, with other arguments */
        return race(optarg, argc - first, argv + first);
    }
    return mb_cli_error(MB_EXIT_USAGE, "selftest: say --race NAME");
}
