#!/usr/bin/env python3
"""check_objects.py OBJECT...: what the machine code of each step's kernels has to contain.

Kernels read and copy 16 bytes at a time where their design says so, use tensor cores, wait for the
kernel before and let the next one begin where GPUs have these, and keep nothing in local memory.
Needs cuobjdump and nvdisasm: beside nvcc, on PATH, or from the PyPI packages
nvidia-cuda-cuobjdump and nvidia-cuda-nvdisasm. Exit status 0 passed, 1 failed, 77 skipped: no
disassembler, or nothing was compiled.
"""
import concurrent.futures
import glob
import os
import re
import shutil
import subprocess
import sys
import sysconfig

from kernel_objects import Gate, skip, step_objects

# Instructions, and the first architecture whose kernels have them.
WIDE_LOAD = (r"LDG\.\S*128", 75)
WIDE_COPY = (r"LDGSTS\.\S*128", 80)
WIDE_SHARED_LOAD = (r"LDS\.\S*128", 75)
TENSOR = (r"HMMA\.1688\.F32\.TF32", 80)
CHAIN = [("ACQBULK", 90), ("PREEXIT", 90)]  # waits for the kernel before, lets the next one start

# By file and kernel.
HAS = {
    "f32_gemv": {"gemv": [WIDE_LOAD, *CHAIN]},
    "f32_gemv_keep": {"gemv": [WIDE_LOAD, *CHAIN]},
    "f32_gemm_skinny": {"skinny": [WIDE_COPY, *CHAIN]},
    "f32_gemm": {"gemm": [WIDE_COPY, *CHAIN]},
    "f32_conv2d_direct": {
        "direct_tiled": [WIDE_COPY, WIDE_SHARED_LOAD, *CHAIN],
        "direct_plain": [WIDE_LOAD, *CHAIN],
    },
    "f32_conv2d_gemm": {"conv_gemm": [WIDE_LOAD, WIDE_SHARED_LOAD, *CHAIN]},
    "f32_conv2d_winograd2": {"winograd": [WIDE_COPY, WIDE_SHARED_LOAD, *CHAIN]},
    "f32_conv2d_3xtf32": {"conv_gemm": [WIDE_COPY, TENSOR, *CHAIN]},
}
LOCAL = re.compile(r"\b(LDL|STL)\b")


def environment():
    """PATH with every place where the two programs may be, or None."""
    places = [os.environ.get("PATH", "")]
    for root in {sysconfig.get_path("purelib"), *sys.path}:
        places += glob.glob(os.path.join(root, "nvidia", "*", "bin"))
    for toolkit in (os.environ.get("CUDA_PATH"), os.environ.get("CUDA_HOME"), "/usr/local/cuda"):
        if toolkit:
            places.append(os.path.join(toolkit, "bin"))
    path = os.pathsep.join(places)
    if not shutil.which("cuobjdump", path=path) or not shutil.which("nvdisasm", path=path):
        return None
    return {**os.environ, "PATH": path}


def disassembled(path):
    tool = shutil.which("cuobjdump", path=env["PATH"])
    return subprocess.run([tool, "-sass", path], env=env, check=True, capture_output=True,
                          text=True).stdout


def functions(listing):
    """(architecture, mangled name, code) of a listing."""
    for part in re.split(r"^\s*code for ", listing, flags=re.M)[1:]:
        architecture = int(re.match(r"sm_(\d+)", part).group(1))
        for code in re.split(r"^\s*Function : ", part, flags=re.M)[1:]:
            yield architecture, code.split(None, 1)[0], code


def name_in(mangled):
    """The function's own name: gemm of _Z4gemmI... and of _ZN7mb_tile4gemmI..."""
    at = re.match(r"_ZN?L?", mangled).end()
    while length := re.match(r"\d+", mangled[at:]):
        begin = at + length.end()
        at = begin + int(length.group())
        if not mangled.startswith("_ZN"):
            break
    return mangled[begin:at]


def faults(file, architecture, name, code):
    if name not in HAS.get(file, {}):
        yield f"has no row in {os.path.basename(__file__)}"
        return
    for pattern, since in HAS[file][name]:
        if architecture >= since and not re.search(pattern, code):
            yield f"has no {pattern}"
    if LOCAL.search(code):
        yield "uses local memory"


objects = step_objects(sys.argv[1:])
env = environment() or skip("no cuobjdump and nvdisasm")
gate = Gate()
unseen = {(file, name) for file in HAS for name in HAS[file]}
with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    listings = pool.map(disassembled, [path for _, path in objects])
    for (file, _), listing in zip(objects, listings):
        for architecture, kernel, code in functions(listing):
            if not gate.takes(architecture, kernel):
                continue
            name = name_in(kernel)
            unseen.discard((file, name))
            for fault in faults(file, architecture, name, code):
                gate.fault(f"sm_{architecture}, {file}, {kernel}: {fault}")
for file, name in sorted(unseen):
    gate.fault(f"{file}: no kernel {name}")
gate.end()
