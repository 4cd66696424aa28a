"""Cold caches, data transfers, device time and the state of the GPU; on a machine without one, with a
plugin in CUDA's place whose clock only runs move, and with an NVML that says what it is told to."""

import os

import pytest

from conftest import one_error

QUICK = ("--samples", 4, "--warmup", 1, "--json", "out.json", "--threads", 1)
CUDA = ("--device", "cuda", *QUICK)
RUN_US, COLD_US = 4, 13  # fake_backend.c


def rows(bench, name="tiny"):
    return bench.result()["benchmarks"][name]["executors"]


def words(done):
    """What was printed, however it was wrapped."""
    return " ".join(done.stdout.split())


def no_energy(bench):
    """Without NVML, so without the two seconds of each executor."""
    environment = bench.environment
    bench.environment = lambda **extra: environment(LD_LIBRARY_PATH="", **extra)
    return bench


# ---- caches ----

def test_both_states_are_two_results(bare):
    done = bare("run", "-d", "cpu", *QUICK, "--executors", "mind,mind-scalar", "--cache", "both",
                "tiny.mind")
    assert done.returncode == 0, done.stderr
    found = bare.result()["benchmarks"]
    assert {name: bench["cache"] for name, bench in found.items()} == {
        "tiny": "warm", "tiny[cache=cold]": "cold"}
    for bench in found.values():
        assert not bench["data_transfers"]
        for row in bench["executors"].values():
            assert row["result_validity"] == "VALID" and len(row["samples_us"]) == 4
            assert row["device_time"]["batch"]["reason"] == "it has no clock apart from the host's"
            assert row["device_time_p50_us"] is None
    assert "tiny[cache=cold], all executors" in done.stdout
    assert "by the device's own clock" not in done.stdout


def test_an_executor_that_cannot_evict_is_not_measured_cold(fake):
    done = fake("run", "-d", "cpu", *QUICK, "--cache", "both", "tiny.mind", env={"MB_FAKE": "noevict"})
    assert done.returncode == 0, done.stderr
    cold = rows(fake, "tiny[cache=cold]")
    assert cold["mind"]["result_validity"] == "VALID"
    assert cold["torch-jit"]["status"] == "not_measured"
    assert cold["torch-jit"]["reason"] == "torch-jit cannot evict the caches; use --cache warm"
    assert rows(fake)["torch-jit"]["result_validity"] == "VALID"


def test_a_state_that_does_not_exist(bare):
    assert "warm, cold or both" in one_error(bare("run", "--cache", "tepid", "tiny.mind"), 4)
    assert bare.files() == []


def test_transfers_are_in_the_name(fake):
    done = fake("run", "-d", "cpu", *QUICK, "--include-data-transfers", "--cache", "cold", "tiny.mind")
    assert done.returncode == 0, done.stderr
    (name, bench), = fake.result()["benchmarks"].items()
    assert name == "tiny[cache=cold][transfers=included]"
    assert bench["data_transfers"] and bench["cache"] == "cold"
    for row in bench["executors"].values():
        assert row["result_validity"] == "VALID"


def test_what_lies_inside_a_sample(fake):
    """By what takes long in the fake: the copies of one input and one output, an eviction, and the run
    after it. Copies in host memory that take 3 ms could hide work, so the rows are INVALID."""
    found = {}
    for options in (), ("--cache", "cold"), ("--include-data-transfers",):
        done = fake("run", "-d", "cpu", *QUICK, "--executors", "torch-jit", *options, "tiny.mind",
                    env={"MB_FAKE": "drag"})
        assert done.returncode == 3, done.stderr
        (bench,) = fake.result()["benchmarks"].values()
        assert "where data is copied" in bench["executors"]["torch-jit"]["result_invalid_reason"]
        found[options] = min(bench["executors"]["torch-jit"]["samples_us"])
    plain, cold, moved = found.values()
    assert plain < 3000 <= cold < 20000
    assert moved >= 6000


