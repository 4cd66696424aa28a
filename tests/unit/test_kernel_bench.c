/* The table of shapes and its programs; rooflines. */
#include "kernel_bench.h"
#include "mind.h"
#include "roofline.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Each row is a program of one matrix product or convolution whose result has the row's extents. */
static void every_shape_is_a_program(void **state) {
    (void)state;
    struct mb_kernel_shape s;
    struct mb_mind *mind;
    struct mb_err err;
    char text[MB_KERNEL_SOURCE_BYTES];
    size_t n_matmuls = 0, n_convolutions = 0, n_short[2] = {0};
    assert_int_equal(mb_mind_open(&mind, &err), MB_OK);
    for (const char *at = NULL; mb_kernel_shape_next(&at, &s);) {
        const struct mb_program *p;
        mb_kernel_shape_source(&s, text);
        const struct mb_mind_source source = {.file = s.label, .text = text, .len = strlen(text)};
        if (mb_mind_compile(mind, &source, &p, &err) != MB_OK) fail_msg("%s", err.text);
        const struct mb_shape *y = &p->nodes[p->outputs[0]].type.shape;
        double flops = 0;
        size_t n = 0;
        for (uint32_t i = 0; i < p->n_nodes; i++)
            if (p->nodes[i].op == s.op) n++, flops += mb_node_flops(p, i);
        assert_int_equal(n, 1);
        assert_int_equal(p->n_params, 3);
        assert_int_equal(p->params[0].role, MB_INPUT);
        assert_int_equal(p->params[1].role, MB_WEIGHT);
        assert_int_equal(p->params[2].role, MB_WEIGHT);
        assert_int_equal(p->n_outputs, 1);
        assert_int_equal(y->dim[0], s.n);
        assert_int_equal(y->dim[1], s.filters);
        if (s.op == MB_OP_MATMUL) {
            n_matmuls++;
            assert_int_equal(y->rank, 2);
            assert_true(flops == 2.0 * (double)(s.n * s.c * s.filters));
        } else {
            n_convolutions++;
            assert_int_equal(y->dim[2], (s.h + 2 * s.pad - s.r) / s.stride + 1);
            assert_int_equal(y->dim[3], (s.w + 2 * s.pad - s.s) / s.stride + 1);
            assert_true(flops == 2.0 * (double)(s.n * s.filters * y->dim[2] * y->dim[3]) *
                                     (double)(s.c * s.r * s.s));
        }
        n_short[s.op == MB_OP_CONV2D] += s.is_short;
    }
    mb_mind_close(mind);
    assert_true(n_matmuls >= 60 && n_convolutions >= 40);
    assert_true(n_short[0] >= 4 && n_short[1] >= 4 && n_short[0] + n_short[1] <= 20);
}

static void filters_look_at_label_and_layer(void **state) {
    (void)state;
    const struct mb_kernel_shape s = {
        .label = "matmul (1, 4096) x 4096", .from = "a decoder", .is_short = false};
    struct mb_kernel_shape marked = s;
    marked.is_short = true;
    assert_true(mb_kernel_shape_matches(&s, "all"));
    assert_true(mb_kernel_shape_matches(&s, "(1, 4096)"));
    assert_true(mb_kernel_shape_matches(&s, "x 4096 a dec"));
    assert_false(mb_kernel_shape_matches(&s, "conv2d"));
    assert_false(mb_kernel_shape_matches(&s, NULL));
    assert_true(mb_kernel_shape_matches(&marked, NULL));
}

static void the_slower_of_memory_and_arithmetic_bounds(void **state) {
    (void)state;
    const struct mb_ceilings c = {
        .read = {{1 << 10, 400}, {1 << 14, 200}, {1 << 15, 50}}, .n_read = 3, .fma_gflops = 100};
    struct mb_roofline r = mb_roofline_of(&c, 100, 0); /* below the first size */
    assert_true(r.read_gbps == 400 && r.ns == 0.25 && !r.is_compute);
    r = mb_roofline_of(&c, 1 << 10, 0);
    assert_true(r.read_gbps == 400);
    r = mb_roofline_of(&c, 1 << 12, 0); /* half of the way in powers of two */
    assert_true(fabs(r.read_gbps - 300) < 1e-9);
    r = mb_roofline_of(&c, 1 << 14, 0);
    assert_true(fabs(r.read_gbps - 200) < 1e-9);
    r = mb_roofline_of(&c, 1 << 20, 0); /* above the last */
    assert_true(r.read_gbps == 50 && !r.is_compute);
    r = mb_roofline_of(&c, 400, 99);
    assert_true(r.ns == 1 && !r.is_compute);
    r = mb_roofline_of(&c, 400, 200);
    assert_true(r.ns == 2 && r.is_compute);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shape_is_a_program),
        cmocka_unit_test(filters_look_at_label_and_layer),
        cmocka_unit_test(the_slower_of_memory_and_arithmetic_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
