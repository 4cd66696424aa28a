/* The time of a kernel on a step, on stand-in data: seeded normal numbers, since zeros draw less
 * power and clock higher. */
#ifndef MB_MEASURE_KERNEL_H
#define MB_MEASURE_KERNEL_H

#include "step_kernel.h"

struct mb_stand_in;

/* Operands and a result for the step. Kernels may be measured on them one after another. */
enum mb_status mb_stand_in_new(struct mb_gpu *gpu, enum mb_step_kind kind,
                               const union mb_step_desc *desc, struct mb_stand_in **out,
                               struct mb_err *err);
void mb_stand_in_free(struct mb_stand_in *data); /* waits; NULL is fine */

/* Packs, runs once to warm up, then times a short batch by the device's clock. `ns` is one run's.
 */
enum mb_status mb_stand_in_measure(struct mb_stand_in *data, const struct mb_step_kernel *kernel,
                                   double *ns, struct mb_err *err);

#endif
