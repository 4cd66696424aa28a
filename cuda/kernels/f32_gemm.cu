/* y = act(a * w + bias) by tiles in shared memory and registers (async_tile.cuh), of three sizes:
 * the smaller ones keep more multiprocessors busy. Where tiles are fewer than those, k is cut into
 * slices, whose sums meet in the block that ends last (mb_add_slices). */
#include "async_tile.cuh"
#include "matmul_pack.cuh"

using large = mb_async_tile<128, 128, 16, 8, 8>;
using medium = mb_async_tile<64, 64, 16, 4, 4>;
using small = mb_async_tile<32, 32, 32, 2, 2>;

enum { MOST_SLICES = 64, LEAST_STEPS = 4 /* of a slice */ };

struct gemm_args {
    const float *a, *w, *bias;
    float *y, *partials;
    unsigned *tickets;
    int64_t m, n, n4, k, a_stride, w_step;
    unsigned row_tiles, column_tiles;
    int n_steps, steps; /* of BK terms: in all, and in a slice */
    unsigned n_slices;
    bool relu;
};

/* The operands of a block's tile, by steps of BK terms from its slice's first on. */
template <typename T, bool ALIGNED> struct gemm_source {
    static constexpr int A_ROWS = T::THREADS / (T::BK / 4); /* between a thread's vectors */
    static constexpr int B_ROWS = T::THREADS / (T::BN / 4);

    const struct gemm_args &args;
    const float *a, *w;    /* the thread's first vectors of the first step */
    int whole_steps, tail; /* from the first step on; terms in the step after them */
    int rows, columns;     /* left from the thread's first vectors on */

    static __device__ int a_row() { return threadIdx.x / (T::BK / 4); }
    static __device__ int a_k() { return threadIdx.x % (T::BK / 4) * 4; }
    static __device__ int b_k() { return threadIdx.x / (T::BN / 4); }
    static __device__ int b_column() { return threadIdx.x % (T::BN / 4) * 4; }

    __device__ gemm_source(const struct gemm_args &all, int64_t entry, int64_t row_tile,
                           int64_t column_tile, int64_t step)
        : args(all), whole_steps(static_cast<int>(all.k / T::BK - step)),
          tail(static_cast<int>(all.k % T::BK)) {
        const int64_t row0 = row_tile * T::BM, column0 = column_tile * T::BN;
        const int64_t below = args.m - row0, beside = args.n4 - column0;
        rows = static_cast<int>(below < T::BM ? below : T::BM) - a_row();
        columns = static_cast<int>(beside < T::BN ? beside : T::BN) - b_column();
        a = args.a + entry * args.a_stride + (row0 + a_row()) * args.k + step * T::BK + a_k();
        w = args.w + entry * args.w_step + (step * T::BK + b_k()) * args.n4 + column0 + b_column();
    }

    __device__ int terms(int step) const { return step < whole_steps ? T::BK : tail; }

    /* What lies outside is zero, and not read whatever its address. */
    __device__ void copy_a(float *stage, int step) const {
        const int inside = terms(step) - a_k();
        const float *from = a + static_cast<int64_t>(step) * T::BK;
#pragma unroll
        for (int i = 0; i < T::A_VECTORS; i++) {
            float *to = stage + (a_row() + i * A_ROWS) * T::A_PITCH + a_k();
            const bool has_row = i * A_ROWS < rows;
            if (ALIGNED) {
                mb_copy16_async(to, has_row ? from + i * A_ROWS * args.k : args.w,
                                has_row && inside > 0 ? 16 : 0);
            } else {
#pragma unroll
                for (int at = 0; at < 4; at++) {
                    const bool is_inside = has_row && inside > at;
                    mb_copy4_async(to + at, is_inside ? from + i * A_ROWS * args.k + at : args.w,
                                   is_inside);
                }
            }
        }
    }

    __device__ void copy_b(float *stage, int step) const {
        const int inside = terms(step) - b_k();
        const float *from = w + step * (T::BK * args.n4);
#pragma unroll
        for (int i = 0; i < T::B_VECTORS; i++) {
            const bool is_inside = i * B_ROWS < inside && columns > 0;
            mb_copy16_async(stage + T::B_AT + (b_k() + i * B_ROWS) * T::BN + b_column(),
                            is_inside ? from + i * B_ROWS * args.n4 : args.w, is_inside ? 16 : 0);
        }
    }
};

