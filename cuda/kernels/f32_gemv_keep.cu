/* Few rows times a matrix larger than the second-level cache, a part of which stays there from one
 * launch to the next (gemv.cuh, KEEP). Before a cold or a single launch it changes nothing. */
#include "gemv.cuh"

MB_CUDA_KERNEL(f32_gemv_keep, MB_STEP_MATMUL, mb_gemv::supports_keep, mb_gemv::cost_keep,
               mb_gemv::packed_bytes, mb_gemv::scratch_bytes, mb_gemv::pack, mb_gemv::launch<true>)
