#!/usr/bin/env python3
"""check_objects.py OBJECT...: what the machine code of each step's kernels has to contain.

Kernels read and copy 16 bytes at a time where their design says so, wait for the kernel before and
let the next one begin where GPUs can overlap launches, and keep nothing in local memory. Kernels
that only pack or pool are left out. Needs cuobjdump and nvdisasm: beside nvcc, on PATH, or from the
PyPI packages nvidia-cuda-cuobjdump and nvidia-cuda-nvdisasm. Exit status 0 passed, 1 failed, 77
skipped: no disassembler, or nothing was compiled.
"""
import collections
import glob
import os
import re
import shutil
import subprocess
import sys
import sysconfig

WIDE_LOAD = r"LDG\.\S*128"
WIDE_COPY = r"LDGSTS\.\S*128"
WAITS = "ACQBULK"
LETS_NEXT_START = "PREEXIT"

# Of the file's kernels: instructions, and the first architecture that has them.
HAS = {
    "f32_gemv": [(WIDE_LOAD, 75), (WAITS, 90), (LETS_NEXT_START, 90)],
    "f32_gemv_keep": [(WIDE_LOAD, 75), (WAITS, 90), (LETS_NEXT_START, 90)],
    "f32_gemm_skinny": [(WIDE_COPY, 80), (WAITS, 90), (LETS_NEXT_START, 90)],
    "f32_gemm": [(WIDE_COPY, 80), (WAITS, 90), (LETS_NEXT_START, 90)],
}
LOCAL = re.compile(r"\b(LDL|STL)\b")
MAIN = re.compile(r"/(f32_\w+)\.cu\.o$")
ASIDE = re.compile(r"mb_pack_|max_pool")


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


def functions(listing):
    """(architecture, kernel, code) of a listing."""
    for part in re.split(r"^\s*code for ", listing, flags=re.M)[1:]:
        architecture = int(re.match(r"sm_(\d+)", part).group(1))
        for code in re.split(r"^\s*Function : ", part, flags=re.M)[1:]:
            yield architecture, code.split(None, 1)[0], code


def faults(file, architecture, code):
    for pattern, since in HAS.get(file, []):
        if architecture >= since and not re.search(pattern, code):
            yield f"has no {pattern}"
    if LOCAL.search(code):
        yield "uses local memory"


objects = list(filter(MAIN.search, sys.argv[1:]))
env = environment()
if not objects or not env:
    print("skipped: " + ("no cuobjdump and nvdisasm" if objects else "no kernel was compiled"))
    sys.exit(77)
failed = 0
kernels = collections.Counter()
for path in objects:
    file = MAIN.search(path).group(1)
    tool = shutil.which("cuobjdump", path=env["PATH"])
    listing = subprocess.run([tool, "-sass", path], env=env, check=True, capture_output=True,
                             text=True).stdout
    for architecture, kernel, code in functions(listing):
        if ASIDE.search(kernel):
            continue
        kernels[architecture] += 1
        for fault in faults(file, architecture, code):
            print(f"sm_{architecture}, {file}, {kernel}: {fault}")
            failed += 1
counts = ", ".join(f"{count} for sm_{name}" for name, count in sorted(kernels.items()))
print(f"{sum(kernels.values())} kernels ({counts}), {failed} faults")
sys.exit(1 if failed or not kernels else 0)
