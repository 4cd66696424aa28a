"""Shares of a roofline measured in the same run, the floor below which no time is believed, and the time of
each operation."""
import pytest


def test_shares_and_operations(bare):
    done = bare("run", "mlp_batch32", "-d", "cpu", "--executors", "mind", "--threads", 1, "--samples", 20,
                "--profile-ops", "--json", "out.json", roofline=True)
    assert done.returncode == 0, done.stderr
    result = bare.result()
    benchmark = result["benchmarks"]["mlp_batch32"]
    mind = benchmark["executors"]["mind"]
    sizes = [read["bytes"] for read in result["ceilings"]["read"]]
    assert sizes == sorted(sizes) and len(sizes) > 3 and result["ceilings"]["fma_gflops"] > 0.1
    assert 0 < benchmark["floor_us"] < mind["latency_p50_us"]
    assert mind["roofline"]["bound"] == "compute"
    assert mind["roofline_share"] * mind["latency_p50_us"] == pytest.approx(mind["roofline"]["us"], rel=1e-9)
    operations = mind["operations"]
    assert len(operations) == 3 and all(op["us"] > 0 for op in operations)
    assert operations[0]["what"] == "matmul (32,784)x(784,512) + bias + relu"
    assert sum(op["flops"] for op in operations) == mind["roofline"]["flops"]
    assert "operations of mind" in done.stdout and operations[0]["kernel"] in done.stdout


def test_without(bare):
    done = bare("run", "tiny.mind", "-d", "cpu", "--executors", "mind", "--samples", 5, "--json", "out.json")
    assert done.returncode == 0 and "roof): not measured: --no-roofline" in done.stdout
    assert bare.result()["ceilings"]["reason"] == "--no-roofline"


def test_what_cannot_be_timed_says_why(fake):
    done = fake("run", "tiny.mind", "-d", "cpu", "--executors", "torch-eager", "--samples", 5, "--profile-ops",
                "--json", "out.json")
    assert done.returncode == 0, done.stderr
    row = fake.result()["benchmarks"]["tiny"]["executors"]["torch-eager"]
    assert row["operations_reason"] == "it has no steps that it can time one by one"
