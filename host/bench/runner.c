#include "runner.h"

#include "clock.h"
#include "cold_start.h"
#include "conclude.h"
#include "device_limits.h"
#include "origin.h"
#include "package.h"
#include "random.h"
#include "reason.h"
#include "reference.h"
#include "worker.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    N_ROUNDS = 20,         /* blocks each executor's samples are split into */
    N_SETTLE_RUNS = 2,     /* untimed at the start of a block, and ... */
    SETTLE_NS = 2000000,   /* ... for at least this long: caches, clocks and threads wake up */
    MIN_ROUNDS_NOISE = 10, /* before an interval is trusted to end the race */
    N_ESTIMATE_RUNS = 10,  /* that say how many runs make a batch */
    MAX_BATCH_RUNS = 1000,
    MOST_OPERATIONS = 512
};
static const double batch_ns = 1e6;        /* a sample of device time: far above an event's half
                                              microsecond */
static const double operations_ns = 2e8;   /* of runs with a clock between their steps */
static const double energy_ns = 2e9;       /* twenty times the slowest counter's period */
static const double least_energy_mj = 1e3; /* a thousand times what the counter can tell apart */

struct racer {
    const struct mb_executor_entry *entry;
    struct mb_executor_result *result;
    const char *package;      /* package.h; NULL until it is asked for */
    struct mb_worker *worker; /* NULL once the racer is out */
    size_t *first_of_block;   /* grows with the rounds */
    size_t capacity_samples, capacity_blocks;
    size_t capacity_device[MB_N_DEVICE_SERIES], capacity_states;
};

struct race {
    const struct mb_race_config *config;
    struct mb_result *result;
    struct mb_benchmark_result *bench;
    struct racer *racers;
    struct mb_shared params;
    double **reference;
    struct mb_nvml *nvml; /* NULL: bench->gpu_reason says why */
    uint64_t draws;       /* position in the stream of random orders */
};

static void report_progress(const struct race *r, const char *what, double share) {
    if (r->config->progress)
        r->config->progress(r->config->progress_arg, r->config->name, what, share);
}

/* ---- reference ---- */

static enum mb_status compute_reference(struct race *r, struct mb_err *err) {
    const struct mb_program *p = r->config->program;
    r->reference = mb_arena_calloc(&r->result->arena, p->n_outputs, sizeof *r->reference);
    if (!r->reference) return mb_fail(err, MB_E_NOMEM, "no memory for the reference");
    for (uint32_t i = 0; i < p->n_outputs; i++) {
        size_t count = 0;
        mb_shape_count(&p->nodes[p->outputs[i]].type.shape, &count);
        r->reference[i] = mb_arena_calloc(&r->result->arena, count, sizeof(double));
        if (!r->reference[i]) return mb_fail(err, MB_E_NOMEM, "no memory for the reference");
    }
    return mb_reference_run(p, (const void *const *)r->params.data, r->reference, err);
}

/* ---- one racer ---- */

/* Takes the racer out of the race. What it measured so far stays, marked with the reason. Only an
 * executor that this machine or build does not have counts as not measured: any other failure is a
 * finding about it. */
static void drop(struct race *r, struct racer *racer, enum mb_status why, const char *reason) {
    struct mb_executor_result *e = racer->result;
    const char *kept = mb_reason(&r->result->arena, "%s", reason);
    mb_worker_stop(racer->worker);
    racer->worker = NULL;
    e->valid = false;
    if (why == MB_E_UNSUPPORTED && !e->measured) {
        e->reason = kept;
    } else {
        e->measured = true;
        e->invalid_reason = kept;
    }
}

/* Whether the failure ends the whole race rather than one racer. */
static bool ends_race(const struct race *r, enum mb_status st) {
    return st == MB_E_INTERRUPTED ||
           (st == MB_E_TIMEOUT && mb_clock_ns() >= r->config->deadline_ns);
}

/* Compares the worker's outputs with the reference; false (and out of the race) when they are
 * wrong. */
