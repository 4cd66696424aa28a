/* inference_results.json: the object that results/schema.json describes, key for key. */
#include "report.h"
#include "report_value.h"
#include "report_view.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* An object being filled; the first failure (memory is out) sticks in *failed. */
struct object {
    json_t *json;
    bool *failed;
};

static struct object object_new(bool *failed) {
    struct object o = {json_object(), failed};
    if (!o.json) *failed = true;
    return o;
}

/* Takes the value; a NULL value is an allocation that failed. */
static void put(struct object o, const char *key, json_t *value) {
    if (json_object_set_new(o.json, key, value)) *o.failed = true;
}

static void append(json_t *array, json_t *value, bool *failed) {
    if (json_array_append_new(array, value)) *failed = true;
}

static json_t *us(double ns) { return mb_json_number(ns / 1e3); }
static json_t *count(int64_t value) { return value < 0 ? json_null() : json_integer(value); }
static json_t *yes_no(int value) { return value < 0 ? json_null() : json_boolean(value); }

/* A file name may be any bytes: what is not UTF-8 becomes question marks. */
static json_t *string(const char *text) {
    json_t *value = json_string(text);
    if (!value) {
        char *copy = strdup(text);
        for (char *c = copy; c && *c; c++)
            if ((unsigned char)*c >= 0x80) *c = '?';
        value = copy ? json_string(copy) : NULL;
        free(copy);
    }
    return value;
}

static json_t *text_or_null(const char *text) { return text && *text ? string(text) : json_null(); }

static void put_named(struct object o, const char *name, json_t *value) {
    json_t *key = string(name);
    put(o, json_string_value(key), value); /* without a key, the value is released all the same */
    json_decref(key);
}

/* ---- parts ---- */

static const struct mb_executor_result *any_measured(const struct mb_result *result,
                                                     const char *prefix, const char *device) {
    for (size_t b = 0; b < result->n_benchmarks; b++)
        for (size_t i = 0; i < result->benchmarks[b].n_executors; i++) {
            const struct mb_executor_result *e = &result->benchmarks[b].executors[i];
            if (e->measured && !strncmp(e->name, prefix, strlen(prefix)) &&
                (!device || !strcmp(e->device, device)))
                return e;
        }
    return NULL;
}

static json_t *system_info(const struct mb_result *result, const struct mb_machine *m,
                           bool *failed) {
    struct object o = object_new(failed);
    const struct mb_executor_result *torch = any_measured(result, "torch-", NULL);
    const char *version = torch ? strstr(torch->info.library, "libtorch ") : NULL;
    /* Known to be there when something ran on it, known to be absent without a driver. */
    int cuda = any_measured(result, "", "cuda") ? 1 : *m->nvidia_driver ? -1 : 0;

    put(o, "platform", text_or_null(m->platform));
    put(o, "pytorch_version", text_or_null(version ? version + strlen("libtorch ") : NULL));
    put(o, "cpu", text_or_null(m->cpu));
    put(o, "cuda_available", yes_no(cuda));
    put(o, "cuda_version", json_null());
    put(o, "gpu", text_or_null(m->gpu));
    put(o, "nvidia_driver", text_or_null(m->nvidia_driver));
    put(o, "os", text_or_null(m->os));
    put(o, "kernel", text_or_null(m->kernel));
    put(o, "arch", text_or_null(m->arch));
    put(o, "isa", text_or_null(m->isa));
    put(o, "packages", count(m->n_packages));
    put(o, "numa_nodes", count(m->n_numa_nodes));
    put(o, "cores_usable", count(m->n_cores));
    put(o, "threads_usable", count(m->n_threads));
    put(o, "threads_online", count(m->n_online_threads));
    put(o, "l1d_bytes", count(m->l1d_bytes));
    put(o, "l2_bytes", count(m->l2_bytes));
    put(o, "l3_bytes", count(m->l3_bytes));
    put(o, "memory_bytes", count(m->memory_bytes));
    put(o, "memory_free_bytes", count(m->memory_free_bytes));
    put(o, "cpu_quota_cores", mb_json_number(m->cpu_quota));
    put(o, "load_1min", mb_json_number(m->load_1min));
    put(o, "load_5min", mb_json_number(m->load_5min));
    put(o, "governor", text_or_null(m->governor));
    put(o, "turbo", yes_no(m->turbo));
    put(o, "virtualized", yes_no(m->virtualized));
    return o.json;
}

static json_t *program_info(bool *failed) {
    const struct mb_build *build = mb_build();
    struct object o = object_new(failed);
    put(o, "version", string(build->version));
    put(o, "git_sha", string(build->git_sha));
    put(o, "git_is_dirty", json_boolean(build->git_is_dirty));
    put(o, "compiler", string(build->compiler));
    put(o, "flags", string(build->flags));
    put(o, "build_type", string(build->type));
    return o.json;
}

