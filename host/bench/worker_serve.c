/* The child's side of worker processes: one executor, one program, timed runs on request. */
#include "worker.h"

#include "activity.h"
#include "clock.h"
#include "counter.h"
#include "nvtx.h"
#include "profiler.h"
#include "wire.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { PLAN_TEXT_BYTES = 16 << 10 };

struct server {
    struct mb_wire wire;
    struct mb_mind *mind;
    const struct mb_program *program;
    struct mb_shared params, outputs;
    const struct mb_backend *backend;
    struct mb_ctx *ctx;
    bool cold, transfers; /* worker.h */
    struct mb_nvtx *nvtx;
    struct mb_trace_log *trace; /* NULL: none is kept */
    struct mb_guard *guard;     /* NULL: not on a host device */
    struct mb_buf **in, **out;  /* input and output buffers */
    size_t n_in, n_out;
    char *source, *file; /* the wire is reused, so the texts are kept apart */
    int64_t entered_ns;  /* when this process began */
};

/* Nanoseconds since *since, which moves on to now. */
static double lap(int64_t *since) {
    int64_t now = mb_clock_ns(), passed = now - *since;
    *since = now;
    return (double)passed;
}

static enum mb_status compile(struct server *s, struct mb_wire *wire, struct mb_phases_ns *phases,
                              struct mb_err *err) {
    struct mb_mind_source source = {0};
    struct mb_mind_binding bindings[64];
    size_t file_len, text_len;
    const char *file = mb_wire_get_text(wire, &file_len);
    const char *text = mb_wire_get_text(wire, &text_len);
    source.seed = mb_wire_get_u64(wire);
    source.strict = mb_wire_get_u64(wire) != 0;
    source.lenient = mb_wire_get_u64(wire) != 0;
    if (mb_wire_get_u64(wire)) source.entry = mb_wire_get_text(wire, NULL);
    source.n_bindings = mb_wire_get_u64(wire);
    if (source.n_bindings > sizeof bindings / sizeof *bindings)
        return mb_fail(err, MB_E_INVALID, "more than 64 bindings");
    for (size_t i = 0; i < source.n_bindings; i++) {
        bindings[i].name = mb_wire_get_text(wire, NULL);
        bindings[i].extent = (int64_t)mb_wire_get_u64(wire);
    }
    s->file = malloc(file_len + 1);
    s->source = malloc(text_len + 1);
    if (wire->bad || !s->file || !s->source) return mb_fail(err, MB_E_NOMEM, "no memory for a job");
    memcpy(s->file, file, file_len + 1);
    memcpy(s->source, text, text_len + 1);
    source.file = s->file;
    source.text = s->source;
    source.len = text_len;
    source.bindings = bindings;
    enum mb_status st = mb_mind_open(&s->mind, err);
    if (st == MB_OK) mb_mind_time_phases(s->mind, true);
    if (st == MB_OK) st = mb_mind_compile(s->mind, &source, &s->program, err);
    if (st != MB_OK) return st;
    const struct mb_mind_phases *front = mb_mind_phases(s->mind);
    phases->parse = (double)front->parse_ns;
    phases->check = (double)front->check_ns;
    phases->lower = (double)front->lower_ns;
    return MB_OK;
}

static enum mb_status make_buffers(struct server *s, struct mb_err *err) {
    const struct mb_program *p = s->program;
    s->in = calloc(p->n_params + 1, sizeof *s->in);
    s->out = calloc(p->n_outputs + 1, sizeof *s->out);
    if (!s->in || !s->out) return mb_fail(err, MB_E_NOMEM, "no memory for buffers");
    for (uint32_t i = 0; i < p->n_params; i++) {
        size_t bytes;
        if (p->params[i].role != MB_INPUT) continue;
        if (!mb_type_bytes(&p->params[i].type, &bytes))
            return mb_fail(err, MB_E_NOMEM, "%s: its size overflows", p->params[i].name);
        enum mb_status st = s->backend->buf_alloc(s->ctx, bytes, &s->in[s->n_in], err);
        if (st != MB_OK) return st;
        s->n_in++;
    }
    for (uint32_t i = 0; i < p->n_outputs; i++) {
        size_t bytes;
        if (!mb_type_bytes(&p->nodes[p->outputs[i]].type, &bytes))
            return mb_fail(err, MB_E_NOMEM, "output %u: its size overflows", i);
        enum mb_status st = s->backend->buf_alloc(s->ctx, bytes, &s->out[s->n_out], err);
        if (st != MB_OK) return st;
        s->n_out++;
    }
    return MB_OK;
}

