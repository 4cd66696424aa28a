"""check, compile, list, doctor, help."""

import json

import jsonschema
import pytest

from conftest import SCHEMA, SOURCE, WORKLOADS, one_error

NAMES = ["large_matmul_4096", "mlp_batch32", "conv2d_inference"]


@pytest.mark.parametrize("name", NAMES)
def test_workloads_are_the_files_in_the_tree(bare, name):
    path = WORKLOADS / f"{name}.mind"
    assert bare("check", path).returncode == 0
    from_file, embedded = bare("compile", path), bare("compile", name)
    assert from_file.returncode == embedded.returncode == 0
    assert from_file.stdout == embedded.stdout
    assert from_file.stdout.startswith("module {\n  %0 = input x : tensor<f32[")


def test_every_stage_prints(bare):
    for stage in ("tokens", "ast", "ir", "plan"):
        done = bare("compile", "--emit", stage, "tiny.mind")
        assert done.returncode == 0 and done.stdout, (stage, done.stderr)
    assert bare("compile", "--emit", "none", "tiny.mind").stdout == ""
    assert bare("compile", "--emit-ir", "tiny.mind").stdout == bare("compile", "tiny.mind").stdout
    assert "plan" in one_error(bare("compile", "--emit", "mlir", "tiny.mind"), 4)


def test_time_has_every_phase_cold_and_warm(bare):
    done = bare("compile", "--time", "--threads", 2, "tiny.mind")
    assert done.returncode == 0 and not done.stderr
    title, columns, *rows = done.stdout.splitlines()
    assert int(title.split("; ")[1].split()[0]) >= 1000
    assert columns.split() == ["us", "first", "median"]
    times = {row[:16].strip(): row[16:].split() for row in rows[:-1]}
    assert list(times) == ["open", "lex+parse", "check", "lower", "plan", "source to IR",
                           "source to plan"]
    first = {name: float(row[0]) for name, row in times.items()}
    median = {name: float(row[1]) for name, row in times.items() if name != "open"}
    phases = ("lex+parse", "check", "lower")
    assert abs(first["source to IR"] - first["open"] - sum(first[p] for p in phases)) < 0.05
    assert all(0 < median[name] for name in median)
    assert median["source to IR"] < median["source to plan"]
    assert rows[-1].startswith("MB/s")
    assert bare("compile", "--time", "absent.mind").returncode == 4
    (bare.folder / "bad.mind").write_text("relux(1)\n")
    bad = bare("compile", "--time", "bad.mind")
    assert bad.returncode == 5 and "E2003" in bad.stderr and bad.stdout == ""


def test_lenient_keeps_reduced_axes_from_check_to_run(bare):
    (bare.folder / "norm.mind").write_text("fn f(x: tensor<f32[4, 8]>) { x - mean(x, 1) }\n")
    assert "--lenient" in bare("check", "norm.mind").stderr
    for command in (("check",), ("compile",), ("run", "-d", "cpu", "--executors", "mind,mind-scalar",
                                                "--samples", 3, "--json", "out.json")):
        assert bare(command[0], *command[1:], "norm.mind").returncode == 5
        done = bare(command[0], *command[1:], "--lenient", "norm.mind")
        assert done.returncode == 0, done.stderr


def test_plan_names_kernels(bare):
    plan = bare("compile", "--emit", "plan", "mlp_batch32", env={"MINDBENCH_ISA": "avx2"}).stdout
    assert "f32_" in plan and "relu" in plan


def test_check_reports_every_error_in_every_format(bare):
    (bare.folder / "bad.mind").write_text(
        "pub fn f(x: tensor<f32[2]>) -> tensor<f32[2]> {\n"
        "    let a = reul(x);\n"
        "    let b = x + missing;\n"
        "    return x;\n}\n")
    human = bare("check", "bad.mind")
    assert human.returncode == 5
    assert "E2003" in human.stderr and "E2002" in human.stderr
    assert "bad.mind:2:13" in human.stderr and "bad.mind:3:17" in human.stderr
    assert "let a = reul(x);" in human.stderr and "^^^^" in human.stderr
    assert "relu" in human.stderr  # did you mean
    assert "\x1b[" not in human.stderr


@pytest.mark.parametrize("command", ["check", "compile", "run"])
def test_how_diagnostics_are_shown(bare, command):
    (bare.folder / "bad.mind").write_text(
        "pub fn f(x: tensor<f32[2]>) -> tensor<f32[2]> {\n    return reul(x) + missing;\n}\n")
    lines = bare(command, "--diagnostic-format", "json", "bad.mind").stderr.splitlines()
    assert [json.loads(line)["code"] for line in lines] == ["E2003", "E2002"]
    short = bare(command, "--diagnostic-format", "short", "bad.mind").stderr.splitlines()
    assert len(short) == 2 and all("(bad.mind:2:" in line for line in short)
    assert "\x1b[" in bare(command, "--color", "always", "bad.mind").stderr
    assert "\x1b[" not in bare(command, "--color", "never", "bad.mind").stderr
    for option, value in (("--diagnostic-format", "xml"), ("--color", "sometimes")):
        wrong = bare(command, option, value, "bad.mind")
        assert wrong.returncode == 4 and len(wrong.stderr.splitlines()) == 1
        assert f"{command}: {option} {value}: use " in wrong.stderr
        assert option in bare(command, "--help").stdout


def test_symbolic_dimensions_need_a_binding_to_run_and_none_to_check(bare):
    (bare.folder / "s.mind").write_text(
        "pub fn f(x: tensor<f32[n, 4]>, w: tensor<f32[4, 3]>) -> tensor<f32[n, 3]> {\n"
        "    return matmul(x, w);\n}\n")
    assert bare("check", "s.mind").returncode == 0
    unbound = bare("compile", "s.mind")
    assert unbound.returncode == 5 and "--bind n=" in unbound.stderr
    assert "tensor<f32[6, 4]>" in bare("compile", "--bind", "n=6", "s.mind").stdout


def test_list(bare):
    everything = bare("list").stdout
    for word in NAMES + ["torch-jit", "mind-avx2", "reference", "f32_", "cuda", "cpu"]:
        assert word in everything
    assert bare("list", "workloads").stdout.count("\n") == 4
    assert "kernels" in one_error(bare("list", "things"), 4)


def test_doctor(bare):
    done = bare("doctor")
    assert done.returncode == 0
    for word in ("cpu", "executors:", "mind ", "would disturb"):
        assert word in done.stdout
    assert "libmindbench_torch.so is not beside the program" in done.stdout


@pytest.mark.parametrize("command", ["run", "check", "compile", "bench-kernels", "list", "doctor", "selftest"])
def test_help(bare, command):
    done = bare(command, "--help")
    assert done.returncode == 0 and done.stdout.startswith(f"Usage: mindbench {command}")
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert command in bare("--help").stdout


def test_version(bare):
    assert bare("--version").stdout.startswith("mindbench 0.")
    assert bare().returncode == 4


def test_kept_results_fit_the_schema():
    kept = [path for path in (SOURCE / "results").glob("*/*.json") if path.name != "selftest.json"]
    assert kept
    for path in kept:
        jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(path.read_text()))
