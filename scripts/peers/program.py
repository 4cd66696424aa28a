"""A program as `mindbench compile --emit ir` prints it, read back for the peers."""

import re
from dataclasses import dataclass, field

import numpy as np

DTYPES = {"f32": np.float32, "f64": np.float64, "i32": np.int32, "i64": np.int64, "bool": np.bool_}


@dataclass
class Node:
    id: int
    op: str
    operands: list
    attrs: dict = field(default_factory=dict)  # strides=(1, 1) and the like, as Python values


@dataclass
class Param:
    id: int
    name: str
    dtype: type
    shape: tuple
    is_weight: bool = False


@dataclass
class Program:
    params: list
    nodes: list  # without the params, in order
    outputs: list  # ids


def _shape(text):
    return tuple(int(d) for d in re.findall(r"\d+", text))


def _value(text):
    if text[0] in "([":
        return [_value(part) for part in re.findall(r"\([^()]*\)|[^\s,()\[\]]+", text[1:-1])]
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    return {"true": True, "false": False}.get(text, text)


def _attributes(text):
    attrs = {}
    for key, value in re.findall(r"(\w+)=(\w*\((?:[^()]|\([^()]*\))*\)|\[[^\]]*\]|[^\s,]+)", text):
        custom = re.fullmatch(r"(\w+)(\(.*\))", value)
        if custom:
            attrs[key], attrs[key + "_values"] = custom[1], _value(custom[2])
        else:
            attrs[key] = _value(value)
    return attrs


def parse(text):
    """The program of an IR text; raises ValueError on a line of another form."""
    program = Program([], [], [])
    for line in text.splitlines():
        line = line.strip()
        if found := re.fullmatch(r"output %(\d+)", line):
            program.outputs.append(int(found[1]))
        elif found := re.fullmatch(r"%(\d+) = input (\S+) : (?:tensor<)?(\w+)(\[[^\]]*\])?>?", line):
            shape = _shape(found[4] or "")
            program.params.append(Param(int(found[1]), found[2], DTYPES[found[3]], shape))
        elif found := re.fullmatch(r"%(\d+) = const\.(\w+) (\S+)", line):
            value = _constant(found[3], DTYPES[found[2]], ())
            program.nodes.append(Node(int(found[1]), "const", [], {"value": value}))
        elif found := re.fullmatch(r"%(\d+) = (const\.\w+) (\w+) (\[[^\]]*\]) (.*)", line):
            dtype, shape = DTYPES[found[3].lower()], _shape(found[4])
            program.nodes.append(Node(int(found[1]), "const", [], {"value": _constant(found[5], dtype, shape)}))
        elif found := re.fullmatch(r"%(\d+) = ([\w.]+)((?:,? %\d+)*)(.*)", line):
            operands = [int(i) for i in re.findall(r"%(\d+)", found[3])]
            attrs = _attributes(found[4])
            if found[2] == "reshape":
                attrs["shape"] = _shape(found[4])
            program.nodes.append(Node(int(found[1]), found[2], operands, attrs))
        elif line and line != "module {" and not line.startswith("}"):
            raise ValueError(f"cannot read the IR line: {line}")
    return program


def _constant(text, dtype, shape):
    if found := re.fullmatch(r"fill=Some\((.*)\)", text):
        return np.full(shape, float(found[1]), dtype)
    words = text.strip("[]").split(", ")
    if dtype is np.bool_:
        return np.array([word == "true" for word in words], dtype).reshape(shape)
    return np.array([float(word) if dtype in (np.float32, np.float64) else int(word) for word in words],
                    dtype).reshape(shape)
