/* Vendors' libraries in the CUDA backend, on shared objects that compute from the descriptors they
 * get (fake_vendor.h): what is set in those is proven against the reference; so is which way is
 * chosen, and what happens when a library is missing or fails. */
#include "arena.h"
#include "backend_cuda.h"
#include "device_session.h"
#include "fake_cuda.h"
#include "fake_vendor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct mb_open_config on(const char *executor) {
    return (struct mb_open_config){.executor = executor,
                                   .device = "cuda",
                                   .n_threads = 1,
                                   .precision = MB_FP32,
                                   .isa_cap = MB_ISA_BEST};
}

static int reset(void **state) {
    (void)state;
    fake_cuda_reset();
    fake_vendor_reset();
    session_err = (struct mb_err){0};
    return 0;
}

/* On the device's clock: measuring then runs each way once at a time. */
static void make_slow(void) { fake_vendor.cublaslt_ns = fake_vendor.cudnn_ns = 200e3; }

static int nothing_left(void **state) {
    (void)state;
    return fake_cuda.n_alive + fake_vendor.n_alive;
}

static const char *plan_of(const struct device_session *s) {
    static char text[8192];
    mb_backend_get()->plan_text(s->ctx, text, sizeof text);
    return text;
}

static void lacks(const char *text, const char *part) {
    if (strstr(text, part)) fail_msg("\"%s\" in\n%s", part, text);
}

/* Plans, runs twice (the second time as a graph) and checks. */
static void go(struct device_session *s, const struct mb_open_config *config,
               const struct mb_program *program, double tolerance) {
    OK(session_start(s, config, program));
    for (int i = 0; i < 2; i++) OK(session_run(s, s->out));
    OK(session_check(s, s->out[0], tolerance));
}

/* ---- what the descriptors say: odd shapes against the reference ---- */

enum bias { NO_BIAS, BIAS, BIAS_RELU, RELU, N_BIASES };

static uint32_t finish(struct pb *pb, uint32_t y, int64_t n, enum bias bias) {
    if (bias == BIAS || bias == BIAS_RELU)
        y = pb_binary(pb, MB_OP_ADD, y, pb_param(pb, MB_WEIGHT, pb_f32(1, n, 0, 0, 0)));
    return bias >= BIAS_RELU ? pb_unary(pb, MB_OP_RELU, y) : y;
}

static void matmul_case(struct mb_type a, struct mb_type w, enum mb_role role, enum bias bias) {
    const struct mb_open_config config = on("mind-vendor");
    struct device_session s;
    struct pb pb;
    pb_init(&pb);
    uint32_t x = pb_param(&pb, MB_INPUT, a);
    uint32_t y = pb_binary(&pb, MB_OP_MATMUL, x, pb_param(&pb, role, w));
    pb_output(&pb, finish(&pb, y, w.shape.dim[w.shape.rank - 1], bias));
    fake_vendor.n_matmuls = 0;
    go(&s, &config, pb_done(&pb), 1e-5);
    has(plan_of(&s), "= cublaslt_matmul.2: matmul ");
    lacks(plan_of(&s), "generic");
    session_stop(&s);
    assert_true(fake_vendor.n_matmuls >= 4);
}

static void matmuls(void **state) {
    (void)state;
    make_slow();
    for (int bias = 0; bias < N_BIASES; bias++)
        for (int role = MB_INPUT; role <= MB_WEIGHT; role++) {
            const enum mb_role r = (enum mb_role)role;
            const enum bias b = (enum bias)bias;
            matmul_case(pb_f32(2, 5, 33, 0, 0), pb_f32(2, 33, 7, 0, 0), r, b);
            matmul_case(pb_f32(2, 1, 31, 0, 0), pb_f32(2, 31, 1, 0, 0), r, b);
            matmul_case(pb_f32(3, 3, 5, 9, 0), pb_f32(3, 3, 9, 7, 0), r, b);
            matmul_case(pb_f32(3, 3, 5, 9, 0), pb_f32(2, 9, 7, 0, 0), r, b);
            matmul_case(pb_f32(2, 5, 9, 0, 0), pb_f32(3, 3, 9, 7, 0), r, b);
            matmul_case(pb_f32(4, 2, 3, 4, 6), pb_f32(4, 2, 3, 6, 5), r, b);
        }
}

