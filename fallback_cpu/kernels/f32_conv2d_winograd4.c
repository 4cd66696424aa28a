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

enum { NR = 2 * VW, MR = VF_REGS == 32 ? 8 : 6 };
enum { TILE = 4, PATCH = 6, PLANES = PATCH * PATCH };

/* Between planes that are written side by side: strides of a multiple of 4 KiB would put all of a
 * tile's 36 vectors into one set of the L1 cache. */
enum { PLANE_PAD = 16 };

/* A block's transformed inputs stay in L2 beside the filters: floats and tiles, found by trying. */
enum { INPUT_FLOATS = 65536, MAX_TILES = 48 };

/* y = pool(...) of 2x2 windows and steps is done tile by tile; nothing else is. */
static bool pool_fits(const struct mb_conv2d_desc *d) {
    return !d->has_pool || (d->pool_kernel[0] == 2 && d->pool_kernel[1] == 2 &&
                            d->pool_stride[0] == 2 && d->pool_stride[1] == 2);
}

struct plan {
    int64_t blocks, filter_blocks;   /* of VW channels, of NR filters */
    int64_t tile_rows, tile_columns; /* of an image */
    int64_t tiles, groups;           /* of all images; MR tiles are a group */
    int64_t block_tiles;
    int tile_parts, filter_parts; /* thread i: part i / filter_parts and i % filter_parts */
    int64_t input_plane, output_plane, patch_floats, pixel_floats;
};

/* Vector operations of one transform, with its loads and stores, in cycles, measured. */
enum { INPUT_CYCLES = 110, OUTPUT_CYCLES = 80 };

static double cycles_of(const struct mb_conv2d_desc *d, const struct plan *p, int64_t groups,
                        int64_t filter_blocks) {
    const double tiles = (double)(groups * MR);
    return tiles *
           ((double)(PLANES * filter_blocks * d->c) / 0.85 + (double)(INPUT_CYCLES * p->blocks) +
            (double)(OUTPUT_CYCLES * 2 * filter_blocks));
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
    p.input_plane = p.block_tiles * p.blocks * VW + PLANE_PAD;
    p.output_plane = p.block_tiles * NR + PLANE_PAD;
    p.patch_floats = PATCH * (min_of(p.block_tiles, p.tile_columns) * TILE + 2) * VW;
    p.pixel_floats = min_of(p.block_tiles, p.tile_columns) * TILE * TILE * NR;
    return p;
}

static int64_t thread_floats(const struct plan *p) {
    return round_up(PLANES * (p->input_plane + p->output_plane) + p->patch_floats + p->pixel_floats,
                    16);
}

static bool supports(const union mb_step_desc *desc, int n_threads) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    (void)n_threads;
    return d->r == 3 && d->s == 3 && d->stride[0] == 1 && d->stride[1] == 1 && pool_fits(d);
}

static double cost(const union mb_step_desc *desc, int n_threads) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    const struct plan p = plan_of(d, n_threads);
    return 500 + cycles_of(d, &p, ceil_div(p.groups, p.tile_parts),
                           ceil_div(p.filter_blocks, p.filter_parts)) /
                     3;
}

/* [filter_blocks][PLANES][c][NR], then the bias. */
static size_t packed_bytes(const union mb_step_desc *desc, int n_threads) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    (void)n_threads;
    return (size_t)(ceil_div(d->filters, NR) * NR * (PLANES * d->c + 1)) * sizeof(float);
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

/* One block of channels of a run of tiles to inputs[PLANES][count][blocks * VW]. */
static void read_tiles(const struct mb_conv2d_desc *d, const struct plan *p, const float *x,
                       const struct run_of_tiles *run, int64_t block, float *patch, float *inputs) {
    const struct window win = {run->n, run->row * TILE, PATCH, run->column * TILE,
                               run->count * TILE + 2};
    const int64_t row = win.columns * VW;
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
            const float *from = patch + i * row + t * TILE * VW;
            float *to = inputs + i * PATCH * p->input_plane + (t * p->blocks + block) * VW;
            MB_UNROLL
            for (int j = 0; j < PATCH; j++) a[j] = vf_load(from + j * VW);
            transform_input(a, b);
            MB_UNROLL
            for (int j = 0; j < PATCH; j++) vf_store(to + j * p->input_plane, b[j]);
        }
}

/* ---- products ---- */

/* outputs[MR][NR] = inputs[MR][stride] (its first c columns) times w[c][NR]; `vectors` of the NR
 * filters are computed. */
MB_INLINE void multiply(const float *inputs, int64_t stride, int64_t c, const float *w,
                        float *outputs, const int vectors) {
    VF sums[MR][2];
    MB_UNROLL
    for (int i = 0; i < MR; i++) sums[i][0] = sums[i][1] = vf_zero();
    const float *second = inputs + MR / 2 * stride;
    for (int64_t k = 0; k < c; k++) {
        VF wv[2];
        MB_UNROLL
        for (int v = 0; v < vectors; v++) wv[v] = vf_load(w + k * NR + v * VW);
        MB_UNROLL
        for (int i = 0; i < MR; i++) {
            const VF xv = vf_set1((i < MR / 2 ? inputs : second)[i % (MR / 2) * stride + k]);
            MB_UNROLL
            for (int v = 0; v < vectors; v++) sums[i][v] = vf_fma(xv, wv[v], sums[i][v]);
        }
    }
    MB_UNROLL
    for (int i = 0; i < MR; i++) MB_UNROLL
    for (int v = 0; v < vectors; v++) vf_store(outputs + i * NR + v * VW, sums[i][v]);
}

