#include "special_values.h"

#include "program_builder.h"
#include "reference.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Of f32; of f64 they are ordinary values, beside its own. */
#define NOT_A_NUMBER ((double)NAN)
#define INFINITE     ((double)INFINITY)
// clang-format off
static const double values[] = {
    NOT_A_NUMBER, INFINITE, -INFINITE, 0.0, -0.0, 1, -1, 0.5, -0.5, 2, -2.5, 3, 0.3, 7, -13,
    FLT_MAX, -FLT_MAX, FLT_MIN, -FLT_MIN, 1e-40, -1e-40, 0x1p-149, -0x1p-149, 1e-5, -1e-5,
    88.5, -88.5, 89, -5.5, -100, -103.5, 1e10, -1e10, 16777217, 2147483648.0, -2147483648.0, 9.3e18, -9.3e18,
};
// clang-format on
enum { N_VALUES = sizeof values / sizeof *values };

/* Those for sums, where a huge term hides all others. */
static const double not_finite[] = {NOT_A_NUMBER, INFINITE, -INFINITE, 0.0, -0.0, 0x1p-149};
static const double ordinary[] = {0.5, -2, 1, 0, -0.75, 3, -0.0, 0.25};
enum {
    N_NOT_FINITE = sizeof not_finite / sizeof *not_finite,
    N_ORDINARY = sizeof ordinary / sizeof *ordinary
};

/* ---- operands ---- */

struct operand {
    enum mb_dtype dtype;
    double *values;
    size_t count;
};

typedef double fill_fn(size_t index, size_t count, size_t turn);

/* The first operand has each value in a row of its own, the second in a column: all pairs. */
static double by_row(size_t i, size_t count, size_t turn) {
    return values[(i / N_VALUES + turn) % N_VALUES + 0 * count];
}
static double by_column(size_t i, size_t count, size_t turn) {
    return values[(i + turn) % N_VALUES + 0 * count];
}
/* Ordinary ones, and in every fifth or so one that is not finite. */
static double sprinkled(size_t i, size_t count, size_t turn) {
    const size_t at = i * 7 + turn;
    return at % 5 == 3 && i != count ? not_finite[(at / 5) % N_NOT_FINITE]
                                     : ordinary[(i + turn) % N_ORDINARY];
}
static double plain(size_t i, size_t count, size_t turn) {
    return ordinary[(i * 3 + turn + 0 * count) % N_ORDINARY];
}
/* Denormals of f32: 2^-130 and less. */
static double denormal(size_t i, size_t count, size_t turn) {
    return ldexp(plain(i, count, turn), -130);
}

static void *bytes_of(const struct mb_param *param, fill_fn *fill, size_t turn) {
    size_t count = 0, bytes = 0;
    assert_true(mb_shape_count(&param->type.shape, &count));
    assert_true(mb_type_bytes(&param->type, &bytes));
    char *data = malloc(bytes + 1);
    assert_non_null(data);
    for (size_t i = 0; i < count; i++) {
        const double value = fill(i, count, turn);
        switch (param->type.dtype) {
        case MB_F32: ((float *)(void *)data)[i] = (float)value; break;
        case MB_F64: ((double *)(void *)data)[i] = value; break;
        default: ((uint8_t *)data)[i] = i % 3 == 0; break;
        }
    }
    return data;
}

/* ---- one program ---- */

struct trial {
    const struct mb_backend *be;
    const struct mb_open_config *config;
    const struct sv_license *licenses;
    size_t n_licenses;
    enum mb_dtype dtype; /* of the operands */
    enum mb_op op;
};

struct rule {
    double ulps;     /* of the result's own last place */
    double relative; /* of the largest finite result besides: for sums */
    bool signed_zero;
    bool elements; /* of an element operation or a cast */
    bool tiles;    /* a convolution with stride 1, NHWC or not, so padded */
    bool nhwc;
    int32_t pad;
};

