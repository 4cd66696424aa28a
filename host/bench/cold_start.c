#include "cold_start.h"

#include "clock.h"
#include "package.h"
#include "reason.h"
#include "scratch_folder.h"
#include "worker.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A row that has its least number of starts begins no more once this much time went into it. */
static const double enough_ns = 15e9;

struct starter {
    const struct mb_race_config *config;
    const struct mb_shared *params;
    double *const *reference;
    struct mb_result *result;
    const struct mb_benchmark_result *bench;
    struct mb_cold_starts *out;
    struct line *lines; /* one for each row */
};

/* What a row needs while it is measured. */
struct line {
    struct mb_start_row *row;
    const struct mb_executor_entry *entry;
    struct line *first;    /* of a later start: the line that fills its caches */
    char folder[PATH_MAX]; /* of a first start: its caches, kept until the next; or "" */
    const char *package;   /* of a first start: in its folder; NULL: none */
    double spent_ns;
};

/* ---- one start ---- */

struct moment_of_start {
    double steps_ns[MB_N_START_STEPS], outputs_ns[MB_FIRST_RUNS], peak_bytes, loaded_bytes;
};

static double whole_ns(const struct mb_start_marks *m) {
    return mb_stats_whole_ps(m->first_output_ns - m->spawned_ns - m->harness_ns);
}

static void steps_of(const struct mb_executor_result *e, bool script,
                     double steps[MB_N_START_STEPS]) {
    const struct mb_phases_ns *p = &e->phases;
    const struct mb_start_marks *m = &e->start;
    const double compile = m->compile_ns;
    steps[MB_STEP_process] = m->entered_ns - m->spawned_ns;
    steps[MB_STEP_library] = m->library_ns;
    steps[MB_STEP_open] = p->open - m->library_ns;
    steps[MB_STEP_parse] = p->parse;
    steps[MB_STEP_check] = p->check;
    steps[MB_STEP_lower] = p->lower;
    steps[MB_STEP_plan] = script ? p->plan - compile : p->plan;
    steps[MB_STEP_tune] = p->tune;
    steps[MB_STEP_compile] = compile;
    steps[MB_STEP_pack] = script ? p->pack : p->pack - compile;
    steps[MB_STEP_first_inference] = p->first_inference;
    steps[MB_STEP_other] = whole_ns(m);
    for (int i = 0; i < MB_STEP_other; i++) {
        if (steps[i] == 0) steps[i] = (double)NAN; /* not even a read of the clock went into it */
        if (isfinite(steps[i])) steps[MB_STEP_other] -= steps[i];
    }
}

static struct mb_worker_config worker_config(const struct starter *s, const struct line *line,
                                             const char *cache_folder) {
    const struct mb_race_config *c = s->config;
    struct mb_worker_config config = {.benchmark = c->name,
                                      .executor = line->entry,
                                      .open = c->open,
                                      .source = c->source,
                                      .program = c->program,
                                      .params = s->params,
                                      .cancel_fd = c->cancel_fd,
                                      .cache_folder = cache_folder};
    config.open.plain_start = true;
    return config;
}

static int64_t patience(const struct starter *s, const struct line *line) {
    const size_t n = line->row->n;
    return mb_worker_patience(s->config->deadline_ns, n ? line->spent_ns / (double)n : (double)NAN);
}

static enum mb_status check(const struct starter *s, const struct mb_executor_result *e,
                            void *const *outputs, struct mb_err *err) {
    const bool tf32 = e->info.precision == MB_TF32;
    const double rel_l2 = tf32 ? MB_TOLERANCE_TF32_REL_L2 : s->result->tolerance_rel_l2;
    const double max_rel = tf32 ? MB_TOLERANCE_TF32_MAX_REL : s->result->tolerance_max_rel;
    const struct mb_accuracy a = mb_accuracy_of(s->config->program, outputs, s->reference);
    if (a.finite_agree && a.rel_l2 <= rel_l2 && a.max_rel <= max_rel) return MB_OK;
    return mb_fail(err, MB_E_NUMERIC,
                   "wrong output after a cold start: relative L2 error %.2e, largest error %.2e of "
                   "the largest value",
                   a.rel_l2, a.max_rel);
}

