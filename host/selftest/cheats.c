#include "cheats.h"

#include "arena.h"
#include "backend_cpu.h"
#include "clock.h"
#include "executors.h"
#include "liars.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* What a cheat replaces; NULL: it does that honestly. */
struct cheat {
    const char *executor;
    enum mb_status (*launch)(struct mb_ctx *, struct mb_buf *const *inputs,
                             struct mb_buf *const *outputs, struct mb_err *);
    enum mb_status (*sync)(struct mb_ctx *, struct mb_err *);
    enum mb_status (*upload)(struct mb_ctx *, struct mb_buf *dst, const void *src, size_t bytes,
                             struct mb_err *);
    enum mb_status (*download)(struct mb_ctx *, void *dst, const struct mb_buf *src, size_t bytes,
                               struct mb_err *);
    enum mb_status (*load)(struct mb_ctx *, const void *const *weights, struct mb_err *);
    enum mb_status (*begin)(struct mb_ctx *, struct mb_err *); /* of the process */
};

/* The tensors of a program one after another, as bytes. */
struct copy {
    char *data;
    size_t bytes;
};

struct mb_ctx {
    const struct mb_backend *honest;
    struct mb_ctx *inner; /* of `honest` */
    const struct cheat *cheat;
    const struct mb_program *program;
    struct mb_buf *const *inputs, *const *outputs; /* of the last launch */
    struct copy output, input, now;                /* kept; `now`: room for another input */
    uint64_t n_runs;
    pthread_t thread;
    bool has_thread;
    atomic_int ordered, done; /* runs that the thread was given, and has made */
    atomic_bool stop;
};

static enum mb_status honest_run(struct mb_ctx *ctx, struct mb_buf *const *inputs,
                                 struct mb_buf *const *outputs, struct mb_err *err) {
    const enum mb_status st = ctx->honest->launch(ctx->inner, inputs, outputs, err);
    return st == MB_OK ? ctx->honest->sync(ctx->inner, err) : st;
}

/* ---- copies of inputs and outputs ---- */

static size_t input_bytes(const struct mb_program *p, uint32_t i) {
    size_t bytes = 0;
    return p->params[i].role == MB_INPUT && mb_type_bytes(&p->params[i].type, &bytes) ? bytes : 0;
}

static size_t output_bytes(const struct mb_program *p, uint32_t i) {
    size_t bytes = 0;
    return mb_type_bytes(&p->nodes[p->outputs[i]].type, &bytes) ? bytes : 0;
}

static enum mb_status take_inputs(struct mb_ctx *ctx, struct copy *to, struct mb_err *err) {
    enum mb_status st = MB_OK;
    char *at = to->data;
    for (uint32_t i = 0, k = 0; i < ctx->program->n_params && st == MB_OK; i++) {
        const size_t bytes = input_bytes(ctx->program, i);
        if (ctx->program->params[i].role != MB_INPUT) continue;
        st = ctx->honest->download(ctx->inner, at, ctx->inputs[k++], bytes, err);
        at += bytes;
    }
    return st;
}

static enum mb_status take_outputs(struct mb_ctx *ctx, struct mb_err *err) {
    enum mb_status st = MB_OK;
    char *at = ctx->output.data;
    for (uint32_t i = 0; i < ctx->program->n_outputs && st == MB_OK; i++) {
        const size_t bytes = output_bytes(ctx->program, i);
        st = ctx->honest->download(ctx->inner, at, ctx->outputs[i], bytes, err);
        at += bytes;
    }
    return st;
}

static enum mb_status give_outputs(struct mb_ctx *ctx, struct mb_err *err) {
    enum mb_status st = MB_OK;
    const char *at = ctx->output.data;
    for (uint32_t i = 0; i < ctx->program->n_outputs && st == MB_OK; i++) {
        const size_t bytes = output_bytes(ctx->program, i);
        st = ctx->honest->upload(ctx->inner, ctx->outputs[i], at, bytes, err);
        at += bytes;
    }
    return st;
}