/* The seed's "pytorch" and "mind". */
static json_t *side(const struct mb_benchmark_result *b, const char *name, bool *failed) {
    const struct mb_executor_result *e = mb_view_executor(b, name);
    bool measured = e && e->measured;
    const struct mb_summary *s = e ? &e->latency_ns : NULL;
    struct object o = object_new(failed);
    put(o, "executor", string(name));
    put(o, "status", string(e ? mb_view_status(e) : "not_measured"));
    put(o, "latency_mean_us", measured ? us(s->mean) : json_null());
    put(o, "latency_stdev_us", measured ? us(s->stdev) : json_null());
    put(o, "latency_min_us", measured ? us(s->min) : json_null());
    put(o, "latency_max_us", measured ? us(s->max) : json_null());
    put(o, "throughput_samples_per_sec",
        measured ? mb_json_number(mb_view_throughput(b, e)) : json_null());
    put(o, "batch_size", json_integer(b->batch));
    return o.json;
}

static json_t *samples(const struct mb_executor_result *e, bool *failed) {
    json_t *array = json_array();
    for (size_t i = 0; i < e->n_samples; i++) append(array, us(e->samples_ns[i]), failed);
    return array;
}

static json_t *block_starts(const struct mb_executor_result *e, bool *failed) {
    json_t *array = json_array();
    for (size_t i = 0; e->first_of_block && i <= e->n_blocks; i++)
        append(array, json_integer((json_int_t)e->first_of_block[i]), failed);
    return array;
}

static json_t *device_time(const struct mb_device_time *d, bool *failed) {
    struct object o = object_new(failed);
    json_t *array = json_array();
    put(o, "reason", text_or_null(d->reason));
    put(o, "runs_per_sample", d->n_samples ? json_integer(d->n_runs) : json_null());
    put(o, "p50_us", d->n_samples ? us(d->summary_ns.p50) : json_null());
    put(o, "ci_low_us", d->n_samples ? us(d->summary_ns.ci_low) : json_null());
    put(o, "ci_high_us", d->n_samples ? us(d->summary_ns.ci_high) : json_null());
    for (size_t i = 0; i < d->n_samples; i++) append(array, us(d->samples_ns[i]), failed);
    put(o, "samples_us", array);
    return o.json;
}

static json_t *device_times(const struct mb_executor_result *e, bool *failed) {
    struct object o = object_new(failed);
#define SERIES(name, meaning) put(o, #name, device_time(&e->device_time[MB_DEVICE_##name], failed));
    MB_DEVICE_SERIES(SERIES)
#undef SERIES
    return o.json;
}

static json_t *gpu_states(const struct mb_executor_result *e, bool *failed) {
    json_t *array = json_array();
    for (size_t i = 0; i < e->n_gpu_states; i++) {
        const struct mb_nvml_state *s = &e->gpu_states[i];
        struct object o = object_new(failed);
        put(o, "sm_mhz", mb_json_number(s->sm_mhz));
        put(o, "memory_mhz", mb_json_number(s->memory_mhz));
        put(o, "power_w", mb_json_number(s->power_w));
        put(o, "temperature_c", mb_json_number(s->temperature_c));
        put(o, "clocks_event_reasons", count(s->reasons));
        append(array, o.json, failed);
    }
    return array;
}

