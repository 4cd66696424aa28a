/* The libtorch plugin through its one interface: every operation on small awkward shapes and every
 * element type, all executors, against the FP64 reference; then the edges of the interface.
 *
 *   test_torch cpu      the executors on the CPU
 *   test_torch cuda     those on the first CUDA device
 *   test_torch hidden   what is said where no CUDA device answers; hides those that there are
 *
 * Each in a process of its own: libtorch remembers whether it found CUDA. Exits with 77, which
 * CTest counts as skipped, where the build has no plugin or no device answers. */
#include "backend.h"
#include "program_builder.h"
#include "reference.h"
#include "scratch_folder.h"
#include "special_values.h"

#include <dlfcn.h>
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct mb_backend *torch;
static struct mb_err err;

struct executor {
    const char *name;
    double tolerance; /* of f32, relative to the largest value */
};
static const struct executor on_cpu[] = {{"torch-eager", 1e-5}, {"torch-jit", 1e-5}};
static const struct executor on_cuda[] = {
    {"torch-eager", 1e-5}, {"torch-jit", 1e-5}, {"torch-graph", 1e-5}, {"torch-defaults", 5e-3}};

static const char *device;
static const struct executor *executors;
static size_t n_executors;

static bool is_cuda(void) { return strcmp(device, "cuda") == 0; }

/* ---- building programs ---- */

enum { MAX_PARAMS = 16, MAX_OUTPUTS = 4 };

#define SHAPE(...)                                                                                 \
    ((struct mb_shape){(int32_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)),              \
                       {__VA_ARGS__}})
static const struct mb_shape scalar;

static uint32_t input(struct pb *net, enum mb_dtype dtype, struct mb_shape shape) {
    return pb_param(net, MB_INPUT, (struct mb_type){dtype, shape});
}

static uint32_t weight(struct pb *net, enum mb_dtype dtype, struct mb_shape shape) {
    return pb_param(net, MB_WEIGHT, (struct mb_type){dtype, shape});
}

static uint32_t transpose(struct pb *net, uint32_t a, int8_t p0, int8_t p1, int8_t p2) {
    return pb_node(net, MB_OP_TRANSPOSE, a, 0, (union mb_attr){.perm = {{p0, p1, p2}}});
}

static uint32_t reshape(struct pb *net, uint32_t a, struct mb_shape shape) {
    return pb_node(net, MB_OP_RESHAPE, a, 0, (union mb_attr){.shape = {shape}});
}

static uint32_t reduce(struct pb *net, enum mb_op op, uint32_t a, uint32_t axes, bool keepdims) {
    return pb_node(net, op, a, 0, (union mb_attr){.reduce = {axes, keepdims}});
}

static uint32_t softmax(struct pb *net, uint32_t a, int32_t axis) {
    return pb_node(net, MB_OP_SOFTMAX, a, 0, (union mb_attr){.axis = {axis}});
}

static uint32_t pool(struct pb *net, enum mb_op op, uint32_t a, enum mb_layout layout, int32_t kh,
                     int32_t kw, int32_t sh, int32_t sw) {
    const union mb_attr attr = {.pool = {layout, {kh, kw}, {sh, sw}}};
    return pb_node(net, op, a, 0, attr);
}

/* Padding: top, left, bottom, right. */
static uint32_t conv(struct pb *net, uint32_t x, uint32_t w, enum mb_layout layout, int32_t stride,
                     const int32_t pad[4]) {
    const union mb_attr attr = {
        .conv = {layout, MB_PAD_CUSTOM, {stride, stride}, {pad[0], pad[1]}, {pad[2], pad[3]}}};
    return pb_node(net, MB_OP_CONV2D, x, w, attr);
}

/* ---- values ---- */

enum { MAX_COUNT = 8192 };

union values {
    float f32[MAX_COUNT];
    double f64[MAX_COUNT];
    int32_t i32[MAX_COUNT];
    int64_t i64[MAX_COUNT];
    unsigned char b[MAX_COUNT];
};

static size_t count_of(const struct mb_type *type) {
    size_t count = 0;
    assert_true(mb_shape_count(&type->shape, &count) && count <= MAX_COUNT);
    return count;
}

static size_t bytes_of(const struct mb_type *type) {
    return count_of(type) * mb_dtype_size(type->dtype);
}

static void set(union values *v, enum mb_dtype dtype, size_t i, double value) {
    switch (dtype) {
    case MB_F32: v->f32[i] = (float)value; break;
    case MB_F64: v->f64[i] = value; break;
    case MB_I32: v->i32[i] = (int32_t)value; break;
    case MB_I64: v->i64[i] = (int64_t)value; break;
    case MB_BOOL: v->b[i] = value > 0; break;
    }
}

static double get(const union values *v, enum mb_dtype dtype, size_t i) {
    switch (dtype) {
    case MB_F32: return (double)v->f32[i];
    case MB_F64: return v->f64[i];
    case MB_I32: return v->i32[i];
    case MB_I64: return (double)v->i64[i];
    case MB_BOOL: return v->b[i];
    }
    return NAN;
}

/* Which numbers a case's inputs hold. */
enum domain {
    PLAIN,    /* floats in -2..2, integers in -9..9 without 0 */
    POSITIVE, /* 0.01..2 */
    SPECIAL,  /* as PLAIN, with NaN, infinities and zeros of both signs strewn in */
};

static uint32_t lcg_state;

static double uniform(void) { /* 0..1 */
    lcg_state = lcg_state * 1664525u + 1013904223u;
    return (double)(lcg_state >> 8) / (double)(1u << 24);
}

static void make_values(union values *v, const struct mb_type *type, enum domain domain) {
    static const double specials[] = {(double)NAN, (double)INFINITY, -(double)INFINITY, 0.0, -0.0};
    const bool is_float = type->dtype == MB_F32 || type->dtype == MB_F64;
    for (size_t i = 0, n = count_of(type); i < n; i++) {
        double u = uniform(), value = u * 4 - 2;
        if (domain == POSITIVE) value = 0.01 + 1.99 * u;
        if (!is_float) value = trunc(u * 9 + 1) * (uniform() < 0.5 ? -1 : 1);
        if (domain == SPECIAL && is_float && uniform() < 0.3) value = specials[i % 5];
        set(v, type->dtype, i, value);
    }
}

/* ---- running ---- */

static struct mb_open_config config_of(const char *name) {
    return (struct mb_open_config){.executor = name,
                                   .device = device,
                                   .device_index = 0,
                                   .n_threads = 2,
                                   .precision = MB_FP32,
                                   .isa_cap = MB_ISA_BEST,
                                   .kernel = NULL};
}

static struct mb_ctx *open_executor(const char *name) {
    const struct mb_open_config config = config_of(name);
    struct mb_ctx *ctx = NULL;
    if (torch->open(&config, &ctx, &err) != MB_OK) fail_msg("%s", err.text);
    return ctx;
}

#define OK(call)                                                                                   \
    do {                                                                                           \
        if ((call) != MB_OK) fail_msg("%s", err.text);                                             \
    } while (0)

