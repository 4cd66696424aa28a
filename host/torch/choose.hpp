// Choices that are left to measurement.
#ifndef MB_TORCH_CHOOSE_HPP
#define MB_TORCH_CHOOSE_HPP

#include "runner.hpp"

namespace mb_torch {

using maker = std::unique_ptr<runner>(const graph &, const std::vector<at::Tensor> &params,
                                      at::Device);

// Values to run on before there are others.
at::Tensor stand_in(const struct mb_type &type, at::Device device);

// The inputs of the graph, of stand-in values.
std::vector<at::Tensor> stand_in_inputs(const struct mb_program &program, at::Device device);

// Every weight as the program has it.
style style_as_written(const struct mb_program &program);

// The fastest style of a program under `make`, found by running candidates on stand-in data, and a
// line about each choice appended to `text`.
style choose_style(const struct mb_program &program, maker *make, at::Device device,
                   std::string &text);

} // namespace mb_torch

#endif
