/* mindbench compile: what each stage of the compiler made of a file. */
#include "cli.h"
#include "compile_time.h"
#include "executors.h"
#include "machine.h"
#include "targets.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "Usage: mindbench compile [OPTIONS] FILE.mind | WORKLOAD\n\n"
    "Compiles and prints one stage, or how long the stages take.\n\n"
    "      --emit STAGE      tokens, ast, ir, plan or none (ir)\n"
    "      --emit-ir         --emit ir, as in mindc\n"
    "      --entry NAME      function to compile (--func is the same)\n"
    "      --bind NAME=N     extent of a symbolic dimension, or value of a const\n"
    "      --seed N          of random constants that name none, as in run (42)\n"
    "      --strict, --lenient   as mindbench check has them\n"
    "      --threads N       that the plan is for (as `run`: one for each core)\n"
    "      --time            a table of times instead of a stage: of the first compile in this\n"
    "                        process and the median of at least 1000 more with the same compiler\n"
    "                        (as many as take 20 s where that is less). open: the compiler's own\n"
    "                        tables, once in a process. lex+parse, check, lower (dead values\n"
    "                        removed, the IR verified): from the source in memory to verified IR.\n"
    "                        plan: the CPU's plan (fusion, kernels by their estimated times,\n"
    "                        memory), without the measuring of kernels that `run` adds and the\n"
    "                        reserving of memory. `source to` rows are timed as one, the first\n"
    "                        apart, which is a sum with open. Reading the file is in "
    "none\n" MB_DIAG_OPTIONS_HELP "  -q, --quiet           no warnings\n"
    "  -h, --help\n\n"
    "Exit status: 0 accepted, 4 the file cannot be read or the output not written, 5 rejected.\n";

enum stage { EMIT_TOKENS, EMIT_AST, EMIT_IR, EMIT_PLAN, EMIT_NONE, N_STAGES };

struct compile_options {
    enum stage stage;
    const char *entry;
    struct mb_bindings bindings;
    int64_t threads, seed; /* threads: 0: as many as `run` takes */
    struct mb_diag_options diags;
    bool quiet, strict, lenient, time;
};

/* As many as `run` takes, unless they were given. */
static enum mb_status threads_of(const struct compile_options *o, int *n_threads,
                                 struct mb_err *err) {
    struct mb_machine machine;
    *n_threads = (int)o->threads;
    if (*n_threads > 0) return MB_OK;
    enum mb_status st = mb_machine_read(NULL, &machine, err);
    if (st == MB_OK) *n_threads = mb_machine_default_threads(&machine);
    return st;
}

/* The CPU's plan of the program; needs no weights. */
static int print_plan(const struct mb_target *t, const struct compile_options *o) {
    enum { TEXT_BYTES = 64 << 10 };
    const struct mb_executor_entry *entry = mb_executor_find("mind", "cpu");
    const struct mb_backend *backend = NULL;
    struct mb_open_config config = {.executor = entry->name, .device = entry->device};
    struct mb_ctx *ctx = NULL;
    struct mb_err err;
    enum mb_status st = MB_OK;
    char *text = malloc(TEXT_BYTES);
    if (!text) return mb_cli_error(MB_EXIT_USAGE, "compile: no memory for the plan");
    if (!mb_isa_cap_from_environment(&config.isa_cap, &err)) {
        st = MB_E_INVALID;
        goto out;
    }
    MB_TRY(threads_of(o, &config.n_threads, &err));
    MB_TRY(mb_executor_backend(entry, &backend, &err));
    MB_TRY(backend->open(&config, &ctx, &err));
    MB_TRY(backend->plan(ctx, t->program, &err));
    backend->plan_text(ctx, text, TEXT_BYTES);
    fputs(text, stdout);
out:
    if (backend) backend->close(ctx);
    free(text);
    return st == MB_OK ? MB_EXIT_OK : mb_cli_error(mb_cli_exit_of(st), "compile: %s", err.text);
}

/* Tokens and tree exist for a program that does not compile, too. */
static int print_source_stage(const char *path, const struct compile_options *o) {
    struct mb_mind *mind = NULL;
    struct mb_err err;
    struct mb_mind_source source = {.file = path, .entry = o->entry};
    char *text = NULL;
    int status = mb_read_source(path, &text, &source.len);
    if (status != MB_EXIT_OK) return status;
    source.text = text;
    enum mb_status st = mb_mind_open(&mind, &err);
    if (st == MB_OK) {
        st = o->stage == EMIT_TOKENS ? mb_mind_print_tokens(mind, &source, stdout, &err)
                                     : mb_mind_print_ast(mind, &source, stdout, &err);
        mb_print_diags(mind, &o->diags, o->quiet);
    }
    if (st != MB_OK && st != MB_E_PROGRAM) mb_cli_error(MB_EXIT_USAGE, "%s: %s", path, err.text);
    mb_mind_close(mind);
    free(text);
    return (int)mb_cli_exit_of(st);
}

