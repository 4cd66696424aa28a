#include "program_builder.h"

#include "backend_cpu.h"
#include "reference.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- programs ---- */

void pb_init(struct pb *pb) {
    memset(pb, 0, sizeof *pb);
    pb->program.name = "test";
    pb->program.nodes = pb->nodes;
    pb->program.params = pb->params;
    pb->program.outputs = pb->outputs;
}

static uint32_t push(struct pb *pb, enum mb_op op, union mb_attr attr, struct mb_type type) {
    const uint32_t i = pb->program.n_nodes++;
    assert_true(i < PB_MAX);
    pb->nodes[i] = (struct mb_node){
        .op = op, .n_operands = mb_op_info(op)->n_operands, .id = i, .type = type, .attr = attr};
    pb->program.next_id = i + 1;
    return i;
}

struct mb_type pb_type(enum mb_dtype dtype, int32_t rank, int64_t a, int64_t b, int64_t c,
                       int64_t d) {
    return (struct mb_type){dtype, {rank, {a, b, c, d}}};
}

uint32_t pb_param(struct pb *pb, enum mb_role role, struct mb_type type) {
    const uint32_t index = pb->program.n_params++;
    const uint32_t i = push(pb, MB_OP_PARAM, (union mb_attr){.param = {index}}, type);
    pb->params[index] =
        (struct mb_param){.name = "p", .type = pb->nodes[i].type, .role = role, .node = i};
    return i;
}

static uint32_t add_node(struct pb *pb, enum mb_op op, const uint32_t operands[MB_MAX_OPERANDS],
                         union mb_attr attr) {
    const struct mb_type *types[MB_MAX_OPERANDS];
    struct mb_type type;
    struct mb_shape_error why;
    for (int k = 0; k < MB_MAX_OPERANDS; k++) types[k] = &pb->nodes[operands[k]].type;
    if (!mb_op_infer(op, types, &attr, NULL, NULL, &type, &why))
        fail_msg("%s: %s", mb_op_info(op)->name, why.text);
    const uint32_t i = push(pb, op, attr, type);
    for (uint32_t k = 0; k < pb->nodes[i].n_operands; k++) pb->nodes[i].operand[k] = operands[k];
    return i;
}

uint32_t pb_node(struct pb *pb, enum mb_op op, uint32_t a, uint32_t b, union mb_attr attr) {
    return add_node(pb, op, (uint32_t[]){a, b, 0}, attr);
}

uint32_t pb_ternary(struct pb *pb, enum mb_op op, uint32_t a, uint32_t b, uint32_t c) {
    return add_node(pb, op, (uint32_t[]){a, b, c}, (union mb_attr){.fill = {0}});
}

uint32_t pb_cast(struct pb *pb, uint32_t a, enum mb_dtype dtype) {
    return pb_node(pb, MB_OP_CAST, a, 0, (union mb_attr){.dtype = {dtype}});
}

uint32_t pb_fill(struct pb *pb, struct mb_type type, double value) {
    return push(pb, MB_OP_FILL, (union mb_attr){.fill = {value}}, type);
}

uint32_t pb_dense(struct pb *pb, struct mb_type type, const void *data) {
    return push(pb, MB_OP_DENSE, (union mb_attr){.dense = {data}}, type);
}

uint32_t pb_computed(struct pb *pb, enum mb_op op, struct mb_type type, union mb_attr attr) {
    return push(pb, op, attr, type);
}

uint32_t pb_reshape(struct pb *pb, uint32_t a, struct mb_type type) {
    return pb_node(pb, MB_OP_RESHAPE, a, 0, (union mb_attr){.shape = {type.shape}});
}

uint32_t pb_conv(struct pb *pb, uint32_t x, uint32_t w, enum mb_layout layout, int32_t stride,
                 int32_t pad) {
    const union mb_attr attr = {.conv = {.layout = layout,
                                         .padding = MB_PAD_CUSTOM,
                                         .stride = {stride, stride},
                                         .pad_before = {pad, pad},
                                         .pad_after = {pad, pad}}};
    return pb_node(pb, MB_OP_CONV2D, x, w, attr);
}

