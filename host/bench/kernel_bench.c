#include "kernel_bench.h"

#include "clock.h"
#include "mind.h"
#include "reference.h"
#include "roofline.h"
#include "runner.h"
#include "sort.h"
#include "stats.h"
#include "tensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST_RUNS = 5, MOST_RUNS = 1 << 16, MOST_DEVICE_RUNS = 1000 };
static const double least_ns = 50e6; /* of the timed runs together */

/* ---- one shape: its program, data and reference ---- */

struct subject {
    struct mb_mind *mind;
    const struct mb_program *program; /* of one output */
    struct mb_shared params, output;
    double *reference;
    size_t input_bytes, output_bytes;
    double flops; /* of the direct algorithm */
};

static void close_subject(struct subject *s) {
    free(s->reference);
    mb_shared_close(&s->params);
    mb_shared_close(&s->output);
    mb_mind_close(s->mind);
}

static enum mb_status open_subject(const struct mb_kernel_shape *shape, uint64_t seed,
                                   struct subject *out, struct mb_err *err) {
    enum mb_status st = MB_OK;
    char text[MB_KERNEL_SOURCE_BYTES];
    size_t count = 0;
    struct subject s = {.params.fd = -1, .output.fd = -1};
    mb_kernel_shape_source(shape, text);
    const struct mb_mind_source source = {.file = shape->label, .text = text, .len = strlen(text)};
    MB_TRY(mb_mind_open(&s.mind, err));
    MB_TRY(mb_mind_compile(s.mind, &source, &s.program, err));
    MB_TRY(mb_shared_params(s.program, -1, true, &s.params, err));
    MB_TRY(mb_shared_outputs(s.program, -1, &s.output, err));
    mb_tensors_fill(s.program, seed, s.params.data);
    const struct mb_type *type = &s.program->nodes[s.program->outputs[0]].type;
    mb_shape_count(&type->shape, &count);
    mb_type_bytes(type, &s.output_bytes);
    mb_type_bytes(&s.program->params[0].type, &s.input_bytes);
    for (uint32_t i = 0; i < s.program->n_nodes; i++)
        if (s.program->nodes[i].op == shape->op) s.flops += mb_node_flops(s.program, i);
    s.reference = calloc(count, sizeof *s.reference);
    if (!s.reference) {
        st = mb_fail(err, MB_E_NOMEM, "%s: no memory for the reference", shape->label);
        goto out;
    }
    MB_TRY(mb_reference_run(s.program, (const void *const *)s.params.data, &s.reference, err));
    *out = s;
    return MB_OK;
out:
    close_subject(&s);
    return st;
}

/* ---- one kernel on it ---- */

struct session {
    const struct mb_backend *backend;
    const struct subject *subject;
    struct mb_ctx *ctx;
    struct mb_buf *in, *out;
    double *samples; /* MOST_RUNS, borrowed */
    struct mb_kernel_time *row;
};

static enum mb_status run_once(struct session *s, struct mb_err *err) {
    enum mb_status st = s->backend->launch(s->ctx, &s->in, &s->out, err);
    return st == MB_OK ? s->backend->sync(s->ctx, err) : st;
}

/* NaN in all of the output: what is not written shows. */
static enum mb_status poison(struct session *s, struct mb_err *err) {
    memset(s->subject->output.data[0], 0xff, s->subject->output_bytes);
    return s->backend->upload(s->ctx, s->out, s->subject->output.data[0], s->subject->output_bytes,
                              err);
}

static enum mb_status check(struct session *s, struct mb_err *err) {
    const struct subject *subject = s->subject;
    enum mb_status st =
        s->backend->download(s->ctx, subject->output.data[0], s->out, subject->output_bytes, err);
    if (st != MB_OK) return st;
    const struct mb_accuracy a =
        mb_accuracy_of(subject->program, subject->output.data, &subject->reference);
    s->row->rel_l2 = fmax(s->row->rel_l2, a.rel_l2); /* fmax passes over NaN */
    s->row->max_rel = fmax(s->row->max_rel, a.max_rel);
    if (!a.finite_agree)
        return mb_fail(err, MB_E_NUMERIC,
                       "NaN or infinity where the reference has none, or elements not written");
    if (a.rel_l2 > MB_TOLERANCE_REL_L2 || a.max_rel > MB_TOLERANCE_MAX_REL)
        return mb_fail(err, MB_E_NUMERIC,
                       "relative L2 error %.2e (allowed %.0e), largest error %.2e of the largest "
                       "value (allowed %.0e)",
                       a.rel_l2, MB_TOLERANCE_REL_L2, a.max_rel, MB_TOLERANCE_MAX_REL);
    return MB_OK;
}

