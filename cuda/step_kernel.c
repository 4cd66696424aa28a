#include "step_kernel.h"

enum mb_status mb_step_kernel_pack(const struct mb_step_kernel *kernel, const float *w,
                                   const float *bias, void *packed, struct mb_err *err) {
    if (kernel->vendor) return kernel->vendor->pack(kernel->state, w, bias, packed, err);
    return mb_gpu_check(
        kernel->own->pack(&kernel->desc, kernel->properties, w, bias, packed, kernel->gpu->stream),
        "pack", err);
}

enum mb_status mb_step_kernel_launch(const struct mb_step_kernel *kernel,
                                     const struct mb_cuda_args *args, struct mb_err *err) {
    if (kernel->vendor) return kernel->vendor->launch(kernel->state, args, err);
    return mb_gpu_check(
        kernel->own->launch(&kernel->desc, kernel->properties, args, kernel->gpu->stream), "launch",
        err);
}