static enum mb_status run_and_keep(struct mb_ctx *ctx, struct mb_err *err) {
    const enum mb_status st = honest_run(ctx, ctx->inputs, ctx->outputs, err);
    return st == MB_OK ? take_outputs(ctx, err) : st;
}

/* ---- the cheats ---- */

static enum mb_status launch_wrong(struct mb_ctx *ctx, struct mb_buf *const *inputs,
                                   struct mb_buf *const *outputs, struct mb_err *err) {
    enum mb_status st = run_and_keep(ctx, err);
    float first;
    (void)inputs;
    (void)outputs;
    memcpy(&first, ctx->output.data, sizeof first);
    first += 0.01F * first;
    memcpy(ctx->output.data, &first, sizeof first);
    return st == MB_OK ? give_outputs(ctx, err) : st;
}

static enum mb_status launch_noop(struct mb_ctx *ctx, struct mb_buf *const *inputs,
                                  struct mb_buf *const *outputs, struct mb_err *err) {
    return ctx->n_runs > 2 ? MB_OK : honest_run(ctx, inputs, outputs, err);
}

/* The harness has one set of buffers, so that the first output is kept for good. */
static enum mb_status launch_pointer(struct mb_ctx *ctx, struct mb_buf *const *inputs,
                                     struct mb_buf *const *outputs, struct mb_err *err) {
    (void)inputs;
    (void)outputs;
    return ctx->n_runs > 1 ? give_outputs(ctx, err) : run_and_keep(ctx, err);
}

static enum mb_status launch_content(struct mb_ctx *ctx, struct mb_buf *const *inputs,
                                     struct mb_buf *const *outputs, struct mb_err *err) {
    enum mb_status st = take_inputs(ctx, &ctx->now, err);
    (void)inputs;
    (void)outputs;
    if (st != MB_OK) return st;
    if (ctx->n_runs > 1 && memcmp(ctx->now.data, ctx->input.data, ctx->now.bytes) == 0)
        return give_outputs(ctx, err);
    memcpy(ctx->input.data, ctx->now.data, ctx->now.bytes);
    return run_and_keep(ctx, err);
}

static enum mb_status launch_skip(struct mb_ctx *ctx, struct mb_buf *const *inputs,
                                  struct mb_buf *const *outputs, struct mb_err *err) {
    (void)inputs;
    (void)outputs;
    return ctx->n_runs % 2 ? run_and_keep(ctx, err) : give_outputs(ctx, err);
}

/* Waits behind each run for 3 % of the time that this very run took, so that the ratio is 1.03 at
 * any clock rate and under any load. */
static enum mb_status launch_slower3(struct mb_ctx *ctx, struct mb_buf *const *inputs,
                                     struct mb_buf *const *outputs, struct mb_err *err) {
    const int64_t begin = mb_clock_ns();
    const enum mb_status st = honest_run(ctx, inputs, outputs, err);
    const int64_t end = begin + (int64_t)(1.03 * (double)(mb_clock_ns() - begin));
    while (mb_clock_ns() < end) {
    }
    return st;
}

static enum mb_status launch_poison(struct mb_ctx *ctx, struct mb_buf *const *inputs,
                                    struct mb_buf *const *outputs, struct mb_err *err) {
    uint32_t first;
    const enum mb_status st =
        ctx->honest->download(ctx->inner, &first, outputs[0], sizeof first, err);
    if (st != MB_OK) return st;
    return ctx->n_runs > 1 && first != UINT32_MAX ? MB_OK : honest_run(ctx, inputs, outputs, err);
}

/* The outputs of the inputs that came last are there when the run begins. */
static enum mb_status launch_upload(struct mb_ctx *ctx, struct mb_buf *const *inputs,
                                    struct mb_buf *const *outputs, struct mb_err *err) {
    (void)inputs;
    (void)outputs;
    return ctx->n_runs > 1 ? give_outputs(ctx, err) : run_and_keep(ctx, err);
}

static enum mb_status upload_computing(struct mb_ctx *ctx, struct mb_buf *dst, const void *src,
                                       size_t bytes, struct mb_err *err) {
    const enum mb_status st = ctx->honest->upload(ctx->inner, dst, src, bytes, err);
    if (st != MB_OK || !ctx->inputs || dst != ctx->inputs[0]) return st;
    return run_and_keep(ctx, err);
}

