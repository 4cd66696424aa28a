/* The registry of CPU kernels, from kernels.def. */
#include "kernel.h"

#define K(name, isa) extern const struct mb_cpu_kernel mb_cpu_##name##__##isa;
#include "kernels.def"

const struct mb_cpu_kernel *const mb_cpu_kernels[] = {
#define K(name, isa) &mb_cpu_##name##__##isa,
#include "kernels.def"
};
const size_t mb_cpu_n_kernels = sizeof mb_cpu_kernels / sizeof *mb_cpu_kernels;