static enum mb_status load(struct server *s, struct mb_err *err) {
    const struct mb_program *p = s->program;
    const void **weights = calloc(p->n_params + 1, sizeof *weights);
    if (!weights) return mb_fail(err, MB_E_NOMEM, "no memory for weights");
    for (uint32_t i = 0; i < p->n_params; i++)
        weights[i] = p->params[i].role == MB_WEIGHT ? s->params.data[i] : NULL;
    enum mb_status st = s->backend->load(s->ctx, weights, err);
    free(weights);
    return st;
}

static enum mb_status run_once(struct server *s, struct mb_err *err) {
    enum mb_status st = s->backend->launch(s->ctx, s->in, s->out, err);
    return st == MB_OK ? s->backend->sync(s->ctx, err) : st;
}

/* A trace without the device's part is still worth its while: what is missing is a note in it. */
static void note_failure(struct server *s, enum mb_status st, const struct mb_err *why) {
    char note[sizeof why->text + 32];
    if (st == MB_OK) return;
    snprintf(note, sizeof note, "GPU activity: %s", why->text);
    mb_trace_log_mark(s->trace, MB_TRACE_NOTE, (int32_t)getpid(), note, "", 0);
}

static void record_activity(struct server *s) {
    struct mb_err why;
    if (s->trace) note_failure(s, mb_activity_start(s->trace, &why), &why);
}

static enum mb_status send_inputs(struct server *s, struct mb_err *err) {
    for (uint32_t i = 0, at = 0; i < s->program->n_params; i++) {
        size_t bytes = 0;
        if (s->program->params[i].role != MB_INPUT) continue;
        mb_type_bytes(&s->program->params[i].type, &bytes);
        const void *data = s->guard ? mb_guard_param(s->guard, i) : s->params.data[i];
        enum mb_status st = s->backend->upload(s->ctx, s->in[at++], data, bytes, err);
        if (st != MB_OK) return st;
    }
    return MB_OK;
}

static enum mb_status fetch_outputs(struct server *s, struct mb_err *err) {
    for (size_t i = 0; i < s->n_out; i++) {
        size_t bytes = 0;
        mb_type_bytes(&s->program->nodes[s->program->outputs[i]].type, &bytes);
        enum mb_status st = s->backend->download(s->ctx, s->outputs.data[i], s->out[i], bytes, err);
        if (st != MB_OK) return st;
    }
    return MB_OK;
}

/* What a sample times. */
static enum mb_status run_as_asked(struct server *s, struct mb_err *err) {
    enum mb_status st = MB_OK;
    if (s->transfers) MB_TRY(send_inputs(s, err));
    MB_TRY(run_once(s, err));
    if (s->transfers) MB_TRY(fetch_outputs(s, err));
out:
    return st;
}

static enum mb_status evict(struct server *s, struct mb_err *err) {
    enum mb_status st = s->backend->evict(s->ctx, err);
    return st == MB_OK ? s->backend->sync(s->ctx, err) : st;
}

