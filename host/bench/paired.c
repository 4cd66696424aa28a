#include "paired.h"

#include "random.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

/* Beyond this many pairs of blocks, neighbours are taken together: resampling costs MB_RESAMPLES
 * times their number. */
enum { MOST_UNITS = 500 };

static const double power = 0.8;

/* What is resampled: a pair of processes or of blocks. */
struct unit {
    double log_ratio; /* of b's median over a's */
    double sum_a, sum_b;
    size_t n_a, n_b;
};

struct units {
    struct unit *items;
    size_t n;
    bool clusters; /* pairs of processes: their mean counts, for blocks the median */
};

/* Which processes of the two sides go together: process p of a with p of b, or, for a control,
 * process 2 g + 1 with 2 g of the same side. A side alone is set against one nanosecond. */
struct matching {
    const struct mb_series *a, *b;
    bool control, alone;
};

static size_t process_of(const struct mb_series *s, size_t block) {
    return s->process_of_block ? s->process_of_block[block] : 0;
}

/* The next block of the process from `block` on; n_blocks: none. */
static size_t next_block(const struct mb_series *s, size_t process, size_t block) {
    while (block < s->n_blocks && process_of(s, block) != process) block++;
    return block;
}

static size_t n_processes(const struct mb_series *s) {
    size_t n = 0;
    for (size_t i = 0; i < s->n_blocks; i++)
        if (process_of(s, i) + 1 > n) n = process_of(s, i) + 1;
    return n;
}

static size_t largest_block(const struct mb_series *s) {
    size_t most = 1;
    for (size_t i = 0; i < s->n_blocks; i++)
        if (s->first_of_block[i + 1] - s->first_of_block[i] > most)
            most = s->first_of_block[i + 1] - s->first_of_block[i];
    return most;
}

/* Adds a block's sum and number; `room` is for its samples. Returns its median. */
static double add_block(const struct mb_series *s, size_t block, double *room, double *sum,
                        size_t *n) {
    const size_t first = s->first_of_block[block], count = s->first_of_block[block + 1] - first;
    for (size_t i = 0; i < count; i++) {
        room[i] = s->samples_ns[first + i];
        *sum += room[i];
    }
    *n += count;
    return mb_stats_median(room, count);
}

/* The pairs of blocks of one pair of processes, appended to `pairs`. Returns how many. */
static size_t pair_blocks(const struct matching *m, size_t process_a, size_t process_b,
                          double *room, struct unit *pairs) {
    size_t n = 0, i = next_block(m->a, process_a, 0), k = next_block(m->b, process_b, 0);
    while (i < m->a->n_blocks && k < m->b->n_blocks) {
        struct unit *p = &pairs[n++];
        *p = (struct unit){0};
        const double a = add_block(m->a, i, room, &p->sum_a, &p->n_a);
        const double b = add_block(m->b, k, room, &p->sum_b, &p->n_b);
        p->log_ratio = log(m->alone ? b : b / a);
        i = next_block(m->a, process_a, i + 1);
        k = next_block(m->b, process_b, k + 1);
    }
    return n;
}

/* Several units as one, of their median. */
static struct unit merged(const struct unit *units, size_t n, double *room) {
    struct unit all = {0};
    for (size_t i = 0; i < n; i++) {
        room[i] = units[i].log_ratio;
        all.sum_a += units[i].sum_a;
        all.sum_b += units[i].sum_b;
        all.n_a += units[i].n_a;
        all.n_b += units[i].n_b;
    }
    all.log_ratio = mb_stats_median(room, n);
    return all;
}

static void merge_neighbours(struct units *u, double *room) {
    const size_t each = (u->n + MOST_UNITS - 1) / MOST_UNITS;
    size_t n = 0;
    for (size_t i = 0; i < u->n && each > 1; i += each, n++)
        u->items[n] = merged(&u->items[i], u->n - i < each ? u->n - i : each, room);
    if (each > 1) u->n = n;
}

/* False without memory. The caller frees out->items. */
static bool make_units(const struct matching *m, struct units *out) {
    const size_t processes = n_processes(m->a) < n_processes(m->b) && !m->control
                                 ? n_processes(m->a)
                                 : n_processes(m->b);
    const size_t n_matches = m->control ? processes / 2 : processes;
    const size_t largest_a = largest_block(m->a), largest_b = largest_block(m->b);
    const size_t largest = largest_a > largest_b ? largest_a : largest_b;
    const size_t most_pairs = m->a->n_blocks + 1;
    double *room = malloc((largest + most_pairs) * sizeof *room);
    struct unit *pairs = malloc(most_pairs * sizeof *pairs);
    struct unit *clusters = malloc((n_matches + 1) * sizeof *clusters);
    size_t n_pairs = 0, n_clusters = 0;
    if (!room || !pairs || !clusters) {
        free(room);
        free(pairs);
        free(clusters);
        return false;
    }
    for (size_t c = 0; c < n_matches; c++) {
        const size_t n = pair_blocks(m, m->control ? 2 * c + 1 : c, m->control ? 2 * c : c, room,
                                     pairs + n_pairs);
        if (n) clusters[n_clusters++] = merged(pairs + n_pairs, n, room);
        n_pairs += n;
    }
    out->clusters = n_clusters >= MB_LEAST_CLUSTERS;
    out->items = out->clusters ? clusters : pairs;
    out->n = out->clusters ? n_clusters : n_pairs;
    free(out->clusters ? pairs : clusters);
    if (!out->clusters) merge_neighbours(out, room);
    free(room);
    return true;
}

/* ---- statistics of units; `counts[i]` is how often unit i was drawn ---- */