# ---- device time ----

def test_device_time_of_every_executor(gpu):
    no_energy(gpu)
    done = gpu("run", *CUDA, "--cache", "both", "tiny.mind")
    assert done.returncode == 0, done.stderr
    for name, p50 in (("tiny", RUN_US), ("tiny[cache=cold]", COLD_US)):
        found = rows(gpu, name)
        assert set(found) == {"mind", "torch-eager", "torch-jit"}
        for row in found.values():
            times = row["device_time"]
            assert row["result_validity"] == "VALID"
            assert times["batch"]["samples_us"] == pytest.approx([RUN_US] * 4)
            assert times["batch"]["runs_per_sample"] == 250  # a millisecond
            assert times["isolated"]["samples_us"] == pytest.approx([RUN_US] * 4)
            assert times["cold"]["samples_us"] == pytest.approx([COLD_US] * 4)
            assert times["cold"]["runs_per_sample"] == 1
            assert times["cold"]["ci_low_us"] == pytest.approx(COLD_US)
            assert row["device_time_p50_us"] == pytest.approx(p50)
    assert "tiny, by the device's own clock" in done.stdout
    assert "4.00 [4.00, 4.00]    4.00 [4.00, 4.00]    13.00 [13.00, 13.00]" in done.stdout
    assert "Clocks, power, throttling and energy: not measured: no NVML: " in words(done)


@pytest.mark.parametrize("mode, kinds", [("gate", ["batch", "isolated", "cold"]), ("coldgate", ["cold"])])
def test_a_gate_that_times_out_is_a_reason_and_no_number(gpu, mode, kinds):
    no_energy(gpu)
    done = gpu("run", *CUDA, "tiny.mind", env={"MB_FAKE": f"torch-jit:{mode}"})
    assert done.returncode == 0, done.stderr
    found = rows(gpu)
    for kind in ("batch", "isolated", "cold"):
        assert found["mind"]["device_time"][kind]["reason"] is None
        time = found["torch-jit"]["device_time"][kind]
        if kind in kinds:
            assert time["reason"].startswith("cuda: device time: gate timed out")
            assert time["p50_us"] is None and time["samples_us"] == []
        else:
            assert time["p50_us"] == pytest.approx(RUN_US)
    assert found["torch-jit"]["result_validity"] == "VALID" and len(found["torch-jit"]["samples_us"]) == 4
    assert "not measured: cuda: device time: gate timed out" in done.stdout


# ---- devices that fail ----

@pytest.mark.parametrize("mode, reason", [
    ("nomem", "cudaErrorMemoryAllocation (2): out of memory"),
    ("lost", "cudaErrorIllegalAddress (700)"),
    ("hang", "worker ended: no answer within the time limit"),
    ("crash", "worker killed by signal 11 (SIGSEGV)"),
])
def test_the_others_go_on(gpu, mode, reason):
    no_energy(gpu)
    done = gpu("run", *CUDA, "--timeout", 30, "tiny.mind", env={"MB_FAKE": f"torch-eager:{mode}"})
    assert done.returncode == 3, done.stderr
    found = rows(gpu)
    assert found["torch-eager"]["result_validity"] == "INVALID"
    assert reason in found["torch-eager"]["result_invalid_reason"]
    for name in ("mind", "torch-jit"):
        assert found[name]["result_validity"] == "VALID" and len(found[name]["samples_us"]) == 4
        assert found[name]["device_time"]["cold"]["p50_us"] == pytest.approx(COLD_US)
    assert reason in words(done)


def test_the_product_itself_may_fail(gpu):
    no_energy(gpu)
    done = gpu("run", *CUDA, "tiny.mind", env={"MB_FAKE": "mind:lost"})
    assert done.returncode == 3, done.stderr
    assert "cudaErrorIllegalAddress (700)" in rows(gpu)["mind"]["result_invalid_reason"]
    assert rows(gpu)["torch-jit"]["result_validity"] == "VALID"


