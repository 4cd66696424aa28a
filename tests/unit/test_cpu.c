/* The CPU backend on whole programs: the workloads, every operation and dtype, what is fused and
 * what must not be, memory used again, and random programs, all against the reference. */
#include "backend_cpu.h"
#include "cpu_isa.h"
#include "evict_cpu.h"
#include "kernel.h"
#include "program_builder.h"
#include "reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* As above for large programs, with two threads. */
static void check_once(const struct mb_program *program, uint64_t seed, double tolerance) {
    for (int e = 0; e < N_EXECUTORS; e++)
        if (needs[e] <= mb_cpu_isa()) pb_check(program, executors[e], 2, seed, tolerance);
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
    check_once(p, 1, 1e-5);
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
    check_once(p, 2, 1e-5);
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
    check_once(p, 3, 2e-5);
    const char *text = pb_plan_text(p, "mind", 2);
    assert_int_equal(lines_starting(text, "step "), 3);
    has(text, "conv2d nchw to nhwc (8,3,64,64) by 64 of 3x3 + bias + relu + maxpool 2x2/2,2");
    has(text, "conv2d nhwc to nchw (8,64,32,32) by 64 of 3x3 + bias + relu + maxpool 2x2/2,2");
}

/* A value between convolutions is NHWC where nothing else reads it: %a feeds two of them, %b one
 * and an addition, %c is an output. */
static void layouts_between(void **state) {
    (void)state;
    struct pb pb;
    pb_init(&pb);
    uint32_t x = pb_param(&pb, MB_INPUT, pb_f32(4, 2, 5, 12, 12));
    uint32_t a = conv_layer(&pb, x, 5, 9);
    uint32_t b = conv_layer(&pb, a, 9, 7), c = conv_layer(&pb, a, 9, 4);
    uint32_t d = conv_layer(&pb, b, 7, 3), e = conv_layer(&pb, c, 4, 6);
    pb_output(&pb, pb_unary(&pb, MB_OP_NEG, b));
    pb_output(&pb, c);
    pb_output(&pb, d);
    pb_output(&pb, e);
    const struct mb_program *p = pb_done(&pb);
    check_once(p, 6, 2e-5);
    const char *text = pb_plan_text(p, "mind", 2);
    has(text, "conv2d nchw to nhwc (2,5,12,12) by 9");
    has(text, "conv2d nhwc to nchw (2,9,6,6) by 7");
    has(text, "conv2d nhwc to nchw (2,9,6,6) by 4");
    has(text, "conv2d nchw (2,7,3,3) by 3");
    has(text, "conv2d nchw (2,4,3,3) by 6");
}

/* ---- every operation and dtype ---- */

static const enum mb_op binaries[] = {MB_OP_ADD, MB_OP_SUB, MB_OP_MUL, MB_OP_DIV, MB_OP_MAX,
                                      MB_OP_MIN, MB_OP_MOD, MB_OP_LT,  MB_OP_LE,  MB_OP_GT,
                                      MB_OP_GE,  MB_OP_EQ,  MB_OP_NE};
enum { N_BINARIES = sizeof binaries / sizeof *binaries };

static struct mb_type shaped(enum mb_dtype dtype, struct mb_type type) {
    type.dtype = dtype;
    return type;
}

/* All binary operations of two params of these shapes, for every numeric dtype. */
static void check_broadcast(struct mb_type a, struct mb_type b) {
    for (int dtype = MB_F32; dtype <= MB_I64; dtype++) {
        struct pb pb;
        pb_init(&pb);
        uint32_t x = pb_param(&pb, MB_INPUT, shaped((enum mb_dtype)dtype, a));
        uint32_t y = pb_param(&pb, MB_INPUT, shaped((enum mb_dtype)dtype, b));
        for (int i = 0; i < N_BINARIES; i++) pb_output(&pb, pb_binary(&pb, binaries[i], x, y));
        const uint32_t less = pb_binary(&pb, MB_OP_LT, x, y), same = pb_binary(&pb, MB_OP_EQ, y, x);
        pb_output(&pb, pb_binary(&pb, MB_OP_AND, pb_unary(&pb, MB_OP_NOT, less), same));
        pb_output(&pb, pb_binary(&pb, MB_OP_OR, less, same));
        pb_output(&pb, pb_binary(&pb, MB_OP_EQ, less, same));
        pb_output(&pb, pb_ternary(&pb, MB_OP_SELECT, less, x, y));
        pb_output(&pb, pb_ternary(&pb, MB_OP_SELECT, pb_binary(&pb, MB_OP_GT, y, y), x, y));
        pb_output(&pb, pb_ternary(&pb, MB_OP_SELECT, pb_binary(&pb, MB_OP_GE, x, x), x, x));
        pb_output(&pb, pb_ternary(&pb, MB_OP_SELECT, less, same, less));
        if (dtype <= MB_F64)
            pb_output(&pb, pb_binary(&pb, MB_OP_POW, pb_unary(&pb, MB_OP_ABS, x), y));
        for (int to = MB_F32; to <= MB_BOOL; to++) {
            if (dtype != MB_F64 || to != MB_F32) /* the reference keeps the double */
                pb_output(&pb, pb_cast(&pb, x, (enum mb_dtype)to));
            pb_output(&pb, pb_cast(&pb, less, (enum mb_dtype)to));
        }
        check_all(pb_done(&pb), 4, dtype == MB_F32 ? 1e-6 : 1e-14);
    }
}

