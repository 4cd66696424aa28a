#include "stats.h"

#include "random.h"
#include "sort.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    N_RESAMPLES = MB_RESAMPLES,
    /* From here on the bootstrap's limit is used: resampling costs N_RESAMPLES * n draws, and the
     * limit's ranks are then within one of the bootstrap's. */
    N_LARGE = 4000,
};

double mb_stats_whole_ps(double ns) { return nearbyint(ns * 1e3) / 1e3; }

double mb_stats_quantile_sorted(const double *sorted, size_t n, double q) {
    double at = q * (double)(n - 1);
    size_t below = (size_t)at;
    if (below + 1 >= n) return sorted[n - 1];
    return sorted[below] + (at - (double)below) * (sorted[below + 1] - sorted[below]);
}

double mb_stats_median(double *values, size_t n) {
    mb_sort_doubles(values, n);
    return mb_stats_quantile_sorted(values, n, 0.5);
}

/* The median of one bootstrap resample of a sorted array: draws are counted by position, so that no
 * resample is sorted. `counts` holds n entries. */
static double resampled_median(const double *sorted, uint32_t *counts, size_t n, uint64_t seed,
                               uint64_t stream) {
    memset(counts, 0, n * sizeof *counts);
    for (size_t i = 0; i < n; i++) counts[mb_random_below(seed, stream, i, (uint32_t)n)]++;
    size_t low_rank = (n - 1) / 2, high_rank = n / 2, seen = 0, i = 0;
    while (seen + counts[i] <= low_rank) seen += counts[i++];
    double low = sorted[i];
    while (seen + counts[i] <= high_rank) seen += counts[i++];
    return (low + sorted[i]) / 2;
}

/* Median and 95 % percentile bootstrap interval of a sorted array; false without memory. */
static bool median_interval(const double *sorted, size_t n, uint64_t seed,
                            struct mb_interval *out) {
    if (n >= N_LARGE) {
        double half_width = 1.959964 * 0.5 / sqrt((double)n);
        out->value = mb_stats_quantile_sorted(sorted, n, 0.5);
        out->low = mb_stats_quantile_sorted(sorted, n, 0.5 - half_width);
        out->high = mb_stats_quantile_sorted(sorted, n, 0.5 + half_width);
        return true;
    }
    double *medians = malloc(N_RESAMPLES * sizeof *medians);
    uint32_t *counts = malloc(n * sizeof *counts);
    bool ok = medians && counts;
    if (ok) {
        for (size_t r = 0; r < N_RESAMPLES; r++)
            medians[r] = resampled_median(sorted, counts, n, seed, r);
        mb_sort_doubles(medians, N_RESAMPLES);
        out->value = mb_stats_quantile_sorted(sorted, n, 0.5);
        out->low = mb_stats_quantile_sorted(medians, N_RESAMPLES, 0.025);
        out->high = mb_stats_quantile_sorted(medians, N_RESAMPLES, 0.975);
    }
    free(medians);
    free(counts);
    return ok;
}

static double *sorted_copy(const double *values, size_t n) {
    double *copy = malloc(n * sizeof *copy);
    if (!copy) return NULL;
    memcpy(copy, values, n * sizeof *copy);
    mb_sort_doubles(copy, n);
    return copy;
}

struct mb_summary mb_stats_summary(const double *values, size_t n, uint64_t seed) {
    struct mb_summary s = {.n = 0};
    struct mb_interval median;
    double *sorted = sorted_copy(values, n);
    if (!sorted || !median_interval(sorted, n, seed, &median)) {
        free(sorted);
        return s;
    }
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) sum += sorted[i];
    s.mean = sum / (double)n;
    for (size_t i = 0; i < n; i++) squares += (sorted[i] - s.mean) * (sorted[i] - s.mean);
    s.n = n;
    s.stdev = n > 1 ? sqrt(squares / (double)(n - 1)) : 0;
    s.min = sorted[0];
    s.max = sorted[n - 1];
    s.p50 = median.value;
    s.p95 = mb_stats_quantile_sorted(sorted, n, 0.95);
    s.p99 = mb_stats_quantile_sorted(sorted, n, 0.99);
    s.ci_low = median.low;
    s.ci_high = median.high;
    free(sorted);
    return s;
}

enum mb_verdict mb_stats_verdict(const struct mb_interval *speedup, double least) {
    if (speedup->low > 1 + least) return MB_FAST;
    if (speedup->high < 1 - least) return MB_SLOW;
    if (speedup->low >= 1 - least && speedup->high <= 1 + least) return MB_SAME;
    return MB_AMBIGUOUS;
}

const char *mb_verdict_name(enum mb_verdict verdict) {
    static const char *const names[] = {"FAST", "SLOW", "SAME", "AMBG"};
    return names[verdict];
}

/* P(|T| <= t): Abramowitz and Stegun, "Handbook of mathematical functions", 26.7.3 and 26.7.4. */
static double t_within(double t, size_t freedom) {
    const double pi = 3.14159265358979323846;
    const double angle = atan(t / sqrt((double)freedom));
    const double cosine = cos(angle), sine = sin(angle);
    const bool odd = freedom % 2;
    double term = odd ? cosine : 1, sum = freedom > 1 ? term : 0;
    for (size_t k = odd ? 3 : 2; k < freedom; k += 2) {
        term *= cosine * cosine * (double)(k - 1) / (double)k;
        sum += term;
    }
    return odd ? 2 / pi * (angle + sine * sum) : sine * sum;
}

double mb_stats_t_quantile(double p, size_t freedom) {
    enum { AS_NORMAL = 2000, N_HALVINGS = 80 }; /* the difference is then below 0.1 % */
    const size_t n = freedom < AS_NORMAL ? freedom : AS_NORMAL;
    double low = 0, high = 1;
    while (t_within(high, n) < 2 * p - 1) high *= 2;
    for (int i = 0; i < N_HALVINGS; i++) {
        const double middle = (low + high) / 2;
        if (t_within(middle, n) < 2 * p - 1)
            low = middle;
        else
            high = middle;
    }
    return high;
}

struct mb_interval mb_stats_held(double *values, size_t n) {
    const double left_out = (1 - MB_CONFIDENCE) / 2;
    mb_sort_doubles(values, n);
    return (struct mb_interval){mb_stats_quantile_sorted(values, n, 0.5),
                                mb_stats_quantile_sorted(values, n, left_out),
                                mb_stats_quantile_sorted(values, n, 1 - left_out)};
}

double mb_stats_few(size_t n) {
    const double normal = 1.959963985; /* the quantile that t tends to */
    return sqrt((double)n / (double)(n - 1)) * mb_stats_t_quantile((1 + MB_CONFIDENCE) / 2, n - 1) /
           normal;
}
