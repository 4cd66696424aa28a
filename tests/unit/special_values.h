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

/* What another library computes otherwise, and may. */
struct sv_license {
    double ulps;                     /* of element operations, on top of what each has anyway */
    bool casts_of_what_does_not_fit; /* C leaves them undefined; ops.def does not */
    bool flushes_exponentials;       /* results below the least normal number may be zero */
};

/* Fails the test where the executor differs. Covers every operation that ops.def allows on dtype,
 * MB_F32 or MB_F64. */
void sv_check_on(const struct mb_backend *backend, const struct mb_open_config *config,
                 enum mb_dtype dtype, const struct sv_license *license);

#endif
