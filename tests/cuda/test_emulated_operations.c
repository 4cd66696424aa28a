/* Every operation and element type of cuda/kernels/operations*.cu in emulation, against the FP64
 * reference and, for which of them there are, against the CPU's table. */
#include "cuda_kernel.h"
#include "generic.h"
#include "kernel_tester.h"
#include "program_builder.h"
#include "reference.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

extern const char *mb_emulation_error(void);

static const enum mb_dtype floats[] = {MB_F32, MB_F64};
static const enum mb_dtype numbers[] = {MB_F32, MB_F64, MB_I32, MB_I64};
enum { N_FLOATS = 2, N_NUMBERS = 4 };

/* Relative to the element itself (functions of single elements) or to the largest one (sums). */
static double tolerance_of(enum mb_dtype dtype) {
    return dtype == MB_F32 ? 2e-6 : dtype == MB_F64 ? 1e-13 : 0;
}

static void compare(const struct mb_node *node, const void *y, const double *expected, size_t count,
                    bool each) {
    double largest = 0;
    for (size_t i = 0; i < count; i++)
        if (isfinite(expected[i])) largest = fmax(largest, fabs(expected[i]));
    for (size_t i = 0; i < count; i++) {
        const double got = mb_reference_element(node->type.dtype, y, i), want = expected[i];
        const double scale = each ? fabs(want) : largest;
        const bool fits = isnan(want) ? isnan(got)
                          : isinf(want)
                              ? got == want
                              : fabs(got - want) <= tolerance_of(node->type.dtype) * scale;
        if (fits) continue;
        fail_msg("%s %s: y[%zu] is %.17g, expected %.17g", mb_op_info(node->op)->name,
                 mb_dtype_name(node->type.dtype), i, got, want);
    }
}

/* Two runs, in opposite orders of threads and blocks, from guarded operands to a guarded y. */
static void run_node(const struct pb *pb, uint32_t at, void *const *data, const double *expected,
                     bool each) {
    const struct mb_node *node = &pb->nodes[at];
    struct mb_cuda_operation_args args = {.node = node};
    struct kt_region operands[MB_MAX_OPERANDS], y, scratch;
    size_t bytes, count;
    for (uint32_t k = 0; k < node->n_operands; k++) {
        const struct mb_node *operand = &pb->nodes[node->operand[k]];
        assert_true(mb_type_bytes(&operand->type, &bytes));
        operands[k] = kt_region_new(bytes, 8);
        memcpy(operands[k].data, data[operand->attr.param.index], bytes);
        args.types[k] = &operand->type, args.operands[k] = operands[k].data;
    }
    assert_true(mb_type_bytes(&node->type, &bytes));
    assert_true(mb_shape_count(&node->type.shape, &count));
    y = kt_region_new(bytes, 8);
    args.y = y.data;
    const size_t scratch_bytes = mb_cuda_operation_scratch(node, args.types);
    scratch = kt_region_new(scratch_bytes ? scratch_bytes : 1, 8);
    args.scratch = scratch.data;
    for (int repeat = 0; repeat < 2; repeat++) {
        memset(y.data, 0xff, bytes);
        memset(scratch.data, 0xff, scratch_bytes);
        assert_int_equal(mb_cuda_operation(&args, NULL), cudaSuccess);
        assert_null(mb_emulation_error());
        compare(node, y.data, expected, count, each);
    }
    assert_true(kt_region_intact(&y) && kt_region_intact(&scratch));
    kt_region_free(&scratch);
    for (uint32_t k = 0; k < node->n_operands; k++) {
        assert_true(kt_region_intact(&operands[k]));
        kt_region_free(&operands[k]);
    }
    kt_region_free(&y);
}

/* Puts what is special into a float operand. */
static void spoil(const struct mb_type *type, void *data) {
    size_t count;
    assert_true(mb_shape_count(&type->shape, &count));
    if (count < 3) return;
    float *f = data;
    double *d = data;
    if (type->dtype == MB_F32) f[count / 2] = NAN, f[count - 1] = -INFINITY, f[0] = -0.0f;
    if (type->dtype == MB_F64)
        d[count / 2] = (double)NAN, d[count - 1] = -(double)INFINITY, d[0] = -0.0;
}

