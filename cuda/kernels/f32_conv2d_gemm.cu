/* y = pool(act(conv(x, w) + bias)) as a matrix product: a row for each output, a column for each
 * filter, a term for each tap and channel (implicit GEMM). The left matrix is made tile by tile in
 * shared memory (tile.cuh), so it takes many channels to pay: its steps are 16 channels of one tap.
 *
 * Where 2 x 2 pooling follows, four neighbouring rows are one window: a thread has them all, and
 * the maximum is taken in registers. Other pooling takes a second kernel, over scratch. Where tiles
 * are fewer than multiprocessors, steps are split over blocks (mb_add_slices). */
#include "conv2d_pack.cuh"
#include "tile.cuh"

using tile = mb_tile<64, 64, 16, 4, 4>;

enum { MOST_SLICES = 32, LEAST_STEPS = 8 /* of a slice */, POOL_THREADS = 256 };

struct conv_args {
    const float *x, *w, *bias;
    float *y, *partials;
    unsigned *tickets;
    struct mb_conv2d_steps in, out;
    int64_t rows;         /* of the product: 4 * windows with pooling by two */
    int64_t out_h, out_w; /* what the rows count: of y with pooling by two */
    int64_t c, h, w_in, filters, filters4, s;
    int64_t chunks, n_steps, steps; /* steps: chunks of channels in all taps; in a slice */
    unsigned n_slices, filter_tiles;
    int stride_y, stride_x, pad_y, pad_x;
    bool windows, relu;
};

struct position {
    int64_t n, y, x; /* of the convolution's output; with pooling the window's first */
};

static __device__ inline struct position position_of(const struct conv_args &args, int64_t row) {
    const int64_t cell = args.windows ? row / 4 : row, scale = args.windows ? 2 : 1;
    return {cell / args.out_w / args.out_h, cell / args.out_w % args.out_h * scale,
            cell % args.out_w * scale};
}

/* PLANAR: NCHW, a thread takes four channels of one row, so that a warp's addresses run along rows;
 * else NHWC, four neighbouring channels are neighbours in memory. ALIGNED: and at a multiple of 16
 * bytes. */
template <bool PLANAR, bool ALIGNED> struct conv_source {
    const struct conv_args &args;
    const float *w;     /* the thread's vector of the next step */
    const float *image; /* of the thread's row, at its channels */
    int64_t y0, x0;     /* where the row's first tap lies in it; below any image without a row */
    int64_t r, s, c0;   /* the next step's tap and first channel */
    bool has_column;
    float4 left, right;

    static __device__ int row() { return PLANAR ? threadIdx.x % tile::BM : threadIdx.x / 4; }
    static __device__ int channel() {
        return (PLANAR ? threadIdx.x / tile::BM : threadIdx.x % 4) * 4;
    }
    static __device__ int b_k() { return threadIdx.x / (tile::BN / 4); }
    static __device__ int b_column() { return threadIdx.x % (tile::BN / 4) * 4; }

    __device__ conv_source(const struct conv_args &a, int64_t row0, int64_t column0, int64_t step)
        : args(a) {
        const int64_t at = row0 + row(), tap = step / a.chunks;
        const bool has_row = at < a.rows;
        const struct position p = position_of(a, has_row ? at : 0);
        const int64_t window = a.windows ? at % 4 : 0;
        image = a.x + p.n * a.in.n + channel() * a.in.c;
        y0 = has_row ? (p.y + window / 2) * a.stride_y - a.pad_y : INT64_MIN / 2;
        x0 = (p.x + window % 2) * a.stride_x - a.pad_x;
        r = tap / a.s, s = tap % a.s, c0 = step % a.chunks * tile::BK;
        w = a.w + (tap * a.c + c0 + b_k()) * a.filters4 + column0 + b_column();
        has_column = column0 + b_column() < a.filters4;
    }

    __device__ void load() {
        const int64_t y = y0 + r, x = x0 + s;
        const int terms = static_cast<int>(args.c - c0 < tile::BK ? args.c - c0 : tile::BK);
        left = right = make_float4(0, 0, 0, 0);
        if (y >= 0 && y < args.h && x >= 0 && x < args.w_in) {
            const float *from = image + y * args.in.h + x * args.in.w + c0 * args.in.c;
            const int inside = terms - channel();
            if (ALIGNED) {
                if (inside > 0) left = mb_load4_const(from);
            } else {
                if (inside > 0) left.x = __ldg(from);
                if (inside > 1) left.y = __ldg(from + args.in.c);
                if (inside > 2) left.z = __ldg(from + 2 * args.in.c);
                if (inside > 3) left.w = __ldg(from + 3 * args.in.c);
            }
        }
        if (b_k() < terms && has_column) right = mb_load4_const(w);
        w += terms * args.filters4, c0 += tile::BK;
        if (c0 < args.c) return;
        c0 = 0, s++;
        if (s == args.s) s = 0, r++;
    }

    __device__ void store(float *stage) const {
        tile::store_a(stage, row(), channel(), left);
        mb_store4(stage + tile::B_AT + b_k() * tile::BN + b_column(), right);
    }
};

