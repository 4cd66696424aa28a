/* y = pool(act(conv(x, w) + bias)) by plain sums, eight filters a thread.
 *
 * Tiled, for few channels: a block takes 8 x 4 cells of 2 x 2 sums each, a cell a lane, and eight
 * filters a warp. The image with its border, and the filters, lie in shared memory, some channels
 * at a time; a thread's 2 x 2 patch is one window of 2 x 2 pooling, so that pooling is a maximum of
 * its own registers. Pitches are 8 modulo 16, so that a warp's reads of pairs touch no bank twice.
 *
 * Plain, for every filter, stride and pooling: a thread takes one element of y for its filters, all
 * read through the caches. */
#include "conv2d_pack.cuh"

enum {
    FILTERS = 8,
    CELLS_X = 8,
    CELLS_Y = 4,
    MOST_WARPS = 8,
    PLAIN_THREADS = 128,
    SHARED_WORDS = 48 * 256
};

struct direct_args {
    const float *x, *w, *bias;
    float *y;
    struct mb_conv2d_steps in, out;
    int64_t n, c, h, w_in, filters, filters8, r, s;
    int64_t out_h, out_w, pool_h, pool_w; /* out: before pooling */
    int stride_y, stride_x, pad_y, pad_x;
    int pool_kernel_y, pool_kernel_x, pool_stride_y, pool_stride_x; /* 1 without pooling */
    bool pool, relu;

    /* Of the tiled kernel. */
    int warps, channels, tile_h, pitch; /* channels: at a time */
    int64_t tiles_x, tiles_y;
};

static struct direct_args args_of(const struct mb_conv2d_desc *d) {
    struct direct_args a = {};
    a.in = mb_conv2d_steps_of(d->layout, d->c, d->h, d->w);
    a.out = mb_conv2d_steps_of(d->layout, d->filters, d->pool_h, d->pool_w);
    a.n = d->n, a.c = d->c, a.h = d->h, a.w_in = d->w;
    a.filters = d->filters, a.filters8 = mb_round_up(d->filters, FILTERS);
    a.r = d->r, a.s = d->s, a.out_h = d->out_h, a.out_w = d->out_w;
    a.pool_h = d->pool_h, a.pool_w = d->pool_w;
    a.stride_y = d->stride[0], a.stride_x = d->stride[1];
    a.pad_y = d->pad_before[0], a.pad_x = d->pad_before[1];
    a.pool = d->has_pool, a.relu = d->act == MB_ACT_RELU;
    a.pool_kernel_y = d->has_pool ? d->pool_kernel[0] : 1;
    a.pool_kernel_x = d->has_pool ? d->pool_kernel[1] : 1;
    a.pool_stride_y = d->has_pool ? d->pool_stride[0] : 1;
    a.pool_stride_x = d->has_pool ? d->pool_stride[1] : 1;
    return a;
}

/* Fills in what the tiled kernel needs; false when it does not fit. */
static bool tile(const struct mb_conv2d_desc *d, struct direct_args *a) {
    if (d->has_pool && !mb_conv2d_pools_by_two(d)) return false;
    if (d->r > 16 || d->s > 16 || d->stride[0] > 4 || d->stride[1] > 4) return false;
    const int64_t tile_w = (2 * CELLS_X - 1) * d->stride[1] + d->s;
    const int64_t cells_y = d->has_pool ? d->pool_h : mb_ceil_div(d->out_h, 2);
    const int64_t cells_x = d->has_pool ? d->pool_w : mb_ceil_div(d->out_w, 2);
    a->tiles_y = mb_ceil_div(cells_y, CELLS_Y), a->tiles_x = mb_ceil_div(cells_x, CELLS_X);
    a->warps = (int)mb_min(MOST_WARPS, mb_ceil_div(d->filters, FILTERS));
    a->tile_h = (int)((2 * CELLS_Y - 1) * d->stride[0] + d->r);
    a->pitch = (int)(mb_round_up(tile_w + 8, 16) - 8);
    const int64_t words = a->tile_h * a->pitch + d->r * d->s * a->warps * FILTERS;
    a->channels = (int)mb_min(d->c, SHARED_WORDS / words);
    const int64_t filter_blocks = mb_ceil_div(d->filters, FILTERS * a->warps);
    return a->channels > 0 && a->tiles_x * a->tiles_y <= INT32_MAX / d->n && filter_blocks <= 65535;
}

