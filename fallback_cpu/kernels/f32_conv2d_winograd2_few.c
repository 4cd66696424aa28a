/* 3x3 convolution with stride 1 of an image of few channels (a network's first layer) by Winograd's
 * F(2x2, 3x3): 16 products for 4 outputs, not 36.
 *
 * A tile is 2x2 outputs and needs 4x4 inputs. With the matrices of Lavin and Gray, "Fast Algorithms
 * for Convolutional Neural Networks", 2015,
 *     outputs = A^T [ (G filter G^T) * (B^T inputs B) ] A
 * where * is elementwise and summed over the channels. With few of them the transforms are what
 * costs. So A^T . A is made of additions alone, in registers and while the sums are made, and
 * B^T . B is made for whole rows of the image, one plane after another: the inner loop broadcasts
 * its inputs, for which any order is good. F(4x4) has 9 multiply-adds for 16 here, but 5 more for
 * each output in its transform, and stores what is between.
 *
 * Two outer planes go straight into the sums of the outputs, with G's last row negated:
 *     y0 = m1 + m2 + m0,  y1 = m1 - m2 + m3 */
#include "f32_conv2d.h"

#include <math.h>

enum { NR = 2 * VW, TILES = 2 /* at once: with NR filters 8 sums of two planes */ };
enum { TILE = 2, PATCH = 4, PLANES = PATCH * PATCH, KINDS = 3 };
enum { MAX_C = 8, LINE = 280 /* floats, SLACK of them beyond the last column */, SLACK = 24 };

/* Transformed rows of a part of the image's columns, which stay in L1 beside the filters. */
enum { MAX_FLOATS = 6144 };

static bool pool_fits(const struct mb_conv2d_desc *d) {
    return !d->has_pool || (d->pool_kernel[0] == 2 && d->pool_kernel[1] == 2 &&
                            d->pool_stride[0] == 2 && d->pool_stride[1] == 2);
}

/* A unit of work is a row of tiles of one image, or a part of its columns. In an NCHW image every
 * channel has lines of its own, in an NHWC image they share one, pixel by pixel. */
struct plan {
    int64_t filter_blocks, tile_rows, tile_columns, parts, part_columns; /* of tiles */
    int64_t lines, pixel; /* sets of lines; floats from one pixel to the next */
};

static struct plan plan_of(const struct mb_conv2d_desc *d) {
    const int64_t pool = d->has_pool ? 2 : 1;
    struct plan p = {.filter_blocks = ceil_div(d->filters, NR)};
    p.tile_rows = ceil_div(d->pool_h * pool, TILE);
    p.tile_columns = ceil_div(d->pool_w * pool, TILE);
    p.lines = d->x_layout == MB_NCHW ? d->c : 1;
    p.pixel = d->x_layout == MB_NCHW ? 1 : d->c;
    const int64_t columns =
        min_of((LINE - SLACK) / p.pixel, MAX_FLOATS / (PATCH * KINDS * d->c)) - TILE;
    p.parts = ceil_div(p.tile_columns, columns / TILE);
    p.part_columns = ceil_div(p.tile_columns, p.parts);
    return p;
}

/* Rows and their transforms, then what follows the sums. */
static int64_t rows_floats(const struct plan *p) {
    return PATCH * LINE * (1 + (KINDS * p->lines)) + PATCH * LINE;
}
static int64_t pixels_row(const struct mb_conv2d_desc *d, const struct plan *p) {
    return round_up(p->part_columns, TILES) * (d->has_pool ? 1 : TILE) * NR;
}
static int64_t thread_floats(const struct mb_conv2d_desc *d, const struct plan *p) {
    return round_up(rows_floats(p) + TILE * pixels_row(d, p), 16);
}

static bool supports(const union mb_step_desc *desc, int n_threads) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    (void)n_threads;
    return d->r == 3 && d->s == 3 && d->stride[0] == 1 && d->stride[1] == 1 && d->c <= MAX_C &&
           pool_fits(d);
}

/* [filter_blocks][PLANES * c][NR] in the order of use, then the bias. */
static size_t packed_bytes(const union mb_step_desc *desc, int n_threads) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    (void)n_threads;
    return (size_t)(ceil_div(d->filters, NR) * NR * (PLANES * d->c + 1)) * sizeof(float);
}

/* Cycles for a tile and NR filters: measured on Zen 3 with AVX2. */
static double cost(const union mb_step_desc *desc, int n_threads) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    const struct plan p = plan_of(d);
    const double units = (double)ceil_div(d->n * p.tile_rows * p.parts, n_threads);
    return 500 + units * (double)round_up(p.part_columns, TILES) *
                     ((double)p.filter_blocks * (18 * (double)d->c + 10) + 10 * (double)d->c) / 3;
}

