/* Cold starts: every executor again and again from a fresh process to its first outputs.
 *
 * Each start is a waterfall of steps by one monotonic clock, which both processes read: the steps
 * and `other` add up to the time from right before the process was made until its first output
 * could be read. Files are in the page cache from the second start on, as on a machine in use. An
 * executor that remembers something on disk has two rows: its first start on a machine, with an
 * empty folder for its caches, and a later one, which finds what an earlier start left there.
 *
 * Starts are plain (backend.h): nothing in them is there for the race's sake. What only the harness
 * needs, as writing the program down in a peer's file format, is timed apart and left out. */
#ifndef MB_COLD_START_H
#define MB_COLD_START_H

#include "result.h"
#include "runner.h"
#include "tensors.h"
#include "total_time.h"

/* STEP(name, meaning): in the order of time, but for `other`. */
#define MB_START_STEPS(STEP)                                                                       \
    STEP(process, "fork, exec and dynamic linker; a script's interpreter")                         \
    STEP(library, "libraries opened, modules imported")                                            \
    STEP(open, "device or context, threads")                                                       \
    STEP(parse, "lexer and parser")                                                                \
    STEP(check, "names, types and shapes")                                                         \
    STEP(lower, "to SSA, and the verifier; torch.export")                                          \
    STEP(plan, "fusion, memory plan; a session of a script")                                       \
    STEP(tune, "choosing by measurement")                                                          \
    STEP(compile, "scripting and freezing; torch.compile, AOTInductor")                            \
    STEP(pack, "weights packed, folded or uploaded")                                               \
    STEP(first_inference, "first run, result readable")                                            \
    STEP(other, "what is left of the whole")

enum mb_start_step {
#define STEP(name, meaning) MB_STEP_##name,
    MB_START_STEPS(STEP)
#undef STEP
        MB_N_START_STEPS
};

const char *mb_start_step_name(enum mb_start_step step);

enum mb_start_state {
    MB_START_ALIKE, /* nothing on disk makes a difference */
    MB_START_FIRST, /* caches empty, nothing compiled */
    MB_START_LATER, /* caches as an earlier start left them */
};

struct mb_start_row {
    const char *name; /* "torch-eager", "mind (first start)": differs between rows */
    const char *executor;
    enum mb_start_state state;
    const char *remembers; /* what an empty or filled cache is of; NULL: nothing */
    bool in_python;        /* each run's latency includes a call from Python */
    const char *reason;    /* why there is no start, or none more; NULL when all went well */
    size_t n;              /* starts: fewer than were asked for where they take long */
    double (*steps_ns)[MB_N_START_STEPS]; /* [n]; NaN: the executor has no such step */
    double (*outputs_ns)[MB_FIRST_RUNS];  /* [n], as mb_total_side has them */
    double *peak_bytes, *loaded_bytes;    /* [n]: most memory in use, files mapped */
    const char *total_reason;             /* why there is no total time; NULL when there is */
    struct mb_interval total_ns[MB_N_TOTALS];
};

/* The first executor of the race against another, each in the same state. */
struct mb_start_pair {
    const struct mb_start_row *a, *b;
    const char *reason; /* why nothing was concluded; NULL when it was */
    struct mb_break_even even;
};

struct mb_cold_starts {
    uint32_t n_asked;
    struct mb_start_row *rows;
    size_t n_rows;
    struct mb_start_pair *pairs;
    size_t n_pairs;
};

/* Medians over a row's starts, NaN without any: of a step, of the first output, of memory in use
 * and of the files mapped. */
double mb_start_median_step(const struct mb_start_row *row, enum mb_start_step step);
double mb_start_median_whole(const struct mb_start_row *row);
double mb_start_median_peak(const struct mb_start_row *row);
double mb_start_median_loaded(const struct mb_start_row *row);

/* Fewer starts than this make no interval: such a row has starts, and no total time. */
enum { MB_LEAST_STARTS = 3 };

/* Starts every executor of the race n_starts times, those that take long less often, and forms the
 * totals with the latencies that `bench` has from the race. `params` are filled, `reference` is
 * what the outputs are compared with. Everything lives in result->arena. Failures of an executor
 * are its row's reason; MB_E_INTERRUPTED and MB_E_TIMEOUT: cut short, `out` has what there is. */
enum mb_status mb_cold_starts(const struct mb_race_config *config, const struct mb_shared *params,
                              double *const *reference, struct mb_result *result,
                              const struct mb_benchmark_result *bench, struct mb_cold_starts *out,
                              struct mb_err *err);

/* Forms the total times and break-evens of `out` anew, from its starts and the latencies in
 * `bench`; the rows of the first executor named are held against the others. MB_E_NOMEM. */
enum mb_status mb_conclude_starts(const struct mb_benchmark_result *bench,
                                  struct mb_cold_starts *out, uint64_t seed, struct mb_arena *arena,
                                  struct mb_err *err);

#endif