/* The texts lie in the wire until the answer. */
static enum mb_status get_open_config(struct mb_wire *wire, const struct mb_executor_entry **entry,
                                      struct mb_open_config *config, struct mb_err *err) {
    const char *name = mb_wire_get_text(wire, NULL);
    *entry = mb_executor_find(name, mb_wire_get_text(wire, NULL));
    config->device_index = (int)mb_wire_get_u64(wire);
    config->n_threads = (int)mb_wire_get_u64(wire);
    config->precision = (enum mb_precision)mb_wire_get_u64(wire);
    config->isa_cap = (enum mb_isa)mb_wire_get_u64(wire);
    const char *kernel = mb_wire_get_text(wire, NULL);
    if (kernel[0]) config->kernel = kernel;
    const char *package = mb_wire_get_text(wire, NULL);
    if (package[0]) config->package = package;
    config->plain_start = mb_wire_get_u64(wire);
    if (!*entry) return mb_fail(err, MB_E_INVALID, "unknown executor %s", name);
    config->executor = (*entry)->name;
    config->device = (*entry)->device;
    return MB_OK;
}

/* Once the program has run, so that none of it is part of a start. */
static enum mb_status make_guard(struct server *s, const struct mb_executor_entry *entry,
                                 struct mb_err *err) {
    const struct mb_guard_config config = {.backend = s->backend,
                                           .ctx = s->ctx,
                                           .program = s->program,
                                           .in = s->in,
                                           .out = s->out,
                                           .params = s->params.data};
    return strcmp(entry->device, "cpu") == 0 ? mb_guard_new(&config, &s->guard, err) : MB_OK;
}

static enum mb_status prepare(struct server *s, struct mb_err *err) {
    enum mb_status st = MB_OK;
    struct mb_wire *wire = &s->wire;
    struct mb_open_config config = {0};
    struct mb_exec_info info = {0};
    struct mb_phases_ns phases;
    char *plan = malloc(PLAN_TEXT_BYTES);
    if (!plan) return mb_fail(err, MB_E_NOMEM, "no memory for a plan's text");
#define PHASE(name, meaning) phases.name = NAN;
    MB_PHASES(PHASE)
#undef PHASE
    const struct mb_executor_entry *entry = NULL;
    const char *benchmark = mb_wire_get_text(wire, NULL);
    MB_TRY(get_open_config(wire, &entry, &config, err));
    if (mb_wire_get_u64(wire)) MB_TRY(mb_trace_log_attach(MB_FD_TRACE, &s->trace, err));
    s->cold = mb_wire_get_u64(wire);
    s->transfers = mb_wire_get_u64(wire);
    s->nvtx = mb_nvtx_open(benchmark, entry->name, mb_executor_number(entry), s->trace);
    mb_nvtx_begin(s->nvtx, MB_NVTX_COMPILE, 0);
    MB_TRY(compile(s, wire, &phases, err));
    mb_nvtx_end(s->nvtx);
    MB_TRY(mb_shared_params(s->program, MB_FD_PARAMS, false, &s->params, err));
    MB_TRY(mb_shared_outputs(s->program, MB_FD_OUTPUTS, &s->outputs, err));
    mb_nvtx_begin(s->nvtx, MB_NVTX_OPEN, 0);
    int64_t since = mb_clock_ns();
    MB_TRY(mb_executor_backend(entry, &s->backend, err));
    const double library_ns = (double)(mb_clock_ns() - since);
    /* after the plugin, which may bring a libcupti, and before the device is in use */
    if (strcmp(entry->device, "cuda") == 0) record_activity(s);
    MB_TRY(s->backend->probe(&config, err));
    if (s->cold && !s->backend->evict) {
        st = mb_fail(err, MB_E_UNSUPPORTED, "%s cannot evict the caches; use --cache warm",
                     entry->name);
        goto out;
    }
    MB_TRY(s->backend->open(&config, &s->ctx, err));
    phases.open = lap(&since);
    mb_nvtx_begin(s->nvtx, MB_NVTX_PLAN, 0);
    lap(&since);
    MB_TRY(s->backend->plan(s->ctx, s->program, err));
    phases.plan = lap(&since);
    mb_nvtx_begin(s->nvtx, MB_NVTX_LOAD, 0);
    lap(&since);
    MB_TRY(load(s, err));
    phases.pack = lap(&since);
    mb_nvtx_end(s->nvtx);
    MB_TRY(make_buffers(s, err));
    MB_TRY(send_inputs(s, err));
    mb_nvtx_begin(s->nvtx, MB_NVTX_FIRST_RUN, 1);
    lap(&since);
    MB_TRY(run_once(s, err));
    phases.first_inference = lap(&since);
    const double first_output_ns = (double)since;
    mb_nvtx_end(s->nvtx);
    MB_TRY(make_guard(s, entry, err));
    MB_TRY(s->backend->info(s->ctx, &info, err));
    phases.tune = info.tuning_ns;
    phases.plan -= info.tuning_ns;
    plan[0] = '\0';
    s->backend->plan_text(s->ctx, plan, PLAN_TEXT_BYTES);
    mb_wire_clear(wire);
#define PHASE(name, meaning) mb_wire_put_f64(wire, phases.name);
    MB_PHASES(PHASE)
#undef PHASE
    mb_wire_put_u64(wire, (uint64_t)info.precision);
    mb_wire_put_text(wire, info.math_mode, strlen(info.math_mode));
    mb_wire_put_text(wire, info.library, strlen(info.library));
    mb_wire_put_text(wire, info.device_uuid, strlen(info.device_uuid));
    mb_wire_put_f64(wire, info.flops);
    mb_wire_put_text(wire, plan, strlen(plan));
    mb_wire_put_f64(wire, (double)s->entered_ns);
    mb_wire_put_f64(wire, first_output_ns);
    mb_wire_put_f64(wire, library_ns);
    mb_wire_put_f64(wire, info.compile_ns);
    mb_wire_put_f64(wire, 0); /* no work of the harness's own */
out:
    free(plan);
    return st;
}

