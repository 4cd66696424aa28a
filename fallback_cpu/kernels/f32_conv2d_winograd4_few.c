/* 3x3 convolution with stride 1 of an image of few channels (a network's first layer) by Winograd's
 * F(4x4, 3x3): 36 products for 16 outputs, not 144.
 *
 * With few channels the transforms are what costs, and reading and writing what is between. So a
 * part of a row of tiles is transformed at once, a vector of tiles at a time, and of one block of
 * filters TILES tiles at a time are multiplied and transformed back, which stay in L1 (9 KB of
 * sums). The products broadcast the inputs, for which any order is good: the tiles of a vector lie
 * in the order in which de-interleaving them leaves them. */
#define TILE 4
#define TAPS 3
#include "f32_winograd.h"

/* TILES tiles by NR filters fill half of the registers, so that the products of two planes, of few
 * channels and so few steps each, overlap. */
enum { NR = 2 * VW, TILES = VF_REGS == 32 ? 8 : 4 };
enum { MAX_C = 8, PART = 16 /* tiles at once */, LANES = VW / 4 };
enum { LINE = PART * TILE + VW /* floats of a row of a part */, GROUP_PLANE = TILES * NR };

/* A unit of work is a row of tiles of one image, or a part of it. */
struct plan {
    int64_t filter_blocks, tile_rows, tile_columns, parts, part_columns; /* of tiles */
    int64_t pixel_row;                                                   /* floats */
};

static struct plan plan_of(const struct mb_conv2d_desc *d) {
    const int64_t pool = d->has_pool ? 2 : 1;
    struct plan p = {.filter_blocks = ceil_div(d->filters, NR)};
    p.tile_rows = ceil_div(d->pool_h * pool, TILE);
    p.tile_columns = ceil_div(d->pool_w * pool, TILE);
    p.parts = ceil_div(p.tile_columns, PART);
    p.part_columns = round_up(ceil_div(p.tile_columns, p.parts), TILES);
    p.pixel_row = p.part_columns * side_of(d) * NR;
    return p;
}

/* Rows of one channel, transformed inputs, sums, pixels. */
static int64_t thread_floats(const struct mb_conv2d_desc *d, const struct plan *p) {
    return round_up(2 * PATCH * LINE + PLANES * d->c * PART + PLANES * GROUP_PLANE +
                        side_of(d) * p->pixel_row,
                    16);
}

static bool supports(const union mb_step_desc *desc, int n_threads) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    (void)n_threads;
    return d->r == TAPS && d->s == TAPS && d->stride[0] == 1 && d->stride[1] == 1 &&
           d->c <= MAX_C && pool_fits(d);
}

/* [filter_blocks][PLANES][c][NR], then the bias. */
static size_t packed_bytes(const union mb_step_desc *desc, int n_threads) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    (void)n_threads;
    return (size_t)(ceil_div(d->filters, NR) * NR * (PLANES * d->c + 1)) * sizeof(float);
}

/* Cycles for a tile, and for a tile and NR filters: measured on Zen 3 with AVX2. */
static double cost(const union mb_step_desc *desc, int n_threads) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    const struct plan p = plan_of(d);
    const double units = (double)ceil_div(d->n * p.tile_rows * p.parts, n_threads);
    return 500 + units * (double)p.part_columns *
                     ((double)p.filter_blocks * (40 * (double)d->c + 110) + 30 * (double)d->c) / 3;
}

static size_t scratch_bytes(const union mb_step_desc *desc, int n_threads) {
    const struct plan p = plan_of(&desc->conv2d);
    return (size_t)(n_threads * thread_floats(&desc->conv2d, &p)) * sizeof(float);
}

static void pack(const union mb_step_desc *desc, const float *w, const float *bias, void *packed,
                 const struct mb_thread *thread) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    const int64_t filters = ceil_div(d->filters, NR) * NR;
    float *to_bias = (float *)packed + filters * PLANES * d->c;
    int64_t f, end;
    for (mb_share(thread, filters, &f, &end); f < end; f++) {
        const bool real = f < d->filters;
        float *to = (float *)packed + f / NR * NR * PLANES * d->c + f % NR;
        to_bias[f] = bias && real ? bias[f] : 0.0f;
        for (int64_t c = 0; c < d->c; c++) transform_filter(d, w, f, c, to + c * NR, d->c * NR);
    }
}

/* ---- inputs ---- */

static const float zeros[LINE]; /* a row outside of the image */

/* B^T applied to the rows of one channel of a window: to[PATCH][LINE]. row[i] is the first of its
 * pixels inside of the image. */
