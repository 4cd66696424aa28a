/* Every operation on the values that arithmetic treats apart: NaN, infinities, zeros of both signs,
 * denormals, the largest and the least numbers. Each has an operation of its own program, run by an
 * executor and by the FP64 reference.
 *
 * NaN and infinities must be in the same places and of the same sign, other results within a few
 * units of the last place, denormal ones included. The sign of zero must be the reference's where
 * IEEE 754 defines it: not of max, min, relu and sums. */
#ifndef MB_SPECIAL_VALUES_H
#define MB_SPECIAL_VALUES_H

#include "backend.h"

/* One element of a result that is not what is said above. */
struct sv_element {
    enum mb_dtype dtype; /* the result's */
    double operand[2];   /* of an element operation or a cast, broadcast */
    double got, exact;
    /* Of a convolution with stride 1: a tile of at most 4 x 4 outputs from a patch of 6 x 6 may
     * have both this output and a value of x that is not finite. */
    bool shares_patch;
};

/* What an executor computes otherwise, and may: one row for each reason. */
struct sv_license {
    enum mb_op op;
    enum mb_dtype dtype; /* of the operands */
    bool (*covers)(const struct sv_element *element);
};

/* Fails the test where the executor differs from the reference and no license covers it. Covers
 * every operation that ops.def allows on dtype, MB_F32 or MB_F64. */
void sv_check_on(const struct mb_backend *backend, const struct mb_open_config *config,
                 enum mb_dtype dtype, const struct sv_license *licenses, size_t n_licenses);

#endif