/* NaN for every floating-point type, and no plausible value for the others. */
static enum mb_status poison_outputs(struct server *s, struct mb_err *err) {
    for (size_t i = 0; i < s->n_out; i++) {
        size_t bytes = 0;
        mb_type_bytes(&s->program->nodes[s->program->outputs[i]].type, &bytes);
        memset(s->outputs.data[i], 0xff, bytes);
        enum mb_status st = s->backend->upload(s->ctx, s->out[i], s->outputs.data[i], bytes, err);
        if (st != MB_OK) return st;
    }
    return MB_OK;
}

/* One timed run, with what is to be done around it. */
static enum mb_status sample(struct server *s, struct mb_guard *guard, bool last,
                             struct mb_block_account *account, double *sample_ns, uint64_t *ticks,
                             struct mb_err *err) {
    enum mb_status st = MB_OK;
    int64_t since = mb_clock_ns();
    if (guard) MB_TRY(mb_guard_before(guard, last, err));
    account->around_ns += lap(&since);
    if (s->cold) MB_TRY(evict(s, err));
    account->evict_ns += lap(&since); /* its code and page are in the caches now, for both timers */
    const uint64_t before = mb_counter();
    const int64_t begin = mb_clock_ns();
    st = run_as_asked(s, err);
    since = mb_clock_ns();
    *ticks += mb_counter() - before;
    *sample_ns = (double)(since - begin);
    if (st == MB_OK && guard) st = mb_guard_after(guard, err);
    account->around_ns += lap(&since);
out:
    return st;
}

/* Profilers are spoken to before and after the block, never between its runs. */
static enum mb_status run_timed(struct server *s, struct mb_guard *guard,
                                enum mb_nvtx_phase purpose, uint64_t n, double *samples,
                                struct mb_block_account *account, double *ticks,
                                struct mb_err *err) {
    enum mb_status st = MB_OK;
    uint64_t sum = 0;
    if (purpose == MB_NVTX_PROFILE) mb_profiler_start();
    mb_nvtx_begin(s->nvtx, purpose, n);
    for (uint64_t i = 0; i < n && st == MB_OK; i++)
        st = sample(s, guard, i + 1 == n, account, &samples[i], &sum, err);
    *ticks = mb_counter_there() ? (double)sum : (double)NAN;
    mb_nvtx_end(s->nvtx);
    if (purpose == MB_NVTX_PROFILE) mb_profiler_stop();
    return st;
}

