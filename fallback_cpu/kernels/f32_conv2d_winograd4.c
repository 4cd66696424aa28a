/* 3x3 convolution with stride 1 by Winograd's F(4x4, 3x3): 36 products for 16 outputs, not 144.
 *
 * A tile is 4x4 outputs and needs 6x6 inputs. With the matrices below,
 *     outputs = A^T [ (G filter G^T) * (B^T inputs B) ] A
 * where * is elementwise; summed over the channels it is 36 matrix products of (tiles x channels)
 * by (channels x filters). Filters are transformed in FP64 when packed and rounded once.
 *
 * Interpolation points 0, 1, -1, 1/2, -2 and infinity: the usual 0, +-1, +-2 save one operation in
 * thirty and have three times the error (Lavin and Gray, "Fast Algorithms for Convolutional Neural
 * Networks", 2015, section 4; Barabasz et al., "Error Analysis and Improving the Accuracy of
 * Winograd Convolution", 2020).
 *
 * Each thread works on its own tiles, a block of them at a time, for all or a part of the filters,
 * and waits for nobody. Infinity and NaN spread from an input over all outputs of its tiles. */
#include "f32_conv2d.h"

#include <math.h>

enum { NR = 2 * VW, MR = VF_REGS == 32 ? 8 : 6 };
enum { TILE = 4, PATCH = 6, PLANES = PATCH * PATCH };

/* Between planes that are written side by side: strides of a multiple of 4 KiB would put all of a
 * tile's 36 vectors into one set of the L1 cache. */
enum { PLANE_PAD = 16 };

/* A block's transformed inputs stay in L2 beside the filters: floats and tiles, found by trying. */
enum { INPUT_FLOATS = 65536, MAX_TILES = 48 };

/* Summed up in one go; more are added in parts, for accuracy (rms error of 512 channels 1.7e-6, of
 * one sum 2.7e-6) and because a part of a plane of filters stays in L1. */
enum { MAX_CHANNELS = 128 };

/* Floats from one plane of sums to the next: constant, so that 36 addresses need one register. */
enum { OUTPUT_PLANE = MAX_TILES * NR + PLANE_PAD };

/* Where a block of filters is this small it stays in L1, and so does what its products with MR
 * tiles leave; else the products of all of a block's tiles are made plane by plane, so that each
 * plane of filters is read once. */
enum { SMALL_FILTERS_FLOATS = 4096 };

/* y = pool(...) of 2x2 windows and steps is done tile by tile; nothing else is. */
static bool pool_fits(const struct mb_conv2d_desc *d) {
    return !d->has_pool || (d->pool_kernel[0] == 2 && d->pool_kernel[1] == 2 &&
                            d->pool_stride[0] == 2 && d->pool_stride[1] == 2);
}

struct plan {
    int64_t blocks, filter_blocks;   /* of VW channels, of NR filters */
    int64_t tile_rows, tile_columns; /* of an image */
    int64_t tiles, groups;           /* of all images; MR tiles are a group */
    int64_t block_tiles, step_tiles; /* read together, multiplied together */
    int tile_parts, filter_parts;    /* thread i: part i / filter_parts and i % filter_parts */
    int64_t input_tile, input_plane, patch_floats, pixel_row; /* floats */
};

/* Measured on Zen 3 with AVX2, reading and writing included: cycles for a tile and a vector of
 * channels, for a tile and a vector of filters, and for each of its products 1.05 c + 1.4. */
enum { INPUT_CYCLES = 180, OUTPUT_CYCLES = 105 };

static double cycles_of(const struct mb_conv2d_desc *d, const struct plan *p, int64_t groups,
                        int64_t filter_blocks) {
    const double products = PLANES * (1.05 * (double)d->c + 1.4);
    return (double)(groups * MR) * ((double)filter_blocks * (products + 2 * OUTPUT_CYCLES) +
                                    (double)p->blocks * INPUT_CYCLES);
}

