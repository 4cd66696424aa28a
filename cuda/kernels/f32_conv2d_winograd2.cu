/* y = pool(act(conv(x, w) + bias)) for 3x3 filters with stride 1, by Winograd's F(2x2, 3x3): 2 x 2
 * sums, a tile, take 16 products for each channel instead of 36 (Lavin and Gray, "Fast Algorithms
 * for Convolutional Neural Networks", 2015). All FP32; what is not finite in a tile's 4 x 4 patch
 * may reach all of its sums.
 *
 * One kernel. A block takes 32 tiles, neighbours in the order of images, rows and columns, and 32
 * filters, four channels at a time: it transforms the patches into shared memory, [point][channel]
 * [tile], beside the filters, which were transformed when packed. Each half-warp then multiplies at
 * one of the 16 points, with 8 x 8 sums in a thread. At the end the sums meet in shared memory by
 * points, where each thread transforms those of a tile; pooling by two is their maximum.
 *
 * Two stages of shared memory. Half of the warps read the patches of one stage while the other
 * half, which read a stage earlier, transforms and stores the next one: a read has the time of a
 * whole stage to arrive. */
#include "conv2d_pack.cuh"

enum {
    TILES = 32,   /* of a block */
    FILTERS = 32, /* of a block */
    POINTS = 16,
    DEPTH = 4, /* channels of a stage */
    THREADS = 256,
    HALF_WARPS = 4, /* half of the warps */

    /* Floats between channels and points in shared memory. Neighbouring points are 16 banks apart,
     * so that the two halves of a warp read from all banks; 40 spreads the stores of NHWC. */
    A_PITCH = TILES + 8,
    A_POINT = DEPTH * A_PITCH + 16,
    B_PITCH = FILTERS,
    B_POINT = DEPTH * B_PITCH + 16,
    B_AT = POINTS * A_POINT,
    STAGE = B_AT + POINTS * B_POINT,
    PACKED_STAGE = POINTS * DEPTH * FILTERS,

    /* Of the exchange at the end: one round's filters. */
    ROUND_FILTERS = FILTERS / 2,
    EXCHANGE_POINT = ROUND_FILTERS * TILES,
    SHARED_BYTES = 2 * STAGE * 4,
};
static_assert(POINTS * EXCHANGE_POINT <= 2 * STAGE && SHARED_BYTES <= 48 * 1024, "shared memory");

struct winograd_args {
    const float *x, *w, *bias; /* w: [block of filters][stage][point][channel][filter] */
    float *y;
    struct mb_conv2d_steps in, out;
    int64_t tiles, tiles_y, tiles_x;
    int64_t c, h, w_in, filters, out_h, out_w;
    int n_stages, pad_y, pad_x;
    unsigned filter_blocks;
    bool pool, relu;
};

struct tile_position {
    int64_t n, y, x; /* in tiles */
};

static __device__ inline struct tile_position position_of(const struct winograd_args &args,
                                                          int64_t tile) {
    return {tile / args.tiles_x / args.tiles_y, tile / args.tiles_x % args.tiles_y,
            tile % args.tiles_x};
}

/* A thread's tile, when reading and when writing: lanes run along what is contiguous. */
template <bool PLANAR> static __device__ inline int thread_tile() {
    return PLANAR ? threadIdx.x % 32 : threadIdx.x / 32 % HALF_WARPS * 8 + threadIdx.x % 32 / 4;
}

