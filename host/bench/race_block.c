/* Blocks: a few samples of one process, with its outputs compared and the machine looked at. */
#include "clock.h"
#include "counter.h"
#include "race.h"
#include "reason.h"
#include "watch.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

enum {
    N_SETTLE_RUNS = 2,  /* untimed at the start of a block, and ... */
    SETTLE_NS = 2000000 /* ... for at least this long: caches, clocks and threads wake up */
};

void mb_race_drop(struct race *r, struct racer *racer, enum mb_status why, const char *reason) {
    struct mb_executor_result *e = racer->result;
    const char *kept = mb_reason(&r->result->arena, "%s", reason);
    for (size_t lane = 0; lane < MB_RACE_LANES; lane++) {
        mb_worker_stop(racer->workers[lane]);
        racer->workers[lane] = NULL;
    }
    racer->worker = NULL;
    racer->out = true;
    e->valid = false;
    if (why == MB_E_UNSUPPORTED && !e->measured) {
        e->reason = kept;
    } else {
        e->measured = true;
        e->invalid_reason = kept;
    }
}

bool mb_race_ends(const struct race *r, enum mb_status st) {
    return st == MB_E_INTERRUPTED ||
           (st == MB_E_TIMEOUT && mb_clock_ns() >= r->config->deadline_ns);
}

bool mb_race_check_outputs(struct race *r, struct racer *racer, const char *when) {
    struct mb_executor_result *e = racer->result;
    struct mb_accuracy a = mb_accuracy_of(r->config->program, mb_worker_outputs(racer->worker),
                                          r->reference[r->input_set]);
    const bool tf32 = e->info.precision == MB_TF32;
    const double rel_l2 = tf32 ? MB_TOLERANCE_TF32_REL_L2 : r->result->tolerance_rel_l2;
    const double max_rel = tf32 ? MB_TOLERANCE_TF32_MAX_REL : r->result->tolerance_max_rel;
    /* fmax passes over the NaN of a row that was never checked */
    e->rel_l2_error = fmax(e->rel_l2_error, a.rel_l2);
    e->max_abs_error = fmax(e->max_abs_error, a.max_abs);
    e->max_rel_error = fmax(e->max_rel_error, a.max_rel);
    if (a.finite_agree && a.rel_l2 <= rel_l2 && a.max_rel <= max_rel) return true;
    if (!a.finite_agree)
        mb_race_drop(
            r, racer, MB_E_NUMERIC,
            mb_reason(&r->result->arena,
                      "wrong output %s: NaN or infinity where the reference has none, or the "
                      "reverse",
                      when));
    else
        mb_race_drop(
            r, racer, MB_E_NUMERIC,
            mb_reason(&r->result->arena,
                      "wrong output %s: relative L2 error %.2e (allowed %.0e), largest error "
                      "%.2e of the largest value (allowed %.0e)",
                      when, a.rel_l2, rel_l2, a.max_rel, max_rel));
    return false;
}

/* A first run, with all that is done once, is longer than any other. */
int64_t mb_race_patience(const struct race *r, const struct racer *racer, double n_runs) {
    return mb_worker_patience(r->config->deadline_ns,
                              n_runs * racer->result->phases.first_inference);
}

bool mb_race_grow(struct mb_arena *arena, double **values, size_t n, size_t more,
                  size_t *capacity) {
    if (n + more <= *capacity) return true;
    double *grown = mb_arena_calloc(arena, (n + more) * 2, sizeof *grown);
    if (!grown) return false;
    if (n) memcpy(grown, *values, n * sizeof *grown);
    *values = grown;
    *capacity = (n + more) * 2;
    return true;
}

/* A larger copy of an array in the arena. NULL without memory. */
static void *larger(struct mb_arena *arena, const void *old, size_t n, size_t capacity,
                    size_t size) {
    void *grown = mb_arena_calloc(arena, capacity, size);
    if (grown && n) memcpy(grown, old, n * size);
    return grown;
}

