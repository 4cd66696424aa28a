/* What a program must at least do, floors of its time, and shares of a roofline. */
#include "mind.h"
#include "roofline.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void expect_least(const char *text, double bytes, double flops) {
    struct mb_mind *mind;
    const struct mb_program *p;
    struct mb_err err;
    const struct mb_mind_source source = {.file = "t.mind", .text = text, .len = strlen(text)};
    assert_int_equal(mb_mind_open(&mind, &err), MB_OK);
    if (mb_mind_compile(mind, &source, &p, &err) != MB_OK) fail_msg("%s", err.text);
    const struct mb_least least = mb_program_least(p);
    assert_true(fabs(least.bytes - bytes) < 0.5);
    assert_true(fabs(least.flops - flops) <= 1e-9 * flops);
    mb_mind_close(mind);
}

static void the_least_is_what_nobody_can_avoid(void **state) {
    (void)state;
    expect_least("pub fn f(x: tensor<f32[2, 8]>, w: tensor<f32[8, 4]>) -> tensor<f32[2, 4]> {\n"
                 "    return matmul(x, w);\n}\n",
                 4 * (16 + 32), 2 * 2 * 8 * 4);
    /* twice the same is done once; a product of weights is done ahead of the run */
    expect_least("pub fn f(x: tensor<f32[2, 8]>, w: tensor<f32[8, 4]>) -> tensor<f32[2, 4]> {\n"
                 "    return matmul(x, w) + matmul(x, w);\n}\n",
                 4 * (16 + 32), 2 * 2 * 8 * 4);
    expect_least("pub fn f(x: tensor<f32[2, 8]>, v: tensor<f32[8, 8]>, w: tensor<f32[8, 4]>) -> "
                 "tensor<f32[2, 4]> {\n    return matmul(x, matmul(v, w));\n}\n",
                 4 * 16, 2 * 2 * 8 * 4);
    /* of a sliced product only some rows may be computed, from some rows */
    expect_least("pub fn f(x: tensor<f32[4, 8]>, w: tensor<f32[8, 4]>) -> tensor<f32[2, 4]> {\n"
                 "    return matmul(x, w)[0..2];\n}\n",
                 0, 0);
    /* Strassen once, Winograd's F(6x6, 3x3) */
    expect_least("pub fn f(x: tensor<f32[512, 512]>, w: tensor<f32[512, 512]>) -> "
                 "tensor<f32[512, 512]> {\n    return matmul(x, w);\n}\n",
                 4 * 2 * 512 * 512, 7.0 / 8 * 2 * 512 * 512 * 512);
}

static const struct mb_ceilings ceilings = {
    .read = {{1 << 10, 100}, {1 << 12, 40}, {1 << 14, 60}, {1 << 16, 10}},
    .n_read = 4,
    .fma_gflops = 2,
};

static void floors(void **state) {
    (void)state;
    const struct mb_least small = {1 << 11, 0}, large = {1 << 20, 0}, dense = {1 << 11, 1000};
    /* half of the time, at the rate of half the size */
    assert_true(fabs(mb_roofline_floor_ns(&ceilings, &small, false, false) - 0.5 * 2048 / 100) <
                1e-9);
    assert_true(fabs(mb_roofline_floor_ns(&ceilings, &small, true, false) - 0.5 * 2048 / 10) <
                1e-9);
    assert_true(fabs(mb_roofline_floor_ns(&ceilings, &large, false, false) - 0.5 * (1 << 20) / 10) <
                1e-6);
    assert_true(fabs(mb_roofline_floor_ns(&ceilings, &dense, false, false) - 0.5 * 500) < 1e-9);
    assert_true(fabs(mb_roofline_floor_ns(&ceilings, &dense, false, true) - 0.5 * 2048 / 100) <
                1e-9);
}

static void a_disturbed_ceiling_is_none(void **state) {
    (void)state;
    assert_true(fabs(mb_roofline_of(&ceilings, 1 << 12, 0).read_gbps - 60) < 1e-9);
    struct mb_ceilings merged = ceilings;
    const struct mb_ceilings others = {
        .read = {{1 << 10, 90}, {1 << 12, 80}, {1 << 14, 60}, {1 << 16, 10}},
        .n_read = 4,
        .fma_gflops = 3};
    mb_ceilings_merge(&merged, &others);
    assert_true(merged.read[0].read_gbps == 100 && merged.read[1].read_gbps == 80);
    assert_true(merged.fma_gflops == 3);
}

static void shares(void **state) {
    (void)state;
    struct mb_executor_result rows[3] = {
        {.n_samples = 1, .latency_ns.p50 = 1000, .info.flops = 1000},
        {.n_samples = 1, .latency_ns.p50 = 1000}, /* tells no algorithm: the direct one */
        {.latency_ns.p50 = (double)NAN},          /* no samples */
    };
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < MB_N_DEVICE_SERIES; k++)
            rows[i].device_time[k].summary_ns.p50 = (double)NAN;
    rows[1].device_time[MB_DEVICE_batch].summary_ns.p50 = 800;
    struct mb_benchmark_result b = {
        .bytes = 1 << 12, .flops = 1200, .executors = rows, .n_executors = 3};
    struct mb_result result = {.has_ceilings = true, .ceilings = ceilings};
    mb_roofline_conclude(&result, &b);
    assert_true(rows[0].roofline.is_compute && fabs(rows[0].roofline_share - 0.5) < 1e-9);
    assert_true(fabs(rows[1].roofline_share - 600.0 / 800) < 1e-9);
    assert_true(isnan(rows[2].roofline_share));
    b.transfers = true;
    mb_roofline_conclude(&result, &b);
    assert_true(isnan(rows[0].roofline_share));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_is_what_nobody_can_avoid),
        cmocka_unit_test(floors),
        cmocka_unit_test(a_disturbed_ceiling_is_none),
        cmocka_unit_test(shares),
    };
    return cmocka_run_group_tests_name("roofline", tests, NULL, NULL);
}
