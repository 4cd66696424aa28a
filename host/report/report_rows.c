/* One row per workload and executor: CSV for programs, Markdown for people. */
#include "report.h"
#include "report_value.h"
#include "report_view.h"

#include <math.h>
#include <string.h>

/* ---- CSV ---- */

static void csv_head(FILE *out) {
    fputs("benchmark,executor,device,status,validity,reason,batch,samples,latency_p50_us,"
          "latency_ci_low_us,latency_ci_high_us,latency_p95_us,latency_p99_us,latency_mean_us,"
          "latency_stdev_us,latency_min_us,latency_max_us,throughput_samples_per_sec,rel_l2_error,"
          "max_abs_error,max_rel_error,speedup_vs_torch_eager,speedup_ci_low,speedup_ci_high,"
          "verdict,math_mode,library,cache,data_transfers,device_time_p50_us,throttled\n",
          out);
}

/* `name`: the first column; NULL: there is none. */
static void csv_rows(const char *name, const struct mb_result *result, FILE *out) {
    for (size_t i = 0; i < result->n_benchmarks; i++) {
        const struct mb_benchmark_result *b = &result->benchmarks[i];
        for (size_t j = 0; j < b->n_executors; j++) {
            const struct mb_executor_result *e = &b->executors[j];
            const struct mb_summary *s = &e->latency_ns;
            const struct mb_comparison *c = mb_view_comparison(b, e->name, MB_REPORT_PYTORCH);
            const bool measured = e->measured, ratio = mb_view_has_ratio(c);
            const struct mb_interval speedup = ratio ? c->speedup : (struct mb_interval){0, 0, 0};
            const double us[] = {s->p50,  s->ci_low, s->ci_high, s->p95, s->p99,
                                 s->mean, s->stdev,  s->min,     s->max};
            mb_csv_text(out, name);
            if (name) putc(',', out);
            mb_csv_text(out, b->name);
            putc(',', out);
            mb_csv_text(out, e->name);
            fprintf(out, ",%s,%s,%s,", e->device, mb_view_status(e),
                    !measured  ? ""
                    : e->valid ? "VALID"
                               : "INVALID");
            mb_csv_text(out, !measured ? e->reason : e->valid ? "" : e->invalid_reason);
            fprintf(out, ",%lld,%zu", (long long)b->batch, measured ? e->n_samples : 0);
            for (size_t k = 0; k < sizeof us / sizeof *us; k++)
                mb_csv_number(out, measured, us[k] / 1e3);
            mb_csv_number(out, measured, e->throughput);
            mb_csv_number(out, measured, e->rel_l2_error);
            mb_csv_number(out, measured, e->max_abs_error);
            mb_csv_number(out, measured, e->max_rel_error);
            mb_csv_number(out, ratio, speedup.value);
            mb_csv_number(out, ratio, speedup.low);
            mb_csv_number(out, ratio, speedup.high);
            fprintf(out, ",%s,", ratio ? mb_verdict_name(c->verdict) : "");
            mb_csv_text(out, measured ? e->info.math_mode : "");
            putc(',', out);
            mb_csv_text(out, measured ? e->info.library : "");
            fprintf(out, ",%s,%s", b->cold ? "cold" : "warm", b->transfers ? "true" : "false");
            mb_csv_number(out, measured, mb_view_device_time(b, e)->summary_ns.p50 / 1e3);
            putc(',', out);
            mb_csv_text(out, e->throttled);
            putc('\n', out);
        }
    }
}

bool mb_report_csv(const struct mb_result *result, FILE *out) {
    csv_head(out);
    csv_rows(NULL, result, out);
    return !ferror(out);
}

bool mb_report_csv_all(const struct mb_named_result *results, size_t n, FILE *out) {
    fputs("result,", out);
    csv_head(out);
    for (size_t i = 0; i < n; i++) csv_rows(results[i].name, results[i].result, out);
    return !ferror(out);
}

/* ---- Markdown ---- */

static void md_head(bool named, FILE *out) {
    fprintf(
        out,
        "|%s benchmark | executor | median | 95 %% interval | p95 | p99 | throughput | rel L2 | "
        "speed-up over torch-eager | verdict | %s |\n"
        "%s|---|---|--:|--:|--:|--:|--:|--:|--:|---|---|\n",
        named ? " result |" : "", named ? "validity" : "result", named ? "|---" : "");
}

/* `name`: as for csv_rows. */
static void md_rows(const char *name, const struct mb_result *result, FILE *out) {
    for (size_t i = 0; i < result->n_benchmarks; i++) {
        const struct mb_benchmark_result *b = &result->benchmarks[i];
        for (size_t j = 0; j < b->n_executors; j++) {
            const struct mb_executor_result *e = &b->executors[j];
            const struct mb_summary *s = &e->latency_ns;
            const struct mb_comparison *c = mb_view_comparison(b, e->name, MB_REPORT_PYTORCH);
            char p50[32], low[32], high[32], p95[32], p99[32], rate[48], ratio[64], error[32];
            fputs("| ", out);
            if (name) mb_md_text(out, name);
            if (name) fputs(" | ", out);
            mb_md_text(out, b->name);
            fputs(" | ", out);
            mb_md_text(out, e->name);
            fputs(" | ", out);
            if (!e->measured) {
                fputs("| | | | | | | | not measured: ", out);
                mb_md_text(out, e->reason ? e->reason : "no reason given");
                fputs(" |\n", out);
                continue;
            }
            snprintf(error, sizeof error, "%.1e", e->rel_l2_error);
            fprintf(out, "%s | [%s, %s] | %s | %s | %s | %s | %s | %s | ",
                    mb_view_time(p50, sizeof p50, s->p50), mb_view_time(low, sizeof low, s->ci_low),
                    mb_view_time(high, sizeof high, s->ci_high),
                    mb_view_time(p95, sizeof p95, s->p95), mb_view_time(p99, sizeof p99, s->p99),
                    mb_view_rate(rate, sizeof rate, e->throughput),
                    isfinite(e->rel_l2_error) ? error : "-",
                    mb_view_has_ratio(c) ? mb_view_ratio(ratio, sizeof ratio, &c->speedup, "x")
                                         : "",
                    mb_view_has_ratio(c) ? mb_verdict_name(c->verdict) : "");
            fputs(e->valid ? "VALID" : "INVALID: ", out);
            if (!e->valid) mb_md_text(out, e->invalid_reason ? e->invalid_reason : "unknown");
            if (e->throttled) fputs("; throttled: ", out);
            if (e->throttled) mb_md_text(out, e->throttled);
            fputs(" |\n", out);
        }
    }
}

bool mb_report_md(const struct mb_result *result, FILE *out) {
    md_head(false, out);
    md_rows(NULL, result, out);
    return !ferror(out);
}

bool mb_report_md_all(const struct mb_named_result *results, size_t n, FILE *out) {
    md_head(true, out);
    for (size_t i = 0; i < n; i++) md_rows(results[i].name, results[i].result, out);
    return !ferror(out);
}
