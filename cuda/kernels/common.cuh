/* What kernels share: activation, cost of moving and computing, sums split over blocks. */
#ifndef MB_COMMON_CUH
#define MB_COMMON_CUH

#include "launch.h"

/* Defines mb_cuda_NAME, declared by the registry with C linkage. */
#define MB_CUDA_KERNEL(name, ...) MB_CUDA_KERNEL_PRODUCTS(name, 0, __VA_ARGS__)
#define MB_CUDA_KERNEL_PRODUCTS(name, products, ...)                                               \
    extern "C" {                                                                                   \
    extern const struct mb_cuda_kernel mb_cuda_##name;                                             \
    const struct mb_cuda_kernel mb_cuda_##name = {#name, __VA_ARGS__, products};                   \
    }

#define MB_TRY_CUDA(call)                                                                          \
    do {                                                                                           \
        const cudaError_t mb_error = (call);                                                       \
        if (mb_error != cudaSuccess) return mb_error;                                              \
    } while (0)

enum { MB_PACK_THREADS = 256 };

/* A launch and its first and last trip to memory. Public measurements of H200: 1.3 us a graph node,
 * 0.3 us a trip. */
static constexpr double mb_launch_ns = 2000;

static inline double mb_move_ns(const struct mb_gpu_properties *gpu, double bytes) {
    return bytes / (0.85 * gpu->memory_gbps);
}

/* 128 multiply-adds in a cycle of a multiprocessor. */
static inline double mb_compute_ns(const struct mb_gpu_properties *gpu, double multiply_adds) {
    return multiply_adds / (128.0 * gpu->n_sms * gpu->clock_khz * 1e-6);
}

static inline int64_t mb_min(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t mb_max(int64_t a, int64_t b) { return a > b ? a : b; }

static __device__ inline float mb_activate(float v, bool relu) { return relu && v <= 0 ? 0 : v; }

/* The larger of the two, NaN if either is. */
static __device__ inline float mb_larger(float a, float b) { return a > b || a != a ? a : b; }

/* Of a constant number, once loops are unrolled. */
static __device__ inline float mb_component(float4 v, int i) {
    return i == 0 ? v.x : i == 1 ? v.y : i == 2 ? v.z : v.w;
}

static __device__ inline void mb_add4(float (&sum)[4], float4 v) {
    sum[0] += v.x, sum[1] += v.y, sum[2] += v.z, sum[3] += v.w;
}

static __device__ inline void mb_multiply_add4(float4 &sum, float a, float4 b) {
    sum.x = fmaf(a, b.x, sum.x);
    sum.y = fmaf(a, b.y, sum.y);
    sum.z = fmaf(a, b.z, sum.z);
    sum.w = fmaf(a, b.w, sum.w);
}

/* The sum over the slices that n_slices blocks computed of one tile, in the order of the slices, so
 * that it does not depend on which block ends last: that one adds them all and returns true.
 * sum: the thread's own COUNT values; the first `active` threads have any.
 * partials: of the tile, [n_slices][COUNT / 4][active] float4. ticket: zero before and after.
 * Every thread of the block calls it, with nothing of value in shared memory. */
template <int COUNT>
static __device__ inline bool mb_add_slices(float (&sum)[COUNT], float *partials, unsigned *ticket,
                                            unsigned slice, unsigned n_slices, unsigned active) {
    if (n_slices == 1) return true;
    const unsigned size = COUNT * active;
    const bool is_active = threadIdx.x < active;
    if (is_active) {
        float *own = partials + static_cast<int64_t>(slice) * size + threadIdx.x * 4;
#pragma unroll
        for (int i = 0; i < COUNT; i += 4)
            mb_store4(own + i * active, make_float4(sum[i], sum[i + 1], sum[i + 2], sum[i + 3]));
    }
    __threadfence();
    __syncthreads();
    float *is_last = mb_shared();
    if (threadIdx.x == 0) {
        const bool last = atomicAdd(ticket, 1u) == n_slices - 1;
        if (last) *ticket = 0;
        *is_last = last ? 1.0f : 0.0f;
    }
    __syncthreads();
    if (*is_last == 0.0f) return false;
    __threadfence();
    if (!is_active) return true;
#pragma unroll
    for (int i = 0; i < COUNT; i++) sum[i] = 0;
    const float *from = partials + threadIdx.x * 4;
#pragma unroll(COUNT <= 8 ? 8 : COUNT <= 16 ? 4 : 1) /* more would spill */
    for (unsigned s = 0; s < n_slices; s++, from += size) {
#pragma unroll
        for (int i = 0; i < COUNT; i += 4) {
            const float4 v = mb_load4_shared_by_grid(from + i * active);
            sum[i] += v.x, sum[i + 1] += v.y, sum[i + 2] += v.z, sum[i + 3] += v.w;
        }
    }
    return true;
}
template <int COUNT, int ACTIVE>
static __device__ inline bool mb_add_slices(float (&sum)[COUNT], float *partials, unsigned *ticket,
                                            unsigned slice, unsigned n_slices) {
    return mb_add_slices<COUNT>(sum, partials, ticket, slice, n_slices, ACTIVE);
}

#endif