#define OK(call)                                                                                   \
    do {                                                                                           \
        struct mb_err err_ = {0};                                                                  \
        struct mb_err *err = &err_;                                                                \
        if ((call) != MB_OK) fail_msg("%s: %s", #call, err->text);                                 \
    } while (0)

static double last_place(enum mb_dtype dtype, double value) {
    if (dtype == MB_F32) return value == 0 ? 0x1p-149 : fmax(ldexp(1, ilogb(value) - 23), 0x1p-149);
    if (dtype == MB_F64)
        return value == 0 ? DBL_TRUE_MIN : fmax(ldexp(1, ilogb(value) - 52), DBL_TRUE_MIN);
    return 0;
}

static bool fits(const struct rule *rule, enum mb_dtype dtype, double got, double exact,
                 double largest) {
    const bool is_float = dtype == MB_F32 || dtype == MB_F64;
    const double expected = dtype == MB_F32 ? (double)(float)exact : exact;
    if (isnan(expected)) return isnan(got);
    if (got == expected)
        return expected != 0 || !rule->signed_zero || !is_float || !signbit(got) == !signbit(exact);
    if (isinf(expected) || isnan(got)) return false;
    return fabs(got - exact) <= rule->ulps * last_place(dtype, expected) + rule->relative * largest;
}

/* An output's or an input's image, row and column. */
static void place_in_image(const struct mb_shape *shape, bool nhwc, size_t i, int64_t at[3]) {
    const int64_t c = shape->dim[nhwc ? 3 : 1], h = shape->dim[nhwc ? 1 : 2];
    const int64_t w = shape->dim[nhwc ? 2 : 3], index = (int64_t)i;
    const int64_t pixel = nhwc ? index / c : index % (h * w);
    at[0] = index / (c * h * w);
    at[1] = pixel / w % h;
    at[2] = pixel % w;
}

static bool shares_a_patch(const struct rule *rule, const struct mb_program *p, const void *x,
                           size_t i) {
    const struct mb_type *in = &p->params[0].type, *out = &p->nodes[p->outputs[0]].type;
    enum { REACH = 5 };
    int64_t to[3], from[3];
    size_t count = 0;
    assert_true(mb_shape_count(&in->shape, &count));
    place_in_image(&out->shape, rule->nhwc, i, to);
    for (size_t k = 0; k < count; k++) {
        if (isfinite(mb_reference_element(in->dtype, x, k))) continue;
        place_in_image(&in->shape, rule->nhwc, k, from);
        if (to[0] == from[0] && llabs(to[1] - rule->pad - from[1]) <= REACH &&
            llabs(to[2] - rule->pad - from[2]) <= REACH)
            return true;
    }
    return false;
}

/* The value of operand k, a parameter of at most two dimensions, that element i of the result is
 * made of. */
static double operand_at(const struct mb_program *p, void *const *data, uint32_t k, size_t i) {
    const struct mb_node *node = &p->nodes[p->outputs[0]];
    if (k >= node->n_operands) return 0;
    const struct mb_node *operand = &p->nodes[node->operand[k]];
    const struct mb_shape *in = &operand->type.shape, *out = &node->type.shape;
    const size_t columns = (size_t)out->dim[out->rank - 1];
    const size_t in_columns = (size_t)in->dim[in->rank - 1];
    const size_t row = in->rank < out->rank ? 0 : i / columns, column = i % columns;
    const size_t at = row * in_columns + (in_columns == 1 ? 0 : column);
    return mb_reference_element(operand->type.dtype, data[operand->attr.param.index], at);
}

static bool is_licensed(const struct trial *t, const struct rule *rule, const struct mb_program *p,
                        void *const *data, size_t i, double got, double exact) {
    struct sv_element element = {
        .dtype = p->nodes[p->outputs[0]].type.dtype, .got = got, .exact = exact};
    if (rule->elements)
        for (uint32_t k = 0; k < 2; k++) element.operand[k] = operand_at(p, data, k, i);
    element.shares_patch = rule->tiles && shares_a_patch(rule, p, data[0], i);
    for (size_t l = 0; l < t->n_licenses; l++)
        if (t->licenses[l].op == t->op && t->licenses[l].dtype == t->dtype &&
            t->licenses[l].covers(&element))
            return true;
    return false;
}

/* The first difference of each program is told, up to MAX_TOLD in all. */
enum { MAX_TOLD = 20 };
static int n_differing;

static void compare(const struct trial *t, const struct rule *rule, const struct mb_program *p,
                    void *const *data, const void *got, const double *exact, const char *form) {
    const struct mb_type *type = &p->nodes[p->outputs[0]].type;
    size_t count = 0;
    double largest = 0;
    assert_true(mb_shape_count(&type->shape, &count));
    for (size_t i = 0; i < count; i++)
        if (isfinite(exact[i])) largest = fmax(largest, fabs(exact[i]));
    for (size_t i = 0; i < count; i++) {
        const double value = mb_reference_element(type->dtype, got, i);
        if (fits(rule, type->dtype, value, exact[i], largest)) continue;
        if (is_licensed(t, rule, p, data, i, value, exact[i])) continue;
        if (n_differing++ < MAX_TOLD)
            print_error("%s of %s, %s, %s, %d threads, [%zu] is %.9g, not %.9g\n",
                        mb_op_info(t->op)->name, mb_dtype_name(t->dtype), form, t->config->executor,
                        t->config->n_threads, i, value, exact[i]);
        return;
    }
}

/* The program's one output for params made by the fills. */
static void check(const struct trial *t, struct pb *pb, const struct rule *rule,
                  fill_fn *const *fills, size_t turn, const char *form) {
    const struct mb_program *p = pb_done(pb);
    struct mb_ctx *ctx = NULL;
    struct mb_buf *inputs[MB_MAX_OPERANDS], *output = NULL;
    const void *weights[MB_MAX_OPERANDS] = {NULL};
    void *data[MB_MAX_OPERANDS];
    const struct mb_type *type = &p->nodes[p->outputs[0]].type;
    size_t bytes = 0, count = 0, n_inputs = 0;
    assert_true(mb_type_bytes(type, &bytes) && mb_shape_count(&type->shape, &count));
    double *exact = malloc(count * sizeof *exact), *all[] = {exact};
    void *got = malloc(bytes);
    assert_true(exact && got);
    OK(t->be->open(t->config, &ctx, err));
    OK(t->be->plan(ctx, p, err));
    for (uint32_t i = 0; i < p->n_params; i++) {
        size_t size = 0;
        assert_true(mb_type_bytes(&p->params[i].type, &size));
        data[i] = bytes_of(&p->params[i], fills[i], turn);
        if (p->params[i].role == MB_WEIGHT) {
            weights[i] = data[i];
            continue;
        }
        OK(t->be->buf_alloc(ctx, size, &inputs[n_inputs], err));
        OK(t->be->upload(ctx, inputs[n_inputs++], data[i], size, err));
    }
    OK(t->be->buf_alloc(ctx, bytes, &output, err));
    OK(mb_reference_run(p, (const void *const *)data, all, err));
    OK(t->be->load(ctx, weights, err));
    OK(t->be->launch(ctx, inputs, &output, err));
    OK(t->be->sync(ctx, err));
    OK(t->be->download(ctx, got, output, bytes, err));
    compare(t, rule, p, data, got, exact, form);
    for (size_t i = 0; i < n_inputs; i++) t->be->buf_free(ctx, inputs[i]);
    t->be->buf_free(ctx, output);
    t->be->close(ctx);
    for (uint32_t i = 0; i < p->n_params; i++) free(data[i]);
    free(exact);
    free(got);
}

/* ---- the forms of operations ---- */

static uint32_t param(struct pb *pb, enum mb_role role, enum mb_dtype dtype, int32_t rank,
                      int64_t a, int64_t b, int64_t c, int64_t d) {
    return pb_param(pb, role, pb_type(dtype, rank, a, b, c, d));
}

/* Of element operations, in units of the last place; 0: exact. */
static struct rule element_rule(enum mb_op op) {
    switch (op) {
    case MB_OP_MAX:
    case MB_OP_MIN:
    case MB_OP_RELU: return (struct rule){.ulps = 0};
    case MB_OP_SIGMOID: /* 0 below -88.73; see vector_math.h */
        return (struct rule){.ulps = 3, .relative = 1.2e-38};
    case MB_OP_GELU: /* the far tail is relative to Phi's own error */
        return (struct rule){.ulps = 50, .signed_zero = true};
    case MB_OP_TANH:
    case MB_OP_EXP:
    case MB_OP_LOG:
    case MB_OP_LOG2:
    case MB_OP_LOG10:
    case MB_OP_POW:
    case MB_OP_SIN:
    case MB_OP_COS: return (struct rule){.ulps = 3, .signed_zero = true};
    default: return (struct rule){.ulps = 0, .signed_zero = true};
    }
}

static struct rule of_elements(struct rule rule) {
    rule.elements = true;
    if (rule.ulps < 0.5) rule.ulps = 0.500001; /* the reference has no rounding to f32 */
    return rule;
}

/* All pairs of values, of operands of one shape and of broadcast ones. */
static void check_binary(struct trial *t) {
    static fill_fn *const pairs[] = {by_row, by_column};
    const struct rule rule = of_elements(element_rule(t->op));
    const int64_t n = N_VALUES;
    for (int form = 0; form < 4; form++) {
        struct pb pb;
        pb_init(&pb);
        if (form == 3) { /* a column of numbers by a row of numbers */
            const uint32_t x = param(&pb, MB_INPUT, t->dtype, 2, n, 1, 0, 0);
            pb_output(&pb, pb_binary(&pb, t->op, x, param(&pb, MB_INPUT, t->dtype, 1, n, 0, 0, 0)));
            static fill_fn *const columns[] = {by_column, by_column};
            check(t, &pb, &rule, columns, 0, "broadcast");
            continue;
        }
        const uint32_t x = param(&pb, MB_INPUT, t->dtype, 2, n, n, 0, 0);
        const uint32_t y = form == 0 ? param(&pb, MB_INPUT, t->dtype, 2, n, n, 0, 0)
                                     : param(&pb, MB_INPUT, t->dtype, 1, n, 0, 0, 0);
        pb_output(&pb, form == 2 ? pb_binary(&pb, t->op, y, x) : pb_binary(&pb, t->op, x, y));
        static fill_fn *const swapped[] = {by_row, by_column};
        check(t, &pb, &rule, form == 2 ? swapped : pairs, 0, "pairs");
    }
}

static void check_unary(struct trial *t) {
    static fill_fn *const fills[] = {by_column};
    const struct rule rule = of_elements(element_rule(t->op));
    for (int64_t count = N_VALUES; count <= N_VALUES + 24; count += 12) {
        struct pb pb;
        pb_init(&pb);
        pb_output(&pb, pb_unary(&pb, t->op, param(&pb, MB_INPUT, t->dtype, 1, count, 0, 0, 0)));
        check(t, &pb, &rule, fills, (size_t)count, "unary");
    }
}

static void check_cast(struct trial *t) {
    static fill_fn *const fills[] = {by_column};
    const struct rule rule = of_elements((struct rule){.signed_zero = true});
    for (int to = MB_F32; to <= MB_BOOL; to++) {
        struct pb pb;
        pb_init(&pb);
        pb_output(&pb, pb_cast(&pb, param(&pb, MB_INPUT, t->dtype, 1, N_VALUES, 0, 0, 0),
                               (enum mb_dtype)to));
        check(t, &pb, &rule, fills, 0, mb_dtype_name((enum mb_dtype)to));
    }
}

static void check_select(struct trial *t) {
    static fill_fn *const fills[] = {by_column, by_column, by_row};
    static const struct rule rule = {.signed_zero = true};
    struct pb pb;
    pb_init(&pb);
    const uint32_t which = param(&pb, MB_INPUT, MB_BOOL, 1, N_VALUES, 0, 0, 0);
    const uint32_t a = param(&pb, MB_INPUT, t->dtype, 1, N_VALUES, 0, 0, 0);
    const uint32_t b = param(&pb, MB_INPUT, t->dtype, 2, N_VALUES, N_VALUES, 0, 0);
    pb_output(&pb, pb_ternary(&pb, t->op, which, a, b));
    check(t, &pb, &rule, fills, 0, "select");
}

/* Lines with one or more values that are not finite, zero or denormal; long and short. */
static void check_lines(struct trial *t, union mb_attr (*attr)(int32_t axis)) {
    static fill_fn *const fills[][1] = {{sprinkled}, {plain}, {denormal}};
    const bool single = t->dtype == MB_F32;
    const struct rule rule = {.ulps = 4, .relative = single ? 1e-6 : 1e-14};
    static const int64_t lengths[] = {1, 3, 17, 40};
    for (int f = 0; f < 3; f++)
        for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
            for (int32_t axis = 0; axis < 2; axis++)
                for (size_t turn = 0; turn < 3; turn++) {
                    struct pb pb;
                    pb_init(&pb);
                    const int64_t other = 19, a = axis ? other : lengths[l];
                    const uint32_t x =
                        param(&pb, MB_INPUT, t->dtype, 2, a, axis ? lengths[l] : other, 0, 0);
                    pb_output(&pb, pb_node(&pb, t->op, x, 0, attr(axis)));
                    check(t, &pb, &rule, fills[f], turn, axis ? "last axis" : "first axis");
                }
}

static union mb_attr reduced(int32_t axis) {
    return (union mb_attr){.reduce = {.axes = 1u << axis}};
}
static union mb_attr along(int32_t axis) { return (union mb_attr){.axis = {axis}}; }

static void check_pool(struct trial *t) {
    static fill_fn *const fills[][1] = {{sprinkled}, {plain}, {denormal}};
    const struct rule rule = {.ulps = 4, .relative = t->dtype == MB_F32 ? 1e-6 : 1e-14};
    for (int f = 0; f < 3; f++)
        for (int layout = MB_NCHW; layout <= MB_NHWC; layout++)
            for (int32_t size = 1; size <= 3; size++) {
                struct pb pb;
                pb_init(&pb);
                const uint32_t x = param(&pb, MB_INPUT, t->dtype, 4, 2, 6, 7, 6);
                pb_output(&pb, pb_pool(&pb, t->op, x, (enum mb_layout)layout, size, 1));
                check(t, &pb, &rule, fills[f], (size_t)size, "pool");
            }
}

/* Products where either side is not finite and the other has zeros; denormals by ordinary ones. */
static void check_product(struct trial *t) {
    static fill_fn *const fills[][2] = {
        {sprinkled, plain}, {plain, sprinkled}, {sprinkled, sprinkled}, {denormal, plain}};
    const struct rule rule = {.ulps = 4, .relative = t->dtype == MB_F32 ? 1e-5 : 1e-14};
    static const int64_t sizes[][3] = {{1, 40, 24}, {3, 17, 9}, {14, 33, 35}, {6, 20, 70}};
    for (int f = 0; f < 4; f++)
        for (int role = MB_INPUT; role <= MB_WEIGHT; role++)
            for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
                struct pb pb;
                pb_init(&pb);
                const int64_t m = sizes[s][0], k = sizes[s][1], n = sizes[s][2];
                const uint32_t x = param(&pb, MB_INPUT, t->dtype, 2, m, k, 0, 0);
                const uint32_t w = param(&pb, (enum mb_role)role, t->dtype, 2, k, n, 0, 0);
                pb_output(&pb, pb_binary(&pb, t->op, x, w));
                check(t, &pb, &rule, fills[f], s, "product");
            }
}

