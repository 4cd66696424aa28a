/* Convolution with stride 1 by Winograd's F(TILE x TILE, TAPS x TAPS), for any number of channels:
 * fewer products than the direct algorithm's, in the form of PATCH^2 matrix products of (tiles x
 * channels) by (channels x filters). The transforms are f32_winograd.h's.
 *
 * Each thread works on its own tiles, a block of them at a time, for all or a part of the filters,
 * and waits for nobody. Infinity and NaN spread from an input over all outputs of its tiles.
 *
 * A kernel is a file that defines TILE and TAPS and includes this one, then opens its MB_KERNEL
 * with WINOGRAD_KERNEL. */
#include "f32_winograd.h"

enum { NR = 2 * VW, MR = VF_REGS == 32 ? 8 : 6 };

/* Between planes that are written side by side: strides of a multiple of 4 KiB would put all of a
 * tile's vectors into one set of the L1 cache. */
enum { PLANE_PAD = 16 };

/* A block's transformed inputs stay in L2 beside the filters: floats and tiles, found by trying.
 * Where the filters are larger than LARGE_FILTERS bytes they come from beyond L2 anyway, once for
 * each block, and blocks are as large as they may be. */
enum { INPUT_FLOATS = 65536, MAX_TILES = 48, LARGE_FILTERS = 2 << 20 };

/* Summed up in one go; more are added in parts, for accuracy (rms error of 512 channels 1.7e-6, of
 * one sum 2.7e-6) and because a part of a plane of filters stays in L1. */
enum { MAX_CHANNELS = 128 };

/* Floats from one plane of sums to the next: constant, so that all addresses need one register. */
enum { OUTPUT_PLANE = MAX_TILES * NR + PLANE_PAD };

/* Where a block of filters is this small it stays in L1, and so does what its products with MR
 * tiles leave; else the products of all of a block's tiles are made plane by plane, so that each
 * plane of filters is read once. */
enum { SMALL_FILTERS_FLOATS = 4096 };

struct plan {
    int64_t blocks, filter_blocks;   /* of VW channels, of NR filters */
    int64_t tile_rows, tile_columns; /* of an image */
    int64_t tiles, groups;           /* of all images; MR tiles are a group */
    int64_t block_tiles, step_tiles; /* read together, multiplied together */
    int tile_parts, filter_parts;    /* thread i: part i / filter_parts and i % filter_parts */
    int64_t input_tile, input_plane, patch_floats, pixel_row; /* floats */
};

/* Measured on Zen 3 with AVX2, reading and writing included: cycles for a tile and a vector of
 * channels, for a tile and a vector of filters, and for each of its products 1.05 c + 1.4; filters
 * from beyond L2 arrive at so many bytes a cycle. */
enum { INPUT_CYCLES = PATCH == 6 ? 120 : 60, OUTPUT_CYCLES = PATCH == 6 ? 100 : 40 };
enum { FILTER_BYTES = 6 };

static int64_t filter_bytes(const struct mb_conv2d_desc *d, int64_t filter_blocks) {
    return filter_blocks * NR * PLANES * d->c * (int64_t)sizeof(float);
}

/* Tiles in a block: equal blocks of whole groups. */
static int64_t block_tiles_of(const struct mb_conv2d_desc *d, const struct plan *p, int64_t groups,
                              int64_t filter_blocks) {
    const bool large = filter_bytes(d, filter_blocks) > LARGE_FILTERS;
    const int64_t tiles =
        large ? MAX_TILES : min_of(MAX_TILES, INPUT_FLOATS / (PLANES * p->blocks * VW));
    const int64_t most = max_of(1, tiles / MR);
    return ceil_div(groups, ceil_div(groups, most)) * MR;
}

/* Of one thread. */
static double cycles_of(const struct mb_conv2d_desc *d, const struct plan *p, int64_t groups,
                        int64_t filter_blocks) {
    const double products = PLANES * (1.05 * (double)d->c + 1.4);
    const int64_t bytes = filter_bytes(d, filter_blocks);
    const int64_t passes = ceil_div(groups * MR, block_tiles_of(d, p, groups, filter_blocks));
    return (double)(groups * MR) * ((double)filter_blocks * (products + 2 * OUTPUT_CYCLES) +
                                    (double)p->blocks * INPUT_CYCLES) +
           (bytes > LARGE_FILTERS ? (double)(bytes * passes) / FILTER_BYTES : 0);
}