# ---- NVML ----

def test_the_state_of_the_gpu(gpu):
    done = gpu("run", *CUDA, "--executors", "mind", "tiny.mind", env={"MB_NVML": "processes=3"})
    assert done.returncode == 0, done.stderr
    bench = gpu.result()["benchmarks"]["tiny"]
    row = bench["executors"]["mind"]
    assert bench["gpu_reason"] is None
    assert bench["gpu_other_processes"] == 2  # one of them is our worker
    assert row["throttled"] is None
    assert len(row["gpu_states"]) == 8  # after each block and after its device times
    for state in row["gpu_states"]:
        assert state == {"sm_mhz": 1980, "memory_mhz": 3201, "power_w": 400, "temperature_c": 45,
                         "clocks_event_reasons": 0}
    assert row["energy_reason"] is None
    assert 0 < row["energy_per_run_mj"] < 1000
    assert "most seen between blocks: 1980 MHz, 400 W, 45 C" in done.stdout
    assert "2 other processes computed on the GPU meanwhile" in done.stdout


@pytest.mark.parametrize("says, marked", [
    ("reasons=8", "hardware slowdown"),
    ("reasons=32", "software thermal slowdown"),
    ("reasons=64", "hardware thermal slowdown"),
    ("reasons=129", "power brake"),
    ("reasons=7", None),  # idle, a set clock, the power cap
    ("sag=150", "SM clock from 1830 to 1980 MHz"),
    ("sag=90", None),
    ("reasons=8 sag=150", "hardware slowdown, SM clock from 1830 to 1980 MHz"),
])
def test_a_throttled_row_is_marked_and_kept(gpu, says, marked):
    done = gpu("run", *CUDA, "--executors", "mind", "tiny.mind", env={"MB_NVML": f"{says} watts=0"})
    assert done.returncode == 0, done.stderr
    row = rows(gpu)["mind"]
    assert row["throttled"] == marked
    assert row["result_validity"] == "VALID" and row["latency_p50_us"] > 0
    assert ("throttled: " in done.stdout) == (marked is not None)
    assert f"throttled: {marked}" in done.stdout or marked is None
    assert row["energy_per_run_mj"] is None
    assert row["energy_reason"] == "the energy counter moved by 0 mJ in 2 s; 1000 mJ is the least"


def test_a_driver_that_says_little(gpu):
    gpu("run", *CUDA, "--executors", "mind", "tiny.mind", env={"MB_NVML": "bare=1"})
    bench = gpu.result()["benchmarks"]["tiny"]
    assert bench["gpu_other_processes"] is None
    row = bench["executors"]["mind"]
    assert row["gpu_states"][0] == {"sm_mhz": None, "memory_mhz": None, "power_w": None,
                                    "temperature_c": None, "clocks_event_reasons": 0}
    assert row["energy_reason"] == "the driver has no energy counter for this device"


def test_an_nvml_that_refuses(gpu):
    done = gpu("run", *CUDA, "--executors", "mind", "tiny.mind", env={"MB_NVML": "init=9"})
    assert done.returncode == 0, done.stderr
    reason = gpu.result()["benchmarks"]["tiny"]["gpu_reason"]
    assert reason == "libnvidia-ml.so.1: nvmlInit_v2: Driver Not Loaded (9)"
    assert rows(gpu)["mind"]["energy_reason"] == reason
    assert reason in words(done)


@pytest.mark.skipif(os.path.exists("/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1"),
                    reason="this machine has a driver")
def test_without_nvml_one_line_says_so(gpu):
    no_energy(gpu)
    done = gpu("run", *CUDA, "--executors", "mind", "tiny.mind")
    assert done.returncode == 0, done.stderr
    assert "libnvidia-ml.so.1" in gpu.result()["benchmarks"]["tiny"]["gpu_reason"]
    assert words(done).count("no NVML: libnvidia-ml.so.1") == 1
