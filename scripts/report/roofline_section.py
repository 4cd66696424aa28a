"""How near to the device's best a result comes, and where in a program its time goes."""

import drawing
import plots_roofline
import result_file
import units
from parts import NARROW, SMALL, WIDE, figure, svg, table
from result_file import number, text

MARKERS = "osD^vPX*"
MOST_OPERATIONS = 40  # drawn; a table has all


def ceilings_of(node):
    """(GFLOP/s, [(name, GB/s)]) as plots_roofline takes them, or None."""
    peak = number(node, "ceilings", "fma_gflops")
    read = [(number(r, "bytes"), number(r, "gbps")) for r in result_file.sequence(node, "ceilings", "read")]
    reads = plots_roofline.read_ceilings([r for r in read if r[0] and r[1] and min(r) > 0])
    return (peak, reads) if peak and peak > 0 and reads else None


def ceilings_text(ceilings):
    peak, reads = ceilings
    return ", ".join([f"{units.significant(peak)} GFLOP/s"] +
                     [f"{units.significant(gbps)} GB/s {name}" for name, gbps in reads])


def point_of(benchmark, executor):
    """(FLOP/byte, GFLOP/s) by the algorithms that the executor used, or None."""
    flops = executor.get("roofline", "flops") or number(benchmark.node, "flops")
    size, us = number(benchmark.node, "bytes"), executor.get("latency_p50_us")
    if not flops or not size or not us or min(flops, size, us) <= 0:
        return None
    return flops / size, flops / us / 1e3


def roofline_figure(result, names):
    ceilings = ceilings_of(result.node)
    points, rows = [], []
    for i, b in enumerate(result.benchmarks):
        for e in b.measured():
            at = point_of(b, e)
            if at:
                points.append((f"{b.name}, {e.name}", drawing.colour(e.name, [x.name for x in b.executors]),
                               MARKERS[i % len(MARKERS)], *at))
                rows.append([b.name, e.name, units.significant(at[0]), units.significant(at[1]),
                             units.percent(e.get("roofline_share")), e.say("roofline", "bound") or "–"])
    if not ceilings or not points:
        return None
    executors = dict.fromkeys(e.name for b in result.benchmarks for e in b.measured())
    key = [(drawing.variable(drawing.colour(name, executors)), name) for name in executors]
    signs = dict(zip(MARKERS, ("circle", "square", "diamond", "triangle", "triangle downwards", "plus",
                               "cross", "star")))
    shapes = "; ".join(f"{b.name}: {signs[MARKERS[i]]}"
                       for i, b in enumerate(result.benchmarks[:len(MARKERS)]))
    alt = f"Roofline: {ceilings_text(ceilings)}. " + "; ".join(
        f"{row[0]}, {row[1]}: {row[3]} GFLOP/s, {row[4]}" for row in rows[:40]) + "."
    return figure(names, plots_roofline.roofline(ceilings, points, WIDE), "Roofline",
                  "Each executor under what the device did at best in this run; the full line is memory, "
                  f"the dashed one the fastest cache. {shapes}.", alt, key=key, wide=True,
                  narrow_svg=svg(names, plots_roofline.roofline(ceilings, points, NARROW), alt),
                  table=table(["Program", "Executor", "FLOP/byte", "GFLOP/s", "Of the roofline", "Bound by"],
                              rows))


def operation_figures(benchmark, names):
    """One for each executor whose steps were timed."""
    found = []
    for e in benchmark.measured():
        operations = [(text(o, "kernel") or "?", text(o, "what") or "", number(o, "us"), number(o, "flops"),
                       number(o, "bytes")) for o in result_file.sequence(e.node, "operations")]
        operations = [o for o in operations if o[2] is not None and o[2] >= 0]
        total = sum(us for _, _, us, *_ in operations)
        if total > 0:
            found.append(operations_figure(benchmark, e, operations, total, names))
    return found


def operations_figure(benchmark, executor, operations, total, names):
    rows = [[kernel, what, units.time(us), units.percent(us / total),
             units.significant(flops / us / 1e3) if flops and us else "–",
             units.significant(size / us / 1e3) if size and us else "–"]
            for kernel, what, us, flops, size in operations]
    alt = f"{benchmark.name}, {executor.name}: time of each operation. " + "; ".join(
        f"{row[1] or row[0]} {row[2]}, {row[3]}" for row in rows[:MOST_OPERATIONS]) + "."
    more = "" if len(operations) <= MOST_OPERATIONS else f" The first {MOST_OPERATIONS} are drawn."
    return figure(names, plots_roofline.operations(operations[:MOST_OPERATIONS], total, SMALL),
                  f"Where the time of {executor.name} goes",
                  f"Each step of a run, timed apart from the samples, and its kernel.{more}", alt,
                  table=table(["Kernel", "Operation", "Time", "Share", "GFLOP/s", "GB/s"], rows, left=(1,)))
