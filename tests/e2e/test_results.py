"""verify, compare, merge, baselines: what becomes of result files."""

import copy
import json

import jsonschema
import pytest

from conftest import SCHEMA, SOURCE, one_error

MERGED = json.loads((SOURCE / "results" / "merged.schema.json").read_text())


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Two runs of a tiny program, made once."""
    from conftest import Bench
    bench = Bench(tmp_path_factory.mktemp("measured"))
    for name in ("a.json", "b.json"):
        done = bench("run", "--quiet", "--samples", 40, "--executors", "mind,mind-scalar", "--json", name,
                     "tiny.mind")
        assert done.returncode == 0, done.stderr
    return bench


def changed(bench, name, change, of="a.json"):
    """A copy of a result after `change`, as careless hands leave it: the digest is the old one."""
    result = json.loads((bench.folder / of).read_text())
    change(result)
    (bench.folder / name).write_text(json.dumps(result))
    return name


def row(result, executor="mind"):
    return result["benchmarks"]["tiny"]["executors"][executor]


# ---- verify ----

def test_what_run_writes_verifies(measured):
    measured.result("a.json")
    done = measured("verify", "a.json", "b.json")
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert len(lines) == 2 and all(line.startswith("Pass: ") for line in lines), done.stdout


@pytest.mark.parametrize("place, change", [
    ("executors.mind.latency_p50_us", lambda r: row(r).update(latency_p50_us=1.0)),
    ("executors.mind.latency_p95_us",
     lambda r: row(r)["samples_us"].__setitem__(3, 1e6)),
    ("comparisons[0].ci_low",
     lambda r: r["benchmarks"]["tiny"]["comparisons"][0].update(ci_low=0.5)),
    ("binary_sha256", lambda r: r["mindbench"].update(binary_sha256="0" * 64)),
    ("origin.source_sha256",
     lambda r: r["benchmarks"]["tiny"]["origin"].update(source_sha256="0" * 64)),
    ("origin.weights_sha256",
     lambda r: r["benchmarks"]["tiny"]["origin"].update(weights_sha256="0" * 64)),
    ("origin.inputs_sha256", lambda r: r.update(seed=43)),
    ("flops", lambda r: r["benchmarks"]["tiny"].update(flops=1.0)),
    ("batch_size", lambda r: r["benchmarks"]["tiny"].update(batch_size=4)),
    ("digest", lambda r: r["system_info"].update(memory_bytes=1)),
])
def test_verify_names_what_was_changed(measured, place, change):
    done = measured("verify", changed(measured, "edited.json", change))
    assert done.returncode == 3, done.stdout
    assert f"{place}: " in done.stdout and "digest: " in done.stdout
    assert all(line.startswith(("Fail: ", "Warn: ")) for line in done.stdout.splitlines())


def test_verify_sees_that_the_program_changed(bare):
    assert bare("run", "-q", "--samples", 2, "--executors", "mind", "--json", "a.json",
                "tiny.mind").returncode == 0
    source = bare.folder / "tiny.mind"
    source.write_text(source.read_text().replace("relu", "tanh"))
    done = bare("verify", "a.json")
    assert done.returncode == 3 and "source_sha256: is not the hash of the file" in done.stdout
    source.unlink()
    done = bare("verify", "a.json")
    assert done.returncode == 0 and "the program is not here" in done.stdout
    assert bare("verify", "--quick", "-q", "a.json").stdout == ""


@pytest.mark.parametrize("kept", sorted((SOURCE / "results").glob("*/inference_results.json")),
                         ids=lambda path: path.parent.name)
def test_kept_results_verify(bare, kept):
    if "digest" not in json.loads(kept.read_text()):
        pytest.skip("written before there were digests")
    done = bare("verify", "--quick", "-q", kept)
    assert done.returncode == 0, done.stdout


# ---- compare ----

def test_a_result_against_itself_proves_nothing(measured):
    done = measured("compare", "a.json", "a.json")
    assert done.returncode == 0, done.stderr
    assert "mind-scalar" in done.stdout and "0 of 2 regressed" in done.stdout
    assert measured("compare", "-q", "a.json", "b.json").stdout == ""


def slower(result):
    for name in ("mind", "mind-scalar"):
        row(result, name)["samples_us"] = [1000 * x for x in row(result, name)["samples_us"]]


def test_a_regression_is_proven_and_exits_1(measured):
    name = changed(measured, "slow.json", slower)
    done = measured("compare", "a.json", name)
    assert done.returncode == 1 and "SLOW" in done.stdout
    assert "was changed after it was written" in done.stdout
    assert measured("compare", name, "a.json").returncode == 0
    done = measured("compare", "--json", "stdout", "a.json", name)
    rows = json.loads(done.stdout)["rows"]
    assert done.returncode == 1 and [r["verdict"] for r in rows] == ["SLOW", "SLOW"]
    for r in rows:
        assert r["ci_low"] <= r["speedup"] <= r["ci_high"] and abs(r["speedup"] * 1000 - 1) < 0.01
    done = measured("compare", "--md", "stdout", "--gate", "mind-scalar", "a.json", name)
    assert done.returncode == 1 and "| tiny | mind | " in done.stdout
    assert "SLOW  (does not count)" in done.stdout


@pytest.mark.parametrize("reason, change", [
    ("threads differ", lambda r: r.update(threads=r["threads"] + 1)),
    ("precision differs", lambda r: row(r).update(precision="tf32")),
    ("program differs", lambda r: r["benchmarks"]["tiny"]["origin"].update(source_sha256="1" * 64)),
    ("parameters differ", lambda r: r["benchmarks"]["tiny"].update(params="x")),
    ("state of caches differs", lambda r: r["benchmarks"]["tiny"].update(cache="cold")),
    ("device differs", lambda r: row(r).update(device="cuda")),
])
def test_unlike_work_gives_no_ratio(measured, reason, change):
    name = changed(measured, "other.json", change)
    done = measured("compare", "a.json", name)
    assert done.returncode == 0 and f"???? {reason}" in done.stdout, done.stdout
    assert measured("compare", "--fail-on-inconclusive", "-q", "a.json", name).returncode == 2


def test_an_invalid_row_exits_3(measured):
    def spoil(r):
        row(r).update(result_validity="INVALID", result_invalid_reason="wrong output")
    name = changed(measured, "invalid.json", spoil)
    assert measured("compare", "a.json", name).returncode == 3


def test_other_machines_are_named(measured):
    name = changed(measured, "machine.json", lambda r: r["system_info"].update(cpu="Another One"))
    assert "Warn: the machines differ: cpu " in measured("compare", "a.json", name).stdout


def test_compare_has_something_to_compare(measured):
    def rename(r):
        r["benchmarks"]["else"] = r["benchmarks"].pop("tiny")
    name = changed(measured, "renamed.json", rename)
    assert "nothing to compare" in one_error(measured("compare", "a.json", name), 4)
    assert "nothing to compare" in one_error(
        measured("compare", "--gate", "openvino", "a.json", "b.json"), 4)


# ---- baselines ----

def test_run_against_a_baseline(bare):
    home = {"XDG_DATA_HOME": str(bare.folder / "data")}
    run = ("run", "-q", "--samples", 20, "--executors", "mind", "tiny.mind")
    assert bare(*run, "--save-baseline", "main", env=home).returncode == 0
    kept = bare.folder / "data" / "mindbench" / "baselines" / "main.json"
    assert bare("verify", "-q", kept).returncode == 0
    fast = json.loads(kept.read_text())
    row(fast)["samples_us"] = [x / 1e4 for x in row(fast)["samples_us"]]
    kept.write_text(json.dumps(fast))
    done = bare(*run[:1], *run[2:], "--baseline", "main", "--save-baseline", "main", env=home)
    assert done.returncode == 1, done.stderr
    assert "SLOW" in done.stdout and "not saved" in done.stderr
    assert json.loads(kept.read_text()) == fast
    assert bare("compare", "-q", "main", bare.folder / "results" / "inference_results.json",
                env=home).returncode == 1
    row(fast)["samples_us"] = [x * 1e8 for x in row(fast)["samples_us"]]
    (bare.folder / "slow.json").write_text(json.dumps(fast))
    assert bare(*run, "--baseline", "slow.json").returncode == 0


@pytest.mark.parametrize("options, said", [
    (("--baseline", "missing"), "missing.json: No such file"),
    (("--baseline", "./missing.json"), "./missing.json: No such file"),
    (("--baseline", "a b"), "no name of letters"),
    (("--save-baseline", "nowhere/x.json"), "cannot write nowhere/x.json"),
    (("--profile", "--baseline", "x"), "--profile"),
])
def test_baselines_fail_before_the_race(bare, options, said):
    done = bare("run", *options, "tiny.mind", env={"XDG_DATA_HOME": str(bare.folder / "data")})
    assert said in one_error(done, 4)


# ---- merge ----

def test_merged_results_are_as_they_were(measured):
    done = measured("merge", "a.json", "b.json", "a.json", "-o", "all.json")
    assert done.returncode == 0 and "Merged: 2 results" in done.stdout
    assert done.stderr.startswith("Warn: a.json: is there already")
    merged = json.loads((measured.folder / "all.json").read_text())
    for part, name in zip(merged["merged"], ("a", "b"), strict=True):
        assert part["name"] == name
        assert part["result"] == json.loads((measured.folder / f"{name}.json").read_text())
    schema = copy.deepcopy(MERGED)
    del schema["properties"]["merged"]["items"]["properties"]["result"]["$ref"]
    jsonschema.Draft202012Validator(schema).validate(merged)
    for part in merged["merged"]:
        jsonschema.Draft202012Validator(SCHEMA).validate(part["result"])
    assert measured("verify", "all.json").stdout.count("Pass: all.json#") == 2
    assert measured("verify", "all.json#2").stdout.count("Pass: all.json#") == 1
    assert measured("compare", "-q", "all.json#1", "all.json#1").returncode == 0
    assert measured("run", "-q", "--samples", 4, "--executors", "mind", "--json", "now.json", "--baseline",
                    "all.json#1", "tiny.mind").returncode in (0, 1)
    again = measured("merge", "-q", "all.json", "b.json", "-o", "again.json")
    assert again.returncode == 0 and again.stderr == ""
    assert (measured.folder / "again.json").read_text() == (measured.folder / "all.json").read_text()
    assert "name one of them: all.json#1" in one_error(measured("compare", "all.json", "a.json"), 4)
    assert "has no part 3" in one_error(measured("compare", "all.json#3", "a.json"), 4)
    merged["merged"][0]["name"] = "c"
    (measured.folder / "all.json").write_text(json.dumps(merged))
    done = measured("verify", "-q", "all.json")
    assert done.returncode == 3 and "Fail: all.json: digest: " in done.stdout


def test_merge_refuses_what_was_changed(measured):
    name = changed(measured, "edited.json", lambda r: r.update(threads=7))
    assert "changed after it was written" in one_error(measured("merge", name, "-o", "no.json"), 3)
    assert not (measured.folder / "no.json").exists()


# ---- what is no result ----

BAD = {
    "empty": (b"", "line 1: "),
    "no JSON": (b"\x89PNG\r\n\x1a\n", "line 1: "),
    "NaN": (b'{"schema_version": NaN}', "invalid token"),
    "infinite": (b'{"schema_version": 1e999}', "real number overflow"),
    "huge integer": (b'{"schema_version": 123456789012345678901234567890}', "too big integer"),
    "deep": (b"[" * 100000, "maximum parsing depth"),
    "nested": (b"[" * 100 + b"]" * 100, "nested deeper than 32"),
    "twice": (b'{"a": 1, "a": 2}', "duplicate object key"),
    "foreign": (b'{"meta": {}, "benchmarks": []}', "no schema_version"),
    "array": (b"[1, 2, 3]", "no schema_version"),
    "other version": (b'{"schema_version": "2.0.0"}', "schema version 2.0.0: this build reads 1.0.0"),
    "escape": (b'{"schema_version": "\\u001b[31m\\n"}', "schema version ?[31m?"),
    "bare": (b'{"schema_version": "1.0.0"}', "mindbench: is missing"),
    "empty merge": (b'{"schema_version": "1.0.0", "merged": [], "digest": ""}', "not of the form of merged"),
    "merged": (b'{"schema_version": "1.0.0", "merged": 3, "digest": ""}', "not of the form of merged"),
}
COMMANDS = {"verify": ("verify", "bad.json"), "compare": ("compare", "a.json", "bad.json"),
            "merge": ("merge", "bad.json", "-o", "out.json"),
            "report": ("report", "bad.json", "-o", "out.json"),
            "baseline": ("run", "--baseline", "./bad.json", "tiny.mind")}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", BAD)
def test_no_result(measured, command, kind):
    content, said = BAD[kind]
    (measured.folder / "bad.json").write_bytes(content)
    error = one_error(measured(*COMMANDS[command]), 4)
    assert said in error and "bad.json: " in error, error
    assert not (measured.folder / "out.json").exists()


def test_cut_anywhere_it_is_no_result(measured):
    whole = (measured.folder / "a.json").read_bytes()
    for end in range(0, len(whole) - 2, len(whole) // 23):
        (measured.folder / "bad.json").write_bytes(whole[:end])
        one_error(measured("verify", "--quick", "bad.json"), 4)


def test_too_large_a_file_is_not_read(measured):
    with open(measured.folder / "bad.json", "wb") as file:
        file.truncate((64 << 20) + 1)
    for command in COMMANDS.values():
        assert "larger than 64 MiB" in one_error(measured(*command), 4)


@pytest.mark.parametrize("arguments, said", [
    (("verify",), "no file"), (("verify", "missing.json"), "No such file"),
    (("verify", "."), "is a directory"), (("compare", "a.json"), "1 files, not two"),
    (("compare", "--min-effect", "nan", "a.json", "b.json"), "not a percentage"),
    (("compare", "--gate", ",", "a.json", "b.json"), "names of 1 to"),
    (("compare", "--nope", "a.json", "b.json"), "no option --nope"),
    (("merge", "-o", "x.json"), "no file"), (("merge", "a.json"), "no -o"),
    (("merge", "a.json", "-o", "no/such/x.json"), "cannot write no/such/x.json"),
])
def test_usage(measured, arguments, said):
    assert said in one_error(measured(*arguments), 4)


@pytest.mark.parametrize("command", ["verify", "compare", "merge"])
def test_help(bare, command):
    done = bare(command, "--help")
    assert done.returncode == 0 and done.stdout.startswith(f"Usage: mindbench {command} ")
    assert "Exit status: " in done.stdout
