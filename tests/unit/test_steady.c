/* Where warm-up ends, and what drift is. */
#include "noise.h"
#include "steady.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { N = 60 };

static void fill(double *runs, size_t n_slow, double factor, uint64_t seed) {
    struct noise_source s = {seed, 0};
    for (size_t i = 0; i < N; i++)
        runs[i] = 100 * (i < n_slow ? factor : 1) * exp(0.01 * noise_normal(&s));
}

static void warm_up_ends_where_the_level_changes(void **state) {
    double runs[N];
    (void)state;
    fill(runs, 12, 1.3, 1);
    const size_t from = mb_steady_from(runs, N);
    if (from < 11 || from > 14) fail_msg("%zu instead of 12", from);
    runs[40] = 900; /* one interrupted run changes nothing */
    assert_int_equal(mb_steady_from(runs, N), from);
}

static void steady_runs_have_little_warm_up(void **state) {
    double runs[N];
    int long_ones = 0;
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        fill(runs, 0, 1, seed);
        long_ones += mb_steady_from(runs, N) > N / 3;
    }
    assert_true(long_ones <= 15);
}

static void a_change_near_the_end_is_no_steady_state(void **state) {
    double runs[N];
    (void)state;
    fill(runs, 45, 1.3, 2);
    assert_int_equal(mb_steady_from(runs, N), N);
    assert_int_equal(mb_steady_from(runs, 0), 0);
}

static struct mb_drift drift_of(enum noise_kind kind, double slope, uint64_t seed) {
    const struct noise_design d = {2, 150, 3, 0};
    struct noise_side a, b;
    struct mb_drift drift;
    struct mb_err err;
    noise_room(&a, &d);
    noise_room(&b, &d);
    noise_fill(&a, &b, kind, &d, 1, seed);
    for (size_t i = 0; i < 900; i++) a.samples[i] *= 1 + slope * (double)i / 899;
    assert_int_equal(mb_steady_drift(&a.series, &drift, &err), MB_OK);
    noise_free(&a);
    noise_free(&b);
    return drift;
}

static void drift_is_seen_and_noise_is_none(void **state) {
    int alarms = 0;
    (void)state;
    const struct mb_drift rising = drift_of(LOGNORMAL, 0.1, 1);
    assert_true(rising.significant && fabs(rising.relative - 0.1) < 0.03);
    const struct mb_drift falling = drift_of(LOGNORMAL, -0.1, 1);
    assert_true(falling.significant && fabs(falling.relative + 0.1) < 0.03);
    for (uint64_t seed = 0; seed < 100; seed++) alarms += drift_of(LOGNORMAL, 0, seed).significant;
    assert_true(alarms <= 5);
}

static void few_blocks_have_no_drift(void **state) {
    const double ns[] = {1, 2, 3};
    const size_t first[] = {0, 1, 2, 3};
    const struct mb_series side = {ns, first, NULL, 3};
    struct mb_drift drift;
    struct mb_err err;
    (void)state;
    assert_int_equal(mb_steady_drift(&side, &drift, &err), MB_OK);
    assert_true(isnan(drift.relative) && !drift.significant);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(warm_up_ends_where_the_level_changes),
        cmocka_unit_test(steady_runs_have_little_warm_up),
        cmocka_unit_test(a_change_near_the_end_is_no_steady_state),
        cmocka_unit_test(drift_is_seen_and_noise_is_none),
        cmocka_unit_test(few_blocks_have_no_drift),
    };
    return cmocka_run_group_tests_name("steady", tests, NULL, NULL);
}
