/* The heart of a tiled matrix product: a block's BM x BN sums over BK terms at a time, TM x TN of
 * them in each thread's registers, from stages in shared memory.
 *
 * A stage is a[BK][BM + 4] (the left matrix transposed) and b[BK][BN]. A thread's rows are TM / V
 * groups of V neighbouring ones (V is 4, or TM if less), its columns likewise: each group is one
 * vector read from shared memory, and a warp's reads of b touch every bank once. */
#ifndef MB_TILE_CUH
#define MB_TILE_CUH

#include "common.cuh"

template <int BM_, int BN_, int BK_, int TM_, int TN_> struct mb_tile {
    static constexpr int BM = BM_, BN = BN_, BK = BK_, TM = TM_, TN = TN_;
    static constexpr int ROW_THREADS = BM / TM, COLUMN_THREADS = BN / TN;
    static constexpr int THREADS = ROW_THREADS * COLUMN_THREADS;
    static constexpr int VM = TM < 4 ? TM : 4, VN = TN < 4 ? TN : 4;
    static constexpr int A_PITCH = BM + 4, B_AT = BK * A_PITCH, STAGE = B_AT + BK * BN;
    static constexpr int SHARED_BYTES = 2 * STAGE * 4;
    static constexpr int UNROLL = TM * TN > 16 ? 2 : BK;    /* all of BK at once spills */
    static constexpr int SUMS = TM * TN;                    /* of a thread, [TM][TN] */
    static constexpr int A_VECTORS = BM * BK / THREADS / 4; /* a thread stages of each */
    static constexpr int B_VECTORS = BN * BK / THREADS / 4;
    static_assert(THREADS % 32 == 0 && SHARED_BYTES <= 48 * 1024, "a block's limits");
    static_assert(A_VECTORS * THREADS * 4 == BM * BK && B_VECTORS * THREADS * 4 == BN * BK,
                  "every thread stages the same");

    /* Within the tile: of the thread's row or column number i. */
    static __device__ int row(int i) {
        const int thread = threadIdx.x / COLUMN_THREADS;
        return i / VM * (ROW_THREADS * VM) + thread * VM + i % VM;
    }
    static __device__ int column(int i) {
        const int thread = threadIdx.x % COLUMN_THREADS;
        return i / VN * (COLUMN_THREADS * VN) + thread * VN + i % VN;
    }

    template <int COUNT, int V>
    static __device__ void fragment(float (&to)[COUNT], const float *from, int group_step) {
#pragma unroll
        for (int g = 0; g < COUNT / V; g++) {
            if constexpr (V == 4) {
                const float4 v = mb_load4(from + g * group_step);
                to[g * 4] = v.x, to[g * 4 + 1] = v.y, to[g * 4 + 2] = v.z, to[g * 4 + 3] = v.w;
            } else {
                const float2 v = mb_load2(from + g * group_step);
                to[g * 2] = v.x, to[g * 2 + 1] = v.y;
            }
        }
    }

    /* Adds one stage's products. */
    static __device__ void multiply(float (&sum)[SUMS], const float *stage) {
        const float *a = stage + row(0), *b = stage + B_AT + column(0);
#pragma unroll(UNROLL)
        for (int k = 0; k < BK; k++) {
            float left[TM], right[TN];
            fragment<TM, VM>(left, a + k * A_PITCH, ROW_THREADS * VM);
            fragment<TN, VN>(right, b + k * BN, COLUMN_THREADS * VN);
#pragma unroll
            for (int i = 0; i < TM; i++)
#pragma unroll
                for (int j = 0; j < TN; j++)
                    sum[i * TN + j] = fmaf(left[i], right[j], sum[i * TN + j]);
        }
    }

    /* Four neighbouring k of one row to the stage's transposed left matrix. */
    static __device__ void store_a(float *stage, int row, int k, float4 v) {
        float *to = stage + k * A_PITCH + row;
        to[0] = v.x, to[A_PITCH] = v.y, to[2 * A_PITCH] = v.z, to[3 * A_PITCH] = v.w;
    }

    /* Sums over `steps` stages that `source` makes. Source has load(), which begins to read the
     * next stage into registers, and store(stage), which writes it to shared memory: the next one
     * is on its way while this one is multiplied. */
    template <typename Source>
    static __device__ void run(float (&sum)[SUMS], Source &source, int64_t steps) {
        float *stages = mb_shared();
        source.load();
        source.store(stages);
        __syncthreads();
        int now = 0;
        for (; steps > 0; steps--, now ^= 1) {
            if (steps > 1) source.load();
            multiply(sum, stages + now * STAGE);
            if (steps > 1) source.store(stages + (now ^ 1) * STAGE);
            __syncthreads();
        }
    }
};

#endif