/* A planned and loaded program with its buffers. */
struct session {
    const struct mb_program *program;
    struct mb_ctx *ctx;
    struct mb_buf *in[MAX_PARAMS], *out[MAX_OUTPUTS];
    uint32_t n_in;
    union values *values[MAX_PARAMS]; /* of every parameter */
};

static void start_with(struct session *s, struct mb_ctx *ctx, const struct mb_program *program,
                       enum domain domain) {
    const void *weights[MAX_PARAMS] = {0};
    *s = (struct session){.program = program, .ctx = ctx};
    lcg_state = 7;
    OK(torch->plan(s->ctx, program, &err));
    for (uint32_t i = 0; i < program->n_params; i++) {
        s->values[i] = malloc(sizeof *s->values[i]);
        make_values(s->values[i], &program->params[i].type, domain);
        if (program->params[i].role == MB_WEIGHT)
            weights[i] = s->values[i];
        else
            OK(torch->buf_alloc(s->ctx, bytes_of(&program->params[i].type), &s->in[s->n_in++],
                                &err));
    }
    for (uint32_t i = 0; i < program->n_outputs; i++)
        OK(torch->buf_alloc(s->ctx, bytes_of(&program->nodes[program->outputs[i]].type), &s->out[i],
                            &err));
    OK(torch->load(s->ctx, weights, &err));
}

static void start(struct session *s, const char *executor, const struct mb_program *program,
                  enum domain domain) {
    start_with(s, open_executor(executor), program, domain);
}

static void upload_inputs(struct session *s) {
    uint32_t k = 0;
    for (uint32_t i = 0; i < s->program->n_params; i++)
        if (s->program->params[i].role == MB_INPUT)
            OK(torch->upload(s->ctx, s->in[k++], s->values[i],
                             bytes_of(&s->program->params[i].type), &err));
}

static void launch(struct session *s) {
    OK(torch->launch(s->ctx, s->in, s->out, &err));
    OK(torch->sync(s->ctx, &err));
}

static void stop(struct session *s) {
    for (uint32_t i = 0; i < s->n_in; i++) torch->buf_free(s->ctx, s->in[i]);
    for (uint32_t i = 0; i < s->program->n_outputs; i++) torch->buf_free(s->ctx, s->out[i]);
    for (uint32_t i = 0; i < s->program->n_params; i++) free(s->values[i]);
    torch->close(s->ctx);
}

static void compare(const char *name, const struct executor *executor, const struct mb_type *type,
                    const union values *got, const double *want) {
    const double unit = type->dtype == MB_F32   ? executor->tolerance
                        : type->dtype == MB_F64 ? 1e-13
                                                : 0;
    double scale = 0;
    for (size_t i = 0, n = count_of(type); i < n; i++)
        if (isfinite(want[i])) scale = fmax(scale, fabs(want[i]));
    for (size_t i = 0, n = count_of(type); i < n; i++) {
        const double g = get(got, type->dtype, i);
        const bool agree = isfinite(want[i]) ? fabs(g - want[i]) <= unit * scale
                           : isnan(want[i])  ? isnan(g)
                                             : g == want[i];
        if (!agree)
            fail_msg("%s, %s: element %zu is %.9g, not %.9g", name, executor->name, i, g, want[i]);
    }
}

static bool op_seen[MB_OP_COUNT];

/* Runs the program three times with fresh inputs and compares every output with the reference. */
static void check(const char *name, struct pb *net, enum domain domain) {
    const struct mb_program *program = pb_done(net);
    static union values got;
    for (uint32_t i = 0; i < program->n_nodes; i++) op_seen[program->nodes[i].op] = true;
    for (size_t e = 0; e < n_executors; e++) {
        struct session s;
        start(&s, executors[e].name, program, domain);
        for (int run = 0; run < 3; run++) {
            const void *params[MAX_PARAMS];
            double *want[MAX_OUTPUTS];
            for (uint32_t i = 0; i < program->n_params; i++) {
                if (program->params[i].role == MB_INPUT)
                    make_values(s.values[i], &program->params[i].type, domain);
                params[i] = s.values[i];
            }
            for (uint32_t i = 0; i < program->n_outputs; i++)
                want[i] = calloc(MAX_COUNT, sizeof(double));
            OK(mb_reference_run(program, params, want, &err));
            upload_inputs(&s);
            launch(&s);
            for (uint32_t i = 0; i < program->n_outputs; i++) {
                const struct mb_type *type = &program->nodes[program->outputs[i]].type;
                OK(torch->download(s.ctx, &got, s.out[i], bytes_of(type), &err));
                compare(name, &executors[e], type, &got, want[i]);
                free(want[i]);
            }
        }
        stop(&s);
    }
}

/* ---- operations ---- */

static const enum mb_dtype number_types[] = {MB_F32, MB_F64, MB_I32, MB_I64};

static bool is_float(enum mb_dtype dtype) { return dtype == MB_F32 || dtype == MB_F64; }

static void test_binary(void **state) {
    static const enum mb_op ops[] = {MB_OP_ADD, MB_OP_SUB, MB_OP_MUL,
                                     MB_OP_DIV, MB_OP_MAX, MB_OP_MIN};
    (void)state;
    for (size_t t = 0; t < 4; t++) {
        /* One program of all, so that each is compiled once. */
        struct pb net;
        pb_init(&net);
        const uint32_t a = input(&net, number_types[t], SHAPE(2, 3, 5));
        const uint32_t b = input(&net, number_types[t], SHAPE(3, 1));
        const uint32_t w = weight(&net, number_types[t], SHAPE(5));
        const uint32_t k = pb_fill(&net, (struct mb_type){number_types[t], scalar}, 3);
        uint32_t y[6];
        for (size_t i = 0; i < 6; i++) y[i] = pb_binary(&net, ops[i], a, i % 2 ? w : b);
        pb_output(&net, pb_binary(&net, MB_OP_SUB, y[0], pb_binary(&net, MB_OP_MUL, y[1], k)));
        pb_output(&net, pb_binary(&net, MB_OP_ADD, y[2], pb_binary(&net, MB_OP_DIV, y[3], k)));
        pb_output(&net, y[4]);
        pb_output(&net, y[5]);
        check("binary", &net, PLAIN);
        if (is_float(number_types[t])) check("binary, special", &net, SPECIAL);
    }
}

