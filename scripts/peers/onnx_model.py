"""A program as an ONNX model, for the peers that read one."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from peer import Unsupported

OPSET = 17
SAME_NAME = {"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "max": "Max", "min": "Min", "neg": "Neg",
             "abs": "Abs", "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "exp": "Exp", "log": "Log",
             "sqrt": "Sqrt", "matmul": "MatMul"}
REDUCTIONS = {"sum": "ReduceSum", "mean": "ReduceMean"}


class Builder:
    def __init__(self, program, values):
        self.nodes, self.initializers, self.shapes = [], [], {}
        self.program, self.values = program, values

    def constant(self, array):
        name = f"constant_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def add(self, op, inputs, output=None, **attributes):
        output = output or f"value_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    # ---- operations that are more than another name ----

    def window(self, node, op, inputs, output, **attributes):
        """conv2d and pooling; ONNX knows images as NCHW and filters as OIHW only."""
        attributes["strides"] = node.attrs["strides"]
        if node.attrs["layout"] == "nchw":
            self.add(op, inputs, output, **attributes)
            return
        inputs = [self.add("Transpose", inputs[:1], perm=[0, 3, 1, 2])] + \
                 [self.add("Transpose", [w], perm=[3, 2, 0, 1]) for w in inputs[1:]]
        self.add("Transpose", [self.add(op, inputs, **attributes)], output, perm=[0, 2, 3, 1])

    def conv2d(self, node, inputs, output):
        padding = node.attrs["padding"]
        if padding == "custom":
            (top, bottom), (left, right) = node.attrs["padding_values"]
            self.window(node, "Conv", inputs, output, pads=[top, left, bottom, right])
        else:
            self.window(node, "Conv", inputs, output, auto_pad={"same": "SAME_UPPER", "valid": "VALID"}[padding])

    def maxpool2d(self, node, inputs, output):
        self.window(node, "MaxPool", inputs, output, kernel_shape=node.attrs["kernel"])

    def avgpool2d(self, node, inputs, output):
        self.window(node, "AveragePool", inputs, output, kernel_shape=node.attrs["kernel"])

    def gelu(self, node, inputs, output):
        x = inputs[0]
        half, one = self.constant(np.float32(0.5)), self.constant(np.float32(1))
        erf = self.add("Erf", [self.add("Mul", [x, self.constant(np.float32(0.5**0.5))])])
        self.add("Mul", [self.add("Mul", [x, half]), self.add("Add", [erf, one])], output)

    def reshape(self, node, inputs, output):
        self.add("Reshape", [inputs[0], self.constant(np.array(node.attrs["shape"], np.int64))], output)

    def transpose(self, node, inputs, output):
        self.add("Transpose", inputs, output, perm=node.attrs["perm"])

    def softmax(self, node, inputs, output):
        self.add("Softmax", inputs, output, axis=node.attrs["axis"])

    def reduction(self, node, inputs, output):
        op, axes, keep = REDUCTIONS[node.op], node.attrs["axes"], int(node.attrs["keepdims"])
        if op == "ReduceSum":  # the one whose axes are an input in this opset
            inputs = inputs + ([self.constant(np.array(axes, np.int64))] if axes else [])
            self.add(op, inputs, output, keepdims=keep)
        else:
            self.add(op, inputs, output, keepdims=keep, **({"axes": axes} if axes else {}))

    OTHERS = {"conv2d": conv2d, "maxpool2d": maxpool2d, "avgpool2d": avgpool2d, "gelu": gelu,
              "reshape": reshape, "transpose": transpose, "softmax": softmax}

    # ---- the whole ----

    def model(self):
        names, graph_inputs = {}, []
        for param in self.program.params:
            names[param.id] = f"p{param.id}"
            if param.is_weight:
                array = np.array(self.values[param.id])  # a copy: it is borrowed
                self.initializers.append(numpy_helper.from_array(array, names[param.id]))
            else:
                kind = helper.np_dtype_to_tensor_dtype(np.dtype(param.dtype))
                graph_inputs.append(helper.make_tensor_value_info(names[param.id], kind, param.shape))
        for node in self.program.nodes:
            inputs, output = [names[i] for i in node.operands], f"v{node.id}"
            if node.op == "const":
                output = self.constant(node.attrs["value"])
            elif node.op in SAME_NAME:
                self.add(SAME_NAME[node.op], inputs, output)
            elif node.op in REDUCTIONS:
                self.reduction(node, inputs, output)
            elif node.op in self.OTHERS:
                self.OTHERS[node.op](self, node, inputs, output)
            else:
                raise Unsupported(f"no translation to ONNX for {node.op}")
            names[node.id] = output
        outputs = []
        for i, value in enumerate(self.program.outputs):
            self.add("Identity", [names[value]], f"output_{i}")
            outputs.append(helper.make_empty_tensor_value_info(f"output_{i}"))
        graph = helper.make_graph(self.nodes, "mindbench", graph_inputs, outputs, self.initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def build(program, values):
    """The model of a program, its weights as constants; inputs p<id>, outputs output_<index>."""
    return Builder(program, values).model()


def numpy_type(serialized, output):
    """Element type of an output of a serialised model."""
    for info in onnx.load_from_string(serialized).graph.output:
        if info.name == output:
            return helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type)
    raise KeyError(output)
