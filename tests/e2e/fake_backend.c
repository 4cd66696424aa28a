/* A plugin for tests: takes the place of libtorch's or CUDA's beside a copy of the program,
 * computes by the FP64 reference, and misbehaves as the environment variable MB_FAKE says:
 *   wrong      one element of every output is off by a thousandth of the largest
 *   lazy       only the first two runs write the output
 *   hang       the fifth run never returns
 *   crash      the fifth run ends the process by SIGSEGV
 *   refuse     probe says unsupported
 *   tf32       reports another precision, and is as far off as that one may be
 *   tf32-jit   torch-jit does so, and torch-eager takes its time
 *   nomem      the device has no memory for the weights
 *   lost       the device is lost in the fifth run, and every later call fails
 *   gate       no device time can be taken: the gate times out
 *   coldgate   the same, with evicted caches only
 *   noevict    caches cannot be evicted
 *   drag       a copy takes 3 ms, an eviction 20 ms, and the run after it 3 ms more
 *   noplan     plan fails, since the device has no memory
 *   noceilings it does not measure what the device can do at best
 *   late       plan takes FAKE_LATE_S, longer than the harness waits for anything of which it knows
 *              that it is quick
 * Anything else: behaves. For one executor alone: mind:hang, or one kernel: fake_matmul:wrong.
 *
 * It has the kernels fake_matmul, fake_conv2d and fake_quarter, a convolution with a quarter of the
 * multiplications, which supports 3x3 filters only. The device reads FAKE_SMALL_GBPS up to 1 MiB
 * and FAKE_LARGE_GBPS from 64 MiB on, and has FAKE_GFLOPS.
 *
 * A process that runs a second after its first run leaves an empty file, named after its process
 * number, in the folder that MB_FAKE_UNDER_WAY names, where it is set.
 *
 * On the device "cuda" it has a clock of its own, which only runs move: by FAKE_RUN_NS, and by
 * FAKE_COLD_NS more after an eviction. */
#include "backend.h"
#include "clock.h"
#include "reference.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct mb_buf {
    size_t bytes;
    void *data;
};

struct mb_ctx {
    const struct mb_program *program;
    void **params; /* owned copies of weights, NULL for inputs */
    double **results;
    long n_runs;
    bool tf32, slow;
    bool on_gpu;
    bool evicted; /* since the last run */
    double clock_ns;
    int64_t first_run_ns; /* CLOCK_MONOTONIC; 0: not yet */
    bool under_way;       /* told so */
};

enum { FAKE_RUN_NS = 4000, FAKE_COLD_NS = 9000, FAKE_LATE_S = 11 };
static const int64_t under_way_ns = 1000000000;
enum { FAKE_SMALL_GBPS = 4000, FAKE_LARGE_GBPS = 1000, FAKE_GFLOPS = 50000 };

static char own_executor[32]; /* of this process, once open; or the one kernel that it may use */
static char own_kernel[32];

static bool mode_is(const char *name) {
    const char *mode = getenv("MB_FAKE"), *colon = mode ? strchr(mode, ':') : NULL;
    const size_t len = strlen(own_executor);
    if (!colon) return mode && strcmp(mode, name) == 0;
    return strcmp(colon + 1, name) == 0 && (size_t)(colon - mode) == len &&
           strncmp(mode, own_executor, len) == 0;
}

static bool is_lost(const struct mb_ctx *ctx) { return ctx->n_runs >= 5 && mode_is("lost"); }

static enum mb_status check_device(const struct mb_ctx *ctx, struct mb_err *err) {
    if (!is_lost(ctx)) return MB_OK;
    return mb_fail(err, MB_E_DEVICE,
                   "cuda: sync: cudaErrorIllegalAddress (700): an illegal memory access was "
                   "encountered");
}

static const struct mb_kernel_row kernels[] = {{"fake_matmul", MB_OP_MATMUL, 1},
                                               {"fake_conv2d", MB_OP_CONV2D, 1},
                                               {"fake_quarter", MB_OP_CONV2D, 0.25}};