template <bool PLANAR, bool ALIGNED>
static __global__ __launch_bounds__(tile::THREADS, 2) void conv_gemm(struct conv_args args) {
    const int64_t at = blockIdx.x;
    const unsigned slice = blockIdx.y;
    const int64_t row0 = at / args.filter_tiles * tile::BM;
    const int64_t column0 = at % args.filter_tiles * tile::BN;
    const int64_t begin = slice * args.steps, rest = args.n_steps - begin;
    conv_source<PLANAR, ALIGNED> source(args, row0, column0, begin);
    float sum[tile::SUMS];
#pragma unroll
    for (int i = 0; i < tile::SUMS; i++) sum[i] = 0;
    tile::run(sum, source, rest < args.steps ? rest : args.steps);
    constexpr int size = tile::SUMS * tile::THREADS;
    if (!mb_add_slices<tile::SUMS, tile::THREADS>(sum, args.partials + at * args.n_slices * size,
                                                  args.tickets + at, slice, args.n_slices))
        return;

    const int64_t column = column0 + tile::column(0);
#pragma unroll
    for (int j = 0; j < tile::TN; j++) {
        if (column + j >= args.filters) continue;
        const float bias = __ldg(args.bias + column + j);
        float v[tile::TM];
#pragma unroll
        for (int i = 0; i < tile::TM; i++)
            v[i] = mb_activate(sum[i * tile::TN + j] + bias, args.relu);
        if (args.windows) v[0] = mb_larger(mb_larger(v[0], v[1]), mb_larger(v[2], v[3]));
#pragma unroll
        for (int i = 0; i < tile::TM; i++) {
            const int64_t row = row0 + tile::row(i);
            if (row >= args.rows || (args.windows && i > 0)) continue;
            const struct position p = position_of(args, row);
            const int64_t scale = args.windows ? 2 : 1;
            args.y[p.n * args.out.n + p.y / scale * args.out.h + p.x / scale * args.out.w +
                   (column + j) * args.out.c] = v[i];
        }
    }
}

/* ---- pooling that is not by two ---- */

struct pool_args {
    const float *x;
    float *y;
    struct mb_conv2d_steps in, out;
    int64_t n, filters, pool_h, pool_w;
    int kernel_y, kernel_x, stride_y, stride_x;
    bool planar;
};

