// What backend.cpp knows of an executor, and what the executors share.
#ifndef MB_TORCH_RUNNER_HPP
#define MB_TORCH_RUNNER_HPP

#include "graph.hpp"
#include "torch_cuda.hpp"

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace mb_torch {

// A program with its weights, ready to run on one device. Exceptions pass through.
class runner {
  public:
    virtual ~runner() = default;

    // inputs[i] and outputs[i] as the graph orders them. Before, an output is what the last run
    // into the same buffer left there, or undefined; after, it is contiguous and shares memory with
    // nothing but, perhaps, what was there before.
    virtual void run(const at::Tensor *inputs, at::Tensor *outputs) = 0;
};

// Element type of MIND's in PyTorch's words.
c10::ScalarType scalar_type(enum mb_dtype dtype);

// constants[i] is the value of call i where that is a constant that the rest needs, computed from
// params[p], the program's parameter p where it is a weight; undefined elsewhere.
std::vector<at::Tensor> compute_constants(const graph &graph, const std::vector<at::Tensor> &params,
                                          at::Device device);

// The last step of a run: outputs as runner::run leaves them.
void own_outputs(const std::vector<bool> &is_view, at::Tensor *outputs);

std::unique_ptr<runner> make_eager(const graph &graph, const std::vector<at::Tensor> &params,
                                   at::Device device);

// TorchScript: generated source, frozen, optimised for inference.
std::unique_ptr<runner> make_jit(const graph &graph, const std::vector<at::Tensor> &params,
                                 at::Device device);

// `inner`, which runs `graph`, recorded once for each set of buffers and replayed.
std::unique_ptr<runner> capture(std::unique_ptr<runner> inner, const graph &graph,
                                recorder *record);

// TorchScript as above, recorded as CUDA graphs.
std::unique_ptr<runner> make_captured(const graph &graph, const std::vector<at::Tensor> &params,
                                      at::Device device);

// The forward() that make_jit compiles.
std::string script_source(const graph &graph);

} // namespace mb_torch

#endif