static void check(struct pb *pb, uint32_t node, bool each) {
    pb_output(pb, node);
    const struct mb_program *program = pb_done(pb);
    size_t count;
    assert_true(mb_shape_count(&pb->nodes[node].type.shape, &count));
    assert_true(mb_cuda_has_operation(pb->nodes[node].op,
                                      pb->nodes[pb->nodes[node].operand[0]].type.dtype));
    for (int special = 0; special < 2; special++) {
        void **data = pb_data(program, 7);
        double *expected = malloc(count * sizeof *expected);
        assert_non_null(expected);
        for (uint32_t i = 0; special && i < program->n_params; i++)
            spoil(&program->params[i].type, data[i]);
        struct mb_err err;
        assert_int_equal(mb_reference_run(program, (const void *const *)data, &expected, &err),
                         MB_OK);
        run_node(pb, node, data, expected, each);
        free(expected);
        pb_data_free(program, data);
    }
}

static void check_unary(enum mb_op op, struct mb_type x, union mb_attr attr, bool each) {
    struct pb pb;
    pb_init(&pb);
    check(&pb, pb_node(&pb, op, pb_param(&pb, MB_INPUT, x), 0, attr), each);
}

static void check_binary(enum mb_op op, struct mb_type a, struct mb_type b, union mb_attr attr,
                         bool each) {
    struct pb pb;
    pb_init(&pb);
    const uint32_t x = pb_param(&pb, MB_INPUT, a), w = pb_param(&pb, MB_INPUT, b);
    check(&pb, pb_node(&pb, op, x, w, attr), each);
}

static const union mb_attr no_attr = {.fill = {0}};

static void test_table(void **state) {
    (void)state;
    for (int op = 0; op < MB_OP_COUNT; op++)
        for (int dtype = MB_F32; dtype <= MB_BOOL; dtype++)
            if (mb_cuda_has_operation((enum mb_op)op, (enum mb_dtype)dtype) !=
                (mb_generic_find(MB_ISA_SCALAR, (enum mb_op)op, (enum mb_dtype)dtype) != NULL))
                fail_msg("%s %s", mb_op_info((enum mb_op)op)->name,
                         mb_dtype_name((enum mb_dtype)dtype));
}

static void test_binary(void **state) {
    (void)state;
    static const enum mb_op ops[] = {
        MB_OP_ADD, MB_OP_SUB, MB_OP_MUL, MB_OP_DIV, MB_OP_MAX, MB_OP_MIN, MB_OP_MOD, MB_OP_LT,
        MB_OP_LE,  MB_OP_GT,  MB_OP_GE,  MB_OP_EQ,  MB_OP_NE,  MB_OP_POW, MB_OP_AND, MB_OP_OR};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        for (int t = MB_F32; t <= MB_BOOL; t++) {
            const enum mb_dtype d = (enum mb_dtype)t;
            if (!mb_cuda_has_operation(ops[i], d)) continue;
            const struct mb_type pairs[][2] = {
                {pb_type(d, 1, 300, 0, 0, 0), pb_type(d, 1, 300, 0, 0, 0)},
                {pb_type(d, 2, 3, 5, 0, 0), pb_type(d, 1, 5, 0, 0, 0)},
                {pb_type(d, 3, 4, 1, 3, 0), pb_type(d, 2, 2, 1, 0, 0)},
                {pb_type(d, 0, 0, 0, 0, 0), pb_type(d, 2, 2, 3, 0, 0)},
                {pb_type(d, 4, 2, 1, 3, 5), pb_type(d, 4, 1, 7, 1, 5)},
                {pb_type(d, 1, 1, 0, 0, 0), pb_type(d, 0, 0, 0, 0, 0)},
            };
            for (size_t p = 0; p < sizeof pairs / sizeof *pairs; p++)
                check_binary(ops[i], pairs[p][0], pairs[p][1], no_attr, true);
        }
}