static void element_operations(void **state) {
    (void)state;
    check_broadcast(pb_f32(2, 5, 7, 0, 0), pb_f32(2, 5, 7, 0, 0));
    check_broadcast(pb_f32(2, 5, 7, 0, 0), pb_f32(1, 7, 0, 0, 0));
    check_broadcast(pb_f32(1, 7, 0, 0, 0), pb_f32(2, 5, 7, 0, 0));
    check_broadcast(pb_f32(0, 0, 0, 0, 0), pb_f32(2, 3, 4, 0, 0));
    check_broadcast(pb_f32(4, 2, 3, 4, 5), pb_f32(3, 3, 1, 1, 0));
    check_broadcast(pb_f32(3, 6, 1, 5, 0), pb_f32(3, 1, 4, 1, 0));
    check_broadcast(pb_f32(4, 2, 1, 3, 1), pb_f32(4, 1, 5, 1, 2));
    check_broadcast(pb_f32(0, 0, 0, 0, 0), pb_f32(0, 0, 0, 0, 0));
    for (int dtype = MB_F32; dtype <= MB_I64; dtype++) {
        struct pb pb;
        pb_init(&pb);
        uint32_t x = pb_param(&pb, MB_INPUT, pb_type((enum mb_dtype)dtype, 2, 9, 11, 0, 0));
        for (int op = MB_OP_NEG; op <= (dtype <= MB_F64 ? MB_OP_GELU : MB_OP_RELU); op++)
            pb_output(&pb, pb_unary(&pb, (enum mb_op)op, x));
        check_all(pb_done(&pb), 5, dtype == MB_F32 ? 1e-6 : 1e-14);
    }
}

static void axis_operations(void **state) {
    (void)state;
    for (int dtype = MB_F32; dtype <= MB_I64; dtype++)
        for (uint32_t axes = 1; axes < 16; axes++) {
            struct pb pb;
            pb_init(&pb);
            const bool is_float = dtype <= MB_F64;
            uint32_t x = pb_param(&pb, MB_INPUT, pb_type((enum mb_dtype)dtype, 4, 3, 4, 5, 70));
            for (int keep = 0; keep < 2; keep++) {
                const union mb_attr attr = {.reduce = {axes, keep}};
                pb_output(&pb, pb_node(&pb, MB_OP_SUM, x, 0, attr));
                pb_output(&pb, pb_node(&pb, MB_OP_REDUCE_MAX, x, 0, attr));
                pb_output(&pb, pb_node(&pb, MB_OP_REDUCE_MIN, x, 0, attr));
                if (is_float) pb_output(&pb, pb_node(&pb, MB_OP_MEAN, x, 0, attr));
            }
            for (int32_t axis = 0; axis < 4; axis++) {
                const union mb_attr along = {.axis = {axis}};
                pb_output(&pb, pb_node(&pb, MB_OP_ARGMAX, x, 0, along));
                if (!is_float) continue;
                pb_output(&pb, pb_node(&pb, MB_OP_SOFTMAX, x, 0, along));
                pb_output(&pb, pb_node(&pb, MB_OP_LOG_SOFTMAX, x, 0, along));
            }
            uint32_t few = pb_param(&pb, MB_INPUT, pb_type((enum mb_dtype)dtype, 4, 2, 1, 3, 2));
            pb_output(&pb, pb_node(&pb, MB_OP_PROD, few, 0, (union mb_attr){.reduce = {axes, 0}}));
            pb_check(pb_done(&pb), "mind", 3, 6, dtype == MB_F32 ? 1e-6 : 1e-13);
        }
}

static void moving_operations(void **state) {
    (void)state;
    static const int8_t perms[][4] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {0, 2, 3, 1}, {1, 0, 3, 2}};
    for (int dtype = MB_F32; dtype <= MB_BOOL; dtype++) {
        struct pb pb;
        pb_init(&pb);
        uint32_t x = pb_param(&pb, MB_INPUT, pb_type((enum mb_dtype)dtype, 4, 2, 3, 4, 5));
        for (int i = 0; i < 4; i++) {
            union mb_attr attr = {.fill = {0}};
            memcpy(attr.perm.perm, perms[i], 4);
            pb_output(&pb, pb_node(&pb, MB_OP_TRANSPOSE, x, 0, attr));
        }
        pb_output(&pb, pb_reshape(&pb, x, pb_type((enum mb_dtype)dtype, 2, 8, 15, 0, 0)));
        pb_output(&pb, pb_fill(&pb, pb_type((enum mb_dtype)dtype, 1, 9, 0, 0, 0), 1));
        static const int32_t few[] = {1, 0, 2, 2, 1, 0};
        static const int64_t rows[] = {1, 0};
        uint32_t i = pb_dense(&pb, pb_type(MB_I32, 2, 2, 3, 0, 0), few);
        uint32_t l = pb_dense(&pb, pb_type(MB_I64, 1, 2, 0, 0, 0), rows);
        for (int32_t axis = 0; axis < 4; axis++) {
            const int64_t extent = axis + 2;
            union mb_attr attr = {.slice = {axis, 1, 1, extent - 1}};
            pb_output(&pb, pb_node(&pb, MB_OP_SLICE, x, 0, attr));
            attr.slice = (struct mb_attr_slice){axis, extent - 1, -2, (extent + 1) / 2};
            const uint32_t back = pb_node(&pb, MB_OP_SLICE, x, 0, attr);
            pb_output(&pb, back);
            const union mb_attr along = {.axis = {axis}};
            pb_output(&pb, pb_node(&pb, MB_OP_CONCAT, x, back, along));
            pb_output(&pb, pb_node(&pb, MB_OP_CONCAT, back, x, along));
            for (int32_t batch = 0; batch <= (axis ? 1 : 0); batch++) {
                const union mb_attr take = {.gather = {axis, batch}};
                pb_output(&pb, pb_node(&pb, MB_OP_GATHER, x, axis ? i : l, take));
                pb_output(&pb, pb_node(&pb, MB_OP_GATHER, x, l, take));
            }
        }
        const struct mb_type eye = pb_type((enum mb_dtype)dtype, 3, 2, 3, 4, 0);
        pb_output(&pb, pb_computed(&pb, MB_OP_EYE, eye, (union mb_attr){.fill = {0}}));
        const union mb_attr random = {.random = {0.5, 2, 42, 7}}, range = {.range = {1, 2, 47}};
        if (dtype != MB_BOOL) pb_output(&pb, pb_computed(&pb, MB_OP_RANGE, eye, range));
        if (dtype <= MB_F64) pb_output(&pb, pb_computed(&pb, MB_OP_UNIFORM, eye, random));
        if (dtype <= MB_F64) pb_output(&pb, pb_computed(&pb, MB_OP_NORMAL, eye, random));
        check_all(pb_done(&pb), 7, 0);
    }
}

