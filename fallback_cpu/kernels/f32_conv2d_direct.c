/* Convolution by its definition, for every filter, stride, padding, pooling and extent.
 *
 * A unit of work is a band of rows of y of one image: its window of the image is read once (see
 * f32_conv2d.h), then each block of NR filters goes over its pixels in tiles of MR pixels by NR
 * filters, which stay in registers for all taps. The pixels of a tile are addressed one by one, so
 * a tile may run over the ends of rows and no extent is a special case. Bias, activation and
 * pooling follow while the band's sums are in cache. */
#include "f32_conv2d.h"

#include <math.h>

enum { NR = 2 * VW, MR = VF_REGS == 32 ? 8 : 6 };

/* Kept in L2 together with a block's weights, and in L1; found by trying. */
enum { WINDOW_FLOATS = 32768, SUM_FLOATS = 6144, OVERLAP_SUM_FLOATS = 24576 };

struct plan {
    int64_t blocks, pixel, line; /* of VW channels; see struct window */
    int64_t filter_parts; /* a unit is one band of one image for one part of the filter blocks */
    int64_t filter_blocks;
    int64_t bands, band_rows;      /* rows of y */
    int64_t sum_rows, sum_columns; /* of the convolution that a band needs, and its columns */
    int64_t in_rows, in_columns;   /* of the padded image */
    int32_t pool_kernel[2], pool_stride[2];
    size_t window_floats, sum_floats, row_floats;
};

static void set_band(const struct mb_conv2d_desc *d, struct plan *p, int64_t bands) {
    p->bands = bands;
    p->band_rows = ceil_div(d->pool_h, bands);
    p->bands = ceil_div(d->pool_h, p->band_rows);
    p->sum_rows = (p->band_rows - 1) * p->pool_stride[0] + p->pool_kernel[0];
    p->in_rows = (p->sum_rows - 1) * d->stride[0] + d->r;
    p->window_floats = (size_t)round_up(p->blocks * p->in_rows * p->line + VW, 16);
    p->sum_floats = (size_t)(round_up(p->sum_rows * p->sum_columns, MR) * NR);
}

static struct plan plan_of(const struct mb_conv2d_desc *d, int n_threads) {
    struct plan p = {.blocks = ceil_div(d->c, VW),
                     .pixel = window_pixel(d),
                     .filter_blocks = ceil_div(d->filters, NR)};
    for (int i = 0; i < 2; i++) {
        p.pool_kernel[i] = d->has_pool ? d->pool_kernel[i] : 1;
        p.pool_stride[i] = d->has_pool ? d->pool_stride[i] : 1;
    }
    p.sum_columns = (d->pool_w - 1) * p.pool_stride[1] + p.pool_kernel[1];
    p.in_columns = (p.sum_columns - 1) * d->stride[1] + d->s;
    p.line = window_line(d, p.in_columns);
    p.row_floats = (size_t)(d->pool_w * NR);

    /* As few bands as fit the caches (sums that two bands need are made twice, so that larger ones
     * pay), then so many that the threads get equal shares. */
    const bool overlap = p.pool_kernel[0] > p.pool_stride[0];
    const size_t most_sums = overlap ? OVERLAP_SUM_FLOATS : SUM_FLOATS;
    set_band(d, &p, 1);
    while (p.band_rows > 1 && (p.window_floats > WINDOW_FLOATS || p.sum_floats > most_sums))
        set_band(d, &p, ceil_div(d->pool_h, p.band_rows - 1));
    int64_t best = p.bands, best_rows = INT64_MAX;
    for (int64_t bands = p.bands; bands <= min_of(d->pool_h, p.bands + n_threads); bands++) {
        const int64_t rows = ceil_div(d->n * bands, n_threads) * ceil_div(d->pool_h, bands);
        if (rows < best_rows) best = bands, best_rows = rows;
    }
    set_band(d, &p, best);
    p.filter_parts = min_of(p.filter_blocks, ceil_div(n_threads, d->n * p.bands));
    return p;
}

static bool supports(const union mb_step_desc *desc, int n_threads) {
    (void)desc, (void)n_threads;
    return true;
}

/* [filter_blocks][blocks][r][s][channels of the block][NR], then the bias. */
static size_t packed_bytes(const union mb_step_desc *desc, int n_threads) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    (void)n_threads;
    return (size_t)(ceil_div(d->filters, NR) * NR * (d->c * d->r * d->s + 1)) * sizeof(float);
}

