"""bench-kernels: on the CPU, and on the fake GPU, whose clock and ceilings are known numbers."""

import csv
import json
import math
import re

import pytest

from conftest import FAKE, SOURCE, one_error

SHAPES = SOURCE / "results" / "shapes" / "shapes.csv"
RUN_US = 4.0  # FAKE_RUN_NS
BLAS = "openblas cblas_sgemm"


def read_gbps(size):
    """The fake's ceiling: 4000 GB/s up to 1 MiB, 1000 from 64 MiB on."""
    at = min(max(math.log2(size / 2**20) / 6, 0), 1)
    return 4000 + at * (1000 - 4000)


def measured(bench, *args, status=0, env=None):
    """The rows of the JSON by kernel and shape, once they agree with the table and the CSV."""
    done = bench("bench-kernels", *args, "--json", "out.json", "--csv", "out.csv", env=env)
    assert done.returncode == status, done.stdout + done.stderr
    result = json.loads((bench.folder / "out.json").read_text())
    with (bench.folder / "out.csv").open() as file:
        table = list(csv.DictReader(file))
    assert len(table) == len(result["rows"])
    for line, row in zip(table, result["rows"]):
        assert list(line) == list(row)
        for key, value in row.items():
            if isinstance(value, str) or value is None:
                assert line[key] == (value or "")
            else:
                assert float(line[key]) == pytest.approx(value, rel=1e-12)
    printed = [line for line in done.stdout.splitlines() if line.startswith(("f32_", "fake_", "openblas "))]
    assert [re.split("  +", line)[:2] for line in printed] == [
        [row["kernel"], re.split("  +", row["shape"])[0]] for row in result["rows"]] or status
    return done, result, {(row["kernel"], row["shape"]): row for row in result["rows"]}


def test_every_kernel_of_this_cpu(bare):
    done, result, rows = measured(bare, "-d", "cpu", "--threads", 1, "--shapes", "odd small")
    listed = bare("list", "kernels").stdout
    assert "Ceilings of cpu, 1 thread, fp32" in done.stdout and "share: " in done.stdout
    assert result["format"] == "mindbench-kernels" and result["threads"] == 1
    ceilings = result["ceilings"]
    assert ceilings["fma_gflops"] > 0.1 and len(ceilings["read"]) > 2
    assert ceilings["launch_us"] is None
    sizes = [c["bytes"] for c in ceilings["read"]]
    assert sizes == sorted(sizes)
    assert {row["operation"] for row in rows.values()} == {"matmul", "conv2d"}
    for (kernel, _), row in rows.items():
        assert kernel in listed or kernel == BLAS
        assert row["status"] == "ok" and row["runs"] >= 5
        assert 0 < row["rel_l2_error"] < 5e-6
        assert 0 < row["host_min_us"] <= row["host_us"] <= row["host_p95_us"]
        assert row["device_us"] is None and row["device_reason"]
        assert row["time_us"] == row["host_us"]
        assert row["share"] == pytest.approx(row["limit_us"] / row["time_us"])
    matmul = rows["f32_matmul__scalar", "matmul (7, 129) x 65"]
    assert matmul["flops"] == 2 * 7 * 129 * 65
    assert matmul["bytes"] == 4 * (7 * 129 + 129 * 65 + 65 + 7 * 65)
    direct = rows["f32_conv2d__scalar", "conv2d (3, 5, 13, 11) by 7 of 3x3/1"]
    assert direct["flops"] == 2 * 3 * 7 * 13 * 11 * 5 * 9
    for (kernel, shape), row in rows.items():
        if "winograd4" in kernel:
            assert row["flops"] == direct["flops"] / 4


def test_openblas_where_it_is_installed(bare):
    folder = {"LD_LIBRARY_PATH": str(FAKE.parent / "openblas")}
    args = ("-d", "cpu", "--threads", 1, "--shapes", "odd tiny")
    _, result, rows = measured(bare, *args, env=folder)
    products = {shape for kernel, shape in rows if kernel == "f32_matmul__scalar"}
    assert products and {shape for kernel, shape in rows if kernel == BLAS} == products
    assert result["peer_reason"] is None
    done, _, rows = measured(bare, *args, status=3, env={**folder, "MB_FAKE": "wrong"})
    assert {kernel for (kernel, _), row in rows.items() if row["status"] == "INVALID"} == {BLAS}
    assert "wrong output" in done.stderr
    _, result, rows = measured(bare, "--kernel", "f32_matmul__scalar", *args, env=folder)
    assert {kernel for kernel, _ in rows} == {"f32_matmul__scalar"}


