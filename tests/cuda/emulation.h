/* CUDA kernels on the host, for tests: cuda/launch.h without a GPU or nvcc.
 *
 * Blocks run one after the other (those of a cluster in turns, from barrier to barrier), a block's
 * threads as fibers. A warp runs as far as it comes before the next one does, its lanes one after
 * the other between shuffles. Every other launch runs blocks and threads backwards, so that a
 * missing barrier shows in one order or the other. Fresh shared memory, and what a copy to shared
 * memory has not been waited for, is NaN in two launches, which no product hides, and a large
 * number in the next two, which a kernel that makes good its NaN does not. What mb_emulation_hide
 * has named cannot be touched by a kernel in a chain until it has waited for the one before.
 *
 * A launch fails with cudaErrorLaunchFailure, and mb_emulation_error() says why, when a GPU would
 * hang or be undefined: a barrier or shuffle that some threads do not reach, a thread in a chain
 * that ends without waiting for the kernel before, shared memory of a block that has not begun or
 * has ended, misaligned vectors, extents that no GPU has. Access outside a buffer is left to the
 * caller's guard pages. What it cannot show: what blocks that run at the same time do to each
 * other outside clusters, and speed.
 * Included by launch.h alone. */
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

/* Memory that the kernel before may still be using when a kernel in a chain begins: whole pages,
 * which fault when touched (`readable`: when written) before mb_wait_for_previous. Until
 * mb_emulation_hide_nothing. */
void mb_emulation_hide(const void *memory, size_t bytes, bool readable);
void mb_emulation_hide_nothing();

/* How the threads of a grid call a kernel with its arguments. */
typedef void mb_emulation_body(const void *context);
cudaError_t mb_emulation_launch(mb_emulation_body *body, const void *context,
                                const struct mb_launch_shape *shape, size_t most_shared,
                                bool in_chain);

void mb_emulation_block_barrier();
void mb_emulation_warp_barrier();
/* Every lane gives 8 bytes and gets those of lane `from`. */
uint64_t mb_emulation_exchange(uint64_t bits, int from);
/* Every lane gives its parts of the operands; its own sums are made of what all gave. */
struct mb_emulation_fragments {
    float a_high[4], a_low[4], b_high[2], b_low[2];
};
void mb_emulation_mma_3xtf32(float (&sum)[4], const struct mb_emulation_fragments &own);
int mb_emulation_lane();
void *mb_emulation_shared();
void mb_emulation_check_aligned(const void *address, size_t bytes);

void mb_emulation_wait_for_previous();
/* `bytes` of `from`, filled up with zeros to `size`. */
void mb_emulation_copy(float *to, const float *from, size_t bytes, size_t size);
void mb_emulation_copy_commit();
void mb_emulation_copy_wait(unsigned excepted);
void mb_emulation_cluster_arrive();
void mb_emulation_cluster_wait();
/* Where `own`, in this block's shared memory, lies in that of block `rank` of the cluster. */
float *mb_emulation_cluster_address(float *own, unsigned rank);

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
enum mb_l2_policy { MB_L2_DROP, MB_L2_KEEP };
static inline uint64_t mb_l2_policy_of(enum mb_l2_policy policy) { return policy; }
static inline float4 mb_load4_stream(const float *from, uint64_t) { return mb_load4(from); }
static inline float4 mb_load4_shared_by_grid(const float *from) { return mb_load4(from); }

static inline void mb_wait_for_previous() { mb_emulation_wait_for_previous(); }
static inline void mb_let_next_start() {}

static inline void mb_copy16_async(float *to, const float *from, int bytes) {
    mb_emulation_check_aligned(from, sizeof(float4));
    mb_emulation_check_aligned(to, sizeof(float4));
    mb_emulation_copy(to, from, static_cast<size_t>(bytes), sizeof(float4));
}
static inline void mb_copy4_async(float *to, const float *from, bool inside) {
    mb_emulation_copy(to, from, inside ? sizeof(float) : 0, sizeof(float));
}
static inline void mb_copy_commit() { mb_emulation_copy_commit(); }
template <int N> void mb_copy_wait() { mb_emulation_copy_wait(N); }

static inline unsigned __float_as_uint(float v) {
    unsigned bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}
static inline float __uint_as_float(unsigned bits) {
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}
static inline void mb_mma_3xtf32(float (&sum)[4], const float (&a_high)[4], const float (&a_low)[4],
                                 const float (&b_high)[2], const float (&b_low)[2]) {
    struct mb_emulation_fragments own;
    memcpy(own.a_high, a_high, sizeof a_high);
    memcpy(own.a_low, a_low, sizeof a_low);
    memcpy(own.b_high, b_high, sizeof b_high);
    memcpy(own.b_low, b_low, sizeof b_low);
    mb_emulation_mma_3xtf32(sum, own);
}

static inline bool mb_has_clusters() { return true; }
static inline void mb_cluster_arrive() { mb_emulation_cluster_arrive(); }
static inline void mb_cluster_arrive_begun() { mb_emulation_cluster_arrive(); }
static inline void mb_cluster_wait() { mb_emulation_cluster_wait(); }
static inline void mb_cluster_store4(float *to, unsigned rank, float4 value) {
    mb_store4(mb_emulation_cluster_address(to, rank), value);
}

template <typename... Parameters, typename... Args>
cudaError_t mb_emulation_call(void (*kernel)(Parameters...), const struct mb_launch_shape &shape,
                              size_t most_shared, bool in_chain, Args... args) {
    auto call = [=] { kernel(static_cast<Parameters>(args)...); };
    return mb_emulation_launch(
        [](const void *context) { (*static_cast<const decltype(call) *>(context))(); }, &call,
        &shape, most_shared, in_chain);
}

template <typename... Parameters, typename... Args>
cudaError_t mb_launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes,
                      cudaStream_t, Args... args) {
    return mb_emulation_call(kernel, {grid, block, shared_bytes, 1}, 48 * 1024, false, args...);
}

template <typename... Parameters, typename... Args>
cudaError_t mb_launch_in_chain(const struct mb_gpu_properties *gpu, bool packed_in_run,
                               void (*kernel)(Parameters...), const struct mb_launch_shape &shape,
                               cudaStream_t, Args... args) {
    if (gpu->cc < 90 && shape.cluster > 1) return cudaErrorInvalidConfiguration;
    return mb_emulation_call(kernel, shape, static_cast<size_t>(gpu->shared_bytes),
                             gpu->cc >= 90 && !packed_in_run, args...);
}

#endif
