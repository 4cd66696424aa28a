/* The CUDA backend's host code on a runtime of paper (fake_cuda.h): whole programs against the
 * reference, graphs, other weights, and every CUDA call failing once. What real kernels compute is
 * tested elsewhere. */
#include "backend_cuda.h"
#include "device_session.h"
#include "fake_cuda.h"
#include "gpu_graphs.h"
#include "pointer_table.h"
#include "program_builder.h"
#include "vendor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct mb_open_config config = {.executor = "mind",
                                             .device = "cuda",
                                             .n_threads = 1,
                                             .precision = MB_FP32,
                                             .isa_cap = MB_ISA_BEST};

static int reset(void **state) {
    (void)state;
    fake_cuda_reset();
    session_err = (struct mb_err){0};
    return 0;
}

static int nothing_left(void **state) {
    (void)state;
    return fake_cuda.n_alive; /* cmocka's word for failure is not 0 */
}

/* ---- programs ---- */

static void check(struct pb *pb, double tolerance) {
    pb_check_on(mb_backend_get(), &config, pb_done(pb), 11, tolerance);
}

/* Every place that a value can have: inputs, outputs, weights that load alone reads and that runs
 * read, constants with data, values between steps, packed and not, and copies to outputs. */
static void build_places(struct pb *pb) {
    static const float bias[7] = {1, -2, 3, -4, 5, -6, 7};
    pb_init(pb);
    uint32_t x = pb_param(pb, MB_INPUT, pb_f32(2, 3, 5, 0, 0));
    uint32_t wt = pb_param(pb, MB_WEIGHT, pb_f32(2, 7, 5, 0, 0));
    uint32_t unused = pb_param(pb, MB_WEIGHT, pb_f32(2, 9, 9, 0, 0));
    uint32_t scale = pb_param(pb, MB_WEIGHT, pb_f32(1, 7, 0, 0, 0));
    uint32_t other = pb_param(pb, MB_INPUT, pb_f32(2, 7, 4, 0, 0));
    uint32_t b = pb_dense(pb, pb_f32(1, 7, 0, 0, 0), bias);
    union mb_attr turn = {.perm = {{1, 0}}};
    uint32_t w = pb_node(pb, MB_OP_TRANSPOSE, wt, 0, turn);
    uint32_t y = pb_binary(pb, MB_OP_ADD, pb_binary(pb, MB_OP_MATMUL, x, w), b);
    uint32_t scaled = pb_binary(pb, MB_OP_MUL, y, scale);
    uint32_t half = pb_binary(pb, MB_OP_MUL, pb_unary(pb, MB_OP_TANH, scaled),
                              pb_fill(pb, pb_f32(0, 0, 0, 0, 0), 0.5));
    (void)unused;
    pb_output(pb, pb_binary(pb, MB_OP_MATMUL, half, other)); /* packs in the run */
    pb_output(pb, half);
    pb_output(pb, half);
    pb_output(pb, w); /* a constant */
    pb_output(pb, x);
    pb_output(pb, b);
    pb_output(pb, pb_reshape(pb, scale, pb_f32(2, 7, 1, 0, 0)));
}

static void mlp(void **state) {
    (void)state;
    struct pb pb;
    build_mlp(&pb);
    check(&pb, 1e-5);
    assert_int_equal(fake_cuda.n_captured, 1);
    assert_int_equal(fake_cuda.n_launched, 1); /* the second of two runs */
}

static void convolutions(void **state) {
    (void)state;
    struct pb pb;
    pb_init(&pb);
    uint32_t x = pb_param(&pb, MB_INPUT, pb_f32(4, 2, 3, 8, 8));
    uint32_t w = pb_param(&pb, MB_WEIGHT, pb_f32(4, 6, 3, 3, 3));
    uint32_t b = pb_param(&pb, MB_WEIGHT, pb_f32(1, 6, 0, 0, 0));
    uint32_t y = pb_binary(&pb, MB_OP_ADD, pb_conv(&pb, x, w, MB_NCHW, 1, 1),
                           pb_reshape(&pb, b, pb_f32(4, 1, 6, 1, 1)));
    uint32_t pooled = pb_pool(&pb, MB_OP_MAXPOOL2D, pb_unary(&pb, MB_OP_RELU, y), MB_NCHW, 2, 2);
    pb_output(&pb, dense_layer(&pb, pb_reshape(&pb, pooled, pb_f32(2, 2, 96, 0, 0)), 96, 10));
    check(&pb, 1e-5);
}