static size_t scratch_bytes(const union mb_step_desc *desc, int n_threads) {
    const struct plan p = plan_of(&desc->conv2d);
    return (size_t)(n_threads * thread_floats(&desc->conv2d, &p)) * sizeof(float);
}

/* ---- filters ---- */

/* Columns and rows of planes in the order of their use. */
static const int column_order[PATCH] = {1, 2, 0, 3}, row_order[PATCH] = {1, 2, 0, 3};

static void pack(const union mb_step_desc *desc, const float *w, const float *bias, void *packed,
                 const struct mb_thread *thread) {
    static const double g[PATCH][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, -1}};
    const struct mb_conv2d_desc *d = &desc->conv2d;
    const int64_t filters = ceil_div(d->filters, NR) * NR;
    float *to_bias = (float *)packed + filters * PLANES * d->c;
    int64_t f, end;
    for (mb_share(thread, filters, &f, &end); f < end; f++) {
        const bool real = f < d->filters;
        float *to = (float *)packed + f / NR * NR * PLANES * d->c + f % NR;
        to_bias[f] = bias && real ? bias[f] : 0.0f;
        for (int plane = 0; plane < PLANES; plane++) {
            const double *gi = g[row_order[plane % PATCH]], *gj = g[column_order[plane / PATCH]];
            for (int64_t c = 0; c < d->c; c++) {
                double sum = 0;
                for (int i = 0; real && i < 9; i++)
                    sum += gi[i / 3] * gj[i % 3] * (double)weight_of(d, w, f, c, i / 3, i % 3);
                /* Pairs of planes channel by channel. */
                to[((plane / 2 * d->c + c) * 2 + plane % 2) * NR] = (float)sum;
            }
        }
    }
}

/* ---- inputs ---- */

static const float zeros[LINE]; /* a row outside of the image */

/* One set of lines of the window: t[PATCH][LINE] is B^T applied to its rows, then
 * lines[PATCH][KINDS][LINE] are B^T's rows at every pixel: of those for a tile the first one, a
 * pixel further, is the last but for the sign. `from` is the first pixel of the window's first row,
 * which may lie outside of the image, as `row_floats` apart the others. */
static void transform_rows(const struct window *win, const struct inside *in, const float *from,
                           int64_t row_floats, float *t, float *lines) {
    const int64_t pixel = win->pixel, floats = win->columns * pixel;
    const int64_t first = in->first_column * pixel, count = in->last_column * pixel - first;
    const float *row[PATCH];
    VF d[PATCH];
    for (int i = 0; i < PATCH; i++) {
        const bool inside = i >= in->first_row && i < in->last_row;
        row[i] = inside ? from + i * row_floats + first : zeros;
        memset(t + i * LINE, 0, (size_t)first * sizeof *t);
    }
    for (int64_t k = 0; k < count; k += VW) {
        float *to = t + first + k;
        if (count >= VW) {
            const int64_t at = min_of(k, count - VW); /* the last vector overlaps */
            to = t + first + at;
            MB_UNROLL
            for (int i = 0; i < PATCH; i++) d[i] = vf_load(row[i] + at);
        } else { /* what is stored beyond is set to zero below */
            MB_UNROLL
            for (int i = 0; i < PATCH; i++) d[i] = vf_load_part(row[i], count);
        }
        vf_store(to, vf_sub(d[0], d[2]));
        vf_store(to + LINE, vf_add(d[1], d[2]));
        vf_store(to + 2 * LINE, vf_sub(d[2], d[1]));
        vf_store(to + 3 * LINE, vf_sub(d[1], d[3]));
    }
    for (int i = 0; i < PATCH; i++)
        memset(t + i * LINE + first + count, 0, (size_t)(floats - first - count) * sizeof *t);
    for (int i = 0; i < PATCH; i++, t += LINE, lines += KINDS * LINE)
        for (int64_t k = 0; k < floats; k += VW) {
            MB_UNROLL
            for (int j = 0; j < 3; j++) d[j] = vf_load(t + k + j * pixel);
            vf_store(lines + k, vf_sub(d[0], d[2]));
            vf_store(lines + LINE + k, vf_add(d[1], d[2]));
            vf_store(lines + 2 * LINE + k, vf_sub(d[2], d[1]));
        }
}

/* A part of a row of tiles to lines[lines][PATCH][KINDS][LINE]. */
static void read_tiles(const struct mb_conv2d_desc *d, const struct plan *p, const float *x,
                       const struct window *win, float *rows, float *lines) {
    const struct inside in = inside_of(d, win);
    const int64_t plane = d->h * d->w, row = win->row - d->pad_before[0];
    const int64_t left = win->column - d->pad_before[1];
    for (int64_t i = 0; i < p->lines; i++, lines += PATCH * KINDS * LINE)
        transform_rows(win, &in,
                       x + (win->n * p->lines + i) * plane * p->pixel +
                           (row * d->w + left) * p->pixel,
                       d->w * p->pixel, rows, lines);
}

