#include "report_starts.h"

#include "cold_start.h"
#include "report_view.h"

#include <math.h>
#include <string.h>

enum { TEXT = 32, WIDE_PAGE = 120 };

static const char *reason_of(const char *reason) { return reason ? reason : "no reason given"; }

/* "not measured: WHY" from the second column on. */
static void put_unmeasured(const struct mb_page *page, const struct mb_column *columns,
                           int n_columns, const char *name, const char *reason) {
    char text[640];
    snprintf(text, sizeof text, "not measured: %s", reason_of(reason));
    mb_page_row(page, columns, n_columns, (struct mb_cell[]){{name, MB_PLAIN}, {text, MB_PLAIN}},
                2);
}

/* ---- steps in columns ---- */

/* A column is the sum of the steps from first to last; MB_N_START_STEPS: the whole. */
struct steps {
    const char *head;
    enum mb_start_step first, last;
};

static double median_of(const struct mb_start_row *row, const struct steps *s) {
    double sum = (double)NAN;
    if (s->first == MB_N_START_STEPS) return mb_start_median_whole(row);
    for (int i = (int)s->first; i <= (int)s->last; i++) {
        const double step = mb_start_median_step(row, (enum mb_start_step)i);
        if (isfinite(step)) sum = isfinite(sum) ? sum + step : step;
    }
    return sum;
}

static void put_steps(const struct mb_page *page, const struct mb_cold_starts *c, int name_width,
                      const struct steps *steps, int n_steps, int width, double unit_ns) {
    struct mb_column columns[MB_MAX_COLUMNS] = {{"Executor", name_width, false}};
    for (int i = 0; i < n_steps; i++)
        columns[i + 1] = (struct mb_column){steps[i].head, width, true};
    columns[n_steps + 1] = (struct mb_column){"n", 2, true};
    mb_page_head(page, columns, n_steps + 2);
    for (size_t r = 0; r < c->n_rows; r++) {
        const struct mb_start_row *row = &c->rows[r];
        char text[MB_MAX_COLUMNS][TEXT];
        struct mb_cell cells[MB_MAX_COLUMNS] = {{row->name, MB_PLAIN}};
        if (!row->n) {
            put_unmeasured(page, columns, n_steps + 2, row->name, row->reason);
            continue;
        }
        for (int i = 0; i < n_steps; i++) {
            const double ns = median_of(row, &steps[i]);
            if (isfinite(ns))
                mb_view_number(text[i], TEXT, ns / unit_ns);
            else
                snprintf(text[i], TEXT, "-");
            cells[i + 1].text = text[i];
        }
        snprintf(text[n_steps], TEXT, "%zu", row->n);
        cells[n_steps + 1].text = text[n_steps];
        mb_page_row(page, columns, n_steps + 2, cells, n_steps + 2);
        if (row->reason) mb_page_prose(page, 2, MB_RED, "ended after %zu: %s", row->n, row->reason);
    }
}

static void put_waterfall(const struct mb_page *page, const struct mb_cold_starts *c,
                          const char *name) {
    static const struct steps wide[] = {
        {"process", MB_STEP_process, MB_STEP_process},
        {"library", MB_STEP_library, MB_STEP_library},
        {"open", MB_STEP_open, MB_STEP_open},
        {"front", MB_STEP_parse, MB_STEP_lower},
        {"plan", MB_STEP_plan, MB_STEP_plan},
        {"tune", MB_STEP_tune, MB_STEP_tune},
        {"compile", MB_STEP_compile, MB_STEP_compile},
        {"pack", MB_STEP_pack, MB_STEP_pack},
        {"run 1", MB_STEP_first_inference, MB_STEP_first_inference},
        {"other", MB_STEP_other, MB_STEP_other},
        {"whole", MB_N_START_STEPS, MB_N_START_STEPS},
    };
    static const struct steps narrow[] = {
        {"proc.", MB_STEP_process, MB_STEP_process},
        {"load", MB_STEP_library, MB_STEP_open},
        {"front", MB_STEP_parse, MB_STEP_lower},
        {"plan", MB_STEP_plan, MB_STEP_tune},
        {"comp.", MB_STEP_compile, MB_STEP_compile},
        {"pack", MB_STEP_pack, MB_STEP_pack},
        {"run 1", MB_STEP_first_inference, MB_STEP_first_inference},
        {"other", MB_STEP_other, MB_STEP_other},
        {"whole", MB_N_START_STEPS, MB_N_START_STEPS},
    };
    const bool is_wide = page->columns >= WIDE_PAGE;
    putc('\n', page->out);
    mb_page_prose(
        page, 0, MB_PLAIN,
        "%s, from the start of a process to its first output (ms, medians of n starts):", name);
    put_steps(page, c, is_wide ? 26 : 13, is_wide ? wide : narrow,
              is_wide ? sizeof wide / sizeof *wide : sizeof narrow / sizeof *narrow,
              is_wide ? 7 : 6, 1e6);
}