/* ---- convolutions ---- */

enum { CONV_H = 11, CONV_W = 14 };

/* Turns 0 to 2 are NaN and infinities, 3 to 5 again at another place. */
static double sign_of_turn(size_t turn) {
    return turn % 3 == 0 ? NOT_A_NUMBER : turn % 3 == 1 ? INFINITE : -INFINITE;
}
/* One value of the second image: in the middle, or the last. */
static double one_pixel(size_t i, size_t count, size_t turn) {
    return i + 1 == (turn < 3 ? count * 5 / 8 : count) ? sign_of_turn(turn) : plain(i, count, turn);
}
/* The last tap of the last filter. */
static double one_tap(size_t i, size_t count, size_t turn) {
    return i + 1 == count ? sign_of_turn(turn) : plain(i, count, turn);
}
static void check_one_conv2d(struct trial *t, enum mb_layout layout, const int64_t channels[2],
                             int32_t stride, int32_t pad, fill_fn *const *fills, size_t turn) {
    const struct rule rule = {.ulps = 4,
                              .relative = t->dtype == MB_F32 ? 2e-5 : 1e-14,
                              .tiles = stride == 1,
                              .nhwc = layout == MB_NHWC,
                              .pad = pad};
    const int64_t c = channels[0], k = channels[1];
    const bool nchw = layout == MB_NCHW;
    const struct mb_type image = nchw ? pb_type(t->dtype, 4, 2, c, CONV_H, CONV_W)
                                      : pb_type(t->dtype, 4, 2, CONV_H, CONV_W, c);
    struct pb pb;
    pb_init(&pb);
    const uint32_t x = pb_param(&pb, MB_INPUT, image);
    const uint32_t w = nchw ? param(&pb, MB_WEIGHT, t->dtype, 4, k, c, 3, 3)
                            : param(&pb, MB_WEIGHT, t->dtype, 4, 3, 3, c, k);
    pb_output(&pb, pb_conv(&pb, x, w, layout, stride, pad));
    check(t, &pb, &rule, fills, turn, nchw ? "NCHW" : "NHWC");
}

