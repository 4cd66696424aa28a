"""mindbench report: what the page holds, that it holds nothing else, and how a browser shows it.

The page needs matplotlib and Jinja2, the browser is Chromium; without them these tests are skipped.
"""

import csv
import html.parser
import importlib.util
import io
import json
import random
import re
import shutil
import subprocess
import sys

import pytest

from conftest import SOURCE, one_error

RESULTS = SOURCE / "results" / "amd-epyc-zen3-2-cores"
DATA = SOURCE / "tests" / "data" / "report"
RACE = DATA / "race.json"  # three programs, five executors, 200 samples each, in the form before restarts
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("matplotlib", "jinja2"))),
    reason="no matplotlib or no Jinja2; scripts/setup test installs them")
in_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium; scripts/setup test installs it")

HOSTILE = ["<script>document.title='ran'</script>", "</style><img src=x onerror=\"document.title='ran'\">",
           "\"><svg onload=document.title='ran'>", "{{ 7 * 191 }}", "$\\frac{$ %s \\", "&lt;b&gt;",
           "\u0000\u0007\u001b[31m\u202eevil\ufeff", "\ud800", "x" * 5000, "日本語 🙂"]


@pytest.fixture
def maker(monkeypatch):
    """The page of a parsed result, made in this process: of what no file that is read can hold too."""
    monkeypatch.syspath_prepend(str(SOURCE / "scripts" / "report"))
    import page as pages
    import result_file
    return lambda node: pages.render([result_file.parse("edited", node)], "0")


@pytest.fixture
def report(bare):
    """The program with the script beside it, run by this Python."""
    (bare.bin / "report").symlink_to(SOURCE / "scripts" / "report")
    environment = bare.environment
    bare.environment = lambda **extra: environment(
        **{"MINDBENCH_PYTHON": sys.executable, "MPLCONFIGDIR": str(bare.folder.parent / "fonts"), **extra})
    return bare


def page(bench, *files, name="page.html"):
    done = bench("report", *files, "-o", name)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return (bench.folder / name).read_text(encoding="utf-8")


class Elements(html.parser.HTMLParser):
    """Every element with its attributes, and the text of the page."""

    def __init__(self, text):
        super().__init__()
        self.found, self.text = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.found if name == tag]


def stands_alone(text):
    """Nothing runs, nothing is loaded, and a policy that would not let it."""
    elements = Elements(text)
    names = {name for name, _ in elements.found}
    assert not names & {"script", "img", "link", "iframe", "object", "embed", "base", "form", "image"}
    for name, attrs in elements.found:
        assert not [key for key in attrs if key.startswith("on")], (name, attrs)
        for key in ("src", "href", "xlink:href", "action", "srcset", "poster"):
            assert attrs.get(key, "#").startswith("#"), (name, attrs)
    assert not re.findall(r"url\((?!#)", text) and "@import" not in text
    (policy,) = [m["content"] for m in elements.all("meta") if m.get("http-equiv")]
    assert policy.startswith("default-src 'none'") and "script-src" not in policy
    ids = [attrs["id"] for _, attrs in elements.found if "id" in attrs]
    assert len(ids) == len(set(ids))
    for attrs in elements.all("a") + elements.all("use"):
        assert (attrs.get("href") or attrs["xlink:href"])[1:] in ids
    for reference in re.findall(r"url\(#([^)]+)\)", text):
        assert reference in ids
    return elements


def small():
    """A part of the race that is quick to draw: two programs, three executors."""
    result = json.loads(RACE.read_text())
    del result["benchmarks"]["conv2d_inference"]
    for benchmark in result["benchmarks"].values():
        for name in ("onnxruntime", "openvino"):
            del benchmark["executors"][name]
        benchmark["comparisons"] = [c for c in benchmark["comparisons"]
                                    if {c["a"], c["b"]} <= set(benchmark["executors"])]
    return result


def edited(bench, change, name="edited.json"):
    """A part of the race with something changed; the file's name."""
    result = small()
    change(result)
    (bench.folder / name).write_text(json.dumps(result))
    return name


# ---- what it says ----

