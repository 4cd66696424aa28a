/* The heart of a tiled matrix product whose operands are copied to shared memory as they lie: a
 * block's BM x BN sums over BK terms at a time, TM x TN of them in each thread's registers.
 *
 * A stage is a[BM][BK + 4] and b[BK][BN]; one is filled while the other is multiplied. A thread has
 * every ROW_THREADS-th row, of which it reads some neighbouring terms at once, and groups of V
 * neighbouring columns (V is 4, or TN if less). A warp's reads of b touch every bank once, and
 * those of a, of two rows or four, different ones. */
#ifndef MB_ASYNC_TILE_CUH
#define MB_ASYNC_TILE_CUH

#include "common.cuh"

template <int BM_, int BN_, int BK_, int TM_, int TN_> struct mb_async_tile {
    static constexpr int BM = BM_, BN = BN_, BK = BK_, TM = TM_, TN = TN_;
    static constexpr int ROW_THREADS = BM / TM, COLUMN_THREADS = BN / TN;
    static constexpr int THREADS = ROW_THREADS * COLUMN_THREADS;
    static constexpr int VN = TN < 4 ? TN : 4;
    static constexpr int TERMS = TM > 4 ? 2 : 4; /* of a row, read at once; more would spill */
    static constexpr int A_PITCH = BK + 4, B_AT = BM * A_PITCH, STAGE = B_AT + BK * BN;
    static constexpr int SHARED_BYTES = 2 * STAGE * 4;
    static constexpr int SUMS = TM * TN;                    /* of a thread, [TM][TN] */
    static constexpr int A_VECTORS = BM * BK / THREADS / 4; /* a thread copies of each */
    static constexpr int B_VECTORS = BN * BK / THREADS / 4;
    static_assert(THREADS % 32 == 0 && SHARED_BYTES <= 48 * 1024, "a block's limits");
    static_assert(A_VECTORS * THREADS * 4 == BM * BK && B_VECTORS * THREADS * 4 == BN * BK,
                  "every thread copies the same");

    /* Within the tile: of the thread's row or column number i. */
    static __device__ int row(int i) { return i * ROW_THREADS + threadIdx.x / COLUMN_THREADS; }
    static __device__ int column(int i) {
        const int thread = threadIdx.x % COLUMN_THREADS;
        return i / VN * (COLUMN_THREADS * VN) + thread * VN + i % VN;
    }

    /* COUNT values in groups of V neighbours, group_step apart. */
    template <int V, int COUNT>
    static __device__ inline void fragment(float (&to)[COUNT], const float *from, int group_step) {
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
    static __device__ inline void multiply(float (&sum)[SUMS], const float *stage) {
        const float *a = stage + row(0) * A_PITCH, *b = stage + B_AT + column(0);
#pragma unroll 1
        for (int k = 0; k < BK; k += TERMS) {
            float left[TM * TERMS];
            fragment<TERMS>(left, a + k, ROW_THREADS * A_PITCH);
#pragma unroll
            for (int term = 0; term < TERMS; term++) {
                float right[TN];
                fragment<VN>(right, b + (k + term) * BN, COLUMN_THREADS * VN);
#pragma unroll
                for (int i = 0; i < TM; i++)
#pragma unroll
                    for (int j = 0; j < TN; j++)
                        sum[i * TN + j] = fmaf(left[i * TERMS + term], right[j], sum[i * TN + j]);
            }
        }
    }

    /* Sums over `steps` stages that `source` copies: copy_a(stage, step) and copy_b(stage, step)
     * begin that of their matrix. b is constant, and on its way before the kernel before has ended
     * (launch.h, chains). */
    template <typename Source>
    static __device__ inline void run(float (&sum)[SUMS], const Source &source, int steps) {
        float *stages = mb_shared();
        source.copy_b(stages, 0);
        mb_let_next_start();
        mb_wait_for_previous();
        source.copy_a(stages, 0);
        mb_copy_commit();
#pragma unroll 1
        for (int step = 0; step < steps; step++) {
            mb_copy_wait<0>();
            __syncthreads(); /* this stage is there, and the other one has been read */
            if (step + 1 < steps) {
                float *next = stages + (step + 1) % 2 * STAGE;
                source.copy_a(next, step + 1);
                source.copy_b(next, step + 1);
                mb_copy_commit();
            }
            multiply(sum, stages + step % 2 * STAGE);
        }
    }
};

#endif
