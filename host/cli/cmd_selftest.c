/* mindbench selftest: tries to fool the harness. */
#include "cheats.h"
#include "cli.h"
#include "clock.h"
#include "executors.h"
#include "interrupt.h"
#include "outfile.h"
#include "report.h"
#include "report_selftest.h"
#include "selftest.h"
#include "targets.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "Usage: mindbench selftest [OPTIONS]\n"
    "       mindbench selftest --race CHEAT [RUN OPTIONS] [WORKLOAD | FILE.mind]...\n\n"
    "Executors that cheat on purpose race the honest mind on the CPU, through the same processes,\n"
    "blocks and checks as every run. Each must be told INVALID; the one that is merely 3 % slower\n"
    "must be told slower, or at least have an interval that leaves 1 out. Prints each cheat with\n"
    "the check that caught it. Takes less than a minute.\n\n"
    "      --only CHEAT       that one alone\n"
    "      --json FILE        the table as results/selftest.schema.json describes it; or stdout\n"
    "      --seed N           of inputs, weights and orders (default 42)\n"
    "      --timeout SECONDS  give up then (default 600)\n"
    "  -q, --quiet            no table\n"
    "      --race CHEAT       no selftest: as mindbench run, with the executors mind and\n"
    "                         selftest-CHEAT\n"
    "  -h, --help\n\n"
    "Exit status: 0 all caught, 3 one got through or an honest row was called INVALID.\n\n"
    "Cheats:\n";

struct options {
    const char *only, *json;
    int64_t seed;
    double timeout_s;
    bool quiet;
};

static void print_help(void) {
    fputs(help, stdout);
    for (size_t i = 0; i < mb_n_cheats; i++)
        printf("  %-10s %s\n", mb_cheats[i].name, mb_cheats[i].what);
}

/* ---- one race, as `run` ---- */

