/* Shape rules, the verifier, costs and the IR text, on programs built by hand. */
#include "program.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const symbols[] = {"b", "n"};
enum { B = -1, N = -2 };

static struct mb_type f32(int rank, int64_t a, int64_t b, int64_t c, int64_t d) {
    return (struct mb_type){MB_F32, {rank, {a, b, c, d}}};
}

/* The result as text, or the error's code and text. */
static const char *infer(enum mb_op op, struct mb_type a, struct mb_type b, union mb_attr attr) {
    static char text[400];
    const struct mb_type *operands[] = {&a, &b};
    struct mb_type type;
    struct mb_shape_error why;
    if (mb_op_infer(op, operands, &attr, NULL, symbols, &type, &why))
        mb_type_text(text, sizeof text, &type, symbols);
    else
        snprintf(text, sizeof text, "%s/%s %s", why.code, why.spec_code, why.text);
    return text;
}

#define NONE ((union mb_attr){0})

static void broadcast_rule(void **state) {
    (void)state;
    assert_string_equal(infer(MB_OP_ADD, f32(2, 2, 3, 0, 0), f32(1, 3, 0, 0, 0), NONE),
                        "tensor<f32[2, 3]>");
    assert_string_equal(infer(MB_OP_MUL, f32(2, B, 1, 0, 0), f32(2, 1, N, 0, 0), NONE),
                        "tensor<f32[b, n]>");
    assert_string_equal(infer(MB_OP_SUB, f32(0, 0, 0, 0, 0), f32(2, 2, 3, 0, 0), NONE),
                        "tensor<f32[2, 3]>");
    assert_string_equal(infer(MB_OP_ADD, f32(2, 2, 3, 0, 0), f32(2, 4, 3, 0, 0), NONE),
                        "E2101/E3001 cannot broadcast shapes (2,3) and (4,3) for `+`");
    assert_string_equal(infer(MB_OP_DIV, f32(1, B, 0, 0, 0), f32(1, N, 0, 0, 0), NONE),
                        "E2101/E3001 cannot broadcast shapes (b,) and (n,) for `/`");
    struct mb_type integers = {MB_I32, {1, {3}}};
    assert_string_equal(infer(MB_OP_ADD, f32(1, 3, 0, 0, 0), integers, NONE),
                        "E2001/E2004 add: element types differ: f32 and i32");
}

static void matmul_rule(void **state) {
    (void)state;
    assert_string_equal(infer(MB_OP_MATMUL, f32(2, B, 784, 0, 0), f32(2, 784, 512, 0, 0), NONE),
                        "tensor<f32[b, 512]>");
    assert_string_equal(infer(MB_OP_MATMUL, f32(3, 5, 2, 3, 0), f32(4, 7, 1, 3, 4), NONE),
                        "tensor<f32[7, 5, 2, 4]>");
    assert_string_equal(infer(MB_OP_MATMUL, f32(1, 3, 0, 0, 0), f32(2, 3, 4, 0, 0), NONE),
                        "tensor<f32[4]>");
    assert_string_equal(infer(MB_OP_MATMUL, f32(2, 2, 3, 0, 0), f32(1, 3, 0, 0, 0), NONE),
                        "tensor<f32[2]>");
    assert_string_equal(infer(MB_OP_MATMUL, f32(1, 3, 0, 0, 0), f32(1, 3, 0, 0, 0), NONE),
                        "tensor<f32[]>");
    assert_string_equal(
        infer(MB_OP_MATMUL, f32(2, 32, 784, 0, 0), f32(2, 512, 10, 0, 0), NONE),
        "E2103/E3003 matmul: inner sizes differ: lhs (32,784), rhs (512,10) (784,512)");
    assert_string_equal(infer(MB_OP_MATMUL, f32(0, 0, 0, 0, 0), f32(2, 3, 4, 0, 0), NONE),
                        "E2102/E3002 matmul: an operand is a scalar: lhs (), rhs (3,4)");
    assert_string_equal(
        infer(MB_OP_MATMUL, f32(3, 2, 2, 3, 0), f32(3, 5, 3, 4, 0), NONE),
        "E2101/E3001 matmul: leading axes do not broadcast: lhs (2,2,3), rhs (5,3,4)");
}

