/* The registry of CUDA kernels, from kernels.def. */
#include "cuda_kernel.h"

#define K(name) extern const struct mb_cuda_kernel mb_cuda_##name;
#include "kernels.def"

const struct mb_cuda_kernel *const mb_cuda_kernels[] = {
#define K(name) &mb_cuda_##name,
#include "kernels.def"
};
const size_t mb_cuda_n_kernels = sizeof mb_cuda_kernels / sizeof *mb_cuda_kernels;