static void test_unary(void **state) {
    (void)state;
    static const enum mb_op ops[] = {MB_OP_NEG,  MB_OP_ABS, MB_OP_RELU,  MB_OP_SIGMOID, MB_OP_TANH,
                                     MB_OP_EXP,  MB_OP_LOG, MB_OP_SQRT,  MB_OP_LOG2,    MB_OP_LOG10,
                                     MB_OP_SIN,  MB_OP_COS, MB_OP_FLOOR, MB_OP_CEIL,    MB_OP_ROUND,
                                     MB_OP_GELU, MB_OP_NOT};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        for (int t = MB_F32; t <= MB_BOOL; t++) {
            const enum mb_dtype d = (enum mb_dtype)t;
            if (!mb_cuda_has_operation(ops[i], d)) continue;
            check_unary(ops[i], pb_type(d, 3, 3, 5, 17, 0), no_attr, true);
            check_unary(ops[i], pb_type(d, 0, 0, 0, 0, 0), no_attr, true);
        }
}

static void test_casts(void **state) {
    (void)state;
    for (int from = MB_F32; from <= MB_BOOL; from++)
        for (int to = MB_F32; to <= MB_BOOL; to++)
            if (from != MB_F64 || to != MB_F32) /* the reference keeps the double */
                check_unary(MB_OP_CAST, pb_type((enum mb_dtype)from, 2, 7, 50, 0, 0),
                            (union mb_attr){.dtype = {(enum mb_dtype)to}}, true);
    static const double x[] = {-2.9, 2.9, 3e9, -HUGE_VAL, 1e300, (double)NAN, 0.1};
    static const int32_t narrow[] = {-2, 2, INT32_MAX, INT32_MIN, INT32_MAX, 0, 0};
    static const int64_t wide[] = {-2, 2, 3000000000, INT64_MIN, INT64_MAX, 0, 0};
    const struct mb_type type = pb_type(MB_F64, 1, 7, 0, 0, 0);
    struct mb_node node = {
        .op = MB_OP_CAST, .n_operands = 1, .type = pb_type(MB_I32, 1, 7, 0, 0, 0)};
    double y[7];
    const struct mb_cuda_operation_args args = {
        .node = &node, .types = {&type}, .operands = {x}, .y = y};
    assert_int_equal(mb_cuda_operation(&args, NULL), cudaSuccess);
    assert_memory_equal(y, narrow, sizeof narrow);
    node.type.dtype = MB_I64;
    assert_int_equal(mb_cuda_operation(&args, NULL), cudaSuccess);
    assert_memory_equal(y, wide, sizeof wide);
    node.type.dtype = MB_F32;
    assert_int_equal(mb_cuda_operation(&args, NULL), cudaSuccess);
    assert_true(((float *)y)[6] == 0.1f);
}

static void test_select(void **state) {
    (void)state;
    for (int t = MB_F32; t <= MB_BOOL; t++) {
        const enum mb_dtype d = (enum mb_dtype)t;
        const struct mb_type cases[][3] = {
            {pb_type(MB_BOOL, 2, 5, 70, 0, 0), pb_type(d, 2, 5, 70, 0, 0),
             pb_type(d, 2, 5, 70, 0, 0)},
            {pb_type(MB_BOOL, 2, 5, 1, 0, 0), pb_type(d, 1, 7, 0, 0, 0), pb_type(d, 0, 0, 0, 0, 0)},
            {pb_type(MB_BOOL, 1, 3, 0, 0, 0), pb_type(d, 3, 2, 1, 3, 0), pb_type(d, 2, 4, 1, 0, 0)},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            struct pb pb;
            uint32_t x[3];
            pb_init(&pb);
            for (int k = 0; k < 3; k++) x[k] = pb_param(&pb, MB_INPUT, cases[i][k]);
            check(&pb, pb_ternary(&pb, MB_OP_SELECT, x[0], x[1], x[2]), true);
        }
    }
}

