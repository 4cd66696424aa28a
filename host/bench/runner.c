/* The order of a race: starts, rounds, and when it ends. */
#include "runner.h"

#include "clock.h"
#include "cold_start.h"
#include "conclude.h"
#include "counter.h"
#include "device_limits.h"
#include "origin.h"
#include "race.h"
#include "random.h"
#include "reason.h"
#include "schedule.h"

#include <math.h>
#include <string.h>

void mb_race_progress(const struct race *r, const char *what, double share) {
    if (r->config->progress)
        r->config->progress(r->config->progress_arg, r->config->name, what, share);
}

size_t mb_race_n_running(const struct race *r) {
    size_t n = 0;
    for (size_t i = 0; i < r->config->n_executors; i++) n += !r->racers[i].out;
    return n;
}

/* ---- rounds ---- */

/* Where a race stands in its plan. */
struct progress {
    struct mb_schedule plan;
    bool open_ended; /* time or precision ends it, not the count of samples */
    int64_t started_ns;
    uint32_t round, round_in_start;
    size_t *order; /* of executors and lanes in a round */
};

static void shuffle(struct race *r, size_t *order, size_t n) {
    for (size_t i = n; i > 1; i--) {
        size_t j = mb_random_below(r->config->seed, mb_random_stream("block order"), r->draws++,
                                   (uint32_t)i);
        size_t swapped = order[i - 1];
        order[i - 1] = order[j];
        order[j] = swapped;
    }
}

static void reverse(size_t *order, size_t n) {
    for (size_t i = 0; i < n / 2; i++) {
        size_t swapped = order[i];
        order[i] = order[n - 1 - i];
        order[n - 1 - i] = swapped;
    }
}

static bool precise_enough(struct race *r) {
    if (r->config->n_executors < 2) {
        const struct mb_summary s = mb_latency_summary(r->racers[0].result, r->config->seed);
        return (s.ci_high - s.ci_low) / 2 <= r->config->max_noise * s.p50;
    }
    const struct mb_comparison c =
        mb_compare_executors(r->racers[0].result, r->racers[1].result, r->config->seed,
                             &r->result->statistics, &r->result->arena);
    return !c.withheld &&
           (c.speedup.high - c.speedup.low) / 2 <= r->config->max_noise * c.speedup.value;
}

static double elapsed_s(const struct progress *p) {
    return (double)(mb_clock_ns() - p->started_ns) / 1e9;
}

/* Whether the processes have done their part. */
static bool start_is_over(const struct race *r, const struct progress *p) {
    const struct mb_race_config *c = r->config;
    if (!p->open_ended) return p->round >= mb_schedule_first_round(&p->plan, r->n_starts);
    if (c->duration_s > 0) return elapsed_s(p) >= c->duration_s * r->n_starts / p->plan.n_starts;
    return p->round_in_start >= MB_SCHEDULE_ROUNDS;
}

/* What ends the race between two starts; NULL: nothing. Whether an interval is narrow enough is
 * asked for no sooner than after MB_SCHEDULE_STARTS starts and only then, so that it is not looked
 * at until it happens to please; it is asked of its width alone, which says nothing of which side
 * is faster (fixed-width sequential intervals: Chow and Robbins, 1965). */
static const char *race_is_over(struct race *r, const struct progress *p) {
    const struct mb_race_config *c = r->config;
    if (mb_race_n_running(r) == 0) return "failure";
    if (!p->open_ended) return r->n_starts >= p->plan.n_starts ? "samples" : NULL;
    if (c->max_noise > 0 && r->n_starts >= MB_SCHEDULE_STARTS && precise_enough(r))
        return "max-noise";
    return c->duration_s > 0 && r->n_starts >= p->plan.n_starts ? "duration" : NULL;
}

static enum mb_status run_round(struct race *r, struct progress *p, struct mb_err *err) {
    const size_t n = r->config->n_executors * r->n_lanes;
    if (p->round % 2)
        reverse(p->order, n);
    else
        shuffle(r, p->order, n);
    mb_race_use_inputs(r, p->round % r->n_input_sets);
    for (size_t i = 0; i < n; i++) {
        struct racer *racer = &r->racers[p->order[i] / r->n_lanes];
        const uint32_t lane = (uint32_t)(p->order[i] % r->n_lanes);
        const uint32_t samples = mb_schedule_samples(&p->plan, p->open_ended ? 0 : p->round, lane);
        struct mb_err why = {0};
        if (racer->out || !samples) continue;
        enum mb_status st = mb_race_block(r, racer, lane, samples, &why);
        if (st == MB_OK) continue;
        if (mb_race_ends(r, st)) return mb_fail(err, st, "%s", why.text);
        mb_race_drop(r, racer, st, why.text);
    }
    p->round++;
    p->round_in_start++;
    const double share = r->config->duration_s > 0 ? elapsed_s(p) / r->config->duration_s
                                                   : (double)p->round / p->plan.n_rounds;
    mb_race_progress(r, "timing", fmin(share, 1));
    return MB_OK;
}

