// libmindbench_torch_cuda.so: CUDA graphs of libtorch's work and what the CUDA runtime says of a
// device. Opened by the plugin only for a CUDA device. The CUDA runtime is the one that
// libtorch_cuda brings, never a second one: streams are the runtime's own.
#include "torch_cuda.hpp"

#include "gpu_time.h"

#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>

namespace mb_torch {
namespace {

class cuda_graph final : public recording {
  public:
    explicit cuda_graph(const std::function<void()> &body) {
        c10::cuda::getCurrentCUDAStream().synchronize();
        graph.capture_begin();
        try {
            body();
        } catch (...) {
            // The stream must not stay in capture; the first failure is the one to tell.
            try {
                graph.capture_end();
            } catch (const std::exception &) {
            }
            throw;
        }
        graph.capture_end();
    }

    void replay() override { graph.replay(); }

  private:
    at::cuda::CUDAGraph graph;
};

std::unique_ptr<recording> record(const std::function<void()> &body) {
    return std::make_unique<cuda_graph>(body);
}

int attribute(cudaDeviceAttr which, int device) {
    int value = 0;
    C10_CUDA_CHECK(cudaDeviceGetAttribute(&value, which, device));
    return value;
}

cuda_half::facts device_facts(int device) {
    return {static_cast<size_t>(attribute(cudaDevAttrL2CacheSize, device)),
            attribute(cudaDevAttrComputeCapabilityMajor, device) * 10 +
                attribute(cudaDevAttrComputeCapabilityMinor, device)};
}

mb_status device_time(const timed_work &work, uint32_t n_runs, bool evicted, double *ns,
                      mb_err *err) {
    mb_gpu_timer *timer = nullptr;
    const mb_gpu_work timed = {work.run, evicted ? work.evict : nullptr, work.arg,
                               work.run_entries};
    mb_status st = mb_gpu_timer_new(c10::cuda::getCurrentCUDAStream().stream(),
                                    MB_GPU_GATE_TIMEOUT_MS, &timer, err);
    if (st == MB_OK)
        st = evicted ? mb_gpu_time_isolated(timer, &timed, n_runs, ns, err)
                     : mb_gpu_time_batch(timer, &timed, n_runs, ns, err);
    mb_gpu_timer_free(timer);
    return st;
}

const cuda_half half = {record, device_facts, device_time};

} // namespace
} // namespace mb_torch

extern "C" __attribute__((visibility("default"))) const mb_torch::cuda_half *mb_torch_cuda_half() {
    return &mb_torch::half;
}