/* Columns of inputs that a run of tiles needs. */
static int64_t run_columns(int64_t tiles) { return tiles * TILE + TAPS - 1; }

/* Columns of inputs kept from tile to tile: a power of two that is PATCH or more. */
enum { RING = 8 };

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
    p.block_tiles = block_tiles_of(d, &p, ceil_div(p.groups, p.tile_parts),
                                   ceil_div(p.filter_blocks, p.filter_parts));
    p.step_tiles = PLANES * d->c * NR <= SMALL_FILTERS_FLOATS ? MR : p.block_tiles;
    p.input_tile = p.blocks == 1 ? d->c : p.blocks * VW;
    p.input_plane = p.block_tiles * p.input_tile + PLANE_PAD;
    p.patch_floats =
        d->x_layout == MB_NHWC
            ? p.blocks * (RING * PATCH + 1) * VW
            : PATCH * window_line(d, run_columns(min_of(p.block_tiles, p.tile_columns))) + VW;
    p.pixel_row = p.block_tiles * (side_of(d)) * NR;
    return p;
}

static int64_t thread_floats(const struct plan *p) {
    return round_up(
        PLANES * (p->input_plane + OUTPUT_PLANE) + p->patch_floats + TILE * p->pixel_row, 16);
}

static bool supports(const union mb_step_desc *desc, int n_threads) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    (void)n_threads;
    return d->r == TAPS && d->s == TAPS && d->stride[0] == 1 && d->stride[1] == 1 && pool_fits(d);
}

/* [filter_blocks][parts of MAX_CHANNELS channels][PLANES][channels][NR], then the bias. */
static size_t packed_bytes(const union mb_step_desc *desc, int n_threads) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    (void)n_threads;
    return (size_t)(ceil_div(d->filters, NR) * NR * (PLANES * d->c + 1)) * sizeof(float);
}

static double cost(const union mb_step_desc *desc, int n_threads) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    const struct plan p = plan_of(d, n_threads);
    return 500 + cycles_of(d, &p, ceil_div(p.groups, p.tile_parts),
                           ceil_div(p.filter_blocks, p.filter_parts)) /
                     3;
}

static size_t scratch_bytes(const union mb_step_desc *desc, int n_threads) {
    const struct plan p = plan_of(&desc->conv2d, n_threads);
    return (size_t)(n_threads * thread_floats(&p)) * sizeof(float);
}

/* ---- filters ---- */

static void pack(const union mb_step_desc *desc, const float *w, const float *bias, void *packed,
                 const struct mb_thread *thread) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    const int64_t filters = ceil_div(d->filters, NR) * NR;
    float *to_bias = (float *)packed + filters * PLANES * d->c;
    int64_t f, end;
    for (mb_share(thread, filters, &f, &end); f < end; f++) {
        const bool real = f < d->filters;
        float *of_block = (float *)packed + f / NR * NR * PLANES * d->c + f % NR;
        to_bias[f] = bias && real ? bias[f] : 0.0f;
        for (int64_t c = 0; c < d->c; c++) {
            const int64_t part = c / MAX_CHANNELS * MAX_CHANNELS;
            const int64_t channels = min_of(MAX_CHANNELS, d->c - part);
            transform_filter(d, w, f, c, of_block + (part * PLANES + c - part) * NR, channels * NR);
        }
    }
}

/* ---- inputs ---- */

/* Tiles next to each other in one row of tiles. */
struct run_of_tiles {
    int64_t n, row, column, count;
};

static struct run_of_tiles run_at(const struct plan *p, int64_t tile, int64_t end) {
    const int64_t row = tile / p->tile_columns, column = tile % p->tile_columns;
    return (struct run_of_tiles){row / p->tile_rows, row % p->tile_rows, column,
                                 min_of(p->tile_columns - column, end - tile)};
}

/* The vectors of a row of a transformed patch to every PATCH'th plane. */
MB_INLINE void transform_row(const VF a[PATCH], float *to, int64_t plane) {
    VF b[PATCH];
    transform_input(a, b);
    MB_UNROLL
    for (int j = 0; j < PATCH; j++) vf_store(to + j * plane, b[j]);
}

