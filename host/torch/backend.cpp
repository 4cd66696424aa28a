// The edge of the plugin: struct mb_backend over the executors, buffers, and what libtorch says of
// itself. No exception leaves this file.
#include "backend.h"

#include "choose.hpp"
#include "clock.h"
#include "runner.hpp"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <c10/core/InferenceMode.h>
#include <torch/version.h>

#include <cstdio>
#include <cstring>
#include <new>
#include <string>

using namespace mb_torch;

// Bytes that came from outside, or the tensor that a launch left here.
struct mb_buf {
    at::Tensor bytes;  // (size), u8
    at::Tensor view;   // bytes with an input's type, kept so that a launch makes no wrapper
    at::Tensor result; // contiguous; undefined unless the buffer was last written by a launch
};

namespace {

// How each executor is made, and how many runs load makes before it is ready: TorchScript's
// executor profiles the first run and compiles in the second. Eager PyTorch has no such phase.
struct implementation {
    const char *name, *device;
    maker *make;
    int load_runs;
};
const implementation implementations[] = {
    {"torch-eager", "cpu", make_eager, 0},
    {"torch-jit", "cpu", make_jit, 3},
};

struct tensor_spec {
    c10::ScalarType dtype;
    std::vector<int64_t> dims;
};

} // namespace

struct mb_ctx {
    mb_ctx(const implementation &how, at::Device device) : how(how), device(device) {}

    const implementation &how;
    at::Device device;
    const mb_program *program = nullptr;
    graph calls;
    std::unique_ptr<runner> ready;
    std::vector<tensor_spec> inputs;
    std::vector<at::Tensor> in, out; // reused from launch to launch
    std::string plan_text;
    double tuning_ns = 0;
};