static void every_place(void **state) {
    (void)state;
    struct pb pb;
    build_places(&pb);
    check(&pb, 1e-5);
}

static void other_types(void **state) {
    (void)state;
    for (int dtype = MB_F64; dtype <= MB_I64; dtype++) {
        struct pb pb;
        pb_init(&pb);
        uint32_t x = pb_param(&pb, MB_INPUT, pb_type((enum mb_dtype)dtype, 2, 4, 6, 0, 0));
        uint32_t w = pb_param(&pb, MB_WEIGHT, pb_type((enum mb_dtype)dtype, 2, 6, 3, 0, 0));
        if (dtype == MB_F64) pb_output(&pb, pb_binary(&pb, MB_OP_MATMUL, x, w));
        pb_output(&pb, pb_binary(&pb, MB_OP_DIV, x, pb_unary(&pb, MB_OP_NEG, x)));
        pb_output(&pb, pb_reshape(&pb, w, pb_type((enum mb_dtype)dtype, 2, 3, 6, 0, 0)));
        check(&pb, 1e-14);
    }
}

/* Larger than the staging memory, so that its halves are used again. */
static void large_transfers(void **state) {
    (void)state;
    struct pb pb;
    pb_init(&pb);
    uint32_t x = pb_param(&pb, MB_INPUT, pb_f32(2, 2, 1500001, 0, 0));
    uint32_t w = pb_param(&pb, MB_WEIGHT, pb_f32(1, 1500001, 0, 0, 0));
    pb_output(&pb, pb_binary(&pb, MB_OP_ADD, x, w));
    check(&pb, 1e-6);
}

/* ---- graphs ---- */

static void other_buffers_other_graph(void **state) {
    (void)state;
    const struct mb_backend *be = mb_backend_get();
    struct device_session s;
    struct pb pb;
    struct mb_buf *second;
    build_mlp(&pb);
    OK(session_start(&s, &config, pb_done(&pb)));
    OK(be->buf_alloc(s.ctx, 5 * 10 * sizeof(float), &second, &session_err));
    for (int i = 0; i < 4; i++) {
        OK(session_run(&s, s.out));
        OK(session_run(&s, &second));
    }
    assert_int_equal(fake_cuda.n_captured, 2);
    assert_int_equal(fake_cuda.n_launched, 6);
    OK(session_check(&s, s.out[0], 1e-5));
    OK(session_check(&s, second, 1e-5));
    be->buf_free(s.ctx, second);
    session_stop(&s);
}

static void a_launch_is_one_call(void **state) {
    (void)state;
    struct device_session s;
    struct pb pb;
    build_mlp(&pb);
    OK(session_start(&s, &config, pb_done(&pb)));
    OK(session_run(&s, s.out));
    const int calls = fake_cuda.n_calls, ran = fake_cuda.n_run;
    OK(mb_backend_get()->launch(s.ctx, s.in, s.out, &session_err));
    assert_int_equal(fake_cuda.n_calls - calls, 1);
    assert_int_equal(fake_cuda.n_run, ran); /* nothing waited */
    OK(mb_backend_get()->sync(s.ctx, &session_err));
    assert_int_equal(fake_cuda.n_run - ran, 2);
    session_stop(&s);
}