static struct plan plan_of(const struct mb_conv2d_desc *d, int n_threads) {
    struct plan p = {.blocks = ceil_div(d->c, VW), .filter_blocks = ceil_div(d->filters, NR)};
    const int64_t pool = d->has_pool ? 2 : 1;
    p.tile_rows = ceil_div(d->pool_h * pool, TILE);
    p.tile_columns = ceil_div(d->pool_w * pool, TILE);
    p.tiles = d->n * p.tile_rows * p.tile_columns;
    p.groups = ceil_div(p.tiles, MR);
    double best = 0;
    for (int parts = 1; parts <= n_threads; parts++) {
        const double cycles = cycles_of(d, &p, ceil_div(p.groups, n_threads / parts),
                                        ceil_div(p.filter_blocks, parts));
        if (parts > 1 && cycles >= best) continue;
        best = cycles;
        p.filter_parts = parts;
        p.tile_parts = n_threads / parts;
    }
    const int64_t most = max_of(1, min_of(MAX_TILES, INPUT_FLOATS / (PLANES * p.blocks * VW)) / MR);
    const int64_t groups = ceil_div(p.groups, p.tile_parts);
    p.block_tiles = ceil_div(groups, ceil_div(groups, most)) * MR;
    p.step_tiles = PLANES * d->c * NR <= SMALL_FILTERS_FLOATS ? MR : p.block_tiles;
    p.input_tile = p.blocks == 1 ? d->c : p.blocks * VW;
    p.input_plane = p.block_tiles * p.input_tile + PLANE_PAD;
    p.patch_floats = PATCH * window_line(d, min_of(p.block_tiles, p.tile_columns) * TILE + 2) + VW;
    p.pixel_row = p.block_tiles * (d->has_pool ? TILE / 2 : TILE) * NR;
    return p;
}

static int64_t thread_floats(const struct plan *p) {
    return round_up(
        PLANES * (p->input_plane + OUTPUT_PLANE) + p->patch_floats + TILE * p->pixel_row, 16);
}

static bool supports(const union mb_step_desc *desc, int n_threads) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    (void)n_threads;
    return d->r == 3 && d->s == 3 && d->stride[0] == 1 && d->stride[1] == 1 && pool_fits(d);
}

/* [filter_blocks][PLANES][c][NR], then the bias. */
static size_t packed_bytes(const union mb_step_desc *desc, int n_threads) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    (void)n_threads;
    return (size_t)(ceil_div(d->filters, NR) * NR * (PLANES * d->c + 1)) * sizeof(float);
}

static double cost(const union mb_step_desc *desc, int n_threads) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    const struct plan p = plan_of(d, n_threads);
    const int64_t groups = ceil_div(p.groups, p.tile_parts);
    return 500 + cycles_of(d, &p, groups, ceil_div(p.filter_blocks, p.filter_parts)) / 3 +
           weights_ns(packed_bytes(desc, n_threads),
                      p.tile_parts * ceil_div(groups * MR, p.block_tiles));
}

static size_t scratch_bytes(const union mb_step_desc *desc, int n_threads) {
    const struct plan p = plan_of(&desc->conv2d, n_threads);
    return (size_t)(n_threads * thread_floats(&p)) * sizeof(float);
}

/* ---- filters ---- */

static const double g[PATCH][3] = {{1, 0, 0},
                                   {1 / 3.0, 1 / 3.0, 1 / 3.0},
                                   {-1 / 3.0, 1 / 3.0, -1 / 3.0},
                                   {-16 / 15.0, -8 / 15.0, -4 / 15.0},
                                   {1 / 15.0, -2 / 15.0, 4 / 15.0},
                                   {0, 0, 1}};

/* G filter G^T to to[PLANES], `step` floats apart. */
static void transform_filter(double filter[3][3], float *to, int64_t step) {
    double half[PATCH][3];
    for (int i = 0; i < PATCH; i++)
        for (int j = 0; j < 3; j++)
            half[i][j] = g[i][0] * filter[0][j] + g[i][1] * filter[1][j] + g[i][2] * filter[2][j];
    for (int i = 0; i < PATCH; i++)
        for (int j = 0; j < PATCH; j++)
            to[(i * PATCH + j) * step] =
                (float)(half[i][0] * g[j][0] + half[i][1] * g[j][1] + half[i][2] * g[j][2]);
}

