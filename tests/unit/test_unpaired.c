/* One executor in two runs: the interval holds the truth as often as it says, also where processes
 * differ from each other. */
#include "random.h"
#include "unpaired.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MAX_PROCESSES = 5, BLOCKS = 5, IN_BLOCK = 3, MAX_BLOCKS = MAX_PROCESSES * BLOCKS };

struct run {
    struct mb_executor_result result;
    double samples[MAX_BLOCKS * IN_BLOCK];
    size_t first[MAX_BLOCKS + 1], process[MAX_BLOCKS];
    struct mb_process processes[MAX_PROCESSES];
};

static double normal(uint64_t seed, uint64_t at) {
    double pair[2];
    mb_random_normal_pair(seed, 1, 2 * at, pair);
    return pair[0];
}

/* Latencies about `ns`; processes and blocks each move it by these shares. */
static void make(struct run *r, size_t n_processes, double ns, double of_process, double of_block,
                 uint64_t seed) {
    uint64_t at = 0;
    size_t n = 0, block = 0;
    *r = (struct run){0};
    for (size_t p = 0; p < n_processes; p++) {
        const double process = of_process * normal(seed, at++);
        for (size_t b = 0; b < BLOCKS; b++, block++) {
            const double level = of_block * normal(seed, at++);
            r->first[block] = n;
            r->process[block] = p;
            for (size_t i = 0; i < IN_BLOCK; i++)
                r->samples[n++] = ns * exp(process + level + 0.01 * normal(seed, at++));
        }
    }
    r->first[block] = n;
    r->result = (struct mb_executor_result){.samples_ns = r->samples,
                                            .n_samples = n,
                                            .first_of_block = r->first,
                                            .n_blocks = block,
                                            .process_of_block = r->process,
                                            .processes = r->processes,
                                            .n_processes = n_processes};
}

static struct mb_unpaired ratio_of(size_t n_processes, double truth, double of_process,
                                   double of_block, uint64_t seed) {
    static struct run base, next;
    make(&base, n_processes, 1e6 * truth, of_process, of_block, 2 * seed);
    make(&next, n_processes, 1e6, of_process, of_block, 2 * seed + 1);
    return mb_unpaired_speedup(&base.result, &next.result, seed);
}

/* Of 40 intervals of 95 %, fewer than 32 hold the truth once in 10,000. */
static void expect_coverage(size_t n_processes, double of_process, double of_block) {
    enum { N = 40, LEAST = 32 };
    int held = 0;
    for (uint64_t seed = 0; seed < N; seed++) {
        struct mb_interval i = ratio_of(n_processes, 1, of_process, of_block, seed).speedup;
        held += i.low <= 1 && 1 <= i.high;
    }
    if (held < LEAST)
        fail_msg("%zu processes, shares %g and %g: %d of %d", n_processes, of_process, of_block,
                 held, N);
}

static void the_interval_holds_the_truth(void **state) {
    (void)state;
    expect_coverage(5, 0, 0.01);
    expect_coverage(5, 0.03, 0.01);
    expect_coverage(2, 0.03, 0.01);
}

static void a_difference_is_told(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct mb_unpaired u = ratio_of(5, 1.1, 0.01, 0.01, seed);
        assert_false(u.one_process);
        assert_true(u.speedup.low > 1.02 && u.speedup.low < 1.1);
        assert_true(u.speedup.value > 1.05 && u.speedup.value < 1.15);
        assert_true(u.speedup.high >= u.speedup.value);
        struct mb_unpaired again = ratio_of(5, 1.1, 0.01, 0.01, seed);
        assert_true(u.speedup.low == again.speedup.low && u.speedup.high == again.speedup.high);
    }
}

static void one_process_is_told(void **state) {
    (void)state;
    assert_true(ratio_of(1, 1, 0.01, 0.01, 1).one_process);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_interval_holds_the_truth),
        cmocka_unit_test(a_difference_is_told),
        cmocka_unit_test(one_process_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
