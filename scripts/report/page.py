"""Result files to one HTML page: what stands where. The words are here, the form is in report.html."""

import datetime
import pathlib

import jinja2
import markupsafe

import drawing
import plots
import result_file
import units
from units import NOT_MEASURED

HERE = pathlib.Path(__file__).parent
WIDE, NARROW, SMALL = 1090, 350, 440  # widths that drawings are made for
MOST_DETAILED = 12  # programs of one file with plots of their own; the others have a row
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September",
          "October", "November", "December")
PILLS = ("FAST", "SLOW", "SAME", "AMBG")


class Names:
    """Names for drawings that are unique on the page."""

    def __init__(self):
        self.n = 0

    def __call__(self):
        self.n += 1
        return f"d{self.n}"


def table(head, rows, left=(), label="", marks=()):
    """Cells are text; columns in `left` hold sentences."""
    marks = list(marks) or [None] * len(rows)
    return {"head": head, "left": left, "label": label,
            "rows": [{"cells": cells, "mark": mark} for cells, mark in zip(rows, marks)]}


def figure(names, fig, title, text, alt, **more):
    """more: `key` [(colour, name)], `table`, `narrow_svg` (for narrow screens), `wide`."""
    return {"title": title, "text": text, "svg": markupsafe.Markup(drawing.svg(fig, names(), alt)),
            "key": (), "table": None, "narrow_svg": None, "wide": False, **more}


# ---- the answer ----

def describe(comparison):
    """`1.69× [1.67, 1.70] FAST`, or why there is none."""
    if comparison.speedup is None:
        return f"no ratio: {comparison.withheld or NOT_MEASURED}"
    return " ".join(filter(None, (units.ratio(comparison.speedup),
                                  units.interval(comparison.low, comparison.high), comparison.verdict)))


def product(name):
    return "MIND" if name == "mind" else name


def answer(result):
    """The result in a sentence."""
    heads = [b.headline for b in result.benchmarks]
    heads = [h for h in heads if h and h.speedup is not None]
    total = len(result.benchmarks)
    if not heads:
        return f"No ratio was measured in {count(total, 'program')}"
    a = product(heads[0].a) if len({h.a for h in heads}) == 1 else "The first executor"
    rivals = {h.b for h in heads}
    torch = all(b.startswith("torch-") for b in rivals)
    rival = "the fastest PyTorch executor" if torch else rivals.pop() if len(rivals) == 1 else "the other"
    low, high = min(h.speedup for h in heads), max(h.speedup for h in heads)
    span = units.ratio(low) if units.ratio(low) == units.ratio(high) else \
        f"{units.ratio(low)} to {units.ratio(high)}"
    words = {"FAST": "faster", "SLOW": "slower", "SAME": "as fast", "AMBG": "undecided"}
    counts = [(words[v], sum(h.verdict == v for h in heads)) for v in words]
    counts = [(word, n) for word, n in counts if n]
    if len(counts) == 1:
        word = counts[0][0] + (" as" if counts[0][0] == "as fast" else
                               " against" if counts[0][0] == "undecided" else " than")
        where = "" if total == 1 else f" on {len(heads)} of {total} programs"
        return f"{a} is {word} {rival}{where}: {span}"
    said = ", ".join(f"{word} on {n}" for word, n in counts)
    return f"{a} against {rival}, {count(total, 'program')}: {said} ({span})"


def count(n, what):
    return f"{n} {what}{'' if n == 1 else 's'}"


def lead(result):
    machine = result.say("system_info", "gpu") if result.say("device") == "cuda" else \
        result.say("system_info", "cpu")
    threads = result.get("threads")
    parts = [machine, f"{threads:.0f} threads" if threads and result.say("device") == "cpu" else None,
             result.say("precision"), date(result.say("date"))]
    return ", ".join(filter(None, parts))


def date(said):
    try:
        when = datetime.datetime.fromisoformat(said.replace("Z", "+00:00")).astimezone(datetime.timezone.utc)
    except (AttributeError, OverflowError, ValueError):
        return said
    return f"{when.day} {MONTHS[when.month - 1]} {when.year}, {when:%H:%M} UTC"


def against_all(result):
    """A sentence about the fastest executor of others, where it is none of PyTorch's."""
    found = []
    for b in result.benchmarks:
        ratios = [c for c in b.comparisons if c.a == "mind" and c.speedup is not None and c.b[:5] != "mind-"]
        if ratios:
            found.append((b, min(ratios, key=lambda c: c.speedup)))
    if not found or all(b.headline is c for b, c in found):
        return None
    rivals = " or ".join(dict.fromkeys(c.b for _, c in found))
    low, high = (f(c.speedup for _, c in found) for f in (min, max))
    return f"Against the fastest of all others ({rivals}): {units.ratio(low)} to {units.ratio(high)}."


def alerts(result):
    """What makes the result, or a row of it, worth nothing."""
    found = []
    if not result.valid:
        found.append(result.invalid_reason or "the file gives no reason")
    for b in result.benchmarks:
        for e in b.executors:
            if e.measured and not e.valid:
                found.append(f"{b.name}, {e.name}: {e.invalid_reason or 'the file gives no reason'}")
    return list(dict.fromkeys(found))


