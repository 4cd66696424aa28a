"""Each kind of bad input: one clear error or a marked row, the right exit status, nothing lost."""

import os
import shutil
import signal
import subprocess
import time

import pytest

from conftest import one_error

LONG = ("--duration", 60, "--restarts", 1, "--warmup", 1, "--json", "out.json", "--threads", 2)


def test_unknown_workload(bare):
    assert "did you mean mlp_batch32" in one_error(bare("run", "mlp_batch23"), 4)
    assert "mindbench list workloads" in one_error(bare("run", "resnet50"), 4)


def test_unknown_command_and_option(bare):
    assert "did you mean run" in one_error(bare("rum"), 4)
    assert "--sample-count" in one_error(bare("run", "--sample-count", "3"), 4)
    assert "-x" in one_error(bare("run", "-x"), 4)
    assert "--json needs a value" in one_error(bare("run", "--json"), 4)


@pytest.mark.parametrize("option, value", [
    ("--samples", "0"), ("--samples", "-1"), ("--samples", "ten"), ("--samples", "1e3"),
    ("--samples", "99999999999999999999"), ("--warmup", "-1"), ("--seed", "x"),
    ("--threads", "0"), ("--timeout", "0"), ("--timeout", "nan"), ("--duration", "-2"),
    ("--max-noise", "0"), ("--batch", "1,0"), ("--batch", ""), ("--bind", "batch"),
    ("--bind", "batch=0"), ("--bind", "=3"), ("--precision", "bf16"), ("--precision", "tf32"),
    ("--device", "tpu"),
    ("--device", "cuda:x"), ("--executors", "mind,mind"), ("--executors", "onnx"),
    ("--executors", "reference"), ("--executors", ""),
])
def test_bad_option_values(bare, option, value):
    error = one_error(bare("run", "--device", "cpu", option, value, "tiny.mind"), 4)
    assert bare.files() == []
    assert option.lstrip("-") in error or value in error


def test_bad_environment(bare):
    one_error(bare("run", "tiny.mind", env={"SAMPLE_SIZE": "0"}), 4)
    error = one_error(bare("run", "--device", "cpu", "tiny.mind", env={"MINDBENCH_ISA": "sse9"}), 4)
    assert "scalar, avx2 or avx512" in error


def test_cuda_asked_for_and_not_there(bare):
    assert "libmindbench_cuda.so" in one_error(bare("run", "--device", "cuda", "tiny.mind"), 4)
    assert bare.files() == []


def test_auto_says_why_it_took_the_cpu(bare):
    done = bare("run", "--samples", 1, "--executors", "mind", "--json", "out.json", "tiny.mind")
    warnings = [line for line in done.stderr.splitlines() if line.startswith("Warn:")]
    assert done.returncode == 0 and len(warnings) == 1
    assert "CPU" in warnings[0] and "CUDA" in warnings[0]


def test_unreadable_files(bare):
    assert "No such file" in one_error(bare("run", "-d", "cpu", "absent.mind"), 4)
    assert "directory" in one_error(bare("run", "-d", "cpu", "./bin"), 4)
    assert "No such file" in one_error(bare("check", "absent.mind"), 4)
    assert "No such file" in one_error(bare("compile", "absent.mind"), 4)


@pytest.mark.parametrize("text, code, position", [
    (b"pub fn f(x: tensor<f32[2]>) -> tensor<f32[2]> { return \xff; }", "E1001", ":1:"),
    (b"pub fn f(x: tensor<f32[2]>) -> tensor<f32[2]> {\n    return relu(x;\n}\n", "E1001", ":2:"),
    (b"pub fn f(x: tensor<f32[2, 3]>, w: tensor<f32[4, 5]>) -> tensor<f32[2, 5]> {\n"
     b"    return matmul(x, w);\n}\n", "E2103", ":2:"),
    (b"pub fn f(x: tensor<f32[2, 3]>, b: tensor<f32[2]>) -> tensor<f32[2, 3]> {\n"
     b"    return x + b;\n}\n", "E2101", ":2:"),
    (b"pub fn f(x: tensor<f32[2]>) -> tensor<f32[2]> {\n    return reul(x);\n}\n", "E2003", ":2:"),
])
def test_rejected_programs(bare, text, code, position):
    (bare.folder / "bad.mind").write_bytes(text)
    for command in (("run", "-d", "cpu"), ("check",), ("compile",)):
        done = bare(*command, "bad.mind")
        assert done.returncode == 5, (command, done.stderr)
        assert code in done.stderr
        assert f"bad.mind{position}" in done.stderr
        assert done.stdout == ""
    assert bare.files() == ["bad.mind"]


