/* Statistics of samples: pure functions, no clock, no I/O. */
#ifndef MB_STATS_H
#define MB_STATS_H

#include <stddef.h>
#include <stdint.h>

#define MB_RESAMPLES  10000 /* of each bootstrap */
#define MB_CONFIDENCE 0.95  /* of each interval */

struct mb_summary {
    size_t n;
    double mean, stdev, min, max; /* stdev: n - 1 in the denominator, 0 for n = 1 */
    double p50, p95, p99;         /* linear interpolation between order statistics */
    double ci_low, ci_high;       /* 95 % bootstrap interval of the median */
};

struct mb_interval {
    double value, low, high;
};

/* `values` need not be sorted and is not changed. n >= 1. The bootstrap is seeded: equal samples
 * and seed give equal intervals. Allocates n doubles twice; on failure n is 0 in the result. */
struct mb_summary mb_stats_summary(const double *values, size_t n, uint64_t seed);

/* The nearest whole number of picoseconds. Samples are kept so: below 1,000 s a result file's
 * fifteen digits then hold them exactly, and whoever reads it forms the very same statistics. */
double mb_stats_whole_ps(double ns);

double mb_stats_median(double *values, size_t n); /* n >= 1; sorts them */

/* q in [0, 1] of a sorted array. */
double mb_stats_quantile_sorted(const double *sorted, size_t n, double q);

/* The smallest relative difference that matters, unless the user says otherwise. */
#define MB_LEAST_EFFECT 0.02

enum mb_verdict { MB_FAST, MB_SLOW, MB_SAME, MB_AMBIGUOUS };

/* FAST: the interval lies above 1 + least, SLOW: below 1 - least, SAME: inside, else AMBIGUOUS.
 * `least` is the smallest relative difference that matters. */
enum mb_verdict mb_stats_verdict(const struct mb_interval *speedup, double least);
const char *mb_verdict_name(enum mb_verdict verdict); /* "FAST", "SLOW", "SAME", "AMBG" */

/* What holds MB_CONFIDENCE of the resampled values, equal shares left out on both sides; `value` is
 * their median. n >= 1; sorts them. */
struct mb_interval mb_stats_held(double *values, size_t n);

/* How much wider a percentile interval over n >= 2 resampled units must be: the bootstrap's
 * variance is that of n units instead of n - 1, and the mean of few lies about the true one as
 * Student's t says (Hesterberg, "What teachers should know about the bootstrap", 2015, section 4).
 */
double mb_stats_few(size_t n);

/* Student's t with a whole number of degrees of freedom, >= 1: the value below which it lies with
 * probability p, 0.5 <= p < 1. */
double mb_stats_t_quantile(double p, size_t freedom);

#endif
