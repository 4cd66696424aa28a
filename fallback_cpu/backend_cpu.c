#include "backend_cpu.h"

#include "ceilings_cpu.h"
#include "cpu_isa.h"
#include "evict_cpu.h"
#include "exec.h"
#include "threads.h"

#include <stdio.h>
#include <string.h>

enum { ALIGN = 64 };

struct mb_ctx {
    struct mb_team *team;
    enum mb_isa isa;
    const struct mb_cpu_kernel *only; /* NULL: any */
    const struct mb_program *program;
    struct mb_cpu_exec *exec;
    const void **inputs; /* room for the addresses of one launch */
    void **outputs;
    size_t *bytes; /* of the inputs, then of the outputs */
    uint32_t n_inputs;
    struct mb_cpu_evictor *evictor; /* made when first used */
};

struct mb_buf {
    void *data;
    size_t bytes;
};

/* `mind` takes the best that the processor and the cap allow, the others exactly theirs. */
static const struct {
    const char *name;
    enum mb_isa isa;
} executors[] = {
    {"mind", MB_ISA_BEST},
    {"mind-avx512", MB_ISA_AVX512},
    {"mind-avx2", MB_ISA_AVX2},
    {"mind-scalar", MB_ISA_SCALAR},
};
enum { N_EXECUTORS = sizeof executors / sizeof *executors };

/* The instruction set that a configuration ends up with, or why there is none. */
static enum mb_status resolve_isa(const struct mb_open_config *config, enum mb_isa *isa,
                                  struct mb_err *err) {
    size_t i = 0;
    if (strcmp(config->device, "cpu") != 0)
        return mb_fail(err, MB_E_UNSUPPORTED, "cpu backend: no device %s", config->device);
    while (i < N_EXECUTORS && strcmp(executors[i].name, config->executor) != 0) i++;
    if (i == N_EXECUTORS)
        return mb_fail(err, MB_E_INVALID, "cpu backend: no executor %s", config->executor);
    if (config->precision != MB_FP32)
        return mb_fail(err, MB_E_UNSUPPORTED, "%s: computes in fp32 only", config->executor);
    if (config->n_threads < 1)
        return mb_fail(err, MB_E_INVALID, "%s: %d threads", config->executor, config->n_threads);
    const enum mb_isa best = mb_cpu_isa(), cap = config->isa_cap;
    if (i == 0) {
        *isa = best < cap ? best : cap;
        return MB_OK;
    }
    if (executors[i].isa > best)
        return mb_fail(err, MB_E_UNSUPPORTED, "%s: this processor or system has no %s",
                       config->executor, mb_isa_name(executors[i].isa));
    if (executors[i].isa > cap)
        return mb_fail(err, MB_E_UNSUPPORTED, "%s: instruction sets are capped at %s",
                       config->executor, mb_isa_name(cap));
    *isa = executors[i].isa;
    return MB_OK;
}

/* The one kernel that a configuration names, NULL where it names none. */
static enum mb_status resolve_kernel(const struct mb_open_config *config, enum mb_isa isa,
                                     const struct mb_cpu_kernel **only, struct mb_err *err) {
    *only = NULL;
    for (size_t i = 0; config->kernel && i < mb_cpu_n_kernels; i++)
        if (strcmp(mb_cpu_kernels[i]->name, config->kernel) == 0) *only = mb_cpu_kernels[i];
    if (config->kernel && !*only)
        return mb_fail(err, MB_E_INVALID, "%s: no kernel is called %s; see mindbench list kernels",
                       config->executor, config->kernel);
    if (*only && (*only)->isa > isa)
        return mb_fail(err, MB_E_UNSUPPORTED, "%s: needs %s, and %s goes up to %s here",
                       config->kernel, mb_isa_name((*only)->isa), config->executor,
                       mb_isa_name(isa));
    return MB_OK;
}