/* The 4 x 4 patches of one tile, one channel of every other stage. */
template <bool PLANAR> struct patch_source {
    const float *image; /* the patch's first element, in the next channel */
    int64_t stage_step;
    int row_step, column_step;
    int channels;    /* left from the next one on */
    unsigned inside; /* bit 4 * row + column: lies in the image */
    float patch[4][4];

    static __device__ int channel() {
        return PLANAR ? threadIdx.x / 32 % HALF_WARPS : threadIdx.x % 4;
    }

    __device__ patch_source(const struct winograd_args &args, int64_t tile, int stage)
        : stage_step(2 * DEPTH * args.in.c), row_step(static_cast<int>(args.in.h)),
          column_step(PLANAR ? 1 : static_cast<int>(args.in.w)), inside(0) {
        const struct tile_position p = position_of(args, tile);
        const int64_t y = p.y * 2 - args.pad_y, x = p.x * 2 - args.pad_x;
        const int first = stage * DEPTH + channel();
        channels = static_cast<int>(args.c) - first;
        image = args.x + p.n * args.in.n + first * args.in.c + y * row_step + x * column_step;
        if (tile >= args.tiles) return;
#pragma unroll
        for (int i = 0; i < 16; i++) {
            const int64_t row = y + i / 4, column = x + i % 4;
            if (row >= 0 && row < args.h && column >= 0 && column < args.w_in) inside |= 1u << i;
        }
    }

    __device__ void load() {
        const unsigned read = channels > 0 ? inside : 0;
        const float *row = image;
#pragma unroll
        for (int i = 0; i < 4; i++, row += row_step)
#pragma unroll
            for (int j = 0; j < 4; j++)
                patch[i][j] = read >> (4 * i + j) & 1 ? row[j * column_step] : 0;
        image += stage_step, channels -= 2 * DEPTH;
    }

    /* BT patch B, to every point of the stage. */
    __device__ void store(float *stage) const {
        float half[4][4];
#pragma unroll
        for (int j = 0; j < 4; j++) {
            half[0][j] = patch[0][j] - patch[2][j], half[1][j] = patch[1][j] + patch[2][j];
            half[2][j] = patch[2][j] - patch[1][j], half[3][j] = patch[1][j] - patch[3][j];
        }
        float *to = stage + channel() * A_PITCH + thread_tile<PLANAR>();
#pragma unroll
        for (int i = 0; i < 4; i++, to += 4 * A_POINT) {
            to[0] = half[i][0] - half[i][2], to[A_POINT] = half[i][1] + half[i][2];
            to[2 * A_POINT] = half[i][2] - half[i][1], to[3 * A_POINT] = half[i][1] - half[i][3];
        }
    }
};

static __device__ inline void copy_filters(float *stage, const float *w) {
    constexpr int point_words = DEPTH * FILTERS, points = THREADS * 4 / point_words; /* at a time */
    const int first = threadIdx.x * 4;
    float *to = stage + B_AT + first / point_words * B_POINT + first % point_words;
#pragma unroll
    for (int point = 0; point < POINTS; point += points)
        mb_copy16_async(to + point * B_POINT, w + first + point * point_words, 16);
    mb_copy_commit();
}

/* A thread's place in its point's product: tiles 16 * (i / 4) + row + i % 4, filters likewise. */
static __device__ inline int thread_point() { return threadIdx.x / 16; }
static __device__ inline int thread_row() { return threadIdx.x / 4 % 4 * 4; }
static __device__ inline int thread_column() { return threadIdx.x % 4 * 4; }

/* sum[filter][tile] */
static __device__ inline void multiply(float (&sum)[8][8], const float *stage) {
    const float *a = stage + thread_point() * A_POINT + thread_row();
    const float *b = stage + B_AT + thread_point() * B_POINT + thread_column();
#pragma unroll
    for (int k = 0; k < DEPTH; k++) {
        const float4 a0 = mb_load4(a + k * A_PITCH), a1 = mb_load4(a + k * A_PITCH + 16);
        const float4 b0 = mb_load4(b + k * B_PITCH), b1 = mb_load4(b + k * B_PITCH + 16);
        const float left[8] = {a0.x, a0.y, a0.z, a0.w, a1.x, a1.y, a1.z, a1.w};
        const float right[8] = {b0.x, b0.y, b0.z, b0.w, b1.x, b1.y, b1.z, b1.w};
#pragma unroll
        for (int j = 0; j < 8; j++)
#pragma unroll
            for (int i = 0; i < 8; i++) sum[j][i] = fmaf(left[i], right[j], sum[j][i]);
    }
}

/* Where the four tiles from 4 * quad on of one of a round's filters lie in the exchange: so that
 * neither the stores of four tiles nor the reads of one touch a bank twice. */
static __device__ inline int exchange_at(int filter, int quad) {
    return filter * TILES + (quad ^ filter / 4 * 2) * 4;
}

/* AT m A of one tile and filter from the exchange, as y[row][column]. */
static __device__ inline void inverse(const float *m, float (&y)[2][2]) {
    float half[2][4];
#pragma unroll
    for (int j = 0; j < 4; j++) {
        const float m0 = m[j * EXCHANGE_POINT], m1 = m[(4 + j) * EXCHANGE_POINT];
        const float m2 = m[(8 + j) * EXCHANGE_POINT], m3 = m[(12 + j) * EXCHANGE_POINT];
        half[0][j] = m0 + m1 + m2, half[1][j] = m1 - m2 - m3;
    }
#pragma unroll
    for (int i = 0; i < 2; i++) {
        y[i][0] = half[i][0] + half[i][1] + half[i][2];
        y[i][1] = half[i][1] - half[i][2] - half[i][3];
    }
}

