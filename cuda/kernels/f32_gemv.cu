/* Few rows times a matrix, whatever the second-level cache holds of it (gemv.cuh). */
#include "gemv.cuh"

MB_CUDA_KERNEL(f32_gemv, MB_STEP_MATMUL, mb_gemv::supports, mb_gemv::cost, mb_gemv::packed_bytes,
               mb_gemv::scratch_bytes, mb_gemv::pack, mb_gemv::launch<false>)
