/* What a .cu file here may use of CUDA, so that it can be compiled twice: by nvcc for GPUs, and by
 * the host's C++ compiler with MB_CUDA_EMULATED for tests without one (tests/cuda/emulation.h).
 *
 * Common ground: threadIdx and its like, dynamic shared memory, __syncthreads, __syncwarp,
 * shuffles with full masks, atomicAdd, __threadfence, float4, and what is declared here.
 *
 * ---- chains of kernels ----
 *
 * A kernel that mb_launch_in_chain launches may begin while the one before it in the stream still
 * runs (programmatic dependent launch, compute capability 9.0 and later; a plain launch before
 * that). What it reads before mb_wait_for_previous is then read too early, unless nothing in flight
 * writes it. The rules, and why they are enough:
 *
 * 1. Every thread of a kernel launched so calls mb_wait_for_previous, on every path, before it
 *    reads activations and before it writes any global memory. It returns when the kernel before
 *    has ended and its writes can be seen. That one has waited as well, in every block, so by
 *    induction all that was enqueued earlier has ended then: buffers, scratch and tickets that are
 *    used again from step to step are free. A block that left without waiting would break this for
 *    all kernels behind it.
 * 2. Before the wait only packed weights are read. They are written by load, which waits for the
 *    device before the first run. Where they are packed in the run, by the kernel just before
 *    (mb_cuda_args.packed_in_run), the launch is a plain one: it begins after that kernel's end,
 * and the wait returns at once. The same compiled kernel is right both ways.
 * 3. mb_let_next_start says that this block does not mind if the next kernel begins; it takes
 * effect when all blocks have said so or ended, so that a kernel's own blocks are never kept out by
 * the next one's. Anywhere is right, as the next kernel waits for this one's end, not for the call;
 *    a kernel that never calls it gives up the overlap alone.
 * 4. Plain launches, copies and library calls between begin after all before them has ended, and
 *    a kernel in a chain behind one of them begins at its end: packing, operations on their own,
 *    evictions and transfers need no care. A library's kernel that starts its successor early does
 *    not matter either, by 1.
 * 5. Activations are read by ordinary loads. Loads for read-only memory (mb_load4_const,
 *    mb_load4_stream, __ldg) may be moved ahead of the wait by the compiler, or find what the
 *    first-level cache had before it: they are for weights alone.
 * 6. Captured, such a launch behind another kernel becomes a programmatic edge of the graph, and
 *    behind anything else an ordinary one. A graph's first kernel has no edge: a launch of the
 *    graph begins when what the stream held before it, the same graph included, has ended. */
#ifndef MB_LAUNCH_H
#define MB_LAUNCH_H

#include "cuda_kernel.h"

#include <math.h>
#include <stdint.h>

/* A launch by mb_launch_in_chain. */
struct mb_launch_shape {
    dim3 grid, block;
    size_t shared_bytes; /* up to mb_gpu_properties.shared_bytes */
    unsigned cluster;    /* blocks in one, neighbours in x: 1 to 8, a divisor of grid.x */
};

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

/* From memory that nothing writes while the kernel runs: weights. */
static __device__ inline float4 mb_load4_const(const float *from) {
    return __ldg(reinterpret_cast<const float4 *>(from));
}

/* The same, for what a block reads once: past the first-level cache. Keeps its place among what is
 * volatile, so that it can be put before a wait. */
static __device__ inline float4 mb_load4_stream(const float *from) {
    float4 v;
    asm volatile("ld.global.nc.L1::no_allocate.v4.f32 {%0, %1, %2, %3}, [%4];"
                 : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w)
                 : "l"(from));
    return v;
}

/* The same with a word to the second-level cache (8.0 and later): to drop what was read before
 * anything else, or to keep it until nothing else can be dropped. */