/* The graphs read packed weights where they always are. */
static void other_weights(void **state) {
    (void)state;
    struct device_session s;
    struct pb pb;
    build_mlp(&pb);
    OK(session_start(&s, &config, pb_done(&pb)));
    OK(session_run(&s, s.out));
    for (uint32_t i = 0; i < s.program->n_params; i++) {
        const size_t n = session_bytes(&s.program->params[i].type) / sizeof(float);
        for (size_t k = 0; s.program->params[i].role == MB_WEIGHT && k < n; k++)
            ((float *)s.data[i])[k] *= -0.5f;
    }
    OK(session_load(&s));
    OK(session_run(&s, s.out));
    OK(session_check(&s, s.out[0], 1e-5));
    assert_int_equal(fake_cuda.n_launched, 1);
    session_stop(&s);
}

static void without_capture(void **state) {
    (void)state;
    static char text[4096];
    struct device_session s;
    struct pb pb;
    build_mlp(&pb);
    OK(session_start(&s, &config, pb_done(&pb)));
    mb_backend_get()->plan_text(s.ctx, text, sizeof text);
    has(text, "cuda:0, Paper H200, sm_90, 132 SMs at 1980 MHz, 60 MB of L2, 4917 GB/s\n");
    has(text, "launch: one CUDA graph a run");
    has(text,
        "matmul_quick: matmul (5,33)x(33,17) + bias + relu; measured 1.0 us (matmul_slow 2.0 us)");
    fake_cuda.refuse_capture = 1;
    for (int i = 0; i < 3; i++) OK(session_run(&s, s.out));
    OK(session_check(&s, s.out[0], 1e-5));
    assert_int_equal(fake_cuda.n_captured, 1); /* tried once */
    assert_int_equal(fake_cuda.n_launched, 0);
    mb_backend_get()->plan_text(s.ctx, text, sizeof text);
    has(text, "launch: kernel by kernel, since no graph could be made: end of capture: "
              "cudaErrorLaunchFailure (719): unspecified launch failure\n");
    for (size_t size = 0; size < 300; size++) {
        memset(text, 'x', sizeof text);
        mb_backend_get()->plan_text(s.ctx, text, size);
        assert_true(size == 0 || memchr(text, '\0', size));
        assert_int_equal(text[size], 'x');
    }
    session_stop(&s);
}

/* ---- pointers ---- */

static void pointer_table(void **state) {
    (void)state;
    struct mb_pointer_table table;
    static char cells[MB_POINTER_ROWS + 1];
    assert_true(mb_pointer_table_init(&table, 2));
    for (uint32_t i = 0; i < MB_POINTER_ROWS; i++) {
        void *const pair[] = {cells + i, cells};
        assert_int_equal(mb_pointer_table_find(&table, pair), MB_NO_ROW);
        assert_int_equal(mb_pointer_table_add(&table, pair), i);
    }
    for (int round = 0; round < 3; round++)
        for (uint32_t i = 0; i < MB_POINTER_ROWS; i++) {
            const uint32_t at = round == 1 ? MB_POINTER_ROWS - 1 - i : i;
            void *const pair[] = {cells + at, cells}, *const swapped[] = {cells, cells + at};
            assert_int_equal(mb_pointer_table_find(&table, pair), at);
            assert_int_equal(mb_pointer_table_find(&table, swapped), at == 0 ? 0 : MB_NO_ROW);
        }
    void *const beyond[] = {cells + MB_POINTER_ROWS, cells};
    assert_int_equal(mb_pointer_table_find(&table, beyond), MB_NO_ROW);
    assert_int_equal(mb_pointer_table_add(&table, beyond), MB_NO_ROW);
    mb_pointer_table_fini(&table);
}

static void more_buffers_than_graphs(void **state) {
    (void)state;
    const struct mb_backend *be = mb_backend_get();
    struct mb_buf *outs[MB_POINTER_ROWS + 3];
    enum { N = sizeof outs / sizeof *outs };
    struct device_session s;
    struct pb pb;
    build_mlp(&pb);
    OK(session_start(&s, &config, pb_done(&pb)));
    for (int i = 0; i < N; i++)
        OK(be->buf_alloc(s.ctx, 5 * 10 * sizeof(float), &outs[i], &session_err));
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < N; i++) OK(session_run(&s, &outs[i]));
    assert_int_equal(fake_cuda.n_captured, MB_POINTER_ROWS);
    assert_int_equal(fake_cuda.n_launched, MB_POINTER_ROWS);
    OK(session_check(&s, outs[N - 1], 1e-5));
    for (int i = 0; i < N; i++) be->buf_free(s.ctx, outs[i]);
    session_stop(&s);
}

