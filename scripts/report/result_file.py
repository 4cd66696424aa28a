"""Result files as the report's pages and plots see them.

What a file lacks, or holds in another type than results/schema.json says, is None or empty here: the
page then says `not measured`. Every text is made safe to show: one that cannot be written as UTF-8,
that steers a terminal or that turns the direction of writing loses those characters. Texts are still
to be escaped by whoever writes them into HTML.
"""

import dataclasses
import json
import unicodedata

LARGEST = 1e100
KERNELS_FORMAT = "mindbench-kernels"


# ---- values of unknown type ----

def clean(text):
    """The text with line breaks and tabs kept and other control and format characters replaced."""
    return "".join(c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn")
                   else "\N{REPLACEMENT CHARACTER}" for c in text)


def line(text):
    return clean(text).replace("\n", "\N{REPLACEMENT CHARACTER}")


def text(node, *keys):
    value = at(node, *keys)
    return clean(value) if isinstance(value, str) and value else None


def number(node, *keys):
    """A number that can be drawn, else None: finite, and no larger than anything that is measured."""
    value = at(node, *keys)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        value = float(value)
    except OverflowError:
        return None
    return value if abs(value) < LARGEST else None


def flag(node, *keys):
    value = at(node, *keys)
    return value if isinstance(value, bool) else None


def at(node, *keys):
    for key in keys:
        node = node.get(key) if isinstance(node, dict) else None
    return node


def mapping(node, *keys):
    value = at(node, *keys)
    return value if isinstance(value, dict) else {}


def sequence(node, *keys):
    value = at(node, *keys)
    return value if isinstance(value, list) else []


def numbers(node, *keys):
    """An array of finite numbers; empty when any entry is none."""
    values = [number({"": v}, "") for v in sequence(node, *keys)]
    return [] if None in values else values


# ---- what a file holds ----

@dataclasses.dataclass
class Executor:
    name: str
    device: str
    measured: bool
    reason: str | None  # why it was not measured
    valid: bool
    invalid_reason: str | None
    samples_us: list
    block_starts: list  # of samples; the last entry is their number
    phases_us: dict
    node: dict  # the file's own object, for what only a table shows

    def get(self, *keys):
        return number(self.node, *keys)

    def say(self, *keys):
        return text(self.node, *keys)

    def restarts(self):
        """Samples that are the first of a start of the executor's processes but the first; a start is
        two processes, 2 g and 2 g + 1, measured in the same rounds."""
        starts = [int(p) // 2 for p in numbers(self.node, "block_processes")]
        return [first for first, before, start in zip(self.block_starts[1:], starts, starts[1:])
                if before != start]

    def warm_ups(self):
        """[(microseconds of the untimed runs, index of the first that is steady)] of each process."""
        return [(numbers(p, "warmup_us"), int(number(p, "steady_from") or 0))
                for p in sequence(self.node, "processes") if numbers(p, "warmup_us")]

    def states(self, key):
        """[(seconds since the benchmark's first block, value)] of blocks where both are known."""
        found = [(number(s, "start_us"), number(s, key)) for s in sequence(self.node, "block_states")]
        return [(start / 1e6, value) for start, value in found if None not in (start, value)]

    def gpu_states(self, key):
        """[(number of the reading, value)]"""
        found = enumerate(number(s, key) for s in sequence(self.node, "gpu_states"))
        return [(i, value) for i, value in found if value is not None]


@dataclasses.dataclass
class Comparison:
    a: str
    b: str
    speedup: float | None
    low: float | None
    high: float | None
    verdict: str | None
    withheld: str | None
    node: dict


@dataclasses.dataclass
class Benchmark:
    name: str
    batch: int | None
    executors: list
    comparisons: list
    fastest: str | None  # the fastest PyTorch executor
    ceilings: dict  # of the device, measured in the same run as all of the file
    node: dict

    def executor(self, name):
        return next((e for e in self.executors if e.name == name), None)

    def measured(self):
        return [e for e in self.executors if e.measured]

    def comparison(self, a, b):
        return next((c for c in self.comparisons if (c.a, c.b) == (a, b)), None)

    @property
    def headline(self):
        """The comparison to quote: mind against the fastest PyTorch executor, else the first."""
        if self.fastest:
            against = self.comparison("mind", self.fastest)
            if against:
                return against
        return self.comparisons[0] if self.comparisons else None


@dataclasses.dataclass
class Result:
    label: str
    place: str
    altered: bool
    node: dict
    benchmarks: list
    valid: bool
    invalid_reason: str | None

    def get(self, *keys):
        return number(self.node, *keys)

    def say(self, *keys):
        return text(self.node, *keys)


@dataclasses.dataclass
class Kernels:
    """What `mindbench bench-kernels --json` wrote."""
    label: str
    node: dict
    rows: list


def read_executor(name, node):
    samples = numbers(node, "samples_us")
    starts = [int(s) for s in numbers(node, "block_starts")]
    if starts != sorted(starts) or not starts or starts[0] != 0 or starts[-1] != len(samples):
        starts = [0, len(samples)]
    return Executor(
        name=clean(name), device=text(node, "device") or "",
        measured=text(node, "status") == "measured" and number(node, "latency_p50_us") is not None,
        reason=text(node, "reason"), valid=text(node, "result_validity") == "VALID",
        invalid_reason=text(node, "result_invalid_reason"), samples_us=samples,
        block_starts=starts, node=node,
        phases_us={clean(k): number({"": v}, "") for k, v in mapping(node, "phases_us").items()})


def read_comparison(node):
    ratio = [number(node, k) for k in ("speedup", "ci_low", "ci_high")]
    if None in ratio or min(ratio) <= 0:
        ratio = [None] * 3
    return Comparison(text(node, "a") or "?", text(node, "b") or "?", *ratio,
                      text(node, "verdict"), text(node, "withheld_reason"), node)


def read_benchmark(name, node, ceilings):
    batch = number(node, "batch_size")
    return Benchmark(
        name=clean(name), batch=int(batch) if batch is not None else None,
        executors=[read_executor(n, e) for n, e in mapping(node, "executors").items()],
        comparisons=[read_comparison(c) for c in sequence(node, "comparisons")],
        fastest=text(node, "fastest_pytorch"), ceilings=ceilings, node=node)


def read(stream):
    """[Result or Kernels] of what mindbench has read before and found good: a line of JSON for each,
    and a last one that says what each is."""
    *nodes, parts = map(json.loads, stream)
    return [parse(line(part["label"]), node, line(part["place"]), part["altered"])
            for node, part in zip(nodes, parts, strict=True)]


def parse(label, node, place="", altered=False):
    """One of them, whatever it holds. place: its file, with #N for a part of a merged one."""
    if text(node, "format") == KERNELS_FORMAT:
        return Kernels(label, node, [r for r in sequence(node, "rows") if isinstance(r, dict)])
    return Result(label, place, altered, node,
                  [read_benchmark(n, b, mapping(node, "ceilings")) for n, b in
                   mapping(node, "benchmarks").items()],
                  text(node, "result_validity") != "INVALID", text(node, "result_invalid_reason"))
