/* What a .cu file here may use of CUDA, so that it can be compiled twice: by nvcc for GPUs, and by
 * the host's C++ compiler with MB_CUDA_EMULATED for tests without one (tests/cuda/emulation.h).
 *
 * Common ground: threadIdx and its like, dynamic shared memory, __syncthreads, __syncwarp,
 * shuffles with full masks, atomicAdd, __threadfence, float4. */
#ifndef MB_LAUNCH_H
#define MB_LAUNCH_H

#include "cuda_kernel.h"

#include <math.h>
#include <stdint.h>

#ifdef MB_CUDA_EMULATED
#include "emulation.h"
#else

/* The block's dynamic shared memory, aligned for float4. */
static __device__ inline float *mb_shared() {
    extern __shared__ float4 mb_shared_memory[];
    return reinterpret_cast<float *>(mb_shared_memory);
}

/* Four neighbouring floats, aligned to 16 bytes: 128-bit accesses. */
static __device__ inline float4 mb_load4(const float *from) {
    return *reinterpret_cast<const float4 *>(from);
}
static __device__ inline float2 mb_load2(const float *from) {
    return *reinterpret_cast<const float2 *>(from);
}
static __device__ inline void mb_store4(float *to, float4 value) {
    *reinterpret_cast<float4 *>(to) = value;
}

/* From memory that the kernel only reads. */
static __device__ inline float4 mb_load4_const(const float *from) {
    return __ldg(reinterpret_cast<const float4 *>(from));
}

/* The same, for what is read once: past the first-level cache. */
static __device__ inline float4 mb_load4_stream(const float *from) {
    float4 v;
    asm("ld.global.nc.L1::no_allocate.v4.f32 {%0, %1, %2, %3}, [%4];"
        : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w)
        : "l"(from));
    return v;
}

/* From memory that other blocks of the same grid wrote: past the first-level cache. */
static __device__ inline float4 mb_load4_shared_by_grid(const float *from) {
    return __ldcg(reinterpret_cast<const float4 *>(from));
}

/* kernel<<<grid, block, shared_bytes, stream>>>(args...) and its launch error. */
template <typename... Parameters, typename... Args>
cudaError_t mb_launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes,
                      cudaStream_t stream, Args... args) {
    kernel<<<grid, block, shared_bytes, stream>>>(static_cast<Parameters>(args)...);
    return cudaGetLastError();
}

#endif

static inline int64_t mb_ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline int64_t mb_round_up(int64_t a, int64_t b) { return mb_ceil_div(a, b) * b; }

/* Blocks of a grid-stride loop over `count` threads. */
static inline dim3 mb_grid_of(int64_t count, int threads) {
    const int64_t blocks = mb_ceil_div(count, threads);
    return dim3(static_cast<unsigned>(blocks < 1 ? 1 : blocks < 65536 ? blocks : 65536));
}

/* First index and step of a grid-stride loop. */
static __device__ inline int64_t mb_first() {
    return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}
static __device__ inline int64_t mb_step() { return static_cast<int64_t>(gridDim.x) * blockDim.x; }

#endif