static void pooling(void **state) {
    (void)state;
    for (int dtype = MB_F32; dtype <= MB_F64; dtype++)
        for (int layout = MB_NCHW; layout <= MB_NHWC; layout++) {
            struct pb pb;
            pb_init(&pb);
            uint32_t x = pb_param(&pb, MB_INPUT, pb_type((enum mb_dtype)dtype, 4, 2, 7, 8, 9));
            static const int32_t sizes[][2] = {{2, 2}, {3, 1}, {1, 3}, {3, 2}};
            for (int i = 0; i < 4; i++) {
                pb_output(&pb, pb_pool(&pb, MB_OP_MAXPOOL2D, x, (enum mb_layout)layout, sizes[i][0],
                                       sizes[i][1]));
                pb_output(&pb, pb_pool(&pb, MB_OP_AVGPOOL2D, x, (enum mb_layout)layout, sizes[i][0],
                                       sizes[i][1]));
            }
            check_all(pb_done(&pb), 8, dtype == MB_F32 ? 1e-6 : 1e-14);
        }
}

/* ---- products and convolutions of every form ---- */

static void check_matmul(struct mb_type a, enum mb_role role_a, struct mb_type b,
                         enum mb_role role_b, bool bias) {
    for (int dtype = MB_F32; dtype <= MB_F64; dtype++) {
        struct pb pb;
        pb_init(&pb);
        uint32_t x = pb_param(&pb, role_a, shaped((enum mb_dtype)dtype, a));
        uint32_t w = pb_param(&pb, role_b, shaped((enum mb_dtype)dtype, b));
        uint32_t y = pb_binary(&pb, MB_OP_MATMUL, x, w);
        const struct mb_shape *s = &pb.nodes[y].type.shape;
        if (bias && s->rank > 0) {
            uint32_t c = pb_param(&pb, MB_WEIGHT,
                                  pb_type((enum mb_dtype)dtype, 1, s->dim[s->rank - 1], 0, 0, 0));
            y = pb_binary(&pb, MB_OP_ADD, c, y);
        }
        pb_output(&pb, y);
        check_all(pb_done(&pb), 9, dtype == MB_F32 ? 1e-5 : 1e-14);
    }
}

static void matmul_forms(void **state) {
    (void)state;
    for (int dynamic = 0; dynamic < 2; dynamic++)
        for (int bias = 0; bias < 2; bias++) {
            const enum mb_role role = dynamic ? MB_INPUT : MB_WEIGHT;
            check_matmul(pb_f32(2, 9, 20, 0, 0), MB_INPUT, pb_f32(2, 20, 33, 0, 0), role, bias);
            check_matmul(pb_f32(1, 20, 0, 0, 0), MB_INPUT, pb_f32(2, 20, 33, 0, 0), role, bias);
            check_matmul(pb_f32(2, 9, 20, 0, 0), MB_INPUT, pb_f32(1, 20, 0, 0, 0), role, bias);
            check_matmul(pb_f32(1, 20, 0, 0, 0), MB_INPUT, pb_f32(1, 20, 0, 0, 0), role, bias);
            check_matmul(pb_f32(3, 4, 9, 20, 0), MB_INPUT, pb_f32(2, 20, 33, 0, 0), role, bias);
            check_matmul(pb_f32(3, 4, 9, 20, 0), MB_INPUT, pb_f32(3, 4, 20, 5, 0), role, bias);
            check_matmul(pb_f32(3, 1, 9, 20, 0), MB_INPUT, pb_f32(3, 4, 20, 5, 0), role, bias);
            check_matmul(pb_f32(4, 3, 1, 9, 20), MB_INPUT, pb_f32(4, 1, 2, 20, 5), role, bias);
            check_matmul(pb_f32(4, 3, 2, 9, 20), MB_INPUT, pb_f32(3, 2, 20, 5, 0), role, bias);
            check_matmul(pb_f32(3, 4, 1, 20, 0), MB_INPUT, pb_f32(3, 4, 20, 1, 0), role, bias);
            check_matmul(pb_f32(1, 20, 0, 0, 0), MB_INPUT, pb_f32(3, 4, 20, 7, 0), role, bias);
        }
    check_matmul(pb_f32(2, 40, 20, 0, 0), MB_WEIGHT, pb_f32(2, 20, 3, 0, 0), MB_INPUT, true);
    check_matmul(pb_f32(2, 40, 20, 0, 0), MB_WEIGHT, pb_f32(2, 20, 3, 0, 0), MB_WEIGHT, true);
}

