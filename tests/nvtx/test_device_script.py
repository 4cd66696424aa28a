"""scripts/device: its walk, with fakes of everything that it calls on PATH.

Environment, set by CTest: MINDBENCH_SOURCE (the repository)."""

import gzip
import os
import pathlib
import re
import shutil
import subprocess

import pytest

SOURCE = pathlib.Path(os.environ["MINDBENCH_SOURCE"])
STAGES = ["probe", "build", "doctor", "correctness", "ceilings", "benchmark", "counters", "trace",
          "tests", "sanitizer"]
REAL = ["awk", "bash", "cat", "cp", "cut", "dirname", "env", "grep", "gzip", "head", "lscpu",
        "mkdir", "mktemp", "mv", "nproc", "rm", "sed", "sleep", "sort", "stat", "tail", "tee",
        "timeout", "tr", "uname", "xargs", "echo"]
GPU_TOOLS = ["nvidia-smi", "ncu", "compute-sanitizer", "nvcc"]

# Notes how it was called. FAKE holds words that say what goes wrong.
FAKE = r"""#!/bin/bash
name=${0##*/}
printf '%s' "$name" >>"$CALLS"; printf ' %s' "$@" >>"$CALLS"; echo >>"$CALLS"
is() { [[ " $FAKE " == *" $1 "* ]]; }
value() { # of the option $1 in the arguments behind
    local wanted=$1; shift
    while (($#)); do [[ $1 != "$wanted" ]] || echo "$2"; shift; done
}
case $name in
nvidia-smi)
    is no-gpu && exit 9
    [[ $* != *compute_cap* ]] || echo 9.0 ;;
cmake) [[ $* == *BUILD_TESTING* ]] && is no-build && { echo "no compiler"; exit 2; }; exit 0 ;;
ctest)
    is no-tests && { echo "No tests were found!!!"; exit 8; }
    [[ $* == *e2e* ]] && is e2e-fails && { echo "	  9 - e2e.cuda (Failed)"; exit 8; }
    [[ $* != *e2e* ]] && is unit-fails && { echo "	  2 - unit.one (Failed)	unit
	  3 - unit.two (Not Run)"; exit 8; }
    echo "1/1 Test #1: a ...***Skipped 0.00 sec" ;;
ncu)
    is ncu-refuses && { echo "==ERROR== ERR_NVGPUCTRPERM: no permission"; exit 1; }
    is ncu-app-fails && { echo "==ERROR== The application returned an error code (3)."; exit 3; }
    report=$(value --export "$@")
    [[ ! $report ]] || echo report >"$report.ncu-rep"
    [[ $1 != --import ]] || echo '"ID","Metric Name"' ;;
compute-sanitizer)
    tool=$(value --tool "$@")
    is "$tool-broken" && { echo "Error: cannot attach"; exit 1; }
    is all-broken && { echo "Error: cannot attach"; exit 1; }
    is "$tool-finds" && { echo "========= ERROR SUMMARY: 3 errors"; exit 9; }
    is "$tool-hides" && { echo "========= ERROR SUMMARY: 1 error"; exit 0; }
    if [[ $tool == racecheck ]]; then
        echo "========= RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)"
    else
        echo "========= ERROR SUMMARY: 0 errors"
    fi ;;
mindbench)
    case $1 in
    list) printf '  %s\n' "mind cpu x" "mind-scalar cpu x" "torch-eager cpu x" "mind cuda x" \
        "mind-kernels cuda x" "mind-vendor cuda x" "torch-eager cuda x" "torch-jit cuda x" \
        "torch-graph cuda x" ;;
    doctor) echo healthy ;;
    bench-kernels)
        is no-bench-kernels && exit 4
        printf '%s\n' "read 4000 GB/s" "share: of the roofline" "f32_gemm (1, 2) x 3" "1 rows: 1 kernels" ;;
    run)
        [[ $* == *odd_* ]] && is wrong-output && { echo "wrong output"; exit 3; }
        [[ $* == *--timeout* ]] && is slow && sleep 60
        [[ $* == *--timeout* ]] && is invalid && exit 3
        trace=$(value --trace "$@")
        [[ ! $trace ]] || echo '{"traceEvents":[]}' >"$trace"
        [[ $trace ]] && is large-trace && head -c 20000000 /dev/urandom >>"$trace"
        json=$(value --json "$@")
        [[ ! $json ]] || echo '{}' >"$json"
        is large-log && [[ $* == *odd_* ]] && { echo begin; head -c 30000000 /dev/zero | tr '\0' x; echo; echo end; }
        echo "Warn: a warning"
        echo "the tables" ;;
    esac ;;
esac
exit 0
"""


