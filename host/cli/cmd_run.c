/* mindbench run: compile, race, print the tables, write the results. */
#include "baseline.h"
#include "cli.h"
#include "clock.h"
#include "cold_start.h"
#include "conclude.h"
#include "device_option.h"
#include "given.h"
#include "interrupt.h"
#include "nvtx.h"
#include "outfile.h"
#include "precision_plan.h"
#include "report.h"
#include "report_plan.h"
#include "report_trace.h"
#include "runner.h"
#include "schedule.h"
#include "targets.h"
#include "terminal.h"
#include "trace_log.h"
#include "workloads.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char help[] =
    "Usage: mindbench run [OPTIONS] [WORKLOAD | FILE.mind]...\n\n"
    "Compiles each program, runs it with every executor in a process of its own, checks the "
    "outputs\n"
    "against an FP64 reference, and compares the latencies. Without arguments: the three "
    "workloads.\n\n"
    "  -d, --device DEVICE    auto, cpu or cuda[:N] (auto: CUDA where it is to be had)\n"
    "      --executors LIST   what to race, the first against each other one, or all\n"
    "                         (mind,torch-eager,torch-jit)\n"
    "      --samples N        timed samples of each executor (100; environment SAMPLE_SIZE)\n"
    "      --warmup N         untimed runs before (10; environment WARMUP_RUNS)\n"
    "      --duration S       go on for S seconds for each program instead of N samples\n"
    "      --max-noise PCT    until the interval of the first ratio is within +- PCT %\n"
    "      --plan             no results: from a short pilot, the samples and the time that each\n"
    "                         of several precisions (--max-noise) takes on this machine, and\n"
    "                         the smallest change that it tells from none\n"
    "      --restarts N       starts of each executor, each of two processes in turns (3; with\n"
    "                         --duration up to 20, as its time allows)\n"
    "      --min-effect PCT   the smallest difference that matters to FAST, SLOW and SAME (2)\n"
    "      --timeout S        end with what there is, marked INVALID (600)\n"
    "      --entry NAME       function to run (--func is the same)\n"
    "      --bind NAME=N      extent of a symbolic dimension, or value of a const\n"
    "      --batch N[,N...]   --bind batch=N for each N in turn\n"
    "      --strict, --lenient   as mindbench check has them\n"
    "      --weights FILE.safetensors   weights by parameter name instead of made-up ones\n"
    "      --input NAME=FILE.npy        a parameter's data instead of made-up data\n"
    "      --seed N           of weights, inputs, random constants and the order of blocks (42)\n"
    "      --threads N        of every CPU executor (all usable cores)\n"
    "      --precision P      of products: fp32, or tf32 on CUDA (fp32)\n"
    "      --cache STATE      warm, cold (evicted before each timed run) or both, which measures\n"
    "                         each program twice (warm)\n"
    "      --cold-starts N    start each executor N times from a fresh process, for the times of\n"
    "                         each step, total time and break-even (0); those that take long are\n"
    "                         started less often, 3 times at least\n"
    "      --compile-only     no race: what each executor takes from source text to a first\n"
    "                         output, from fresh processes (3 starts, or --cold-starts)\n"
    "      --include-data-transfers   inputs to the device and outputs back, in each timed run\n"
    "      --json, --csv, --md FILE   where results go; stdout is a FILE too\n"
    "                         (--json results/inference_results.json)\n"
    "      --save-baseline NAME|FILE  keeps the result for --baseline: a NAME in\n"
    "                         $XDG_DATA_HOME/mindbench/baselines (~/.local/share without it)\n"
    "      --baseline NAME|FILE  compares with a kept result, as mindbench compare does; exit\n"
    "                         status 1 when a regression of mind is proven\n"
    "      --fail-on-inconclusive  with --baseline: exit status 2 where nothing is proven\n"
    "      --no-roofline      measure no ceilings of the device: no shares, no floor of times\n"
    "      --profile-ops      time each operation of a run as well, apart from the samples\n"
    "      --profile          no timing: one run of each executor in an NVTX range that nsys\n"
    "                         or ncu can capture; see scripts/profile\n"
    "      --trace FILE       with --profile: what each executor and the GPU did, and when, for\n"
    "                         ui.perfetto.dev or chrome://tracing (JSON)\n";
static const char help_end[] = MB_DIAG_OPTIONS_HELP
    "  -q, --quiet            no tables, warnings or progress\n"
    "      --no-progress      no progress line\n"
    "  -h, --help\n\n"
    "MINDBENCH_ISA=scalar|avx2|avx512 caps the instruction set of all CPU executors.\n"
    "Exit status: 0 done, 1 and 2 see --baseline, 3 INVALID result or wrong outputs, 4 usage or\n"
    "environment, 5 the program was rejected, 130 or 143 interrupted (what was measured is "
    "written,\n"
    "marked INVALID).\n";

