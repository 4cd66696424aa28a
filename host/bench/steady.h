/* Whether a process had settled when it was timed: pure functions of samples. */
#ifndef MB_STEADY_H
#define MB_STEADY_H

#include "paired.h"
#include "status.h"

#include <stdbool.h>

/* The change point between warm-up and steady state: index of the first run of the steady state. It
 * is the truncation that makes the standard error of the mean of what is left smallest (MSER:
 * White, "An effective truncation heuristic for bias reduction in simulation output", Simulation
 * 69:6, 1997), here on the logarithms of medians of three neighbours, since a single run may be
 * interrupted; a truncation that does not halve the squared error is none. A minimum in the second
 * half says that too little is left to tell: then the answer is n, no steady state. n: also for n =
 * 0. */
size_t mb_steady_from(const double *runs_ns, size_t n);

struct mb_drift {
    double relative;  /* change from the first to the last block: Theil-Sen slope of the logarithms
                         of block medians; NaN with fewer than MB_DRIFT_BLOCKS blocks */
    bool significant; /* Mann-Kendall test at 1 % */
};
enum { MB_DRIFT_BLOCKS = 8 };

/* Over the blocks in the order measured. MB_E_NOMEM. */
enum mb_status mb_steady_drift(const struct mb_series *side, struct mb_drift *out,
                               struct mb_err *err);

#endif
