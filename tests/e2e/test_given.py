"""--weights and --input: real data instead of made-up data, and every way it can be wrong."""

import json
import math
import struct

import pytest

from conftest import one_error

RUN = ("run", "-d", "cpu", "--samples", 2, "--warmup", 0, "--json", "out.json")
SHAPES = {"x": (3, 5), "w": (5, 4), "b": (4,)}  # of conftest's tiny.mind


def values(name, scale=1.0):
    return [scale * math.sin(1 + i + len(name)) for i in range(math.prod(SHAPES[name]))]


def npy(path, data, shape, descr="<f4", fortran=False, version=1):
    """A .npy file written by hand."""
    header = f"{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape!r}, }}\n".encode()
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    code = {"<f4": "f", "<f8": "d", "<i4": "i"}.get(descr, "f")
    path.write_bytes(b"\x93NUMPY" + bytes([version, 0]) + length + header
                     + struct.pack(f"<{len(data)}{code}", *data))


def safetensors(path, tensors, cut=0, **changes):
    """A safetensors file written by hand, of tensors of tiny.mind; changes replace entries of the
    header."""
    write_weights(path, {name: (data, SHAPES[name]) for name, data in tensors.items()}, cut, changes)


def write_weights(path, tensors, cut=0, changes={}):
    header, blob = {"__metadata__": {"format": "pt"}}, b""
    for name, (data, shape) in tensors.items():
        raw = struct.pack(f"<{len(data)}f", *data)
        header[name] = {"dtype": "F32", "shape": shape,
                        "data_offsets": [len(blob), len(blob) + len(raw)]}
        blob += raw
    header.update(changes)
    text = json.dumps(header).encode()
    whole = struct.pack("<Q", len(text)) + text + blob
    path.write_bytes(whole[:len(whole) - cut])


@pytest.mark.parametrize("version", [1, 2, 3])
def test_given_data_reach_every_executor(fake, version):
    # the reference computes from the given data, so whoever agrees with it had them too
    npy(fake.folder / "x.npy", values("x", 1e3), SHAPES["x"], version=version)
    safetensors(fake.folder / "w.safetensors", {"w": values("w"), "b": values("b")})
    done = fake(*RUN, "--input", "x=x.npy", "--weights", "w.safetensors", "tiny.mind")
    assert done.returncode == 0, done.stderr
    given = fake.result()["benchmarks"]["tiny"]["executors"]
    made_up = fake(*RUN, "tiny.mind") and fake.result()["benchmarks"]["tiny"]["executors"]
    assert all(row["result_validity"] == "VALID" for row in given.values())
    # and the data were these: outputs a thousand times larger have absolute errors to match
    assert given["mind"]["max_abs_error"] > 20 * made_up["mind"]["max_abs_error"]


def test_an_input_may_be_a_weight(bare):
    npy(bare.folder / "w.npy", values("w"), SHAPES["w"])
    done = bare(*RUN, "--executors", "mind", "--input", "w=w.npy", "tiny.mind")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("write, text", [
    (lambda p: p.write_bytes(b"not numpy"), "not a .npy file"),
    (lambda p: p.write_bytes(b""), "not a .npy file"),
    (lambda p: npy(p, values("x"), (5, 3)), "holds tensor<f32[5, 3]>, the program wants tensor<f32[3, 5]>"),
    (lambda p: npy(p, values("x"), SHAPES["x"], descr="<f8"), "holds tensor<f64[3, 5]>"),
    (lambda p: npy(p, values("x"), SHAPES["x"], descr=">f4"), "little-endian"),
    (lambda p: npy(p, values("x"), SHAPES["x"], fortran=True), "Fortran"),
    (lambda p: npy(p, values("x")[:-1], SHAPES["x"]), "4 bytes of elements are missing"),
    (lambda p: npy(p, values("x"), (10**30, 5)), "not an array"),
    (lambda p: p.write_bytes(b"\x93NUMPY\x01\x00\xff\xff{"), "not a .npy file"),
    (lambda p: None, "No such file"),
])
def test_bad_npy(bare, write, text):
    write(bare.folder / "x.npy")
    error = one_error(bare(*RUN, "--input", "x=x.npy", "tiny.mind"), 4)
    assert text in error and not (bare.folder / "out.json").exists()


