/* y = act(a * w + bias) for one to four rows of a: as fast as w can be read.
 *
 * A block of 8 warps takes 128 columns and a slice of k. A warp reads whole rows of 512 bytes,
 * eight at a time, so that each multiprocessor has 128 KB on the way, far more than the latency of
 * memory asks for; its four columns a lane meet those of the other warps in shared memory, and the
 * slices' sums meet in the block that ends last (mb_add_slices). */
#include "matmul_pack.cuh"

enum { WARPS = 8, THREADS = 32 * WARPS, COLUMNS = 128, UNROLL = 8, MOST_M = 4, MOST_ROWS = 1024 };

struct gemv_args {
    const float *a, *w, *bias;
    float *y, *partials;
    unsigned *tickets;
    int64_t n, n4, k, a_stride, w_step;
    unsigned column_blocks, n_slices;
    int rows; /* of k, in a slice */
    bool relu;
};

struct division {
    int64_t column_blocks, n_slices, rows;
};

static struct division divide(const struct mb_matmul_desc *d, const struct mb_gpu_properties *gpu) {
    struct division v;
    v.column_blocks = mb_ceil_div(d->n, COLUMNS);
    const int64_t wanted = mb_max(1, 4 * gpu->n_sms / (v.column_blocks * d->batch));
    v.rows = mb_round_up(mb_ceil_div(d->k, wanted), WARPS * UNROLL);
    v.rows = mb_min(v.rows, MOST_ROWS);
    v.n_slices = mb_ceil_div(d->k, v.rows);
    return v;
}

static bool supports(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu) {
    const struct mb_matmul_desc *d = &desc->matmul;
    if (d->m > MOST_M) return false;
    const struct division v = divide(d, gpu);
    return v.n_slices <= 65535 && d->batch <= INT32_MAX / v.column_blocks;
}

static double cost(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu) {
    const struct mb_matmul_desc *d = &desc->matmul;
    const struct division v = divide(d, gpu);
    const double w_bytes = 4.0 * (double)(v.column_blocks * COLUMNS * d->k * d->batch);
    const double blocks = (double)(v.column_blocks * v.n_slices * d->batch);
    const double idle = blocks < gpu->n_sms ? gpu->n_sms / blocks : 1;
    return mb_launch_ns + 8 * (double)v.n_slices +
           mb_move_ns(gpu, w_bytes * (idle < 8 ? 1 : idle / 8)) +
           mb_compute_ns(gpu, idle * w_bytes / 4 * (double)d->m);
}

static struct mb_matmul_packed packed_of(const struct mb_matmul_desc *d,
                                         const struct mb_gpu_properties *gpu) {
    return mb_matmul_packed_of(d, divide(d, gpu).column_blocks * d->batch);
}

static size_t packed_bytes(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu) {
    return (size_t)packed_of(&desc->matmul, gpu).words() * sizeof(float);
}

static size_t scratch_bytes(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu) {
    const struct mb_matmul_desc *d = &desc->matmul;
    const struct division v = divide(d, gpu);
    if (v.n_slices == 1) return 0;
    return (size_t)(v.column_blocks * d->batch * v.n_slices * d->m * COLUMNS) * sizeof(float);
}

static cudaError_t pack(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu,
                        const float *w, const float *bias, void *packed, cudaStream_t stream) {
    const struct mb_matmul_desc *d = &desc->matmul;
    return mb_pack_matmul(d, packed_of(d, gpu), w, bias, packed, stream);
}

/* Adds to sum the products of `count` rows of w with xs[m][row]; count <= UNROLL. */
template <int M, bool WHOLE>
static __device__ inline void add_rows(float4 (&sum)[M], const float *w, int64_t n4,
                                       const float *xs, int xs_pitch, int count) {
    float4 v[UNROLL];
#pragma unroll
    for (int i = 0; i < UNROLL; i++)
        v[i] = WHOLE || i < count ? mb_load4_stream(w + i * n4) : make_float4(0, 0, 0, 0);
#pragma unroll
    for (int i = 0; i < UNROLL; i++)
        if (WHOLE || i < count)
#pragma unroll
            for (int m = 0; m < M; m++) mb_multiply_add4(sum[m], xs[m * xs_pitch + i], v[i]);
}