enum { MAX_TARGETS = 256, MAX_EXECUTORS = 32, MAX_BATCHES = 64 };

static const char default_json[] = "results/inference_results.json";

struct options {
    struct mb_device_option device;
    const char *executors[MAX_EXECUTORS];
    size_t n_executors;
    bool all_executors;
    int64_t samples, warmup, restarts, seed, threads, cold_starts;
    double duration_s, max_noise, min_effect, timeout_s;
    const char *entry;
    struct mb_bindings bindings;
    struct mb_diag_options diags;
    struct mb_given given;
    int64_t batches[MAX_BATCHES];
    size_t n_batches;
    const char *json, *csv, *md, *trace;
    struct mb_baseline baseline;
    enum mb_precision precision;
    bool quiet, progress, profile, compile_only, plan;
    bool warm, cold, transfers;
    bool strict, lenient;
    bool no_roofline, profile_ops;
    char *const *arguments;
    size_t n_arguments;
};

struct plan {
    const char *device, *device_reason;
    struct mb_target targets[MAX_TARGETS];
    size_t n_targets;
    const char *executors[MAX_EXECUTORS];
    size_t n_executors;
    struct mb_open_config open;
};

/* ---- options ---- */

static bool bad_value(const char *option, const char *value, const char *wanted) {
    mb_cli_error(MB_EXIT_USAGE, "run: --%s %s: %s", option, value, wanted);
    return false;
}

/* An option's default may come from the environment, as in the seed. */
static bool from_environment(const char *name, int64_t low, int64_t high, int64_t *value) {
    const char *text = getenv(name);
    if (!text || !*text || mb_cli_integer(text, low, high, value)) return true;
    mb_cli_error(MB_EXIT_USAGE, "run: environment %s=%s: not a number from %lld to %lld", name,
                 text, (long long)low, (long long)high);
    return false;
}

static bool parse_executors(char *value, struct options *o) {
    char *state = NULL;
    o->n_executors = 0;
    if (strcmp(value, "all") == 0) {
        o->all_executors = true;
        return true;
    }
    for (char *name = strtok_r(value, ",", &state); name; name = strtok_r(NULL, ",", &state)) {
        for (size_t i = 0; i < o->n_executors; i++)
            if (strcmp(o->executors[i], name) == 0)
                return bad_value("executors", name, "is named twice; A/A is no race of two names");
        if (o->n_executors == MAX_EXECUTORS)
            return bad_value("executors", name, "too many executors");
        o->executors[o->n_executors++] = name;
    }
    return o->n_executors > 0 || bad_value("executors", "", "names nothing; see mindbench list");
}

static bool parse_batches(char *value, struct options *o) {
    char *state = NULL;
    for (char *item = strtok_r(value, ",", &state); item; item = strtok_r(NULL, ",", &state)) {
        if (o->n_batches == MAX_BATCHES ||
            !mb_cli_integer(item, 1, INT64_MAX, &o->batches[o->n_batches]))
            return bad_value("batch", item, "not a whole number of at least 1");
        o->n_batches++;
    }
    return o->n_batches > 0 || bad_value("batch", "", "names nothing; for example --batch 1,8,32");
}

static bool parse_cache(const char *value, struct options *o) {
    const bool both = strcmp(value, "both") == 0;
    o->warm = both || strcmp(value, "warm") == 0;
    o->cold = both || strcmp(value, "cold") == 0;
    return o->warm || o->cold || bad_value("cache", value, "not a state; use warm, cold or both");
}

enum option_id {
    OPT_EXECUTORS = 256,
    OPT_SAMPLES,
    OPT_WARMUP,
    OPT_DURATION,
    OPT_MAX_NOISE,
    OPT_PLAN,
    OPT_MIN_EFFECT,
    OPT_RESTARTS,
    OPT_TIMEOUT,
    OPT_ENTRY,
    OPT_BIND,
    OPT_WEIGHTS,
    OPT_INPUT,
    OPT_BATCH,
    OPT_SEED,
    OPT_STRICT,
    OPT_LENIENT,
    OPT_THREADS,
    OPT_PRECISION,
    OPT_CACHE,
    OPT_TRANSFERS,
    OPT_COLD_STARTS,
    OPT_COMPILE_ONLY,
    OPT_JSON,
    OPT_CSV,
    OPT_MD,
    OPT_BASELINE,
    OPT_SAVE_BASELINE,
    OPT_FAIL_ON_INCONCLUSIVE,
    OPT_NO_PROGRESS,
    OPT_PROFILE,
    OPT_TRACE,
    OPT_NO_ROOFLINE,
    OPT_PROFILE_OPS,
};