static enum mb_status run_for_guard(void *server, struct mb_err *err) {
    return run_as_asked(server, err);
}

static void put_account(struct mb_wire *wire, const struct mb_block_account *a) {
    mb_wire_put_f64(wire, a->settle_ns);
    mb_wire_put_f64(wire, a->around_ns);
    mb_wire_put_f64(wire, a->evict_ns);
    mb_wire_put_f64(wire, a->other_ns);
    mb_wire_put_u64(wire, a->n_settle);
    mb_wire_put_u64(wire, a->guarded);
    mb_wire_put_u64(wire, (uint64_t)a->fault);
    mb_wire_put_u64(wire, a->fault_run);
}

static enum mb_status run(struct server *s, struct mb_err *err) {
    enum { RUNS_OF_GUARD = 2 };
    enum mb_status st = MB_OK;
    if (!s->ctx) return mb_fail(err, MB_E_INVALID, "nothing is prepared");
    int64_t since = mb_clock_ns();
    enum mb_nvtx_phase purpose = (enum mb_nvtx_phase)mb_wire_get_u64(&s->wire);
    uint64_t settle_runs = mb_wire_get_u64(&s->wire);
    int64_t settle_ns = (int64_t)mb_wire_get_u64(&s->wire);
    uint64_t n_samples = mb_wire_get_u64(&s->wire);
    const bool new_inputs = mb_wire_get_u64(&s->wire);
    struct mb_guard *guard = purpose == MB_NVTX_PROFILE || !n_samples ? NULL : s->guard;
    struct mb_block_account account = {.guarded = guard != NULL};
    double ticks = (double)NAN;
    uint64_t n_settled = 0;
    double *samples = calloc(n_samples + 1, sizeof *samples);
    if (!samples) return mb_fail(err, MB_E_NOMEM, "no memory for samples");
    if (new_inputs) MB_TRY(send_inputs(s, err));
    if (settle_runs || settle_ns) mb_nvtx_begin(s->nvtx, MB_NVTX_WARM_UP, settle_runs);
    const bool learn = guard && settle_runs >= RUNS_OF_GUARD;
    if (guard) MB_TRY(mb_guard_begin(guard, learn ? run_for_guard : NULL, s, err));
    if (learn) n_settled = RUNS_OF_GUARD;
    account.other_ns += lap(&since);
    for (const int64_t settled = since + settle_ns;
         n_settled < settle_runs || mb_clock_ns() < settled; n_settled++, account.n_settle++)
        MB_TRY(run_as_asked(s, err));
    account.settle_ns = lap(&since);
    mb_nvtx_end(s->nvtx);
    if (n_samples) {
        MB_TRY(poison_outputs(s, err));
        account.other_ns += lap(&since);
        MB_TRY(run_timed(s, guard, purpose, n_samples, samples, &account, &ticks, err));
        lap(&since);
        MB_TRY(fetch_outputs(s, err));
        if (guard) MB_TRY(mb_guard_end(guard, &account.fault, &account.fault_run, err));
    }
    account.other_ns += lap(&since);
    mb_wire_clear(&s->wire);
    mb_wire_put_u64(&s->wire, n_settled);
    mb_wire_put_f64(&s->wire, ticks);
    put_account(&s->wire, &account);
    mb_wire_put(&s->wire, samples, n_samples * sizeof *samples);
out:
    free(samples);
    return st;
}

/* The runs before are plain: what they leave in the caches and clocks is what the first sample
 * finds. */
