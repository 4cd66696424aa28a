/* y = act(a * w + bias) for one to four rows of a: as fast as w can be read.
 *
 * A block of eight warps takes a panel of 128 columns and a slice of k, which lie one after the
 * other in memory. A warp reads 16 rows of the panel at a time, 8 KB, a lane four columns of each:
 * 16 independent loads of 16 bytes in each thread, begun before the block waits for the kernel
 * before (launch.h, chains), and the next one begun as soon as one is used. A block to a
 * multiprocessor is 64 KB on the way, several times what the latency of memory asks for. There are
 * as many slices as make the grid no more than that, with room for a second block, so that all of
 * it runs at once even where clusters do not divide a GPC.
 *
 * The warps' sums meet in shared memory, those of the slices in one cluster in its first block, and
 * those beyond in the block that ends last (mb_add_slices), all in a fixed order.
 *
 * KEEP: for weights that do not fit into the second-level cache and are read again and again. The
 * first part of each slice is to be kept there and the rest dropped, where otherwise each read of
 * all of it evicts what the next one begins with. */
#ifndef MB_GEMV_CUH
#define MB_GEMV_CUH

#include "matmul_pack.cuh"

namespace mb_gemv {

static constexpr int WARPS = 8, THREADS = 32 * WARPS, PANEL = 128;
static constexpr int ROWS = 16;         /* of a chunk, which a warp has on the way */
static constexpr int MOST_CHUNKS = 128; /* of a slice: its part of a is in shared memory */
static constexpr int MOST_M = 4, MOST_CLUSTER = 8;

struct arguments {
    const float *a, *w, *bias;
    float *y, *partials;
    unsigned *tickets;
    int64_t n, k, a_stride, w_step;
    int64_t chunks;
    int slice_chunks, kept_chunks; /* in a slice; the first ones of it */
    unsigned panels, cluster, groups;
    bool relu;
};

/* ---- the division of the work ---- */

struct division {
    int64_t panels, tiles, chunks, slice_chunks; /* tiles: panels of the whole batch */
    int64_t cluster, groups;
};

static inline struct division divide(const struct mb_matmul_desc *d,
                                     const struct mb_gpu_properties *gpu) {
    struct division v;
    v.panels = mb_ceil_div(d->n, PANEL), v.tiles = v.panels * d->batch;
    v.chunks = mb_ceil_div(d->k, ROWS);
    const int64_t wanted = gpu->n_sms / v.tiles;
    const int64_t slices = mb_max(1, mb_min(wanted, v.chunks / WARPS));
    v.cluster = 1;
    while (gpu->cc >= 90 && v.cluster < MOST_CLUSTER && 2 * v.cluster <= slices) v.cluster *= 2;
    v.groups = mb_max(slices / v.cluster, mb_ceil_div(v.chunks, v.cluster * MOST_CHUNKS));
    v.slice_chunks = mb_ceil_div(v.chunks, v.cluster * v.groups);
    return v;
}

static inline double weight_bytes(const struct mb_matmul_desc *d, const struct division *v) {
    const double entries = d->w_stride ? (double)d->batch : 1;
    return 4.0 * (double)(v->panels * PANEL) * (double)(v->chunks * ROWS) * entries;
}

/* What can be kept of the weights beside what else is read and written. */
static inline double kept_share(const struct mb_matmul_desc *d, const struct division *v,
                                const struct mb_gpu_properties *gpu) {
    return 0.6 * (double)gpu->l2_bytes / weight_bytes(d, v);
}

static inline bool supports(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu) {
    const struct mb_matmul_desc *d = &desc->matmul;
    if (d->m > MOST_M) return false;
    const struct division v = divide(d, gpu);
    return v.tiles <= INT32_MAX / (v.cluster * v.groups);
}

static inline bool supports_keep(const union mb_step_desc *desc,
                                 const struct mb_gpu_properties *gpu) {
    if (gpu->cc < 80 || !supports(desc, gpu)) return false;
    const struct division v = divide(&desc->matmul, gpu);
    return kept_share(&desc->matmul, &v, gpu) < 1;
}

static inline double cost(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu) {
    const struct mb_matmul_desc *d = &desc->matmul;
    const struct division v = divide(d, gpu);
    const double bytes = weight_bytes(d, &v);
    const double blocks = (double)(v.tiles * v.cluster * v.groups);
    const double idle = blocks < gpu->n_sms ? gpu->n_sms / blocks : 1;
    return mb_launch_ns + (v.cluster > 1 ? 300 : 0) +
           (v.groups > 1 ? 1000 + 10 * (double)v.groups : 0) +
           mb_move_ns(gpu, bytes * (idle < 2 ? 1 : idle / 2)) +
           mb_compute_ns(gpu, idle * bytes / 4 * (double)d->m);
}

/* Behind the other, until it is measured to be faster where it runs. */
static inline double cost_keep(const union mb_step_desc *desc,
                               const struct mb_gpu_properties *gpu) {
    return 1.01 * cost(desc, gpu);
}

static inline struct mb_matmul_packed packed_of(const struct mb_matmul_desc *d,
                                                const struct division *v) {
    return mb_matmul_panels_of(d, PANEL, ROWS, v->groups > 1 ? v->tiles : 0);
}

static inline size_t packed_bytes(const union mb_step_desc *desc,
                                  const struct mb_gpu_properties *gpu) {
    const struct division v = divide(&desc->matmul, gpu);
    return (size_t)packed_of(&desc->matmul, &v).words() * sizeof(float);
}

static inline size_t scratch_bytes(const union mb_step_desc *desc,
                                   const struct mb_gpu_properties *gpu) {
    const struct mb_matmul_desc *d = &desc->matmul;
    const struct division v = divide(d, gpu);
    if (v.groups == 1) return 0;
    return (size_t)(v.tiles * v.groups * d->m * PANEL) * sizeof(float);
}

static inline cudaError_t pack(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu,
                               const float *w, const float *bias, void *packed,
                               cudaStream_t stream) {
    const struct division v = divide(&desc->matmul, gpu);
    return mb_pack_matmul(&desc->matmul, packed_of(&desc->matmul, &v), w, bias, packed, stream);
}

/* ---- on the device ---- */

/* Shared memory: sums received from the cluster, [cluster][M][32] float4 (none without), and
 * behind them first a's part, [M][slice rows], then the warps' sums, [WARPS][M][32] float4. */
static inline size_t shared_floats(int64_t m, const struct division *v) {
    const int64_t received = v->cluster > 1 ? v->cluster * m * PANEL : 0;
    return (size_t)(received + mb_max(m * v->slice_chunks * ROWS, WARPS * m * PANEL));
}

template <bool KEEP> struct reader {
    uint64_t keep, drop;
    int kept_chunks;

    __device__ explicit reader(int kept)
        : keep(KEEP ? mb_l2_policy_of(MB_L2_KEEP) : 0),
          drop(KEEP ? mb_l2_policy_of(MB_L2_DROP) : 0), kept_chunks(kept) {}

    __device__ float4 load(const float *from, int chunk) const {
        return KEEP ? mb_load4_stream(from, chunk < kept_chunks ? keep : drop)
                    : mb_load4_stream(from);
    }
};

/* Uses the chunk in v, xs[M][pitch] being a's part of it, and loads the one at `next` instead. */
template <int M, bool KEEP, bool MORE>
static __device__ inline void use_chunk(float4 (&sum)[M], float4 (&v)[ROWS], const float *xs,
                                        int pitch, const reader<KEEP> &from, const float *next,
                                        int next_chunk) {
#pragma unroll
    for (int i = 0; i < ROWS; i += 4) {
        float4 x[M];
#pragma unroll
        for (int m = 0; m < M; m++) x[m] = mb_load4(xs + m * pitch + i);
#pragma unroll
        for (int m = 0; m < M; m++) {
            mb_multiply_add4(sum[m], x[m].x, v[i]);
            mb_multiply_add4(sum[m], x[m].y, v[i + 1]);
            mb_multiply_add4(sum[m], x[m].z, v[i + 2]);
            mb_multiply_add4(sum[m], x[m].w, v[i + 3]);
        }
        if (MORE)
#pragma unroll
            for (int at = i; at < i + 4; at++) v[at] = from.load(next + at * PANEL, next_chunk);
    }
}

template <int M, bool KEEP>
static __global__ __launch_bounds__(THREADS, 2) void gemv(struct arguments args) {
    const bool clustered = mb_has_clusters() && args.cluster > 1;
    float *received = mb_shared(), *xs = received + (clustered ? args.cluster * M * PANEL : 0);
    const unsigned rank = blockIdx.x % args.cluster, at = blockIdx.x / args.cluster;
    const unsigned group = at % args.groups, tile = at / args.groups;
    const unsigned panel = tile % args.panels, entry = tile / args.panels;
    const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
    const int64_t first = static_cast<int64_t>(group * args.cluster + rank) * args.slice_chunks;
    const int64_t left = args.chunks - first;
    const int n_chunks = static_cast<int>(left < 0                   ? 0
                                          : left < args.slice_chunks ? left
                                                                     : args.slice_chunks);
    const float *w =
        args.w + entry * args.w_step + (panel * args.chunks + first) * (ROWS * PANEL) + lane * 4;
    const reader<KEEP> from(args.kept_chunks);

    if (clustered) mb_cluster_arrive_begun();
    float4 v[ROWS];
    int chunk = warp;
    if (chunk < n_chunks)
#pragma unroll
        for (int i = 0; i < ROWS; i++) v[i] = from.load(w + (chunk * ROWS + i) * PANEL, chunk);
    mb_let_next_start();
    mb_wait_for_previous();

    const int rows = n_chunks * ROWS, pitch = args.slice_chunks * ROWS;
    const int64_t k0 = first * ROWS;
    const float *a = args.a + entry * args.a_stride + k0;
#pragma unroll
    for (int m = 0; m < M; m++)
        for (int i = thread; i < rows; i += THREADS)
            xs[m * pitch + i] = k0 + i < args.k ? a[m * args.k + i] : 0;
    __syncthreads();

    float4 sum[M];
#pragma unroll
    for (int m = 0; m < M; m++) sum[m] = make_float4(0, 0, 0, 0);
    for (; chunk + WARPS < n_chunks; chunk += WARPS)
        use_chunk<M, KEEP, true>(sum, v, xs + chunk * ROWS, pitch, from,
                                 w + (chunk + WARPS) * (ROWS * PANEL), chunk + WARPS);
    if (chunk < n_chunks)
        use_chunk<M, KEEP, false>(sum, v, xs + chunk * ROWS, pitch, from, nullptr, 0);
    __syncthreads();

    /* Of the warps' sums thread (m, lane) adds one vector of each. */
#pragma unroll
    for (int m = 0; m < M; m++) mb_store4(xs + ((warp * M + m) * 32 + lane) * 4, sum[m]);
    __syncthreads();
    const bool active = thread < 32 * M;
    float total[4] = {0, 0, 0, 0};
    if (active)
#pragma unroll
        for (int i = 0; i < WARPS; i++) mb_add4(total, mb_load4(xs + (i * M * 32 + thread) * 4));

    if (clustered) {
        mb_cluster_wait();
        if (active)
            mb_cluster_store4(received + (rank * M * 32 + thread) * 4, 0,
                              make_float4(total[0], total[1], total[2], total[3]));
        mb_cluster_arrive();
        mb_cluster_wait();
        if (rank != 0) return;
        total[0] = total[1] = total[2] = total[3] = 0;
        if (active)
            for (unsigned i = 0; i < args.cluster; i++)
                mb_add4(total, mb_load4(received + (i * M * 32 + thread) * 4));
    }
    float *partials = args.partials + static_cast<int64_t>(tile) * args.groups * M * PANEL;
    if (!mb_add_slices<4, 32 * M>(total, partials, args.tickets + tile, group, args.groups)) return;
    if (!active) return;
    const int64_t column = static_cast<int64_t>(panel) * PANEL + lane * 4;
    float *y = args.y + (static_cast<int64_t>(entry) * M + warp) * args.n;
#pragma unroll
    for (int i = 0; i < 4; i++)
        if (column + i < args.n)
            y[column + i] = mb_activate(total[i] + args.bias[column + i], args.relu);
}

template <bool KEEP>
static cudaError_t launch(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu,
                          const struct mb_cuda_args *args, cudaStream_t stream) {
    const struct mb_matmul_desc *d = &desc->matmul;
    const struct division v = divide(d, gpu);
    const struct mb_matmul_packed p = packed_of(d, &v);
    const float *w = static_cast<const float *>(args->packed);
    struct arguments a;
    a.a = args->x, a.w = w, a.bias = w + p.bias_at();
    a.y = args->y, a.partials = static_cast<float *>(args->scratch);
    a.tickets = mb_tickets(p, args->packed);
    a.n = d->n, a.k = d->k, a.a_stride = d->a_stride, a.w_step = p.entry_step();
    a.chunks = v.chunks, a.slice_chunks = (int)v.slice_chunks;
    a.kept_chunks = KEEP ? (int)(kept_share(d, &v, gpu) * (double)v.slice_chunks) : 0;
    a.panels = (unsigned)v.panels;
    a.cluster = (unsigned)v.cluster, a.groups = (unsigned)v.groups;
    a.relu = d->act == MB_ACT_RELU;
    static void (*const kernels[])(struct arguments) = {gemv<1, KEEP>, gemv<2, KEEP>, gemv<3, KEEP>,
                                                        gemv<4, KEEP>};
    struct mb_launch_shape shape;
    shape.grid = dim3((unsigned)(v.tiles * v.groups * v.cluster)), shape.block = dim3(THREADS);
    shape.shared_bytes = shared_floats(d->m, &v) * sizeof(float);
    shape.cluster = a.cluster;
    return mb_launch_in_chain(gpu, args->packed_in_run, kernels[d->m - 1], shape, stream, a);
}

} // namespace mb_gemv

#endif