static bool supports(const union mb_step_desc *desc, const struct mb_gpu_properties *) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    struct direct_args a = args_of(d);
    return mb_conv2d_layouts_alike(d) && mb_ceil_div(d->filters, FILTERS) <= 65535 &&
           (tile(d, &a) || d->n * d->pool_h * d->pool_w <= INT32_MAX);
}

static double cost(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    struct direct_args a = args_of(d);
    const double filters = (double)a.filters8, taps = (double)(d->c * d->r * d->s);
    const double bytes = 4.0 * ((double)(d->n * d->c * d->h) * (double)d->w + taps * filters +
                                (double)(d->n * d->pool_h * d->pool_w) * (double)d->filters);
    double sums, blocks, share;
    if (tile(d, &a)) {
        const double tiles = (double)(d->n * a.tiles_x * a.tiles_y);
        sums = tiles * CELLS_X * CELLS_Y * 4 * filters;
        blocks = tiles * filters / (FILTERS * a.warps) * a.warps / MOST_WARPS;
        share = d->r == 3 && d->s == 3 && d->stride[0] == 1 && d->stride[1] == 1 ? 0.5 : 0.3;
    } else {
        sums = (double)(d->n * d->pool_h * d->pool_w) * filters * a.pool_kernel_y * a.pool_kernel_x;
        blocks = sums / (PLAIN_THREADS * FILTERS);
        share = 0.1;
    }
    const double idle = blocks < 2 * gpu->n_sms ? 2 * gpu->n_sms / blocks : 1;
    return mb_launch_ns + mb_compute_ns(gpu, sums * taps * (idle < 64 ? idle : 64)) / share +
           mb_move_ns(gpu, bytes);
}

static struct mb_conv2d_packed packed_of(const struct mb_conv2d_desc *d) {
    return mb_conv2d_packed_of(d, FILTERS, 0);
}

static size_t packed_bytes(const union mb_step_desc *desc, const struct mb_gpu_properties *) {
    return (size_t)packed_of(&desc->conv2d).words() * sizeof(float);
}

static size_t scratch_bytes(const union mb_step_desc *, const struct mb_gpu_properties *) {
    return 0;
}

static cudaError_t pack(const union mb_step_desc *desc, const struct mb_gpu_properties *,
                        const float *w, const float *bias, void *packed, cudaStream_t stream) {
    return mb_pack_conv2d(&desc->conv2d, packed_of(&desc->conv2d), w, bias, packed, stream);
}

/* Rows and floats between rows of a staged channel; for THREE known to the compiler, as dividing by
 * them would take longer than a channel's sums. */
enum { THREE_TILE_H = 2 * CELLS_Y + 2, THREE_PITCH = 24 };
template <bool THREE> static __device__ inline int tile_h(const struct direct_args &args) {
    return THREE ? THREE_TILE_H : args.tile_h;
}
template <bool THREE> static __device__ inline int pitch(const struct direct_args &args) {
    return THREE ? THREE_PITCH : args.pitch;
}

/* sum[position][filter] += value of each position * filter weights w[FILTERS]. */
template <int POSITIONS>
static __device__ inline void add_tap(float4 (&sum)[POSITIONS][2], const float (&value)[POSITIONS],
                                      float4 low, float4 high) {
#pragma unroll
    for (int i = 0; i < POSITIONS; i++) {
        mb_multiply_add4(sum[i][0], value[i], low);
        mb_multiply_add4(sum[i][1], value[i], high);
    }
}