/* A process from its start to its tenth output, and the end of it. */
static enum mb_status run_process(struct starter *s, struct line *line,
                                  const struct mb_worker_config *config,
                                  struct moment_of_start *out, struct mb_err *err) {
    const struct mb_block rest = {.purpose = MB_NVTX_MEASURE, .n_samples = MB_FIRST_RUNS - 1};
    struct mb_executor_result e = {0};
    struct mb_worker *worker = NULL;
    struct mb_arena arena;
    double runs_ns[MB_FIRST_RUNS - 1];
    mb_arena_init(&arena);
    enum mb_status st = mb_worker_start(config, patience(s, line), &arena, &e, &worker, err);
    if (st == MB_OK) st = mb_worker_run(worker, &rest, patience(s, line), runs_ns, err);
    if (st == MB_OK) st = check(s, &e, mb_worker_outputs(worker), err);
    if (st == MB_OK) {
        steps_of(&e, line->entry->kind == MB_SCRIPT, out->steps_ns);
        out->outputs_ns[0] = whole_ns(&e.start);
        for (int i = 1; i < MB_FIRST_RUNS; i++)
            out->outputs_ns[i] = out->outputs_ns[i - 1] + runs_ns[i - 1];
        out->peak_bytes = e.start.peak_bytes;
        out->loaded_bytes = e.start.loaded_bytes;
    }
    mb_worker_stop(worker);
    mb_arena_free(&arena);
    return st;
}

/* What an earlier process spent on compiling a package is part of a first start. */
static void add_build(const struct mb_executor_result *build, struct moment_of_start *out) {
    double steps[MB_N_START_STEPS];
    steps_of(build, true, steps);
    for (int i = 0; i < MB_N_START_STEPS; i++) {
        if (!isfinite(steps[i])) continue;
        out->steps_ns[i] = steps[i] + (isfinite(out->steps_ns[i]) ? out->steps_ns[i] : 0);
    }
    for (int i = 0; i < MB_FIRST_RUNS; i++) out->outputs_ns[i] += whole_ns(&build->start);
    out->peak_bytes = fmax(out->peak_bytes, build->start.peak_bytes);
    out->loaded_bytes = fmax(out->loaded_bytes, build->start.loaded_bytes);
}

static enum mb_status start_first(struct starter *s, struct line *line, struct moment_of_start *out,
                                  struct mb_err *err) {
    enum mb_status st = MB_OK;
    struct mb_executor_result build = {0};
    mb_scratch_folder_remove(line->folder);
    line->folder[0] = '\0';
    MB_TRY(mb_scratch_folder_make(line->folder, err));
    struct mb_worker_config config = worker_config(s, line, line->folder);
    if (line->entry->builder)
        MB_TRY(mb_package_get(&config, patience(s, line), &s->result->arena, &build, &line->package,
                              err));
    config.open.package = line->package;
    MB_TRY(run_process(s, line, &config, out, err));
    if (line->entry->builder) add_build(&build, out);
out:
    return st;
}

static enum mb_status start_later(struct starter *s, struct line *line, struct moment_of_start *out,
                                  struct mb_err *err) {
    struct mb_worker_config config =
        worker_config(s, line, line->first ? line->first->folder : NULL);
    if (line->first) config.open.package = line->first->package;
    return run_process(s, line, &config, out, err);
}

/* ---- rows ---- */

static bool add_row(struct starter *s, const struct mb_executor_entry *entry,
                    enum mb_start_state state, struct line *first) {
    static const char *const states[] = {"", " (first start)", " (later start)"};
    struct mb_start_row *row = &s->out->rows[s->out->n_rows];
    struct line *line = &s->lines[s->out->n_rows++];
    struct mb_arena *arena = &s->result->arena;
    const uint32_t n = s->config->n_cold_starts;
    *line = (struct line){.row = row, .entry = entry, .first = first};
    *row = (struct mb_start_row){.name = mb_reason(arena, "%s%s", entry->name, states[state]),
                                 .executor = entry->name,
                                 .state = state,
                                 .remembers = entry->remembers,
                                 .in_python = entry->kind == MB_SCRIPT,
                                 .steps_ns = mb_arena_calloc(arena, n, sizeof *row->steps_ns),
                                 .outputs_ns = mb_arena_calloc(arena, n, sizeof *row->outputs_ns),
                                 .peak_bytes = mb_arena_calloc(arena, n, sizeof(double)),
                                 .loaded_bytes = mb_arena_calloc(arena, n, sizeof(double))};
    return row->steps_ns && row->outputs_ns && row->peak_bytes && row->loaded_bytes;
}

/* What kept an executor from the race keeps it from starting. */
static void close_failed(const struct starter *s, struct mb_start_row *row) {
    const struct mb_executor_result *e = NULL;
    for (size_t i = 0; i < s->bench->n_executors && !e; i++)
        if (strcmp(s->bench->executors[i].name, row->executor) == 0) e = &s->bench->executors[i];
    if (e && !e->valid) row->reason = e->measured ? e->invalid_reason : e->reason;
}