/* ---- refusals and failures ---- */

static void refused(struct mb_open_config asked, enum mb_status status, const char *text) {
    struct mb_ctx *ctx = NULL;
    assert_int_equal(mb_backend_get()->probe(&asked, &session_err), status);
    has(session_err.text, text);
    assert_int_equal(mb_backend_get()->open(&asked, &ctx, &session_err), status);
    assert_null(ctx);
}

static void refusals(void **state) {
    (void)state;
    struct mb_open_config asked = config;
    asked.device = "cpu";
    refused(asked, MB_E_UNSUPPORTED, "no device cpu");
    asked = config;
    asked.executor = "mind-torch";
    refused(asked, MB_E_INVALID, "no executor mind-torch");
    asked = config;
    asked.executor = "mind-kernels";
    asked.precision = MB_TF32;
    refused(asked, MB_E_UNSUPPORTED, "mind-kernels: computes in fp32 only; mind-vendor has tf32");
    asked = config;
    asked.precision = MB_BF16;
    refused(asked, MB_E_UNSUPPORTED, "mind: values are stored in fp32; use fp32 or tf32");
    asked = config;
    asked.kernel = "f32_no_such";
    refused(asked, MB_E_INVALID, "no kernel f32_no_such in cuda/kernels.def");
    asked = config;
    asked.device_index = 1;
    refused(asked, MB_E_UNSUPPORTED, "there is no device cuda:1: the driver shows 1");
    fake_cuda.cc = 70;
    refused(config, MB_E_UNSUPPORTED, "compute capability 7.0; 7.5 is the least");
}

static void rows_are_named(void **state) {
    (void)state;
    static const char *const own[] = {"matmul_slow", "matmul_quick", "conv2d_only"};
    const struct mb_backend *be = mb_backend_get();
    struct mb_kernel_row row;
    size_t n = 0;
    for (; be->kernel_row(n, &row); n++) {
        if (n < mb_cuda_n_kernels) assert_string_equal(row.name, own[n]);
        assert_int_equal(row.op, strstr(row.name, "conv2d") ? MB_OP_CONV2D : MB_OP_MATMUL);
        assert_true(row.products == 1);
    }
    assert_int_equal(n, mb_cuda_n_kernels + mb_vendor_n_kernels);
}

static void wrong_order(void **state) {
    (void)state;
    const struct mb_backend *be = mb_backend_get();
    const void *weights[PB_MAX] = {NULL};
    struct mb_exec_info info;
    struct mb_ctx *ctx;
    struct mb_buf *buf, *none[] = {NULL};
    float values[3] = {0};
    char text[8] = "x";
    struct pb pb;
    OK(be->open(&config, &ctx, &session_err));
    be->plan_text(ctx, text, sizeof text);
    assert_string_equal(text, "");
    OK(be->info(ctx, &info, &session_err));
    assert_int_equal(info.precision, MB_FP32);
    assert_string_equal(info.math_mode, "fp32, CUDA cores, sm_90");
    has(info.library, ", CUDA 13.0, driver for CUDA 13.1");
    assert_int_equal(be->load(ctx, weights, &session_err), MB_E_INVALID);
    assert_int_equal(be->launch(ctx, none, none, &session_err), MB_E_INVALID);
    OK(be->buf_alloc(ctx, 8, &buf, &session_err));
    assert_int_equal(be->upload(ctx, buf, values, 12, &session_err), MB_E_INVALID);
    assert_int_equal(be->download(ctx, values, buf, 12, &session_err), MB_E_INVALID);
    build_mlp(&pb);
    OK(be->plan(ctx, pb_done(&pb), &session_err));
    struct mb_buf *one[] = {buf};
    assert_int_equal(be->launch(ctx, one, one, &session_err), MB_E_INVALID);
    has(session_err.text, "launch before load");
    assert_int_equal(be->load(ctx, weights, &session_err), MB_E_INVALID);
    be->buf_free(ctx, buf);
    be->close(ctx);
}

