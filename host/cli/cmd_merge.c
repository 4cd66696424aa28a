/* mindbench merge: results of many machines in one file. */
#include "cli.h"
#include "outfile.h"
#include "result_merge.h"

#include <getopt.h>
#include <string.h>

static const char help[] =
    "Usage: mindbench merge RESULT.json... -o ALL.json\n\n"
    "Puts results of many machines or runs into one file, each as it is. Merged files can be "
    "merged\n"
    "again. A run that is there already is left out, with a warning; a file that was changed "
    "after\n"
    "it was written is refused. verify checks every part; compare takes part N as\n"
    "ALL.json#N.\n\n"
    "  -o, --output FILE   where to; stdout is a FILE too\n"
    "  -q, --quiet         no warnings, and no line at the end\n"
    "  -h, --help\n\n"
    "Exit status: 0 done, 3 a file was changed after it was written, 4 usage, or a file that is "
    "no\n"
    "result.\n";

static const struct option long_options[] = {
    {"output", required_argument, NULL, 'o'},
    {"quiet", no_argument, NULL, 'q'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static int merge(char *const *paths, size_t n, const char *output, bool quiet) {
    struct mb_merge m;
    struct mb_outfile *file = NULL;
    struct mb_err err = {.text = "no memory to merge"};
    enum mb_status st = mb_merge_begin(&m, &err);
    for (size_t i = 0; i < n && st == MB_OK; i++) {
        const size_t before = m.n_duplicates;
        st = mb_merge_add(&m, paths[i], &err);
        if (st == MB_OK && m.n_duplicates > before && !quiet)
            fprintf(stderr, "Warn: %s: is there already, left out: %zu result%s\n", paths[i],
                    m.n_duplicates - before, m.n_duplicates - before == 1 ? "" : "s");
    }
    if (st == MB_OK) st = mb_outfile_open(output, &file, &err);
    if (st == MB_OK) {
        FILE *out = mb_outfile_stream(file);
        if (mb_merge_print(&m, out) || ferror(out)) {
            st = mb_outfile_commit(file, &err);
        } else {
            mb_outfile_discard(file);
            st = mb_fail(&err, MB_E_NOMEM, "no memory to merge");
        }
    }
    if (st == MB_OK && !quiet && strcmp(output, "stdout") != 0)
        printf("Merged: %zu result%s in %s\n", m.n_parts, m.n_parts == 1 ? "" : "s", output);
    mb_merge_free(&m);
    return st == MB_OK ? MB_EXIT_OK : mb_cli_error(mb_cli_exit_of(st), "merge: %s", err.text);
}

int mb_cmd_merge(int argc, char **argv) {
    const char *output = NULL;
    bool quiet = false;
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":o:qh", long_options, NULL)) != -1) {
        switch (option) {
        case 'o': output = optarg; break;
        case 'q': quiet = true; break;
        case 'h': fputs(help, stdout); return MB_EXIT_OK;
        default: return mb_cli_bad_option(argc, argv, option);
        }
    }
    if (optind == argc)
        return mb_cli_error(
            MB_EXIT_USAGE, "merge: no file; for example mindbench merge a.json b.json -o all.json");
    if (!output)
        return mb_cli_error(MB_EXIT_USAGE, "merge: no -o: where the merged file goes; add -o "
                                           "all.json");
    return merge(argv + optind, (size_t)(argc - optind), output, quiet);
}