static enum mb_status launch_nothing(struct mb_ctx *ctx, struct mb_buf *const *inputs,
                                     struct mb_buf *const *outputs, struct mb_err *err) {
    (void)ctx;
    (void)inputs;
    (void)outputs;
    (void)err;
    return MB_OK;
}

static enum mb_status download_computing(struct mb_ctx *ctx, void *dst, const struct mb_buf *src,
                                         size_t bytes, struct mb_err *err) {
    const enum mb_status st = honest_run(ctx, ctx->inputs, ctx->outputs, err);
    return st == MB_OK ? ctx->honest->download(ctx->inner, dst, src, bytes, err) : st;
}

static enum mb_status clock_lie(struct mb_ctx *ctx, struct mb_err *err) {
    (void)ctx;
    return mb_lie_of_clock(err);
}

static enum mb_status samples_lie(struct mb_ctx *ctx, struct mb_err *err) {
    (void)ctx;
    return mb_lie_of_samples(false, err);
}

static enum mb_status books_lie(struct mb_ctx *ctx, struct mb_err *err) {
    (void)ctx;
    return mb_lie_of_samples(true, err);
}

/* The upper half of each weight: eight bits of the significand, as bf16 has. */
static enum mb_status load_bf16(struct mb_ctx *ctx, const void *const *weights,
                                struct mb_err *err) {
    const struct mb_program *p = ctx->program;
    void **rounded = calloc(p->n_params + 1, sizeof *rounded);
    enum mb_status st = MB_OK;
    if (!rounded) return mb_fail(err, MB_E_NOMEM, "no memory for weights");
    for (uint32_t i = 0; i < p->n_params; i++) {
        size_t bytes = 0;
        if (!weights[i] || !mb_type_bytes(&p->params[i].type, &bytes)) continue;
        if (!(rounded[i] = malloc(bytes))) {
            st = mb_fail(err, MB_E_NOMEM, "no memory for weights");
            goto out;
        }
        memcpy(rounded[i], weights[i], bytes);
        for (size_t k = 0; k < bytes / 4 && p->params[i].type.dtype == MB_F32; k++)
            ((uint32_t *)rounded[i])[k] = (((uint32_t *)rounded[i])[k] + 0x8000) & 0xffff0000;
    }
    st = ctx->honest->load(ctx->inner, (const void *const *)rounded, err);
out:
    for (uint32_t i = 0; i < p->n_params; i++) free(rounded[i]);
    free(rounded);
    return st;
}

/* ---- threads ---- */

/* Makes the runs that it was given. */
static void *computes(void *arg) {
    struct mb_ctx *ctx = arg;
    struct mb_err ignored;
    while (!ctx->stop) {
        if (ctx->done == ctx->ordered) continue;
        honest_run(ctx, ctx->inputs, ctx->outputs, &ignored);
        ctx->done++;
    }
    return NULL;
}

static void *works_on(void *arg) {
    struct mb_ctx *ctx = arg;
    while (!ctx->stop) {
    }
    return NULL;
}

static enum mb_status start_thread(struct mb_ctx *ctx, void *(*body)(void *), struct mb_err *err) {
    if (ctx->has_thread) return MB_OK;
    if (pthread_create(&ctx->thread, NULL, body, ctx) != 0)
        return mb_fail(err, MB_E_NOMEM, "no thread for a cheat");
    ctx->has_thread = true;
    return MB_OK;
}

/* The first two runs are waited for, so that it gets into the race. */
static enum mb_status launch_thread(struct mb_ctx *ctx, struct mb_buf *const *inputs,
                                    struct mb_buf *const *outputs, struct mb_err *err) {
    (void)inputs;
    (void)outputs;
    const enum mb_status st = start_thread(ctx, computes, err);
    if (st != MB_OK) return st;
    while (ctx->done != ctx->ordered) { /* two runs at a time would meet in the scratch memory */
    }
    ctx->ordered++;
    while (ctx->n_runs <= 2 && ctx->done != ctx->ordered) {
    }
    return MB_OK;
}