/* Adds one channel from shared memory: `image` at the thread's patch, `w` at its filters. */
/* w_step: from tap to tap. */
template <bool THREE>
static __device__ inline void add_channel(const struct direct_args &args, float4 (&sum)[4][2],
                                          const float *image, const float *w, int w_step) {
    if constexpr (THREE) {
        float patch[4][4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const float2 left = mb_load2(image + i * THREE_PITCH);
            const float2 right = mb_load2(image + i * THREE_PITCH + 2);
            patch[i][0] = left.x, patch[i][1] = left.y, patch[i][2] = right.x;
            patch[i][3] = right.y;
        }
#pragma unroll
        for (int r = 0; r < 3; r++)
#pragma unroll
            for (int s = 0; s < 3; s++) {
                const float value[4] = {patch[r][s], patch[r][s + 1], patch[r + 1][s],
                                        patch[r + 1][s + 1]};
                const float *taps = w + (r * 3 + s) * w_step;
                add_tap(sum, value, mb_load4(taps), mb_load4(taps + 4));
            }
    } else {
        const int below = args.stride_y * args.pitch;
        for (int r = 0; r < args.r; r++)
            for (int s = 0; s < args.s; s++) {
                const float *at = image + r * args.pitch + s;
                const float value[4] = {at[0], at[args.stride_x], at[below],
                                        at[below + args.stride_x]};
                add_tap(sum, value, mb_load4(w), mb_load4(w + 4));
                w += w_step;
            }
    }
}

/* The image's rows from y0 and columns from x0 on, `count` channels from c0, to
 * to[count][tile_h][pitch]; zero outside. */
template <bool THREE>
static __device__ void stage_image(const struct direct_args &args, int64_t n, int64_t c0, int count,
                                   int64_t y0, int64_t x0, float *to) {
    const int plane = tile_h<THREE>(args) * pitch<THREE>(args);
    const float *image = args.x + n * args.in.n + c0 * args.in.c;
    for (int i = threadIdx.x; i < count * plane; i += blockDim.x) {
        /* Neighbouring threads take neighbours in memory, whatever the layout. */
        const bool planar = args.in.w == 1;
        const int c = planar ? i / plane : i % count, at = planar ? i % plane : i / count;
        const int64_t y = y0 + at / pitch<THREE>(args), x = x0 + at % pitch<THREE>(args);
        const bool inside = y >= 0 && y < args.h && x >= 0 && x < args.w_in;
        to[c * plane + at] = inside ? image[c * args.in.c + y * args.in.h + x * args.in.w] : 0;
    }
}

/* The weights of channels [c0, c0 + count) to to[r * s][count][block_filters]. */
static __device__ void stage_filters(const struct direct_args &args, int64_t c0, int count,
                                     int64_t filter0, float *to) {
    const int block_filters = args.warps * FILTERS,
              rows = static_cast<int>(args.r * args.s) * count;
    const int vectors = block_filters / 4; /* of a row; the block has threads for 16 rows */
    const int f = static_cast<int>(threadIdx.x) % vectors * 4;
    const bool inside = filter0 + f < args.filters8;
    const float *from = args.w + filter0 + f;
    for (int row = threadIdx.x / vectors; row < rows; row += 16) {
        /* All channels at once lie as they are packed. */
        const int64_t packed_row = count == args.c ? row : row / count * args.c + c0 + row % count;
        mb_copy16_async(to + row * block_filters + f,
                        inside ? from + packed_row * args.filters8 : args.w, inside ? 16 : 0);
    }
    mb_copy_commit();
}

/* Writes the thread's filters of one element of y. */
static __device__ inline void store(const struct direct_args &args, float *y, int64_t filter,
                                    const float (&v)[FILTERS]) {
#pragma unroll
    for (int f = 0; f < FILTERS; f++)
        if (filter + f < args.filters) y[(filter + f) * args.out.c] = v[f];
}

