"""The plots of one result, each a function from what it shows to a figure of drawing.py.

All widths are pixels. None of them computes a statistic that the file has: they draw its numbers, and
beside them its samples.
"""

import math

import numpy

import drawing
from drawing import BAD, BAND, CARD, GRID, GREEN, GREY, INK, MUTED, ORANGE, VERMILLION
import units

# Verdict: colour, marker. The word stands beside it.
VERDICTS = {"FAST": (GREEN, "o"), "SLOW": (VERMILLION, "s"), "SAME": (GREY, "D"), "AMBG": (ORANGE, "^")}
LEAST_EFFECT = 0.02  # of a file that does not say: the default of mindbench run


def _row_labels(ax, labels, most):
    ax.set_yticks(range(len(labels)), labels=[units.shorten(label, most) for label in labels])
    ax.set_ylim(len(labels) - 0.5, -0.5)


def _ratio_rows(groups):
    """(y, heading or None, label, comparison or None) from the top, and the rows' number."""
    rows, y = [], 0
    for heading, comparisons in groups:
        if heading is not None:
            rows.append((y, heading, None, None))
            y += 1
        for label, comparison in comparisons:
            rows.append((y, None, label, comparison))
            y += 1
        y += 0.35 if heading is not None else 0
    return rows, y


def ratios(groups, width, effect, sides=True):
    """Ratios with their intervals on a logarithmic axis. groups: [(heading or None,
    [(label, Comparison)])]; every comparison has a ratio. effect: what counts as the same; sides:
    whether the two sides of 1 are named."""
    rows, height = _ratio_rows(groups)
    all_rows = [c for _, _, _, c in rows if c]
    wide = width > 600
    left, right, top, bottom = (190, 195, 26, 34) if wide else (112, 84, 26, 34)
    fig = drawing.figure(width, top + bottom + 23 * height)
    ax = drawing.axes(fig, left, top, right, bottom)
    low = min(min(c.low for c in all_rows), 1) / 1.06
    high = max(max(c.high for c in all_rows), 1) * 1.06
    low, high = min(low, 0.9), max(high, 1.12)
    drawing.ratio_axis(ax, low, high, 9 if wide else 5)
    ax.set_ylim(height - 0.4, -0.6)
    ax.axvspan(1 - effect, 1 + effect, color=BAND, lw=0)
    ax.axvline(1, color=INK, lw=1.2)
    ax.set_yticks([])
    side = ax.get_yaxis_transform()
    for y, heading, label, c in rows:
        if heading is not None:
            ax.text(0, y, units.shorten(heading, 60 if wide else 42), transform=side, weight="bold",
                    va="center", ha="left").set_x(-left / (width - left - right))
            continue
        colour, marker = VERDICTS.get(c.verdict, (GREY, "o"))
        note = f"note:{c.a} against {c.b}: {units.ratio(c.speedup)} " \
               f"{units.interval(c.low, c.high)} {c.verdict or ''}"
        ax.plot([c.low, c.high], [y, y], color=colour, lw=5, alpha=0.45, solid_capstyle="butt", gid=note)
        ax.plot([c.speedup], [y], marker=marker, ms=8.5, color=colour, mec=CARD, mew=1.2, gid=note)
        ax.text(-10 / (width - left - right), y, units.shorten(label, 26 if wide else 15),
                transform=side, va="center", ha="right", color=MUTED)
        said = f"{units.ratio(c.speedup)} {units.interval(c.low, c.high)}" if wide else \
            units.ratio(c.speedup)
        ax.text(1 + 12 / (width - left - right), y, said, transform=side, va="center", ha="left",
                weight="bold" if not wide else "normal")
        ax.text(1 + (right - 4) / (width - left - right), y, c.verdict or "", transform=side,
                va="center", ha="right", size=9.5, color=MUTED)
    if sides:
        _name_sides(ax, low, high)
    return fig


def _name_sides(ax, low, high):
    top_side = ax.get_xaxis_transform()
    ax.text(1 + 0.012 * (high - 1), 1.0, " faster →", transform=top_side, va="bottom", ha="left",
            size=10, color=MUTED)
    if low < 0.8:
        ax.text(1, 1.0, "← slower ", transform=top_side, va="bottom", ha="right", size=10, color=MUTED)


# ---- samples ----

MOST_DOTS = 400  # of one executor; more are drawn by the extremes of as many groups


