/* The tables that `mindbench run` prints. Nothing is computed here but the mean of the headline
 * ratios: every other number is a field of the result, formatted. */
#include "report.h"
#include "report_controls.h"
#include "report_page.h"
#include "report_starts.h"
#include "report_view.h"
#include "roofline.h"

#include <langinfo.h>
#include <math.h>
#include <string.h>

/* ---- what a cell says ---- */

static enum mb_color verdict_color(enum mb_verdict verdict) {
    return verdict == MB_FAST ? MB_GREEN : verdict == MB_SLOW ? MB_RED : MB_PLAIN;
}

/* Why there is no number for this executor; false when there is one. */
static bool problem(const struct mb_executor_result *e, char *buf, size_t size) {
    if (!e)
        snprintf(buf, size, "not measured: not among the executors of this run");
    else if (!e->measured)
        snprintf(buf, size, "not measured: %s", e->reason ? e->reason : "no reason given");
    else if (!e->valid)
        snprintf(buf, size, "INVALID: %s", e->invalid_reason ? e->invalid_reason : "unknown");
    else
        return false;
    return true;
}

enum ratio { SPEEDUP, THROUGHPUT };

static struct mb_cell ratio_cell(const struct mb_page *page, const struct mb_comparison *c,
                                 enum ratio ratio, char *buf, size_t size) {
    if (mb_view_has_ratio(c)) {
        mb_view_ratio(buf, size, ratio == SPEEDUP ? &c->speedup : &c->throughput_ratio,
                      page->times);
        return (struct mb_cell){buf, ratio == SPEEDUP ? verdict_color(c->verdict) : MB_PLAIN};
    }
    snprintf(buf, size, "n/a: %s", c && c->reason ? c->reason : "not compared");
    return (struct mb_cell){buf, MB_PLAIN};
}

/* ---- the seed's tables ---- */

static int longest_name(const struct mb_result *result) {
    int longest = 0;
    for (size_t i = 0; i < result->n_benchmarks; i++) {
        int width = mb_page_text_width(result->benchmarks[i].name);
        if (width > longest) longest = width;
    }
    return longest;
}

/* Width of the name column that leaves `others` for the rest of the row. */
static int name_width(const struct mb_page *page, const struct mb_result *result, int least,
                      int others) {
    int width = longest_name(result);
    if (width > page->columns - others - 1) width = page->columns - others - 1;
    return width > least ? width : least;
}

static void put_headline(const struct mb_page *page, const struct mb_result *result, bool latency) {
    /* The seed's columns where the intervals leave room for them, closer ones on 80 columns. */
    bool roomy = page->columns >= 90;
    int side = roomy ? 20 : 18;
    struct mb_column columns[] = {
        {"Benchmark", 0, false},
        {"MIND", side, false},
        {"PyTorch", side, false},
        {latency ? "MIND Speedup" : "MIND Advantage", roomy ? 20 : 19, false},
    };
    columns[0].width = name_width(page, result, roomy ? 25 : 22, 2 * side + 2 + columns[3].width);

    fprintf(page->out, "\n%s\n",
            latency ? "Latency (lower is better):" : "Throughput (higher is better):");
    mb_page_head(page, columns, 4);
    for (size_t i = 0; i < result->n_benchmarks; i++) {
        const struct mb_benchmark_result *b = &result->benchmarks[i];
        const char *const sides[] = {MB_REPORT_MIND, MB_REPORT_PYTORCH};
        char text[3][640];
        struct mb_cell cells[4] = {{b->name, MB_PLAIN}};
        bool no_number = false;
        for (int s = 0; s < 2; s++) {
            const struct mb_executor_result *e = mb_view_executor(b, sides[s]);
            no_number = problem(e, text[s], sizeof text[s]);
            if (!no_number && latency) mb_view_time(text[s], sizeof text[s], e->latency_ns.p50);
            if (!no_number && !latency) mb_view_rate(text[s], sizeof text[s], e->throughput);
            cells[s + 1] =
                (struct mb_cell){text[s], no_number && e && e->measured ? MB_RED : MB_PLAIN};
        }
        cells[3] = ratio_cell(page, mb_view_headline(b, b->against_eager),
                              latency ? SPEEDUP : THROUGHPUT, text[2], sizeof text[2]);
        mb_page_row(page, columns, 4, cells, no_number ? 3 : 4);
    }
}