/* `run` with the executors of the race put before the other arguments. */
static int race(const char *name, int n_rest, char **rest) {
    char executors[64] = "";
    snprintf(executors, sizeof executors, "mind,selftest-%s", name);
    if (!mb_executor_find(strchr(executors, ',') + 1, "cpu"))
        return mb_cli_error(MB_EXIT_USAGE, "selftest: --race %s: there is no such cheat", name);
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

/* ---- outputs ---- */

static void on_row(void *arg, const struct mb_selftest_row *row) {
    FILE *out = arg;
    fprintf(out, "%-9s %-7s %5.1f s  %s\n%27s%s%s\n", row->cheat,
            mb_selftest_outcome_name(row->outcome), row->seconds, row->what, "",
            row->outcome == MB_CAUGHT ? "caught: " : "", row->reason);
    fflush(out);
}

static bool write_json(const char *name, const struct mb_selftest *selftest,
                       const struct mb_selftest_config *config) {
    struct mb_outfile *file = NULL;
    struct mb_err err;
    json_t *json = NULL;
    enum mb_status st = MB_OK;
    if (!name) return true;
    MB_TRY(mb_report_selftest(selftest, config, &json, &err));
    MB_TRY(mb_outfile_open(name, &file, &err));
    /* a failed stream is the commit's to report: it knows why */
    mb_report_print_json(json, mb_outfile_stream(file));
    st = mb_outfile_commit(file, &err);
    file = NULL;
out:
    mb_outfile_discard(file);
    json_decref(json);
    if (st != MB_OK) mb_cli_error(MB_EXIT_USAGE, "%s", err.text);
    return st == MB_OK;
}

/* ---- the command ---- */

static bool is_cheat(const char *name) {
    for (size_t i = 0; i < mb_n_cheats; i++)
        if (strcmp(mb_cheats[i].name, name) == 0) return true;
    return false;
}

static int finish(const struct options *o, const struct mb_selftest_config *config,
                  const struct mb_selftest *selftest, FILE *out) {
    size_t n_caught = 0;
    for (size_t i = 0; i < selftest->n_rows; i++)
        n_caught += selftest->rows[i].outcome == MB_CAUGHT;
    if (!o->quiet &&
        (fprintf(out, "\n%zu caught, %zu missed, %zu not run\n", n_caught, selftest->n_missed,
                 selftest->n_rows - n_caught - selftest->n_missed) < 0 ||
         fflush(out) != 0))
        return mb_cli_error(MB_EXIT_USAGE, "selftest: cannot write the table: %s", strerror(errno));
    if (!write_json(o->json, selftest, config)) return MB_EXIT_USAGE;
    for (size_t i = 0; i < selftest->n_rows; i++)
        if (selftest->rows[i].outcome == MB_MISSED)
            return mb_cli_error(MB_EXIT_INVALID, "selftest: %s: %s", selftest->rows[i].cheat,
                                selftest->rows[i].reason);
    return MB_EXIT_OK;
}

static int run(const struct options *o) {
    FILE *out = o->json && strcmp(o->json, "stdout") == 0 ? stderr : stdout;
    const struct mb_bindings none = {0};
    const struct mb_target_options plain = {.bindings = &none, .seed = (uint64_t)o->seed};
    struct mb_selftest selftest;
    struct mb_target target;
    struct mb_err err;
    if (o->json && !mb_cli_writable(o->json)) return MB_EXIT_USAGE;
    int status = mb_target_open("mlp_batch32", &plain, &target);
    if (status != MB_EXIT_OK) return status;
    struct mb_selftest_config config = {.source = target.source,
                                        .program = target.program,
                                        .workload = target.name,
                                        .cheat = o->only,
                                        .seed = (uint64_t)o->seed,
                                        .deadline_ns =
                                            mb_clock_ns() + (int64_t)(o->timeout_s * 1e9),
                                        .cancel_fd = mb_interrupt_install(),
                                        .on_row = o->quiet ? NULL : on_row,
                                        .on_row_arg = out};
    if (!mb_isa_cap_from_environment(&config.isa_cap, &err)) {
        status = mb_cli_error(MB_EXIT_USAGE, "selftest: %s", err.text);
    } else {
        const enum mb_status st = mb_selftest_run(&config, &selftest, &err);
        if (mb_interrupt_signal())
            status = MB_EXIT_SIGNAL + mb_interrupt_signal();
        else
            status = st == MB_OK
                         ? finish(o, &config, &selftest, out)
                         : mb_cli_error(st == MB_E_TIMEOUT ? MB_EXIT_INVALID : mb_cli_exit_of(st),
                                        "selftest: %s", err.text);
        mb_selftest_free(&selftest);
    }
    mb_target_close(&target);
    return status;
}

enum { OPT_RACE = 256, OPT_ONLY, OPT_JSON, OPT_SEED, OPT_TIMEOUT };

static bool bad_value(const char *option, const char *value, const char *wanted) {
    mb_cli_error(MB_EXIT_USAGE, "selftest: --%s %s: %s", option, value, wanted);
    return false;
}

static bool take_option(int option, struct options *o) {
    switch (option) {
    case 'q': o->quiet = true; return true;
    case OPT_JSON: o->json = optarg; return true;
    case OPT_ONLY:
        o->only = optarg;
        return is_cheat(optarg) || bad_value("only", optarg, "there is no such cheat; see --help");
    case OPT_SEED:
        return mb_cli_integer(optarg, 0, INT64_MAX, &o->seed) ||
               bad_value("seed", optarg, "not a whole number of at least 0");
    case OPT_TIMEOUT:
        return mb_cli_number(optarg, 1e-3, 1e9, &o->timeout_s) ||
               bad_value("timeout", optarg, "not a number of seconds above 0");
    default: return false;
    }
}

int mb_cmd_selftest(int argc, char **argv) {
    static const struct option long_options[] = {{"race", required_argument, NULL, OPT_RACE},
                                                 {"only", required_argument, NULL, OPT_ONLY},
                                                 {"json", required_argument, NULL, OPT_JSON},
                                                 {"seed", required_argument, NULL, OPT_SEED},
                                                 {"timeout", required_argument, NULL, OPT_TIMEOUT},
                                                 {"quiet", no_argument, NULL, 'q'},
                                                 {"help", no_argument, NULL, 'h'},
                                                 {0}};
    struct options o = {.seed = 42, .timeout_s = 600};
    int option;
    opterr = 0;
    mb_cheats_admit();
    while ((option = getopt_long(argc, argv, "+:qh", long_options, NULL)) != -1) {
        if (option == 'h') {
            print_help();
            return MB_EXIT_OK;
        }
        if (option == '?' || option == ':') return mb_cli_bad_option(argc, argv, option);
        if (option == OPT_RACE) {
            const int first = optind;
            optind = 0; /* getopt begins anew, with other arguments */
            return race(optarg, argc - first, argv + first);
        }
        if (!take_option(option, &o)) return MB_EXIT_USAGE;
    }
    if (optind < argc)
        return mb_cli_error(MB_EXIT_USAGE, "selftest: %s: takes no program; --race does",
                            argv[optind]);
    return run(&o);
}
