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

static void quantiles_of_t(void **state) {
    /* freedom, and what tables give for 0.975 and 0.8 */
    const double rows[][3] = {{1, 12.7062, 1.37638},   {2, 4.30265, 1.06066},
                              {3, 3.18245, 0.978472},  {4, 2.77645, 0.940965},
                              {5, 2.57058, 0.919544},  {10, 2.22814, 0.879058},
                              {29, 2.04523, 0.854192}, {120, 1.97993, 0.844577}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_true(fabs(mb_stats_t_quantile(0.975, (size_t)rows[i][0]) - rows[i][1]) < 1e-4);
        assert_true(fabs(mb_stats_t_quantile(0.8, (size_t)rows[i][0]) - rows[i][2]) < 1e-4);
    }
    assert_true(fabs(mb_stats_t_quantile(0.975, 1000000) - 1.959964) < 2e-3);
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
        cmocka_unit_test(quantiles_of_t),
        cmocka_unit_test(verdicts_follow_the_interval),
    };
    return cmocka_run_group_tests_name("stats", tests, NULL, NULL);
}
