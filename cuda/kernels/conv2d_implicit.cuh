/* y = pool(act(conv(x, w) + bias)) as a matrix product: a row for each output, a column for each
 * filter, a term for each tap and channel (implicit GEMM). The left matrix is made tile by tile in
 * shared memory, so it takes many channels to pay: its steps are BK channels of one tap.
 *
 * Where 2 x 2 pooling follows, four neighbouring rows are one window: a thread has them all, and
 * the maximum is taken in registers. Other pooling takes a second kernel, over scratch. Where tiles
 * are fewer than multiprocessors, steps are split over blocks (mb_add_slices).
 *
 * A kernel includes this for its own struct T, the tile of a block:
 *
 * BM, BN, BK, THREADS: 64 rows, 64 filters, terms of a step (a multiple of 16), 256.
 *
 * TM = 4, TN, SUMS: a thread's sums, [TM][TN], at row(i) and column(j); its rows are neighbours.
 *
 * STAGE, SHARED_BYTES, blocks(planar): floats of a stage, bytes of a block, blocks that are to fit
 * a multiprocessor's registers.
 *
 * store_a(stage, row, k, v), b_at(k, column): puts four neighbouring terms of a row into a stage;
 * where four columns of a term lie in it.
 *
 * run(sum, source, steps): the sums; waits for the kernel before (launch.h). source is a
 * conv_source, at the first step.
 *
 * LEAST_CC, multiply_ns(gpu, multiply_adds): compute capability; time, for cost.
 *
 * REPAIRS: whether sums that are not finite are made again by FP32 products. */
#ifndef MB_CONV2D_IMPLICIT_CUH
#define MB_CONV2D_IMPLICIT_CUH

#include "conv2d_pack.cuh"

enum { MOST_SLICES = 32, LEAST_STEPS = 8 /* of a slice */, POOL_THREADS = 256 };

