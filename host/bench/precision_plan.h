/* How long a wished precision takes: what a pilot measured, scaled to more starts.
 *
 * The pilot is a race that --max-noise ends as soon as it may, after MB_SCHEDULE_STARTS starts of
 * MB_SCHEDULE_ROUNDS rounds, so that its pairs of processes vary as those of a longer one do. The
 * interval of n pairs is then t(n - 1) / sqrt(n) times as wide as one deviation of a pair, which
 * the pilot's own interval tells. A pilot of six pairs knows that deviation within a factor of 0.6
 * to 2.5 (95 %), and so the number of samples to the square of that. */
#ifndef MB_PRECISION_PLAN_H
#define MB_PRECISION_PLAN_H

#include "paired.h"
#include "result.h"

/* For mb_race_config.max_noise: any interval is narrow enough. */
#define MB_PILOT_NOISE 1e9

struct mb_pilot {
    double half_width; /* of the logarithm of the first ratio, or of the one executor's latency */
    bool alone;        /* one executor, no ratio */
    struct mb_noise noise[2]; /* of both sides, or of the one alone */
    uint32_t n_starts;
    uint32_t n_samples; /* of each executor in a start */
    double cycle_s;     /* from the first block of a start to that of the next */
    double wall_s;      /* of the pilot */
};

struct mb_effort {
    double n_starts, n_samples; /* whole numbers, perhaps large; samples of each executor */
    double wall_s;
    double detectable; /* the smallest relative change then told from none in four of five races */
};

/* Reads a benchmark that was measured as a pilot in wall_s seconds. NULL, or why it tells nothing:
 * valid as long as the benchmark is. */
const char *mb_pilot_read(const struct mb_benchmark_result *benchmark, double wall_s,
                          struct mb_pilot *out);

/* What --max-noise with this share (0.01: 1 %) takes. Never fewer starts than the pilot's. */
struct mb_effort mb_pilot_effort(const struct mb_pilot *pilot, double max_noise);

#endif