/* ALIGNED: rows of a start at multiples of 16 bytes. */
template <typename T, bool ALIGNED>
static __global__ __launch_bounds__(T::THREADS,
                                    T::SUMS > 4 ? 2 : 3) void gemm(struct gemm_args args) {
    /* Narrow words, since they live as long as the sums. */
    const unsigned tile = blockIdx.x, slice = blockIdx.y;
    const unsigned column_tile = tile % args.column_tiles, above = tile / args.column_tiles;
    const unsigned row_tile = above % args.row_tiles, entry = above / args.row_tiles;
    const int begin = static_cast<int>(slice) * args.steps, rest = args.n_steps - begin;
    const gemm_source<T, ALIGNED> source(args, entry, row_tile, column_tile, begin);
    float sum[T::SUMS];
#pragma unroll
    for (int i = 0; i < T::SUMS; i++) sum[i] = 0;
    T::run(sum, source, rest < args.steps ? rest : args.steps);

    constexpr int size = T::SUMS * T::THREADS;
    if (!mb_add_slices<T::SUMS, T::THREADS>(
            sum, args.partials + static_cast<int64_t>(tile) * args.n_slices * size,
            args.tickets + tile, slice, args.n_slices))
        return;
    const int64_t row0 = static_cast<int64_t>(row_tile) * T::BM;
    const int64_t column0 = static_cast<int64_t>(column_tile) * T::BN;
#pragma unroll
    for (int i = 0; i < T::TM; i++) {
        const int64_t row = row0 + T::row(i);
        if (row >= args.m) continue;
        float *y = args.y + (entry * args.m + row) * args.n;
#pragma unroll
        for (int j = 0; j < T::TN; j += T::VN) {
            const int64_t column = column0 + T::column(j);
            float v[T::VN];
#pragma unroll
            for (int at = 0; at < T::VN; at++) {
                const float bias = column + at < args.n ? __ldg(args.bias + column + at) : 0;
                v[at] = mb_activate(sum[i * T::TN + j + at] + bias, args.relu);
            }
            if (T::VN == 4 && args.n % 4 == 0) {
                if (column < args.n)
                    mb_store4(y + column, make_float4(v[0], v[1], v[T::VN - 2], v[T::VN - 1]));
            } else {
#pragma unroll
                for (int at = 0; at < T::VN; at++)
                    if (column + at < args.n) y[column + at] = v[at];
            }
        }
    }
}

typedef void gemm_kernel(struct gemm_args);

/* The sizes of tile, and how much of the multiprocessors' rate each reaches. */
static const struct size {
    int bm, bn, bk, threads, sums, shared_bytes;
    double share;
    gemm_kernel *kernels[2]; /* not aligned, aligned */
} sizes[] = {
#define SIZE(T, share)                                                                             \
    {                                                                                              \
        T::BM, T::BN, T::BK, T::THREADS, T::SUMS, T::SHARED_BYTES, share, {                        \
            gemm<T, false>, gemm<T, true>                                                          \
        }                                                                                          \
    }
    SIZE(large, 0.75),
    SIZE(medium, 0.5),
    SIZE(small, 0.25),
#undef SIZE
};

struct division {
    const struct size *size;
    int64_t row_tiles, column_tiles, tiles; /* tiles: of the whole batch */
    int64_t n_steps, steps, n_slices;
    double ns;
};

