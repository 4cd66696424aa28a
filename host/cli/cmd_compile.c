/* mindbench compile: what each stage of the compiler made of a file. */
#include "cli.h"
#include "executors.h"
#include "machine.h"
#include "targets.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "Usage: mindbench compile [OPTIONS] FILE.mind | WORKLOAD\n\n"
    "Compiles and prints one stage.\n\n"
    "      --emit STAGE      tokens, ast, ir, plan or none (ir)\n"
    "      --emit-ir         --emit ir, as in mindc\n"
    "      --entry NAME      function to compile (--func is the same)\n"
    "      --bind NAME=N     extent of a symbolic dimension, or value of a const\n"
    "      --seed N          of random constants that name none, as in run (42)\n"
    "      --threads N       that the plan is for (as `run`: one for each core)\n"
    "  -q, --quiet           no warnings\n"
    "  -h, --help\n\n"
    "Exit status: 0 accepted, 4 the file cannot be read or the output not written, 5 rejected.\n";

enum stage { EMIT_TOKENS, EMIT_AST, EMIT_IR, EMIT_PLAN, EMIT_NONE, N_STAGES };

struct compile_options {
    enum stage stage;
    const char *entry;
    struct mb_bindings bindings;
    int64_t threads, seed; /* threads: 0: as many as `run` takes */
    bool quiet;
};

/* The CPU's plan of the program; needs no weights. */
static int print_plan(const struct mb_target *t, const struct compile_options *o) {
    enum { TEXT_BYTES = 64 << 10 };
    const struct mb_executor_entry *entry = mb_executor_find("mind", "cpu");
    const struct mb_backend *backend = NULL;
    struct mb_open_config config = {
        .executor = entry->name, .device = entry->device, .n_threads = (int)o->threads};
    struct mb_ctx *ctx = NULL;
    struct mb_machine machine;
    struct mb_err err;
    enum mb_status st = MB_OK;
    char *text = malloc(TEXT_BYTES);
    if (!text) return mb_cli_error(MB_EXIT_USAGE, "compile: no memory for the plan");
    if (!mb_isa_cap_from_environment(&config.isa_cap, &err)) {
        st = MB_E_INVALID;
        goto out;
    }
    if (config.n_threads == 0) {
        MB_TRY(mb_machine_read(NULL, &machine, &err));
        config.n_threads = mb_machine_default_threads(&machine);
    }
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
        mb_print_diags(mind, MB_DIAG_HUMAN, mb_cli_color(stderr), o->quiet);
    }
    if (st != MB_OK && st != MB_E_PROGRAM) mb_cli_error(MB_EXIT_USAGE, "%s: %s", path, err.text);
    mb_mind_close(mind);
    free(text);
    return (int)mb_cli_exit_of(st);
}

static int compile(const char *argument, const struct compile_options *o) {
    struct mb_target target;
    if (o->stage == EMIT_TOKENS || o->stage == EMIT_AST) return print_source_stage(argument, o);
    const struct mb_target_options options = {
        .entry = o->entry, .bindings = &o->bindings, .seed = (uint64_t)o->seed, .quiet = o->quiet};
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

enum { OPT_EMIT = 256, OPT_EMIT_IR, OPT_ENTRY, OPT_BIND, OPT_SEED, OPT_THREADS };

int mb_cmd_compile(int argc, char **argv) {
    static const struct option long_options[] = {
        {"emit", required_argument, NULL, OPT_EMIT},
        {"emit-ir", no_argument, NULL, OPT_EMIT_IR},
        {"entry", required_argument, NULL, OPT_ENTRY},
        {"func", required_argument, NULL, OPT_ENTRY},
        {"bind", required_argument, NULL, OPT_BIND},
        {"seed", required_argument, NULL, OPT_SEED},
        {"threads", required_argument, NULL, OPT_THREADS},
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
        case 'q': o.quiet = true; break;
        case OPT_EMIT_IR: o.stage = EMIT_IR; break;
        case OPT_ENTRY: o.entry = optarg; break;
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
        default: return mb_cli_bad_option(argc, argv, option);
        }
    }
    if (argc - optind != 1)
        return mb_cli_error(MB_EXIT_USAGE, "compile: give one file; see mindbench compile --help");
    int status = compile(argv[optind], &o);
    if (fflush(stdout) != 0 || ferror(stdout))
        return mb_cli_error(MB_EXIT_USAGE, "compile: cannot write: %s", strerror(errno));
    return status;
}
