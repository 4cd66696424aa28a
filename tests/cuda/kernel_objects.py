"""Kernels of steps, as the gates on compiled objects see them: which they are, and the verdict.

Left out are kernels that only pack or pool, and single operations (operations*.cu): they are no
step's time.
"""
import collections
import re
import sys

STEP = re.compile(r"/(f32_\w+)\.cu\.o$")
ASIDE = re.compile(r"\d(mb_)?pack_|\dmax_pool")  # in a mangled name


def step_objects(paths):
    """(name of the kernel's file, path) of each object of a step; skips the test without any."""
    found = [(STEP.search(path).group(1), path) for path in paths if STEP.search(path)]
    if not found:
        skip("no kernel was compiled")
    return found


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


class Gate:
    """Counts kernels and faults."""

    def __init__(self):
        self.kernels = collections.Counter()
        self.faults = 0

    def takes(self, architecture, kernel):
        """Whether the kernel is to be checked; counted if so."""
        if ASIDE.search(kernel):
            return False
        self.kernels[architecture] += 1
        return True

    def fault(self, *words):
        print(*words)
        self.faults += 1

    def end(self):
        """Prints the sum, and ends the test: 0 passed, 1 failed."""
        counts = ", ".join(f"{n} for sm_{name}" for name, n in sorted(self.kernels.items()))
        print(f"{sum(self.kernels.values())} kernels ({counts}), {self.faults} faults")
        sys.exit(1 if self.faults or not self.kernels else 0)
