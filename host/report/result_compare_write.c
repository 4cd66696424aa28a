/* What a comparison of two results looks like: a table, Markdown, JSON. */
#include "place.h"
#include "report.h"
#include "report_value.h"
#include "report_view.h"
#include "result_compare.h"

#include <math.h>
#include <string.h>

enum { TEXT = 64 };

static const char *verdict_text(const struct mb_compared_row *row) {
    return row->reason ? "????" : mb_verdict_name(row->verdict);
}

static const char *ratio_text(const struct mb_compared_row *row, char *buf, size_t size) {
    if (row->reason)
        snprintf(buf, size, "n/a");
    else
        mb_view_ratio(buf, size, &row->speedup, "x");
    return buf;
}

/* ---- for people ---- */

static const char *color_of(const struct mb_compared_row *row, bool color) {
    if (!color || row->reason) return "";
    return row->verdict == MB_FAST ? "\033[32m" : row->verdict == MB_SLOW ? "\033[31m" : "";
}

/* Names may hold control characters: they stay here. */
static void put_name(FILE *out, const char *name, int width) {
    int n = 0;
    for (; *name && n < width; name++) {
        putc(mb_printable_char(*name), out);
        n += ((unsigned char)*name & 0xc0) != 0x80;
    }
    fprintf(out, "%*s ", width - n, "");
}

static int longest_name(const struct mb_compared *c, bool executor) {
    size_t longest = executor ? 8 : 9;
    for (size_t i = 0; i < c->n_rows; i++) {
        const size_t len = strlen(executor ? c->rows[i].executor : c->rows[i].benchmark);
        if (len > longest) longest = len;
    }
    return longest < 60 ? (int)longest : 60;
}

bool mb_compared_table(const struct mb_compared *c, FILE *out, bool color) {
    char base[TEXT], next[TEXT], ratio[TEXT];
    const int width = longest_name(c, false), executor = longest_name(c, true);
    for (size_t i = 0; i < c->n_warnings; i++) fprintf(out, "Warn: %s\n", c->warnings[i]);
    fprintf(out, "%-*s %-*s %10s %10s  %-24s new is\n", width, "Benchmark", executor, "Executor",
            "base", "new", "speed-up of new");
    for (int i = 0; i < width + executor + 58; i++) putc('-', out);
    putc('\n', out);
    for (size_t i = 0; i < c->n_rows; i++) {
        const struct mb_compared_row *row = &c->rows[i];
        const char *escape = color_of(row, color);
        put_name(out, row->benchmark, width);
        put_name(out, row->executor, executor);
        fprintf(out, "%10s %10s  %-24s %s%s%s%s%s%s\n",
                mb_view_time(base, sizeof base, row->base_ns),
                mb_view_time(next, sizeof next, row->next_ns), ratio_text(row, ratio, sizeof ratio),
                escape, verdict_text(row), *escape ? "\033[0m" : "", row->reason ? " " : "",
                row->reason ? row->reason : "", row->gates ? "" : " (does not count)");
    }
    fprintf(out, "\n%zu of %zu regressed, %zu inconclusive\n", c->n_regressions, c->n_counted,
            c->n_inconclusive);
    fprintf(out,
            "FAST, SLOW: the 95 %% interval lies above %.4g, below %.4g; SAME: between; AMBG: "
            "neither\n",
            1 + c->least_effect, 1 - c->least_effect);
    return !ferror(out);
}

/* ---- Markdown ---- */

bool mb_compared_md(const struct mb_compared *c, FILE *out) {
    char base[TEXT], next[TEXT], ratio[TEXT];
    fputs("| benchmark | executor | base | new | speed-up of new | new is |\n"
          "|---|---|--:|--:|--:|---|\n",
          out);
    for (size_t i = 0; i < c->n_rows; i++) {
        const struct mb_compared_row *row = &c->rows[i];
        fputs("| ", out);
        mb_md_text(out, row->benchmark);
        fputs(" | ", out);
        mb_md_text(out, row->executor);
        fprintf(out, " | %s | %s | ", mb_view_time(base, sizeof base, row->base_ns),
                mb_view_time(next, sizeof next, row->next_ns));
        mb_md_text(out, ratio_text(row, ratio, sizeof ratio));
        fprintf(out, " | %s ", verdict_text(row));
        mb_md_text(out, row->reason ? row->reason : "");
        fprintf(out, "%s |\n", row->gates ? "" : " (does not count)");
    }
    if (c->n_warnings) putc('\n', out);
    for (size_t i = 0; i < c->n_warnings; i++) {
        fputs("- ", out);
        mb_md_text(out, c->warnings[i]);
        putc('\n', out);
    }
    return !ferror(out);
}

/* ---- JSON ---- */

static json_t *side_json(const struct mb_result_file *file) {
    return json_pack("{s:s, s:b, s:s*, s:I}", "git_sha", file->build.git_sha, "git_is_dirty",
                     file->build.git_is_dirty, "build_id", file->build.build_id, "started_unix_s",
                     (json_int_t)file->result.started_unix_s);
}

static json_t *row_json(const struct mb_compared_row *row) {
    return json_pack("{s:s, s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:s?, s:s?}", "benchmark",
                     row->benchmark, "executor", row->executor, "counts", row->gates, "base_p50_us",
                     mb_json_number(row->base_ns / 1e3), "new_p50_us",
                     mb_json_number(row->next_ns / 1e3), "speedup",
                     mb_json_number(row->speedup.value), "ci_low", mb_json_number(row->speedup.low),
                     "ci_high", mb_json_number(row->speedup.high), "verdict",
                     row->reason ? NULL : mb_verdict_name(row->verdict), "reason", row->reason);
}

json_t *mb_compared_json(const struct mb_compared *c, const struct mb_result_file *base,
                         const struct mb_result_file *next) {
    json_t *rows = json_array(), *warnings = json_array();
    bool ok = rows && warnings;
    for (size_t i = 0; ok && i < c->n_rows; i++)
        ok = json_array_append_new(rows, row_json(&c->rows[i])) == 0;
    for (size_t i = 0; ok && i < c->n_warnings; i++)
        ok = json_array_append_new(warnings, json_string(c->warnings[i])) == 0;
    if (!ok) {
        json_decref(rows);
        json_decref(warnings);
        return NULL;
    }
    return json_pack("{s:s, s:o, s:o, s:f, s:o, s:o, s:I, s:I, s:I}", "schema_version",
                     MB_RESULT_SCHEMA_VERSION, "base", side_json(base), "new", side_json(next),
                     "min_effect", c->least_effect, "rows", rows, "warnings", warnings,
                     "regressions", (json_int_t)c->n_regressions, "inconclusive",
                     (json_int_t)c->n_inconclusive, "invalid", (json_int_t)c->n_invalid);
}