static const struct option long_options[] = {
    {"device", required_argument, NULL, 'd'},
    {"executors", required_argument, NULL, OPT_EXECUTORS},
    {"samples", required_argument, NULL, OPT_SAMPLES},
    {"warmup", required_argument, NULL, OPT_WARMUP},
    {"duration", required_argument, NULL, OPT_DURATION},
    {"max-noise", required_argument, NULL, OPT_MAX_NOISE},
    {"plan", no_argument, NULL, OPT_PLAN},
    {"min-effect", required_argument, NULL, OPT_MIN_EFFECT},
    {"restarts", required_argument, NULL, OPT_RESTARTS},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"entry", required_argument, NULL, OPT_ENTRY},
    {"func", required_argument, NULL, OPT_ENTRY},
    {"bind", required_argument, NULL, OPT_BIND},
    {"weights", required_argument, NULL, OPT_WEIGHTS},
    {"input", required_argument, NULL, OPT_INPUT},
    {"batch", required_argument, NULL, OPT_BATCH},
    {"strict", no_argument, NULL, OPT_STRICT},
    {"lenient", no_argument, NULL, OPT_LENIENT},
    {"seed", required_argument, NULL, OPT_SEED},
    {"threads", required_argument, NULL, OPT_THREADS},
    {"precision", required_argument, NULL, OPT_PRECISION},
    {"cache", required_argument, NULL, OPT_CACHE},
    {"include-data-transfers", no_argument, NULL, OPT_TRANSFERS},
    {"cold-starts", required_argument, NULL, OPT_COLD_STARTS},
    {"compile-only", no_argument, NULL, OPT_COMPILE_ONLY},
    {"json", required_argument, NULL, OPT_JSON},
    {"csv", required_argument, NULL, OPT_CSV},
    {"md", required_argument, NULL, OPT_MD},
    {"baseline", required_argument, NULL, OPT_BASELINE},
    {"save-baseline", required_argument, NULL, OPT_SAVE_BASELINE},
    {"fail-on-inconclusive", no_argument, NULL, OPT_FAIL_ON_INCONCLUSIVE},
    {"profile", no_argument, NULL, OPT_PROFILE},
    {"trace", required_argument, NULL, OPT_TRACE},
    {"no-roofline", no_argument, NULL, OPT_NO_ROOFLINE},
    {"profile-ops", no_argument, NULL, OPT_PROFILE_OPS},
    MB_DIAG_LONG_OPTIONS,
    {"quiet", no_argument, NULL, 'q'},
    {"no-progress", no_argument, NULL, OPT_NO_PROGRESS},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static bool take_option(int option, char *value, struct options *o) {
    switch (option) {
    case 'd': return mb_device_option_parse(value, "run", &o->device);
    case 'q': o->quiet = true; return true;
    case OPT_NO_PROGRESS: o->progress = false; return true;
    case OPT_NO_ROOFLINE: o->no_roofline = true; return true;
    case OPT_PROFILE_OPS: o->profile_ops = true; return true;
    case OPT_PROFILE: o->profile = true; return true;
    case OPT_PLAN: o->plan = true; return true;
    case OPT_TRANSFERS: o->transfers = true; return true;
    case OPT_COMPILE_ONLY: o->compile_only = true; return true;
    case OPT_CACHE: return parse_cache(value, o);
    case OPT_EXECUTORS: return parse_executors(value, o);
    case OPT_BATCH: return parse_batches(value, o);
    case OPT_BIND: return mb_bindings_add(&o->bindings, value, "run");
    case OPT_WEIGHTS: o->given.weights_path = value; return true;
    case OPT_INPUT: return mb_given_add_input(&o->given, value, "run");
    case OPT_ENTRY: o->entry = value; return true;
    case OPT_JSON: o->json = value; return true;
    case OPT_CSV: o->csv = value; return true;
    case OPT_MD: o->md = value; return true;
    case OPT_BASELINE: o->baseline.against = value; return true;
    case OPT_SAVE_BASELINE: o->baseline.save = value; return true;
    case OPT_FAIL_ON_INCONCLUSIVE: o->baseline.fail_on_inconclusive = true; return true;
    case OPT_TRACE: o->trace = value; return true;
    case OPT_SAMPLES:
        return mb_cli_integer(value, 1, 100000000, &o->samples) ||
               bad_value("samples", value, "not a whole number from 1 to 100000000");
    case OPT_WARMUP:
        return mb_cli_integer(value, 0, 100000000, &o->warmup) ||
               bad_value("warmup", value, "not a whole number from 0 to 100000000");
    case OPT_COLD_STARTS:
        return mb_cli_integer(value, 0, 100000, &o->cold_starts) ||
               bad_value("cold-starts", value, "not a whole number from 0 to 100000");
    case OPT_STRICT: o->strict = true; return true;
    case OPT_LENIENT: o->lenient = true; return true;
    case OPT_SEED:
        return mb_cli_integer(value, 0, INT64_MAX, &o->seed) ||
               bad_value("seed", value, "not a whole number of at least 0");
    case OPT_THREADS:
        return mb_cli_integer(value, 1, 4096, &o->threads) ||
               bad_value("threads", value, "not a whole number from 1 to 4096");
    case OPT_DURATION:
        return mb_cli_number(value, 1e-3, 1e6, &o->duration_s) ||
               bad_value("duration", value, "not a number of seconds above 0");
    case OPT_TIMEOUT:
        return mb_cli_number(value, 1e-3, 1e9, &o->timeout_s) ||
               bad_value("timeout", value, "not a number of seconds above 0");
    case OPT_MAX_NOISE:
        if (!mb_cli_number(value, 1e-3, 100, &o->max_noise))
            return bad_value("max-noise", value, "not a percentage from 0.001 to 100");
        o->max_noise /= 100;
        return true;
    case OPT_MIN_EFFECT:
        if (!mb_cli_number(value, 1e-3, 100, &o->min_effect))
            return bad_value("min-effect", value, "not a percentage from 0.001 to 100");
        o->min_effect /= 100;
        return true;
    case OPT_RESTARTS:
        return mb_cli_integer(value, 1, 1000, &o->restarts) ||
               bad_value("restarts", value, "not a whole number from 1 to 1000");
    case OPT_PRECISION:
        o->precision = strcmp(value, "tf32") == 0 ? MB_TF32 : MB_FP32;
        return o->precision == MB_TF32 || strcmp(value, "fp32") == 0 ||
               bad_value("precision", value, "no executor computes in it; use fp32 or tf32");
    default: return mb_diag_options_take(option, value, "run", &o->diags);
    }
}

