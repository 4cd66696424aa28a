/* Total time and break-even on samples whose answers are known. */
#include "random.h"
#include "total_time.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { N_STARTS = 20, N_BLOCKS = 20, BLOCK = 5 };

struct data {
    double outputs[N_STARTS][MB_FIRST_RUNS], steady[N_BLOCKS * BLOCK];
    size_t first[N_BLOCKS + 1];
    struct mb_total_side side;
};

/* Starts of start_ns, the runs after the first of early_ns, warm ones of steady_ns, each with
 * normal noise of a share of it. */
static void make(struct data *d, double start_ns, double early_ns, double steady_ns, double noise,
                 uint64_t seed) {
    double normal[2];
    for (size_t i = 0; i < N_STARTS; i++) {
        mb_random_normal_pair(seed, 1, 2 * i, normal);
        for (size_t k = 0; k < MB_FIRST_RUNS; k++)
            d->outputs[i][k] = start_ns * (1 + noise * normal[0]) + early_ns * (double)k;
    }
    for (size_t i = 0; i < (size_t)N_BLOCKS * BLOCK; i++) {
        mb_random_normal_pair(seed, 2, 2 * i, normal);
        d->steady[i] = steady_ns * (1 + noise * normal[0]);
    }
    for (size_t b = 0; b <= N_BLOCKS; b++) d->first[b] = b * BLOCK;
    d->side = (struct mb_total_side){d->outputs, N_STARTS, d->steady, d->first, N_BLOCKS};
}

static struct mb_break_even even(const struct data *a, const struct data *b) {
    struct mb_break_even e;
    assert_true(mb_break_even(&a->side, &b->side, 42, &e));
    return e;
}

static void totals_add_up(void **state) {
    struct data d;
    struct mb_interval t[MB_N_TOTALS];
    (void)state;
    make(&d, 1000, 30, 10, 0, 1);
    assert_true(mb_total_times(&d.side, 42, t));
    const double want[MB_N_TOTALS] = {1000, 1270, 1270 + 90 * 10, 1270 + 990 * 10,
                                      1270 + 999990 * 10.0};
    for (int i = 0; i < MB_N_TOTALS; i++) {
        assert_float_equal(t[i].value, want[i], 1e-6);
        assert_float_equal(t[i].low, want[i], 1e-6);
        assert_float_equal(t[i].high, want[i], 1e-6);
    }
}

static void a_start_is_a_median_and_a_run_a_mean(void **state) {
    struct data d;
    struct mb_interval t[MB_N_TOTALS];
    (void)state;
    make(&d, 1000, 10, 10, 0, 1);
    for (size_t k = 0; k < MB_FIRST_RUNS; k++) d.outputs[7][k] = 1e9;
    for (size_t i = 0; i < BLOCK; i++) d.steady[i] = 210; /* 10 of mean over all */
    assert_true(mb_total_times(&d.side, 42, t));
    assert_float_equal(t[0].value, 1000, 1e-6);
    assert_float_equal(t[2].value, 1090 + 90 * 20, 1e-6);
    assert_true(t[2].low < 1090 + 90 * 15 && t[2].high > 1090 + 90 * 25);
    for (size_t i = 0; i < N_STARTS; i++) /* 19 to 0 hundred, the median between 9 and 10 */
        d.outputs[i][0] = 100.0 * (double)(N_STARTS - 1 - i);
    assert_true(mb_total_times(&d.side, 42, t));
    assert_float_equal(t[0].value, 950, 1e-6);
}

static void which_side_is_ahead(void **state) {
    struct data fast, slow;
    struct mb_break_even e;
    (void)state;
    make(&fast, 1000, 10, 10, 0.01, 1);
    make(&slow, 2000, 20, 20, 0.01, 2);
    e = even(&fast, &slow);
    assert_int_equal(e.kind, MB_EVEN_FROM_FIRST_RUN);
    assert_true(isnan(e.runs.value));
    assert_true(e.ratio[0].low > 1.9 && e.ratio[4].low > 1.9 && e.ratio[4].high < 2.1);
    assert_int_equal(even(&slow, &fast).kind, MB_EVEN_NEVER);
}