static __device__ inline void finish(const struct direct_args &args, const float4 (&sum)[2],
                                     int64_t filter, float (&v)[FILTERS]) {
    const float *bias = args.bias + filter;
    const float4 low = mb_load4_const(bias), high = mb_load4_const(bias + 4);
    const float before[FILTERS] = {sum[0].x + low.x,  sum[0].y + low.y,  sum[0].z + low.z,
                                   sum[0].w + low.w,  sum[1].x + high.x, sum[1].y + high.y,
                                   sum[1].z + high.z, sum[1].w + high.w};
#pragma unroll
    for (int f = 0; f < FILTERS; f++) v[f] = mb_activate(before[f], args.relu);
}

/* THREE: 3x3 filters with stride 1, whose 4 x 4 patch is read once. */
template <bool THREE>
static __global__ __launch_bounds__(32 * MOST_WARPS, 2) void direct_tiled(struct direct_args args) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int cell_x = lane % CELLS_X, cell_y = lane / CELLS_X;
    const int64_t tile_x = blockIdx.x % args.tiles_x;
    const int64_t tile_y = blockIdx.x / args.tiles_x % args.tiles_y;
    const int64_t n = blockIdx.x / args.tiles_x / args.tiles_y;
    const int block_filters = args.warps * FILTERS;
    const int plane = tile_h<THREE>(args) * pitch<THREE>(args);
    const int64_t filter0 = static_cast<int64_t>(blockIdx.y) * block_filters;
    const int64_t oy0 = tile_y * 2 * CELLS_Y, ox0 = tile_x * 2 * CELLS_X;
    float *image = mb_shared(), *weights = image + args.channels * plane;

    float4 sum[4][2];
#pragma unroll
    for (int i = 0; i < 4; i++) sum[i][0] = sum[i][1] = make_float4(0, 0, 0, 0);
    for (int64_t c0 = 0; c0 < args.c; c0 += args.channels) {
        const int count =
            static_cast<int>(args.c - c0 < args.channels ? args.c - c0 : args.channels);
        if (c0 > 0) __syncthreads();
        stage_filters(args, c0, count, filter0, weights);
        if (c0 == 0) {
            mb_wait_for_previous();
            mb_let_next_start();
        }
        stage_image<THREE>(args, n, c0, count, oy0 * args.stride_y - args.pad_y,
                           ox0 * args.stride_x - args.pad_x, image);
        mb_copy_wait<0>();
        __syncthreads();
        const float *patch =
            image + cell_y * 2 * args.stride_y * pitch<THREE>(args) + cell_x * 2 * args.stride_x;
        for (int c = 0; c < count; c++)
            add_channel<THREE>(args, sum, patch + c * plane,
                               weights + c * block_filters + warp * FILTERS, count * block_filters);
    }

    const int64_t filter = filter0 + warp * FILTERS;
    if (filter >= args.filters) return;
    const int64_t oy = oy0 + cell_y * 2, ox = ox0 + cell_x * 2;
    float *y = args.y + n * args.out.n;
    float v[4][FILTERS];
#pragma unroll
    for (int i = 0; i < 4; i++) finish(args, sum[i], filter, v[i]);
    if (args.pool) {
        if (oy / 2 >= args.pool_h || ox / 2 >= args.pool_w) return;
#pragma unroll
        for (int f = 0; f < FILTERS; f++)
            v[0][f] = mb_larger(mb_larger(v[0][f], v[1][f]), mb_larger(v[2][f], v[3][f]));
        store(args, y + oy / 2 * args.out.h + ox / 2 * args.out.w, filter, v[0]);
    } else {
#pragma unroll
        for (int i = 0; i < 4; i++)
            if (oy + i / 2 < args.out_h && ox + i % 2 < args.out_w)
                store(args, y + (oy + i / 2) * args.out.h + (ox + i % 2) * args.out.w, filter,
                      v[i]);
    }
}