def card(benchmark):
    c = benchmark.headline
    if c is None or c.speedup is None:
        why = c.withheld if c else "one executor alone was measured"
        return {"name": benchmark.name, "ratio": None, "text": f"no ratio: {why or NOT_MEASURED}"}
    times = []
    for name in (c.a, c.b):
        e = benchmark.executor(name)
        p50 = e.get("latency_p50_us") if e else None
        times.append(f"{name} {units.time(p50)}" if p50 is not None else name)
    return {"name": benchmark.name, "ratio": units.ratio(c.speedup), "verdict": c.verdict,
            "interval": units.interval(c.low, c.high), "text": " against ".join(times)}


def notes(result):
    """What the machine and the run were like, where it weighs on the numbers."""
    info = result_file.mapping(result.node, "system_info")
    found = []
    load, governor = result_file.number(info, "load_1min"), result_file.text(info, "governor")
    if load is not None and load > 0.5:
        found.append(f"Other programs ran here when it began: the load was {load:.2f}.")
    if result_file.flag(info, "virtualized"):
        found.append("It is a virtual machine: its neighbours add noise.")
    if governor and governor != "performance":
        found.append(f"The CPU governor was {governor}: clocks change between samples.")
    if result_file.flag(info, "turbo"):
        found.append("Turbo was on: clocks follow heat and load.")
    if result.say("device_reason"):
        found.append(f"Device: {result.say('device_reason')}.")
    if result_file.flag(result.node, "mindbench", "git_is_dirty"):
        found.append("mindbench was built from sources with local changes.")
    for b in result.benchmarks:
        others = result_file.number(b.node, "gpu_other_processes")
        if others:
            found.append(f"{b.name}: {count(int(others), 'other process')} computed on the GPU.")
        for e in b.executors:
            if e.say("throttled"):
                found.append(f"{b.name}, {e.name}: the GPU slowed itself down: {e.say('throttled')}.")
    return found


# ---- one program ----

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


