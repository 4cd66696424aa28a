#include "unpaired.h"

#include "random.h"
#include "stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Medians of the blocks of one side, those of a process next to each other. */
struct side {
    double *medians;
    size_t *first; /* process i has the medians first[i] .. first[i + 1] - 1 */
    size_t n_processes, n_blocks;
    double *drawn, *sorted; /* room for a resample */
};

static void close_side(struct side *s) {
    free(s->medians);
    free(s->first);
    free(s->drawn);
    free(s->sorted);
}

static bool open_side(const struct mb_executor_result *e, struct side *out) {
    const size_t n_processes = e->process_of_block && e->n_processes ? e->n_processes : 1;
    size_t longest = e->n_blocks, at = 0;
    for (size_t i = 0; i < e->n_blocks; i++) {
        const size_t n = e->first_of_block[i + 1] - e->first_of_block[i];
        if (n > longest) longest = n;
    }
    *out = (struct side){.medians = malloc(e->n_blocks * sizeof(double)),
                         .first = malloc((n_processes + 1) * sizeof(size_t)),
                         .drawn = malloc(2 * e->n_blocks * sizeof(double)),
                         .sorted = malloc(longest * sizeof(double)),
                         .n_blocks = e->n_blocks};
    if (!out->medians || !out->first || !out->drawn || !out->sorted) return false;
    out->first[0] = 0;
    for (size_t p = 0; p < n_processes; p++) {
        for (size_t i = 0; i < e->n_blocks; i++) {
            const size_t first = e->first_of_block[i], n = e->first_of_block[i + 1] - first;
            if (n_processes > 1 && e->process_of_block[i] != p) continue;
            memcpy(out->sorted, e->samples_ns + first, n * sizeof *out->sorted);
            out->medians[at++] = mb_stats_median(out->sorted, n);
        }
        /* a process that was ended before its first block is none */
        if (at > out->first[out->n_processes]) out->first[++out->n_processes] = at;
    }
    return true;
}

/* One resample's median. A run of one process has one level only. */
static double resampled(struct side *s, uint64_t seed, uint64_t stream) {
    size_t n = 0;
    uint64_t draw = 0;
    for (size_t i = 0; i < s->n_processes && n < s->n_blocks; i++) {
        const size_t p = mb_random_below(seed, stream, draw++, (uint32_t)s->n_processes);
        const size_t first = s->first[p], size = s->first[p + 1] - first;
        for (size_t k = 0; k < size && n < 2 * s->n_blocks; k++)
            s->drawn[n++] =
                s->medians[first + mb_random_below(seed, stream, draw++, (uint32_t)size)];
    }
    return mb_stats_median(s->drawn, n);
}

static double stretch(const struct side *s) {
    return mb_stats_few(s->n_processes > 1 ? s->n_processes : s->n_blocks);
}

static struct mb_interval ratio(struct side *base, struct side *next, uint64_t seed,
                                double *ratios) {
    struct mb_interval out;
    const double wider = fmax(stretch(base), stretch(next));
    memcpy(base->drawn, base->medians, base->n_blocks * sizeof *base->drawn);
    memcpy(next->drawn, next->medians, next->n_blocks * sizeof *next->drawn);
    out.value =
        mb_stats_median(base->drawn, base->n_blocks) / mb_stats_median(next->drawn, next->n_blocks);
    for (uint64_t r = 0; r < MB_RESAMPLES; r++)
        ratios[r] = resampled(base, seed, 2 * r) / resampled(next, seed, 2 * r + 1);
    const struct mb_interval held = mb_stats_held(ratios, MB_RESAMPLES);
    /* about the value, in logarithms, so that either direction of a ratio is treated alike */
    out.low = out.value * exp(wider * fmin(log(held.low / out.value), 0));
    out.high = out.value * exp(wider * fmax(log(held.high / out.value), 0));
    return out;
}

struct mb_unpaired mb_unpaired_speedup(const struct mb_executor_result *base,
                                       const struct mb_executor_result *next, uint64_t seed) {
    struct mb_unpaired out = {{(double)NAN, (double)NAN, (double)NAN}, false};
    struct side a = {0}, b = {0};
    double *ratios = malloc(MB_RESAMPLES * sizeof *ratios);
    if (ratios && open_side(base, &a) && open_side(next, &b)) {
        out.speedup = ratio(&a, &b, seed, ratios);
        out.one_process = a.n_processes < 2 || b.n_processes < 2;
    }
    free(ratios);
    close_side(&a);
    close_side(&b);
    return out;
}