static void pack(const union mb_step_desc *desc, const float *w, const float *bias, void *packed,
                 const struct mb_thread *thread) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    const int64_t filters = ceil_div(d->filters, NR) * NR;
    float *to_bias = (float *)packed + filters * PLANES * d->c;
    int64_t f, end;
    for (mb_share(thread, filters, &f, &end); f < end; f++) {
        const bool real = f < d->filters;
        to_bias[f] = bias && real ? bias[f] : 0.0f;
        for (int64_t c = 0; c < d->c; c++) {
            double filter[3][3] = {{0}};
            for (int r = 0; real && r < 3; r++)
                for (int s = 0; s < 3; s++) filter[r][s] = (double)weight_of(d, w, f, c, r, s);
            transform_filter(filter, (float *)packed + (f / NR * PLANES * d->c + c) * NR + f % NR,
                             d->c * NR);
        }
    }
}

/* ---- inputs ---- */

/* The rows of B^T are the coefficients of the product of (x - point) over the other points. */
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

/* Tiles next to each other in one row of tiles. */
struct run_of_tiles {
    int64_t n, row, column, count;
};

static struct run_of_tiles run_at(const struct plan *p, int64_t tile, int64_t end) {
    const int64_t row = tile / p->tile_columns, column = tile % p->tile_columns;
    return (struct run_of_tiles){row / p->tile_rows, row % p->tile_rows, column,
                                 min_of(p->tile_columns - column, end - tile)};
}

/* One block of channels of a run of tiles to inputs[PLANES][count][input_tile]. A tile of few
 * channels is no whole vector: what is stored beyond it belongs to the next one, stored later, or
 * to the padding of the plane. */
static void read_tiles(const struct mb_conv2d_desc *d, const struct plan *p, const float *x,
                       const struct run_of_tiles *run, int64_t block, float *patch, float *inputs) {
    const int64_t columns = run->count * TILE + 2, pixel = window_pixel(d);
    const int64_t row = window_line(d, columns);
    const struct window win = {run->n,  run->row * TILE, PATCH, run->column * TILE,
                               columns, pixel,           row};
    VF a[PATCH], b[PATCH];
    read_window(d, x, &win, block, patch);
    for (float *at = patch; at < patch + row; at += VW) {
        MB_UNROLL
        for (int i = 0; i < PATCH; i++) a[i] = vf_load(at + i * row);
        transform_input(a, b);
        MB_UNROLL
        for (int i = 0; i < PATCH; i++) vf_store(at + i * row, b[i]);
    }
    for (int64_t t = 0; t < run->count; t++)
        for (int i = 0; i < PATCH; i++) {
            const float *from = patch + i * row + t * TILE * pixel;
            float *to = inputs + i * PATCH * p->input_plane + t * p->input_tile + block * VW;
            MB_UNROLL
            for (int j = 0; j < PATCH; j++) a[j] = vf_load(from + j * pixel);
            transform_input(a, b);
            MB_UNROLL
            for (int j = 0; j < PATCH; j++) vf_store(to + j * p->input_plane, b[j]);
        }
}

/* ---- products ---- */

/* sums[MR][NR] += one column of inputs[MR][stride] times w[NR], or = for the first one; `vectors`
 * of the NR filters are computed. */
MB_INLINE void multiply_column(VF sums[MR][2], const float *inputs, int64_t stride, const float *w,
                               const int vectors, const bool is_first) {
    const float *second = inputs + MR / 2 * stride; /* for shorter addresses */
    VF wv[2];
    MB_UNROLL
    for (int v = 0; v < vectors; v++) wv[v] = vf_load(w + v * VW);
    MB_UNROLL
    for (int i = 0; i < MR; i++) {
        const VF xv = vf_set1((i < MR / 2 ? inputs : second)[i % (MR / 2) * stride]);
        MB_UNROLL
        for (int v = 0; v < vectors; v++)
            sums[i][v] = is_first ? vf_mul(xv, wv[v]) : vf_fma(xv, wv[v], sums[i][v]);
    }
}

/* outputs[MR][NR] = inputs[MR][stride], its first c columns, times w[c][NR]; added to the outputs
 * unless it is the first part of the channels. */
MB_INLINE void multiply(const float *inputs, int64_t stride, int64_t c, const float *w,
                        float *outputs, const bool is_first, const int vectors) {
    VF sums[MR][2];
    multiply_column(sums, inputs, stride, w, vectors, true);
    for (int64_t k = 1; k < c; k++)
        multiply_column(sums, inputs + k, stride, w + k * NR, vectors, false);
    MB_UNROLL
    for (int i = 0; i < MR; i++) {
        MB_UNROLL
        for (int v = 0; v < vectors; v++) {
            float *to = outputs + i * NR + v * VW;
            vf_store(to, is_first ? sums[i][v] : vf_add(vf_load(to), sums[i][v]));
        }
    }
}

