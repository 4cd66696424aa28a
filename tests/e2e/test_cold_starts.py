"""Cold starts, total time, break-even, and compiling alone."""

import pytest

from conftest import one_error

RUN = ("run", "-d", "cpu", "--samples", 5, "--warmup", 1, "--json", "out.json", "--executors")


def test_a_start_is_the_sum_of_its_steps(bare):
    done = bare(*RUN, "mind,mind-scalar", "--cold-starts", 4, "tiny.mind")
    assert done.returncode == 0, done.stderr
    benchmark = bare.result()["benchmarks"]["tiny"]
    rows = benchmark["cold_starts"]["rows"]
    names = [f"{executor} ({state} start)" for executor in ("mind", "mind-scalar") for state in ("first", "later")]
    assert list(rows) == names and benchmark["cold_starts"]["asked"] == 4
    for name, row in rows.items():
        assert row["reason"] is None and len(row["starts"]) == 4
        for start in row["starts"]:
            steps = start["steps_us"]
            assert sum(value for value in steps.values() if value) == pytest.approx(start["outputs_us"][0], abs=0.01)
            for step in ("process", "parse", "check", "lower", "plan", "first_inference"):
                assert steps[step] > 0, step
            assert steps["other"] > 0
            assert sorted(start["outputs_us"]) == start["outputs_us"]
            assert start["loaded_bytes"] > 100_000 and start["peak_bytes"] > 1_000_000
    totals = benchmark["total_time"]["rows"]
    for name in names:
        values = [total["value"] for total in totals[name]["total_us"]]
        assert values == sorted(values) and len(values) == 5
    pairs = benchmark["break_even"]["pairs"]
    assert [(pair["a"], pair["b"]) for pair in pairs] == [(names[0], names[2]), (names[1], names[3])]
    assert "tiny, total time: from the start of a process to output N:" in done.stdout


def test_only_a_first_start_chooses_kernels(bare):
    """With its own caches, whatever the user's hold."""
    cache = bare.folder / "cache"
    done = bare(*RUN, "mind", "--cold-starts", 3, "mlp_batch32", env={"XDG_CACHE_HOME": str(cache)})
    assert done.returncode == 0, done.stderr
    rows = bare.result()["benchmarks"]["mlp_batch32"]["cold_starts"]["rows"]
    assert all(start["steps_us"]["tune"] for start in rows["mind (first start)"]["starts"])
    assert not any(start["steps_us"]["tune"] for start in rows["mind (later start)"]["starts"])


def test_without_cold_starts_there_is_no_total(bare):
    assert bare(*RUN, "mind", "tiny.mind").returncode == 0
    benchmark = bare.result()["benchmarks"]["tiny"]
    assert "cold_starts" not in benchmark
    assert benchmark["total_time"]["status"] == benchmark["break_even"]["status"] == "not_measured"


def test_compiling_alone(bare):
    done = bare("run", "-d", "cpu", "--compile-only", "--executors", "mind,torch-jit", "--json", "out.json", "tiny.mind")
    assert done.returncode == 0, done.stderr
    assert "tiny, compiling (us, medians of n fresh processes):" in done.stdout
    assert "=== INFERENCE" not in done.stdout
    benchmark = bare.result()["benchmarks"]["tiny"]
    assert benchmark["executors"]["mind"]["reason"] == "--compile-only times no run"
    rows = benchmark["cold_starts"]["rows"]
    assert len(rows["mind (later start)"]["starts"]) == 3
    assert "is not beside the program" in rows["torch-jit"]["reason"]
    assert benchmark["total_time"]["rows"]["mind (later start)"]["reason"] == "--compile-only times no run"


def test_bad_options(bare):
    one_error(bare("run", "--cold-starts", -1, "tiny.mind"), 4)
    one_error(bare("run", "--compile-only", "--profile", "tiny.mind"), 4)
