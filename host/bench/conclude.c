#include "conclude.h"

#include "paired.h"
#include "reason.h"
#include "steady.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double most_clock_spread = 0.05;

static struct mb_series series_of(const struct mb_executor_result *e) {
    return (struct mb_series){e->samples_ns, e->first_of_block, e->process_of_block, e->n_blocks};
}

/* Marks a row that was measured while the device was held back. */
static void judge_clocks(struct mb_executor_result *e, struct mb_arena *arena) {
    double lowest = INFINITY, highest = 0;
    int64_t reasons = 0;
    char text[128], spread[64] = "";
    e->throttled = NULL;
    for (size_t i = 0; i < e->n_gpu_states; i++) {
        lowest = fmin(lowest, e->gpu_states[i].sm_mhz);
        highest = fmax(highest, e->gpu_states[i].sm_mhz);
        if (e->gpu_states[i].reasons > 0) reasons |= e->gpu_states[i].reasons;
    }
    reasons &= MB_NVML_THROTTLED;
    if (highest > 0 && (highest - lowest) / highest > most_clock_spread)
        snprintf(spread, sizeof spread, "%sSM clock from %.0f to %.0f MHz", reasons ? ", " : "",
                 lowest, highest);
    if (reasons || *spread)
        e->throttled =
            mb_reason(arena, "%s%s", mb_nvml_throttle_text(text, sizeof text, reasons), spread);
}

/* Samples of a block are not independent, and neither are blocks of a process: the interval of the
 * median is as wide as processes or blocks make it, unless there is one block only. */
struct mb_summary mb_latency_summary(const struct mb_executor_result *e, uint64_t seed) {
    struct mb_summary s = mb_stats_summary(e->samples_ns, e->n_samples, seed);
    const struct mb_series side = series_of(e);
    if (!s.n || e->n_blocks < 2) return s;
    const struct mb_interval alone = mb_paired_alone(&side, seed);
    s.ci_low = s.p50 * alone.low / alone.value;
    s.ci_high = s.p50 * alone.high / alone.value;
    return s;
}

static enum mb_status conclude_row(struct mb_executor_result *e, int64_t batch, uint64_t seed,
                                   struct mb_arena *arena, struct mb_err *err) {
    const double none = (double)NAN;
    const struct mb_summary no_samples = {0, none, none, none, none, none, none, none, none, none};
    e->latency_ns = e->n_samples ? mb_latency_summary(e, seed) : no_samples;
    bool made = !e->n_samples || e->latency_ns.n;
    e->throughput = (double)batch / (e->latency_ns.mean * 1e-9);
    for (int k = 0; k < MB_N_DEVICE_SERIES; k++) {
        struct mb_device_time *d = &e->device_time[k];
        d->summary_ns =
            d->n_samples ? mb_stats_summary(d->samples_ns, d->n_samples, seed) : no_samples;
        made = made && (!d->n_samples || d->summary_ns.n);
        if (!d->n_samples && !d->reason)
            d->reason = e->invalid_reason ? e->invalid_reason
                        : e->reason       ? e->reason
                                          : "no block was timed";
    }
    if (isnan(e->energy_per_run_mj) && !e->energy_reason)
        e->energy_reason = e->reason           ? e->reason
                           : e->invalid_reason ? e->invalid_reason
                                               : "the race ended before";
    judge_clocks(e, arena);
    return made ? MB_OK : mb_fail(err, MB_E_NOMEM, "no memory for statistics");
}

/* A verdict must not claim less than the controls show that this race can tell from none. */
static void judge_ratio(struct mb_comparison *c, double least_effect, struct mb_arena *arena) {
    c->verdict = mb_stats_verdict(&c->speedup, least_effect);
    if (c->verdict == MB_AMBIGUOUS) return;
    if (isnan(c->detectable)) {
        c->verdict = MB_AMBIGUOUS;
        c->verdict_reason = "no A/A control says what this race could have told from none";
        return;
    }
    const double claimed =
        c->verdict == MB_SAME ? log1p(least_effect) : fabs(log(c->speedup.value));
    if (claimed >= log1p(c->detectable)) return;
    c->verdict_reason = mb_reason(arena, "%s within what the A/A controls show as noise: %.1f %%",
                                  mb_verdict_name(c->verdict), 100 * c->detectable);
    c->verdict = MB_AMBIGUOUS;
}

