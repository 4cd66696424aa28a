"""What a profiler sees of `mindbench run`: the exact tree of NVTX ranges of every worker.

Environment, set by CTest: MINDBENCH (the program), MINDBENCH_INJECTION and MINDBENCH_DRIVER (see
nvtx_injection.c and fake_driver.c), MINDBENCH_FAKE (a plugin that can misbehave)."""

import os
import shutil
import subprocess

import pytest

TINY = """pub fn tiny(x: tensor<f32[3, 5]>, w: tensor<f32[5, 4]>) -> tensor<f32[3, 4]> {
    return relu(matmul(x, w));
}
"""
PHASES = ["compile", "open", "plan", "load", "first run", "check", "warm-up", "measure", "profile"]


class Worker:
    """What one process said."""

    def __init__(self):
        self.domains, self.destroyed, self.categories = [], [], {}
        self.tree, self.pushes, self.flat = [], [], []
        self.stack = [self.tree]

    def take(self, kind, *fields):
        self.flat.append(kind)
        if kind == "domain":
            self.domains += fields
        elif kind == "destroy":
            self.destroyed += fields
        elif kind == "category":
            self.categories[int(fields[1])] = fields[2]
        elif kind == "push":
            domain, form, message, category, color, payload = fields
            self.pushes.append({"domain": domain, "form": form, "message": message,
                                "category": int(category), "color": color, "payload": payload})
            children = []
            self.stack[-1].append((message, payload, children))
            self.stack.append(children)
        elif kind == "pop":
            assert len(self.stack) > 1, "a pop without a push"
            self.stack.pop()
        else:
            assert kind in ("start", "stop"), f"unexpected: {kind} {fields}"

    def balanced(self):
        return len(self.stack) == 1

    def executor(self):
        return self.tree[0][2][0][0].split("/")[1]


class Bench:
    def __init__(self, folder):
        self.folder = folder
        self.log = folder / "nvtx.log"
        bin_folder = folder / "bin"
        bin_folder.mkdir()
        self.program = bin_folder / "mindbench"
        shutil.copy2(os.environ["MINDBENCH"], self.program)
        (folder / "tiny.mind").write_text(TINY)

    def __call__(self, *args, **extra):
        """Runs to the end; returns the process and the workers of each executor."""
        env = {k: v for k, v in os.environ.items() if k not in ("SAMPLE_SIZE", "WARMUP_RUNS")}
        env |= {"NVTX_INJECTION64_PATH": os.environ["MINDBENCH_INJECTION"],
                "MINDBENCH_NVTX_LOG": str(self.log), **extra}
        done = subprocess.run([self.program, "run", "--threads", "1", "--device", "cpu", *args],
                              cwd=self.folder, env=env, timeout=120, capture_output=True, text=True)
        workers = {}
        for line in self.log.read_text().splitlines() if self.log.exists() else ():
            pid, kind, *fields = line.split("\t")
            workers.setdefault(pid, Worker()).take(kind, *fields)
        of = {}
        for worker in workers.values():
            of.setdefault(worker.executor(), []).append(worker)
        return done, of


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def one_each(workers):
    """By executor, where each has one process."""
    return {executor: worker for executor, (worker,) in workers.items()}


def phase(executor, name, runs):
    return (f"tiny/{executor}/{name}", str(runs), [])


def prepared(executor, warmup):
    """The phases before anything is timed."""
    zero = [phase(executor, name, 0) for name in ("compile", "open", "plan", "load")]
    return [*zero, phase(executor, "first run", 1), phase(executor, "check", 1),
            *([phase(executor, "warm-up", warmup)] if warmup else [])]


def tree(executor, phases):
    return [("tiny", "-", [(f"tiny/{executor}", "-", phases)])]


