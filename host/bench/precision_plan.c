#include "precision_plan.h"

#include "schedule.h"

#include <math.h>

enum { N_LANES = 2 }; /* processes of a start, each of them half of a pair */

static const double most_starts = 1e9;

/* First block of each start but the first, against that before it. */
static double mean_cycle_s(const struct mb_executor_result *e, uint32_t n_starts) {
    double first_ns = 0, last_ns = 0;
    for (size_t i = 0; i < e->n_blocks; i++) {
        const size_t start = e->process_of_block[i] / N_LANES;
        const bool is_first = i == 0 || e->process_of_block[i - 1] / N_LANES != start;
        if (!is_first) continue;
        if (start == 0) first_ns = e->block_states[i].start_ns;
        if (start + 1 == n_starts) last_ns = e->block_states[i].start_ns;
    }
    return (last_ns - first_ns) / 1e9 / (n_starts - 1);
}

static struct mb_noise noise_of(const struct mb_executor_result *e) {
    const struct mb_series side = {e->samples_ns, e->first_of_block, e->process_of_block,
                                   e->n_blocks};
    return mb_paired_noise(&side);
}

/* As mb_comparison and mb_control have it, after so many starts. */
static double detectable_after(const struct mb_pilot *p, double n_starts) {
    const size_t n = (size_t)n_starts;
    const struct mb_noise a = {p->noise[0].variance, n}, b = {p->noise[1].variance, n};
    return p->alone ? mb_paired_detectable(&a, &a, n) : mb_paired_detectable(&a, &b, N_LANES * n);
}

const char *mb_pilot_read(const struct mb_benchmark_result *b, double wall_s,
                          struct mb_pilot *out) {
    const struct mb_executor_result *e = &b->executors[0];
    const struct mb_comparison *c = b->n_comparisons ? &b->comparisons[0] : NULL;
    const struct mb_summary *s = &e->latency_ns;
    for (size_t i = 0; i < (c ? 2 : 1); i++)
        if (!e[i].measured || !e[i].valid)
            return e[i].invalid_reason ? e[i].invalid_reason : e[i].reason;
    if (c && c->withheld) return c->reason;
    if (!c && e->control.reason) return e->control.reason;
    const uint32_t n_starts = (uint32_t)(e->process_of_block[e->n_blocks - 1] / N_LANES + 1);
    if (n_starts < MB_SCHEDULE_STARTS) return "the pilot ended before its third start";
    *out = (struct mb_pilot){.half_width = c ? log(c->speedup.high / c->speedup.low) / 2
                                             : log(s->ci_high / s->ci_low) / 2,
                             .alone = !c,
                             .noise = {noise_of(e), noise_of(c ? &b->executors[1] : e)},
                             .n_starts = n_starts,
                             .n_samples = (uint32_t)(e->n_samples / n_starts),
                             .cycle_s = mean_cycle_s(e, n_starts),
                             .wall_s = wall_s};
    return NULL;
}

/* Half the width of an interval over so many starts, in deviations of a pair of processes. */
static double width_of(double n_starts) {
    const double n = N_LANES * n_starts;
    return mb_stats_t_quantile((1 + MB_CONFIDENCE) / 2, (size_t)n - 1) / sqrt(n);
}

/* The smallest number of starts from `low` on whose width is at most `width`: it falls with them.
 */
static double starts_for(double width, double low) {
    double high = low;
    while (width_of(high) > width && high < most_starts) high *= 2;
    while (low < high) {
        const double middle = floor((low + high) / 2);
        if (width_of(middle) > width)
            low = middle + 1;
        else
            high = middle;
    }
    return high;
}

struct mb_effort mb_pilot_effort(const struct mb_pilot *p, double max_noise) {
    const double deviation = p->half_width / width_of(p->n_starts);
    /* a ratio's half width is (e^h - e^-h) / 2 of its value */
    const double n = starts_for(asinh(max_noise) / deviation, p->n_starts);
    return (struct mb_effort){.n_starts = n,
                              .n_samples = n * p->n_samples,
                              .wall_s = p->wall_s + (n - p->n_starts) * p->cycle_s,
                              .detectable = detectable_after(p, n)};
}