uint32_t pb_pool(struct pb *pb, enum mb_op op, uint32_t x, enum mb_layout layout, int32_t kernel,
                 int32_t stride) {
    const union mb_attr attr = {
        .pool = {.layout = layout, .kernel = {kernel, kernel}, .stride = {stride, stride}}};
    return pb_node(pb, op, x, 0, attr);
}

void pb_output(struct pb *pb, uint32_t node) { pb->outputs[pb->program.n_outputs++] = node; }

const struct mb_program *pb_done(struct pb *pb) {
    struct mb_err err = {0};
    if (mb_program_check(&pb->program, &err) != MB_OK) fail_msg("%s", err.text);
    return &pb->program;
}

/* ---- data ---- */

static uint64_t random_bits(uint64_t *state) {
    *state += 0x9e3779b97f4a7c15u;
    uint64_t z = *state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static double normal(uint64_t *state) {
    double u = ((double)(random_bits(state) >> 11) + 1) * 0x1p-53;
    double v = (double)(random_bits(state) >> 11) * 0x1p-53;
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

static size_t count_of(const struct mb_type *type) {
    size_t count = 0;
    assert_true(mb_shape_count(&type->shape, &count));
    return count;
}

static double scale_of(const struct mb_param *param) {
    const struct mb_shape *s = &param->type.shape;
    if (param->role == MB_INPUT || s->rank < 2) return 1;
    return 1 / sqrt((double)count_of(&param->type) / (double)s->dim[s->rank == 2 ? 1 : 0]);
}

static void fill_data(const struct mb_param *param, void *data, uint64_t *state) {
    const double scale = scale_of(param);
    for (size_t i = 0; i < count_of(&param->type); i++) {
        const int64_t small = (int64_t)(random_bits(state) % 9) + 1;
        const int64_t integer = random_bits(state) & 1 ? small : -small;
        switch (param->type.dtype) {
        case MB_F32: ((float *)data)[i] = (float)(normal(state) * scale); break;
        case MB_F64: ((double *)data)[i] = normal(state) * scale; break;
        case MB_I32: ((int32_t *)data)[i] = (int32_t)integer; break;
        case MB_I64: ((int64_t *)data)[i] = integer; break;
        case MB_BOOL: ((uint8_t *)data)[i] = (uint8_t)(integer & 1); break;
        }
    }
}

void **pb_data(const struct mb_program *program, uint64_t seed) {
    void **data = calloc(program->n_params + 1, sizeof *data);
    assert_non_null(data);
    for (uint32_t i = 0; i < program->n_params; i++) {
        size_t bytes = 0;
        assert_true(mb_type_bytes(&program->params[i].type, &bytes));
        data[i] = malloc(bytes);
        assert_non_null(data[i]);
        fill_data(&program->params[i], data[i], &seed);
    }
    return data;
}

void pb_data_free(const struct mb_program *program, void **data) {
    for (uint32_t i = 0; i < program->n_params; i++) free(data[i]);
    free(data);
}

/* ---- running ---- */

struct mb_open_config pb_config(const char *executor, int n_threads) {
    return (struct mb_open_config){.executor = executor,
                                   .device = "cpu",
                                   .n_threads = n_threads,
                                   .precision = MB_FP32,
                                   .isa_cap = MB_ISA_BEST};
}

#define OK(call)                                                                                   \
    do {                                                                                           \
        if ((call) != MB_OK) fail_msg("%s: %s", #call, err.text);                                  \
    } while (0)

static void compare(const struct mb_program *program, uint32_t output, const void *got,
                    const double *expected, const struct mb_open_config *config, double tolerance) {
    const struct mb_type *type = &program->nodes[program->outputs[output]].type;
    double largest = 0;
    for (size_t i = 0; i < count_of(type); i++)
        if (isfinite(expected[i]) && fabs(expected[i]) > largest) largest = fabs(expected[i]);
    for (size_t i = 0; i < count_of(type); i++) {
        const double value = mb_reference_element(type->dtype, got, i);
        const bool fits = isnan(expected[i])   ? isnan(value)
                          : isinf(expected[i]) ? value == expected[i]
                                               : fabs(value - expected[i]) <= tolerance * largest;
        if (!fits)
            fail_msg("%s, %d threads, output %u [%zu]: %.9g, expected %.9g, largest %.3g",
                     config->executor, config->n_threads, output, i, value, expected[i], largest);
    }
}

void pb_check_on(const struct mb_backend *be, const struct mb_open_config *config,
                 const struct mb_program *program, uint64_t seed, double tolerance) {
    struct mb_err err = {0};
    struct mb_ctx *ctx = NULL;
    struct mb_buf *inputs[PB_MAX], *outputs[PB_MAX];
    double *expected[PB_MAX];
    void **data = pb_data(program, seed);
    const void *weights[PB_MAX];
    uint32_t n_inputs = 0;
    OK(be->open(config, &ctx, &err));
    OK(be->plan(ctx, program, &err));
    for (uint32_t i = 0; i < program->n_params; i++) {
        const bool is_input = program->params[i].role == MB_INPUT;
        size_t bytes = 0;
        mb_type_bytes(&program->params[i].type, &bytes);
        weights[i] = is_input ? NULL : data[i];
        if (!is_input) continue;
        OK(be->buf_alloc(ctx, bytes, &inputs[n_inputs], &err));
        OK(be->upload(ctx, inputs[n_inputs++], data[i], bytes, &err));
    }
    for (uint32_t i = 0; i < program->n_outputs; i++) {
        const struct mb_type *type = &program->nodes[program->outputs[i]].type;
        size_t bytes = 0;
        mb_type_bytes(type, &bytes);
        OK(be->buf_alloc(ctx, bytes, &outputs[i], &err));
        expected[i] = malloc(count_of(type) * sizeof(double));
        assert_non_null(expected[i]);
    }
    OK(mb_reference_run(program, (const void *const *)data, expected, &err));
    OK(be->load(ctx, weights, &err));
    for (uint32_t i = 0; i < program->n_params; i++) /* borrowed until load returned, no longer */
        if (weights[i]) memset(data[i], 0xff, 1);
    for (int repeat = 0; repeat < 2; repeat++) {
        OK(be->launch(ctx, inputs, outputs, &err));
        OK(be->sync(ctx, &err));
        for (uint32_t i = 0; i < program->n_outputs; i++) {
            size_t bytes = 0;
            mb_type_bytes(&program->nodes[program->outputs[i]].type, &bytes);
            void *got = malloc(bytes), *nan = malloc(bytes);
            assert_true(got && nan);
            OK(be->download(ctx, got, outputs[i], bytes, &err));
            compare(program, i, got, expected[i], config, tolerance);
            memset(nan, 0xff, bytes);
            OK(be->upload(ctx, outputs[i], nan, bytes, &err));
            free(got);
            free(nan);
        }
    }
    for (uint32_t i = 0; i < n_inputs; i++) be->buf_free(ctx, inputs[i]);
    for (uint32_t i = 0; i < program->n_outputs; i++) {
        be->buf_free(ctx, outputs[i]);
        free(expected[i]);
    }
    be->close(ctx);
    pb_data_free(program, data);
}

void pb_check(const struct mb_program *program, const char *executor, int n_threads, uint64_t seed,
              double tolerance) {
    const struct mb_open_config config = pb_config(executor, n_threads);
    pb_check_on(mb_backend_cpu(), &config, program, seed, tolerance);
}

const char *pb_plan_text(const struct mb_program *program, const char *executor, int n_threads) {
    static char text[8192];
    const struct mb_backend *be = mb_backend_cpu();
    const struct mb_open_config config = pb_config(executor, n_threads);
    struct mb_err err = {0};
    struct mb_ctx *ctx = NULL;
    OK(be->open(&config, &ctx, &err));
    OK(be->plan(ctx, program, &err));
    be->plan_text(ctx, text, sizeof text);
    be->close(ctx);
    return text;
}