static void transform_rows(const struct inside *in, const float *const row[PATCH], float *to) {
    const int64_t first = in->first_column, count = in->last_column - first;
    for (int i = 0; i < PATCH; i++) {
        memset(to + i * LINE, 0, (size_t)first * sizeof *to);
        memset(to + i * LINE + first + count, 0, (size_t)(LINE - first - count) * sizeof *to);
    }
    for (int64_t k = 0; k < count; k += VW) {
        const int64_t at = max_of(min_of(k, count - VW), 0); /* the last vector overlaps */
        VF a[PATCH], b[PATCH];
        MB_UNROLL
        for (int i = 0; i < PATCH; i++)
            a[i] = count >= VW ? vf_load(row[i] + at) : vf_load_part(row[i], count);
        transform_input(a, b);
        MB_UNROLL
        for (int i = 0; i < PATCH; i++)
            if (count >= VW)
                vf_store(to + i * LINE + first + at, b[i]);
            else
                vf_store_part(to + i * LINE + first, b[i], count);
    }
}

/* Every c'th of `count` pixels of the rows. */
static void gather_rows(const float *row[PATCH], int64_t c, int64_t count, float *to) {
    for (int i = 0; i < PATCH; i++, to += LINE) {
        if (row[i] == zeros) continue;
        for (int64_t j = 0; j < count; j++) to[j] = row[i][j * c];
        row[i] = to;
    }
}

/* Where tile t's inputs are among those of a part. */
MB_INLINE int64_t position_of(int64_t t) { return t / VW * VW + t % LANES * 4 + t % VW / LANES; }

/* A part of a row of tiles to inputs[PLANES][c][PART]. */
static void read_tiles(const struct mb_conv2d_desc *d, const float *x, const struct window *win,
                       float *rows, float *inputs) {
    const struct inside in = inside_of(d, win);
    const bool nchw = d->x_layout == MB_NCHW;
    const int64_t pixel = nchw ? 1 : d->c, channel = nchw ? d->h * d->w : 1;
    const int64_t top = win->row - d->pad_before[0];
    const float *first = x + win->n * d->h * d->w * d->c;
    first += (in.first_column + win->column - d->pad_before[1]) * pixel;
    for (int64_t c = 0; c < d->c; c++, first += channel) {
        const float *row[PATCH];
        for (int i = 0; i < PATCH; i++) {
            const bool inside = i >= in.first_row && i < in.last_row;
            row[i] = inside ? first + (top + i) * d->w * pixel : zeros;
        }
        if (pixel > 1)
            gather_rows(row, pixel, in.last_column - in.first_column, rows + PATCH * LINE);
        transform_rows(&in, row, rows);
        for (int i = 0; i < PATCH; i++)
            for (int64_t t = 0; t < win->columns / TILE; t += VW) {
                VF a[8], b[PATCH];
                vf_deinterleave4(rows + i * LINE + t * TILE, a);
                vf_deinterleave4(rows + i * LINE + t * TILE + TILE, a + 4);
                transform_input(a, b);
                MB_UNROLL
                for (int j = 0; j < PATCH; j++)
                    vf_store(inputs + ((i * PATCH + j) * d->c + c) * PART + t, b[j]);
            }
    }
}

/* ---- products and outputs ---- */

/* sum[TILES][NR] += one channel's inputs times its filters, or = for the first one. */
MB_INLINE void multiply_channel(VF sum[TILES][2], const float *x, const float *w,
                                const bool is_first) {
    const VF w0 = vf_in_register(vf_load(w)), w1 = vf_in_register(vf_load(w + VW));
    MB_UNROLL
    for (int t = 0; t < TILES; t++) {
        const VF a = vf_set1(x[position_of(t)]);
        sum[t][0] = is_first ? vf_mul(a, w0) : vf_fma(a, w0, sum[t][0]);
        sum[t][1] = is_first ? vf_mul(a, w1) : vf_fma(a, w1, sum[t][1]);
    }
}

/* TILES tiles by NR filters: sums[PLANES][TILES][NR]. */
MB_INLINE void multiply(const float *x, int64_t channels, const float *w, float *sums) {
    for (int plane = 0; plane < PLANES; plane++, sums += GROUP_PLANE) {
        VF sum[TILES][2];
        multiply_channel(sum, x, w, true);
        for (int64_t c = 1; c < channels; c++)
            multiply_channel(sum, x + c * PART, w + c * NR, false);
        x += channels * PART;
        w += channels * NR;
        MB_UNROLL
        for (int t = 0; t < TILES; t++) {
            vf_store(sums + t * NR, sum[t][0]);
            vf_store(sums + t * NR + VW, sum[t][1]);
        }
    }
}