/* The geometric mean over workloads, of one state of the caches: the two answer different
 * questions. Its bounds are the means of the single bounds: wider than a 95 % interval of the mean,
 * never narrower. */
static void put_average(const struct mb_page *page, const struct mb_result *result, bool cold) {
    const char *const of = cold ? ", cold caches" : "";
    struct mb_interval sum = {0, 0, 0};
    size_t n = 0, n_of_state = 0;
    char text[64];
    for (size_t i = 0; i < result->n_benchmarks; i++) {
        const struct mb_benchmark_result *b = &result->benchmarks[i];
        const struct mb_comparison *c = mb_view_headline(b, b->against_eager);
        if (b->cold != cold) continue;
        n_of_state++;
        if (!mb_view_has_ratio(c) || !(c->speedup.low > 0)) continue;
        sum.value += log(c->speedup.value);
        sum.low += log(c->speedup.low);
        sum.high += log(c->speedup.high);
        n++;
    }
    if (!n_of_state) return;
    if (!n) {
        mb_page_prose(page, 0, MB_PLAIN,
                      "Average Latency Speedup%s: not measured: no workload has a ratio", of);
        return;
    }
    struct mb_interval mean = {exp(sum.value / (double)n), exp(sum.low / (double)n),
                               exp(sum.high / (double)n)};
    mb_view_ratio(text, sizeof text, &mean, page->times);
    mb_page_prose(page, 0, MB_PLAIN, "Average Latency Speedup%s: %s (geometric mean of %zu of %zu)",
                  of, text, n, n_of_state);
}

static void put_fastest(const struct mb_page *page, const struct mb_result *result) {
    struct mb_column columns[] = {
        {"Benchmark", 0, false}, {"MIND", 9, false},          {"Executor", 12, false},
        {"PyTorch", 9, false},   {"MIND Speedup", 18, false}, {"MIND is", 7, false},
    };
    columns[0].width = name_width(page, result, 20, 9 + 12 + 9 + 18 + 7 + 4);
    fprintf(page->out, "\nAgainst the fastest PyTorch executor:\n");
    mb_page_head(page, columns, 6);
    for (size_t i = 0; i < result->n_benchmarks; i++) {
        const struct mb_benchmark_result *b = &result->benchmarks[i];
        const struct mb_comparison *c = mb_view_headline(b, b->against_fastest);
        const struct mb_executor_result *mind = mb_view_executor(b, MB_REPORT_MIND);
        const struct mb_executor_result *rival = c ? mb_view_executor(b, c->b) : NULL;
        char text[4][640];
        struct mb_cell cells[6] = {{b->name, MB_PLAIN}, {text[0], MB_PLAIN}};
        if (problem(mind, text[0], sizeof text[0])) {
            mb_page_row(page, columns, 6, cells, 2);
            continue;
        }
        mb_view_time(text[0], sizeof text[0], mind->latency_ns.p50);
        if (!rival) {
            cells[2] =
                (struct mb_cell){"not measured: no PyTorch executor has a valid result", MB_PLAIN};
            mb_page_row(page, columns, 6, cells, 3);
            continue;
        }
        bool no_number = problem(rival, text[1], sizeof text[1]);
        if (!no_number) mb_view_time(text[1], sizeof text[1], rival->latency_ns.p50);
        cells[2] = (struct mb_cell){rival->name, MB_PLAIN};
        cells[3] = (struct mb_cell){text[1], no_number ? MB_RED : MB_PLAIN};
        cells[4] = ratio_cell(page, c, SPEEDUP, text[2], sizeof text[2]);
        if (mb_view_has_ratio(c))
            cells[5] = (struct mb_cell){mb_verdict_name(c->verdict), verdict_color(c->verdict)};
        mb_page_row(page, columns, 6, cells, no_number ? 4 : mb_view_has_ratio(c) ? 6 : 5);
    }
}

/* ---- every executor ---- */

static struct mb_time_unit common_unit(const struct mb_benchmark_result *b) {
    double smallest = INFINITY, largest = 0;
    for (size_t i = 0; i < b->n_executors; i++) {
        const struct mb_summary *s = &b->executors[i].latency_ns;
        if (!b->executors[i].measured) continue;
        smallest = fmin(smallest, s->p50);
        largest = fmax(largest, fmax(s->p99, s->ci_high));
    }
    return mb_view_unit(isfinite(smallest) ? smallest : 1, largest);
}