static enum mb_status run_starts(struct race *r, struct progress *p, struct mb_err *err) {
    enum mb_status st = MB_OK;
    for (;;) {
        p->round_in_start = 0;
        do {
            MB_TRY(run_round(r, p, err));
        } while (!start_is_over(r, p) && mb_race_n_running(r) > 0);
        r->bench->ended_by = race_is_over(r, p);
        if (r->bench->ended_by) break;
        mb_race_stop_all(r);
        MB_TRY(mb_race_start_all(r, err));
    }
out:
    return st;
}

static enum mb_status time_all(struct race *r, struct mb_err *err) {
    const struct mb_race_config *c = r->config;
    const int64_t begin_ns = mb_clock_ns();
    const uint32_t n_starts = c->n_restarts ? c->n_restarts : MB_SCHEDULE_STARTS;
    struct progress p = {.plan = mb_schedule_of(c->n_samples, n_starts),
                         .open_ended = c->duration_s > 0 || c->max_noise > 0};
    enum mb_status st = MB_OK;
    p.order = mb_arena_calloc(&r->result->arena, c->n_executors * MB_RACE_LANES, sizeof *p.order);
    if (!p.order) return mb_fail(err, MB_E_NOMEM, "no memory for the order of blocks");
    r->n_lanes = p.plan.n_lanes;
    for (size_t i = 0; i < c->n_executors * r->n_lanes; i++) p.order[i] = i;
    MB_TRY(mb_race_start_all(r, err));
    p.started_ns = mb_clock_ns();
    if (p.open_ended)
        p.plan.n_starts =
            c->n_restarts
                ? c->n_restarts
                : mb_schedule_starts_in(c->duration_s, (double)(p.started_ns - begin_ns) / 1e9);
    r->bench->gpu_reason = NULL;
    mb_race_open_nvml(r);
    mb_race_count_other_processes(r);
    MB_TRY(run_starts(r, &p, err));
    mb_race_count_other_processes(r);
    MB_TRY(mb_race_energy(r, err));
    if (c->profile_ops) MB_TRY(mb_race_operations(r, err));
out:
    return st;
}

/* One more run of each process, outside any round, with its outputs compared. */
static enum mb_status run_each_once(struct race *r, enum mb_nvtx_phase purpose, const char *when,
                                    struct mb_err *err) {
    for (size_t i = 0; i < r->config->n_executors * r->n_lanes; i++) {
        struct racer *racer = &r->racers[i / r->n_lanes];
        const size_t lane = i % r->n_lanes;
        const struct mb_block once = {.purpose = purpose,
                                      .n_samples = 1,
                                      .new_inputs = racer->input_set[lane] != r->input_set};
        struct mb_err why = {0};
        double ignored;
        if (racer->out) continue;
        racer->worker = racer->workers[lane];
        racer->input_set[lane] = r->input_set;
        enum mb_status st =
            mb_worker_run(racer->worker, &once, mb_race_patience(r, racer, 1), &ignored, &why);
        if (st == MB_OK)
            mb_race_check_outputs(r, racer, when);
        else if (mb_race_ends(r, st))
            return mb_fail(err, st, "%s", why.text);
        else
            mb_race_drop(r, racer, st, why.text);
    }
    return MB_OK;
}

static enum mb_status profile_all(struct race *r, struct mb_err *err) {
    r->n_lanes = 1;
    enum mb_status st = mb_race_start_all(r, err);
    return st == MB_OK ? run_each_once(r, MB_NVTX_PROFILE, "when profiled", err) : st;
}

/* ---- the benchmark ---- */

static void describe(struct race *r) {
    struct mb_benchmark_result *bench = r->bench;
    bench->name = mb_reason(&r->result->arena, "%s", r->config->name);
    bench->file = r->config->file ? mb_reason(&r->result->arena, "%s", r->config->file) : NULL;
    mb_describe_program(r->config->program, &r->result->arena, bench);
    bench->least = mb_program_least(r->config->program);
    bench->cold = r->config->cold;
    bench->transfers = r->config->transfers;
    bench->gpu_reason = "no executor was started";
    bench->n_other_processes = -1;
    bench->floor_ns = (double)NAN;
    bench->floor_reason = "no ceiling was measured";
}

