#include "baseline.h"

#include "cli.h"
#include "compare_options.h"
#include "outfile.h"
#include "report.h"

#include <stdlib.h>

bool mb_baseline_open(struct mb_baseline *b) {
    struct mb_err err;
    if (b->against && !mb_baseline_path(b->against, false, &b->against_path)) return false;
    if (b->save && !mb_baseline_path(b->save, true, &b->save_path)) return false;
    if (b->against_path && mb_result_file_read(b->against_path, &b->base, &err) != MB_OK) {
        mb_cli_error(MB_EXIT_USAGE, "run: --baseline: %s", err.text);
        return false;
    }
    return !b->save_path || mb_cli_writable(b->save_path);
}

void mb_baseline_close(struct mb_baseline *b) {
    mb_result_file_free(b->base);
    free(b->against_path);
    free(b->save_path);
    *b = (struct mb_baseline){0};
}

static int compare(const struct mb_baseline *b, const struct mb_result_file *now, FILE *out) {
    const struct mb_compare_options options = {.least_effect = 0};
    struct mb_compared c;
    struct mb_err err;
    int status;
    if (mb_compare_results(b->base, now, &options, &c, &err) != MB_OK)
        return mb_cli_error(MB_EXIT_USAGE, "run: --baseline: %s", err.text);
    if (c.n_common == 0) {
        status =
            mb_cli_error(MB_EXIT_USAGE,
                         "run: --baseline %s: nothing to compare: no workload with an executor "
                         "that counts is in both",
                         b->against);
    } else {
        if (out) fprintf(out, "\nAgainst the baseline %s:\n\n", b->against);
        const bool written =
            !out || (mb_compared_table(&c, out, mb_cli_color(out)) && fflush(out) == 0);
        status = written ? mb_compared_exit(&c, b->fail_on_inconclusive)
                         : mb_cli_error(MB_EXIT_USAGE, "run: cannot write the comparison");
    }
    mb_compared_free(&c);
    return status;
}

static bool save(const struct mb_baseline *b, const struct mb_result_file *now) {
    struct mb_outfile *file = NULL;
    json_t *json = NULL;
    struct mb_err err;
    enum mb_status st = mb_report_json(&now->result, &now->machine, &json, &err);
    if (st == MB_OK) st = mb_outfile_open(b->save_path, &file, &err);
    if (st == MB_OK) {
        mb_report_print_json(json, mb_outfile_stream(file));
        st = mb_outfile_commit(file, &err);
    }
    json_decref(json);
    if (st != MB_OK) mb_cli_error(MB_EXIT_USAGE, "run: --save-baseline: %s", err.text);
    return st == MB_OK;
}

int mb_baseline_judge(const struct mb_baseline *b, const struct mb_result *result, int status,
                      FILE *out) {
    struct mb_result_file now = {.result = *result, .build = mb_build_identify()};
    struct mb_err err;
    if (!b->base && !b->save) return status;
    if (mb_machine_read(NULL, &now.machine, &err) != MB_OK)
        return mb_cli_error(MB_EXIT_USAGE, "%s", err.text);
    if (b->base) {
        const int compared = compare(b, &now, out);
        if (status == MB_EXIT_OK || compared == MB_EXIT_USAGE) status = compared;
    }
    if (!b->save) return status;
    if (status == MB_EXIT_OK || status == MB_EXIT_INCONCLUSIVE) {
        if (!save(b, &now)) return MB_EXIT_USAGE;
        if (out) fprintf(out, "\nBaseline: %s\n", b->save_path);
    } else {
        fprintf(stderr, "Warn: the baseline %s is not saved: this run is no better one\n", b->save);
    }
    return status;
}
