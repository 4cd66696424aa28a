#include "choose.hpp"

#include "clock.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace mb_torch {
namespace {

using action = std::function<void()>;

constexpr int MIN_ROUNDS = 7, MAX_ROUNDS = 51;
constexpr int64_t BUDGET_NS = 250000000; // a candidate's share, once MIN_ROUNDS are done

// Lower quartile of each action's times in nanoseconds, the actions taking turns. Not the median:
// what else the machine does only ever adds, and here nothing is reported, only chosen.
std::vector<double> measure(const std::vector<action> &actions) {
    std::vector<std::vector<double>> samples(actions.size());
    for (int i = 0; i < 3; i++)
        for (const action &run : actions) run();
    const int64_t end = mb_clock_ns() + BUDGET_NS * static_cast<int64_t>(actions.size());
    for (int round = 0; round < MAX_ROUNDS; round++) {
        if (round >= MIN_ROUNDS && mb_clock_ns() > end) break;
        for (size_t i = 0; i < actions.size(); i++) {
            const int64_t start = mb_clock_ns();
            actions[i]();
            samples[i].push_back(static_cast<double>(mb_clock_ns() - start));
        }
    }
    std::vector<double> quartiles;
    for (std::vector<double> &s : samples) {
        const size_t q = s.size() / 4;
        std::nth_element(s.begin(), s.begin() + static_cast<std::ptrdiff_t>(q), s.end());
        quartiles.push_back(s[q]);
    }
    return quartiles;
}

size_t index_of_least(const std::vector<double> &v) {
    return static_cast<size_t>(std::min_element(v.begin(), v.end()) - v.begin());
}

std::string microseconds(double ns) {
    char s[32];
    std::snprintf(s, sizeof s, "%.1f us", ns / 1e3);
    return s;
}

at::Tensor random(const std::vector<int64_t> &dims, enum mb_dtype dtype, at::Device device) {
    const at::TensorOptions options = at::TensorOptions(scalar_type(dtype)).device(device);
    if (dtype != MB_F32 && dtype != MB_F64) return at::ones(dims, options);
    const at::Tensor t = at::randn(dims, options);
    const double leading = dims.size() > 1 ? static_cast<double>(dims[0]) : 1;
    return t.mul_(std::sqrt(leading / std::max<double>(1, static_cast<double>(t.numel()))));
}

bool linear_is_faster(const product &p, at::Device device, std::string &text) {
    const at::Tensor x = random(p.x_dims, p.dtype, device), w = random({p.k, p.n}, p.dtype, device);
    const at::Tensor transposed = w.t().contiguous(), b = random({p.n}, p.dtype, device);
    const auto linear = [&] {
        at::linear(x, transposed, p.has_bias ? std::optional<at::Tensor>(b) : std::nullopt);
    };
    const auto as_given = [&] {
        if (p.has_bias && x.dim() == 2)
            at::addmm(b, x, w);
        else if (p.has_bias)
            at::add(at::matmul(x, w), b);
        else
            at::matmul(x, w);
    };
    const std::vector<double> ns = measure({linear, as_given});
    const bool linear_wins = ns[0] <= ns[1];
    text += "matmul (" + std::to_string(x.numel() / p.k) + "," + std::to_string(p.k) + ") x (" +
            std::to_string(p.k) + "," + std::to_string(p.n) +
            "): " + (linear_wins ? "linear, weight (out,in): " : "weight as given, (in,out): ") +
            microseconds(ns[linear_wins ? 0 : 1]) + " against " +
            microseconds(ns[linear_wins ? 1 : 0]) + "\n";
    return linear_wins;
}

std::string name_of(const style &s) {
    const auto n = std::count(s.linear.begin(), s.linear.end(), true);
    std::string name;
    if (n == 0 && !s.linear.empty())
        name = "weights as given";
    else if (!s.linear.empty())
        name = n == static_cast<std::ptrdiff_t>(s.linear.size()) ? "linear" : "linear where faster";
    else
        name = "program";
    return name + (s.channels_last ? ", filters channels_last" : "");
}

// The fastest of whole programs; one line for each candidate.
style fastest(const mb_program &program, const std::vector<style> &styles, maker *make,
              at::Device device, std::string &text) {
    if (styles.size() == 1) return styles[0];
    const std::vector<at::Tensor> inputs = stand_in_inputs(program, device);
    std::vector<at::Tensor> params, outputs(program.n_outputs);
    for (uint32_t i = 0; i < program.n_params; i++)
        params.push_back(stand_in(program.params[i].type, device));
    std::vector<std::unique_ptr<runner>> runners;
    std::vector<action> actions;
    for (const style &s : styles) {
        runners.push_back(make(make_graph(program, s), params, device));
        runner *r = runners.back().get();
        actions.push_back([r, &inputs, &outputs] {
            r->run(inputs.data(), outputs.data());
            for (at::Tensor &output : outputs) output = output.contiguous();
        });
    }
    const std::vector<double> ns = measure(actions);
    const size_t best = index_of_least(ns);
    for (size_t i = 0; i < styles.size(); i++)
        text += (i == best ? "chosen: " : "slower: ") + name_of(styles[i]) + ": " +
                microseconds(ns[i]) + "\n";
    return styles[best];
}

} // namespace

at::Tensor stand_in(const mb_type &type, at::Device device) {
    return random({type.shape.dim, type.shape.dim + type.shape.rank}, type.dtype, device);
}

std::vector<at::Tensor> stand_in_inputs(const mb_program &program, at::Device device) {
    std::vector<at::Tensor> inputs;
    for (uint32_t i = 0; i < program.n_params; i++)
        if (program.params[i].role == MB_INPUT)
            inputs.push_back(stand_in(program.params[i].type, device));
    return inputs;
}

style choose_style(const mb_program &program, maker *make, bool per_product, at::Device device,
                   std::string &text) {
    const std::vector<product> products = find_products(program);
    std::vector<std::vector<bool>> linear;
    if (per_product) {
        linear.emplace_back();
        for (const product &p : products) linear[0].push_back(linear_is_faster(p, device, text));
    } else {
        linear.emplace_back(products.size(), true);
        if (!products.empty()) linear.emplace_back(products.size(), false);
    }
    std::vector<style> styles;
    for (const std::vector<bool> &l : linear) {
        styles.push_back({l, false});
        if (has_nchw_convolution(program)) styles.push_back({l, true});
    }
    return fastest(program, styles, make, device, text);
}

} // namespace mb_torch
