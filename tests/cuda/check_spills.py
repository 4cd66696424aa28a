#!/usr/bin/env python3
"""check_spills.py OBJECT...: no kernel of a step spills registers, on any architecture it is for.

Reads OBJECT.ptxas, what the assembler said of each object (cuda/keep_ptxas). Exit status 0 passed,
1 failed, 77 skipped: nothing was compiled.
"""
import re
import sys

from kernel_objects import Gate, step_objects

gate = Gate()
for _, path in step_objects(sys.argv[1:]):
    with open(path + ".ptxas", encoding="utf-8") as file:
        text = file.read()
    for block in text.split("Compiling entry function ")[1:]:
        kernel, architecture = re.match(r"'(\w+)' for 'sm_(\d+)a?'", block).groups()
        if not gate.takes(int(architecture), kernel):
            continue
        spills = re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", block)
        registers = re.search(r"Used (\d+) registers", block)
        if spills.groups() != ("0", "0"):
            gate.fault(f"sm_{architecture}: {registers.group(1)} registers, {spills.group(0)}:", kernel)
gate.end()