/* Writes one tile of one filter. */
static __device__ inline void finish(const struct winograd_args &args, struct tile_position p,
                                     int64_t filter, float (&v)[2][2]) {
    const float bias = __ldg(args.bias + filter);
#pragma unroll
    for (int i = 0; i < 4; i++) v[i / 2][i % 2] = mb_activate(v[i / 2][i % 2] + bias, args.relu);
    float *y = args.y + p.n * args.out.n + filter * args.out.c;
    if (args.pool) {
        y[p.y * args.out.h + p.x * args.out.w] =
            mb_larger(mb_larger(v[0][0], v[0][1]), mb_larger(v[1][0], v[1][1]));
        return;
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const int64_t row = p.y * 2 + i / 2, column = p.x * 2 + i % 2;
        if (row < args.out_h && column < args.out_w)
            y[row * args.out.h + column * args.out.w] = v[i / 2][i % 2];
    }
}

/* The addresses of NHWC take more registers than two blocks on a multiprocessor leave. */
template <bool PLANAR>
static __global__ __launch_bounds__(THREADS,
                                    PLANAR ? 2 : 1) void winograd(struct winograd_args args) {
    float *stages = mb_shared();
    const int warp = threadIdx.x / 32, half = warp / HALF_WARPS;
    const int64_t filter_block = blockIdx.x % args.filter_blocks;
    const int64_t tile =
        static_cast<int64_t>(blockIdx.x / args.filter_blocks) * TILES + thread_tile<PLANAR>();
    const float *w = args.w + filter_block * args.n_stages * PACKED_STAGE;
    copy_filters(stages, w);
    patch_source<PLANAR> source(args, tile, half);
    mb_wait_for_previous();
    mb_let_next_start();
    source.load();
    if (half == 0) source.store(stages);
    mb_copy_wait<0>();
    __syncthreads();

    float sum[8][8];
#pragma unroll
    for (int i = 0; i < 64; i++) sum[i / 8][i % 8] = 0;
    for (int at = 0; at < args.n_stages; at++) {
        float *now = stages + (at & 1) * STAGE, *next = stages + (~at & 1) * STAGE;
        if (at + 1 < args.n_stages) {
            w += PACKED_STAGE;
            copy_filters(next, w);
        }
        if (half == (at & 1))
            source.load();
        else
            source.store(next);
        multiply(sum, now);
        mb_copy_wait<0>();
        __syncthreads();
    }

    const struct tile_position p = position_of(args, tile);
#pragma unroll
    for (int round = 0; round < 2; round++) {
        float *exchange = stages + thread_point() * EXCHANGE_POINT;
#pragma unroll
        for (int j = 0; j < 4; j++)
#pragma unroll
            for (int i = 0; i < 8; i += 4) {
                const float *v = &sum[round * 4 + j][i];
                mb_store4(exchange + exchange_at(thread_column() + j, i + thread_row() / 4),
                          make_float4(v[0], v[1], v[2], v[3]));
            }
        __syncthreads();
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const int own = thread_tile<PLANAR>();
            const int f = PLANAR ? warp + i * 8 : threadIdx.x % 4 * 4 + half * 2 + i;
            const int64_t filter = filter_block * FILTERS + round * ROUND_FILTERS + f;
            float v[2][2];
            inverse(stages + exchange_at(f, own / 4) + own % 4, v);
            if (tile < args.tiles && filter < args.filters) finish(args, p, filter, v);
        }
        if (round == 0) __syncthreads();
    }
}

/* ---- packed: [block of filters][stage][point][channel][filter], [filters] bias ---- */

struct winograd_packed {
    int64_t c, filters, n_stages, filter_blocks;

    __host__ __device__ int64_t bias_at() const { return filter_blocks * n_stages * PACKED_STAGE; }
    __host__ __device__ int64_t words() const { return bias_at() + filter_blocks * FILTERS; }
};

static struct winograd_packed packed_of(const struct mb_conv2d_desc *d) {
    return {d->c, d->filters, mb_ceil_div(d->c, DEPTH), mb_ceil_div(d->filters, FILTERS)};
}

/* G[point][tap] */
static __device__ inline double coefficient(int64_t point, int64_t tap) {
    if (point == 0 || point == 3) return tap == (point == 0 ? 0 : 2);
    return point == 2 && tap == 1 ? -0.5 : 0.5;
}

static __global__ void pack_winograd(struct winograd_packed p, bool nhwc, const float *w,
                                     const float *bias, float *packed) {
    for (int64_t i = mb_first(); i < p.words(); i += mb_step()) {
        double value = 0;
        if (i < p.bias_at()) {
            const int64_t point = i / (DEPTH * FILTERS) % POINTS;
            const int64_t stage = i / PACKED_STAGE % p.n_stages;
            const int64_t f = i / PACKED_STAGE / p.n_stages * FILTERS + i % FILTERS;
            const int64_t c = stage * DEPTH + i / FILTERS % DEPTH;
            for (int64_t tap = 0; f < p.filters && c < p.c && tap < 9; tap++) {
                const int64_t from =
                    nhwc ? (tap * p.c + c) * p.filters + f : (f * p.c + c) * 9 + tap;
                value += coefficient(point / 4, tap / 3) * coefficient(point % 4, tap % 3) *
                         static_cast<double>(w[from]);
            }
        } else if (bias && i - p.bias_at() < p.filters) {
            value = static_cast<double>(bias[i - p.bias_at()]);
        }
        packed[i] = static_cast<float>(value);
    }
}