/* Where a row of tiles of one block of filters goes. */
struct target {
    VF bias[2], low;
    float *pixels;
    int64_t step, row; /* from pixel to pixel, from row to row */
};

/* The sums of TILES tiles to their pixels. */
MB_INLINE void finish_tiles(const float *sums, const int side, const struct target *to,
                            float *pixels) {
    const int64_t step = to->step, row = to->row;
    for (int t = 0; t < TILES; t++, pixels += side * step) {
        MB_UNROLL
        for (int v = 0; v < 2; v++)
            finish_tile(sums + t * NR + v * VW, GROUP_PLANE, to->bias[v], to->low, side,
                        pixels + v * VW, step, row);
    }
}

/* What needs all registers is out of line; without pooling it does not matter. */
MB_OUTLINE void finish_pooled(const float *sums, const struct target *to, float *pixels) {
    finish_tiles(sums, TILE / 2, to, pixels);
}

MB_OUTLINE void multiply_3(const float *x, const float *w, float *sums) { multiply(x, 3, w, sums); }

MB_OUTLINE void multiply_any(const float *x, int64_t channels, const float *w, float *sums) {
    multiply(x, channels, w, sums);
}

/* A part of a row of tiles, one block of filters. */
static void compute_any(const struct mb_conv2d_desc *d, const float *inputs, int64_t tiles,
                        const float *w, float *sums, const struct target *to) {
    const int64_t side = side_of(d);
    for (int64_t first = 0; first < tiles; first += TILES) {
        const float *x = inputs + position_of(first);
        float *pixels = to->pixels + first * side * to->step;
        if (d->c == 3)
            multiply_3(x, w, sums);
        else
            multiply_any(x, d->c, w, sums);
        if (d->has_pool)
            finish_pooled(sums, to, pixels);
        else
            finish_tiles(sums, TILE, to, pixels);
    }
}

static void run(const union mb_step_desc *desc, const struct mb_kernel_args *args,
                const struct mb_thread *thread) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    const struct plan p = plan_of(d);
    const float *packed = args->packed, *bias = packed + p.filter_blocks * NR * PLANES * d->c;
    float *rows = (float *)args->scratch + thread->index * thread_floats(d, &p);
    float *inputs = rows + 2 * PATCH * LINE, *sums = inputs + PLANES * d->c * PART;
    float *pixels = sums + PLANES * GROUP_PLANE;
    const int64_t side = side_of(d);
    int64_t unit, end;
    for (mb_share(thread, d->n * p.tile_rows * p.parts, &unit, &end); unit < end; unit++) {
        const int64_t tile_row = unit / p.parts, first = unit % p.parts * p.part_columns;
        const int64_t tiles = min_of(p.part_columns, p.tile_columns - first);
        const struct window win = {.n = tile_row / p.tile_rows,
                                   .row = tile_row % p.tile_rows * TILE,
                                   .rows = PATCH,
                                   .column = first * TILE,
                                   .columns = tiles * TILE + TAPS - 1};
        if (tiles <= 0) continue;
        read_tiles(d, args->x, &win, rows, inputs);
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
                                p.pixel_row};
            px.filters = min_of(NR, d->filters - px.filter);
            if (whole && px.filters == NR) { /* every pixel has its place in y */
                to.step = d->filters;
                to.row = d->pool_w * d->filters;
                to.pixels = args->y + (px.n * d->pool_h + px.row) * to.row + px.column * to.step +
                            px.filter;
            }
            compute_any(d, inputs, tiles, packed + px.filter * PLANES * d->c, sums, &to);
            if (to.pixels != pixels) continue;
            for (int64_t i = 0; i < px_rows; i++) {
                struct pixels at = px;
                at.row += i;
                write_pixels(d, &at, pixels + i * p.pixel_row, NR, args->y);
            }
        }
    }
}

MB_KERNEL(f32_conv2d_winograd4_few) = {
    MB_KERNEL_HEAD(f32_conv2d_winograd4_few),
    .kind = MB_STEP_CONV2D,
    .products = (double)PLANES / (TILE * TILE * TAPS * TAPS),
    .supports = supports,
    .cost = cost,
    .packed_bytes = packed_bytes,
    .scratch_bytes = scratch_bytes,
    .pack = pack,
    .run = run,
};