static void crossings(void **state) {
    struct data late, soon;
    struct mb_break_even e;
    (void)state;
    /* 10090 + 10 (N - 10) = 1180 + 20 (N - 10) at N = 901 */
    make(&late, 10000, 10, 10, 0, 1);
    make(&soon, 1000, 20, 20, 0, 2);
    e = even(&late, &soon);
    assert_int_equal(e.kind, MB_EVEN_FROM_RUN);
    assert_float_equal(e.runs.value, 901, 0);
    e = even(&soon, &late);
    assert_int_equal(e.kind, MB_EVEN_UNTIL_RUN);
    assert_float_equal(e.runs.value, 901, 0);
    make(&late, 10000, 10, 10, 0.02, 1);
    make(&soon, 1000, 20, 20, 0.02, 2);
    e = even(&late, &soon);
    assert_true(e.runs.low < 901 && e.runs.high > 901 && e.runs.high - e.runs.low < 200);
}

/* Among the runs that are timed one by one: behind by 100, and 30 a run quicker. */
static void an_early_crossing(void **state) {
    struct data a, b;
    struct mb_break_even e;
    (void)state;
    make(&a, 1100, 10, 10, 0, 1);
    make(&b, 1000, 40, 10, 0, 2);
    e = even(&a, &b);
    assert_int_equal(e.kind, MB_EVEN_FROM_RUN);
    assert_float_equal(e.runs.value, 5, 0); /* 1140 against 1160 */
    e = even(&b, &a);
    assert_int_equal(e.kind, MB_EVEN_UNTIL_RUN);
    assert_float_equal(e.runs.value, 4, 0);
}

static void equal_latencies_prove_nothing(void **state) {
    struct data a, b;
    (void)state;
    make(&a, 1000, 10, 10, 0.05, 1);
    make(&b, 2000, 10, 10, 0.05, 2);
    const struct mb_break_even e = even(&a, &b);
    assert_int_equal(e.kind, MB_EVEN_NOT_PROVEN);
    assert_true(isnan(e.runs.value) && isnan(e.runs.low));
    assert_true(e.ratio[0].low > 1); /* what is known at N = 1 is told all the same */
}

/* Of 95 % intervals for a crossing at 901, most hold it. */
static void intervals_hold_the_truth(void **state) {
    enum { N = 40 };
    int held = 0;
    (void)state;
    for (uint64_t i = 0; i < N; i++) {
        struct data a, b;
        make(&a, 10000, 10, 10, 0.05, 100 + i);
        make(&b, 1000, 20, 20, 0.05, 200 + i);
        const struct mb_break_even e = even(&a, &b);
        assert_int_equal(e.kind, MB_EVEN_FROM_RUN);
        held += e.runs.low <= 901 && e.runs.high >= 901;
    }
    assert_in_range(held, N * 80 / 100, N);
}

static void the_same_samples_give_the_same_answer(void **state) {
    struct data a, b;
    (void)state;
    make(&a, 10000, 10, 10, 0.05, 1);
    make(&b, 1000, 20, 20, 0.05, 2);
    const struct mb_break_even x = even(&a, &b), y = even(&a, &b);
    assert_memory_equal(&x.runs, &y.runs, sizeof x.runs);
    assert_memory_equal(x.ratio, y.ratio, sizeof x.ratio);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(totals_add_up),
        cmocka_unit_test(a_start_is_a_median_and_a_run_a_mean),
        cmocka_unit_test(which_side_is_ahead),
        cmocka_unit_test(crossings),
        cmocka_unit_test(an_early_crossing),
        cmocka_unit_test(equal_latencies_prove_nothing),
        cmocka_unit_test(intervals_hold_the_truth),
        cmocka_unit_test(the_same_samples_give_the_same_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
