"""The time of each operation of a run, as `mindbench run --profile-ops` measured it."""

import drawing
import result_file
import units
from parts import SMALL, count, figure, table
from result_file import number, text

MOST_BARS = 8  # of one executor; the others are one bar more
MOST_ROWS = 200  # of the table
ROW, HEADING, GAP = 34, 24, 10  # pixels


def _operations(executor):
    """[(kernel, what, microseconds)], the longest first."""
    found = [(text(o, "kernel") or "?", text(o, "what") or "", number(o, "us"))
             for o in result_file.sequence(executor.node, "operations")]
    return sorted((o for o in found if o[2] is not None and o[2] >= 0), key=lambda o: -o[2])


def _profiled(benchmark):
    """[(executor's name, its operations, their sum)]"""
    found = [(e.name, _operations(e)) for e in benchmark.measured()]
    found = [(name, operations, sum(us for *_, us in operations)) for name, operations in found]
    return [entry for entry in found if entry[2] > 0]


def _bars(operations):
    rest = operations[MOST_BARS:]
    more = [(f"{len(rest)} shorter ones", "", sum(us for *_, us in rest))] if rest else []
    return operations[:MOST_BARS] + more


def draw(profiled, width):
    """A panel for each executor: bars of shares of its sum, the kernel and the time above each."""
    left, right, bottom = 12, 24, 30
    heights = [HEADING + ROW * len(_bars(operations)) for _, operations, _ in profiled]
    whole = sum(heights) + GAP * (len(profiled) - 1) + bottom
    fig = drawing.figure(width, whole)
    names = [name for name, *_ in profiled]
    above = 0
    for i, ((name, operations, total), height) in enumerate(zip(profiled, heights)):
        bars = _bars(operations)
        ax = drawing.axes(fig, left, above + HEADING, right, whole - above - height)
        ax.set(xlim=(0, 1), ylim=(len(bars) - 0.5, -0.5))
        ax.set_yticks([])
        ax.xaxis.set_major_locator(drawing.MaxNLocator(5))
        ax.xaxis.set_major_formatter(drawing.FuncFormatter(lambda v, _: f"{100 * v:.0f} %"))
        ax.tick_params(axis="x", labelbottom=i == len(profiled) - 1, length=0)
        ax.text(0, -0.55, f"{units.shorten(name, 30)}, {units.time(total)}", weight="bold", va="bottom")
        for y, (kernel, what, us) in enumerate(bars):
            ax.barh(y + 0.2, us / total, height=0.36, color=drawing.colour(name, names), lw=0,
                    gid=f"note:{kernel}, {what}: {units.time(us)}")
            ax.text(0, y - 0.05, units.shorten(kernel, 36), va="bottom", size=10)
            ax.text(1, y - 0.05, f"{units.time(us)}, {units.percent(us / total)}", va="bottom", ha="right",
                    size=10, color=drawing.MUTED)
        above += height + GAP
    return fig


def absent(benchmark):
    """`operations (why: torch-eager, torch-jit)`, each reason once."""
    drawn = {name for name, *_ in _profiled(benchmark)}
    reasons = {}
    for e in benchmark.measured():
        if e.name not in drawn:
            reasons.setdefault(e.say("operations_reason"), []).append(e.name)
    unasked = reasons.pop(None, []) and not drawn and not reasons
    return (["operations (run --profile-ops measures them)"] if unasked else []) + \
        [f"operations of {', '.join(who)} ({why})" for why, who in reasons.items()]


def make(benchmark, names):
    profiled = _profiled(benchmark)
    if not profiled:
        return None
    rows = [[name, kernel, what, units.time(us), units.percent(us / total, 1)]
            for name, operations, total in profiled for kernel, what, us in operations]
    alt = f"{benchmark.name}: time of each operation. " + "; ".join(
        f"{name}: " + ", ".join(f"{kernel} {units.percent(us / total)}"
                                for kernel, _, us in _bars(operations))
        for name, operations, total in profiled) + "."
    more = len(rows) - MOST_ROWS
    return figure(names, draw(profiled, SMALL), "Operations",
                  "Medians of runs apart from the samples, the longest first, each with its kernel and its "
                  "share of the sum." + (f" {count(more, 'row')} more in the file." if more > 0 else ""),
                  alt, table=table(["Executor", "Kernel", "Operation", "Time", "Share"], rows[:MOST_ROWS],
                                   left=(1, 2)))