/* All planes of one block of filters, `channels` of the channels: outputs[PLANES][tiles][NR]. */
MB_INLINE void multiply_planes(const struct plan *p, int64_t c, int64_t channels, int64_t tiles,
                               const float *inputs, const float *w, float *outputs,
                               const bool is_first, const int vectors) {
    const int64_t stride = p->input_tile, plane = p->input_plane, last = tiles * stride;
    for (const float *end = inputs + PLANES * plane; inputs < end; inputs += plane) {
        float *to = outputs;
        for (const float *at = inputs; at < inputs + last; at += MR * stride, to += MR * NR)
            multiply(at, stride, channels, w, to, is_first, vectors);
        outputs += OUTPUT_PLANE;
        w += c * NR;
    }
}

/* ---- outputs ---- */

/* Row `row` of A^T m: its coefficients are the points' powers. */
MB_INLINE VF transform_output(const VF m[PATCH], const int row) {
    const VF even = vf_add(m[1], m[2]), odd = vf_sub(m[1], m[2]);
    switch (row) {
    case 0: return vf_add(vf_add(m[0], even), vf_add(m[3], m[4]));
    case 1: return vf_fnma(vf_set1(2.0f), m[4], vf_fma(vf_set1(0.5f), m[3], odd));
    case 2: return vf_fma(vf_set1(4.0f), m[4], vf_fma(vf_set1(0.25f), m[3], even));
    default: return vf_fnma(vf_set1(8.0f), m[4], vf_fma(vf_set1(0.125f), m[3], vf_add(odd, m[5])));
    }
}

/* One tile and vector of filters to pixels[side][row], pooled (side 2) or not (side 4); nothing is
 * less than `low`. Two rows at a time, so that 16 registers nearly hold what is between the
 * transforms; the sums are read twice instead. */
MB_INLINE void finish_tile(const float *outputs, VF bias, VF low, const int side, float *pixels,
                           int64_t row) {
    MB_UNROLL
    for (int top = 0; top < TILE; top += 2) {
        VF half[2][PATCH], y[2][TILE], m[PATCH];
        MB_UNROLL
        for (int j = 0; j < PATCH; j++) {
            MB_UNROLL
            for (int i = 0; i < PATCH; i++)
                m[i] = vf_load(outputs + (i * PATCH + j) * OUTPUT_PLANE);
            half[0][j] = transform_output(m, top);
            half[1][j] = transform_output(m, top + 1);
        }
        MB_UNROLL
        for (int j = 0; j < TILE; j++) {
            y[0][j] = transform_output(half[0], j);
            y[1][j] = transform_output(half[1], j);
        }
        MB_UNROLL
        for (int i = 0; i < 2; i += side == 2 ? 2 : 1) {
            float *to = pixels + (top + i) * side / TILE * row;
            MB_UNROLL
            for (int j = 0; j < side; j++) {
                VF a = y[i][j];
                if (side == 2)
                    a = vf_max(vf_max(y[0][2 * j], y[0][2 * j + 1]),
                               vf_max(y[1][2 * j], y[1][2 * j + 1]));
                vf_store(to + j * NR, vf_at_least(low, vf_add(a, bias)));
            }
        }
    }
}

/* `tiles` tiles and `vectors` vectors of a block's filters to pixels[side][pixel_row]. */
MB_INLINE void finish_tiles(const struct mb_conv2d_desc *d, const struct plan *p, int64_t tiles,
                            const float *outputs, const float *bias, const int vectors,
                            const int side, float *pixels) {
    const VF low = vf_set1(d->act == MB_ACT_RELU ? 0.0f : -INFINITY);
    const int64_t row = p->pixel_row;
    for (int v = 0; v < vectors * VW; v += VW) {
        const VF bias_v = vf_load(bias + v);
        for (int64_t t = 0; t < tiles; t++)
            finish_tile(outputs + t * NR + v, bias_v, low, side, pixels + t * side * NR + v, row);
    }
}