/* One block of channels of a run of tiles of an NCHW image to inputs[PLANES][count][input_tile]. A
 * tile of few channels is no whole vector: what is stored beyond it belongs to the next one, stored
 * later, or to the padding of the plane. */
static void read_planes(const struct mb_conv2d_desc *d, const struct plan *p, const float *x,
                        const struct run_of_tiles *run, int64_t block, float *patch,
                        float *inputs) {
    const int64_t columns = run_columns(run->count), pixel = window_pixel(d);
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
            MB_UNROLL
            for (int j = 0; j < PATCH; j++) a[j] = vf_load(from + j * pixel);
            transform_row(a, inputs + i * PATCH * p->input_plane + t * p->input_tile + block * VW,
                          p->input_plane);
        }
}

/* One column of a patch of an NHWC image, all channels, transformed, to to[blocks][PATCH][VW]. Row
 * i is at from[i]. */
MB_OUTLINE void read_column(const float *const from[PATCH], int64_t c, float *to) {
    const float *const r0 = from[0], *const r1 = from[1], *const r2 = from[2], *const r3 = from[3];
    const float *const r4 = from[PATCH - 2], *const r5 = from[PATCH - 1];
    for (int64_t k = 0; k < c; k += VW, to += PATCH * VW) {
        const float *const row[] = {r0, r1, r2, r3, r4, r5};
        VF a[PATCH], b[PATCH];
        MB_UNROLL
        for (int i = 0; i < PATCH; i++)
            a[i] = c - k >= VW ? vf_load(row[i] + k) : vf_load_part(row[i] + k, c - k);
        transform_input(a, b);
        MB_UNROLL
        for (int i = 0; i < PATCH; i++) vf_store(to + i * VW, b[i]);
    }
}

/* The columns of a tile, [blocks][PATCH][VW] each, transformed to all planes of inputs. */
MB_OUTLINE void transform_columns(const struct plan *p, const float *const column[PATCH],
                                  float *inputs) {
    const float *const c0 = column[0], *const c1 = column[1], *const c2 = column[2];
    const float *const c3 = column[3], *const c4 = column[PATCH - 2], *const c5 = column[PATCH - 1];
    const int64_t plane = p->input_plane, last = p->blocks * PATCH * VW;
    for (int64_t k = 0; k < last; k += PATCH * VW, inputs += VW) {
        const float *const from[] = {c0, c1, c2, c3, c4, c5};
        float *to = inputs;
        for (int64_t i = k; i < k + PATCH * VW; i += VW) {
            VF a[PATCH], b[PATCH];
            MB_UNROLL
            for (int j = 0; j < PATCH; j++) a[j] = vf_load(from[j] + i);
            transform_input(a, b);
            MB_UNROLL
            for (int j = 0; j < PATCH; j++, to += plane) vf_store(to, b[j]);
        }
    }
}

/* A run of tiles of an NHWC image, all its channels tile by tile, so that the image is read in its
 * order. Columns that the next tile needs as well stay in ring[RING][blocks][PATCH][VW], behind
 * which there is a pixel of zeros. */
static void read_pixels(const struct mb_conv2d_desc *d, const struct plan *p, const float *x,
                        const struct run_of_tiles *run, float *ring, float *inputs) {
    const int64_t ring_column = p->blocks * PATCH * VW;
    float *zeros = ring + RING * ring_column;
    const struct window win = {
        run->n, run->row * TILE, PATCH, run->column * TILE, run_columns(run->count), 0, 0};
    const struct inside in = inside_of(d, &win);
    const float *first =
        x +
        ((win.n * d->h + win.row - d->pad_before[0]) * d->w + win.column - d->pad_before[1]) * d->c;
    memset(zeros, 0, (size_t)(p->blocks * VW) * sizeof *zeros);
    for (int64_t t = 0; t < run->count; t++, inputs += p->input_tile) {
        const float *column[PATCH];
        for (int64_t j = t ? t * TILE + TAPS - 1 : 0; j < t * TILE + PATCH; j++) {
            const float *from[PATCH];
            for (int i = 0; i < PATCH; i++) {
                const bool inside = i >= in.first_row && i < in.last_row && j >= in.first_column &&
                                    j < in.last_column;
                from[i] = inside ? first + (i * d->w + j) * d->c : zeros;
            }
            read_column(from, d->c, ring + j % RING * ring_column);
        }
        for (int j = 0; j < PATCH; j++) column[j] = ring + (t * TILE + j) % RING * ring_column;
        transform_columns(p, column, inputs);
    }
}