static enum mb_status resolve(const struct mb_open_config *config, enum mb_isa *isa,
                              const struct mb_cpu_kernel **only, struct mb_err *err) {
    const enum mb_status st = resolve_isa(config, isa, err);
    return st == MB_OK ? resolve_kernel(config, *isa, only, err) : st;
}

static enum mb_status cpu_probe(const struct mb_open_config *config, struct mb_err *err) {
    enum mb_isa isa;
    const struct mb_cpu_kernel *only;
    return resolve(config, &isa, &only, err);
}

static enum mb_status cpu_open(const struct mb_open_config *config, struct mb_ctx **out,
                               struct mb_err *err) {
    enum mb_isa isa;
    const struct mb_cpu_kernel *only;
    enum mb_status st = resolve(config, &isa, &only, err);
    if (st != MB_OK) return st;
    struct mb_ctx *ctx = mb_allocator.alloc(sizeof *ctx);
    if (!ctx) return mb_fail(err, MB_E_NOMEM, "%s: out of memory", config->executor);
    *ctx = (struct mb_ctx){.isa = isa, .only = only};
    st = mb_team_new(config->n_threads, &ctx->team, err);
    if (st == MB_OK)
        *out = ctx;
    else
        mb_allocator.release(ctx);
    return st;
}

static void forget_program(struct mb_ctx *ctx) {
    mb_cpu_exec_free(ctx->exec);
    mb_allocator.release(ctx->inputs);
    mb_allocator.release(ctx->outputs);
    mb_allocator.release(ctx->bytes);
    ctx->exec = NULL;
    ctx->inputs = NULL;
    ctx->outputs = NULL;
    ctx->bytes = NULL;
}

static void cpu_close(struct mb_ctx *ctx) {
    if (!ctx) return;
    forget_program(ctx);
    mb_cpu_evictor_free(ctx->evictor);
    mb_team_free(ctx->team);
    mb_allocator.release(ctx);
}

/* ---- buffers ---- */

static enum mb_status cpu_buf_alloc(struct mb_ctx *ctx, size_t bytes, struct mb_buf **out,
                                    struct mb_err *err) {
    (void)ctx;
    struct mb_buf *buf =
        bytes > SIZE_MAX / 2 ? NULL : mb_allocator.alloc(sizeof *buf + ALIGN + bytes);
    if (!buf) return mb_fail(err, MB_E_NOMEM, "cpu: out of memory: %zu bytes", bytes);
    buf->data = (void *)(((uintptr_t)(buf + 1) + ALIGN - 1) / ALIGN * ALIGN);
    buf->bytes = bytes;
    *out = buf;
    return MB_OK;
}

static void cpu_buf_free(struct mb_ctx *ctx, struct mb_buf *buf) {
    (void)ctx;
    mb_allocator.release(buf);
}

static enum mb_status check_room(const struct mb_buf *buf, size_t bytes, struct mb_err *err) {
    if (bytes <= buf->bytes) return MB_OK;
    return mb_fail(err, MB_E_INVALID, "cpu: %zu bytes and a buffer of %zu", bytes, buf->bytes);
}

static enum mb_status cpu_upload(struct mb_ctx *ctx, struct mb_buf *dst, const void *src,
                                 size_t bytes, struct mb_err *err) {
    (void)ctx;
    enum mb_status st = check_room(dst, bytes, err);
    if (st == MB_OK) memcpy(dst->data, src, bytes);
    return st;
}

static enum mb_status cpu_download(struct mb_ctx *ctx, void *dst, const struct mb_buf *src,
                                   size_t bytes, struct mb_err *err) {
    (void)ctx;
    enum mb_status st = check_room(src, bytes, err);
    if (st == MB_OK) memcpy(dst, src->data, bytes);
    return st;
}

/* ---- programs ---- */

static uint32_t count_inputs(const struct mb_program *program) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < program->n_params; i++) n += program->params[i].role == MB_INPUT;
    return n;
}

