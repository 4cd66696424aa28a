// The AOTInductor executor: a package that scripts/peers/torch_aoti_builder.py made, loaded and run
// through libtorch.
#include "packaged.hpp"

#include "device.hpp"
#include "random.h"

#include <ATen/ATen.h>
#include <ATen/Version.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <stdexcept>

namespace mb_torch {
namespace {

constexpr const char *FORMAT = "1"; // the builder's

// FNV-1a of the IR text, as 16 digits.
std::string program_digest(const struct mb_program &program) {
    char *text = nullptr, digits[17];
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    const bool printed = out && mb_program_print(&program, out);
    if (out) std::fclose(out);
    if (printed)
        std::snprintf(digits, sizeof digits, "%016llx",
                      static_cast<unsigned long long>(mb_random_stream(text)));
    std::free(text);
    if (!printed) throw std::bad_alloc();
    return digits;
}

// A package is linked with nothing: it finds libtorch's functions where they are global.
void make_libtorch_global() {
    for (const char *name : {"libc10.so", "libtorch_cpu.so"})
        if (!dlopen(name, RTLD_NOW | RTLD_NOLOAD | RTLD_GLOBAL))
            throw std::runtime_error(std::string(name) + " is not loaded under this name");
}

class packaged final : public runner {
  public:
    packaged(const std::string &path, const graph &graph, at::Device device)
        : loader(path, "model", /*run_single_threaded=*/false, /*num_runners=*/1, device.index()),
          n_inputs(graph.inputs.size()), output_is_view(graph.output_is_view) {}

    void run(const at::Tensor *in, at::Tensor *out) override {
        const size_t n_outputs = output_is_view.size();
        for (size_t i = 0; i < n_outputs; i++) out[i].reset(); // as eager does
        std::vector<at::Tensor> results = loader.run(std::vector<at::Tensor>(in, in + n_inputs));
        if (results.size() != n_outputs)
            throw std::runtime_error("the package gives " + std::to_string(results.size()) +
                                     " outputs");
        for (size_t i = 0; i < n_outputs; i++) out[i] = std::move(results[i]);
        own_outputs(output_is_view, out);
    }

  private:
    torch::inductor::AOTIModelPackageLoader loader;
    size_t n_inputs;
    std::vector<bool> output_is_view;
};

} // namespace

std::string why_stale(const std::string &path, const struct mb_program &program, int n_threads) {
    const auto found =
        torch::inductor::AOTIModelPackageLoader::load_metadata_from_package(path, "model");
    const struct {
        const char *key;
        std::string wanted;
    } needs[] = {
        {"mindbench_format", FORMAT},
        {"mindbench_torch", libtorch_version()},
        {"mindbench_program", program_digest(program)},
        {"mindbench_isa", at::get_cpu_capability()},
        {"mindbench_threads", std::to_string(n_threads)},
    };
    for (const auto &need : needs) {
        const auto at = found.find(need.key);
        const std::string is = at == found.end() ? "nothing" : at->second;
        if (is != need.wanted)
            return "stale package: " + std::string(need.key) + " is " + is + ", not " +
                   need.wanted + "; remove " + path;
    }
    return "";
}

std::unique_ptr<runner> load_package(const std::string &path, const graph &graph,
                                     at::Device device) {
    make_libtorch_global();
    return std::make_unique<packaged>(path, graph, device);
}

} // namespace mb_torch