def test_page_of_a_race(report):
    elements = stands_alone(page(report, RACE))
    text = "".join(elements.text)
    assert (report.folder / "page.html").stat().st_size < 1_500_000
    assert "MIND is faster than the fastest PyTorch executor on 3 of 3 programs: 1.77× to 2.93×" in text
    assert "onnxruntime): 1.19× to 2.67×" in text
    for name in ("large_matmul_4096", "mlp_batch32", "conv2d_inference", "AMD EPYC", "virtual machine"):
        assert name in text
    plots = elements.all("svg")
    assert len(plots) >= 2 + 3 * 3
    assert all(p["role"] == "img" and len(p["aria-label"]) > 40 for p in plots)
    assert len(elements.all("figure")) == len(elements.all("figcaption")) >= 1 + 3 * 3
    assert text.count("The same as a table") == len(elements.all("figure"))
    assert "2.93× [2.92, 2.95]" in text


def test_the_same_files_give_the_same_page(report):
    name = edited(report, lambda result: None)
    assert page(report, name, name="a.html") == page(report, name, name="b.html")


def test_several_files_have_an_overview(report):
    text = page(report, edited(report, lambda result: None), DATA / "race_one_thread.json")
    ids = [attrs.get("id") for attrs in stands_alone(text).all("section")]
    assert {"overview", "r0", "r1"} <= set(ids)
    assert text.count("Machine and settings</h3>") == 2


def test_many_programs_are_made_in_time(report):
    text = page(report, RESULTS / "shapes" / "shapes.json")
    stands_alone(text)
    assert len(text) < 3_000_000 and "The other 104 programs" in text
    assert text.index("116 programs: the first 12 with plots, the other 104 in the table") < text.index("<h3>")
    assert "76 more in the table" in text  # of what stands for the plot of ratios


# ---- merged files ----

def merged(bench, *files, name="all.json"):
    done = bench("merge", "-q", *files, "-o", name)
    assert done.returncode == 0, done.stderr
    return name


def faster(result):
    """The same on another machine, where there is no ratio of one program."""
    result["system_info"]["cpu"] = "A Faster One"
    benchmark = result["benchmarks"]["mlp_batch32"]
    for c in benchmark["comparisons"]:
        c.update(dict.fromkeys(["speedup", "ci_low", "ci_high", "throughput_ratio", "throughput_ci_low",
                                "throughput_ci_high", "verdict"]), withheld_reason="precision differs")
    benchmark.update(latency_speedup=None, throughput_advantage=None)


def test_merged_files_show_every_result(report):
    for folder, change in (("one", lambda result: None), ("two", faster)):
        (report.folder / folder).mkdir()
        edited(report, change, name=f"{folder}/race.json")
    merged(report, "one/race.json", "two/race.json", DATA / "race_one_thread.json")
    done = report("report", "all.json", "-o", "page.html", "--csv", "all.csv", "--md", "all.md")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    elements = stands_alone((report.folder / "page.html").read_text(encoding="utf-8"))
    ids = [attrs.get("id") for attrs in elements.all("section")]
    assert {"overview", "r0", "r1", "r2"} <= set(ids) and "r3" not in ids
    shown = "".join(elements.text)
    assert "3 results" in shown and shown.count("Machine and settings") == 3
    assert shown.count("A Faster One") == 3  # overview, section, facts
    names = ["race (all.json#1)", "race (all.json#2)", "race_one_thread"]
    assert all(f">{name}</h2>" in (report.folder / "page.html").read_text() for name in names)
    # one plot of all: each program has a row of each result
    plot = next(p["aria-label"] for p in elements.all("svg") if "in every result" in p["aria-label"])
    said = [entry.split(" mind against")[0] for entry in plot.split(". ", 1)[1].split("; ")]
    assert said == ["large_matmul_4096 race (all.json#1)", "large_matmul_4096 race (all.json#2)",
                    "large_matmul_4096 race_one_thread", "mlp_batch32 race (all.json#1)",
                    "mlp_batch32 race_one_thread", "conv2d_inference race_one_thread"]
    assert f"{names[1]}, mlp_batch32: no ratio: precision differs." in shown
    rows = list(csv.DictReader((report.folder / "all.csv").read_text().splitlines()))
    assert list(dict.fromkeys(row["result"] for row in rows)) == names
    tables = (report.folder / "all.md").read_text().splitlines()
    assert len(tables) == 2 + len(rows) and len({line.count("|") for line in tables}) == 1
    assert tables[2].startswith("| race (all.json#1) | ")