static union mb_attr conv(enum mb_layout layout, int stride, int before, int after) {
    return (union mb_attr){
        .conv = {layout, MB_PAD_CUSTOM, {stride, stride}, {before, before}, {after, after}}};
}

static void conv2d_rule(void **state) {
    (void)state;
    struct mb_type image = f32(4, B, 3, 64, 64), filter = f32(4, 16, 3, 3, 3);
    assert_string_equal(infer(MB_OP_CONV2D, image, filter, conv(MB_NCHW, 1, 1, 1)),
                        "tensor<f32[b, 16, 64, 64]>");
    assert_string_equal(infer(MB_OP_CONV2D, image, filter, conv(MB_NCHW, 2, 0, 1)),
                        "tensor<f32[b, 16, 32, 32]>");
    assert_string_equal(
        infer(MB_OP_CONV2D, f32(4, 1, 5, 7, 3), f32(4, 3, 2, 3, 8), conv(MB_NHWC, 1, 0, 0)),
        "tensor<f32[1, 3, 6, 8]>");
    assert_string_equal(infer(MB_OP_CONV2D, f32(4, 1, 3, N, 4), filter, conv(MB_NCHW, 1, 1, 1)),
                        "tensor<f32[1, 16, ?, 4]>");
    assert_string_equal(infer(MB_OP_CONV2D, f32(4, 1, 4, 8, 8), filter, conv(MB_NCHW, 1, 1, 1)),
                        "E2102/E4009 conv2d: channels differ: image (1,4,8,8), filter (16,3,3,3), "
                        "NCHW/OIHW");
    assert_string_equal(infer(MB_OP_CONV2D, f32(4, 1, 3, 2, 8), filter, conv(MB_NCHW, 1, 0, 0)),
                        "E2102/E4009 conv2d: window of 3 does not fit 2 padded to 2");
    assert_string_equal(infer(MB_OP_CONV2D, image, filter, conv(MB_NCHW, 0, 0, 0)),
                        "E2001/E4010 conv2d: stride must be at least 1, not 0");
}

static void reshape_rule(void **state) {
    (void)state;
    union mb_attr to = {.shape = {{2, {6, 4}}}}, batch = {.shape = {{2, {B, 12}}}};
    union mb_attr wrong = {.shape = {{1, {25}}}};
    assert_string_equal(infer(MB_OP_RESHAPE, f32(3, 2, 3, 4, 0), f32(0, 0, 0, 0, 0), to),
                        "tensor<f32[6, 4]>");
    assert_string_equal(infer(MB_OP_RESHAPE, f32(3, B, 3, 4, 0), f32(0, 0, 0, 0, 0), batch),
                        "tensor<f32[b, 12]>");
    assert_string_equal(infer(MB_OP_RESHAPE, f32(3, 2, 3, 4, 0), f32(0, 0, 0, 0, 0), wrong),
                        "E2102/E3007 reshape: element counts differ: (2,3,4) to (25,)");
}

static void reduce_and_transpose_rules(void **state) {
    (void)state;
    struct mb_type none = f32(0, 0, 0, 0, 0);
    union mb_attr sum = {.reduce = {0x6, false}}, keep = {.reduce = {0x6, true}};
    union mb_attr outside = {.reduce = {0x8, false}};
    union mb_attr perm = {.perm = {{2, 0, 1}}}, twice = {.perm = {{0, 0, 1}}};
    assert_string_equal(infer(MB_OP_SUM, f32(3, 2, 3, 4, 0), none, sum), "tensor<f32[2]>");
    assert_string_equal(infer(MB_OP_MEAN, f32(3, 2, 3, 4, 0), none, keep), "tensor<f32[2, 1, 1]>");
    assert_string_equal(infer(MB_OP_SUM, f32(3, 2, 3, 4, 0), none, outside),
                        "E2102/E3004 sum: axis out of range for rank 3");
    assert_string_equal(infer(MB_OP_TRANSPOSE, f32(3, 2, 3, 4, 0), none, perm),
                        "tensor<f32[4, 2, 3]>");
    assert_string_equal(infer(MB_OP_TRANSPOSE, f32(3, 2, 3, 4, 0), none, twice),
                        "E2102/E3008 transpose: axes are no permutation of 0..2");
}