/* All planes of one block of filters. */
static void multiply_planes(const struct mb_conv2d_desc *d, const struct plan *p, int64_t tiles,
                            const float *inputs, const float *w, int64_t filters, float *outputs) {
    const int64_t stride = p->blocks * VW;
    for (int i = 0; i < PLANES; i++, inputs += p->input_plane, outputs += p->output_plane) {
        for (int64_t t = 0; t < tiles; t += MR)
            if (filters > VW)
                multiply(inputs + t * stride, stride, d->c, w, outputs + t * NR, 2);
            else
                multiply(inputs + t * stride, stride, d->c, w, outputs + t * NR, 1);
        w += d->c * NR;
    }
}

/* ---- outputs ---- */

/* The rows of A^T are the powers 0 to 3 of the points. */
MB_INLINE void transform_output(const VF m[PATCH], VF y[TILE]) {
    const VF a = vf_add(m[1], m[2]), b = vf_sub(m[1], m[2]);
    y[0] = vf_add(vf_add(m[0], a), vf_add(m[3], m[4]));
    y[1] = vf_fnma(vf_set1(2.0f), m[4], vf_fma(vf_set1(0.5f), m[3], b));
    y[2] = vf_fma(vf_set1(4.0f), m[4], vf_fma(vf_set1(0.25f), m[3], a));
    y[3] = vf_fnma(vf_set1(8.0f), m[4], vf_fma(vf_set1(0.125f), m[3], vf_add(b, m[5])));
}

/* One tile and vector of filters to pixels[rows][columns][NR], pooled or not. */
MB_INLINE void finish_tile(const float *outputs, int64_t plane, VF bias, bool relu, const bool pool,
                           float *pixels, int64_t columns) {
    VF half[TILE][PATCH], y[TILE][TILE], m[PATCH];
    MB_UNROLL
    for (int j = 0; j < PATCH; j++) {
        VF t[TILE];
        MB_UNROLL
        for (int i = 0; i < PATCH; i++) m[i] = vf_load(outputs + (i * PATCH + j) * plane);
        transform_output(m, t);
        MB_UNROLL
        for (int i = 0; i < TILE; i++) half[i][j] = t[i];
    }
    const int step = pool ? 2 : 1;
    MB_UNROLL
    for (int i = 0; i < TILE; i += step) {
        MB_UNROLL
        for (int k = 0; k < step; k++) transform_output(half[i + k], y[i + k]);
        MB_UNROLL
        for (int j = 0; j < TILE; j += step) {
            VF best = y[i][j];
            if (pool)
                best = vf_max(vf_max(best, y[i][j + 1]), vf_max(y[i + 1][j], y[i + 1][j + 1]));
            best = vf_add(best, bias);
            if (relu) best = vf_relu(best);
            vf_store(pixels + (i / step * columns + j / step) * NR, best);
        }
    }
}

/* A run of tiles of one block of filters to y. */
static void write_tiles(const struct mb_conv2d_desc *d, const struct plan *p,
                        const struct run_of_tiles *run, const float *outputs, const float *bias,
                        int64_t filter, float *pixels, float *y) {
    const int64_t side = d->has_pool ? TILE / 2 : TILE, columns = run->count * side;
    const int64_t filters = min_of(NR, d->filters - filter);
    const bool relu = d->act == MB_ACT_RELU;
    for (int64_t t = 0; t < run->count; t++)
        for (int64_t v = 0; v < filters; v += VW) {
            const float *from = outputs + t * NR + v;
            float *to = pixels + t * side * NR + v;
            if (d->has_pool)
                finish_tile(from, p->output_plane, vf_load(bias + v), relu, true, to, columns);
            else
                finish_tile(from, p->output_plane, vf_load(bias + v), relu, false, to, columns);
        }
    struct pixels px = {run->n, run->row * side, run->column * side, 0, filter, filters};
    px.columns = min_of(columns, d->pool_w - px.column);
    for (int64_t i = 0; i < side && px.row < d->pool_h; i++, px.row++)
        write_pixels(d, &px, pixels + i * columns * NR, NR, y);
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
    float *patch = outputs + PLANES * p.output_plane, *pixels = patch + p.patch_floats;
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
                           inputs + (t - first) * p.blocks * VW);
        }
        for (int64_t block = filter_begin; block < filter_end; block++) {
            multiply_planes(d, &p, end - first, inputs, packed + block * PLANES * d->c * NR,
                            d->filters - block * NR, outputs);
            for (int64_t t = first; t < end; t += tiles.count) {
                tiles = run_at(&p, t, end);
                write_tiles(d, &p, &tiles, outputs + (t - first) * NR, bias + block * NR,
                            block * NR, pixels, args->y);
            }
        }
    }
}

MB_KERNEL(f32_conv2d_winograd4) = {
    MB_KERNEL_HEAD(f32_conv2d_winograd4),
    .kind = MB_STEP_CONV2D,
    .supports = supports,
    .cost = cost,
    .packed_bytes = packed_bytes,
    .scratch_bytes = scratch_bytes,
    .pack = pack,
    .run = run,
};