def test_a_part_of_a_merged_file_is_a_result(report):
    merged(report, edited(report, lambda result: None), edited(report, faster, name="two.json"))
    text = page(report, "all.json#2")
    assert "A Faster One" in text and "id=\"overview\"" not in text and "all.json#2" in text
    assert report("report", "all.json#2", "--csv", "stdout").stdout == \
        report("report", "two.json", "--csv", "stdout").stdout
    assert "has no part 3" in one_error(report("report", "all.json#3", "-o", "no.html"), 4)
    before = (report.folder / "all.json").read_bytes()
    for output in ("-o", "--csv", "--md"):
        assert "one of the files" in one_error(report("report", "all.json#1", output, "all.json"), 4)
    assert (report.folder / "all.json").read_bytes() == before


def test_hostile_merged_files(report):
    """As no mindbench writes them; the digest is not theirs either, and that is said."""
    texts = [text for text in HOSTILE if "\0" not in text and "\ud800" not in text]
    parts = []
    for text in texts:
        node = small()
        node["benchmarks"] = {text: node["benchmarks"]["mlp_batch32"]}
        node["system_info"]["cpu"] = text[:100]
        parts.append({"name": text, "result": node})
    (report.folder / "all.json").write_text(
        json.dumps({"schema_version": "1.0.0", "merged": parts, "digest": "sha256:" + "0" * 64}))
    text = page(report, "all.json")
    shown = "".join(stands_alone(text).text)
    for part in texts:
        assert part.replace("\u202e", "\ufffd").replace("\ufeff", "\ufffd") in shown
    assert shown.count("was changed after it was written") == len(texts)
    done = report("report", "all.json", "--csv", "all.csv", "--md", "all.md")
    assert done.returncode == 0
    rows = list(csv.DictReader((report.folder / "all.csv").read_text().splitlines()))
    assert {row["result"] for row in rows} == set(texts) and None not in rows[0]
    if BROWSER:
        for width, said in layout(report, text).items():
            assert said["title"].startswith("mindbench: ") and said["scroll"] <= width


