/* CUDA kernels on the host, for tests: cuda/launch.h without a GPU or nvcc.
 *
 * Blocks run one after the other, a block's threads as fibers. A warp runs as far as it comes
 * before the next one does, its lanes one after the other between shuffles. Fresh shared memory is
 * NaN; every other launch runs blocks and threads backwards, so that a missing barrier shows in one
 * order or the other. A launch fails with cudaErrorLaunchFailure, and mb_emulation_error() says
 * why, when a GPU would hang or be undefined: a barrier or shuffle that some threads do not reach,
 * misaligned vectors, extents that no GPU has. Access outside a buffer is left to the caller's
 * guard pages. What it cannot show: what blocks that run at the same time do to each other, and
 * speed. */
#ifndef MB_EMULATION_H
#define MB_EMULATION_H

#include <cuda_runtime_api.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <vector_functions.h>

#ifndef __launch_bounds__
#define __launch_bounds__(...)
#endif

extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;

/* Why a launch failed since the last call, or NULL. */
extern "C" const char *mb_emulation_error();

/* How the threads of a grid call a kernel with its arguments. */
typedef void mb_emulation_body(const void *context);
cudaError_t mb_emulation_launch(mb_emulation_body *body, const void *context, dim3 grid, dim3 block,
                                size_t shared_bytes);

void mb_emulation_block_barrier();
void mb_emulation_warp_barrier();
/* Every lane gives 8 bytes and gets those of lane `from`. */
uint64_t mb_emulation_exchange(uint64_t bits, int from);
int mb_emulation_lane();
void *mb_emulation_shared();
void mb_emulation_check_aligned(const void *address, size_t bytes);

static inline void __syncthreads() { mb_emulation_block_barrier(); }
static inline void __syncwarp() { mb_emulation_warp_barrier(); }
static inline void __threadfence() {}

template <typename T> T mb_emulation_shuffle(T value, int from) {
    static_assert(sizeof(T) <= 8, "a shuffle moves one register or two");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = mb_emulation_exchange(bits, from);
    memcpy(&value, &bits, sizeof value);
    return value;
}
template <typename T> T __shfl_sync(unsigned, T value, int lane) {
    return mb_emulation_shuffle(value, lane & 31);
}
template <typename T> T __shfl_xor_sync(unsigned, T value, int mask) {
    return mb_emulation_shuffle(value, mb_emulation_lane() ^ mask);
}
template <typename T> T __shfl_down_sync(unsigned, T value, unsigned delta) {
    const int from = mb_emulation_lane() + static_cast<int>(delta);
    return mb_emulation_shuffle(value, from < 32 ? from : mb_emulation_lane());
}

template <typename T> T atomicAdd(T *at, T value) {
    const T before = *at;
    *at = before + value;
    return before;
}
template <typename T> T __ldg(const T *from) { return *from; }
template <typename T> T __ldcg(const T *from) { return *from; }

static inline float *mb_shared() { return static_cast<float *>(mb_emulation_shared()); }
static inline float4 mb_load4(const float *from) {
    mb_emulation_check_aligned(from, sizeof(float4));
    return make_float4(from[0], from[1], from[2], from[3]);
}
static inline float2 mb_load2(const float *from) {
    mb_emulation_check_aligned(from, sizeof(float2));
    return make_float2(from[0], from[1]);
}
static inline void mb_store4(float *to, float4 value) {
    mb_emulation_check_aligned(to, sizeof(float4));
    to[0] = value.x, to[1] = value.y, to[2] = value.z, to[3] = value.w;
}
static inline float4 mb_load4_const(const float *from) { return mb_load4(from); }
static inline float4 mb_load4_stream(const float *from) { return mb_load4(from); }
static inline float4 mb_load4_shared_by_grid(const float *from) { return mb_load4(from); }

template <typename... Parameters, typename... Args>
cudaError_t mb_launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes,
                      cudaStream_t, Args... args) {
    auto call = [=] { kernel(static_cast<Parameters>(args)...); };
    return mb_emulation_launch(
        [](const void *context) { (*static_cast<const decltype(call) *>(context))(); }, &call, grid,
        block, shared_bytes);
}

#endif