struct mb_comparison mb_compare_executors(const struct mb_executor_result *a,
                                          const struct mb_executor_result *b, uint64_t seed,
                                          const struct mb_statistics *settings,
                                          struct mb_arena *arena) {
    struct mb_comparison c = {.a = a->name, .b = b->name, .withheld = true};
    const struct mb_series x = series_of(a), y = series_of(b);
    if (!a->measured || !b->measured) {
        c.reason = mb_reason(arena, "%s was not measured", (a->measured ? b : a)->name);
    } else if (!a->valid || !b->valid) {
        c.reason = mb_reason(arena, "%s is INVALID", (a->valid ? b : a)->name);
    } else if (a->info.precision != b->info.precision) {
        c.reason = "precision differs";
    } else if (mb_paired_clusters(&x, &y) == 0) {
        c.reason = "no block was measured on both sides";
    } else {
        const struct mb_noise noise_a = mb_paired_noise(&x), noise_b = mb_paired_noise(&y);
        c.withheld = false;
        c.speedup = mb_paired_speedup(&x, &y, seed);
        c.throughput_ratio = mb_paired_throughput(&x, &y, seed);
        c.detectable = mb_paired_detectable(&noise_a, &noise_b, mb_paired_clusters(&x, &y));
        judge_ratio(&c, settings->least_effect, arena);
    }
    return c;
}

/* The executor against itself. */
static void conclude_control(struct mb_executor_result *e, uint64_t seed,
                             const struct mb_statistics *settings) {
    const struct mb_series side = series_of(e);
    const struct mb_noise noise = mb_paired_noise(&side);
    e->control = (struct mb_control){.reason = "it ran in one process only"};
    if (!e->measured || !e->valid) {
        e->control.reason = e->invalid_reason ? e->invalid_reason : e->reason;
    } else if (noise.n) {
        e->control.reason = NULL;
        e->control.ratio = mb_paired_control(&side, seed);
        e->control.verdict = mb_stats_verdict(&e->control.ratio, settings->least_effect);
        e->control.detectable = mb_paired_detectable(&noise, &noise, noise.n);
    }
}

static void invalidate(struct mb_executor_result *e, const char *reason) {
    if (!e->valid) return;
    e->valid = false;
    e->invalid_reason = reason;
}

/* The second timer of each block against the sum of its samples: the median, so that a block in
 * which the kernel took the processor away between two clocks decides nothing. */
static void judge_timers(struct mb_executor_result *e, struct mb_arena *arena) {
    const size_t least_blocks = 3; /* whose median one interruption does not move */
    size_t n = 0;
    e->timer_disagreement = (double)NAN;
    /* of each block: how far apart they are, and how much of that is too much */
    double *off = e->n_blocks ? malloc(2 * e->n_blocks * sizeof *off) : NULL;
    double *excess = off ? off + e->n_blocks : NULL;
    for (size_t i = 0; off && e->block_states && i < e->n_blocks; i++) {
        const double second = e->block_states[i].second_timer_ns;
        double sum = 0;
        for (size_t k = e->first_of_block[i]; k < e->first_of_block[i + 1]; k++)
            sum += e->samples_ns[k];
        const double n_runs = (double)(e->first_of_block[i + 1] - e->first_of_block[i]);
        if (!(second > 0)) continue;
        off[n] = (second - sum) / second;
        excess[n] = fabs(off[n]) - MB_TIMERS_AGREE - MB_TIMERS_AGREE_NS * n_runs / second;
        n++;
    }
    if (n) {
        /* to the millionth, so that it comes out alike from a file's rounded numbers */
        e->timer_disagreement = round(mb_stats_median(off, n) * 1e6) / 1e6;
        e->timer_reason = NULL;
    } else if (!e->timer_reason) {
        e->timer_reason = "no block was timed by a second timer";
    }
    if (n >= least_blocks && mb_stats_median(excess, n) > 0)
        invalidate(e, mb_reason(arena,
                                "two timers disagree by %.2f %% (allowed %.0f %% and %d ns a run): "
                                "the clock of its process and the processor's counter",
                                100 * e->timer_disagreement, 100 * MB_TIMERS_AGREE,
                                MB_TIMERS_AGREE_NS));
    free(off);
}

static void judge_floor(const struct mb_benchmark_result *bench, struct mb_executor_result *e,
                        struct mb_arena *arena) {
    if (e->n_samples && e->latency_ns.p50 < bench->floor_ns)
        invalidate(e, mb_reason(arena,
                                "faster than this device can be: the median of %.3g us is below "
                                "%.3g us, half of what the cheapest algorithm known takes at the "
                                "ceilings of this run",
                                e->latency_ns.p50 / 1e3, bench->floor_ns / 1e3));
}

