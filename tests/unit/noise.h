/* Made-up measurements whose truth is known: two sides in blocks and processes, with the kinds of
 * noise that machines have. */
#ifndef MB_TEST_NOISE_H
#define MB_TEST_NOISE_H

#include "paired.h"
#include "random.h"

#include <math.h>
#include <stdlib.h>

enum noise_kind { LOGNORMAL, BIMODAL, DRIFT, HEAVY_TAIL, BURSTS, N_NOISE_KINDS };

struct noise_design {
    size_t n_processes;       /* of each side */
    size_t n_blocks;          /* of each process */
    size_t n_samples;         /* of each block */
    double process_deviation; /* of the log of a process's speed */
};

/* A side with room for its samples; free with noise_free. */
struct noise_side {
    struct mb_series series;
    double *samples;
    size_t *first, *process;
};

struct noise_source {
    uint64_t seed, at;
};

static inline double noise_uniform(struct noise_source *s) {
    return ((double)(mb_random_bits(s->seed, 77, s->at++) >> 11) + 0.5) * 0x1p-53;
}

static inline double noise_normal(struct noise_source *s) {
    double pair[2];
    mb_random_normal_pair(s->seed, 78, 2 * s->at++, pair);
    return pair[0];
}

/* One sample's factor. */
static inline double noise_factor(enum noise_kind kind, struct noise_source *s) {
    switch (kind) {
    case LOGNORMAL: return exp(0.05 * noise_normal(s));
    case BIMODAL: return (noise_uniform(s) < 0.3 ? 1.15 : 1) * exp(0.01 * noise_normal(s));
    case DRIFT: return exp(0.03 * noise_normal(s));
    case HEAVY_TAIL: return 1 + 0.02 * pow(noise_uniform(s), -1 / 1.2);
    default: return exp(0.02 * noise_normal(s));
    }
}

static inline void noise_room(struct noise_side *side, const struct noise_design *d) {
    const size_t n_blocks = d->n_processes * d->n_blocks;
    side->samples = malloc(n_blocks * d->n_samples * sizeof *side->samples);
    side->first = malloc((n_blocks + 1) * sizeof *side->first);
    side->process = malloc((n_blocks + 1) * sizeof *side->process);
    side->series = (struct mb_series){side->samples, side->first, side->process, n_blocks};
}

static inline void noise_free(struct noise_side *side) {
    free(side->samples);
    free(side->first);
    free(side->process);
}

/* Fills both sides; b takes `ratio` times as long as a. They share what drifts. */
static inline void noise_fill(struct noise_side *a, struct noise_side *b, enum noise_kind kind,
                              const struct noise_design *d, double ratio, uint64_t seed) {
    struct noise_source s = {seed, 0};
    struct noise_side *const sides[] = {a, b};
    const double n_blocks = (double)(d->n_processes * d->n_blocks);
    double walk = 0;
    double *speeds[2];
    for (int k = 0; k < 2; k++) {
        speeds[k] = malloc(d->n_processes * sizeof *speeds[k]);
        for (size_t p = 0; p < d->n_processes; p++)
            speeds[k][p] = (k ? ratio : 1) * exp(d->process_deviation * noise_normal(&s));
    }
    for (size_t i = 0; i < d->n_processes * d->n_blocks; i++) {
        /* two processes of a start take turns */
        const size_t pair = 2 * d->n_blocks, start = i / pair, even = d->n_processes & ~(size_t)1;
        const size_t p = 2 * start + 1 < d->n_processes || d->n_processes == even
                             ? 2 * start + i % 2
                             : d->n_processes - 1;
        walk += 0.005 * noise_normal(&s);
        for (int k = 0; k < 2; k++) {
            double level = 1e5 * speeds[k][p];
            if (kind == DRIFT) level *= exp(walk + 0.1 * (double)i / n_blocks);
            if (kind == BURSTS && noise_uniform(&s) < 0.08) level *= 1 + noise_uniform(&s);
            sides[k]->first[i] = i * d->n_samples;
            sides[k]->process[i] = p;
            for (size_t j = 0; j < d->n_samples; j++)
                sides[k]->samples[i * d->n_samples + j] = level * noise_factor(kind, &s);
        }
    }
    for (int k = 0; k < 2; k++) {
        sides[k]->first[d->n_processes * d->n_blocks] = d->n_processes * d->n_blocks * d->n_samples;
        free(speeds[k]);
    }
}

#endif