/* x (2,3) @ w (3,4) + b (4,), then relu: the smallest program with everything in it. */
struct example {
    struct mb_node nodes[6];
    struct mb_param params[3];
    uint32_t outputs[1];
    struct mb_program program;
};

static struct example *example(void) {
    static struct example e;
    memset(&e, 0, sizeof e);
    struct mb_type x = f32(2, 2, 3, 0, 0), w = f32(2, 3, 4, 0, 0), b = f32(1, 4, 0, 0, 0);
    struct mb_type y = f32(2, 2, 4, 0, 0);
    e.params[0] = (struct mb_param){"x", x, MB_INPUT, 0};
    e.params[1] = (struct mb_param){"w", w, MB_WEIGHT, 1};
    e.params[2] = (struct mb_param){"b", b, MB_WEIGHT, 2};
    for (uint32_t i = 0; i < 3; i++)
        e.nodes[i] = (struct mb_node){
            .op = MB_OP_PARAM, .id = i, .type = e.params[i].type, .attr.param.index = i};
    e.nodes[3] = (struct mb_node){MB_OP_MATMUL, 2, {0, 1}, 3, y, {{0}}};
    e.nodes[4] = (struct mb_node){MB_OP_ADD, 2, {3, 2}, 4, y, {{0}}};
    e.nodes[5] = (struct mb_node){MB_OP_RELU, 1, {4, 0}, 7, y, {{0}}};
    e.outputs[0] = 5;
    e.program = (struct mb_program){"f", e.nodes, 6, 8, e.params, 3, e.outputs, 1};
    return &e;
}

static void verifier_accepts_a_sound_program(void **state) {
    struct mb_err err;
    (void)state;
    assert_int_equal(mb_program_check(&example()->program, &err), MB_OK);
}

static void rejected(struct example *e, const char *part_of_text) {
    struct mb_err err = {0};
    assert_int_equal(mb_program_check(&e->program, &err), MB_E_PROGRAM);
    if (!strstr(err.text, part_of_text)) fail_msg("\"%s\" has no \"%s\"", err.text, part_of_text);
}

static void verifier_finds_each_violation(void **state) {
    struct example *e;
    (void)state;
    (e = example())->nodes[3].operand[1] = 4, rejected(e, "before its definition");
    (e = example())->nodes[5].type.shape.dim[0] = 3, rejected(e, "derived tensor<f32[2, 4]>");
    (e = example())->nodes[4].n_operands = 1, rejected(e, "1 operands instead of 2");
    (e = example())->nodes[4].id = 3, rejected(e, "not ascending");
    (e = example())->nodes[4].op = MB_OP_COUNT, rejected(e, "unknown operation");
    (e = example())->nodes[1].type.shape.dim[0] = 0, rejected(e, "not positive");
    (e = example())->nodes[2].attr.param.index = 9, rejected(e, "no parameter 9");
    (e = example())->program.n_outputs = 0, rejected(e, "no output");
    (e = example())->outputs[0] = 6, rejected(e, "names no node");
    (e = example())->program.next_id = 7, rejected(e, "already in use");
    (e = example())->params[0].node = 1, rejected(e, "no node of its own");
    e = example();
    e->nodes[0].type.shape.dim[0] = e->params[0].type.shape.dim[0] = INT64_MAX / 2;
    rejected(e, "does not fit in memory");
}

static void costs_by_hand(void **state) {
    const struct mb_program *p = &example()->program;
    (void)state;
    assert_true(mb_node_flops(p, 3) == 2.0 * 2 * 4 * 3);
    assert_true(mb_program_flops(p) == 48.0 + 8 + 8);
    assert_true(mb_program_bytes(p) == 4.0 * (6 + 12 + 4 + 8));
}

static char *print(const struct mb_program *p) {
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    assert_true(mb_program_print(p, out));
    fclose(out);
    return text;
}

