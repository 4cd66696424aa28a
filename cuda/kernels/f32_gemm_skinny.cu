/* y = act(a * w + bias) for few rows of a, where the time goes into latencies: layers of an MLP.
 *
 * k is cut into as many slices as keep every multiprocessor busy. A block takes BM rows, a panel of
 * BN columns and one slice, of which its eight warps take every eighth four terms, each for the
 * whole tile in registers. Weights are on their way to shared memory before the block waits for the
 * kernel before (launch.h, chains); the next kernel may begin as soon as all blocks have. Slices of
 * one tile are a cluster where there are clusters: each block sends every other one its share of
 * the sums, so that one barrier is all that separates products and result. Slices beyond one
 * cluster meet in the block that ends last (mb_add_slices). All sums have a fixed order. */
#include "matmul_pack.cuh"

static constexpr int WARPS = 8, THREADS = 32 * WARPS;
static constexpr int CHUNK = 64;          /* terms in a stage of shared memory */
static constexpr int STAGES = 4;          /* on their way at a time */
static constexpr int A_PITCH = CHUNK + 4; /* eight rows' vectors lie in different banks */
static constexpr int MOST_M = 128, MOST_CLUSTER = 8, MOST_GROUPS = 32;

/* A block's tile. Lanes are ROW_LANES x COLUMN_LANES; each has every ROW_LANES-th
 * row, and of the columns every COLUMN_LANES-th group of four. */
template <int BM_, int BN_, int ROW_LANES> struct skinny_tile {
    static constexpr int BM = BM_, BN = BN_, COLUMN_LANES = 32 / ROW_LANES;
    static constexpr int TM = BM / ROW_LANES, TN = BN / COLUMN_LANES, GROUPS = TN / 4;
    static constexpr int VECTORS = BM * BN / 4; /* of four neighbouring sums */
    static constexpr int W_STAGE = CHUNK * BN, STAGE = W_STAGE + BM * A_PITCH;
    static_assert(TM * ROW_LANES == BM && GROUPS * 4 * COLUMN_LANES == BN && VECTORS <= THREADS,
                  "every sum has a lane, and every vector a thread");

    /* Of vector number v: the first lane's vectors number 0, the second's 0 and so on, then 1. */
    static __device__ int row(int v) { return v / 32 / GROUPS * ROW_LANES + v % 32 / COLUMN_LANES; }
    static __device__ int column(int v) {
        return (v / 32 % GROUPS * COLUMN_LANES + v % COLUMN_LANES) * 4;
    }

    /* Received sums, then stages, where later the warps' sums meet. */
    static constexpr int shared_floats(int n_stages) {
        return VECTORS * 4 +
               (n_stages * STAGE > WARPS * VECTORS * 4 ? n_stages * STAGE : WARPS * VECTORS * 4);
    }
};

struct skinny_args {
    const float *a, *w, *bias;
    float *y, *partials;
    unsigned *tickets;
    int64_t m, n, k, a_stride, w_step;
    int64_t quads, slice_quads; /* four terms each: in all, and in a slice */
    unsigned row_tiles, panels, cluster, groups;
    bool aligned; /* rows of a start at multiples of 16 bytes */
    bool relu;
};