static void test_integers(void **state) {
    (void)state;
    static const int32_t a[] = {7, INT32_MIN, -7, INT32_MAX}, b[] = {0, -1, 2, 1};
    static const int32_t quotients[] = {0, INT32_MIN, -3, INT32_MAX};
    static const int32_t sums[] = {7, INT32_MAX, -5, INT32_MIN};
    const struct mb_type type = pb_type(MB_I32, 1, 4, 0, 0, 0);
    const struct mb_node divide = {.op = MB_OP_DIV, .n_operands = 2, .type = type};
    const struct mb_node add = {.op = MB_OP_ADD, .n_operands = 2, .type = type};
    int32_t y[4];
    struct mb_cuda_operation_args args = {
        .node = &divide, .types = {&type, &type}, .operands = {a, b}, .y = y};
    assert_int_equal(mb_cuda_operation(&args, NULL), cudaSuccess);
    assert_memory_equal(y, quotients, sizeof y);
    args.node = &add;
    assert_int_equal(mb_cuda_operation(&args, NULL), cudaSuccess);
    assert_memory_equal(y, sums, sizeof y);
}

static void test_fill_and_moves(void **state) {
    (void)state;
    for (int t = MB_F32; t <= MB_BOOL; t++) {
        const enum mb_dtype d = (enum mb_dtype)t;
        const struct mb_node fill = {.op = MB_OP_FILL,
                                     .type = pb_type(d, 2, 3, 100, 0, 0),
                                     .attr = {.fill = {d == MB_BOOL ? 1 : -3}}};
        double expected[300];
        for (int i = 0; i < 300; i++) expected[i] = fill.attr.fill.value;
        struct pb pb;
        pb_init(&pb);
        pb.nodes[0] = fill;
        run_node(&pb, 0, NULL, expected, true);
        const union mb_attr perm = {.perm = {{2, 0, 1}}};
        if (d == MB_BOOL) continue;
        check_unary(MB_OP_TRANSPOSE, pb_type(d, 3, 3, 5, 20, 0), perm, true);
        for (int32_t axis = 0; axis < 3; axis++) {
            union mb_attr attr = {.slice = {axis, 1, 1, 2}};
            const struct mb_type cube = pb_type(d, 3, 3, 5, 20, 0);
            check_unary(MB_OP_SLICE, cube, attr, true);
            attr.slice = (struct mb_attr_slice){axis, 2, -2, 2};
            check_unary(MB_OP_SLICE, cube, attr, true);
            struct mb_type other = cube;
            other.shape.dim[axis] = 4;
            check_binary(MB_OP_CONCAT, cube, other, (union mb_attr){.axis = {axis}}, true);
        }
        pb_init(&pb);
        const uint32_t x = pb_param(&pb, MB_INPUT, pb_type(d, 2, 6, 7, 0, 0));
        check(&pb, pb_reshape(&pb, x, pb_type(d, 3, 2, 7, 3, 0)), true);
    }
    /* Booleans move as bytes. */
    static const uint8_t x[] = {1, 0, 0, 1, 1, 1}, transposed[] = {1, 1, 0, 1, 0, 1};
    const struct mb_type type = pb_type(MB_BOOL, 2, 2, 3, 0, 0);
    const struct mb_node node = {.op = MB_OP_TRANSPOSE,
                                 .n_operands = 1,
                                 .type = pb_type(MB_BOOL, 2, 3, 2, 0, 0),
                                 .attr = {.perm = {{1, 0}}}};
    uint8_t y[6];
    const struct mb_cuda_operation_args args = {
        .node = &node, .types = {&type}, .operands = {x}, .y = y};
    assert_int_equal(mb_cuda_operation(&args, NULL), cudaSuccess);
    assert_memory_equal(y, transposed, sizeof y);
}