# 40 samples are 20 blocks of 2, 6 are 6 blocks of 1, shared by the two processes of a start: ranges
# follow blocks, never runs.
@pytest.mark.parametrize("samples, blocks, runs", [(6, 6, 1), (40, 20, 2), (100, 20, 5)])
def test_tree_of_a_race(bench, samples, blocks, runs):
    done, workers = bench("--samples", str(samples), "--warmup", "3", "--restarts", "1",
                          "--json", "out.json", "--executors", "mind,mind-scalar", "tiny.mind")
    assert done.returncode == 0, done.stderr
    assert set(workers) == {"mind", "mind-scalar"}
    for executor, processes in workers.items():
        block = [phase(executor, "warm-up", 2), phase(executor, "measure", runs)]
        assert len(processes) == 2
        for worker in processes:
            assert worker.balanced()
            assert worker.tree == tree(executor, [*prepared(executor, 3), *block * (blocks // 2),
                                                  phase(executor, "check", 1)])


def test_every_start_is_a_process_of_its_own(bench):
    done, workers = bench("--samples", "40", "--restarts", "2", "--json", "out.json",
                          "--executors", "mind", "tiny.mind")
    assert done.returncode == 0, done.stderr
    assert len(workers["mind"]) == 4 and all(worker.balanced() for worker in workers["mind"])


def test_tree_of_a_profiled_run(bench):
    done, workers = bench("--profile", "--warmup", "0", "--executors", "mind,mind-scalar",
                          "tiny.mind")
    assert done.returncode == 0, done.stderr
    assert set(workers) == {"mind", "mind-scalar"}
    for executor, worker in one_each(workers).items():
        assert worker.balanced()
        assert worker.tree == tree(executor, [*prepared(executor, 0), ("profile", "1", [])])


def test_what_a_range_carries(bench):
    _, workers = bench("--profile", "--executors", "mind,mind-scalar", "tiny.mind")
    workers = one_each(workers)
    for worker in workers.values():
        assert worker.domains == worker.destroyed == ["mindbench.tiny"]
        assert worker.categories == {i + 1: name for i, name in enumerate(PHASES)}
        for push in worker.pushes:
            assert push["domain"] == "mindbench.tiny"
            assert push["form"] == "registered"
        for push in worker.pushes[:2]:
            assert push["category"] == 0
        for push in worker.pushes[2:]:
            assert worker.categories[push["category"]] == push["message"].split("/")[-1]
    colors = [{push["color"] for push in worker.pushes} for worker in workers.values()]
    assert all(len(c) == 1 and next(iter(c)).startswith("ff") for c in colors)
    assert colors[0] != colors[1]


def test_each_program_has_a_domain(bench):
    (bench.folder / "other.mind").write_text(TINY.replace("tiny", "other"))
    done, _ = bench("--profile", "--executors", "mind", "tiny.mind", "other.mind")
    assert done.returncode == 0, done.stderr
    domains = [line.split("\t")[2] for line in bench.log.read_text().splitlines()
               if "\tdomain\t" in line]
    assert domains == ["mindbench.tiny", "mindbench.other"]


def with_a_plugin(bench, mode):
    shutil.copy2(os.environ["MINDBENCH_FAKE"], bench.program.with_name("libmindbench_torch.so"))
    return bench("--profile", "--warmup", "0", "--executors", "torch-eager,mind", "tiny.mind",
                 MB_FAKE=mode)


def test_ranges_are_closed_when_an_executor_does_not_start(bench):
    done, workers = with_a_plugin(bench, "refuse")
    assert done.returncode == 0
    assert "Warn: tiny: torch-eager is not profiled: refused for a test" in done.stderr
    assert "Profiled: 1 run," in done.stdout
    eager = one_each(workers)["torch-eager"]
    assert eager.balanced()
    assert eager.tree == tree(
        "torch-eager", [phase("torch-eager", name, 0) for name in ("compile", "open")])


def test_a_wrong_output_is_told(bench):
    done, workers = with_a_plugin(bench, "lazy")  # the third run, the profiled one, writes nothing
    assert done.returncode == 3
    assert "mindbench: error: tiny: torch-eager: wrong output when profiled: NaN" in done.stderr
    assert "Profiled: 1 run," in done.stdout
    assert all(worker.balanced() for worker in one_each(workers).values())


def test_no_result_is_written(bench):
    done, _ = bench("--profile", "--executors", "mind", "tiny.mind")
    assert done.stdout == ("Profiled: 1 run, each in an NVTX range `profile`; no statistics are "
                           "formed, and no results written\n")
    assert sorted(p.name for p in bench.folder.iterdir()) == ["bin", "nvtx.log", "tiny.mind"]


@pytest.mark.parametrize("option", ["--json", "--csv", "--md"])
def test_a_result_cannot_be_asked_for(bench, option):
    done, _ = bench("--profile", option, "out", "tiny.mind")
    assert done.returncode == 4
    assert done.stderr == ("mindbench: error: run: --profile forms no statistics to write; leave "
                           "--json, --csv, --md and baselines out\n")


def test_the_driver_is_told_around_the_range(bench):
    done, workers = bench("--profile", "--executors", "mind,mind-scalar", "tiny.mind",
                          MINDBENCH_NVTX_DRIVER=os.environ["MINDBENCH_DRIVER"])
    assert done.returncode == 0, done.stderr
    for worker in one_each(workers).values():
        at = worker.flat.index("start")
        assert worker.flat[at:at + 4] == ["start", "push", "pop", "stop"]
        assert worker.flat.count("start") == worker.flat.count("stop") == 1
        assert worker.tree[0][2][0][2][-1] == ("profile", "1", [])


def test_the_driver_is_left_alone_without_profile(bench):
    _, workers = bench("--samples", "4", "--json", "out.json", "--executors", "mind", "tiny.mind",
                       MINDBENCH_NVTX_DRIVER=os.environ["MINDBENCH_DRIVER"])
    for worker in workers["mind"]:
        assert any("/measure" in push["message"] for push in worker.pushes)
        assert "start" not in worker.flat
