"""Result files to one HTML page: what stands where. The words are here, the form is in report.html."""

import datetime
import pathlib

import jinja2
import markupsafe

import kernels_section
import plots
import result_file
import units
from parts import NARROW, WIDE, Names, count, figure, svg, table
from program_section import benchmark_section, describe
from units import NOT_MEASURED

HERE = pathlib.Path(__file__).parent
MOST_DETAILED = 12  # programs of one result with plots of their own; the others have a row
MOST_ON_PAGE = 60  # the same of the whole page, but one of each result at least
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September",
          "October", "November", "December")
PILLS = ("FAST", "SLOW", "SAME", "AMBG")


# ---- the answer ----

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


def least_effect(result):
    effect = result.get("statistics", "min_effect")
    return effect if effect is not None and 0 < effect < 1 else plots.LEAST_EFFECT


def alerts(result):
    """What makes the result, or a row of it, worth nothing."""
    found = []
    if result.altered:
        found.append(f"{result.place} was changed after it was written: its digest is not that of its "
                     "content")
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
    detectable = result_file.number(c.node, "detectable")
    said = " against ".join(times)
    if detectable is not None:
        said += f"; a change of {100 * detectable:.1f} % could be told"
    return {"name": benchmark.name, "ratio": units.ratio(c.speedup), "verdict": c.verdict,
            "interval": units.interval(c.low, c.high), "text": said}


def notes(result):
    """What the machine and the run were like, where it weighs on the numbers."""
    info, text = result_file.mapping(result.node, "system_info"), result_file.text
    found = []
    load, governor = result_file.number(info, "load_1min"), text(info, "governor")
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
        alarms, controls = (result_file.number(b.node, k) for k in ("aa_false_alarms", "aa_controls"))
        if alarms:
            found.append(f"{b.name}: {count(int(alarms), 'false alarm')} in {controls or alarms:.0f} "
                         "comparisons of an executor with itself.")
        for c in b.comparisons:
            if text(c.node, "verdict_reason"):
                found.append(f"{b.name}, {c.a} against {c.b}: undecided: {text(c.node, 'verdict_reason')}.")
        for e in b.executors:
            if e.say("unsteady"):
                found.append(f"{b.name}, {e.name}: {e.say('unsteady')}.")
            if e.say("throttled"):
                found.append(f"{b.name}, {e.name}: the GPU slowed itself down: {e.say('throttled')}.")
    return found


# ---- ratios ----

MOST_SAID = 40  # ratios in the text that stands for a plot

def ratio_groups(result):
    groups = []
    for b in result.benchmarks:
        found = [c for c in b.comparisons if c.speedup is not None and c.a == "mind"] or \
            [c for c in b.comparisons if c.speedup is not None]
        if found:
            groups.append((b.name, [(f"vs {c.b}" if c.a == "mind" else f"{c.a} vs {c.b}", c)
                                    for c in found]))
    return groups


def ratios_figure(groups, names, title, effect=plots.LEAST_EFFECT, labelled=None):
    """labelled: what the labels in a group are, where they tell more than the executors do."""
    if not groups:
        return None
    if not labelled and max(len(comparisons) for _, comparisons in groups) == 1:
        # a heading for each would be noise
        groups = [(None, [(heading, c) for heading, comparisons in groups for _, c in comparisons])]
    rows = [[heading or label] + ([label] if labelled else []) +
            [f"{c.a} against {c.b}", units.ratio(c.speedup), units.interval(c.low, c.high), c.verdict or "–"]
            for heading, comparisons in groups for label, c in comparisons]
    more = f"; {len(rows) - MOST_SAID} more in the table" if len(rows) > MOST_SAID else ""
    alt = f"{title}. " + "; ".join(" ".join(row) for row in rows[:MOST_SAID]) + f"{more}."
    head = [*(labelled or ["Program"]), "Executors", "Ratio", "95 % interval", "Verdict"]
    return figure(names, plots.ratios(groups, WIDE, effect), title,
                  "Right of the line mind is faster. The bar is the 95 % interval, the shaded strip what "
                  f"counts as the same (±{100 * effect:g} %). Logarithmic.", alt, wide=True,
                  narrow_svg=svg(names, plots.ratios(groups, NARROW, effect), alt), table=table(head, rows))


# ---- machine ----

SETTINGS = (("Command", ("argv",)), ("Date", ("date",)), ("Seed", ("seed",)), ("Device", ("device",)),
            ("Threads", ("threads",)), ("Precision", ("precision",)),
            ("Processes of each executor, one after another", ("statistics", "restarts")),
            ("Bootstrap resamples", ("statistics", "resamples")),
            ("Smallest effect that counts", ("statistics", "min_effect")),
            ("Stop at an interval of, in %", ("statistics", "max_noise")),
            ("Stop after, in s", ("statistics", "duration_s")),
            ("Wrong when rel. L2 exceeds", ("tolerance", "rel_l2")),
            ("or the largest error exceeds", ("tolerance", "max_rel")),
            ("mindbench", ("mindbench", "version")), ("Commit", ("mindbench", "git_sha")),
            ("Compiler", ("mindbench", "compiler")), ("Flags", ("mindbench", "flags")),
            ("Build", ("mindbench", "build_type")), ("Result schema", ("schema_version",)))


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
    settings.insert(0, ("File", result.place))
    settings += [("Executor", line) for line in libraries]
    return [("Machine", [row for row in machine if row[1]]),
            ("Settings and versions", [row for row in settings if row[1]])]


