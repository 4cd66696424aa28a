/* Matrix product in plain C, for every shape and every x86-64: the fallback of the fallback.
 *
 * Rows of w are added to a row of y, so that the compiler's own vectors (SSE2) run along n. */
#include "simd.h"

#include <string.h>

static bool supports(const union mb_step_desc *desc, int n_threads) {
    (void)desc, (void)n_threads;
    return true;
}

static double cost(const union mb_step_desc *desc, int n_threads) {
    const struct mb_matmul_desc *d = &desc->matmul;
    const double flops = 2.0 * (double)d->batch * (double)d->m * (double)d->n * (double)d->k;
    return 500 + flops / (4.0 * n_threads);
}

static int64_t w_entries(const struct mb_matmul_desc *d) { return d->w_stride ? d->batch : 1; }

/* [entries][k][n] weights, then [n] bias. */
static size_t packed_bytes(const union mb_step_desc *desc, int n_threads) {
    const struct mb_matmul_desc *d = &desc->matmul;
    (void)n_threads;
    return (size_t)((w_entries(d) * d->k + 1) * d->n) * sizeof(float);
}

static size_t scratch_bytes(const union mb_step_desc *desc, int n_threads) {
    (void)desc, (void)n_threads;
    return 0;
}

static void pack(const union mb_step_desc *desc, const float *w, const float *bias, void *packed,
                 const struct mb_thread *thread) {
    const struct mb_matmul_desc *d = &desc->matmul;
    const size_t row_bytes = (size_t)d->n * sizeof(float);
    float *to = packed;
    int64_t row, end, rows = w_entries(d) * d->k;
    for (mb_share(thread, rows, &row, &end); row < end; row++)
        memcpy(to + row * d->n, w + row / d->k * d->w_stride + row % d->k * d->n, row_bytes);
    if (bias && thread->index == 0) memcpy(to + rows * d->n, bias, row_bytes);
}

/* Columns [begin, end) of one row of y: a is [k], w is [k][n]. */
static void row_of_y(const struct mb_matmul_desc *d, const float *restrict a,
                     const float *restrict w, const float *bias, float *restrict y, int64_t begin,
                     int64_t end) {
    for (int64_t j = begin; j < end; j++) y[j] = bias ? bias[j] : 0.0f;
    for (int64_t k = 0; k < d->k; k++)
        for (int64_t j = begin; j < end; j++) y[j] += a[k] * w[k * d->n + j];
    if (d->act == MB_ACT_RELU)
        for (int64_t j = begin; j < end; j++) y[j] = y[j] <= 0.0f ? 0.0f : y[j];
}

static void run(const union mb_step_desc *desc, const struct mb_kernel_args *args,
                const struct mb_thread *thread) {
    const struct mb_matmul_desc *d = &desc->matmul;
    const float *w = args->packed;
    const float *bias = d->has_bias ? w + w_entries(d) * d->k * d->n : NULL;
    int64_t row = 0, row_end = d->batch * d->m, column = 0, column_end = d->n;
    if (row_end >= thread->count)
        mb_share(thread, row_end, &row, &row_end);
    else
        mb_share(thread, d->n, &column, &column_end);
    for (; row < row_end; row++) {
        const int64_t b = row / d->m, i = row % d->m;
        row_of_y(d, args->x + b * d->a_stride + i * d->k, w + (d->w_stride ? b * d->k * d->n : 0),
                 bias, args->y + row * d->n, column, column_end);
    }
}

MB_KERNEL(f32_matmul) = {
    MB_KERNEL_HEAD(f32_matmul),
    .kind = MB_STEP_MATMUL,
    .supports = supports,
    .cost = cost,
    .packed_bytes = packed_bytes,
    .scratch_bytes = scratch_bytes,
    .pack = pack,
    .run = run,
};