static json_t *executor(const struct mb_benchmark_result *b, const struct mb_executor_result *e,
                        bool *failed) {
    static const struct mb_executor_result nothing;
    const bool measured = e->measured;
    const struct mb_executor_result *r = measured ? e : &nothing;
    const struct mb_summary *s = &r->latency_ns;
    const struct {
        const char *key;
        double value;
    } numbers[] = {
        {"latency_mean_us", s->mean / 1e3},
        {"latency_stdev_us", s->stdev / 1e3},
        {"latency_min_us", s->min / 1e3},
        {"latency_max_us", s->max / 1e3},
        {"latency_p50_us", s->p50 / 1e3},
        {"latency_p95_us", s->p95 / 1e3},
        {"latency_p99_us", s->p99 / 1e3},
        {"latency_p50_ci_low_us", s->ci_low / 1e3},
        {"latency_p50_ci_high_us", s->ci_high / 1e3},
        {"throughput_samples_per_sec", mb_view_throughput(b, r)},
        {"max_abs_error", r->max_abs_error},
        {"max_rel_error", r->max_rel_error},
        {"rel_l2_error", r->rel_l2_error},
    };
    struct object o = object_new(failed), phases = object_new(failed);

    put(o, "device", string(e->device));
    put(o, "status", string(mb_view_status(e)));
    put(o, "reason", measured ? json_null() : string(e->reason ? e->reason : "no reason given"));
    put(o, "result_validity", measured ? string(e->valid ? "VALID" : "INVALID") : json_null());
    put(o, "result_invalid_reason",
        !measured || e->valid ? json_null()
                              : string(e->invalid_reason ? e->invalid_reason : "unknown"));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        put(o, numbers[i].key, measured ? mb_json_number(numbers[i].value) : json_null());
    put(o, "device_time_p50_us",
        measured ? us(mb_view_device_time(b, r)->summary_ns.p50) : json_null());
    put(o, "device_time", device_times(e, failed));
    put(o, "throttled", text_or_null(r->throttled));
    put(o, "energy_per_run_mj", measured ? mb_json_number(r->energy_per_run_mj) : json_null());
    put(o, "energy_reason", text_or_null(e->energy_reason));
    put(o, "gpu_states", gpu_states(r, failed));
    put(o, "roofline_share", json_null());
    put(o, "precision", measured ? string(mb_precision_name(r->info.precision)) : json_null());
    put(o, "math_mode", text_or_null(r->info.math_mode));
    put(o, "library", text_or_null(r->info.library));
    put(o, "plan", text_or_null(r->plan_text));

#define PHASE(name, meaning) put(phases, #name, measured ? us(r->phases.name) : json_null());
    MB_PHASES(PHASE)
#undef PHASE
    /* Parts of "pack" that no executor times apart. */
    put(phases, "upload", json_null());
    put(phases, "capture", json_null());
    put(o, "phases_us", phases.json);
    put(o, "block_starts", block_starts(r, failed));
    put(o, "samples_us", samples(r, failed));
    return o.json;
}

static json_t *comparison(const struct mb_comparison *c, bool *failed) {
    const bool ratio = mb_view_has_ratio(c);
    struct object o = object_new(failed);
    put(o, "a", string(c->a));
    put(o, "b", string(c->b));
    put(o, "speedup", ratio ? mb_json_number(c->speedup.value) : json_null());
    put(o, "ci_low", ratio ? mb_json_number(c->speedup.low) : json_null());
    put(o, "ci_high", ratio ? mb_json_number(c->speedup.high) : json_null());
    put(o, "throughput_ratio", ratio ? mb_json_number(c->throughput_ratio.value) : json_null());
    put(o, "throughput_ci_low", ratio ? mb_json_number(c->throughput_ratio.low) : json_null());
    put(o, "throughput_ci_high", ratio ? mb_json_number(c->throughput_ratio.high) : json_null());
    put(o, "verdict", ratio ? string(mb_verdict_name(c->verdict)) : json_null());
    put(o, "withheld_reason", ratio ? json_null() : string(c->reason ? c->reason : "no ratio"));
    return o.json;
}

static json_t *not_measured(const char *reason, bool *failed) {
    struct object o = object_new(failed);
    put(o, "status", string("not_measured"));
    put(o, "reason", string(reason));
    return o.json;
}

static json_t *benchmark(const struct mb_benchmark_result *b, bool *failed) {
    static const char *const one_start =
        "each start-up phase is timed once; a total needs repeated cold starts";
    const struct mb_comparison *eager = mb_view_headline(b, b->against_eager);
    const struct mb_comparison *fastest = mb_view_headline(b, b->against_fastest);
    struct object o = object_new(failed), executors = object_new(failed);
    json_t *comparisons = json_array();

    put(o, "file", text_or_null(b->file));
    put(o, "batch_size", json_integer(b->batch));
    put(o, "cache", string(b->cold ? "cold" : "warm"));
    put(o, "data_transfers", json_boolean(b->transfers));
    put(o, "gpu_reason", text_or_null(b->gpu_reason));
    put(o, "gpu_other_processes", count(b->n_other_processes));
    put(o, "flops", mb_json_number(b->flops));
    put(o, "bytes", mb_json_number(b->bytes));
    put(o, "params", text_or_null(b->params_text));
    put(o, "pytorch", side(b, MB_REPORT_PYTORCH, failed));
    put(o, "mind", side(b, MB_REPORT_MIND, failed));
    put(o, "latency_speedup",
        mb_view_has_ratio(eager) ? mb_json_number(eager->speedup.value) : json_null());
    put(o, "throughput_advantage",
        mb_view_has_ratio(eager) ? mb_json_number(eager->throughput_ratio.value) : json_null());
    put(o, "fastest_pytorch", fastest ? string(fastest->b) : json_null());
    for (size_t i = 0; i < b->n_executors; i++)
        put_named(executors, b->executors[i].name, executor(b, &b->executors[i], failed));
    put(o, "executors", executors.json);
    for (size_t i = 0; i < b->n_comparisons; i++)
        append(comparisons, comparison(&b->comparisons[i], failed), failed);
    put(o, "comparisons", comparisons);
    put(o, "total_time", not_measured(one_start, failed));
    put(o, "break_even", not_measured(one_start, failed));
    return o.json;
}

