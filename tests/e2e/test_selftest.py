"""selftest: executors that misbehave on purpose, through the same harness as every run."""
import json

from conftest import one_error


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