/* Returns an exit status, or -1 to go on. */
static int parse(int argc, char **argv, struct options *o) {
    int option;
    *o = (struct options){.device = {"auto", 0},
                          .samples = 100,
                          .warmup = 10,
                          .seed = 42,
                          .timeout_s = 600,
                          .min_effect = MB_LEAST_EFFECT,
                          .warm = true,
                          .progress = true};
    static const char *const race[] = {"mind", "torch-eager", "torch-jit"};
    memcpy(o->executors, race, sizeof race);
    o->n_executors = sizeof race / sizeof *race;
    if (!from_environment("SAMPLE_SIZE", 1, 100000000, &o->samples) ||
        !from_environment("WARMUP_RUNS", 0, 100000000, &o->warmup))
        return MB_EXIT_USAGE;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":d:qh", long_options, NULL)) != -1) {
        if (option == 'h') {
            fputs(help, stdout);
            fputs(help_end, stdout);
            return MB_EXIT_OK;
        }
        if (option == '?' || option == ':') return mb_cli_bad_option(argc, argv, option);
        if (!take_option(option, optarg, o)) return MB_EXIT_USAGE;
    }
    if (o->profile && (o->json || o->csv || o->md || o->baseline.against || o->baseline.save))
        return mb_cli_error(MB_EXIT_USAGE, "run: --profile forms no statistics to write; leave "
                                           "--json, --csv, --md and baselines out");
    if (o->plan && (o->json || o->csv || o->md || o->baseline.against || o->baseline.save))
        return mb_cli_error(MB_EXIT_USAGE, "run: --plan measures too little for a result; leave "
                                           "--json, --csv, --md and baselines out");
    if (o->plan && (o->profile || o->compile_only || o->duration_s > 0 || o->max_noise > 0 ||
                    o->restarts || o->cold_starts))
        return mb_cli_error(MB_EXIT_USAGE,
                            "run: --plan makes a pilot of its own; leave --duration, --max-noise, "
                            "--restarts, --cold-starts, --profile and --compile-only out");
    if (o->trace && !o->profile)
        return mb_cli_error(MB_EXIT_USAGE,
                            "run: --trace %s: goes with --profile, since tracing "
                            "would be in the way of timing; add it",
                            o->trace);
    if (o->compile_only && o->profile)
        return mb_cli_error(MB_EXIT_USAGE, "run: --compile-only: nothing is left for --profile to "
                                           "capture; leave one of them out");
    if (o->compile_only && !o->cold_starts) o->cold_starts = MB_LEAST_STARTS;
    o->arguments = argv + optind;
    o->n_arguments = (size_t)(argc - optind);
    return -1;
}

/* ---- what to run, where, with what ---- */

