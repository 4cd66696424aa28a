/* Runs one CPU kernel on one shape and compares it with plain FP64 loops.
 *
 * x, w, bias, y, the packed weights and the scratch each end at an unmapped page, so that a read or
 * write past the end faults, and have guard words before them, checked afterwards. Operands are
 * aligned to kt_operand_align bytes, packed weights and scratch to 64, as kernel.h promises. Every
 * failure prints kernel, shape, threads, fill and the first wrong index, on stderr. */
#ifndef MB_KERNEL_TESTER_H
#define MB_KERNEL_TESTER_H

#include "kernel.h"
#include "kt_region.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum kt_fill {
    KT_INTEGERS, /* -3..3: sums below 2^24 are exact in any order, so the comparison is too, for
                    algorithms that only multiply and add the operands */
    KT_NORMAL,   /* standard normal */
    KT_OFFSET,   /* normal + 100 for x: cancellation */
    KT_NAN,      /* normal, with a few NaN in x: every output they reach is NaN, and no other */
    KT_INF,      /* normal, with a few +-Inf in x */
    KT_POSITIVE, /* |normal| for x: no cancellation among the inputs */
    KT_IMPULSES, /* x is zero but for its first and last element and a few more */
    KT_DENORMAL, /* x is normal * 2^-130: denormal, and so are most of the sums */
    KT_INF_ZERO, /* a few +-Inf in x, a third of w zero: their products are NaN */
    KT_INF_W,    /* a few NaN and +-Inf in w and in the bias */
    KT_N_FILLS
};

/* Whether `row` runs here: itself, or its emulation when the processor lacks the instruction set.
 * NULL: neither. */
const struct mb_cpu_kernel *kt_runnable(const struct mb_cpu_kernel *row);

/* How far y may be from the FP64 result: |error| <= rel_sum * (sum of |terms|) for each element,
 * terms as in the direct algorithm; 0 asks for equality. */
struct kt_tolerance {
    double rel_sum;

    /* > 0, for convolutions with stride 1: the kernel computes tile x tile sums (before pooling)
     * from one patch of x, so the largest sum of |terms| among them counts for each of them, and
     * what is not finite in the patch may make all of them so. */
    int tile;

    /* > 0: bound on rms(error) / rms(result) where y is finite and has 256 elements or more. */
    double rms;
};

/* Packs and runs `kernel` twice with n_threads (both results must be equal bit by bit), checks
 * guards and values. True when all is well or the kernel does not support the shape, which it then
 * counts (see kt_counts). */
bool kt_matmul(const struct mb_cpu_kernel *kernel, const struct mb_matmul_desc *desc, int n_threads,
               enum kt_fill fill, struct kt_tolerance tolerance);
bool kt_conv2d(const struct mb_cpu_kernel *kernel, const struct mb_conv2d_desc *desc, int n_threads,
               enum kt_fill fill, struct kt_tolerance tolerance);

extern size_t kt_operand_align; /* 4 unless set: no more */

struct kt_counts {
    long run, unsupported, failed;
};
extern struct kt_counts kt_counts;

/* The shapes of each kind: matmul_cases.c and conv2d_cases.c. */
void kt_matmul_cases(const struct mb_cpu_kernel *kernel);

enum { KT_N_THREADS = 4 };
struct kt_conv2d_scale {
    int threads[KT_N_THREADS]; /* in turn */
    int n_fills;               /* of each named shape, in turn */
    int n_random;              /* random shapes beside the named ones */
    int64_t most_products;     /* in a random one */
};
void kt_conv2d_cases(const struct mb_cpu_kernel *kernel, const struct kt_conv2d_scale *scale);

/* A conv2d description with out_h, out_w, pool_h and pool_w filled in from the rest. pad is before
 * and after alike; pool 0: none. */
struct mb_conv2d_desc kt_conv2d_desc(enum mb_layout layout, int64_t n, int64_t c, int64_t h,
                                     int64_t w, int64_t filters, int64_t r, int64_t s,
                                     int32_t stride, int32_t pad, int32_t pool);

#endif
