/* Valid programs from a seed: any operation of ops.def, on shapes where tiles end in the middle, in
 * the chains that executors fuse.
 *
 * Each value comes with bounds of its elements and of what an executor that computes in f32 may be
 * off by, so that what such an executor must answer is known: operations are taken only where both
 * bounds stay small, and those that jump (comparisons, floor, argmax, casts to integers) only of
 * values that are exact. */
#ifndef RANDOM_PROGRAM_H
#define RANDOM_PROGRAM_H

#include "program.h"

#include <stdbool.h>

enum { RP_MAX_NODES = 40, RP_MAX_PARAMS = RP_MAX_NODES, RP_MAX_OUTPUTS = 3, RP_DENSE = 64 };

struct rp_bounds {
    double low, high; /* of the elements */
    double error;     /* |f32 result - exact result| of each; 0: equal */
};

struct rp_program {
    struct mb_program program;
    struct mb_node nodes[RP_MAX_NODES];
    struct rp_bounds bounds[RP_MAX_NODES];
    struct mb_param params[RP_MAX_PARAMS];
    uint32_t outputs[RP_MAX_OUTPUTS];
    int64_t dense[RP_MAX_NODES][RP_DENSE / 2]; /* data of DENSE nodes */
    uint64_t seed, n_drawn;
};

/* The program of a seed; it has passed mb_program_check. */
void rp_make(struct rp_program *p, uint64_t seed);

/* Data of a parameter: floats in [-1, 1], integers 1..9, bools; `out` has room for all of it. */
void rp_fill_param(const struct rp_program *p, uint32_t param, void *out);

#endif
