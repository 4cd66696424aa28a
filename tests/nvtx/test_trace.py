"""`mindbench run --profile --trace FILE`: the file, and what becomes of CUPTI's records and errors.

Environment, set by CTest: MINDBENCH (the program), MINDBENCH_FAKE (a plugin that can misbehave),
MINDBENCH_CUPTI (fake_cupti.c as libcupti.so.13; empty in a build without CUPTI's header),
MINDBENCH_DRIVER (a library that is no CUPTI)."""

import json
import os
import shutil
import subprocess

import pytest

TINY = """pub fn tiny(x: tensor<f32[3, 5]>, w: tensor<f32[5, 4]>) -> tensor<f32[3, 4]> {
    return relu(matmul(x, w));
}
"""
PREPARED = ["compile", "open", "plan", "load", "first run", "check", "warm-up"]
CUPTI = os.environ.get("MINDBENCH_CUPTI")
needs_cupti = pytest.mark.skipif(not CUPTI, reason="built without CUPTI")


class Trace:
    """A trace file after checking all that must hold of any."""

    def __init__(self, text):
        whole = json.loads(text)
        assert set(whole) == {"traceEvents", "displayTimeUnit", "otherData"}
        assert whole["displayTimeUnit"] == "ns"
        self.notes = whole["otherData"]["notes"]
        self.rows, self.tracks, self.events = {}, {}, []
        for e in whole["traceEvents"]:
            assert isinstance(e["pid"], int) and isinstance(e["tid"], int)
            if e["ph"] == "M" and e["name"] == "process_name":
                assert self.rows.setdefault(e["pid"], e["args"]["name"]) == e["args"]["name"]
            elif e["ph"] == "M" and e["name"] == "thread_name":
                assert (e["pid"], e["tid"]) not in self.tracks
                self.tracks[e["pid"], e["tid"]] = e["args"]["name"]
            elif e["ph"] == "M":
                assert e["name"] in ("process_sort_index", "thread_sort_index")
            else:
                assert e["ph"] == "X" and e["name"] and e["cat"]
                assert e["ts"] >= 0 and e["dur"] >= 0
                self.events.append(e)
        assert len(set(self.rows.values())) == len(self.rows)
        times = [e["ts"] for e in self.events]
        assert times == sorted(times) and (not times or times[0] == 0)
        for e in self.events:
            assert (e["pid"], e["tid"]) in self.tracks and e["pid"] in self.rows
        for track in self.tracks:
            self.check_nests([e for e in self.events if (e["pid"], e["tid"]) == track])

    @staticmethod
    def check_nests(events):
        ends = []  # of the ranges that are open, outermost first
        for e in events:
            begin, end = round(e["ts"] * 1e3), round((e["ts"] + e["dur"]) * 1e3)
            while ends and ends[-1] <= begin:
                ends.pop()
            assert not ends or end <= ends[-1], f"overlaps what is around it: {e}"
            ends.append(end)

    def on(self, row, track):
        """The events of a track, by names."""
        return [e for e in self.events if self.rows[e["pid"]] == row
                and self.tracks[e["pid"], e["tid"]] == track]

    def named(self, name):
        return [e for e in self.events if e["name"] == name]

    def tracks_of(self, row):
        return [name for (pid, _), name in self.tracks.items() if self.rows[pid] == row]


class Bench:
    def __init__(self, folder):
        self.folder = folder
        bin_folder = folder / "bin"
        bin_folder.mkdir()
        self.program = bin_folder / "mindbench"
        shutil.copy2(os.environ["MINDBENCH"], self.program)
        (folder / "tiny.mind").write_text(TINY)

    def __call__(self, *args, **extra):
        env = {k: v for k, v in os.environ.items()
               if k not in ("SAMPLE_SIZE", "WARMUP_RUNS", "NVTX_INJECTION64_PATH")} | extra
        return subprocess.run([self.program, "run", "--threads", "1", *args], cwd=self.folder,
                              env=env, timeout=120, capture_output=True, text=True)

    def traced(self, *args, status=0, **extra):
        done = self("--profile", "--trace", "out.json", *args, **extra)
        assert done.returncode == status, done.stderr
        return done, Trace((self.folder / "out.json").read_text())

    def on_fake_gpu(self, cupti=CUPTI, status=0, executors="mind", args=(), **extra):
        """With a plugin in the CUDA backend's place, and a libcupti."""
        shutil.copy2(os.environ["MINDBENCH_FAKE"],
                     self.program.with_name("libmindbench_cuda.so"))
        libraries = self.folder / "lib"
        libraries.mkdir()
        if callable(cupti):
            cupti(libraries / "libcupti.so.13")
        else:
            shutil.copy2(cupti, libraries / "libcupti.so.13")
        return self.traced("--device", "cuda", "--executors", executors, *args, "tiny.mind",
                           status=status, LD_LIBRARY_PATH=str(libraries), **extra)


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def names(program, executor, phases):
    return [program, f"{program}/{executor}", *(f"{program}/{executor}/{p}" for p in phases)]