static void conv2d_forms(void **state) {
    (void)state;
    for (int dtype = MB_F32; dtype <= MB_F64; dtype++)
        for (int layout = MB_NCHW; layout <= MB_NHWC; layout++)
            for (int form = 0; form < 4; form++) {
                struct pb pb;
                pb_init(&pb);
                const bool nchw = layout == MB_NCHW;
                const enum mb_role role = form & 1 ? MB_INPUT : MB_WEIGHT;
                const struct mb_type xt = nchw ? pb_f32(4, 2, 5, 9, 10) : pb_f32(4, 2, 9, 10, 5);
                const struct mb_type wt = nchw ? pb_f32(4, 7, 5, 3, 3) : pb_f32(4, 3, 3, 5, 7);
                uint32_t x = pb_param(&pb, MB_INPUT, shaped((enum mb_dtype)dtype, xt));
                uint32_t w = pb_param(&pb, role, shaped((enum mb_dtype)dtype, wt));
                uint32_t y = pb_conv(&pb, x, w, (enum mb_layout)layout, form & 2 ? 2 : 1, 1);
                uint32_t b = pb_param(&pb, MB_WEIGHT, pb_type((enum mb_dtype)dtype, 1, 7, 0, 0, 0));
                if (nchw) b = pb_reshape(&pb, b, pb_f32(3, 7, 1, 1, 0));
                y = pb_unary(&pb, MB_OP_RELU, pb_binary(&pb, MB_OP_ADD, b, y));
                pb_output(&pb, pb_pool(&pb, MB_OP_MAXPOOL2D, y, (enum mb_layout)layout, 2, 2));
                const struct mb_program *p = pb_done(&pb);
                check_all(p, 10, dtype == MB_F32 ? 2e-5 : 1e-14);
                const char *text = pb_plan_text(p, "mind", 2);
                if (dtype == MB_F32) has(text, "+ bias + relu + maxpool 2x2/2,2");
                if (dtype == MB_F64) has(text, "generic conv2d");
            }
}

/* ---- what is fused and what must not be ---- */

struct layer { /* x (6,20) by w (20,16) */
    struct pb pb;
    uint32_t x, w, product;
};

static void layer_init(struct layer *l) {
    pb_init(&l->pb);
    l->x = pb_param(&l->pb, MB_INPUT, pb_f32(2, 6, 20, 0, 0));
    l->w = pb_param(&l->pb, MB_WEIGHT, pb_f32(2, 20, 16, 0, 0));
    l->product = pb_binary(&l->pb, MB_OP_MATMUL, l->x, l->w);
}

static const char *check_layer(struct layer *l) {
    const struct mb_program *p = pb_done(&l->pb);
    check_all(p, 11, 1e-5);
    return pb_plan_text(p, "mind", 2);
}

static void fusion_stops_where_a_value_is_needed(void **state) {
    (void)state;
    struct layer l;
    layer_init(&l); /* the product is an output too */
    uint32_t b = pb_param(&l.pb, MB_WEIGHT, pb_f32(1, 16, 0, 0, 0));
    pb_output(&l.pb, l.product);
    pb_output(&l.pb, pb_unary(&l.pb, MB_OP_RELU, pb_binary(&l.pb, MB_OP_ADD, l.product, b)));
    const char *text = check_layer(&l);
    has(text, "chain add, relu");
    has_not(text, "+ bias");

    layer_init(&l); /* the sum is read twice */
    b = pb_param(&l.pb, MB_WEIGHT, pb_f32(1, 16, 0, 0, 0));
    uint32_t sum = pb_binary(&l.pb, MB_OP_ADD, l.product, b);
    pb_output(&l.pb, pb_binary(&l.pb, MB_OP_MUL, pb_unary(&l.pb, MB_OP_RELU, sum), sum));
    text = check_layer(&l);
    has(text, "(6,20)x(20,16) + bias;");
    has(text, "chain relu, mul");

    layer_init(&l); /* added to itself */
    pb_output(&l.pb, pb_binary(&l.pb, MB_OP_ADD, l.product, l.product));
    has(check_layer(&l), "generic add");
}

static void fusion_takes_only_a_bias(void **state) {
    (void)state;
    struct layer l;
    layer_init(&l); /* one number a row */
    uint32_t b = pb_param(&l.pb, MB_WEIGHT, pb_f32(2, 6, 1, 0, 0));
    pb_output(&l.pb, pb_binary(&l.pb, MB_OP_ADD, l.product, b));
    has(check_layer(&l), "generic add");

    layer_init(&l); /* a whole matrix */
    b = pb_param(&l.pb, MB_WEIGHT, pb_f32(2, 6, 16, 0, 0));
    pb_output(&l.pb, pb_binary(&l.pb, MB_OP_ADD, l.product, b));
    has(check_layer(&l), "generic add");

    layer_init(&l); /* makes the result larger */
    b = pb_param(&l.pb, MB_WEIGHT, pb_f32(3, 2, 1, 16, 0));
    pb_output(&l.pb, pb_binary(&l.pb, MB_OP_ADD, l.product, b));
    has(check_layer(&l), "generic add");

    layer_init(&l); /* subtracted */
    b = pb_param(&l.pb, MB_WEIGHT, pb_f32(1, 16, 0, 0, 0));
    pb_output(&l.pb, pb_binary(&l.pb, MB_OP_SUB, l.product, b));
    has(check_layer(&l), "generic sub");

    layer_init(&l); /* after the ReLU */
    b = pb_param(&l.pb, MB_WEIGHT, pb_f32(1, 16, 0, 0, 0));
    uint32_t relu = pb_unary(&l.pb, MB_OP_RELU, l.product);
    pb_output(&l.pb, pb_binary(&l.pb, MB_OP_ADD, relu, b));
    const char *text = check_layer(&l);
    has(text, "(6,20)x(20,16) + relu;");
    has(text, "generic add");

    layer_init(&l); /* known only at run time, while the weights are packed before */
    b = pb_param(&l.pb, MB_INPUT, pb_f32(1, 16, 0, 0, 0));
    pb_output(&l.pb, pb_binary(&l.pb, MB_OP_ADD, l.product, b));
    has(check_layer(&l), "generic add");

    layer_init(&l); /* a row of its own */
    b = pb_reshape(&l.pb, pb_param(&l.pb, MB_WEIGHT, pb_f32(1, 16, 0, 0, 0)),
                   pb_f32(2, 1, 16, 0, 0));
    pb_output(&l.pb, pb_binary(&l.pb, MB_OP_ADD, b, l.product));
    has(check_layer(&l), "+ bias;");
}