enum { N_KERNELS = sizeof kernels / sizeof *kernels };

static bool fake_kernel_row(size_t i, struct mb_kernel_row *out) {
    if (i >= N_KERNELS) return false;
    *out = kernels[i];
    return true;
}

static enum mb_status fake_probe(const struct mb_open_config *config, struct mb_err *err) {
    bool is_kernel = !config->kernel;
    for (size_t i = 0; i < N_KERNELS; i++)
        is_kernel |= config->kernel && strcmp(config->kernel, kernels[i].name) == 0;
    if (!is_kernel)
        return mb_fail(err, MB_E_INVALID, "fake: no kernel is called %s", config->kernel);
    return mode_is("refuse") ? mb_fail(err, MB_E_UNSUPPORTED, "refused for a test") : MB_OK;
}

static enum mb_status fake_open(const struct mb_open_config *config, struct mb_ctx **out,
                                struct mb_err *err) {
    const bool jit = strcmp(config->executor, "torch-jit") == 0;
    if (config->package && access(config->package, R_OK) != 0)
        return mb_fail(err, MB_E_INVALID, "fake: there is no package %s", config->package);
    *out = calloc(1, sizeof **out);
    if (!*out) return mb_fail(err, MB_E_NOMEM, "no memory");
    snprintf(own_kernel, sizeof own_kernel, "%s", config->kernel ? config->kernel : "");
    snprintf(own_executor, sizeof own_executor, "%s",
             config->kernel ? config->kernel : config->executor);
    (*out)->on_gpu = strcmp(config->device, "cuda") == 0;
    (*out)->tf32 = mode_is("tf32") || (mode_is("tf32-jit") && jit);
    (*out)->slow = mode_is("tf32-jit") && !jit;
    return MB_OK;
}

static void fake_close(struct mb_ctx *ctx) {
    if (!ctx) return;
    for (uint32_t i = 0; ctx->params && i < ctx->program->n_params; i++) free(ctx->params[i]);
    for (uint32_t i = 0; ctx->results && i < ctx->program->n_outputs; i++) free(ctx->results[i]);
    free(ctx->params);
    free(ctx->results);
    free(ctx);
}

static enum mb_status fake_alloc(struct mb_ctx *ctx, size_t bytes, struct mb_buf **out,
                                 struct mb_err *err) {
    (void)ctx;
    struct mb_buf *buf = calloc(1, sizeof *buf);
    if (buf) buf->data = malloc(bytes + 1);
    if (!buf || !buf->data) {
        free(buf);
        return mb_fail(err, MB_E_NOMEM, "no memory");
    }
    buf->bytes = bytes;
    *out = buf;
    return MB_OK;
}

static void fake_free(struct mb_ctx *ctx, struct mb_buf *buf) {
    (void)ctx;
    if (buf) free(buf->data);
    free(buf);
}

static enum mb_status fake_upload(struct mb_ctx *ctx, struct mb_buf *dst, const void *src,
                                  size_t bytes, struct mb_err *err) {
    memcpy(dst->data, src, bytes);
    if (mode_is("drag")) usleep(3000);
    return check_device(ctx, err);
}

static enum mb_status fake_download(struct mb_ctx *ctx, void *dst, const struct mb_buf *src,
                                    size_t bytes, struct mb_err *err) {
    memcpy(dst, src->data, bytes);
    if (mode_is("drag")) usleep(3000);
    return check_device(ctx, err);
}

static size_t count_of(const struct mb_type *type) {
    size_t n = 0;
    mb_shape_count(&type->shape, &n);
    return n;
}

static bool has_3x3_filters(const struct mb_program *program) {
    const int64_t *extents = program->params[1].type.shape.dim;
    return extents[2] == 3 && extents[3] == 3;
}