# ---- the page ----

def result_section(result, names, ident, most_detailed=MOST_DETAILED):
    detailed, rest = result.benchmarks[:most_detailed], result.benchmarks[most_detailed:]
    section = {
        "id": ident, "title": result.label, "answer": answer(result), "alerts": alerts(result),
        "cards": [card(b) for b in detailed] if not rest else [], "notes": notes(result),
        "limit": None, "more": None, "lead": lead(result), "against_all": against_all(result),
        "ratios": ratios_figure(ratio_groups(result), names, "How many times as fast",
                                least_effect(result)),
        "benchmarks": [benchmark_section(b, names, f"{ident}-{i}") for i, b in enumerate(detailed)],
        "facts": facts(result)}
    if rest:
        section["limit"] = (f"{count(len(result.benchmarks), 'program')}: the first {len(detailed)} with "
                            f"plots, the other {len(rest)} in the table at the end of this section.")
        section["more"] = f"The other {count(len(rest), 'program')}, without plots of their own:"
        section["more_table"] = table(
            ["Program", "Executors", "Ratio", "Result"],
            [[b.name, f"{b.headline.a} against {b.headline.b}" if b.headline else "–",
              describe(b.headline) if b.headline else "–",
              "VALID" if all(e.valid for e in b.measured()) else "INVALID"] for b in rest])
    return section


def overview(results, names):
    rows = [[r.label, lead(r), answer(r), "VALID" if not alerts(r) else "INVALID"] for r in results]
    found, absent = [], []
    for r in results:
        for b in r.benchmarks:
            if b.headline and b.headline.speedup is not None:
                found.append((r, b))
            else:
                absent.append(f"{r.label}, {b.name}: {card(b)['text']}.")
    return {"table": table(["Result", "Machine", "Answer", "Valid"], rows, left=(1, 2), label="Overview"),
            "figure": side_by_side(results, found, names), "absent": absent}


def side_by_side(results, found, names):
    """The headline ratios of all results in one plot. A program that was measured several times has
    its results beside each other, else a result its programs. found: [(Result, Benchmark)]."""
    programs = [b.name for _, b in found]
    by_program = len(set(programs)) < len(programs)
    groups = {}
    for r, b in found:
        heading, label = (b.name, r.label) if by_program else (r.label, b.name)
        groups.setdefault(heading, []).append((label, b.headline))
    effects = {least_effect(r) for r in results}
    torch = all(b.headline.b.startswith("torch-") for _, b in found)
    return ratios_figure(list(groups.items()), names,
                         "How many times as fast, " + ("each program in every result" if by_program else
                                                       "every program of every result") +
                         (", against the fastest PyTorch executor" if torch else ""),
                         effects.pop() if len(effects) == 1 else plots.LEAST_EFFECT,
                         ["Program", "Result"] if by_program else ["Result", "Program"])


def render(files, version):
    """The page as text. files: what result_file.read gave."""
    names = Names()
    results = [f for f in files if isinstance(f, result_file.Result)]
    share = min(MOST_DETAILED, max(1, MOST_ON_PAGE // max(len(results), 1)))
    sections = [result_section(r, names, f"r{i}", share) for i, r in enumerate(results)]
    kernels = [kernels_section.section(k, names, f"k{i}") for i, k in
               enumerate(f for f in files if isinstance(f, result_file.Kernels))]
    several = len(files) > 1
    page = {
        "title": "mindbench: " + (", ".join(f.label for f in files)),
        "answer": count(len(files), "result") if several else (sections + kernels)[0]["answer"],
        "lead": sections[0]["lead"] if results and not several else None,
        "against_all": sections[0]["against_all"] if results and not several else None,
        "alerts": sections[0]["alerts"] if results and not several else [],
        "overview": overview(results, names) if several and results else None,
        "results": sections, "kernels": kernels, "made": f"Made by mindbench report {version}.",
        "links": [(s["id"], s["title"]) for s in sections + kernels] if several else
                 [(b["id"], b["name"]) for s in sections for b in s["benchmarks"]]}
    if sections and not several:
        page["links"].append((f"{sections[0]['id']}-machine", "Machine and settings"))
    page["links"].append(("reading", "How to read it"))
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE), autoescape=True,
                                     undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    css = markupsafe.Markup((HERE / "report.css").read_text(encoding="utf-8"))
    return environment.get_template("report.html").render(page=page, css=css, pills=PILLS)
