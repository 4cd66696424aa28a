#include "graph.hpp"

#include <algorithm>

namespace mb_torch {
namespace {

constexpr uint32_t NONE = UINT32_MAX;

std::vector<int64_t> dims_of(const mb_shape &shape) { return {shape.dim, shape.dim + shape.rank}; }

// What the nodes say about each other before any call is made.
class analysis {
  public:
    explicit analysis(const mb_program &program)
        : program(program), constant(program.n_nodes), uses(program.n_nodes),
          bias_of(program.n_nodes, NONE), merged_into(program.n_nodes, NONE) {
        for (uint32_t i = 0; i < program.n_nodes; i++) {
            const mb_node &node = program.nodes[i];
            bool all =
                node.op != MB_OP_PARAM || program.params[node.attr.param.index].role == MB_WEIGHT;
            for (uint32_t k = 0; k < node.n_operands; k++) {
                all = all && constant[node.operand[k]];
                uses[node.operand[k]]++;
            }
            constant[i] = all;
        }
        for (uint32_t i = 0; i < program.n_outputs; i++) uses[program.outputs[i]]++;
        for (uint32_t i = 0; i < program.n_nodes; i++)
            if (program.nodes[i].op == MB_OP_ADD) find_bias(i);
    }

    const mb_program &program;
    std::vector<bool> constant;
    std::vector<uint32_t> uses;
    std::vector<uint32_t> bias_of;     // by product or convolution: the node of its bias
    std::vector<uint32_t> merged_into; // by product or convolution: the add that is one with it

  private:
    // Whether `bias` holds one number for each output channel of `node`, and broadcasts as such.
    bool is_bias(const mb_node &node, const mb_node &bias) const {
        const mb_shape &y = node.type.shape, &b = bias.type.shape;
        const bool nchw = node.op == MB_OP_CONV2D && node.attr.conv.layout == MB_NCHW;
        const int32_t channel = nchw ? 1 : y.rank - 1;
        if (b.rank > y.rank || b.rank < y.rank - channel) return false;
        for (int32_t i = 0; i < b.rank; i++) {
            const int32_t axis = i + y.rank - b.rank;
            if (b.dim[i] != (axis == channel ? y.dim[axis] : 1)) return false;
        }
        return true;
    }

    void find_bias(uint32_t add) {
        const mb_node &sum = program.nodes[add];
        for (uint32_t k = 0; k < 2; k++) {
            const uint32_t a = sum.operand[k], b = sum.operand[1 - k];
            const mb_node &node = program.nodes[a];
            const bool product = node.op == MB_OP_MATMUL && node.type.shape.rank >= 1 &&
                                 program.nodes[node.operand[1]].type.shape.rank == 2;
            if ((product || node.op == MB_OP_CONV2D) && uses[a] == 1 && a != b &&
                is_bias(node, program.nodes[b])) {
                bias_of[a] = b;
                merged_into[a] = add;
                return;
            }
        }
    }
};

bool has_style(const analysis &facts, uint32_t i) {
    const mb_node &node = facts.program.nodes[i];
    return node.op == MB_OP_MATMUL && facts.constant[node.operand[1]] && !facts.constant[i] &&
           facts.program.nodes[node.operand[1]].type.shape.rank == 2;
}

class builder {
  public:
    builder(const mb_program &program, const style &style)
        : facts(program), style_(style), rows(program.n_nodes, NONE),
          planes(program.n_nodes, NONE) {}

    graph build() {
        for (uint32_t i = 0; i < facts.program.n_nodes; i++) node(i);
        for (uint32_t i = 0; i < facts.program.n_params; i++)
            if (facts.program.params[i].role == MB_INPUT)
                g.inputs.push_back(value(facts.program.params[i].node));
        for (uint32_t i = 0; i < facts.program.n_outputs; i++)
            g.outputs.push_back(value(facts.program.outputs[i]));
        mark();
        return std::move(g);
    }

  private:
    const analysis facts;
    const style &style_;
    graph g;
    size_t n_products = 0;
    // A node's value in the program's axis order, and the same with the axes of an NHWC image as
    // NCHW; either is made from the other where it is first wanted, by a permute that moves
    // nothing.
    std::vector<uint32_t> rows, planes;