static bool check_outputs(struct race *r, struct racer *racer, const char *when) {
    struct mb_executor_result *e = racer->result;
    struct mb_accuracy a =
        mb_accuracy_of(r->config->program, mb_worker_outputs(racer->worker), r->reference);
    const bool tf32 = e->info.precision == MB_TF32;
    const double rel_l2 = tf32 ? MB_TOLERANCE_TF32_REL_L2 : r->result->tolerance_rel_l2;
    const double max_rel = tf32 ? MB_TOLERANCE_TF32_MAX_REL : r->result->tolerance_max_rel;
    /* fmax passes over the NaN of a row that was never checked */
    e->rel_l2_error = fmax(e->rel_l2_error, a.rel_l2);
    e->max_abs_error = fmax(e->max_abs_error, a.max_abs);
    e->max_rel_error = fmax(e->max_rel_error, a.max_rel);
    if (a.finite_agree && a.rel_l2 <= rel_l2 && a.max_rel <= max_rel) return true;
    if (!a.finite_agree)
        drop(r, racer, MB_E_NUMERIC,
             mb_reason(&r->result->arena,
                       "wrong output %s: NaN or infinity where the reference has none, or the "
                       "reverse",
                       when));
    else
        drop(r, racer, MB_E_NUMERIC,
             mb_reason(&r->result->arena,
                       "wrong output %s: relative L2 error %.2e (allowed %.0e), largest error "
                       "%.2e of the largest value (allowed %.0e)",
                       when, a.rel_l2, rel_l2, a.max_rel, max_rel));
    return false;
}

/* When a worker that was given n_runs is ended for not answering. Its first run, with all that is
 * done once, is longer than any other. */
static int64_t patience(const struct race *r, const struct racer *racer, double n_runs) {
    const double first_ns = racer->result->phases.first_inference;
    const int64_t now = mb_clock_ns(), half = (r->config->deadline_ns - now) / 2;
    const double enough_ns = 10e9 + 20 * n_runs * first_ns;
    if (enough_ns < (double)half) return now + (int64_t)enough_ns; /* false for NaN: not begun */
    return now + half;
}

/* ---- the device's own clock ---- */

static bool grow(struct mb_arena *arena, double **values, size_t n, size_t more, size_t *capacity) {
    if (n + more <= *capacity) return true;
    double *grown = mb_arena_calloc(arena, (n + more) * 2, sizeof *grown);
    if (!grown) return false;
    if (n) memcpy(grown, *values, n * sizeof *grown);
    *values = grown;
    *capacity = (n + more) * 2;
    return true;
}

/* Takes n samples more. A failure that leaves the worker sound ends this series alone; any other is
 * returned. */
static enum mb_status time_on_device(struct race *r, struct racer *racer,
                                     enum mb_device_series series, uint32_t n, struct mb_err *err) {
    struct mb_device_time *d = &racer->result->device_time[series];
    if (d->reason) return MB_OK;
    if (!grow(&r->result->arena, &d->samples_ns, d->n_samples, n, &racer->capacity_device[series]))
        return mb_fail(err, MB_E_NOMEM, "no memory for samples");
    enum mb_status st = mb_worker_device_time(racer->worker, n, d->n_runs, series == MB_DEVICE_cold,
                                              patience(r, racer, (double)n * d->n_runs),
                                              d->samples_ns + d->n_samples, err);
    if (st == MB_OK) {
        for (const size_t end = d->n_samples + n; d->n_samples < end; d->n_samples++)
            d->samples_ns[d->n_samples] = mb_stats_whole_ps(d->samples_ns[d->n_samples]);
        return MB_OK;
    }
    if (ends_race(r, st) || !mb_worker_alive(racer->worker)) return st;
    if (st != MB_E_UNSUPPORTED && st != MB_E_TIMEOUT && st != MB_E_NOMEM) return st;
    d->reason = mb_reason(&r->result->arena, "%s", err->text);
    return MB_OK;
}

/* As many runs as fill the length of a batch. */
static enum mb_status size_batch(struct race *r, struct racer *racer, struct mb_err *err) {
    struct mb_device_time *d = &racer->result->device_time[MB_DEVICE_batch];
    d->n_runs = N_ESTIMATE_RUNS;
    enum mb_status st = time_on_device(r, racer, MB_DEVICE_batch, 1, err);
    if (st != MB_OK || d->reason) return st;
    d->n_runs = (uint32_t)fmin(fmax(ceil(batch_ns / d->samples_ns[0]), 1), MAX_BATCH_RUNS);
    d->n_samples = 0;
    return MB_OK;
}

