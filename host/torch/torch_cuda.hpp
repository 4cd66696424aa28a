// What needs CUDA's symbols is a shared object of its own, libmindbench_torch_cuda.so, linked with
// libtorch_cuda: the plugin opens it when a CUDA device is asked for, and so runs where libtorch
// has its CPU half alone. This is all that the plugin sees of it.
#ifndef MB_TORCH_TORCH_CUDA_HPP
#define MB_TORCH_TORCH_CUDA_HPP

#include "status.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

namespace mb_torch {

// Work that was recorded once and can be done again.
class recording {
  public:
    virtual ~recording() = default;
    virtual void replay() = 0; // enqueues all of it on the current stream
};

// Runs `body` once to record what it enqueues on the current stream; nothing is done before the
// first replay. Tensors that `body` made keep their addresses, and each replay fills them anew.
using recorder = std::unique_ptr<recording>(const std::function<void()> &body);

// What is timed: callbacks that enqueue on the current stream and do not wait for it.
struct timed_work {
    enum mb_status (*run)(void *arg, struct mb_err *err);
    enum mb_status (*evict)(void *arg, struct mb_err *err);
    void *arg;
    uint32_t run_entries; // at most, of one run in the stream's queue
};

struct cuda_half {
    recorder *record; // as a CUDA graph with a memory pool of its own; not on the default stream

    struct facts {
        size_t l2_bytes;
        int compute_capability; // major * 10 + minor
    };
    facts (*device_facts)(int device);

    // As struct mb_backend's device_time, on the current stream.
    enum mb_status (*device_time)(const timed_work &work, uint32_t n_runs, bool evicted, double *ns,
                                  struct mb_err *err);
};

} // namespace mb_torch

#define MB_TORCH_CUDA_SYMBOL "mb_torch_cuda_half"

#endif