/* Those whose result has another type, or which only some types have. */
static void test_more_binary(void **state) {
    (void)state;
    for (size_t t = 0; t < 4; t++) {
        struct pb net;
        pb_init(&net);
        const uint32_t a = input(&net, number_types[t], SHAPE(2, 3, 5));
        const uint32_t b = input(&net, number_types[t], SHAPE(3, 1));
        const uint32_t w = weight(&net, number_types[t], SHAPE(5));
        const uint32_t lt = pb_binary(&net, MB_OP_LT, a, b), le = pb_binary(&net, MB_OP_LE, a, a);
        const uint32_t gt = pb_binary(&net, MB_OP_GT, b, w), ge = pb_binary(&net, MB_OP_GE, a, w);
        const uint32_t eq = pb_binary(&net, MB_OP_EQ, a, a), ne = pb_binary(&net, MB_OP_NE, a, b);
        const uint32_t both = pb_binary(&net, MB_OP_AND, lt, ge);
        const uint32_t either = pb_binary(&net, MB_OP_OR, gt, pb_unary(&net, MB_OP_NOT, ne));
        const uint32_t which = pb_binary(&net, MB_OP_NE, both, pb_binary(&net, MB_OP_EQ, le, eq));
        pb_output(&net, which);
        pb_output(&net, pb_ternary(&net, MB_OP_SELECT, either, a, w));
        pb_output(&net, pb_ternary(&net, MB_OP_SELECT, gt, b, a));
        pb_output(&net, pb_ternary(&net, MB_OP_SELECT, lt, which, either));
        check("comparisons", &net, PLAIN);
        if (is_float(number_types[t])) check("comparisons, special", &net, SPECIAL);

        pb_init(&net);
        const uint32_t x = input(&net, number_types[t], SHAPE(2, 3, 5));
        const uint32_t y = weight(&net, number_types[t], SHAPE(5));
        pb_output(&net, pb_binary(&net, MB_OP_MOD, x, y));
        if (is_float(number_types[t])) pb_output(&net, pb_binary(&net, MB_OP_POW, x, y));
        check("mod and pow", &net, POSITIVE);
        for (int to = MB_F32; to <= MB_BOOL; to++) {
            pb_init(&net);
            pb_output(&net, pb_cast(&net, input(&net, number_types[t], SHAPE(2, 3, 5)),
                                    (enum mb_dtype)to));
            pb_output(&net,
                      pb_cast(&net, weight(&net, number_types[t], SHAPE(5)), (enum mb_dtype)to));
            pb_output(&net, pb_cast(&net, input(&net, MB_BOOL, SHAPE(7)), (enum mb_dtype)to));
            check("cast", &net, PLAIN);
        }
    }
}

static void test_unary(void **state) {
    static const enum mb_op ops[] = {MB_OP_NEG,   MB_OP_ABS,   MB_OP_RELU,  MB_OP_SIGMOID,
                                     MB_OP_TANH,  MB_OP_EXP,   MB_OP_LOG,   MB_OP_SQRT,
                                     MB_OP_LOG2,  MB_OP_LOG10, MB_OP_SIN,   MB_OP_COS,
                                     MB_OP_FLOOR, MB_OP_CEIL,  MB_OP_ROUND, MB_OP_GELU};
    (void)state;
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        for (size_t t = 0; t < (ops[i] <= MB_OP_RELU ? 4u : 2u); t++) {
            struct pb net;
            pb_init(&net);
            const uint32_t a = input(&net, number_types[t], SHAPE(3, 1, 7));
            const uint32_t w = weight(&net, number_types[t], SHAPE(11));
            pb_output(&net, pb_unary(&net, ops[i], a));
            pb_output(&net, pb_unary(&net, ops[i], w));
            check(mb_op_info(ops[i])->name, &net,
                  ops[i] == MB_OP_LOG || ops[i] == MB_OP_SQRT || ops[i] == MB_OP_LOG2 ||
                          ops[i] == MB_OP_LOG10
                      ? POSITIVE
                      : PLAIN);
            if (is_float(number_types[t]) && ops[i] != MB_OP_GELU)
                check(mb_op_info(ops[i])->name, &net, SPECIAL);
        }
}

/* A value that ReLU may not overwrite, since it has another use. */
static void test_relu_of_shared(void **state) {
    (void)state;
    struct pb net;
    pb_init(&net);
    const uint32_t a = input(&net, MB_F32, SHAPE(3, 5));
    const uint32_t sum = pb_binary(&net, MB_OP_ADD, a, weight(&net, MB_F32, SHAPE(5)));
    pb_output(&net, pb_binary(&net, MB_OP_SUB, pb_unary(&net, MB_OP_RELU, sum), sum));
    const uint32_t product = pb_binary(&net, MB_OP_MUL, a, a);
    const uint32_t negative = pb_unary(&net, MB_OP_NEG, product);
    pb_output(&net, pb_unary(&net, MB_OP_RELU, negative));
    pb_output(&net, negative);
    check("relu of a shared value", &net, PLAIN);
}

static void test_matmul_shapes(void **state) {
    static const struct {
        struct mb_shape a, b;
    } shapes[] = {
        {{2, {1, 7}}, {2, {7, 5}}},
        {{1, {7}}, {2, {7, 5}}},
        {{2, {3, 7}}, {1, {7}}},
        {{1, {7}}, {1, {7}}},
        {{3, {2, 3, 7}}, {2, {7, 4}}},
        {{3, {2, 3, 7}}, {3, {1, 7, 2}}},
        {{4, {2, 1, 3, 7}}, {3, {5, 7, 2}}},
        {{2, {3, 1}}, {2, {1, 4}}},
    };
    (void)state;
    for (size_t t = 0; t < 2; t++)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            struct pb net;
            pb_init(&net);
            const uint32_t a = input(&net, number_types[t], shapes[i].a);
            pb_output(&net,
                      pb_binary(&net, MB_OP_MATMUL, a, weight(&net, number_types[t], shapes[i].b)));
            pb_output(&net,
                      pb_binary(&net, MB_OP_MATMUL, a, input(&net, number_types[t], shapes[i].b)));
            check("matmul", &net, PLAIN);
        }
}

static void test_matmul_bias(void **state) {
    (void)state;
    struct pb net;
    pb_init(&net);
    const uint32_t x = input(&net, MB_F32, SHAPE(3, 7)), w = weight(&net, MB_F32, SHAPE(7, 5));
    const uint32_t b = weight(&net, MB_F32, SHAPE(5)), row = weight(&net, MB_F32, SHAPE(1, 5));
    const uint32_t column = weight(&net, MB_F32, SHAPE(3, 1));
    const uint32_t given = input(&net, MB_F32, SHAPE(5));
    const uint32_t shared = pb_binary(&net, MB_OP_MATMUL, x, w);
    uint32_t y = pb_binary(&net, MB_OP_ADD, pb_binary(&net, MB_OP_MATMUL, x, w), b);
    y = pb_binary(&net, MB_OP_ADD, y,
                  pb_binary(&net, MB_OP_ADD, row, pb_binary(&net, MB_OP_MATMUL, x, w)));
    y = pb_binary(&net, MB_OP_SUB, y,
                  pb_binary(&net, MB_OP_ADD, pb_binary(&net, MB_OP_MATMUL, x, w), given));
    pb_output(&net, pb_unary(&net, MB_OP_RELU, y));
    pb_output(&net, pb_binary(&net, MB_OP_ADD, pb_binary(&net, MB_OP_MATMUL, x, w), column));
    pb_output(&net, pb_binary(&net, MB_OP_ADD, shared, b)); /* the product is an output too */
    pb_output(&net, shared);
    check("matmul with bias", &net, PLAIN);

    struct pb ranks;
    pb_init(&ranks);
    const uint32_t cube = input(&ranks, MB_F32, SHAPE(2, 3, 7));
    const uint32_t vector = input(&ranks, MB_F32, SHAPE(7));
    const uint32_t wt = weight(&ranks, MB_F32, SHAPE(5, 7));
    const uint32_t turned = transpose(&ranks, wt, 1, 0, 0), bias = weight(&ranks, MB_F32, SHAPE(5));
    pb_output(&ranks,
              pb_binary(&ranks, MB_OP_ADD, bias, pb_binary(&ranks, MB_OP_MATMUL, cube, turned)));
    pb_output(&ranks,
              pb_binary(&ranks, MB_OP_ADD, pb_binary(&ranks, MB_OP_MATMUL, vector, turned), bias));
    check("matmul of other ranks with bias", &ranks, PLAIN);
}

