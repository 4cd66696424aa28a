/* y = pool(act(conv(x, w) + bias)) as a matrix product (conv2d_implicit.cuh) on tensor cores, with
 * FP32-class results: each operand is the sum of two TF32 numbers, hi and lo (22 bits), and a
 * product is lo * hi + hi * lo + hi * hi. Tensor cores truncate while they add, so their sums go to
 * FP32 registers after PROMOTED terms, and start again.
 *
 * Values: sums that come out infinite or NaN, from such inputs or by overflow (hi of what
 * is within 2^-12 of the largest FP32 number is infinite), are made again by FP32 products, so that
 * they are what FP32 gives. Inputs below 2^-102 lose low bits, as lo is then below the least normal
 * number.
 *
 * Eight warps, 2 x 2 of 32 x 32 sums, twice: one half of them takes the first terms of each stage,
 * the other half the last ones, and at the end they exchange half of their sums. */
#include "conv2d_implicit.cuh"

struct split_tile {
    static constexpr bool REPAIRS = true;
    static constexpr int LEAST_CC = 80;
    static constexpr int BM = 64, BN = 64, BK = 32, THREADS = 256;
    static constexpr int TM = 4, TN = 4, SUMS = TM * TN;
    static constexpr int PITCH = 72; /* 8 modulo 32: a fragment's lanes read from all banks */
    static constexpr int B_AT = BK * PITCH, STAGE = 2 * B_AT, SHARED_BYTES = 2 * STAGE * 4;
    static constexpr int HALF = BK / 2; /* terms of a warp in a stage */
    static constexpr int PROMOTED = 4;  /* stages: 64 terms */
    static_assert(HALF % 16 == 0, "both halves have the same fours");
    static_assert(SHARED_BYTES <= 48 * 1024 && SUMS * THREADS <= 2 * STAGE, "shared memory");

    /* The addresses of NHWC take more registers than two blocks leave. */
    static constexpr int blocks(bool planar) { return planar ? 2 : 1; }

    /* Multiply-adds in a cycle of a multiprocessor, of which mma.sync reaches half. */
    static double multiply_ns(const struct mb_gpu_properties *gpu, double multiply_adds) {
        const double rate = gpu->cc == 80 ? 512 : gpu->cc >= 90 && gpu->cc < 120 ? 1024 : 128;
        return mb_compute_ns(gpu, 3 * multiply_adds) * 128 / rate / 0.5;
    }

    static __device__ int half() { return threadIdx.x / 128; }
    static __device__ int warp_row() { return threadIdx.x / 64 % 2 * 32; }
    static __device__ int warp_column() { return threadIdx.x / 32 % 2 * 32; }
    static __device__ int group() { return threadIdx.x % 32 / 4; } /* of the PTX ISA's fragments */
    static __device__ int in_group() { return threadIdx.x % 4; }

    /* A thread holds rows group, + 8, + 16 and + 24 of its warp's fragments: neighbours here. */
    static __device__ int row(int i) { return warp_row() + group() * 4 + i; }
    static __device__ int column(int i) {
        return warp_column() + half() * 16 + i / 2 * 8 + in_group() * 2 + i % 2;
    }

    /* Where row 4 * quad + i of a warp's 32 lies, in a term k with k / 4 % 4 = fours. Neither a
     * fragment's reads nor the stores of four terms of eight rows, or one term of 32, touch a bank
     * twice. */
    static __device__ int a_at(int fours, int quad, int i) { return i * 8 + (quad ^ fours * 2); }
    static __device__ void store_a(float *stage, int row, int k, float4 v) {
        float *to = stage + k * PITCH + row / 32 * 32 + a_at(k / 4 % 4, row / 4 % 8, row % 4);
        to[0] = v.x, to[PITCH] = v.y, to[2 * PITCH] = v.z, to[3 * PITCH] = v.w;
    }
    static __device__ int b_at(int k, int column) { return B_AT + k * PITCH + column; }

