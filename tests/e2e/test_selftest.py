"""selftest: executors that misbehave on purpose, through the same harness as every run."""
import json
import re

import jsonschema
import pytest

from conftest import SOURCE, Bench, one_error

SCHEMA = json.loads((SOURCE / "results" / "selftest.schema.json").read_text())
CAUGHT_BY = {
    "wrong": "wrong output before timing",
    "noop": "wrong output during timing",
    "pointer": "wrong output during timing",
    "content": "untimed runs take less",
    "thread": "not there when timed run",
    "busy": "threads go on",
    "skip": "output of other inputs",
    "slower3": "mind told",
    "bf16": "wrong output before timing",
    "clock": "time passed|computed for longer|timers disagree",
    "samples": "time passed|computed for longer",
    "books": "at the ends of its blocks",
    "poison": "untimed runs take less",
    "upload": "where data is copied",
    "download": "where data is copied",
}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """The whole selftest, once."""
    done = Bench(tmp_path_factory.mktemp("selftest"))("selftest", "--quiet", "--json", "stdout", timeout=600)
    assert done.stdout, done.stderr
    return done, json.loads(done.stdout)


def test_each_cheat_is_caught(table):
    done, result = table
    jsonschema.validate(result, SCHEMA)
    rows = {row["cheat"]: row for row in result["rows"]}
    assert set(rows) == {*CAUGHT_BY, "stream"}
    assert rows.pop("stream")["outcome"] == "not run"
    missed = {name: row["reason"] for name, row in rows.items() if row["outcome"] != "CAUGHT"}
    if "slower3" in missed:  # a busy machine may not tell 3 %, but must not tell anything else
        low, high = map(float, re.search(r"mind told AMBG: .* \[(.*), (.*)\]", missed.pop("slower3")).groups())
        assert low <= 1.03 <= high
    assert missed == {}
    assert done.returncode == (3 if result["missed"] else 0), done.stderr


@pytest.mark.parametrize("cheat", CAUGHT_BY)
def test_by_the_check_that_is_for_it(table, cheat):
    (row,) = [row for row in table[1]["rows"] if row["cheat"] == cheat]
    assert any(reason in row["reason"] for reason in CAUGHT_BY[cheat].split("|"))


def test_one_cheat_alone(bare):
    done = bare("selftest", "--only", "skip")
    assert done.returncode == 0, done.stderr
    assert "skip      CAUGHT" in done.stdout and "1 caught, 0 missed" in done.stdout


def test_bad_options(bare):
    one_error(bare("selftest", "--only", "nothing"), 4)
    one_error(bare("selftest", "--seed", "-1"), 4)
    one_error(bare("selftest", "mlp_batch32"), 4)
    one_error(bare("selftest", "--json", "no/such/folder/x.json"), 4)


def test_race_against_a_slower_self(bare):
    done = bare("selftest", "--race", "slower3", "mlp_batch32", "--threads", 1, "--samples", 40, "--json", "stdout",
                "--quiet")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)["benchmarks"]["mlp_batch32"]
    assert set(result["executors"]) == {"mind", "selftest-slower3"}
    assert all(e["result_validity"] == "VALID" for e in result["executors"].values())


def test_bad_executors_are_nobody_elses(bare):
    assert "selftest" not in bare("list", "executors").stdout
    one_error(bare("run", "mlp_batch32", "--executors", "mind,selftest-slower3"), 4)
    one_error(bare("selftest", "--race", "nothing"), 4)
