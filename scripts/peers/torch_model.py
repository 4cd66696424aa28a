"""A program as a PyTorch module, as its user would have written it, for the peers that compile one."""

import torch
import torch.nn.functional as F

from peer import Unsupported

UNARY = {"neg": torch.neg, "abs": torch.abs, "relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh,
         "exp": torch.exp, "log": torch.log, "log2": torch.log2, "log10": torch.log10, "sqrt": torch.sqrt,
         "sin": torch.sin, "cos": torch.cos, "floor": torch.floor, "ceil": torch.ceil, "round": torch.round,
         "gelu": F.gelu, "select": torch.where}
BINARY = {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "pow": torch.pow, "max": torch.maximum,
          "min": torch.minimum}
REDUCTIONS = {"sum": torch.sum, "mean": torch.mean}


def _nchw(x):
    return x.permute(0, 3, 1, 2)


def _nhwc(x):
    return x.permute(0, 2, 3, 1)


def _same(size, window, stride):
    """Zeros before and behind one axis, as MIND's "same" has them."""
    total = max((-(-size // stride) - 1) * stride + window - size, 0)
    return total // 2, total - total // 2


def _padding(node, x, w):
    """(top, bottom), (left, right) of a convolution in NCHW."""
    kind = node.attrs["padding"]
    if kind == "custom":
        return node.attrs["padding_values"]
    if kind == "valid":
        return (0, 0), (0, 0)
    return tuple(_same(x.shape[2 + i], w.shape[2 + i], node.attrs["strides"][i]) for i in range(2))


def _conv2d(node, x, w, bias=None):
    nchw = node.attrs["layout"] == "nchw"
    if not nchw:
        x, w = _nchw(x), w.permute(3, 2, 0, 1)
    (top, bottom), (left, right) = _padding(node, x, w)
    if (top, left) != (bottom, right):
        x, top, left = F.pad(x, (left, right, top, bottom)), 0, 0
    y = F.conv2d(x, w, bias, tuple(node.attrs["strides"]), (top, left))
    return y if nchw else _nhwc(y)


def _pool(node, x, pool):
    window, strides = tuple(node.attrs["kernel"]), tuple(node.attrs["strides"])
    return pool(x, window, strides) if node.attrs["layout"] == "nchw" else _nhwc(pool(_nchw(x), window, strides))


def _reduction(node, x):
    axes, keep = node.attrs["axes"], node.attrs["keepdims"]
    return REDUCTIONS[node.op](x, list(axes) or list(range(x.dim())), keepdim=bool(keep))


def _divide(a, b):
    return torch.div(a, b, rounding_mode=None if a.is_floating_point() else "trunc")


OTHERS = {
    "maxpool2d": lambda node, x: _pool(node, x, F.max_pool2d),
    "avgpool2d": lambda node, x: _pool(node, x, F.avg_pool2d),
    "reshape": lambda node, x: x.reshape(node.attrs["shape"]),
    "transpose": lambda node, x: x.permute(tuple(node.attrs["perm"])),
    "softmax": lambda node, x: torch.softmax(x, node.attrs["axis"]),
    "log_softmax": lambda node, x: torch.log_softmax(x, node.attrs["axis"]),
    "div": lambda node, a, b: _divide(a, b),
} | {name: _reduction for name in REDUCTIONS}


def check(program):
    """Raises Unsupported for a program with an operation that has no translation."""
    for node in program.nodes:
        if not any(node.op in known for known in (UNARY, BINARY, OTHERS, ("const", "matmul", "conv2d"))):
            raise Unsupported(f"no translation to a PyTorch module for {node.op}")


class Biases:
    """Sums that a PyTorch user writes as the bias of a product or a convolution: of each such `add` its
    product and its bias, and the nodes that are part of one."""

    def __init__(self, program):
        self.of, self.inside = {}, set()
        nodes = {node.id: node for node in program.nodes}
        vectors = {param.id for param in program.params if param.is_weight and len(param.shape) == 1}
        uses = [i for node in program.nodes for i in node.operands] + program.outputs
        for node in program.nodes:
            if node.op != "add":
                continue
            for product, bias in (node.operands, node.operands[::-1]):
                vector = self._vector(nodes, vectors, nodes.get(product), bias)
                if vector is not None and uses.count(product) == 1:
                    self.of[node.id] = (nodes[product], vector)
                    self.inside.add(product)
                    break

    @staticmethod
    def _vector(nodes, vectors, product, bias):
        """The rank-1 weight that `bias` is, shaped as the product's bias; else None."""
        if product is None or product.op not in ("matmul", "conv2d"):
            return None
        channels_first = product.op == "conv2d" and product.attrs["layout"] == "nchw"
        if not channels_first:
            return bias if bias in vectors else None
        shaped = nodes.get(bias)
        if shaped is None or shaped.op != "reshape" or shaped.operands[0] not in vectors:
            return None
        ones = [extent for axis, extent in enumerate(shaped.attrs["shape"]) if axis != 1]
        return shaped.operands[0] if ones == [1, 1, 1] else None


class Model(torch.nn.Module):
    """forward(*inputs) -> tuple of outputs; weights and constants are its buffers, those of products as
    nn.Linear has them, (out, in)."""

    def __init__(self, program, values):
        super().__init__()
        check(program)
        self.program, self.biases = program, Biases(program)
        self.inputs = [param.id for param in program.params if not param.is_weight]
        self.constants = [param.id for param in program.params if param.is_weight]
        ranks = {param.id: len(param.shape) for param in program.params if param.is_weight}
        products = {node.operands[1] for node in program.nodes if node.op == "matmul"}
        others = {i for node in program.nodes for at, i in enumerate(node.operands)
                  if node.op != "matmul" or at == 0}
        self.linear = {i for i in products - others if ranks.get(i) == 2}
        for i in self.constants:
            weight = torch.from_numpy(values[i].copy())
            self.register_buffer(f"w{i}", weight.t().contiguous() if i in self.linear else weight)
        for node in program.nodes:
            if node.op == "const":
                self.constants.append(node.id)
                self.register_buffer(f"w{node.id}", torch.from_numpy(node.attrs["value"]))

    def product(self, node, v, bias=None):
        x, w = (v[i] for i in node.operands)
        if node.op == "conv2d":
            return _conv2d(node, x, w, bias)
        if node.operands[1] in self.linear:
            return F.linear(x, w, bias)
        return torch.matmul(x, w) if bias is None else torch.matmul(x, w) + bias

    def forward(self, *inputs):
        v = dict(zip(self.inputs, inputs)) | {i: getattr(self, f"w{i}") for i in self.constants}
        for node in self.program.nodes:
            if node.op == "const" or node.id in self.biases.inside:
                continue
            if node.id in self.biases.of:
                product, bias = self.biases.of[node.id]
                v[node.id] = self.product(product, v, v[bias])
            elif node.op in ("matmul", "conv2d"):
                v[node.id] = self.product(node, v)
            elif node.op in OTHERS:
                v[node.id] = OTHERS[node.op](node, *(v[i] for i in node.operands))
            else:
                v[node.id] = (UNARY.get(node.op) or BINARY[node.op])(*(v[i] for i in node.operands))
        return tuple(v[i].contiguous() for i in self.program.outputs)
