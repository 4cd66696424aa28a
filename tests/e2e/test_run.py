"""Races on small programs: what is measured, written and said."""

import math
import re

import pytest

from conftest import WORKLOADS

QUICK = ("--samples", 6, "--warmup", 1, "--json", "out.json", "--threads", 2)


def test_race_with_a_plugin(fake):
    done = fake("run", *QUICK, "tiny.mind")
    assert done.returncode == 0, done.stderr
    bench = fake.result()["benchmarks"]["tiny"]
    assert set(bench["executors"]) == {"mind", "torch-eager", "torch-jit"}
    for row in bench["executors"].values():
        assert row["result_validity"] == "VALID"
        assert len(row["samples_us"]) == 6
        assert row["rel_l2_error"] <= 5e-6
        assert min(row["samples_us"]) > 0
    for c in bench["comparisons"]:
        assert c["ci_low"] <= c["speedup"] <= c["ci_high"]
    pairs = [(c["a"], c["b"]) for c in bench["comparisons"]]
    assert pairs == [("mind", "torch-eager"), ("mind", "torch-jit"), ("torch-jit", "torch-eager")]
    assert bench["latency_speedup"] == bench["comparisons"][0]["speedup"]
    assert bench["throughput_advantage"] == pytest.approx(
        bench["mind"]["throughput_samples_per_sec"] / bench["pytorch"]["throughput_samples_per_sec"])
    assert "INFERENCE SPEED COMPARISON: MIND vs PyTorch" in done.stdout
    for name in ("mind", "torch-eager", "torch-jit"):
        assert not re.search(rf"{name} +not measured", done.stdout)


def test_statistics_follow_from_the_samples(fake):
    fake("run", *QUICK, "tiny.mind")
    for row in fake.result()["benchmarks"]["tiny"]["executors"].values():
        samples = sorted(row["samples_us"])
        assert row["latency_p50_us"] == pytest.approx((samples[2] + samples[3]) / 2)
        assert row["latency_mean_us"] == pytest.approx(math.fsum(samples) / len(samples))


def test_seed_makes_random_constants(fake):
    """The same in every executor and in the reference, or their outputs would be wrong."""
    (fake.folder / "random.mind").write_text("rand_uniform([8, 16]) @ randn([16, 8])\n")
    errors = {}
    for seed in (7, 8, 7):
        done = fake("run", *QUICK, "--executors", "mind,mind-scalar,torch-eager", "--seed", seed,
                    "random.mind")
        assert done.returncode == 0, done.stderr
        rows = fake.result()["benchmarks"]["random"]["executors"]
        assert {row["result_validity"] for row in rows.values()} == {"VALID"}
        error = rows["mind-scalar"]["max_abs_error"]
        assert errors.setdefault(seed, error) == error
    assert errors[7] != errors[8]
    printed = fake("compile", "--seed", 7, "random.mind").stdout
    assert " seed=7 stream=1" in printed and " seed=7 stream=2" in printed
    assert " seed=42 " in fake("compile", "random.mind").stdout


def test_without_libtorch_the_race_goes_on(bare):
    done = bare("run", *QUICK, "tiny.mind")
    assert done.returncode == 0, done.stderr
    warning = "Warn: torch-eager is not measured: libmindbench_torch.so is not beside the program"
    assert done.stderr.count("libmindbench_torch.so") == 1 and warning in done.stderr
    assert "not measured: libmindbench_torch.so" in " ".join(done.stdout.split())
    bench = bare.result()["benchmarks"]["tiny"]
    assert bench["executors"]["mind"]["result_validity"] == "VALID"
    assert bench["executors"]["torch-jit"]["status"] == "not_measured"
    assert "libmindbench_torch.so" in bench["executors"]["torch-jit"]["reason"]
    assert bench["latency_speedup"] is None


@pytest.mark.parametrize("isa", ["scalar", "avx2", "avx512"])
@pytest.mark.parametrize("workload", ["large_matmul_4096", "mlp_batch32", "conv2d_inference"])
def test_every_instruction_set_is_right(bare, isa, workload):
    done = bare("run", "--samples", 1, "--warmup", 0, "--json", "out.json", "--executors", "mind",
                workload, env={"MINDBENCH_ISA": isa})
    assert done.returncode == 0, done.stderr
    row = bare.result()["benchmarks"][workload]["executors"]["mind"]
    assert row["result_validity"] == "VALID"
    assert row["rel_l2_error"] <= 5e-6
    if isa != "avx512":  # which not every machine that runs this has
        assert f"__{isa}" in row["plan"]
    if isa == "scalar":
        assert "avx" not in row["plan"]


