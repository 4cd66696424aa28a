/* One executor in two runs, which nothing ties together: another time, another state of the
 * machine, perhaps another machine. The interval is wider than that of pairs in one race
 * (paired.h), and can only hold the variation that each run saw of itself. */
#ifndef MB_UNPAIRED_H
#define MB_UNPAIRED_H

#include "result.h"

#include <stdbool.h>

struct mb_unpaired {
    struct mb_interval speedup; /* latency of base / latency of next: above 1, next is faster */
    bool one_process; /* a side ran in one process: what changes from start to start is not in the
                         interval */
};

/* value: ratio of the medians over blocks of their medians. Interval: 95 % bootstrap in two levels,
 * processes of a run and blocks of a process, of each side by itself (MB_RESAMPLES resamples);
 * where the first level has few members its width is stretched by what Student's t has over the
 * normal distribution. Both sides have two blocks at the least. NaN
 * without memory. */
struct mb_unpaired mb_unpaired_speedup(const struct mb_executor_result *base,
                                       const struct mb_executor_result *next, uint64_t seed);

#endif
