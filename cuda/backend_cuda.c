#include "backend_cuda.h"

#include "ceilings.h"
#include "cuda_kernel.h"
#include "exec_cuda.h"
#include "gpu_time.h"

#include <stdio.h>
#include <string.h>

enum { LEAST_CC = 75 }; /* of the architectures that CUDA 13 can compile for */

struct mb_ctx {
    struct mb_gpu *gpu;
    struct mb_vendor *vendor; /* NULL: only kernels of ours */
    struct mb_cuda_rows rows;
    char only[64]; /* rows.only's text */
    const struct mb_program *program;
    struct mb_cuda_exec *exec;
    void **buffers; /* room for the addresses of one launch: inputs, then outputs */
    uint32_t n_inputs;
    struct mb_gpu_timer *timer; /* made when first used, as is the next */
    float *evictor;             /* evictor_count floats, all zero, and one more that is written */
    int64_t evictor_count;
};

struct mb_buf {
    void *data; /* device memory */
    size_t bytes;
};

/* ---- what can be run here ---- */

static const struct executor {
    const char *name;
    bool own, vendor; /* rows */
} executors[] = {{"mind", true, true}, {"mind-kernels", true, false}, {"mind-vendor", false, true}};

static const struct executor *find_executor(const char *name) {
    for (size_t i = 0; i < sizeof executors / sizeof *executors; i++)
        if (strcmp(executors[i].name, name) == 0) return &executors[i];
    return NULL;
}

static enum mb_op op_of(enum mb_step_kind kind) {
    return kind == MB_STEP_MATMUL ? MB_OP_MATMUL : MB_OP_CONV2D;
}

/* Ours first. What a library multiplies is not known and counts as the direct algorithm. */
static bool cuda_kernel_row(size_t i, struct mb_kernel_row *out) {
    if (i < mb_cuda_n_kernels) {
        const struct mb_cuda_kernel *own = mb_cuda_kernels[i];
        *out = (struct mb_kernel_row){own->name, op_of(own->kind),
                                      own->products > 0 ? own->products : 1};
        return true;
    }
    if (i - mb_cuda_n_kernels >= mb_vendor_n_kernels) return false;
    const struct mb_vendor_kernel *vendor = mb_vendor_kernels[i - mb_cuda_n_kernels];
    *out = (struct mb_kernel_row){vendor->name, op_of(vendor->kind), 1};
    return true;
}

static bool is_own_row(const char *name) {
    for (size_t i = 0; i < mb_cuda_n_kernels; i++)
        if (strcmp(mb_cuda_kernels[i]->name, name) == 0) return true;
    return false;
}

static bool is_row(const char *name) {
    struct mb_kernel_row row;
    for (size_t i = 0; cuda_kernel_row(i, &row); i++)
        if (strcmp(row.name, name) == 0) return true;
    return false;
}

/* TF32 is for the libraries' tensor cores: kernels of ours compute in fp32. */
static enum mb_status check_precision(const struct executor *executor, enum mb_precision precision,
                                      struct mb_err *err) {
    if (precision == MB_FP32 || (precision == MB_TF32 && executor->vendor)) return MB_OK;
    if (precision == MB_TF32)
        return mb_fail(err, MB_E_UNSUPPORTED, "%s: computes in fp32 only; mind-vendor has tf32",
                       executor->name);
    return mb_fail(err, MB_E_UNSUPPORTED, "%s: values are stored in fp32; use fp32%s",
                   executor->name, executor->vendor ? " or tf32" : "");
}

static enum mb_status cuda_probe(const struct mb_open_config *config, struct mb_err *err) {
    enum mb_status st = MB_OK;
    int cc;
    const struct executor *executor = find_executor(config->executor);
    if (strcmp(config->device, "cuda") != 0)
        return mb_fail(err, MB_E_UNSUPPORTED, "cuda backend: no device %s", config->device);
    if (!executor)
        return mb_fail(err, MB_E_INVALID, "cuda backend: no executor %s", config->executor);
    if (config->kernel && !is_row(config->kernel))
        return mb_fail(err, MB_E_INVALID, "cuda backend: no kernel %s in cuda/kernels.def",
                       config->kernel);
    MB_TRY(check_precision(executor, config->precision, err));
    MB_TRY(mb_gpu_probe(config->device_index, &cc, err));
    if (cc < LEAST_CC)
        st =
            mb_fail(err, MB_E_UNSUPPORTED, "cuda:%d has compute capability %d.%d; 7.5 is the least",
                    config->device_index, cc / 10, cc % 10);
out:
    return st;
}