/* What a block computes, and where it copies from. */
template <typename T> struct skinny_block {
    const skinny_args &args;
    const float *a, *w; /* at the block's first row and term */
    int64_t terms;      /* from there to the end of k: what a has of them */
    int64_t quads;
    int rows;

    __device__ int chunk_quads(int64_t chunk) const {
        const int64_t left = quads - chunk * (CHUNK / 4);
        return static_cast<int>(left < CHUNK / 4 ? left : CHUNK / 4);
    }

    __device__ void copy_w(float *stage, int64_t chunk) const {
        const float *from = w + chunk * CHUNK * T::BN;
        const int count = chunk_quads(chunk) * T::BN;
        for (int i = threadIdx.x; i < count; i += THREADS)
            mb_copy16_async(stage + i * 4, from + i * 4, 16);
    }

    __device__ void copy_a(float *stage, int64_t chunk) const {
        float *to = stage + T::W_STAGE;
        const int64_t left = terms - chunk * CHUNK;
        const int inside = static_cast<int>(left < CHUNK ? left : CHUNK);
        const float *from = a + chunk * CHUNK;
        if (args.aligned) {
            for (int i = threadIdx.x; i < T::BM * (CHUNK / 4); i += THREADS) {
                const int row = i / (CHUNK / 4), at = i % (CHUNK / 4) * 4;
                const bool is_inside = row < rows && at < inside;
                mb_copy16_async(to + row * A_PITCH + at, is_inside ? from + row * args.k + at : a,
                                is_inside ? 16 : 0);
            }
        } else {
            for (int i = threadIdx.x; i < T::BM * CHUNK; i += THREADS) {
                const int row = i / CHUNK, at = i % CHUNK;
                const bool is_inside = row < rows && at < inside;
                mb_copy4_async(to + row * A_PITCH + at, is_inside ? from + row * args.k + at : a,
                               is_inside);
            }
        }
    }

    /* The warp's part of one chunk's products. */
    __device__ void multiply(float (&sum)[T::TM][T::TN], const float *stage, int64_t chunk) const {
        const int lane = threadIdx.x % 32;
        const float *left = stage + T::W_STAGE + lane / T::COLUMN_LANES * A_PITCH;
        const float *right = stage + lane % T::COLUMN_LANES * 4;
        for (int quad = threadIdx.x / 32; quad < chunk_quads(chunk); quad += WARPS) {
            float4 l[T::TM];
#pragma unroll
            for (int i = 0; i < T::TM; i++)
                l[i] = mb_load4(left + i * (32 / T::COLUMN_LANES) * A_PITCH + quad * 4);
#pragma unroll
            for (int term = 0; term < 4; term++)
#pragma unroll
                for (int g = 0; g < T::GROUPS; g++) {
                    const float4 r =
                        mb_load4(right + (quad * 4 + term) * T::BN + g * T::COLUMN_LANES * 4);
#pragma unroll
                    for (int i = 0; i < T::TM; i++) {
                        const float v = mb_component(l[i], term);
                        sum[i][g * 4] = fmaf(v, r.x, sum[i][g * 4]);
                        sum[i][g * 4 + 1] = fmaf(v, r.y, sum[i][g * 4 + 1]);
                        sum[i][g * 4 + 2] = fmaf(v, r.z, sum[i][g * 4 + 2]);
                        sum[i][g * 4 + 3] = fmaf(v, r.w, sum[i][g * 4 + 3]);
                    }
                }
        }
    }
};

template <typename T>
static __global__ __launch_bounds__(THREADS, 2) void skinny(struct skinny_args args) {
    float *received = mb_shared(), *stages = received + T::VECTORS * 4;
    const bool clustered = mb_has_clusters() && args.cluster > 1;
    const unsigned rank = blockIdx.x % args.cluster, at = blockIdx.x / args.cluster;
    const unsigned group = at % args.groups, tile = at / args.groups;
    const unsigned panel = tile % args.panels, row_tile = tile / args.panels % args.row_tiles;
    const int64_t entry = tile / args.panels / args.row_tiles;
    const int64_t row0 = static_cast<int64_t>(row_tile) * T::BM;
    const int64_t column0 = static_cast<int64_t>(panel) * T::BN;
    const int64_t first = (group * args.cluster + rank) * args.slice_quads;
    const int64_t quads_left = args.quads - first, rows_left = args.m - row0;

    const skinny_block<T> block = {args,
                                   args.a + entry * args.a_stride + row0 * args.k + first * 4,
                                   args.w + entry * args.w_step +
                                       (panel * args.quads + first) * 4 * T::BN,
                                   args.k - first * 4,
                                   quads_left < args.slice_quads ? quads_left : args.slice_quads,
                                   static_cast<int>(rows_left < T::BM ? rows_left : T::BM)};
    const int64_t n_chunks = block.quads > 0 ? (block.quads + CHUNK / 4 - 1) / (CHUNK / 4) : 0;

    /* Of the sums that the thread writes in the end. */
    const int active = clustered ? T::VECTORS / args.cluster : T::VECTORS;
    const int thread = static_cast<int>(threadIdx.x);
    const int vector = (clustered ? static_cast<int>(rank) * active : 0) + thread;
    const int64_t column = column0 + T::column(vector);
    float4 bias = make_float4(0, 0, 0, 0);
    if (thread < active) bias = mb_load4_const(args.bias + column);

    if (clustered) mb_cluster_arrive_begun();
    for (int s = 0; s < STAGES; s++)
        if (s < n_chunks) block.copy_w(stages + s * T::STAGE, s);
    mb_copy_commit();
    mb_let_next_start();
    mb_wait_for_previous();
    for (int s = 0; s < STAGES; s++) {
        if (s < n_chunks) block.copy_a(stages + s * T::STAGE, s);
        mb_copy_commit();
    }

    float sum[T::TM][T::TN];
#pragma unroll
    for (int i = 0; i < T::TM; i++)
#pragma unroll
        for (int j = 0; j < T::TN; j++) sum[i][j] = 0;
    for (int64_t chunk = 0; chunk < n_chunks; chunk++) {
        float *stage = stages + chunk % STAGES * T::STAGE;
        mb_copy_wait<STAGES - 1>();
        __syncthreads();
        block.multiply(sum, stage, chunk);
        __syncthreads();
        if (chunk + STAGES < n_chunks) {
            block.copy_w(stage, chunk + STAGES);
            block.copy_a(stage, chunk + STAGES);
        }
        mb_copy_commit();
    }

    float *own = stages + (thread / 32 * T::VECTORS + thread % 32) * 4;
#pragma unroll
    for (int i = 0; i < T::TM; i++)
#pragma unroll
        for (int j = 0; j < T::TN; j += 4)
            mb_store4(own + (i * T::GROUPS + j / 4) * 128,
                      make_float4(sum[i][j], sum[i][j + 1], sum[i][j + 2], sum[i][j + 3]));
    __syncthreads();
    float total[4] = {0, 0, 0, 0};
    if (thread < T::VECTORS)
#pragma unroll
        for (int warp = 0; warp < WARPS; warp++)
            mb_add4(total, mb_load4(stages + (warp * T::VECTORS + thread) * 4));

    if (clustered) {
        mb_cluster_wait();
        if (thread < T::VECTORS)
            mb_cluster_store4(received + (static_cast<int>(rank) * active + thread % active) * 4,
                              static_cast<unsigned>(thread / active),
                              make_float4(total[0], total[1], total[2], total[3]));
        mb_cluster_arrive();
        mb_cluster_wait();
        total[0] = total[1] = total[2] = total[3] = 0;
        if (thread < active)
            for (unsigned from = 0; from < args.cluster; from++)
                mb_add4(total, mb_load4(received + (static_cast<int>(from) * active + thread) * 4));
    }
    const unsigned ticket = tile * args.cluster + rank;
    float *partials = args.partials + static_cast<int64_t>(ticket) * args.groups * active * 4;
    if (!mb_add_slices<4>(total, partials, args.tickets + ticket, group, args.groups,
                          static_cast<unsigned>(active)))
        return;

    const int row = T::row(vector);
    if (thread >= active || row >= block.rows) return;
    float *y = args.y + (entry * args.m + row0 + row) * args.n + column;
    const float v[4] = {
        mb_activate(total[0] + bias.x, args.relu), mb_activate(total[1] + bias.y, args.relu),
        mb_activate(total[2] + bias.z, args.relu), mb_activate(total[3] + bias.w, args.relu)};
    if (args.n % 4 == 0) {
        if (column < args.n) mb_store4(y, make_float4(v[0], v[1], v[2], v[3]));
    } else {
#pragma unroll
        for (int i = 0; i < 4; i++)
            if (column + i < args.n) y[i] = v[i];
    }
}