def test_merged_files_that_are_cut(report):
    whole = (report.folder / merged(report, edited(report, lambda result: None), RACE)).read_bytes()
    for end in range(0, len(whole) - 2, len(whole) // 11):
        (report.folder / "bad.json").write_bytes(whole[:end])
        assert "bad.json" in one_error(report("report", "bad.json#1", "-o", "page.html"), 4)
    spoilt = json.loads(whole)
    del spoilt["merged"][1]["result"]["seed"]
    (report.folder / "bad.json").write_text(json.dumps(spoilt))
    assert "bad.json#2: seed: is missing" in one_error(report("report", "bad.json", "-o", "page.html"), 4)
    assert not (report.folder / "page.html").exists()


def test_invalid_is_said_first(report):
    def spoil(result):
        result.update(result_validity="INVALID", result_invalid_reason="stopped by the <user>")
        row = result["benchmarks"]["mlp_batch32"]["executors"]["torch-jit"]
        row.update(result_validity="INVALID", result_invalid_reason="rel L2 error 3e-3")
    text = page(report, edited(report, spoil))
    stands_alone(text)
    assert text.index("stopped by the &lt;user&gt;") < text.index("mlp_batch32, torch-jit: rel L2 error 3e-3") \
            < text.index("class=\"cards\"")


def test_what_is_missing_is_left_out(maker):
    result = small()
    for benchmark in result["benchmarks"].values():
        benchmark["comparisons"] = []
        for row in benchmark["executors"].values():
            row.update(samples_us=[], block_starts=[], phases_us={}, plan=None)
    text = maker(result)
    assert stands_alone(text).all("svg") == [] and "No ratio was measured in 2 programs" in text
    assert text.count("Not measured: samples; samples over time; phases of start-up;") == 2


def poison(result):
    """Hostile text wherever there is text."""
    result["argv"] = HOSTILE
    result["result_validity"], result["result_invalid_reason"] = "INVALID", HOSTILE[0] + HOSTILE[3]
    result["system_info"].update({HOSTILE[1]: HOSTILE[2], "cpu": HOSTILE[6]})
    benchmark = result["benchmarks"]["mlp_batch32"]
    row = dict(benchmark["executors"]["torch-jit"], plan="</pre>" + HOSTILE[0], unsteady=HOSTILE[1],
               library=HOSTILE[2], invalid_reason=HOSTILE[1])
    benchmark["executors"].update({text: row for text in HOSTILE})
    comparison = benchmark["comparisons"][0]
    benchmark["comparisons"] += [dict(comparison, b=text, verdict=text) for text in HOSTILE]
    bare = dict(benchmark, executors={}, comparisons=[comparison])
    result["benchmarks"] = {HOSTILE[0]: benchmark, **{text: bare for text in HOSTILE[1:]}}


def test_hostile_text_is_text(maker):
    result = small()
    poison(result)
    text = maker(result)
    shown = "".join(stands_alone(text).text)
    assert HOSTILE[0] in shown and HOSTILE[4] in shown and "7 * 191" in shown
    assert not re.search("[\u0000\u0007\u001b\u202e]", text)


@pytest.mark.parametrize("content, why", [
    (b"", "bad.json"), (b"{\"schema_version\": \"1.0.0\"", "line 1"), (b"[" * 100_000, "line 1"),
    (b"{\"a\": NaN}", "line 1"), (b"[]", "schema_version"),
    (b"{\"schema_version\": \"2.0.0\", \"benchmarks\": {\"a\": {}}}", "schema version 2.0.0"),
    (b"{\"schema_version\": \"1.0.0\", \"benchmarks\": []}", "bad.json"),
])
def test_files_that_are_no_result(report, content, why):
    (report.folder / "bad.json").write_bytes(content)
    error = one_error(report("report", RACE, "bad.json", "-o", "page.html"), 4)
    assert why in error and "bad.json" in error
    assert not (report.folder / "page.html").exists()


@pytest.mark.parametrize("seed", range(2))
def test_values_of_any_type(maker, seed):
    """All of a level at once, on every level: a page is made of whatever is left."""
    values = [None, [], {}, "", "x", 1e308, -1, 0, 10**400, True, [[]], {"": {}}, ["x"], [-1]]
    choose = random.Random(seed).choice
    result = small()
    del result["benchmarks"]["large_matmul_4096"]
    result["statistics"] = {"min_effect": 0.02}
    text = json.dumps(result)
    for place in ((), ("statistics",), ("system_info",), ("benchmarks",), ("benchmarks", "mlp_batch32"),
                  ("benchmarks", "mlp_batch32", "executors"),
                  ("benchmarks", "mlp_batch32", "executors", "mind"),
                  ("benchmarks", "mlp_batch32", "executors", "mind", "phases_us"),
                  ("benchmarks", "mlp_batch32", "comparisons", 0)):
        node = hostile = json.loads(text)
        for key in place:
            node = node[key]
        for key in node:
            if place or key != "benchmarks":
                node[key] = choose(values)
        stands_alone(maker(hostile))


def test_fewer_values_than_a_plot_needs(maker):
    for samples in ([5.0], [5.0, 5.0], [0.0, 0.0, 0.0], [1e-9, 1e9], [7.0] * 6, [1e99, 1e99], [1e-320, 1.0], [1e308]):
        result = small()
        row = result["benchmarks"]["mlp_batch32"]["executors"]["mind"]
        row.update(samples_us=samples, block_starts=[0, len(samples)],
                   phases_us=dict.fromkeys(row["phases_us"], 0.0),
                   processes=[{"warmup_us": samples, "steady_from": 1}], block_processes=[0],
                   block_states=[{"start_us": 0, "cpu_mhz": samples[0]}])
        stands_alone(maker(result))


def test_statistics_are_shown(maker):
    """What says how sure a number is, where a file has it."""
    result = small()
    assert "Not measured: each executor against itself; warm-up; clocks and other states" in maker(result)
    result["statistics"] = {"restarts": 2, "min_effect": 0.05}
    for benchmark in result["benchmarks"].values():
        benchmark.update(aa_controls=2, aa_false_alarms=1, floor_us=12.5)
        for c in benchmark["comparisons"]:
            c.update(detectable=0.0123, verdict_reason="less than it could tell")
        for row in benchmark["executors"].values():
            blocks = len(row["block_starts"]) - 1
            row["block_processes"] = [0, 1] * (blocks // 4) + [2, 3] * (blocks // 4)
            row["processes"] = [{"warmup_us": [900.6, 400.0, 333.0], "steady_from": 1}] * 4
            row["block_states"] = [{"start_us": 1e5 * i, "cpu_mhz": 3000.0 + i, "steal_us": None}
                                   for i in range(blocks)]
            row.update(unsteady="drift of 4.2 %", aa={"ratio": 1.004, "ci_low": 0.99, "ci_high": 1.02,
                                                      "verdict": "AMBG", "detectable": 0.0321})
    text = maker(result)
    elements = stands_alone(text)
    shown = " ".join(elements.text)
    for part in ("±5 %", "1 false alarm in 2 comparisons", "drift of 4.2 %", "less than it could tell",
                 "a change of 1.2 % could be told", "3.2 %", "1.004×", "[0.990, 1.020]", "901 µs",
                 "no executor can be faster than 12.5 µs", "3,019 MHz", "started again"):
        assert part in shown, part
    assert "Taken by the hypervisor" not in shown and len(elements.all("figure")) == 1 + 2 * 6


def test_kernels(report):
    text = page(report, RESULTS / "kernels" / "kernels.json")
    shown = " ".join(stands_alone(text).text)
    assert "7 kernels on 116 shapes" in shown and "206 GFLOP/s" in shown
    assert "f32_conv2d_winograd4__avx2" in shown
    both = page(report, edited(report, lambda result: None), RESULTS / "kernels" / "kernels.json")
    assert {"overview", "r0", "k0"} <= {a.get("id") for a in stands_alone(both).all("section")}


def test_tables_of_one_result(report):
    done = report("report", RACE, "--csv", "all.csv", "--md", "stdout")
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith("|") and "conv2d_inference" in done.stdout
    lines = (report.folder / "all.csv").read_text().splitlines()
    assert lines[0].startswith("benchmark,executor,device") and len(lines) == 1 + 3 * 5
    assert "1691.558" in lines[1]
    kernels = RESULTS / "kernels" / "kernels.json"
    assert "a table of kernels" in one_error(report("report", RACE, kernels, "--md", "k.md"), 4)
    assert report.files() == ["all.csv"]


def test_usage(report):
    assert "no result file" in one_error(report("report"), 4)
    assert "-o REPORT.html" in one_error(report("report", RACE), 4)
    assert "none.json" in one_error(report("report", "none.json", "-o", "page.html"), 4)
    assert "create the folder" in one_error(report("report", RACE, "-o", "no/page.html"), 4)
    shutil.copy(RACE, report.folder / "race.json")
    assert "one of the files" in one_error(report("report", "race.json", "-o", "race.json"), 4)
    assert "one of the files" in one_error(report("report", "race.json", "--csv", "race.json"), 4)
    assert "Usage: mindbench report" in report("report", "--help").stdout
    assert report.files() == ["race.json"]


def test_page_to_a_pipe(report):
    assert report("report", RACE, "-o", "stdout").stdout.startswith("<!DOCTYPE html>")


def test_python_or_its_packages_missing(report):
    error = one_error(report("report", RACE, "-o", "p.html", env={"MINDBENCH_PYTHON": "/no/python"}), 4)
    assert "cannot start /no/python" in error and "MINDBENCH_PYTHON" in error
    (report.folder / "packages").mkdir()
    (report.folder / "packages" / "jinja2.py").write_text("raise ImportError('no', name='jinja2')\n")
    error = one_error(report("report", RACE, "-o", "p.html",
                             env={"PYTHONPATH": str(report.folder / "packages")}), 4)
    assert "jinja2" in error and "scripts/setup report" in error
    (report.bin / "report").unlink()
    assert "build again" in one_error(report("report", RACE, "-o", "p.html"), 4)
    assert not (report.folder / "p.html").exists()


# ---- total time, roofline, operations ----

ROWS = ("mind (first start)", "mind (later start)", "torch-jit")


def with_topics(result):
    """What run --profile-ops --cold-starts adds, in round numbers: 5 us a run against 10 us, from 1 ms,
    0.5 ms and 0.7 ms on."""
    result["ceilings"] = {"reason": None, "fma_gflops": 200.0, "launch_us": None, "graph_node_us": None,
                          "read": [{"bytes": 65536, "gbps": 250.0}, {"bytes": 1 << 27, "gbps": 12.0}]}
    for benchmark in result["benchmarks"].values():
        benchmark.update(flops=4e6, bytes=1e6)
        for name, row in benchmark["executors"].items():
            row.update(latency_p50_us=50.0, roofline_share=0.625, roofline={
                "flops": 2e6 if name == "mind" else 0.0, "us": 31.25, "read_gbps": 32.0, "bound": "memory"})
        benchmark["executors"]["mind"]["operations"] = [
            {"kernel": "f32_short", "what": "relu", "us": 10.0, "bytes": 8, "flops": 2},
            {"kernel": "f32_long", "what": "matmul", "us": 30.0, "bytes": 8, "flops": 2}]
        benchmark["executors"]["torch-jit"]["operations_reason"] = "none <of> its own"
        benchmark["total_time"] = {"status": "measured", "reason": None, "rows": {
            name: {"reason": None, "total_us": [
                {"runs": n, "value": start + n * each, "ci_low": start + n * each * 0.9,
                 "ci_high": start + n * each * 1.1} for n in (1, 10, 100, 1000, 10**6)]}
            for name, start, each in zip(ROWS, (1000, 500, 700), (5, 5, 10))}}
        never = dict.fromkeys(("reason", "runs", "runs_ci_low", "runs_ci_high"), None)
        benchmark["break_even"] = {"status": "measured", "reason": None, "pairs": [
            dict(never, a=ROWS[0], b=ROWS[2], kind="from_run", runs=61.0, runs_ci_low=40.0,
                 runs_ci_high=1234.0, ratios=[]),
            dict(never, a=ROWS[1], b=ROWS[2], kind="from_the_first_run", ratios=[]),
            dict(never, a=ROWS[0], b=ROWS[1], kind="never", ratios=[]),
            dict(never, a=ROWS[1], b=ROWS[0], kind="not_proven", ratios=[]),
            dict(never, a=ROWS[2], b=ROWS[0], kind=None, reason="no <starts>", ratios=[])]}
    return result


def alternatives(text, topic):
    return [p["aria-label"] for p in stands_alone(text).all("svg") if topic in p["aria-label"]]


def test_roofline_of_a_program(maker):
    text = maker(with_topics(small()))
    alts = alternatives(text, "roofline, 200 GFLOP/s")
    assert len(alts) == 2
    for said in ("read from cache, at best 250 GB/s", "read from memory 12.0 GB/s", "size 32.0 GB/s",
                 "mind: 40.0 GFLOP/s at 2.00 FLOP/byte, 62 %, bound by memory",
                 "torch-jit: 80.0 GFLOP/s at 4.00 FLOP/byte"):  # by the direct algorithm
        assert said in alts[0], said
    for note in ("<title>mind: 40.0 GFLOP/s, 2.00 FLOP/byte</title>", "read from memory: 12.0 GB/s</title>",
                 "<title>200 GFLOP/s</title>"):
        assert text.count(note) == 2, note


def test_operations_are_bars(maker):
    text = maker(with_topics(small()))
    assert alternatives(text, "time of each operation")[0].endswith("mind: f32_long 75 %, f32_short 25 %.")
    shown = "".join(stands_alone(text).text)
    assert "30.0 µs, 75 %" in shown and shown.count("operations of torch-jit (none <of> its own)") == 2
    many = with_topics(small())
    for benchmark in many["benchmarks"].values():
        benchmark["executors"]["mind"]["operations"] *= 150
    assert "292 shorter ones" in maker(many) and "100 rows more in the file" in maker(many)


def test_total_time_and_break_even(maker):
    text = maker(with_topics(small()))
    alt = alternatives(text, "total time against")[0]
    assert "mind (first start): 1.00 ms for 1, 5.00 s for 10^6" in alt
    for said in ("mind (first start) against torch-jit: ahead from run 61 [40, 1,234]",
                 "mind (later start) against torch-jit: ahead from the first run",
                 "mind (first start) against mind (later start): never ahead",
                 "mind (later start) against mind (first start): not proven",
                 "torch-jit against mind (first start): not measured: no &lt;starts&gt;"):
        assert text.count(f"<li>{said}</li>") == 2, said
    assert text.count(": ahead from run 61 [40, 1,234]</title>") == 2 * 2  # the ring and its bar
    for row in ROWS:
        assert text.count(f"<title>{row}</title>") == 2, row
    without = with_topics(small())
    for benchmark in without["benchmarks"].values():
        benchmark["break_even"]["pairs"] = []
    assert "a ring is" in text and "a ring is" not in maker(without)


def test_topics_that_were_not_measured_say_why(maker):
    result = small()
    result["ceilings"] = {"reason": "the <ceilings> were not asked for", "fma_gflops": None, "read": []}
    text = maker(result)
    shown = "".join(stands_alone(text).text)
    for said in ("roofline (the <ceilings> were not asked for)", "operations (run --profile-ops measures them)",
                 "total time against the number of runs (each start-up phase is timed once; a total needs"):
        assert shown.count(said) == 2, said
    for topic in ("roofline,", "time of each operation", "total time against"):
        assert not alternatives(text, topic)
    full = "".join(stands_alone(maker(with_topics(small()))).text)
    assert "roofline (" not in full and "number of runs (" not in full and "operations (" not in full


def test_hostile_topics(maker):
    """Names and reasons as text, and numbers that no plot has room for."""
    for values in ([], -1.0, 0.0, 1e-320, 1e99, 10**400):
        result = with_topics(small())
        del result["benchmarks"]["large_matmul_4096"]
        benchmark = result["benchmarks"]["mlp_batch32"]
        for row in benchmark["executors"].values():
            row.update(samples_us=[], block_starts=[], phases_us={})  # nothing else is to be drawn
        row = benchmark["executors"]["mind"]
        row["roofline"] = dict.fromkeys(row["roofline"], values)
        row["operations"] = [dict(o, us=values, kernel=HOSTILE[1], what=HOSTILE[2]) for o in row["operations"]]
        for point in benchmark["total_time"]["rows"][ROWS[0]]["total_us"]:
            point["value" if values != 0 else "runs"] = point["ci_low"] = values
        benchmark["break_even"]["pairs"][0].update(runs=values, runs_ci_high=values)
        stands_alone(maker(result))
    result = with_topics(small())
    benchmark = result["benchmarks"]["mlp_batch32"]
    rows, pairs = benchmark["total_time"]["rows"], benchmark["break_even"]["pairs"]
    operation = benchmark["executors"]["mind"]["operations"][0]
    for text in reversed(HOSTILE):
        rows[text] = rows[ROWS[0]]
        pairs.insert(0, dict(pairs[-1], a=text, b=text, reason=text))
        pairs.insert(0, dict(pairs[-5], a=text, b=text))
        operation = dict(operation, kernel=text, what=text, us=operation["us"] + 1)
        benchmark["executors"]["mind"]["operations"].append(operation)
        benchmark["executors"]["torch-jit"]["operations_reason"] = text
    text = maker(result)
    shown = "".join(stands_alone(text).text)
    assert f"operations of torch-jit ({HOSTILE[0]})" in shown
    for part in (HOSTILE[0], HOSTILE[1]):
        assert f"{part} against {part}: not measured: {part}" in shown
        assert shown.count(part) >= 2 + 2 + 2  # pairs, operations, rows of total time
    assert not re.search("[\u0000\u0007\u001b\u202e]", text)


def test_a_run_has_all_topics(report):
    done = report("run", "-q", "-d", "cpu", "--executors", "mind,mind-scalar", "--samples", "8", "--restarts",
                  "1", "--profile-ops", "--cold-starts", "3", "--json", "run.json", "mlp_batch32", roofline=True)
    assert done.returncode in (0, 3), done.stderr
    text = page(report, "run.json")
    for topic in ("roofline,", "time of each operation", "total time against"):
        assert len(alternatives(text, topic)) == 1, topic
    shown = "".join(stands_alone(text).text)
    assert "f32_gemm__" in shown or "f32_matmul__" in shown
    assert (report.folder / "page.html").stat().st_size < 400_000


def test_what_is_drawn_of_many_samples_is_said(maker):
    result = small()
    few = maker(result)
    assert "every sample as dots" in few and "extremes of" not in few
    row = result["benchmarks"]["mlp_batch32"]["executors"]["mind"]
    row.update(samples_us=[float(i % 97 + 1) for i in range(401)], block_starts=[0, 401])
    assert maker(result).count("every sample (of more than 400, the extremes of 200 groups) as dots") == 2


# ---- how a browser shows it ----

def browse(bench, *options, page="page.html"):
    """Chromium without a window; (standard output, what the page's console said)."""
    done = subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
         "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={bench.folder / 'profile'}",
         "--enable-logging=stderr", *options, (bench.folder / page).as_uri()],
        capture_output=True, text=True, timeout=120)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def screenshot(bench, name, *options):
    from PIL import Image
    _, console = browse(bench, f"--screenshot={bench.folder / name}", *options)
    assert console == []
    return Image.open(io.BytesIO((bench.folder / name).read_bytes())).convert("RGB")


