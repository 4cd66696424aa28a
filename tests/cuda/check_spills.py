#!/usr/bin/env python3
"""check_spills.py OBJECT...: no kernel of a step spills registers on the architecture that is tuned.

Reads OBJECT.ptxas, what the assembler said of each object (cuda/keep_ptxas). Kernels that only pack,
pool or compute single operations may spill; there is no speed to lose. Exit status 0 passed, 1
failed, 77 skipped: nothing was compiled for that architecture.
"""
import re
import sys

ARCHITECTURE = "sm_90a"
MAIN = re.compile(r"/f32_\w+\.cu\.o$")

kernels = failed = 0
for path in filter(MAIN.search, sys.argv[1:]):
    with open(path + ".ptxas", encoding="utf-8") as file:
        text = file.read()
    for block in text.split("Compiling entry function ")[1:]:
        name, architecture = re.match(r"'(\w+)' for '(\w+)'", block).groups()
        if architecture != ARCHITECTURE:
            continue
        spills = re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", block)
        registers = re.search(r"Used (\d+) registers", block)
        print(f"{registers.group(1):>4} registers, {spills.group(0)}: {name}")
        kernels += 1
        failed += spills.groups() != ("0", "0")
if not kernels:
    print(f"skipped: no kernel was compiled for {ARCHITECTURE}")
    sys.exit(77)
print(f"{kernels} kernels, {failed} spill")
sys.exit(1 if failed else 0)