/* Units are in the order of their log ratio. */
static double log_speedup(const struct units *u, const uint32_t *counts) {
    double sum = 0;
    if (u->clusters) {
        for (size_t i = 0; i < u->n; i++) sum += counts[i] * u->items[i].log_ratio;
        return sum / (double)u->n;
    }
    const size_t low_rank = (u->n - 1) / 2, high_rank = u->n / 2;
    size_t seen = 0, i = 0;
    while (seen + counts[i] <= low_rank) seen += counts[i++];
    const double low = u->items[i].log_ratio;
    while (seen + counts[i] <= high_rank) seen += counts[i++];
    return (low + u->items[i].log_ratio) / 2;
}

static double log_throughput(const struct units *u, const uint32_t *counts) {
    double sum_a = 0, sum_b = 0, n_a = 0, n_b = 0;
    for (size_t i = 0; i < u->n; i++) {
        sum_a += counts[i] * u->items[i].sum_a;
        sum_b += counts[i] * u->items[i].sum_b;
        n_a += counts[i] * (double)u->items[i].n_a;
        n_b += counts[i] * (double)u->items[i].n_b;
    }
    return log(sum_b / n_b / (sum_a / n_a));
}

typedef double statistic(const struct units *units, const uint32_t *counts);

/* Half of the width that holds MB_CONFIDENCE of the statistic over seeded resamples of the units;
 * NaN without memory. */
static double bootstrap_half_width(const struct units *u, statistic *of, uint32_t *counts,
                                   uint64_t seed) {
    double *values = malloc(MB_RESAMPLES * sizeof *values);
    if (!values) return (double)NAN;
    for (uint32_t r = 0; r < MB_RESAMPLES; r++) {
        for (size_t i = 0; i < u->n; i++) counts[i] = 0;
        for (size_t i = 0; i < u->n; i++) counts[mb_random_below(seed, r, i, (uint32_t)u->n)]++;
        values[r] = of(u, counts);
    }
    const struct mb_interval held = mb_stats_held(values, MB_RESAMPLES);
    free(values);
    return (held.high - held.low) / 2;
}

static int compare_units(const void *x, const void *y) {
    const double a = ((const struct unit *)x)->log_ratio, b = ((const struct unit *)y)->log_ratio;
    return (a > b) - (a < b);
}

static struct mb_interval interval_of(const struct matching *m, statistic *of, uint64_t seed) {
    struct mb_interval interval = {(double)NAN, (double)NAN, (double)NAN};
    struct units u;
    if (!make_units(m, &u)) return interval;
    uint32_t *counts = malloc((u.n + 1) * sizeof *counts);
    if (counts && u.n) {
        qsort(u.items, u.n, sizeof *u.items, compare_units);
        for (size_t i = 0; i < u.n; i++) counts[i] = 1;
        const double value = of(&u, counts);
        interval = (struct mb_interval){exp(value), 0, INFINITY};
        if (u.n > 1) {
            const double half = mb_stats_few(u.n) * bootstrap_half_width(&u, of, counts, seed);
            interval.low = exp(value - half);
            interval.high = exp(value + half);
        }
    }
    free(counts);
    free(u.items);
    return interval;
}

struct mb_interval mb_paired_speedup(const struct mb_series *a, const struct mb_series *b,
                                     uint64_t seed) {
    return interval_of(&(struct matching){.a = a, .b = b}, log_speedup, seed);
}

struct mb_interval mb_paired_throughput(const struct mb_series *a, const struct mb_series *b,
                                        uint64_t seed) {
    return interval_of(&(struct matching){.a = a, .b = b}, log_throughput, seed);
}

struct mb_interval mb_paired_control(const struct mb_series *side, uint64_t seed) {
    return interval_of(&(struct matching){.a = side, .b = side, .control = true}, log_speedup,
                       seed);
}

struct mb_interval mb_paired_alone(const struct mb_series *side, uint64_t seed) {
    return interval_of(&(struct matching){.a = side, .b = side, .alone = true}, log_speedup, seed);
}

/* ---- noise ---- */

struct mb_noise mb_paired_noise(const struct mb_series *side) {
    const struct matching m = {.a = side, .b = side, .control = true};
    const size_t n_starts = n_processes(side) / 2, largest = largest_block(side);
    struct mb_noise noise = {(double)NAN, 0};
    double squares = 0;
    double *room = malloc((largest + side->n_blocks) * sizeof *room);
    struct unit *pairs = malloc((side->n_blocks + 1) * sizeof *pairs);
    for (size_t g = 0; g < n_starts && room && pairs; g++) {
        const size_t n = pair_blocks(&m, 2 * g + 1, 2 * g, room, pairs);
        if (!n) continue;
        const double difference = merged(pairs, n, room).log_ratio;
        squares += difference * difference;
        noise.n++;
    }
    if (noise.n) noise.variance = squares / (double)noise.n;
    free(room);
    free(pairs);
    return noise;
}

size_t mb_paired_clusters(const struct mb_series *a, const struct mb_series *b) {
    size_t n = 0;
    for (size_t p = 0; p < n_processes(a); p++)
        n += next_block(a, p, 0) < a->n_blocks && next_block(b, p, 0) < b->n_blocks;
    return n;
}

double mb_paired_detectable(const struct mb_noise *a, const struct mb_noise *b, size_t n_clusters) {
    if (!a->n || !b->n || !n_clusters) return (double)NAN;
    /* A difference of two processes has twice the variance of one; a comparison has one of each
     * side. */
    const double variance = (a->variance + b->variance) / 2 / (double)n_clusters;
    const size_t freedom = a == b ? a->n : a->n + b->n;
    const double quantiles =
        mb_stats_t_quantile((1 + MB_CONFIDENCE) / 2, freedom) + mb_stats_t_quantile(power, freedom);
    return expm1(quantiles * sqrt(variance));
}