/* ---- the row ---- */

struct division {
    int64_t tiles_y, tiles_x, tiles, blocks;
};

static struct division divide(const struct mb_conv2d_desc *d) {
    struct division v;
    v.tiles_y = d->has_pool ? d->pool_h : mb_ceil_div(d->out_h, 2);
    v.tiles_x = d->has_pool ? d->pool_w : mb_ceil_div(d->out_w, 2);
    v.tiles = d->n * v.tiles_y * v.tiles_x;
    v.blocks = mb_ceil_div(v.tiles, TILES) * mb_ceil_div(d->filters, FILTERS);
    return v;
}

static bool supports(const union mb_step_desc *desc, const struct mb_gpu_properties *) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    return mb_conv2d_layouts_alike(d) && d->r == 3 && d->s == 3 && d->stride[0] == 1 &&
           d->stride[1] == 1 && (!d->has_pool || mb_conv2d_pools_by_two(d)) &&
           d->h * d->w <= INT32_MAX / d->c && divide(d).blocks <= INT32_MAX;
}

/* Two blocks share a multiprocessor, which is busier with two than with one. The last term is for
 * the first reads and the exchange at the end of each block. */
static double cost(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    const struct division v = divide(d);
    const double of_one_block = (double)packed_of(d).n_stages * PACKED_STAGE * TILES;
    const double rounds = (double)mb_ceil_div(v.blocks, gpu->n_sms);
    const double bytes =
        4.0 * ((double)(d->n * d->c * d->h) * (double)d->w + (double)packed_of(d).words() +
               (double)(d->n * d->pool_h * d->pool_w) * (double)d->filters);
    return mb_launch_ns +
           mb_compute_ns(gpu, rounds * of_one_block * gpu->n_sms) / (rounds > 1 ? 0.7 : 0.6) +
           mb_move_ns(gpu, bytes) + 600 * rounds;
}

static size_t packed_bytes(const union mb_step_desc *desc, const struct mb_gpu_properties *) {
    return (size_t)packed_of(&desc->conv2d).words() * sizeof(float);
}

static size_t scratch_bytes(const union mb_step_desc *, const struct mb_gpu_properties *) {
    return 0;
}

static cudaError_t pack(const union mb_step_desc *desc, const struct mb_gpu_properties *,
                        const float *w, const float *bias, void *packed, cudaStream_t stream) {
    const struct winograd_packed p = packed_of(&desc->conv2d);
    return mb_launch(pack_winograd, mb_grid_of(p.words(), MB_PACK_THREADS), dim3(MB_PACK_THREADS),
                     0, stream, p, desc->conv2d.layout == MB_NHWC, w, bias,
                     static_cast<float *>(packed));
}

static cudaError_t launch(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu,
                          const struct mb_cuda_args *args, cudaStream_t stream) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    const struct division v = divide(d);
    const struct winograd_packed p = packed_of(d);
    struct winograd_args a;
    a.x = args->x, a.y = args->y;
    a.w = static_cast<const float *>(args->packed), a.bias = a.w + p.bias_at();
    a.in = mb_conv2d_steps_of(d->layout, d->c, d->h, d->w);
    a.out = mb_conv2d_steps_of(d->layout, d->filters, d->pool_h, d->pool_w);
    a.tiles = v.tiles, a.tiles_y = v.tiles_y, a.tiles_x = v.tiles_x;
    a.c = d->c, a.h = d->h, a.w_in = d->w, a.filters = d->filters;
    a.out_h = d->out_h, a.out_w = d->out_w;
    a.n_stages = (int)p.n_stages, a.filter_blocks = (unsigned)p.filter_blocks;
    a.pad_y = d->pad_before[0], a.pad_x = d->pad_before[1];
    a.pool = d->has_pool, a.relu = d->act == MB_ACT_RELU;
    return mb_launch_in_chain(
        gpu, args->packed_in_run, d->layout == MB_NCHW ? winograd<true> : winograd<false>,
        {dim3((unsigned)v.blocks), dim3(THREADS), SHARED_BYTES, 1}, stream, a);
}

MB_CUDA_KERNEL_PRODUCTS(f32_conv2d_winograd2, 16.0 / 36, MB_STEP_CONV2D, supports, cost,
                        packed_bytes, scratch_bytes, pack, launch)