typedef void skinny_kernel(struct skinny_args);

static const struct size {
    int bm, bn, tm, tn, vectors;
    int shared_floats[STAGES + 1]; /* by the stages that a slice has */
    skinny_kernel *kernel;
} sizes[] = {
#define SIZE(bm, bn, row_lanes)                                                                    \
    {                                                                                              \
        bm, bn, skinny_tile<bm, bn, row_lanes>::TM, skinny_tile<bm, bn, row_lanes>::TN,            \
            skinny_tile<bm, bn, row_lanes>::VECTORS,                                               \
            {skinny_tile<bm, bn, row_lanes>::shared_floats(0),                                     \
             skinny_tile<bm, bn, row_lanes>::shared_floats(1),                                     \
             skinny_tile<bm, bn, row_lanes>::shared_floats(2),                                     \
             skinny_tile<bm, bn, row_lanes>::shared_floats(3),                                     \
             skinny_tile<bm, bn, row_lanes>::shared_floats(4)},                                    \
            skinny<skinny_tile<bm, bn, row_lanes>>                                                 \
    }
    SIZE(32, 32, 8), SIZE(32, 16, 8), SIZE(16, 32, 4),
    SIZE(16, 16, 8), SIZE(8, 32, 4),  SIZE(8, 16, 8),
#undef SIZE
};

struct division {
    const struct size *size;
    int64_t row_tiles, panels, tiles; /* tiles: of the whole batch */
    int64_t quads, slice_quads;
    int cluster, groups;
    double ns;
};

/* Times in clocks of a multiprocessor: what its blocks read at 48 bytes a clock, what their warps
 * issue, and the trips through shared memory, the cluster and the second-level cache. */
