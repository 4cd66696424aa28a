// The edge of the plugin: struct mb_backend over the executors, buffers, and what libtorch says of
// itself. No exception leaves this file.
#include "backend.h"

#include "choose.hpp"
#include "clock.h"
#include "device.hpp"
#include "packaged.hpp"
#include "runner.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
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
    at::Tensor result; // contiguous; undefined until a launch writes the buffer
};

namespace {

// How each executor is made, and how many runs load makes before it is ready: TorchScript's
// executor profiles the first run and compiles in the second; on CUDA, cuDNN's algorithms are
// chosen in the first. Eager PyTorch on the CPU has no such phase.
struct implementation {
    const char *name, *device;
    maker *make; // null: a package
    int load_runs;
    bool as_shipped;  // every setting and layout as PyTorch has it by itself
    const char *note; // first line of the plan's text, or nothing
};
const implementation implementations[] = {
    {"torch-eager", "cpu", make_eager, 0, false, ""},
    {"torch-jit", "cpu", make_jit, 3, false, ""},
    {"torch-aoti", "cpu", nullptr, 0, false, "AOTInductor package of this program:\n"},
    {"torch-aoti-max-autotune", "cpu", nullptr, 0, false,
     "AOTInductor package of this program, kernels chosen by measurement:\n"},
    {"torch-eager", "cuda", make_eager, 1, false, ""},
    {"torch-jit", "cuda", make_jit, 3, false, ""},
    {"torch-graph", "cuda", make_captured, 1, false,
     "one CUDA graph a run, of this TorchScript:\n"},
    {"torch-defaults", "cuda", make_eager, 1, true, "settings and layouts as PyTorch ships them\n"},
};

struct tensor_spec {
    c10::ScalarType dtype;
    std::vector<int64_t> dims;
};

} // namespace

struct mb_ctx {
    mb_ctx(const implementation &how, at::Device device)
        : how(how), device(device), where(device) {}

    const implementation &how;
    at::Device device;
    place where;
    bool plain_start = false;
    int n_threads = 1;
    std::string package; // where that is what runs
    const mb_program *program = nullptr;
    graph calls;
    std::unique_ptr<runner> ready;
    std::vector<tensor_spec> inputs;
    std::vector<at::Tensor> in, out; // reused from launch to launch
    at::Tensor other, sum;           // what evict reads, and where it puts what it finds
    std::string plan_text;
    double tuning_ns = 0, compile_ns = 0;
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

// The same on the context's device.
template <class F> mb_status edge(const mb_ctx *ctx, mb_err *err, const char *what, F &&body) {
    return edge(err, what, [&] {
        ctx->where.enter();
        return body();
    });
}

const implementation *find_implementation(const mb_open_config &config) {
    for (const implementation &i : implementations)
        if (std::strcmp(i.name, config.executor) == 0 && std::strcmp(i.device, config.device) == 0)
            return &i;
    return nullptr;
}

mb_status probe(const mb_open_config *config, mb_err *err) {
    if (!find_implementation(*config))
        return mb_fail(err, MB_E_UNSUPPORTED, "torch: no executor %s on %s", config->executor,
                       config->device);
    const bool on_cuda = std::strcmp(config->device, "cuda") == 0;
    if (config->precision != MB_FP32 && !(on_cuda && config->precision == MB_TF32))
        return mb_fail(err, MB_E_UNSUPPORTED, "torch: %s on %s computes in %s only",
                       config->executor, config->device, on_cuda ? "fp32 or tf32" : "fp32");
    return edge(err, "open", [&] {
        const std::string version = libtorch_version();
        if (version != TORCH_VERSION)
            return mb_fail(err, MB_E_UNSUPPORTED,
                           "torch: the plugin was built for libtorch %s and found %s; build it "
                           "again",
                           TORCH_VERSION, version.c_str());
        if (!on_cuda) return MB_OK;
        const mb_status st = open_cuda(err);
        return st == MB_OK ? find_cuda_device(config->device_index, err) : st;
    });
}

mb_status open(const mb_open_config *config, mb_ctx **out, mb_err *err) {
    const mb_status st = probe(config, err);
    if (st != MB_OK) return st;
    return edge(err, "open", [&] {
        at::set_num_threads(config->n_threads);
        if (at::get_num_interop_threads() != 1) at::set_num_interop_threads(1);
        const implementation &how = *find_implementation(*config);
        const at::Device device =
            std::strcmp(config->device, "cuda") == 0
                ? at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(config->device_index))
                : at::Device(at::kCPU);
        if (!how.as_shipped) set_precision(device, config->precision);
        if (!how.make && !config->package)
            return mb_fail(err, MB_E_INVALID, "torch: %s: no package was given", config->executor);
        mb_ctx *ctx = new mb_ctx(how, device);
        ctx->plain_start = config->plain_start;
        ctx->n_threads = config->n_threads;
        if (config->package) ctx->package = config->package;
        *out = ctx;
        return MB_OK;
    });
}