static void put_memory(const struct mb_page *page, const struct mb_cold_starts *c,
                       const char *name) {
    const struct mb_column columns[] = {
        {"Executor", 32, false}, {"most in use", 12, true}, {"programs, libraries", 20, true}};
    const double mib = 1 << 20;
    putc('\n', page->out);
    mb_page_prose(page, 0, MB_PLAIN, "%s, memory and files of a start (MiB, medians):", name);
    mb_page_head(page, columns, 3);
    for (size_t r = 0; r < c->n_rows; r++) {
        char peak[TEXT], loaded[TEXT];
        if (!c->rows[r].n) continue;
        snprintf(peak, TEXT, "%.1f", mb_start_median_peak(&c->rows[r]) / mib);
        snprintf(loaded, TEXT, "%.1f", mb_start_median_loaded(&c->rows[r]) / mib);
        mb_page_row(
            page, columns, 3,
            (struct mb_cell[]){{c->rows[r].name, MB_PLAIN}, {peak, MB_PLAIN}, {loaded, MB_PLAIN}},
            3);
    }
}

/* ---- totals ---- */

static const char *const heads_of_runs[] = {"N=1", "10", "100", "1,000", "10^6"};
_Static_assert(sizeof heads_of_runs / sizeof *heads_of_runs == MB_N_TOTALS, "a head for each N");

static void put_totals(const struct mb_page *page, const struct mb_cold_starts *c,
                       const char *name) {
    struct mb_column columns[MB_N_TOTALS + 1] = {{"Executor", 24, false}};
    for (int t = 0; t < MB_N_TOTALS; t++)
        columns[t + 1] = (struct mb_column){heads_of_runs[t], 10, true};
    putc('\n', page->out);
    mb_page_prose(page, 0, MB_PLAIN,
                  "%s, total time: from the start of a process to output N:", name);
    mb_page_head(page, columns, MB_N_TOTALS + 1);
    for (size_t r = 0; r < c->n_rows; r++) {
        const struct mb_start_row *row = &c->rows[r];
        char text[MB_N_TOTALS][TEXT];
        struct mb_cell cells[MB_N_TOTALS + 1] = {{row->name, MB_PLAIN}};
        if (row->total_reason) {
            put_unmeasured(page, columns, MB_N_TOTALS + 1, row->name, row->total_reason);
            continue;
        }
        for (int t = 0; t < MB_N_TOTALS; t++)
            cells[t + 1].text = mb_view_time(text[t], TEXT, row->total_ns[t].value);
        mb_page_row(page, columns, MB_N_TOTALS + 1, cells, MB_N_TOTALS + 1);
    }
}

