/* In place of cuda/measure_kernel.c where kernels run in emulation: their times would mean nothing
 * and take long, so that each "takes" what it estimates. */
#include "measure_kernel.h"

enum mb_status mb_stand_in_new(struct mb_gpu *gpu, enum mb_step_kind kind,
                               const union mb_step_desc *desc, struct mb_stand_in **out,
                               struct mb_err *err) {
    (void)gpu, (void)kind, (void)desc, (void)err;
    *out = NULL;
    return MB_OK;
}

void mb_stand_in_free(struct mb_stand_in *data) { (void)data; }

enum mb_status mb_stand_in_measure(struct mb_stand_in *data, const struct mb_step_kernel *kernel,
                                   double *ns, struct mb_err *err) {
    (void)data, (void)err;
    *ns = kernel->own->cost(&kernel->desc, kernel->properties);
    return MB_OK;
}
