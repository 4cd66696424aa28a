/* How often the interval of a ratio holds the truth, on noise of known truth: 95 % is promised.
 * `test_coverage N` simulates N races of each kind instead of a few: 4000 take minutes. */
#include "noise.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static int n_trials = 100;

static const char *const kinds[] = {"lognormal", "bimodal", "drift", "heavy tail", "bursts"};

enum { ONE_START = 3 };

static const struct {
    const char *name;
    struct noise_design design;
} designs[] = {
    {"100 samples, 3 starts", {6, 3, 5, 0.004}}, {"100 samples, 3 starts alike", {6, 3, 5, 0}},
    {"20 starts", {40, 20, 5, 0.004}},           [ONE_START] = {"1 start", {2, 10, 5, 0}},
    {"control of 3 starts", {3, 3, 5, 0.0057}},
};
enum { N_DESIGNS = sizeof designs / sizeof *designs };

/* How many of n_trials intervals hold it. */
static int n_held(enum noise_kind kind, const struct noise_design *d) {
    const double ratio = 0.97;
    struct noise_side a, b;
    int held = 0;
    noise_room(&a, d);
    noise_room(&b, d);
    for (int t = 0; t < n_trials; t++) {
        noise_fill(&a, &b, kind, d, ratio, 1000 + (uint64_t)t);
        const struct mb_interval i = mb_paired_speedup(&a.series, &b.series, (uint64_t)t);
        held += i.low <= ratio && ratio <= i.high;
    }
    noise_free(&a);
    noise_free(&b);
    return held;
}

/* Whether that is from 93 % to `most`, give or take three standard deviations of the count. */
static bool holds(const char *kind, const char *design, int held, int n, double most) {
    const double share = (double)held / n, slack = 3 * sqrt(0.95 * 0.05 / n);
    const bool good = share >= 0.93 - slack && share <= most + slack;
    printf("%-12s %-28s %.3f  (0.93 to %.2f, +- %.3f)%s\n", kind, design, share, most, slack,
           good ? "" : ": WRONG");
    return good;
}

static void the_interval_holds_the_truth(void **state) {
    int wrong = 0, all_held = 0;
    (void)state;
    for (int k = 0; k < N_NOISE_KINDS; k++)
        for (size_t i = 0; i < N_DESIGNS; i++) {
            const int held = n_held((enum noise_kind)k, &designs[i].design);
            const double most = k == BIMODAL && i == ONE_START ? 0.98 : 0.97; /* see paired.h */
            wrong += !holds(kinds[k], designs[i].name, held, n_trials, most);
            all_held += held;
        }
    wrong += !holds("all", "", all_held, n_trials * N_NOISE_KINDS * N_DESIGNS, 0.97);
    assert_int_equal(wrong, 0);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_interval_holds_the_truth)};
    if (argc > 1) n_trials = atoi(argv[1]);
    return cmocka_run_group_tests_name("coverage", tests, NULL, NULL);
}