/* The plan has refused what is too large to count. */
static void note_sizes(struct mb_ctx *ctx) {
    const struct mb_program *p = ctx->program;
    size_t *to = ctx->bytes;
    for (uint32_t i = 0; i < p->n_params; i++)
        if (p->params[i].role == MB_INPUT) (void)mb_type_bytes(&p->params[i].type, to++);
    for (uint32_t i = 0; i < p->n_outputs; i++)
        (void)mb_type_bytes(&p->nodes[p->outputs[i]].type, to++);
}

static enum mb_status cpu_plan(struct mb_ctx *ctx, const struct mb_program *program,
                               struct mb_err *err) {
    enum mb_status st = MB_OK;
    forget_program(ctx);
    ctx->program = program;
    ctx->n_inputs = count_inputs(program);
    ctx->inputs = mb_allocator.alloc((ctx->n_inputs + 1) * sizeof *ctx->inputs);
    ctx->outputs = mb_allocator.alloc((program->n_outputs + 1) * sizeof *ctx->outputs);
    ctx->bytes = mb_allocator.alloc((ctx->n_inputs + program->n_outputs + 1) * sizeof *ctx->bytes);
    if (!ctx->inputs || !ctx->outputs || !ctx->bytes) {
        st = mb_fail(err, MB_E_NOMEM, "cpu: out of memory");
        goto out;
    }
    MB_TRY(mb_cpu_exec_new(program, ctx->team, ctx->isa, ctx->only, &ctx->exec, err));
    note_sizes(ctx);
out:
    if (st != MB_OK) forget_program(ctx);
    return st;
}

static enum mb_status check_planned(const struct mb_ctx *ctx, struct mb_err *err) {
    return ctx->exec ? MB_OK : mb_fail(err, MB_E_INVALID, "cpu: no program was planned");
}

static enum mb_status cpu_load(struct mb_ctx *ctx, const void *const *weights, struct mb_err *err) {
    enum mb_status st = check_planned(ctx, err);
    return st == MB_OK ? mb_cpu_exec_load(ctx->exec, weights, err) : st;
}

/* Each buffer has room for its value, and what is written is nothing that another reads or writes.
 */
static enum mb_status check_buffers(const struct mb_ctx *ctx, struct mb_buf *const *inputs,
                                    struct mb_buf *const *outputs, struct mb_err *err) {
    const uint32_t n_outputs = ctx->program->n_outputs;
    enum mb_status st = MB_OK;
    for (uint32_t i = 0; i < ctx->n_inputs; i++) MB_TRY(check_room(inputs[i], ctx->bytes[i], err));
    for (uint32_t i = 0; i < n_outputs; i++) {
        MB_TRY(check_room(outputs[i], ctx->bytes[ctx->n_inputs + i], err));
        for (uint32_t k = 0; k < ctx->n_inputs + i; k++)
            if (outputs[i] == (k < ctx->n_inputs ? inputs[k] : outputs[k - ctx->n_inputs]))
                return mb_fail(err, MB_E_INVALID, "cpu: output %u has the buffer of %s %u", i,
                               k < ctx->n_inputs ? "input" : "output",
                               k < ctx->n_inputs ? k : k - ctx->n_inputs);
    }
out:
    return st;
}

static void take_addresses(struct mb_ctx *ctx, struct mb_buf *const *inputs,
                           struct mb_buf *const *outputs) {
    for (uint32_t i = 0; i < ctx->n_inputs; i++) ctx->inputs[i] = inputs[i]->data;
    for (uint32_t i = 0; i < ctx->program->n_outputs; i++) ctx->outputs[i] = outputs[i]->data;
}