static void test_conv2d(void **state) {
    static const int32_t pads[][4] = {{0, 0, 0, 0}, {1, 1, 1, 1}, {0, 1, 1, 2}, {2, 0, 1, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof pads / sizeof *pads; i++)
        for (int32_t stride = 1; stride <= 2; stride++) {
            const enum mb_dtype dtype = i == 1 ? MB_F64 : MB_F32;
            struct pb net;
            pb_init(&net);
            const uint32_t x = input(&net, dtype, SHAPE(2, 3, 7, 5));
            const uint32_t w = weight(&net, dtype, SHAPE(4, 3, 3, 2));
            const uint32_t b = weight(&net, dtype, SHAPE(4));
            const uint32_t bias = reshape(&net, b, SHAPE(1, 4, 1, 1));
            pb_output(&net, pb_unary(&net, MB_OP_RELU,
                                     pb_binary(&net, MB_OP_ADD,
                                               conv(&net, x, w, MB_NCHW, stride, pads[i]), bias)));
            pb_output(&net, conv(&net, x, w, MB_NCHW, stride, pads[i]));
            const uint32_t rows = input(&net, dtype, SHAPE(2, 7, 5, 3));
            const uint32_t hwio = weight(&net, dtype, SHAPE(3, 2, 3, 4));
            const uint32_t filter = input(&net, dtype, SHAPE(3, 2, 3, 4));
            pb_output(&net, pb_binary(&net, MB_OP_ADD, b,
                                      conv(&net, rows, hwio, MB_NHWC, stride, pads[i])));
            pb_output(&net, conv(&net, rows, filter, MB_NHWC, stride, pads[i]));
            check("conv2d", &net, PLAIN);
        }
}

static void test_pools(void **state) {
    (void)state;
    for (size_t t = 0; t < 2; t++) {
        struct pb net;
        pb_init(&net);
        const uint32_t a = input(&net, number_types[t], SHAPE(2, 3, 7, 5));
        pb_output(&net, pool(&net, MB_OP_MAXPOOL2D, a, MB_NCHW, 2, 3, 2, 1));
        pb_output(&net, pool(&net, MB_OP_MAXPOOL2D, a, MB_NHWC, 3, 2, 1, 3));
        check("maxpool2d", &net, PLAIN);
        check("maxpool2d, special", &net, SPECIAL);
        pb_output(&net, pool(&net, MB_OP_AVGPOOL2D, a, MB_NCHW, 2, 3, 2, 1));
        pb_output(&net, pool(&net, MB_OP_AVGPOOL2D, a, MB_NHWC, 3, 2, 1, 3));
        check("avgpool2d", &net, PLAIN);
    }
}

/* Where an image stays NHWC, leaves it and comes back. */
static void test_nhwc_chain(void **state) {
    static const int32_t same[4] = {1, 1, 1, 1};
    (void)state;
    struct pb net;
    pb_init(&net);
    const uint32_t x = input(&net, MB_F32, SHAPE(2, 6, 6, 3));
    const uint32_t w1 = weight(&net, MB_F32, SHAPE(3, 3, 3, 4)),
                   b1 = weight(&net, MB_F32, SHAPE(4));
    const uint32_t w2 = weight(&net, MB_F32, SHAPE(3, 3, 4, 4));
    const uint32_t b2 = weight(&net, MB_F32, SHAPE(1, 1, 1, 4));
    const uint32_t w3 = weight(&net, MB_F32, SHAPE(36, 2));
    uint32_t y = pb_binary(&net, MB_OP_ADD, conv(&net, x, w1, MB_NHWC, 1, same), b1);
    const uint32_t first = y = pb_unary(&net, MB_OP_RELU, y);
    y = pb_binary(&net, MB_OP_ADD, b2, conv(&net, y, w2, MB_NHWC, 1, same));
    y = pb_unary(&net, MB_OP_TANH, pb_binary(&net, MB_OP_ADD, y, first));
    y = pool(&net, MB_OP_MAXPOOL2D, y, MB_NHWC, 2, 2, 2, 2);
    pb_output(&net, y);
    pb_output(&net, pb_binary(&net, MB_OP_MATMUL, reshape(&net, y, SHAPE(2, 36)), w3));
    check("NHWC chain", &net, PLAIN);
}

/* ---- values that are not finite, zeros of both signs, denormals ---- */

/* fmod by float quotients: NaN where the quotient is beyond FLT_MAX. */
static bool quotient_overflows(const struct sv_element *e) {
    return isnan(e->got) && isinf((float)e->operand[0] / (float)e->operand[1]);
}

/* C leaves such a conversion undefined: x86's instruction gives the least integer. */
static bool does_not_fit(const struct sv_element *e) {
    const double limit = e->dtype == MB_I32 ? 0x1p31 : 0x1p63;
    return (e->dtype == MB_I32 || e->dtype == MB_I64) && e->got == -limit &&
           !(fabs(e->operand[0]) < limit);
}

/* a * (1 + erf(a / sqrt 2)) / 2, where the sum cancels left of zero: right to the rounding of 1. */
static bool cancelled(const struct sv_element *e, double epsilon) {
    return e->operand[0] < -2 && fabs(e->got - e->exact) <= epsilon * fabs(e->operand[0]);
}
/* oneDNN's also has zeros without a sign. */
static bool cancelled_f32(const struct sv_element *e) {
    return cancelled(e, (double)FLT_EPSILON) || (e->got == 0 && (float)e->exact == 0);
}
static bool cancelled_f64(const struct sv_element *e) { return cancelled(e, DBL_EPSILON); }

/* What libtorch computes otherwise on a CPU, found by this test with libtorch 2.11 on AVX2. All
 * else, the sign of what relu makes of -0 apart (special_values.h), is as the reference has it. */
static const struct sv_license licenses[] = {
    {MB_OP_MOD, MB_F32, quotient_overflows}, {MB_OP_CAST, MB_F32, does_not_fit},
    {MB_OP_CAST, MB_F64, does_not_fit},      {MB_OP_GELU, MB_F32, cancelled_f32},
    {MB_OP_GELU, MB_F64, cancelled_f64},
};

static void test_special_values(void **state) {
    (void)state;
    if (is_cuda()) return; /* what those kernels may differ in is not known */
    for (size_t e = 0; e < n_executors; e++)
        for (int dtype = MB_F32; dtype <= MB_F64; dtype++) {
            const struct mb_open_config config = config_of(executors[e].name);
            sv_check_on(torch, &config, (enum mb_dtype)dtype, licenses,
                        sizeof licenses / sizeof *licenses);
        }
}

static void test_reductions(void **state) {
    (void)state;
    for (size_t t = 0; t < 4; t++) {
        struct pb net;
        pb_init(&net);
        const uint32_t a = input(&net, number_types[t], SHAPE(2, 3, 4));
        const enum mb_op op = is_float(number_types[t]) ? MB_OP_MEAN : MB_OP_SUM;
        pb_output(&net, reduce(&net, MB_OP_SUM, a, 5, false));
        pb_output(&net, reduce(&net, op, a, 2, true));
        pb_output(&net, reduce(&net, op, reduce(&net, MB_OP_SUM, a, 7, false), 0, false));
        pb_output(&net, is_float(number_types[t]) ? softmax(&net, softmax(&net, a, 2), 0) : a);
        check("reductions", &net, PLAIN);

        pb_init(&net);
        const uint32_t x = input(&net, number_types[t], SHAPE(2, 3, 4));
        const uint32_t w = weight(&net, number_types[t], SHAPE(4, 3));
        pb_output(&net, reduce(&net, MB_OP_REDUCE_MAX, x, 5, false));
        pb_output(&net, reduce(&net, MB_OP_REDUCE_MIN, x, 2, true));
        pb_output(&net, reduce(&net, MB_OP_REDUCE_MAX, w, 3, false));
        pb_output(&net, reduce(&net, MB_OP_PROD, x, 6, true));
        check("extremes and products", &net, PLAIN);
        if (is_float(number_types[t])) check("extremes, special", &net, SPECIAL);

        pb_init(&net);
        const uint32_t z = input(&net, number_types[t], SHAPE(2, 3, 4));
        for (int32_t axis = 0; axis < 3; axis++)
            pb_output(&net, pb_node(&net, MB_OP_ARGMAX, z, 0, (union mb_attr){.axis = {axis}}));
        pb_output(&net, reduce(&net, MB_OP_PROD, z, 5, false));
        check("argmax", &net, PLAIN);
        if (!is_float(number_types[t])) continue;
        check("argmax, special", &net, SPECIAL);
        pb_init(&net);
        const uint32_t l = input(&net, number_types[t], SHAPE(2, 3, 4));
        for (int32_t axis = 0; axis < 3; axis++)
            pb_output(&net,
                      pb_node(&net, MB_OP_LOG_SOFTMAX, l, 0, (union mb_attr){.axis = {axis}}));
        check("log_softmax", &net, PLAIN);
    }
}

static void test_moving(void **state) {
    static const int32_t elements[6] = {3, -1, 4, 1, -5, 9};
    static const unsigned char bits[6] = {1, 0, 0, 1, 1, 0};
    (void)state;
    struct pb net;
    pb_init(&net);
    const uint32_t a = input(&net, MB_I32, SHAPE(2, 3, 4));
    const uint32_t k = pb_dense(&net, (struct mb_type){MB_I32, SHAPE(3, 2)}, elements);
    pb_output(&net, transpose(&net, a, 2, 0, 1));
    pb_output(&net, reshape(&net, transpose(&net, a, 1, 2, 0), SHAPE(4, 6)));
    pb_output(&net, transpose(&net, k, 1, 0, 0));
    pb_output(&net, a);
    check("transpose and reshape", &net, PLAIN);

    struct pb flags;
    pb_init(&flags);
    const uint32_t b = input(&flags, MB_BOOL, SHAPE(2, 5));
    pb_output(&flags, transpose(&flags, b, 1, 0, 0));
    pb_output(&flags, pb_dense(&flags, (struct mb_type){MB_BOOL, SHAPE(6)}, bits));
    pb_output(&flags, pb_fill(&flags, (struct mb_type){MB_BOOL, SHAPE(3)}, 1));
    pb_output(&flags, b);
    check("bool", &flags, PLAIN);
}

static uint32_t slice(struct pb *net, uint32_t a, int32_t axis, int64_t start, int64_t step,
                      int64_t extent) {
    return pb_node(net, MB_OP_SLICE, a, 0, (union mb_attr){.slice = {axis, start, step, extent}});
}

static uint32_t gather(struct pb *net, uint32_t a, uint32_t indices, int32_t axis, int32_t batch) {
    return pb_node(net, MB_OP_GATHER, a, indices, (union mb_attr){.gather = {axis, batch}});
}

static uint32_t concat(struct pb *net, uint32_t a, uint32_t b, int32_t axis) {
    return pb_node(net, MB_OP_CONCAT, a, b, (union mb_attr){.axis = {axis}});
}

static void test_parts(void **state) {
    static const int32_t few[4] = {2, 0, 1, 2};
    static const int64_t rows[4] = {3, 0, 2, 1};
    (void)state;
    for (int t = MB_F32; t <= MB_BOOL; t++) {
        const enum mb_dtype d = (enum mb_dtype)t;
        struct pb net;
        pb_init(&net);
        const uint32_t a = input(&net, d, SHAPE(2, 3, 4)), w = weight(&net, d, SHAPE(2, 3, 2));
        pb_output(&net, slice(&net, a, 1, 1, 1, 2));
        pb_output(&net, slice(&net, a, 2, 0, 2, 2));
        pb_output(&net, slice(&net, a, 2, 3, -1, 4));
        pb_output(&net, slice(&net, w, 1, 2, -2, 2));
        check("slice", &net, PLAIN);

        pb_init(&net);
        const uint32_t b = input(&net, d, SHAPE(2, 3, 4)), v = weight(&net, d, SHAPE(2, 3, 2));
        const uint32_t pair = concat(&net, b, v, 2);
        pb_output(&net, concat(&net, pair, concat(&net, v, b, 2), 2));
        pb_output(&net, concat(&net, concat(&net, b, b, 0), concat(&net, b, b, 0), 1));
        pb_output(&net, pair);
        pb_output(&net, concat(&net, v, v, 1));
        check("concat", &net, PLAIN);

        pb_init(&net);
        const uint32_t x = input(&net, d, SHAPE(2, 3, 4)), z = input(&net, d, SHAPE(4, 3));
        const uint32_t i = pb_dense(&net, (struct mb_type){MB_I32, SHAPE(2, 2)}, few);
        const uint32_t k = pb_dense(&net, (struct mb_type){MB_I32, SHAPE(4)}, few);
        const uint32_t l = pb_dense(&net, (struct mb_type){MB_I64, SHAPE(2, 2)}, rows);
        pb_output(&net, gather(&net, x, i, 1, 0));
        pb_output(&net, gather(&net, x, l, 2, 1));
        pb_output(&net, gather(&net, z, k, 1, 1));
        pb_output(&net, gather(&net, z, slice(&net, k, 0, 1, 1, 1), 0, 0));
        check("gather", &net, PLAIN);

        pb_init(&net);
        const struct mb_type square = {d, SHAPE(2, 3, 5)};
        pb_output(&net, pb_computed(&net, MB_OP_EYE, square, (union mb_attr){.fill = {0}}));
        if (t != MB_BOOL)
            pb_output(&net,
                      pb_computed(&net, MB_OP_RANGE, square, (union mb_attr){.range = {1, 2, 59}}));
        if (t <= MB_F64) {
            const union mb_attr random = {.random = {0.5, 2, 42, 7}};
            pb_output(&net, pb_computed(&net, MB_OP_UNIFORM, square, random));
            pb_output(&net, pb_computed(&net, MB_OP_NORMAL, square, random));
        }
        check("computed constants", &net, PLAIN);
    }
}

static void test_models(void **state) {
    static const int32_t same[4] = {1, 1, 1, 1};
    (void)state;
    struct pb mlp;
    pb_init(&mlp);
    uint32_t y = input(&mlp, MB_F32, SHAPE(5, 17));
    static const int64_t widths[] = {17, 13, 8, 3};
    for (int i = 0; i < 3; i++) {
        const uint32_t w = weight(&mlp, MB_F32, SHAPE(widths[i], widths[i + 1]));
        const uint32_t b = weight(&mlp, MB_F32, SHAPE(widths[i + 1]));
        y = pb_binary(&mlp, MB_OP_ADD, pb_binary(&mlp, MB_OP_MATMUL, y, w), b);
        if (i < 2) y = pb_unary(&mlp, MB_OP_RELU, y);
    }
    pb_output(&mlp, y);
    check("mlp", &mlp, PLAIN);

    struct pb cnn;
    pb_init(&cnn);
    y = input(&cnn, MB_F32, SHAPE(2, 3, 8, 8));
    for (int i = 0; i < 2; i++) {
        const uint32_t w = weight(&cnn, MB_F32, SHAPE(8, i ? 8 : 3, 3, 3));
        const uint32_t b = weight(&cnn, MB_F32, SHAPE(8));
        y = pb_binary(&cnn, MB_OP_ADD, conv(&cnn, y, w, MB_NCHW, 1, same),
                      reshape(&cnn, b, SHAPE(1, 8, 1, 1)));
        y = pool(&cnn, MB_OP_MAXPOOL2D, pb_unary(&cnn, MB_OP_RELU, y), MB_NCHW, 2, 2, 2, 2);
    }
    const uint32_t w = weight(&cnn, MB_F32, SHAPE(32, 3)), b = weight(&cnn, MB_F32, SHAPE(3));
    y = pb_binary(&cnn, MB_OP_MATMUL, reshape(&cnn, y, SHAPE(2, 32)), w);
    pb_output(&cnn, pb_binary(&cnn, MB_OP_ADD, y, b));
    check("cnn", &cnn, PLAIN);
}

/* Runs after the tests above: an operation that none of them has makes it fail. */
static void test_every_op_seen(void **state) {
    (void)state;
    for (int op = 0; op < MB_OP_COUNT; op++)
        if (!op_seen[op]) fail_msg("no case has %s", mb_op_info((enum mb_op)op)->name);
}

/* ---- the interface ---- */

static void test_table(void **state) {
    (void)state;
    assert_int_equal(torch->abi, MB_BACKEND_ABI);
    assert_string_equal(torch->name, "torch");
    torch->close(NULL);
    torch->buf_free(NULL, NULL);
}

static void test_refusals_of_open(void **state) {
    struct mb_open_config config = config_of("torch-jit");
    struct mb_ctx *ctx = NULL;
    (void)state;
    assert_int_equal(torch->probe(&config, &err), MB_OK);
    config.executor = "torch-none";
    assert_int_equal(torch->open(&config, &ctx, &err), MB_E_UNSUPPORTED);
    assert_non_null(strstr(err.text, "torch-none"));
    config.executor = "torch-jit";
    config.precision = MB_BF16;
    assert_int_equal(torch->open(&config, &ctx, &err), MB_E_UNSUPPORTED);
    config.precision = MB_FP32;
    config.device = "tpu";
    assert_int_equal(torch->open(&config, &ctx, NULL), MB_E_UNSUPPORTED);
    assert_null(ctx);
}

/* y = a / b of integers, which fails at run time where b is 0 (on a CPU). */
static const struct mb_program *division(struct pb *net) {
    const uint32_t a = input(net, MB_I32, SHAPE(2)), b = input(net, MB_I32, SHAPE(2));
    pb_output(net, pb_binary(net, MB_OP_DIV, a, b));
    return pb_done(net);
}

static void test_failed_launch(void **state) {
    struct pb net;
    pb_init(&net);
    const struct mb_program *program = division(&net);
    (void)state;
    if (is_cuda()) return;
    for (size_t e = 0; e < n_executors; e++) {
        struct session s;
        int32_t y[2];
        start(&s, executors[e].name, program, PLAIN);
        memcpy(s.values[0], (const int32_t[]){-7, 9}, 8);
        memcpy(s.values[1], (const int32_t[]){0, 2}, 8);
        upload_inputs(&s);
        assert_int_equal(torch->launch(s.ctx, s.in, s.out, &err), MB_E_DEVICE);
        assert_null(strchr(err.text, '\n'));
        assert_non_null(strstr(err.text, "ZeroDivisionError"));
        memcpy(s.values[1], (const int32_t[]){2, 2}, 8); /* and nothing is broken by it */
        upload_inputs(&s);
        launch(&s);
        OK(torch->download(s.ctx, y, s.out[0], sizeof y, &err));
        assert_int_equal(y[0], -3);
        assert_int_equal(y[1], 4);
        stop(&s);
    }
}

static void test_buffers(void **state) {
    struct pb net;
    pb_init(&net);
    const uint32_t a = input(&net, MB_F32, SHAPE(2));
    float y[3] = {1, 2, 3};
    struct session s;
    struct mb_buf *small = NULL;
    (void)state;
    pb_output(&net, pb_binary(&net, MB_OP_ADD, a, a));
    start(&s, "torch-eager", pb_done(&net), PLAIN);
    assert_int_equal(torch->upload(s.ctx, s.in[0], y, 12, &err), MB_E_INVALID);
    assert_int_equal(torch->download(s.ctx, y, s.in[0], 12, &err), MB_E_INVALID);
    OK(torch->buf_alloc(s.ctx, 4, &small, &err));
    assert_int_equal(torch->launch(s.ctx, s.in, &small, &err), MB_E_INVALID);
    assert_int_not_equal(torch->launch(s.ctx, &small, s.out, &err), MB_OK);
    /* What a launch wrote may be the next one's input. */
    OK(torch->upload(s.ctx, s.in[0], y, 8, &err));
    launch(&s);
    struct mb_buf *swap = s.in[0];
    s.in[0] = s.out[0];
    s.out[0] = swap;
    launch(&s);
    OK(torch->download(s.ctx, y, s.out[0], 8, &err));
    assert_true(y[0] == 4 && y[1] == 8);
    /* An upload replaces it. */
    y[0] = y[1] = 3;
    OK(torch->upload(s.ctx, s.out[0], y, 8, &err));
    y[0] = y[1] = 0;
    OK(torch->download(s.ctx, y, s.out[0], 8, &err));
    assert_true(y[0] == 3 && y[1] == 3);
    torch->buf_free(s.ctx, small);
    stop(&s);
}

/* Outputs hold their own values, whatever becomes of weights and inputs. */
static void test_no_aliasing(void **state) {
    struct pb net;
    pb_init(&net);
    const uint32_t a = input(&net, MB_F32, SHAPE(2, 2)), w = weight(&net, MB_F32, SHAPE(2, 2));
    (void)state;
    pb_output(&net, reshape(&net, a, SHAPE(4)));
    const uint32_t product = pb_binary(&net, MB_OP_MATMUL, a, w);
    pb_output(&net, product);
    pb_output(&net, reshape(&net, product, SHAPE(4)));
    pb_done(&net);
    for (size_t e = 0; e < n_executors; e++) {
        struct session s;
        float y[4];
        start(&s, executors[e].name, &net.program, PLAIN);
        for (int i = 0; i < 4; i++) s.values[0]->f32[i] = (float)(i + 1);
        const float w00 = s.values[1]->f32[0], w10 = s.values[1]->f32[2];
        memset(s.values[1], 0, sizeof *s.values[1]); /* borrowed until load returned */
        upload_inputs(&s);
        launch(&s);
        memset(s.values[0], 0, sizeof *s.values[0]);
        upload_inputs(&s);
        OK(torch->download(s.ctx, y, s.out[0], sizeof y, &err));
        assert_true(y[0] == 1 && y[1] == 2 && y[2] == 3 && y[3] == 4);
        OK(torch->download(s.ctx, y, s.out[1], sizeof y, &err));
        assert_true(fabsf(y[0] - (w00 + 2 * w10)) < 1e-5f);
        memset(y, 0, sizeof y);
        OK(torch->upload(s.ctx, s.out[1], y, sizeof y, &err));
        OK(torch->download(s.ctx, y, s.out[2], sizeof y, &err));
        assert_true(fabsf(y[0] - (w00 + 2 * w10)) < 1e-5f);
        stop(&s);
    }
}

static void test_info(void **state) {
    struct pb net;
    pb_init(&net);
    struct session s;
    struct mb_exec_info info;
    char text[4096], cut[16];
    const uint32_t a = input(&net, MB_F32, SHAPE(2, 3));
    (void)state;
    pb_output(&net, pb_binary(&net, MB_OP_MATMUL, a, weight(&net, MB_F32, SHAPE(3, 2))));
    start(&s, "torch-jit", pb_done(&net), PLAIN);
    OK(torch->info(s.ctx, &info, &err));
    assert_int_equal(info.precision, MB_FP32);
    assert_non_null(strstr(info.math_mode, "fp32"));
    assert_non_null(strstr(info.library, "libtorch 2."));
    torch->plan_text(s.ctx, text, sizeof text);
    assert_non_null(strstr(text, "def forward(self"));
    torch->plan_text(s.ctx, cut, sizeof cut);
    assert_memory_equal(cut, text, sizeof cut - 1);
    assert_int_equal(cut[sizeof cut - 1], 0);
    stop(&s);
}

/* Twice the cache is read; the CPU has no clock but ours. */
static void test_evict_and_device_time(void **state) {
    struct pb net;
    pb_init(&net);
    struct session s;
    double ns = 0, warm = 0, batch = 0;
    const uint32_t a = input(&net, MB_F32, SHAPE(64, 64)), w = weight(&net, MB_F32, SHAPE(64, 64));
    (void)state;
    pb_output(&net, pb_binary(&net, MB_OP_MATMUL, a, w));
    pb_done(&net);
    for (size_t e = 0; e < n_executors; e++) {
        start(&s, executors[e].name, &net.program, PLAIN);
        upload_inputs(&s);
        launch(&s);
        OK(torch->evict(s.ctx, &err));
        OK(torch->sync(s.ctx, &err));
        if (is_cuda()) {
            OK(torch->device_time(s.ctx, s.in, s.out, 1, false, &warm, &err));
            OK(torch->device_time(s.ctx, s.in, s.out, 100, false, &batch, &err));
            OK(torch->device_time(s.ctx, s.in, s.out, 5, true, &ns, &err));
            assert_true(warm > 0 && batch > warm && batch < 100e6 && ns > 0);
        } else {
            assert_int_equal(torch->device_time(s.ctx, s.in, s.out, 1, false, &ns, &err),
                             MB_E_UNSUPPORTED);
            assert_true(ns == 0);
        }
        stop(&s);
    }
}

/* Two sets of buffers in turn: each launch writes its own outputs and reads its own inputs, and the
 * results of the other stay. */
static void test_sets_of_buffers(void **state) {
    struct pb net;
    pb_init(&net);
    struct mb_buf *in, *out;
    float x[4], y[4];
    const uint32_t a = input(&net, MB_F32, SHAPE(4));
    (void)state;
    pb_output(&net, pb_binary(&net, MB_OP_ADD, a, a));
    pb_done(&net);
    for (size_t e = 0; e < n_executors; e++) {
        struct session s;
        start(&s, executors[e].name, &net.program, PLAIN);
        OK(torch->buf_alloc(s.ctx, sizeof x, &in, &err));
        OK(torch->buf_alloc(s.ctx, sizeof y, &out, &err));
        for (int round = 0; round < 3; round++) {
            for (int i = 0; i < 4; i++) x[i] = (float)(10 * round + i);
            OK(torch->upload(s.ctx, s.in[0], x, sizeof x, &err));
            for (int i = 0; i < 4; i++) x[i] = -x[i] - 1;
            OK(torch->upload(s.ctx, in, x, sizeof x, &err));
            memset(y, 0xff, sizeof y);
            OK(torch->upload(s.ctx, s.out[0], y, sizeof y, &err));
            OK(torch->upload(s.ctx, out, y, sizeof y, &err));
            OK(torch->launch(s.ctx, s.in, s.out, &err));
            OK(torch->launch(s.ctx, &in, &out, &err));
            OK(torch->sync(s.ctx, &err));
            OK(torch->download(s.ctx, y, s.out[0], sizeof y, &err));
            for (int i = 0; i < 4; i++) assert_true(y[i] == (float)(2 * (10 * round + i)));
            OK(torch->download(s.ctx, y, out, sizeof y, &err));
            for (int i = 0; i < 4; i++) assert_true(y[i] == 2 * x[i]);
        }
        torch->buf_free(s.ctx, in);
        torch->buf_free(s.ctx, out);
        stop(&s);
    }
}

/* A product and a convolution, or the product alone. */
static const struct mb_program *products(struct pb *net, bool convolution) {
    static const int32_t none[4] = {0, 0, 0, 0};
    pb_init(net);
    const uint32_t a = input(net, MB_F32, SHAPE(2, 3));
    pb_output(net, pb_binary(net, MB_OP_MATMUL, a, weight(net, MB_F32, SHAPE(3, 2))));
    if (convolution) {
        const uint32_t x = input(net, MB_F32, SHAPE(1, 3, 5, 5));
        pb_output(net, conv(net, x, weight(net, MB_F32, SHAPE(4, 3, 3, 3)), MB_NCHW, 1, none));
    }
    return pb_done(net);
}

static struct mb_exec_info info_of(const char *executor, enum mb_precision precision,
                                   bool convolution) {
    struct pb net;
    struct session s;
    struct mb_ctx *ctx = NULL;
    struct mb_exec_info info;
    struct mb_open_config config = config_of(executor);
    config.precision = precision;
    OK(torch->open(&config, &ctx, &err));
    start_with(&s, ctx, products(&net, convolution), PLAIN);
    OK(torch->info(s.ctx, &info, &err));
    stop(&s);
    return info;
}

/* What the program does is what counts, and settings are read back. */
static void test_precision(void **state) {
    (void)state;
    assert_int_equal(info_of("torch-eager", MB_FP32, true).precision, MB_FP32);
    if (!is_cuda()) {
        struct mb_open_config config = config_of("torch-eager");
        config.precision = MB_TF32;
        assert_int_equal(torch->probe(&config, &err), MB_E_UNSUPPORTED);
        assert_non_null(strstr(err.text, "fp32 only"));
        return;
    }
    const struct mb_exec_info tf32 = info_of("torch-graph", MB_TF32, false);
    assert_non_null(strstr(tf32.library, ", CUDA "));
    assert_int_equal(info_of("torch-eager", MB_FP32, true).precision, MB_FP32);
    if (tf32.precision != MB_TF32) return; /* a device without tensor cores for it */
    assert_non_null(strstr(tf32.math_mode, "tf32"));
}

/* Settings are the process's, so this comes before anything sets them. */
static void test_defaults(void **state) {
    (void)state;
    if (!is_cuda()) return;
    const struct mb_exec_info products = info_of("torch-defaults", MB_FP32, false);
    const struct mb_exec_info both = info_of("torch-defaults", MB_FP32, true);
    assert_int_equal(products.precision, MB_FP32);
    /* a device without tensor cores for TF32 computes in fp32 whatever is set */
    assert_int_equal(both.precision, strstr(both.math_mode, "tf32 conv") ? MB_TF32 : MB_FP32);
    assert_null(strstr(both.math_mode, "autotuned"));
}

/* A CPU's executors open nothing of CUDA but what libtorch's CPU half is linked with. */
static void test_nothing_of_cuda(void **state) {
    static const char *const names[] = {
        "libtorch_cuda",           "libc10_cuda", "libcublas", "libcudnn",
        "libmindbench_torch_cuda", "libcuda.so"};
    char line[4096];
    (void)state;
    if (is_cuda()) return;
    FILE *maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    bool plugin = false;
    while (fgets(line, sizeof line, maps)) {
        plugin = plugin || strstr(line, "libmindbench_torch.so");
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            if (strstr(line, names[i])) fail_msg("%s", line);
    }
    fclose(maps);
    assert_true(plugin);
}

/* ---- no device ---- */

static void test_no_device(void **state) {
    struct mb_ctx *ctx = NULL;
    (void)state;
    for (size_t e = 0; e < sizeof on_cuda / sizeof *on_cuda; e++) {
        const struct mb_open_config config = config_of(on_cuda[e].name);
        assert_int_equal(torch->probe(&config, &err), MB_E_UNSUPPORTED);
        /* libtorch's words, or the loader's with what to do */
        const char *words = strstr(err.text, "no CUDA device answers: ");
        if (words)
            assert_true(strlen(words) > strlen("no CUDA device answers: ") + 10);
        else
            assert_true(strstr(err.text, ".so") && (strstr(err.text, "pip install torch==") ||
                                                    strstr(err.text, "build again")));
        assert_null(strchr(err.text, '\n'));
        assert_int_equal(torch->open(&config, &ctx, NULL), MB_E_UNSUPPORTED);
        assert_null(ctx);
    }
    print_message("%s\n", err.text);
}

/* The plugin without its CUDA half, in a folder of its own. */
static void test_no_cuda_half(void **state) {
    char folder[PATH_MAX], path[PATH_MAX + 32], command[3 * PATH_MAX];
    const struct mb_open_config config = config_of("torch-eager");
    const struct mb_backend *(*getter)(void) = NULL;
    (void)state;
    OK(mb_scratch_folder_make(folder, &err));
    snprintf(path, sizeof path, "%s/libmindbench_torch.so", folder);
    snprintf(command, sizeof command, "cp '%s' '%s'", MB_TORCH_PLUGIN, path);
    assert_int_equal(system(command), 0);
    void *plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!plugin) fail_msg("%s", dlerror());
    *(void **)&getter = dlsym(plugin, MB_BACKEND_SYMBOL);
    assert_int_equal(getter()->probe(&config, &err), MB_E_UNSUPPORTED);
    const char *half = strstr(err.text, "this build has no CUDA half: ");
    assert_non_null(half);
    assert_non_null(strstr(half, folder));
    assert_non_null(strstr(err.text, "build again"));
    dlclose(plugin);
    mb_scratch_folder_remove(folder);
}

