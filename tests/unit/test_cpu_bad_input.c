/* What a CPU executor does with input that is unusual or wrong: values that are not finite, zeros
 * of both signs, denormals; buffers that are misaligned, too small or given twice; sizes without
 * memory; and that no operation on its own writes outside of its result (the kernels' own tests are
 * in tests/kernel). */
#include "backend_cpu.h"
#include "cpu_isa.h"
#include "exec.h"
#include "kt_region.h"
#include "program_builder.h"
#include "reference.h"
#include "special_values.h"
#include "threads.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *executor;
    enum mb_isa isa;
} executors[] = {
    {"mind-scalar", MB_ISA_SCALAR}, {"mind-avx2", MB_ISA_AVX2}, {"mind-avx512", MB_ISA_AVX512}};
enum { N_EXECUTORS = sizeof executors / sizeof *executors };

/* Winograd's: one value that is not finite goes through the transforms of its whole patch, where it
 * meets its opposite (fallback_cpu/kernel.h). */
static bool same_patch(const struct sv_element *e) {
    return !isfinite(e->got) && (e->shares_patch || !isfinite(e->exact));
}
static const struct sv_license licenses[] = {{MB_OP_CONV2D, MB_F32, same_patch}};
enum { N_LICENSES = sizeof licenses / sizeof *licenses };

/* Those of the executor: mind-scalar has no tiles. */
static size_t n_licenses_of(enum mb_isa isa) { return isa == MB_ISA_SCALAR ? 0 : N_LICENSES; }

static void special_values(void **state) {
    (void)state;
    for (int e = 0; e < N_EXECUTORS && executors[e].isa <= mb_cpu_isa(); e++)
        for (int threads = 1; threads <= 2; threads++)
            for (int dtype = MB_F32; dtype <= MB_F64; dtype++) {
                const struct mb_open_config config = pb_config(executors[e].executor, threads);
                sv_check_on(mb_backend_cpu(), &config, (enum mb_dtype)dtype, licenses,
                            n_licenses_of(executors[e].isa));
            }
}

/* ---- guarded memory ---- */

/* The CPU backend with buffers of its own: each ends where the next page is unmapped and begins
 * wherever that makes it begin, aligned to its elements and no more. */
struct mb_ctx {
    struct mb_team *team;
    struct mb_cpu_exec *exec;
    enum mb_isa isa;
    const struct mb_program *program;
};
struct mb_buf {
    struct kt_region region;
};

static enum mb_status guarded_open(const struct mb_open_config *config, struct mb_ctx **out,
                                   struct mb_err *err) {
    struct mb_ctx *ctx = calloc(1, sizeof *ctx);
    assert_non_null(ctx);
    for (int e = 0; e < N_EXECUTORS; e++)
        if (strcmp(executors[e].executor, config->executor) == 0) ctx->isa = executors[e].isa;
    *out = ctx;
    return mb_team_new(config->n_threads, &ctx->team, err);
}

static void guarded_close(struct mb_ctx *ctx) {
    mb_cpu_exec_free(ctx->exec);
    mb_team_free(ctx->team);
    free(ctx);
}

static enum mb_status guarded_alloc(struct mb_ctx *ctx, size_t bytes, struct mb_buf **out,
                                    struct mb_err *err) {
    (void)ctx, (void)err;
    *out = calloc(1, sizeof **out);
    assert_non_null(*out);
    (*out)->region = kt_region_new(bytes, 1);
    return MB_OK;
}

static void guarded_free(struct mb_ctx *ctx, struct mb_buf *buf) {
    (void)ctx;
    assert_true(kt_region_intact(&buf->region));
    kt_region_free(&buf->region);
    free(buf);
}

static enum mb_status guarded_upload(struct mb_ctx *ctx, struct mb_buf *dst, const void *src,
                                     size_t bytes, struct mb_err *err) {
    (void)ctx, (void)err;
    memcpy(dst->region.data, src, bytes);
    return MB_OK;
}

static enum mb_status guarded_download(struct mb_ctx *ctx, void *dst, const struct mb_buf *src,
                                       size_t bytes, struct mb_err *err) {
    (void)ctx, (void)err;
    memcpy(dst, src->region.data, bytes);
    return MB_OK;
}