static enum mb_status cpu_launch(struct mb_ctx *ctx, struct mb_buf *const *inputs,
                                 struct mb_buf *const *outputs, struct mb_err *err) {
    enum mb_status st = check_planned(ctx, err);
    if (st == MB_OK) st = check_buffers(ctx, inputs, outputs, err);
    if (st != MB_OK) return st;
    take_addresses(ctx, inputs, outputs);
    return mb_cpu_exec_run(ctx->exec, ctx->inputs, ctx->outputs, err);
}

static enum mb_status cpu_operations(struct mb_ctx *ctx, struct mb_buf *const *inputs,
                                     struct mb_buf *const *outputs, struct mb_operation *out,
                                     size_t room, size_t *n, struct mb_err *err) {
    enum mb_status st = check_planned(ctx, err);
    if (st == MB_OK) st = check_buffers(ctx, inputs, outputs, err);
    if (st != MB_OK) return st;
    take_addresses(ctx, inputs, outputs);
    return mb_cpu_exec_operations(ctx->exec, ctx->inputs, ctx->outputs, out, room, n, err);
}

/* A launch has finished when it returns. */
static enum mb_status cpu_sync(struct mb_ctx *ctx, struct mb_err *err) {
    (void)ctx, (void)err;
    return MB_OK;
}

static enum mb_status cpu_evict(struct mb_ctx *ctx, struct mb_err *err) {
    enum mb_status st = MB_OK;
    if (!ctx->evictor) MB_TRY(mb_cpu_evictor_new(ctx->team, &ctx->evictor, err));
    mb_cpu_evictor_run(ctx->evictor);
out:
    return st;
}

static enum mb_status cpu_ceilings(struct mb_ctx *ctx, struct mb_ceilings *out,
                                   struct mb_err *err) {
    return mb_cpu_ceilings(ctx->team, ctx->isa, out, err);
}

static enum mb_status cpu_info(const struct mb_ctx *ctx, struct mb_exec_info *out,
                               struct mb_err *err) {
    static const char *const math[] = {"fp32, sse2", "fp32, avx2+fma", "fp32, avx512"};
    (void)err;
    memset(out, 0, sizeof *out);
    out->precision = MB_FP32;
    snprintf(out->math_mode, sizeof out->math_mode, "%s", math[ctx->isa]);
    snprintf(out->library, sizeof out->library, "mindbench %s", MB_VERSION);
    if (ctx->exec) {
        out->tuning_ns = mb_cpu_exec_tuning_ns(ctx->exec);
        out->flops = mb_cpu_exec_flops(ctx->exec);
    }
    return MB_OK;
}

static void cpu_plan_text(const struct mb_ctx *ctx, char *buf, size_t size) {
    if (ctx->exec)
        mb_cpu_exec_text(ctx->exec, buf, size);
    else if (size > 0)
        buf[0] = '\0';
}

static bool cpu_kernel_row(size_t i, struct mb_kernel_row *out) {
    if (i >= mb_cpu_n_kernels) return false;
    const struct mb_cpu_kernel *kernel = mb_cpu_kernels[i];
    *out = (struct mb_kernel_row){kernel->name,
                                  kernel->kind == MB_STEP_MATMUL ? MB_OP_MATMUL : MB_OP_CONV2D,
                                  kernel->products > 0 ? kernel->products : 1};
    return true;
}

const struct mb_backend *mb_backend_cpu(void) {
    static const struct mb_backend backend = {
        .abi = MB_BACKEND_ABI,
        .name = "cpu",
        .probe = cpu_probe,
        .open = cpu_open,
        .close = cpu_close,
        .buf_alloc = cpu_buf_alloc,
        .buf_free = cpu_buf_free,
        .upload = cpu_upload,
        .download = cpu_download,
        .plan = cpu_plan,
        .load = cpu_load,
        .launch = cpu_launch,
        .sync = cpu_sync,
        .evict = cpu_evict,
        .ceilings = cpu_ceilings,
        .info = cpu_info,
        .plan_text = cpu_plan_text,
        .kernel_row = cpu_kernel_row,
        .operations = cpu_operations,
    };
    return &backend;
}