static const struct mb_backend *open_plugin(void) {
    void *plugin = dlopen(MB_TORCH_PLUGIN, RTLD_NOW | RTLD_LOCAL);
    const struct mb_backend *(*getter)(void) = NULL;
    if (plugin) *(void **)&getter = dlsym(plugin, MB_BACKEND_SYMBOL);
    if (!getter) print_error("%s\n", dlerror());
    return getter ? getter() : NULL;
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_refusals_of_open),
        cmocka_unit_test(test_binary),
        cmocka_unit_test(test_more_binary),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_unary),
        cmocka_unit_test(test_relu_of_shared),
        cmocka_unit_test(test_matmul_shapes),
        cmocka_unit_test(test_matmul_bias),
        cmocka_unit_test(test_conv2d),
        cmocka_unit_test(test_pools),
        cmocka_unit_test(test_nhwc_chain),
        cmocka_unit_test(test_reductions),
        cmocka_unit_test(test_special_values),
        cmocka_unit_test(test_moving),
        cmocka_unit_test(test_models),
        cmocka_unit_test(test_every_op_seen),
        cmocka_unit_test(test_failed_launch),
        cmocka_unit_test(test_buffers),
        cmocka_unit_test(test_no_aliasing),
        cmocka_unit_test(test_info),
        cmocka_unit_test(test_sets_of_buffers),
        cmocka_unit_test(test_evict_and_device_time),
        cmocka_unit_test(test_precision),
        cmocka_unit_test(test_nothing_of_cuda),
    };
    const struct CMUnitTest hidden[] = {
        cmocka_unit_test(test_no_cuda_half),
        cmocka_unit_test(test_no_device),
    };
    const char *mode = argc == 2 ? argv[1] : "cpu";
    if (MB_TORCH_PLUGIN[0] == '\0') {
        print_message("skipped: this build has no libtorch plugin\n");
        return 77;
    }
    if (strcmp(mode, "hidden") == 0) setenv("CUDA_VISIBLE_DEVICES", "", 1);
    torch = open_plugin();
    if (!torch) return 1;
    device = strcmp(mode, "cpu") == 0 ? "cpu" : "cuda";
    if (strcmp(mode, "hidden") == 0) return cmocka_run_group_tests(hidden, NULL, NULL);
    executors = is_cuda() ? on_cuda : on_cpu;
    n_executors = is_cuda() ? sizeof on_cuda / sizeof *on_cuda : sizeof on_cpu / sizeof *on_cpu;
    const struct mb_open_config config = config_of("torch-eager");
    if (is_cuda() && torch->probe(&config, &err) != MB_OK) {
        print_message("skipped: %s\n", err.text);
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
