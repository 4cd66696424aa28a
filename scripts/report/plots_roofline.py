"""The roofline: what a device can do at best by the arithmetic done on each byte, and how near to it
something comes."""

import drawing
from drawing import CARD, INK, MUTED
import units


def roofline(ceilings, points, width):
    """ceilings: (GFLOP/s, [(name, GB/s)]), the read that bounds them last; points: [(label, colour, marker,
    FLOP/byte, GFLOP/s)]. Both axes are logarithmic."""
    peak, reads = ceilings
    fig = drawing.figure(width, 300)
    ax = drawing.axes(fig, 58, 14, 18, 44)
    xs = [x for _, _, _, x, _ in points] + [peak / gbps for _, gbps in reads]
    ys = [y for *_, y in points] + [peak]
    low_x, high_x = min(xs) / 2, max(xs) * 3
    low_y, high_y = min(ys) / 2, max(ys) * 2.2
    ax.set(xscale="log", yscale="log", xlim=(low_x, high_x), ylim=(low_y, high_y))
    for i, (name, gbps) in enumerate(reads):
        ridge = peak / gbps
        start = max(low_x, low_y / gbps)
        last = i == len(reads) - 1
        ax.plot([start, ridge], [start * gbps, peak], color=INK if last else MUTED, lw=1.6 if last else 1,
                ls="-" if last else (0, (4, 3)), gid=f"note:{name}: {units.significant(gbps)} GB/s")
    first = peak / max(gbps for _, gbps in reads)
    ax.plot([first, high_x], [peak, peak], color=INK, lw=1.6,
            gid=f"note:{units.significant(peak)} GFLOP/s")
    ax.text(high_x, peak * 1.12, f"{units.significant(peak)} GFLOP/s", ha="right", va="bottom", size=10.5)
    for label, colour, marker, x, y in points:
        ax.plot([x], [y], marker=marker, ms=7, color=colour, mec=CARD, mew=0.9, alpha=0.9,
                gid=f"note:{label}: {units.significant(y)} GFLOP/s, {units.significant(x)} FLOP/byte")
    ax.grid(True, axis="both")
    for axis, low, high in ((ax.xaxis, low_x, high_x), (ax.yaxis, low_y, high_y)):
        ticks = drawing.log_ticks(low, high, 5)
        axis.set_minor_locator(drawing.NullLocator())
        axis.set_ticks(ticks, labels=[f"{t:,.4g}" for t in ticks])
    ax.tick_params(axis="y", labelcolor=MUTED)
    ax.set_xlabel("FLOP for each byte that must move", loc="right")
    ax.text(low_x, high_y, "GFLOP/s", size=10.5, color=MUTED, va="bottom", ha="left")
    return fig


def read_ceilings(read):
    """[(name, GB/s)] for the page's lines of [(bytes, GB/s)]: the fastest that a working set in cache
    was read at, and the slowest, memory."""
    read = sorted(read)
    if not read:
        return []
    fastest, memory = max(gbps for _, gbps in read), read[-1][1]
    return [("read from cache, at best", fastest), ("read from memory", memory)] if \
        fastest > 1.1 * memory else [("read from memory", memory)]


def shares(shares, colours, width):
    """shares: {kernel: its shares, sorted}."""
    left, right, top, bottom, row = 168, 14, 6, 30, 24
    fig = drawing.figure(width, top + bottom + row * len(shares))
    ax = drawing.axes(fig, left, top, right, bottom)
    ax.set(xlim=(0, max(1, 1.05 * max(v[-1] for v in shares.values()))), ylim=(len(shares) - 0.5, -0.5))
    ax.axvline(1, color=INK, lw=1.2)
    ax.set_yticks(range(len(shares)), labels=[units.shorten(k, 27) for k in shares])
    ax.tick_params(axis="y", labelsize=10)
    ax.xaxis.set_major_locator(drawing.MaxNLocator(5))
    ax.xaxis.set_major_formatter(drawing.FuncFormatter(lambda v, _: f"{100 * v:.0f} %"))
    for y, (kernel, values) in enumerate(shares.items()):
        drawing.dots(ax, values, [y] * len(values), 6, colours[kernel][0], 0.55)
        median = values[len(values) // 2]
        ax.plot([median], [y], marker="o", ms=8, color=CARD, mec=INK, mew=1.6,
                gid=f"note:{kernel}: median {units.percent(median)}")
    return fig
