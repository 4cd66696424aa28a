#include "gpu_time.h"

#include "arena.h"
#include "gpu_error.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <time.h>

struct mb_gpu_timer {
    cudaStream_t stream;
    cudaEvent_t begin, end;
    uint32_t gate_timeout_ms;
    pthread_mutex_t mutex; /* guards what follows: the gate's function runs on a thread of CUDA's */
    pthread_cond_t changed;
    bool open, gave_up;
};

/* ---- the gate ---- */

static void CUDART_CB hold(void *arg) {
    struct mb_gpu_timer *t = arg;
    struct timespec until;
    int waited = 0;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += t->gate_timeout_ms / 1000;
    until.tv_nsec += (long)(t->gate_timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&t->mutex);
    while (!t->open && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&t->changed, &t->mutex, &until);
    if (!t->open) t->gave_up = true;
    pthread_mutex_unlock(&t->mutex);
}

static enum mb_status close_gate(struct mb_gpu_timer *t, struct mb_err *err) {
    pthread_mutex_lock(&t->mutex);
    t->open = t->gave_up = false;
    pthread_mutex_unlock(&t->mutex);
    return mb_gpu_check(cudaLaunchHostFunc(t->stream, hold, t), "cuda: device time: gate", err);
}

static void open_gate(struct mb_gpu_timer *t) {
    pthread_mutex_lock(&t->mutex);
    t->open = true;
    pthread_cond_signal(&t->changed);
    pthread_mutex_unlock(&t->mutex);
}

static enum mb_status check_held(struct mb_gpu_timer *t, struct mb_err *err) {
    pthread_mutex_lock(&t->mutex);
    const bool gave_up = t->gave_up;
    pthread_mutex_unlock(&t->mutex);
    if (!gave_up) return MB_OK;
    return mb_fail(err, MB_E_TIMEOUT,
                   "cuda: device time: gate timed out after %u ms: a run waits for the device, or "
                   "fills its queue, while it is being enqueued",
                   (unsigned)t->gate_timeout_ms);
}

/* ---- a timer ---- */

enum mb_status mb_gpu_timer_new(cudaStream_t stream, uint32_t gate_timeout_ms,
                                struct mb_gpu_timer **out, struct mb_err *err) {
    enum mb_status st = MB_OK;
    pthread_condattr_t monotonic;
    struct mb_gpu_timer *t = mb_allocator.alloc(sizeof *t);
    if (!t) return mb_fail(err, MB_E_NOMEM, "cuda: out of memory");
    *t = (struct mb_gpu_timer){.stream = stream, .gate_timeout_ms = gate_timeout_ms, .open = true};
    pthread_mutex_init(&t->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&t->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    MB_TRY(mb_gpu_check(cudaEventCreateWithFlags(&t->begin, cudaEventDefault), "cuda: event", err));
    MB_TRY(mb_gpu_check(cudaEventCreateWithFlags(&t->end, cudaEventDefault), "cuda: event", err));
    *out = t;
    return MB_OK;
out:
    mb_gpu_timer_free(t);
    return st;
}

void mb_gpu_timer_free(struct mb_gpu_timer *t) {
    if (!t) return;
    cudaStreamSynchronize(t->stream);
    if (t->begin) cudaEventDestroy(t->begin);
    if (t->end) cudaEventDestroy(t->end);
    pthread_cond_destroy(&t->changed);
    pthread_mutex_destroy(&t->mutex);
    mb_allocator.release(t);
}

/* ---- samples ---- */

static enum mb_status record(struct mb_gpu_timer *t, cudaEvent_t event, struct mb_err *err) {
    return mb_gpu_check(cudaEventRecord(event, t->stream), "cuda: event", err);
}

/* Runs that may be enqueued before the gate must open. */
static uint32_t runs_behind_gate(const struct mb_gpu_work *work) {
    const uint32_t entries = work->run_entries ? work->run_entries : 1;
    return entries < MB_GPU_GATE_ENTRIES ? MB_GPU_GATE_ENTRIES / entries : 1;
}

static enum mb_status sample(struct mb_gpu_timer *t, const struct mb_gpu_work *work,
                             uint32_t n_runs, bool evicted, double *ns, struct mb_err *err) {
    enum mb_status st = MB_OK;
    float ms = 0;
    const uint32_t n_held = runs_behind_gate(work);
    MB_TRY(close_gate(t, err));
    if (evicted) MB_TRY(work->evict(work->arg, err));
    MB_TRY(record(t, t->begin, err));
    for (uint32_t i = 0; i < n_runs; i++) {
        if (i == n_held) open_gate(t);
        MB_TRY(work->run(work->arg, err));
    }
    MB_TRY(record(t, t->end, err));
    open_gate(t);
    MB_TRY(mb_gpu_check(cudaEventSynchronize(t->end), "cuda: device time", err));
    MB_TRY(check_held(t, err));
    MB_TRY(mb_gpu_check(cudaEventElapsedTime(&ms, t->begin, t->end), "cuda: device time", err));
    *ns = (double)ms * 1e6;
    return MB_OK;
out:
    open_gate(t);
    cudaStreamSynchronize(t->stream);
    return st;
}

enum mb_status mb_gpu_time_batch(struct mb_gpu_timer *timer, const struct mb_gpu_work *work,
                                 uint32_t n_runs, double *ns, struct mb_err *err) {
    return sample(timer, work, n_runs, false, ns, err);
}

enum mb_status mb_gpu_time_isolated(struct mb_gpu_timer *timer, const struct mb_gpu_work *work,
                                    uint32_t n_runs, double *ns, struct mb_err *err) {
    double sum = 0, one;
    for (uint32_t i = 0; i < n_runs; i++) {
        const enum mb_status st = sample(timer, work, 1, work->evict != NULL, &one, err);
        if (st != MB_OK) return st;
        sum += one;
    }
    *ns = sum;
    return MB_OK;
}
