/* A race while it runs. Private to the files of the runner: runner.c (order and end),
 * race_start.c (processes), race_block.c (blocks and checks),
 * race_account.c (is what workers tell true), race_inputs.c (inputs and
 * references), race_device.c (what a device adds). */
#ifndef MB_RACE_H
#define MB_RACE_H

#include "runner.h"
#include "worker.h"

enum {
    MB_RACE_LANES = 2,      /* processes of a start, measured in the same rounds */
    MB_RACE_INPUT_SETS = 2, /* that take turns, so that a result kept from before shows */
};

/* One block of a racer, as told by its process and as seen from outside. */
struct racer_account {
    struct mb_block_account told;
    double cpu_ns;    /* of its main thread, by the kernel; NaN: not told */
    double waited_ns; /* for a processor, the harness, by the kernel; 0: not told */
    bool parked;      /* all its threads slept soon after */
};

struct racer {
    const struct mb_executor_entry *entry;
    struct mb_executor_result *result;
    const char *package; /* package.h; NULL until it is asked for */
    double start_ns;     /* what the slowest start so far took; NaN: none yet */
    bool out;            /* of the race */
    struct mb_worker *workers[MB_RACE_LANES];
    struct mb_worker *worker; /* the one in use; NULL once the racer is out */
    size_t input_set[MB_RACE_LANES];
    size_t *first_of_block, *process_of_block; /* grow with the rounds */
    size_t capacity_samples, capacity_blocks, capacity_processes;
    struct racer_account *accounts; /* one for each block */
    size_t n_accounts, capacity_accounts;
    size_t capacity_device[MB_N_DEVICE_SERIES], capacity_states;
};

struct race {
    const struct mb_race_config *config;
    struct mb_result *result;
    struct mb_benchmark_result *bench;
    struct racer *racers;
    uint32_t n_lanes, n_starts; /* n_starts: begun so far */
    struct mb_shared params;
    void **inputs[MB_RACE_INPUT_SETS]; /* copies, NULL for weights */
    double **reference[MB_RACE_INPUT_SETS];
    size_t n_input_sets, input_set; /* which of them lies in params */
    struct mb_nvml *nvml;           /* NULL: bench->gpu_reason says why */
    uint64_t draws;                 /* position in the stream of random orders */
    int64_t first_block_ns;         /* CLOCK_MONOTONIC; 0: none yet */
    int64_t clock_begin_ns;         /* the two timers when the race began */
    uint64_t counter_begin;
};

void mb_race_progress(const struct race *r, const char *what, double share);
size_t mb_race_n_running(const struct race *r);

/* Takes the racer out of the race. What it measured so far stays, marked with the reason. Only an
 * executor that this machine or build does not have counts as not measured: any other failure is a
 * finding about it. */
void mb_race_drop(struct race *r, struct racer *racer, enum mb_status why, const char *reason);

/* Whether the failure ends the whole race rather than one racer. */
bool mb_race_ends(const struct race *r, enum mb_status st);

/* When a worker that was given n_runs, once it is started, is ended for not answering. */
int64_t mb_race_patience(const struct race *r, const struct racer *racer, double n_runs);

/* Room for `more` numbers behind n, in the arena. */
bool mb_race_grow(struct mb_arena *arena, double **values, size_t n, size_t more, size_t *capacity);

/* ---- race_start.c ---- */

/* One start of every racer: processes prepared, checked and warmed up. */
enum mb_status mb_race_start_all(struct race *r, struct mb_err *err);
void mb_race_stop_all(struct race *r);

/* ---- race_block.c ---- */

/* Compares the worker's outputs with the reference; false (and out of the race) when they are
 * wrong. */
bool mb_race_check_outputs(struct race *r, struct racer *racer, const char *when);

/* n samples of the racer's process of that lane. */
enum mb_status mb_race_block(struct race *r, struct racer *racer, size_t lane, uint32_t n,
                             struct mb_err *err);

/* Turns the second timer's ticks into nanoseconds, once the race is over. */
void mb_race_scale_counter(struct race *r);

/* ---- race_account.c ---- */

/* False (and out of the race) when the guard of the last block (guard.h) found something. */
bool mb_race_check_guard(struct race *r, struct racer *racer);

/* Of the block just kept. False without memory. */
bool mb_race_keep_account(struct race *r, struct racer *racer, const struct racer_account *account);

/* Once all blocks are measured: a row whose account cannot be true is INVALID. */
enum mb_status mb_race_judge_accounts(struct race *r, struct mb_err *err);

/* ---- race_inputs.c ---- */

/* Weights, inputs and references. */
enum mb_status mb_race_make_inputs(struct race *r, struct mb_err *err);
void mb_race_use_inputs(struct race *r, size_t set);

/* ---- race_device.c ---- */

enum mb_status mb_race_size_batch(struct race *r, struct racer *racer, struct mb_err *err);
enum mb_status mb_race_device_block(struct race *r, struct racer *racer, uint32_t n,
                                    struct mb_err *err);
void mb_race_open_nvml(struct race *r);
void mb_race_read_gpu(struct race *r, struct racer *racer);
void mb_race_count_other_processes(struct race *r);
enum mb_status mb_race_energy(struct race *r, struct mb_err *err);

/* ---- race_operations.c ---- */

enum mb_status mb_race_operations(struct race *r, struct mb_err *err);

#endif