def test_a_row_for_each_executor_and_a_track_for_each_program(bench):
    (bench.folder / "other.mind").write_text(TINY.replace("tiny", "other"))
    done, trace = bench.traced("--device", "cpu", "--executors", "mind,mind-scalar", "--warmup",
                               "3", "tiny.mind", "other.mind")
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1].startswith("Trace: out.json; ")
    assert trace.notes == []
    assert sorted(trace.rows.values()) == ["mind", "mind-scalar"]
    for row in trace.rows.values():
        assert trace.tracks_of(row) == ["tiny", "other"]
        for program in ("tiny", "other"):
            events = trace.on(row, program)
            assert [e["name"] for e in events] == names(program, row, [*PREPARED, "profile"])
            assert [e["cat"] for e in events[2:]] == [*PREPARED, "profile"]
            assert [e["args"]["runs"] for e in events[2:]] == [0, 0, 0, 0, 1, 1, 3, 1]
            whole = events[0]
            assert whole["dur"] == events[1]["dur"]
            assert all(e["ts"] >= whole["ts"] for e in events)
    # programs and executors are profiled one after the other
    assert trace.on("mind", "tiny")[-1]["ts"] < trace.on("mind-scalar", "tiny")[-1]["ts"]
    assert trace.on("mind-scalar", "tiny")[-1]["ts"] < trace.on("mind", "other")[0]["ts"]


@needs_cupti
def test_what_the_gpu_did(bench):
    done, trace = bench.on_fake_gpu()
    assert "Warn" not in done.stderr and trace.notes == []
    assert trace.tracks_of("mind") == ["tiny", "tiny, cuda:0 stream 7", "tiny, cuda:0 graphs",
                                       "tiny, cuda:0 stream 7, beside it 1",
                                       "tiny, cuda:0 stream 8"]
    # after prepare, the check, the warm-up, the profiled run, and at the end
    n = 5
    stream = trace.on("mind", "tiny, cuda:0 stream 7")
    assert [e["name"] for e in stream] == ["memcpy", "memset", "_Z5firstPf", "second"] * n
    assert [e["dur"] for e in stream[:4]] == [0.999, 1, 1, 2]
    copy, fill, first, _ = stream[:4]
    assert copy["cat"] == "memcpy" and fill["cat"] == "memset" and first["cat"] == "kernel"
    assert copy["args"] == {"bytes": 4096, "direction": "host to device", "launch": 100}
    assert fill["args"] == {"bytes": 64, "launch": 101}
    assert first["args"] == {"grid": [4, 32, 1], "block": [512, 1, 1], "registers": 96,
                             "static_shared_bytes": 1024, "dynamic_shared_bytes": 65536,
                             "launch": 102, "graph": 3}
    beside = trace.on("mind", "tiny, cuda:0 stream 7, beside it 1")
    assert [e["name"] for e in beside] == ["third"] * n
    graphs = trace.on("mind", "tiny, cuda:0 graphs")
    assert [(e["name"], e["dur"], e["args"]["nodes"]) for e in graphs] == [("graph 3", 4, 3)] * n
    assert [e["args"]["launch"] for e in graphs] == [102, 112, 122, 132, 142]
    assert "graph" not in trace.on("mind", "tiny, cuda:0 stream 8")[0]["args"]


@needs_cupti
def test_both_clocks_are_one(bench):
    """The fake's clock is an hour ahead; what it tells at a flush ended just before."""
    _, trace = bench.on_fake_gpu()
    whole, profiled = trace.named("tiny")[0], trace.named("tiny/mind/profile")[0]
    for e in trace.named("alone"):
        assert whole["ts"] < e["ts"] and e["ts"] + e["dur"] < whole["ts"] + whole["dur"]
    end = profiled["ts"] + profiled["dur"]
    flushed = min(e["ts"] + e["dur"] for e in trace.named("alone") if e["ts"] + e["dur"] > end - 1)
    assert flushed - end < 20000  # microseconds; the hour would be 3.6e9


FAILURES = {
    "cuptiGetTimestamp": 0,
    "cuptiActivityRegisterCallbacks": 0,
    "cuptiActivityEnable": 0,
    "cuptiActivityFlushAll": 0,
    "cuptiActivityGetNextRecord": 0,
    "cuptiActivityDisable": 5,
    "cuptiActivityGetNumDroppedRecords": 5,
}


@needs_cupti
@pytest.mark.parametrize("function", FAILURES)
def test_a_failing_call_costs_only_the_gpu_part(bench, function):
    done, trace = bench.on_fake_gpu(MINDBENCH_CUPTI_FAIL=function)
    reason = f"{function}: CUPTI_ERROR_INSUFFICIENT_PRIVILEGES (35)"
    assert done.stderr.splitlines() == [f"Warn: the trace lacks GPU activity: {reason}"]
    assert set(trace.notes) == {f"GPU activity: {reason}"}
    assert len(trace.named("alone")) == FAILURES[function]
    assert [e["name"] for e in trace.on("mind", "tiny")] == names("tiny", "mind",
                                                                  [*PREPARED, "profile"])


