/* Convolution in plain C, for every layout, filter, stride, padding and pooling, on any x86-64.
 *
 * One row of the convolution at a time, as [out_w][filters] in scratch, so that the compiler's own
 * vectors (SSE2) run along filters in both layouts; the pooled row is the maximum over the rows of
 * its windows. Threads split the rows of y. */
#include "simd.h"

#include <string.h>

static int64_t max_i64(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t min_i64(int64_t a, int64_t b) { return a < b ? a : b; }

static bool supports(const union mb_step_desc *desc, int n_threads) {
    (void)desc, (void)n_threads;
    return true;
}

static double cost(const union mb_step_desc *desc, int n_threads) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    const double outputs = (double)d->n * (double)d->out_h * (double)d->out_w * (double)d->filters;
    return 500 + 2 * outputs * (double)(d->c * d->r * d->s) / (3.0 * n_threads);
}

/* ---- packed: [r][s][c][filters] weights, [filters] bias (zeros without) ---- */

static size_t packed_bytes(const union mb_step_desc *desc, int n_threads) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    (void)n_threads;
    return (size_t)((d->r * d->s * d->c + 1) * d->filters) * sizeof(float);
}

static void pack(const union mb_step_desc *desc, const float *w, const float *bias, void *packed,
                 const struct mb_thread *thread) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    float *to = packed;
    const int64_t taps = d->r * d->s, n_rows = taps * d->c;
    int64_t row, end;
    for (mb_share(thread, n_rows, &row, &end); row < end; row++)
        for (int64_t f = 0; f < d->filters; f++)
            to[row * d->filters + f] = d->layout == MB_NHWC
                                           ? w[row * d->filters + f]
                                           : w[(f * d->c + row % d->c) * taps + row / d->c];
    if (thread->index != 0) return;
    for (int64_t f = 0; f < d->filters; f++) to[n_rows * d->filters + f] = bias ? bias[f] : 0.0f;
}

/* ---- rows ---- */

static const float *pixel(const struct mb_conv2d_desc *d, const float *x, int64_t n, int64_t c,
                          int64_t iy, int64_t ix) {
    return d->x_layout == MB_NCHW ? x + ((n * d->c + c) * d->h + iy) * d->w + ix
                                  : x + ((n * d->h + iy) * d->w + ix) * d->c + c;
}

static void add_scaled(float *restrict to, float scale, const float *restrict from, int64_t count) {
    for (int64_t i = 0; i < count; i++) to[i] += scale * from[i];
}

/* Outputs [*begin, *end) along a row whose tap at offset `shift` lies inside the image. */
static void inside(int64_t width, int64_t out_w, int64_t stride, int64_t shift, int64_t *begin,
                   int64_t *end) {
    *begin = min_i64(out_w, shift >= 0 ? 0 : (-shift + stride - 1) / stride);
    *end = width - shift <= 0 ? *begin : min_i64(out_w, (width - shift - 1) / stride + 1);
}

/* row[out_w][filters] = act(conv + bias) of image n, output row oy. */
static void conv_row(const struct mb_conv2d_desc *d, const float *x, const float *packed, int64_t n,
                     int64_t oy, float *row) {
    const float *bias = packed + d->r * d->s * d->c * d->filters;
    for (int64_t ox = 0; ox < d->out_w; ox++)
        memcpy(row + ox * d->filters, bias, (size_t)d->filters * sizeof *row);
    for (int64_t r = 0; r < d->r; r++) {
        const int64_t iy = oy * d->stride[0] - d->pad_before[0] + r;
        if (iy < 0 || iy >= d->h) continue;
        for (int64_t s = 0; s < d->s; s++) {
            const int64_t shift = s - d->pad_before[1];
            int64_t begin, end;
            inside(d->w, d->out_w, d->stride[1], shift, &begin, &end);
            for (int64_t c = 0; c < d->c; c++) {
                const float *w = packed + ((r * d->s + s) * d->c + c) * d->filters;
                for (int64_t ox = begin; ox < end; ox++)
                    add_scaled(row + ox * d->filters,
                               *pixel(d, x, n, c, iy, ox * d->stride[1] + shift), w, d->filters);
            }
        }
    }
    if (d->act == MB_ACT_RELU)
        for (int64_t i = 0; i < d->out_w * d->filters; i++) row[i] = row[i] <= 0.0f ? 0.0f : row[i];
}

/* to = the larger of the two, NaN if either is. */
static void take_larger(float *restrict to, const float *restrict from, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        to[i] = to[i] >= from[i] || to[i] != to[i] ? to[i] : from[i];
}

/* pooled[pool_w][filters] from the rows of its windows. */
static void pooled_row(const struct mb_conv2d_desc *d, const float *x, const float *packed,
                       int64_t n, int64_t py, float *row, float *pooled) {
    for (int64_t i = 0; i < d->pool_kernel[0]; i++) {
        conv_row(d, x, packed, n, py * d->pool_stride[0] + i, row);
        for (int64_t px = 0; px < d->pool_w; px++) {
            float *to = pooled + px * d->filters;
            const float *from = row + px * d->pool_stride[1] * d->filters;
            if (i == 0) memcpy(to, from, (size_t)d->filters * sizeof *to);
            for (int64_t j = 0; j < d->pool_kernel[1]; j++)
                take_larger(to, from + j * d->filters, d->filters);
        }
    }
}

/* For each thread a row of the convolution and one of y. */
static int64_t scratch_floats(const struct mb_conv2d_desc *d) {
    return (d->out_w + max_i64(d->pool_w, 1)) * d->filters;
}

static size_t scratch_bytes(const union mb_step_desc *desc, int n_threads) {
    return (size_t)(n_threads * scratch_floats(&desc->conv2d)) * sizeof(float);
}

static void run(const union mb_step_desc *desc, const struct mb_kernel_args *args,
                const struct mb_thread *thread) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    float *row = (float *)args->scratch + thread->index * scratch_floats(d);
    float *pooled = row + d->out_w * d->filters;
    int64_t at, end;
    for (mb_share(thread, d->n * d->pool_h, &at, &end); at < end; at++) {
        const int64_t n = at / d->pool_h, py = at % d->pool_h;
        const float *from = d->has_pool ? pooled : row;
        if (d->has_pool)
            pooled_row(d, args->x, args->packed, n, py, row, pooled);
        else
            conv_row(d, args->x, args->packed, n, py, row);
        float *y = args->y + at * d->pool_w * d->filters;
        if (d->y_layout == MB_NHWC) {
            memcpy(y, from, (size_t)(d->pool_w * d->filters) * sizeof *y);
            continue;
        }
        for (int64_t f = 0; f < d->filters; f++)
            for (int64_t px = 0; px < d->pool_w; px++)
                args->y[((n * d->filters + f) * d->pool_h + py) * d->pool_w + px] =
                    from[px * d->filters + f];
    }
}

MB_KERNEL(f32_conv2d) = {
    MB_KERNEL_HEAD(f32_conv2d),
    .kind = MB_STEP_CONV2D,
    .supports = supports,
    .cost = cost,
    .packed_bytes = packed_bytes,
    .scratch_bytes = scratch_bytes,
    .pack = pack,
    .run = run,
};