static void forget_program(struct mb_ctx *ctx) {
    mb_cuda_exec_free(ctx->exec);
    mb_allocator.release(ctx->buffers);
    ctx->exec = NULL;
    ctx->buffers = NULL;
}

static void cuda_close(struct mb_ctx *ctx) {
    if (!ctx) return;
    forget_program(ctx);
    mb_gpu_timer_free(ctx->timer);
    mb_gpu_free(ctx->evictor);
    mb_vendor_close(ctx->vendor);
    mb_gpu_close(ctx->gpu);
    mb_allocator.release(ctx);
}

/* A missing library is an error only where nothing is left to compute with. */
static enum mb_status open_vendor(struct mb_ctx *ctx, const struct mb_open_config *config,
                                  struct mb_err *err) {
    enum mb_status st = MB_OK;
    MB_TRY(mb_vendor_open(ctx->gpu->stream, config->precision, &ctx->vendor, err));
    const struct mb_vendor *v = ctx->vendor;
    if (!ctx->rows.own && !mb_vendor_has(v, MB_CUBLASLT) && !mb_vendor_has(v, MB_CUDNN))
        st =
            mb_fail(err, MB_E_UNSUPPORTED, "%s: neither library is there: %s; %s", config->executor,
                    v->library[MB_CUBLASLT].missing.text, v->library[MB_CUDNN].missing.text);
    ctx->rows.vendor = ctx->vendor;
out:
    return st;
}

static enum mb_status cuda_open(const struct mb_open_config *config, struct mb_ctx **out,
                                struct mb_err *err) {
    enum mb_status st = cuda_probe(config, err);
    if (st != MB_OK) return st;
    const struct executor *executor = find_executor(config->executor);
    struct mb_ctx *ctx = mb_allocator.alloc(sizeof *ctx);
    if (!ctx) return mb_fail(err, MB_E_NOMEM, "%s: out of memory", config->executor);
    *ctx = (struct mb_ctx){.rows.own = executor->own && config->precision == MB_FP32};
    if (config->kernel) {
        snprintf(ctx->only, sizeof ctx->only, "%s", config->kernel);
        ctx->rows.only = ctx->only;
    }
    MB_TRY(mb_gpu_open(config->device_index, &ctx->gpu, err));
    if (executor->vendor && !(config->kernel && is_own_row(config->kernel)))
        MB_TRY(open_vendor(ctx, config, err));
    *out = ctx;
    return MB_OK;
out:
    cuda_close(ctx);
    return st;
}

/* ---- buffers ---- */

static enum mb_status cuda_buf_alloc(struct mb_ctx *ctx, size_t bytes, struct mb_buf **out,
                                     struct mb_err *err) {
    (void)ctx;
    struct mb_buf *buf = mb_allocator.alloc(sizeof *buf);
    if (!buf) return mb_fail(err, MB_E_NOMEM, "cuda: out of memory");
    *buf = (struct mb_buf){.bytes = bytes};
    enum mb_status st = mb_gpu_alloc(bytes, &buf->data, err);
    if (st == MB_OK)
        *out = buf;
    else
        mb_allocator.release(buf);
    return st;
}

static void cuda_buf_free(struct mb_ctx *ctx, struct mb_buf *buf) {
    (void)ctx;
    if (!buf) return;
    mb_gpu_free(buf->data);
    mb_allocator.release(buf);
}

static enum mb_status check_room(const struct mb_buf *buf, size_t bytes, struct mb_err *err) {
    if (bytes <= buf->bytes) return MB_OK;
    return mb_fail(err, MB_E_INVALID, "cuda: %zu bytes and a buffer of %zu", bytes, buf->bytes);
}

static enum mb_status cuda_upload(struct mb_ctx *ctx, struct mb_buf *dst, const void *src,
                                  size_t bytes, struct mb_err *err) {
    enum mb_status st = check_room(dst, bytes, err);
    return st == MB_OK ? mb_gpu_upload(ctx->gpu, dst->data, src, bytes, err) : st;
}