struct conv_args {
    const float *x;        /* not __restrict__: activations are read by ordinary loads */
    const float *w, *bias; /* packed */
    float *y, *partials;
    unsigned *tickets;
    struct mb_conv2d_steps in, out;
    int64_t rows;         /* of the product: 4 * windows with pooling by two */
    int64_t out_h, out_w; /* what the rows count: of y with pooling by two */
    int64_t filters, filters4;
    int c, h, w_in, s;
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
template <typename T, bool PLANAR, bool ALIGNED> struct conv_source {
    static constexpr int VECTORS = T::BK / 16; /* of the thread, 16 terms apart */
    static_assert(T::BM == 64 && T::BN == 64 && T::THREADS == 256, "who stages what");

    const struct conv_args &args;
    const float *w;     /* the thread's first vector of the next step */
    const float *image; /* of the thread's row, at its channels */
    int y0, x0;         /* where the row's first tap lies in it; below any image without a row */
    int r, s, c0;       /* the next step's tap and first channel */
    bool has_column;
    float4 left[VECTORS], right[VECTORS];

    static __device__ int row() { return PLANAR ? threadIdx.x % T::BM : threadIdx.x / 4; }
    static __device__ int channel() { return (PLANAR ? threadIdx.x / T::BM : threadIdx.x % 4) * 4; }
    static __device__ int b_k() { return threadIdx.x / (T::BN / 4); }
    static __device__ int b_column() { return threadIdx.x % (T::BN / 4) * 4; }

    __device__ conv_source(const struct conv_args &a, int64_t row0, int64_t column0, int64_t step)
        : args(a) {
        const int64_t at = row0 + row(), tap = step / a.chunks;
        const bool has_row = at < a.rows;
        const struct position p = position_of(a, has_row ? at : 0);
        const int64_t window = a.windows ? at % 4 : 0;
        image = a.x + p.n * a.in.n + channel() * a.in.c;
        const int64_t y = (p.y + window / 2) * a.stride_y - a.pad_y;
        y0 = has_row ? static_cast<int>(y) : INT32_MIN / 2;
        x0 = static_cast<int>((p.x + window % 2) * a.stride_x - a.pad_x);
        r = static_cast<int>(tap / a.s), s = static_cast<int>(tap % a.s);
        c0 = static_cast<int>(step % a.chunks) * T::BK;
        w = a.w + (tap * a.c + c0 + b_k()) * a.filters4 + column0 + b_column();
        has_column = column0 + b_column() < a.filters4;
    }

    __device__ int terms() const { return args.c - c0 < T::BK ? args.c - c0 : T::BK; }

    __device__ bool has_weights(int i) const { return has_column && b_k() + i * 16 < terms(); }

    /* The next step's weights; load_image follows. */
    __device__ void load_weights() {
#pragma unroll
        for (int i = 0; i < VECTORS; i++)
            right[i] = has_weights(i) ? mb_load4_const(w + i * 16 * args.filters4)
                                      : make_float4(0, 0, 0, 0);
        w += terms() * args.filters4;
    }

    /* The same, but on their own to the stage: to be waited for before the barrier. */
    __device__ void copy_weights(float *stage) {
#pragma unroll
        for (int i = 0; i < VECTORS; i++) {
            const bool has = has_weights(i);
            mb_copy16_async(stage + T::b_at(b_k() + i * 16, b_column()),
                            has ? w + i * 16 * args.filters4 : args.w, has ? 16 : 0);
        }
        mb_copy_commit();
        w += terms() * args.filters4;
    }

    /* And on to the next step. */
    __device__ void load_image() {
        const int y = y0 + r, x = x0 + s;
        const bool inside = y >= 0 && y < args.h && x >= 0 && x < args.w_in;
        const float *from = image + y * args.in.h + x * args.in.w + c0 * args.in.c;
#pragma unroll
        for (int i = 0; i < VECTORS; i++, from += 16 * args.in.c) {
            const int count = inside ? terms() - channel() - i * 16 : 0;
            left[i] = make_float4(0, 0, 0, 0);
            if (ALIGNED) {
                if (count > 0) left[i] = mb_load4(from);
            } else {
                if (count > 0) left[i].x = *from;
                if (count > 1) left[i].y = from[args.in.c];
                if (count > 2) left[i].z = from[2 * args.in.c];
                if (count > 3) left[i].w = from[3 * args.in.c];
            }
        }
        c0 += T::BK;
        if (c0 < args.c) return;
        c0 = 0, s++;
        if (s == args.s) s = 0, r++;
    }

    __device__ void load() {
        load_weights();
        load_image();
    }

    __device__ void store_image(float *stage) const {
#pragma unroll
        for (int i = 0; i < VECTORS; i++) T::store_a(stage, row(), channel() + i * 16, left[i]);
    }

    __device__ void store(float *stage) const {
        store_image(stage);
#pragma unroll
        for (int i = 0; i < VECTORS; i++)
            mb_store4(stage + T::b_at(b_k() + i * 16, b_column()), right[i]);
    }
};

/* Where the output at p lies in y, of filter 0. */
static __device__ inline int64_t output_at(const struct conv_args &args, struct position p) {
    const int64_t scale = args.windows ? 2 : 1;
    return p.n * args.out.n + p.y / scale * args.out.h + p.x / scale * args.out.w;
}

/* act(conv + bias) at one output, by FP32 products in order. */
static __device__ float plain_output(const struct conv_args &args, struct position p,
                                     int64_t filter) {
    float sum = 0;
    const float *w = args.w + filter;
    const int64_t taps = args.n_steps / args.chunks;
#pragma unroll 1
    for (int64_t tap = 0; tap < taps; tap++) {
        const int64_t y = p.y * args.stride_y - args.pad_y + tap / args.s;
        const int64_t x = p.x * args.stride_x - args.pad_x + tap % args.s;
        if (y < 0 || y >= args.h || x < 0 || x >= args.w_in) continue;
        const float *from = args.x + p.n * args.in.n + y * args.in.h + x * args.in.w;
#pragma unroll 1
        for (int64_t c = 0; c < args.c; c++)
            sum = fmaf(from[c * args.in.c], w[(tap * args.c + c) * args.filters4], sum);
    }
    return mb_activate(sum + args.bias[filter], args.relu);
}

/* All of the thread's outputs again. */
template <typename T>
static __device__ void repair(const struct conv_args &args, int64_t row0, int64_t column0) {
#pragma unroll 1
    for (int at = 0; at < T::SUMS; at++) {
        const int64_t row = row0 + T::row(at / T::TN), filter = column0 + T::column(at % T::TN);
        if (row >= args.rows || filter >= args.filters || (args.windows && row % 4)) continue;
        const struct position first = position_of(args, row);
        float v = plain_output(args, first, filter);
#pragma unroll 1
        for (int i = 1; i < (args.windows ? 4 : 1); i++)
            v = mb_larger(v,
                          plain_output(args, {first.n, first.y + i / 2, first.x + i % 2}, filter));
        args.y[output_at(args, first) + filter * args.out.c] = v;
    }
}

template <typename T, bool PLANAR, bool ALIGNED>
static __global__ __launch_bounds__(T::THREADS,
                                    T::blocks(PLANAR)) void conv_gemm(struct conv_args args) {
    const int64_t at = blockIdx.x;
    const unsigned slice = blockIdx.y;
    const int64_t row0 = at / args.filter_tiles * T::BM;
    const int64_t column0 = at % args.filter_tiles * T::BN;
    const int64_t begin = slice * args.steps, rest = args.n_steps - begin;
    conv_source<T, PLANAR, ALIGNED> source(args, row0, column0, begin);
    float sum[T::SUMS];
    T::run(sum, source, rest < args.steps ? rest : args.steps);
    constexpr int size = T::SUMS * T::THREADS;
    if (!mb_add_slices<T::SUMS, T::THREADS>(sum, args.partials + at * args.n_slices * size,
                                            args.tickets + at, slice, args.n_slices))
        return;

    int64_t outputs[T::TM];
#pragma unroll
    for (int i = 0; i < T::TM; i++) {
        const int64_t row = row0 + T::row(i);
        const bool is_output = row < args.rows && (!args.windows || i == 0);
        outputs[i] = is_output ? output_at(args, position_of(args, row)) : -1;
    }
    float not_finite = 0; /* NaN if any sum is */
#pragma unroll
    for (int j = 0; j < T::TN; j++) {
        const int64_t filter = column0 + T::column(j);
        if (filter >= args.filters) continue;
        const float bias = __ldg(args.bias + filter);
        float v[T::TM];
#pragma unroll
        for (int i = 0; i < T::TM; i++) {
            if (T::REPAIRS) not_finite = fmaf(sum[i * T::TN + j], 0.0f, not_finite);
            v[i] = mb_activate(sum[i * T::TN + j] + bias, args.relu);
        }
        if (args.windows) v[0] = mb_larger(mb_larger(v[0], v[1]), mb_larger(v[2], v[3]));
#pragma unroll
        for (int i = 0; i < T::TM; i++)
            if (outputs[i] >= 0) args.y[outputs[i] + filter * args.out.c] = v[i];
    }
    if (T::REPAIRS && not_finite != 0) repair<T>(args, row0, column0);
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
    mb_wait_for_previous();
    mb_let_next_start();
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

template <typename T>
static struct division divide(const struct mb_conv2d_desc *d, const struct mb_gpu_properties *gpu) {
    struct division v;
    v.windows = mb_conv2d_pools_by_two(d);
    v.out_h = v.windows ? d->pool_h : d->out_h, v.out_w = v.windows ? d->pool_w : d->out_w;
    v.rows = d->n * v.out_h * v.out_w * (v.windows ? 4 : 1);
    v.row_tiles = mb_ceil_div(v.rows, T::BM);
    v.filter_tiles = mb_ceil_div(d->filters, T::BN);
    v.tiles = v.row_tiles * v.filter_tiles;
    v.chunks = mb_ceil_div(d->c, T::BK);
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

static cudaError_t pool_apart(const struct mb_conv2d_desc *d, const struct mb_gpu_properties *gpu,
                              const float *x, float *y, cudaStream_t stream) {
    struct pool_args a;
    a.x = x, a.y = y;
    a.in = mb_conv2d_steps_of(d->layout, d->filters, d->out_h, d->out_w);
    a.out = mb_conv2d_steps_of(d->layout, d->filters, d->pool_h, d->pool_w);
    a.n = d->n, a.filters = d->filters, a.pool_h = d->pool_h, a.pool_w = d->pool_w;
    a.kernel_y = d->pool_kernel[0], a.kernel_x = d->pool_kernel[1];
    a.stride_y = d->pool_stride[0], a.stride_x = d->pool_stride[1];
    a.planar = d->layout == MB_NCHW;
    const dim3 grid = mb_grid_of(d->n * d->filters * d->pool_h * d->pool_w, POOL_THREADS);
    return mb_launch_in_chain(gpu, false, max_pool, {grid, dim3(POOL_THREADS), 0, 1}, stream, a);
}

/* The functions of a row of kernels.def. */
template <typename T> struct conv_row {
    static bool supports(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu) {
        const struct mb_conv2d_desc *d = &desc->conv2d;
        const int64_t most = INT32_MAX / 2;
        return gpu->cc >= T::LEAST_CC && mb_conv2d_layouts_alike(d) &&
               divide<T>(d, gpu).tiles <= INT32_MAX && divide<T>(d, gpu).n_steps <= INT32_MAX &&
               mb_max(mb_max(d->c, d->h), mb_max(d->w, mb_max(d->r, d->s))) < most &&
               mb_max(d->pad_before[0], d->pad_before[1]) < most;
    }

    static double cost(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu) {
        const struct mb_conv2d_desc *d = &desc->conv2d;
        const struct division v = divide<T>(d, gpu);
        const double of_one_block = (double)v.steps * T::BK * T::BM * T::BN;
        const double rounds = (double)mb_ceil_div(v.tiles * v.n_slices, gpu->n_sms);
        const double bytes = 4.0 * ((double)(d->n * d->c * d->h) * (double)d->w +
                                    (double)(d->r * d->s * d->c) * (double)d->filters +
                                    (double)(d->n * v.out_h * v.out_w) * (double)d->filters);
        const double apart =
            pools_apart(d, &v) ? mb_launch_ns + mb_move_ns(gpu, 8.0 * (double)unpooled(d)) : 0;
        return mb_launch_ns + T::multiply_ns(gpu, rounds * of_one_block * gpu->n_sms) +
               mb_move_ns(gpu, bytes) + 20 * (double)v.n_slices +
               100 * (double)mb_min(v.steps, 16) + apart;
    }

    static struct mb_conv2d_packed packed_of(const struct mb_conv2d_desc *d,
                                             const struct division *v) {
        return mb_conv2d_packed_of(d, 4, v->n_slices > 1 ? v->tiles : 0);
    }

    static size_t packed_bytes(const union mb_step_desc *desc,
                               const struct mb_gpu_properties *gpu) {
        const struct division v = divide<T>(&desc->conv2d, gpu);
        return (size_t)packed_of(&desc->conv2d, &v).words() * sizeof(float);
    }

    /* Partial sums, and behind them what is pooled apart. */
    static int64_t partial_words(const struct division *v) {
        return v->n_slices > 1 ? v->tiles * v->n_slices * T::SUMS * T::THREADS : 0;
    }

    static size_t scratch_bytes(const union mb_step_desc *desc,
                                const struct mb_gpu_properties *gpu) {
        const struct mb_conv2d_desc *d = &desc->conv2d;
        const struct division v = divide<T>(d, gpu);
        return (size_t)(partial_words(&v) + (pools_apart(d, &v) ? unpooled(d) : 0)) * sizeof(float);
    }

    static cudaError_t pack(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu,
                            const float *w, const float *bias, void *packed, cudaStream_t stream) {
        const struct division v = divide<T>(&desc->conv2d, gpu);
        return mb_pack_conv2d(&desc->conv2d, packed_of(&desc->conv2d, &v), w, bias, packed, stream);
    }

    static cudaError_t launch(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu,
                              const struct mb_cuda_args *args, cudaStream_t stream) {
        const struct mb_conv2d_desc *d = &desc->conv2d;
        const struct division v = divide<T>(d, gpu);
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
        a.c = (int)d->c, a.h = (int)d->h, a.w_in = (int)d->w, a.s = (int)d->s;
        a.filters = d->filters, a.filters4 = p.filters4;
        a.chunks = v.chunks, a.n_steps = v.n_steps, a.steps = v.steps;
        a.n_slices = (unsigned)v.n_slices, a.filter_tiles = (unsigned)v.filter_tiles;
        a.stride_y = d->stride[0], a.stride_x = d->stride[1];
        a.pad_y = d->pad_before[0], a.pad_x = d->pad_before[1];
        a.windows = v.windows, a.relu = d->act == MB_ACT_RELU;
        void (*const kernel)(struct conv_args) = planar          ? conv_gemm<T, true, false>
                                                 : d->c % 4 == 0 ? conv_gemm<T, false, true>
                                                                 : conv_gemm<T, false, false>;
        const dim3 grid((unsigned)v.tiles, (unsigned)v.n_slices);
        MB_TRY_CUDA(mb_launch_in_chain(gpu, args->packed_in_run, kernel,
                                       {grid, dim3(T::THREADS), T::SHARED_BYTES, 1}, stream, a));
        return apart ? pool_apart(d, gpu, a.y, args->y, stream) : cudaSuccess;
    }
};

#endif