static void test_reductions(void **state) {
    (void)state;
    for (int t = 0; t < N_NUMBERS; t++)
        for (uint32_t axes = 1; axes < 8; axes++)
            for (int keep = 0; keep < 2; keep++) {
                const union mb_attr attr = {.reduce = {axes, keep}};
                check_unary(MB_OP_SUM, pb_type(numbers[t], 3, 5, 40, 37, 0), attr, false);
                check_unary(MB_OP_SUM, pb_type(numbers[t], 3, 2, 3, 1, 0), attr, false);
                check_unary(MB_OP_REDUCE_MAX, pb_type(numbers[t], 3, 2, 5, 37, 0), attr, false);
                check_unary(MB_OP_REDUCE_MIN, pb_type(numbers[t], 3, 3, 4, 33, 0), attr, false);
                check_unary(MB_OP_PROD, pb_type(numbers[t], 3, 2, 3, 1, 0), attr, false);
                if (t < N_FLOATS)
                    check_unary(MB_OP_PROD, pb_type(numbers[t], 3, 2, 5, 9, 0), attr, true);
                if (t < N_FLOATS)
                    check_unary(MB_OP_MEAN, pb_type(numbers[t], 3, 3, 7, 51, 0), attr, false);
            }
    const union mb_attr none = {.reduce = {0, false}};
    check_unary(MB_OP_SUM, pb_type(MB_F32, 0, 0, 0, 0, 0), none, false);
}

static void test_softmax(void **state) {
    (void)state;
    for (int t = 0; t < N_FLOATS; t++)
        for (int32_t axis = 0; axis < 3; axis++) {
            const union mb_attr attr = {.axis = {axis}};
            for (int log = 0; log < 2; log++) {
                const enum mb_op op = log ? MB_OP_LOG_SOFTMAX : MB_OP_SOFTMAX;
                check_unary(op, pb_type(floats[t], 3, 9, 13, 41, 0), attr, false);
                check_unary(op, pb_type(floats[t], 3, 1, 33, 2, 0), attr, false);
            }
        }
    for (int t = 0; t < N_NUMBERS; t++)
        for (int32_t axis = 0; axis < 3; axis++) {
            const union mb_attr attr = {.axis = {axis}};
            check_unary(MB_OP_ARGMAX, pb_type(numbers[t], 3, 9, 13, 41, 0), attr, true);
            check_unary(MB_OP_ARGMAX, pb_type(numbers[t], 3, 1, 33, 2, 0), attr, true);
        }
}

static void test_matmul(void **state) {
    (void)state;
    for (int t = 0; t < N_FLOATS; t++) {
        const enum mb_dtype d = floats[t];
        const struct mb_type pairs[][2] = {
            {pb_type(d, 2, 3, 4, 0, 0), pb_type(d, 2, 4, 5, 0, 0)},
            {pb_type(d, 1, 17, 0, 0, 0), pb_type(d, 1, 17, 0, 0, 0)},
            {pb_type(d, 4, 2, 1, 3, 4), pb_type(d, 3, 5, 4, 2, 0)},
            {pb_type(d, 1, 7, 0, 0, 0), pb_type(d, 3, 2, 7, 3, 0)},
            {pb_type(d, 3, 2, 3, 7, 0), pb_type(d, 1, 7, 0, 0, 0)},
            {pb_type(d, 2, 1, 33, 0, 0), pb_type(d, 2, 33, 300, 0, 0)},
        };
        for (size_t p = 0; p < sizeof pairs / sizeof *pairs; p++)
            check_binary(MB_OP_MATMUL, pairs[p][0], pairs[p][1], no_attr, false);
    }
}

static void test_windows(void **state) {
    (void)state;
    for (int way = 0; way < 8; way++) {
        const enum mb_dtype d = floats[way & 1];
        const enum mb_layout layout = way & 2 ? MB_NHWC : MB_NCHW;
        const int32_t stride = way & 4 ? 2 : 1;
        const union mb_attr conv = {.conv = {.layout = layout,
                                             .padding = MB_PAD_CUSTOM,
                                             .stride = {stride, 1},
                                             .pad_before = {1, 0},
                                             .pad_after = {0, 2}}};
        const union mb_attr pool = {
            .pool = {.layout = layout, .kernel = {2, 3}, .stride = {stride, 2}}};
        const bool nchw = layout == MB_NCHW;
        const struct mb_type x = nchw ? pb_type(d, 4, 2, 3, 6, 7) : pb_type(d, 4, 2, 6, 7, 3);
        const struct mb_type w = nchw ? pb_type(d, 4, 5, 3, 3, 2) : pb_type(d, 4, 3, 2, 3, 5);
        check_binary(MB_OP_CONV2D, x, w, conv, false);
        check_unary(MB_OP_MAXPOOL2D, x, pool, false);
        check_unary(MB_OP_AVGPOOL2D, x, pool, false);
    }
}

