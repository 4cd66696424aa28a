/* What a device adds to a race: its own clock, its state, its energy. */
#include "clock.h"
#include "race.h"
#include "reason.h"

#include <math.h>
#include <string.h>

enum {
    N_ESTIMATE_RUNS = 10, /* that say how many runs make a batch */
    MAX_BATCH_RUNS = 1000
};
static const double batch_ns = 1e6;        /* a sample of device time: far above an event's half
                                              microsecond */
static const double energy_ns = 2e9;       /* twenty times the slowest counter's period */
static const double least_energy_mj = 1e3; /* a thousand times what the counter can tell apart */

/* ---- the device's own clock ---- */

/* Takes n samples more. A failure that leaves the worker sound ends this series alone; any other is
 * returned. */
static enum mb_status time_on_device(struct race *r, struct racer *racer,
                                     enum mb_device_series series, uint32_t n, struct mb_err *err) {
    struct mb_device_time *d = &racer->result->device_time[series];
    if (d->reason) return MB_OK;
    if (!mb_race_grow(&r->result->arena, &d->samples_ns, d->n_samples, n,
                      &racer->capacity_device[series]))
        return mb_fail(err, MB_E_NOMEM, "no memory for samples");
    enum mb_status st = mb_worker_device_time(racer->worker, n, d->n_runs, series == MB_DEVICE_cold,
                                              mb_race_patience(r, racer, (double)n * d->n_runs),
                                              d->samples_ns + d->n_samples, err);
    if (st == MB_OK) {
        for (const size_t end = d->n_samples + n; d->n_samples < end; d->n_samples++)
            d->samples_ns[d->n_samples] = mb_stats_whole_ps(d->samples_ns[d->n_samples]);
        return MB_OK;
    }
    if (mb_race_ends(r, st) || !mb_worker_alive(racer->worker)) return st;
    if (st != MB_E_UNSUPPORTED && st != MB_E_TIMEOUT && st != MB_E_NOMEM) return st;
    d->reason = mb_reason(&r->result->arena, "%s", err->text);
    return MB_OK;
}

/* As many runs as fill the length of a batch. */
enum mb_status mb_race_size_batch(struct race *r, struct racer *racer, struct mb_err *err) {
    struct mb_device_time *d = &racer->result->device_time[MB_DEVICE_batch];
    d->n_runs = N_ESTIMATE_RUNS;
    enum mb_status st = time_on_device(r, racer, MB_DEVICE_batch, 1, err);
    if (st != MB_OK || d->reason) return st;
    d->n_runs = (uint32_t)fmin(fmax(ceil(batch_ns / d->samples_ns[0]), 1), MAX_BATCH_RUNS);
    d->n_samples = 0;
    return MB_OK;
}

enum mb_status mb_race_device_block(struct race *r, struct racer *racer, uint32_t n,
                                    struct mb_err *err) {
    for (int series = 0; series < MB_N_DEVICE_SERIES; series++) {
        enum mb_status st = time_on_device(r, racer, (enum mb_device_series)series, n, err);
        if (st != MB_OK) return st;
    }
    return MB_OK;
}

/* ---- the state of the GPU ---- */

/* Once: the device that the first racer names is that of all. */
void mb_race_open_nvml(struct race *r) {
    const char *uuid = "";
    struct mb_err err;
    for (size_t i = 0; i < r->config->n_executors && !*uuid; i++)
        uuid = r->racers[i].result->info.device_uuid;
    if (!*uuid)
        r->bench->gpu_reason = "no executor names a GPU";
    else if (mb_nvml_open(uuid, &r->nvml, &err) != MB_OK)
        r->bench->gpu_reason = mb_reason(&r->result->arena, "%s", err.text);
}

void mb_race_read_gpu(struct race *r, struct racer *racer) {
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
void mb_race_count_other_processes(struct race *r) {
    const int all = r->nvml ? mb_nvml_n_processes(r->nvml) : -1;
    const int ours = (int)mb_race_n_running(r), others = all > ours ? all - ours : 0;
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
    enum mb_status st =
        mb_worker_run(racer->worker, &spin, mb_race_patience(r, racer, 1), &ignored, err);
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

enum mb_status mb_race_energy(struct race *r, struct mb_err *err) {
    const double needed_ns = 2 * energy_ns * (double)mb_race_n_running(r);
    for (size_t i = 0; i < r->config->n_executors; i++) {
        struct racer *racer = &r->racers[i];
        struct mb_err why = {0};
        if (r->nvml && !r->config->cold &&
            (double)(r->config->deadline_ns - mb_clock_ns()) < needed_ns) {
            racer->result->energy_reason = "no time was left before --timeout";
            continue;
        }
        mb_race_progress(r, "energy", 1);
        enum mb_status st = measure_energy(r, racer, &why);
        if (st == MB_OK) continue;
        if (mb_race_ends(r, st)) return mb_fail(err, st, "%s", why.text);
        mb_race_drop(r, racer, st, why.text);
    }
    return MB_OK;
}
