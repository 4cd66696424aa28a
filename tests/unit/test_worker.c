/* What a worker process is told, seen in what it computes. Its process is this program again. */
#include "clock.h"
#include "worker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const int64_t limit_ns = 120000000000;

/* What the program of the same source and seed makes of the constants in this process. */
static void outputs_are_constants(const struct mb_program *p, void *const *outputs) {
    for (uint32_t i = 0; i < p->n_outputs; i++) {
        const struct mb_node *n = &p->nodes[p->outputs[i]];
        float want[64];
        size_t count;
        assert_true(mb_shape_count(&n->type.shape, &count) && count <= 64);
        mb_program_constant(n, 0, (int64_t)count, want);
        assert_memory_equal(outputs[i], want, count * sizeof *want);
    }
}

/* Has a worker run `text`; `output` gets the first 64 bytes of the first output, which with
 * `constants` are compared with this process's. */
static enum mb_status run(const char *text, uint64_t seed, const char *executor, const char *kernel,
                          bool constants, char output[64], struct mb_err *err) {
    enum mb_status st = MB_OK;
    struct mb_mind *mind = NULL;
    struct mb_worker *worker = NULL;
    struct mb_shared params = {.fd = -1};
    struct mb_arena arena;
    struct mb_executor_result result;
    double sample;
    const struct mb_block block = {.purpose = MB_NVTX_MEASURE, .n_samples = 1};
    struct mb_worker_config config = {
        .benchmark = "test",
        .executor = mb_executor_find(executor, "cpu"),
        .open = {.n_threads = 1, .isa_cap = MB_ISA_SCALAR, .kernel = kernel},
        .source = {.file = "test.mind", .text = text, .len = strlen(text), .seed = seed},
        .params = &params,
        .cancel_fd = -1};
    mb_arena_init(&arena);
    MB_TRY(mb_mind_open(&mind, err));
    MB_TRY(mb_mind_compile(mind, &config.source, &config.program, err));
    MB_TRY(mb_shared_params(config.program, -1, true, &params, err));
    mb_tensors_fill(config.program, 1, params.data);
    MB_TRY(mb_worker_start(&config, mb_clock_ns() + limit_ns, &arena, &result, &worker, err));
    MB_TRY(mb_worker_run(worker, &block, mb_clock_ns() + limit_ns, &sample, err));
    memcpy(output, mb_worker_outputs(worker)[0], 64);
    if (constants) outputs_are_constants(config.program, mb_worker_outputs(worker));
out:
    mb_worker_stop(worker);
    mb_shared_close(&params);
    mb_mind_close(mind);
    mb_arena_free(&arena);
    return st;
}

static void seed_makes_random_constants(void **state) {
    static const char text[] = "(randn([16]), rand_uniform([4, 4]))";
    char first[64], again[64], other[64], huge[64];
    struct mb_err err;
    (void)state;
    assert_int_equal(run(text, 7, "mind", NULL, true, first, &err), MB_OK);
    assert_int_equal(run(text, 7, "mind", NULL, true, again, &err), MB_OK);
    assert_int_equal(run(text, 8, "mind", NULL, true, other, &err), MB_OK);
    assert_int_equal(run(text, UINT64_MAX, "mind", NULL, true, huge, &err), MB_OK);
    assert_memory_equal(first, again, 64);
    assert_memory_not_equal(first, other, 64);
    assert_memory_not_equal(first, huge, 64);
    assert_int_equal(run(text, 7, "mind-scalar", NULL, true, again, &err), MB_OK);
    assert_memory_equal(first, again, 64);
}

static void own_seed_is_kept(void **state) {
    static const char text[] = "randn([16], 5)";
    char first[64], other[64];
    struct mb_err err;
    (void)state;
    assert_int_equal(run(text, 7, "mind", NULL, true, first, &err), MB_OK);
    assert_int_equal(run(text, 8, "mind", NULL, true, other, &err), MB_OK);
    assert_memory_equal(first, other, 64);
}

static void kernel_is_the_one_asked_for(void **state) {
    static const char text[] = "fn f(x: tensor<f32[4, 5]>, w: tensor<f32[5, 4]>) { x @ w }";
    char output[64];
    struct mb_err err;
    (void)state;
    assert_int_equal(run(text, 0, "mind", "f32_matmul__scalar", false, output, &err), MB_OK);
    assert_int_equal(run(text, 0, "mind", "f32_conv2d__scalar", false, output, &err),
                     MB_E_UNSUPPORTED);
    assert_int_equal(run(text, 0, "mind", "no_such_kernel", false, output, &err), MB_E_INVALID);
    assert_non_null(strstr(err.text, "no_such_kernel"));
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seed_makes_random_constants),
        cmocka_unit_test(own_seed_is_kept),
        cmocka_unit_test(kernel_is_the_one_asked_for),
    };
    if (argc > 1 && strcmp(argv[1], MB_WORKER_COMMAND) == 0) return mb_worker_serve();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
