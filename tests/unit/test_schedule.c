/* Samples over starts, rounds and blocks; and what the kernel's files say of the machine. */
#include "schedule.h"
#include "watch.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

/* Whatever is asked for: exactly the samples wanted, every start has a round, no block is larger
 * than another by more than one sample. */
static void all_samples_are_spread(void **state) {
    (void)state;
    for (uint32_t n = 1; n < 300; n++)
        for (uint32_t starts = 1; starts < 12; starts++) {
            const struct mb_schedule s = mb_schedule_of(n, starts);
            uint32_t sum = 0, most = 0, least = n;
            for (uint32_t round = 0; round < s.n_rounds; round++)
                for (uint32_t lane = 0; lane < s.n_lanes; lane++) {
                    const uint32_t k = mb_schedule_samples(&s, round, lane);
                    sum += k;
                    if (k > most) most = k;
                    if (k && k < least) least = k;
                }
            assert_int_equal(sum, n);
            assert_true(most - least <= 1);
            assert_true(s.n_starts >= 1 && s.n_starts <= starts);
            assert_int_equal(mb_schedule_first_round(&s, s.n_starts), s.n_rounds);
            for (uint32_t g = 0; g < s.n_starts; g++)
                assert_true(mb_schedule_first_round(&s, g) < mb_schedule_first_round(&s, g + 1));
        }
}

static void a_hundred_samples(void **state) {
    const struct mb_schedule s = mb_schedule_of(100, 3);
    (void)state;
    assert_int_equal(s.n_rounds, 10);
    assert_int_equal(s.n_starts, 3);
    assert_int_equal(mb_schedule_samples(&s, 0, 1), 5);
    assert_int_equal(mb_schedule_samples(&s, 10, 0), 0);
}

static void starts_are_worth_their_cost(void **state) {
    (void)state;
    assert_int_equal(mb_schedule_starts_in(60, 0.1), 20);
    assert_int_equal(mb_schedule_starts_in(60, 2), 7);
    assert_int_equal(mb_schedule_starts_in(1, 0.1), 3);
    assert_int_equal(mb_schedule_starts_in(0, 10), 3);
}

static void texts_of_the_kernel(void **state) {
    (void)state;
    assert_int_equal(mb_watch_steal_ticks("cpu  1 2 3 4 5 6 7 88 9 0\ncpu0 1 2 3"), 88);
    assert_int_equal(mb_watch_steal_ticks("cpu  1 2 3 4\n"), -1);
    assert_int_equal(mb_watch_steal_ticks(""), -1);
    const char *const sched = "x (1, #threads: 1)\n---\nse.exec_start   :  12.5\n"
                              "se.nr_migrations  :   17\n";
    assert_int_equal(mb_watch_number(sched, "se.nr_migrations"), 17);
    assert_int_equal(mb_watch_number(sched, "se.nr"), -1);
    assert_int_equal(mb_watch_number("a:\t3\nb:\t4\n", "b"), 4);
    assert_int_equal(mb_watch_number("", "b"), -1);
}

/* This process gives the processor away of its own will only: nothing that is counted goes down. */
static void this_process_is_watched(void **state) {
    struct mb_block_state now;
    (void)state;
    const struct mb_watch before = mb_watch_read(getpid());
    mb_watch_since(&before, getpid(), &now);
    assert_true(isnan(now.steal_ns) || now.steal_ns >= 0);
    assert_true(now.context_switches >= 0); /* every Linux tells */
    assert_true(now.migrations >= -1);
    mb_watch_since(&before, 0, &now); /* nobody has this number */
    assert_int_equal(now.context_switches, -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_samples_are_spread),      cmocka_unit_test(a_hundred_samples),
        cmocka_unit_test(starts_are_worth_their_cost), cmocka_unit_test(texts_of_the_kernel),
        cmocka_unit_test(this_process_is_watched),
    };
    return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