static enum mb_status fake_plan(struct mb_ctx *ctx, const struct mb_program *program,
                                struct mb_err *err) {
    if (mode_is("late")) sleep(FAKE_LATE_S);
    if (mode_is("noplan")) return mb_fail(err, MB_E_NOMEM, "fake: no memory for a plan");
    if (strcmp(own_kernel, "fake_quarter") == 0 && !has_3x3_filters(program))
        return mb_fail(err, MB_E_UNSUPPORTED, "fake: %s: 3x3 filters only", own_kernel);
    ctx->program = program;
    ctx->params = calloc(program->n_params + 1, sizeof *ctx->params);
    ctx->results = calloc(program->n_outputs + 1, sizeof *ctx->results);
    if (!ctx->params || !ctx->results) return mb_fail(err, MB_E_NOMEM, "no memory");
    for (uint32_t i = 0; i < program->n_outputs; i++) {
        ctx->results[i] =
            calloc(count_of(&program->nodes[program->outputs[i]].type), sizeof(double));
        if (!ctx->results[i]) return mb_fail(err, MB_E_NOMEM, "no memory");
    }
    return MB_OK;
}

static enum mb_status fake_load(struct mb_ctx *ctx, const void *const *weights,
                                struct mb_err *err) {
    if (mode_is("nomem"))
        return mb_fail(
            err, MB_E_NOMEM,
            "cuda: 67108864 bytes of device memory: cudaErrorMemoryAllocation (2): out of "
            "memory");
    for (uint32_t i = 0; i < ctx->program->n_params; i++) {
        size_t bytes = 0;
        if (!weights[i]) continue;
        mb_type_bytes(&ctx->program->params[i].type, &bytes);
        if (!(ctx->params[i] = malloc(bytes))) return mb_fail(err, MB_E_NOMEM, "no memory");
        memcpy(ctx->params[i], weights[i], bytes);
    }
    return MB_OK;
}

/* The tests' programs have f32 outputs only. */
static void store(const struct mb_ctx *ctx, uint32_t output, struct mb_buf *buf) {
    const double *result = ctx->results[output];
    size_t n = count_of(&ctx->program->nodes[ctx->program->outputs[output]].type);
    double largest = 0;
    for (size_t i = 0; i < n; i++) {
        ((float *)buf->data)[i] = (float)result[i];
        largest = fmax(largest, fabs(result[i]));
    }
    if (mode_is("wrong")) ((float *)buf->data)[n / 2] += (float)(largest / 1000);
    if (ctx->tf32) ((float *)buf->data)[n / 2] += (float)(largest / 2000);
}

static void tell_under_way(struct mb_ctx *ctx) {
    const char *folder = getenv("MB_FAKE_UNDER_WAY");
    char path[4096];
    if (!ctx->first_run_ns) ctx->first_run_ns = mb_clock_ns();
    if (!folder || ctx->under_way || mb_clock_ns() - ctx->first_run_ns < under_way_ns) return;
    snprintf(path, sizeof path, "%s/%d", folder, (int)getpid());
    FILE *told = fopen(path, "w");
    ctx->under_way = told && fclose(told) == 0;
}

static enum mb_status fake_launch(struct mb_ctx *ctx, struct mb_buf *const *inputs,
                                  struct mb_buf *const *outputs, struct mb_err *err) {
    const void *params[16];
    uint32_t n = ctx->program->n_params;
    ctx->n_runs++;
    tell_under_way(ctx);
    if (is_lost(ctx)) return check_device(ctx, err);
    ctx->clock_ns += FAKE_RUN_NS + (ctx->evicted ? FAKE_COLD_NS : 0);
    if (ctx->evicted && mode_is("drag")) usleep(3000);
    ctx->evicted = false;
    if (mode_is("hang") && ctx->n_runs >= 5)
        for (;;) pause();
    if (mode_is("crash") && ctx->n_runs >= 5) {
        signal(SIGSEGV, SIG_DFL); /* a sanitizer would make an exit of it */
        raise(SIGSEGV);
    }
    if (ctx->slow) usleep(2000);
    if (mode_is("lazy") && ctx->n_runs > 2) return MB_OK;
    if (n > 16) return mb_fail(err, MB_E_UNSUPPORTED, "more than 16 parameters");
    for (uint32_t i = 0, input = 0; i < n; i++)
        params[i] = ctx->params[i] ? ctx->params[i] : inputs[input++]->data;
    enum mb_status st = mb_reference_run(ctx->program, params, ctx->results, err);
    for (uint32_t i = 0; st == MB_OK && i < ctx->program->n_outputs; i++) store(ctx, i, outputs[i]);
    return st;
}