/* Of the roofline, and which side of it: "97% mem", "87% fma". */
static void share_text(char *buf, size_t size, const struct mb_roofline *roofline, double share) {
    if (isfinite(share))
        snprintf(buf, size, "%.0f%% %s", 100 * share, roofline->is_compute ? "fma" : "mem");
    else
        snprintf(buf, size, "-");
}

static void put_executors(const struct mb_page *page, const struct mb_benchmark_result *b) {
    enum { N_BASE = 9 };
    struct mb_column columns[] = {
        {"Executor", 12, false},    {"Median", 6, true}, {"p95", 6, true},  {"p99", 6, true},
        {"95% interval", 14, true}, {"rel L2", 7, true}, {"roof", 8, true}, {"eager", 5, false},
        {"result", 7, false},       {"Math", 0, false},
    };
    int n_columns = N_BASE;
    struct mb_time_unit unit = common_unit(b);
    int room = page->columns - mb_page_table_width(columns, N_BASE) - 1;
    if (room >= 20) {
        columns[N_BASE].width = room < 40 ? room : 40;
        n_columns++;
    }

    putc('\n', page->out);
    mb_page_prose(page, 0, MB_PLAIN,
                  "%s, all executors (times in %s; errors against FP64):", b->name, unit.name);
    mb_page_head(page, columns, n_columns);
    for (size_t i = 0; i < b->n_executors; i++) {
        const struct mb_executor_result *e = &b->executors[i];
        const struct mb_summary *s = &e->latency_ns;
        const double times[] = {s->p50, s->p95, s->p99, s->ci_low, s->ci_high};
        char text[5][32], interval[80], rel_l2[32], share[32], reason[640];
        const struct mb_comparison *c = mb_view_comparison(b, e->name, MB_REPORT_PYTORCH);
        if (!e->measured) {
            problem(e, reason, sizeof reason);
            mb_page_row(page, columns, n_columns,
                        (struct mb_cell[]){{e->name, MB_PLAIN}, {reason, MB_PLAIN}}, 2);
            continue;
        }
        for (int t = 0; t < 5; t++) mb_view_number(text[t], sizeof text[t], times[t] / unit.ns);
        snprintf(interval, sizeof interval, "[%s, %s]", text[3], text[4]);
        snprintf(rel_l2, sizeof rel_l2, "%.1e", e->rel_l2_error);
        share_text(share, sizeof share, &e->roofline, e->roofline_share);
        bool ratio = e->valid && mb_view_has_ratio(c);
        const char *against = !strcmp(e->name, MB_REPORT_PYTORCH) ? "(is)" : "-";
        struct mb_cell cells[] = {
            {e->name, MB_PLAIN},
            {text[0], MB_PLAIN},
            {text[1], MB_PLAIN},
            {text[2], MB_PLAIN},
            {isfinite(s->ci_low) ? interval : "-", MB_PLAIN},
            {isfinite(e->rel_l2_error) ? rel_l2 : "-", MB_PLAIN},
            {share, MB_PLAIN},
            {ratio ? mb_verdict_name(c->verdict) : against,
             ratio ? verdict_color(c->verdict) : MB_PLAIN},
            {e->valid ? "VALID" : "INVALID", e->valid ? MB_PLAIN : MB_RED},
            {e->info.math_mode, MB_PLAIN},
        };
        mb_page_row(page, columns, n_columns, cells, n_columns);
        if (!e->valid) {
            problem(e, reason, sizeof reason);
            mb_page_prose(page, 2, MB_RED, "%s", reason);
        }
        if (e->throttled) mb_page_prose(page, 2, MB_RED, "throttled: %s", e->throttled);
    }
}

/* ---- each operation of a run ---- */

static void put_operation(const struct mb_page *page, const struct mb_column *columns,
                          const struct mb_result *result, const struct mb_operation *op,
                          double sum_ns) {
    struct mb_roofline roofline = {(double)NAN, (double)NAN, false};
    char time[32], share[32], roof[32];
    if (result->has_ceilings) roofline = mb_roofline_of(&result->ceilings, op->bytes, op->flops);
    mb_view_time_short(time, sizeof time, op->ns);
    snprintf(share, sizeof share, "%.1f%%", 100 * op->ns / sum_ns);
    share_text(roof, sizeof roof, &roofline, roofline.ns / op->ns);
    const struct mb_cell cells[] = {{op->kernel, MB_PLAIN},
                                    {time, MB_PLAIN},
                                    {share, MB_PLAIN},
                                    {roof, MB_PLAIN},
                                    {op->what, MB_PLAIN}};
    mb_page_row(page, columns, 5, cells, 5);
}