class Walk:
    def __init__(self, folder, tools):
        self.root, self.bin = folder / "a tree", folder / "bin"
        self.out, self.calls = folder / "the results", folder / "calls"
        for made in (self.root / "scripts", self.root / "build", self.bin):
            made.mkdir(parents=True)
        for script in ("device", "profile"):
            shutil.copy2(SOURCE / "scripts" / script, self.root / "scripts" / script)
        shutil.copytree(SOURCE / "tests" / "device", self.root / "tests" / "device")
        shutil.copytree(SOURCE / "host" / "workloads", self.root / "host" / "workloads")
        for tool in REAL:
            (self.bin / tool).symlink_to(shutil.which(tool))
        for fake in (*(self.bin / tool for tool in ("cmake", "ctest", "python3", *tools)),
                     self.root / "build" / "mindbench"):
            fake.write_text(FAKE)
            fake.chmod(0o755)

    def __call__(self, *args, fake="", timeout=60):
        return subprocess.run(
            [self.bin / "bash", self.root / "scripts" / "device", *args], capture_output=True,
            text=True, timeout=timeout, cwd=self.root,
            env={"PATH": str(self.bin), "OUT": str(self.out), "CALLS": str(self.calls),
                 "FAKE": fake, "TMPDIR": str(self.bin.parent)})

    def walked(self, *args, fake="", status=0):
        """What became of each stage; the summary says the same as the lines before it."""
        done = self(*args, fake=fake)
        assert done.returncode == status, done.stdout + done.stderr
        before, summary = done.stdout.split("=== summary\n")
        lines = [re.fullmatch(r"(\w+) +\d+ s  (.*)", line).groups() for line in before.splitlines()]
        assert [name for name, _ in lines] == STAGES
        assert summary.startswith(before)
        assert (self.out / "summary.txt").read_text() == "=== summary\n" + summary
        assert len(summary) <= 12000
        assert len(list(self.out.iterdir())) <= 8
        assert not list(self.bin.parent.glob("tmp.*")), "left behind"
        self.summary = summary
        return dict(lines)

    def called(self, *words):
        return [line for line in self.calls.read_text().splitlines() if all(w in line for w in words)]


@pytest.fixture
def gpu(tmp_path):
    return Walk(tmp_path, GPU_TOOLS)


def test_all_is_well(gpu):
    became = gpu.walked()
    assert became == {
        **dict.fromkeys(STAGES, "Pass"),
        "trace": f"Pass, trace.json.gz, {(gpu.out / 'trace.json.gz').stat().st_size} bytes",
        "tests": "Pass, 2 skipped", "sanitizer": "Pass, 4 of 4 tools worked"}
    assert sorted(p.name for p in gpu.out.iterdir()) == [
        "build.log", "inference_results.json", "machine.log", "measured.log", "sanitizer.log",
        "summary.txt", "tests.log", "trace.json.gz"]
    assert gzip.decompress((gpu.out / "trace.json.gz").read_bytes()) == b'{"traceEvents":[]}\n'
    for said in ("read 4000 GB/s", "the tables", "Warn: a warning"):
        assert said in gpu.summary
    assert "f32_gemm (1, 2) x 3" in (gpu.out / "measured.log").read_text()
    assert "f32_gemm (1, 2) x 3" not in gpu.summary and "1 rows: 1 kernels" in gpu.summary
    assert "Metric Name" in (gpu.out / "measured.log").read_text()
    assert "Metric Name" not in gpu.summary


def test_what_is_called(gpu):
    gpu.walked()
    (configured, _) = gpu.called("cmake")
    assert "-DMB_CUDA=ON -DMB_CUDA_ARCHITECTURES=90a-real" in configured
    assert len(gpu.called("ctest")) == len(gpu.called("ctest", "--no-tests=error")) == 2
    (raced,) = gpu.called("mindbench run", "--timeout")
    assert "-d cuda --executors mind,mind-kernels,mind-vendor,torch-eager,torch-jit,torch-graph " in raced
    assert "this build has no executor torch-defaults" in (gpu.out / "measured.log").read_text()
    assert [line for line in gpu.called("bench-kernels") if line.endswith("bench-kernels -d cuda")]
    (odd,) = gpu.called("mindbench run", "odd_matmuls.mind")
    assert "odd_convolutions.mind" in odd and "odd_elements.mind" in odd
    assert [line.split()[2] for line in gpu.called("compute-sanitizer")] == [
        "memcheck", "racecheck", "synccheck", "initcheck"]
    assert gpu.called("ncu", "--nvtx-include", "--executors mind,mind-kernels,mind-vendor")