/* Indices outside give 0; as the CPU does, which says so as well. */
static void test_gather(void **state) {
    (void)state;
    static const int64_t wide[] = {0, 4, -1, 5, 2, INT64_MAX};
    static const int32_t narrow[] = {0, 4, -1, 5, 2, INT32_MIN};
    static const int32_t cases[][2] = {{1, 0}, {1, 1}, {2, 0}, {2, 1}}; /* axis, batch */
    for (int t = MB_F32; t <= MB_BOOL; t++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            for (int is_wide = 0; is_wide < 2; is_wide++) {
                struct pb pb;
                pb_init(&pb);
                const struct mb_type x_type = pb_type((enum mb_dtype)t, 3, 2, 5, 5, 0);
                const uint32_t x = pb_param(&pb, MB_INPUT, x_type);
                const struct mb_type idx = pb_type(is_wide ? MB_I64 : MB_I32, 2, 2, 3, 0, 0);
                const uint32_t j = pb_param(&pb, MB_INPUT, idx);
                const union mb_attr attr = {.gather = {cases[i][0], cases[i][1]}};
                const uint32_t y = pb_node(&pb, MB_OP_GATHER, x, j, attr);
                pb_output(&pb, y);
                void **data = pb_data(pb_done(&pb), 3);
                unsigned char got[8 * 2 * 6 * 25], want[sizeof got];
                bool outside = false;
                const void *indices = is_wide ? (const void *)wide : narrow;
                const struct mb_cuda_operation_args args = {.node = &pb.nodes[y],
                                                            .types = {&x_type, &idx},
                                                            .operands = {data[0], indices},
                                                            .y = got};
                const struct mb_generic_args same = {.node = &pb.nodes[y],
                                                     .types = {&x_type, &idx},
                                                     .operands = {data[0], indices},
                                                     .y = want,
                                                     .index_outside = &outside};
                const struct mb_thread alone = {.count = 1};
                size_t bytes;
                assert_true(mb_type_bytes(&pb.nodes[y].type, &bytes) && bytes <= sizeof got);
                assert_int_equal(mb_cuda_operation(&args, NULL), cudaSuccess);
                mb_generic_find(MB_ISA_SCALAR, MB_OP_GATHER, x_type.dtype)(&same, &alone);
                assert_true(outside);
                assert_memory_equal(got, want, bytes);
                pb_data_free(&pb.program, data);
            }
}

static void test_computed(void **state) {
    (void)state;
    static const enum mb_op ops[] = {MB_OP_EYE, MB_OP_RANGE, MB_OP_UNIFORM, MB_OP_NORMAL};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        const struct mb_node node = {.op = ops[i],
                                     .type = pb_type(MB_F32, 2, 50, 50, 0, 0),
                                     .attr = {.random = {0, 1, 42, 7}}};
        float got[2500], want[2500];
        const struct mb_cuda_operation_args args = {.node = &node, .y = got};
        assert_int_equal(mb_cuda_operation(&args, NULL), cudaSuccess);
        mb_program_constant(&node, 0, 2500, want);
        assert_memory_equal(got, want, sizeof got);
    }
}