static void put_operations(const struct mb_page *page, const struct mb_result *result,
                           const struct mb_benchmark_result *b) {
    struct mb_column columns[] = {{"Kernel", 29, false},
                                  {"time", 7, true},
                                  {"share", 6, true},
                                  {"roof", 8, true},
                                  {"What", 0, false}};
    char sum[32], whole[32], rest[32];
    columns[4].width = page->columns - mb_page_table_width(columns, 4) - 1;
    for (size_t i = 0; i < b->n_executors; i++) {
        const struct mb_executor_result *e = &b->executors[i];
        double sum_ns = 0;
        if (!e->n_operations && !e->operations_reason) continue;
        putc('\n', page->out);
        mb_page_prose(page, 0, MB_PLAIN, "%s, operations of %s%s%s", b->name, e->name,
                      e->n_operations ? " (runs apart from the samples):" : ": not measured: ",
                      e->n_operations ? "" : e->operations_reason);
        if (!e->n_operations) continue;
        for (size_t k = 0; k < e->n_operations; k++) sum_ns += e->operations[k].ns;
        mb_page_head(page, columns, 5);
        for (size_t k = 0; k < e->n_operations; k++)
            put_operation(page, columns, result, &e->operations[k], sum_ns);
        const double rest_ns = e->latency_ns.p50 - sum_ns;
        if (isnan(rest_ns)) continue;
        mb_page_prose(page, 2, MB_PLAIN, "sum %s; median latency %s; remainder %s%s (%.1f%%)",
                      mb_view_time_short(sum, sizeof sum, sum_ns),
                      mb_view_time_short(whole, sizeof whole, e->latency_ns.p50),
                      rest_ns < 0 ? "-" : "", mb_view_time_short(rest, sizeof rest, fabs(rest_ns)),
                      100 * rest_ns / e->latency_ns.p50);
    }
}

/* ---- the device's own clock ---- */

static const char *power_text(char *buf, size_t size, const struct mb_executor_result *e) {
    double watts = 0, celsius = 0, mhz = 0;
    for (size_t i = 0; i < e->n_gpu_states; i++) {
        watts = fmax(watts, e->gpu_states[i].power_w);
        celsius = fmax(celsius, e->gpu_states[i].temperature_c);
        mhz = fmax(mhz, e->gpu_states[i].sm_mhz);
    }
    snprintf(buf, size, "%.0f MHz, %.0f W, %.0f C", mhz, watts, celsius);
    return buf;
}

static void put_device_time(const struct mb_page *page, const struct mb_benchmark_result *b) {
    struct mb_column columns[] = {
        {"Executor", 12, false}, {"batch", 20, false}, {"isolated", 20, false},
        {"cold", 20, false},     {"energy", 0, false},
    };
    const int room = page->columns - mb_page_table_width(columns, 4) - 1;
    const int n_columns = room >= 10 ? 5 : 4;
    char text[MB_N_DEVICE_SERIES + 1][128];
    columns[4].width = room < 40 ? room : 40;
    putc('\n', page->out);
    mb_page_prose(
        page, 0, MB_PLAIN,
        "%s, by the device's own clock (median in us of a run [95%% interval]; batch: runs "
        "back to back; isolated: one; cold: one, caches evicted):",
        b->name);
    mb_page_head(page, columns, n_columns);
    for (size_t i = 0; i < b->n_executors; i++) {
        const struct mb_executor_result *e = &b->executors[i];
        struct mb_cell cells[5] = {{e->name, MB_PLAIN}};
        for (int k = 0; k < MB_N_DEVICE_SERIES; k++) {
            const struct mb_device_time *d = &e->device_time[k];
            const struct mb_summary *s = &d->summary_ns;
            if (d->n_samples) {
                char p50[32], low[32], high[32];
                snprintf(text[k], sizeof text[k], "%s [%s, %s]",
                         mb_view_number(p50, sizeof p50, s->p50 / 1e3),
                         mb_view_number(low, sizeof low, s->ci_low / 1e3),
                         mb_view_number(high, sizeof high, s->ci_high / 1e3));
            } else {
                snprintf(text[k], sizeof text[k], "not measured");
            }
            cells[k + 1] = (struct mb_cell){text[k], MB_PLAIN};
        }
        if (isfinite(e->energy_per_run_mj)) {
            char number[32];
            snprintf(text[3], sizeof text[3], "%s mJ a run",
                     mb_view_number(number, sizeof number, e->energy_per_run_mj));
        } else {
            snprintf(text[3], sizeof text[3], "not measured");
        }
        cells[4] = (struct mb_cell){text[3], MB_PLAIN};
        mb_page_row(page, columns, n_columns, cells, n_columns);
        for (int k = 0; k < MB_N_DEVICE_SERIES; k++)
            if (e->device_time[k].reason &&
                (k == 0 || !e->device_time[k - 1].reason ||
                 strcmp(e->device_time[k].reason, e->device_time[k - 1].reason) != 0))
                mb_page_prose(page, 2, MB_PLAIN, "%s: not measured: %s", columns[k + 1].head,
                              e->device_time[k].reason);
        if (e->measured && e->energy_reason && !b->gpu_reason)
            mb_page_prose(page, 2, MB_PLAIN, "energy: not measured: %s", e->energy_reason);
        if (e->n_gpu_states)
            mb_page_prose(page, 2, MB_PLAIN, "most seen between blocks: %s",
                          power_text(text[0], sizeof text[0], e));
    }
    if (b->gpu_reason)
        mb_page_prose(page, 0, MB_PLAIN, "Clocks, power, throttling and energy: not measured: %s",
                      b->gpu_reason);
    if (b->n_other_processes > 0)
        mb_page_prose(page, 0, MB_RED, "%d other process%s computed on the GPU meanwhile",
                      b->n_other_processes, b->n_other_processes == 1 ? "" : "es");
}

