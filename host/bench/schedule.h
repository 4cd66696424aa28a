/* How a race's samples are spread over starts, rounds and blocks: pure functions. */
#ifndef MB_SCHEDULE_H
#define MB_SCHEDULE_H

#include <stdint.h>

enum {
    MB_SCHEDULE_BLOCKS = 20, /* that a count of samples is split into */
    MB_SCHEDULE_STARTS = 3,  /* unless the user says otherwise; also the least before an interval
                                is trusted to end a race */
    MB_SCHEDULE_MOST_STARTS = 20,
    MB_SCHEDULE_ROUNDS = 10 /* of a start when nothing but precision ends the race */
};

struct mb_schedule {
    uint32_t n_samples; /* of each executor */
    uint32_t n_blocks;  /* of each executor */
    uint32_t n_lanes;   /* processes of a start; a round has one block of each */
    uint32_t n_rounds, n_starts;
};

/* For a count of samples: two processes and `n_starts` starts where there are blocks enough. */
struct mb_schedule mb_schedule_of(uint32_t n_samples, uint32_t n_starts);

/* The first round of start g; for g = n_starts the number of rounds. */
uint32_t mb_schedule_first_round(const struct mb_schedule *s, uint32_t start);

/* Samples of the block of a lane in a round; 0: there is none. */
uint32_t mb_schedule_samples(const struct mb_schedule *s, uint32_t round, uint32_t lane);

/* Starts within a given time: a start should be worth four times what it costs, and two seconds. */
uint32_t mb_schedule_starts_in(double duration_s, double start_cost_s);

#endif