    uint32_t add(call_kind kind, std::vector<uint32_t> args, enum mb_dtype dtype, call c = {}) {
        c.kind = kind;
        c.dtype = dtype;
        c.constant = kind != call_kind::param;
        for (uint32_t arg : args) c.constant = c.constant && g.calls[arg].constant;
        c.args = std::move(args);
        g.calls.push_back(std::move(c));
        return static_cast<uint32_t>(g.calls.size() - 1);
    }

    uint32_t add_dims(call_kind kind, uint32_t arg, std::vector<int64_t> dims) {
        call c = {};
        c.dims = std::move(dims);
        return add(kind, {arg}, g.calls[arg].dtype, std::move(c));
    }

    // In another memory order, if that can be done ahead of time.
    uint32_t ordered(call_kind kind, uint32_t arg) {
        return g.calls[arg].constant ? add(kind, {arg}, g.calls[arg].dtype) : arg;
    }

    uint32_t value(uint32_t node) {
        if (rows[node] == NONE)
            rows[node] = add_dims(call_kind::permute, planes[node], {0, 2, 3, 1});
        return rows[node];
    }

    uint32_t nchw(uint32_t node, mb_layout layout) {
        if (layout == MB_NCHW) return value(node);
        if (planes[node] == NONE)
            planes[node] = add_dims(call_kind::permute, rows[node], {0, 3, 1, 2});
        return planes[node];
    }

    void set_nchw(uint32_t node, mb_layout layout, uint32_t value) {
        (layout == MB_NCHW ? rows : planes)[node] = value;
    }

    // The bias merged into product or convolution `i`, of rank 1; NONE without.
    uint32_t bias(uint32_t i) {
        const uint32_t b = facts.bias_of[i];
        if (b == NONE) return NONE;
        const mb_type &type = facts.program.nodes[b].type;
        if (type.shape.rank == 1) return value(b);
        size_t count = 1;
        for (int32_t k = 0; k < type.shape.rank; k++)
            count *= static_cast<size_t>(type.shape.dim[k]);
        return add_dims(call_kind::reshape, value(b), {static_cast<int64_t>(count)});
    }

    uint32_t transposed(uint32_t matrix) { return add_dims(call_kind::permute, matrix, {1, 0}); }

    uint32_t product(uint32_t i) {
        const mb_node &n = facts.program.nodes[i];
        const uint32_t x = value(n.operand[0]), b = bias(i);
        uint32_t w = value(n.operand[1]);
        // The view that nn.Linear makes of its weight in every call is made once here. (As an
        // aten::linear, TorchScript's optimiser would put the weight back to (in, out).)
        if (has_style(facts, i) && style_.out_in.at(n_products++))
            w = transposed(ordered(call_kind::contiguous, transposed(w)));
        if (b == NONE) return add(call_kind::matmul, {x, w}, n.type.dtype);
        if (facts.program.nodes[n.operand[0]].type.shape.rank == 2)
            return add(call_kind::addmm, {b, x, w}, n.type.dtype);
        return add(call_kind::linear, {x, transposed(w), b}, n.type.dtype);
    }

    uint32_t convolution(uint32_t i) {
        const mb_node &n = facts.program.nodes[i];
        const mb_attr::mb_attr_conv &at = n.attr.conv;
        uint32_t x = nchw(n.operand[0], at.layout), w = value(n.operand[1]);
        const uint32_t b = bias(i);
        call c = {};
        c.stride = {at.stride[0], at.stride[1]};
        c.padding = {at.pad_before[0], at.pad_before[1]};
        if (at.pad_before[0] != at.pad_after[0] || at.pad_before[1] != at.pad_after[1]) {
            x = add_dims(call_kind::pad, x,
                         {at.pad_before[1], at.pad_after[1], at.pad_before[0], at.pad_after[0]});
            c.padding = {0, 0};
        }
        if (at.layout == MB_NHWC) w = add_dims(call_kind::permute, w, {3, 2, 0, 1});
        if (at.layout == MB_NHWC || style_.channels_last) w = ordered(call_kind::channels_last, w);
        std::vector<uint32_t> args = {x, w};
        if (b != NONE) args.push_back(b);
        return add(call_kind::conv2d, std::move(args), n.type.dtype, std::move(c));
    }

    uint32_t reduction(call_kind kind, const mb_node &n) {
        call c = {};
        c.keepdims = n.attr.reduce.keepdims;
        for (int32_t axis = 0; axis < MB_MAX_RANK; axis++)
            if (n.attr.reduce.axes >> axis & 1) c.dims.push_back(axis);
        return add(kind, {value(n.operand[0])}, n.type.dtype, std::move(c));
    }

