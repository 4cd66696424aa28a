"""scripts/profile: what it hands to nsys and ncu, with fakes of both on PATH.

Environment, set by CTest: MINDBENCH_SOURCE (the repository)."""

import os
import pathlib
import shlex
import shutil
import subprocess

import pytest

SOURCE = pathlib.Path(os.environ["MINDBENCH_SOURCE"])
SEEDS = ["conv2d_inference", "large_matmul_4096", "mlp_batch32"]
FAKE = '#!/bin/sh\nprintf "%s\\n" "$0" "$@" > "$ARGUMENTS"\nexit 7\n'


class Script:
    """A copy of the script in a tree of its own; the fakes note their arguments and exit with 7."""

    def __init__(self, folder, tools):
        self.root = folder / "a tree"
        self.path = folder / "bin"
        self.arguments = folder / "arguments"
        self.program = self.root / "build" / "mindbench"
        for made in (self.root / "scripts", self.root / "build", self.path):
            made.mkdir(parents=True)
        shutil.copy2(SOURCE / "scripts" / "profile", self.root / "scripts" / "profile")
        shutil.copytree(SOURCE / "host" / "workloads", self.root / "host" / "workloads")
        for tool in ("bash", "dirname", "mkdir", "sed"):
            (self.path / tool).symlink_to(shutil.which(tool))
        self.executable(self.program)
        for tool in tools:
            self.executable(self.path / tool)

    @staticmethod
    def executable(path):
        path.write_text(FAKE)
        path.chmod(0o755)

    def __call__(self, *args):
        return subprocess.run([self.path / "bash", self.root / "scripts" / "profile", *args],
                              cwd=self.root, capture_output=True, text=True, timeout=60,
                              env={"PATH": str(self.path), "ARGUMENTS": str(self.arguments)})

    def command(self, *args):
        """The command that was run, after checking that it is the one that was printed."""
        done = self(*args)
        assert done.returncode == 7, done.stderr
        tool, *rest = self.arguments.read_text().splitlines()
        ran = [pathlib.Path(tool).name, *rest]
        assert shlex.split(done.stdout) == ran and done.stdout.count("\n") == 1
        return ran


def script(folder, *tools):
    return Script(folder, tools)


def nsys(report, *run):
    return ["nsys", "profile", "--trace=cuda,nvtx", "--sample=none", "--cpuctxsw=none",
            "--cuda-graph-trace=node", "--capture-range=nvtx", "--nvtx-capture=profile@*",
            "--capture-range-end=repeat", "--force-overwrite=true", f"--output={report}", *run]


def ncu(report, filters, *run):
    return ["ncu", "--target-processes", "all", "--clock-control", "none", "--cache-control", "none",
            "--section", "SpeedOfLight", "--section", "MemoryWorkloadAnalysis", "--nvtx",
            *(word for name in filters for word in ("--nvtx-include", f"mindbench.{name}@profile/")),
            "--force-overwrite", "--export", str(report), *run]


def test_nsys(tmp_path):
    s = script(tmp_path, "nsys", "ncu")
    run = [str(s.program), "run", "--profile"]
    report = s.root / "results" / "profile" / "nsys"
    assert s.command("nsys") == nsys(report, *run, *SEEDS)
    assert report.parent.is_dir()
    assert s.command("nsys", "mlp_batch32", "-d", "cuda") == nsys(report, *run, "-d", "cuda",
                                                                  "mlp_batch32")


def test_ncu(tmp_path):
    s = script(tmp_path, "nsys", "ncu")
    run = [str(s.program), "run", "--profile"]
    report = s.root / "results" / "profile" / "ncu"
    assert s.command("ncu") == ncu(report, SEEDS, *run, *SEEDS)
    assert s.command("ncu", "some where/net.mind", "mlp_batch32", "--bind", "n=8") == ncu(
        report, ["net", "mlp_batch32"], *run, "--bind", "n=8", "some where/net.mind", "mlp_batch32")


def test_report_goes_where_it_is_told(tmp_path):
    s = script(tmp_path, "nsys", "ncu")
    for tool, option in (("nsys", "--output=out/first report"), ("ncu", "out/first report")):
        assert option in s.command(tool, "-o", "out/first report", "mlp_batch32")
    assert (s.root / "out").is_dir()


@pytest.mark.parametrize("tools, taken", [(["nsys", "ncu"], "nsys"), (["nsys"], "nsys"),
                                          (["ncu"], "ncu")])
def test_takes_the_tool_that_is_there(tmp_path, tools, taken):
    assert script(tmp_path, *tools).command("mlp_batch32")[0] == taken


@pytest.mark.parametrize("tools, args, said", [
    ([], [], "neither nsys nor ncu on PATH"),
    (["ncu"], ["nsys"], "no nsys on PATH"),
    (["nsys"], ["ncu"], "no ncu on PATH"),
    (["nsys"], ["--seed", "1", "net.mind"], "programs come before options"),
    (["ncu"], ["mlp_batch32", "--batch", "1,8"], "use --bind batch=N"),
])
def test_refusals_are_one_line(tmp_path, tools, args, said):
    s = script(tmp_path, *tools)
    done = s(*args)
    assert done.returncode == 4 and done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("scripts/profile: error: ") and said in lines[0]
    assert not s.arguments.exists()


def test_needs_the_program(tmp_path):
    s = script(tmp_path, "nsys")
    s.program.unlink()
    done = s()
    assert done.returncode == 4 and "scripts/run builds it" in done.stderr


def test_help(tmp_path):
    done = script(tmp_path)("--help")
    assert done.returncode == 0 and "scripts/profile [nsys|ncu]" in done.stdout
