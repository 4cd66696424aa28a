"""Total time from the start of a process to output N, and from which N on one executor is ahead."""

import math

import numpy

import drawing
import result_file
import units
from drawing import CARD, INK
from parts import SMALL, count, figure, table
from result_file import number, sequence, text

FIRST_START = "(first start)"
STEPS = 60  # places on the N axis that a line is drawn through
MOST_SAID = 12  # pairs under the plot
LEAST, MOST = 1e-6, 1e18  # microseconds and runs that a plot has room for


def _in_range(value):
    return value is not None and LEAST < value < MOST


def _rows(benchmark):
    """{row: [(N, microseconds, low, high)] by N}; where there is no interval it is the value."""
    rows = {}
    for name, row in result_file.mapping(benchmark.node, "total_time", "rows").items():
        points = [(number(p, "runs"), number(p, "value"), number(p, "ci_low"), number(p, "ci_high"))
                  for p in sequence(row, "total_us")]
        points = {runs: (runs, us, *((low, high) if _in_range(low) and _in_range(high) else (us, us)))
                  for runs, us, low, high in points if _in_range(runs) and runs >= 1 and _in_range(us)}
        if len(points) > 1:
            rows[result_file.clean(name)] = [points[runs] for runs in sorted(points)]
    return rows


def _executor(row):
    return row.rsplit(" (", 1)[0]


def _count(runs):
    power = round(math.log10(runs))
    return f"10^{power}" if power >= 6 and runs == 10 ** power else f"{runs:,.0f}"


def _pairs(benchmark):
    return [p for p in sequence(benchmark.node, "break_even", "pairs") if isinstance(p, dict)]


def _interval(pair):
    low, high = (number(pair, k) for k in ("runs_ci_low", "runs_ci_high"))
    return f" [{low:,.0f}, {high:,.0f}]" if low is not None and high is not None else ""


def _ahead(pair):
    """Where a is ahead, in words."""
    kind, runs = text(pair, "kind"), number(pair, "runs")
    if kind in ("from_run", "until_run") and runs is not None:
        return f"ahead {kind.replace('_', ' ')} {runs:,.0f}{_interval(pair)}"
    said = {"from_the_first_run": "ahead from the first run", "never": "never ahead",
            "not_proven": "not proven"}
    return said.get(kind) or f"{units.NOT_MEASURED}: {text(pair, 'reason') or 'no reason given'}"


def _break_evens(benchmark, rows):
    """[(row, N, low, high, what it says)] of the pairs that have a point and whose line is drawn."""
    found = []
    for pair in _pairs(benchmark):
        a, runs = text(pair, "a"), number(pair, "runs")
        low, high = (number(pair, k) for k in ("runs_ci_low", "runs_ci_high"))
        if text(pair, "kind") in ("from_run", "until_run") and a in rows and _in_range(runs) and runs >= 1:
            ends = (low, high) if _in_range(low) and _in_range(high) else (runs, runs)
            found.append((a, runs, *ends, f"{a} against {text(pair, 'b')}: {_ahead(pair)}"))
    return found


def draw(rows, break_evens, width):
    """A line for each row with its interval as a band; rings: break-even, the bar its interval."""
    fig = drawing.figure(width, 320)
    ax = drawing.axes(fig, 66, 8, 26, 46)
    executors = [_executor(name) for name in rows]
    last = max(points[-1][0] for points in rows.values())
    for name, points in rows.items():
        runs, us, low, high = zip(*points)
        places = numpy.geomspace(runs[0], runs[-1], STEPS)
        colour = drawing.colour(_executor(name), executors)
        ax.fill_between(places, numpy.interp(places, runs, low), numpy.interp(places, runs, high),
                        color=colour, alpha=0.2, lw=0)
        ax.plot(places, numpy.interp(places, runs, us), color=colour, lw=1.8,
                ls=(0, (4, 2.5)) if name.endswith(FIRST_START) else "-", gid=f"note:{name}")
    for name, at, low, high, said in break_evens:
        runs, us, *_ = zip(*rows[name])
        y = numpy.interp(at, runs, us)
        ax.plot([max(low, 1), min(high, last)], [y, y], color=INK, lw=2.2, gid=f"note:{said}")
        ax.plot([at], [y], marker="o", ms=8, color=CARD, mec=INK, mew=1.8, gid=f"note:{said}")
    every = [us for points in rows.values() for _, *values in points for us in values]
    ax.set(xscale="log", xlim=(1, last))
    drawing.time_axis(ax.yaxis, min(every) / 1.5, max(every) * 1.5, True, 6)
    ax.set_ylim(min(every) / 1.5, max(every) * 1.5)
    ax.tick_params(axis="y", labelcolor=drawing.MUTED)
    ticks = [10 ** i for i in range(0, math.floor(math.log10(last)) + 1)]
    ax.xaxis.set_minor_locator(drawing.NullLocator())
    ax.set_xticks(ticks[::-(-len(ticks) // 8)], labels=[_count(t) for t in ticks[::-(-len(ticks) // 8)]])
    ax.grid(True, axis="both")
    ax.set_xlabel("N, runs of one process", loc="right")
    return fig


def absent(benchmark):
    whole = result_file.mapping(benchmark.node, "total_time")
    if not _rows(benchmark):
        reason = text(whole, "reason")
        return ["total time against the number of runs" + (f" ({reason})" if reason else "")]
    reasons = [(result_file.clean(name), text(row, "reason"))
               for name, row in result_file.mapping(whole, "rows").items()]
    said = [f"total time of {name} ({reason})" for name, reason in reasons if reason]
    reason = text(benchmark.node, "break_even", "reason")
    return said + ([f"break-even ({reason})"] if reason else [])


def _key(rows):
    executors = [_executor(name) for name in rows]
    return [(drawing.variable(drawing.colour(name, executors)), name) for name in dict.fromkeys(executors)]


def make(benchmark, names):
    rows = _rows(benchmark)
    if not rows:
        return None
    break_evens, pairs = _break_evens(benchmark, rows), _pairs(benchmark)
    said = [f"{text(p, 'a') or '?'} against {text(p, 'b') or '?'}: {_ahead(p)}" for p in pairs[:MOST_SAID]]
    if len(pairs) > MOST_SAID:
        said.append(f"{count(len(pairs) - MOST_SAID, 'pair')} more in the file")
    counts = sorted({runs for points in rows.values() for runs, *_ in points})
    cells = [[name] + [next((f"{units.time(us)} [{units.time(low)}, {units.time(high)}]"
                             for n, us, low, high in points if n == runs), "–") for runs in counts]
             for name, points in rows.items()]
    dashed = ", dashed: of a first start" if any(name.endswith(FIRST_START) for name in rows) else ""
    alt = f"{benchmark.name}: total time against the number of runs. " + "; ".join(
        f"{name}: {units.time(points[0][1])} for {_count(points[0][0])}, {units.time(points[-1][1])} for "
        f"{_count(points[-1][0])}" for name, points in rows.items()) + ". " + "; ".join(said) + "."
    return figure(names, draw(rows, break_evens, SMALL), "Total time of N runs",
                  f"From the start of a process to output N{dashed}. The band is the 95 % interval"
                  + ("; a ring is a break-even, the bar through it its interval." if break_evens else "."),
                  alt, key=_key(rows), said=said,
                  table=table(["Row"] + [f"N = {_count(runs)}" for runs in counts], cells))