static enum mb_status prepare(struct session *s, const struct mb_open_config *config,
                              struct mb_err *err) {
    enum mb_status st = MB_OK;
    const struct subject *subject = s->subject;
    const struct mb_program *p = subject->program;
    const void *weights[4] = {NULL};
    for (uint32_t i = 0; i < p->n_params; i++)
        if (p->params[i].role == MB_WEIGHT) weights[i] = subject->params.data[i];
    MB_TRY(s->backend->open(config, &s->ctx, err));
    MB_TRY(s->backend->plan(s->ctx, p, err));
    MB_TRY(s->backend->load(s->ctx, weights, err));
    MB_TRY(s->backend->buf_alloc(s->ctx, subject->input_bytes, &s->in, err));
    MB_TRY(s->backend->buf_alloc(s->ctx, subject->output_bytes, &s->out, err));
    MB_TRY(s->backend->upload(s->ctx, s->in, subject->params.data[0], subject->input_bytes, err));
out:
    return st;
}

static enum mb_status time_on_host(struct session *s, struct mb_err *err) {
    enum mb_status st = MB_OK;
    double sum = 0;
    uint32_t n = 0;
    while (n < LEAST_RUNS || (sum < least_ns && n < MOST_RUNS)) {
        const int64_t begin = mb_clock_ns();
        MB_TRY(run_once(s, err));
        s->samples[n] = (double)(mb_clock_ns() - begin);
        sum += s->samples[n++];
    }
    mb_sort_doubles(s->samples, n);
    s->row->n_runs = n;
    s->row->host_ns_min = s->samples[0];
    s->row->host_ns = mb_stats_quantile_sorted(s->samples, n, 0.5);
    s->row->host_ns_p95 = mb_stats_quantile_sorted(s->samples, n, 0.95);
out:
    return st;
}

/* Without it the host's clock counts: a device that is lost shows in the check that comes. */
static void time_on_device(struct session *s) {
    struct mb_err why = {.text = "the device has no clock apart from the host's"};
    const double runs = fmin(fmax(least_ns / s->row->host_ns, LEAST_RUNS), MOST_DEVICE_RUNS);
    const uint32_t n = (uint32_t)runs;
    double ns;
    if (s->backend->device_time &&
        s->backend->device_time(s->ctx, &s->in, &s->out, n, false, &ns, &why) == MB_OK) {
        s->row->device_ns = ns / n;
        return;
    }
    snprintf(s->row->device_reason, sizeof s->row->device_reason, "%s", why.text);
}

static enum mb_status run_and_check(struct session *s, struct mb_err *err) {
    enum mb_status st = MB_OK;
    MB_TRY(poison(s, err));
    MB_TRY(run_once(s, err));
    MB_TRY(check(s, err));
out:
    return st;
}

/* The check behind the timed runs shows whether they still wrote all of the output. */
static enum mb_status measure(struct session *s, struct mb_err *err) {
    enum mb_status st = MB_OK;
    MB_TRY(run_and_check(s, err));
    MB_TRY(run_once(s, err));
    MB_TRY(time_on_host(s, err));
    time_on_device(s);
    MB_TRY(run_and_check(s, err));
out:
    return st;
}

/* False where the kernel does not support the shape: there is no row then. */
static bool time_kernel(const struct mb_kernel_bench_config *config,
                        const struct mb_backend *backend, const struct mb_kernel_bench *bench,
                        const struct subject *subject, const struct mb_kernel_shape *shape,
                        const struct mb_kernel_row *kernel, double *samples,
                        struct mb_kernel_time *row) {
    struct mb_err err = {.text = ""};
    struct mb_open_config open = config->open;
    struct session s = {.backend = backend, .subject = subject, .samples = samples, .row = row};
    *row = (struct mb_kernel_time){.kernel = kernel->name,
                                   .shape = *shape,
                                   .host_ns = NAN,
                                   .host_ns_min = NAN,
                                   .host_ns_p95 = NAN,
                                   .device_ns = NAN,
                                   .bytes = mb_program_bytes(subject->program),
                                   .flops = kernel->products * subject->flops,
                                   .limit = {NAN, NAN, false},
                                   .rel_l2 = NAN,
                                   .max_rel = NAN};
    if (bench->has_ceilings) row->limit = mb_roofline_of(&bench->ceilings, row->bytes, row->flops);
    open.kernel = kernel->name;
    row->status = prepare(&s, &open, &err);
    const bool is_supported = row->status != MB_E_UNSUPPORTED;
    if (row->status == MB_OK) row->status = measure(&s, &err);
    if (row->status != MB_OK) snprintf(row->reason, sizeof row->reason, "%s", err.text);
    row->time_ns = isnan(row->device_ns) ? row->host_ns : row->device_ns;
    row->share = row->limit.ns / row->time_ns;
    if (s.ctx) {
        backend->buf_free(s.ctx, s.in);
        backend->buf_free(s.ctx, s.out);
        backend->close(s.ctx);
    }
    return is_supported;
}

/* ---- all of them ---- */

/* The i-th row that is wanted and can run here; false at the end. */
static bool next_kernel(const struct mb_kernel_bench_config *config,
                        const struct mb_backend *backend, size_t *i, struct mb_kernel_row *row) {
    struct mb_open_config open = config->open;
    struct mb_err why;
    while (backend->kernel_row((*i)++, row)) {
        if (open.kernel && strcmp(open.kernel, row->name) != 0) continue;
        struct mb_open_config named = open;
        named.kernel = row->name;
        if (backend->probe(&named, &why) == MB_OK) return true;
    }
    return false;
}

