"""Checks results/schema.json: it accepts what the writers write and refuses what they must not.

usage: test_report_schema.py SCHEMA RESULT   (RESULT is left behind by test_report)
"""
import copy
import json
import sys

try:
    import jsonschema
except ImportError:
    print("skipped: no jsonschema; scripts/setup installs it")
    sys.exit(77)

# Keys that files of early versions lack.
LATER = {("digest",), ("mindbench", "build_id"), ("mindbench", "binary_sha256"), ("ceilings",),
         ("benchmarks", "large_matmul_4096", "cold_starts")}
LATER_OF_A_ROW = {"roofline", "operations", "operations_reason"}


def refuse_constant(name):
    raise ValueError(f"{name} is not JSON")


def main(schema_path, result_path):
    with open(schema_path, encoding="utf-8") as file:
        schema = json.load(file)
    with open(result_path, encoding="utf-8") as file:
        result = json.load(file, parse_constant=refuse_constant)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for error in validator.iter_errors(result):
        sys.exit(f"{error.json_path}: {error.message}")

    # An executor that was interrupted before its first sample.
    empty = copy.deepcopy(result)
    mind = empty["benchmarks"]["large_matmul_4096"]["executors"]["mind"]
    mind.update((key, None) for key in mind if key.startswith(("latency_", "throughput_")))
    mind.update(status="failed", samples_us=[], block_starts=[], block_processes=[], block_states=[], result_validity="INVALID",
                result_invalid_reason="interrupted")
    validator.validate(empty)

    matmul = ("benchmarks", "large_matmul_4096")
    mind = matmul + ("executors", "mind")
    absent = matmul + ("executors", "torch-aoti")
    starts = matmul + ("cold_starts", "rows", "mind (first start)", "starts", 0)
    pair = matmul + ("break_even", "pairs", 0)
    bad = ("benchmarks", "a_model_file_with_a_very_long_name_indeed")
    wrong = [
        (("extra",), 1),
        (("date",), "yesterday"),
        (("mindbench", "git_sha"), "abc"),
        (("system_info", "host_name"), "x"),
        (matmul + ("latency_speedup",), "1.07"),
        (matmul + ("mind", "batch_size"), 0),
        (mind + ("samples_us",), []),
        (mind + ("result_validity",), None),
        (mind + ("result_validity",), "INVALID"),
        (mind + ("result_invalid_reason",), "late"),
        (mind + ("latency_p50_us",), None),
        (mind + ("latency_p50_us",), -1),
        (mind + ("phases_us", "extra"), 1),
        (mind + ("device_time", "batch", "p50_us"), None),
        (mind + ("device_time", "cold", "samples_us"), []),
        (mind + ("gpu_states", 0, "sm_mhz"), "fast"),
        (matmul + ("cache",), "tepid"),
        (mind + ("block_states", 0, "steal_us"), -1),
        (mind + ("processes", 0, "steady_from"), 0.5),
        (mind + ("aa", "ratio"), None),
        (("statistics", "resamples"), 100),
        (starts + ("steps_us", "nap"), 1),
        (starts + ("outputs_us",), [1]),
        (starts[:-2] + ("state",), "tepid"),
        (pair + ("kind",), "soon"),
        (pair + ("ratios", 0, "runs"), 0),
        (matmul + ("total_time", "status"), "not_measured"),
        (absent + ("aa", "reason"), None),
        (absent + ("device_time", "batch", "reason"), None),
        (mind + ("roofline", "bound"), "luck"),
        (mind + ("operations", 0, "us"), None),
        (("ceilings", "read", 0, "bytes"), 0),
        (absent + ("reason",), None),
        (absent + ("latency_p50_us",), 1.0),
        (absent + ("result_validity",), "VALID"),
        (bad + ("comparisons", 0, "withheld_reason"), None),
        (bad + ("comparisons", 0, "verdict"), "FAST"),
    ]
    for path, value in wrong:
        changed = copy.deepcopy(result)
        place = changed
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        if validator.is_valid(changed):
            sys.exit(f"the schema accepts {'.'.join(map(str, path))} = {value!r}")

    # One benchmark with one executor of each kind: every key of the schema, and quick to check.
    result["benchmarks"] = {matmul[1]: result["benchmarks"][matmul[1]]}
    executors = result["benchmarks"][matmul[1]]["executors"]
    for name in set(executors) - {"mind", "torch-aoti"}:
        del executors[name]

    def without_each_key(value, path):
        if isinstance(value, dict):
            for key in list(value):
                removed = value.pop(key)
                named = (path in ((), ("benchmarks",)) or path[-1] in ("executors", "rows") or
                         path + (key,) in LATER or key in LATER_OF_A_ROW)
                if validator.is_valid(result) and not (named and (path or (key,) in LATER)):
                    sys.exit(f"the schema accepts a result without {'.'.join(path + (key,))}")
                value[key] = removed
                without_each_key(removed, path + (key,))

    without_each_key(result, ())


if __name__ == "__main__":
    main(*sys.argv[1:])