/* Few channels and many, as kernels tell them apart. What is not finite is one value, so that it is
 * seen how far it reaches; in a filter it meets no padding (fallback_cpu/kernel.h). */
static void check_conv2d(struct trial *t) {
    static fill_fn *const finite[][2] = {{plain, plain}, {denormal, plain}};
    static fill_fn *const pixel[] = {one_pixel, plain}, *const tap[] = {plain, one_tap};
    static const int64_t channels[][2] = {{3, 20}, {5, 7}, {32, 40}};
    for (int n = 0; n < 3; n++)
        for (int layout = MB_NCHW; layout <= MB_NHWC; layout++)
            for (int32_t stride = 1; stride <= 2; stride++) {
                const enum mb_layout l = (enum mb_layout)layout;
                for (int f = 0; f < 2; f++)
                    check_one_conv2d(t, l, channels[n], stride, 1, finite[f], 0);
                for (size_t turn = 0; turn < 6; turn++)
                    check_one_conv2d(t, l, channels[n], stride, 1, pixel, turn);
                for (size_t turn = 0; turn < 3; turn++)
                    check_one_conv2d(t, l, channels[n], stride, 0, tap, turn);
            }
}

/* What moves elements leaves them as they are. */
static void check_moving(struct trial *t) {
    static fill_fn *const fills[] = {by_column, by_row};
    static const struct rule rule = {.signed_zero = true};
    static const int32_t picks[] = {4, 0, 2, 2};
    union mb_attr attr = {.fill = {0}};
    struct pb pb;
    pb_init(&pb);
    const uint32_t x = param(&pb, MB_INPUT, t->dtype, 2, 5, N_VALUES, 0, 0);
    switch (t->op) {
    case MB_OP_RESHAPE:
        pb_output(&pb, pb_reshape(&pb, x, pb_type(t->dtype, 1, 5 * N_VALUES, 0, 0, 0)));
        break;
    case MB_OP_TRANSPOSE:
        memcpy(attr.perm.perm, ((const int8_t[]){1, 0}), 2);
        pb_output(&pb, pb_node(&pb, t->op, x, 0, attr));
        break;
    case MB_OP_SLICE:
        attr.slice = (struct mb_attr_slice){1, 0, 1, N_VALUES - 1};
        pb_output(&pb, pb_node(&pb, t->op, x, 0, attr));
        break;
    case MB_OP_CONCAT:
        pb_output(&pb, pb_node(&pb, t->op, x, param(&pb, MB_INPUT, t->dtype, 2, 5, N_VALUES, 0, 0),
                               along(0)));
        break;
    case MB_OP_GATHER: {
        const uint32_t at = pb_dense(&pb, pb_type(MB_I32, 1, 4, 0, 0, 0), picks);
        pb_output(&pb, pb_node(&pb, t->op, x, at, (union mb_attr){.gather = {0, 0}}));
        break;
    }
    default: pb_output(&pb, x); break; /* PARAM */
    }
    check(t, &pb, &rule, fills, 0, "moved");
}