/* In cycles: two vectors a cycle at 85 %, reading the window, then each sum stored, pooled,
 * written. */
static double cost(const union mb_step_desc *desc, int n_threads) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    const struct plan p = plan_of(d, n_threads);
    const double sums = (double)round_up(p.sum_rows * p.sum_columns, MR);
    const double filter_blocks = (double)ceil_div(p.filter_blocks, p.filter_parts);
    const double unit = filter_blocks * sums * ((double)(d->c * d->r * d->s) / 0.92 + 12) +
                        (double)p.window_floats / VW * 4;
    return 500 + (double)ceil_div(d->n * p.bands * p.filter_parts, n_threads) * unit / 3 +
           weights_ns(packed_bytes(desc, n_threads), d->n * p.bands);
}

static size_t scratch_bytes(const union mb_step_desc *desc, int n_threads) {
    const struct plan p = plan_of(&desc->conv2d, n_threads);
    return (size_t)n_threads * (p.window_floats + p.sum_floats + p.row_floats) * sizeof(float);
}

static void pack(const union mb_step_desc *desc, const float *w, const float *bias, void *packed,
                 const struct mb_thread *thread) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    const int64_t taps = d->c * d->r * d->s, filter_blocks = ceil_div(d->filters, NR);
    float *to_bias = (float *)packed + filter_blocks * taps * NR;
    int64_t block, end;
    for (mb_share(thread, filter_blocks, &block, &end); block < end; block++) {
        float *to = (float *)packed + block * taps * NR;
        const int64_t f0 = block * NR, filters = min_of(NR, d->filters - f0);
        memset(to_bias + f0, 0, NR * sizeof *to);
        if (bias) memcpy(to_bias + f0, bias + f0, (size_t)filters * sizeof *to);
        for (int64_t c0 = 0; c0 < d->c; c0 += VW)
            for (int64_t r = 0; r < d->r; r++)
                for (int64_t s = 0; s < d->s; s++)
                    for (int64_t c = c0; c < min_of(c0 + VW, d->c); c++, to += NR)
                        for (int64_t f = 0; f < NR; f++)
                            to[f] = f < filters ? weight_of(d, w, f0 + f, c, r, s) : 0.0f;
    }
}

/* sums[MR][NR] += the products of a run of floats in the window; `vectors` of the NR filters are
 * computed. */
MB_INLINE void add_taps(VF sums[MR][2], const float *const pixel[MR], int64_t begin, int64_t end,
                        const float *w, const int vectors) {
    for (int64_t at = begin; at < end; at++, w += NR) {
        VF wv[2];
        MB_UNROLL
        for (int v = 0; v < vectors; v++) wv[v] = vf_load(w + v * VW);
        MB_UNROLL
        for (int i = 0; i < MR; i++) {
            const VF xv = vf_set1(pixel[i][at]);
            MB_UNROLL
            for (int v = 0; v < vectors; v++) sums[i][v] = vf_fma(xv, wv[v], sums[i][v]);
        }
    }
}

/* What follows the sums. Being monotone it follows the pooling, too, where there is less to do. */
struct after {
    VF bias[2], low; /* nothing is less than `low` */
};

MB_INLINE VF finish(const struct after *after, VF a, int vector) {
    return vf_at_least(after->low, vf_add(a, after->bias[vector]));
}

MB_INLINE void tile(const struct mb_conv2d_desc *d, const struct plan *p,
                    const float *const pixel[MR], const float *w, const struct after *after,
                    float *to, const int vectors) {
    VF sums[MR][2];
    MB_UNROLL
    for (int i = 0; i < MR; i++) sums[i][0] = sums[i][1] = vf_zero();
    for (int64_t block = 0; block < p->blocks; block++) {
        /* A row of taps is one run, unless its last channels are missing. */
        const int64_t channels = min_of(VW, d->c - block * VW);
        const int64_t runs = channels == p->pixel ? 1 : d->s, length = d->s / runs * channels;
        for (int64_t r = 0; r < d->r; r++) {
            int64_t at = (block * p->in_rows + r) * p->line;
            for (int64_t i = 0; i < runs; i++, at += p->pixel, w += length * NR)
                add_taps(sums, pixel, at, at + length, w, vectors);
        }
    }
    MB_UNROLL
    for (int i = 0; i < MR; i++) {
        MB_UNROLL
        for (int v = 0; v < vectors; v++)
            vf_store(to + i * NR + v * VW, d->has_pool ? sums[i][v] : finish(after, sums[i][v], v));
    }
}

