"""What a peer is given and what it gives: a module here with build(job), which makes a Runner."""

from dataclasses import dataclass, field

from program import Program


class Unsupported(Exception):
    """The peer cannot run this; the text is the reason that its row shows."""


@dataclass
class Job:
    executor: str
    threads: int
    precision: str
    isa: str  # the best instruction set allowed
    program: Program
    ir: str  # the text that the program was read from
    values: dict  # id of each param: its data, read-only; weights are borrowed during build


@dataclass
class Runner:
    run: object  # run() computes once and returns when the outputs may be read
    outputs: object  # an array for each output, written by run(), in the program's order; or a function
    #                  that returns those of the last run, for a library that makes new ones in each
    precision: str  # as the library says it, not as it was asked for
    math_mode: str
    library: str
    text: str = ""  # the plan, for people
    inputs: list = None  # held here for as long as run() reads them
    # Seconds of build() by the names of host/bench/result.h; what is left of it is `plan`. Two more:
    # `compile`, a compiler's, and `harness`, what no user would wait for, as writing the model file
    seconds: dict = field(default_factory=dict)


def capped(isa):
    """Whether `isa` forbids an instruction set that this machine has."""
    with open("/proc/cpuinfo", encoding="ascii") as info:
        flags = next((line for line in info if line.startswith("flags")), "").split()
    return (isa == "scalar" and "avx" in flags) or (isa == "avx2" and "avx512f" in flags)