@in_browser
def test_light_and_dark(report):
    page(report, RACE)
    light = screenshot(report, "light.png", "--window-size=1280,1600")
    dark = screenshot(report, "dark.png", "--window-size=1280,1600",
                      "--blink-settings=preferredColorScheme=0")
    for image, paper in ((light, (245, 246, 248)), (dark, (14, 17, 22))):
        colours = {colour: n for n, colour in image.getcolors(1 << 24)}
        assert image.getpixel((3, 3)) == paper
        assert len(colours) > 200 and colours[paper] < 0.9 * sum(colours.values())
        assert colours[(0, 158, 115)] > 100  # plots: the green of FAST


# Laid out in frames of a page of ours: the page itself has no script to tell its size.
FRAMES = """<!DOCTYPE html><title>waiting</title><body><script>
const page = %s, said = {};
for (const width of [320, 400, 1280]) {
    const frame = document.createElement("iframe");
    frame.style = `width: ${width}px; height: 900px; border: 0`;
    frame.srcdoc = page;
    frame.onload = () => {
        const body = frame.contentDocument;
        const root = body.documentElement, svg = [...body.querySelectorAll("figure svg")];
        said[width] = {scroll: root.scrollWidth, high: root.scrollHeight,
                       hidden: svg.filter(s => s.getBoundingClientRect().width == 0).length,
                       plots: svg.length, title: body.title};
        document.title = "SAID " + JSON.stringify(said);
    };
    document.body.append(frame);
}
</script>"""