static enum mb_status device_time(struct server *s, struct mb_err *err) {
    enum { N_SETTLE_RUNS = 2 };
    enum mb_status st = MB_OK;
    if (!s->ctx) return mb_fail(err, MB_E_INVALID, "nothing is prepared");
    const uint64_t n_samples = mb_wire_get_u64(&s->wire);
    const uint32_t n_runs = (uint32_t)mb_wire_get_u64(&s->wire);
    const bool evicted = mb_wire_get_u64(&s->wire);
    if (!s->backend->device_time)
        return mb_fail(err, MB_E_UNSUPPORTED, "it has no clock apart from the host's");
    if (evicted && !s->backend->evict)
        return mb_fail(err, MB_E_UNSUPPORTED, "it cannot evict the caches");
    double *samples = calloc(n_samples + 1, sizeof *samples);
    if (!samples) return mb_fail(err, MB_E_NOMEM, "no memory for samples");
    for (int i = 0; i < N_SETTLE_RUNS; i++) MB_TRY(run_once(s, err));
    mb_nvtx_begin(s->nvtx, MB_NVTX_MEASURE, n_samples * n_runs);
    for (uint64_t i = 0; i < n_samples && st == MB_OK; i++) {
        st = s->backend->device_time(s->ctx, s->in, s->out, n_runs, evicted, &samples[i], err);
        samples[i] /= n_runs;
    }
    mb_nvtx_end(s->nvtx);
    if (st != MB_OK) goto out;
    mb_wire_clear(&s->wire);
    mb_wire_put(&s->wire, samples, n_samples * sizeof *samples);
out:
    free(samples);
    return st;
}

/* ---- the device and the steps ---- */

static enum mb_status ceilings(struct server *s, struct mb_err *err) {
    enum mb_status st = MB_OK;
    struct mb_wire *wire = &s->wire;
    struct mb_open_config config = {0};
    const struct mb_executor_entry *entry;
    struct mb_ceilings found = {0};
    MB_TRY(get_open_config(wire, &entry, &config, err));
    MB_TRY(mb_executor_backend(entry, &s->backend, err));
    if (!s->backend->ceilings)
        return mb_fail(err, MB_E_UNSUPPORTED, "%s measures none", entry->name);
    MB_TRY(s->backend->open(&config, &s->ctx, err));
    MB_TRY(s->backend->ceilings(s->ctx, &found, err));
    mb_wire_clear(wire);
    mb_wire_put_u64(wire, found.n_read);
    for (size_t i = 0; i < MB_CEILING_SIZES; i++) {
        mb_wire_put_u64(wire, found.read[i].bytes);
        mb_wire_put_f64(wire, found.read[i].read_gbps);
    }
    mb_wire_put_f64(wire, found.fma_gflops);
    mb_wire_put_f64(wire, found.launch_ns);
    mb_wire_put_f64(wire, found.graph_node_ns);
out:
    return st;
}

static void put_operations(struct mb_wire *wire, const struct mb_operation *steps,
                           const double *median_ns, size_t n) {
    mb_wire_clear(wire);
    mb_wire_put_u64(wire, n);
    for (size_t i = 0; i < n; i++) {
        mb_wire_put_text(wire, steps[i].kernel, strlen(steps[i].kernel));
        mb_wire_put_text(wire, steps[i].what, strlen(steps[i].what));
        mb_wire_put_f64(wire, median_ns[i]);
        mb_wire_put_f64(wire, steps[i].bytes);
        mb_wire_put_f64(wire, steps[i].flops);
    }
}

