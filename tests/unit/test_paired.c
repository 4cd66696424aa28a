/* Paired statistics against values computed by hand. How sure the intervals are is the matter of
 * test_coverage. */
#include "noise.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void near(double got, double want) {
    if (!(fabs(got - want) <= 1e-9 * (1 + fabs(want))))
        fail_msg("%.17g instead of %.17g", got, want);
}

/* Both sides drift alike, b is 1.5 times slower: pairs cancel the drift. */
static void pairs_cancel_drift(void **state) {
    const struct noise_design d = {6, 5, 5, 0};
    struct noise_side a, b;
    (void)state;
    noise_room(&a, &d);
    noise_room(&b, &d);
    noise_fill(&a, &b, DRIFT, &d, 1.5, 1);
    struct mb_interval s = mb_paired_speedup(&a.series, &b.series, 1);
    assert_true(fabs(s.value - 1.5) < 0.02);
    assert_true(s.low > 1.46 && s.low <= s.value && s.value <= s.high && s.high < 1.54);
    struct mb_interval inverse = mb_paired_speedup(&b.series, &a.series, 1);
    near(inverse.value * s.value, 1);
    struct mb_interval again = mb_paired_speedup(&a.series, &b.series, 1);
    assert_memory_equal(&s, &again, sizeof s);
    noise_free(&a);
    noise_free(&b);
}

/* Four processes of one block each, of ratios 2, 2, 2 and 8: the geometric mean, and its interval
 * by hand. */
static void processes_are_the_units(void **state) {
    const double one[] = {1, 1, 1, 1}, ratios[] = {2, 2, 2, 8};
    const size_t first[] = {0, 1, 2, 3, 4}, process[] = {0, 1, 2, 3};
    const struct mb_series a = {one, first, process, 4}, b = {ratios, first, process, 4};
    (void)state;
    const struct mb_interval s = mb_paired_speedup(&a, &b, 1);
    /* A resample holds the 8 as often as Bin(4, 1/4) says: never in 32 %, three times or more in
     * 5.1 %, always in 0.4 %. So 95 % of them hold it 0 to 3 times. */
    const double mean = (3 * log(2) + log(8)) / 4, held = 0.75 * log(4);
    const double few = sqrt(4.0 / 3) * 3.18245 / 1.95996; /* Student's t of 3 over the normal */
    near(s.value, exp(mean));
    assert_true(fabs(log(s.high) - (mean + few * held / 2)) < 1e-4);
    assert_true(fabs(log(s.low) - (mean - few * held / 2)) < 1e-4);
    assert_int_equal(mb_paired_clusters(&a, &b), 4);
}

/* Blocks of one process go with those of the same process, however they lie in the file. */
static void blocks_are_paired_by_process(void **state) {
    const double a_ns[] = {1, 10, 1, 10}, b_ns[] = {30, 3, 3, 30, 99};
    const size_t first[] = {0, 1, 2, 3, 4, 5}, in_a[] = {0, 1, 0, 1}, in_b[] = {1, 0, 0, 1, 1};
    const struct mb_series a = {a_ns, first, in_a, 4}, b = {b_ns, first, in_b, 5};
    (void)state;
    const struct mb_interval s = mb_paired_speedup(&a, &b, 1);
    near(s.value, 3);
    near(s.low, 3);
    near(s.high, 3);
    assert_int_equal(mb_paired_clusters(&a, &b), 2);
}

static void blocks_may_differ_in_size(void **state) {
    const double a_ns[] = {1, 1, 1, 2}, b_ns[] = {3, 6, 6};
    const size_t first_a[] = {0, 3, 4}, first_b[] = {0, 1, 3};
    const struct mb_series a = {a_ns, first_a, NULL, 2}, b = {b_ns, first_b, NULL, 2};
    (void)state;
    near(mb_paired_speedup(&a, &b, 1).value, 3);
    near(mb_paired_throughput(&a, &b, 1).value, 5 / 1.25);
}

