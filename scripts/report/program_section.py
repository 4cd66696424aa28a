"""One program of a result: its table, its plots, each with a table and a text alternative."""

import drawing
import operations_section
import plots
import plots_noise
import result_file
import roofline_section
import total_time_section
import units
from parts import SMALL, figure, table
from units import NOT_MEASURED


def describe(comparison):
    """`1.69× [1.67, 1.70] FAST`, or why there is none."""
    if comparison.speedup is None:
        return f"no ratio: {comparison.withheld or NOT_MEASURED}"
    return " ".join(filter(None, (units.ratio(comparison.speedup),
                                  units.interval(comparison.low, comparison.high), comparison.verdict)))


def executors_table(benchmark):
    head = ["Executor", "Median", "95 % interval", "p95", "p99", "Throughput", "Error (rel. L2)"]
    shares = any(e.get("roofline_share") is not None for e in benchmark.executors)
    if shares:
        head.append("Of the roofline")
    head += ["mind against it", "Verdict", "Result"]
    rows = []
    for e in benchmark.executors:
        if not e.measured:
            failed = e.say("status") == "failed"
            rows.append([e.name] + ["–"] * (len(head) - 2) + ["FAILED" if failed else NOT_MEASURED])
            continue
        against = benchmark.comparison("mind", e.name)
        ratio = "" if against is None else describe(against).removesuffix(f" {against.verdict}")
        cells = [e.name, units.time(e.get("latency_p50_us")),
                 f"{units.time(e.get('latency_p50_ci_low_us'))} – {units.time(e.get('latency_p50_ci_high_us'))}",
                 units.time(e.get("latency_p95_us")), units.time(e.get("latency_p99_us")),
                 f"{units.rate(e.get('throughput_samples_per_sec'))}/s", units.error(e.get("rel_l2_error"))]
        if shares:
            cells.append(units.percent(e.get("roofline_share")))
        rows.append(cells + [ratio, against.verdict or "–" if against and against.speedup else "–",
                             "VALID" if e.valid else "INVALID"])
    return table(head, rows, label=f"{benchmark.name}: every executor",
                 marks=["mind" if e.name.startswith("mind") else None for e in benchmark.executors])


def dots_drawn(executors):
    """Which samples plots.thin leaves."""
    if all(len(e.samples_us) <= plots.MOST_DOTS for e in executors):
        return "every sample"
    return f"every sample (of more than {plots.MOST_DOTS}, the extremes of {plots.MOST_DOTS // 2} groups)"


def distribution_figure(benchmark, names):
    executors = [e for e in benchmark.measured() if e.samples_us]
    if not executors:
        return None
    rows = [[e.name, str(len(e.samples_us))] + [units.time(q) for q in plots.quantiles(e.samples_us)]
            for e in executors]
    alt = f"{benchmark.name}: latency of the samples. " + "; ".join(
        f"{row[0]}: median {row[4]}, from {row[2]} to {row[8]}" for row in rows) + "."
    return figure(names, plots.distributions(executors, SMALL), "Latency of the samples",
                  f"Density, {dots_drawn(executors)} as dots, the middle half as a bar, the median as a "
                  "circle. Further left is faster.", alt,
                  table=table(["Executor", "Samples", "Min", "25 %", "Median", "75 %", "95 %", "99 %",
                               "Max"], rows))