def test_without_a_gpu(tmp_path):
    walk = Walk(tmp_path, [])
    became = walk.walked("--cpu")
    assert [name for name in STAGES if became[name].startswith("SKIP")] == ["counters", "sanitizer"]
    assert became["counters"] == became["sanitizer"] == "SKIP no GPU"
    assert not walk.called("MB_CUDA")
    assert walk.called("mindbench run -d cpu --executors mind,torch-eager ")
    assert walk.called("mindbench bench-kernels -d cpu --shapes MNIST")


def test_no_gpu_answers(gpu):
    done = gpu(fake="no-gpu")
    assert done.returncode == 4 and done.stdout == "" and not gpu.out.exists()
    assert done.stderr == ("scripts/device: error: no NVIDIA GPU answers; scripts/device --cpu is "
                           "the walk without one\n")


@pytest.mark.parametrize("fake, stage, said", [
    ("no-build", "build", "FAIL status 2: no compiler"),
    ("wrong-output", "correctness", "FAIL status 3: wrong output"),
    ("invalid", "benchmark", "FAIL status 3: "),
    ("ncu-app-fails", "counters", "FAIL status 3: ==ERROR== The application returned"),
    ("unit-fails", "tests", "FAIL status 8: did not pass: unit.one unit.two"),
    ("e2e-fails", "tests", "FAIL status 8: did not pass: e2e.cuda"),
    ("no-tests", "tests", "FAIL status 8: "),
    ("racecheck-finds", "sanitizer", "FAIL status 1: found by: racecheck"),
    ("initcheck-hides", "sanitizer", "FAIL status 1: found by: initcheck"),
    ("memcheck-broken synccheck-finds", "sanitizer", "FAIL status 1: found by: synccheck"),
])
def test_failures(gpu, fake, stage, said):
    became = gpu.walked(fake=fake, status=1)
    assert became.pop(stage).startswith(said)
    assert all(line.startswith("Pass") for line in became.values())


@pytest.mark.parametrize("fake, stage, said", [
    ("no-bench-kernels", "ceilings", "SKIP this build has no bench-kernels"),
    ("ncu-refuses", "counters", "SKIP ncu does not work here: ==ERROR== ERR_NVGPUCTRPERM"),
    ("all-broken", "sanitizer", "SKIP compute-sanitizer does not work here"),
    ("memcheck-broken", "sanitizer", "Pass, 3 of 4 tools worked"),
])
def test_skips_are_no_failures(gpu, fake, stage, said):
    became = gpu.walked(fake=fake)
    assert became[stage].startswith(said)


@pytest.mark.parametrize("tool, stage", [("ncu", "counters"), ("compute-sanitizer", "sanitizer")])
def test_a_tool_that_is_not_there(tmp_path, tool, stage):
    walk = Walk(tmp_path, [name for name in GPU_TOOLS if name != tool])
    assert walk.walked()[stage] == f"SKIP no {tool}"


def test_the_time_is_limited(gpu):
    """The benchmark takes what is left; what comes after it is not begun, and that is said."""
    became = gpu.walked("--seconds", "8", fake="slow", status=1)
    assert re.fullmatch(r"FAIL no end within \d s", became["benchmark"])
    for stage in ("trace", "tests", "sanitizer"):
        assert became[stage] == "SKIP no time left of 8 s"
    assert "the tables" not in gpu.summary


def test_files_are_limited(gpu):
    gpu.walked(fake="large-trace large-log")
    assert "trace.json.gz: removed, larger than 16777216 bytes" in gpu.summary
    assert not (gpu.out / "trace.json.gz").exists()
    log = (gpu.out / "tests.log").read_text()
    assert len(log) < 16 << 20 and "begin" in log and "... cut: larger" in log
    assert log.rstrip().endswith("2 skipped")


def test_a_second_walk_keeps_nothing_of_the_first(gpu):
    gpu.walked(fake="wrong-output", status=1)
    gpu.walked(fake="no-build", status=1)
    assert "wrong output" not in (gpu.out / "tests.log").read_text()


@pytest.mark.parametrize("args, said", [(["--gpu"], "no argument --gpu"),
                                        (["--seconds", "soon"], "--seconds soon: not a whole"),
                                        (["--seconds"], "--seconds : not a whole"),
                                        (["--pack"], "--pack: needs apt-get and dpkg")])
def test_refusals_are_one_line(gpu, args, said):
    done = gpu(*args)
    assert done.returncode == 4 and done.stdout == "" and not gpu.out.exists()
    assert done.stderr.startswith(f"scripts/device: error: {said}") and done.stderr.count("\n") == 1


def test_help(gpu):
    done = gpu("--help")
    assert done.returncode == 0
    assert "scripts/device --cpu" in done.stdout and "shellcheck" not in done.stdout
