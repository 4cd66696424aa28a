/* The CUDA backend whole, but for the GPU: its host code on a runtime of paper (fake_cuda.h), its
 * kernels in emulation, on programs like the workloads, against the reference. Shows that plan,
 * packing, scratch memory and kernels fit together; graphs are test_exec_cuda.c's. */
#include "backend_cuda.h"
#include "device_session.h"
#include "fake_cuda.h"
#include "program_builder.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int refuse_capture(void **state) {
    (void)state;
    fake_cuda_reset();
    fake_cuda.refuse_capture = 1; /* emulated kernels run when they are launched */
    return 0;
}

static void check(struct pb *pb, double tolerance) {
    const struct mb_open_config config = {.executor = "mind-kernels",
                                          .device = "cuda",
                                          .n_threads = 1,
                                          .precision = MB_FP32,
                                          .isa_cap = MB_ISA_BEST};
    pb_check_on(mb_backend_get(), &config, pb_done(pb), 5, tolerance);
    assert_int_equal(fake_cuda.n_alive, 0);
}

static uint32_t conv_layer(struct pb *pb, uint32_t x, int64_t in, int64_t out) {
    uint32_t w = pb_param(pb, MB_WEIGHT, pb_f32(4, out, in, 3, 3));
    uint32_t b = pb_param(pb, MB_WEIGHT, pb_f32(1, out, 0, 0, 0));
    uint32_t y = pb_binary(pb, MB_OP_ADD, pb_conv(pb, x, w, MB_NCHW, 1, 1),
                           pb_reshape(pb, b, pb_f32(4, 1, out, 1, 1)));
    return pb_pool(pb, MB_OP_MAXPOOL2D, pb_unary(pb, MB_OP_RELU, y), MB_NCHW, 2, 2);
}

static void large_matmul(void **state) {
    (void)state;
    struct pb pb;
    pb_init(&pb);
    uint32_t x = pb_param(&pb, MB_INPUT, pb_f32(2, 1, 4096, 0, 0));
    uint32_t w = pb_param(&pb, MB_WEIGHT, pb_f32(2, 4096, 512, 0, 0));
    pb_output(&pb, pb_binary(&pb, MB_OP_MATMUL, x, w));
    check(&pb, 1e-5);
}

static void mlp(void **state) {
    (void)state;
    struct pb pb;
    pb_init(&pb);
    uint32_t x = pb_param(&pb, MB_INPUT, pb_f32(2, 32, 784, 0, 0));
    uint32_t h = pb_unary(&pb, MB_OP_RELU, dense_layer(&pb, x, 784, 512));
    h = pb_unary(&pb, MB_OP_RELU, dense_layer(&pb, h, 512, 256));
    pb_output(&pb, dense_layer(&pb, h, 256, 10));
    check(&pb, 1e-5);
}

static void cnn(void **state) {
    (void)state;
    struct pb pb;
    pb_init(&pb);
    uint32_t x = pb_param(&pb, MB_INPUT, pb_f32(4, 2, 3, 32, 32));
    uint32_t p = conv_layer(&pb, conv_layer(&pb, x, 3, 64), 64, 64);
    pb_output(&pb, dense_layer(&pb, pb_reshape(&pb, p, pb_f32(2, 2, 4096, 0, 0)), 4096, 10));
    check(&pb, 2e-5);
}

/* Weights that load computes, weights known only in the run, and operations on their own. */
static void mixed(void **state) {
    (void)state;
    struct pb pb;
    pb_init(&pb);
    uint32_t x = pb_param(&pb, MB_INPUT, pb_f32(2, 6, 40, 0, 0));
    uint32_t wt = pb_param(&pb, MB_WEIGHT, pb_f32(2, 24, 40, 0, 0));
    uint32_t keys = pb_param(&pb, MB_INPUT, pb_f32(2, 24, 9, 0, 0));
    const union mb_attr turn = {.perm = {{1, 0}}}, along = {.axis = {1}};
    uint32_t w = pb_node(&pb, MB_OP_TRANSPOSE, wt, 0, turn);
    uint32_t scores = pb_binary(&pb, MB_OP_MATMUL, pb_binary(&pb, MB_OP_MATMUL, x, w), keys);
    pb_output(&pb, pb_node(&pb, MB_OP_SOFTMAX, scores, 0, along));
    pb_output(&pb, w);
    pb_output(&pb, pb_unary(&pb, MB_OP_GELU, scores));
    check(&pb, 1e-5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(large_matmul, refuse_capture),
        cmocka_unit_test_setup(mlp, refuse_capture),
        cmocka_unit_test_setup(cnn, refuse_capture),
        cmocka_unit_test_setup(mixed, refuse_capture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