def test_what_is_not_openblas_is_said(bare, tmp_path):
    (tmp_path / "libopenblas.so.0").write_text("no library")
    done, result, rows = measured(bare, "-d", "cpu", "--threads", 1, "--shapes", "odd tiny",
                                  env={"LD_LIBRARY_PATH": str(tmp_path)})
    if any(kernel == BLAS for kernel, _ in rows):
        pytest.skip("the system's OpenBLAS is found behind it")
    assert "not measured: openblas: no libopenblas.so.0; install" in done.stdout
    assert "no libopenblas.so.0" in result["peer_reason"]


def test_one_kernel_and_the_cap(bare):
    _, result, rows = measured(bare, "-d", "cpu", "--kernel", "f32_matmul__scalar", "--shapes", "tiny",
                               "--threads", 1)
    assert {kernel for kernel, _ in rows} == {"f32_matmul__scalar"}
    assert result["kernels_not_here"] == 0
    refused = bare("bench-kernels", "-d", "cpu", "--kernel", "f32_gemm__avx2", env={"MINDBENCH_ISA": "scalar"})
    assert "f32_gemm__avx2: needs avx2" in one_error(refused, 4)
    done, result, rows = measured(bare, "-d", "cpu", "--shapes", "odd tiny", "--threads", 1,
                                  env={"MINDBENCH_ISA": "scalar"})
    assert {kernel for kernel, _ in rows} == {"f32_matmul__scalar"}
    assert result["kernels_not_here"] > 0 and "sse2" in result["math_mode"]
    assert f"{result['kernels_not_here']} kernels that cannot run here" in done.stdout


def test_the_share_is_that_of_the_roofline(gpu):
    done, result, rows = measured(gpu, "-d", "cuda", "--shapes", "odd")
    for said in ("Ceilings of cuda:0, GPU-fake", "4000.0 GB/s", "50000.0 GFLOP/s", "1.70 us", "0.90 us"):
        assert said in done.stdout
    for row in rows.values():
        assert row["time_us"] == row["device_us"] == RUN_US and row["device_reason"] is None
        gbps = read_gbps(row["bytes"])
        memory, compute = row["bytes"] / gbps / 1e3, row["flops"] / 50000 / 1e3
        assert row["limit_read_gbps"] == pytest.approx(gbps)
        assert row["limit_us"] == pytest.approx(max(memory, compute))
        assert row["bound"] == ("compute" if compute > memory else "memory")
        assert row["share"] == pytest.approx(row["limit_us"] / RUN_US)
        assert row["gbps"] == pytest.approx(row["bytes"] / RUN_US / 1e3)
        assert row["gflops"] == pytest.approx(row["flops"] / RUN_US / 1e3)
    large = rows["fake_matmul", "matmul (63, 1001) x 999"]
    assert large["bytes"] > 2**20 and large["limit_read_gbps"] < 4000
    assert large["share"] == pytest.approx(2 * 63 * 1001 * 999 / 50000 / 4000, rel=1e-6)
    assert re.search(r"matmul \(63, 1001\) x 999 .* 4\.00 31500\.0 GFLOP/s +63 % compute", done.stdout)
    shape = "conv2d (1, 65, 33, 31) by 63 of 3x3/1"
    assert rows["fake_quarter", shape]["flops"] == rows["fake_conv2d", shape]["flops"] / 4


def test_what_a_kernel_does_not_support_has_no_row(gpu):
    done, result, rows = measured(gpu, "-d", "cuda", "--shapes", "odd")
    odd = [row for row in csv.DictReader(SHAPES.open()) if "odd" in row["from"] and row["kind"] == "conv2d"]
    other = [row for row in odd if (row["r"], row["s"]) != ("3", "3")]
    assert len(other) == 3 and result["unsupported"] == 3
    assert len([k for k, _ in rows if k == "fake_quarter"]) == len(odd) - 3
    assert len([k for k, _ in rows if k == "fake_conv2d"]) == len(odd)
    assert "3 pairs that the kernel does not" in done.stdout