    /* hi is to the nearest, lo is exact and truncated by the tensor cores, which changes what they
     * stand for by less than FP32 rounds. NaN and infinity leave NaN in lo, if not in hi. */
    template <int COUNT>
    static __device__ void split(const float (&from)[COUNT], float (&hi)[COUNT],
                                 float (&lo)[COUNT]) {
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            hi[i] = __uint_as_float((__float_as_uint(from[i]) + 0x1000u) & ~0x1fffu);
            lo[i] = from[i] - hi[i];
        }
    }

    /* sum[rows by 16][columns by 8][fragment] += the stage's products. */
    static __device__ void multiply(float (&sum)[2][4][4], const float *stage) {
        const float *b = stage + B_AT + warp_column() + group();
#pragma unroll
        for (int step = 0; step < HALF; step += 8) {
            const int k = half() * HALF + step + in_group(), fours = step / 4 % 4;
            const float *upper = stage + warp_row() + k * PITCH, *lower = upper + 4 * PITCH;
            float a_hi[2][4], a_lo[2][4];
#pragma unroll
            for (int m = 0; m < 2; m++) {
                const int low = a_at(fours, group(), 2 * m), high = a_at(fours + 1, group(), 2 * m);
                const float left[4] = {upper[low], upper[low + 8], lower[high], lower[high + 8]};
                split(left, a_hi[m], a_lo[m]);
            }
#pragma unroll
            for (int n = 0; n < 4; n++) {
                const float right[2] = {b[k * PITCH + n * 8], b[(k + 4) * PITCH + n * 8]};
                float b_hi[2], b_lo[2];
                split(right, b_hi, b_lo);
#pragma unroll
                for (int m = 0; m < 2; m++) mb_mma_3xtf32(sum[m][n], a_hi[m], a_lo[m], b_hi, b_lo);
            }
        }
    }

    /* total += part, and part = 0. */
    static __device__ void promote(float (&total)[2][4][4], float (&part)[2][4][4]) {
#pragma unroll
        for (int i = 0; i < 32; i++) {
            total[i / 16][i / 4 % 4][i % 4] += part[i / 16][i / 4 % 4][i % 4];
            part[i / 16][i / 4 % 4][i % 4] = 0;
        }
    }

    template <typename Source>
    static __device__ void run(float (&sum)[SUMS], Source &source, int64_t steps) {
        float *stages = mb_shared();
        source.copy_weights(stages);
        mb_wait_for_previous();
        mb_let_next_start();
        source.load_image();
        source.store_image(stages);
        mb_copy_wait<0>();
        __syncthreads();
        float total[2][4][4], part[2][4][4];
#pragma unroll
        for (int i = 0; i < 32; i++)
            total[i / 16][i / 4 % 4][i % 4] = part[i / 16][i / 4 % 4][i % 4] = 0;
        int now = 0;
        for (int left = static_cast<int>(steps); left > 0; left--, now ^= 1) {
            float *next = stages + (now ^ 1) * STAGE;
            if (left > 1) {
                source.copy_weights(next);
                source.load_image();
            }
            multiply(part, stages + now * STAGE);
            if (left % PROMOTED == 0) promote(total, part);
            if (left > 1) source.store_image(next);
            mb_copy_wait<0>();
            __syncthreads();
        }
        promote(total, part);

        /* The first half keeps columns 0 to 15 of the warp's, the second half the others. */
        float *exchange = stages + threadIdx.x * 4;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            float give[4];
#pragma unroll
            for (int c = 0; c < 4; c++)
                give[c] = half() ? total[i / 2][i % 2][c] : total[i / 2][2 + i % 2][c];
            mb_store4(exchange + i * THREADS * 4, make_float4(give[0], give[1], give[2], give[3]));
        }
        __syncthreads();
        exchange = stages + (threadIdx.x ^ 128) * 4;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const float4 v = mb_load4(exchange + i * THREADS * 4);
            const float got[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
            for (int c = 0; c < 4; c++) {
                const float keep = half() ? total[i / 2][2 + i % 2][c] : total[i / 2][i % 2][c];
                sum[(i / 2 * 2 + c / 2) * TN + i % 2 * 2 + c % 2] = keep + got[c];
            }
        }
        __syncthreads();
    }
};

MB_CUDA_KERNEL(f32_conv2d_3xtf32, MB_STEP_CONV2D, conv_row<split_tile>::supports,
               conv_row<split_tile>::cost, conv_row<split_tile>::packed_bytes,
               conv_row<split_tile>::scratch_bytes, conv_row<split_tile>::pack,
               conv_row<split_tile>::launch)
