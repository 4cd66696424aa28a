/* The commands of the program, one function and one file each, and what they share. Only here may a
 * process print errors or choose its exit status. */
#ifndef MB_CLI_H
#define MB_CLI_H

#include "status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum mb_exit {
    MB_EXIT_OK = 0,
    MB_EXIT_REGRESSION = 1,
    MB_EXIT_INCONCLUSIVE = 2,
    MB_EXIT_INVALID = 3,
    MB_EXIT_USAGE = 4,    /* usage, environment or I/O */
    MB_EXIT_REJECTED = 5, /* the MIND program */
    MB_EXIT_SIGNAL = 128, /* plus the signal's number */
};

/* COMMAND(id, name, arguments, what it does): mb_cmd_<id> in cmd_<id>.c takes argv from its own
 * name on and returns the exit status. */
#define MB_COMMANDS(COMMAND)                                                                       \
    COMMAND(run, "run", "[WORKLOAD | FILE.mind]...",                                               \
            "measure; without arguments the three workloads")                                      \
    COMMAND(check, "check", "FILE.mind...", "diagnostics only")                                    \
    COMMAND(compile, "compile", "FILE.mind", "print what a stage of the compiler made")            \
    COMMAND(bench_kernels, "bench-kernels", "", "each kernel of a device against its ceilings")    \
    COMMAND(selftest, "selftest", "", "tries to fool the harness; a table of caught and missed")   \
    COMMAND(compare, "compare", "BASE.json NEW.json", "two results, row by row")                   \
    COMMAND(merge, "merge", "RESULT.json... -o ALL.json", "many results into one file")            \
    COMMAND(verify, "verify", "RESULT.json...",                                                    \
            "form a result again from its samples, and compare")                                   \
    COMMAND(report, "report", "RESULT.json...", "one page with plots, of one result or several")   \
    COMMAND(list, "list", "[workloads|executors|kernels|devices]", "what there is")                \
    COMMAND(doctor, "doctor", "",                                                                  \
            "what this machine has, lacks, and what would disturb a measurement")

#define COMMAND(id, name, arguments, what) int mb_cmd_##id(int argc, char **argv);
MB_COMMANDS(COMMAND)
#undef COMMAND

/* "mindbench: error: TEXT" on stderr; returns `status` to return in turn. */
__attribute__((format(printf, 2, 3))) int mb_cli_error(enum mb_exit status, const char *format,
                                                       ...);

/* The exit status that goes with a failure. */
enum mb_exit mb_cli_exit_of(enum mb_status status);

/* For getopt_long's '?' and ':' (opterr = 0): one line on stderr, MB_EXIT_USAGE. `argv0` is the
 * command's name. */
int mb_cli_bad_option(int argc, char **argv, int option);

/* A whole number in [low, high], all of `text`. */
bool mb_cli_integer(const char *text, int64_t low, int64_t high, int64_t *out);

/* A finite number in [low, high], all of `text`. */
bool mb_cli_number(const char *text, double low, double high, double *out);

/* The nearest of `n` names to a misspelt one, or NULL. */
const char *mb_cli_nearest(const char *text, const char *const *names, size_t n);

/* Finds out before minutes are spent measuring that an output file (outfile.h) could not be
 * written. False after an error on stderr. */
bool mb_cli_writable(const char *name);

/* Whether to colour what goes to `stream`: a terminal, and NO_COLOR is not set. */
bool mb_cli_color(FILE *stream);

#endif