def thin(samples):
    """(index, value) of at most MOST_DOTS samples; of more, the least and the greatest of groups, so
    that no extreme is lost."""
    n = len(samples)
    if n <= MOST_DOTS:
        return list(enumerate(samples))
    kept = set()
    for group in numpy.array_split(numpy.arange(n), MOST_DOTS // 2):
        values = [samples[i] for i in group]
        kept.update((int(group[int(numpy.argmin(values))]), int(group[int(numpy.argmax(values))])))
    return [(i, samples[i]) for i in sorted(kept)]


def quantiles(samples):
    """min, 25 %, 50 %, 75 %, 95 %, 99 %, max."""
    return [float(q) for q in numpy.quantile(samples, (0, 0.25, 0.5, 0.75, 0.95, 0.99, 1))]


def _spread(index):
    """A place in (-1, 1) for the index-th dot, the same every time and without a pattern."""
    return 2 * math.modf(0.5 + index * 0.6180339887498949)[0] - 1


def distributions(executors, width):
    """For each executor the density of its samples, those that `thin` leaves as dots, quartiles and
    median."""
    left, right, top, bottom, row = min(120, max(64, max(
        drawing.text_width(units.shorten(e.name, 14)) for e in executors) + 12)), 16, 6, 30, 58
    fig = drawing.figure(width, top + bottom + row * len(executors))
    ax = drawing.axes(fig, left, top, right, bottom)
    names = [e.name for e in executors]
    low, high, log = drawing.time_range([us for e in executors for us in e.samples_us], 0.04)
    drawing.time_axis(ax.xaxis, low, high, log, 5)
    ax.set_xlim(low, high)
    _row_labels(ax, names, 14)
    for y, e in enumerate(executors):
        colour = drawing.colour(e.name, names)
        _density(ax, e.samples_us, y - 0.06, 0.36, colour, log)
        points = thin(e.samples_us)
        drawing.dots(ax, [v for _, v in points], [y + 0.22 + 0.13 * _spread(i) for i, _ in points], 3.4,
                     colour, 0.6)
        _, q1, q2, q3, *_ = quantiles(e.samples_us)
        note = f"note:{e.name}: median {units.time(q2)}, half of the samples from {units.time(q1)} " \
               f"to {units.time(q3)}"
        ax.plot([q1, q3], [y, y], color=INK, lw=4, solid_capstyle="butt", gid=note)
        ax.plot([q2], [y], marker="o", ms=8, color=CARD, mec=INK, mew=1.8, gid=note)
    return fig


def _density(ax, samples, y, height, colour, log):
    values = numpy.log(samples) if log else numpy.asarray(samples)
    if len(samples) < 5 or not numpy.ptp(values) > 1e-9 * abs(values).max():
        return
    from matplotlib.mlab import GaussianKDE
    estimate = GaussianKDE(values, "silverman")
    places = numpy.linspace(values.min(), values.max(), 160)
    density = estimate(places)
    places = numpy.exp(places) if log else places
    ax.fill_between(places, y, y - height * density / density.max(), color=colour, alpha=0.32, lw=0)


def series(executors, width):
    """Samples in the order they were measured, one panel for each executor, blocks shaded."""
    left, right, top, bottom, panel, gap = 62, 12, 20, 30, 62, 24
    n = len(executors)
    height = top + bottom + n * panel + (n - 1) * gap
    fig = drawing.figure(width, height)
    names = [e.name for e in executors]
    for i, e in enumerate(executors):
        above = top + i * (panel + gap)
        ax = drawing.axes(fig, left, above, right, height - above - panel)
        colour = drawing.colour(e.name, names)
        count = len(e.samples_us)
        for first, last in list(zip(e.block_starts, e.block_starts[1:]))[1::2]:
            ax.axvspan(first - 0.5, last - 0.5, color=BAND, lw=0)
        points = thin(e.samples_us)
        drawing.dots(ax, [x for x, _ in points], [v for _, v in points], 3.6, colour, 0.85)
        low, high, log = drawing.time_range(e.samples_us, 0.08)
        median = quantiles(e.samples_us)[2]
        ax.axhline(median, color=INK, lw=1, ls=(0, (4, 3)), gid=f"note:median {units.time(median)}")
        drawing.time_axis(ax.yaxis, low, high, log, 3)
        ax.tick_params(axis="y", labelcolor=MUTED, labelsize=10)
        ax.set(xlim=(-0.5, max(count - 0.5, 0.5)), ylim=(low, high))
        ax.grid(False)
        ax.text(0, 1.06, e.name, transform=ax.transAxes, va="bottom", size=11, weight="bold")
        for sample in e.restarts():
            ax.axvline(sample - 0.5, color=MUTED, lw=1, gid="note:started again")
        if i < n - 1:
            ax.tick_params(axis="x", labelbottom=False)
        else:
            ax.set_xlabel("sample", loc="right", labelpad=1)
    return fig


# ---- start-up ----

# Phase: colour, what it is. Those of one side are drawn in this order; tuning is no part of the sum.
PHASES = {
    "parse": (6, "lexer and parser"), "check": (6, "names, types and shapes"),
    "lower": (6, "to the intermediate form"), "open": (7, "library and device start"),
    "plan": (3, "fusion, choice of algorithms, memory plan"),
    "pack": (1, "weights packed, folded or uploaded; scripting and freezing for PyTorch"),
    "upload": (5, "weights uploaded"), "capture": (2, "recorded as a graph"),
    "first_inference": (0, "first run, its result readable"),
}


def phases_of(executor):
    """[(phase, microseconds)] of those that were measured, in order."""
    known = [p for p in PHASES if executor.phases_us.get(p) is not None]
    more = [p for p, us in executor.phases_us.items()
            if p not in PHASES and p != "tune" and us is not None]
    return [(p, executor.phases_us[p]) for p in known + more]


def start_up(executors, width):
    """From source text to the first output: each phase as a bar that begins where the one before
    ended. Bars too short to see are drawn a pixel wide."""
    left, right, top, bottom, row = 104, 64, 4, 30, 34
    fig = drawing.figure(width, top + bottom + row * len(executors))
    ax = drawing.axes(fig, left, top, right, bottom)
    sums = [sum(us for _, us in phases_of(e)) for e in executors]
    high = max(max(sums), 1e-3) * 1.02
    drawing.time_axis(ax.xaxis, 0, high, False, 4)
    ax.set_xlim(0, high)
    _row_labels(ax, [e.name for e in executors], 14)
    for y, (e, total) in enumerate(zip(executors, sums)):
        start = 0.0
        for phase, us in phases_of(e):
            colour = drawing.SERIES[PHASES.get(phase, (7, ""))[0]]
            ax.barh(y, max(us, high / (width - left - right)), left=start, height=0.56, color=colour,
                    lw=0, gid=f"note:{e.name}, {phase}: {units.time(us)}")
            start += us
        ax.text(1 + 8 / (width - left - right), y, units.time(total), va="center", ha="left",
                transform=ax.get_yaxis_transform())
    return fig
