/* mindbench compare: two results, row by row. */
#include "cli.h"
#include "compare_options.h"
#include "outfile.h"
#include "report.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "Usage: mindbench compare [OPTIONS] BASE.json NEW.json\n\n"
    "Says for each workload and executor whether NEW is faster (FAST) or slower (SLOW) than BASE.\n"
    "The ratio is latency of BASE / latency of NEW, so above 1 NEW is faster, with a 95 % "
    "interval\n"
    "from the blocks of each run by itself. FAST and SLOW need the whole interval beyond the\n"
    "smallest effect that matters, SAME needs it inside, AMBG is neither, ???? has no ratio: "
    "another\n"
    "program, device, precision or number of threads, or a side that is missing or INVALID.\n"
    "BASE and NEW are files, ALL.json#N (a part of a merged file), or names of saved baselines.\n\n"
    "      --min-effect PCT   smallest effect that matters (of the results, else 2)\n"
    "      --gate LIST        executors whose being slower is a regression (mind and mind-*, all\n"
    "                         where there are none of them)\n"
    "      --fail-on-inconclusive   exit status 2 for AMBG and ????\n"
    "      --json, --md FILE  the comparison as JSON or Markdown; stdout is a FILE too, which\n"
    "                         replaces the table\n"
    "  -q, --quiet            no table\n"
    "  -h, --help\n\n"
    "Exit status: 0 no regression proven, 1 regression proven, 2 inconclusive (only with\n"
    "--fail-on-inconclusive), 3 NEW is INVALID where it counts, 4 usage, or a file that is no\n"
    "result.\n";

enum { MAX_GATES = 32, OPT_MIN_EFFECT = 256, OPT_GATE, OPT_FAIL, OPT_JSON, OPT_MD };

static const struct option long_options[] = {
    {"min-effect", required_argument, NULL, OPT_MIN_EFFECT},
    {"gate", required_argument, NULL, OPT_GATE},
    {"fail-on-inconclusive", no_argument, NULL, OPT_FAIL},
    {"json", required_argument, NULL, OPT_JSON},
    {"md", required_argument, NULL, OPT_MD},
    {"quiet", no_argument, NULL, 'q'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

struct options {
    struct mb_compare_options compare;
    const char *gates[MAX_GATES];
    const char *json, *md;
    bool quiet, fail_on_inconclusive;
};

static bool parse_gates(char *value, struct options *o) {
    char *state = NULL;
    o->compare.gates = o->gates;
    o->compare.n_gates = 0;
    for (char *name = strtok_r(value, ",", &state); name; name = strtok_r(NULL, ",", &state)) {
        if (o->compare.n_gates == MAX_GATES) return false;
        o->gates[o->compare.n_gates++] = name;
    }
    return o->compare.n_gates > 0;
}

/* Returns an exit status, or -1 to go on. */
static int parse(int argc, char **argv, struct options *o) {
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":qh", long_options, NULL)) != -1) {
        switch (option) {
        case 'q': o->quiet = true; break;
        case OPT_FAIL: o->fail_on_inconclusive = true; break;
        case OPT_JSON: o->json = optarg; break;
        case OPT_MD: o->md = optarg; break;
        case OPT_MIN_EFFECT:
            if (!mb_cli_number(optarg, 1e-3, 100, &o->compare.least_effect))
                return mb_cli_error(MB_EXIT_USAGE,
                                    "compare: --min-effect %s: not a percentage from 0.001 to 100",
                                    optarg);
            o->compare.least_effect /= 100;
            break;
        case OPT_GATE:
            if (!parse_gates(optarg, o))
                return mb_cli_error(MB_EXIT_USAGE,
                                    "compare: --gate: names of 1 to %d executors are wanted; for "
                                    "example --gate mind,mind-avx2",
                                    MAX_GATES);
            break;
        case 'h': fputs(help, stdout); return MB_EXIT_OK;
        default: return mb_cli_bad_option(argc, argv, option);
        }
    }
    if (argc - optind != 2)
        return mb_cli_error(MB_EXIT_USAGE,
                            "compare: %d files, not two; for example mindbench "
                            "compare base.json new.json",
                            argc - optind);
    return -1;
}

/* A file as it is named, else a baseline of that name. */
static bool read_side(const char *name, struct mb_result_file **out) {
    struct mb_err err;
    char *path = NULL;
    if (!mb_baseline_path(name, false, &path)) return false;
    const bool ok = mb_result_file_read(path, out, &err) == MB_OK;
    if (!ok) mb_cli_error(MB_EXIT_USAGE, "%s", err.text);
    free(path);
    return ok;
}

static bool write_to(const char *name, const struct mb_compared *c, json_t *json) {
    struct mb_outfile *file = NULL;
    struct mb_err err;
    if (!name) return true;
    if (mb_outfile_open(name, &file, &err) == MB_OK) {
        if (json)
            mb_report_print_json(json, mb_outfile_stream(file));
        else
            mb_compared_md(c, mb_outfile_stream(file));
        if (mb_outfile_commit(file, &err) == MB_OK) return true;
    }
    mb_cli_error(MB_EXIT_USAGE, "%s", err.text);
    return false;
}

static bool is_stdout(const char *name) { return name && strcmp(name, "stdout") == 0; }

static int write_all(const struct options *o, const struct mb_compared *c,
                     const struct mb_result_file *base, const struct mb_result_file *next) {
    json_t *json = o->json ? mb_compared_json(c, base, next) : NULL;
    if (o->json && !json) return mb_cli_error(MB_EXIT_USAGE, "compare: no memory for the JSON");
    bool ok = true;
    if (!o->quiet && !is_stdout(o->json) && !is_stdout(o->md)) {
        ok = mb_compared_table(c, stdout, mb_cli_color(stdout)) && fflush(stdout) == 0;
        if (!ok) mb_cli_error(MB_EXIT_USAGE, "cannot write the table: %s", strerror(errno));
    }
    ok = write_to(o->json, c, json) && ok;
    ok = write_to(o->md, c, NULL) && ok;
    json_decref(json);
    return ok ? mb_compared_exit(c, o->fail_on_inconclusive) : MB_EXIT_USAGE;
}

int mb_cmd_compare(int argc, char **argv) {
    struct options o = {0};
    struct mb_result_file *base = NULL, *next = NULL;
    struct mb_compared compared = {0};
    struct mb_err err;
    int status = parse(argc, argv, &o);
    if (status >= 0) return status;
    if (!read_side(argv[optind], &base) || !read_side(argv[optind + 1], &next))
        status = MB_EXIT_USAGE;
    else if (mb_compare_results(base, next, &o.compare, &compared, &err) != MB_OK)
        status = mb_cli_error(MB_EXIT_USAGE, "compare: %s", err.text);
    else if (compared.n_common == 0)
        status = mb_cli_error(MB_EXIT_USAGE, "compare: nothing to compare: no workload with an "
                                             "executor that counts is in both; see --gate");
    else
        status = write_all(&o, &compared, base, next);
    mb_compared_free(&compared);
    mb_result_file_free(base);
    mb_result_file_free(next);
    return status;
}