    // PyTorch's takes one axis at a time; from the last one on, so that the others keep their
    // place.
    uint32_t products(const mb_node &n) {
        uint32_t y = value(n.operand[0]);
        for (int32_t axis = MB_MAX_RANK; axis-- > 0;) {
            if (!(n.attr.reduce.axes >> axis & 1)) continue;
            call c = {};
            c.keepdims = n.attr.reduce.keepdims;
            c.dims = {axis};
            y = add(call_kind::prod, {y}, n.type.dtype, std::move(c));
        }
        return y;
    }

    // PyTorch's steps are positive: what runs backwards is taken forwards and then reversed.
    uint32_t slice(const mb_node &n) {
        const mb_attr::mb_attr_slice &at = n.attr.slice;
        const int64_t last = at.start + (at.extent - 1) * at.step;
        const uint32_t x = value(n.operand[0]);
        if (at.step >= 0 || at.extent == 1)
            return add_dims(call_kind::slice, x,
                            {at.axis, at.start, last + 1, at.extent == 1 ? 1 : at.step});
        return add_dims(call_kind::flip,
                        add_dims(call_kind::slice, x, {at.axis, last, at.start + 1, -at.step}),
                        {at.axis});
    }

    // One call for a whole tree of pairs that nothing else reads: the pairs' own calls are then
    // dead.
    void pieces(uint32_t node, int32_t axis, bool inner, std::vector<uint32_t> &args) {
        const mb_node &n = facts.program.nodes[node];
        if (n.op == MB_OP_CONCAT && n.attr.axis.axis == axis && (!inner || facts.uses[node] == 1)) {
            pieces(n.operand[0], axis, true, args);
            pieces(n.operand[1], axis, true, args);
        } else {
            args.push_back(value(node));
        }
    }

    void concat(uint32_t i) {
        const mb_node &n = facts.program.nodes[i];
        std::vector<uint32_t> args;
        call c = {};
        c.dims = {n.attr.axis.axis};
        pieces(i, n.attr.axis.axis, false, args);
        rows[i] = add(call_kind::cat, std::move(args), n.type.dtype, std::move(c));
    }

    static int64_t product_of(const int64_t *dim, int32_t begin, int32_t end) {
        int64_t count = 1;
        for (int32_t i = begin; i < end; i++) count *= dim[i];
        return count;
    }

    uint32_t gather(const mb_node &n) {
        const mb_shape &x = facts.program.nodes[n.operand[0]].type.shape;
        const mb_shape &idx = facts.program.nodes[n.operand[1]].type.shape;
        const int32_t axis = n.attr.gather.axis, batch = n.attr.gather.batch;
        const int64_t picks = product_of(idx.dim, batch, idx.rank);
        uint32_t indices = value(n.operand[1]), y = value(n.operand[0]);
        call c = {};
        if (batch == 0) {
            if (idx.rank != 1) indices = add_dims(call_kind::reshape, indices, {picks});
            c.dims = {axis};
            y = add(call_kind::index_select, {y, indices}, n.type.dtype, std::move(c));
            return idx.rank == 1 ? y : add_dims(call_kind::reshape, y, dims_of(n.type.shape));
        }
        const int64_t batches = product_of(x.dim, 0, batch),
                      middle = product_of(x.dim, batch, axis);
        const int64_t inner = product_of(x.dim, axis + 1, x.rank);
        if (facts.program.nodes[n.operand[1]].type.dtype != MB_I64)
            indices = add(call_kind::to, {indices}, MB_I64);
        indices = add_dims(call_kind::reshape, indices, {batches, 1, picks, 1});
        indices = add_dims(call_kind::expand, indices, {batches, middle, picks, inner});
        y = add_dims(call_kind::reshape, y, {batches, middle, x.dim[axis], inner});
        c.dims = {2};
        y = add(call_kind::gather, {y, indices}, n.type.dtype, std::move(c));
        return add_dims(call_kind::reshape, y, dims_of(n.type.shape));
    }

