/* A chain of element operations (plan.h) in one pass over its operands: block by block, each
 * operation by its generic function (generic.h), what lies between them in scratch that stays in
 * the second-level cache at the most. */
#ifndef MB_CHAIN_H
#define MB_CHAIN_H

#include "backend.h"
#include "generic.h"

#include <stddef.h>
#include <stdint.h>

struct mb_chain_args {
    const struct mb_program *program;
    const uint32_t *nodes; /* n, ascending, as in struct mb_step */
    uint32_t n;
    enum mb_isa isa;
    const void *(*address)(const void *self, uint32_t node); /* of an operand from outside */
    const void *self;
    void *y;       /* of the last node, overlaps no operand */
    void *scratch; /* mb_chain_scratch bytes, 64-byte aligned */
    bool *divided_by_zero;
};

size_t mb_chain_scratch(uint32_t n, int n_threads);

/* The share's blocks of y. */
void mb_chain_run(const struct mb_chain_args *args, const struct mb_thread *thread);

#endif
