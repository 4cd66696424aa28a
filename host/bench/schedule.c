#include "schedule.h"

#include <math.h>

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

struct mb_schedule mb_schedule_of(uint32_t n_samples, uint32_t n_starts) {
    struct mb_schedule s = {.n_samples = n_samples};
    s.n_blocks = least(n_samples, MB_SCHEDULE_BLOCKS);
    s.n_lanes = least(n_samples, 2);
    s.n_rounds = (s.n_blocks + s.n_lanes - 1) / s.n_lanes;
    s.n_starts = least(n_starts, s.n_rounds);
    return s;
}

uint32_t mb_schedule_first_round(const struct mb_schedule *s, uint32_t start) {
    return (uint32_t)((uint64_t)start * s->n_rounds / s->n_starts);
}

uint32_t mb_schedule_samples(const struct mb_schedule *s, uint32_t round, uint32_t lane) {
    const uint32_t block = round * s->n_lanes + lane;
    if (block >= s->n_blocks) return 0;
    return s->n_samples / s->n_blocks + (block < s->n_samples % s->n_blocks);
}

uint32_t mb_schedule_starts_in(double duration_s, double start_cost_s) {
    const double fit = floor(duration_s / fmax(2, 4 * start_cost_s));
    return (uint32_t)fmin(fmax(fit, MB_SCHEDULE_STARTS), MB_SCHEDULE_MOST_STARTS);
}
