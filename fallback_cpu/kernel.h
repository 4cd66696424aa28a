/* What a CPU kernel is: one row of kernels.def, one struct of functions, one file.
 *
 * A kernel computes one step of a plan (step.h). Of those that support its description the cheapest
 * is taken; it packs the weights once, and then the shares of `run` are done by the threads of a
 * team, at the same time or not (threads.h).
 *
 * Values that are not finite go where PyTorch's arithmetic takes them: NaN and Inf reach every
 * output that has a product with them, 0 * Inf is NaN, no product is skipped for a zero, ReLU and
 * max keep NaN, and what pads a tile never shows. Denormals are numbers like any other. Two things
 * may differ from kernel to kernel, as they do among PyTorch's: Winograd's kernels compute 4 x 4
 * (or 2 x 2) outputs from one patch of the image, so where the patch is not finite all may be NaN;
 * and a weight that is not finite may or may not be multiplied by the zeros of the padding.
 * tests/kernel holds every row to this. */
#ifndef MB_KERNEL_H
#define MB_KERNEL_H

#include "backend.h"
#include "step.h"
#include "threads.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mb_kernel_args {
    const float *x;     /* a or the image */
    const void *packed; /* what `pack` wrote: weights and bias */
    float *y;           /* overlaps nothing else */
    void *scratch;      /* scratch_bytes, 64-byte aligned, contents undefined */
};

struct mb_cpu_kernel {
    const char *name; /* "f32_gemm__avx2": also its test's, its benchmark's and the plan's word */
    enum mb_isa isa;  /* least instruction set */
    enum mb_step_kind kind;
    double products; /* multiplications for each one of the direct algorithm, transforms left out;
                        0: as many */
    bool (*supports)(const union mb_step_desc *desc, int n_threads);

    /* Estimated time in nanoseconds on n_threads of a 3 GHz core: only the order among kernels that
     * support the same step matters. */
    double (*cost)(const union mb_step_desc *desc, int n_threads);

    size_t (*packed_bytes)(const union mb_step_desc *desc, int n_threads);
    size_t (*scratch_bytes)(const union mb_step_desc *desc, int n_threads); /* for the whole team */

    /* w and bias (NULL without) in the program's layout to the kernel's own, at `packed`, 64-byte
     * aligned. Each share writes its part, best the one that the same share of `run` reads. */
    void (*pack)(const union mb_step_desc *desc, const float *w, const float *bias, void *packed,
                 const struct mb_thread *thread);

    /* On return the share's own part of y is written, or of scratch where there is a `combine` to
     * come. Shares run in any order. */
    void (*run)(const union mb_step_desc *desc, const struct mb_kernel_args *args,
                const struct mb_thread *thread);

    /* For kernels that may split sums between the shares; else both are NULL. Where `combines` says
     * so, `combine` is called for each share once all shares of `run` are done. */
    bool (*combines)(const union mb_step_desc *desc, int n_threads);
    void (*combine)(const union mb_step_desc *desc, const struct mb_kernel_args *args,
                    const struct mb_thread *thread);
};

/* How many phases of a team's job a step takes, 1 or 2, and one share of one of them. */
static inline int mb_kernel_phases(const struct mb_cpu_kernel *kernel,
                                   const union mb_step_desc *desc, int n_threads) {
    return kernel->combines && kernel->combines(desc, n_threads) ? 2 : 1;
}
static inline void mb_kernel_phase(const struct mb_cpu_kernel *kernel,
                                   const union mb_step_desc *desc,
                                   const struct mb_kernel_args *args, int phase,
                                   const struct mb_thread *thread) {
    (phase == 0 ? kernel->run : kernel->combine)(desc, args, thread);
}

/* Every row of kernels.def, scalar first. */
extern const struct mb_cpu_kernel *const mb_cpu_kernels[];
extern const size_t mb_cpu_n_kernels;

#endif
