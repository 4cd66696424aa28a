"""Compiles a program with torch.export and AOTInductor into a package, which libmindbench_torch.so loads.

Not a peer that runs: its text is the package's path. Packages lie in $XDG_CACHE_HOME/mindbench/aoti, or else
in ~/.cache/mindbench/aoti, by all that they depend on: program, weights, threads, settings, the version of
PyTorch, the processor's instructions. Nothing stale has the name of what is wanted, and the name's parts
that libmindbench_torch.so can check are in the package's metadata (host/torch/packaged.cpp)."""

import hashlib
import os
import pathlib
import tempfile
import time

import torch_setup  # before torch
import torch

import torch_model
from peer import Runner

FORMAT = "1"  # of package and metadata; another one is another package
MAX_AUTOTUNE = {"torch-aoti": False, "torch-aoti-max-autotune": True}


def folder():
    cache = os.environ.get("XDG_CACHE_HOME", "")
    base = pathlib.Path(cache) if cache.startswith("/") else pathlib.Path.home() / ".cache"
    return base / "mindbench" / "aoti"


def fnv1a(data):
    """The 64 bits that mb_random_stream gives for a text."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def describe(job):
    """What the executor checks before it runs a package."""
    return {
        "mindbench_format": FORMAT,
        "mindbench_torch": torch.__version__.split("+")[0],
        "mindbench_program": f"{fnv1a(job.ir.encode()):016x}",
        "mindbench_isa": torch.backends.cpu.get_cpu_capability(),
        "mindbench_threads": str(job.threads),
    }


def key(job, metadata):
    digest = hashlib.sha256(repr((sorted(metadata.items()), job.executor, torch.__version__,
                                  str(torch._inductor.cpu_vec_isa.pick_vec_isa()))).encode())
    for param in job.program.params:
        if param.is_weight:
            digest.update(job.values[param.id])
    return digest.hexdigest()[:32]


def compile_to(path, job, metadata, asked):
    """Seconds by phase since `asked`. The package appears under its name when it is whole."""
    began = time.monotonic()
    model = torch_model.Model(job.program, job.values).eval()
    made = time.monotonic()
    exported = torch.export.export(model, torch_setup.inputs(job))
    lowered = time.monotonic()
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        whole = torch._inductor.aoti_compile_and_package(
            exported, package_path=f"{scratch}/package.pt2", inductor_configs={
                "freezing": True,
                "max_autotune": MAX_AUTOTUNE[job.executor],
                "aot_inductor.link_libtorch": False,  # the executor has it; its CUDA half may be absent
                "aot_inductor.metadata": metadata,
            })
        os.replace(whole, path)
    # Inductor finds out before what the C++ compiler can do
    return {"pack": made - began, "lower": lowered - made,
            "compile": time.monotonic() - lowered + began - asked}


def build(job):
    asked = time.monotonic()
    torch_setup.prepare(job)
    metadata = describe(job)
    path = folder() / f"{key(job, metadata)}.pt2"
    path.parent.mkdir(parents=True, exist_ok=True)
    seconds = {} if path.exists() else compile_to(path, job, metadata, asked)
    return Runner(
        run=lambda: None,
        outputs=[],
        precision="fp32",
        math_mode=torch_setup.math_mode(),
        library=f"torch {torch.__version__}",
        text=str(path),
        seconds=seconds,
    )