/* What the user should know before the numbers come: the device that was taken, and each plugin
 * that is missing, once. */
static void print_warnings(const struct options *o, const struct plan *p) {
    const char *missing = "";
    struct mb_err err;
    if (o->quiet) return;
    if (p->device_reason) fprintf(stderr, "Warn: %s\n", p->device_reason);
    for (size_t i = 0; i < p->n_executors; i++) {
        const struct mb_executor_entry *e = mb_executor_find(p->executors[i], p->device);
        if (strcmp(missing, e->backend) == 0 || mb_executor_present(e, &err) == MB_OK) continue;
        fprintf(stderr, "Warn: %s is not measured: %s\n", e->name, err.text);
        missing = e->backend;
    }
}

static int choose_executors(const struct options *o, struct plan *p) {
    for (size_t i = 0; o->all_executors && i < mb_n_executor_entries; i++)
        if (strcmp(mb_executor_entries[i].device, p->device) == 0)
            p->executors[p->n_executors++] = mb_executor_entries[i].name;
    for (size_t i = 0; !o->all_executors && i < o->n_executors; i++) {
        const struct mb_executor_entry *e = mb_executor_find(o->executors[i], p->device);
        if (!e && strcmp(o->executors[i], "reference") == 0)
            return mb_cli_error(MB_EXIT_USAGE,
                                "run: reference is the FP64 oracle that every output "
                                "is checked against; it is never timed");
        if (!e)
            return mb_cli_error(MB_EXIT_USAGE,
                                "run: no executor %s on %s; mindbench list executors names them",
                                o->executors[i], p->device);
        p->executors[p->n_executors++] = e->name;
    }
    return -1;
}

static int open_targets(const struct options *o, struct plan *p) {
    struct mb_err err;
    size_t n_named = o->n_arguments ? o->n_arguments : mb_n_workloads;
    size_t n_batches = o->n_batches ? o->n_batches : 1;
    if (n_named > MAX_TARGETS / n_batches)
        return mb_cli_error(MB_EXIT_USAGE, "run: more than %d programs at once", MAX_TARGETS);
    for (size_t i = 0; i < n_named; i++) {
        const char *name = o->n_arguments ? o->arguments[i] : mb_workloads[i].name;
        for (size_t b = 0; b < n_batches; b++) {
            const struct mb_target_options options = {.entry = o->entry,
                                                      .bindings = &o->bindings,
                                                      .batch = o->n_batches ? o->batches[b] : 0,
                                                      .seed = (uint64_t)o->seed,
                                                      .strict = o->strict,
                                                      .lenient = o->lenient,
                                                      .quiet = o->quiet || b,
                                                      .diags = o->diags};
            struct mb_target *t = &p->targets[p->n_targets];
            int status = mb_target_open(name, &options, t);
            if (status != MB_EXIT_OK) return status;
            p->n_targets++;
            if (mb_given_read(&o->given, t->program, NULL, &err) != MB_OK)
                return mb_cli_error(MB_EXIT_USAGE, "run: %s: %s", t->name, err.text);
            for (size_t k = 0; k + 1 < p->n_targets; k++)
                if (strcmp(p->targets[k].name, t->name) == 0)
                    return mb_cli_error(MB_EXIT_USAGE,
                                        "run: two programs are called %s; rename a "
                                        "file or run them apart",
                                        t->name);
        }
    }
    return -1;
}

/* ---- outputs ---- */

static const char *json_name(const struct options *o) { return o->json ? o->json : default_json; }

/* Finds out before minutes are spent measuring that a result could not be written. */
static int check_writable(const struct options *o) {
    const bool writes_result = !o->profile && !o->plan;
    const char *names[] = {writes_result ? json_name(o) : NULL, o->csv, o->md, o->trace};
    if (writes_result && !o->json && mkdir("results", 0777) != 0 && errno != EEXIST)
        return mb_cli_error(MB_EXIT_USAGE,
                            "cannot make the folder results: %s; name another place "
                            "with --json FILE",
                            strerror(errno));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i] && !mb_cli_writable(names[i])) return MB_EXIT_USAGE;
    return -1;
}

static bool write_json(const struct mb_result *result, FILE *out, struct mb_err *err) {
    struct mb_machine machine;
    json_t *json = NULL;
    if (mb_machine_read(NULL, &machine, err) != MB_OK) return false;
    if (mb_report_json(result, &machine, &json, err) != MB_OK) return false;
    bool ok = mb_report_print_json(json, out);
    json_decref(json);
    return ok || (mb_fail(err, MB_E_NOMEM, "no memory for the JSON text"), false);
}

enum writer { WRITE_JSON, WRITE_CSV, WRITE_MD };