    void node(uint32_t i) {
        const mb_program &program = facts.program;
        const mb_node &n = program.nodes[i];
        const uint32_t a = n.operand[0];
        const enum mb_dtype dtype = n.type.dtype;
        call c = {};
        if (facts.merged_into[i] != NONE) return;
        switch (n.op) {
        case MB_OP_PARAM:
            c.param = n.attr.param.index;
            c.dims = dims_of(n.type.shape);
            rows[i] = add(call_kind::param, {}, dtype, std::move(c));
            g.calls[rows[i]].constant = facts.constant[i];
            return;
        case MB_OP_FILL:
            c.value = n.attr.fill.value;
            c.dims = dims_of(n.type.shape);
            rows[i] = add(call_kind::full, {}, dtype, std::move(c));
            return;
        case MB_OP_DENSE:
            c.data = n.attr.dense.data;
            c.dims = dims_of(n.type.shape);
            rows[i] = add(call_kind::dense, {}, dtype, std::move(c));
            return;
        case MB_OP_RANGE:
        case MB_OP_EYE:
        case MB_OP_UNIFORM:
        case MB_OP_NORMAL:
            c.node = &n;
            c.dims = dims_of(n.type.shape);
            rows[i] = add(call_kind::computed, {}, dtype, std::move(c));
            return;
        case MB_OP_ADD:
            for (uint32_t k = 0; k < 2; k++) {
                const uint32_t from = n.operand[k];
                if (facts.merged_into[from] != i) continue;
                if (program.nodes[from].op == MB_OP_MATMUL)
                    rows[i] = product(from);
                else
                    set_nchw(i, program.nodes[from].attr.conv.layout, convolution(from));
                return;
            }
            [[fallthrough]];
        case MB_OP_SUB:
        case MB_OP_MUL:
        case MB_OP_DIV:
        case MB_OP_MAX:
        case MB_OP_MIN:
        case MB_OP_POW:
        case MB_OP_MOD:
        case MB_OP_LT:
        case MB_OP_LE:
        case MB_OP_GT:
        case MB_OP_GE:
        case MB_OP_EQ:
        case MB_OP_NE:
        case MB_OP_AND:
        case MB_OP_OR:
            c.op = n.op;
            rows[i] =
                add(call_kind::elementwise, {value(a), value(n.operand[1])}, dtype, std::move(c));
            return;
        case MB_OP_NEG:
        case MB_OP_ABS:
        case MB_OP_RELU:
        case MB_OP_SIGMOID:
        case MB_OP_TANH:
        case MB_OP_EXP:
        case MB_OP_LOG:
        case MB_OP_SQRT:
        case MB_OP_LOG2:
        case MB_OP_LOG10:
        case MB_OP_SIN:
        case MB_OP_COS:
        case MB_OP_FLOOR:
        case MB_OP_CEIL:
        case MB_OP_ROUND:
        case MB_OP_GELU:
        case MB_OP_NOT:
            c.op = n.op;
            if (planes[a] != NONE)
                planes[i] = add(call_kind::elementwise, {planes[a]}, dtype, std::move(c));
            else
                rows[i] = add(call_kind::elementwise, {value(a)}, dtype, std::move(c));
            return;
        case MB_OP_CAST:
            if (planes[a] != NONE)
                planes[i] = add(call_kind::to, {planes[a]}, dtype);
            else
                rows[i] = add(call_kind::to, {value(a)}, dtype);
            return;
        case MB_OP_SELECT:
            c.op = n.op;
            rows[i] =
                add(call_kind::elementwise, {value(a), value(n.operand[1]), value(n.operand[2])},
                    dtype, std::move(c));
            return;
        case MB_OP_MATMUL: rows[i] = product(i); return;
        case MB_OP_CONV2D: set_nchw(i, n.attr.conv.layout, convolution(i)); return;
        case MB_OP_MAXPOOL2D:
        case MB_OP_AVGPOOL2D:
            c.window = {n.attr.pool.kernel[0], n.attr.pool.kernel[1]};
            c.stride = {n.attr.pool.stride[0], n.attr.pool.stride[1]};
            set_nchw(i, n.attr.pool.layout,
                     add(n.op == MB_OP_MAXPOOL2D ? call_kind::max_pool2d : call_kind::avg_pool2d,
                         {nchw(a, n.attr.pool.layout)}, dtype, std::move(c)));
            return;
        case MB_OP_SUM: rows[i] = reduction(call_kind::sum, n); return;
        case MB_OP_MEAN: rows[i] = reduction(call_kind::mean, n); return;
        case MB_OP_REDUCE_MAX: rows[i] = reduction(call_kind::amax, n); return;
        case MB_OP_REDUCE_MIN: rows[i] = reduction(call_kind::amin, n); return;
        case MB_OP_PROD: rows[i] = products(n); return;
        case MB_OP_ARGMAX:
            c.dims = {n.attr.axis.axis};
            rows[i] = add(call_kind::argmax, {value(a)}, MB_I64, std::move(c));
            rows[i] = add(call_kind::to, {rows[i]}, dtype);
            return;
        case MB_OP_SOFTMAX:
            rows[i] = add_dims(call_kind::softmax, value(a), {n.attr.axis.axis});
            return;
        case MB_OP_LOG_SOFTMAX:
            rows[i] = add_dims(call_kind::log_softmax, value(a), {n.attr.axis.axis});
            return;
        case MB_OP_RESHAPE:
            rows[i] = add_dims(call_kind::reshape, value(a), dims_of(n.type.shape));
            return;
        case MB_OP_TRANSPOSE:
            rows[i] = add_dims(call_kind::permute, value(a),
                               {n.attr.perm.perm, n.attr.perm.perm + n.type.shape.rank});
            return;
        case MB_OP_SLICE: rows[i] = slice(n); return;
        case MB_OP_CONCAT: concat(i); return;
        case MB_OP_GATHER: rows[i] = gather(n); return;
        case MB_OP_COUNT: return;
        }
    }