@pytest.mark.parametrize("how, said", [("wrong", "relative L2 error"), ("lazy", "not written")])
def test_a_wrong_output_is_invalid(gpu, how, said):
    done, _, rows = measured(gpu, "-d", "cuda", "--shapes", "odd small", status=3,
                             env={"MB_FAKE": f"fake_matmul:{how}"})
    bad = rows["fake_matmul", "matmul (7, 129) x 65"]
    assert bad["status"] == "INVALID" and said in bad["reason"]
    assert re.search(r"^fake_matmul +matmul \(7, 129\) x 65 +INVALID: ", done.stdout, re.MULTILINE)
    assert "wrong output" in one_error(done, 3)
    good = [row["status"] for (kernel, _), row in rows.items() if kernel != "fake_matmul"]
    assert good and set(good) == {"ok"}


@pytest.mark.parametrize("how, said", [("noplan", "no memory for a plan"), ("nomem", "cudaErrorMemoryAllocation"),
                                       ("lost", "cudaErrorIllegalAddress")])
def test_a_kernel_that_fails_is_a_row(gpu, how, said):
    done, _, rows = measured(gpu, "-d", "cuda", "--shapes", "odd small", status=4,
                             env={"MB_FAKE": f"fake_matmul:{how}"})
    bad = rows["fake_matmul", "matmul (7, 129) x 65"]
    assert bad["status"] == "failed" and said in bad["reason"]
    assert said in one_error(done, 4)
    assert {row["status"] for row in rows.values()} == {"failed", "ok"}


def test_without_ceilings_there_is_no_share(gpu):
    done, result, rows = measured(gpu, "-d", "cuda", "--shapes", "odd tiny", env={"MB_FAKE": "noceilings"})
    assert "not measured: the backend measures none" in done.stdout
    assert result["ceilings"] is None and result["ceilings_reason"] == "the backend measures none"
    for row in rows.values():
        assert row["share"] is None and row["bound"] is None and row["limit_us"] is None
        assert row["device_us"] == RUN_US


def test_without_device_time_the_host_counts(gpu):
    _, _, rows = measured(gpu, "-d", "cuda", "--shapes", "odd tiny", env={"MB_FAKE": "gate"})
    for row in rows.values():
        assert row["device_us"] is None and "gate timed out" in row["device_reason"]
        assert row["time_us"] == row["host_us"] > 0


def test_shapes(gpu):
    """Without a filter those that the table marks; all: every one, each a program of its own."""
    table = list(csv.DictReader(SHAPES.open()))
    assert len([r for r in table if r["kind"] == "matmul"]) >= 60
    assert len([r for r in table if r["kind"] == "conv2d"]) >= 40
    done = gpu("bench-kernels", "-d", "cuda", "--kernel", "fake_conv2d", "--shapes", "LeNet first batch 64",
               "--json", "stdout")
    (row,) = json.loads(done.stdout)["rows"]
    assert row["from"] == "LeNet first batch 64"
    assert row["shape"] == "conv2d (64, 1, 28, 28) by 6 of 5x5/1"
    assert row["flops"] == 2 * 64 * 6 * 28 * 28 * 25
    assert "Ceilings of cuda" in done.stderr


@pytest.mark.parametrize("args, said", [
    (["--kernel", "f32_nothing"], "no kernel is called f32_nothing"),
    (["--shapes", "no such shape"], "no shape has no such shape in its text"),
    (["--threads", "0"], "--threads 0"), (["--seed", "-1"], "--seed -1"), (["-d", "tpu"], "tpu: not a device"),
    (["-d", "cuda"], "libmindbench_cuda.so is not beside the program"), (["odd"], "no argument odd"),
    (["--batch", "3"], "no option --batch"), (["--json"], "--json needs a value"),
    (["--json", "nowhere/out.json"], "cannot write nowhere/out.json")])
def test_usage(bare, args, said):
    device = [] if "-d" in args else ["-d", "cpu"]
    assert said in one_error(bare("bench-kernels", *device, *args), 4)
    assert bare.files() == []


def test_no_gpu_is_said(bare):
    done = bare("bench-kernels", "--shapes", "odd tiny", "--threads", 1, env={"MINDBENCH_ISA": "scalar"})
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert line.startswith("Warn: running on the CPU, since there is no CUDA")
