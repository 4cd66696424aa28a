#include "result_compare.h"

#include "place.h"
#include "reason.h"
#include "report.h"
#include "report_view.h"
#include "unpaired.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

enum { MAX_WARNINGS = 32 };

struct comparing {
    const struct mb_result_file *base, *next;
    const struct mb_compare_options *options;
    struct mb_compared *out;
    size_t capacity;
    bool has_ours; /* some executor is one of MIND's */
};

static bool same_text(const char *a, const char *b) {
    return a == b || (a && b && strcmp(a, b) == 0);
}

__attribute__((format(printf, 2, 3))) static void warn(struct comparing *c, const char *format,
                                                       ...) {
    char text[600];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    mb_printable(text);
    for (size_t i = 0; i < c->out->n_warnings; i++)
        if (strcmp(c->out->warnings[i], text) == 0) return;
    if (c->out->n_warnings < MAX_WARNINGS)
        c->out->warnings[c->out->n_warnings++] = mb_reason(&c->out->arena, "%s", text);
}

/* ---- the whole files ---- */

static void warn_of_text(struct comparing *c, const char *what, const char *base,
                         const char *next) {
    if (strcmp(base, next) != 0)
        warn(c, "the machines differ: %s %.120s, then %.120s; compare on one machine", what,
             *base ? base : "unknown", *next ? next : "unknown");
}

static void warn_of_number(struct comparing *c, const char *what, int64_t base, int64_t next) {
    if (base != next)
        warn(c, "the machines differ: %s %lld, then %lld; compare on one machine", what,
             (long long)base, (long long)next);
}

static void warn_of_machines(struct comparing *c) {
    const struct mb_machine *a = &c->base->machine, *b = &c->next->machine;
    warn_of_text(c, "cpu", a->cpu, b->cpu);
    warn_of_text(c, "vector", a->isa, b->isa);
    warn_of_text(c, "kernel", a->kernel, b->kernel);
    warn_of_text(c, "governor", a->governor, b->governor);
    warn_of_text(c, "gpu", a->gpu, b->gpu);
    warn_of_text(c, "nvidia driver", a->nvidia_driver, b->nvidia_driver);
    warn_of_number(c, "usable cores", a->n_cores, b->n_cores);
    warn_of_number(c, "usable threads", a->n_threads, b->n_threads);
    warn_of_number(c, "bytes of memory", a->memory_bytes, b->memory_bytes);
}

/* ---- one row ---- */

static bool is_ours(const char *executor) {
    return strcmp(executor, MB_REPORT_MIND) == 0 || strncmp(executor, "mind-", 5) == 0;
}

static bool gates(const struct comparing *c, const char *executor) {
    const struct mb_compare_options *o = c->options;
    if (!o->gates) return !c->has_ours || is_ours(executor);
    for (size_t i = 0; i < o->n_gates; i++)
        if (strcmp(o->gates[i], executor) == 0) return true;
    return false;
}

static bool same_bindings(const struct mb_origin *a, const struct mb_origin *b) {
    if (a->n_bindings != b->n_bindings) return false;
    for (size_t i = 0; i < a->n_bindings; i++) {
        size_t k = 0;
        while (k < b->n_bindings && strcmp(a->bindings[i].name, b->bindings[k].name) != 0) k++;
        if (k == b->n_bindings || a->bindings[i].extent != b->bindings[k].extent) return false;
    }
    return true;
}

/* Why the two benchmarks are not the same work; NULL when they are. */
static const char *other_work(const struct mb_benchmark_result *a,
                              const struct mb_benchmark_result *b) {
    const struct mb_origin *x = &a->origin, *y = &b->origin;
    if (a->cold != b->cold) return "state of caches differs";
    if (a->transfers != b->transfers) return "data transfers differ";
    if (!same_text(a->params_text, b->params_text)) return "parameters differ";
    if (!x->source_sha256 || !y->source_sha256) return NULL; /* a file of an early version */
    if (strcmp(x->source_sha256, y->source_sha256) != 0) return "program differs";
    if (!same_text(x->entry, y->entry) || !same_bindings(x, y)) return "entry or bindings differ";
    return NULL;
}