enum mb_l2_policy { MB_L2_DROP, MB_L2_KEEP };
static __device__ inline uint64_t mb_l2_policy_of(enum mb_l2_policy policy) {
    uint64_t word = 0;
#if __CUDA_ARCH__ >= 800
    if (policy == MB_L2_KEEP)
        asm("createpolicy.fractional.L2::evict_last.b64 %0, 1.0;" : "=l"(word));
    else
        asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(word));
#else
    (void)policy;
#endif
    return word;
}
static __device__ inline float4 mb_load4_stream(const float *from, uint64_t policy) {
#if __CUDA_ARCH__ >= 800
    float4 v;
    asm volatile("ld.global.nc.L1::no_allocate.L2::cache_hint.v4.f32 {%0, %1, %2, %3}, [%4], %5;"
                 : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w)
                 : "l"(from), "l"(policy));
    return v;
#else
    (void)policy;
    return mb_load4_stream(from);
#endif
}

/* From memory that other blocks of the same grid wrote: past the first-level cache. */
static __device__ inline float4 mb_load4_shared_by_grid(const float *from) {
    return __ldcg(reinterpret_cast<const float4 *>(from));
}

/* ---- tensor cores: compute capability 8.0 and later; before that, nothing is computed ---- */

/* sum[16][8] += a[16][8] * b[8][8] by a warp, operands the sums of two, of which the tensor cores
 * see TF32 (the upper 11 significant bits): low * high, high * low, high * high. As mma.m16n8k8
 * spreads them over lanes: with g = lane / 4 and t = lane % 4, a thread has a at rows g, g + 8, g,
 * g + 8 and columns t, t, t + 4, t + 4; b at rows t, t + 4 and column g; sums at rows g, g, g + 8,
 * g + 8 and columns 2t, 2t + 1, 2t, 2t + 1. Sums are truncated, not rounded. */
static __device__ inline void mb_mma_3xtf32(float (&sum)[4], const float (&a_high)[4],
                                            const float (&a_low)[4], const float (&b_high)[2],
                                            const float (&b_low)[2]) {
#if __CUDA_ARCH__ >= 800
#pragma unroll
    for (int i = 0; i < 3; i++) {
        const float(&a)[4] = i == 0 ? a_low : a_high;
        const float(&b)[2] = i == 1 ? b_low : b_high;
        asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, "
            "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
            : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
            : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])), "r"(__float_as_uint(a[2])),
              "r"(__float_as_uint(a[3])), "r"(__float_as_uint(b[0])), "r"(__float_as_uint(b[1])));
    }
#else
    (void)sum, (void)a_high, (void)a_low, (void)b_high, (void)b_low;
#endif
}

/* Chains of kernels: see above. */
static __device__ inline void mb_wait_for_previous() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
static __device__ inline void mb_let_next_start() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

/* ---- copies to shared memory on their own (before 8.0: at once) ---- */

/* 16 bytes, both addresses aligned to 16, past the first-level cache: the first `bytes` of them
 * from `from`, which has to be readable, the rest zeros. */
static __device__ inline void mb_copy16_async(float *to, const float *from, int bytes) {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(
                     static_cast<unsigned>(__cvta_generic_to_shared(to))),
                 "l"(from), "r"(bytes)
                 : "memory");
#else
    const float4 v = bytes == 16 ? mb_load4(from) : make_float4(0, 0, 0, 0);
    mb_store4(to, v);
    if (bytes == 16) return;
    for (int i = 0; i < bytes / 4; i++) to[i] = from[i];
#endif
}

/* 4 bytes, or 4 of zeros. */
static __device__ inline void mb_copy4_async(float *to, const float *from, bool inside) {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(
                     static_cast<unsigned>(__cvta_generic_to_shared(to))),
                 "l"(from), "r"(inside ? 4 : 0)
                 : "memory");
#else
    *to = inside ? *from : 0;
#endif
}

/* Closes the group of the thread's copies since the last call; may be empty. */
static __device__ inline void mb_copy_commit() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