/* (6,16), whose chains hold operands of every form; what a chain leaves out is a step of its own.
 */
static void element_operations_run_together(void **state) {
    (void)state;
    static const int64_t sizes[][3] = {
        {1, 6, 16}, {3, 2, 5}, {1, 1, 5000}, {2, 700, 3}, {5, 1, 2048}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct pb pb;
        const int64_t a = sizes[i][0], b = sizes[i][1], c = sizes[i][2];
        pb_init(&pb);
        const uint32_t x = pb_param(&pb, MB_INPUT, pb_f32(3, a, b, c, 0));
        const uint32_t row = pb_param(&pb, MB_INPUT, pb_f32(1, c, 0, 0, 0));
        const uint32_t column = pb_param(&pb, MB_INPUT, pb_f32(3, a, b, 1, 0));
        const uint32_t one = pb_param(&pb, MB_WEIGHT, pb_f32(0, 0, 0, 0, 0));
        uint32_t y = pb_binary(&pb, MB_OP_ADD, x, row);
        const uint32_t less = pb_binary(&pb, MB_OP_LT, y, column);
        y = pb_ternary(&pb, MB_OP_SELECT, less, pb_unary(&pb, MB_OP_TANH, y), y);
        y = pb_binary(&pb, MB_OP_MUL, y, pb_unary(&pb, MB_OP_SIGMOID, y));
        y = pb_binary(&pb, MB_OP_SUB, one, y);
        pb_output(&pb, pb_cast(&pb, pb_cast(&pb, y, MB_F64), MB_F32));
        const struct mb_program *p = pb_done(&pb);
        check_all(p, 17, 1e-6);
        const char *text = pb_plan_text(p, "mind", 2);
        assert_int_equal(lines_starting(text, "step "), 1);
        has(text, "chain add, lt, tanh, select, sigmoid, mul, sub, cast, cast: tensor<f32");
    }
}

static void chains_stop_where_a_value_is_needed(void **state) {
    (void)state;
    struct pb pb;
    pb_init(&pb);
    const struct mb_type type = pb_f32(2, 6, 16, 0, 0);
    const uint32_t x = pb_param(&pb, MB_INPUT, type);
    const uint32_t small = pb_param(&pb, MB_INPUT, pb_f32(1, 16, 0, 0, 0));
    const uint32_t shown = pb_unary(&pb, MB_OP_TANH, pb_unary(&pb, MB_OP_ABS, x));
    pb_output(&pb, shown);                                     /* an output */
    const uint32_t read = pb_unary(&pb, MB_OP_SIGMOID, shown); /* a sum reads it as well */
    const uint32_t sum = pb_node(&pb, MB_OP_SUM, read, 0, (union mb_attr){.reduce = {2, true}});
    uint32_t y = pb_binary(&pb, MB_OP_DIV, read, sum);
    y = pb_binary(&pb, MB_OP_MUL, y, pb_unary(&pb, MB_OP_EXP, small)); /* another shape */
    for (int i = 0; i < 20; i++)
        y = pb_unary(&pb, i % 2 ? MB_OP_NEG : MB_OP_TANH, y); /* too many */
    pb_output(&pb, y);
    const struct mb_program *p = pb_done(&pb);
    check_all(p, 18, 1e-5);
    const char *text = pb_plan_text(p, "mind", 2);
    has(text, "chain abs, tanh:");
    has(text, "generic sigmoid");
    has(text, "generic exp");
    assert_int_equal(lines_starting(text, "step "), 6);
    has(text, "chain div, mul, tanh, neg, tanh, neg:");
}

static void pool_and_relu_commute(void **state) {
    (void)state;
    struct pb pb;
    pb_init(&pb);
    uint32_t x = pb_param(&pb, MB_INPUT, pb_f32(4, 1, 2, 8, 8));
    uint32_t w = pb_param(&pb, MB_WEIGHT, pb_f32(4, 4, 2, 3, 3));
    uint32_t y = pb_pool(&pb, MB_OP_MAXPOOL2D, pb_conv(&pb, x, w, MB_NCHW, 1, 1), MB_NCHW, 2, 2);
    y = pb_unary(&pb, MB_OP_RELU, y);
    pb_output(&pb, pb_pool(&pb, MB_OP_MAXPOOL2D, y, MB_NCHW, 2, 2)); /* a second one stays */
    const struct mb_program *p = pb_done(&pb);
    check_all(p, 12, 2e-5);
    const char *text = pb_plan_text(p, "mind", 1);
    assert_int_equal(lines_starting(text, "step "), 2);
    has(text, "+ relu + maxpool 2x2/2,2");
    has(text, "generic maxpool2d");
}