    static bool is_view(call_kind kind) {
        return kind == call_kind::reshape || kind == call_kind::permute ||
               kind == call_kind::slice || kind == call_kind::expand || kind == call_kind::to;
    }

    static bool owns_result(call_kind kind) {
        return kind == call_kind::elementwise || kind == call_kind::linear ||
               kind == call_kind::addmm || kind == call_kind::matmul || kind == call_kind::conv2d;
    }

    // Liveness: which calls count, where values end, and where ReLU may overwrite its argument (as
    // nn.ReLU(inplace=True) does).
    void mark() {
        std::vector<uint32_t> last(g.calls.size(), NONE), uses(g.calls.size());
        std::vector<bool> given(g.calls.size()); // is an output or has one that views it
        for (uint32_t input : g.inputs) g.calls[input].live = true;
        for (uint32_t output : g.outputs) {
            g.calls[output].live = true;
            uses[output]++;
            uint32_t from = output;
            while (is_view(g.calls[from].kind)) from = g.calls[from].args[0];
            g.output_is_view.push_back(g.calls[from].constant ||
                                       g.calls[from].kind == call_kind::param || given[from]);
            given[from] = true;
        }
        for (uint32_t i = static_cast<uint32_t>(g.calls.size()); i-- > 0;) {
            if (!g.calls[i].live) continue;
            for (uint32_t arg : g.calls[i].args) {
                g.calls[arg].live = true;
                if (uses[arg]++ == 0) last[arg] = i;
            }
        }
        for (uint32_t i = 0; i < g.calls.size(); i++)
            if (last[i] != NONE && !g.calls[i].constant) g.calls[last[i]].dies.push_back(i);
        for (call &c : g.calls)
            c.in_place = c.kind == call_kind::elementwise && c.op == MB_OP_RELU && !c.constant &&
                         uses[c.args[0]] == 1 && owns_result(g.calls[c.args[0]].kind);
    }
};

} // namespace

std::vector<product> find_products(const mb_program &program) {
    const analysis facts(program);
    std::vector<product> products;
    // In the order in which builder comes to them: a merged one at its addition.
    for (uint32_t i = 0; i < program.n_nodes; i++) {
        uint32_t from = facts.merged_into[i] == NONE ? i : NONE;
        if (program.nodes[i].op == MB_OP_ADD)
            for (uint32_t operand : program.nodes[i].operand)
                if (facts.merged_into[operand] == i) from = operand;
        if (from == NONE || !has_style(facts, from)) continue;
        const mb_node &n = program.nodes[from];
        const mb_shape &w = program.nodes[n.operand[1]].type.shape;
        products.push_back({n.type.dtype, dims_of(program.nodes[n.operand[0]].type.shape), w.dim[0],
                            w.dim[1], facts.bias_of[from] != NONE});
    }
    return products;
}

bool has_nchw_convolution(const mb_program &program) {
    return std::any_of(program.nodes, program.nodes + program.n_nodes, [](const mb_node &n) {
        return n.op == MB_OP_CONV2D && n.attr.conv.layout == MB_NCHW;
    });
}

graph make_graph(const mb_program &program, const style &style) {
    return builder(program, style).build();
}

} // namespace mb_torch