/* A failed stream is the commit's to report: it knows why. */
static bool write_file(const struct mb_result *result, enum writer writer, const char *name) {
    struct mb_outfile *file = NULL;
    struct mb_err err;
    if (!name) return true;
    if (mb_outfile_open(name, &file, &err) == MB_OK) {
        bool made = true;
        FILE *out = mb_outfile_stream(file);
        switch (writer) {
        case WRITE_JSON: made = write_json(result, out, &err) || ferror(out); break;
        case WRITE_CSV: mb_report_csv(result, out); break;
        case WRITE_MD: mb_report_md(result, out); break;
        }
        if (made && mb_outfile_commit(file, &err) == MB_OK) return true;
        if (!made) mb_outfile_discard(file);
    }
    mb_cli_error(MB_EXIT_USAGE, "%s", err.text);
    return false;
}

static bool uses_stdout(const struct options *o) {
    const char *names[] = {o->json, o->csv, o->md, o->trace};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i] && strcmp(names[i], "stdout") == 0) return true;
    return false;
}

static bool write_all(const struct options *o, const struct mb_result *result) {
    FILE *out = uses_stdout(o) ? stderr : stdout;
    bool ok = true;
    if (!o->quiet) {
        ok = (o->compile_only ? mb_report_compile_only : mb_report_tables)(
            result, out, mb_terminal_columns(out), mb_diag_options_color(&o->diags, out));
        if (fflush(out) != 0 || !ok) {
            mb_cli_error(MB_EXIT_USAGE, "cannot write the tables: %s", strerror(errno));
            ok = false;
        }
    }
    ok = write_file(result, WRITE_JSON, json_name(o)) && ok;
    ok = write_file(result, WRITE_CSV, o->csv) && ok;
    ok = write_file(result, WRITE_MD, o->md) && ok;
    if (ok && !o->quiet && strcmp(json_name(o), "stdout") != 0)
        fprintf(out, "\nResults: %s\n", json_name(o));
    return ok;
}

/* In place of tables and files: each executor that went wrong, and what there is to see. Missing
 * plugins were warned of before. */
static void print_profiled(const struct options *o, const struct mb_result *result) {
    FILE *out = uses_stdout(o) ? stderr : stdout;
    size_t n_profiled = 0;
    struct mb_err err;
    for (size_t i = 0; i < result->n_benchmarks; i++) {
        const struct mb_benchmark_result *b = &result->benchmarks[i];
        for (size_t k = 0; k < b->n_executors; k++) {
            const struct mb_executor_result *e = &b->executors[k];
            if (!e->valid && e->measured)
                mb_cli_error(MB_EXIT_INVALID, "%s: %s: %s", b->name, e->name, e->invalid_reason);
            if (!e->measured && e->reason && !o->quiet &&
                mb_executor_present(mb_executor_find(e->name, e->device), &err) == MB_OK)
                fprintf(stderr, "Warn: %s: %s is not profiled: %s\n", b->name, e->name, e->reason);
            n_profiled += e->valid;
        }
    }
    if (o->quiet) return;
    if (!mb_nvtx_built)
        fputs("Warn: no NVTX range was opened: built without NVTX; install the CUDA Toolkit and "
              "build again\n",
              stderr);
    fprintf(out, "Profiled: %zu run%s%s; no statistics are formed, and no results written\n",
            n_profiled, n_profiled == 1 ? "" : "s",
            mb_nvtx_built ? ", each in an NVTX range `profile`" : "");
}

/* Each reason once, however many workers have it. */
static void warn_of_notes(const struct mb_trace *trace) {
    for (size_t i = 0; i < trace->n_records; i++) {
        const struct mb_trace_record *note = &trace->records[i];
        bool told = note->kind != MB_TRACE_NOTE;
        for (size_t k = 0; k < i && !told; k++)
            told = trace->records[k].kind == MB_TRACE_NOTE &&
                   strcmp(trace->records[k].name, note->name) == 0;
        if (!told) fprintf(stderr, "Warn: the trace lacks %s\n", note->name);
    }
}

static bool write_trace(const struct options *o, const struct mb_trace_log *log) {
    struct mb_trace trace = {0};
    struct mb_outfile *file = NULL;
    struct mb_err err;
    enum mb_status st = mb_trace_log_read(log, &trace, &err);
    if (st == MB_OK) st = mb_outfile_open(o->trace, &file, &err);
    if (st == MB_OK) {
        st = mb_report_trace(&trace, mb_outfile_stream(file), &err);
        if (st == MB_OK)
            st = mb_outfile_commit(file, &err);
        else
            mb_outfile_discard(file);
    }
    if (st != MB_OK) mb_cli_error(MB_EXIT_USAGE, "%s", err.text);
    if (st == MB_OK && !o->quiet) {
        warn_of_notes(&trace);
        if (!uses_stdout(o))
            printf("Trace: %s; open it in ui.perfetto.dev or chrome://tracing\n", o->trace);
    }
    mb_trace_free(&trace);
    return st == MB_OK;
}

