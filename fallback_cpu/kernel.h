/* What a CPU kernel is: one row of kernels.def, one struct of functions, one file.
 *
 * A kernel computes one step of a plan: a matrix product or a convolution with what follows it
 * (bias, activation, pooling) fused in. The planner fills a description, asks each kernel whether
 * it supports it, takes the cheapest, lets it pack the weights once, and then every thread of the
 * team calls `run` at the same time. All values are f32, row-major unless said; sums are f32. */
#ifndef MB_KERNEL_H
#define MB_KERNEL_H

#include "backend.h"
#include "threads.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mb_step_kind { MB_STEP_MATMUL, MB_STEP_CONV2D };

enum mb_activation { MB_ACT_NONE, MB_ACT_RELU /* x > 0 ? x : 0; NaN stays NaN */ };

/* y[b,i,j] = act(sum over k of a[b,i,k] * w[b,k,j] + bias[j]); each matrix contiguous. */
struct mb_matmul_desc {
    int64_t batch, m, n, k;     /* >= 1 */
    int64_t a_stride, w_stride; /* elements from one batch entry to the next; 0: shared */
    bool has_bias;
    enum mb_activation act;
};

/* y = pool(act(conv(x, w) + bias)). x is (n, c, h, w) or (n, h, w, c); w is (filters, c, r, s) or
 * (r, s, c, filters); y has x's layout. Taps outside the image read zero. */
struct mb_conv2d_desc {
    enum mb_layout layout;
    int64_t n, c, h, w, filters, r, s;
    int32_t stride[2], pad_before[2]; /* vertical, horizontal */
    int64_t out_h, out_w;             /* of the convolution, before pooling */
    bool has_bias;                    /* bias[filters] */
    enum mb_activation act;
    bool has_pool; /* max-pooling after the activation; windows lie inside, extents floor */
    int32_t pool_kernel[2], pool_stride[2];
    int64_t pool_h, pool_w; /* extents of y; out_h and out_w without pooling */
};

union mb_step_desc {
    struct mb_matmul_desc matmul;
    struct mb_conv2d_desc conv2d;
};

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
