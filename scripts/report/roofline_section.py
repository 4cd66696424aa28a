"""The roofline of one program: what each executor reached, under what the device did at best in the
same run."""

import drawing
import plots_roofline
import result_file
import units
from parts import SMALL, figure, table
from result_file import number

LEAST, MOST = 1e-12, 1e12  # FLOP/byte and GFLOP/s that a plot has room for


def _in_range(value):
    return value is not None and LEAST < value < MOST


def _points(benchmark):
    """[(executor, FLOP/byte, GFLOP/s, whether the arithmetic is its own)] of those that have them."""
    size, direct = (number(benchmark.node, k) for k in ("bytes", "flops"))
    found = []
    for e in benchmark.measured():
        own, took = e.get("roofline", "flops"), e.get("latency_p50_us")
        flops = own or (direct if own == 0 else None)
        if all(map(_in_range, (flops, size, took))):
            point = flops / size, flops / took / 1e3
            if all(map(_in_range, point)):
                found.append((e, *point, bool(own)))
    return found


def _reads(benchmark, executors):
    """[(name, GB/s)]: the fastest cache, memory, and last the rate at this program's working set."""
    read = [(number(r, "bytes"), number(r, "gbps")) for r in result_file.sequence(benchmark.ceilings, "read")]
    lines = plots_roofline.read_ceilings([(b, g) for b, g in read if b and _in_range(g)])
    own = next(filter(_in_range, (e.get("roofline", "read_gbps") for e in executors)), None)
    return lines + [("read in a working set of this size", own)] if own else lines


def _share(executor):
    bound = executor.say("roofline", "bound")
    return units.percent(executor.get("roofline_share")) + (f", bound by {bound}" if bound else "")


def absent(benchmark):
    if _drawable(benchmark):
        return []
    reason = result_file.text(benchmark.ceilings, "reason")
    return ["roofline" + (f" ({reason})" if reason else "")]


def _drawable(benchmark):
    """(peak in GFLOP/s, reads, points), or None where one of them is not there."""
    points, peak = _points(benchmark), number(benchmark.ceilings, "fma_gflops")
    reads = _reads(benchmark, [e for e, *_ in points])
    return (peak, reads, points) if points and reads and _in_range(peak) else None


def make(benchmark, names):
    drawn = _drawable(benchmark)
    if not drawn:
        return None
    peak, reads, points = drawn
    executors = [e.name for e, *_ in points]
    marks = [(e.name, drawing.colour(e.name, executors), "o", x, y) for e, x, y, _ in points]
    lines = ", ".join(f"{name} {units.significant(gbps)} GB/s" for name, gbps in reads)
    shares = "; ".join(f"{e.name}: {_share(e)}" for e, *_ in points)
    rows = [[e.name, units.significant(x), units.significant(y), units.time(e.get("roofline", "us")),
             units.time(e.get("latency_p50_us")), units.percent(e.get("roofline_share")),
             e.say("roofline", "bound") or "–", "its own" if own else "direct"]
            for e, x, y, own in points]
    alt = (f"{benchmark.name}: roofline, {units.significant(peak)} GFLOP/s of multiply-adds, {lines}. " +
           "; ".join(f"{e.name}: {units.significant(y)} GFLOP/s at {units.significant(x)} FLOP/byte, "
                     f"{_share(e)}" for e, x, y, _ in points) + ".")
    return figure(names, plots_roofline.roofline((peak, reads), marks, SMALL), "Roofline",
                  f"Each executor's median under what the device did at best in this run: {lines}. The "
                  f"full line is the last of these, the others are dashed. Share reached: {shares}.", alt,
                  key=[(drawing.variable(colour), name) for name, colour, *_ in marks],
                  table=table(["Executor", "FLOP/byte", "GFLOP/s", "At best", "Median", "Of the roofline",
                               "Bound by", "Algorithm counted"], rows))
