/* Teams of threads: every share once, phases in order, however late a thread comes. */
#include "threads.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include <cmocka.h>

enum { SHARES = 5, PHASES = 7, JOBS = 3000 };

struct ledger {
    atomic_int runs[PHASES][SHARES];
    atomic_int wrong;
    int late_share; /* takes long; -1: none does */
};

/* A share begins only when the whole phase before is done, and sees what it wrote. */
static void note_share(void *arg, int phase, const struct mb_thread *share) {
    struct ledger *l = arg;
    for (int i = 0; phase > 0 && i < share->count; i++)
        if (l->runs[phase - 1][i] != 1) l->wrong++;
    for (int i = 0; i < share->count; i++)
        if (phase + 1 < PHASES && l->runs[phase + 1][i] != 0) l->wrong++;
    if (share->index == l->late_share) usleep(200);
    volatile float small = 1e-38f;
    if (small * 0.1f == 0.0f) l->wrong++; /* denormals are kept */
    l->runs[phase][share->index]++;
}

static void team_runs_every_share_once_in_order(void **state) {
    (void)state;
    for (int n = 1; n <= SHARES; n++) {
        struct mb_team *team = NULL;
        struct mb_err err;
        assert_int_equal(mb_team_new(n, &team, &err), MB_OK);
        assert_int_equal(mb_team_size(team), n);
        for (int job = 0; job < JOBS; job++) {
            struct ledger l = {.late_share = job % 100 == 0 ? job / 100 % n : -1};
            const int n_phases = 1 + job % PHASES;
            const unsigned mode = _mm_getcsr(), flushing = mode | (job & 1 ? 0x8040 : 0);
            _mm_setcsr(flushing);
            mb_team_run(team, n_phases, note_share, &l);
            assert_int_equal(_mm_getcsr() & 0x8040, flushing & 0x8040);
            _mm_setcsr(mode);
            assert_int_equal(l.wrong, 0);
            for (int p = 0; p < PHASES; p++)
                for (int i = 0; i < n; i++) assert_int_equal(l.runs[p][i], p < n_phases);
            if (job % 500 == 250) usleep(1000); /* until all sleep */
        }
        mb_team_free(team);
    }
    mb_team_free(NULL);
}

/* Threads that sleep are not waited for: the caller is done long before they could wake up. */
static void caller_does_what_nobody_has_begun(void **state) {
    (void)state;
    struct mb_team *team = NULL;
    struct mb_err err;
    cpu_set_t all, one;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    CPU_ZERO(&one);
    for (size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &all)) CPU_SET(i, &one);
    /* on one processor: whoever runs does it all, and nobody waits for the others' turns */
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(mb_team_new(SHARES, &team, &err), MB_OK);
    const clock_t begin = clock(); /* of the processor: others may run here as well */
    for (int job = 0; job < 200; job++) {
        struct ledger l = {.late_share = -1};
        mb_team_run(team, PHASES, note_share, &l);
        assert_int_equal(l.wrong, 0);
    }
    const clock_t passed = clock() - begin;
    mb_team_free(team);
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
    /* A barrier that needs every thread spins away four turns of milliseconds a phase: seconds. */
    assert_true(passed < CLOCKS_PER_SEC / 2);
}

static void system_without_threads_is_an_error(void **state) {
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* it needs more address space than the limit leaves */
#endif
    struct mb_team *team = NULL;
    struct mb_err err;
    struct rlimit before, tight;
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    tight = (struct rlimit){(rlim_t)64 << 20, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_AS, &tight), 0);
    const enum mb_status st = mb_team_new(4000, &team, &err);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    assert_int_equal(st, MB_E_DEVICE);
    assert_null(team);
    assert_non_null(strstr(err.text, "cannot start thread"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(team_runs_every_share_once_in_order),
        cmocka_unit_test(caller_does_what_nobody_has_begun),
        cmocka_unit_test(system_without_threads_is_an_error),
    };
    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
