/* What a CUDA kernel is: one row of cuda/kernels.def, one struct of functions, one .cu file.
 *
 * A kernel computes one step of a plan (host/plan/step.h). Of those that support its description on
 * the device, the cheapest is taken. All pointers are device memory, aligned to 256 bytes unless
 * they are the caller's (16 then). Everything is enqueued on the given stream, which may be
 * capturing: nothing here allocates, waits or reads the device back. Clean as C and as C++. */
#ifndef MB_CUDA_KERNEL_H
#define MB_CUDA_KERNEL_H

#include "step.h"

#include <cuda_runtime_api.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What kernels may depend on. */
struct mb_gpu_properties {
    int cc; /* compute capability, major * 10 + minor: 90 */
    int n_sms;
    int shared_bytes; /* a block may ask for, opt-in */
    int clock_khz;    /* boost */
    size_t l2_bytes;
    double memory_gbps; /* from bus width and clock; for cost() alone */
};

struct mb_cuda_args {
    const float *x;     /* a or the image */
    const void *packed; /* what `pack` wrote: weights and bias */
    float *y;           /* overlaps nothing else */
    void *scratch;      /* scratch_bytes, contents undefined */
    bool packed_in_run; /* `pack` was enqueued just before, and nothing has waited for it since:
                           the kernel may not begin earlier (launch.h, chains of kernels) */
};

struct mb_cuda_kernel {
    const char *name; /* f32_gemv: also its test's and the plan's word */
    enum mb_step_kind kind;
    bool (*supports)(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu);

    /* Estimated time in nanoseconds: only the order among kernels of the same step matters. */
    double (*cost)(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu);

    size_t (*packed_bytes)(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu);
    size_t (*scratch_bytes)(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu);

    /* w and bias (NULL without), in the program's layout, to the kernel's own at `packed`. */
    cudaError_t (*pack)(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu,
                        const float *w, const float *bias, void *packed, cudaStream_t stream);

    cudaError_t (*launch)(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu,
                          const struct mb_cuda_args *args, cudaStream_t stream);

    double products; /* multiplications for each one of the direct algorithm, transforms left out;
                        0: as many */
};

/* Every row of kernels.def. */
extern const struct mb_cuda_kernel *const mb_cuda_kernels[];
extern const size_t mb_cuda_n_kernels;

/* ---- operations on their own (kernels/operations_*.cu): every operation and element type ---- */

struct mb_cuda_operation_args {
    const struct mb_node *node;
    const struct mb_type *types[MB_MAX_OPERANDS]; /* of the operands */
    const void *operands[MB_MAX_OPERANDS]; /* DENSE has its data copied by the caller, FILL none */
    void *y;                               /* overlaps no operand */
    void *scratch; /* mb_cuda_operation_scratch bytes, contents undefined; NULL for none */
};

/* For the operation on operands of these types. */
size_t mb_cuda_operation_scratch(const struct mb_node *node, const struct mb_type *const *types);

/* RESHAPE is a copy. False for PARAM and DENSE, which compute nothing, and for what the shape rules
 * exclude. Float sums are made in double precision for f64 and by compensated or pairwise f32 sums
 * for f32; integer division by zero gives 0. */
bool mb_cuda_has_operation(enum mb_op op, enum mb_dtype dtype);
cudaError_t mb_cuda_operation(const struct mb_cuda_operation_args *args, cudaStream_t stream);

/* ---- cold caches (kernels/evict.cu) ---- */

/* Reads `count` floats, a multiple of 4 and all finite, through the second-level cache. sink: one
 * float, left as it is. */
cudaError_t mb_cuda_evict(const float *from, int64_t count, float *sink, cudaStream_t stream);

/* ---- what the device can do at best (kernels/ceilings.cu) ---- */

/* Floats that the kernels below write, one of each warp: room for every device. */
#define MB_CUDA_CEILING_SUMS (1 << 16)

/* Threads that each load n_loads float4 from the count4 there are, all in step, round and round. */
struct mb_cuda_reads {
    unsigned n_blocks, count4, n_loads;
};
/* Of a working set of `bytes`, at least a block's 4 KiB; at least wanted_bytes together. */
struct mb_cuda_reads mb_cuda_ceiling_reads(int n_sms, size_t bytes, size_t wanted_bytes);
double mb_cuda_ceiling_bytes(const struct mb_cuda_reads *reads); /* that are really read */
/* sums: of what each warp read. */
cudaError_t mb_cuda_ceiling_read(const struct mb_cuda_reads *reads, const float *from, float *sums,
                                 cudaStream_t stream);

/* Independent chains of f32 multiply-adds, in registers. */
struct mb_cuda_fmas {
    unsigned n_blocks, n_rounds;
};
struct mb_cuda_fmas mb_cuda_ceiling_fmas(int n_sms, unsigned n_rounds);
double mb_cuda_ceiling_flops(const struct mb_cuda_fmas *fmas); /* two of each multiply-add */
cudaError_t mb_cuda_ceiling_fma(const struct mb_cuda_fmas *fmas, float *sums, cudaStream_t stream);

cudaError_t mb_cuda_ceiling_nothing(cudaStream_t stream); /* an empty kernel of one warp */

/* `count` floats in [-1, 1). */
cudaError_t mb_cuda_ceiling_fill(float *to, size_t count, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
#endif