static void ir_text(void **state) {
    (void)state;
    char *text = print(&example()->program);
    assert_string_equal(text, "module {\n"
                              "  %0 = input x : tensor<f32[2, 3]>\n"
                              "  %1 = input w : tensor<f32[3, 4]>\n"
                              "  %2 = input b : tensor<f32[4]>\n"
                              "  %3 = matmul %0, %1\n"
                              "  %4 = add %3, %2\n"
                              "  %7 = relu %4\n"
                              "  output %7\n"
                              "}  // next_id = 8\n\n");
    free(text);
}

static void ir_text_of_attributes(void **state) {
    static const float data[] = {1, -0.5f, 1e-7f, INFINITY, 16777216};
    struct mb_node nodes[] = {
        {.op = MB_OP_FILL, .id = 0, .type = f32(4, 1, 3, 8, 8), .attr.fill.value = 2},
        {.op = MB_OP_FILL, .id = 1, .type = f32(4, 4, 3, 3, 3), .attr.fill.value = 0.1},
        {MB_OP_CONV2D, 2, {0, 1}, 2, f32(4, 1, 4, 6, 6), conv(MB_NCHW, 1, 0, 0)},
        {MB_OP_MAXPOOL2D, 1, {2}, 3, f32(4, 1, 4, 3, 3), {.pool = {MB_NCHW, {2, 2}, {2, 2}}}},
        {MB_OP_RESHAPE, 1, {3}, 4, f32(2, 4, 9, 0, 0), {.shape = {{2, {4, 9}}}}},
        {MB_OP_SUM, 1, {4}, 5, f32(2, 4, 1, 0, 0), {.reduce = {2, true}}},
        {MB_OP_MEAN, 1, {4}, 6, f32(0, 0, 0, 0, 0), {.reduce = {3, false}}},
        {MB_OP_SOFTMAX, 1, {4}, 7, f32(2, 4, 9, 0, 0), {.axis = {1}}},
        {MB_OP_TRANSPOSE, 1, {4}, 8, f32(2, 9, 4, 0, 0), {.perm = {{1, 0}}}},
        {.op = MB_OP_DENSE, .id = 9, .type = f32(1, 5, 0, 0, 0), .attr.dense.data = data},
    };
    const uint32_t outputs[] = {8, 9};
    const struct mb_program p = {"main", nodes, 10, 10, NULL, 0, outputs, 2};
    struct mb_err err;
    (void)state;
    nodes[2].attr.conv.padding = MB_PAD_VALID;
    if (mb_program_check(&p, &err) != MB_OK) fail_msg("%s", err.text);
    char *text = print(&p);
    assert_string_equal(text,
                        "module {\n"
                        "  %0 = const.tensor F32 [\"1\", \"3\", \"8\", \"8\"] fill=Some(2.0)\n"
                        "  %1 = const.tensor F32 [\"4\", \"3\", \"3\", \"3\"] fill=Some(0.1)\n"
                        "  %2 = conv2d %0 %1 strides=(1, 1) padding=valid layout=nchw\n"
                        "  %3 = maxpool2d %2 kernel=(2, 2) strides=(2, 2) layout=nchw\n"
                        "  %4 = reshape %3 [\"4\", \"9\"]\n"
                        "  %5 = sum %4 axes=[1] keepdims=true\n"
                        "  %6 = mean %4 axes=[] keepdims=false\n"
                        "  %7 = softmax %4 axis=1\n"
                        "  %8 = transpose %4 perm=[1, 0]\n"
                        "  %9 = const.dense F32 [\"5\"] [1.0, -0.5, 1e-07, inf, 16777216.0]\n"
                        "  output %8\n"
                        "  output %9\n"
                        "}  // next_id = 10\n\n");
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broadcast_rule),
        cmocka_unit_test(matmul_rule),
        cmocka_unit_test(conv2d_rule),
        cmocka_unit_test(reshape_rule),
        cmocka_unit_test(reduce_and_transpose_rules),
        cmocka_unit_test(verifier_accepts_a_sound_program),
        cmocka_unit_test(verifier_finds_each_violation),
        cmocka_unit_test(costs_by_hand),
        cmocka_unit_test(ir_text),
        cmocka_unit_test(ir_text_of_attributes),
    };
    return cmocka_run_group_tests_name("program", tests, NULL, NULL);
}