void close(mb_ctx *ctx) {
    if (!ctx) return;
    edge(ctx, nullptr, "close", [&] {
        delete ctx;
        return MB_OK;
    });
}

mb_status buf_alloc(mb_ctx *ctx, size_t bytes, mb_buf **out, mb_err *err) {
    return edge(ctx, err, "buffer", [&] {
        const auto options = at::TensorOptions(at::kByte).device(ctx->device);
        *out = new mb_buf{at::empty({static_cast<int64_t>(bytes)}, options), {}, {}};
        return MB_OK;
    });
}

void buf_free(mb_ctx *ctx, mb_buf *buf) {
    if (!buf) return;
    edge(ctx, nullptr, "buffer", [&] {
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

mb_status upload(mb_ctx *ctx, mb_buf *dst, const void *src, size_t bytes, mb_err *err) {
    return edge(ctx, err, "upload", [&] {
        const mb_status st = check_size("upload", bytes, dst->bytes, err);
        if (st != MB_OK) return st;
        // What a launch left is overwritten where it is: a recording writes there again, and what
        // it failed to write must not look right.
        if (bytes > content(*dst).nbytes()) dst->result.reset();
        const int64_t n = static_cast<int64_t>(bytes);
        content(*dst).narrow(0, 0, n).copy_(
            at::from_blob(const_cast<void *>(src), {n}, at::dtype(at::kByte)));
        return MB_OK;
    });
}

mb_status download(mb_ctx *ctx, void *dst, const mb_buf *src, size_t bytes, mb_err *err) {
    return edge(ctx, err, "download", [&] {
        const at::Tensor from = content(*src);
        const mb_status st = check_size("download", bytes, from, err);
        if (st != MB_OK) return st;
        const int64_t n = static_cast<int64_t>(bytes);
        at::from_blob(dst, {n}, at::dtype(at::kByte)).copy_(from.narrow(0, 0, n));
        return MB_OK;
    });
}

mb_status plan(mb_ctx *ctx, const mb_program *program, mb_err *err) {
    return edge(ctx, err, "plan", [&] {
        std::string text;
        const int64_t started_ns = mb_clock_ns();
        const bool as_written = ctx->how.as_shipped || ctx->plain_start || !ctx->how.make;
        const style style = as_written ? style_as_written(*program)
                                       : choose_style(*program, ctx->how.make, ctx->device, text);
        if (!as_written) ctx->tuning_ns = static_cast<double>(mb_clock_ns() - started_ns);
        ctx->calls = make_graph(*program, style);
        ctx->plan_text = ctx->how.note + text + script_source(ctx->calls);
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
    return edge(ctx, err, "load", [&] {
        const mb_program &program = *ctx->program;
        if (!ctx->how.make) {
            const std::string stale = why_stale(ctx->package, program, ctx->n_threads);
            if (!stale.empty()) return mb_fail(err, MB_E_INVALID, "torch: %s", stale.c_str());
            ctx->ready = load_package(ctx->package, ctx->calls, ctx->device);
            return MB_OK;
        }
        std::vector<at::Tensor> params(program.n_params);
        for (uint32_t i = 0; i < program.n_params; i++) {
            const mb_param &p = program.params[i];
            if (p.role != MB_WEIGHT) continue;
            const at::IntArrayRef dims(p.type.shape.dim, static_cast<size_t>(p.type.shape.rank));
            params[i] = at::from_blob(const_cast<void *>(weights[i]), dims,
                                      at::dtype(scalar_type(p.type.dtype)))
                            .to(ctx->device, /*non_blocking=*/false, /*copy=*/true);
        }
        const int64_t made_ns = mb_clock_ns();
        ctx->ready = ctx->how.make(ctx->calls, params, ctx->device);
        if (ctx->how.make != make_eager)
            ctx->compile_ns = static_cast<double>(mb_clock_ns() - made_ns);
        const std::vector<at::Tensor> inputs = stand_in_inputs(program, ctx->device);
        for (int i = 0; i < ctx->how.load_runs && !ctx->plain_start; i++)
            ctx->ready->run(inputs.data(), ctx->out.data());
        for (at::Tensor &output : ctx->out) output.reset();
        synchronize(ctx->device);
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
    return edge(ctx, err, "launch", [&] {
        for (size_t i = 0; i < ctx->inputs.size(); i++)
            ctx->in[i] = as_input(*inputs[i], ctx->inputs[i]);
        for (size_t i = 0; i < ctx->out.size(); i++) ctx->out[i] = std::move(outputs[i]->result);
        ctx->ready->run(ctx->in.data(), ctx->out.data());
        for (size_t i = 0; i < ctx->out.size(); i++) {
            const mb_status st = check_size("result", ctx->out[i].nbytes(), outputs[i]->bytes, err);
            if (st != MB_OK) return st;
            outputs[i]->result = std::move(ctx->out[i]);
        }
        return MB_OK;
    });
}

mb_status sync(mb_ctx *ctx, mb_err *err) {
    return edge(ctx, err, "sync", [&] {
        synchronize(ctx->device);
        return MB_OK;
    });
}

// Reads memory of twice the last cache's size, made by the first call.
mb_status evict(mb_ctx *ctx, mb_err *err) {
    return edge(ctx, err, "evict", [&] {
        if (!ctx->other.defined()) {
            const auto options = at::TensorOptions(at::kFloat).device(ctx->device);
            const size_t bytes = 2 * last_cache_bytes(ctx->device);
            ctx->sum = at::empty({}, options);
            ctx->other = at::zeros({static_cast<int64_t>(bytes / sizeof(float))}, options);
        }
        at::sum_out(ctx->sum, ctx->other, at::IntArrayRef{0});
        return MB_OK;
    });
}

// A launch and an eviction as what is timed.
struct timed_launch {
    mb_ctx *ctx;
    mb_buf *const *inputs, *const *outputs;
};

mb_status launch_timed(void *arg, mb_err *err) {
    const timed_launch *l = static_cast<timed_launch *>(arg);
    return launch(l->ctx, l->inputs, l->outputs, err);
}

mb_status evict_timed(void *arg, mb_err *err) {
    return evict(static_cast<timed_launch *>(arg)->ctx, err);
}

mb_status device_time(mb_ctx *ctx, mb_buf *const *inputs, mb_buf *const *outputs, uint32_t n_runs,
                      bool evicted, double *ns, mb_err *err) {
    if (ctx->device.is_cpu())
        return mb_fail(err, MB_E_UNSUPPORTED, "torch: a CPU has no clock but the host's");
    // What allocates when it is called first must have been, since an allocation may wait for the
    // device, which is held while runs are enqueued.
    mb_status st = launch(ctx, inputs, outputs, err);
    if (st == MB_OK && evicted) st = evict(ctx, err);
    if (st == MB_OK) st = sync(ctx, err);
    if (st != MB_OK) return st;
    return edge(ctx, err, "device time", [&] {
        timed_launch arg = {ctx, inputs, outputs};
        // Few calls are more than two kernels and a copy.
        const uint32_t entries = 3 * static_cast<uint32_t>(ctx->calls.calls.size());
        return cuda().device_time({launch_timed, evict_timed, &arg, entries}, n_runs, evicted, ns,
                                  err);
    });
}

mb_status info(const mb_ctx *ctx, mb_exec_info *out, mb_err *err) {
    return edge(err, "info", [&] {
        mb_exec_info found = {};
        found.precision = effective_precision(ctx->device, ctx->calls);
        std::snprintf(found.math_mode, sizeof found.math_mode, "%s",
                      math_mode(ctx->device).c_str());
        std::snprintf(found.library, sizeof found.library, "libtorch %s (headers %s)%s",
                      libtorch_version().c_str(), TORCH_VERSION,
                      cuda_versions(ctx->device).c_str());
        found.tuning_ns = ctx->tuning_ns;
        found.compile_ns = ctx->compile_ns;
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
    evict,
    device_time,
    /*ceilings=*/nullptr,
    info,
    plan_text,
    /*kernel_row=*/nullptr,
    /*operations=*/nullptr,
};

} // namespace

extern "C" __attribute__((visibility("default"))) const mb_backend *mb_backend_get(void) {
    return &backend;
}
