#include "run_options.h"

#include "cli.h"
#include "cold_start.h"
#include "conclude.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

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

static bool parse_executors(char *value, struct mb_run_options *o) {
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
        if (o->n_executors == MB_RUN_MAX_EXECUTORS)
            return bad_value("executors", name, "too many executors");
        o->executors[o->n_executors++] = name;
    }
    return o->n_executors > 0 || bad_value("executors", "", "names nothing; see mindbench list");
}

static bool parse_batches(char *value, struct mb_run_options *o) {
    char *state = NULL;
    for (char *item = strtok_r(value, ",", &state); item; item = strtok_r(NULL, ",", &state)) {
        if (o->n_batches == MB_RUN_MAX_BATCHES ||
            !mb_cli_integer(item, 1, INT64_MAX, &o->batches[o->n_batches]))
            return bad_value("batch", item, "not a whole number of at least 1");
        o->n_batches++;
    }
    return o->n_batches > 0 || bad_value("batch", "", "names nothing; for example --batch 1,8,32");
}

static bool parse_cache(const char *value, struct mb_run_options *o) {
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

static bool take_option(int option, char *value, struct mb_run_options *o) {
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

int mb_run_options_parse(int argc, char **argv, struct mb_run_options *o) {
    int option;
    *o = (struct mb_run_options){.device = {"auto", 0},
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