static enum mb_status fake_sync(struct mb_ctx *ctx, struct mb_err *err) {
    return check_device(ctx, err);
}

static enum mb_status fake_evict(struct mb_ctx *ctx, struct mb_err *err) {
    ctx->evicted = true;
    if (mode_is("drag")) usleep(20000);
    return check_device(ctx, err);
}

static enum mb_status fake_device_time(struct mb_ctx *ctx, struct mb_buf *const *inputs,
                                       struct mb_buf *const *outputs, uint32_t n_runs, bool evicted,
                                       double *ns, struct mb_err *err) {
    enum mb_status st = MB_OK;
    const double before = ctx->clock_ns;
    if (!ctx->on_gpu)
        return mb_fail(err, MB_E_UNSUPPORTED, "it has no clock apart from the host's");
    if (mode_is("gate") || (mode_is("coldgate") && evicted))
        return mb_fail(err, MB_E_TIMEOUT, "cuda: device time: gate timed out after 1000 ms");
    for (uint32_t i = 0; i < n_runs; i++) {
        if (evicted) MB_TRY(fake_evict(ctx, err));
        MB_TRY(fake_launch(ctx, inputs, outputs, err));
    }
    *ns = ctx->clock_ns - before;
out:
    return st;
}

static enum mb_status fake_ceilings(struct mb_ctx *ctx, struct mb_ceilings *out,
                                    struct mb_err *err) {
    (void)ctx, (void)err;
    *out = (struct mb_ceilings){
        .read = {{1 << 20, FAKE_SMALL_GBPS}, {64 << 20, FAKE_LARGE_GBPS}},
        .n_read = 2,
        .fma_gflops = FAKE_GFLOPS,
        .launch_ns = 1700,
        .graph_node_ns = 900,
    };
    return MB_OK;
}

static enum mb_status fake_info(const struct mb_ctx *ctx, struct mb_exec_info *out,
                                struct mb_err *err) {
    (void)err;
    *out = (struct mb_exec_info){.precision = ctx->tf32 ? MB_TF32 : MB_FP32,
                                 .math_mode = "fp64 reference",
                                 .library = "fake"};
    if (ctx->on_gpu) snprintf(out->device_uuid, sizeof out->device_uuid, "GPU-fake");
    return MB_OK;
}

static void fake_plan_text(const struct mb_ctx *ctx, char *buf, size_t size) {
    (void)ctx;
    if (size) buf[0] = '\0';
}

static struct mb_backend fake = {
    .abi = MB_BACKEND_ABI,
    .name = "torch",
    .probe = fake_probe,
    .open = fake_open,
    .close = fake_close,
    .buf_alloc = fake_alloc,
    .buf_free = fake_free,
    .upload = fake_upload,
    .download = fake_download,
    .plan = fake_plan,
    .load = fake_load,
    .launch = fake_launch,
    .sync = fake_sync,
    .evict = fake_evict,
    .device_time = fake_device_time,
    .ceilings = fake_ceilings,
    .info = fake_info,
    .plan_text = fake_plan_text,
    .kernel_row = fake_kernel_row,
};

const struct mb_backend *mb_backend_get(void);
const struct mb_backend *mb_backend_get(void) {
    if (mode_is("noevict")) fake.evict = NULL;
    if (mode_is("noceilings")) fake.ceilings = NULL;
    return &fake;
}