/* Room for n more samples and one more block. */
static bool make_room(struct race *r, struct racer *racer, size_t n) {
    struct mb_executor_result *e = racer->result;
    struct mb_arena *arena = &r->result->arena;
    const size_t have = e->n_blocks;
    if (!mb_race_grow(arena, &e->samples_ns, e->n_samples, n, &racer->capacity_samples))
        return false;
    if (have + 2 <= racer->capacity_blocks) return true;
    const size_t capacity = (have + 2) * 2;
    size_t *first =
        larger(arena, racer->first_of_block, have ? have + 1 : 0, capacity, sizeof *first);
    size_t *process = larger(arena, racer->process_of_block, have, capacity, sizeof *process);
    struct mb_block_state *states = larger(arena, e->block_states, have, capacity, sizeof *states);
    if (!first || !process || !states) return false;
    e->first_of_block = racer->first_of_block = first;
    e->process_of_block = racer->process_of_block = process;
    e->block_states = states;
    racer->capacity_blocks = capacity;
    return true;
}

static void keep_block(struct race *r, struct racer *racer, size_t lane, uint32_t n) {
    struct mb_executor_result *e = racer->result;
    e->measured = true;
    for (const size_t end = e->n_samples + n; e->n_samples < end; e->n_samples++)
        e->samples_ns[e->n_samples] = mb_stats_whole_ps(e->samples_ns[e->n_samples]);
    racer->process_of_block[e->n_blocks] = (size_t)(r->n_starts - 1) * r->n_lanes + lane;
    e->n_blocks++;
    racer->first_of_block[e->n_blocks] = e->n_samples;
}

enum mb_status mb_race_block(struct race *r, struct racer *racer, size_t lane, uint32_t n,
                             struct mb_err *err) {
    struct mb_executor_result *e = racer->result;
    racer->worker = racer->workers[lane];
    const pid_t pid = mb_worker_pid(racer->worker);
    const struct mb_block block = {MB_NVTX_MEASURE, N_SETTLE_RUNS, n, SETTLE_NS,
                                   racer->input_set[lane] != r->input_set};
    if (!make_room(r, racer, n)) return mb_fail(err, MB_E_NOMEM, "no memory for samples");
    struct mb_block_state *state = &e->block_states[e->n_blocks];
    const struct mb_watch before = mb_watch_read(pid);
    const struct mb_watch_thread theirs = mb_watch_thread(pid), ours = mb_watch_thread(getpid());
    const int64_t begin_ns = mb_clock_ns();
    if (!r->first_block_ns) r->first_block_ns = begin_ns;
    enum mb_status st =
        mb_worker_run(racer->worker, &block, mb_race_patience(r, racer, N_SETTLE_RUNS + (double)n),
                      e->samples_ns + e->n_samples, err);
    if (st != MB_OK) return st;
    racer->input_set[lane] = r->input_set;
    mb_watch_since(&before, pid, state);
    state->start_ns = (double)(begin_ns - r->first_block_ns);
    state->second_timer_ns = mb_worker_counter(racer->worker); /* ticks until the race is over */
    mb_race_read_gpu(r, racer);
    keep_block(r, racer, lane, n);
    if (!mb_race_check_outputs(r, racer, "during timing") || !mb_race_check_guard(r, racer))
        return MB_OK;
    const double cpu_ns = mb_watch_thread(pid).cpu_ns - theirs.cpu_ns;
    const double waited_ns = mb_watch_thread(getpid()).waited_ns - ours.waited_ns;
    MB_TRY(mb_race_device_block(r, racer, n, err));
    if (e->device_time[MB_DEVICE_batch].n_samples) mb_race_read_gpu(r, racer);
    const struct racer_account account = {*mb_worker_account(racer->worker), cpu_ns,
                                          isnan(waited_ns) ? 0 : waited_ns,
                                          mb_worker_wait_parked(racer->worker)};
    if (!mb_race_keep_account(r, racer, &account))
        st = mb_fail(err, MB_E_NOMEM, "no memory for accounts");
out:
    return st;
}

void mb_race_scale_counter(struct race *r) {
    const double ticks = (double)(mb_counter() - r->counter_begin);
    const double ns_per_tick = (double)(mb_clock_ns() - r->clock_begin_ns) / ticks;
    for (size_t i = 0; i < r->bench->n_executors; i++) {
        struct mb_executor_result *e = &r->bench->executors[i];
        for (size_t k = 0; k < e->n_blocks; k++)
            e->block_states[k].second_timer_ns =
                mb_stats_whole_ps(e->block_states[k].second_timer_ns * ns_per_tick);
        if (e->n_blocks) e->timer_reason = NULL;
        if (e->n_blocks && isnan(e->block_states[0].second_timer_ns))
            e->timer_reason = "its process does not read the processor's counter";
    }
}
