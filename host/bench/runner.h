/* The race: one program, several executors, each in its own process, measured in short blocks that
 * take turns.
 *
 * Every executor is prepared, checked against the FP64 reference, warmed up, then timed in rounds.
 * In a round each executor has one block; the order is random, and the next round has it reversed
 * (ABBA), so that drift meets all sides alike. Before a block the worker runs untimed until it is
 * settled; between blocks the harness waits until the last worker's threads sleep. Outputs are
 * poisoned before and compared after every block.
 *
 * On a device with a clock of its own, each block is followed by as many samples of each of the
 * three kinds of device time (result.h), and the state of the GPU is read, through NVML where it is
 * to be had, right after either: never while something is timed.
 *
 * A worker that does not answer is ended: after ten seconds and twenty times what its work can
 * take, but at the latest after half of the time that is left, so that the others go on. */
#ifndef MB_RUNNER_H
#define MB_RUNNER_H

#include "executors.h"
#include "mind.h"
#include "result.h"
#include "trace_log.h"

#include <stdbool.h>
#include <stdint.h>

/* Relative L2 error and max |error| / max |reference| above which an fp32 output is wrong: ten to
 * a hundred times what correct kernels show (README), far below what a wrong tap or a reduced
 * precision does. */
#define MB_TOLERANCE_REL_L2  5e-6
#define MB_TOLERANCE_MAX_REL 2e-5

/* The same where an executor's products are of tf32, whose factors have 11 significant bits. */
#define MB_TOLERANCE_TF32_REL_L2  1e-3
#define MB_TOLERANCE_TF32_MAX_REL 5e-3

struct mb_race_config {
    const char *name; /* of the benchmark in the result */
    const char *file; /* NULL for a workload of ours */
    struct mb_mind_source source;
    const struct mb_program *program; /* of the source; borrowed during the race */
    const char *device;
    const char *const *executors; /* names; the first is the one that others are compared with */
    size_t n_executors;
    struct mb_open_config open; /* executor and device are set per worker */
    uint64_t seed;
    /* Called when the parameters have been made up from the seed, to put given data over some of
     * them; its failure is the race's. NULL: none. */
    enum mb_status (*overwrite)(const void *arg, const struct mb_program *program,
                                void *const *params, struct mb_err *err);
    const void *overwrite_arg;
    bool given;         /* overwrite puts something over them */
    uint32_t n_samples; /* of each executor; >= 1 */
    uint32_t n_warmup;
    uint32_t n_restarts; /* starts of each executor, each of two processes; 0: as many as fit */
    bool cold;        /* caches evicted before each timed run; a backend that cannot is no racer */
    bool transfers;   /* inputs up and outputs down inside each timed run */
    bool ceilings;    /* measure them unless the result has them: for shares and floors */
    bool profile_ops; /* time each step of a run as well, apart from the samples */
    bool profile;     /* no race: one run of each executor, for a profiler to capture */
    struct mb_trace_log *trace; /* borrowed; what the workers did. NULL: nobody wants to know */
    double duration_s;          /* > 0: go on in rounds until then instead of counting samples */
    double max_noise;       /* > 0: until the first comparison's interval is within +- this share */
    uint32_t n_cold_starts; /* of each executor, after the race (cold_start.h) */
    bool compile_only;      /* no race: cold starts alone */
    int64_t deadline_ns;    /* CLOCK_MONOTONIC; what is measured by then is kept, marked INVALID */
    int cancel_fd;          /* readable when the user interrupts; or -1 */
    /* Called now and then from the measuring thread, never during a block. NULL: silence. */
    void (*progress)(void *arg, const char *benchmark, const char *what, double share_done);
    void *progress_arg;
};

/* Runs one race and fills one benchmark of the result (allocated in result->arena). Executors that
 * fail are rows of the result, not errors of the race. MB_E_INTERRUPTED and MB_E_TIMEOUT: cut
 * short, with what was measured filled in and marked; other failures (memory): nothing is filled.
 */
enum mb_status mb_race(const struct mb_race_config *config, struct mb_result *result,
                       struct mb_benchmark_result *out, struct mb_err *err);

#endif