static enum mb_status run_device_block(struct race *r, struct racer *racer, uint32_t n,
                                       struct mb_err *err) {
    for (int series = 0; series < MB_N_DEVICE_SERIES; series++) {
        enum mb_status st = time_on_device(r, racer, (enum mb_device_series)series, n, err);
        if (st != MB_OK) return st;
    }
    return MB_OK;
}

/* ---- the state of the GPU ---- */

static size_t n_running(const struct race *r);

/* Once: the device that the first racer names is that of all. */
static void open_nvml(struct race *r) {
    const char *uuid = "";
    struct mb_err err;
    for (size_t i = 0; i < r->config->n_executors && !*uuid; i++)
        uuid = r->racers[i].result->info.device_uuid;
    if (!*uuid)
        r->bench->gpu_reason = "no executor names a GPU";
    else if (mb_nvml_open(uuid, &r->nvml, &err) != MB_OK)
        r->bench->gpu_reason = mb_reason(&r->result->arena, "%s", err.text);
}

static void read_gpu(struct race *r, struct racer *racer) {
    struct mb_executor_result *e = racer->result;
    if (!r->nvml) return;
    if (e->n_gpu_states == racer->capacity_states) {
        const size_t capacity = racer->capacity_states * 2 + 32;
        struct mb_nvml_state *grown = mb_arena_calloc(&r->result->arena, capacity, sizeof *grown);
        if (!grown) return;
        if (e->n_gpu_states) memcpy(grown, e->gpu_states, e->n_gpu_states * sizeof *grown);
        e->gpu_states = grown;
        racer->capacity_states = capacity;
    }
    e->gpu_states[e->n_gpu_states++] = mb_nvml_read(r->nvml);
}

/* Others than our own workers, each of which holds the device. */
static void count_other_processes(struct race *r) {
    const int all = r->nvml ? mb_nvml_n_processes(r->nvml) : -1;
    const int ours = (int)n_running(r), others = all > ours ? all - ours : 0;
    if (all >= 0 && others > r->bench->n_other_processes) r->bench->n_other_processes = others;
}

/* Runs one after another for two seconds between two reads of the energy counter. */
static enum mb_status measure_energy(struct race *r, struct racer *racer, struct mb_err *err) {
    struct mb_executor_result *e = racer->result;
    const struct mb_block spin = {.purpose = MB_NVTX_MEASURE, .settle_ns = (int64_t)energy_ns};
    double ignored;
    if (!racer->worker) return MB_OK;
    if (r->config->cold) {
        e->energy_reason = "measured with warm caches only";
        return MB_OK;
    }
    if (!r->nvml) {
        e->energy_reason = r->bench->gpu_reason;
        return MB_OK;
    }
    const double before = mb_nvml_read(r->nvml).energy_mj;
    if (isnan(before)) {
        e->energy_reason = "the driver has no energy counter for this device";
        return MB_OK;
    }
    enum mb_status st = mb_worker_run(racer->worker, &spin, patience(r, racer, 1), &ignored, err);
    if (st != MB_OK) return st;
    const double used = mb_nvml_read(r->nvml).energy_mj - before;
    const uint64_t n_runs = mb_worker_n_settled(racer->worker);
    if (used >= least_energy_mj && n_runs) {
        e->energy_per_run_mj = used / (double)n_runs;
        e->energy_reason = NULL;
    } else {
        e->energy_reason = mb_reason(&r->result->arena,
                                     "the energy counter moved by %.0f mJ in %.0f s; 1000 mJ is "
                                     "the least",
                                     used, energy_ns / 1e9);
    }
    return MB_OK;
}

static enum mb_status measure_all_energy(struct race *r, struct mb_err *err) {
    const double needed_ns = 2 * energy_ns * (double)n_running(r);
    for (size_t i = 0; i < r->config->n_executors; i++) {
        struct racer *racer = &r->racers[i];
        struct mb_err why = {0};
        if (r->nvml && !r->config->cold &&
            (double)(r->config->deadline_ns - mb_clock_ns()) < needed_ns) {
            racer->result->energy_reason = "no time was left before --timeout";
            continue;
        }
        report_progress(r, "energy", 1);
        enum mb_status st = measure_energy(r, racer, &why);
        if (st == MB_OK) continue;
        if (ends_race(r, st)) return mb_fail(err, st, "%s", why.text);
        drop(r, racer, st, why.text);
    }
    return MB_OK;
}