static enum mb_status guarded_plan(struct mb_ctx *ctx, const struct mb_program *program,
                                   struct mb_err *err) {
    ctx->program = program;
    return mb_cpu_exec_new(program, ctx->team, ctx->isa, NULL, &ctx->exec, err);
}

static enum mb_status guarded_load(struct mb_ctx *ctx, const void *const *weights,
                                   struct mb_err *err) {
    return mb_cpu_exec_load(ctx->exec, weights, err);
}

static enum mb_status guarded_launch(struct mb_ctx *ctx, struct mb_buf *const *inputs,
                                     struct mb_buf *const *outputs, struct mb_err *err) {
    const void *in[PB_MAX];
    void *out[PB_MAX];
    uint32_t n = 0;
    for (uint32_t i = 0; i < ctx->program->n_params; i++)
        if (ctx->program->params[i].role == MB_INPUT) in[n] = inputs[n]->region.data, n++;
    for (uint32_t i = 0; i < ctx->program->n_outputs; i++) out[i] = outputs[i]->region.data;
    return mb_cpu_exec_run(ctx->exec, in, out, err);
}

static enum mb_status guarded_sync(struct mb_ctx *ctx, struct mb_err *err) {
    (void)ctx, (void)err;
    return MB_OK;
}

static const struct mb_backend guarded = {.abi = MB_BACKEND_ABI,
                                          .name = "guarded",
                                          .open = guarded_open,
                                          .close = guarded_close,
                                          .buf_alloc = guarded_alloc,
                                          .buf_free = guarded_free,
                                          .upload = guarded_upload,
                                          .download = guarded_download,
                                          .plan = guarded_plan,
                                          .load = guarded_load,
                                          .launch = guarded_launch,
                                          .sync = guarded_sync};

/* Operations on bools, and constants, which no value makes special. */
static const struct mb_program *other_operations(struct pb *pb, int64_t count) {
    pb_init(pb);
    const struct mb_type bools = pb_type(MB_BOOL, 1, count, 0, 0, 0);
    const uint32_t a = pb_param(pb, MB_INPUT, bools), b = pb_param(pb, MB_INPUT, bools);
    pb_output(pb, pb_binary(pb, MB_OP_AND, a, b));
    pb_output(pb, pb_binary(pb, MB_OP_OR, a, b));
    pb_output(pb, pb_unary(pb, MB_OP_NOT, a));
    for (int dtype = MB_F32; dtype <= MB_I64; dtype++) {
        const struct mb_type type = pb_type((enum mb_dtype)dtype, 2, 3, count, 0, 0);
        const union mb_attr none = {.fill = {0}},
                            range = {.range = {1, 2, 6.0 * (double)count - 1}};
        const union mb_attr random = {.random = {0.5, 2, 42, 7}};
        pb_output(pb, pb_computed(pb, MB_OP_EYE, type, none));
        pb_output(pb, pb_computed(pb, MB_OP_RANGE, type, range));
        if (dtype > MB_F64) continue;
        pb_output(pb, pb_computed(pb, MB_OP_UNIFORM, type, random));
        pb_output(pb, pb_computed(pb, MB_OP_NORMAL, type, random));
    }
    return pb_done(pb);
}

/* Operations that are computed together, of operands of every form. */
static const struct mb_program *chain(struct pb *pb, int64_t rows, int64_t columns) {
    pb_init(pb);
    columns *= rows > 30 ? 1000 : 1;
    const uint32_t x = pb_param(pb, MB_INPUT, pb_f32(2, rows, columns, 0, 0));
    const uint32_t row = pb_param(pb, MB_INPUT, pb_f32(1, columns, 0, 0, 0));
    const uint32_t column = pb_param(pb, MB_INPUT, pb_f32(2, rows, 1, 0, 0));
    const uint32_t y = pb_binary(pb, MB_OP_MUL, pb_binary(pb, MB_OP_ADD, x, row), column);
    pb_output(pb, pb_cast(pb, pb_binary(pb, MB_OP_LT, y, row), MB_F64));
    return pb_done(pb);
}