static void constants_are_computed_by_load(void **state) {
    (void)state;
    struct pb pb;
    pb_init(&pb);
    static const float numbers[] = {1, -2, 3, -4, 5};
    uint32_t x = pb_param(&pb, MB_INPUT, pb_f32(2, 3, 8, 0, 0));
    uint32_t w = pb_param(&pb, MB_WEIGHT, pb_f32(2, 5, 8, 0, 0));
    union mb_attr swap = {.fill = {0}};
    memcpy(swap.perm.perm, ((const int8_t[]){1, 0}), 2);
    uint32_t wt = pb_node(&pb, MB_OP_TRANSPOSE, w, 0, swap);
    uint32_t scaled = pb_binary(&pb, MB_OP_MUL, wt, pb_fill(&pb, pb_f32(0, 0, 0, 0, 0), 0.1));
    uint32_t y = pb_binary(&pb, MB_OP_MATMUL, x, scaled);
    y = pb_binary(&pb, MB_OP_ADD, y, pb_dense(&pb, pb_f32(1, 5, 0, 0, 0), numbers));
    pb_output(&pb, y);
    pb_output(&pb, w);                                          /* a weight as it is */
    pb_output(&pb, pb_reshape(&pb, x, pb_f32(1, 24, 0, 0, 0))); /* an input as it is */
    pb_output(&pb, pb_reshape(&pb, y, pb_f32(1, 15, 0, 0, 0))); /* an output again */
    pb_output(&pb, pb_binary(&pb, MB_OP_MATMUL, w, wt));
    const struct mb_program *p = pb_done(&pb);
    check_all(p, 13, 1e-5);
    const char *text = pb_plan_text(p, "mind", 2);
    has(text, "generic transpose");
    has(text, "+ bias");
    assert_int_equal(lines_starting(text, "load "), 4);
    assert_int_equal(lines_starting(text, "step "), 5);
}

/* ---- memory ---- */

static void work_space_is_used_again(void **state) {
    (void)state;
    struct pb pb;
    pb_init(&pb);
    uint32_t x = pb_param(&pb, MB_INPUT, pb_f32(2, 256, 1024, 0, 0)); /* 1 MiB each */
    uint32_t y = x;
    for (int i = 0; i < 20; i++) /* softmax: nothing is computed together */
        y = pb_node(&pb, MB_OP_SOFTMAX, y, 0, (union mb_attr){.axis = {i % 2}});
    pb_output(&pb, pb_binary(&pb, MB_OP_ADD, y, x));
    const struct mb_program *p = pb_done(&pb);
    pb_check(p, "mind", 2, 14, 1e-5);
    has(pb_plan_text(p, "mind", 2), ", 2097152 bytes of work space");
}

/* ---- random programs ---- */

struct generator {
    struct pb pb;
    uint64_t state;
};

static uint32_t below(struct generator *g, uint32_t n) {
    g->state = g->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(g->state >> 33) % n;
}

/* A later node is likelier, so that chains grow. */
static uint32_t any_node(struct generator *g) {
    uint32_t n = g->pb.program.n_nodes, a = below(g, n), b = below(g, n);
    return a > b ? a : b;
}

/* One more node on (6,8) or (8,8) matrices; values stay of order one. */
static void grow(struct generator *g) {
    struct pb *pb = &g->pb;
    const uint32_t a = any_node(g), b = any_node(g);
    const struct mb_type ta = pb->nodes[a].type, tb = pb->nodes[b].type;
    const bool same = mb_type_equal(&ta, &tb);
    union mb_attr attr = {.fill = {0}};
    switch (below(g, 10)) {
    case 0: pb_unary(pb, MB_OP_RELU, a); break;
    case 1: pb_unary(pb, MB_OP_TANH, a); break;
    case 2: pb_unary(pb, MB_OP_SIGMOID, a); break;
    case 3:
        if (same) pb_binary(pb, MB_OP_MAX, a, b);
        break;
    case 4:
        if (ta.shape.rank == 2 && tb.shape.rank == 2 && tb.shape.dim[0] == 8)
            pb_unary(pb, MB_OP_TANH, pb_binary(pb, MB_OP_MATMUL, a, b));
        break;
    case 5:
        if (ta.shape.rank == 2 && tb.shape.rank == 2 && tb.shape.dim[0] == 8)
            pb_binary(pb, MB_OP_MATMUL, pb_unary(pb, MB_OP_TANH, a),
                      pb_unary(pb, MB_OP_SIGMOID, b));
        break;
    case 6:
        if (same || (tb.shape.rank == 1 && tb.shape.dim[0] == 8 && ta.shape.rank == 2))
            pb_unary(pb, MB_OP_TANH, pb_binary(pb, MB_OP_ADD, a, b));
        break;
    case 7:
        if (ta.shape.rank == 2) {
            attr.axis.axis = (int32_t)below(g, 2);
            pb_node(pb, MB_OP_SOFTMAX, a, 0, attr);
        }
        break;
    case 8:
        if (ta.shape.rank == 2 && ta.shape.dim[0] == 8) {
            memcpy(attr.perm.perm, ((const int8_t[]){1, 0}), 2);
            pb_node(pb, MB_OP_TRANSPOSE, a, 0, attr);
        }
        break;
    default:
        if (ta.shape.rank == 2) {
            uint32_t flat = pb_reshape(pb, a, pb_f32(1, ta.shape.dim[0] * 8, 0, 0, 0));
            pb_reshape(pb, pb_unary(pb, MB_OP_ABS, flat), ta);
        }
        break;
    }
}