/* ---- start ---- */

static enum mb_status start(struct race *r, struct racer *racer, struct mb_err *err) {
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
    const struct mb_block warm_up = {.settle_runs = c->n_warmup};
    double ignored;
    enum mb_status st = mb_executor_present(racer->entry, err);
    if (st == MB_OK && racer->entry->builder && !racer->package) {
        struct mb_executor_result build = {0};
        st = mb_package_get(&config, patience(r, racer, 1), &r->result->arena, &build,
                            &racer->package, err);
    }
    config.open.package = racer->package;
    if (st == MB_OK)
        st = mb_worker_start(&config, patience(r, racer, 1), &r->result->arena, racer->result,
                             &racer->worker, err);
    if (st != MB_OK) return st;
    st = mb_worker_run(racer->worker, &check, patience(r, racer, 1), &ignored, err);
    if (st != MB_OK) return st;
    if (!check_outputs(r, racer, "before timing")) return MB_OK;
    st = mb_worker_run(racer->worker, &warm_up, patience(r, racer, c->n_warmup), &ignored, err);
    if (st == MB_OK && !c->profile) st = size_batch(r, racer, err);
    if (st == MB_OK) mb_worker_wait_parked(racer->worker);
    return st;
}

/* Room for n more samples and one more block; arrays are replaced by larger ones in the arena. */
static bool make_room(struct race *r, struct racer *racer, size_t n) {
    struct mb_executor_result *e = racer->result;
    struct mb_arena *arena = &r->result->arena;
    if (!grow(arena, &e->samples_ns, e->n_samples, n, &racer->capacity_samples)) return false;
    if (e->n_blocks + 2 > racer->capacity_blocks) {
        size_t capacity = (e->n_blocks + 2) * 2;
        size_t *grown = mb_arena_calloc(arena, capacity, sizeof *grown);
        if (!grown) return false;
        if (e->n_blocks) memcpy(grown, racer->first_of_block, (e->n_blocks + 1) * sizeof *grown);
        e->first_of_block = racer->first_of_block = grown;
        racer->capacity_blocks = capacity;
    }
    return true;
}

static enum mb_status run_block(struct race *r, struct racer *racer, uint32_t n,
                                struct mb_err *err) {
    struct mb_executor_result *e = racer->result;
    const struct mb_block block = {MB_NVTX_MEASURE, N_SETTLE_RUNS, n, SETTLE_NS};
    if (!make_room(r, racer, n)) return mb_fail(err, MB_E_NOMEM, "no memory for samples");
    enum mb_status st =
        mb_worker_run(racer->worker, &block, patience(r, racer, N_SETTLE_RUNS + (double)n),
                      e->samples_ns + e->n_samples, err);
    if (st != MB_OK) return st;
    read_gpu(r, racer);
    e->measured = true;
    for (const size_t end = e->n_samples + n; e->n_samples < end; e->n_samples++)
        e->samples_ns[e->n_samples] = mb_stats_whole_ps(e->samples_ns[e->n_samples]);
    e->n_blocks++;
    racer->first_of_block[e->n_blocks] = e->n_samples;
    if (!check_outputs(r, racer, "during timing")) return MB_OK;
    st = run_device_block(r, racer, n, err);
    if (st != MB_OK) return st;
    if (e->device_time[MB_DEVICE_batch].n_samples) read_gpu(r, racer);
    mb_worker_wait_parked(racer->worker);
    return MB_OK;
}

/* ---- rounds ---- */

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

static size_t n_running(const struct race *r) {
    size_t n = 0;
    for (size_t i = 0; i < r->config->n_executors; i++) n += r->racers[i].worker != NULL;
    return n;
}

static bool precise_enough(struct race *r) {
    struct mb_comparison c;
    if (r->config->n_executors < 2) {
        struct mb_summary s = mb_stats_summary(r->racers[0].result->samples_ns,
                                               r->racers[0].result->n_samples, r->config->seed);
        return (s.ci_high - s.ci_low) / 2 <= r->config->max_noise * s.p50;
    }
    c = mb_compare_executors(r->racers[0].result, r->racers[1].result, r->config->seed,
                             &r->result->arena);
    return !c.withheld &&
           (c.speedup.high - c.speedup.low) / 2 <= r->config->max_noise * c.speedup.value;
}

