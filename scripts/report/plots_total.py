"""Plots of cold starts: the steps to the first output, and total time for N runs."""

import numpy

import drawing
from drawing import CARD, INK, MUTED
import units

# Steps of a cold start in their order: place of the colour among drawing.SERIES, name in the key.
STEPS = {"process": (7, "process, other"), "library": (5, "libraries"), "open": (3, "open"),
         "parse": (6, "parse, check, lower"), "check": (6, "parse, check, lower"),
         "lower": (6, "parse, check, lower"), "plan": (2, "plan, tune"), "tune": (2, "plan, tune"),
         "compile": (4, "compile"), "pack": (1, "pack"), "first_inference": (0, "first run"),
         "other": (7, "process, other")}
STYLES = {"first": "-", "later": (0, (4, 2)), "alike": "-"}


def waterfall(rows, width):
    """rows: [(name, [(step, place among drawing.SERIES, microseconds)], total)]: each step a bar that
    begins where the one before ended. Bars too short to see are a pixel wide."""
    left, right, top, bottom, row = 150, 62, 4, 30, 32
    fig = drawing.figure(width, top + bottom + row * len(rows))
    ax = drawing.axes(fig, left, top, right, bottom)
    high = max(max(total for *_, total in rows), 1e-3) * 1.02
    drawing.time_axis(ax.xaxis, 0, high, False, 4)
    ax.set(xlim=(0, high), ylim=(len(rows) - 0.5, -0.5))
    ax.set_yticks(range(len(rows)), labels=[units.shorten(name, 26) for name, *_ in rows])
    ax.tick_params(axis="y", labelsize=10)
    pixel = high / (width - left - right)
    for y, (name, steps, total) in enumerate(rows):
        start = 0.0
        for step, place, us in steps:
            ax.barh(y, max(us, pixel), left=start, height=0.56, color=drawing.SERIES[place], lw=0,
                    gid=f"note:{name}, {step}: {units.time(us)}")
            start += us
        ax.text(1 + 8 / (width - left - right), y, units.time(total), va="center", ha="left",
                transform=ax.get_yaxis_transform())
    return fig


def _runs_axis(ax, low, high):
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    ticks = [t for t in drawing.log_ticks(low, high, 8) if t == int(t)]
    ax.xaxis.set_minor_locator(drawing.NullLocator())
    ax.set_xticks(ticks, labels=[f"{t:,.0f}" for t in ticks])
    ax.set_xlabel("runs", loc="right", labelpad=1)


def totals(rows, evens, width):
    """rows: [(name, colour, state, [(runs, microseconds, low, high)])]; evens: [(label, runs, low, high)],
    break-evens with their intervals. Between two N the total grows by the same for each run."""
    fig = drawing.figure(width, 330)
    ax = drawing.axes(fig, 62, 34, 16, 44)
    runs = sorted({point[0] for *_, points in rows for point in points})
    values = [v for *_, points in rows for point in points for v in point[1:] if v > 0]
    low_x, high_x = runs[0], max(runs[-1], 2 * runs[0])
    low, high, _ = drawing.time_range(values, 0.04)
    drawing.time_axis(ax.yaxis, max(low, min(values) / 2), high, True, 6)
    ax.set_ylim(max(low, min(values) / 2), high)
    _runs_axis(ax, low_x, high_x)
    for name, colour, state, points in rows:
        xs, ys, lows, highs = (numpy.array(column) for column in zip(*points))
        dense = numpy.geomspace(xs[0], xs[-1], 60) if len(xs) > 1 else xs
        ax.fill_between(dense, numpy.interp(dense, xs, lows), numpy.interp(dense, xs, highs),
                        color=colour, alpha=0.18, lw=0)
        ax.plot(dense, numpy.interp(dense, xs, ys), color=colour, lw=1.8, ls=STYLES.get(state, "-"),
                gid=f"note:{name}")
        drawing.dots(ax, xs, ys, 5, colour)
    for label, at, at_low, at_high in evens:
        ax.axvspan(at_low, at_high, color=MUTED, alpha=0.18, lw=0)
        ax.axvline(at, color=INK, lw=1.2, ls=(0, (2, 2)), gid=f"note:{label}")
        ax.plot([at], [high], marker="v", ms=8, color=INK, clip_on=False, gid=f"note:{label}")
    ax.grid(True, axis="both")
    ax.tick_params(axis="y", labelcolor=MUTED)
    return fig


def ratios(pairs, width):
    """pairs: [(name, colour, state, [(runs, ratio, low, high)])] of others' total time to ours."""
    fig = drawing.figure(width, 260)
    ax = drawing.axes(fig, 52, 20, 16, 44)
    values = [v for *_, points in pairs for point in points for v in point[1:] if v > 0] + [1.0]
    runs = sorted({point[0] for *_, points in pairs for point in points})
    low, high = min(values) / 1.15, max(values) * 1.15
    ax.set_yscale("log")
    ax.set_ylim(low, high)
    ticks = drawing.log_ticks(low, high, 6)
    ax.yaxis.set_minor_locator(drawing.NullLocator())
    ax.set_yticks(ticks, labels=[f"{t:.3g}×" for t in ticks])
    ax.tick_params(axis="y", labelcolor=MUTED)
    _runs_axis(ax, runs[0] / 1.5, max(runs[-1], 2 * runs[0]) * 1.5)
    ax.axhline(1, color=INK, lw=1.2)
    for i, (name, colour, state, points) in enumerate(pairs):
        shift = 1.12 ** (i - (len(pairs) - 1) / 2)  # beside each other, not on each other
        xs = [x * shift for x, *_ in points]
        ax.plot(xs, [y for _, y, *_ in points], color=colour, lw=1, ls=STYLES.get(state, "-"), alpha=0.7)
        for x, (runs_, y, y_low, y_high) in zip(xs, points):
            note = f"note:{name}, {runs_:,.0f} runs: {units.ratio(y)} {units.interval(y_low, y_high)}"
            ax.plot([x, x], [y_low, y_high], color=colour, lw=4, alpha=0.45, solid_capstyle="butt", gid=note)
            ax.plot([x], [y], marker="o", ms=6.5, color=colour, mec=CARD, mew=1, gid=note)
    ax.grid(True, axis="both")
    return fig
