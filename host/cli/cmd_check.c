/* mindbench check: the compiler's diagnostics and nothing else. */
#include "cli.h"
#include "targets.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "Usage: mindbench check [OPTIONS] FILE.mind...\n\n"
    "Reports every error and warning. Without --entry: the function that `run` would choose, else\n"
    "every function. Symbolic dimensions may stay unbound.\n\n"
    "      --entry NAME            function to check (--func is the same)\n"
    "      --bind NAME=N           extent of a symbolic dimension, or value of a const\n"
    "      --strict                a bias of C elements is not added along the channels of NCHW\n"
    "      --lenient               x - mean(x, 1) is taken as x - mean(x, 1, "
    "keepdims=true)\n" MB_DIAG_OPTIONS_HELP "  -q, --quiet                 errors only\n"
    "  -h, --help\n\n"
    "Exit status: 0 accepted, 4 a file cannot be read, 5 rejected.\n";

struct check_options {
    const char *entry;
    struct mb_bindings bindings;
    struct mb_diag_options diags;
    bool quiet, strict, lenient;
};

static int check_file(const char *path, const struct check_options *o) {
    struct mb_mind *mind = NULL;
    struct mb_err err;
    struct mb_mind_source source = {.file = path,
                                    .entry = o->entry,
                                    .bindings = o->bindings.items,
                                    .n_bindings = o->bindings.n,
                                    .strict = o->strict,
                                    .lenient = o->lenient};
    char *text = NULL;
    int status = mb_read_source(path, &text, &source.len);
    if (status != MB_EXIT_OK) return status;
    source.text = text;
    enum mb_status st = mb_mind_open(&mind, &err);
    if (st == MB_OK) {
        st = mb_mind_check(mind, &source, &err);
        mb_print_diags(mind, &o->diags, o->quiet);
    }
    if (st != MB_OK && st != MB_E_PROGRAM) mb_cli_error(MB_EXIT_USAGE, "%s: %s", path, err.text);
    mb_mind_close(mind);
    free(text);
    return (int)mb_cli_exit_of(st);
}

enum { OPT_ENTRY = 256, OPT_BIND, OPT_STRICT, OPT_LENIENT };

int mb_cmd_check(int argc, char **argv) {
    static const struct option long_options[] = {
        {"entry", required_argument, NULL, OPT_ENTRY},
        {"func", required_argument, NULL, OPT_ENTRY},
        {"bind", required_argument, NULL, OPT_BIND},
        {"strict", no_argument, NULL, OPT_STRICT},
        {"lenient", no_argument, NULL, OPT_LENIENT},
        MB_DIAG_LONG_OPTIONS,
        {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct check_options o = {0};
    int option, worst = MB_EXIT_OK;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":qh", long_options, NULL)) != -1) {
        switch (option) {
        case 'h': fputs(help, stdout); return MB_EXIT_OK;
        case 'q': o.quiet = true; break;
        case OPT_ENTRY: o.entry = optarg; break;
        case OPT_STRICT: o.strict = true; break;
        case OPT_LENIENT: o.lenient = true; break;
        case OPT_BIND:
            if (!mb_bindings_add(&o.bindings, optarg, argv[0])) return MB_EXIT_USAGE;
            break;
        case '?':
        case ':': return mb_cli_bad_option(argc, argv, option);
        default:
            if (!mb_diag_options_take(option, optarg, argv[0], &o.diags)) return MB_EXIT_USAGE;
        }
    }
    if (optind == argc)
        return mb_cli_error(MB_EXIT_USAGE, "check: no file; see mindbench check --help");
    for (int i = optind; i < argc; i++) {
        int status = check_file(argv[i], &o);
        if (status > worst) worst = status;
    }
    return worst;
}