/* Samples of each executor in the given round; 0 when the race is over. */
static uint32_t samples_in_round(struct race *r, uint32_t round, int64_t started_ns) {
    const struct mb_race_config *c = r->config;
    uint32_t rounds = c->n_samples < N_ROUNDS ? c->n_samples : N_ROUNDS;
    if (n_running(r) == 0) return 0;
    if (c->duration_s > 0 || c->max_noise > 0) {
        bool time_is_up =
            c->duration_s > 0 && (double)(mb_clock_ns() - started_ns) >= c->duration_s * 1e9;
        bool precise = c->max_noise > 0 && round >= MIN_ROUNDS_NOISE && precise_enough(r);
        if (round > 0 && (time_is_up || precise)) return 0;
        return (c->n_samples + rounds - 1) / rounds;
    }
    if (round >= rounds) return 0;
    return c->n_samples / rounds + (round < c->n_samples % rounds ? 1 : 0);
}

static enum mb_status run_rounds(struct race *r, struct mb_err *err) {
    const struct mb_race_config *c = r->config;
    const int64_t started_ns = mb_clock_ns();
    size_t *order = mb_arena_calloc(&r->result->arena, c->n_executors, sizeof *order);
    if (!order) return mb_fail(err, MB_E_NOMEM, "no memory for the order of blocks");
    for (size_t i = 0; i < c->n_executors; i++) order[i] = i;
    uint32_t n;
    for (uint32_t round = 0; (n = samples_in_round(r, round, started_ns)) > 0; round++) {
        if (round % 2)
            reverse(order, c->n_executors);
        else
            shuffle(r, order, c->n_executors);
        for (size_t i = 0; i < c->n_executors; i++) {
            struct racer *racer = &r->racers[order[i]];
            struct mb_err why = {0};
            if (!racer->worker) continue;
            enum mb_status st = run_block(r, racer, n, &why);
            if (st == MB_OK) continue;
            if (ends_race(r, st)) return mb_fail(err, st, "%s", why.text);
            drop(r, racer, st, why.text);
        }
        double share = c->duration_s > 0
                           ? (double)(mb_clock_ns() - started_ns) / (c->duration_s * 1e9)
                           : (double)(round + 1) / N_ROUNDS;
        report_progress(r, "timing", fmin(share, 1));
    }
    return MB_OK;
}

/* One more run of each, outside any round, with its outputs compared. */
static enum mb_status run_each_once(struct race *r, enum mb_nvtx_phase purpose, const char *when,
                                    struct mb_err *err) {
    const struct mb_block once = {.purpose = purpose, .n_samples = 1};
    for (size_t i = 0; i < r->config->n_executors; i++) {
        struct racer *racer = &r->racers[i];
        struct mb_err why = {0};
        double ignored;
        if (!racer->worker) continue;
        enum mb_status st =
            mb_worker_run(racer->worker, &once, patience(r, racer, 1), &ignored, &why);
        if (st == MB_OK)
            check_outputs(r, racer, when);
        else if (ends_race(r, st))
            return mb_fail(err, st, "%s", why.text);
        else
            drop(r, racer, st, why.text);
    }
    return MB_OK;
}

/* ---- the steps of each run ---- */

static enum mb_status time_operations(struct race *r, struct racer *racer, struct mb_err *err) {
    struct mb_executor_result *e = racer->result;
    const double n_runs = fmin(fmax(operations_ns / e->phases.first_inference, 5), 200);
    e->operations = mb_arena_calloc(&r->result->arena, MOST_OPERATIONS, sizeof *e->operations);
    if (!e->operations) return mb_fail(err, MB_E_NOMEM, "no memory for the times of steps");
    enum mb_status st =
        mb_worker_operations(racer->worker, (uint32_t)n_runs, patience(r, racer, 2 * n_runs),
                             e->operations, MOST_OPERATIONS, &e->n_operations, err);
    if (st != MB_E_UNSUPPORTED) return st;
    e->operations_reason = mb_reason(&r->result->arena, "%s", err->text);
    return MB_OK;
}

