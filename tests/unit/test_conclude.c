/* What makes a row INVALID once its samples are there, and how sure its median is. */
#include "conclude.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { N_BLOCKS = 6, IN_BLOCK = 2, N_SAMPLES = N_BLOCKS * IN_BLOCK };

/* One executor in six processes of one block each. */
struct row {
    double samples[N_SAMPLES];
    size_t first[N_BLOCKS + 1], process[N_BLOCKS];
    struct mb_block_state states[N_BLOCKS];
    struct mb_process processes[N_BLOCKS];
    struct mb_executor_result executor;
    struct mb_benchmark_result bench;
};

/* Blocks of these latencies, timed by the other timer as that much more a run. */
static void make(struct row *r, const double *block_ns, double more_ns) {
    *r = (struct row){.bench = {.batch = 1, .floor_ns = (double)NAN}};
    for (size_t i = 0; i < N_BLOCKS; i++) {
        r->first[i + 1] = (i + 1) * IN_BLOCK;
        r->process[i] = i;
        for (size_t k = 0; k < IN_BLOCK; k++) r->samples[i * IN_BLOCK + k] = block_ns[i];
        r->states[i].second_timer_ns = IN_BLOCK * (block_ns[i] + more_ns);
    }
    r->executor = (struct mb_executor_result){.name = "mind",
                                              .measured = true,
                                              .valid = true,
                                              .samples_ns = r->samples,
                                              .n_samples = N_SAMPLES,
                                              .first_of_block = r->first,
                                              .n_blocks = N_BLOCKS,
                                              .process_of_block = r->process,
                                              .block_states = r->states,
                                              .processes = r->processes,
                                              .n_processes = N_BLOCKS,
                                              .energy_per_run_mj = (double)NAN};
    r->bench.executors = &r->executor;
    r->bench.n_executors = 1;
}

static void conclude(struct row *r, struct mb_arena *arena) {
    static const struct mb_statistics settings = {.least_effect = MB_LEAST_EFFECT};
    struct mb_err err;
    assert_int_equal(mb_conclude(&r->bench, 1, &settings, arena, &err), MB_OK);
}

/* Clocks cost a run 50 ns. In blocks of 500 ns that is a tenth, and it is allowed there, however
 * long the other blocks are. */
static void timers_are_judged_block_by_block(void **state) {
    static const double mixed[] = {500, 500, 500, 1e6, 1e6, 1e6},
                        long_ones[] = {1e6, 1e6, 1e6, 1e6, 1e6, 1e6};
    struct mb_arena arena;
    struct row r;
    (void)state;
    mb_arena_init(&arena);
    make(&r, mixed, 50);
    conclude(&r, &arena);
    assert_true(r.executor.valid);
    assert_true(fabs(r.executor.timer_disagreement - (50.0 / 550 + 50 / (1e6 + 50)) / 2) < 1e-6);
    make(&r, long_ones, 12000); /* 1 % and a microsecond are allowed: 11.1 us */
    conclude(&r, &arena);
    assert_false(r.executor.valid);
    assert_non_null(strstr(r.executor.invalid_reason, "two timers disagree by 1.19 %"));
    make(&r, long_ones, 11000);
    conclude(&r, &arena);
    assert_true(r.executor.valid);
    mb_arena_free(&arena);
}

static void a_median_below_the_floor_is_invalid(void **state) {
    static const double ns[] = {900, 900, 900, 900, 900, 900};
    struct mb_arena arena;
    struct row r;
    (void)state;
    mb_arena_init(&arena);
    make(&r, ns, 0);
    r.bench.floor_ns = 899;
    conclude(&r, &arena);
    assert_true(r.executor.valid);
    make(&r, ns, 0);
    r.bench.floor_ns = 901;
    conclude(&r, &arena);
    assert_false(r.executor.valid);
    assert_non_null(strstr(r.executor.invalid_reason, "faster than this device can be"));
    mb_arena_free(&arena);
}

/* Processes that differ make the median of one executor unsure, however alike most samples are. Of
 * six one is 0.2 slower in logarithms: a resample holds it 0 to 3 times in 95 % (Bin(6, 1/6)), half
 * of which is 0.05 in the mean, stretched by Student's t of five over the normal distribution. */
static void processes_make_the_interval_of_the_median(void **state) {
    static const double ns[] = {1e5, 1e5, 1e5, 1e5, 1e5, 1e5 * 1.2214027581601699};
    const double half = 0.05 * sqrt(6.0 / 5) * 2.570582 / 1.959964;
    struct mb_arena arena;
    struct row r;
    (void)state;
    mb_arena_init(&arena);
    make(&r, ns, 0);
    conclude(&r, &arena);
    const struct mb_summary *s = &r.executor.latency_ns;
    assert_true(fabs(log(s->ci_high / s->p50) - half) < 1e-5);
    assert_true(fabs(log(s->p50 / s->ci_low) - half) < 1e-5);
    mb_arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(timers_are_judged_block_by_block),
                                       cmocka_unit_test(a_median_below_the_floor_is_invalid),
                                       cmocka_unit_test(processes_make_the_interval_of_the_median)};
    return cmocka_run_group_tests_name("conclude", tests, NULL, NULL);
}