/* ---- products ---- */

/* Pairs of planes: sums[2][TILES][NR] (+)= the products of all channels; `apart` floats from one
 * channel of a tile to the next. */
MB_INLINE const float *multiply(VF sums[2][TILES][2], const float *const x[2], int64_t tile,
                                int64_t apart, int64_t channels, const float *w, bool is_first) {
    for (int64_t c = 0; c < channels; c++, w += 2 * NR) {
        MB_UNROLL
        for (int i = 0; i < 2; i++) {
            const VF w0 = vf_in_register(vf_load(w + i * NR));
            const VF w1 = vf_in_register(vf_load(w + i * NR + VW));
            MB_UNROLL
            for (int t = 0; t < TILES; t++) {
                const VF a = vf_set1(x[i][c * apart + t * tile]);
                sums[i][t][0] = is_first && c == 0 ? vf_mul(a, w0) : vf_fma(a, w0, sums[i][t][0]);
                sums[i][t][1] = is_first && c == 0 ? vf_mul(a, w1) : vf_fma(a, w1, sums[i][t][1]);
            }
        }
    }
    return w;
}

/* One column of planes, transformed to the two rows of outputs: z[2][TILES][NR]. */
MB_INLINE const float *column(VF z[2][TILES][2], const float *x, int64_t tile, int64_t apart,
                              int64_t channels, const float *w) {
    const float *const inner[2] = {x + KINDS * LINE, x + 2 * KINDS * LINE};
    const float *const outer[2] = {x, x + 3 * KINDS * LINE};
    VF m[2][TILES][2];
    MB_UNROLL
    for (int i = 0; i < TILES; i++) m[0][i][0] = m[0][i][1] = m[1][i][0] = m[1][i][1] = vf_zero();
    w = multiply(m, inner, tile, apart, channels, w, false);
    MB_UNROLL
    for (int t = 0; t < TILES; t++) {
        MB_UNROLL
        for (int v = 0; v < 2; v++) {
            z[0][t][v] = vf_add(m[0][t][v], m[1][t][v]);
            z[1][t][v] = vf_sub(m[0][t][v], m[1][t][v]);
        }
    }
    return multiply(z, outer, tile, apart, channels, w, false);
}

#define EACH_SUM                                                                                   \
    MB_UNROLL for (int i = 0; i < 2; i++) MB_UNROLL for (int t = 0; t < TILES; t++)                \
        MB_UNROLL for (int v = 0, at = (i * TILES + t) * NR; v < 2; v++, at += VW)

/* What the sums of TILES tiles become: 1 pixel of each with pooling and 2x2 without, `step` floats
 * from pixel to pixel and `row` from row to row. */
struct target {
    VF bias[2], low;
    float *pixels;
    int64_t step, row;
};

enum { KEPT = 2 * TILES * NR }; /* floats of the sums of a column */

/* TILES tiles by NR filters. What one column of planes leaves waits in `kept` (2 * KEPT floats) for
 * the next one, so that the products have the registers. */
MB_INLINE void compute(const struct plan *p, const float *x, int64_t channels, const float *w,
                       const bool has_pool, const struct target *to, float *kept) {
    const int64_t tile = TILE * p->pixel;
    const int64_t apart = p->lines == 1 ? 1 : PATCH * KINDS * LINE;
    float *left = kept, *right = kept + KEPT;
    VF z[2][TILES][2];
    w = column(z, x + LINE, tile, apart, channels, w);
    EACH_SUM vf_store(left + at, z[i][t][v]);
    mb_forget();
    w = column(z, x + 2 * LINE, tile, apart, channels, w);
    EACH_SUM {
        const VF other = vf_load(left + at);
        vf_store(left + at, vf_add(other, z[i][t][v]));
        vf_store(right + at, vf_sub(other, z[i][t][v]));
    }
    mb_forget();
    w = column(z, x, tile, apart, channels, w);
    EACH_SUM vf_store(left + at, vf_add(vf_load(left + at), z[i][t][v]));
    mb_forget();
    column(z, x + p->pixel, tile, apart, channels, w);
    MB_UNROLL
    for (int t = 0; t < TILES; t++) {
        MB_UNROLL
        for (int v = 0; v < 2; v++) {
            VF y[2][2];
            MB_UNROLL
            for (int i = 0; i < 2; i++) {
                y[i][0] = vf_load(left + (i * TILES + t) * NR + v * VW);
                y[i][1] = vf_add(vf_load(right + (i * TILES + t) * NR + v * VW), z[i][t][v]);
            }
            if (has_pool) {
                const VF most = vf_max4(y[0][0], y[0][1], y[1][0], y[1][1]);
                vf_store(to->pixels + t * to->step + v * VW,
                         vf_at_least(to->low, vf_add(most, to->bias[v])));
                continue;
            }
            MB_UNROLL
            for (int i = 0; i < 2; i++) {
                MB_UNROLL
                for (int j = 0; j < 2; j++)
                    vf_store(to->pixels + i * to->row + (t * TILE + j) * to->step + v * VW,
                             vf_at_least(to->low, vf_add(y[i][j], to->bias[v])));
            }
        }
    }
}