static void nothing_outside_of_a_result(void **state) {
    (void)state;
    struct pb pb;
    for (int e = 0; e < N_EXECUTORS && executors[e].isa <= mb_cpu_isa(); e++)
        for (int threads = 1; threads <= 3; threads += 2) {
            const struct mb_open_config config = pb_config(executors[e].executor, threads);
            sv_check_on(&guarded, &config, MB_F32, licenses, n_licenses_of(executors[e].isa));
            sv_check_on(&guarded, &config, MB_F64, licenses, n_licenses_of(executors[e].isa));
            for (int64_t count = 1; count <= 41; count += 8) {
                pb_check_on(&guarded, &config, other_operations(&pb, count), 1, 1e-6);
                pb_check_on(&guarded, &config, chain(&pb, count, 1 + count % 3), 1, 1e-6);
            }
        }
}

/* ---- buffers and sizes ---- */

#define EXPECT(status, call)                                                                       \
    do {                                                                                           \
        struct mb_err err_ = {0};                                                                  \
        struct mb_err *err = &err_;                                                                \
        const enum mb_status st_ = (call);                                                         \
        if (st_ != (status)) fail_msg("%s: status %d, %s", #call, (int)st_, err->text);            \
    } while (0)

/* y and z of inputs a and b. */
static void buffers_that_do_not_fit(void **state) {
    (void)state;
    struct pb pb;
    pb_init(&pb);
    const struct mb_type type = pb_f32(2, 3, 5, 0, 0);
    const uint32_t a = pb_param(&pb, MB_INPUT, type), b = pb_param(&pb, MB_INPUT, type);
    pb_output(&pb, pb_binary(&pb, MB_OP_ADD, a, b));
    pb_output(&pb, pb_binary(&pb, MB_OP_SUB, a, b));
    const struct mb_program *p = pb_done(&pb);
    const struct mb_backend *be = mb_backend_cpu();
    const struct mb_open_config config = pb_config("mind", 2);
    const void *weights[2] = {NULL, NULL};
    const float numbers[15] = {1, 2, 3};
    float got[15];
    struct mb_ctx *ctx = NULL;
    struct mb_buf *buf[5], *empty;
    EXPECT(MB_OK, be->open(&config, &ctx, err));
    EXPECT(MB_OK, be->plan(ctx, p, err));
    EXPECT(MB_OK, be->load(ctx, weights, err));
    for (int i = 0; i < 5; i++)
        EXPECT(MB_OK, be->buf_alloc(ctx, sizeof numbers - (i == 4), &buf[i], err));
    EXPECT(MB_OK, be->upload(ctx, buf[0], numbers, sizeof numbers, err));
    EXPECT(MB_OK, be->upload(ctx, buf[1], numbers, sizeof numbers, err));
    struct mb_buf *in[2] = {buf[0], buf[1]}, *out[2] = {buf[2], buf[3]};
    EXPECT(MB_OK, be->launch(ctx, in, out, err));
    out[1] = buf[2]; /* one buffer for both outputs */
    EXPECT(MB_E_INVALID, be->launch(ctx, in, out, err));
    out[1] = buf[0]; /* an input's */
    EXPECT(MB_E_INVALID, be->launch(ctx, in, out, err));
    out[1] = buf[4]; /* one byte short */
    EXPECT(MB_E_INVALID, be->launch(ctx, in, out, err));
    out[1] = buf[3], in[1] = buf[4];
    EXPECT(MB_E_INVALID, be->launch(ctx, in, out, err));
    in[1] = buf[0]; /* only read: may be given twice */
    EXPECT(MB_OK, be->launch(ctx, in, out, err));
    EXPECT(MB_OK, be->download(ctx, got, out[0], sizeof got, err));
    for (int i = 0; i < 15; i++) assert_true(got[i] == 2 * numbers[i]);
    EXPECT(MB_OK, be->buf_alloc(ctx, 0, &empty, err));
    EXPECT(MB_OK, be->upload(ctx, empty, numbers, 0, err));
    EXPECT(MB_E_INVALID, be->upload(ctx, empty, numbers, 1, err));
    EXPECT(MB_E_INVALID, be->download(ctx, got, empty, 1, err));
    be->buf_free(ctx, empty);
    for (int i = 0; i < 5; i++) be->buf_free(ctx, buf[i]);
    be->close(ctx);
}

static size_t most_bytes; /* of one allocation */

static void *modest_alloc(size_t size) { return size > most_bytes ? NULL : malloc(size); }

/* Products whose operands, results or sums of sizes are beyond memory or beyond size_t; the front
 * end and mb_program_check refuse what is zero or overflows before (tests/unit/test_program.c). */
static void sizes_without_memory(void **state) {
    (void)state;
    static const int64_t sizes[][3] = {{1, 1 << 20, 1 << 20},        {1 << 20, 1, 1 << 20},
                                       {(int64_t)1 << 39, 1, 1},     {(int64_t)1 << 40, 1, 1},
                                       {1, 1, (int64_t)1 << 40},     {1 << 21, 1 << 21, 1},
                                       {(int64_t)1 << 30, 3, 1 << 9}};
    const struct mb_backend *be = mb_backend_cpu();
    const struct mb_allocator saved = mb_allocator;
    const struct mb_open_config config = pb_config("mind", 2);
    most_bytes = (size_t)1 << 28;
    mb_allocator.alloc = modest_alloc;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int role = MB_INPUT; role <= MB_WEIGHT; role++) {
            struct pb pb;
            struct mb_ctx *ctx = NULL;
            struct mb_buf *buf = NULL;
            pb_init(&pb);
            const uint32_t x = pb_param(&pb, MB_INPUT, pb_f32(2, sizes[s][0], sizes[s][1], 0, 0));
            const uint32_t w =
                pb_param(&pb, (enum mb_role)role, pb_f32(2, sizes[s][1], sizes[s][2], 0, 0));
            const uint32_t y = pb_unary(&pb, MB_OP_TANH, pb_binary(&pb, MB_OP_MATMUL, x, w));
            pb_output(&pb, pb_unary(&pb, MB_OP_TANH, y));
            const struct mb_program *p = pb_done(&pb);
            EXPECT(MB_OK, be->open(&config, &ctx, err));
            EXPECT(MB_E_NOMEM, be->plan(ctx, p, err));
            EXPECT(MB_E_NOMEM, be->buf_alloc(ctx, SIZE_MAX, &buf, err));
            EXPECT(MB_E_NOMEM, be->buf_alloc(ctx, SIZE_MAX / 2, &buf, err));
            EXPECT(MB_E_INVALID, be->launch(ctx, &buf, &buf, err)); /* nothing was planned */
            be->close(ctx);
        }
    mb_allocator = saved;
}