/* Few results of many terms are made in slices. */
static void test_sliced_reductions(void **state) {
    (void)state;
    static const enum mb_op ops[] = {MB_OP_SUM, MB_OP_REDUCE_MAX, MB_OP_REDUCE_MIN};
    const struct mb_type x[] = {
        pb_type(MB_F32, 1, 20011, 0, 0, 0), /* by blocks */
        pb_type(MB_F64, 2, 3, 17001, 0, 0),
        pb_type(MB_I32, 2, 401, 33, 0, 0), /* by threads */
        pb_type(MB_F32, 2, 1000, 40, 0, 0),
    };
    for (size_t i = 0; i < sizeof x / sizeof *x; i++)
        for (size_t o = 0; o < sizeof ops / sizeof *ops; o++) {
            const union mb_attr attr = {.reduce = {i == 1 ? 2 : 1, false}};
            const struct mb_node node = {
                .op = ops[o],
                .n_operands = 1,
                .type = pb_type(x[i].dtype, i > 0, x[i].shape.dim[i == 1 ? 0 : 1], 0, 0, 0),
                .attr = attr};
            assert_true(mb_cuda_operation_scratch(&node, (const struct mb_type *[]){&x[i]}) > 0);
            check_unary(ops[o], x[i], attr, false);
        }
}

/* Compensated: an error that does not grow with the number of terms. */
static void test_long_sums(void **state) {
    (void)state;
    enum { COUNT = 300000 };
    const struct mb_type x = pb_type(MB_F32, 1, COUNT, 0, 0, 0), scalar = {MB_F32, {0, {0}}};
    const struct mb_node sum = {
        .op = MB_OP_SUM, .n_operands = 1, .type = scalar, .attr = {.reduce = {1, false}}};
    float *data = malloc(COUNT * sizeof *data), y;
    assert_non_null(data);
    double expected = 0;
    for (int i = 0; i < COUNT; i++) {
        data[i] = (i % 2 ? -1e6f : 1e6f) + (float)(i % 7);
        expected += (double)data[i];
    }
    const struct mb_type *types[] = {&x};
    void *scratch = malloc(mb_cuda_operation_scratch(&sum, types));
    assert_non_null(scratch);
    const struct mb_cuda_operation_args args = {
        .node = &sum, .types = {&x}, .operands = {data}, .y = &y, .scratch = scratch};
    assert_int_equal(mb_cuda_operation(&args, NULL), cudaSuccess);
    assert_true(fabs((double)y - expected) <= 1e-6 * fabs(expected));
    free(scratch);
    free(data);
}

/* Reads what it is given and no more, and leaves all as it was. */
static void test_evict(void **state) {
    (void)state;
    const size_t counts[] = {4, 2048, 2048 + 4, 100000};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct kt_region from = kt_region_new(counts[i] * sizeof(float), 16);
        struct kt_region sink = kt_region_new(sizeof(float), 4);
        float *values = (float *)(void *)from.data, *sum = (float *)(void *)sink.data;
        const char *why;
        for (size_t k = 0; k < counts[i]; k++) values[k] = 0;
        *sum = 3;
        assert_int_equal(mb_cuda_evict(values, (int64_t)counts[i], sum, NULL), cudaSuccess);
        if ((why = mb_emulation_error())) fail_msg("%s", why);
        assert_true(*sum == 3);
        values[counts[i] - 1] = NAN; /* the last one is read */
        assert_int_equal(mb_cuda_evict(values, (int64_t)counts[i], sum, NULL), cudaSuccess);
        assert_true(isnan(*sum));
        kt_region_free(&from);
        kt_region_free(&sink);
    }
}

/* The sum of all float4 that the threads load, walking in step over count4 of them. */
static double sum_of_loads(const struct mb_cuda_reads *r, const float *values) {
    const size_t step = (size_t)r->n_blocks * 256;
    double sum = 0;
    for (size_t load = 0; load < r->n_loads; load++)
        for (size_t thread = 0; thread < step; thread++) {
            const float *v = values + (thread + load * step) % r->count4 * 4;
            sum += (double)(v[0] + v[1] + v[2] + v[3]);
        }
    return sum;
}

static double sum_of(const float *sums, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += (double)sums[i];
    return sum;
}