static enum mb_status judge_steadiness(struct mb_executor_result *e, double least_effect,
                                       struct mb_arena *arena, struct mb_err *err) {
    size_t n_unsteady = 0, longest = 0;
    e->unsteady = NULL;
    e->drift = (double)NAN;
    for (size_t i = 0; i < e->n_processes; i++) {
        struct mb_process *p = &e->processes[i];
        p->steady_from = mb_steady_from(p->warmup_ns, p->n_warmup);
        n_unsteady += p->n_warmup > 0 && p->steady_from == p->n_warmup;
        if (p->n_warmup > longest) longest = p->n_warmup;
    }
    if (e->n_blocks) {
        const struct mb_series side = series_of(e);
        struct mb_drift drift;
        enum mb_status st = mb_steady_drift(&side, &drift, err);
        if (st != MB_OK) return st;
        e->drift = drift.relative;
        if (drift.significant && fabs(drift.relative) > least_effect)
            e->unsteady = mb_reason(arena, "drift: %+.1f %% from the first to the last block",
                                    100 * drift.relative);
    }
    if (!e->unsteady && 2 * n_unsteady > e->n_processes)
        e->unsteady =
            mb_reason(arena, "no steady state within %zu warm-up runs in %zu of %zu processes",
                      longest, n_unsteady, e->n_processes);
    return MB_OK;
}

static bool is_torch(const char *name) { return strncmp(name, "torch-", 6) == 0; }

/* Whether `e` is the better rival of `mind` than `other` (NULL: none yet): of its precision, so
 * that there is a ratio, and among those the faster. */
static bool is_nearer(const struct mb_executor_result *mind, const struct mb_executor_result *e,
                      const struct mb_executor_result *other) {
    if (!other) return true;
    const bool alike = e->info.precision == mind->info.precision;
    const bool other_alike = other->info.precision == mind->info.precision;
    return alike == other_alike ? e->latency_ns.p50 < other->latency_ns.p50 : alike;
}

enum mb_status mb_conclude(struct mb_benchmark_result *bench, uint64_t seed,
                           const struct mb_statistics *settings, struct mb_arena *arena,
                           struct mb_err *err) {
    const size_t n = bench->n_executors;
    bench->n_controls = bench->n_false_alarms = 0;
    for (size_t i = 0; i < n; i++) {
        struct mb_executor_result *e = &bench->executors[i];
        enum mb_status st = conclude_row(e, bench->batch, seed, arena, err);
        if (st != MB_OK) return st;
        judge_timers(e, arena);
        judge_floor(bench, e, arena);
        st = judge_steadiness(e, settings->least_effect, arena, err);
        if (st != MB_OK) return st;
        conclude_control(e, seed, settings);
        if (e->control.reason) continue;
        bench->n_controls++;
        bench->n_false_alarms += e->control.verdict == MB_FAST || e->control.verdict == MB_SLOW;
    }
    bench->against_eager = bench->against_fastest = -1;
    bench->n_comparisons = 0;
    bench->comparisons = mb_arena_calloc(arena, 2 * n, sizeof *bench->comparisons);
    if (!bench->comparisons) return mb_fail(err, MB_E_NOMEM, "no memory for comparisons");
    const struct mb_executor_result *fastest = NULL;
    size_t eager = 0; /* the first executor: no other is compared with torch-eager */
    for (size_t i = 1; i < n; i++) {
        const struct mb_executor_result *e = &bench->executors[i];
        bench->comparisons[bench->n_comparisons++] =
            mb_compare_executors(&bench->executors[0], e, seed, settings, arena);
        if (strcmp(e->name, "torch-eager") == 0) {
            eager = i;
            bench->against_eager = (int)i - 1;
        }
        if (is_torch(e->name) && e->valid && e->n_samples &&
            is_nearer(&bench->executors[0], e, fastest)) {
            fastest = e;
            bench->against_fastest = (int)i - 1;
        }
    }
    for (size_t i = 1; eager && i < n; i++)
        if (i != eager)
            bench->comparisons[bench->n_comparisons++] = mb_compare_executors(
                &bench->executors[i], &bench->executors[eager], seed, settings, arena);
    return MB_OK;
}

void mb_conclude_result(struct mb_result *result, const char *cut) {
    result->valid = true;
    result->invalid_reason = NULL;
    for (size_t i = 0; i < result->n_benchmarks; i++) {
        const struct mb_benchmark_result *b = &result->benchmarks[i];
        for (size_t k = 0; k < b->n_executors; k++)
            if (b->executors[k].measured && !b->executors[k].valid && result->valid) {
                result->valid = false;
                result->invalid_reason = b->executors[k].invalid_reason;
            }
    }
    if (!cut) return;
    result->valid = false;
    result->invalid_reason = cut;
}