static __global__ void max_pool(struct pool_args args) {
    const int64_t count = args.n * args.filters * args.pool_h * args.pool_w;
    for (int64_t i = mb_first(); i < count; i += mb_step()) {
        const int64_t inner = args.planar ? 1 : args.filters;
        const int64_t outer = i / inner, px = outer % args.pool_w;
        const int64_t py = outer / args.pool_w % args.pool_h,
                      rest = outer / args.pool_w / args.pool_h;
        const int64_t f = args.planar ? rest % args.filters : i % inner;
        const int64_t n = args.planar ? rest / args.filters : rest;
        const float *window = args.x + n * args.in.n + f * args.in.c +
                              py * args.stride_y * args.in.h + px * args.stride_x * args.in.w;
        float best = *window;
        for (int a = 0; a < args.kernel_y; a++)
            for (int b = 0; b < args.kernel_x; b++)
                best = mb_larger(best, window[a * args.in.h + b * args.in.w]);
        args.y[i] = best;
    }
}

/* ---- the division of the work ---- */

struct division {
    bool windows; /* pooled in registers */
    int64_t out_h, out_w, rows, row_tiles, filter_tiles, tiles, chunks, n_steps, steps, n_slices;
};

static struct division divide(const struct mb_conv2d_desc *d, const struct mb_gpu_properties *gpu) {
    struct division v;
    v.windows = mb_conv2d_pools_by_two(d);
    v.out_h = v.windows ? d->pool_h : d->out_h, v.out_w = v.windows ? d->pool_w : d->out_w;
    v.rows = d->n * v.out_h * v.out_w * (v.windows ? 4 : 1);
    v.row_tiles = mb_ceil_div(v.rows, tile::BM);
    v.filter_tiles = mb_ceil_div(d->filters, tile::BN);
    v.tiles = v.row_tiles * v.filter_tiles;
    v.chunks = mb_ceil_div(d->c, tile::BK);
    v.n_steps = v.chunks * d->r * d->s;
    const int64_t wanted = mb_min(gpu->n_sms / v.tiles, v.n_steps / LEAST_STEPS);
    v.steps = mb_ceil_div(v.n_steps, mb_max(1, mb_min(wanted, MOST_SLICES)));
    v.n_slices = mb_ceil_div(v.n_steps, v.steps);
    return v;
}

static bool pools_apart(const struct mb_conv2d_desc *d, const struct division *v) {
    return d->has_pool && !v->windows;
}

static int64_t unpooled(const struct mb_conv2d_desc *d) {
    return d->n * d->filters * d->out_h * d->out_w;
}

static bool supports(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu) {
    return divide(&desc->conv2d, gpu).tiles <= INT32_MAX;
}

static double cost(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    const struct division v = divide(d, gpu);
    const double of_one_block = (double)v.steps * tile::BK * tile::BM * tile::BN;
    const double rounds = (double)mb_ceil_div(v.tiles * v.n_slices, gpu->n_sms);
    const double bytes = 4.0 * ((double)(d->n * d->c * d->h) * (double)d->w +
                                (double)(d->r * d->s * d->c) * (double)d->filters +
                                (double)(d->n * v.out_h * v.out_w) * (double)d->filters);
    const double apart =
        pools_apart(d, &v) ? mb_launch_ns + mb_move_ns(gpu, 8.0 * (double)unpooled(d)) : 0;
    return mb_launch_ns + mb_compute_ns(gpu, rounds * of_one_block * gpu->n_sms) / 0.5 +
           mb_move_ns(gpu, bytes) + 20 * (double)v.n_slices + 100 * (double)mb_min(v.steps, 16) +
           apart;
}

static struct mb_conv2d_packed packed_of(const struct mb_conv2d_desc *d, const struct division *v) {
    return mb_conv2d_packed_of(d, 4, v->n_slices > 1 ? v->tiles : 0);
}

static size_t packed_bytes(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu) {
    const struct division v = divide(&desc->conv2d, gpu);
    return (size_t)packed_of(&desc->conv2d, &v).words() * sizeof(float);
}

/* Partial sums, and behind them what is pooled apart. */
static int64_t partial_words(const struct division *v) {
    return v->n_slices > 1 ? v->tiles * v->n_slices * tile::SUMS * tile::THREADS : 0;
}