def layout(bench, text):
    """What the page measures at each width, its policy taken away so that nothing but the escaping
    keeps a text from running."""
    text = re.sub(r"<meta http-equiv=[^>]*>", "", text)
    quoted = json.dumps(text).replace("</", "<\\/").replace("<!--", "<\\!--")
    (bench.folder / "frames.html").write_text(FRAMES % quoted, encoding="utf-8")
    dom, _ = browse(bench, "--dump-dom", "--virtual-time-budget=10000", page="frames.html")
    said = html.unescape(re.search("<title>SAID (.*?)</title>", dom, re.DOTALL)[1])
    return {int(width): values for width, values in json.loads(said).items()}


@in_browser
def test_no_width_scrolls_sideways(report):
    for width, said in layout(report, page(report, RACE, DATA / "race_one_thread.json")).items():
        assert said["scroll"] <= width and said["high"] > 3000
        assert 1 <= said["hidden"] < said["plots"] / 4  # one of each drawing made for two widths


@in_browser
def test_hostile_text_does_not_run(report, maker):
    result = small()
    poison(result)
    text = maker(result)
    for width, said in layout(report, text).items():
        assert said["title"] == "mindbench: edited" and said["scroll"] <= width


@in_browser
def test_nothing_is_asked_for_and_nothing_complains(report):
    text = page(report, edited(report, lambda result: None))
    dom, console = browse(report, "--dump-dom")
    assert console == [] and dom.count("<figure") == text.count("<figure") == 1 + 2 * 3
    # the console does tell what the page's policy keeps out
    for intruder in ("<img src='https://example.invalid/x.png'>", "<script>document.title='ran'</script>",
                     "<link rel='stylesheet' href='https://example.invalid/x.css'>"):
        (report.folder / "page.html").write_text(text.replace("<main>", f"<main>{intruder}"))
        dom, console = browse(report, "--dump-dom")
        assert "Content Security Policy" in console[0] and "<title>ran" not in dom


@in_browser
def test_prints(report):
    page(report, RACE)
    browse(report, "--no-pdf-header-footer", f"--print-to-pdf={report.folder / 'page.pdf'}")
    pdf = (report.folder / "page.pdf").read_bytes()
    assert pdf.startswith(b"%PDF-") and 3 <= len(re.findall(rb"/Type ?/Page\b", pdf)) <= 12