static bool make_rows(struct starter *s) {
    const struct mb_race_config *c = s->config;
    struct mb_arena *arena = &s->result->arena;
    s->out->rows = mb_arena_calloc(arena, 2 * c->n_executors, sizeof *s->out->rows);
    s->lines = mb_arena_calloc(arena, 2 * c->n_executors, sizeof *s->lines);
    if (!s->out->rows || !s->lines) return false;
    for (size_t i = 0; i < c->n_executors; i++) {
        const struct mb_executor_entry *entry = mb_executor_find(c->executors[i], c->device);
        struct line *first = &s->lines[s->out->n_rows];
        const bool ok = entry->remembers ? add_row(s, entry, MB_START_FIRST, NULL) &&
                                               add_row(s, entry, MB_START_LATER, first)
                                         : add_row(s, entry, MB_START_ALIKE, NULL);
        if (!ok) return false;
    }
    for (size_t i = 0; i < s->out->n_rows; i++) close_failed(s, &s->out->rows[i]);
    return true;
}

static bool is_finished(const struct starter *s, const struct line *line) {
    const struct mb_start_row *row = line->row;
    return row->reason || row->n == s->config->n_cold_starts ||
           (row->n >= MB_LEAST_STARTS && line->spent_ns >= enough_ns);
}

static enum mb_status start_once(struct starter *s, struct line *line, struct mb_err *err) {
    struct mb_start_row *row = line->row;
    struct moment_of_start sample;
    struct mb_err why = {0};
    const int64_t begun = mb_clock_ns();
    if (line->first && line->first->row->reason) {
        row->reason = line->first->row->reason;
        return MB_OK;
    }
    if (s->config->progress)
        s->config->progress(s->config->progress_arg, s->config->name, row->name,
                            (double)row->n / s->config->n_cold_starts);
    enum mb_status st = mb_executor_present(line->entry, &why);
    if (st == MB_OK)
        st = row->state == MB_START_FIRST ? start_first(s, line, &sample, &why)
                                          : start_later(s, line, &sample, &why);
    line->spent_ns += (double)(mb_clock_ns() - begun);
    if (st == MB_OK) {
        memcpy(row->steps_ns[row->n], sample.steps_ns, sizeof sample.steps_ns);
        memcpy(row->outputs_ns[row->n], sample.outputs_ns, sizeof sample.outputs_ns);
        row->peak_bytes[row->n] = sample.peak_bytes;
        row->loaded_bytes[row->n++] = sample.loaded_bytes;
        return MB_OK;
    }
    row->reason = mb_reason(&s->result->arena, "%s", why.text);
    if (st == MB_E_INTERRUPTED || (st == MB_E_TIMEOUT && mb_clock_ns() >= s->config->deadline_ns))
        return mb_fail(err, st, "%s", why.text);
    return MB_OK;
}

/* Rows take turns, forwards and backwards. The first round goes forwards, so that a first start has
 * filled the caches before a later one looks for them. */
static enum mb_status start_all(struct starter *s, struct mb_err *err) {
    const size_t n = s->out->n_rows;
    for (uint32_t round = 0; round < s->config->n_cold_starts; round++)
        for (size_t i = 0; i < n; i++) {
            struct line *line = &s->lines[round % 2 ? n - 1 - i : i];
            if (is_finished(s, line)) continue;
            if (mb_clock_ns() >= s->config->deadline_ns)
                return mb_fail(err, MB_E_TIMEOUT, "no time was left for cold starts");
            enum mb_status st = start_once(s, line, err);
            if (st != MB_OK) return st;
        }
    return MB_OK;
}

enum mb_status mb_cold_starts(const struct mb_race_config *config, const struct mb_shared *params,
                              double *const *reference, struct mb_result *result,
                              const struct mb_benchmark_result *bench, struct mb_cold_starts *out,
                              struct mb_err *err) {
    struct starter s = {.config = config,
                        .params = params,
                        .reference = reference,
                        .result = result,
                        .bench = bench,
                        .out = out};
    *out = (struct mb_cold_starts){.n_asked = config->n_cold_starts};
    if (!make_rows(&s)) return mb_fail(err, MB_E_NOMEM, "no memory for cold starts");
    enum mb_status st = start_all(&s, err);
    for (size_t i = 0; i < out->n_rows; i++) mb_scratch_folder_remove(s.lines[i].folder);
    const enum mb_status end = mb_conclude_starts(bench, out, config->seed, &result->arena, err);
    return end == MB_OK ? st : end;
}