def series_figure(benchmark, names):
    executors = [e for e in benchmark.measured() if len(e.samples_us) > 1]
    if not executors:
        return None
    rows = []
    for e in executors:
        quarter = max(len(e.samples_us) // 4, 1)
        first, last = (plots.quantiles(part)[2] for part in (e.samples_us[:quarter], e.samples_us[-quarter:]))
        slowest = max(range(len(e.samples_us)), key=e.samples_us.__getitem__)
        rows.append([e.name, str(len(e.samples_us)), str(len(e.block_starts) - 1), units.time(first),
                     units.time(last), f"{units.time(e.samples_us[slowest])} (sample {slowest})"])
    alt = f"{benchmark.name}: samples in the order measured. " + "; ".join(
        f"{row[0]}: median of the first quarter {row[3]}, of the last {row[4]}" for row in rows) + "."
    return figure(names, plots.series(executors, SMALL), "Latency over time",
                  f"In the order measured, {dots_drawn(executors)} as dots, blocks shaded in turn, the "
                  "median dashed. A level that moves is drift; each panel has its own scale.", alt,
                  table=table(["Executor", "Samples", "Blocks", "Median, first quarter",
                               "Median, last quarter", "Slowest"], rows))


def start_up_figure(benchmark, names):
    executors = [e for e in benchmark.executors if plots.phases_of(e)]
    if not executors:
        return None
    phases = list(dict.fromkeys(p for e in executors for p, _ in plots.phases_of(e)))
    key = [(f"s{plots.PHASES.get(p, (7, ''))[0]}", p.replace("_", " ")) for p in phases
           if p not in ("check", "lower")]
    key = [(colour, "parse, check, lower" if name == "parse" else name) for colour, name in key]
    rows = [[p.replace("_", " ")] + [units.time(e.phases_us.get(p)) for e in executors] for p in phases]
    sums = [units.time(sum(us for _, us in plots.phases_of(e))) for e in executors]
    rows.append(["sum"] + sums)
    if any(e.phases_us.get("tune") for e in executors):
        rows.append(["tuning, no part of the sum"] +
                    [units.time(e.phases_us.get("tune")) for e in executors])
    alt = f"{benchmark.name}: start-up to the first output. " + "; ".join(
        f"{e.name} {s}" for e, s in zip(executors, sums)) + "."
    return figure(names, plots.start_up(executors, SMALL), "From source text to the first output",
                  "Each phase once, in a fresh process.", alt, key=key,
                  table=table(["Phase"] + [e.name for e in executors], rows))


def program_text(benchmark):
    node = benchmark.node
    flops, size, floor = (result_file.number(node, k) for k in ("flops", "bytes", "floor_us"))
    parts = [f"batch {benchmark.batch}" if benchmark.batch is not None else None,
             f"caches {result_file.text(node, 'cache')}" if result_file.text(node, "cache") else None,
             "with transfers of data" if result_file.flag(node, "data_transfers") else None,
             f"{units.significant(flops / 1e6)} MFLOP" if flops is not None else None,
             f"{units.size(size)} at least to move" if size is not None else None,
             f"no executor can be faster than {units.time(floor)}" if floor else None,
             result_file.text(node, "file")]
    return ", ".join(filter(None, parts))


def benchmark_section(benchmark, names, ident):
    times, noise = ({what: make(benchmark, names) for what, make in drawn} for drawn in (TIMES, NOISE))
    topics = [topic.make(benchmark, names) for topic in TOPICS]
    absent = [f"{e.name}: {e.reason or 'no reason given'}" for e in benchmark.executors if not e.measured]
    absent += [what for what, made in [*times.items(), *noise.items()] if not made]
    absent += [line for topic in TOPICS for line in topic.absent(benchmark)]
    plans = [(e.name, e.say("plan")) for e in benchmark.executors if e.say("plan")]
    return {"id": ident, "name": benchmark.name, "text": program_text(benchmark),
            "table": executors_table(benchmark), "figures": list(filter(None, [*times.values(), *topics, *noise.values()])),
            "plans": plans, "absent": absent}


# ---- what disturbs ----

def control_figure(benchmark, names):
    found = []
    for e in benchmark.measured():
        c = result_file.read_comparison({**result_file.mapping(e.node, "aa"), "a": e.name, "b": e.name,
                                         "speedup": e.get("aa", "ratio")})
        if c.speedup is not None:
            found.append((e.name, c))
    if not found:
        return None
    alarms, controls = (result_file.number(benchmark.node, k) for k in ("aa_false_alarms", "aa_controls"))
    rows = [[name, units.ratio(c.speedup, 3), units.interval(c.low, c.high, 3), c.verdict or "–",
             units.percent(result_file.number(c.node, "detectable"), 1)] for name, c in found]
    alt = f"{benchmark.name}: every executor against itself. " + "; ".join(
        f"{row[0]}: {row[1]} {row[2]} {row[3]}" for row in rows) + "."
    told = "" if controls is None else f" False alarms: {alarms or 0:.0f} of {controls:.0f}."
    return figure(names, plots.ratios([(None, found)], SMALL, plots.LEAST_EFFECT, sides=False),
                  "Each executor against itself",
                  "Some of its processes against the others: the true ratio is 1, and FAST or SLOW would "
                  f"be a false alarm.{told}", alt,
                  table=table(["Executor", "Ratio", "95 % interval", "Verdict", "Change it could tell"], rows))


def warm_up_figure(benchmark, names):
    executors = [e for e in benchmark.measured() if e.warm_ups()]
    if not executors:
        return None
    rows = [[e.name, str(i), str(len(runs)), units.time(runs[0]), units.time(runs[-1]),
             str(steady + 1) if steady < len(runs) else "none"]
            for e in executors for i, (runs, steady) in enumerate(e.warm_ups())]
    alt = f"{benchmark.name}: untimed runs before the samples. " + "; ".join(
        f"{row[0]}, process {row[1]}: {row[3]} first, {row[4]} last" for row in rows) + "."
    return figure(names, plots_noise.warm_up(executors, SMALL), "Warm-up",
                  "Untimed runs of each process. Rings: before the steady state that was found in them.",
                  alt, table=table(["Executor", "Process", "Runs", "First", "Last", "Steady from run"], rows))


def machine_figure(benchmark, names):
    for states, points_of, x_name in (
            (plots_noise.GPU_STATES, lambda e, key: e.gpu_states(key), "reading"),
            (plots_noise.STATES, lambda e, key: e.states(key), "s since the first block")):
        measured = []
        for key, name, unit, divisor in states:
            series = [(e.name, [(x, y / divisor) for x, y in points_of(e, key)])
                      for e in benchmark.measured()]
            series = [(name, points) for name, points in series if points]
            if series:
                measured.append((name, unit, series))
        if measured:
            break
    if not measured:
        return None
    rows = []
    for name, unit, series in measured:
        for executor, points in series:
            values = [y for _, y in points]
            rows.append([name, executor, str(len(values))] +
                        [f"{units.significant(v)} {unit}".rstrip()
                         for v in (min(values), plots.quantiles(values)[2], max(values))])
    alt = f"{benchmark.name}: the machine beside the samples. " + "; ".join(
        f"{row[0]}, {row[1]}: {row[3]} to {row[5]}" for row in rows) + "."
    key = dict.fromkeys((drawing.variable(drawing.colour(e.name, [x.name for x in benchmark.executors])), e.name)
                        for e in benchmark.measured())
    return figure(names, plots_noise.machine(measured, SMALL, x_name), "The machine meanwhile",
                  "Read between the blocks, never during one.", alt, key=list(key),
                  table=table(["What", "Executor", "Readings", "Least", "Median", "Most"], rows))


TIMES = (("samples", distribution_figure), ("samples over time", series_figure),
         ("phases of start-up", start_up_figure))
# Each a file of its own: make(benchmark, names) is its figure or None, absent(benchmark) what it lacks.
TOPICS = (total_time_section, roofline_section, operations_section)
NOISE = (("each executor against itself", control_figure), ("warm-up", warm_up_figure),
         ("clocks and other states of the machine", machine_figure))