/* ---- memory runs out ---- */

static long allocations_left, allocations_held;

static void *failing_alloc(size_t size) {
    if (allocations_left == 0) return NULL;
    allocations_left--;
    allocations_held++;
    return malloc(size);
}

static void counting_release(void *ptr) {
    allocations_held -= ptr != NULL;
    free(ptr);
}

/* Open, plan, load, launch and all else with `limit` allocations. Where a failure is survived (of a
 * kernel's measurement, say) the output is checked. */
static enum mb_status try_with(const struct mb_program *p, long limit, void *const *data,
                               const double *expected) {
    const struct mb_backend *be = mb_backend_cpu();
    const struct mb_open_config config = pb_config("mind", 2);
    const struct mb_allocator saved = mb_allocator;
    struct mb_err err;
    struct mb_ctx *ctx = NULL;
    struct mb_buf *in = NULL, *out = NULL;
    struct mb_ceilings ceilings;
    const void *weights[PB_MAX];
    size_t in_bytes = 0, bytes = 0;
    const struct mb_type *type = &p->nodes[p->outputs[0]].type;
    mb_type_bytes(&p->params[0].type, &in_bytes);
    mb_type_bytes(type, &bytes);
    float *got = malloc(bytes);
    assert_non_null(got);
    for (uint32_t i = 0; i < p->n_params; i++) weights[i] = i ? data[i] : NULL;
    allocations_left = limit;
    mb_allocator = (struct mb_allocator){failing_alloc, counting_release};
    enum mb_status st = be->open(&config, &ctx, &err);
    if (st == MB_OK) st = be->plan(ctx, p, &err);
    if (st == MB_OK) st = be->buf_alloc(ctx, in_bytes, &in, &err);
    if (st == MB_OK) st = be->buf_alloc(ctx, bytes, &out, &err);
    if (st == MB_OK) st = be->upload(ctx, in, data[0], in_bytes, &err);
    if (st == MB_OK) st = be->load(ctx, weights, &err);
    if (st == MB_OK) st = be->launch(ctx, &in, &out, &err);
    if (st == MB_OK) st = be->download(ctx, got, out, bytes, &err);
    for (size_t i = 0; st == MB_OK && i < bytes / sizeof *got; i++)
        if (!(fabs((double)got[i] - expected[i]) <= 1e-4))
            fail_msg("[%zu] is %.9g, not %.9g", i, (double)got[i], expected[i]);
    if (st == MB_OK) st = be->evict(ctx, &err);
    if (st == MB_OK) st = be->ceilings(ctx, &ceilings, &err);
    be->buf_free(ctx, in);
    be->buf_free(ctx, out);
    be->close(ctx);
    mb_allocator = saved;
    free(got);
    return st;
}

