"""The CUDA plugin beside the program: on a machine where no device answers, what is said; where one
does, the workloads on it."""

import re
import shutil

import pytest

from conftest import TORCH, one_error

QUICK = ("--samples", 3, "--warmup", 1, "--executors", "mind", "--json", "out.json")


def why_not(bench):
    """The text after `cuda: not here: ` in the list of devices; None where a device answers."""
    found = re.search(r"^  cuda(?:: not here: (.*))?$", bench("list", "devices").stdout, re.MULTILINE)
    assert found
    return found[1]


@pytest.fixture
def deviceless(cuda):
    """The plugin with every device hidden, whatever the machine has."""
    environment = cuda.environment
    cuda.environment = lambda **extra: environment(CUDA_VISIBLE_DEVICES="", **extra)
    assert why_not(cuda) is not None
    return cuda


@pytest.fixture
def device(cuda):
    reason = why_not(cuda)
    if reason is not None:
        pytest.skip(reason)
    return cuda


def test_cuda_asked_for_and_no_device(deviceless):
    error = one_error(deviceless("run", "--device", "cuda", "tiny.mind"), 4)
    assert re.search(r"--device cuda: no CUDA device answers: cudaError[A-Za-z]+ \(\d+\): ", error)
    assert deviceless.files() == []


def test_auto_names_the_error_and_takes_the_cpu(deviceless):
    done = deviceless("run", *QUICK, "tiny.mind")
    assert done.returncode == 0
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("Warn: ") and "CPU" in lines[0]
    assert re.search(r"cudaError[A-Za-z]+ \(\d+\): ", lines[0])
    row = deviceless.result()["benchmarks"]["tiny"]["executors"]["mind"]
    assert row["device"] == "cpu" and row["result_validity"] == "VALID"


def test_list_and_doctor_name_the_error(deviceless):
    assert why_not(deviceless).startswith("no CUDA device answers: cudaError")
    found = deviceless("doctor").stdout
    for name in ("mind", "mind-kernels"):
        assert re.search(rf"^  {name} +cuda +no CUDA device answers: cudaError", found, re.MULTILINE)


def test_workloads_on_the_device(device):
    done = device("run", "--device", "cuda", "--samples", 20, "--warmup", 2, "--json", "out.json",
                  "--executors", "mind,mind-kernels", timeout=300)
    assert done.returncode == 0, done.stderr
    result = device.result()
    assert list(result["benchmarks"]) == ["large_matmul_4096", "mlp_batch32", "conv2d_inference"]
    for bench in result["benchmarks"].values():
        assert set(bench["executors"]) == {"mind", "mind-kernels"}
        for row in bench["executors"].values():
            assert row["device"] == "cuda" and row["result_validity"] == "VALID"
            assert row["rel_l2_error"] <= 5e-6
            assert "launch: one CUDA graph a run" in row["plan"]


def test_libtorch_on_the_device(device):
    half = TORCH.with_name("libmindbench_torch_cuda.so")
    if not half.exists():
        pytest.skip("built without libtorch's CUDA half")
    for plugin in (TORCH, half):
        shutil.copy2(plugin, device.bin / plugin.name)
    done = device("run", "--device", "cuda", "--samples", 20, "--warmup", 2, "--json", "out.json",
                  "--executors", "all", timeout=600)
    assert done.returncode == 0, done.stderr
    for name, bench in device.result()["benchmarks"].items():
        rows = bench["executors"]
        for executor in ("torch-eager", "torch-jit", "torch-graph", "torch-defaults"):
            assert rows[executor]["result_validity"] == "VALID", rows[executor]
            assert ", CUDA " in rows[executor]["library"]
            if executor != "torch-defaults" or name != "conv2d_inference":
                assert rows[executor]["precision"] == "fp32"
                assert rows[executor]["rel_l2_error"] <= 5e-6
        assert "CUDA graph" in rows["torch-graph"]["plan"]
        if rows["torch-defaults"]["precision"] == "tf32":
            assert bench["fastest_pytorch"] != "torch-defaults"


def test_a_device_that_is_not_there(device):
    error = one_error(device("run", "--device", "cuda:1023", "tiny.mind"), 4)
    assert "there is no device cuda:1023" in error
