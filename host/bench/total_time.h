/* Total time: everything from the start of a process to its N-th output, and the N at which one
 * executor's total passes another's. Pure functions of samples, no clock, no I/O.
 *
 * Total(N) is the median over cold starts of the time to output N while each of the first runs was
 * timed in them, and from there on the mean latency of a warm run for each run more. Intervals are
 * 95 % percentile bootstraps (10,000 resamples) over cold starts and over the race's blocks; two
 * executors' blocks, measured next to each other, are drawn together. */
#ifndef MB_TOTAL_TIME_H
#define MB_TOTAL_TIME_H

#include "stats.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Runs of a cold start that are timed one by one: the first, whose output ends the start, and those
 * after it, in which some executors still profile and compile. */
enum { MB_FIRST_RUNS = 10 };

/* The N of the tables. */
enum { MB_N_TOTALS = 5 };
extern const double mb_total_runs[MB_N_TOTALS]; /* 1, 10, 100, 1,000, 1,000,000 */

/* One executor's measurements. All borrowed. */
struct mb_total_side {
    /* [n_starts][MB_FIRST_RUNS]: when output 1, 2, ... could be read, from the process's start */
    double (*outputs_ns)[MB_FIRST_RUNS];
    size_t n_starts;         /* >= 1 */
    const double *steady_ns; /* latencies of warm runs, in blocks as in result.h */
    const size_t *first_of_block;
    size_t n_blocks; /* >= 1 */
};

/* Total(N) for the N of mb_total_runs. False without memory. */
bool mb_total_times(const struct mb_total_side *side, uint64_t seed,
                    struct mb_interval out_ns[MB_N_TOTALS]);

/* KIND(id, JSON name, what it says of a against b) */
#define MB_BREAK_EVENS(KIND)                                                                       \
    KIND(FROM_FIRST_RUN, "from_the_first_run", "ahead at every N")                                 \
    KIND(FROM_RUN, "from_run", "behind at first, ahead from run N on")                             \
    KIND(UNTIL_RUN, "until_run", "ahead at first, behind after run N")                             \
    KIND(NEVER, "never", "behind at every N")                                                      \
    KIND(NOT_PROVEN, "not_proven", "the measurements allow more than one of these")

enum mb_break_even_kind {
#define KIND(id, name, meaning) MB_EVEN_##id,
    MB_BREAK_EVENS(KIND)
#undef KIND
};

const char *mb_break_even_name(enum mb_break_even_kind kind); /* the JSON name */

struct mb_break_even {
    enum mb_break_even_kind kind;          /* what at least 97.5 % of the resamples say */
    struct mb_interval runs;               /* the N; NaN but for FROM_RUN and UNTIL_RUN */
    struct mb_interval ratio[MB_N_TOTALS]; /* Total of b / Total of a: above 1, a is ahead */
};

/* Of a against b. False without memory. */
bool mb_break_even(const struct mb_total_side *a, const struct mb_total_side *b, uint64_t seed,
                   struct mb_break_even *out);

#endif
