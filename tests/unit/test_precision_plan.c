/* What a pilot says of longer races: exact where the noise is known, and never shorter than it. */
#include "noise.h"
#include "precision_plan.h"
#include "stats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct mb_pilot six_pairs = {.half_width = 0.02,
                                          .noise = {{0.0001, 3}, {0.0001, 3}},
                                          .n_starts = 3,
                                          .n_samples = 100,
                                          .cycle_s = 2,
                                          .wall_s = 7};

static void near(double got, double want) {
    if (!(fabs(got - want) <= 1e-9 * (1 + fabs(want))))
        fail_msg("%.17g instead of %.17g", got, want);
}

/* Six pairs came to 2 %, so that their deviation is 0.02 * sqrt(6) / 2.5706 = 0.01906. Seven starts
 * come to 2.1604 / sqrt(14) of it, 1.100 %, eight to 2.1314 / sqrt(16), 1.016 %, nine to
 * 2.1098 / sqrt(18), 0.948 %. */
static void starts_follow_from_the_deviation(void **state) {
    (void)state;
    const struct mb_effort one_percent = mb_pilot_effort(&six_pairs, 0.01);
    near(one_percent.n_starts, 9);
    near(one_percent.n_samples, 900);
    near(one_percent.wall_s, 7 + 6 * 2);
    const struct mb_noise noise = {0.0001, 9};
    struct mb_noise other = noise;
    near(one_percent.detectable, mb_paired_detectable(&noise, &other, 18));
    near(mb_pilot_effort(&six_pairs, 0.0105).n_starts, 8);
}

static void no_race_is_shorter_than_the_pilot(void **state) {
    (void)state;
    const struct mb_effort wide = mb_pilot_effort(&six_pairs, 0.5);
    near(wide.n_starts, 3);
    near(wide.wall_s, 7);
}

/* Read back from a race of known noise: blocks of a start follow each other by 10 ms, starts by a
 * second more. */
static void a_pilot_is_read_from_a_race(void **state) {
    const struct noise_design d = {6, 10, 5, 0.01};
    struct noise_side sides[2];
    struct mb_block_state states[60] = {{0}};
    struct mb_executor_result rows[2] = {{0}};
    (void)state;
    noise_room(&sides[0], &d);
    noise_room(&sides[1], &d);
    noise_fill(&sides[0], &sides[1], LOGNORMAL, &d, 0.9, 1);
    for (size_t i = 0; i < 60; i++)
        states[i].start_ns = 1e7 * (double)i + 1e9 * (double)(sides[0].process[i] / 2);
    for (int k = 0; k < 2; k++)
        rows[k] = (struct mb_executor_result){.measured = true,
                                              .valid = true,
                                              .samples_ns = sides[k].samples,
                                              .n_samples = 300,
                                              .first_of_block = sides[k].first,
                                              .process_of_block = sides[k].process,
                                              .n_blocks = 60,
                                              .block_states = states};
    struct mb_comparison c = {.speedup = {0.9, 0.9 * exp(-0.03), 0.9 * exp(0.03)}};
    struct mb_benchmark_result bench = {
        .executors = rows, .n_executors = 2, .comparisons = &c, .n_comparisons = 1};
    struct mb_pilot pilot;
    assert_null(mb_pilot_read(&bench, 5, &pilot));
    near(pilot.half_width, 0.03);
    assert_int_equal(pilot.n_starts, 3);
    assert_int_equal(pilot.n_samples, 100);
    near(pilot.cycle_s, 1.2);
    assert_false(pilot.alone);
    near(pilot.noise[1].variance, mb_paired_noise(&sides[1].series).variance);
    rows[0].n_blocks = rows[1].n_blocks = 40;
    assert_string_equal(mb_pilot_read(&bench, 5, &pilot), "the pilot ended before its third start");
    c = (struct mb_comparison){.withheld = true, .reason = "precision differs"};
    assert_string_equal(mb_pilot_read(&bench, 5, &pilot), "precision differs");
    rows[1].valid = false;
    rows[1].invalid_reason = "cut short by --timeout";
    assert_string_equal(mb_pilot_read(&bench, 5, &pilot), "cut short by --timeout");
    noise_free(&sides[0]);
    noise_free(&sides[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(starts_follow_from_the_deviation),
                                       cmocka_unit_test(no_race_is_shorter_than_the_pilot),
                                       cmocka_unit_test(a_pilot_is_read_from_a_race)};
    return cmocka_run_group_tests_name("precision_plan", tests, NULL, NULL);
}