static enum mb_status sync_nothing(struct mb_ctx *ctx, struct mb_err *err) {
    (void)ctx;
    (void)err;
    return MB_OK;
}

static enum mb_status launch_busy(struct mb_ctx *ctx, struct mb_buf *const *inputs,
                                  struct mb_buf *const *outputs, struct mb_err *err) {
    const enum mb_status st = start_thread(ctx, works_on, err);
    return st == MB_OK ? honest_run(ctx, inputs, outputs, err) : st;
}

static const struct cheat cheats[] = {
    {"selftest-wrong", .launch = launch_wrong},
    {"selftest-noop", .launch = launch_noop},
    {"selftest-pointer", .launch = launch_pointer},
    {"selftest-content", .launch = launch_content},
    {"selftest-thread", .launch = launch_thread, .sync = sync_nothing},
    {"selftest-busy", .launch = launch_busy},
    {"selftest-skip", .launch = launch_skip},
    {"selftest-slower3", .launch = launch_slower3},
    {"selftest-bf16", .load = load_bf16},
    {"selftest-clock", .begin = clock_lie},
    {"selftest-samples", .begin = samples_lie},
    {"selftest-books", .begin = books_lie},
    {"selftest-poison", .launch = launch_poison},
    {"selftest-upload", .launch = launch_upload, .upload = upload_computing},
    {"selftest-download", .launch = launch_nothing, .download = download_computing},
};
enum { N_CHEATS = sizeof cheats / sizeof *cheats };

/* ---- the backend around them ---- */

static struct mb_open_config honest_config(const struct mb_open_config *config) {
    struct mb_open_config honest = *config;
    honest.executor = "mind";
    return honest;
}

static enum mb_status cheat_probe(const struct mb_open_config *config, struct mb_err *err) {
    const struct mb_open_config honest = honest_config(config);
    return mb_backend_cpu()->probe(&honest, err);
}

static enum mb_status cheat_open(const struct mb_open_config *config, struct mb_ctx **out,
                                 struct mb_err *err) {
    const struct mb_open_config honest = honest_config(config);
    size_t i = 0;
    while (i < N_CHEATS && strcmp(cheats[i].executor, config->executor) != 0) i++;
    if (i == N_CHEATS) return mb_fail(err, MB_E_INVALID, "no cheat is called %s", config->executor);
    struct mb_ctx *ctx = mb_allocator.alloc(sizeof *ctx);
    if (!ctx) return mb_fail(err, MB_E_NOMEM, "%s: out of memory", config->executor);
    *ctx = (struct mb_ctx){.honest = mb_backend_cpu(), .cheat = &cheats[i]};
    enum mb_status st = ctx->cheat->begin ? ctx->cheat->begin(ctx, err) : MB_OK;
    if (st == MB_OK) st = ctx->honest->open(&honest, &ctx->inner, err);
    if (st == MB_OK)
        *out = ctx;
    else
        mb_allocator.release(ctx);
    return st;
}

static void cheat_close(struct mb_ctx *ctx) {
    if (!ctx) return;
    ctx->stop = true;
    if (ctx->has_thread) pthread_join(ctx->thread, NULL);
    ctx->honest->close(ctx->inner);
    free(ctx->output.data);
    free(ctx->input.data);
    free(ctx->now.data);
    mb_allocator.release(ctx);
}

static enum mb_status cheat_buf_alloc(struct mb_ctx *ctx, size_t bytes, struct mb_buf **out,
                                      struct mb_err *err) {
    return ctx->honest->buf_alloc(ctx->inner, bytes, out, err);
}

static void cheat_buf_free(struct mb_ctx *ctx, struct mb_buf *buf) {
    ctx->honest->buf_free(ctx->inner, buf);
}

static enum mb_status cheat_upload(struct mb_ctx *ctx, struct mb_buf *dst, const void *src,
                                   size_t bytes, struct mb_err *err) {
    if (ctx->cheat->upload) return ctx->cheat->upload(ctx, dst, src, bytes, err);
    return ctx->honest->upload(ctx->inner, dst, src, bytes, err);
}

