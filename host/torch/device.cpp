#include "device.hpp"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/version.h>

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>

namespace mb_torch {
namespace {

using at::Float32Backend;
using at::Float32Op;
using at::Float32Precision;

const cuda_half *opened = nullptr;

// Where the system does not say, as in some virtual machines.
constexpr size_t LEAST_CACHE_BYTES = size_t(64) << 20;

constexpr const char *CUDA_HALF = "libmindbench_torch_cuda.so";

c10::impl::VirtualGuardImpl streams(at::Device device) {
    return c10::impl::VirtualGuardImpl(device.type());
}

// The folder of the object that holds this function.
std::string plugin_folder() {
    Dl_info self = {};
    if (!dladdr(reinterpret_cast<const void *>(&plugin_folder), &self) || !self.dli_fname)
        return "";
    const std::string path = self.dli_fname;
    const size_t slash = path.rfind('/');
    return slash == std::string::npos ? "" : path.substr(0, slash + 1);
}

Float32Backend backend_of(at::Device device) {
    return device.is_cuda() ? Float32Backend::CUDA : Float32Backend::MKLDNN;
}

Float32Precision setting(at::Device device, Float32Op op) {
    return at::globalContext().float32Precision(backend_of(device), op);
}

// Tensor cores that take TF32 came with compute capability 8.0.
bool has_tf32(at::Device device) {
    return !device.is_cuda() || cuda().device_facts(device.index()).compute_capability >= 80;
}

} // namespace

enum mb_status open_cuda(struct mb_err *err) {
    if (opened) return MB_OK;
    const std::string path = plugin_folder() + CUDA_HALF;
    // Global, as `import torch` opens CUDA's libraries: what libtorch opens later relies on it.
    void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (!library) {
        const std::string words = dlerror();
        if (words.rfind(path, 0) == 0)
            return mb_fail(err, MB_E_UNSUPPORTED,
                           "torch: this build has no CUDA half: %s; have CUDA's headers and a "
                           "PyTorch with CUDA, and build again",
                           words.c_str());
        return mb_fail(err, MB_E_UNSUPPORTED,
                       "torch: libtorch_cuda does not load: %s; install PyTorch with the CUDA "
                       "libraries that it requires: pip install torch==%s",
                       words.c_str(), TORCH_VERSION);
    }
    const cuda_half *(*get)() = nullptr;
    *reinterpret_cast<void **>(&get) = dlsym(library, MB_TORCH_CUDA_SYMBOL);
    if (!get)
        return mb_fail(err, MB_E_UNSUPPORTED, "torch: %s exports no %s; build again", CUDA_HALF,
                       MB_TORCH_CUDA_SYMBOL);
    opened = get();
    return MB_OK;
}

const cuda_half &cuda() { return *opened; }

enum mb_status find_cuda_device(int index, struct mb_err *err) {
    std::string words;
    try {
        at::globalContext().lazyInitDevice(at::kCUDA);
        const int count = streams(at::kCUDA).deviceCount();
        if (index < count) return MB_OK;
        return mb_fail(err, MB_E_UNSUPPORTED, "torch: there is no device cuda:%d; CUDA has %d",
                       index, count);
    } catch (const c10::Error &e) {
        words = e.what_without_backtrace();
    } catch (const std::exception &e) {
        words = e.what();
    }
    words.resize(std::min(words.find('\n'), words.size()));
    return mb_fail(err, MB_E_UNSUPPORTED, "torch: no CUDA device answers: %s", words.c_str());
}

place::place(at::Device device) : device(device) {
    if (device.is_cuda()) stream = streams(device).getStreamFromGlobalPool(device);
}

void place::enter() const {
    if (!stream) return;
    const c10::impl::VirtualGuardImpl current = streams(device);
    if (current.getDevice() != device) current.setDevice(device);
    if (current.getStream(device) != *stream) current.exchangeStream(*stream);
}

void synchronize(at::Device device) {
    if (device.is_cpu()) return; // there a call returns when it is done
    const c10::impl::VirtualGuardImpl current = streams(device);
    current.synchronizeStream(current.getStream(device));
}

size_t last_cache_bytes(at::Device device) {
    if (device.is_cuda()) return cuda().device_facts(device.index()).l2_bytes;
    const long l3 = sysconf(_SC_LEVEL3_CACHE_SIZE);
    return l3 > 0 ? static_cast<size_t>(l3) : LEAST_CACHE_BYTES;
}

void set_precision(at::Device device, enum mb_precision precision) {
    at::Context &context = at::globalContext();
    const Float32Precision f32 =
        precision == MB_TF32 ? Float32Precision::TF32 : Float32Precision::IEEE;
    // Each by itself: an operation with a setting of its own, as PyTorch ships convolutions on
    // CUDA, does not follow its backend's.
    for (const Float32Op op : {Float32Op::MATMUL, Float32Op::CONV})
        context.setFloat32Precision(backend_of(device), op, f32);
    context.setBenchmarkCuDNN(true);
}

enum mb_precision effective_precision(at::Device device, const graph &calls) {
    bool tf32 = false, bf16 = false;
    for (const call &c : calls.calls) {
        const bool product = c.kind == call_kind::addmm || c.kind == call_kind::linear ||
                             c.kind == call_kind::matmul;
        if (!c.live || c.dtype != MB_F32 || !(product || c.kind == call_kind::conv2d)) continue;
        const Float32Precision f32 = setting(device, product ? Float32Op::MATMUL : Float32Op::CONV);
        tf32 = tf32 || f32 == Float32Precision::TF32;
        bf16 = bf16 || f32 == Float32Precision::BF16;
    }
    return bf16 ? MB_BF16 : tf32 && has_tf32(device) ? MB_TF32 : MB_FP32;
}

std::string math_mode(at::Device device) {
    const auto of = [&](Float32Op op) {
        const Float32Precision f32 = setting(device, op);
        return f32 == Float32Precision::IEEE || f32 == Float32Precision::NONE || !has_tf32(device)
                   ? "fp32"
                   : at::precision2str(f32);
    };
    const std::string products = of(Float32Op::MATMUL), convolutions = of(Float32Op::CONV);
    std::string text = products;
    if (products != convolutions) text += " products, " + convolutions + " convolutions";
    if (device.is_cuda())
        return text + (at::globalContext().benchmarkCuDNN() ? ", cuBLAS, cuDNN autotuned"
                                                            : ", cuBLAS, cuDNN");
    return text + ", ATen " + at::get_cpu_capability() + (at::Context::hasMKL() ? ", MKL" : "") +
           (at::Context::hasMKLDNN() && at::globalContext().userEnabledMkldnn() ? ", oneDNN" : "");
}

std::string libtorch_version() {
    // Bytes from the top: major, minor, patch. at::show_config, which has it as text, would ask for
    // CUDA's hooks and so keep a CUDA half from being found later.
    const uint64_t abi = aoti_torch_abi_version();
    return std::to_string(abi >> 56 & 0xff) + "." + std::to_string(abi >> 48 & 0xff) + "." +
           std::to_string(abi >> 40 & 0xff);
}

std::string cuda_versions(at::Device device) {
    if (!device.is_cuda()) return "";
    const at::CUDAHooksInterface &hooks = at::detail::getCUDAHooks();
    const long cudart = hooks.versionCUDART();
    std::string text =
        ", CUDA " + std::to_string(cudart / 1000) + "." + std::to_string(cudart % 1000 / 10);
    if (!hooks.hasCuDNN()) return text + ", no cuDNN";
    const long cudnn = hooks.versionRuntimeCuDNN(); // 91900: 9.19.0
    return text + ", cuDNN " + std::to_string(cudnn / 10000) + "." +
           std::to_string(cudnn % 10000 / 100) + "." + std::to_string(cudnn % 100);
}

} // namespace mb_torch