static void check_constant(struct trial *t) {
    static const struct rule rule = {.ulps = 0.500001, .signed_zero = true};
    for (size_t i = 0; i < N_VALUES; i++) {
        struct pb pb;
        pb_init(&pb);
        const struct mb_type type = pb_type(t->dtype, 1, 9, 0, 0, 0);
        float single[9];
        double twice[9];
        for (int k = 0; k < 9; k++) twice[k] = values[i], single[k] = (float)values[i];
        pb_output(&pb, t->op == MB_OP_FILL ? pb_fill(&pb, type, values[i])
                                           : pb_dense(&pb, type,
                                                      t->dtype == MB_F32 ? (const void *)single
                                                                         : (const void *)twice));
        check(t, &pb, &rule, NULL, 0, "constant");
    }
}

void sv_check_on(const struct mb_backend *backend, const struct mb_open_config *config,
                 enum mb_dtype dtype, const struct sv_license *licenses, size_t n_licenses) {
    struct trial t = {backend, config, licenses, n_licenses, dtype, MB_OP_PARAM};
    n_differing = 0;
    for (int op = 0; op < MB_OP_COUNT; op++) {
        t.op = (enum mb_op)op;
        switch (t.op) {
        case MB_OP_FILL:
        case MB_OP_DENSE: check_constant(&t); break;
        case MB_OP_RANGE: /* of numbers that the program has: none is special */
        case MB_OP_EYE:
        case MB_OP_UNIFORM:
        case MB_OP_NORMAL:
        case MB_OP_AND: /* of bools */
        case MB_OP_OR:
        case MB_OP_NOT: break;
        case MB_OP_CAST: check_cast(&t); break;
        case MB_OP_SELECT: check_select(&t); break;
        case MB_OP_MATMUL: check_product(&t); break;
        case MB_OP_CONV2D: check_conv2d(&t); break;
        case MB_OP_MAXPOOL2D:
        case MB_OP_AVGPOOL2D: check_pool(&t); break;
        case MB_OP_SUM:
        case MB_OP_MEAN:
        case MB_OP_REDUCE_MAX:
        case MB_OP_REDUCE_MIN:
        case MB_OP_PROD: check_lines(&t, reduced); break;
        case MB_OP_ARGMAX:
        case MB_OP_SOFTMAX:
        case MB_OP_LOG_SOFTMAX: check_lines(&t, along); break;
        case MB_OP_PARAM:
        case MB_OP_RESHAPE:
        case MB_OP_SLICE:
        case MB_OP_CONCAT:
        case MB_OP_GATHER:
        case MB_OP_TRANSPOSE: check_moving(&t); break;
        default:
            if (mb_op_info(t.op)->n_operands == 2)
                check_binary(&t);
            else
                check_unary(&t);
        }
    }
    if (n_differing) fail_msg("%d programs differ", n_differing);
}