template <int M> static __global__ __launch_bounds__(THREADS) void gemv(struct gemv_args args) {
    float *shared = mb_shared();
    const unsigned tile = blockIdx.x, slice = blockIdx.y;
    const unsigned entry = tile / args.column_blocks;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int64_t k0 = static_cast<int64_t>(slice) * args.rows;
    const int rows = static_cast<int>(args.k - k0 < args.rows ? args.k - k0 : args.rows);
    const int64_t column = static_cast<int64_t>(tile % args.column_blocks) * COLUMNS + lane * 4;

    const float *a = args.a + entry * args.a_stride + k0;
    for (int i = threadIdx.x; i < M * rows; i += THREADS)
        shared[i / rows * args.rows + i % rows] = a[i / rows * args.k + i % rows];
    __syncthreads();

    float4 sum[M];
#pragma unroll
    for (int m = 0; m < M; m++) sum[m] = make_float4(0, 0, 0, 0);
    if (column < args.n4) {
        const float *w = args.w + entry * args.w_step + k0 * args.n4 + column;
        for (int row = warp * UNROLL; row < rows; row += WARPS * UNROLL) {
            const float *from = w + row * args.n4;
            if (row + UNROLL <= rows)
                add_rows<M, true>(sum, from, args.n4, shared + row, args.rows, UNROLL);
            else
                add_rows<M, false>(sum, from, args.n4, shared + row, args.rows, rows - row);
        }
    }
    __syncthreads();

    /* [warp][m][lane] float4, of which thread (m, lane) adds the warps'. */
#pragma unroll
    for (int m = 0; m < M; m++) mb_store4(shared + ((warp * M + m) * 32 + lane) * 4, sum[m]);
    __syncthreads();
    float total[4] = {0, 0, 0, 0};
    if (threadIdx.x < 32 * M)
        for (int i = 0; i < WARPS; i++) {
            const float4 v = mb_load4(shared + (i * M * 32 + threadIdx.x) * 4);
            total[0] += v.x, total[1] += v.y, total[2] += v.z, total[3] += v.w;
        }
    __syncthreads();
    float *partials = args.partials + static_cast<int64_t>(tile) * args.n_slices * M * COLUMNS;
    if (!mb_add_slices<4, 32 * M>(total, partials, args.tickets + tile, slice, args.n_slices))
        return;
    if (warp >= M) return;
    float *y = args.y + (static_cast<int64_t>(entry) * M + warp) * args.n;
    for (int i = 0; i < 4; i++)
        if (column + i < args.n)
            y[column + i] = mb_activate(total[i] + args.bias[column + i], args.relu);
}

static cudaError_t launch(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu,
                          const struct mb_cuda_args *args, cudaStream_t stream) {
    const struct mb_matmul_desc *d = &desc->matmul;
    const struct division v = divide(d, gpu);
    const struct mb_matmul_packed p = packed_of(d, gpu);
    const float *w = static_cast<const float *>(args->packed);
    const struct gemv_args a = {args->x,
                                w,
                                w + p.bias_at(),
                                args->y,
                                static_cast<float *>(args->scratch),
                                mb_tickets(p, args->packed),
                                d->n,
                                p.width,
                                d->k,
                                d->a_stride,
                                p.entry_step(),
                                (unsigned)v.column_blocks,
                                (unsigned)v.n_slices,
                                (int)v.rows,
                                d->act == MB_ACT_RELU};
    static void (*const kernels[])(struct gemv_args) = {gemv<1>, gemv<2>, gemv<3>, gemv<4>};
    const dim3 grid((unsigned)(v.column_blocks * d->batch), (unsigned)v.n_slices);
    const int64_t rows_of_a = v.rows * d->m, warps_sums = WARPS * COLUMNS * d->m;
    return mb_launch(kernels[d->m - 1], grid, dim3(THREADS),
                     (size_t)mb_max(rows_of_a, warps_sums) * sizeof(float), stream, a);
}

MB_CUDA_KERNEL(f32_gemv, MB_STEP_MATMUL, supports, cost, packed_bytes, scratch_bytes, pack, launch)
