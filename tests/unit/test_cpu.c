/* The CPU backend on whole programs: the workloads, every operation and dtype, what is fused and
 * what must not be, memory used again, and random programs, all against the reference. */
#include "backend_cpu.h"
#include "cpu_isa.h"
#include "program_builder.h"
#include "reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const executors[] = {"mind", "mind-avx512", "mind-avx2", "mind-scalar"};
static const enum mb_isa needs[] = {MB_ISA_SCALAR, MB_ISA_AVX512, MB_ISA_AVX2, MB_ISA_SCALAR};
enum { N_EXECUTORS = 4 };

/* On every executor that this processor has, with 1, 2 and 3 threads. */
static void check_all(const struct mb_program *program, uint64_t seed, double tolerance) {
    for (int e = 0; e < N_EXECUTORS; e++)
        for (int threads = 1; needs[e] <= mb_cpu_isa() && threads <= 3; threads++)
            pb_check(program, executors[e], threads, seed, tolerance);
}

static int lines_starting(const char *text, const char *start) {
    int count = 0;
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        count += strncmp(line, start, strlen(start)) == 0;
        if (*line == '\0') break;
    }
    return count;
}

static void has(const char *text, const char *part) {
    if (!strstr(text, part)) fail_msg("no \"%s\" in\n%s", part, text);
}

static void has_not(const char *text, const char *part) {
    if (strstr(text, part)) fail_msg("\"%s\" in\n%s", part, text);
}

/* ---- the workloads ---- */

static void large_matmul(void **state) {
    (void)state;
    struct pb pb;
    pb_init(&pb);
    uint32_t x = pb_param(&pb, MB_INPUT, pb_f32(2, 1, 4096, 0, 0));
    uint32_t w = pb_param(&pb, MB_WEIGHT, pb_f32(2, 4096, 4096, 0, 0));
    pb_output(&pb, pb_binary(&pb, MB_OP_MATMUL, x, w));
    const struct mb_program *p = pb_done(&pb);
    check_all(p, 1, 1e-5);
    has(pb_plan_text(p, "mind-scalar", 2), "f32_matmul__scalar: matmul (1,4096)x(4096,4096)");
    if (mb_cpu_isa() >= MB_ISA_AVX2) has(pb_plan_text(p, "mind-avx2", 2), "f32_gemv__avx2");
}

static uint32_t dense_layer(struct pb *pb, uint32_t x, int64_t in, int64_t out, bool relu) {
    uint32_t w = pb_param(pb, MB_WEIGHT, pb_f32(2, in, out, 0, 0));
    uint32_t b = pb_param(pb, MB_WEIGHT, pb_f32(1, out, 0, 0, 0));
    uint32_t y = pb_binary(pb, MB_OP_ADD, pb_binary(pb, MB_OP_MATMUL, x, w), b);
    return relu ? pb_unary(pb, MB_OP_RELU, y) : y;
}

static void mlp(void **state) {
    (void)state;
    struct pb pb;
    pb_init(&pb);
    uint32_t x = pb_param(&pb, MB_INPUT, pb_f32(2, 32, 784, 0, 0));
    uint32_t h = dense_layer(&pb, dense_layer(&pb, x, 784, 512, true), 512, 256, true);
    pb_output(&pb, dense_layer(&pb, h, 256, 10, false));
    const struct mb_program *p = pb_done(&pb);
    check_all(p, 2, 1e-5);
    const char *text = pb_plan_text(p, "mind", 2);
    assert_int_equal(lines_starting(text, "step "), 3);
    assert_int_equal(lines_starting(text, "load "), 0);
    has(text, "matmul (32,784)x(784,512) + bias + relu");
    has(text, "matmul (32,256)x(256,10) + bias;");
}

static uint32_t conv_layer(struct pb *pb, uint32_t x, int64_t in, int64_t out) {
    uint32_t w = pb_param(pb, MB_WEIGHT, pb_f32(4, out, in, 3, 3));
    uint32_t b = pb_param(pb, MB_WEIGHT, pb_f32(1, out, 0, 0, 0));
    uint32_t c = pb_conv(pb, x, w, MB_NCHW, 1, 1);
    uint32_t y = pb_binary(pb, MB_OP_ADD, c, pb_reshape(pb, b, pb_f32(4, 1, out, 1, 1)));
    return pb_pool(pb, MB_OP_MAXPOOL2D, pb_unary(pb, MB_OP_RELU, y), MB_NCHW, 2, 2);
}

static void cnn(void **state) {
    (void)state;
    struct pb pb;
    pb_init(&pb);
    uint32_t x = pb_param(&pb, MB_INPUT, pb_f32(4, 8, 3, 64, 64));
    uint32_t p2 = conv_layer(&pb, conv_layer(&pb, x, 3, 64), 64, 64);
    uint32_t flat = pb_reshape(&pb, p2, pb_f32(2, 8, 16384, 0, 0));
    pb_output(&pb, dense_layer(&pb, flat, 16384, 10, false));
    const struct mb_program *p = pb_done(&pb);
    check_all(p, 3, 2e-5);
    const char *text = pb_plan_text(p, "mind", 2);
    assert_int_equal(lines_starting(text, "step "), 3);
    has(text, "conv2d nchw (8,3,64,64) by 64 of 3x3 + bias + relu + maxpool 2x2/2,2");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_matmul),
        cmocka_unit_test(mlp),
        cmocka_unit_test(cnn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
