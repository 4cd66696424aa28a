/* The result of a run: what was measured, ready for writers. Filled by the runner, read by
 * host/report, changed by nobody else. All pointers live in result->arena. Times are nanoseconds.
 */
#ifndef MB_RESULT_H
#define MB_RESULT_H

#include "arena.h"
#include "backend.h"
#include "nvml.h"
#include "stats.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Steps from source text to the first output, each measured once in a fresh process.
 * PHASE(name, meaning); NaN where a phase does not exist or was not measured. */
#define MB_PHASES(PHASE)                                                                           \
    PHASE(parse, "lexer and parser")                                                               \
    PHASE(check, "names, types and shapes")                                                        \
    PHASE(lower, "to SSA, and the verifier")                                                       \
    PHASE(open, "library and device start")                                                        \
    PHASE(plan, "fusion, algorithm choice, memory plan")                                           \
    PHASE(tune, "choosing by measurement; no part of the sum")                                     \
    PHASE(pack, "weights packed, folded or uploaded; scripting and freezing for torch")            \
    PHASE(first_inference, "first run, result readable")

struct mb_phases_ns {
#define PHASE(name, meaning) double name;
    MB_PHASES(PHASE)
#undef PHASE
};

/* By the device's own clock, the host's share left out (backend.h): runs back to back; single runs;
 * single runs that find their data in memory. SERIES(name, meaning) */
#define MB_DEVICE_SERIES(SERIES)                                                                   \
    SERIES(batch, "runs back to back, caches warm")                                                \
    SERIES(isolated, "one run, caches warm")                                                       \
    SERIES(cold, "one run, caches evicted")

enum mb_device_series {
#define SERIES(name, meaning) MB_DEVICE_##name,
    MB_DEVICE_SERIES(SERIES)
#undef SERIES
        MB_N_DEVICE_SERIES
};

struct mb_device_time {
    const char *reason; /* why there is nothing, or nothing more; NULL when all was measured */
    uint32_t n_runs;    /* in a sample */
    double *samples_ns; /* of one run: a sample's time / n_runs, in the order measured */
    size_t n_samples;
    struct mb_summary summary_ns; /* NaN without samples */
};

/* One process of an executor. An executor is started anew several times in a race, each time in two
 * processes that are measured in the same rounds, so that a start can be compared with itself:
 * processes 2 g and 2 g + 1 are its g-th start. */
struct mb_process {
    double *warmup_ns; /* single runs before its first block, in the order measured; no statistic
                          counts them */
    size_t n_warmup;
    size_t steady_from; /* first of them that belongs to the steady state (steady.h); n_warmup:
                           none does */
};

/* The machine while a block was measured, its untimed runs included; read before and after it,
 * never during. NaN or -1: this machine does not tell. */
struct mb_block_state {
    double start_ns;          /* since the first block of the benchmark */
    double second_timer_ns;   /* the block's timed runs by the second timer (timers.h) */
    double steal_ns;          /* that the hypervisor gave to others, of all processors together */
    double cpu_mhz;           /* fastest processor right after the block */
    double temperature_c;     /* hottest sensor right after the block */
    int64_t migrations;       /* of the worker's threads between processors */
    int64_t context_switches; /* of the worker's threads, against their will */
};

/* An executor against itself: its odd processes against its even ones, by the statistics that
 * executors are compared with. The true ratio is 1. */
struct mb_control {
    const char *reason; /* why there is none; NULL when there is one */
    struct mb_interval ratio;
    enum mb_verdict verdict; /* FAST or SLOW is a false alarm */
    double detectable;       /* the smallest relative change that is told from none in four of five
                                races like this one */
};

/* What the parent knows of a process's start beside its phases. Moments are by CLOCK_MONOTONIC. */
struct mb_start_marks {
    double spawned_ns;      /* right before the process was made */
    double entered_ns;      /* its main, or its script's first line */
    double first_output_ns; /* the first output could be read */
    double library_ns;      /* part of phases.open: libraries opened, modules imported */
    double compile_ns;      /* part of phases.pack, or of phases.plan in a script: a compiler's */
    double harness_ns;   /* in no phase, and what no user pays: the model put into a file format */
    double peak_bytes;   /* most memory in use until then (VmHWM) */
    double loaded_bytes; /* size of all files mapped: the program and its libraries */
};

/* roofline.h */
struct mb_roofline {
    double ns, read_gbps;
    bool is_compute; /* the arithmetic takes longer than the bytes */
};

