/* Comparison of two sides that were measured in turns: pure functions of samples, blocks and
 * processes.
 *
 * A side was measured in blocks, each in one of several processes (result.h). The k-th block of
 * process p of one side goes with the k-th block of process p of the other: both were measured in
 * one round. Samples of a block are not independent of each other, nor are blocks of a process:
 * where code and data came to lie differs from start to start and stays for the life of a process
 * (Mytkowicz et al., "Producing wrong data without doing anything obviously wrong!", ASPLOS 2009;
 * Kalibera and Jones, "Rigorous benchmarking in reasonable time", ISMM 2013). So a pair of
 * processes is the unit that is resampled where there are at least MB_LEAST_CLUSTERS of them, with
 * all its blocks (Davison and Hinkley, "Bootstrap methods and their application", 1997,
 * section 3.8: resampling the highest level alone reproduces the variance best), and a pair of
 * blocks where there are fewer: the interval then knows nothing of what differs from start to
 * start.
 *
 * With few units a percentile bootstrap is too narrow, and BCa with it. The interval here is
 * log ratio +- mb_stats_few(n) * h, where h is half the width that holds 95 % of MB_RESAMPLES
 * seeded resamples of the n units. Their standard deviation in place of h is no better where the
 * noise is normal, and too wide where tails are heavy or levels few, since the rarest resamples
 * decide it.
 *
 * tests/unit/test_coverage.c measures how often it holds the truth: 94 to 97 % on all its kinds of
 * noise but one that it holds more often, up to 98 %: noise of two levels, above all in a single
 * start. The median over its blocks is one of few values there, so that the shares that resamples
 * can hold come in steps, and the interval takes the step above. The median is kept for all that:
 * trimmed means over blocks make steps finer, but hold up to 99.9 % on bursts and are then up to
 * five times as wide.
 */
#ifndef MB_PAIRED_H
#define MB_PAIRED_H

#include "stats.h"

enum { MB_LEAST_CLUSTERS = 3 };

/* One side. All borrowed; samples of a block are positive, and there is at least one. */
struct mb_series {
    const double *samples_ns;
    const size_t *first_of_block;   /* n_blocks + 1 */
    const size_t *process_of_block; /* n_blocks; NULL: one process */
    size_t n_blocks;
};

/* How the noise of one process pair shows in an A/A control. */
struct mb_noise {
    double variance; /* of the difference of the log medians of two processes; NaN: unknown */
    size_t n;        /* how many such differences that was formed of */
};

/* Speed-up of a over b: latency of b / latency of a. Over pairs of processes the geometric mean of
 * the median over paired blocks of (median of b's block / median of a's block); over blocks alone
 * their median. One unit: low is 0 and high infinity. No pair of blocks, or no memory: all NaN. */
struct mb_interval mb_paired_speedup(const struct mb_series *a, const struct mb_series *b,
                                     uint64_t seed);

/* Throughput of a / that of b: mean of b's paired samples / mean of a's, with an interval in the
 * same way. */
struct mb_interval mb_paired_throughput(const struct mb_series *a, const struct mb_series *b,
                                        uint64_t seed);

/* Latency of a side alone in nanoseconds, with an interval in the same way: the geometric mean over
 * its processes, or the median over its blocks, of medians of blocks. */
struct mb_interval mb_paired_alone(const struct mb_series *side, uint64_t seed);

/* A side against itself: its odd processes as a, its even ones as b. */
struct mb_interval mb_paired_control(const struct mb_series *side, uint64_t seed);
struct mb_noise mb_paired_noise(const struct mb_series *side);

/* How many pairs of processes a comparison of a with b has. */
size_t mb_paired_clusters(const struct mb_series *a, const struct mb_series *b);

/* The smallest relative change that a comparison over n_clusters pairs of processes tells from none
 * in four of five races: what two sides of this noise would need at 95 %, by Student's t. The true
 * ratio of a control is 1, so its variance has as many degrees of freedom as differences. NaN where
 * a noise is unknown. */
double mb_paired_detectable(const struct mb_noise *a, const struct mb_noise *b, size_t n_clusters);

#endif
