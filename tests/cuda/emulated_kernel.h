/* CUDA kernels in the clothes of CPU kernels, so that tests/kernel's tester checks them in
 * emulation as it does those: guard pages, NaN, two runs with equal bits. The number of threads
 * stands for the number of multiprocessors, on which the division of the work depends; thread 0
 * alone works. Each row is there twice under its name: on a GPU that has all a kernel may use, and
 * on the least one that is supported. */
#ifndef MB_EMULATED_KERNEL_H
#define MB_EMULATED_KERNEL_H

#include "kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const struct mb_cpu_kernel *const emulated_kernels[];
extern const size_t n_emulated_kernels;

/* How many launches a GPU would have refused, hung in, or computed rubbish in, so far. */
long emulated_failures(void);

#ifdef __cplusplus
}
#endif
#endif
