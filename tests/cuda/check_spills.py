#!/usr/bin/env python3
"""check_spills.py OBJECT...: no kernel of a step spills registers, on any architecture it is built for.

Reads OBJECT.ptxas, what the assembler said of each object (cuda/keep_ptxas). Kernels that only pack,
pool or compute single operations may spill; there is no speed to lose. Exit status 0 passed, 1
failed, 77 skipped: nothing was compiled.
"""
import collections
import re
import sys

MAIN = re.compile(r"/f32_\w+\.cu\.o$")
ASIDE = re.compile(r"mb_pack_|max_pool")

kernels = failed = 0
by_architecture = collections.Counter()
for path in filter(MAIN.search, sys.argv[1:]):
    with open(path + ".ptxas", encoding="utf-8") as file:
        text = file.read()
    for block in text.split("Compiling entry function ")[1:]:
        name, architecture = re.match(r"'(\w+)' for '(\w+)'", block).groups()
        if ASIDE.search(name):
            continue
        spills = re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", block)
        registers = re.search(r"Used (\d+) registers", block)
        if spills.groups() != ("0", "0"):
            print(f"{architecture}: {registers.group(1)} registers, {spills.group(0)}: {name}")
            failed += 1
        kernels += 1
        by_architecture[architecture] += 1
if not kernels:
    print("skipped: no kernel was compiled")
    sys.exit(77)
counts = ", ".join(f"{count} for {name}" for name, count in sorted(by_architecture.items()))
print(f"{kernels} kernels ({counts}), {failed} spill")
sys.exit(1 if failed else 0)