struct conv_case {
    int64_t n, c, h, w, filters, r, s;
    int32_t stride, pad_before, pad_after, pool;
};

static void build_conv(struct pb *pb, const struct conv_case *c, enum mb_layout layout,
                       enum bias bias) {
    const bool nchw = layout == MB_NCHW;
    const union mb_attr attr = {.conv = {.layout = layout,
                                         .padding = MB_PAD_CUSTOM,
                                         .stride = {c->stride, c->stride},
                                         .pad_before = {c->pad_before, c->pad_before},
                                         .pad_after = {c->pad_after, c->pad_after}}};
    pb_init(pb);
    uint32_t x = pb_param(
        pb, MB_INPUT, nchw ? pb_f32(4, c->n, c->c, c->h, c->w) : pb_f32(4, c->n, c->h, c->w, c->c));
    uint32_t w = pb_param(pb, MB_WEIGHT,
                          nchw ? pb_f32(4, c->filters, c->c, c->r, c->s)
                               : pb_f32(4, c->r, c->s, c->c, c->filters));
    uint32_t y = pb_node(pb, MB_OP_CONV2D, x, w, attr);
    if (bias == BIAS || bias == BIAS_RELU) {
        uint32_t b = pb_param(pb, MB_WEIGHT, pb_f32(1, c->filters, 0, 0, 0));
        y = pb_binary(
            pb, MB_OP_ADD, y,
            pb_reshape(pb, b,
                       nchw ? pb_f32(4, 1, c->filters, 1, 1) : pb_f32(4, 1, 1, 1, c->filters)));
    }
    if (bias >= BIAS_RELU) y = pb_unary(pb, MB_OP_RELU, y);
    if (c->pool) y = pb_pool(pb, MB_OP_MAXPOOL2D, y, layout, c->pool, c->pool);
    pb_output(pb, y);
}

static const struct conv_case conv_cases[] = {
    {2, 3, 9, 7, 5, 3, 3, 1, 1, 1, 2}, {1, 4, 8, 11, 6, 3, 2, 2, 1, 1, 0},
    {3, 1, 6, 5, 2, 1, 1, 1, 0, 0, 0}, {1, 5, 7, 9, 3, 5, 3, 2, 2, 2, 2},
    {2, 3, 8, 8, 4, 3, 3, 2, 0, 1, 0}, {1, 2, 10, 10, 3, 2, 2, 1, 0, 1, 3},
};

/* Every case in both layouts, with each epilogue; `way` is what the plan has to name. */
static void convolutions(const char *way, const int *count) {
    const struct mb_open_config config = on("mind-vendor");
    make_slow();
    for (size_t i = 0; i < sizeof conv_cases / sizeof *conv_cases; i++)
        for (int k = 0; k < 2 * N_BIASES; k++) {
            const enum mb_layout layout = k % 2 ? MB_NHWC : MB_NCHW;
            struct device_session s;
            struct pb pb;
            fake_vendor.n_graphs = fake_vendor.n_legacy = fake_vendor.n_pools = 0;
            build_conv(&pb, &conv_cases[i], layout, (enum bias)(k / 2));
            go(&s, &config, pb_done(&pb), 1e-5);
            has(plan_of(&s), way);
            lacks(plan_of(&s), "generic");
            session_stop(&s);
            assert_true(*count >= 4);
            assert_int_equal(fake_vendor.n_pools > 0, conv_cases[i].pool > 0);
        }
}

static void convolution_graphs(void **state) {
    (void)state;
    convolutions(" = cudnn_conv2d.graph.kcrs.", &fake_vendor.n_graphs);
}

static void convolution_graphs_krsc(void **state) {
    (void)state;
    fake_vendor.krsc_only = true;
    convolutions(" = cudnn_conv2d.graph.k", &fake_vendor.n_graphs);
}