/* A row of tiles, for one block of filters. */
MB_INLINE void compute_row(const struct plan *p, const float *x, int64_t tiles, int64_t channels,
                           const float *w, const bool has_pool, struct target to) {
    float kept[2 * KEPT];
    for (int64_t t = 0; t < tiles; t += TILES) {
        compute(p, x, channels, w, has_pool, &to, kept);
        x += TILES * TILE * p->pixel;
        to.pixels += TILES * (has_pool ? 1 : TILE) * to.step;
    }
}

static void compute_any(const struct mb_conv2d_desc *d, const struct plan *p, const float *x,
                        int64_t tiles, const float *w, const struct target *to) {
    if (d->has_pool && d->c == 3)
        compute_row(p, x, tiles, 3, w, true, *to);
    else if (d->c == 3)
        compute_row(p, x, tiles, 3, w, false, *to);
    else if (d->has_pool)
        compute_row(p, x, tiles, d->c, w, true, *to);
    else
        compute_row(p, x, tiles, d->c, w, false, *to);
}

static void run(const union mb_step_desc *desc, const struct mb_kernel_args *args,
                const struct mb_thread *thread) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    const struct plan p = plan_of(d);
    const float *packed = args->packed, *bias = packed + p.filter_blocks * NR * PLANES * d->c;
    float *rows = (float *)args->scratch + thread->index * thread_floats(d, &p);
    float *lines = rows + PATCH * LINE, *pixels = rows + rows_floats(&p);
    const int64_t side = d->has_pool ? 1 : TILE, row = pixels_row(d, &p);
    int64_t unit, end;
    for (mb_share(thread, d->n * p.tile_rows * p.parts, &unit, &end); unit < end; unit++) {
        const int64_t tile_row = unit / p.parts, first = unit % p.parts * p.part_columns;
        const int64_t tiles = min_of(p.part_columns, p.tile_columns - first);
        struct window win = {tile_row / p.tile_rows,
                             tile_row % p.tile_rows * TILE,
                             PATCH,
                             first * TILE,
                             (tiles + 1) * TILE,
                             p.pixel,
                             LINE};
        if (tiles <= 0) continue;
        read_tiles(d, &p, args->x, &win, rows, lines);
        struct pixels px = {win.n, tile_row % p.tile_rows * side, first * side, 0, 0, 0};
        px.columns = min_of(tiles * side, d->pool_w - px.column);
        const int64_t px_rows = min_of(side, d->pool_h - px.row);
        const bool whole = d->y_layout == MB_NHWC && px_rows == side &&
                           px.columns == round_up(tiles, TILES) * side;
        for (; px.filter < d->filters; px.filter += NR) {
            struct target to = {{vf_load(bias + px.filter), vf_load(bias + px.filter + VW)},
                                vf_set1(d->act == MB_ACT_RELU ? 0.0f : -INFINITY),
                                pixels,
                                NR,
                                row};
            px.filters = min_of(NR, d->filters - px.filter);
            if (whole && px.filters == NR) { /* every pixel has its place in y */
                to.step = d->filters;
                to.row = d->pool_w * d->filters;
                to.pixels = args->y + (px.n * d->pool_h + px.row) * to.row + px.column * to.step +
                            px.filter;
            }
            compute_any(d, &p, lines, tiles, packed + px.filter * PLANES * d->c, &to);
            if (to.pixels != pixels) continue;
            for (int64_t i = 0; i < px_rows; i++) {
                struct pixels at = px;
                at.row += i;
                write_pixels(d, &at, pixels + i * row, NR, args->y);
            }
        }
    }
}

MB_KERNEL(f32_conv2d_winograd2_few) = {
    MB_KERNEL_HEAD(f32_conv2d_winograd2_few),
    .kind = MB_STEP_CONV2D,
    .products = (double)PLANES / (TILE * TILE * 9),
    .supports = supports,
    .cost = cost,
    .packed_bytes = packed_bytes,
    .scratch_bytes = scratch_bytes,
    .pack = pack,
    .run = run,
};
