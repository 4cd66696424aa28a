// The TorchScript executor: the graph as the source of a forward(), compiled, frozen and optimised
// for inference by libtorch.
#include "runner.hpp"

#include <torch/csrc/jit/api/module.h>

#include <cstdio>
#include <stdexcept>

namespace mb_torch {
namespace {

template <class T, class F> std::string join(const std::vector<T> &items, F &&text) {
    std::string s;
    for (const T &item : items) s += (s.empty() ? "" : ", ") + text(item);
    return s;
}

std::string list(const std::vector<int64_t> &items) {
    return "[" + join(items, [](int64_t i) { return std::to_string(i); }) + "]";
}

std::string function_of(const call &c) {
    switch (c.op) {
// clang-format off
#define UNARY(id, function) case MB_OP_##id: return "torch." #function;
#define BINARY(id, function) UNARY(id, function)
#define TERNARY(id, function) UNARY(id, function)
#include "elementwise.def"
        // clang-format on
    default: throw std::logic_error("no elementwise operation");
    }
}

std::string name_of(const graph &g, uint32_t value) {
    return (g.calls[value].constant ? "self.c" : "v") + std::to_string(value);
}

// [:, :, from:to:by] of axis, from, to, by.
std::string subscript(const std::vector<int64_t> &slice) {
    std::string s = "[";
    for (int64_t axis = 0; axis < slice[0]; axis++) s += ":, ";
    return s + std::to_string(slice[1]) + ":" + std::to_string(slice[2]) + ":" +
           std::to_string(slice[3]) + "]";
}

std::string expression(const graph &g, const call &c) {
    const std::string args = join(c.args, [&](uint32_t arg) { return name_of(g, arg); });
    const std::string bias = c.args.size() == 3 ? "" : ", None";
    const std::string dims = list(c.dims), keepdims = c.keepdims ? "True" : "False";
    const std::string dtype = std::to_string(static_cast<int>(scalar_type(c.dtype)));
    const bool integers = c.dtype == MB_I32 || c.dtype == MB_I64;
    switch (c.kind) {
    case call_kind::elementwise:
        return function_of(c) + "(" + args +
               (c.op == MB_OP_DIV && integers ? ", rounding_mode=\"trunc\")" : ")");
    case call_kind::linear: return "torch.linear(" + args + ")";
    case call_kind::addmm: return "torch.addmm(" + args + ")";
    case call_kind::matmul: return "torch.matmul(" + args + ")";
    case call_kind::conv2d:
        return "torch.conv2d(" + args + bias + ", " + list(c.stride) + ", " + list(c.padding) + ")";
    case call_kind::pad: return "torch.constant_pad_nd(" + args + ", " + dims + ")";
    case call_kind::max_pool2d:
        return "torch.max_pool2d(" + args + ", " + list(c.window) + ", " + list(c.stride) + ")";
    case call_kind::avg_pool2d:
        return "torch.avg_pool2d(" + args + ", " + list(c.window) + ", " + list(c.stride) + ")";
    case call_kind::sum:
        return "torch.sum(" + args + ", " + dims + ", " + keepdims + ", dtype=" + dtype + ")";
    case call_kind::mean: return "torch.mean(" + args + ", " + dims + ", " + keepdims + ")";
    case call_kind::prod:
        return "torch.prod(" + args + ", " + std::to_string(c.dims[0]) + ", " + keepdims +
               ", dtype=" + dtype + ")";
    case call_kind::amax: return "torch.amax(" + args + ", " + dims + ", " + keepdims + ")";
    case call_kind::amin: return "torch.amin(" + args + ", " + dims + ", " + keepdims + ")";
    case call_kind::argmax: return "torch.argmax(" + args + ", " + std::to_string(c.dims[0]) + ")";
    case call_kind::to: return args + ".to(" + dtype + ")";
    case call_kind::log_softmax:
        return "torch.log_softmax(" + args + ", " + std::to_string(c.dims[0]) + ")";
    case call_kind::softmax:
        return "torch.softmax(" + args + ", " + std::to_string(c.dims[0]) + ")";
    case call_kind::reshape: return "torch.reshape(" + args + ", " + dims + ")";
    case call_kind::permute: return "torch.permute(" + args + ", " + dims + ")";
    case call_kind::expand: return args + ".expand(" + dims + ")";
    case call_kind::slice: return args + subscript(c.dims);
    case call_kind::flip: return "torch.flip(" + args + ", " + dims + ")";
    case call_kind::cat: return "torch.cat([" + args + "], " + std::to_string(c.dims[0]) + ")";
    case call_kind::index_select:
    case call_kind::gather: {
        const std::string name = c.kind == call_kind::gather ? "gather(" : "index_select(";
        return "torch." + name + name_of(g, c.args[0]) + ", " + std::to_string(c.dims[0]) + ", " +
               name_of(g, c.args[1]) + ")";
    }
    case call_kind::param:
    case call_kind::computed:
    case call_kind::full:
    case call_kind::dense:
    case call_kind::contiguous:
    case call_kind::channels_last: break;
    }
    throw std::logic_error("a constant has no expression");
}

class jit final : public runner {
  public:
    jit(const graph &graph, const std::vector<at::Tensor> &params, at::Device device)
        : output_is_view(graph.output_is_view) {
        torch::jit::Module module("mindbench");
        const std::vector<at::Tensor> constants = compute_constants(graph, params, device);
        for (size_t i = 0; i < constants.size(); i++)
            if (constants[i].defined())
                module.register_buffer("c" + std::to_string(i), constants[i]);
        module.define(script_source(graph));
        module.eval();
        frozen = torch::jit::freeze(module);
        frozen = torch::jit::optimize_for_inference(frozen);
        forward = &frozen.get_method("forward").function();
        stack.reserve(graph.inputs.size() + 1);
        n_inputs = graph.inputs.size();
    }

    void run(const at::Tensor *in, at::Tensor *out) override {
        const size_t n_outputs = output_is_view.size();
        for (size_t i = 0; i < n_outputs; i++) out[i].reset(); // as eager does
        stack.clear();
        stack.emplace_back(frozen._ivalue());
        for (size_t i = 0; i < n_inputs; i++) stack.emplace_back(in[i]);
        forward->run(stack);
        if (n_outputs == 1) {
            out[0] = std::move(stack.front()).toTensor();
        } else {
            const auto &elements = stack.front().toTupleRef().elements();
            for (size_t i = 0; i < n_outputs; i++) out[i] = elements[i].toTensor();
        }
        stack.clear();
        own_outputs(output_is_view, out);
    }

  private:
    size_t n_inputs;
    std::vector<bool> output_is_view;
    torch::jit::Module frozen;
    torch::jit::Function *forward;
    torch::jit::Stack stack; // reused, so that a run does not allocate it
};

} // namespace

std::string script_source(const graph &g) {
    std::string s = "def forward(self";
    for (uint32_t input : g.inputs) s += ", " + name_of(g, input) + ": Tensor";
    s += "):\n";
    for (uint32_t i = 0; i < g.calls.size(); i++) {
        const call &c = g.calls[i];
        if (c.live && !c.constant && c.kind != call_kind::param)
            s += "    " + name_of(g, i) + " = " + expression(g, c) + "\n";
    }
    return s + "    return " + join(g.outputs, [&](uint32_t i) { return name_of(g, i); }) + "\n";
}

std::unique_ptr<runner> make_jit(const graph &graph, const std::vector<at::Tensor> &params,
                                 at::Device device) {
    return std::make_unique<jit>(graph, params, device);
}

} // namespace mb_torch