def distribution_figure(benchmark, names):
    executors = [e for e in benchmark.measured() if e.samples_us]
    if not executors:
        return None
    rows = [[e.name, str(len(e.samples_us))] + [units.time(q) for q in plots.quantiles(e.samples_us)]
            for e in executors]
    alt = f"{benchmark.name}: latency of every sample. " + "; ".join(
        f"{row[0]}: median {row[4]}, from {row[2]} to {row[8]}" for row in rows) + "."
    return figure(names, plots.distributions(executors, SMALL), "Latency, every sample",
                  "Density, samples as dots, the middle half as a bar, the median as a circle. "
                  "Further left is faster.", alt,
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
                  "Samples in the order measured, blocks shaded in turn, the median dashed. A level that "
                  "moves is drift; each panel has its own scale.", alt,
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
    flops, size = result_file.number(node, "flops"), result_file.number(node, "bytes")
    parts = [f"batch {benchmark.batch}" if benchmark.batch is not None else None,
             f"caches {result_file.text(node, 'cache')}" if result_file.text(node, "cache") else None,
             "with transfers of data" if result_file.flag(node, "data_transfers") else None,
             f"{units.significant(flops / 1e6)} MFLOP" if flops is not None else None,
             f"{units.size(size)} at least to move" if size is not None else None,
             result_file.text(node, "file")]
    return ", ".join(filter(None, parts))


def benchmark_section(benchmark, names, ident):
    figures = {what: make(benchmark, names) for what, make in DRAWN}
    absent = [f"{e.name}: {e.reason or 'no reason given'}" for e in benchmark.executors if not e.measured]
    absent += [what for what, made in figures.items() if not made]
    plans = [(e.name, e.say("plan")) for e in benchmark.executors if e.say("plan")]
    return {"id": ident, "name": benchmark.name, "text": program_text(benchmark),
            "table": executors_table(benchmark), "figures": list(filter(None, figures.values())), "notes": [],
            "tables": [], "plans": plans, "absent": absent}


DRAWN = (("samples", distribution_figure), ("samples over time", series_figure),
         ("phases of start-up", start_up_figure))


# ---- ratios ----

def ratio_groups(result):
    groups = []
    for b in result.benchmarks:
        found = [c for c in b.comparisons if c.speedup is not None and c.a == "mind"] or \
            [c for c in b.comparisons if c.speedup is not None]
        if found:
            groups.append((b.name, [(f"vs {c.b}" if c.a == "mind" else f"{c.a} vs {c.b}", c)
                                    for c in found]))
    return groups


def ratios_figure(groups, names, title):
    if not groups:
        return None
    if max(len(comparisons) for _, comparisons in groups) == 1:  # a heading for each would be noise
        groups = [(None, [(f"{heading}", c) for heading, comparisons in groups for _, c in comparisons])]
    rows = [[heading or label, f"{c.a} against {c.b}", units.ratio(c.speedup),
             units.interval(c.low, c.high), c.verdict or "–"]
            for heading, comparisons in groups for label, c in comparisons]
    alt = f"{title}. " + "; ".join(" ".join(row) for row in rows[:40]) + "."
    narrow = markupsafe.Markup(drawing.svg(plots.ratios(groups, NARROW), names(), alt))
    return figure(names, plots.ratios(groups, WIDE), title,
                  "Right of the line mind is faster. The bar is the 95 % interval, the shaded strip what "
                  "counts as the same (±2 %). Logarithmic.", alt, narrow_svg=narrow, wide=True,
                  table=table(["Program", "Executors", "Ratio", "95 % interval", "Verdict"], rows))


# ---- machine ----

SETTINGS = (("Command", ("argv",)), ("Date", ("date",)), ("Seed", ("seed",)), ("Device", ("device",)),
            ("Threads", ("threads",)), ("Precision", ("precision",)),
            ("Wrong when rel. L2 exceeds", ("tolerance", "rel_l2")),
            ("or the largest error exceeds", ("tolerance", "max_rel")),
            ("mindbench", ("mindbench", "version")), ("Commit", ("mindbench", "git_sha")),
            ("Compiler", ("mindbench", "compiler")), ("Flags", ("mindbench", "flags")),
            ("Build", ("mindbench", "build_type")), ("Result schema", ("schema_version",)))
BYTES = ("bytes",)


def value_text(key, value):
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(v for v in (result_file.clean(v) for v in value if isinstance(v, str)))
    number = result_file.number({"": value}, "")
    if number is not None:
        return units.size(number) if key.endswith("bytes") else f"{number:.10g}"
    return result_file.clean(value) if isinstance(value, str) else None


def facts(result):
    machine = [(result_file.clean(k).replace("_", " "), value_text(k, v))
               for k, v in result_file.mapping(result.node, "system_info").items()]
    settings = [(name, value_text(keys[-1], result_file.at(result.node, *keys))) for name, keys in SETTINGS]
    libraries = dict.fromkeys(f"{e.name}: {e.say('library')}; {e.say('math_mode') or e.say('precision')}"
                              for b in result.benchmarks for e in b.executors if e.say("library"))
    settings += [("Executor", line) for line in libraries]
    return [("Machine", [row for row in machine if row[1]]),
            ("Settings and versions", [row for row in settings if row[1]])]


# ---- the page ----

def result_section(result, names, ident):
    detailed = result.benchmarks[:MOST_DETAILED]
    rest = result.benchmarks[MOST_DETAILED:]
    section = {
        "id": ident, "title": result.label, "answer": answer(result), "alerts": alerts(result),
        "cards": [card(b) for b in detailed] if not rest else [], "notes": notes(result),
        "roofline": [], "more": None, "lead": lead(result), "against_all": against_all(result),
        "ratios": ratios_figure(ratio_groups(result), names, "How many times as fast"),
        "benchmarks": [benchmark_section(b, names, f"{ident}-{i}") for i, b in enumerate(detailed)],
        "facts": facts(result)}
    if rest:
        section["more"] = f"The other {count(len(rest), 'program')}, without plots of their own:"
        section["more_table"] = table(
            ["Program", "Executors", "Ratio", "Result"],
            [[b.name, f"{b.headline.a} against {b.headline.b}" if b.headline else "–",
              describe(b.headline) if b.headline else "–",
              "VALID" if all(e.valid for e in b.measured()) else "INVALID"] for b in rest])
    return section


def overview(results, names):
    rows = [[r.label, lead(r), answer(r), "VALID" if not alerts(r) else "INVALID"] for r in results]
    groups = [(r.label, [(b.name, b.headline) for b in r.benchmarks[:40]
                         if b.headline and b.headline.speedup is not None]) for r in results]
    groups = [g for g in groups if g[1]]
    return {"table": table(["File", "Machine", "Answer", "Result"], rows, left=(1, 2), label="Overview"),
            "figure": ratios_figure(groups, names, "Every program of every file, against the fastest "
                                                   "PyTorch executor") if groups else None}


def render(files, version):
    """The page as text. files: what result_file.read gave."""
    names = Names()
    results = [f for f in files if isinstance(f, result_file.Result)]
    sections = [result_section(r, names, f"r{i}") for i, r in enumerate(results)]
    several = len(files) > 1
    page = {
        "title": "mindbench: " + (", ".join(f.label for f in files)),
        "answer": count(len(files), "file") if several or not results else sections[0]["answer"],
        "lead": sections[0]["lead"] if results and not several else None,
        "against_all": sections[0]["against_all"] if results and not several else None,
        "alerts": sections[0]["alerts"] if results and not several else [],
        "overview": overview(results, names) if several and results else None,
        "results": sections, "kernels": [], "made": f"Made by mindbench report {version}.",
        "links": [(s["id"], s["title"]) for s in sections] if several else
                 [(b["id"], b["name"]) for s in sections for b in s["benchmarks"]]}
    if sections and not several:
        page["links"].append((f"{sections[0]['id']}-machine", "Machine and settings"))
    page["links"].append(("reading", "How to read it"))
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE), autoescape=True,
                                     undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    css = markupsafe.Markup((HERE / "report.css").read_text(encoding="utf-8"))
    return environment.get_template("report.html").render(page=page, css=css, pills=PILLS)
