/* Winograd's F(TILE x TILE, TAPS x TAPS), for the kernels that define TILE and TAPS and include
 * this.
 *
 * A tile is TILE x TILE outputs and needs PATCH x PATCH inputs, PATCH = TILE + TAPS - 1. With the
 * matrices below,
 *     outputs = A^T [ (G filter G^T) * (B^T inputs B) ] A
 * where * is elementwise and summed over the channels. Filters are transformed in FP64 when packed
 * and rounded once.
 *
 * The interpolation points belong to PATCH: 0, 1, -1 and infinity for 4; 0, 1, -1, 1/2, -2 and
 * infinity for 6: the usual 0, +-1, +-2 save one operation in thirty and have three times the error
 * (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015, section 4; Barabasz
 * et al., "Error Analysis and Improving the Accuracy of Winograd Convolution", 2020). */
#ifndef MB_F32_WINOGRAD_H
#define MB_F32_WINOGRAD_H

#include "f32_conv2d.h"

#include <math.h>

enum { PATCH = TILE + TAPS - 1, PLANES = PATCH * PATCH };

/* y = pool(...) of 2x2 windows and steps is done tile by tile; nothing else is. */
static bool pool_fits(const struct mb_conv2d_desc *d) {
    return !d->has_pool || (d->pool_kernel[0] == 2 && d->pool_kernel[1] == 2 &&
                            d->pool_stride[0] == 2 && d->pool_stride[1] == 2);
}

/* Outputs of a tile in a row. */
static int64_t side_of(const struct mb_conv2d_desc *d) { return d->has_pool ? TILE / 2 : TILE; }

/* ---- filters ---- */

/* Row i of G is the powers of point i times scale[i]; its last row is that of infinity. The scales
 * of 1/2 and -2 have 1/4 and 2 as factors that A gives back: so A has four times three coefficients
 * but only 1/2, 2 and 4 to keep in registers. */
#if TILE + TAPS == 5
static const double point[] = {0, 1, -1}, scale[] = {1, 1 / 2.0, 1 / 2.0};
#else
static const double point[] = {0, 1, -1, 0.5, -2};
static const double scale[] = {1, 1 / 3.0, -1 / 3.0, -4 / 15.0, 2 / 15.0};
#endif

static double g(int row, int column) {
    if (row == PATCH - 1) return column == TAPS - 1;
    double power = scale[row];
    for (int i = 0; i < column; i++) power *= point[row];
    return power;
}

/* G filter G^T of one filter and channel, zeros beyond the last filter, to to[PLANES], `step`
 * floats apart. */
static void transform_filter(const struct mb_conv2d_desc *d, const float *w, int64_t f, int64_t c,
                             float *to, int64_t step) {
    double half[PATCH][TAPS];
    for (int i = 0; i < PATCH; i++)
        for (int j = 0; j < TAPS; j++) {
            half[i][j] = 0;
            for (int k = 0; f < d->filters && k < TAPS; k++)
                half[i][j] += g(i, k) * (double)weight_of(d, w, f, c, k, j);
        }
    for (int i = 0; i < PATCH; i++)
        for (int j = 0; j < PATCH; j++) {
            double sum = 0;
            for (int k = 0; k < TAPS; k++) sum += half[i][k] * g(j, k);
            to[(i * PATCH + j) * step] = (float)sum;
        }
}

/* ---- inputs ---- */

/* The rows of B^T are the coefficients of the product of (x - point) over the other points. */
#if TILE + TAPS == 5
MB_INLINE void transform_input(const VF d[PATCH], VF t[PATCH]) {
    t[0] = vf_sub(d[0], d[2]);
    t[1] = vf_add(d[1], d[2]);
    t[2] = vf_sub(d[2], d[1]);
    t[3] = vf_sub(d[3], d[1]);
}
#else
MB_INLINE void transform_input(const VF d[PATCH], VF t[PATCH]) {
    const VF half = vf_set1(0.5f), one_half = vf_set1(1.5f), two = vf_set1(2.0f);
    const VF e = vf_sub(d[4], d[2]), f = vf_sub(d[3], d[1]);
    const VF p = vf_fma(one_half, d[3], e), q = vf_fma(one_half, d[2], f);
    t[0] = vf_fma(one_half, f, vf_add(e, vf_sub(d[0], d[2])));
    t[1] = vf_add(p, q);
    t[2] = vf_sub(p, q);
    t[3] = vf_fma(two, f, e);
    t[4] = vf_fnma(half, f, e);
    t[5] = vf_fma(one_half, e, vf_sub(vf_sub(d[5], d[3]), f));
}
#endif

/* ---- outputs ---- */

/* y = A^T m. Its coefficients are the points' powers, of 1/2 and -2 times what `scale` is short of;
 * infinity's is in the last row. */
MB_INLINE void transform_output(const VF m[PATCH], VF y[TILE]) {
    const VF even = vf_add(m[1], m[2]), odd = vf_sub(m[1], m[2]), last = m[PATCH - 1];
#if TILE + TAPS == 5
    y[0] = vf_add(m[0], even);
    y[1] = vf_add(odd, last);
#else
    const VF half = vf_set1(0.5f), two = vf_set1(2.0f), four = vf_set1(4.0f);
    y[0] = vf_fma(half, m[4], vf_fma(four, m[3], vf_add(m[0], even)));
#if TILE == 2
    y[1] = vf_fma(two, m[3], vf_sub(vf_add(odd, last), m[4]));
#else
    y[1] = vf_fma(two, m[3], vf_sub(odd, m[4]));
    y[2] = vf_fma(two, m[4], vf_add(even, m[3]));
    y[3] = vf_fnma(four, m[4], vf_fma(half, m[3], vf_add(odd, last)));
#endif
#endif
}

/* One tile and vector of filters, `plane` floats from plane to plane, to side x side pixels, `step`
 * floats apart and `row` from row to row, pooled (side TILE / 2) or not (side TILE); nothing is
 * less than `low`. */
MB_INLINE void finish_tile(const float *outputs, const int64_t plane, VF bias, VF low,
                           const int side, float *pixels, int64_t step, int64_t row) {
    float columns[TILE][PATCH][VW];
    for (int j = 0; j < PATCH; j++) {
        VF m[PATCH], y[TILE];
        MB_UNROLL
        for (int i = 0; i < PATCH; i++) m[i] = vf_load(outputs + (i * PATCH + j) * plane);
        transform_output(m, y);
        MB_UNROLL
        for (int i = 0; i < TILE; i++) vf_store(columns[i][j], y[i]);
    }
    for (int top = 0; top < TILE; top += 2) {
        VF y[2][TILE];
        MB_UNROLL
        for (int i = 0; i < 2; i++) {
            VF m[PATCH];
            MB_UNROLL
            for (int j = 0; j < PATCH; j++) m[j] = vf_load(columns[top + i][j]);
            transform_output(m, y[i]);
        }
        MB_UNROLL
        for (int i = 0; i < 2; i += TILE / side) {
            float *to = pixels + (top + i) * side / TILE * row;
            MB_UNROLL
            for (int j = 0; j < side; j++) {
                VF a = y[i][j];
                if (side < TILE)
                    a = vf_max4(y[0][2 * j], y[0][2 * j + 1], y[1][2 * j], y[1][2 * j + 1]);
                vf_store(to + j * step, vf_at_least(low, vf_add(a, bias)));
            }
        }
    }
}

#endif