/* ---- the run ---- */

static enum mb_status put_given(const void *arg, const struct mb_program *program,
                                void *const *params, struct mb_err *err) {
    return mb_given_read(arg, program, params, err);
}

static void on_progress(void *arg, const char *benchmark, const char *what, double share_done) {
    (void)arg;
    mb_terminal_progress(benchmark, what, share_done);
}

/* A result's name says what sets it apart from the same program measured in the ordinary way, so
 * that neither a reader nor a comparison of two files takes one for the other. NULL without memory.
 */
static const char *benchmark_name(const struct mb_target *t, bool cold, bool transfers,
                                  struct mb_arena *arena) {
    static const char cache[] = "[cache=cold]", moved[] = "[transfers=included]";
    const size_t size = strlen(t->name) + sizeof cache + sizeof moved;
    char *name = mb_arena_calloc(arena, size, 1);
    if (name) snprintf(name, size, "%s%s%s", t->name, cold ? cache : "", transfers ? moved : "");
    return name;
}

static int race_all(const struct options *o, struct plan *p, int cancel_fd,
                    struct mb_trace_log *trace, struct mb_result *result) {
    struct mb_err err;
    enum mb_status st = MB_OK;
    const bool progress = o->progress && !o->quiet && isatty(STDERR_FILENO);
    const int64_t deadline_ns = mb_clock_ns() + (int64_t)(o->timeout_s * 1e9);
    const size_t n_states = (size_t)o->warm + o->cold;
    result->benchmarks =
        mb_arena_calloc(&result->arena, p->n_targets * n_states, sizeof *result->benchmarks);
    if (!result->benchmarks) return mb_cli_error(MB_EXIT_USAGE, "run: no memory for results");
    for (size_t i = 0; i < p->n_targets * n_states && st == MB_OK; i++) {
        const struct mb_target *t = &p->targets[i / n_states];
        const bool cold = i % n_states == (size_t)o->warm;
        const char *name = benchmark_name(t, cold, o->transfers, &result->arena);
        if (!name) return mb_cli_error(MB_EXIT_USAGE, "run: no memory for results");
        const struct mb_race_config config = {.name = name,
                                              .file = t->file,
                                              .source = t->source,
                                              .program = t->program,
                                              .device = p->device,
                                              .executors = p->executors,
                                              .n_executors = p->n_executors,
                                              .open = p->open,
                                              .overwrite = put_given,
                                              .overwrite_arg = &o->given,
                                              .given = o->given.n_inputs || o->given.weights_path,
                                              .seed = (uint64_t)o->seed,
                                              .n_samples = (uint32_t)o->samples,
                                              .n_warmup = (uint32_t)o->warmup,
                                              .n_restarts = (uint32_t)o->restarts,
                                              .cold = cold,
                                              .transfers = o->transfers,
                                              .ceilings = !o->no_roofline && !o->plan,
                                              .profile_ops = o->profile_ops,
                                              .profile = o->profile,
                                              .n_cold_starts = cold ? 0 : (uint32_t)o->cold_starts,
                                              .compile_only = o->compile_only,
                                              .trace = trace,
                                              .duration_s = o->duration_s,
                                              .max_noise = o->plan ? MB_PILOT_NOISE : o->max_noise,
                                              .deadline_ns = deadline_ns,
                                              .cancel_fd = cancel_fd,
                                              .progress = progress ? on_progress : NULL};
        struct mb_benchmark_result *bench = &result->benchmarks[result->n_benchmarks];
        const int64_t begin_ns = mb_clock_ns();
        st = mb_race(&config, result, bench, &err);
        if (progress) mb_terminal_progress_clear();
        if (o->plan && (st == MB_OK || st == MB_E_TIMEOUT || st == MB_E_INTERRUPTED))
            mb_report_plan(bench, (double)(mb_clock_ns() - begin_ns) / 1e9, stdout);
        if (st == MB_OK || st == MB_E_TIMEOUT || st == MB_E_INTERRUPTED)
            result->n_benchmarks++;
        else
            return mb_cli_error(mb_cli_exit_of(st), "%s: %s", name, err.text);
    }
    mb_conclude_result(result, st == MB_E_TIMEOUT       ? "cut short by --timeout"
                               : st == MB_E_INTERRUPTED ? "interrupted"
                                                        : NULL);
    return -1;
}

