// The eager executor: one ATen call after the other, as the model's forward() makes them.
#include "runner.hpp"

#include <ATen/ATen.h>

#include <stdexcept>

namespace mb_torch {
namespace {

at::Tensor elementwise(const call &c, at::Tensor *v) {
    const at::Tensor &a = v[c.args[0]];
    if (c.in_place) return at::relu_(v[c.args[0]]);
    if (c.op == MB_OP_DIV && !a.is_floating_point()) return at::div(a, v[c.args[1]], "trunc");
    switch (c.op) {
// clang-format off
#define UNARY(id, function) case MB_OP_##id: return at::function(a);
#define BINARY(id, function) case MB_OP_##id: return at::function(a, v[c.args[1]]);
#define TERNARY(id, function) case MB_OP_##id: return at::function(a, v[c.args[1]], v[c.args[2]]);
#include "elementwise.def"
        // clang-format on
    default: throw std::logic_error("no elementwise operation");
    }
}

// The bytes that every executor has, made on the host.
at::Tensor computed(const call &c, at::Device device) {
    at::Tensor host = at::empty(c.dims, at::dtype(scalar_type(c.dtype)));
    mb_program_constant(c.node, 0, host.numel(), host.mutable_data_ptr());
    return host.to(device);
}

at::Tensor concatenated(const call &c, const at::Tensor *v) {
    std::vector<at::Tensor> parts;
    for (uint32_t arg : c.args) parts.push_back(v[arg]);
    return at::cat(parts, c.dims[0]);
}

// Call `c` on the values `v`. Never a parameter.
at::Tensor evaluate(const call &c, at::Tensor *v, at::Device device) {
    const auto arg = [&](size_t i) -> const at::Tensor & { return v[c.args[i]]; };
    const auto bias = [&] {
        return c.args.size() == 3 ? std::optional<at::Tensor>(arg(2)) : std::nullopt;
    };
    const auto options = [&] { return at::TensorOptions(scalar_type(c.dtype)).device(device); };
    switch (c.kind) {
    case call_kind::param: break;
    case call_kind::full: return at::full(c.dims, c.value, options());
    case call_kind::dense:
        return at::from_blob(const_cast<void *>(c.data), c.dims, at::dtype(scalar_type(c.dtype)))
            .to(device, /*non_blocking=*/false, /*copy=*/true);
    case call_kind::computed: return computed(c, device);
    case call_kind::elementwise: return elementwise(c, v);
    case call_kind::linear: return at::linear(arg(0), arg(1), arg(2));
    case call_kind::addmm: return at::addmm(arg(0), arg(1), arg(2));
    case call_kind::matmul: return at::matmul(arg(0), arg(1));
    case call_kind::conv2d: return at::conv2d(arg(0), arg(1), bias(), c.stride, c.padding);
    case call_kind::pad: return at::constant_pad_nd(arg(0), c.dims);
    case call_kind::max_pool2d: return at::max_pool2d(arg(0), c.window, c.stride);
    case call_kind::avg_pool2d: return at::avg_pool2d(arg(0), c.window, c.stride);
    case call_kind::sum: return at::sum(arg(0), c.dims, c.keepdims, scalar_type(c.dtype));
    case call_kind::mean: return at::mean(arg(0), c.dims, c.keepdims);
    case call_kind::prod: return at::prod(arg(0), c.dims[0], c.keepdims, scalar_type(c.dtype));
    case call_kind::amax: return at::amax(arg(0), c.dims, c.keepdims);
    case call_kind::amin: return at::amin(arg(0), c.dims, c.keepdims);
    case call_kind::argmax: return at::argmax(arg(0), c.dims[0]);
    case call_kind::to: return arg(0).to(scalar_type(c.dtype));
    case call_kind::log_softmax: return at::log_softmax(arg(0), c.dims[0]);
    case call_kind::softmax: return at::softmax(arg(0), c.dims[0]);
    case call_kind::expand: return arg(0).expand(c.dims);
    case call_kind::slice: return at::slice(arg(0), c.dims[0], c.dims[1], c.dims[2], c.dims[3]);
    case call_kind::flip: return at::flip(arg(0), c.dims);
    case call_kind::cat: return concatenated(c, v);
    case call_kind::index_select: return at::index_select(arg(0), c.dims[0], arg(1));
    case call_kind::gather: return at::gather(arg(0), c.dims[0], arg(1));
    case call_kind::reshape: return at::reshape(arg(0), c.dims);
    case call_kind::permute: return at::permute(arg(0), c.dims);
    case call_kind::contiguous: return arg(0).contiguous();
    case call_kind::channels_last: return arg(0).contiguous(at::MemoryFormat::ChannelsLast);
    }
    throw std::logic_error("parameter without a value");
}

class eager final : public runner {
  public:
    eager(const graph &graph, const std::vector<at::Tensor> &params, at::Device device)
        : inputs(graph.inputs), outputs(graph.outputs), output_is_view(graph.output_is_view),
          device(device), values(compute_constants(graph, params, device)) {
        for (uint32_t i = 0; i < graph.calls.size(); i++) {
            const call &c = graph.calls[i];
            if (c.live && !c.constant && c.kind != call_kind::param) steps.push_back({i, c});
        }
        for (uint32_t value : graph.inputs) transient.push_back(value);
        for (uint32_t value : graph.outputs)
            if (!graph.calls[value].constant) transient.push_back(value);
    }