static size_t scratch_bytes(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    const struct division v = divide(d, gpu);
    return (size_t)(partial_words(&v) + (pools_apart(d, &v) ? unpooled(d) : 0)) * sizeof(float);
}

static cudaError_t pack(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu,
                        const float *w, const float *bias, void *packed, cudaStream_t stream) {
    const struct division v = divide(&desc->conv2d, gpu);
    return mb_pack_conv2d(&desc->conv2d, packed_of(&desc->conv2d, &v), w, bias, packed, stream);
}

static cudaError_t pool_apart(const struct mb_conv2d_desc *d, const float *x, float *y,
                              cudaStream_t stream) {
    struct pool_args a;
    a.x = x, a.y = y;
    a.in = mb_conv2d_steps_of(d->layout, d->filters, d->out_h, d->out_w);
    a.out = mb_conv2d_steps_of(d->layout, d->filters, d->pool_h, d->pool_w);
    a.n = d->n, a.filters = d->filters, a.pool_h = d->pool_h, a.pool_w = d->pool_w;
    a.kernel_y = d->pool_kernel[0], a.kernel_x = d->pool_kernel[1];
    a.stride_y = d->pool_stride[0], a.stride_x = d->pool_stride[1];
    a.planar = d->layout == MB_NCHW;
    return mb_launch(max_pool, mb_grid_of(d->n * d->filters * d->pool_h * d->pool_w, POOL_THREADS),
                     dim3(POOL_THREADS), 0, stream, a);
}

static cudaError_t launch(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu,
                          const struct mb_cuda_args *args, cudaStream_t stream) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    const struct division v = divide(d, gpu);
    const struct mb_conv2d_packed p = packed_of(d, &v);
    const bool planar = d->layout == MB_NCHW, apart = pools_apart(d, &v);
    float *scratch = static_cast<float *>(args->scratch);
    struct conv_args a;
    a.x = args->x, a.w = static_cast<const float *>(args->packed), a.bias = a.w + p.bias_at();
    a.y = apart ? scratch + partial_words(&v) : args->y, a.partials = scratch;
    a.tickets = reinterpret_cast<unsigned *>(const_cast<void *>(args->packed)) + p.tickets_at();
    a.in = mb_conv2d_steps_of(d->layout, d->c, d->h, d->w);
    a.out = mb_conv2d_steps_of(d->layout, d->filters, v.out_h, v.out_w);
    a.rows = v.rows, a.out_h = v.out_h, a.out_w = v.out_w;
    a.c = d->c, a.h = d->h, a.w_in = d->w;
    a.filters = d->filters, a.filters4 = p.filters4, a.s = d->s;
    a.chunks = v.chunks, a.n_steps = v.n_steps, a.steps = v.steps;
    a.n_slices = (unsigned)v.n_slices, a.filter_tiles = (unsigned)v.filter_tiles;
    a.stride_y = d->stride[0], a.stride_x = d->stride[1];
    a.pad_y = d->pad_before[0], a.pad_x = d->pad_before[1];
    a.windows = v.windows, a.relu = d->act == MB_ACT_RELU;
    void (*const kernel)(struct conv_args) = planar          ? conv_gemm<true, false>
                                             : d->c % 4 == 0 ? conv_gemm<false, true>
                                                             : conv_gemm<false, false>;
    MB_TRY_CUDA(mb_launch(kernel, dim3((unsigned)v.tiles, (unsigned)v.n_slices),
                          dim3(tile::THREADS), tile::SHARED_BYTES, stream, a));
    return apart ? pool_apart(d, a.y, args->y, stream) : cudaSuccess;
}

MB_CUDA_KERNEL(f32_conv2d_gemm, MB_STEP_CONV2D, supports, cost, packed_bytes, scratch_bytes, pack,
               launch)