static enum mb_status time_all_operations(struct race *r, struct mb_err *err) {
    for (size_t i = 0; i < r->config->n_executors; i++) {
        struct racer *racer = &r->racers[i];
        struct mb_err why = {0};
        if (!racer->worker) continue;
        report_progress(r, "timing each operation", 1);
        enum mb_status st = time_operations(r, racer, &why);
        if (st == MB_OK) {
            mb_worker_wait_parked(racer->worker);
            continue;
        }
        if (ends_race(r, st)) return mb_fail(err, st, "%s", why.text);
        drop(r, racer, st, why.text);
    }
    return MB_OK;
}

static enum mb_status race(struct race *r, struct mb_err *err) {
    r->bench->gpu_reason = NULL;
    open_nvml(r);
    count_other_processes(r);
    enum mb_status st = run_rounds(r, err);
    count_other_processes(r);
    if (st == MB_OK) st = measure_all_energy(r, err);
    return st == MB_OK && r->config->profile_ops ? time_all_operations(r, err) : st;
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
    enum mb_status st = mb_shared_params(c->program, -1, true, &r->params, err);
    if (st != MB_OK) return st;
    report_progress(r, "making weights and inputs", 0);
    mb_tensors_fill(c->program, c->seed, r->params.data);
    if (c->overwrite) st = c->overwrite(c->overwrite_arg, c->program, r->params.data, err);
    if (st == MB_OK && !c->profile)
        st = mb_origin_of(&c->source, c->program, r->params.data, c->given, &r->result->arena,
                          &r->bench->origin, err);
    if (st != MB_OK) return st;
    report_progress(r, "computing the FP64 reference", 0);
    return compute_reference(r, err);
}

static enum mb_status start_all(struct race *r, struct mb_err *err) {
    for (size_t i = 0; i < r->config->n_executors; i++) {
        struct racer *racer = &r->racers[i];
        struct mb_err why = {0};
        report_progress(r, racer->entry->name, 0);
        enum mb_status st = start(r, racer, &why);
        if (st == MB_OK) continue;
        if (ends_race(r, st)) return mb_fail(err, st, "%s", why.text);
        drop(r, racer, st, why.text);
    }
    return MB_OK;
}

/* After an early end: rows without a sample say why, the others are marked. */
static void mark_cut_short(struct race *r, enum mb_status st) {
    const char *reason = st == MB_E_TIMEOUT ? "cut short by --timeout" : "interrupted";
    for (size_t i = 0; i < r->config->n_executors; i++)
        if (r->racers[i].result->valid) drop(r, &r->racers[i], st, reason);
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
        mb_cold_starts(r->config, &r->params, r->reference, r->result, r->bench, starts, err);
    if (st != MB_E_NOMEM) r->bench->cold_starts = starts;
    return st;
}

enum mb_status mb_race(const struct mb_race_config *config, struct mb_result *result,
                       struct mb_benchmark_result *out, struct mb_err *err) {
    struct race r = {.config = config, .result = result, .bench = out, .params = {.fd = -1}};
    *out = (struct mb_benchmark_result){0};
    enum mb_status st = set_up(&r, err), cut = MB_OK;
    if (st == MB_OK) {
        if (config->ceilings && !config->profile && !config->compile_only)
            cut = mb_limits_measure(config, result, err);
        if (config->compile_only)
            leave_out_of_race(&r);
        else if (cut == MB_OK)
            cut = start_all(&r, err);
        if (cut == MB_OK && !config->profile) cut = race(&r, err);
        if (cut == MB_OK)
            cut = config->profile ? run_each_once(&r, MB_NVTX_PROFILE, "when profiled", err)
                                  : run_each_once(&r, MB_NVTX_CHECK, "after timing", err);
        if (cut == MB_E_TIMEOUT || cut == MB_E_INTERRUPTED)
            mark_cut_short(&r, cut);
        else
            st = cut;
    }
    for (size_t i = 0; r.racers && i < config->n_executors; i++) mb_worker_stop(r.racers[i].worker);
    mb_nvml_close(r.nvml);
    if (st == MB_OK) st = mb_conclude(out, config->seed, &result->arena, err);
    if (st == MB_OK && mb_limits_judge(config, result, out))
        st = mb_conclude(out, config->seed, &result->arena, err);
    if (st == MB_OK && cut == MB_OK && config->n_cold_starts && !config->profile)
        cut = start_cold(&r, err);
    mb_shared_close(&r.params);
    return st == MB_OK ? cut : st;
}