    void run(const at::Tensor *in, at::Tensor *out) override {
        // The last results go first, so that the allocator can give their memory again.
        for (size_t i = 0; i < outputs.size(); i++) out[i].reset();
        for (size_t i = 0; i < inputs.size(); i++) values[inputs[i]] = in[i];
        for (const step &s : steps) {
            values[s.result] = evaluate(s.what, values.data(), device);
            for (uint32_t value : s.what.dies) values[value].reset();
        }
        for (size_t i = 0; i < outputs.size(); i++) out[i] = values[outputs[i]];
        for (uint32_t value : transient) values[value].reset();
        own_outputs(output_is_view, out);
    }

  private:
    struct step {
        uint32_t result;
        call what;
    };
    std::vector<uint32_t> inputs, outputs, transient;
    std::vector<bool> output_is_view;
    at::Device device;
    std::vector<at::Tensor> values; // constants stay, the others live from their call to last use
    std::vector<step> steps;
};

} // namespace

c10::ScalarType scalar_type(enum mb_dtype dtype) {
    switch (dtype) {
    case MB_F32: return at::kFloat;
    case MB_F64: return at::kDouble;
    case MB_I32: return at::kInt;
    case MB_I64: return at::kLong;
    case MB_BOOL: return at::kBool;
    }
    throw std::logic_error("unknown element type");
}

std::vector<at::Tensor> compute_constants(const graph &graph, const std::vector<at::Tensor> &params,
                                          at::Device device) {
    std::vector<at::Tensor> values(graph.calls.size());
    std::vector<bool> needed(graph.calls.size());
    for (size_t i = 0; i < graph.calls.size(); i++) {
        const call &c = graph.calls[i];
        if (!c.live) continue;
        if (c.constant)
            values[i] =
                c.kind == call_kind::param ? params[c.param] : evaluate(c, values.data(), device);
        else
            for (uint32_t arg : c.args) needed[arg] = true;
    }
    for (uint32_t output : graph.outputs) needed[output] = true;
    for (size_t i = 0; i < values.size(); i++)
        if (!needed[i]) values[i].reset();
    return values;
}

void own_outputs(const std::vector<bool> &is_view, at::Tensor *outputs) {
    for (size_t i = 0; i < is_view.size(); i++)
        outputs[i] =
            is_view[i] ? outputs[i].clone(at::MemoryFormat::Contiguous) : outputs[i].contiguous();
}

std::unique_ptr<runner> make_eager(const graph &graph, const std::vector<at::Tensor> &params,
                                   at::Device device) {
    return std::make_unique<eager>(graph, params, device);
}

} // namespace mb_torch