/* The tiles [first, end) of one block of filters from pixels to y. */
static void write_tiles(const struct mb_conv2d_desc *d, const struct plan *p, int64_t first,
                        int64_t end, int64_t filter, const float *pixels, float *y) {
    const int64_t side = d->has_pool ? TILE / 2 : TILE;
    struct run_of_tiles run;
    for (int64_t t = first; t < end; t += run.count) {
        run = run_at(p, t, end);
        struct pixels px = {run.n, run.row * side, run.column * side,
                            0,     filter,         min_of(NR, d->filters - filter)};
        px.columns = min_of(run.count * side, d->pool_w - px.column);
        const float *from = pixels + (t - first) * side * NR;
        for (int64_t i = 0; i < side && px.row < d->pool_h; i++, px.row++)
            write_pixels(d, &px, from + i * p->pixel_row, NR, y);
    }
}

/* Some tiles of a block's filters from inputs to pixels. */
MB_INLINE void step(const struct mb_conv2d_desc *d, const struct plan *p, int64_t tiles,
                    const float *inputs, const float *w, const float *bias, const int vectors,
                    float *outputs, float *pixels) {
    multiply_planes(p, d->c, min_of(d->c, MAX_CHANNELS), tiles, inputs, w, outputs, true, vectors);
    for (int64_t c = MAX_CHANNELS; c < d->c; c += MAX_CHANNELS)
        multiply_planes(p, d->c, min_of(d->c - c, MAX_CHANNELS), tiles, inputs + c, w + c * NR,
                        outputs, false, vectors);
    if (d->has_pool)
        finish_tiles(d, p, tiles, outputs, bias, vectors, TILE / 2, pixels);
    else
        finish_tiles(d, p, tiles, outputs, bias, vectors, TILE, pixels);
}

static void run(const union mb_step_desc *desc, const struct mb_kernel_args *args,
                const struct mb_thread *thread) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    const struct plan p = plan_of(d, thread->count);
    if (thread->index >= p.tile_parts * p.filter_parts) return;
    const struct mb_thread tile_part = {thread->index / p.filter_parts, p.tile_parts};
    const struct mb_thread filter_part = {thread->index % p.filter_parts, p.filter_parts};
    const float *packed = args->packed, *bias = packed + p.filter_blocks * NR * PLANES * d->c;
    float *inputs = (float *)args->scratch + thread->index * thread_floats(&p);
    float *outputs = inputs + PLANES * p.input_plane;
    float *patch = outputs + PLANES * OUTPUT_PLANE, *pixels = patch + p.patch_floats;
    const int64_t side = d->has_pool ? TILE / 2 : TILE;
    int64_t first, last, filter_begin, filter_end;
    mb_share(&tile_part, p.groups, &first, &last);
    mb_share(&filter_part, p.filter_blocks, &filter_begin, &filter_end);
    last = min_of(last * MR, p.tiles);
    for (first *= MR; first < last; first += p.block_tiles) {
        const int64_t end = min_of(first + p.block_tiles, last);
        struct run_of_tiles tiles;
        for (int64_t t = first; t < end; t += tiles.count) {
            tiles = run_at(&p, t, end);
            for (int64_t block = 0; block < p.blocks; block++)
                read_tiles(d, &p, args->x, &tiles, block, patch,
                           inputs + (t - first) * p.input_tile);
        }
        for (int64_t block = filter_begin; block < filter_end; block++) {
            const int64_t filter = block * NR, filters = d->filters - filter;
            for (int64_t t = first; t < end; t += p.step_tiles) {
                const int64_t count = min_of(p.step_tiles, end - t);
                const float *from = inputs + (t - first) * p.input_tile;
                const float *w = packed + filter * PLANES * d->c;
                float *to = pixels + (t - first) * side * NR;
                if (filters > VW)
                    step(d, &p, count, from, w, bias + filter, 2, outputs, to);
                else
                    step(d, &p, count, from, w, bias + filter, 1, outputs, to);
            }
            write_tiles(d, &p, first, end, filter, pixels, args->y);
        }
    }
}

MB_KERNEL(f32_conv2d_winograd4) = {
    MB_KERNEL_HEAD(f32_conv2d_winograd4),
    .kind = MB_STEP_CONV2D,
    .products = (double)PLANES / (TILE * TILE * 9),
    .supports = supports,
    .cost = cost,
    .packed_bytes = packed_bytes,
    .scratch_bytes = scratch_bytes,
    .pack = pack,
    .run = run,
};
