"""Executors written in Python: their protocol, what is missing, and how they may end.

The packages themselves are optional (scripts/setup peers); without them a package of the same name
stands in for the ways to fail, and the real races are skipped."""

import importlib.util
import sys

import pytest

from conftest import SOURCE

RUN = ("run", "-d", "cpu", "--samples", 3, "--warmup", 1, "--json", "out.json", "--executors")
NUMPY = importlib.util.find_spec("numpy") is not None

# Every operation that has a translation, in both layouts.
OPERATIONS = """pub fn main(x: tensor<f32[2, 6, 9, 8]>, w: tensor<f32[4, 6, 3, 3]>, v: tensor<f32[3, 3, 4, 6]>,
                       s: tensor<f32[18, 5]>) -> tensor<f32[2, 5]> {
    let a = maxpool2d(relu(conv2d(x, w, [1, 1], "same")), [2, 2], [2, 1]);
    let b = transpose(a, [0, 2, 3, 1]);
    let c = conv2d(b, v, [1, 2], "valid", "nhwc");
    let d = avgpool2d(tanh(c) * 2.0 - sigmoid(c), [2, 1], [1, 1], "nhwc");
    let e = matmul(reshape(gelu(d), [2, 18]) , s);
    let f = softmax(e, 1) + exp(neg(abs(e))) / (sqrt(abs(e)) + 1.0);
    return max(f, mean(f, [1], true)) + min(f, log(sum(abs(e), [0]) + 1.0));
}
"""


@pytest.fixture
def peers(bare):
    """The scripts beside a copy of the program, and this Python to run them."""
    (bare.bin / "peers").symlink_to(SOURCE / "scripts" / "peers")
    return bare


def reason(bench, name):
    """Why a row of tiny.mind has no time, or none that counts."""
    found = row(bench, name)
    return found.get("reason") or found["result_invalid_reason"]


def row(bench, name, benchmark="tiny"):
    return bench.result()["benchmarks"][benchmark]["executors"][name]


def stand_in(bench, text):
    """A folder with an onnxruntime of ours, and the environment that finds it first."""
    folder = bench.folder / "packages"
    folder.mkdir()
    (folder / "onnxruntime.py").write_text(text)
    return {"MINDBENCH_PYTHON": sys.executable, "PYTHONPATH": str(folder)}


def test_scripts_missing(bare):
    done = bare(*RUN, "mind,openvino", "tiny.mind")
    assert done.returncode == 0
    assert "peers/openvino_peer.py is not beside the program" in reason(bare, "openvino")


def test_doctor_and_list_name_them(bare, peers):
    assert "openvino       cpu   ready if Python has its packages" in peers("doctor").stdout
    assert "openvino       cpu" in peers("list", "executors").stdout


def test_no_python(peers):
    done = peers(*RUN, "mind,openvino", "tiny.mind", env={"MINDBENCH_PYTHON": "/no/python"})
    assert done.returncode == 3
    assert "cannot start a worker process: No such file" in reason(peers, "openvino")
    assert row(peers, "mind")["result_validity"] == "VALID"


def test_a_trace_says_that_scripts_tell_nothing(peers):
    done = peers("run", "-d", "cpu", "--profile", "--trace", "out.json", "--executors",
                 "mind,openvino", "tiny.mind", env={"MINDBENCH_PYTHON": sys.executable})
    assert ("Warn: the trace lacks phases of openvino: its process is a script, which tells none"
            in done.stderr.splitlines())


@pytest.mark.skipif(not NUMPY, reason="NumPy is not installed")
@pytest.mark.parametrize("text, status, why", [
    ("raise ModuleNotFoundError(\"No module named 'onnxruntime'\")",
     0, "No module named 'onnxruntime'; run scripts/setup peers"),
    ("raise RuntimeError('the library says\\nmore')", 3, "RuntimeError: the library says"),
    ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 3, "worker killed by signal 9 (SIGKILL)"),
    ("import os; os._exit(3)", 3, "worker exited with status 3"),
])
def test_a_peer_that_fails(peers, text, status, why):
    done = peers(*RUN, "mind,onnxruntime", "tiny.mind", env=stand_in(peers, text))
    assert done.returncode == status, done.stderr
    assert reason(peers, "onnxruntime") == why
    assert row(peers, "mind")["result_validity"] == "VALID"


@pytest.mark.skipif(not NUMPY, reason="NumPy is not installed")
def test_a_peer_that_hangs(peers):
    done = peers(*RUN, "mind,onnxruntime", "--timeout", 3, "tiny.mind",
                 env=stand_in(peers, "import time; time.sleep(1000)"))
    assert done.returncode == 3
    # ended by the watchdog, or by the end of the whole run, whichever comes first
    assert reason(peers, "onnxruntime") in ("worker ended: no answer within the time limit",
                                            "cut short by --timeout")


@pytest.mark.parametrize("name, package", [("onnxruntime", "onnxruntime"), ("openvino", "openvino")])
def test_right_answers(peers, name, package):
    for module in ("numpy", "onnx", package):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed; scripts/setup peers")
    (peers.folder / "operations.mind").write_text(OPERATIONS)
    done = peers(*RUN, f"mind,{name}", "tiny.mind", "operations.mind", "conv2d_inference",
                 env={"MINDBENCH_PYTHON": sys.executable})
    assert done.returncode == 0, done.stderr
    for benchmark in ("tiny", "operations", "conv2d_inference"):
        result = row(peers, name, benchmark)
        assert result["result_validity"] == "VALID", result
        assert result["math_mode"].startswith("fp32")
        assert len(result["samples_us"]) == 3
