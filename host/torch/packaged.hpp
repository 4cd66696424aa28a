// Packages that AOTInductor compiled.
#ifndef MB_TORCH_PACKAGED_HPP
#define MB_TORCH_PACKAGED_HPP

#include "runner.hpp"

namespace mb_torch {

// Why the package at `path` is not one of this program, this libtorch, this processor and so many
// threads, with what to do; empty when it is. Runs nothing of it.
std::string why_stale(const std::string &path, const struct mb_program &program, int n_threads);

// The package, loaded; its weights are inside. `graph` is of the same program.
std::unique_ptr<runner> load_package(const std::string &path, const graph &graph,
                                     at::Device device);

} // namespace mb_torch

#endif