/* ---- start-up ---- */

/* The phases of a start-up in the order of the columns; tune is no part of one. */
enum {
#define PHASE(name, meaning) PHASE_##name,
    MB_PHASES(PHASE)
#undef PHASE
        N_PHASES
};

static void put_tuning(const struct mb_page *page, const struct mb_benchmark_result *b) {
    char line[512] = "", time[32];
    size_t used = 0;
    for (size_t i = 0; i < b->n_executors && used < sizeof line; i++) {
        const struct mb_executor_result *e = &b->executors[i];
        if (!e->measured || !(e->phases.tune > 0)) continue;
        used += (size_t)snprintf(line + used, sizeof line - used, "%s %s %s", used ? "," : "",
                                 e->name, mb_view_time(time, sizeof time, e->phases.tune));
    }
    if (used) mb_page_prose(page, 2, MB_PLAIN, "Not in the sum: choosing by measurement,%s", line);
}

static void put_phases(const struct mb_page *page, const struct mb_benchmark_result *b) {
    static const char *const names[] = {
#define PHASE(name, meaning) PHASE_##name == PHASE_first_inference ? "first" : #name,
        MB_PHASES(PHASE)
#undef PHASE
    };
    struct mb_column columns[N_PHASES + 1] = {{"Executor", 12, false}};
    int n_columns = 1;
    for (int p = 0; p < N_PHASES; p++)
        if (p != PHASE_tune) columns[n_columns++] = (struct mb_column){names[p], 7, true};
    columns[n_columns++] = (struct mb_column){"sum", 7, true};
    putc('\n', page->out);
    mb_page_prose(page, 0, MB_PLAIN,
                  "%s, source text to first output (fresh process, measured once):", b->name);
    mb_page_head(page, columns, n_columns);
    for (size_t i = 0; i < b->n_executors; i++) {
        const struct mb_executor_result *e = &b->executors[i];
        const double times[] = {
#define PHASE(name, meaning) e->phases.name,
            MB_PHASES(PHASE)
#undef PHASE
        };
        char text[N_PHASES + 1][32], reason[640];
        struct mb_cell cells[N_PHASES + 1] = {{e->name, MB_PLAIN}};
        int n = 1;
        double sum = 0;
        bool any = false;
        for (int p = 0; p < N_PHASES && e->measured; p++) {
            if (p == PHASE_tune) continue;
            cells[n].text = mb_view_time_short(text[n], sizeof text[n], times[p]);
            n++;
            if (isfinite(times[p])) {
                sum += times[p];
                any = true;
            }
        }
        if (!any) {
            if (!e->measured) problem(e, reason, sizeof reason);
            cells[1].text = e->measured ? "not measured: no phase was timed" : reason;
            mb_page_row(page, columns, n_columns, cells, 2);
            continue;
        }
        cells[n].text = mb_view_time_short(text[n], sizeof text[n], sum);
        mb_page_row(page, columns, n_columns, cells, n_columns);
    }
    put_tuning(page, b);
}

