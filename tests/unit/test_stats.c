/* Statistics against values computed by hand and against noise of a known distribution. */
#include "random.h"
#include "stats.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void near(double got, double want) {
    if (!(fabs(got - want) <= 1e-12 * (1 + fabs(want))))
        fail_msg("%.17g instead of %.17g", got, want);
}

static void summary_of_known_values(void **state) {
    const double values[] = {5, 1, 4, 2, 3};
    (void)state;
    struct mb_summary s = mb_stats_summary(values, 5, 1);
    assert_int_equal(s.n, 5);
    near(s.mean, 3);
    near(s.stdev, sqrt(2.5));
    near(s.min, 1);
    near(s.max, 5);
    near(s.p50, 3);
    near(s.p95, 4.8);
    near(s.p99, 4.96);
    assert_true(s.ci_low >= 1 && s.ci_low < 3 && s.ci_high > 3 && s.ci_high <= 5);
    near(values[0], 5); /* the input is not sorted in place */
}

static void summary_of_one_value_has_no_spread(void **state) {
    const double one = 7;
    (void)state;
    struct mb_summary s = mb_stats_summary(&one, 1, 1);
    near(s.stdev, 0);
    near(s.p99, 7);
    near(s.ci_low, 7);
    near(s.ci_high, 7);
}

static void quantiles_interpolate(void **state) {
    const double sorted[] = {10, 20, 40};
    (void)state;
    near(mb_stats_quantile_sorted(sorted, 3, 0), 10);
    near(mb_stats_quantile_sorted(sorted, 3, 0.25), 15);
    near(mb_stats_quantile_sorted(sorted, 3, 0.75), 30);
    near(mb_stats_quantile_sorted(sorted, 3, 1), 40);
}

static double normal(uint64_t stream, uint64_t i) {
    double pair[2];
    mb_random_normal_pair(9, stream, i & ~(uint64_t)1, pair);
    return pair[i & 1];
}

/* The interval of the median must hold the true median about 95 times in 100, below the size from
 * which the bootstrap's limit is used and above it. */
static void check_coverage(size_t n, int trials) {
    double *values = malloc(n * sizeof *values);
    int covered = 0;
    assert_non_null(values);
    for (int t = 0; t < trials; t++) {
        for (size_t i = 0; i < n; i++) values[i] = exp(0.3 * normal((uint64_t)t + 1000 * n, i));
        struct mb_summary s = mb_stats_summary(values, n, (uint64_t)t);
        covered += s.ci_low <= 1 && 1 <= s.ci_high;
    }
    free(values);
    double share = (double)covered / trials;
    if (share < 0.91 || share > 0.99) fail_msg("%zu values: interval holds %.3f", n, share);
}

static void interval_of_the_median_covers_it(void **state) {
    (void)state;
    check_coverage(60, 200);
    check_coverage(5000, 200);
}

static void equal_seeds_give_equal_intervals(void **state) {
    double values[50];
    (void)state;
    for (size_t i = 0; i < 50; i++) values[i] = 10 + normal(3, i);
    struct mb_summary a = mb_stats_summary(values, 50, 5), b = mb_stats_summary(values, 50, 5);
    assert_memory_equal(&a, &b, sizeof a);
}

/* Both sides drift alike, b is 1.5 times slower: pairs cancel the drift. */
static void paired_speedup_cancels_drift(void **state) {
    enum { BLOCKS = 20, EACH = 5 };
    double a[BLOCKS * EACH], b[BLOCKS * EACH];
    size_t first[BLOCKS + 1];
    (void)state;
    for (size_t i = 0; i <= BLOCKS; i++) first[i] = i * EACH;
    for (size_t i = 0; i < BLOCKS * EACH; i++) {
        double drift = 1 + 0.1 * (double)(i / EACH);
        a[i] = 100 * drift * (1 + 0.002 * normal(11, i));
        b[i] = 150 * drift * (1 + 0.002 * normal(12, i));
    }
    struct mb_interval s = mb_stats_paired_speedup(a, first, b, first, BLOCKS, 1);
    assert_true(fabs(s.value - 1.5) < 0.005);
    assert_true(s.low > 1.49 && s.low <= s.value && s.value <= s.high && s.high < 1.51);
    struct mb_interval inverse = mb_stats_paired_speedup(b, first, a, first, BLOCKS, 1);
    assert_true(fabs(inverse.value * s.value - 1) < 1e-3);
}

static void blocks_may_differ_in_size(void **state) {
    const double a[] = {1, 1, 1, 2}, b[] = {3, 6, 6};
    const size_t first_a[] = {0, 3, 4}, first_b[] = {0, 1, 3};
    (void)state;
    struct mb_interval s = mb_stats_paired_speedup(a, first_a, b, first_b, 2, 1);
    near(s.value, 3);
    near(s.low, 3);
    near(s.high, 3);
}

/* One block of a is twice as slow: the mean sees it, and so must its ratio and interval. */
static void throughput_ratio_is_that_of_the_means(void **state) {
    const double a[] = {1, 1, 1, 1, 2, 2}, b[] = {3, 3, 3, 3, 3, 3};
    const size_t first[] = {0, 2, 4, 6};
    (void)state;
    struct mb_interval r = mb_stats_paired_throughput(a, first, b, first, 3, 1);
    near(r.value, 3 / (8.0 / 6));
    near(r.low, 1.5);
    near(r.high, 3);
    r = mb_stats_paired_throughput(b, first, b, first, 3, 1);
    near(r.value, 1);
    near(r.low, 1);
    near(r.high, 1);
}

static void verdicts_follow_the_interval(void **state) {
    (void)state;
    assert_int_equal(mb_stats_verdict(&(struct mb_interval){1.1, 1.05, 1.2}, 0.02), MB_FAST);
    assert_int_equal(mb_stats_verdict(&(struct mb_interval){0.9, 0.8, 0.95}, 0.02), MB_SLOW);
    assert_int_equal(mb_stats_verdict(&(struct mb_interval){1.0, 0.99, 1.01}, 0.02), MB_SAME);
    assert_int_equal(mb_stats_verdict(&(struct mb_interval){1.0, 0.9, 1.1}, 0.02), MB_AMBIGUOUS);
    assert_int_equal(mb_stats_verdict(&(struct mb_interval){1.03, 1.01, 1.05}, 0.02), MB_AMBIGUOUS);
    assert_string_equal(mb_verdict_name(MB_AMBIGUOUS), "AMBG");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(summary_of_known_values),
        cmocka_unit_test(summary_of_one_value_has_no_spread),
        cmocka_unit_test(quantiles_interpolate),
        cmocka_unit_test(interval_of_the_median_covers_it),
        cmocka_unit_test(equal_seeds_give_equal_intervals),
        cmocka_unit_test(paired_speedup_cancels_drift),
        cmocka_unit_test(blocks_may_differ_in_size),
        cmocka_unit_test(throughput_ratio_is_that_of_the_means),
        cmocka_unit_test(verdicts_follow_the_interval),
    };
    return cmocka_run_group_tests_name("stats", tests, NULL, NULL);
}
