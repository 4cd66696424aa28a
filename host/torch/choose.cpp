#include "choose.hpp"

#include "clock.h"
#include "device.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

namespace mb_torch {
namespace {

using action = std::function<void()>;

constexpr int MIN_ROUNDS = 5, MAX_ROUNDS = 25;
constexpr int64_t BUDGET_NS = 50000000; // a candidate's share, once MIN_ROUNDS are done

// Least time of each action in nanoseconds, from the call until the device is done, the actions
// taking turns. What else the machine does only ever adds, and here nothing is reported, only
// chosen.
std::vector<double> measure(const std::vector<action> &actions, at::Device device) {
    std::vector<double> least(actions.size(), std::numeric_limits<double>::infinity());
    for (int i = 0; i < 3; i++)
        for (const action &run : actions) run();
    synchronize(device);
    const int64_t end = mb_clock_ns() + BUDGET_NS * static_cast<int64_t>(actions.size());
    for (int round = 0; round < MAX_ROUNDS; round++) {
        if (round >= MIN_ROUNDS && mb_clock_ns() > end) break;
        for (size_t i = 0; i < actions.size(); i++) {
            const int64_t start = mb_clock_ns();
            actions[i]();
            synchronize(device);
            least[i] = std::min(least[i], static_cast<double>(mb_clock_ns() - start));
        }
    }
    return least;
}

std::string microseconds(double ns) {
    char s[32];
    std::snprintf(s, sizeof s, "%.1f us", ns / 1e3);
    return s;
}

// One value everywhere, which keeps sums of products near 1: no time here depends on the values, as
// long as they are neither denormal nor infinite, and random ones would take longer than all else.
at::Tensor even(const std::vector<int64_t> &dims, enum mb_dtype dtype, at::Device device) {
    double terms = 1;
    for (size_t i = 1; i < dims.size(); i++) terms *= static_cast<double>(dims[i]);
    const bool floats = dtype == MB_F32 || dtype == MB_F64;
    return at::full(dims, floats ? 1 / std::sqrt(terms) : 1,
                    at::TensorOptions(scalar_type(dtype)).device(device));
}

// Whether the product is faster with its weight's memory as (out, in).
bool is_faster_out_in(const product &p, at::Device device, std::string &text) {
    const at::Tensor x = even(p.x_dims, p.dtype, device), b = even({p.n}, p.dtype, device);
    const at::Tensor as_given = even({p.k, p.n}, p.dtype, device);
    const at::Tensor out_in = as_given.t().contiguous().t();
    const auto with = [&](const at::Tensor &w) {
        return [&] {
            if (!p.has_bias)
                at::matmul(x, w);
            else if (x.dim() == 2)
                at::addmm(b, x, w);
            else
                at::linear(x, w.t(), b);
        };
    };
    const std::vector<double> ns = measure({with(as_given), with(out_in)}, device);
    const bool faster = ns[1] < ns[0];
    const std::string k = std::to_string(p.k), n = std::to_string(p.n);
    text += "matmul (" + std::to_string(x.numel() / p.k) + "," + k + ") x (" + k + "," + n +
            "): weight " + (faster ? "as (out,in), " : "as given, ") + microseconds(ns[faster]) +
            " against " + microseconds(ns[!faster]) + "\n";
    return faster;
}

// Whether the program is faster with channels_last filters.
bool is_faster_channels_last(const mb_program &program, const style &given, maker *make,
                             at::Device device, std::string &text) {
    const std::vector<at::Tensor> inputs = stand_in_inputs(program, device);
    std::vector<at::Tensor> params, outputs[2];
    for (uint32_t i = 0; i < program.n_params; i++)
        params.push_back(stand_in(program.params[i].type, device));
    std::unique_ptr<runner> runners[2];
    std::vector<action> actions;
    for (int channels_last = 0; channels_last < 2; channels_last++) {
        const graph calls = make_graph(program, {given.out_in, channels_last == 1});
        runner *r = (runners[channels_last] = make(calls, params, device)).get();
        std::vector<at::Tensor> &out = outputs[channels_last];
        out.resize(program.n_outputs);
        actions.push_back([r, &inputs, &out] { r->run(inputs.data(), out.data()); });
    }
    const std::vector<double> ns = measure(actions, device);
    const bool faster = ns[1] < ns[0];
    text += std::string("filters ") + (faster ? "channels_last, " : "contiguous, ") +
            microseconds(ns[faster]) + " against " + microseconds(ns[!faster]) + "\n";
    return faster;
}

} // namespace

at::Tensor stand_in(const mb_type &type, at::Device device) {
    return even({type.shape.dim, type.shape.dim + type.shape.rank}, type.dtype, device);
}

std::vector<at::Tensor> stand_in_inputs(const mb_program &program, at::Device device) {
    std::vector<at::Tensor> inputs;
    for (uint32_t i = 0; i < program.n_params; i++)
        if (program.params[i].role == MB_INPUT)
            inputs.push_back(stand_in(program.params[i].type, device));
    return inputs;
}

style style_as_written(const mb_program &program) {
    return {std::vector<bool>(find_products(program).size(), false), false};
}

style choose_style(const mb_program &program, maker *make, at::Device device, std::string &text) {
    style style = {{}, false};
    for (const product &p : find_products(program))
        style.out_in.push_back(is_faster_out_in(p, device, text));
    if (has_nchw_convolution(program))
        style.channels_last = is_faster_channels_last(program, style, make, device, text);
    return style;
}

} // namespace mb_torch