/* act(conv + bias) of the thread's filters at one output. */
static __device__ void plain_sum(const struct direct_args &args, int64_t n, int64_t oy, int64_t ox,
                                 int64_t filter, float (&v)[FILTERS]) {
    float4 sum[1][2] = {{make_float4(0, 0, 0, 0), make_float4(0, 0, 0, 0)}};
    const float *w = args.w + filter;
    for (int64_t r = 0; r < args.r; r++) {
        const int64_t y = oy * args.stride_y - args.pad_y + r;
        if (y < 0 || y >= args.h) continue;
        for (int64_t s = 0; s < args.s; s++) {
            const int64_t x = ox * args.stride_x - args.pad_x + s;
            if (x < 0 || x >= args.w_in) continue;
            const float *from = args.x + n * args.in.n + y * args.in.h + x * args.in.w;
            const float *taps = w + (r * args.s + s) * args.c * args.filters8;
#pragma unroll 2
            for (int64_t c = 0; c < args.c; c++) {
                const float value[1] = {from[c * args.in.c]};
                const float *tap = taps + c * args.filters8;
                add_tap(sum, value, mb_load4_const(tap), mb_load4_const(tap + 4));
            }
        }
    }
    finish(args, sum[0], filter, v);
}

/* One element a thread, whose number is divided in 32 bits: 64 would be a call. Four blocks bound
 * its registers, or the assembler spills to fit more. */
static __global__ __launch_bounds__(PLAIN_THREADS, 4) void direct_plain(struct direct_args args) {
    const int64_t filter = static_cast<int64_t>(blockIdx.y) * FILTERS;
    const unsigned i = blockIdx.x * PLAIN_THREADS + threadIdx.x;
    const unsigned pool_w = static_cast<unsigned>(args.pool_w);
    const unsigned pool_h = static_cast<unsigned>(args.pool_h);
    mb_wait_for_previous();
    mb_let_next_start();
    if (i >= args.n * args.pool_h * args.pool_w) return;
    const int64_t px = i % pool_w, py = i / pool_w % pool_h, n = i / pool_w / pool_h;
    float best[FILTERS];
    for (int a = 0; a < args.pool_kernel_y; a++)
        for (int b = 0; b < args.pool_kernel_x; b++) {
            float v[FILTERS];
            plain_sum(args, n, py * args.pool_stride_y + a, px * args.pool_stride_x + b, filter, v);
#pragma unroll
            for (int f = 0; f < FILTERS; f++)
                best[f] = a == 0 && b == 0 ? v[f] : mb_larger(best[f], v[f]);
        }
    store(args, args.y + n * args.out.n + py * args.out.h + px * args.out.w, filter, best);
}

static cudaError_t launch(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu,
                          const struct mb_cuda_args *args, cudaStream_t stream) {
    const struct mb_conv2d_desc *d = &desc->conv2d;
    struct direct_args a = args_of(d);
    a.x = args->x, a.y = args->y;
    a.w = static_cast<const float *>(args->packed), a.bias = a.w + packed_of(d).bias_at();
    if (!tile(d, &a)) {
        const int64_t blocks = mb_ceil_div(d->n * d->pool_h * d->pool_w, PLAIN_THREADS);
        const dim3 grid((unsigned)blocks, (unsigned)(a.filters8 / FILTERS));
        return mb_launch_in_chain(gpu, args->packed_in_run, direct_plain,
                                  {grid, dim3(PLAIN_THREADS), 0, 1}, stream, a);
    }
    const bool three = d->r == 3 && d->s == 3 && d->stride[0] == 1 && d->stride[1] == 1;
    const int64_t words = a.channels * (a.tile_h * a.pitch + d->r * d->s * a.warps * FILTERS);
    const dim3 grid((unsigned)(d->n * a.tiles_x * a.tiles_y),
                    (unsigned)mb_ceil_div(d->filters, FILTERS * a.warps));
    return mb_launch_in_chain(
        gpu, args->packed_in_run, three ? direct_tiled<true> : direct_tiled<false>,
        {grid, dim3((unsigned)(32 * a.warps)), (size_t)words * sizeof(float), 1}, stream, a);
}

MB_CUDA_KERNEL(f32_conv2d_direct, MB_STEP_CONV2D, supports, cost, packed_bytes, scratch_bytes, pack,
               launch)