static struct division divide_by(const struct size *size, int cluster, int groups,
                                 const struct mb_matmul_desc *d,
                                 const struct mb_gpu_properties *gpu) {
    struct division v;
    v.size = size, v.cluster = cluster, v.groups = groups;
    v.row_tiles = mb_ceil_div(d->m, size->bm), v.panels = mb_ceil_div(d->n, size->bn);
    v.tiles = v.row_tiles * v.panels * d->batch;
    v.quads = mb_ceil_div(d->k, 4);
    v.slice_quads = mb_ceil_div(v.quads, cluster * groups);
    const double at_once = (double)mb_ceil_div(v.tiles * cluster * groups, gpu->n_sms);
    const double bytes = 16.0 * (double)v.slice_quads * (size->bm + size->bn);
    const double issued = (double)mb_ceil_div(v.slice_quads, WARPS) * WARPS / 4 *
                          (4 * size->tm * size->tn + 3 * (size->tm + size->tn));
    const double trips = 500 + (cluster > 1 ? 600 : 0) + (groups > 1 ? 2000 + 20 * groups : 0);
    const double entries = d->w_stride ? (double)d->batch : 1;
    v.ns = mb_launch_ns +
           (at_once * (bytes / 48 + issued) + trips) * 1e6 / (double)mb_max(1, gpu->clock_khz) +
           mb_move_ns(gpu, 4.0 * ((double)d->k * (double)d->n * entries +
                                  (double)d->m * (double)(d->k + d->n) * (double)d->batch));
    return v;
}

static struct division divide(const struct mb_matmul_desc *d, const struct mb_gpu_properties *gpu) {
    struct division best = divide_by(&sizes[0], 1, 1, d, gpu);
    const int most_cluster = gpu->cc >= 90 ? MOST_CLUSTER : 1;
    const int64_t most_slices = mb_max(1, mb_ceil_div(d->k, 4 * WARPS));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int cluster = 1; cluster <= most_cluster; cluster *= 2)
            for (int groups = 1; groups <= MOST_GROUPS; groups *= 2) {
                if (cluster * groups > most_slices) break;
                const struct division v = divide_by(&sizes[i], cluster, groups, d, gpu);
                if (v.ns < best.ns) best = v;
            }
    return best;
}

static bool supports(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu) {
    const struct mb_matmul_desc *d = &desc->matmul;
    if (d->m > MOST_M) return false;
    const struct division v = divide(d, gpu);
    return v.tiles <= INT32_MAX / (v.cluster * v.groups);
}

static double cost(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu) {
    return divide(&desc->matmul, gpu).ns;
}

static struct mb_matmul_packed packed_of(const struct mb_matmul_desc *d, const struct division *v) {
    return mb_matmul_panels_of(d, v->size->bn, 4, v->groups > 1 ? v->tiles * v->cluster : 0);
}

static size_t packed_bytes(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu) {
    const struct division v = divide(&desc->matmul, gpu);
    return (size_t)packed_of(&desc->matmul, &v).words() * sizeof(float);
}

static size_t scratch_bytes(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu) {
    const struct division v = divide(&desc->matmul, gpu);
    if (v.groups == 1) return 0;
    return (size_t)(v.tiles * v.groups * v.size->vectors * 4) * sizeof(float);
}

static cudaError_t pack(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu,
                        const float *w, const float *bias, void *packed, cudaStream_t stream) {
    const struct division v = divide(&desc->matmul, gpu);
    return mb_pack_matmul(&desc->matmul, packed_of(&desc->matmul, &v), w, bias, packed, stream);
}

static cudaError_t launch(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu,
                          const struct mb_cuda_args *args, cudaStream_t stream) {
    const struct mb_matmul_desc *d = &desc->matmul;
    const struct division v = divide(d, gpu);
    const struct mb_matmul_packed p = packed_of(d, &v);
    const float *w = static_cast<const float *>(args->packed);
    struct skinny_args a;
    a.a = args->x, a.w = w, a.bias = w + p.bias_at();
    a.y = args->y, a.partials = static_cast<float *>(args->scratch);
    a.tickets = mb_tickets(p, args->packed);
    a.m = d->m, a.n = d->n, a.k = d->k, a.a_stride = d->a_stride, a.w_step = p.entry_step();
    a.quads = v.quads, a.slice_quads = v.slice_quads;
    a.row_tiles = (unsigned)v.row_tiles, a.panels = (unsigned)v.panels;
    a.cluster = (unsigned)v.cluster, a.groups = (unsigned)v.groups;
    a.aligned = d->k % 4 == 0 && d->a_stride % 4 == 0;
    a.relu = d->act == MB_ACT_RELU;
    const int64_t n_stages = mb_min(mb_ceil_div(v.slice_quads, CHUNK / 4), STAGES);
    struct mb_launch_shape shape;
    shape.grid = dim3((unsigned)(v.tiles * v.groups * v.cluster)), shape.block = dim3(THREADS);
    shape.shared_bytes = (size_t)v.size->shared_floats[n_stages] * sizeof(float);
    shape.cluster = a.cluster;
    return mb_launch_in_chain(gpu, args->packed_in_run, v.size->kernel, shape, stream, a);
}

MB_CUDA_KERNEL(f32_gemm_skinny, MB_STEP_MATMUL, supports, cost, packed_bytes, scratch_bytes, pack,
               launch)