static int time_phases(const char *argument, const struct mb_target_options *options,
                       const struct compile_options *o) {
    struct mb_target target;
    struct mb_err err;
    int n_threads;
    if (threads_of(o, &n_threads, &err) != MB_OK)
        return mb_cli_error(MB_EXIT_USAGE, "compile: %s", err.text);
    int status = mb_target_read(argument, options, &target);
    if (status != MB_EXIT_OK) return status;
    status = mb_compile_time(&target, n_threads, &o->diags, o->quiet);
    mb_target_close(&target);
    return status;
}

static int compile(const char *argument, const struct compile_options *o) {
    struct mb_target target;
    if (!o->time && (o->stage == EMIT_TOKENS || o->stage == EMIT_AST))
        return print_source_stage(argument, o);
    const struct mb_target_options options = {.entry = o->entry,
                                              .bindings = &o->bindings,
                                              .seed = (uint64_t)o->seed,
                                              .strict = o->strict,
                                              .lenient = o->lenient,
                                              .quiet = o->quiet,
                                              .diags = o->diags};
    if (o->time) return time_phases(argument, &options, o);
    int status = mb_target_open(argument, &options, &target);
    if (status != MB_EXIT_OK) return status;
    if (o->stage == EMIT_IR) mb_program_print(target.program, stdout);
    if (o->stage == EMIT_PLAN) status = print_plan(&target, o);
    mb_target_close(&target);
    return status;
}

static bool take_stage(const char *value, enum stage *stage) {
    static const char *const names[N_STAGES] = {"tokens", "ast", "ir", "plan", "none"};
    for (size_t i = 0; i < N_STAGES; i++)
        if (strcmp(value, names[i]) == 0) {
            *stage = (enum stage)i;
            return true;
        }
    mb_cli_error(MB_EXIT_USAGE, "compile: --emit %s: use tokens, ast, ir, plan or none", value);
    return false;
}

enum {
    OPT_EMIT = 256,
    OPT_EMIT_IR,
    OPT_ENTRY,
    OPT_BIND,
    OPT_SEED,
    OPT_THREADS,
    OPT_STRICT,
    OPT_LENIENT,
    OPT_TIME
};

int mb_cmd_compile(int argc, char **argv) {
    static const struct option long_options[] = {
        {"emit", required_argument, NULL, OPT_EMIT},
        {"emit-ir", no_argument, NULL, OPT_EMIT_IR},
        {"entry", required_argument, NULL, OPT_ENTRY},
        {"func", required_argument, NULL, OPT_ENTRY},
        {"bind", required_argument, NULL, OPT_BIND},
        {"seed", required_argument, NULL, OPT_SEED},
        {"threads", required_argument, NULL, OPT_THREADS},
        {"strict", no_argument, NULL, OPT_STRICT},
        {"lenient", no_argument, NULL, OPT_LENIENT},
        {"time", no_argument, NULL, OPT_TIME},
        MB_DIAG_LONG_OPTIONS,
        {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct compile_options o = {.stage = EMIT_IR, .seed = 42};
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":qh", long_options, NULL)) != -1) {
        switch (option) {
        case 'h': fputs(help, stdout); return MB_EXIT_OK;
        case OPT_EMIT_IR: o.stage = EMIT_IR; break;
        case 'q': o.quiet = true; break;
        case OPT_ENTRY: o.entry = optarg; break;
        case OPT_STRICT: o.strict = true; break;
        case OPT_LENIENT: o.lenient = true; break;
        case OPT_TIME: o.time = true; break;
        case OPT_EMIT:
            if (!take_stage(optarg, &o.stage)) return MB_EXIT_USAGE;
            break;
        case OPT_BIND:
            if (!mb_bindings_add(&o.bindings, optarg, argv[0])) return MB_EXIT_USAGE;
            break;
        case OPT_SEED:
            if (!mb_cli_integer(optarg, 0, INT64_MAX, &o.seed))
                return mb_cli_error(MB_EXIT_USAGE,
                                    "compile: --seed %s: not a whole number of at least 0", optarg);
            break;
        case OPT_THREADS:
            if (!mb_cli_integer(optarg, 1, 4096, &o.threads))
                return mb_cli_error(MB_EXIT_USAGE,
                                    "compile: --threads %s: not a number from 1 to "
                                    "4096",
                                    optarg);
            break;
        case '?':
        case ':': return mb_cli_bad_option(argc, argv, option);
        default:
            if (!mb_diag_options_take(option, optarg, argv[0], &o.diags)) return MB_EXIT_USAGE;
        }
    }
    if (argc - optind != 1)
        return mb_cli_error(MB_EXIT_USAGE, "compile: give one file; see mindbench compile --help");
    int status = compile(argv[optind], &o);
    if (fflush(stdout) != 0 || ferror(stdout))
        return mb_cli_error(MB_EXIT_USAGE, "compile: cannot write: %s", strerror(errno));
    return status;
}