/* Before each such run one that is plain, so that it finds the caches as a sample does. */
static enum mb_status operations(struct server *s, struct mb_err *err) {
    enum mb_status st = MB_OK;
    size_t n = 0;
    if (!s->ctx) return mb_fail(err, MB_E_INVALID, "nothing is prepared");
    const uint64_t n_runs = mb_wire_get_u64(&s->wire), room = mb_wire_get_u64(&s->wire);
    if (!s->backend->operations)
        return mb_fail(err, MB_E_UNSUPPORTED, "it has no steps that it can time one by one");
    struct mb_operation *steps = calloc(room + 1, sizeof *steps);
    double *ns = calloc(room * n_runs + 1, sizeof *ns), *median_ns = calloc(room + 1, sizeof *ns);
    if (!steps || !ns || !median_ns) {
        st = mb_fail(err, MB_E_NOMEM, "no memory for the times of steps");
        goto out;
    }
    for (uint64_t run = 0; run < n_runs; run++) {
        MB_TRY(run_once(s, err));
        MB_TRY(s->backend->operations(s->ctx, s->in, s->out, steps, room, &n, err));
        if (n > room) {
            st = mb_fail(err, MB_E_UNSUPPORTED, "a run has %zu steps; %zu is the most", n,
                         (size_t)room);
            goto out;
        }
        for (size_t i = 0; i < n; i++) ns[i * n_runs + run] = steps[i].ns;
    }
    for (size_t i = 0; i < n; i++) median_ns[i] = mb_stats_median(ns + i * n_runs, n_runs);
    put_operations(&s->wire, steps, median_ns, n);
out:
    free(steps);
    free(ns);
    free(median_ns);
    return st;
}

/* Before each answer, so that a crash later on takes nothing of it away. */
static enum mb_status trace_so_far(struct server *s, struct mb_err *err) {
    struct mb_err why;
    note_failure(s, mb_activity_flush(&why), &why);
    return mb_trace_log_check(s->trace, err);
}

static void finish(struct server *s) {
    struct mb_err why;
    note_failure(s, mb_activity_stop(&why), &why);
    mb_nvtx_close(s->nvtx);
    mb_guard_free(s->guard);
    for (size_t i = 0; i < s->n_in; i++) s->backend->buf_free(s->ctx, s->in[i]);
    for (size_t i = 0; i < s->n_out; i++) s->backend->buf_free(s->ctx, s->out[i]);
    if (s->backend) s->backend->close(s->ctx);
    mb_mind_close(s->mind);
    mb_shared_close(&s->params);
    mb_shared_close(&s->outputs);
    mb_trace_log_close(s->trace);
    mb_wire_free(&s->wire);
    free(s->in);
    free(s->out);
    free(s->source);
    free(s->file);
}

static enum mb_status serve(struct server *s, enum mb_message message, struct mb_err *err) {
    switch (message) {
    case MB_MSG_PREPARE: return prepare(s, err);
    case MB_MSG_RUN: return run(s, err);
    case MB_MSG_DEVICE_TIME: return device_time(s, err);
    case MB_MSG_CEILINGS: return ceilings(s, err);
    case MB_MSG_OPERATIONS: return operations(s, err);
    case MB_MSG_QUIT:
    case MB_MSG_REPLY: break;
    }
    return mb_fail(err, MB_E_INVALID, "no such command");
}

int mb_worker_serve(void) {
    struct server s = {.params = {.fd = -1}, .outputs = {.fd = -1}, .entered_ns = mb_clock_ns()};
    struct mb_err err = {0};
    enum mb_message message;
    enum mb_status status;
    if (fcntl(MB_FD_SOCKET, F_GETFD) < 0) return 4; /* somebody typed the command */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (mb_wire_receive(MB_FD_SOCKET, INT64_MAX, -1, &message, &status, &s.wire, &err) ==
               MB_OK &&
           message != MB_MSG_QUIT) {
        enum mb_status st = serve(&s, message, &err);
        if (st == MB_OK && s.trace) st = trace_so_far(&s, &err);
        if (st != MB_OK) {
            mb_wire_clear(&s.wire);
            mb_wire_put_text(&s.wire, err.text, strlen(err.text));
        }
        if (mb_wire_send(MB_FD_SOCKET, MB_MSG_REPLY, st, &s.wire, &err) != MB_OK) break;
    }
    finish(&s);
    return 0;
}