static struct division divide_by(const struct size *size, const struct mb_matmul_desc *d,
                                 const struct mb_gpu_properties *gpu) {
    struct division v;
    v.size = size;
    v.row_tiles = mb_ceil_div(d->m, size->bm), v.column_tiles = mb_ceil_div(d->n, size->bn);
    v.tiles = v.row_tiles * v.column_tiles * d->batch;
    v.n_steps = mb_ceil_div(d->k, size->bk);
    const int64_t wanted = mb_min(gpu->n_sms / v.tiles, v.n_steps / LEAST_STEPS);
    v.steps = mb_ceil_div(v.n_steps, mb_max(1, mb_min(wanted, MOST_SLICES)));
    v.n_slices = mb_ceil_div(v.n_steps, v.steps);

    /* As many blocks as the busiest multiprocessor has, one after the other. */
    const double of_one_block = (double)v.steps * size->bk * size->bm * size->bn;
    const double rounds = (double)mb_ceil_div(v.tiles * v.n_slices, gpu->n_sms);
    const double entries = d->w_stride ? (double)d->batch : 1;
    const double bytes = 4.0 * ((double)d->k * (double)d->n * entries +
                                (double)d->m * (double)(d->k + d->n) * (double)d->batch);
    v.ns = mb_launch_ns + mb_compute_ns(gpu, rounds * of_one_block * gpu->n_sms) / size->share +
           mb_move_ns(gpu, bytes) + 20 * (double)v.n_slices + 100 * (double)mb_min(v.steps, 16);
    return v;
}

static struct division divide(const struct mb_matmul_desc *d, const struct mb_gpu_properties *gpu) {
    struct division best = divide_by(&sizes[0], d, gpu);
    for (size_t i = 1; i < sizeof sizes / sizeof *sizes; i++) {
        const struct division v = divide_by(&sizes[i], d, gpu);
        if (v.ns < best.ns) best = v;
    }
    return best;
}

static bool supports(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu) {
    const struct division v = divide(&desc->matmul, gpu);
    return v.tiles <= INT32_MAX && v.n_steps + v.steps <= INT32_MAX;
}

static double cost(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu) {
    return divide(&desc->matmul, gpu).ns;
}

static struct mb_matmul_packed packed_of(const struct mb_matmul_desc *d, const struct division *v) {
    return mb_matmul_packed_of(d, v->n_slices > 1 ? v->tiles : 0);
}

static size_t packed_bytes(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu) {
    const struct division v = divide(&desc->matmul, gpu);
    return (size_t)packed_of(&desc->matmul, &v).words() * sizeof(float);
}

static size_t scratch_bytes(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu) {
    const struct division v = divide(&desc->matmul, gpu);
    if (v.n_slices == 1) return 0;
    return (size_t)(v.tiles * v.n_slices * v.size->threads * v.size->sums) * sizeof(float);
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
    struct gemm_args a;
    a.a = args->x, a.w = w, a.bias = w + p.bias_at();
    a.y = args->y, a.partials = static_cast<float *>(args->scratch);
    a.tickets = mb_tickets(p, args->packed);
    a.m = d->m, a.n = d->n, a.n4 = p.width, a.k = d->k;
    a.a_stride = d->a_stride, a.w_step = p.entry_step();
    a.row_tiles = (unsigned)v.row_tiles, a.column_tiles = (unsigned)v.column_tiles;
    a.n_steps = (int)v.n_steps, a.steps = (int)v.steps, a.n_slices = (unsigned)v.n_slices;
    a.relu = d->act == MB_ACT_RELU;
    const bool aligned = d->k % 4 == 0 && d->a_stride % 4 == 0;
    const struct mb_launch_shape shape = {dim3((unsigned)v.tiles, (unsigned)v.n_slices),
                                          dim3((unsigned)v.size->threads),
                                          (size_t)v.size->shared_bytes, 1};
    return mb_launch_in_chain(gpu, args->packed_in_run, v.size->kernels[aligned], shape, stream, a);
}

MB_CUDA_KERNEL(f32_gemm, MB_STEP_MATMUL, supports, cost, packed_bytes, scratch_bytes, pack, launch)
