// Where work goes, how precisely it is done there, and what does it. What differs between the CPU
// and a CUDA device is behind these functions, which use libtorch's device-generic side alone.
#ifndef MB_TORCH_DEVICE_HPP
#define MB_TORCH_DEVICE_HPP

#include "backend.h"
#include "graph.hpp"
#include "torch_cuda.hpp"

#include <c10/core/Device.h>
#include <c10/core/Stream.h>

#include <optional>
#include <string>

namespace mb_torch {

// Opens libtorch's CUDA half and ours, once a process. Must come before anything asks libtorch
// about CUDA, since libtorch remembers that it found none. MB_E_UNSUPPORTED with the loader's
// words.
enum mb_status open_cuda(struct mb_err *err);

// After open_cuda.
const cuda_half &cuda();

// Whether CUDA device `index` answers; libtorch's words if not. After open_cuda.
enum mb_status find_cuda_device(int index, struct mb_err *err);

// A device, and on CUDA a stream that is not the default one.
class place {
  public:
    explicit place(at::Device device);

    // Makes device and stream the calling thread's current ones, and leaves them so.
    void enter() const;

    at::Device device;

  private:
    std::optional<c10::Stream> stream;
};

// Returns when all that was enqueued on the device's current stream is done.
void synchronize(at::Device device);

// Size of the device's last level of cache.
size_t last_cache_bytes(at::Device device);

// Sets libtorch up to compute f32 in `precision`, MB_FP32 or MB_TF32 (CUDA only), and to choose
// cuDNN's algorithms by measurement.
void set_precision(at::Device device, enum mb_precision precision);

// The precision of f32 products and convolutions among `calls`, as libtorch is set and the device
// can: the lowest that occurs.
enum mb_precision effective_precision(at::Device device, const graph &calls);

// For people: how products and convolutions are computed, and by what.
std::string math_mode(at::Device device);

// "2.11.0": of the library that was loaded.
std::string libtorch_version();

// ", CUDA 13.0, cuDNN 9.19.0"; empty for the CPU.
std::string cuda_versions(at::Device device);

} // namespace mb_torch

#endif