static const char *even_text(char *buf, size_t size, const struct mb_break_even *e) {
    char value[TEXT], low[TEXT], high[TEXT];
    const char *words = e->kind == MB_EVEN_FROM_RUN ? "from run" : "until run";
    switch (e->kind) {
    case MB_EVEN_FROM_FIRST_RUN: return "from the first run";
    case MB_EVEN_NEVER: return "never";
    case MB_EVEN_NOT_PROVEN: return "not proven";
    case MB_EVEN_FROM_RUN:
    case MB_EVEN_UNTIL_RUN: break;
    }
    snprintf(buf, size, "%s %s [%s, %s]", words, mb_view_count(value, TEXT, e->runs.value),
             mb_view_count(low, TEXT, e->runs.low), mb_view_count(high, TEXT, e->runs.high));
    return buf;
}

static enum mb_color ratio_color(const struct mb_interval *ratio) {
    return ratio->low > 1 ? MB_GREEN : ratio->high < 1 ? MB_RED : MB_PLAIN;
}

static void put_pairs(const struct mb_page *page, const struct mb_cold_starts *c,
                      const char *name) {
    enum { N = MB_N_TOTALS + 2 };
    const bool is_wide = page->columns >= WIDE_PAGE;
    const struct mb_start_row *of = NULL;
    struct mb_column columns[N] = {{"Against", is_wide ? 26 : 15, false},
                                   {"ahead", is_wide ? 36 : 22, false}};
    for (int t = 0; t < MB_N_TOTALS; t++)
        columns[t + 2] = (struct mb_column){heads_of_runs[t], is_wide ? 9 : 7, true};
    for (size_t i = 0; i < c->n_pairs; i++) {
        const struct mb_start_pair *p = &c->pairs[i];
        char text[N][128];
        struct mb_cell cells[N] = {{p->b->name, MB_PLAIN}};
        if (p->a != of) {
            of = p->a;
            putc('\n', page->out);
            mb_page_prose(page, 0, MB_PLAIN,
                          "%s, break-even: where %s is ahead in total time [95%% interval], and "
                          "their total time over its own:",
                          name, of->name);
            mb_page_head(page, columns, N);
        }
        if (p->reason) {
            put_unmeasured(page, columns, N, p->b->name, p->reason);
            continue;
        }
        cells[1].text = even_text(text[1], sizeof text[1], &p->even);
        for (int t = 0; t < MB_N_TOTALS; t++)
            cells[t + 2] = (struct mb_cell){
                mb_view_number(text[t + 2], sizeof text[t + 2], p->even.ratio[t].value),
                ratio_color(&p->even.ratio[t])};
        mb_page_row(page, columns, N, cells, N);
    }
}

void mb_report_starts(const struct mb_page *page, const struct mb_benchmark_result *b) {
    const struct mb_cold_starts *c = b->cold_starts;
    if (!c) return;
    put_waterfall(page, c, b->name);
    put_memory(page, c, b->name);
    put_totals(page, c, b->name);
    put_pairs(page, c, b->name);
}

/* ---- compiling alone ---- */

void mb_report_compile_times(const struct mb_page *page, const struct mb_result *result) {
    static const struct steps steps[] = {
        {"front end", MB_STEP_parse, MB_STEP_lower}, {"plan", MB_STEP_plan, MB_STEP_plan},
        {"tune", MB_STEP_tune, MB_STEP_tune},        {"compile", MB_STEP_compile, MB_STEP_compile},
        {"all", MB_STEP_parse, MB_STEP_compile},
    };
    for (size_t b = 0; b < result->n_benchmarks; b++) {
        const struct mb_cold_starts *c = result->benchmarks[b].cold_starts;
        if (!c) continue;
        if (b) putc('\n', page->out);
        mb_page_prose(page, 0, MB_PLAIN, "%s, compiling (us, medians of n fresh processes):",
                      result->benchmarks[b].name);
        put_steps(page, c, 24, steps, sizeof steps / sizeof *steps, 9, 1e3);
    }
    putc('\n', page->out);
    mb_page_prose(
        page, 0, MB_PLAIN,
        "front end: text to a checked program; of torch-aoti: torch.export. tune: choosing "
        "by measurement, with empty caches. compile: TorchScript with freezing, "
        "AOTInductor, torch.compile with its first run.");
}