static void random_programs(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct generator g = {.state = seed};
        pb_init(&g.pb);
        pb_param(&g.pb, MB_INPUT, pb_f32(2, 6, 8, 0, 0));
        pb_param(&g.pb, MB_INPUT, pb_f32(2, 8, 8, 0, 0));
        pb_param(&g.pb, MB_WEIGHT, pb_f32(2, 8, 8, 0, 0));
        pb_param(&g.pb, MB_WEIGHT, pb_f32(1, 8, 0, 0, 0));
        while (g.pb.program.n_nodes < 40) grow(&g);
        for (int i = 0; i < 3; i++) pb_output(&g.pb, any_node(&g));
        pb_output(&g.pb, g.pb.program.n_nodes - 1);
        const struct mb_program *p = pb_done(&g.pb);
        for (int e = 0; e < N_EXECUTORS; e++)
            if (needs[e] <= mb_cpu_isa())
                pb_check(p, executors[e], 1 + (int)(seed % 2), seed, 1e-4);
    }
}

/* ---- the interface ---- */

static void integer_division_by_zero(void **state) {
    (void)state;
    struct pb pb;
    pb_init(&pb);
    uint32_t a = pb_param(&pb, MB_INPUT, pb_type(MB_I32, 1, 4, 0, 0, 0));
    uint32_t b = pb_param(&pb, MB_INPUT, pb_type(MB_I32, 1, 4, 0, 0, 0));
    pb_output(&pb, pb_binary(&pb, MB_OP_DIV, a, b));
    const struct mb_program *p = pb_done(&pb);
    int32_t va[] = {7, -7, INT32_MIN, 5}, vb[] = {2, 2, -1, 0}, got[4];
    const struct mb_backend *be = mb_backend_cpu();
    const struct mb_open_config config = {"mind",      "cpu", 0,     2,   MB_FP32,
                                          MB_ISA_BEST, NULL,  false, NULL};
    const void *weights[] = {NULL, NULL};
    struct mb_ctx *ctx = NULL;
    struct mb_buf *in[2], *out[1];
    struct mb_err err;
    assert_int_equal(be->open(&config, &ctx, &err), MB_OK);
    assert_int_equal(be->plan(ctx, p, &err), MB_OK);
    assert_int_equal(be->buf_alloc(ctx, sizeof va, &in[0], &err), MB_OK);
    assert_int_equal(be->buf_alloc(ctx, sizeof vb, &in[1], &err), MB_OK);
    assert_int_equal(be->buf_alloc(ctx, sizeof got, &out[0], &err), MB_OK);
    assert_int_equal(be->upload(ctx, in[0], va, sizeof va, &err), MB_OK);
    assert_int_equal(be->upload(ctx, in[1], vb, sizeof vb, &err), MB_OK);
    assert_int_equal(be->upload(ctx, in[1], vb, sizeof vb + 1, &err), MB_E_INVALID);
    assert_int_equal(be->launch(ctx, in, out, &err), MB_E_INVALID); /* before load */
    assert_int_equal(be->load(ctx, weights, &err), MB_OK);
    assert_int_equal(be->launch(ctx, in, out, &err), MB_E_NUMERIC);
    has(err.text, "integer division by zero");
    vb[3] = 1;
    assert_int_equal(be->upload(ctx, in[1], vb, sizeof vb, &err), MB_OK);
    assert_int_equal(be->launch(ctx, in, out, &err), MB_OK);
    assert_int_equal(be->download(ctx, got, out[0], sizeof got, &err), MB_OK);
    static const int32_t expected[] = {3, -3, INT32_MIN, 5}; /* truncates, wraps */
    assert_memory_equal(got, expected, sizeof got);
    be->buf_free(ctx, in[0]);
    be->buf_free(ctx, in[1]);
    be->buf_free(ctx, out[0]);
    be->close(ctx);
}

static void probe_says_why(void **state) {
    (void)state;
    const struct mb_backend *be = mb_backend_cpu();
    struct mb_open_config config = {"mind-avx2",   "cpu", 0,     2,   MB_FP32,
                                    MB_ISA_SCALAR, NULL,  false, NULL};
    struct mb_err err;
    assert_int_equal(be->probe(&config, &err), MB_E_UNSUPPORTED);
    config.executor = "mind";
    assert_int_equal(be->probe(&config, &err), MB_OK);
    config.executor = "torch-eager";
    assert_int_equal(be->probe(&config, &err), MB_E_INVALID);
    config = (struct mb_open_config){"mind", "cuda", 0, 2, MB_FP32, MB_ISA_BEST, NULL, false, NULL};
    assert_int_equal(be->probe(&config, &err), MB_E_UNSUPPORTED);
    config = (struct mb_open_config){"mind", "cpu", 0, 2, MB_TF32, MB_ISA_BEST, NULL, false, NULL};
    assert_int_equal(be->probe(&config, &err), MB_E_UNSUPPORTED);
    config = (struct mb_open_config){"mind", "cpu", 0, 0, MB_FP32, MB_ISA_BEST, NULL, false, NULL};
    assert_int_equal(be->probe(&config, &err), MB_E_INVALID);
    for (int e = 0; e < N_EXECUTORS; e++) {
        config = (struct mb_open_config){executors[e], "cpu", 0,     1,   MB_FP32,
                                         MB_ISA_BEST,  NULL,  false, NULL};
        assert_int_equal(be->probe(&config, &err),
                         needs[e] <= mb_cpu_isa() ? MB_OK : MB_E_UNSUPPORTED);
    }
}