static void test_ceiling_reads(void **state) {
    (void)state;
    const size_t sizes[] = {4096, 65536, 65536 + 8192, 65536 + 4112};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const struct mb_cuda_reads r = mb_cuda_ceiling_reads(1, sizes[i], 3 * sizes[i]);
        const size_t n_sums = (size_t)r.n_blocks * 8;
        struct kt_region from = kt_region_new(sizes[i], 16);
        struct kt_region to = kt_region_new(n_sums * sizeof(float), 4);
        float *values = (float *)(void *)from.data, *sums = (float *)(void *)to.data;
        const char *why;
        for (size_t k = 0; k < sizes[i] / sizeof *values; k++) values[k] = (float)(k % 7);
        assert_true(mb_cuda_ceiling_bytes(&r) >= 3.0 * (double)sizes[i]);
        assert_true(mb_cuda_ceiling_bytes(&r) == 16.0 * 256 * r.n_blocks * r.n_loads);
        assert_int_equal(mb_cuda_ceiling_read(&r, values, sums, NULL), cudaSuccess);
        if ((why = mb_emulation_error())) fail_msg("%s", why);
        assert_true(sum_of(sums, n_sums) == sum_of_loads(&r, values));
        kt_region_free(&from);
        kt_region_free(&to);
    }
    assert_int_equal(mb_cuda_ceiling_reads(132, (size_t)1 << 30, 1).n_blocks, 4 * 132);
    assert_true(mb_cuda_ceiling_reads(1 << 20, (size_t)1 << 30, 1).n_blocks * 8 <=
                MB_CUDA_CEILING_SUMS);
}

static void test_ceiling_fmas(void **state) {
    (void)state;
    const struct mb_cuda_fmas f = mb_cuda_ceiling_fmas(1, 3);
    const size_t n_sums = (size_t)f.n_blocks * 8;
    struct kt_region to = kt_region_new(n_sums * sizeof(float), 4);
    const float *sums = (const float *)(void *)to.data;
    const char *why;
    double thread = 0, n_fmas = 0;
    for (int chain = 0; chain < 8; chain++) {
        float value = (float)chain;
        for (int link = 0; link < 3 * 16; link++, n_fmas++) value = fmaf(value, 0.999f, 0.5f);
        thread += (double)value;
    }
    assert_true(mb_cuda_ceiling_flops(&f) == 2 * n_fmas * 256 * f.n_blocks);
    assert_int_equal(mb_cuda_ceiling_fma(&f, (float *)(void *)to.data, NULL), cudaSuccess);
    if ((why = mb_emulation_error())) fail_msg("%s", why);
    for (size_t i = 0; i < n_sums; i++)
        assert_true(fabs((double)sums[i] - 32 * thread) <= 1e-5 * 32 * thread);
    kt_region_free(&to);
    assert_int_equal(mb_cuda_ceiling_nothing(NULL), cudaSuccess);
}

static void test_ceiling_fill(void **state) {
    (void)state;
    enum { COUNT = 5000 };
    struct kt_region to = kt_region_new(COUNT * sizeof(float), 4);
    float *values = (float *)(void *)to.data;
    double sum = 0, squares = 0;
    assert_int_equal(mb_cuda_ceiling_fill(values, COUNT, NULL), cudaSuccess);
    for (int i = 0; i < COUNT; i++) {
        assert_true(values[i] >= -1 && values[i] < 1);
        sum += (double)values[i];
        squares += (double)values[i] * (double)values[i];
    }
    assert_true(fabs(sum / COUNT) < 0.05 && fabs(squares / COUNT - 1.0 / 3) < 0.05);
    kt_region_free(&to);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_binary),
        cmocka_unit_test(test_unary),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_fill_and_moves),
        cmocka_unit_test(test_reductions),
        cmocka_unit_test(test_softmax),
        cmocka_unit_test(test_matmul),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_long_sums),
        cmocka_unit_test(test_casts),
        cmocka_unit_test(test_select),
        cmocka_unit_test(test_sliced_reductions),
        cmocka_unit_test(test_evict),
        cmocka_unit_test(test_ceiling_reads),
        cmocka_unit_test(test_ceiling_fmas),
        cmocka_unit_test(test_ceiling_fill),
        cmocka_unit_test(test_gather),
        cmocka_unit_test(test_computed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
