/* Reads memory that nobody needs, so that the second-level cache holds nothing else. Reads, not
 * writes: dirty lines would be written back while the next run is timed. */
#include "common.cuh"

namespace {

constexpr int threads = 512;

/* from: count float4, finite. sink: 1 float, written only if the sum is no number, which the
 * compiler does not know. */
__global__ void __launch_bounds__(threads)
    read_all(const float *__restrict__ from, int64_t count, float *sink) {
    float sum = 0;
    for (int64_t i = mb_first(); i < count; i += mb_step()) {
        const float4 v = mb_load4_stream(from + i * 4);
        sum += v.x + v.y + v.z + v.w;
    }
    if (sum != sum) *sink = sum;
}

} // namespace

cudaError_t mb_cuda_evict(const float *from, int64_t count, float *sink, cudaStream_t stream) {
    return mb_launch(read_all, mb_grid_of(count / 4, threads), dim3(threads), 0, stream, from,
                     count / 4, sink);
}