/* Each CUDA call in turn fails: an error that names it, or a run without a graph; nothing leaks. */
static void every_call_fails(void **state) {
    (void)state;
    struct pb pb;
    build_places(&pb);
    pb.program.n_outputs = 1;
    const struct mb_program *program = pb_done(&pb);
    int failed = 0, survived = 0;
    for (int at = 1;; at++) {
        struct device_session s;
        fake_cuda_reset();
        fake_cuda.fail_at = at;
        session_err.text[0] = '\0';
        enum mb_status st = session_start(&s, &config, program);
        if (st == MB_OK) st = session_run(&s, s.out);
        if (st == MB_OK) st = session_run(&s, s.out);
        if (st == MB_OK) st = session_check(&s, s.out[0], 1e-5);
        const bool happened = fake_cuda.n_calls >= at;
        if (st != MB_OK)
            has(session_err.text, "cudaErrorLaunchFailure (719): unspecified launch failure");
        if (st != MB_OK) assert_int_equal(st, MB_E_DEVICE);
        failed += st != MB_OK;
        survived += st == MB_OK && happened;
        session_stop(&s);
        assert_int_equal(fake_cuda.n_alive, 0);
        if (!happened) break;
    }
    assert_true(failed > 50);
    assert_true(survived > 100); /* most of measuring, and of capture */
}

static enum mb_status time_of(const struct device_session *s, uint32_t n_runs, bool evicted,
                              double *ns) {
    return mb_backend_get()->device_time(s->ctx, s->in, s->out, n_runs, evicted, ns, &session_err);
}

/* Two kernels a run, 1000 ns each; an eviction reads twice the second-level cache. */
static void device_time_of_runs(void **state) {
    (void)state;
    struct device_session s;
    struct pb pb;
    double ns = 0;
    build_mlp(&pb);
    OK(session_start(&s, &config, pb_done(&pb)));
    for (int i = 0; i < 2; i++) OK(session_run(&s, s.out));
    memset(fake_cuda.order, 0, sizeof fake_cuda.order);
    OK(time_of(&s, 3, false, &ns));
    assert_true(ns > 5999 && ns < 6001);
    assert_string_equal(fake_cuda.order, "gekkkkkke");
    memset(fake_cuda.order, 0, sizeof fake_cuda.order);
    OK(time_of(&s, 2, true, &ns));
    assert_true(ns > 3999 && ns < 4001);
    assert_string_equal(fake_cuda.order, "xgxekkegxekke");
    memset(fake_cuda.order, 0, sizeof fake_cuda.order);
    OK(mb_backend_get()->evict(s.ctx, &session_err));
    OK(session_run(&s, s.out));
    assert_string_equal(fake_cuda.order, "xkk");
    OK(session_check(&s, s.out[0], 1e-5));
    session_stop(&s);
}

static void every_call_of_device_time_fails(void **state) {
    (void)state;
    struct pb pb;
    build_mlp(&pb);
    const struct mb_program *program = pb_done(&pb);
    int failed = 0;
    for (int at = 1;; at++) {
        struct device_session s;
        double ns = 0;
        OK(session_start(&s, &config, program));
        for (int i = 0; i < 2; i++) OK(session_run(&s, s.out));
        fake_cuda.n_calls = 0;
        fake_cuda.fail_at = at;
        enum mb_status st = time_of(&s, 2, true, &ns);
        if (st == MB_OK) st = time_of(&s, 2, false, &ns);
        const bool happened = fake_cuda.n_calls >= at;
        fake_cuda.fail_at = 0;
        if (happened) assert_int_equal(st, MB_E_DEVICE);
        if (happened)
            has(session_err.text, "cudaErrorLaunchFailure (719): unspecified launch failure");
        failed += st != MB_OK;
        OK(time_of(&s, 2, true, &ns));
        session_stop(&s);
        assert_int_equal(fake_cuda.n_alive, 0);
        if (!happened) break;
    }
    assert_in_range(failed, 20, 40);
}

