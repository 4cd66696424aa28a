/* Steps of a plan that no kernel serves: every operation and dtype in plain C, split over threads.
 *
 * One pass over memory each, no fusion; f32 functions by vector_math.h. Float sums are made in
 * double precision. Integers wrap; their division truncates, and by zero it raises the flag and
 * gives 0.
 */
#ifndef MB_GENERIC_H
#define MB_GENERIC_H

#include "backend.h"
#include "threads.h"

struct mb_generic_args {
    const struct mb_node *node;
    const struct mb_type *types[MB_MAX_OPERANDS]; /* of the operands */
    const void *operands[MB_MAX_OPERANDS];
    void *y; /* overlaps no operand */
    bool *divided_by_zero;
    bool *index_outside; /* raised by a gather of an index that is none; it gives 0 */
};

/* Called by every thread of the team at once; each writes its share of y. */
typedef void mb_generic_fn(const struct mb_generic_args *args, const struct mb_thread *thread);

/* The function for an operation on operands of this dtype, by instructions of `isa` and below;
 * RESHAPE is a copy. NULL for PARAM and DENSE, which compute nothing, and for what the shape rules
 * exclude. */
mb_generic_fn *mb_generic_find(enum mb_isa isa, enum mb_op op, enum mb_dtype dtype);

/* The same, of one instruction set each. */
mb_generic_fn *mb_generic_find_scalar(enum mb_op op, enum mb_dtype dtype);
mb_generic_fn *mb_generic_find_avx2(enum mb_op op, enum mb_dtype dtype);
mb_generic_fn *mb_generic_find_avx512(enum mb_op op, enum mb_dtype dtype);

#endif