struct mb_executor_result {
    const char *name, *device;
    bool measured;              /* false: nothing below is filled but `reason` */
    const char *reason;         /* why it was not measured, one line */
    bool valid;                 /* measured, and every check of the outputs passed */
    const char *invalid_reason; /* NULL when valid */
    struct mb_exec_info info;
    struct mb_phases_ns phases;
    struct mb_start_marks start;
    double *samples_ns; /* in the order measured */
    size_t n_samples;
    const size_t
        *first_of_block; /* n_blocks + 1 entries: block i is samples first[i]..first[i+1]-1 */
    size_t n_blocks;
    const size_t *process_of_block;      /* n_blocks entries */
    struct mb_block_state *block_states; /* n_blocks entries */
    struct mb_process *processes;
    size_t n_processes;
    const char *unsteady; /* drift, or no steady state: what was seen; NULL when steady */
    double drift;         /* relative change of a block's median from the first to the last block of
                             a process, NaN with too few blocks */
    double timer_disagreement; /* (second timer - samples) / second timer, median over blocks; NaN:
                                  `timer_reason` says why */
    const char *timer_reason;
    struct mb_control control;
    struct mb_summary latency_ns; /* NaN without samples */
    double throughput; /* samples (of a batch) per second: batch / mean latency; NaN likewise */
    struct mb_device_time device_time[MB_N_DEVICE_SERIES];
    /* The GPU right after blocks of this executor, and what that says. */
    struct mb_nvml_state *gpu_states;
    size_t n_gpu_states;
    const char *throttled;     /* what held its clocks back; NULL when nothing was seen */
    double energy_per_run_mj;  /* of the whole device, runs one after another; NaN: not measured */
    const char *energy_reason; /* why not; NULL when measured */
    /* Of all outputs together against the FP64 reference; the worst of the checks before, during
     * and after timing. max_rel_error is max |error| / max |reference|, rel_l2_error is
     * ||error|| / ||reference||. */
    double rel_l2_error, max_abs_error, max_rel_error; /* NaN when no output was checked */
    const char *plan_text;
    struct mb_roofline roofline;     /* ns is NaN where there is none */
    double roofline_share;           /* roofline.ns / the measured time; NaN likewise */
    struct mb_operation *operations; /* medians of several runs; NULL unless asked for */
    size_t n_operations;
    const char *operations_reason; /* why there are none, where they were asked for */
};

struct mb_cold_starts;

struct mb_comparison {
    const char *a, *b; /* executors; the speed-up says how much faster a is than b */
    bool withheld;     /* no ratio: `reason` says why */
    const char *reason;
    struct mb_interval speedup;          /* latency of b / latency of a */
    struct mb_interval throughput_ratio; /* throughput of a / throughput of b */
    double detectable;       /* smallest relative change that this race could have told from none */
    enum mb_verdict verdict; /* of a against b */
    const char
        *verdict_reason; /* why it is AMBG although the interval alone says more; else NULL */
};

/* What was measured, to be known again (origin.h). Hashes are SHA-256 in hexadecimal. */
struct mb_origin {
    const char *source_sha256; /* NULL: nothing of this is known, as in files of early versions */
    const char *entry;         /* as asked for; NULL: the program's own */
    struct mb_origin_binding {
        const char *name;
        int64_t extent;
    } * bindings; /* as asked for, the batch of a sweep among them */
    size_t n_bindings;
    bool given; /* some data came from the user's files instead of the seed */
    const char *weights_sha256, *inputs_sha256;
};

struct mb_benchmark_result {
    const char *name; /* workload, or the file's name without .mind; in brackets what sets it apart
                         in this run: [batch=N], [cache=cold], [transfers=included] */
    const char *file; /* NULL for a workload of ours */
    struct mb_origin origin;
    int64_t batch;           /* leading dimension of the first input, 1 for a scalar or none */
    double flops, bytes;     /* mb_program_flops, mb_program_bytes */
    struct mb_least least;   /* mb_program_least; in no file */
    const char *params_text; /* "x: tensor<f32[32, 784]> input, w1: ... weight" */
    bool cold;               /* caches were evicted before each timed run */
    bool transfers; /* a timed run began with its inputs, and ended with its outputs, in the host's
                       memory */
    const char *gpu_reason; /* why the GPU's state was not read; NULL when it was */
    int n_other_processes;  /* most that were seen computing on the GPU; -1: unknown */
    /* What no executor can be faster than: the cheapest algorithm known for the program against
     * ceilings measured on this machine. NaN: `floor_reason` says why there is none. */
    double floor_ns;
    const char *floor_reason;
    const char *ended_by; /* "samples", "duration", "max-noise", "timeout", "interrupt", "failure";
                             NULL: not begun, or read from a file that does not say */
    size_t n_controls, n_false_alarms; /* of the executors' controls */
    struct mb_executor_result *executors;
    size_t n_executors;
    struct mb_comparison *comparisons;
    size_t n_comparisons;
    /* Indices into comparisons for the two headline tables, -1 when there is none: mind against
     * torch-eager, and mind against the fastest torch executor. */
    int against_eager, against_fastest;
    struct mb_cold_starts *cold_starts; /* cold_start.h; NULL: none were asked for */
};

/* How the intervals and verdicts of a run were formed. */
struct mb_statistics {
    uint32_t n_resamples;         /* of each bootstrap */
    uint32_t n_restarts;          /* that were asked for */
    double confidence;            /* of every interval */
    double least_effect;          /* smallest relative difference that matters */
    double max_noise, duration_s; /* stop rules; 0: none */
};

struct mb_result {
    struct mb_arena arena;
    int argc;
    char **argv;
    uint64_t seed;
    struct mb_statistics statistics;
    int n_threads;
    enum mb_precision precision;
    double tolerance_rel_l2, tolerance_max_rel; /* what made an output wrong */
    const char *device;                         /* "cpu" or "cuda" */
    const char *device_reason; /* why this device, when the user left it open; or NULL */
    int64_t started_unix_s;
    bool has_ceilings; /* of the device, measured in this run */
    struct mb_ceilings ceilings;
    const char *ceilings_reason; /* why there are none; NULL when there are */
    struct mb_benchmark_result *benchmarks;
    size_t n_benchmarks;
    bool valid;                 /* every benchmark ran to its end and every measured row is valid */
    const char *invalid_reason; /* NULL when valid */
};

#endif
