"""Executors written in Python: their protocol, what is missing, and how they may end.

The packages themselves are optional (scripts/setup peers); without them a package of the same name
stands in for the ways to fail, and the real races are skipped."""

import importlib.util
import shutil
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


def stand_in(bench, text, package="onnxruntime"):
    """A folder with a package of ours, and the environment that finds it first."""
    folder = bench.folder / "packages"
    folder.mkdir()
    (folder / f"{package}.py").write_text(text)
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


# ---- PyTorch's compilers ----

FAILURES = [
    ("raise ImportError('libsomething.so.0: cannot open shared object file\\nmore')", 0,
     "libsomething.so.0: cannot open shared object file; run scripts/setup peers"),
    ("raise RuntimeError('the compiler says\\nmore')", 3, "RuntimeError: the compiler says"),
    ("import os; os._exit(3)", 3, "worker exited with status 3"),
]


@pytest.fixture
def compilers(fake):
    """The scripts, and a plugin that would take a package."""
    (fake.bin / "peers").symlink_to(SOURCE / "scripts" / "peers")
    return fake


@pytest.mark.skipif(not NUMPY, reason="NumPy is not installed")
@pytest.mark.parametrize("name", ["torch-compile", "torch-aoti"])
@pytest.mark.parametrize("text, status, why", FAILURES)
def test_a_compiler_that_fails(compilers, name, text, status, why):
    done = compilers(*RUN, f"mind,{name}", "--cold-starts", 3, "tiny.mind",
                     env=stand_in(compilers, text, "torch"))
    assert done.returncode == status, done.stderr
    assert reason(compilers, name) == why
    assert row(compilers, "mind")["result_validity"] == "VALID"
    benchmark = compilers.result()["benchmarks"]["tiny"]
    starts = benchmark["cold_starts"]["rows"]
    for state in ("first", "later"):
        assert starts[f"{name} ({state} start)"]["reason"] == why
        assert len(starts[f"mind ({state} start)"]["starts"]) == 3
        assert benchmark["total_time"]["rows"][f"{name} ({state} start)"]["reason"] == why
    assert {pair["reason"] for pair in benchmark["break_even"]["pairs"]} == {why}


@pytest.mark.skipif(not NUMPY, reason="NumPy is not installed")
def test_a_compiler_that_hangs(compilers):
    done = compilers(*RUN, "mind,torch-aoti", "--timeout", 3, "tiny.mind",
                     env=stand_in(compilers, "import time; time.sleep(1000)", "torch"))
    assert done.returncode == 3
    assert reason(compilers, "torch-aoti") in ("worker ended: no answer within the time limit",
                                               "cut short by --timeout")


BUILDER = """import os, pathlib
from peer import Runner

def build(job):
    package = pathlib.Path(os.environ["XDG_CACHE_HOME"], "package")
    package.write_text("")
    return Runner(run=lambda: None, outputs=[], precision="fp32", math_mode="fp32", library="", text=str(package))
"""


@pytest.mark.skipif(not NUMPY, reason="NumPy is not installed")
def test_later_starts_have_the_package_of_the_first_start_before(fake):
    """Each first start has a cache folder of its own, which takes the package of the one before along."""
    scripts = fake.bin / "peers"
    shutil.copytree(SOURCE / "scripts" / "peers", scripts)
    (scripts / "torch_aoti_builder.py").write_text(BUILDER)
    done = fake(*RUN, "mind,torch-aoti", "--cold-starts", 4, "tiny.mind",
                env={"MINDBENCH_PYTHON": sys.executable, "XDG_CACHE_HOME": str(fake.folder)})
    assert done.returncode == 0, done.stderr
    starts = fake.result()["benchmarks"]["tiny"]["cold_starts"]["rows"]
    for state in ("first", "later"):
        later = starts[f"torch-aoti ({state} start)"]
        assert later["reason"] is None and len(later["starts"]) == 4


@pytest.fixture
def inductor(torch):
    """The real plugin and the real compilers."""
    try:
        import torch as package  # noqa: F401, here: it takes seconds
    except ImportError as missing:
        pytest.skip(f"{missing}; scripts/setup peers")
    (torch.bin / "peers").symlink_to(SOURCE / "scripts" / "peers")
    torch.cache = torch.folder / "cache"
    torch.cache.mkdir()
    environment = torch.environment
    torch.environment = lambda **extra: environment(
        **{"MINDBENCH_PYTHON": sys.executable, "XDG_CACHE_HOME": str(torch.cache), **extra})
    return torch


def packages(bench):
    return {path: path.stat().st_mtime_ns for path in bench.cache.glob("mindbench/aoti/*.pt2")}


def test_real_compilers(inductor):
    names = ("torch-aoti", "torch-compile")
    done = inductor(*RUN, "mind," + ",".join(names), "tiny.mind", timeout=400)
    assert done.returncode == 0, done.stderr
    for name in names:
        assert row(inductor, name)["result_validity"] == "VALID", row(inductor, name)
    made = packages(inductor)
    assert len(made) == 1

    # what was made is found again; under another program's name it is refused
    again = (*RUN, "mind,torch-aoti", "--seed", 42)
    assert inductor(*again, "tiny.mind").returncode == 0
    assert packages(inductor) == made
    (inductor.folder / "other.mind").write_text("fn f(x: tensor<f32[2]>, w: tensor<f32[2]>) { x * w }")
    assert inductor(*again, "other.mind", timeout=400).returncode == 0
    (package,), (other,) = made, set(packages(inductor)) - set(made)
    other.write_bytes(package.read_bytes())
    done = inductor(*again, "other.mind")
    assert done.returncode == 3
    why = inductor.result()["benchmarks"]["other"]["executors"]["torch-aoti"]["result_invalid_reason"]
    assert why.startswith("torch: stale package: mindbench_program is ")