/* Only cases that the older calls can say. */
static void convolution_calls(void **state) {
    (void)state;
    const struct mb_open_config config = on("mind-vendor");
    make_slow();
    fake_vendor.no_graphs = true;
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 2 * N_BIASES; k++) {
            struct device_session s;
            struct pb pb;
            fake_vendor.n_graphs = fake_vendor.n_legacy = 0;
            build_conv(&pb, &conv_cases[i], k % 2 ? MB_NHWC : MB_NCHW, (enum bias)(k / 2));
            go(&s, &config, pb_done(&pb), 1e-5);
            has(plan_of(&s), k / 2 == BIAS ? " = cudnn_conv2d.legacy.1: " : "cudnn_conv2d.legacy.");
            session_stop(&s);
            assert_true(fake_vendor.n_legacy >= 4 && fake_vendor.n_graphs == 0);
        }
}

static void plans_that_do_not_build(void **state) {
    (void)state;
    const struct mb_open_config config = on("mind-vendor");
    struct device_session s;
    struct pb pb;
    fake_vendor.no_plans = true;
    build_conv(&pb, &conv_cases[0], MB_NCHW, BIAS_RELU);
    go(&s, &config, pb_done(&pb), 1e-5);
    has(plan_of(&s), " = cudnn_conv2d.legacy.");
    session_stop(&s);
}

/* ---- the choice ---- */

static void fastest_wins(void **state) {
    (void)state;
    const struct mb_open_config mind = on("mind"), kernels = on("mind-kernels");
    struct mb_exec_info info;
    struct device_session s;
    struct pb pb;
    char version[64];
    build_mlp(&pb);
    const struct mb_program *program = pb_done(&pb);
    go(&s, &mind, program, 1e-5);
    has(plan_of(&s), "= cublaslt_matmul.2: matmul (5,33)x(33,17) + bias + relu; measured 0.5 us "
                     "(matmul_quick 1.0 us)\n");
    snprintf(version, sizeof version, ", cuBLASLt %d.1.2", fake_vendor.cublaslt_version / 10000);
    OK(mb_backend_get()->info(s.ctx, &info, &session_err));
    has(info.library, version);
    lacks(info.library, "cuDNN"); /* it computes nothing here */
    assert_int_equal(info.precision, MB_FP32);
    assert_true(info.tuning_ns > 0);
    assert_int_equal(fake_vendor.last_way, 2);
    session_stop(&s);

    fake_vendor.cublaslt_ns = 5000;
    go(&s, &mind, program, 1e-5);
    has(plan_of(&s), "= matmul_quick: matmul (5,33)x(33,17) + bias + relu; measured 1.0 us "
                     "(matmul_slow 2.0 us)\n");
    OK(mb_backend_get()->info(s.ctx, &info, &session_err));
    lacks(info.library, "cuBLASLt");
    session_stop(&s);

    fake_vendor.n_calls = 0;
    go(&s, &kernels, program, 1e-5);
    assert_int_equal(fake_vendor.n_calls, 0); /* libraries are not even opened */
    lacks(plan_of(&s), "cuBLASLt");
    session_stop(&s);
}

static void tf32(void **state) {
    (void)state;
    static const char *const executors[] = {"mind", "mind-vendor"};
    for (int i = 0; i < 4; i++) {
        struct mb_open_config config = on(executors[i % 2]);
        struct mb_exec_info info;
        struct device_session s;
        struct pb pb;
        config.precision = MB_TF32;
        if (i < 2)
            build_mlp(&pb);
        else
            build_conv(&pb, &conv_cases[0], MB_NHWC, BIAS_RELU);
        fake_vendor.cublaslt_ns = 50e3; /* kernels of ours are faster, and not offered */
        go(&s, &config, pb_done(&pb), 1e-2);
        OK(mb_backend_get()->info(s.ctx, &info, &session_err));
        assert_int_equal(info.precision, MB_TF32);
        assert_string_equal(info.math_mode, "tf32, tensor cores, sm_90");
        assert_int_equal(fake_vendor.last_way, 1);
        session_stop(&s);
    }
}

