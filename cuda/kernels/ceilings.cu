/* Kernels that do one thing as fast as the device can: read, multiply and add, or nothing. */
#include "common.cuh"

namespace {

constexpr int threads = 256, warps = threads / 32;
constexpr int loads_at_once = 8; /* four blocks of 256 keep 128 KB of a multiprocessor on the way */
constexpr int read_blocks = 4, fma_blocks = 8; /* of a multiprocessor */
constexpr int chains = 8, fmas_a_round = 16;   /* independent sums; links of each in a round */

/* Every warp's sum, so that no work is for nothing. */
__device__ void store_sum(float sum, float *sums) {
    for (unsigned delta = 16; delta > 0; delta /= 2) sum += __shfl_down_sync(~0u, sum, delta);
    if (threadIdx.x % 32 == 0) sums[blockIdx.x * warps + threadIdx.x / 32] = sum;
}

/* All threads walk over the same count4 float4 in steps of all threads, past the end at the begin
 * again: other multiprocessors read a float4 each time, so that first-level caches are no help. */
__global__ void __launch_bounds__(threads, read_blocks)
    read_round(const float *__restrict__ from, unsigned count4, unsigned n_loads, float *sums) {
    const unsigned step = gridDim.x * threads;
    unsigned at = blockIdx.x * threads + threadIdx.x;
    float4 sum = make_float4(0, 0, 0, 0);
    for (unsigned i = 0; i < n_loads; i += loads_at_once) {
        float4 v[loads_at_once];
#pragma unroll
        for (int k = 0; k < loads_at_once; k++) {
            v[k] = mb_load4_stream(from + static_cast<size_t>(at) * 4);
            at += step;
            if (at >= count4) at -= count4;
        }
#pragma unroll
        for (int k = 0; k < loads_at_once; k++)
            sum.x += v[k].x, sum.y += v[k].y, sum.z += v[k].z, sum.w += v[k].w;
    }
    store_sum(sum.x + sum.y + sum.z + sum.w, sums);
}

__global__ void __launch_bounds__(threads)
    multiply_add(float factor, float addend, unsigned n_rounds, float *sums) {
    float chain[chains];
#pragma unroll
    for (int k = 0; k < chains; k++) chain[k] = static_cast<float>(k);
    for (unsigned i = 0; i < n_rounds; i++)
#pragma unroll
        for (int j = 0; j < fmas_a_round; j++)
#pragma unroll
            for (int k = 0; k < chains; k++) chain[k] = fmaf(chain[k], factor, addend);
    float sum = 0;
#pragma unroll
    for (int k = 0; k < chains; k++) sum += chain[k];
    store_sum(sum, sums);
}

__global__ void no_work() {}

/* Values in [-1, 1) with as many different bits as data has: a device draws less power on zeros. */
__global__ void __launch_bounds__(threads) fill_all(float *to, size_t count) {
    for (size_t i = mb_first(); i < count; i += mb_step()) {
        unsigned bits = static_cast<unsigned>(i) * 2654435761u;
        bits ^= bits >> 15;
        bits *= 2246822519u;
        to[i] = static_cast<float>(bits >> 8) / 8388608.0f - 1.0f;
    }
}

} // namespace

struct mb_cuda_reads mb_cuda_ceiling_reads(int n_sms, size_t bytes, size_t wanted_bytes) {
    struct mb_cuda_reads r;
    r.count4 = static_cast<unsigned>(bytes / 16);
    const int64_t most_blocks = mb_min(r.count4 / threads, MB_CUDA_CEILING_SUMS / warps);
    r.n_blocks = static_cast<unsigned>(mb_min(n_sms * read_blocks, most_blocks));
    const int64_t step_bytes = static_cast<int64_t>(r.n_blocks) * threads * 16;
    r.n_loads = static_cast<unsigned>(
        mb_round_up(mb_ceil_div(static_cast<int64_t>(wanted_bytes), step_bytes), loads_at_once));
    return r;
}

double mb_cuda_ceiling_bytes(const struct mb_cuda_reads *r) {
    return 16.0 * threads * r->n_blocks * r->n_loads;
}

struct mb_cuda_fmas mb_cuda_ceiling_fmas(int n_sms, unsigned n_rounds) {
    struct mb_cuda_fmas f;
    f.n_blocks = static_cast<unsigned>(mb_min(n_sms * fma_blocks, MB_CUDA_CEILING_SUMS / warps));
    f.n_rounds = n_rounds;
    return f;
}

double mb_cuda_ceiling_flops(const struct mb_cuda_fmas *f) {
    return 2.0 * threads * f->n_blocks * f->n_rounds * chains * fmas_a_round;
}

cudaError_t mb_cuda_ceiling_read(const struct mb_cuda_reads *r, const float *from, float *sums,
                                 cudaStream_t stream) {
    return mb_launch(read_round, dim3(r->n_blocks), dim3(threads), 0, stream, from, r->count4,
                     r->n_loads, sums);
}

cudaError_t mb_cuda_ceiling_fma(const struct mb_cuda_fmas *f, float *sums, cudaStream_t stream) {
    return mb_launch(multiply_add, dim3(f->n_blocks), dim3(threads), 0, stream, 0.999f, 0.5f,
                     f->n_rounds, sums);
}

cudaError_t mb_cuda_ceiling_nothing(cudaStream_t stream) {
    return mb_launch(no_work, dim3(1), dim3(32), 0, stream);
}

cudaError_t mb_cuda_ceiling_fill(float *to, size_t count, cudaStream_t stream) {
    return mb_launch(fill_all, mb_grid_of(static_cast<int64_t>(count), threads), dim3(threads), 0,
                     stream, to, count);
}