static enum mb_status set_up(struct race *r, struct mb_err *err) {
    const struct mb_race_config *c = r->config;
    describe(r);
    r->racers = mb_arena_calloc(&r->result->arena, c->n_executors, sizeof *r->racers);
    r->bench->executors =
        mb_arena_calloc(&r->result->arena, c->n_executors, sizeof *r->bench->executors);
    if (!r->racers || !r->bench->executors || !r->bench->params_text)
        return mb_fail(err, MB_E_NOMEM, "no memory for the executors");
    r->bench->n_executors = c->n_executors;
    for (size_t i = 0; i < c->n_executors; i++) {
        struct mb_executor_result *e = &r->bench->executors[i];
        r->racers[i].entry = mb_executor_find(c->executors[i], c->device);
        r->racers[i].result = e;
        r->racers[i].start_ns = (double)NAN;
        e->name = r->racers[i].entry->name;
        e->device = c->device;
        e->valid = true;
        e->rel_l2_error = e->max_abs_error = e->max_rel_error = (double)NAN;
        e->energy_per_run_mj = e->drift = e->timer_disagreement = (double)NAN;
        e->roofline_share = e->roofline.ns = e->roofline.read_gbps = (double)NAN;
        e->timer_reason = "the race ended before";
        e->control.reason = "the race ended before";
        for (int k = 0; k < MB_N_DEVICE_SERIES; k++) e->device_time[k].n_runs = 1;
#define PHASE(name, meaning) e->phases.name = NAN;
        MB_PHASES(PHASE)
#undef PHASE
    }
    return mb_race_make_inputs(r, err);
}

/* After an early end: rows without a sample say why, the others are marked. */
static void mark_cut_short(struct race *r, enum mb_status st) {
    const char *reason = st == MB_E_TIMEOUT ? "cut short by --timeout" : "interrupted";
    for (size_t i = 0; i < r->config->n_executors; i++)
        if (r->racers[i].result->valid) mb_race_drop(r, &r->racers[i], st, reason);
}

static void leave_out_of_race(struct race *r) {
    for (size_t i = 0; i < r->config->n_executors; i++)
        r->bench->executors[i].reason = "--compile-only times no run";
}

/* With all workers gone. Without memory for the starts there are none; a cut keeps those made. */
static enum mb_status start_cold(struct race *r, struct mb_err *err) {
    struct mb_cold_starts *starts = mb_arena_calloc(&r->result->arena, 1, sizeof *starts);
    if (!starts) return mb_fail(err, MB_E_NOMEM, "no memory for cold starts");
    enum mb_status st =
        mb_cold_starts(r->config, &r->params, r->reference[0], r->result, r->bench, starts, err);
    if (st != MB_E_NOMEM) r->bench->cold_starts = starts;
    return st;
}

enum mb_status mb_race(const struct mb_race_config *config, struct mb_result *result,
                       struct mb_benchmark_result *out, struct mb_err *err) {
    struct race r = {.config = config,
                     .result = result,
                     .bench = out,
                     .params = {.fd = -1},
                     .clock_begin_ns = mb_clock_ns(),
                     .counter_begin = mb_counter()};
    *out = (struct mb_benchmark_result){0};
    enum mb_status st = set_up(&r, err), cut = MB_OK;
    if (st == MB_OK && config->compile_only) {
        leave_out_of_race(&r);
    } else if (st == MB_OK) {
        if (config->ceilings && !config->profile) cut = mb_limits_measure(config, result, err);
        if (cut == MB_OK) cut = config->profile ? profile_all(&r, err) : time_all(&r, err);
        if (cut == MB_OK && !config->profile)
            cut = run_each_once(&r, MB_NVTX_CHECK, "after timing", err);
        if (cut == MB_OK) cut = mb_race_judge_accounts(&r, err);
        if (cut == MB_E_TIMEOUT || cut == MB_E_INTERRUPTED) {
            out->ended_by = cut == MB_E_TIMEOUT ? "timeout" : "interrupt";
            mark_cut_short(&r, cut);
        } else {
            st = cut;
        }
    }
    mb_race_stop_all(&r);
    mb_nvml_close(r.nvml);
    if (r.racers) mb_race_scale_counter(&r);
    if (st == MB_OK) st = mb_conclude(out, config->seed, &result->statistics, &result->arena, err);
    if (st == MB_OK && mb_limits_set_floor(config, result, out))
        st = mb_conclude(out, config->seed, &result->statistics, &result->arena, err);
    if (st == MB_OK && cut == MB_OK && config->n_cold_starts && !config->profile) {
        mb_race_use_inputs(&r, 0);
        cut = start_cold(&r, err);
    }
    mb_shared_close(&r.params);
    return st == MB_OK ? cut : st;
}