/* One row by name. */
static void only_one_row(void **state) {
    (void)state;
    struct mb_open_config config = on("mind");
    struct device_session s;
    struct pb pb;
    config.kernel = "cublaslt_matmul";
    fake_vendor.cublaslt_ns = 50e3;
    build_mlp(&pb);
    const struct mb_program *program = pb_done(&pb);
    go(&s, &config, program, 1e-5);
    has(plan_of(&s), "step 0: %5 = cublaslt_matmul.2: ");
    session_stop(&s);
    config.kernel = "matmul_slow";
    go(&s, &config, program, 1e-5);
    has(plan_of(&s), "= matmul_slow: ");
    session_stop(&s);
    config.kernel = "conv2d_only";
    assert_int_equal(session_start(&s, &config, program), MB_E_UNSUPPORTED);
    has(session_err.text, "conv2d_only supports no step of this program");
    session_stop(&s);
}

/* ---- what is missing ---- */

static void missing_libraries(void **state) {
    (void)state;
    const struct mb_open_config vendor = on("mind-vendor"), mind = on("mind");
    struct device_session s;
    struct pb mlp, conv;
    build_mlp(&mlp);
    build_conv(&conv, &conv_cases[0], MB_NCHW, BIAS_RELU);
    const struct mb_program *with_matmuls = pb_done(&mlp), *with_conv = pb_done(&conv);

    fake_vendor.has_cudnn = false;
    go(&s, &vendor, with_matmuls, 1e-5);
    has(plan_of(&s), "cuDNN: missing: libcudnn.so.none: cannot open shared object file");
    session_stop(&s);
    assert_int_equal(session_start(&s, &vendor, with_conv), MB_E_UNSUPPORTED);
    has(session_err.text, "no cudnn_conv2d without cuDNN: libcudnn.so.none: cannot open shared");
    session_stop(&s);
    go(&s, &mind, with_conv, 1e-5);
    has(plan_of(&s), "cuDNN: missing: libcudnn.so.none: cannot open shared object file");
    has(plan_of(&s), "= conv2d_only: ");
    session_stop(&s);

    fake_vendor.has_cublaslt = false;
    assert_int_equal(session_start(&s, &vendor, with_matmuls), MB_E_UNSUPPORTED);
    has(session_err.text, "mind-vendor: neither library is there: libcublasLt.so.none: cannot ");
    session_stop(&s);
    go(&s, &mind, with_matmuls, 1e-5);
    has(plan_of(&s), "cuBLASLt: missing: libcublasLt.so.none: cannot open shared object file");
    session_stop(&s);
}

static void other_versions(void **state) {
    (void)state;
    const struct mb_open_config mind = on("mind");
    struct device_session s;
    struct pb pb;
    fake_vendor.cublaslt_version = 90201;
    fake_vendor.cudnn_version = 80907;
    build_mlp(&pb);
    go(&s, &mind, pb_done(&pb), 1e-5);
    has(plan_of(&s), " is version 9.2.1, this build needs ");
    has(plan_of(&s), " is version 8.9.7, this build needs ");
    has(plan_of(&s), "= matmul_quick: ");
    session_stop(&s);
}

/* The library is there and has nothing for the step: an operation on its own. */
static void no_algorithm(void **state) {
    (void)state;
    const struct mb_open_config vendor = on("mind-vendor"), mind = on("mind");
    struct device_session s;
    struct pb pb;
    fake_vendor.n_ways = 0;
    build_mlp(&pb);
    const struct mb_program *program = pb_done(&pb);
    go(&s, &vendor, program, 1e-5);
    has(plan_of(&s), "generic matmul");
    has(plan_of(&s), "no kernel for a matmul, an operation on its own: cublaslt_matmul: "
                     "cublasLtMatmulAlgoGetHeuristic: CUBLAS_STATUS_NOT_SUPPORTED\n");
    session_stop(&s);
    go(&s, &mind, program, 1e-5);
    has(plan_of(&s), "matmul_slow 2.0 us), left out: cublaslt_matmul: "
                     "cublasLtMatmulAlgoGetHeuristic: CUBLAS_STATUS_NOT_SUPPORTED\n");
    session_stop(&s);

    fake_vendor.n_ways = 2; /* the second is for TF32 */
    fake_vendor.workspace = (size_t)33 << 20;
    go(&s, &vendor, program, 1e-5);
    has(plan_of(&s), "cuBLASLt has no fp32 algorithm for this matmul among the 2 it lists");
    session_stop(&s);
    build_conv(&pb, &conv_cases[0], MB_NCHW, BIAS_RELU);
    go(&s, &vendor, pb_done(&pb), 1e-5);
    has(plan_of(&s), "generic conv2d");
    has(plan_of(&s), "cudnn_conv2d: a workspace of 34603008 bytes; 33554432 is the most");
    session_stop(&s);
}