static void read_tiles(const struct mb_conv2d_desc *d, const struct plan *p, const float *x,
                       const struct run_of_tiles *run, float *patch, float *inputs) {
    if (d->x_layout == MB_NHWC) {
        read_pixels(d, p, x, run, patch, inputs);
        return;
    }
    for (int64_t block = 0; block < p->blocks; block++)
        read_planes(d, p, x, run, block, patch, inputs);
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
    MB_UNROLL_BY_4
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
MB_INLINE void multiply_planes(const struct plan *p, int64_t channels, int64_t tiles,
                               const float *inputs, const float *w, float *outputs,
                               const bool is_first, const int vectors) {
    const int64_t stride = p->input_tile, plane = p->input_plane, last = tiles * stride;
    for (const float *end = inputs + PLANES * plane; inputs < end; inputs += plane) {
        float *to = outputs;
        for (const float *at = inputs; at < inputs + last; at += MR * stride, to += MR * NR)
            multiply(at, stride, channels, w, to, is_first, vectors);
        outputs += OUTPUT_PLANE;
        w += channels * NR;
    }
}

/* ---- outputs ---- */

/* `tiles` tiles and `vectors` vectors of a block's filters to pixels[side][pixel_row]. */
MB_INLINE void finish_tiles(const struct mb_conv2d_desc *d, const struct plan *p, int64_t tiles,
                            const float *outputs, const float *bias, const int vectors,
                            const int side, float *pixels) {
    const VF low = vf_set1(d->act == MB_ACT_RELU ? 0.0f : -INFINITY);
    const int64_t row = p->pixel_row;
    for (int v = 0; v < vectors * VW; v += VW) {
        const VF bias_v = vf_load(bias + v);
        for (int64_t t = 0; t < tiles; t++)
            finish_tile(outputs + t * NR + v, OUTPUT_PLANE, bias_v, low, side,
                        pixels + t * side * NR + v, NR, row);
    }
}

/* The tiles [first, end) of one block of filters from pixels to y. */
static void write_tiles(const struct mb_conv2d_desc *d, const struct plan *p, int64_t first,
                        int64_t end, int64_t filter, const float *pixels, float *y) {
    const int64_t side = side_of(d);
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
    multiply_planes(p, min_of(d->c, MAX_CHANNELS), tiles, inputs, w, outputs, true, vectors);
    for (int64_t c = MAX_CHANNELS; c < d->c; c += MAX_CHANNELS)
        multiply_planes(p, min_of(d->c - c, MAX_CHANNELS), tiles, inputs + c, w + c * PLANES * NR,
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
    const int64_t side = side_of(d);
    int64_t first, last, filter_begin, filter_end;
    mb_share(&tile_part, p.groups, &first, &last);
    mb_share(&filter_part, p.filter_blocks, &filter_begin, &filter_end);
    last = min_of(last * MR, p.tiles);
    for (first *= MR; first < last; first += p.block_tiles) {
        const int64_t end = min_of(first + p.block_tiles, last);
        struct run_of_tiles tiles;
        for (int64_t t = first; t < end; t += tiles.count) {
            tiles = run_at(&p, t, end);
            read_tiles(d, &p, args->x, &tiles, patch, inputs + (t - first) * p.input_tile);
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

#define WINOGRAD_KERNEL(stem)                                                                      \
    MB_KERNEL(stem) = {                                                                            \
        MB_KERNEL_HEAD(stem),                                                                      \
        .kind = MB_STEP_CONV2D,                                                                    \
        .products = (double)PLANES / (TILE * TILE * TAPS * TAPS),                                  \
        .supports = supports,                                                                      \
        .cost = cost,                                                                              \
        .packed_bytes = packed_bytes,                                                              \
        .scratch_bytes = scratch_bytes,                                                            \
        .pack = pack,                                                                              \
        .run = run,                                                                                \
    }
