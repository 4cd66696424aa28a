#include "steady.h"

#include <math.h>
#include <stdlib.h>

static double median_of_three(double a, double b, double c) {
    return fmax(fmin(a, b), fmin(fmax(a, b), c));
}

static double smoothed_log(const double *runs, size_t n, size_t i) {
    const size_t before = i ? i - 1 : i, after = i + 1 < n ? i + 1 : i;
    return log(median_of_three(runs[before], runs[i], runs[after]));
}

/* What a truncation must make of the squared standard error of all: noise alone has its minimum
 * anywhere, with little gained. */
static const double worth_it = 0.5;

size_t mb_steady_from(const double *runs_ns, size_t n) {
    enum { LEAST_LEFT = 3 };
    double sum = 0, squares = 0, least = INFINITY, of_all = INFINITY;
    size_t best = n;
    /* from the back, so that sums of what is left grow by one value each */
    for (size_t left = 1; left <= n; left++) {
        const double value = smoothed_log(runs_ns, n, n - left);
        const double count = (double)left;
        sum += value;
        squares += value * value;
        if (left < LEAST_LEFT) continue;
        const double mean = sum / count, spread = fmax(squares / count - mean * mean, 0);
        of_all = spread / count;
        if (of_all <= least) {
            least = of_all;
            best = n - left;
        }
    }
    if (n >= LEAST_LEFT && least > worth_it * of_all) return 0;
    return 2 * best <= n ? best : n;
}

/* ---- drift ---- */

enum { MOST_POINTS = 200 }; /* all pairs of points are looked at */

/* Median of logarithms of a block's samples. `room` holds as many. */
static double block_level(const struct mb_series *s, size_t block, double *room) {
    const size_t first = s->first_of_block[block], n = s->first_of_block[block + 1] - first;
    for (size_t i = 0; i < n; i++) room[i] = log(s->samples_ns[first + i]);
    return mb_stats_median(room, n);
}

/* Neighbouring levels as one, of their median, until there are few enough. */
static size_t thin_out(double *levels, size_t n) {
    const size_t each = (n + MOST_POINTS - 1) / MOST_POINTS;
    size_t points = 0;
    for (size_t i = 0; i < n; i += each)
        levels[points++] = mb_stats_median(levels + i, n - i < each ? n - i : each);
    return points;
}

static struct mb_drift drift_of(double *levels, size_t n, double *slopes) {
    const double one_percent = 2.5758;
    long rising = 0;
    size_t n_slopes = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t k = i + 1; k < n; k++) {
            const double rise = levels[k] - levels[i];
            rising += (rise > 0) - (rise < 0);
            slopes[n_slopes++] = rise / (double)(k - i);
        }
    const double slope = mb_stats_median(slopes, n_slopes), points = (double)n;
    const double variance = points * (points - 1) * (2 * points + 5) / 18;
    return (struct mb_drift){expm1(slope * (points - 1)),
                             (double)labs(rising) > 1 + one_percent * sqrt(variance)};
}

enum mb_status mb_steady_drift(const struct mb_series *s, struct mb_drift *out,
                               struct mb_err *err) {
    const size_t n = s->n_blocks, n_samples = s->first_of_block[n];
    enum mb_status st = MB_OK;
    *out = (struct mb_drift){(double)NAN, false};
    if (n < MB_DRIFT_BLOCKS) return MB_OK;
    double *levels = malloc(n * sizeof *levels);
    double *room = malloc((n_samples + (size_t)MOST_POINTS * MOST_POINTS) * sizeof *room);
    if (levels && room) {
        for (size_t i = 0; i < n; i++) levels[i] = block_level(s, i, room);
        *out = drift_of(levels, thin_out(levels, n), room);
    } else {
        st = mb_fail(err, MB_E_NOMEM, "no memory for a drift");
    }
    free(levels);
    free(room);
    return st;
}