/* ---- failures ---- */

static void build_both(struct pb *pb) {
    static const struct conv_case small = {1, 1, 4, 4, 2, 2, 2, 1, 0, 1, 2};
    build_conv(pb, &small, MB_NCHW, BIAS_RELU);
    uint32_t pooled = pb->outputs[0];
    pb->program.n_outputs = 0;
    pb_output(pb, dense_layer(pb, pb_reshape(pb, pooled, pb_f32(2, 1, 8, 0, 0)), 8, 3));
}

/* Each call to a library in turn fails: an error with its name, or another way; nothing leaks and
 * what is computed is right. */
static void every_library_call_fails(const char *executor, bool may_fail_to_plan) {
    const struct mb_open_config config = on(executor);
    struct pb pb;
    int failed = 0, survived = 0;
    build_both(&pb);
    const struct mb_program *program = pb_done(&pb);
    for (int at = 1;; at++) {
        struct device_session s;
        fake_cuda_reset();
        fake_vendor_reset();
        if (may_fail_to_plan) make_slow();
        fake_vendor.fail_at = at;
        session_err.text[0] = '\0';
        enum mb_status st = session_start(&s, &config, program);
        if (!may_fail_to_plan) assert_int_equal(st, MB_OK);
        if (st == MB_OK) st = session_run(&s, s.out);
        if (st == MB_OK) st = session_run(&s, s.out);
        if (st == MB_OK) st = session_check(&s, s.out[0], 1e-5);
        const bool happened = fake_vendor.n_calls >= at;
        if (st != MB_OK) has(session_err.text, "_STATUS_INTERNAL_ERROR");
        failed += st != MB_OK;
        survived += st == MB_OK && happened;
        session_stop(&s);
        assert_int_equal(fake_cuda.n_alive + fake_vendor.n_alive, 0);
        if (!happened) break;
    }
    assert_true(failed >= 1);
    assert_true(survived > 100);
}

static void every_call_fails(void **state) {
    (void)state;
    every_library_call_fails("mind-vendor", true);
    every_library_call_fails("mind", false);
}

static int allocations_left;
static void *(*real_alloc)(size_t);
static void *failing_alloc(size_t bytes) {
    return --allocations_left == 0 ? NULL : real_alloc(bytes);
}

static void every_allocation_fails(void **state) {
    (void)state;
    const struct mb_open_config config = on("mind");
    struct pb pb;
    build_both(&pb);
    const struct mb_program *program = pb_done(&pb);
    int failed = 0;
    real_alloc = mb_allocator.alloc;
    for (int at = 1;; at++) {
        struct device_session s;
        fake_cuda_reset();
        fake_vendor_reset();
        allocations_left = at;
        mb_allocator.alloc = failing_alloc;
        enum mb_status st = session_start(&s, &config, program);
        mb_allocator.alloc = real_alloc;
        const bool happened = allocations_left <= 0;
        if (st == MB_OK) st = session_run(&s, s.out);
        if (st == MB_OK) st = session_check(&s, s.out[0], 1e-5);
        if (st != MB_OK) assert_int_equal(st, MB_E_NOMEM);
        failed += st != MB_OK;
        session_stop(&s);
        assert_int_equal(fake_cuda.n_alive + fake_vendor.n_alive, 0);
        if (!happened) break;
    }
    assert_true(failed > 10);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, reset, nothing_left)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(matmuls),
        TEST(convolution_graphs),
        TEST(convolution_graphs_krsc),
        TEST(convolution_calls),
        TEST(plans_that_do_not_build),
        TEST(fastest_wins),
        TEST(tf32),
        TEST(only_one_row),
        TEST(missing_libraries),
        TEST(other_versions),
        TEST(no_algorithm),
        TEST(every_call_fails),
        TEST(every_allocation_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
