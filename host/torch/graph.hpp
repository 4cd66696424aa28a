// A program as a PyTorch user would have written it: the list of ATen calls that every executor
// makes. Products and convolutions have taken in their bias, NHWC images are channels_last views,
// and whatever depends on weights alone is marked to be computed once. No torch header is needed
// here.
#ifndef MB_TORCH_GRAPH_HPP
#define MB_TORCH_GRAPH_HPP

#include "program.h"

#include <cstdint>
#include <vector>

namespace mb_torch {

enum class call_kind {
    param,         // `param` of the program
    full,          // `value` everywhere, extents `dims`
    dense,         // the elements at `data`, extents `dims`
    computed,      // the elements that `node`'s attributes say, extents `dims`
    elementwise,   // `op`, one to three arguments
    to,            // of `dtype`
    addmm,         // (bias, x, w), all but the bias of rank 2
    linear,        // (x, w, bias), w as (out, in), x of another rank
    matmul,        // (a, b)
    conv2d,        // (x, w[, bias]), NCHW, `stride`, `padding`
    pad,           // `dims` as constant_pad_nd takes them, zeros
    max_pool2d,    // NCHW, `window`, `stride`
    avg_pool2d,    // the same
    sum,           // over the axes `dims`, `keepdims`
    mean,          // the same
    prod,          // over the axis dims[0], `keepdims`
    amax,          // over the axes `dims`, `keepdims`
    amin,          // the same
    argmax,        // along dims[0]: i64
    softmax,       // along dims[0]
    log_softmax,   // along dims[0]
    reshape,       // to `dims`
    permute,       // by `dims`
    expand,        // to `dims`
    slice,         // axis dims[0] from dims[1] to dims[2] by dims[3] >= 1
    flip,          // along dims[0]
    cat,           // along dims[0], two arguments or more
    index_select,  // (x, indices), along dims[0]
    gather,        // (x, indices of the result's shape), along dims[0]
    contiguous,    // row-major copy; of constants only
    channels_last, // copy in the channels_last format; of constants only
};

struct call {
    call_kind kind;
    enum mb_op op;         // elementwise
    bool in_place = false; // elementwise: the argument dies here, so its memory takes the result
    bool live = false;     // an output depends on it
    bool constant = false; // depends on weights alone: computed in load
    std::vector<uint32_t> args; // indices of earlier calls
    std::vector<uint32_t> dies; // arguments, not constant, that no later call and no output uses
    enum mb_dtype dtype;        // of the result
    std::vector<int64_t> dims, window, stride, padding;
    bool keepdims = false;
    double value = 0;
    const void *data = nullptr;
    const mb_node *node = nullptr;
    uint32_t param = 0;
};

// How to hold what can be held in two ways. The values are the same either way; which is faster
// depends on shapes, threads and library, so it is measured.
struct style {
    std::vector<bool> out_in; // by product: the weight's memory as (out, in), as nn.Linear has it;
                              // else as given, (in, out)
    bool channels_last;       // filters of NCHW convolutions in the channels_last format
};

// A product with a constant rank-2 weight, the ones that have a style. Extents of y = x W.
struct product {
    enum mb_dtype dtype;
    std::vector<int64_t> x_dims;
    int64_t k, n;
    bool has_bias;
};

struct graph {
    std::vector<call> calls; // a value's number is the index of the call that makes it
    std::vector<uint32_t> inputs, outputs;
    std::vector<bool> output_is_view; // shares memory with an input, a constant or another output
};

std::vector<product> find_products(const struct mb_program &program);
bool has_nchw_convolution(const struct mb_program &program);

// `style.out_in` has one entry a product, in find_products' order. The program outlives the graph.
graph make_graph(const struct mb_program &program, const style &style);

} // namespace mb_torch

#endif