/* A side alone: its processes are the units, and scale goes through. */
static void a_side_alone_has_an_interval_too(void **state) {
    const double ns[] = {2, 2, 2, 8};
    const size_t first[] = {0, 1, 2, 3, 4}, process[] = {0, 1, 2, 3};
    const double one[] = {1, 1, 1, 1};
    const struct mb_series side = {ns, first, process, 4}, ones = {one, first, process, 4};
    const struct mb_series blocks = {ns, first, NULL, 4};
    (void)state;
    const struct mb_interval alone = mb_paired_alone(&side, 1);
    const struct mb_interval ratio = mb_paired_speedup(&ones, &side, 1);
    near(alone.value, ratio.value);
    near(alone.low, ratio.low);
    near(alone.high, ratio.high);
    near(mb_paired_alone(&blocks, 1).value, 2); /* the median over them */
}

static void one_pair_of_blocks_proves_nothing(void **state) {
    const double a_ns[] = {1, 1}, b_ns[] = {3, 3};
    const size_t first[] = {0, 2};
    const struct mb_series a = {a_ns, first, NULL, 1}, none = {a_ns, first, NULL, 0};
    const struct mb_series b = {b_ns, first, NULL, 1};
    (void)state;
    const struct mb_interval s = mb_paired_speedup(&a, &b, 1);
    near(s.value, 3);
    assert_true(s.low == 0 && isinf(s.high));
    assert_int_equal(mb_stats_verdict(&s, 0.02), MB_AMBIGUOUS);
    assert_true(isnan(mb_paired_speedup(&a, &none, 1).value));
    assert_true(isnan(mb_paired_control(&a, 1).value));
}

/* Odd processes take 1.1 times as long as even ones: the control says so, and the noise with it. */
static void a_control_compares_processes_of_a_start(void **state) {
    const double ns[] = {100, 110, 100, 110, 100, 110};
    const size_t first[] = {0, 1, 2, 3, 4, 5, 6}, process[] = {0, 1, 2, 3, 4, 5};
    const struct mb_series side = {ns, first, process, 6};
    (void)state;
    near(mb_paired_control(&side, 1).value, 1 / 1.1);
    const struct mb_noise noise = mb_paired_noise(&side);
    assert_int_equal(noise.n, 3);
    near(noise.variance, log(1.1) * log(1.1));
    /* one side against itself: three differences, each of two processes */
    const double quantiles = 3.18245 + 0.978472;
    assert_true(fabs(mb_paired_detectable(&noise, &noise, 3) -
                     expm1(quantiles * log(1.1) / sqrt(3))) < 1e-4);
    const struct mb_noise unknown = {(double)NAN, 0};
    assert_true(isnan(mb_paired_detectable(&noise, &unknown, 3)));
}

/* A thousand pairs of one process are more than are resampled one by one. */
static void many_blocks_are_taken_together(void **state) {
    const struct noise_design d = {1, 1100, 1, 0};
    struct noise_side a, b;
    (void)state;
    noise_room(&a, &d);
    noise_room(&b, &d);
    noise_fill(&a, &b, LOGNORMAL, &d, 1.1, 3);
    const struct mb_interval s = mb_paired_speedup(&a.series, &b.series, 1);
    assert_true(s.low > 1.08 && s.low < 1.1 && s.high > 1.1 && s.high < 1.12);
    noise_free(&a);
    noise_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_cancel_drift),
        cmocka_unit_test(processes_are_the_units),
        cmocka_unit_test(blocks_are_paired_by_process),
        cmocka_unit_test(a_side_alone_has_an_interval_too),
        cmocka_unit_test(blocks_may_differ_in_size),
        cmocka_unit_test(one_pair_of_blocks_proves_nothing),
        cmocka_unit_test(a_control_compares_processes_of_a_start),
        cmocka_unit_test(many_blocks_are_taken_together),
    };
    return cmocka_run_group_tests_name("paired", tests, NULL, NULL);
}
