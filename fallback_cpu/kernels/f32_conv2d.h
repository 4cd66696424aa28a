/* What the convolution kernels share: how they read the image and how they write y.
 *
 * Both layouts are read into the same form: blocks of VW channels, a vector for each pixel, with
 * the zeros of the padding written out, so that nothing behind it knows an edge or a layout. */
#ifndef MB_F32_CONV2D_H
#define MB_F32_CONV2D_H

#include "simd.h"

#include <string.h>

MB_INLINE int64_t min_of(int64_t a, int64_t b) { return a < b ? a : b; }
MB_INLINE int64_t max_of(int64_t a, int64_t b) { return a > b ? a : b; }
MB_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
MB_INLINE int64_t round_up(int64_t a, int64_t to) { return ceil_div(a, to) * to; }

MB_INLINE float weight_of(const struct mb_conv2d_desc *d, const float *w, int64_t filter, int64_t c,
                          int64_t r, int64_t s) {
    return d->layout == MB_NCHW ? w[((filter * d->c + c) * d->r + r) * d->s + s]
                                : w[((r * d->s + s) * d->c + c) * d->filters + filter];
}

struct window {
    int64_t n;               /* image */
    int64_t row, rows;       /* in the padded image, whose first row and column are number 0; */
    int64_t column, columns; /* what lies outside of the padded image as well reads zero */
    int64_t pixel, line;     /* floats from one pixel and from one row to the next */
};

/* Few channels lie close together, so that a row of taps is one run of floats. */
MB_INLINE int64_t window_pixel(const struct mb_conv2d_desc *d) { return d->c <= 8 ? d->c : VW; }
MB_INLINE int64_t window_line(const struct mb_conv2d_desc *d, int64_t columns) {
    return round_up(columns * window_pixel(d), VW);
}

/* The part of a window that lies in the image: rows and columns of the window, none where first and
 * last are equal. */
struct inside {
    int64_t first_row, last_row, first_column, last_column;
};

static void clip(int64_t before, int64_t size, int64_t count, int64_t *first, int64_t *last) {
    *first = min_of(max_of(-before, 0), count);
    *last = max_of(*first, min_of(count, size - before));
}

MB_INLINE struct inside inside_of(const struct mb_conv2d_desc *d, const struct window *win) {
    struct inside in;
    clip(win->row - d->pad_before[0], d->h, win->rows, &in.first_row, &in.last_row);
    clip(win->column - d->pad_before[1], d->w, win->columns, &in.first_column, &in.last_column);
    if (in.first_column == in.last_column) in.last_row = in.first_row;
    return in;
}

/* Channels [block * VW, block * VW + VW) of a window of x to to[rows][line]; channels from d->c
 * on read zero. Up to VW floats behind the window are overwritten: each pixel is stored
 * as a whole vector, in ascending order. */
MB_OUTLINE void read_window(const struct mb_conv2d_desc *d, const float *x,
                            const struct window *win, int64_t block, float *to) {
    const int64_t c0 = block * VW, channels = min_of(VW, d->c - c0), pixel = win->pixel;
    const int64_t plane = d->h * d->w;
    const int64_t left = win->column - d->pad_before[1]; /* of the window, in the image */
    const struct inside in = inside_of(d, win);
    for (int64_t i = 0; i < win->rows; i++, to += win->line) {
        const int64_t y = win->row + i - d->pad_before[0];
        const bool inside = i >= in.first_row && i < in.last_row;
        const int64_t first = inside ? in.first_column : win->columns;
        const int64_t last = inside ? in.last_column : win->columns;
        memset(to, 0, (size_t)(first * pixel) * sizeof *to);
        memset(to + last * pixel, 0, (size_t)((win->columns - last) * pixel) * sizeof *to);
        if (first == last) continue;
        if (d->x_layout == MB_NCHW) {
            const float *from = x + (win->n * d->c + c0) * plane + y * d->w + left;
            for (int64_t j = first; j < last; j += 8)
                for (int64_t c = 0; c < min_of(VW, pixel); c += 8)
                    mb_transpose_8x8(from + c * plane + j, plane, channels - c, last - j,
                                     to + j * pixel + c, pixel, 8);
        } else {
            const float *from = x + ((win->n * d->h + y) * d->w + left) * d->c + c0;
            if (channels == VW)
                for (int64_t j = first; j < last; j++)
                    vf_store(to + j * pixel, vf_load(from + j * d->c));
            else
                for (int64_t j = first; j < last; j++)
                    vf_store(to + j * pixel, vf_load_part(from + j * d->c, channels));
        }
    }
}

struct pixels {
    int64_t n, row, column, columns; /* of y */
    int64_t filter, filters;
};

/* from[columns][stride], its first `filters` elements, to y. Whole vectors wherever there is room
 * for one, the last overlapping the one before: a masked store costs as much as ten. */
static void write_pixels(const struct mb_conv2d_desc *d, const struct pixels *px, const float *from,
                         int64_t stride, float *y) {
    if (d->y_layout == MB_NCHW) {
        const int64_t plane = d->pool_h * d->pool_w, last = max_of(px->columns - 8, 0);
        float *to =
            y + (px->n * d->filters + px->filter) * plane + px->row * d->pool_w + px->column;
        for (int64_t f = 0; f < px->filters; f += 8)
            for (int64_t i = 0; i < px->columns; i += 8) {
                const int64_t j = min_of(i, last);
                mb_transpose_8x8(from + j * stride + f, stride, px->columns - j, px->filters - f,
                                 to + f * plane + j, plane, px->columns - j);
            }
    } else {
        const int64_t row = px->row * d->pool_w + px->column, last = max_of(px->filters - VW, 0);
        float *to = y + (px->n * d->pool_h * d->pool_w + row) * d->filters + px->filter;
        for (int64_t j = 0; j < px->columns; j++, from += stride, to += d->filters)
            for (int64_t i = 0; i < px->filters; i += VW) {
                const int64_t f = min_of(i, last);
                if (px->filters >= VW)
                    vf_store(to + f, vf_load(from + f));
                else
                    vf_store_part(to, vf_load(from), px->filters);
            }
    }
}

/* Nanoseconds to read weights of `bytes` from memory `passes` times; none where the last cache
 * level can keep them (most have 16 MiB and more), since prefetching hides that one. */
MB_INLINE double weights_ns(size_t bytes, int64_t passes) {
    return bytes > 16u << 20 ? (double)bytes * (double)passes / 30 : 0;
}

#endif
