/* Making again what a result was measured on, from the program and the seed. */
#ifndef MB_REMAKE_H
#define MB_REMAKE_H

#include "result_verify.h"

/* Compiles the benchmark's program as the result says it was, makes its weights and inputs from the
 * seed, and adds to the verification what does not agree, and what could not be compared. `strict`:
 * the result is of this version, so that the same program gives the same numbers. */
void mb_remake(const struct mb_result *result, const struct mb_benchmark_result *benchmark,
               bool strict, struct mb_verification *v);

#endif