/* Larger than a tile, with remainders; softmax and reductions longer than their lanes. */
static void long_axes(void **state) {
    (void)state;
    static const int8_t perms[][4] = {{3, 2, 1, 0}, {0, 3, 2, 1}, {1, 0, 3, 2}, {2, 3, 0, 1}};
    static const int64_t extents[][4] = {{2, 33, 3, 50}, {17, 1, 16, 35}, {1, 40, 1, 19}};
    for (int e = 0; e < 3; e++)
        for (int p = 0; p < 4; p++) {
            struct pb pb;
            union mb_attr perm = {.perm = {{0}}}, axis = {.axis = {p % 4}};
            union mb_attr sum = {.reduce = {.axes = 1u << p | 8, .keepdims = e == 1}};
            memcpy(perm.perm.perm, perms[p], 4);
            pb_init(&pb);
            uint32_t x =
                pb_param(&pb, MB_INPUT,
                         pb_f32(4, extents[e][0], extents[e][1], extents[e][2], extents[e][3]));
            pb_output(&pb, pb_node(&pb, MB_OP_TRANSPOSE, x, 0, perm));
            pb_output(&pb, pb_node(&pb, MB_OP_SOFTMAX, x, 0, axis));
            pb_output(&pb, pb_node(&pb, MB_OP_LOG_SOFTMAX, x, 0, axis));
            pb_output(&pb, pb_node(&pb, MB_OP_SUM, x, 0, sum));
            pb_output(&pb, pb_node(&pb, MB_OP_MEAN, x, 0, sum));
            pb_output(&pb, pb_node(&pb, MB_OP_REDUCE_MAX, x, 0, sum));
            pb_output(&pb, pb_node(&pb, MB_OP_REDUCE_MIN, x, 0, sum));
            check_all(pb_done(&pb), (uint64_t)(10 * e + p), 1e-6);
        }
}

/* More than any cache near the cores, and every line of it. */
static void evictor_reads_all_that_it_has(void **state) {
    (void)state;
    struct mb_cpu_evictor *evictor = NULL;
    struct mb_err err;
    const size_t l2 = (size_t)sysconf(_SC_LEVEL2_CACHE_SIZE);
    for (int n_threads = 1; n_threads <= 3; n_threads++) {
        struct mb_team *team = NULL;
        assert_int_equal(mb_team_new(n_threads, &team, &err), MB_OK);
        assert_int_equal(mb_cpu_evictor_new(team, &evictor, &err), MB_OK);
        assert_true(mb_cpu_evictor_bytes(evictor) >= 2 * l2);
        mb_cpu_evictor_run(evictor);
        mb_cpu_evictor_run(evictor);
        assert_int_equal(mb_cpu_evictor_lines_read(evictor), mb_cpu_evictor_bytes(evictor) / 64);
        mb_cpu_evictor_free(evictor);
        mb_team_free(team);
    }
    mb_cpu_evictor_free(NULL);
}

/* Each row is one that a context can be opened with, or whose instruction set is missing here. */
/* Multiplications for each one of the direct algorithm. */
static double products_of(const char *name) {
    static const struct {
        const char *part;
        double products;
    } winograd[] = {{"winograd4", 36 / (16 * 9.0)},
                    {"winograd2_5x5", 36 / (4 * 25.0)},
                    {"winograd2", 16 / (4 * 9.0)}};
    for (size_t i = 0; i < sizeof winograd / sizeof *winograd; i++)
        if (strstr(name, winograd[i].part)) return winograd[i].products;
    return 1;
}

static void kernels_can_be_named(void **state) {
    (void)state;
    const struct mb_backend *be = mb_backend_cpu();
    struct mb_open_config config = {"mind", "cpu", 0, 1, MB_FP32, MB_ISA_BEST, NULL, false, NULL};
    struct mb_kernel_row row;
    struct mb_err err;
    size_t n = 0, n_winograd = 0;
    for (; be->kernel_row(n, &row); n++) {
        config.kernel = row.name;
        const enum mb_status st = be->probe(&config, &err);
        assert_true(st == MB_OK || (st == MB_E_UNSUPPORTED && strstr(row.name, "__avx")));
        assert_int_equal(row.op, strstr(row.name, "conv2d") ? MB_OP_CONV2D : MB_OP_MATMUL);
        assert_true(row.products == products_of(row.name));
        n_winograd += row.products < 1;
    }
    assert_int_equal(n, mb_cpu_n_kernels);
    assert_true(n_winograd > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernels_can_be_named),
        cmocka_unit_test(large_matmul),
        cmocka_unit_test(mlp),
        cmocka_unit_test(cnn),
        cmocka_unit_test(layouts_between),
        cmocka_unit_test(element_operations),
        cmocka_unit_test(axis_operations),
        cmocka_unit_test(moving_operations),
        cmocka_unit_test(pooling),
        cmocka_unit_test(matmul_forms),
        cmocka_unit_test(conv2d_forms),
        cmocka_unit_test(fusion_stops_where_a_value_is_needed),
        cmocka_unit_test(fusion_takes_only_a_bias),
        cmocka_unit_test(element_operations_run_together),
        cmocka_unit_test(chains_stop_where_a_value_is_needed),
        cmocka_unit_test(pool_and_relu_commute),
        cmocka_unit_test(constants_are_computed_by_load),
        cmocka_unit_test(work_space_is_used_again),
        cmocka_unit_test(random_programs),
        cmocka_unit_test(integer_division_by_zero),
        cmocka_unit_test(probe_says_why),
        cmocka_unit_test(long_axes),
        cmocka_unit_test(evictor_reads_all_that_it_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
