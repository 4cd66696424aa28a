/* Worker processes: the same binary re-executed, one for each executor.
 *
 * A crash, a hang, an out-of-memory or a thread pool of one executor cannot touch another, and each
 * starts cold. The parent sends a program's source and a few commands; tensors lie in shared
 * memory. A worker with nothing to do waits in a read and uses no processor. It dies with its
 * parent. */
#ifndef MB_WORKER_H
#define MB_WORKER_H

#include "backend.h"
#include "executors.h"
#include "guard.h"
#include "mind.h"
#include "nvtx.h"
#include "result.h"
#include "tensors.h"

#include <stdint.h>
#include <sys/types.h>

/* argv[1] of a worker process; main.c calls mb_worker_serve when it sees it. */
#define MB_WORKER_COMMAND  "worker"
/* argv[2] where the executor is an admitted one, which main.c then admits there too. */
#define MB_WORKER_SELFTEST "selftest"

/* The child's side: serves commands until told to quit or until the parent is gone. Exit status. */
int mb_worker_serve(void);

struct mb_worker;

struct mb_worker_config {
    const char *benchmark; /* what profilers call the program */
    const struct mb_executor_entry *executor;
    struct mb_open_config open; /* executor and device are taken from the entry */
    bool cold;                  /* evict the caches before each timed run, outside of its time */
    bool transfers;             /* inputs up and outputs down are part of each run */
    struct mb_mind_source source;
    const struct mb_program *program; /* the same source, compiled by the parent */
    const struct mb_shared *params;   /* filled */
    struct mb_trace_log *trace; /* the worker tells it all that it does; NULL: nothing. Borrowed
                                   until mb_worker_stop */
    int cancel_fd;              /* readable: stop waiting; or -1 */
    const char *cache_folder;   /* where the process keeps what it remembers on disk; NULL: where
                                   this one does */
};

/* deadline_ns, here and below: when to give up waiting for the worker, CLOCK_MONOTONIC,
 * nanoseconds. On MB_E_TIMEOUT and MB_E_CRASHED the process is ended, and every later call fails
 * with MB_E_CRASHED. */

/* When to give up on what was seen to take expected_ns (NaN: never seen): after ten seconds and
 * twenty times that, and at the latest when half of what is left until deadline_ns is over, so that
 * a process that hangs leaves time for the others. */
int64_t mb_worker_patience(int64_t deadline_ns, double expected_ns);

/* Starts the process and has it compile, open, plan, load and run once. On success `result` has
 * phases, start, info and plan_text (in `arena`). On failure there is no worker. */
enum mb_status mb_worker_start(const struct mb_worker_config *config, int64_t deadline_ns,
                               struct mb_arena *arena, struct mb_executor_result *result,
                               struct mb_worker **out, struct mb_err *err);

/* Untimed runs until there were at least settle_runs and settle_ns have passed, then n_samples
 * timed ones into samples_ns, and the outputs of the last to shared memory. The outputs are filled
 * with NaN bytes before the first timed run, so that a run that writes nothing shows; on a host
 * device each timed run is guarded (guard.h), unless a profiler looks. Profilers see
 * the untimed runs as one range and the timed ones as another, named after their purpose. */
struct mb_block {
    enum mb_nvtx_phase purpose; /* of the timed runs */
    uint32_t settle_runs, n_samples;
    int64_t settle_ns;
    bool new_inputs; /* the inputs in the shared parameters are not what they were: take them first
                      */
};
enum mb_status mb_worker_run(struct mb_worker *worker, const struct mb_block *block,
                             int64_t deadline_ns, double *samples_ns, struct mb_err *err);

/* How many untimed runs the last mb_worker_run made. */
uint64_t mb_worker_n_settled(const struct mb_worker *worker);

/* Where the time of the last mb_worker_run went. The first four are the worker's own account. */
struct mb_block_account {
    double settle_ns;  /* untimed runs, but for the first two where the guard (guard.h) is on */
    double around_ns;  /* what the guard does before and after the timed runs */
    double evict_ns;   /* evictions of caches */
    double other_ns;   /* the rest: inputs and outputs moved, the guard's two runs */
    double wall_ns;    /* all of it and the samples, by this process's clock; with the messages */
    uint64_t n_settle; /* runs in settle_ns */
    bool guarded;
    enum mb_guard_fault fault;
    uint64_t fault_run; /* of the timed ones, from 0 */
};
const struct mb_block_account *mb_worker_account(const struct mb_worker *worker);

/* By how much the processor's counter went on during the timed runs of the last mb_worker_run, in
 * ticks (counter.h); NaN where there is none, or in a process that cannot read it. */
double mb_worker_counter(const struct mb_worker *worker);

/* The process, for who looks at it from outside; 0 once it has ended. */
pid_t mb_worker_pid(const struct mb_worker *worker);

/* n_samples times of a run by the device's own clock, each that of n_runs runs / n_runs
 * (mb_backend.device_time). MB_E_UNSUPPORTED without such a clock or, when `evicted`, without an
 * eviction. */
enum mb_status mb_worker_device_time(struct mb_worker *worker, uint32_t n_samples, uint32_t n_runs,
                                     bool evicted, int64_t deadline_ns, double *samples_ns,
                                     struct mb_err *err);

/* The time of each step of a run (mb_backend.operations): medians over n_runs runs, at most `room`
 * into `out`, *n of them. None of these runs is a sample. MB_E_UNSUPPORTED where the executor has
 * no steps of its own. */
enum mb_status mb_worker_operations(struct mb_worker *worker, uint32_t n_runs, int64_t deadline_ns,
                                    struct mb_operation *out, size_t room, size_t *n,
                                    struct mb_err *err);

/* What the device of an executor can do at best, measured by a process of its own that has no
 * program and ends with it. MB_E_UNSUPPORTED where the backend measures none. */
enum mb_status mb_worker_ceilings(const struct mb_executor_entry *executor,
                                  const struct mb_open_config *open, int64_t deadline_ns,
                                  int cancel_fd, struct mb_ceilings *out, struct mb_err *err);

/* False once the process has ended. */
bool mb_worker_alive(const struct mb_worker *worker);

/* Outputs of the last run, in the program's order and element types. */
void *const *mb_worker_outputs(const struct mb_worker *worker);

/* Waits until all of the worker's threads sleep, so that the next executor has the machine to
 * itself; at most 100 ms. False when they never did. */
bool mb_worker_wait_parked(const struct mb_worker *worker);

void mb_worker_stop(struct mb_worker *worker); /* NULL is fine */

#endif