/* ---- ceilings ---- */

static enum mb_status ceilings(struct mb_ceilings *out) {
    struct mb_ctx *ctx = NULL;
    enum mb_status st = mb_backend_get()->open(&config, &ctx, &session_err);
    if (st == MB_OK) st = mb_backend_get()->ceilings(ctx, out, &session_err);
    mb_backend_get()->close(ctx);
    return st;
}

static bool near(double a, double b) { return fabs(a - b) <= 1e-4 * b; }

static void what_the_device_can_do(void **state) {
    (void)state;
    struct mb_ceilings c;
    OK(ceilings(&c));
    assert_true(near(c.fma_gflops, 60000));
    assert_true(near(c.launch_ns, 1250));
    assert_true(near(c.graph_node_ns, 1250));
    assert_int_equal(c.n_read, 10); /* to a quarter of 1 GiB */
    assert_int_equal(c.read[0].bytes, 4 << 20);
    assert_int_equal(c.read[9].bytes, 256 << 20);
    for (size_t i = 0; i < c.n_read; i++) {
        assert_true(near(c.read[i].read_gbps, 4000));
        assert_true(i == 0 || c.read[i].bytes > c.read[i - 1].bytes);
    }
}

static void ceilings_of_a_small_device(void **state) {
    (void)state;
    struct mb_ceilings c;
    fake_cuda.memory_bytes = (size_t)40 << 20;
    OK(ceilings(&c));
    assert_int_equal(c.n_read, 2);
    /* another program holds the rest */
    fake_cuda.free_bytes = (size_t)5 << 20;
    OK(ceilings(&c));
    assert_int_equal(c.n_read, 1);
    fake_cuda.free_bytes = 1;
    assert_int_equal(ceilings(&c), MB_E_NOMEM);
    has(session_err.text, "4194304 bytes of device memory");
}

/* Thousands of calls, most of them the same launch: the first and the last ones, and some between.
 */
static void calls_of_ceilings_fail(void **state) {
    (void)state;
    struct mb_ceilings c;
    fake_cuda.memory_bytes = (size_t)16 << 20;
    OK(ceilings(&c));
    const int n_calls = fake_cuda.n_calls;
    int survived = 0;
    c.n_read = 77;
    for (int at = 1; at <= n_calls; at += at < 40 || at > n_calls - 60 ? 1 : 59) {
        fake_cuda_reset();
        fake_cuda.memory_bytes = (size_t)16 << 20;
        fake_cuda.fail_at = at;
        const enum mb_status st = ceilings(&c);
        assert_int_equal(fake_cuda.n_alive, 0);
        if (st == MB_OK) {
            survived++; /* a wait before all is freed */
            c.n_read = 77;
            continue;
        }
        assert_int_equal(st, MB_E_DEVICE);
        has(session_err.text, "cudaErrorLaunchFailure (719): unspecified launch failure");
        assert_int_equal(c.n_read, 77);
    }
    assert_in_range(survived, 0, 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, reset, nothing_left)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(mlp),
        TEST(convolutions),
        TEST(every_place),
        TEST(other_types),
        TEST(large_transfers),
        TEST(other_buffers_other_graph),
        TEST(a_launch_is_one_call),
        TEST(other_weights),
        TEST(without_capture),
        TEST(pointer_table),
        TEST(more_buffers_than_graphs),
        TEST(refusals),
        TEST(rows_are_named),
        TEST(wrong_order),
        TEST(every_call_fails),
        TEST(device_time_of_runs),
        TEST(every_call_of_device_time_fails),
        TEST(what_the_device_can_do),
        TEST(ceilings_of_a_small_device),
        TEST(calls_of_ceilings_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