/* Waits for the thread's own groups, the last N excepted; other threads' need a barrier behind. */
template <int N> static __device__ inline void mb_copy_wait() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
#endif
}

/* ---- clusters: blocks that run at the same time and reach each other's shared memory ----
 * Compute capability 9.0 and later; before that a launch with more than one block in a cluster
 * fails. */

/* Of blocks in the kernel's clusters (neighbours in x); false where no GPU of the architecture has
 * any, known to the compiler. */
static __device__ inline bool mb_has_clusters() {
#if __CUDA_ARCH__ >= 900
    return true;
#else
    return false;
#endif
}

/* Two halves of a barrier of the cluster's threads; each thread calls both in turn. What is written
 * to shared memory before the first is seen after the second; a first half that says no more than
 * that the block has begun needs no such promise, and is cheaper. */
static __device__ inline void mb_cluster_arrive_begun() {
#if __CUDA_ARCH__ >= 900
    asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory");
#endif
}
static __device__ inline void mb_cluster_arrive() {
#if __CUDA_ARCH__ >= 900
    asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
#endif
}
static __device__ inline void mb_cluster_wait() {
#if __CUDA_ARCH__ >= 900
    asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
#endif
}

/* To where `to`, in this block's shared memory, lies in that of block `rank` of the cluster, which
 * has to have begun and not to have ended. */
static __device__ inline void mb_cluster_store4(float *to, unsigned rank, float4 v) {
#if __CUDA_ARCH__ >= 900
    unsigned at;
    asm("mapa.shared::cluster.u32 %0, %1, %2;"
        : "=r"(at)
        : "r"(static_cast<unsigned>(__cvta_generic_to_shared(to))), "r"(rank));
    asm volatile("st.shared::cluster.v4.f32 [%0], {%1, %2, %3, %4};" ::"r"(at), "f"(v.x), "f"(v.y),
                 "f"(v.z), "f"(v.w)
                 : "memory");
#else
    (void)to, (void)rank, (void)v;
#endif
}

/* kernel<<<grid, block, shared_bytes, stream>>>(args...) and its launch error. */
template <typename... Parameters, typename... Args>
cudaError_t mb_launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes,
                      cudaStream_t stream, Args... args) {
    kernel<<<grid, block, shared_bytes, stream>>>(static_cast<Parameters>(args)...);
    return cudaGetLastError();
}

/* Launches a kernel that follows the rules for chains, above. */
template <typename... Parameters, typename... Args>
cudaError_t mb_launch_in_chain(const struct mb_gpu_properties *gpu, bool packed_in_run,
                               void (*kernel)(Parameters...), const struct mb_launch_shape &shape,
                               cudaStream_t stream, Args... args) {
    static constexpr size_t without_asking = 48 * 1024;
    if (shape.shared_bytes > without_asking) {
        const cudaError_t error = cudaFuncSetAttribute(reinterpret_cast<const void *>(kernel),
                                                       cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                       static_cast<int>(shape.shared_bytes));
        if (error != cudaSuccess) return error;
    }
    cudaLaunchAttribute attributes[2];
    cudaLaunchConfig_t config = {};
    config.gridDim = shape.grid, config.blockDim = shape.block;
    config.dynamicSmemBytes = shape.shared_bytes, config.stream = stream;
    config.attrs = attributes;
    if (gpu->cc >= 90 && !packed_in_run) {
        cudaLaunchAttribute *overlap = &attributes[config.numAttrs++];
        overlap->id = cudaLaunchAttributeProgrammaticStreamSerialization;
        overlap->val.programmaticStreamSerializationAllowed = 1;
    }
    if (shape.cluster > 1) {
        cudaLaunchAttribute *cluster = &attributes[config.numAttrs++];
        cluster->id = cudaLaunchAttributeClusterDimension;
        cluster->val.clusterDim.x = shape.cluster;
        cluster->val.clusterDim.y = cluster->val.clusterDim.z = 1;
    }
    return cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(args)...);
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