static const char *no_ratio(struct comparing *c, const struct mb_benchmark_result *a,
                            const struct mb_benchmark_result *b, const struct mb_executor_result *x,
                            const struct mb_executor_result *y) {
    struct mb_arena *arena = &c->out->arena;
    const char *other = a && b ? other_work(a, b) : NULL;
    if (!x) return "not in the base";
    if (!y) return "not in the new result";
    if (other) return other;
    if (strcmp(x->device, y->device) != 0) return "device differs";
    if (c->base->result.n_threads != c->next->result.n_threads)
        return mb_reason(arena, "threads differ: %d, then %d", c->base->result.n_threads,
                         c->next->result.n_threads);
    if (!x->measured || !y->measured)
        return x->measured ? "not measured in the new result" : "not measured in the base";
    if (!x->valid || !y->valid) return x->valid ? "the new one is INVALID" : "the base is INVALID";
    if (x->info.precision != y->info.precision) return "precision differs";
    if (x->n_blocks < 2 || y->n_blocks < 2) return "fewer than two blocks on a side";
    return NULL;
}

/* What changed around an executor without changing its work. */
static void warn_of_row(struct comparing *c, const struct mb_benchmark_result *a,
                        const struct mb_benchmark_result *b, const struct mb_executor_result *x,
                        const struct mb_executor_result *y) {
    if (strcmp(x->info.math_mode, y->info.math_mode) != 0)
        warn(c, "%s computes otherwise: %s, then %s", x->name, x->info.math_mode,
             y->info.math_mode);
    if (a->origin.source_sha256 && b->origin.source_sha256 &&
        (!same_text(a->origin.weights_sha256, b->origin.weights_sha256) ||
         !same_text(a->origin.inputs_sha256, b->origin.inputs_sha256)))
        warn(c, "%s: its weights or inputs differ; compare runs of one --seed", a->name);
    if (x->throttled || y->throttled)
        warn(c, "%s: %s was measured on a throttled device", a->name, x->name);
}

static enum mb_status add_row(struct comparing *c, const struct mb_benchmark_result *a,
                              const struct mb_benchmark_result *b,
                              const struct mb_executor_result *x,
                              const struct mb_executor_result *y, struct mb_err *err) {
    struct mb_compared *out = c->out;
    if (out->n_rows == c->capacity) {
        const size_t capacity = c->capacity * 2 + 16;
        struct mb_compared_row *grown = mb_arena_calloc(&out->arena, capacity, sizeof *grown);
        if (!grown) return mb_fail(err, MB_E_NOMEM, "no memory to compare");
        if (out->n_rows) memcpy(grown, out->rows, out->n_rows * sizeof *grown);
        out->rows = grown;
        c->capacity = capacity;
    }
    struct mb_compared_row *row = &out->rows[out->n_rows++];
    const double none = (double)NAN;
    *row = (struct mb_compared_row){.benchmark = (a ? a : b)->name,
                                    .executor = (x ? x : y)->name,
                                    .gates = x && gates(c, x->name),
                                    .invalid = y && y->measured && !y->valid,
                                    .reason = no_ratio(c, a, b, x, y),
                                    .base_ns = x && x->measured ? x->latency_ns.p50 : none,
                                    .next_ns = y && y->measured ? y->latency_ns.p50 : none,
                                    .speedup = {none, none, none}};
    if (!row->reason) {
        const struct mb_unpaired u = mb_unpaired_speedup(x, y, c->base->result.seed);
        if (isnan(u.speedup.value)) return mb_fail(err, MB_E_NOMEM, "no memory to compare");
        row->speedup = u.speedup;
        row->one_process = u.one_process;
        row->verdict = mb_stats_verdict(&u.speedup, out->least_effect);
        warn_of_row(c, a, b, x, y);
    }
    if (!row->gates) return MB_OK;
    out->n_counted++;
    out->n_common += y != NULL;
    out->n_invalid += row->invalid;
    out->n_regressions += !row->reason && row->verdict == MB_SLOW;
    out->n_inconclusive += row->reason || row->verdict == MB_AMBIGUOUS;
    return MB_OK;
}