/* sums[rows * sum_columns][NR] of one block of filters. */
static void convolve(const struct mb_conv2d_desc *d, const struct plan *p, int64_t rows,
                     const float *window, const float *w, const struct after *after,
                     int64_t filters, float *sums) {
    const int64_t count = rows * p->sum_columns;
    int64_t row = 0, column = 0;
    const float *pixel[MR];
    for (int64_t i = 0; i < count; i += MR, sums += MR * NR) {
        for (int j = 0; j < MR; j++) {
            pixel[j] = window + row * d->stride[0] * p->line + column * d->stride[1] * p->pixel;
            if (i + j + 1 >= count) continue; /* the last pixel fills its tile */
            if (++column == p->sum_columns) column = 0, row++;
        }
        if (filters > VW)
            tile(d, p, pixel, w, after, sums, 2);
        else
            tile(d, p, pixel, w, after, sums, 1);
    }
}

/* One row of y: to[pool_w][NR], the largest of each window of sums[][sum_columns][NR]. */
static void pool_row(const struct mb_conv2d_desc *d, const struct plan *p, const float *sums,
                     const struct after *after, int64_t filters, float *to) {
    for (int64_t column = 0; column < d->pool_w; column++, to += NR)
        for (int v = 0; v < 2 && v * VW < filters; v++) {
            const float *from = sums + column * d->pool_stride[1] * NR + v * VW;
            VF best = vf_load(from);
            for (int64_t i = 0; i < d->pool_kernel[0]; i++)
                for (int64_t j = i == 0; j < d->pool_kernel[1]; j++)
                    best = vf_max(best, vf_load(from + (i * p->sum_columns + j) * NR));
            vf_store(to + v * VW, finish(after, best, v));
        }
}

static void run(const union mb_step_desc *desc, const struct mb_kernel_args *args,
                const struct mb_thread *thread) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    const struct plan p = plan_of(d, thread->count);
    const int64_t taps = d->c * d->r * d->s;
    const float *packed = args->packed, *packed_bias = packed + p.filter_blocks * taps * NR;
    float *window = (float *)args->scratch +
                    (size_t)thread->index * (p.window_floats + p.sum_floats + p.row_floats);
    float *sums = window + p.window_floats, *row = sums + p.sum_floats;
    int64_t unit, end, in_window = -1;
    for (mb_share(thread, d->n * p.bands * p.filter_parts, &unit, &end); unit < end; unit++) {
        const int64_t band = unit / p.filter_parts, n = band / p.bands;
        const int64_t y0 = band % p.bands * p.band_rows;
        const int64_t y_rows = min_of(p.band_rows, d->pool_h - y0);
        const int64_t sum_rows = (y_rows - 1) * p.pool_stride[0] + p.pool_kernel[0];
        if (band != in_window) {
            const struct window win = {
                n,     y0 * p.pool_stride[0] * d->stride[0], p.in_rows, 0, p.in_columns, p.pixel,
                p.line};
            for (int64_t block = 0; block < p.blocks; block++)
                read_window(d, args->x, &win, block, window + block * p.in_rows * p.line);
            in_window = band;
        }
        const struct mb_thread part = {(int)(unit % p.filter_parts), (int)p.filter_parts};
        int64_t block, block_end;
        for (mb_share(&part, p.filter_blocks, &block, &block_end); block < block_end; block++) {
            struct pixels px = {n, y0, 0, d->pool_w, block * NR, 0};
            px.filters = min_of(NR, d->filters - px.filter);
            const float *bias = packed_bias + px.filter;
            const struct after after = {{vf_load(bias), vf_load(bias + VW)},
                                        vf_set1(d->act == MB_ACT_RELU ? 0.0f : -INFINITY)};
            convolve(d, &p, sum_rows, window, packed + block * taps * NR, &after, px.filters, sums);
            for (int64_t i = 0; i < y_rows; i++, px.row++) {
                const float *from = sums + i * p.pool_stride[0] * p.sum_columns * NR;
                if (d->has_pool) pool_row(d, &p, from, &after, px.filters, row);
                write_pixels(d, &px, d->has_pool ? row : from, NR, args->y);
            }
        }
    }
}

MB_KERNEL(f32_conv2d_direct) = {
    MB_KERNEL_HEAD(f32_conv2d_direct),
    .kind = MB_STEP_CONV2D,
    .supports = supports,
    .cost = cost,
    .packed_bytes = packed_bytes,
    .scratch_bytes = scratch_bytes,
    .pack = pack,
    .run = run,
};
