"""From nothing to the first output, total time for N runs, and break-even: of one program."""

import statistics

import drawing
import plots
import plots_total
import result_file
import units
from parts import SMALL, figure, table
from result_file import number, text

KINDS = {"from_the_first_run": "ahead from the first run", "from_run": "ahead from run {} on",
         "until_run": "ahead until run {}", "never": "never ahead", "not_proven": "not proven"}


def rows_of(benchmark):
    """{row's name: (executor, state, the file's object)} of cold starts."""
    rows = result_file.mapping(benchmark.node, "cold_starts", "rows")
    return {result_file.clean(name): (text(row, "executor") or "", text(row, "state") or "alike", row)
            for name, row in rows.items()}


def row_colour(benchmark, executor):
    return drawing.colour(executor, [e.name for e in benchmark.executors])


def start_figure(benchmark, names):
    """The steps to the first output: of cold starts where they were measured, else of one start."""
    cold = cold_rows(benchmark)
    if cold:
        return waterfall_figure(benchmark, names, cold, plots_total.STEPS,
                                "From nothing to the first output", "Fresh processes, the median of each "
                                "step; “first start” finds empty caches.")
    once = [(e.name, plots.phases_of(e), sum(us for _, us in plots.phases_of(e)), 1)
            for e in benchmark.executors if plots.phases_of(e)]
    if not once:
        return None
    tuned = [f"{e.name} {units.time(e.phases_us.get('tune'))}" for e in benchmark.executors
             if e.phases_us.get("tune")]
    return waterfall_figure(benchmark, names, once, plots.PHASES, "From source text to the first output",
                            "Each phase once, in a fresh process." +
                            (f" Tuning is no part of it: {', '.join(tuned)}." if tuned else ""))


def cold_rows(benchmark):
    """[(name, [(step, median)], median of the time to the first output, starts)]"""
    found = []
    for name, (_, _, row) in rows_of(benchmark).items():
        starts = result_file.sequence(row, "starts")
        firsts = [us[0] for us in (result_file.numbers(s, "outputs_us") for s in starts) if us]
        steps = []
        for step in plots_total.STEPS:
            values = [us for us in (number(s, "steps_us", step) for s in starts) if us is not None]
            if values:
                steps.append((step, statistics.median(values)))
        if firsts and steps:
            found.append((name, steps, statistics.median(firsts), len(starts)))
    return found


def waterfall_figure(benchmark, names, rows, known, title, words):
    steps = [step for step in known if any(step == s for _, found, *_ in rows for s, _ in found)]
    steps += [s for s in dict.fromkeys(s for _, found, *_ in rows for s, _ in found) if s not in known]
    place = {step: known.get(step, (7, step)) for step in steps}
    key = dict.fromkeys((f"s{number}", name) for number, name in place.values())
    drawn = [(name, [(step, place[step][0], us) for step, us in found], total)
             for name, found, total, _ in rows]
    cells = [[step.replace("_", " ")] + [units.time(dict(found).get(step)) for _, found, *_ in rows]
             for step in steps]
    cells.append(["to the first output"] + [units.time(total) for *_, total, _ in rows])
    cells.append(["starts"] + [str(n) for *_, n in rows])
    alt = f"{benchmark.name}: {title[0].lower()}{title[1:]}. " + "; ".join(
        f"{name} {units.time(total)}" for name, _, total, _ in rows) + "."
    return figure(names, plots_total.waterfall(drawn, SMALL), title, words, alt, key=list(key),
                  table=table(["Step"] + [name for name, *_ in rows], cells))


def by_runs(node, *keys):
    """[(runs, value, low, high)] of those that are whole."""
    points = [[number(p, k) for k in ("runs", "value", "ci_low", "ci_high")]
              for p in result_file.sequence(node, *keys)]
    return sorted(tuple(p) for p in points if None not in p and min(p) > 0)


def said(pair):
    """What a pair's break-even is, in words."""
    if text(pair, "reason") or text(pair, "kind") not in KINDS:
        return f"no conclusion: {text(pair, 'reason') or 'the file gives no reason'}"
    runs = [number(pair, k) for k in ("runs", "runs_ci_low", "runs_ci_high")]
    at = "" if None in runs else f"{runs[0]:,.0f} [{runs[1]:,.0f}, {runs[2]:,.0f}]"
    return KINDS[text(pair, "kind")].format(at or "?")


def pairs_of(benchmark):
    """[(name of a, name of b, the file's object)]"""
    return [(text(p, "a") or "?", text(p, "b") or "?", p)
            for p in result_file.sequence(benchmark.node, "break_even", "pairs")]


def total_figure(benchmark, names):
    known = rows_of(benchmark)
    rows = []
    for name, node in result_file.mapping(benchmark.node, "total_time", "rows").items():
        points = by_runs(node, "total_us")
        if points:
            executor, state, _ = known.get(result_file.clean(name), (name, "alike", None))
            rows.append((result_file.clean(name), row_colour(benchmark, executor), state, points))
    if not rows:
        return None
    evens = []
    for a, b, pair in pairs_of(benchmark):
        runs = [number(pair, k) for k in ("runs", "runs_ci_low", "runs_ci_high")]
        if None not in runs and min(runs) > 0:
            evens.append((f"{a} against {b}: {said(pair)}", *runs))
    key = [(drawing.variable(colour), name + (", dashed" if state == "later" else ""))
           for name, colour, state, _ in rows]
    head = sorted({runs for *_, points in rows for runs, *_ in points})
    cells = []
    for name, _, _, points in rows:
        at = {runs: f"{units.time(us)} [{units.time(low)}, {units.time(high)}]"
              for runs, us, low, high in points}
        cells.append([name] + [at.get(runs, "–") for runs in head])
    alt = f"{benchmark.name}: total time. " + "; ".join(
        f"{row[0]}: {row[1]} for the first output, {row[-1]} for {head[-1]:,.0f} runs" for row in cells) + "."
    marked = "Triangles mark break-even, with its interval in grey. " if evens else ""
    return figure(names, plots_total.totals(rows, evens, SMALL), "Total time for N runs",
                  f"From the start of a process to its N-th output; bands are 95 % intervals. {marked}"
                  "Both axes are logarithmic.", alt, key=key,
                  table=table(["From process start"] + [f"{n:,.0f}" for n in head], cells))


def break_even_figure(benchmark, names):
    known, drawn, cells = rows_of(benchmark), [], []
    pairs = pairs_of(benchmark)
    for a, b, pair in pairs:
        points = by_runs(pair, "ratios")
        cells.append([f"{a} against {b}", said(pair)] +
                     [f"{units.ratio(y)} {units.interval(low, high)}" for _, y, low, high in points])
        if points:
            executor, state, _ = known.get(b, (b, "alike", None))
            drawn.append((f"{a} against {b}", row_colour(benchmark, executor), state, points))
    if not drawn:
        return None
    head = next(points for *_, points in drawn)
    alt = f"{benchmark.name}: break-even. " + "; ".join(f"{c[0]}: {c[1]}" for c in cells) + "."
    return figure(names, plots_total.ratios(drawn, SMALL), "Total time of others against it",
                  "; ".join(f"{c[0]}: {c[1]}" for c in cells) + ". Above 1 it is ahead.", alt,
                  key=[(drawing.variable(colour), name) for name, colour, *_ in drawn],
                  table=table(["Total time", "Break-even"] + [f"N = {p[0]:,.0f}" for p in head], cells,
                              left=(1,)))