namespace {

// What an exception says, in one line: TorchScript puts its cause after a header and a listing.
std::string cause_of(const std::exception &e) {
    const auto *c10_error = dynamic_cast<const c10::Error *>(&e);
    std::string text = c10_error ? c10_error->what_without_backtrace() : e.what();
    if (text.find("TorchScript") != std::string::npos) {
        const size_t cause = text.rfind("Error: ");
        if (cause != std::string::npos) text.erase(0, cause + std::strlen("Error: "));
    }
    text.erase(0, text.find_first_not_of(" \n"));
    text.resize(std::min(text.find('\n'), text.size()));
    return text;
}

// Runs `body`, which returns a status, under the rules of every call into libtorch.
template <class F> mb_status edge(mb_err *err, const char *what, F &&body) {
    try {
        const c10::InferenceMode guard;
        return body();
    } catch (const std::bad_alloc &) {
        return mb_fail(err, MB_E_NOMEM, "torch: %s: out of memory", what);
    } catch (const std::exception &e) {
        const std::string cause = cause_of(e);
        const bool memory = dynamic_cast<const c10::OutOfMemoryError *>(&e) ||
                            cause.find("can't allocate memory") != std::string::npos;
        const bool missing = dynamic_cast<const c10::NotImplementedError *>(&e);
        return mb_fail(err,
                       memory    ? MB_E_NOMEM
                       : missing ? MB_E_UNSUPPORTED
                                 : MB_E_DEVICE,
                       "torch: %s: %s", what, cause.c_str());
    } catch (...) {
        return mb_fail(err, MB_E_DEVICE, "torch: %s: unknown exception", what);
    }
}

const implementation *find_implementation(const mb_open_config &config) {
    for (const implementation &i : implementations)
        if (std::strcmp(i.name, config.executor) == 0 && std::strcmp(i.device, config.device) == 0)
            return &i;
    return nullptr;
}

// Version of the library that was loaded, from its build settings; "unknown" if it does not say.
std::string library_version() {
    const std::string settings = at::show_config(), key = "TORCH_VERSION=";
    const size_t at = settings.find(key);
    if (at == std::string::npos) return "unknown";
    const size_t begin = at + key.size();
    return settings.substr(begin, settings.find_first_of(", \n", begin) - begin);
}

mb_status probe(const mb_open_config *config, mb_err *err) {
    if (!find_implementation(*config))
        return mb_fail(err, MB_E_UNSUPPORTED, "torch: no executor %s on %s in this build",
                       config->executor, config->device);
    if (config->precision != MB_FP32)
        return mb_fail(err, MB_E_UNSUPPORTED, "torch: %s on %s computes in fp32 only",
                       config->executor, config->device);
    return edge(err, "version", [&] {
        const std::string version = library_version();
        if (version.rfind(TORCH_VERSION, 0) == 0) return MB_OK;
        return mb_fail(err, MB_E_UNSUPPORTED,
                       "torch: the plugin was built for libtorch %s and found %s; build it again",
                       TORCH_VERSION, version.c_str());
    });
}

mb_status open(const mb_open_config *config, mb_ctx **out, mb_err *err) {
    const mb_status st = probe(config, err);
    if (st != MB_OK) return st;
    return edge(err, "open", [&] {
        at::set_num_threads(config->n_threads);
        if (at::get_num_interop_threads() != 1) at::set_num_interop_threads(1);
        at::globalContext().setFloat32MatmulPrecision("highest");
        *out = new mb_ctx(*find_implementation(*config), at::Device(at::kCPU));
        return MB_OK;
    });
}

void close(mb_ctx *ctx) {
    edge(nullptr, "close", [&] {
        delete ctx;
        return MB_OK;
    });
}

mb_status buf_alloc(mb_ctx *ctx, size_t bytes, mb_buf **out, mb_err *err) {
    return edge(err, "buffer", [&] {
        const auto options = at::TensorOptions(at::kByte).device(ctx->device);
        *out = new mb_buf{at::empty({static_cast<int64_t>(bytes)}, options), {}, {}};
        return MB_OK;
    });
}

void buf_free(mb_ctx *, mb_buf *buf) {
    edge(nullptr, "buffer", [&] {
        delete buf;
        return MB_OK;
    });
}

// The buffer's content as bytes, whichever way it came.
at::Tensor content(const mb_buf &buf) {
    return buf.result.defined() ? buf.result.reshape({-1}).view(at::kByte) : buf.bytes;
}

mb_status check_size(const char *what, size_t bytes, const at::Tensor &content, mb_err *err) {
    if (bytes <= content.nbytes()) return MB_OK;
    return mb_fail(err, MB_E_INVALID, "torch: %s of %zu bytes, buffer of %zu", what, bytes,
                   content.nbytes());
}

mb_status upload(mb_ctx *, mb_buf *dst, const void *src, size_t bytes, mb_err *err) {
    return edge(err, "upload", [&] {
        const mb_status st = check_size("upload", bytes, dst->bytes, err);
        if (st != MB_OK) return st;
        const int64_t n = static_cast<int64_t>(bytes);
        dst->bytes.narrow(0, 0, n).copy_(
            at::from_blob(const_cast<void *>(src), {n}, at::dtype(at::kByte)));
        dst->result.reset();
        return MB_OK;
    });
}

mb_status download(mb_ctx *, void *dst, const mb_buf *src, size_t bytes, mb_err *err) {
    return edge(err, "download", [&] {
        const at::Tensor from = content(*src);
        const mb_status st = check_size("download", bytes, from, err);
        if (st != MB_OK) return st;
        const int64_t n = static_cast<int64_t>(bytes);
        at::from_blob(dst, {n}, at::dtype(at::kByte)).copy_(from.narrow(0, 0, n));
        return MB_OK;
    });
}

mb_status plan(mb_ctx *ctx, const mb_program *program, mb_err *err) {
    return edge(err, "plan", [&] {
        std::string text;
        const int64_t started_ns = mb_clock_ns();
        const style style = choose_style(*program, ctx->how.make, ctx->device, text);
        ctx->tuning_ns = static_cast<double>(mb_clock_ns() - started_ns);
        ctx->calls = make_graph(*program, style);
        ctx->plan_text = text + script_source(ctx->calls);
        ctx->inputs.clear();
        for (uint32_t input : ctx->calls.inputs) {
            const call &c = ctx->calls.calls[input];
            ctx->inputs.push_back({scalar_type(c.dtype), c.dims});
        }
        ctx->in.resize(program->n_params);
        ctx->out.resize(program->n_outputs);
        ctx->program = program;
        return MB_OK;
    });
}

mb_status load(mb_ctx *ctx, const void *const *weights, mb_err *err) {
    return edge(err, "load", [&] {
        const mb_program &program = *ctx->program;
        std::vector<at::Tensor> params(program.n_params);
        for (uint32_t i = 0; i < program.n_params; i++) {
            const mb_param &p = program.params[i];
            if (p.role != MB_WEIGHT) continue;
            const at::IntArrayRef dims(p.type.shape.dim, static_cast<size_t>(p.type.shape.rank));
            params[i] = at::from_blob(const_cast<void *>(weights[i]), dims,
                                      at::dtype(scalar_type(p.type.dtype)))
                            .to(ctx->device, /*non_blocking=*/false, /*copy=*/true);
        }
        ctx->ready = ctx->how.make(ctx->calls, params, ctx->device);
        const std::vector<at::Tensor> inputs = stand_in_inputs(program, ctx->device);
        for (int i = 0; i < ctx->how.load_runs; i++)
            ctx->ready->run(inputs.data(), ctx->out.data());
        for (at::Tensor &output : ctx->out) output.reset();
        return MB_OK;
    });
}

const at::Tensor &as_input(mb_buf &buf, const tensor_spec &spec) {
    if (buf.result.defined()) {
        const at::Tensor from = content(buf);
        buf.bytes.narrow(0, 0, from.numel()).copy_(from);
        buf.result.reset();
    }
    if (!buf.view.defined() || buf.view.scalar_type() != spec.dtype ||
        buf.view.sizes() != at::IntArrayRef(spec.dims)) {
        const int64_t bytes =
            c10::multiply_integers(spec.dims) * static_cast<int64_t>(c10::elementSize(spec.dtype));
        buf.view = buf.bytes.narrow(0, 0, bytes).view(spec.dtype).view(spec.dims);
    }
    return buf.view;
}

mb_status launch(mb_ctx *ctx, mb_buf *const *inputs, mb_buf *const *outputs, mb_err *err) {
    return edge(err, "launch", [&] {
        for (size_t i = 0; i < ctx->inputs.size(); i++)
            ctx->in[i] = as_input(*inputs[i], ctx->inputs[i]);
        // The last results go first, so that the allocator can give their memory again.
        for (size_t i = 0; i < ctx->out.size(); i++) outputs[i]->result.reset();
        ctx->ready->run(ctx->in.data(), ctx->out.data());
        for (size_t i = 0; i < ctx->out.size(); i++) {
            at::Tensor &result = ctx->out[i];
            const mb_status st = check_size("result", result.nbytes(), outputs[i]->bytes, err);
            if (st != MB_OK) return st;
            outputs[i]->result = ctx->calls.output_is_view[i]
                                     ? result.clone(at::MemoryFormat::Contiguous)
                                     : result.contiguous();
            result.reset();
        }
        return MB_OK;
    });
}

mb_status sync(mb_ctx *, mb_err *) {
    return MB_OK; // on the CPU a call returns when it is done
}

mb_status info(const mb_ctx *ctx, mb_exec_info *out, mb_err *err) {
    return edge(err, "info", [&] {
        const at::Context &context = at::globalContext();
        const at::Float32MatmulPrecision products = context.float32MatmulPrecision();
        const bool onednn = at::Context::hasMKLDNN() && context.userEnabledMkldnn();
        mb_exec_info found = {};
        found.precision = products == at::Float32MatmulPrecision::HIGHEST ? MB_FP32
                          : products == at::Float32MatmulPrecision::HIGH  ? MB_TF32
                                                                          : MB_BF16;
        std::snprintf(found.math_mode, sizeof found.math_mode, "%s, ATen %s%s%s",
                      found.precision == MB_FP32 ? "fp32" : "fp32 products reduced",
                      at::get_cpu_capability().c_str(), at::Context::hasMKL() ? ", MKL" : "",
                      onednn ? ", oneDNN" : "");
        std::snprintf(found.library, sizeof found.library, "libtorch %s (headers %s)",
                      library_version().c_str(), TORCH_VERSION);
        found.tuning_ns = ctx->tuning_ns;
        *out = found;
        return MB_OK;
    });
}

void plan_text(const mb_ctx *ctx, char *buf, size_t size) {
    std::snprintf(buf, size, "%s", ctx->plan_text.c_str());
}

const mb_backend backend = {
    MB_BACKEND_ABI,
    "torch",
    probe,
    open,
    close,
    buf_alloc,
    buf_free,
    upload,
    download,
    plan,
    load,
    launch,
    sync,
    /*evict=*/nullptr,
    /*device_time=*/nullptr,
    /*ceilings=*/nullptr,
    info,
    plan_text,
};

} // namespace

extern "C" __attribute__((visibility("default"))) const mb_backend *mb_backend_get(void) {
    return &backend;
}