/* One thread for each core that this process may use; fewer when a cgroup grants less time. */
static int run(const struct options *o, struct plan *p, int argc, char **argv) {
    struct mb_machine machine;
    struct mb_err err;
    int status;
    if (mb_machine_read(NULL, &machine, &err) != MB_OK)
        return mb_cli_error(MB_EXIT_USAGE, "%s", err.text);
    p->open.precision = MB_FP32; /* which every device can, so that it is the device that answers */
    if (!mb_isa_cap_from_environment(&p->open.isa_cap, &err))
        return mb_cli_error(MB_EXIT_USAGE, "%s", err.text);
    p->open.n_threads = o->threads ? (int)o->threads : mb_machine_default_threads(&machine);
    if ((status = mb_device_option_choose(&o->device, "run", &p->open, &p->device_reason)) >= 0)
        return status;
    p->device = p->open.device;
    if (o->precision != MB_FP32 && strcmp(p->device, "cpu") == 0)
        return mb_cli_error(MB_EXIT_USAGE, "run: --precision tf32: not on a CPU; every executor "
                                           "there computes in fp32");
    p->open.precision = o->precision;
    if ((status = choose_executors(o, p)) >= 0) return status;
    if ((status = open_targets(o, p)) >= 0) return status;
    if ((status = check_writable(o)) >= 0) return status;
    print_warnings(o, p);
    struct mb_trace_log *trace = NULL;
    if (o->trace && mb_trace_log_new(&trace, &err) != MB_OK)
        return mb_cli_error(MB_EXIT_USAGE, "run: %s", err.text);

    int cancel_fd = mb_interrupt_install();
    struct mb_result result = {
        .argc = argc,
        .argv = argv,
        .seed = (uint64_t)o->seed,
        .statistics = {MB_RESAMPLES, o->restarts ? (uint32_t)o->restarts : MB_SCHEDULE_STARTS,
                       MB_CONFIDENCE, o->min_effect, o->max_noise, o->duration_s},
        .n_threads = p->open.n_threads,
        .precision = p->open.precision,
        .tolerance_rel_l2 = MB_TOLERANCE_REL_L2,
        .tolerance_max_rel = MB_TOLERANCE_MAX_REL,
        .device = p->device,
        .device_reason = p->device_reason,
        .started_unix_s = (int64_t)time(NULL)};
    if (o->no_roofline) result.ceilings_reason = "--no-roofline";
    mb_arena_init(&result.arena);
    status = race_all(o, p, cancel_fd, trace, &result);
    if (status < 0) {
        bool written = true;
        if (o->profile)
            print_profiled(o, &result);
        else if (!o->plan)
            written = write_all(o, &result);
        if (trace) written = write_trace(o, trace) && written;
        if (mb_interrupt_signal())
            status = MB_EXIT_SIGNAL + mb_interrupt_signal();
        else if (!written)
            status = MB_EXIT_USAGE;
        else
            status = mb_baseline_judge(&o->baseline, &result,
                                       result.valid ? MB_EXIT_OK : MB_EXIT_INVALID,
                                       o->quiet         ? NULL
                                       : uses_stdout(o) ? stderr
                                                        : stdout);
    }
    mb_trace_log_close(trace);
    mb_arena_free(&result.arena);
    return status;
}

/* argv as it was typed, for the result: parsing cuts lists and reorders arguments. The program is
 * named without its folder. */
static char **recorded_arguments(int argc, char **argv) {
    char **copy = calloc((size_t)argc + 2, sizeof *copy);
    if (!copy || !(copy[0] = strdup("mindbench"))) return copy;
    for (int i = 0; i < argc; i++)
        if (!(copy[i + 1] = strdup(argv[i]))) break;
    return copy;
}

int mb_cmd_run(int argc, char **argv) {
    struct options options;
    static struct plan plan; /* large */
    char **recorded = recorded_arguments(argc, argv);
    struct mb_err err;
    int status = parse(argc, argv, &options);
    if (status < 0 && (!recorded || !recorded[argc]))
        status = mb_cli_error(MB_EXIT_USAGE, "run: no memory for the arguments");
    if (status < 0 && mb_given_open(&options.given, &err) != MB_OK)
        status = mb_cli_error(MB_EXIT_USAGE, "run: --weights: %s", err.text);
    if (status < 0 && !mb_baseline_open(&options.baseline)) status = MB_EXIT_USAGE;
    if (status < 0) status = run(&options, &plan, argc + 1, recorded);
    mb_baseline_close(&options.baseline);
    mb_given_close(&options.given);
    for (size_t i = 0; i < plan.n_targets; i++) mb_target_close(&plan.targets[i]);
    for (size_t i = 0; recorded && recorded[i]; i++) free(recorded[i]);
    free(recorded);
    return status;
}