static void measure_ceilings(const struct mb_backend *backend, struct mb_ctx *ctx,
                             struct mb_kernel_bench *bench) {
    struct mb_err why = {.text = "the backend measures none"};
    bench->has_ceilings =
        backend->ceilings && backend->ceilings(ctx, &bench->ceilings, &why) == MB_OK;
    if (!bench->has_ceilings)
        snprintf(bench->ceilings_reason, sizeof bench->ceilings_reason, "%s", why.text);
}

static void find_peer(const struct mb_kernel_bench_config *config, struct mb_kernel_bench *bench) {
    struct mb_err why = {.text = ""};
    if (config->peer && config->peer->probe(&config->open, &why) != MB_OK)
        snprintf(bench->peer_reason, sizeof bench->peer_reason, "%s: %s", config->peer->name,
                 why.text);
}

enum mb_status mb_kernel_bench_open(const struct mb_kernel_bench_config *config,
                                    struct mb_kernel_bench *out, struct mb_err *err) {
    enum mb_status st = MB_OK;
    struct mb_kernel_bench bench = {0};
    struct mb_kernel_shape shape;
    struct mb_kernel_row row;
    struct mb_ctx *ctx = NULL;
    struct mb_open_config open = config->open;
    size_t n_rows = 0;
    if (!config->backend->kernel_row)
        return mb_fail(err, MB_E_UNSUPPORTED, "%s: this backend has no kernels to name",
                       config->backend->name);
    MB_TRY(config->backend->probe(&open, err)); /* which knows the name of a kernel */
    for (const char *at = NULL; mb_kernel_shape_next(&at, &shape);)
        bench.n_shapes += mb_kernel_shape_matches(&shape, config->shapes);
    if (bench.n_shapes == 0) {
        st = mb_fail(err, MB_E_INVALID,
                     "no shape has %s in its text; see results/shapes/shapes.csv", config->shapes);
        goto out;
    }
    while (config->backend->kernel_row(n_rows, &row)) n_rows++;
    for (size_t i = 0; next_kernel(config, config->backend, &i, &row);) bench.n_kernels++;
    bench.n_not_here = open.kernel ? 0 : n_rows - bench.n_kernels;
    open.kernel = NULL;
    MB_TRY(config->backend->open(&open, &ctx, err));
    MB_TRY(config->backend->info(ctx, &bench.info, err));
    measure_ceilings(config->backend, ctx, &bench);
    find_peer(config, &bench);
    *out = bench;
out:
    config->backend->close(ctx);
    return st;
}

/* The backend's kernels on one shape, whose subject is made for the first of them. */
static enum mb_status run_shape(const struct mb_kernel_bench_config *config,
                                const struct mb_backend *backend, struct mb_kernel_bench *bench,
                                const struct mb_kernel_shape *shape, struct subject *subject,
                                double *samples, struct mb_err *err) {
    enum mb_status st = MB_OK;
    struct mb_kernel_row kernel;
    for (size_t i = 0; next_kernel(config, backend, &i, &kernel);) {
        struct mb_kernel_time *row = &bench->rows[bench->n_rows];
        if (kernel.op != shape->op) continue;
        if (!subject->program) MB_TRY(open_subject(shape, config->seed, subject, err));
        if (!time_kernel(config, backend, bench, subject, shape, &kernel, samples, row)) {
            bench->n_unsupported++;
            continue;
        }
        bench->n_rows++;
        if (config->on_row) config->on_row(config->on_row_arg, row);
    }
out:
    return st;
}

enum mb_status mb_kernel_bench_run(const struct mb_kernel_bench_config *config,
                                   struct mb_kernel_bench *bench, struct mb_err *err) {
    enum mb_status st = MB_OK;
    struct mb_kernel_shape shape;
    const struct mb_backend *const backends[] = {config->backend, config->peer};
    const size_t n_backends = config->peer && !bench->peer_reason[0] ? 2 : 1;
    double *samples = malloc(MOST_RUNS * sizeof *samples);
    bench->rows = calloc(bench->n_shapes * (bench->n_kernels + 1), sizeof *bench->rows);
    if (!samples || !bench->rows) {
        st = mb_fail(err, MB_E_NOMEM, "no memory for %zu shapes", bench->n_shapes);
        goto out;
    }
    for (const char *at = NULL; st == MB_OK && mb_kernel_shape_next(&at, &shape);) {
        struct subject subject = {0};
        if (!mb_kernel_shape_matches(&shape, config->shapes)) continue;
        for (size_t b = 0; b < n_backends && st == MB_OK; b++)
            st = run_shape(config, backends[b], bench, &shape, &subject, samples, err);
        if (subject.program) close_subject(&subject);
    }
out:
    free(samples);
    return st;
}

void mb_kernel_bench_close(struct mb_kernel_bench *bench) {
    free(bench->rows);
    *bench = (struct mb_kernel_bench){0};
}
