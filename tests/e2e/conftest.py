"""What the end-to-end tests share: the program, a place to work, and a reader of its output.

Environment, set by CTest: MINDBENCH (the program), MINDBENCH_SOURCE (the repository),
MINDBENCH_FAKE (a plugin that can misbehave, see fake_backend.c)."""

import json
import os
import pathlib
import shutil
import subprocess

import jsonschema
import pytest

PROGRAM = pathlib.Path(os.environ["MINDBENCH"])
SOURCE = pathlib.Path(os.environ["MINDBENCH_SOURCE"])
FAKE = pathlib.Path(os.environ["MINDBENCH_FAKE"])
TORCH = PROGRAM.with_name("libmindbench_torch.so")
CUDA = PROGRAM.with_name("libmindbench_cuda.so")
WORKLOADS = SOURCE / "host" / "workloads"
SCHEMA = json.loads((SOURCE / "results" / "schema.json").read_text())

TINY = """pub fn tiny(x: tensor<f32[3, 5]>, w: tensor<f32[5, 4]>, b: tensor<f32[4]>) -> tensor<f32[3, 4]> {
    return relu(matmul(x, w) + b);
}
"""


class Bench:
    """The program in a folder of its own, with or without plugins beside it."""

    def __init__(self, folder, plugin=None, name="libmindbench_torch.so"):
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.program = self.bin / "mindbench"
        shutil.copy2(PROGRAM, self.program)
        if plugin is not None:
            shutil.copy2(plugin, self.bin / name)
        (folder / "tiny.mind").write_text(TINY)

    def environment(self, **extra):
        env = {k: v for k, v in os.environ.items() if k not in ("SAMPLE_SIZE", "WARMUP_RUNS")}
        env.update(extra)
        return env

    def __call__(self, *args, env=None, timeout=120, roofline=False, **kwargs):
        if args and args[0] == "run" and not roofline:  # half a second less
            args = ("run", "--no-roofline", *args[1:])
        return subprocess.run([self.program, *map(str, args)], cwd=self.folder,
                              env=self.environment(**(env or {})), timeout=timeout,
                              capture_output=True, text=True, **kwargs)

    def start(self, *args, env=None):
        return subprocess.Popen([self.program, *map(str, args)], cwd=self.folder,
                                env=self.environment(**(env or {})), stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def result(self, name="out.json"):
        """A result file that fits the schema."""
        result = json.loads((self.folder / name).read_text())
        jsonschema.Draft202012Validator(SCHEMA).validate(result)
        return result

    def files(self):
        """What lies in the folder, without what the fixture put there."""
        return sorted(p.name for p in self.folder.iterdir() if p.name not in ("bin", "tiny.mind"))


@pytest.fixture
def bare(tmp_path):
    """Without any plugin."""
    return Bench(tmp_path)


@pytest.fixture
def fake(tmp_path):
    """With the plugin that can misbehave in libtorch's place."""
    return Bench(tmp_path, FAKE)


@pytest.fixture
def gpu(tmp_path):
    """With that plugin in CUDA's place and in libtorch's: a GPU with a clock that only runs move, and
    with the fake NVML in sight."""
    bench = Bench(tmp_path, FAKE, CUDA.name)
    shutil.copy2(FAKE, bench.bin / TORCH.name)
    environment = bench.environment
    bench.environment = lambda **extra: environment(**{"LD_LIBRARY_PATH": os.environ["MINDBENCH_NVML"],
                                                       **extra})
    return bench


@pytest.fixture
def torch(tmp_path):
    """With the real libtorch plugin, where it was built."""
    if not TORCH.exists():
        pytest.skip("built without libtorch")
    return Bench(tmp_path, TORCH)


@pytest.fixture
def cuda(tmp_path):
    """With the CUDA plugin, where it was built."""
    if not CUDA.exists():
        pytest.skip("built without CUDA")
    return Bench(tmp_path, CUDA, CUDA.name)


def one_error(done, status):
    """Exactly one line on stderr, an error of ours, and the exit status; returns the line."""
    lines = done.stderr.splitlines()
    assert done.returncode == status, done.stderr
    assert len(lines) == 1 and lines[0].startswith("mindbench: error: "), done.stderr
    return lines[0]