static json_t *arguments(const struct mb_result *result, bool *failed) {
    json_t *array = json_array();
    for (int i = 0; i < result->argc; i++) {
        const char *text = result->argv[i], *slash = strrchr(text, '/');
        /* Where the program was started from is nobody's business. */
        append(array, string(i == 0 && slash ? slash + 1 : text), failed);
    }
    return array;
}

static json_t *date(int64_t unix_s) {
    time_t t = (time_t)unix_s;
    struct tm utc;
    char text[64];
    if (!gmtime_r(&t, &utc) || !strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc))
        return json_null();
    return json_string(text);
}

/* JSON integers are signed here: the upper half of the seeds is written as digits in a string. */
static json_t *seed(uint64_t value) {
    char text[24];
    if (value <= INT64_MAX) return json_integer((json_int_t)value);
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    return json_string(text);
}

enum mb_status mb_report_json(const struct mb_result *result, const struct mb_machine *machine,
                              json_t **out, struct mb_err *err) {
    bool failed = false;
    enum mb_status st = MB_OK;
    struct object o = object_new(&failed), tolerance = object_new(&failed);
    struct object benchmarks = object_new(&failed);

    put(o, "schema_version", string(MB_RESULT_SCHEMA_VERSION));
    put(o, "mindbench", program_info(&failed));
    put(o, "argv", arguments(result, &failed));
    put(o, "date", date(result->started_unix_s));
    put(o, "seed", seed(result->seed));
    put(o, "device", string(result->device));
    put(o, "device_reason", text_or_null(result->device_reason));
    put(o, "threads", json_integer(result->n_threads));
    put(o, "precision", string(mb_precision_name(result->precision)));
    put(tolerance, "rel_l2", mb_json_number(result->tolerance_rel_l2));
    put(tolerance, "max_rel", mb_json_number(result->tolerance_max_rel));
    put(o, "tolerance", tolerance.json);
    put(o, "result_validity", string(result->valid ? "VALID" : "INVALID"));
    put(o, "result_invalid_reason",
        result->valid ? json_null()
                      : string(result->invalid_reason ? result->invalid_reason : "unknown"));
    put(o, "system_info", system_info(result, machine, &failed));
    for (size_t i = 0; i < result->n_benchmarks && st == MB_OK; i++) {
        const struct mb_benchmark_result *b = &result->benchmarks[i];
        size_t before = json_object_size(benchmarks.json);
        put_named(benchmarks, b->name, benchmark(b, &failed));
        if (!failed && json_object_size(benchmarks.json) == before)
            st = mb_fail(err, MB_E_INVALID,
                         "result: two benchmarks are called %s; run them one at a time", b->name);
    }
    put(o, "benchmarks", benchmarks.json);

    if (failed) st = mb_fail(err, MB_E_NOMEM, "result as JSON: out of memory");
    if (st != MB_OK) {
        json_decref(o.json);
        return st;
    }
    *out = o.json;
    return MB_OK;
}

/* ---- text ---- */

static bool holds_objects(json_t *array) {
    size_t i;
    json_t *value;
    json_array_foreach(array, i, value) if (json_is_object(value)) return true;
    return false;
}

static bool print_value(json_t *value, FILE *out, int depth) {
    const size_t flags = JSON_ENCODE_ANY | JSON_REAL_PRECISION(15);
    bool object = json_is_object(value);
    const char *separator = "";
    size_t i;
    const char *key;
    json_t *child;

    if (!object && !(json_is_array(value) && holds_objects(value)))
        return json_dumpf(value, out, flags) == 0;
    if (object && !json_object_size(value)) return fputs("{}", out) >= 0;
    putc(object ? '{' : '[', out);
    if (object) {
        json_object_foreach(value, key, child) {
            json_t *name = json_string(key);
            bool ok = fprintf(out, "%s\n%*s", separator, 2 * (depth + 1), "") >= 0 && name &&
                      json_dumpf(name, out, flags) == 0 && fputs(": ", out) >= 0;
            json_decref(name);
            if (!ok || !print_value(child, out, depth + 1)) return false;
            separator = ",";
        }
    } else {
        json_array_foreach(value, i, child) {
            if (fprintf(out, "%s\n%*s", separator, 2 * (depth + 1), "") < 0 ||
                !print_value(child, out, depth + 1))
                return false;
            separator = ",";
        }
    }
    return fprintf(out, "\n%*s%c", 2 * depth, "", object ? '}' : ']') >= 0;
}

bool mb_report_print_json(json_t *json, FILE *out) {
    return print_value(json, out, 0) && putc('\n', out) != EOF && !ferror(out);
}
