"""A table of kernels, as mindbench bench-kernels writes it."""

import drawing
import plots_roofline
import result_file
import units
from parts import SMALL, count, figure, table
from result_file import number, text

MARKERS = "osD^vPX*"
MOST_ROWS = 1000  # of the table


def kernel_colours(names):
    return {name: (drawing.SERIES[i % 8], MARKERS[i // 8 % 8]) for i, name in enumerate(names)}


def section(kernels, names, ident):
    node = kernels.node
    good = [r for r in kernels.rows if text(r, "status") == "ok" and
            all(number(r, k) for k in ("flops", "bytes", "gflops", "share"))]
    known = sorted({text(r, "kernel") or "?" for r in good})
    colours = kernel_colours(known)
    figures = [roofline_figure(kernels, good, colours, names), share_figure(good, known, colours, names)]
    machine = text(node, "machine", "gpu") or text(node, "machine", "cpu")
    threads = number(node, "threads")
    size = f"{count(len(known), 'kernel')} on {count(len({text(r, 'shape') for r in good}), 'shape')}"
    parts = [machine, f"{threads:.0f} threads" if threads and text(node, "device") == "cpu" else None,
             text(node, "math_mode"), text(node, "library")]
    rows = [[text(r, "kernel") or "?", text(r, "shape") or "?", text(r, "from") or "",
             units.time(number(r, "time_us")), units.significant(number(r, "gflops") or 0),
             units.percent(number(r, "share")), text(r, "bound") or "–",
             units.error(number(r, "rel_l2_error")),
             "VALID" if text(r, "status") == "ok" else "INVALID: " + (text(r, "reason") or "?")]
            for r in kernels.rows[:MOST_ROWS]]
    more = len(kernels.rows) - len(rows)
    return {"id": ident, "title": f"Kernels: {kernels.label}", "answer": size, "text": ", ".join(filter(None, [size, *parts])),
            "figures": list(filter(None, figures)),
            "more": f"{count(more, 'row')} more in the file." if more > 0 else None,
            "table": table(["Kernel", "Shape", "From", "Time", "GFLOP/s", "Of the roofline", "Bound by",
                            "Error (rel. L2)", "Result"], rows, left=(1, 2), label="Every kernel and shape")}


def roofline_figure(kernels, rows, colours, names):
    peak = number(kernels.node, "ceilings", "fma_gflops")
    read = [(number(r, "bytes"), number(r, "gbps"))
            for r in result_file.sequence(kernels.node, "ceilings", "read")]
    reads = plots_roofline.read_ceilings([r for r in read if r[0] and r[1]])
    if not rows or not peak or not reads:
        return None
    points = [(f"{text(r, 'kernel')}, {text(r, 'shape')}", *colours[text(r, "kernel") or "?"],
               number(r, "flops") / number(r, "bytes"), number(r, "gflops")) for r in rows]
    best = max(rows, key=lambda r: number(r, "share"))
    alt = (f"Roofline of {kernels.label}: {units.significant(peak)} GFLOP/s, " +
           ", ".join(f"{name} {units.significant(gbps)} GB/s" for name, gbps in reads) +
           f"; {count(len(rows), 'point')}, the nearest to its ceiling {text(best, 'kernel')} on "
           f"{text(best, 'shape')} with {units.percent(number(best, 'share'))}.")
    return figure(names, plots_roofline.roofline((peak, reads), points, SMALL), "Roofline",
                  "Each kernel on each shape, under what the device did at best. The full line is memory, "
                  "the dashed one the fastest cache.", alt)


def share_figure(rows, known, colours, names):
    if not rows:
        return None
    shares = {k: sorted(number(r, "share") for r in rows if (text(r, "kernel") or "?") == k) for k in known}
    cells = [[k, str(len(v)), units.percent(v[0]), units.percent(v[len(v) // 2]), units.percent(v[-1])]
             for k, v in shares.items()]
    alt = "Share of the roofline by kernel. " + "; ".join(f"{c[0]}: median {c[3]}" for c in cells) + "."
    return figure(names, plots_roofline.shares(shares, colours, SMALL), "Share of the roofline",
                  "Each dot a shape, the ring the median.", alt,
                  table=table(["Kernel", "Shapes", "Least", "Median", "Most"], cells))
