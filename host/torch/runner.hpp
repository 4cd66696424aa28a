// What backend.cpp knows of an executor, and what the executors share.
#ifndef MB_TORCH_RUNNER_HPP
#define MB_TORCH_RUNNER_HPP

#include "graph.hpp"

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

    // inputs[i] and outputs[i] as the graph orders them; an output may be any strided tensor.
    virtual void run(const at::Tensor *inputs, at::Tensor *outputs) = 0;
};

// Element type of MIND's in PyTorch's words.
c10::ScalarType scalar_type(enum mb_dtype dtype);

// constants[i] is the value of call i where that is a constant that the rest needs, computed from
// params[p], the program's parameter p where it is a weight; undefined elsewhere.
std::vector<at::Tensor> compute_constants(const graph &graph, const std::vector<at::Tensor> &params,
                                          at::Device device);

std::unique_ptr<runner> make_eager(const graph &graph, const std::vector<at::Tensor> &params,
                                   at::Device device);

// TorchScript: generated source, frozen, optimised for inference.
std::unique_ptr<runner> make_jit(const graph &graph, const std::vector<at::Tensor> &params,
                                 at::Device device);

// The forward() that make_jit compiles.
std::string script_source(const graph &graph);

} // namespace mb_torch

#endif