static enum mb_status cheat_download(struct mb_ctx *ctx, void *dst, const struct mb_buf *src,
                                     size_t bytes, struct mb_err *err) {
    if (ctx->cheat->download && ctx->inputs) return ctx->cheat->download(ctx, dst, src, bytes, err);
    return ctx->honest->download(ctx->inner, dst, src, bytes, err);
}

static bool make_room(struct copy *copy, size_t bytes) {
    copy->bytes = bytes;
    copy->data = malloc(bytes + 1);
    return copy->data != NULL;
}

static enum mb_status cheat_plan(struct mb_ctx *ctx, const struct mb_program *program,
                                 struct mb_err *err) {
    size_t in = 0, out = 0;
    for (uint32_t i = 0; i < program->n_params; i++) in += input_bytes(program, i);
    for (uint32_t i = 0; i < program->n_outputs; i++) out += output_bytes(program, i);
    ctx->program = program;
    if (!make_room(&ctx->output, out) || !make_room(&ctx->input, in) || !make_room(&ctx->now, in))
        return mb_fail(err, MB_E_NOMEM, "no memory for copies");
    return ctx->honest->plan(ctx->inner, program, err);
}

static enum mb_status cheat_load(struct mb_ctx *ctx, const void *const *weights,
                                 struct mb_err *err) {
    if (ctx->cheat->load) return ctx->cheat->load(ctx, weights, err);
    return ctx->honest->load(ctx->inner, weights, err);
}

static enum mb_status cheat_launch(struct mb_ctx *ctx, struct mb_buf *const *inputs,
                                   struct mb_buf *const *outputs, struct mb_err *err) {
    ctx->inputs = inputs;
    ctx->outputs = outputs;
    ctx->n_runs++;
    if (ctx->cheat->launch) return ctx->cheat->launch(ctx, inputs, outputs, err);
    return ctx->honest->launch(ctx->inner, inputs, outputs, err);
}

static enum mb_status cheat_sync(struct mb_ctx *ctx, struct mb_err *err) {
    if (ctx->cheat->sync) return ctx->cheat->sync(ctx, err);
    return ctx->honest->sync(ctx->inner, err);
}

static enum mb_status cheat_evict(struct mb_ctx *ctx, struct mb_err *err) {
    return ctx->honest->evict(ctx->inner, err);
}

static enum mb_status cheat_info(const struct mb_ctx *ctx, struct mb_exec_info *out,
                                 struct mb_err *err) {
    return ctx->honest->info(ctx->inner, out, err);
}

static void cheat_plan_text(const struct mb_ctx *ctx, char *buf, size_t size) {
    ctx->honest->plan_text(ctx->inner, buf, size);
}

static const struct mb_backend *backend_of_cheats(void) {
    static const struct mb_backend backend = {
        .abi = MB_BACKEND_ABI,
        .name = "selftest",
        .probe = cheat_probe,
        .open = cheat_open,
        .close = cheat_close,
        .buf_alloc = cheat_buf_alloc,
        .buf_free = cheat_buf_free,
        .upload = cheat_upload,
        .download = cheat_download,
        .plan = cheat_plan,
        .load = cheat_load,
        .launch = cheat_launch,
        .sync = cheat_sync,
        .evict = cheat_evict,
        .info = cheat_info,
        .plan_text = cheat_plan_text,
    };
    return &backend;
}

const struct mb_cheat mb_cheats[] = {
#define CHEAT(id, what, expected) {#id, "selftest-" #id, what, expected},
#include "cheats.def"
#undef CHEAT
};
const size_t mb_n_cheats = sizeof mb_cheats / sizeof *mb_cheats;

void mb_cheats_admit(void) {
    static const struct mb_executor_entry entries[] = {
#define CHEAT(id, what, expected)                                                                  \
    {"selftest-" #id, "cpu", "selftest", MB_LINKED_IN, backend_of_cheats, what, NULL, NULL, NULL},
#include "cheats.def"
#undef CHEAT
    };
    mb_executors_admit(entries, sizeof entries / sizeof *entries);
}
