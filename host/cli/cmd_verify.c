/* mindbench verify: whether result files say what their samples say. */
#include "cli.h"
#include "remake.h"
#include "result_verify.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

static const char help[] =
    "Usage: mindbench verify [OPTIONS] RESULT.json...\n\n"
    "Forms every statistic, interval and verdict of a result again from the samples in it and\n"
    "compares; compiles the programs again, makes weights and inputs again from the seed and\n"
    "compares their hashes; compares the hash of the program's file where this is the build that\n"
    "measured; compares the digest of the whole file. Each deviation is one line with its "
    "place.\n\n"
    "      --quick   only what is in the file: no program, weights or inputs\n"
    "  -q, --quiet   deviations only\n"
    "  -h, --help\n\n"
    "What cannot be formed again (samples, machine, settings) stands under the digest alone. It\n"
    "shows damage and careless edits, but not a forger who makes the digest again.\n"
    "Exit status: 0 all agrees, 3 something does not, 4 usage, or a file that is no result.\n";

struct options {
    bool quick, quiet;
};

static const struct option long_options[] = {
    {"quick", no_argument, NULL, 'k'},
    {"quiet", no_argument, NULL, 'q'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

/* The file that measured, where it is this one. */
static void compare_binary(const struct mb_result_file *file, struct mb_verification *v) {
    const struct mb_build ours = mb_build_identify(), *theirs = &file->build;
    if (!theirs->binary_sha256 || !theirs->build_id)
        mb_verify_find(v, false, "mindbench.binary_sha256: there is none; not compared");
    else if (!ours.build_id || !ours.binary_sha256 || strcmp(ours.build_id, theirs->build_id) != 0)
        mb_verify_find(v, false, "mindbench.binary_sha256: of another build (%.12s): not compared",
                       theirs->git_sha);
    else if (strcmp(ours.binary_sha256, theirs->binary_sha256) != 0)
        mb_verify_find(v, true,
                       "mindbench.binary_sha256: is not the hash of this program, whose "
                       "build id it names");
}

static void print_findings(const char *name, const struct mb_verification *v, bool quiet) {
    for (size_t i = 0; i < v->n_findings; i++) {
        const struct mb_finding *f = &v->findings[i];
        if (f->deviation || !quiet)
            printf("%s: %s: %s\n", f->deviation ? "Fail" : "Warn", name, f->text);
    }
    if (v->n_deviations == 0 && !quiet) printf("Pass: %s: %zu numbers agree\n", name, v->n_numbers);
}

/* One result; its exit status. */
static int verify(const struct options *o, const char *name, json_t *json) {
    struct mb_result_file *file = NULL;
    struct mb_verification v = {0};
    struct mb_err err;
    enum mb_status st = mb_result_file_new(name, json, &file, &err);
    if (st == MB_OK) st = mb_verify(json, file, &v, &err);
    for (size_t i = 0; st == MB_OK && !o->quick && i < file->result.n_benchmarks; i++)
        mb_remake(&file->result, &file->result.benchmarks[i],
                  strcmp(file->build.version, mb_build()->version) == 0, &v);
    if (st == MB_OK && !o->quick) compare_binary(file, &v);
    if (st == MB_OK && v.failed) st = mb_fail(&err, MB_E_NOMEM, "%s: no memory to verify", name);
    if (st == MB_OK) print_findings(name, &v, o->quiet);
    const int status = st != MB_OK      ? mb_cli_error(MB_EXIT_USAGE, "%s", err.text)
                       : v.n_deviations ? MB_EXIT_INVALID
                                        : MB_EXIT_OK;
    mb_verification_free(&v);
    mb_result_file_free(file);
    return status;
}

static int verify_file(const struct options *o, const char *path) {
    struct mb_result_set set;
    struct mb_err err;
    int worst = MB_EXIT_OK;
    if (mb_result_set_load(path, &set, &err) != MB_OK)
        return mb_cli_error(MB_EXIT_USAGE, "%s", err.text);
    if (set.altered) {
        printf("Fail: %s: digest: the content is not what was written\n", path);
        worst = MB_EXIT_INVALID;
    }
    for (size_t i = 0; i < set.n; i++) {
        const int status = verify(o, set.parts[i].name, set.parts[i].json);
        if (status > worst) worst = status;
    }
    mb_result_set_free(&set);
    return worst;
}

int mb_cmd_verify(int argc, char **argv) {
    struct options o = {0};
    int option, worst = MB_EXIT_OK;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":qh", long_options, NULL)) != -1) {
        switch (option) {
        case 'q': o.quiet = true; break;
        case 'k': o.quick = true; break;
        case 'h': fputs(help, stdout); return MB_EXIT_OK;
        default: return mb_cli_bad_option(argc, argv, option);
        }
    }
    if (optind == argc)
        return mb_cli_error(MB_EXIT_USAGE, "verify: no file; for example mindbench verify "
                                           "results/inference_results.json");
    for (int i = optind; i < argc; i++) {
        const int status = verify_file(&o, argv[i]);
        if (status > worst) worst = status;
    }
    if (fflush(stdout) != 0)
        return mb_cli_error(MB_EXIT_USAGE, "verify: cannot write: %s", strerror(errno));
    return worst;
}
