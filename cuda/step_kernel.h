/* A row of kernels.def with all that it needs for one step: a kernel of ours, or a vendor's with
 * the state that the library made for the step and the way that was chosen. What a plan's step
 * points to. */
#ifndef MB_STEP_KERNEL_H
#define MB_STEP_KERNEL_H

#include "cuda_kernel.h"
#include "gpu.h"
#include "vendor.h"

struct mb_step_kernel {
    const struct mb_cuda_kernel *own;      /* or */
    const struct mb_vendor_kernel *vendor; /* with */
    struct mb_vendor_step *state;          /* which it owns */
    struct mb_vendor_way way;              /* the sizes of either */
    const char *name;                      /* f32_gemv, cublaslt_matmul.7 */
    enum mb_step_kind kind;
    union mb_step_desc desc;
    const struct mb_gpu_properties *properties;
    struct mb_gpu *gpu;
    struct mb_step_kernel *next; /* of those that one chooser has made */
};

/* As the functions of a row (cuda_kernel.h), enqueued on the device's stream. */
enum mb_status mb_step_kernel_pack(const struct mb_step_kernel *kernel, const float *w,
                                   const float *bias, void *packed, struct mb_err *err);
enum mb_status mb_step_kernel_launch(const struct mb_step_kernel *kernel,
                                     const struct mb_cuda_args *args, struct mb_err *err);

#endif