/* A network of every kind of step: kernels of both kinds, weights packed at run time, operations on
 * their own, a constant that load computes. */
static const struct mb_program *network(struct pb *pb) {
    pb_init(pb);
    const uint32_t x = pb_param(pb, MB_INPUT, pb_f32(4, 2, 3, 8, 8));
    const uint32_t w = pb_param(pb, MB_WEIGHT, pb_f32(4, 4, 3, 3, 3));
    const uint32_t v = pb_param(pb, MB_WEIGHT, pb_f32(2, 256, 9, 0, 0));
    uint32_t y = pb_unary(pb, MB_OP_RELU, pb_conv(pb, x, w, MB_NCHW, 1, 1));
    y = pb_reshape(pb, y, pb_f32(2, 2, 256, 0, 0));
    y = pb_binary(pb, MB_OP_MATMUL, y, pb_unary(pb, MB_OP_TANH, v));
    y = pb_unary(pb, MB_OP_TANH, pb_unary(pb, MB_OP_SIGMOID, y));
    const uint32_t turned = pb_node(pb, MB_OP_TRANSPOSE, y, 0, (union mb_attr){.perm = {{1, 0}}});
    pb_output(pb, pb_binary(pb, MB_OP_MATMUL, y, turned));
    return pb_done(pb);
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    struct pb pb;
    const struct mb_program *p = network(&pb);
    void **data = pb_data(p, 15);
    double expected[4], *outputs[] = {expected};
    struct mb_err err;
    assert_int_equal(mb_reference_run(p, (const void *const *)data, outputs, &err), MB_OK);
    long limit = 0;
    for (enum mb_status st = MB_E_NOMEM; st != MB_OK; limit++) {
        st = try_with(p, limit, data, expected);
        assert_int_equal(allocations_held, 0);
        assert_true(st == MB_OK || st == MB_E_NOMEM);
        assert_true(limit < 1000);
    }
    assert_true(limit > 20);
    const struct mb_allocator saved = mb_allocator;
    enum mb_status st = MB_E_NOMEM;
    for (limit = 0; st == MB_E_NOMEM; limit++) {
        allocations_left = limit;
        mb_allocator = (struct mb_allocator){failing_alloc, counting_release};
        st = mb_reference_run(p, (const void *const *)data, outputs, &err);
        mb_allocator = saved;
        assert_int_equal(allocations_held, 0);
        assert_true(limit < 1000);
    }
    assert_int_equal(st, MB_OK);
    pb_data_free(p, data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(special_values),
        cmocka_unit_test(nothing_outside_of_a_result),
        cmocka_unit_test(buffers_that_do_not_fit),
        cmocka_unit_test(sizes_without_memory),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
