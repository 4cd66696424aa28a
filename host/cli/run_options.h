/* What mindbench run was told: its options with their defaults, and their help. */
#ifndef MB_RUN_OPTIONS_H
#define MB_RUN_OPTIONS_H

#include "baseline.h"
#include "device_option.h"
#include "diag_options.h"
#include "given.h"
#include "targets.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MB_RUN_MAX_EXECUTORS = 32, MB_RUN_MAX_BATCHES = 64 };

struct mb_run_options {
    struct mb_device_option device;
    const char *executors[MB_RUN_MAX_EXECUTORS];
    size_t n_executors;
    bool all_executors;
    int64_t samples, warmup, restarts, seed, threads, cold_starts;
    double duration_s, timeout_s;
    double max_noise, min_effect; /* shares: 0.02 is 2 % */
    const char *entry;
    struct mb_bindings bindings;
    struct mb_diag_options diags;
    struct mb_given given;
    int64_t batches[MB_RUN_MAX_BATCHES];
    size_t n_batches;
    const char *json, *csv, *md, *trace; /* files; NULL: not asked for */
    struct mb_baseline baseline;
    enum mb_precision precision;
    bool quiet, progress, profile, compile_only, plan;
    bool warm, cold, transfers;
    bool strict, lenient;
    bool no_roofline, profile_ops;
    char *const *arguments; /* programs; none: the three workloads */
    size_t n_arguments;
};

/* Reads the command line and the environment; texts stay in argv. An exit status, what was wrong
 * told (or the help printed), or -1 to go on. */
int mb_run_options_parse(int argc, char **argv, struct mb_run_options *out);

#endif