/* ---- all rows ---- */

static const struct mb_benchmark_result *find_benchmark(const struct mb_result *r,
                                                        const char *name) {
    for (size_t i = 0; i < r->n_benchmarks; i++)
        if (strcmp(r->benchmarks[i].name, name) == 0) return &r->benchmarks[i];
    return NULL;
}

static bool has_ours(const struct mb_result *r) {
    for (size_t i = 0; i < r->n_benchmarks; i++)
        for (size_t k = 0; k < r->benchmarks[i].n_executors; k++)
            if (is_ours(r->benchmarks[i].executors[k].name)) return true;
    return false;
}

/* The rows of one side's benchmarks: of the base all, of the new result those that the base has
 * not. */
static enum mb_status add_rows(struct comparing *c, bool of_base, struct mb_err *err) {
    const struct mb_result *r = of_base ? &c->base->result : &c->next->result;
    const struct mb_result *other = of_base ? &c->next->result : &c->base->result;
    enum mb_status st = MB_OK;
    for (size_t i = 0; i < r->n_benchmarks; i++) {
        const struct mb_benchmark_result *here = &r->benchmarks[i];
        const struct mb_benchmark_result *there = find_benchmark(other, here->name);
        for (size_t k = 0; k < here->n_executors && st == MB_OK; k++) {
            const struct mb_executor_result *e = &here->executors[k];
            const struct mb_executor_result *f = there ? mb_view_executor(there, e->name) : NULL;
            if (of_base)
                st = add_row(c, here, there, e, f, err);
            else if (!f)
                st = add_row(c, there, here, NULL, e, err);
        }
    }
    return st;
}

/* A peer whose library is the same moved too: then it may be the machine. */
static void warn_of_peers(struct comparing *c) {
    for (size_t i = 0; i < c->out->n_rows && c->out->n_regressions; i++) {
        const struct mb_compared_row *row = &c->out->rows[i];
        if (!row->gates && !row->reason && row->verdict == MB_SLOW)
            warn(
                c,
                "%s: %s is slower as well, %.2fx: the machine may have changed; measure both sides "
                "again, taking turns",
                row->benchmark, row->executor, row->speedup.value);
    }
    for (size_t i = 0; i < c->out->n_rows; i++)
        if (c->out->rows[i].one_process) {
            warn(c, "a side ran in one process: what changes from start to start is not in the "
                    "intervals; run with --restarts 5 or more");
            return;
        }
}

enum mb_status mb_compare_results(const struct mb_result_file *base,
                                  const struct mb_result_file *next,
                                  const struct mb_compare_options *options, struct mb_compared *out,
                                  struct mb_err *err) {
    struct comparing c = {base, next, options, out, 0, false};
    const double a = base->result.statistics.least_effect, b = next->result.statistics.least_effect;
    *out = (struct mb_compared){.least_effect = options->least_effect};
    if (!(out->least_effect > 0)) out->least_effect = fmax(a, b);
    if (!(out->least_effect > 0)) out->least_effect = MB_LEAST_EFFECT;
    c.has_ours = has_ours(&base->result) || has_ours(&next->result);
    out->warnings = mb_arena_calloc(&out->arena, MAX_WARNINGS, sizeof *out->warnings);
    enum mb_status st = out->warnings ? MB_OK : mb_fail(err, MB_E_NOMEM, "no memory to compare");
    if (st == MB_OK && (base->altered || next->altered))
        warn(&c, "the %s was changed after it was written; mindbench verify tells more",
             base->altered ? "base" : "new result");
    if (st == MB_OK) warn_of_machines(&c);
    if (st == MB_OK) st = add_rows(&c, true, err);
    if (st == MB_OK) st = add_rows(&c, false, err);
    if (st == MB_OK)
        warn_of_peers(&c);
    else
        mb_compared_free(out);
    return st;
}

void mb_compared_free(struct mb_compared *compared) {
    mb_arena_free(&compared->arena);
    *compared = (struct mb_compared){0};
}
