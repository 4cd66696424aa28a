/* Starts of processes: prepared, checked, warmed up until they are steady. */
#include "clock.h"
#include "package.h"
#include "race.h"
#include "reason.h"
#include "steady.h"

#include <math.h>
#include <string.h>

enum {
    MOST_WARM_UPS = 8,   /* times --warmup, while there is no steady state, ... */
    LEAST_TO_JUDGE = 10, /* ... which fewer runs cannot tell ... */
};
static const int64_t warm_up_ns = 1000000000; /* ... and no longer than this */

static struct mb_process *new_process(struct race *r, struct racer *racer) {
    struct mb_executor_result *e = racer->result;
    if (e->n_processes == racer->capacity_processes) {
        const size_t capacity = e->n_processes * 2 + 8;
        struct mb_process *grown = mb_arena_calloc(&r->result->arena, capacity, sizeof *grown);
        if (!grown) return NULL;
        if (e->n_processes) memcpy(grown, e->processes, e->n_processes * sizeof *grown);
        e->processes = grown;
        racer->capacity_processes = capacity;
    }
    struct mb_process *p = &e->processes[e->n_processes++];
    *p = (struct mb_process){0};
    return p;
}

static enum mb_status warm_up(struct race *r, struct racer *racer, struct mb_process *p,
                              struct mb_err *err) {
    const uint32_t n = r->config->n_warmup;
    const struct mb_block block = {.purpose = MB_NVTX_WARM_UP, .n_samples = n};
    const int64_t limit_ns = mb_clock_ns() + warm_up_ns;
    enum mb_status st = MB_OK;
    if (!n) return MB_OK;
    p->warmup_ns =
        mb_arena_calloc(&r->result->arena, (size_t)n * MOST_WARM_UPS, sizeof *p->warmup_ns);
    if (!p->warmup_ns) return mb_fail(err, MB_E_NOMEM, "no memory for samples");
    for (int k = 0; k < MOST_WARM_UPS && st == MB_OK; k++) {
        st = mb_worker_run(racer->worker, &block, mb_race_patience(r, racer, n),
                           p->warmup_ns + p->n_warmup, err);
        if (st != MB_OK) break;
        for (const size_t end = p->n_warmup + n; p->n_warmup < end; p->n_warmup++)
            p->warmup_ns[p->n_warmup] = mb_stats_whole_ps(p->warmup_ns[p->n_warmup]);
        p->steady_from = mb_steady_from(p->warmup_ns, p->n_warmup);
        if (p->steady_from < p->n_warmup || n < LEAST_TO_JUDGE || mb_clock_ns() > limit_ns) break;
    }
    return st;
}

/* A process after the first must compute as that one does. */
static enum mb_status check_alike(const struct mb_executor_result *first,
                                  const struct mb_executor_result *other, struct mb_err *err) {
    if (first->info.precision == other->info.precision &&
        strcmp(first->info.math_mode, other->info.math_mode) == 0)
        return MB_OK;
    return mb_fail(err, MB_E_NUMERIC, "one of its processes computes in %s, another in %s",
                   first->info.math_mode, other->info.math_mode);
}

static enum mb_status start(struct race *r, struct racer *racer, size_t lane, struct mb_err *err) {
    const struct mb_race_config *c = r->config;
    struct mb_worker_config config = {.benchmark = c->name,
                                      .executor = racer->entry,
                                      .open = c->open,
                                      .cold = c->cold,
                                      .transfers = c->transfers,
                                      .source = c->source,
                                      .program = c->program,
                                      .params = &r->params,
                                      .trace = c->trace,
                                      .cancel_fd = c->cancel_fd};
    const struct mb_block check = {.purpose = MB_NVTX_CHECK, .n_samples = 1};
    const struct mb_block settle = {.settle_runs = c->n_warmup};
    const bool first = r->n_starts == 1 && lane == 0;
    struct mb_executor_result other = {0};
    double ignored;
    int64_t begun_ns;
    enum mb_status st = MB_OK;
    MB_TRY(mb_executor_present(racer->entry, err));
    if (racer->entry->builder && !racer->package) {
        struct mb_executor_result build = {0};
        MB_TRY(mb_package_get(&config, mb_worker_patience(c->deadline_ns, NAN), &r->result->arena,
                              &build, &racer->package, err));
    }
    config.open.package = racer->package;
    begun_ns = mb_clock_ns();
    MB_TRY(mb_worker_start(&config, mb_worker_patience(c->deadline_ns, racer->start_ns),
                           &r->result->arena, first ? racer->result : &other, &racer->workers[lane],
                           err));
    racer->start_ns = fmax(racer->start_ns, (double)(mb_clock_ns() - begun_ns));
    racer->worker = racer->workers[lane];
    racer->input_set[lane] = r->input_set;
    if (!first) MB_TRY(check_alike(racer->result, &other, err));
    MB_TRY(mb_worker_run(racer->worker, &check, mb_race_patience(r, racer, 1), &ignored, err));
    if (!mb_race_check_outputs(r, racer, "before timing")) return MB_OK;
    if (c->profile) {
        MB_TRY(mb_worker_run(racer->worker, &settle, mb_race_patience(r, racer, c->n_warmup),
                             &ignored, err));
    } else {
        struct mb_process *process = new_process(r, racer);
        if (!process) return mb_fail(err, MB_E_NOMEM, "no memory for a process");
        MB_TRY(warm_up(r, racer, process, err));
        if (first) MB_TRY(mb_race_size_batch(r, racer, err));
    }
    mb_worker_wait_parked(racer->worker);
out:
    return st;
}

enum mb_status mb_race_start_all(struct race *r, struct mb_err *err) {
    r->n_starts++;
    for (size_t i = 0; i < r->config->n_executors; i++) {
        struct racer *racer = &r->racers[i];
        mb_race_progress(r, racer->entry->name, 0);
        for (size_t lane = 0; lane < r->n_lanes && !racer->out; lane++) {
            struct mb_err why = {0};
            enum mb_status st = start(r, racer, lane, &why);
            if (st == MB_OK) continue;
            if (mb_race_ends(r, st)) return mb_fail(err, st, "%s", why.text);
            mb_race_drop(r, racer, st, why.text);
        }
    }
    return MB_OK;
}

void mb_race_stop_all(struct race *r) {
    for (size_t i = 0; r->racers && i < r->config->n_executors; i++)
        for (size_t lane = 0; lane < MB_RACE_LANES; lane++) {
            mb_worker_stop(r->racers[i].workers[lane]);
            r->racers[i].workers[lane] = r->racers[i].worker = NULL;
        }
}