def test_seed_workloads_against_libtorch(torch):
    done = torch("run", "--samples", 20, "--warmup", 2, "--json", "out.json", timeout=300)
    assert done.returncode == 0, done.stderr
    result = torch.result()
    assert list(result["benchmarks"]) == ["large_matmul_4096", "mlp_batch32", "conv2d_inference"]
    for bench in result["benchmarks"].values():
        for row in bench["executors"].values():
            assert row["result_validity"] == "VALID"
            assert row["rel_l2_error"] <= 5e-6
        assert bench["pytorch"]["latency_mean_us"] > 0
        assert bench["mind"]["latency_mean_us"] > 0
        assert bench["latency_speedup"] > 0
    table = done.stdout
    for name in result["benchmarks"]:
        assert re.search(rf"^{name} .*\d+\.\d+[×x] \[", table, re.MULTILINE), table


def test_an_edited_copy_runs_on_both_sides(torch):
    text = (WORKLOADS / "mlp_batch32.mind").read_text()
    edited = text.replace("batch: i64 = 32", "batch: i64 = 7").replace("512", "384")
    assert edited.count("384") == 4
    (torch.folder / "mine.mind").write_text(edited)
    done = torch("run", *QUICK, "mine.mind")
    assert done.returncode == 0, done.stderr
    bench = torch.result()["benchmarks"]["mine"]
    assert bench["mind"]["batch_size"] == 7
    for row in bench["executors"].values():
        assert row["result_validity"] == "VALID"


def test_a_batch_sweep_names_each(bare):
    done = bare("run", *QUICK, "--executors", "mind", "--batch", "1,3", "mlp_batch32")
    assert done.returncode == 0, done.stderr
    result = bare.result()
    assert list(result["benchmarks"]) == ["mlp_batch32[batch=1]", "mlp_batch32[batch=3]"]
    assert result["benchmarks"]["mlp_batch32[batch=3]"]["mind"]["batch_size"] == 3


def test_samples_from_the_environment(bare):
    env = {"SAMPLE_SIZE": "3", "WARMUP_RUNS": "0"}
    bare("run", "--json", "out.json", "--executors", "mind", "tiny.mind", env=env)
    assert len(bare.result()["benchmarks"]["tiny"]["executors"]["mind"]["samples_us"]) == 3


def test_json_on_stdout_is_nothing_but_json(bare):
    import json
    done = bare("run", "--samples", 2, "--executors", "mind", "--json", "stdout", "tiny.mind")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["benchmarks"]["tiny"]["executors"]["mind"]["status"]
    assert "INFERENCE SPEED COMPARISON" in done.stderr


def test_default_result_folder_is_made(bare):
    done = bare("run", "--samples", 2, "--executors", "mind", "tiny.mind")
    assert done.returncode == 0, done.stderr
    assert bare.files() == ["results"]
    bare.result("results/inference_results.json")


def test_csv_and_markdown(fake):
    done = fake("run", *QUICK, "--csv", "out.csv", "--md", "out.md", "-q", "tiny.mind")
    assert done.returncode == 0 and done.stdout == "" and done.stderr == ""
    assert len((fake.folder / "out.csv").read_text().splitlines()) == 4
    assert "torch-jit" in (fake.folder / "out.md").read_text()


def test_argv_is_recorded_as_typed(bare):
    bare("run", "--samples", 2, "--executors", "mind,mind-scalar", "--json", "out.json", "tiny.mind",
         roofline=True)
    assert bare.result()["argv"] == ["mindbench", "run", "--samples", "2", "--executors",
                                     "mind,mind-scalar", "--json", "out.json", "tiny.mind"]


def test_max_noise_goes_on_until_the_interval_is_narrow(fake):
    # one thread: threads that wait for each other next to other load make noise without end
    done = fake("run", *QUICK, "--threads", 1, "--executors", "mind,mind-scalar", "--max-noise", 20,
                "tiny.mind")
    assert done.returncode == 0, done.stderr
    bench = fake.result()["benchmarks"]["tiny"]
    c = bench["comparisons"][0]
    assert (c["ci_high"] - c["ci_low"]) / 2 <= 0.2 * c["speedup"]
    assert len(bench["executors"]["mind"]["samples_us"]) >= 10