@pytest.mark.parametrize("write, text", [
    (lambda p: safetensors(p, {"w": values("w")}), "has no tensor b"),
    (lambda p: safetensors(p, {"w": values("w"), "b": values("b")}, cut=1), "outside of the file"),
    (lambda p: safetensors(p, {"w": values("w"), "b": values("b")},
                           b={"dtype": "F32", "shape": [4], "data_offsets": [2**62, 2**62 + 16]}),
     "outside of the file"),
    (lambda p: safetensors(p, {"w": values("w"), "b": values("b")},
                           b={"dtype": "F32", "shape": [-4], "data_offsets": [0, 16]}), "b is not of"),
    (lambda p: safetensors(p, {"w": values("w"), "b": values("b")},
                           b={"dtype": "BF16", "shape": [4], "data_offsets": [0, 16]}), "b is not of"),
    (lambda p: safetensors(p, {"w": values("w"), "b": values("b")},
                           b={"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}),
     "b is tensor<f32[2, 2]>, the program wants tensor<f32[4]>"),
    (lambda p: p.write_bytes(struct.pack("<Q", 2**60) + b"{}"), "header does not fit"),
    (lambda p: p.write_bytes(struct.pack("<Q", 2) + b"[]"), "no JSON object"),
    (lambda p: p.write_bytes(struct.pack("<Q", 3) + b"{{{"), "no JSON object"),
    (lambda p: p.write_bytes(b"abc"), "header does not fit"),
    (lambda p: None, "No such file"),
])
def test_bad_safetensors(bare, write, text):
    write(bare.folder / "w.safetensors")
    error = one_error(bare(*RUN, "--weights", "w.safetensors", "tiny.mind"), 4)
    assert text in error and not (bare.folder / "out.json").exists()


def test_input_of_no_parameter(bare):
    npy(bare.folder / "x.npy", values("x"), SHAPES["x"])
    assert "no such parameter" in one_error(bare(*RUN, "--input", "y=x.npy", "tiny.mind"), 4)
    assert "NAME=FILE.npy" in one_error(bare(*RUN, "--input", "x.npy", "tiny.mind"), 4)


STRUCTS = """struct Layer { w: tensor<f32[k, m]>, b: tensor<f32[m]> }
struct Out { y: tensor<f32[n, m]>, sum: tensor<f32[n]> }
pub fn main(x: tensor<f32[n, k]>, layer: Layer, scales: (f32, tensor<f32[n, 1]>)) -> Out {
    let y = (x @ layer.w + layer.b) * scales.0 + scales.1
    Out { y: y, sum: sum(y, 1) }
}
"""
BOUND = ("--bind", "n=3", "--bind", "k=5", "--bind", "m=4")


@pytest.mark.parametrize("plugin", ["fake", "torch"])
def test_structs_and_tuples_are_tensors_with_names(plugin, request):
    bench = request.getfixturevalue(plugin)
    (bench.folder / "structs.mind").write_text(STRUCTS)
    npy(bench.folder / "scale.npy", values("b")[:3], (3, 1))
    whole = {"layer.w": (values("w"), [5, 4]), "layer.b": (values("b"), [4]), "scales.0": ([0.5], [])}
    write_weights(bench.folder / "structs.safetensors", whole)
    done = bench(*RUN, *BOUND, "--weights", "structs.safetensors", "--input", "scales.1=scale.npy",
                 "structs.mind")
    assert done.returncode == 0, done.stderr
    rows = bench.result()["benchmarks"]["structs"]["executors"]
    assert {"mind", "torch-eager", "torch-jit"} <= set(rows)
    assert {row["result_validity"] for row in rows.values()} == {"VALID"}
    del whole["layer.b"]
    write_weights(bench.folder / "structs.safetensors", whole)
    done = bench(*RUN, *BOUND, "--weights", "structs.safetensors", "structs.mind")
    assert "layer.b" in one_error(done, 4)
