/* y = pool(act(conv(x, w) + bias)) as a matrix product (conv2d_implicit.cuh) of FP32 products. */
#include "conv2d_implicit.cuh"
#include "tile.cuh"

struct fp32_tile : mb_tile<64, 64, 16, 4, 4> {
    static constexpr bool REPAIRS = false;
    static constexpr int LEAST_CC = 0;

    static constexpr int blocks(bool) { return 2; }

    static double multiply_ns(const struct mb_gpu_properties *gpu, double multiply_adds) {
        return mb_compute_ns(gpu, multiply_adds) / 0.5;
    }

    static __device__ int b_at(int k, int column) { return B_AT + k * BN + column; }

    template <typename Source>
    static __device__ void run(float (&sum)[SUMS], Source &source, int64_t steps) {
        mb_wait_for_previous();
        mb_let_next_start();
#pragma unroll
        for (int i = 0; i < SUMS; i++) sum[i] = 0;
        mb_tile::run(sum, source, steps);
    }
};

MB_CUDA_KERNEL(f32_conv2d_gemm, MB_STEP_CONV2D, conv_row<fp32_tile>::supports,
               conv_row<fp32_tile>::cost, conv_row<fp32_tile>::packed_bytes,
               conv_row<fp32_tile>::scratch_bytes, conv_row<fp32_tile>::pack,
               conv_row<fp32_tile>::launch)