static enum mb_status cuda_download(struct mb_ctx *ctx, void *dst, const struct mb_buf *src,
                                    size_t bytes, struct mb_err *err) {
    enum mb_status st = check_room(src, bytes, err);
    return st == MB_OK ? mb_gpu_download(ctx->gpu, dst, src->data, bytes, err) : st;
}

/* ---- programs ---- */

static enum mb_status cuda_plan(struct mb_ctx *ctx, const struct mb_program *program,
                                struct mb_err *err) {
    enum mb_status st = MB_OK;
    forget_program(ctx);
    ctx->program = program;
    ctx->n_inputs = 0;
    for (uint32_t i = 0; i < program->n_params; i++)
        ctx->n_inputs += program->params[i].role == MB_INPUT;
    ctx->buffers =
        mb_allocator.alloc(((size_t)ctx->n_inputs + program->n_outputs + 1) * sizeof *ctx->buffers);
    if (!ctx->buffers) return mb_fail(err, MB_E_NOMEM, "cuda: out of memory");
    st = mb_cuda_exec_new(program, ctx->gpu, &ctx->rows, &ctx->exec, err);
    if (st != MB_OK) forget_program(ctx);
    return st;
}

static enum mb_status check_planned(const struct mb_ctx *ctx, struct mb_err *err) {
    return ctx->exec ? MB_OK : mb_fail(err, MB_E_INVALID, "cuda: no program was planned");
}

static enum mb_status cuda_load(struct mb_ctx *ctx, const void *const *weights,
                                struct mb_err *err) {
    enum mb_status st = check_planned(ctx, err);
    return st == MB_OK ? mb_cuda_exec_load(ctx->exec, weights, err) : st;
}

static enum mb_status cuda_launch(struct mb_ctx *ctx, struct mb_buf *const *inputs,
                                  struct mb_buf *const *outputs, struct mb_err *err) {
    enum mb_status st = check_planned(ctx, err);
    if (st != MB_OK) return st;
    for (uint32_t i = 0; i < ctx->n_inputs; i++) ctx->buffers[i] = inputs[i]->data;
    for (uint32_t i = 0; i < ctx->program->n_outputs; i++)
        ctx->buffers[ctx->n_inputs + i] = outputs[i]->data;
    return mb_cuda_exec_run(ctx->exec, ctx->buffers, err);
}

static enum mb_status cuda_sync(struct mb_ctx *ctx, struct mb_err *err) {
    return mb_gpu_sync(ctx->gpu, err);
}

/* ---- cold caches and the device's own clock ---- */

static enum mb_status make_evictor(struct mb_ctx *ctx, struct mb_err *err) {
    enum mb_status st = MB_OK;
    void *memory = NULL;
    const size_t bytes = (2 * ctx->gpu->info.l2_bytes + 15) / 16 * 16;
    MB_TRY(mb_gpu_alloc(bytes + sizeof(float), &memory, err));
    MB_TRY(mb_gpu_check(cudaMemsetAsync(memory, 0, bytes + sizeof(float), ctx->gpu->stream),
                        "cuda: memory to evict with", err));
    ctx->evictor = memory;
    ctx->evictor_count = (int64_t)(bytes / sizeof(float));
    memory = NULL;
out:
    mb_gpu_free(memory);
    return st;
}

static enum mb_status cuda_evict(struct mb_ctx *ctx, struct mb_err *err) {
    enum mb_status st = MB_OK;
    if (!ctx->evictor) MB_TRY(make_evictor(ctx, err));
    MB_TRY(mb_gpu_check(mb_cuda_evict(ctx->evictor, ctx->evictor_count,
                                      ctx->evictor + ctx->evictor_count, ctx->gpu->stream),
                        "cuda: evict", err));
out:
    return st;
}

struct timed {
    struct mb_ctx *ctx;
    struct mb_buf *const *inputs, *const *outputs;
};

static enum mb_status timed_run(void *arg, struct mb_err *err) {
    const struct timed *timed = arg;
    return cuda_launch(timed->ctx, timed->inputs, timed->outputs, err);
}

static enum mb_status timed_evict(void *arg, struct mb_err *err) {
    const struct timed *timed = arg;
    return cuda_evict(timed->ctx, err);
}

/* Memory and code to evict with are there before the gate closes: either may wait for the device.
 */
