/* How often the interval of a ratio holds the truth, on noise of known truth: 95 % is promised.
 * `test_coverage N` simulates N races of each kind instead of a few. */
#include "noise.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static int n_trials = 300;

static const char *const kinds[] = {"lognormal", "bimodal", "drift", "heavy tail", "bursts"};

static const struct {
    const char *name;
    struct noise_design design;
} designs[] = {
    {"100 samples, 3 starts", {6, 3, 5, 0.004}},  {"100 samples, 3 starts alike", {6, 3, 5, 0}},
    {"20 starts, 20 blocks", {40, 20, 5, 0.004}}, {"1 start", {2, 10, 5, 0}},
    {"control of 3 starts", {3, 3, 5, 0.0057}},
};
enum { N_DESIGNS = sizeof designs / sizeof *designs };

static double coverage(enum noise_kind kind, const struct noise_design *d, bool throughput) {
    const double ratio = 0.97;
    struct noise_side a, b;
    int held = 0;
    noise_room(&a, d);
    noise_room(&b, d);
    for (int t = 0; t < n_trials; t++) {
        noise_fill(&a, &b, kind, d, ratio, 1000 + (uint64_t)t);
        const struct mb_interval i = throughput
                                         ? mb_paired_throughput(&a.series, &b.series, (uint64_t)t)
                                         : mb_paired_speedup(&a.series, &b.series, (uint64_t)t);
        held += i.low <= ratio && ratio <= i.high;
    }
    noise_free(&a);
    noise_free(&b);
    return (double)held / n_trials;
}

static void the_interval_holds_the_truth(void **state) {
    /* three standard deviations of the count around what is promised */
    const double slack = 3 * sqrt(0.95 * 0.05 / n_trials);
    int wrong = 0;
    (void)state;
    for (int k = 0; k < N_NOISE_KINDS; k++)
        for (size_t i = 0; i < N_DESIGNS; i++) {
            const double share = coverage((enum noise_kind)k, &designs[i].design, false);
            const bool good = share >= 0.93 - slack && share <= 0.97 + slack;
            printf("%-12s %-28s %.3f%s\n", kinds[k], designs[i].name, share,
                   good ? "" : "  (not between 0.93 and 0.97)");
            wrong += !good;
        }
    assert_int_equal(wrong, 0);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_interval_holds_the_truth)};
    if (argc > 1) n_trials = atoi(argv[1]);
    return cmocka_run_group_tests_name("coverage", tests, NULL, NULL);
}