@needs_cupti
def test_an_error_without_a_name(bench):
    done, _ = bench.on_fake_gpu(MINDBENCH_CUPTI_FAIL="cuptiActivityEnable cuptiGetResultString")
    assert done.stderr.endswith("GPU activity: cuptiActivityEnable: unknown error (35)\n")


@needs_cupti
@pytest.mark.parametrize("mode, said, n_copies", [("dropped", "CUPTI dropped 5 records", 5),
                                                  ("untimed", "CUPTI gave no times for 20 records", 5)])
def test_lost_records_are_told(bench, mode, said, n_copies):
    done, trace = bench.on_fake_gpu(MINDBENCH_CUPTI_FAIL=mode)
    assert done.stderr.splitlines() == [f"Warn: the trace lacks GPU activity: {said}"]
    assert len(trace.named("memcpy")) == n_copies
    assert len(trace.named("alone")) == (0 if mode == "untimed" else 5)


@needs_cupti
@pytest.mark.parametrize("library, said", [
    (lambda path: path.write_text("no library"), "libcupti.so.13: "),
    (lambda path: shutil.copy2(os.environ["MINDBENCH_DRIVER"], path),
     "libcupti.so.13 has no cuptiGetTimestamp; install another CUPTI"),
])
def test_without_cupti_the_phases_are_there(bench, library, said):
    done, trace = bench.on_fake_gpu(library)
    (line,) = done.stderr.splitlines()
    assert line.startswith("Warn: the trace lacks GPU activity: ") and said in line
    assert [e["name"] for e in trace.on("mind", "tiny")] == names("tiny", "mind",
                                                                  [*PREPARED, "profile"])


@needs_cupti
def test_a_reason_is_told_once(bench):
    done, trace = bench.on_fake_gpu(executors="mind,mind-kernels",
                                    MINDBENCH_CUPTI_FAIL="cuptiActivityEnable")
    assert done.stderr.count("Warn: ") == 1 and len(trace.notes) == 2


def test_what_a_worker_did_before_it_crashed(bench):
    """The fake's fifth run is within the warm-up."""
    shutil.copy2(os.environ["MINDBENCH_FAKE"], bench.program.with_name("libmindbench_torch.so"))
    done, trace = bench.traced("--device", "cpu", "--executors", "torch-eager,mind", "tiny.mind",
                               status=3, MB_FAKE="crash")
    assert "SIGSEGV" in done.stderr
    assert [e["name"] for e in trace.on("torch-eager", "tiny")] == names("tiny", "torch-eager",
                                                                         PREPARED)
    crashed = trace.on("torch-eager", "tiny")
    assert crashed[-1]["ts"] + crashed[-1]["dur"] == pytest.approx(
        crashed[0]["ts"] + crashed[0]["dur"])
    assert trace.on("mind", "tiny")[-1]["name"] == "tiny/mind/profile"


def test_a_hang_shows_as_long_as_it_lasted(bench):
    shutil.copy2(os.environ["MINDBENCH_FAKE"], bench.program.with_name("libmindbench_torch.so"))
    _, trace = bench.traced("--device", "cpu", "--executors", "torch-eager", "--timeout", "4",
                            "tiny.mind", status=3, MB_FAKE="hang")
    (hung,) = trace.named("tiny/torch-eager/warm-up")
    assert 1e6 < hung["dur"] < 3e6  # half of the time that is left


def test_standard_output(bench):
    done = bench("--profile", "--trace", "stdout", "--device", "cpu", "--executors", "mind",
                 "tiny.mind")
    assert done.returncode == 0
    assert Trace(done.stdout).named("tiny/mind/profile")
    assert done.stderr.startswith("Profiled: 1 run")


def test_needs_profile(bench):
    done = bench("--trace", "out.json", "tiny.mind")
    assert done.returncode == 4 and not (bench.folder / "out.json").exists()
    assert done.stderr == ("mindbench: error: run: --trace out.json: goes with --profile, since "
                           "tracing would be in the way of timing; add it\n")


def test_a_place_that_cannot_be_written_is_told_before_the_run(bench):
    done = bench("--profile", "--trace", "nowhere/out.json", "--device", "cpu", "tiny.mind")
    assert done.returncode == 4 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("mindbench: error: cannot write nowhere/out.json: ")


def test_nothing_else_is_written(bench):
    bench.traced("--device", "cpu", "--executors", "mind", "tiny.mind")
    assert sorted(p.name for p in bench.folder.iterdir()) == ["bin", "out.json", "tiny.mind"]