def test_an_empty_file_is_nothing_to_run(bare):
    (bare.folder / "empty.mind").write_text("")
    assert bare("check", "empty.mind").returncode == 0
    for command in (("run", "-d", "cpu"), ("compile",)):
        done = bare(*command, "empty.mind")
        assert done.returncode == 5 and "nothing to compile" in done.stderr


def test_unknown_binding(bare):
    done = bare("run", "-d", "cpu", "--bind", "bacth=3", "mlp_batch32")
    assert done.returncode in (4, 5) and "bacth" in done.stderr and "batch" in done.stderr
    assert bare.files() == []


def test_two_programs_of_one_name(bare):
    (bare.folder / "other").mkdir()
    (bare.folder / "other" / "tiny.mind").write_text((bare.folder / "tiny.mind").read_text())
    one_error(bare("run", "-d", "cpu", "tiny.mind", "other/tiny.mind"), 4)


def test_unwritable_result_is_found_before_measuring(bare):
    begin = time.monotonic()
    error = one_error(bare("run", "-d", "cpu", "--executors", "mind", "--duration", 30, "--json",
                           "no/such/folder/out.json", "tiny.mind"), 4)
    assert time.monotonic() - begin < 20
    assert "no/such/folder/out.json" in error
    (bare.folder / "results").write_text("a file, not a folder")
    one_error(bare("run", "-d", "cpu", "--executors", "mind", "--samples", 1, "tiny.mind"), 4)
    assert bare.files() == ["results"]


def test_full_disk(bare):
    done = bare("run", "-d", "cpu", "--executors", "mind", "--samples", 1, "-q", "--json",
                "/dev/full", "tiny.mind")
    assert "No space left" in one_error(done, 4)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small file system")
def test_full_file_system_keeps_the_old_result(bare):
    small = bare.folder / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", small],
                      capture_output=True).returncode != 0:
        pytest.skip("mount is not allowed here")
    try:
        (small / "out.json").write_text("old")
        done = bare("run", "-d", "cpu", "--executors", "mind", "--samples", 2000, "-q", "--json",
                    "small/out.json", "tiny.mind")
        assert "No space left" in one_error(done, 4)
        assert (small / "out.json").read_text() == "old"
        assert [p.name for p in small.iterdir()] == ["out.json"]
    finally:
        subprocess.run(["umount", small], check=True)


def start(fake, *args):
    """A run of tiny.mind whose processes are all being measured: the plugin's have told so, and each
    round has a turn of every executor."""
    told = fake.folder / "under_way"
    told.mkdir()
    process = fake.start("run", *args, "tiny.mind", env={"MB_FAKE_UNDER_WAY": str(told)})
    deadline = time.monotonic() + 120
    while len(list(told.iterdir())) < 4:  # two processes of each of two executors
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    shutil.rmtree(told)
    return process


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_run_keeps_what_was_measured(fake, number, status):
    process = start(fake, *LONG)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == status, err
    result = fake.result()
    assert result["result_validity"] == "INVALID"
    assert result["result_invalid_reason"] == "interrupted"
    for row in result["benchmarks"]["tiny"]["executors"].values():
        assert row["result_validity"] == "INVALID"
        assert row["result_invalid_reason"] == "interrupted"
        assert len(row["samples_us"]) > 0
    assert "INVALID" in out
    assert fake.files() == ["out.json"]


def children_of(pid):
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    return [int(p) for p in listed.stdout.split()]


def test_a_killed_worker_is_a_marked_row(fake):
    process = start(fake, "--duration", 8, "--restarts", 1, "--warmup", 1, "--json", "out.json")
    workers = children_of(process.pid)
    assert len(workers) == 6  # two of each executor
    os.kill(workers[1], signal.SIGKILL)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 3, err
    rows = fake.result()["benchmarks"]["tiny"]["executors"]
    killed = [row for row in rows.values() if row["result_validity"] == "INVALID"]
    assert len(killed) == 1
    assert killed[0]["result_invalid_reason"] == "worker killed by signal 9 (SIGKILL)"
    assert len(killed[0]["samples_us"]) > 0
    assert all(len(row["samples_us"]) > len(killed[0]["samples_us"])
               for row in rows.values() if row is not killed[0])


def test_workers_die_with_their_parent(fake):
    process = start(fake, *LONG)
    workers = children_of(process.pid)
    assert len(workers) == 6  # two of each executor
    process.kill()
    process.communicate(timeout=10)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and any(os.path.exists(f"/proc/{p}/exe") for p in workers):
        time.sleep(0.05)
    for pid in workers:
        assert not os.path.exists(f"/proc/{pid}/exe")


def test_worker_command_by_hand(bare):
    assert bare("worker").returncode == 4
