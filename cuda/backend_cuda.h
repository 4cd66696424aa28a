/* The CUDA backend, a plugin: executors mind and mind-kernels on cuda:N.
 *
 * Both run kernels of ours alone, in FP32 on CUDA cores. The CUDA runtime is linked in, so that the
 * plugin opens on a machine without a driver, where probe says what CUDA says. Needs compute
 * capability 7.5. */
#ifndef MB_BACKEND_CUDA_H
#define MB_BACKEND_CUDA_H

#include "backend.h"

__attribute__((visibility("default"))) const struct mb_backend *mb_backend_get(void);

#endif