def test_plan_tells_what_a_precision_takes(fake):
    done = fake("run", "--samples", 20, "--plan", "--executors", "mind,mind-scalar", "tiny.mind")
    assert done.returncode == 0, done.stderr
    title, header, rule, *rows = done.stdout.strip().splitlines()
    assert title.startswith("tiny, mind against mind-scalar: a pilot of 3 starts and ")
    cells = [row.split() for row in rows]
    assert [c[1] for c in cells] == ["5", "2", "1", "0.5"]
    starts, samples = ([float(c[k]) for c in cells] for k in (3, 4))
    assert starts == sorted(starts) and starts[0] >= 3
    assert all(n / m == samples[0] / starts[0] for n, m in zip(samples, starts))
    assert fake.files() == []  # no result
    refused = fake("run", "--plan", "--max-noise", 1, "tiny.mind")
    assert refused.returncode == 4 and "--plan makes a pilot of its own" in refused.stderr
    refused = fake("run", "--plan", "--json", "out.json", "tiny.mind")
    assert refused.returncode == 4 and "leave --json" in refused.stderr


# ---- misbehaving executors ----

def race_with(fake, mode, *args):
    done = fake("run", *QUICK, *args, "tiny.mind", env={"MB_FAKE": mode})
    return done, fake.result()["benchmarks"]["tiny"]["executors"]


@pytest.mark.parametrize("mode, reason", [
    ("wrong", "wrong output before timing: relative L2"),
    ("lazy", "wrong output during timing: NaN"),
    ("crash", "worker killed by signal 11 (SIGSEGV)"),
])
def test_a_bad_executor_is_marked_and_the_others_go_on(fake, mode, reason):
    done, rows = race_with(fake, mode)
    assert done.returncode == 3
    assert rows["mind"]["result_validity"] == "VALID" and len(rows["mind"]["samples_us"]) == 6
    for name in ("torch-eager", "torch-jit"):
        assert rows[name]["result_validity"] == "INVALID"
        assert rows[name]["result_invalid_reason"].startswith(reason)
    assert "INVALID" in done.stdout
    for c in fake.result()["benchmarks"]["tiny"]["comparisons"]:
        assert c["speedup"] is None and "INVALID" in c["withheld_reason"]


def test_a_hanging_executor_ends_with_the_timeout(fake):
    done, rows = race_with(fake, "hang", "--timeout", 3)
    assert done.returncode == 3
    assert "INVALID" in {row["result_validity"] for row in rows.values()}
    assert fake.result()["result_validity"] == "INVALID"


def test_an_executor_that_starts_slowly_is_waited_for_each_time(fake):
    done, rows = race_with(fake, "torch-jit:late", "--executors", "mind,torch-jit")
    assert done.returncode == 0, done.stderr
    assert len(rows["torch-jit"]["samples_us"]) == 6


def test_an_executor_that_is_not_supported_is_not_measured(fake):
    done, rows = race_with(fake, "refuse")
    assert done.returncode == 0
    assert rows["torch-eager"]["status"] == "not_measured"
    assert rows["torch-eager"]["reason"] == "refused for a test"


def test_no_ratio_between_precisions(fake):
    done, rows = race_with(fake, "tf32")
    assert done.returncode == 0
    comparison = fake.result()["benchmarks"]["tiny"]["comparisons"][0]
    assert comparison["speedup"] is None and comparison["withheld_reason"] == "precision differs"
    assert "precision differs" in done.stdout
    assert {row["result_validity"] for row in rows.values()} == {"VALID"}
    assert rows["torch-eager"]["precision"] == "tf32" and rows["torch-eager"]["rel_l2_error"] > 5e-6


def test_the_fastest_of_another_precision_is_no_headline(fake):
    done, rows = race_with(fake, "tf32-jit")
    assert done.returncode == 0
    bench = fake.result()["benchmarks"]["tiny"]
    assert rows["torch-jit"]["precision"] == "tf32"
    assert rows["torch-jit"]["latency_p50_us"] < rows["torch-eager"]["latency_p50_us"]
    assert bench["fastest_pytorch"] == "torch-eager" and bench["latency_speedup"] is not None