static enum mb_status cuda_device_time(struct mb_ctx *ctx, struct mb_buf *const *inputs,
                                       struct mb_buf *const *outputs, uint32_t n_runs, bool evicted,
                                       double *ns, struct mb_err *err) {
    struct timed timed = {ctx, inputs, outputs};
    struct mb_gpu_work work = {timed_run, evicted ? timed_evict : NULL, &timed, 1};
    enum mb_status st = check_planned(ctx, err);
    if (st != MB_OK) return st;
    work.run_entries = ctx->program->n_nodes + ctx->program->n_outputs;
    if (!ctx->timer)
        MB_TRY(mb_gpu_timer_new(ctx->gpu->stream, MB_GPU_GATE_TIMEOUT_MS, &ctx->timer, err));
    if (evicted && !ctx->evictor) {
        MB_TRY(cuda_evict(ctx, err));
        MB_TRY(mb_gpu_sync(ctx->gpu, err));
    }
    if (evicted)
        st = mb_gpu_time_isolated(ctx->timer, &work, n_runs, ns, err);
    else
        st = mb_gpu_time_batch(ctx->timer, &work, n_runs, ns, err);
out:
    return st;
}

static enum mb_status cuda_ceilings(struct mb_ctx *ctx, struct mb_ceilings *out,
                                    struct mb_err *err) {
    return mb_cuda_ceilings(ctx->gpu, out, err);
}

/* Libraries that compute some step, after those that every plan needs. */
static void name_libraries(const struct mb_ctx *ctx, const struct mb_kernel_choices *choices,
                           char *buf, size_t size) {
    for (int i = 0; i < MB_N_VENDOR_LIBRARIES; i++) {
        const size_t used = strlen(buf);
        if (!choices->uses_vendor[i]) continue;
        const int version = ctx->vendor->library[i].version;
        snprintf(buf + used, size - used, ", %s %d.%d.%d", ctx->vendor->library[i].name,
                 version / 10000, version / 100 % 100, version % 100);
    }
}

static enum mb_status cuda_info(const struct mb_ctx *ctx, struct mb_exec_info *out,
                                struct mb_err *err) {
    const struct mb_gpu_info *info = &ctx->gpu->info;
    const int runtime = info->runtime_version, driver = info->driver_version;
    struct mb_kernel_choices choices = {0};
    (void)err;
    if (ctx->exec) choices = mb_cuda_exec_choices(ctx->exec);
    memset(out, 0, sizeof *out);
    out->precision = choices.uses_tf32 ? MB_TF32 : MB_FP32;
    snprintf(out->device_uuid, sizeof out->device_uuid, "%s", info->uuid);
    out->tuning_ns = choices.spent_ns;
    snprintf(out->math_mode, sizeof out->math_mode, "%s, sm_%d",
             choices.uses_tf32 ? "tf32, tensor cores" : "fp32, CUDA cores", info->cc);
    snprintf(out->library, sizeof out->library, "mindbench %s, CUDA %d.%d, driver for CUDA %d.%d",
             MB_VERSION, runtime / 1000, runtime % 1000 / 10, driver / 1000, driver % 1000 / 10);
    name_libraries(ctx, &choices, out->library, sizeof out->library);
    return MB_OK;
}

static void cuda_plan_text(const struct mb_ctx *ctx, char *buf, size_t size) {
    if (ctx->exec)
        mb_cuda_exec_text(ctx->exec, buf, size);
    else if (size > 0)
        buf[0] = '\0';
}

const struct mb_backend *mb_backend_get(void) {
    static const struct mb_backend backend = {
        .abi = MB_BACKEND_ABI,
        .name = "cuda",
        .probe = cuda_probe,
        .open = cuda_open,
        .close = cuda_close,
        .buf_alloc = cuda_buf_alloc,
        .buf_free = cuda_buf_free,
        .upload = cuda_upload,
        .download = cuda_download,
        .plan = cuda_plan,
        .load = cuda_load,
        .launch = cuda_launch,
        .sync = cuda_sync,
        .evict = cuda_evict,
        .device_time = cuda_device_time,
        .ceilings = cuda_ceilings,
        .info = cuda_info,
        .plan_text = cuda_plan_text,
        .kernel_row = cuda_kernel_row,
    };
    return &backend;
}