/* ---- what the device can do ---- */

static void put_ceilings(const struct mb_page *page, const struct mb_result *result) {
    const struct mb_ceilings *c = &result->ceilings;
    if (!result->has_ceilings) {
        mb_page_prose(page, 0, MB_PLAIN, "Share of roofline (roof): not measured: %s.",
                      result->ceilings_reason ? result->ceilings_reason
                                              : "no ceiling was measured");
        return;
    }
    mb_page_prose(
        page, 0, MB_PLAIN,
        "roof: share of what the device can do, measured in this run: %.0f GB/s of reads in "
        "%zu KiB, %.0f GB/s in %zu MiB (mem), %.0f GFLOP/s of multiply-adds (fma); bytes of "
        "parameters and outputs, arithmetic of the executor's own algorithms.",
        c->read[0].read_gbps, c->read[0].bytes >> 10, c->read[c->n_read - 1].read_gbps,
        c->read[c->n_read - 1].bytes >> 20, c->fma_gflops);
}

/* ---- all of it ---- */

static struct mb_page page_of(FILE *out, int columns, bool color) {
    const bool utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
    return (struct mb_page){out, columns < 80 ? 80 : columns, color, utf8 ? "\u00d7" : "x"};
}

bool mb_report_tables(const struct mb_result *result, FILE *out, int columns, bool color) {
    const struct mb_page page = page_of(out, columns, color);

    mb_page_text(&page, "=== INFERENCE SPEED COMPARISON: MIND vs PyTorch ===", 51, MB_BOLD);
    putc('\n', out);
    put_headline(&page, result, true);
    put_headline(&page, result, false);
    putc('\n', out);
    put_average(&page, result, false);
    put_average(&page, result, true);
    put_fastest(&page, result);
    for (size_t i = 0; i < result->n_benchmarks; i++) {
        put_executors(&page, &result->benchmarks[i]);
        mb_report_controls(&page, &result->benchmarks[i]);
    }
    for (size_t i = 0; i < result->n_benchmarks && strcmp(result->device, "cpu") != 0; i++)
        put_device_time(&page, &result->benchmarks[i]);
    for (size_t i = 0; i < result->n_benchmarks; i++)
        put_operations(&page, result, &result->benchmarks[i]);
    for (size_t i = 0; i < result->n_benchmarks; i++) put_phases(&page, &result->benchmarks[i]);
    bool has_starts = false;
    for (size_t i = 0; i < result->n_benchmarks; i++) {
        mb_report_starts(&page, &result->benchmarks[i]);
        has_starts = has_starts || result->benchmarks[i].cold_starts;
    }

    putc('\n', out);
    put_ceilings(&page, result);
    if (!has_starts)
        mb_page_prose(&page, 0, MB_PLAIN,
                      "Total time and break-even: not measured: no cold starts were asked for; use "
                      "--cold-starts 20.");
    mb_page_prose(
        &page, 0, MB_PLAIN,
        "PyTorch is %s. Latency: median; its ratio: over paired blocks and processes. Throughput: "
        "batch / mean latency; its ratio: of the two means. [95%% interval by bootstrap over "
        "processes]; above 1, MIND is faster. eager: FAST, "
        "SLOW, SAME or AMBG (not decided) against %s.",
        MB_REPORT_PYTORCH, MB_REPORT_PYTORCH);
    mb_page_prose(
        &page, 0, MB_PLAIN, "Device %s%s%s%s, %d thread%s, %s, seed %llu.", result->device,
        result->device_reason ? " (" : "", result->device_reason ? result->device_reason : "",
        result->device_reason ? ")" : "", result->n_threads, result->n_threads == 1 ? "" : "s",
        mb_precision_name(result->precision), (unsigned long long)result->seed);
    mb_report_false_alarms(&page, result);
    if (result->valid)
        mb_page_prose(&page, 0, MB_PLAIN, "Result: VALID");
    else
        mb_page_prose(&page, 0, MB_RED, "Result: INVALID: %s",
                      result->invalid_reason ? result->invalid_reason : "unknown");
    return !ferror(out);
}

bool mb_report_compile_only(const struct mb_result *result, FILE *out, int columns, bool color) {
    const struct mb_page page = page_of(out, columns, color);
    mb_report_compile_times(&page, result);
    return !ferror(out);
}
