/* How long work on a stream takes by the device's own clock, without the host's share.
 *
 * A gate holds the stream back while the host enqueues: a host function at the stream's front that
 * waits to be released. Events stand around the work, and nothing else does. A sample is
 *
 *     batch      gate, event, run, run, ... run, event
 *     isolated   gate, eviction (if any), event, run, event       and the same again for the next
 *
 * The queue behind a gate holds about a thousand entries, after which enqueueing waits for the
 * device: the gate of a batch opens when MB_GPU_GATE_ENTRIES are in it, and the host goes on
 * enqueueing while the device runs. A run that itself waits for the device would wait for ever;
 * the gate gives up after its time-out, and that sample is an error, not a number.
 *
 * One thread. Needs the CUDA runtime alone. Clean as C and as C++. */
#ifndef MB_GPU_TIME_H
#define MB_GPU_TIME_H

#include "status.h"

#include <cuda_runtime_api.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { MB_GPU_GATE_ENTRIES = 512, MB_GPU_GATE_TIMEOUT_MS = 1000 };

struct mb_gpu_timer;

/* What is timed. Both callbacks enqueue on the timer's stream and must not wait for it. */
struct mb_gpu_work {
    enum mb_status (*run)(void *arg, struct mb_err *err);
    enum mb_status (*evict)(void *arg, struct mb_err *err); /* used by isolated runs; may be NULL */
    void *arg;
    uint32_t run_entries; /* at most, of one run in the queue: kernels, copies, graph launches;
                             0 counts as 1 */
};

/* `stream` is borrowed and never captures while a time is taken. The gate gives up after
 * `gate_timeout_ms`. */
enum mb_status mb_gpu_timer_new(cudaStream_t stream, uint32_t gate_timeout_ms,
                                struct mb_gpu_timer **out, struct mb_err *err);
void mb_gpu_timer_free(struct mb_gpu_timer *timer); /* waits; NULL is fine */

/* Time in nanoseconds from before the first to after the last of n_runs runs, back to back; waits.
 * n_runs >= 1. Event resolution is half a microsecond, so small work is timed in batches.
 * MB_E_TIMEOUT: the gate gave up before all was enqueued; else the callback's error or CUDA's own
 * name. After any failure the gate is open, the stream has been waited for, and the timer can be
 * used again. */
enum mb_status mb_gpu_time_batch(struct mb_gpu_timer *timer, const struct mb_gpu_work *work,
                                 uint32_t n_runs, double *ns, struct mb_err *err);

/* The sum of n_runs times of one run each, with an eviction before each and outside of its time
 * where work->evict is not NULL; waits after each. Otherwise as above. */
enum mb_status mb_gpu_time_isolated(struct mb_gpu_timer *timer, const struct mb_gpu_work *work,
                                    uint32_t n_runs, double *ns, struct mb_err *err);

#ifdef __cplusplus
}
#endif
#endif
