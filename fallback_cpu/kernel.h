/* What a CPU kernel is: one row of kernels.def, one struct of functions, one file.
 *
 * A kernel computes one step of a plan (step.h). Of those that support its description the cheapest
 * is taken; it packs the weights once, and then every thread of the team calls `run` at the same
 * time. */
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
    bool (*supports)(const union mb_step_desc *desc, int n_threads);

    /* Estimated time in nanoseconds on n_threads of a 3 GHz core: only the order among kernels that
     * support the same step matters. */
    double (*cost)(const union mb_step_desc *desc, int n_threads);

    size_t (*packed_bytes)(const union mb_step_desc *desc, int n_threads);
    size_t (*scratch_bytes)(const union mb_step_desc *desc, int n_threads); /* for the whole team */

    /* w and bias (NULL without) in the program's layout to the kernel's own, at `packed`, 64-byte
     * aligned. Called by every thread of a team; needs no barrier inside; each thread writes its
     * share, best the one it will read. */
    void (*pack)(const union mb_step_desc *desc, const float *w, const float *bias, void *packed,
                 const struct mb_thread *thread);

    /* Called by every thread of the team. On return a thread's own share of y is written; the
     * caller puts a barrier before anything reads y or scratch again. May use mb_barrier itself,
     * the same number of times in every thread. */
    void (*run)(const union mb_step_desc *desc, const struct mb_kernel_args *args,
                const struct mb_thread *thread);
};

/* Every row of kernels.def, scalar first. */
extern const struct mb_cpu_kernel *const mb_cpu_kernels[];
extern const size_t mb_cpu_n_kernels;

#endif
