/* inference_results.json: the object that results/schema.json describes, key for key. Each function
 * here both writes and reads (json_io.h): a new field is one line. */
#include "json_io.h"
#include "json_roofline.h"
#include "report.h"
#include "report_json_starts.h"
#include "report_noise.h"
#include "report_view.h"
#include "result_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const double us = 1e3; /* in nanoseconds */
static const char *const devices[] = {"cpu", "cuda"};
static const char *const validities[] = {"VALID", "INVALID"};
static const char *const precisions[] = {"fp32", "tf32", "bf16", "fp16"};
static const char *const verdicts[] = {"FAST", "SLOW", "SAME", "AMBG"};
enum { N_DEVICES = 2, VALID = 0, INVALID = 1, N_VALIDITIES = 2, N_PRECISIONS = 4, N_VERDICTS = 4 };

static const char *or_else(const char *text, const char *otherwise) {
    return text ? text : otherwise;
}

static void device_name(struct mb_io_object *o, const char **device) {
    size_t index = 0;
    while (*device && index + 1 < N_DEVICES && strcmp(devices[index], *device) != 0) index++;
    *device = devices[mb_io_choice(o, "device", index, devices, N_DEVICES, false)];
}

static void precision(struct mb_io_object *o, enum mb_precision *value, bool or_null) {
    const size_t index =
        mb_io_choice(o, "precision", (size_t)*value, precisions, N_PRECISIONS, or_null);
    *value = index < N_PRECISIONS ? (enum mb_precision)index : MB_FP32;
}

/* Of a row or of the whole. `reason` is NULL where all is well. */
static void validity(struct mb_io_object *o, bool *valid, const char **reason) {
    const char *why = *valid ? NULL : or_else(*reason, "unknown");
    *valid = mb_io_choice(o, "result_validity", *valid ? VALID : INVALID, validities, N_VALIDITIES,
                          o->blank) == VALID;
    mb_io_text(o, "result_invalid_reason", &why);
    if (!o->io->reading || o->blank) return;
    *reason = why;
    if (*valid == (why != NULL))
        mb_io_wrong(o, "result_invalid_reason", "does not go with result_validity");
}

/* ---- the machine and the program ---- */

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

static void system_info(struct mb_io_object *parent, const struct mb_result *result,
                        struct mb_machine *m) {
    struct mb_io_object o = mb_io_object(parent, "system_info");
    const struct mb_executor_result *torch = any_measured(result, "torch-", NULL);
    const char *version = torch ? strstr(torch->info.library, "libtorch ") : NULL;
    /* Known to be there when something ran on it, known to be absent without a driver. */
    int cuda = any_measured(result, "", "cuda") ? 1 : *m->nvidia_driver ? -1 : 0;

    mb_io_chars(&o, "platform", m->platform, sizeof m->platform);
    mb_io_derived_text(&o, "pytorch_version", version ? version + strlen("libtorch ") : NULL);
    mb_io_chars(&o, "cpu", m->cpu, sizeof m->cpu);
    mb_io_yes_no(&o, "cuda_available", &cuda);
    mb_io_derived_text(&o, "cuda_version", NULL);
    mb_io_chars(&o, "gpu", m->gpu, sizeof m->gpu);
    mb_io_chars(&o, "nvidia_driver", m->nvidia_driver, sizeof m->nvidia_driver);
    mb_io_chars(&o, "os", m->os, sizeof m->os);
    mb_io_chars(&o, "kernel", m->kernel, sizeof m->kernel);
    mb_io_chars(&o, "arch", m->arch, sizeof m->arch);
    mb_io_chars(&o, "isa", m->isa, sizeof m->isa);
    mb_io_int(&o, "packages", &m->n_packages);
    mb_io_int(&o, "numa_nodes", &m->n_numa_nodes);
    mb_io_int(&o, "cores_usable", &m->n_cores);
    mb_io_int(&o, "threads_usable", &m->n_threads);
    mb_io_int(&o, "threads_online", &m->n_online_threads);
    mb_io_count(&o, "l1d_bytes", &m->l1d_bytes);
    mb_io_count(&o, "l2_bytes", &m->l2_bytes);
    mb_io_count(&o, "l3_bytes", &m->l3_bytes);
    mb_io_count(&o, "memory_bytes", &m->memory_bytes);
    mb_io_count(&o, "memory_free_bytes", &m->memory_free_bytes);
    mb_io_number(&o, "cpu_quota_cores", &m->cpu_quota, 1);
    mb_io_number(&o, "load_1min", &m->load_1min, 1);
    mb_io_number(&o, "load_5min", &m->load_5min, 1);
    mb_io_chars(&o, "governor", m->governor, sizeof m->governor);
    mb_io_yes_no(&o, "turbo", &m->turbo);
    mb_io_yes_no(&o, "virtualized", &m->virtualized);
    mb_io_end(&o);
}

static void build_info(struct mb_io_object *parent, struct mb_build *build) {
    struct mb_io_object o = mb_io_object(parent, "mindbench");
    mb_io_string(&o, "version", &build->version);
    mb_io_string(&o, "git_sha", &build->git_sha);
    mb_io_bool(&o, "git_is_dirty", &build->git_is_dirty);
    mb_io_string(&o, "compiler", &build->compiler);
    mb_io_string(&o, "flags", &build->flags);
    mb_io_string(&o, "build_type", &build->type);
    if (mb_io_optional(&o, "build_id", build->build_id))
        mb_io_string(&o, "build_id", &build->build_id);
    if (mb_io_optional(&o, "binary_sha256", build->binary_sha256))
        mb_io_string(&o, "binary_sha256", &build->binary_sha256);
    mb_io_end(&o);
}

/* ---- a row ---- */

static void device_time(struct mb_io_object *parent, const char *key, struct mb_device_time *d) {
    struct mb_io_object o = mb_io_object(parent, key);
    int64_t n_runs = d->n_runs;
    const bool empty = mb_io_is_null(&o, "runs_per_sample", !d->n_samples);
    mb_io_text(&o, "reason", &d->reason);
    o.blank = empty;
    if (empty)
        mb_io_derived_number(&o, "runs_per_sample", (double)NAN);
    else
        mb_io_integer(&o, "runs_per_sample", &n_runs, 1, UINT32_MAX);
    mb_io_number(&o, "p50_us", &d->summary_ns.p50, us);
    mb_io_number(&o, "ci_low_us", &d->summary_ns.ci_low, us);
    mb_io_number(&o, "ci_high_us", &d->summary_ns.ci_high, us);
    o.blank = false;
    mb_io_samples(&o, "samples_us", &d->samples_ns, &d->n_samples, us);
    if (o.io->reading) {
        d->n_runs = (uint32_t)n_runs;
        d->summary_ns.n = d->n_samples;
        if (empty != !d->n_samples) mb_io_wrong(&o, "samples_us", "does not go with the summary");
    }
    mb_io_end(&o);
}

static void device_times(struct mb_io_object *parent, struct mb_executor_result *e) {
    struct mb_io_object o = mb_io_object(parent, "device_time");
#define SERIES(name, meaning) device_time(&o, #name, &e->device_time[MB_DEVICE_##name]);
    MB_DEVICE_SERIES(SERIES)
#undef SERIES
    mb_io_end(&o);
}

static void gpu_states(struct mb_io_object *parent, struct mb_executor_result *e) {
    struct mb_io_object states = mb_io_array(parent, "gpu_states", &e->n_gpu_states);
    e->gpu_states = mb_io_room(states.io, e->gpu_states, e->n_gpu_states, sizeof *e->gpu_states);
    for (size_t i = 0; i < e->n_gpu_states && !states.io->failed; i++) {
        struct mb_nvml_state *s = &e->gpu_states[i];
        struct mb_io_object o = mb_io_element(&states, i);
        mb_io_number(&o, "sm_mhz", &s->sm_mhz, 1);
        mb_io_number(&o, "memory_mhz", &s->memory_mhz, 1);
        mb_io_number(&o, "power_w", &s->power_w, 1);
        mb_io_number(&o, "temperature_c", &s->temperature_c, 1);
        mb_io_count(&o, "clocks_event_reasons", &s->reasons);
        mb_io_end(&o);
    }
}

static void phases(struct mb_io_object *parent, struct mb_executor_result *e) {
    struct mb_io_object o = mb_io_object(parent, "phases_us");
    o.blank = !e->measured;
#define PHASE(name, meaning) mb_io_number(&o, #name, &e->phases.name, us);
    MB_PHASES(PHASE)
#undef PHASE
    /* Parts of "pack" that no executor times apart. */
    mb_io_derived_number(&o, "upload", (double)NAN);
    mb_io_derived_number(&o, "capture", (double)NAN);
    mb_io_end(&o);
}

static void latency(struct mb_io_object *o, struct mb_summary *s) {
    const struct {
        const char *key;
        double *value;
    } fields[] = {
        {"latency_mean_us", &s->mean},
        {"latency_stdev_us", &s->stdev},
        {"latency_min_us", &s->min},
        {"latency_max_us", &s->max},
        {"latency_p50_us", &s->p50},
        {"latency_p95_us", &s->p95},
        {"latency_p99_us", &s->p99},
        {"latency_p50_ci_low_us", &s->ci_low},
        {"latency_p50_ci_high_us", &s->ci_high},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        mb_io_number(o, fields[i].key, fields[i].value, us);
}

/* Every sample with its block. */
static void samples(struct mb_io_object *o, struct mb_executor_result *e) {
    size_t n_starts = e->first_of_block ? e->n_blocks + 1 : 0;
    mb_io_indices(o, "block_starts", &e->first_of_block, &n_starts);
    mb_io_samples(o, "samples_us", &e->samples_ns, &e->n_samples, us);
    if (!o->io->reading || o->io->failed) return;
    const size_t *first = e->first_of_block;
    e->n_blocks = n_starts ? n_starts - 1 : 0;
    bool good = n_starts ? first[0] == 0 && first[e->n_blocks] == e->n_samples : !e->n_samples;
    for (size_t i = 0; i < e->n_blocks && good; i++) good = first[i] < first[i + 1];
    if (!good) mb_io_wrong(o, "block_starts", "does not divide samples_us into blocks");
}

/* "measured", "failed" or "not_measured"; whether samples go with it is known at the end. */
static const char *status(struct mb_io_object *o, struct mb_executor_result *e) {
    static const char *const words[] = {"measured", "failed", "not_measured"};
    enum { N_WORDS = 3, NOT_MEASURED = 2 };
    size_t index = 0;
    while (index + 1 < N_WORDS && strcmp(words[index], mb_view_status(e)) != 0) index++;
    index = mb_io_choice(o, "status", index, words, N_WORDS, false);
    if (o->io->reading) e->measured = index != NOT_MEASURED;
    return words[index];
}

static void executor(struct mb_io_object *o, const struct mb_benchmark_result *b,
                     struct mb_executor_result *e) {
    device_name(o, &e->device);
    const char *word = status(o, e);
    const char *reason = e->measured ? NULL : or_else(e->reason, "no reason given");
    mb_io_text(o, "reason", &reason);
    if (o->io->reading) e->reason = reason;
    o->blank = !e->measured;
    validity(o, &e->valid, &e->invalid_reason);
    latency(o, &e->latency_ns);
    mb_io_number(o, "throughput_samples_per_sec", &e->throughput, 1);
    mb_io_number(o, "max_abs_error", &e->max_abs_error, 1);
    mb_io_number(o, "max_rel_error", &e->max_rel_error, 1);
    mb_io_number(o, "rel_l2_error", &e->rel_l2_error, 1);
    mb_io_derived_number(o, "device_time_p50_us", mb_view_device_time(b, e)->summary_ns.p50 / us);
    device_times(o, e);
    mb_io_text(o, "throttled", &e->throttled);
    mb_io_number(o, "energy_per_run_mj", &e->energy_per_run_mj, 1);
    o->blank = false;
    mb_io_text(o, "energy_reason", &e->energy_reason);
    gpu_states(o, e);
    o->blank = !e->measured;
    if (o->io->reading) e->roofline_share = (double)NAN;
    mb_io_number(o, "roofline_share", &e->roofline_share, 1);
    precision(o, &e->info.precision, true);
    mb_io_chars(o, "math_mode", e->info.math_mode, sizeof e->info.math_mode);
    mb_io_chars(o, "library", e->info.library, sizeof e->info.library);
    mb_io_text(o, "plan", &e->plan_text);
    o->blank = false;
    mb_json_roofline(o, e);
    phases(o, e);
    samples(o, e);
    mb_report_noise(o, e);
    if (!o->io->reading) return;
    e->latency_ns.n = e->n_samples;
    if (strcmp(word, mb_view_status(e)) != 0)
        mb_io_wrong(o, "status", "is %s, with %zu samples", word, e->n_samples);
}

/* ---- a benchmark ---- */

/* The seed's "pytorch" and "mind": all of it stands in the row of the executor, too. */
static void side(struct mb_io_object *parent, const char *key, const struct mb_benchmark_result *b,
                 const char *name) {
    static const struct mb_executor_result absent;
    struct mb_io_object o = mb_io_object(parent, key);
    const struct mb_executor_result *e = mb_view_executor(b, name);
    struct mb_executor_result row = e ? *e : absent;
    int64_t batch = b->batch;
    mb_io_derived_text(&o, "executor", name);
    mb_io_derived_text(&o, "status", mb_view_status(&row));
    o.blank = !row.measured && !o.io->reading;
    mb_io_derived_number(&o, "latency_mean_us", row.latency_ns.mean / us);
    mb_io_derived_number(&o, "latency_stdev_us", row.latency_ns.stdev / us);
    mb_io_derived_number(&o, "latency_min_us", row.latency_ns.min / us);
    mb_io_derived_number(&o, "latency_max_us", row.latency_ns.max / us);
    mb_io_derived_number(&o, "throughput_samples_per_sec", row.throughput);
    o.blank = false;
    mb_io_integer(&o, "batch_size", &batch, 1, INT64_MAX);
    mb_io_end(&o);
}

static void comparison(struct mb_io_object *o, struct mb_comparison *c) {
    const bool none = mb_io_is_null(o, "speedup", !mb_view_has_ratio(c));
    const char *reason = none ? or_else(c->reason, "no ratio") : NULL;
    mb_io_string(o, "a", &c->a);
    mb_io_string(o, "b", &c->b);
    o->blank = none;
    mb_io_number(o, "speedup", &c->speedup.value, 1);
    mb_io_number(o, "ci_low", &c->speedup.low, 1);
    mb_io_number(o, "ci_high", &c->speedup.high, 1);
    mb_io_number(o, "throughput_ratio", &c->throughput_ratio.value, 1);
    mb_io_number(o, "throughput_ci_low", &c->throughput_ratio.low, 1);
    mb_io_number(o, "throughput_ci_high", &c->throughput_ratio.high, 1);
    if (mb_io_optional(o, "detectable", !(c->detectable < 0))) {
        mb_io_number(o, "detectable", &c->detectable, 1);
        mb_io_text(o, "verdict_reason", &c->verdict_reason);
    } else {
        c->detectable = -1;
    }
    const size_t verdict =
        mb_io_choice(o, "verdict", (size_t)c->verdict, verdicts, N_VERDICTS, none);
    o->blank = !none;
    mb_io_text(o, "withheld_reason", &reason);
    o->blank = false;
    if (!o->io->reading) return;
    c->verdict = verdict < N_VERDICTS ? (enum mb_verdict)verdict : MB_AMBIGUOUS;
    c->withheld = none;
    c->reason = reason;
}

static void comparisons(struct mb_io_object *parent, struct mb_benchmark_result *b) {
    struct mb_io_object all = mb_io_array(parent, "comparisons", &b->n_comparisons);
    b->comparisons = mb_io_room(all.io, b->comparisons, b->n_comparisons, sizeof *b->comparisons);
    for (size_t i = 0; i < b->n_comparisons && !all.io->failed; i++) {
        struct mb_comparison *c = &b->comparisons[i];
        struct mb_io_object o = mb_io_element(&all, i);
        comparison(&o, c);
        mb_io_end(&o);
        if (all.io->reading && (!mb_view_executor(b, c->a) || !mb_view_executor(b, c->b)))
            mb_io_wrong(&o, NULL, "is about an executor that is not in the benchmark");
    }
    if (all.io->failed && all.io->reading) b->n_comparisons = 0;
}

static void executors(struct mb_io_object *parent, struct mb_benchmark_result *b) {
    struct mb_io_object map = mb_io_map(parent, "executors", &b->n_executors);
    b->executors = mb_io_room(map.io, b->executors, b->n_executors, sizeof *b->executors);
    for (size_t i = 0; i < b->n_executors && !map.io->failed; i++) {
        struct mb_executor_result *e = &b->executors[i];
        if (map.io->reading) e->name = mb_io_name(&map, i);
        struct mb_io_object o = mb_io_object(&map, e->name);
        executor(&o, b, e);
        mb_io_end(&o);
    }
    if (map.io->failed && map.io->reading) b->n_executors = 0;
}

static int find_comparison(const struct mb_benchmark_result *b, const char *rival) {
    for (size_t i = 0; rival && i < b->n_comparisons; i++)
        if (!strcmp(b->comparisons[i].a, MB_REPORT_MIND) && !strcmp(b->comparisons[i].b, rival))
            return (int)i;
    return -1;
}

/* Files written before there was all this lack it. */
static void end_of_race(struct mb_io_object *o, struct mb_benchmark_result *b) {
    int64_t n_controls = (int64_t)b->n_controls, n_false_alarms = (int64_t)b->n_false_alarms;
    if (!mb_io_optional(o, "ended_by", b->ended_by || b->floor_reason || b->floor_ns > 0)) return;
    mb_io_number(o, "floor_us", &b->floor_ns, us);
    mb_io_text(o, "floor_reason", &b->floor_reason);
    mb_io_text(o, "ended_by", &b->ended_by);
    mb_io_integer(o, "aa_controls", &n_controls, 0, INT32_MAX);
    mb_io_integer(o, "aa_false_alarms", &n_false_alarms, 0, n_controls);
    if (!o->io->reading) return;
    b->n_controls = (size_t)n_controls;
    b->n_false_alarms = (size_t)n_false_alarms;
}

/* What is bound, by name. */
static void bindings(struct mb_io_object *parent, struct mb_origin *origin) {
    struct mb_io_object map = mb_io_map(parent, "bindings", &origin->n_bindings);
    origin->bindings =
        mb_io_room(map.io, origin->bindings, origin->n_bindings, sizeof *origin->bindings);
    for (size_t i = 0; i < origin->n_bindings && !map.io->failed; i++) {
        if (map.io->reading) origin->bindings[i].name = mb_io_name(&map, i);
        mb_io_integer(&map, origin->bindings[i].name, &origin->bindings[i].extent, 1, INT64_MAX);
    }
    if (map.io->failed && map.io->reading) origin->n_bindings = 0;
}

/* Files of early versions have none. */
static void origin(struct mb_io_object *parent, struct mb_origin *origin) {
    static const char *const sources[] = {"seed", "given"};
    if (!mb_io_optional(parent, "origin", origin->source_sha256)) return;
    struct mb_io_object o = mb_io_object(parent, "origin");
    mb_io_string(&o, "source_sha256", &origin->source_sha256);
    mb_io_text(&o, "entry", &origin->entry);
    bindings(&o, origin);
    origin->given = mb_io_choice(&o, "data", origin->given, sources, 2, false) == 1;
    mb_io_string(&o, "weights_sha256", &origin->weights_sha256);
    mb_io_string(&o, "inputs_sha256", &origin->inputs_sha256);
    mb_io_end(&o);
}

static void benchmark(struct mb_io_object *o, struct mb_benchmark_result *b) {
    static const char *const caches[] = {"warm", "cold"};
    const bool reading = o->io->reading;
    const struct mb_comparison *eager = reading ? NULL : mb_view_headline(b, b->against_eager);
    const struct mb_comparison *fastest = reading ? NULL : mb_view_headline(b, b->against_fastest);
    const char *rival = fastest ? fastest->b : NULL;
    const double none = (double)NAN;

    mb_io_text(o, "file", &b->file);
    origin(o, &b->origin);
    mb_io_integer(o, "batch_size", &b->batch, 1, INT64_MAX);
    b->cold = mb_io_choice(o, "cache", b->cold, caches, 2, false) == 1;
    mb_io_bool(o, "data_transfers", &b->transfers);
    mb_io_text(o, "gpu_reason", &b->gpu_reason);
    mb_io_int(o, "gpu_other_processes", &b->n_other_processes);
    end_of_race(o, b);
    mb_io_number(o, "flops", &b->flops, 1);
    mb_io_number(o, "bytes", &b->bytes, 1);
    mb_io_text(o, "params", &b->params_text);
    side(o, "pytorch", b, MB_REPORT_PYTORCH);
    side(o, "mind", b, MB_REPORT_MIND);
    mb_io_derived_number(o, "latency_speedup",
                         mb_view_has_ratio(eager) ? eager->speedup.value : none);
    mb_io_derived_number(o, "throughput_advantage",
                         mb_view_has_ratio(eager) ? eager->throughput_ratio.value : none);
    mb_io_text(o, "fastest_pytorch", &rival);
    executors(o, b);
    comparisons(o, b);
    mb_io_cold_starts(o, b);
    if (!reading) return;
    b->against_eager = find_comparison(b, MB_REPORT_PYTORCH);
    b->against_fastest = find_comparison(b, rival);
}

static void benchmarks(struct mb_io_object *parent, struct mb_result *r) {
    struct mb_io_object map = mb_io_map(parent, "benchmarks", &r->n_benchmarks);
    r->benchmarks = mb_io_room(map.io, r->benchmarks, r->n_benchmarks, sizeof *r->benchmarks);
    for (size_t i = 0; i < r->n_benchmarks && !map.io->failed; i++) {
        struct mb_benchmark_result *b = &r->benchmarks[i];
        if (map.io->reading) b->name = mb_io_name(&map, i);
        struct mb_io_object o = mb_io_object(&map, b->name);
        if (!map.io->failed && !map.io->reading && json_object_size(map.json) == i) {
            map.io->failed = true;
            mb_fail(map.io->err, MB_E_INVALID,
                    "result: two benchmarks are called %s; run them one at a time", b->name);
        }
        benchmark(&o, b);
        mb_io_end(&o);
    }
    if (map.io->failed && map.io->reading) r->n_benchmarks = 0;
}

/* ---- the whole ---- */

static const char date_format[] = "%Y-%m-%dT%H:%M:%SZ";

/* Null for a time that no calendar holds. */
static void date(struct mb_io_object *o, int64_t *unix_s) {
    time_t t = (time_t)*unix_s;
    struct tm utc;
    char buf[64] = "";
    const char *text = NULL;
    if (!o->io->reading && gmtime_r(&t, &utc) && strftime(buf, sizeof buf, date_format, &utc))
        text = buf;
    mb_io_text(o, "date", &text);
    if (!o->io->reading) return;
    *unix_s = INT64_MIN;
    if (!text) return;
    memset(&utc, 0, sizeof utc);
    const char *end = strptime(text, date_format, &utc);
    if (!end || *end || (t = timegm(&utc)) == (time_t)-1 ||
        !strftime(buf, sizeof buf, date_format, &utc) || strcmp(buf, text) != 0)
        mb_io_wrong(o, "date", "is no date of the form 2026-01-31T23:59:59Z");
    *unix_s = (int64_t)t;
}

/* JSON integers are signed here: the upper half of the seeds is written as digits in a string. */
static void seed(struct mb_io_object *o, uint64_t *value) {
    char digits[24];
    const char *text = digits;
    int64_t low_half = (int64_t)*value;
    snprintf(digits, sizeof digits, "%llu", (unsigned long long)*value);
    if (!mb_io_is_text(o, "seed", *value > INT64_MAX)) {
        mb_io_integer(o, "seed", &low_half, 0, INT64_MAX);
        *value = (uint64_t)low_half;
        return;
    }
    mb_io_string(o, "seed", &text);
    if (!o->io->reading) return;
    *value = strtoull(text, NULL, 10);
    snprintf(digits, sizeof digits, "%llu", (unsigned long long)*value);
    if (*value <= INT64_MAX || strcmp(digits, text) != 0)
        mb_io_wrong(o, "seed", "is no whole number from 0 to 2^64 - 1");
}

static void whole(struct mb_io_object *o, struct mb_result *r, struct mb_machine *machine,
                  struct mb_build *build) {
    const char *version = MB_RESULT_SCHEMA_VERSION;
    int64_t n_threads = r->n_threads;
    mb_io_string(o, "schema_version", &version);
    build_info(o, build);
    mb_io_texts(o, "argv", &r->argv, &r->argc);
    date(o, &r->started_unix_s);
    seed(o, &r->seed);
    mb_report_statistics(o, &r->statistics);
    device_name(o, &r->device);
    mb_io_text(o, "device_reason", &r->device_reason);
    mb_io_integer(o, "threads", &n_threads, 1, INT32_MAX);
    r->n_threads = (int)n_threads;
    precision(o, &r->precision, false);
    struct mb_io_object tolerance = mb_io_object(o, "tolerance");
    mb_io_number(&tolerance, "rel_l2", &r->tolerance_rel_l2, 1);
    mb_io_number(&tolerance, "max_rel", &r->tolerance_max_rel, 1);
    mb_io_end(&tolerance);
    validity(o, &r->valid, &r->invalid_reason);
    mb_json_ceilings(o, r);
    system_info(o, r, machine);
    benchmarks(o, r);
}

/* It stands last, and comes from all the others. */
static void digest(struct mb_io_object *o, bool *sealed) {
    *sealed = mb_io_optional(o, "digest", *sealed);
    if (*sealed) mb_io_derived_text(o, "digest", NULL);
}

enum mb_status mb_result_file_json(const struct mb_result_file *file, json_t **out,
                                   struct mb_err *err) {
    struct mb_err why = {.status = MB_E_NOMEM, .text = "result as JSON: out of memory"};
    struct mb_io io = {.err = &why};
    struct mb_result_file copy = *file; /* what it points to is only read */
    json_t *json = json_object();
    char **argv = calloc((size_t)copy.result.argc + 1, sizeof *argv);
    if (json && argv) {
        for (int i = 0; i < copy.result.argc; i++) argv[i] = copy.result.argv[i];
        /* Where the program was started from is nobody's business. */
        char *slash = argv[0] ? strrchr(argv[0], '/') : NULL;
        if (slash) argv[0] = slash + 1;
        copy.result.argv = argv;
        struct mb_io_object o = mb_io_top(&io, json);
        whole(&o, &copy.result, &copy.machine, &copy.build);
        digest(&o, &copy.sealed);
        if (!io.failed && copy.sealed && !mb_result_seal(json)) io.failed = true;
    }
    free(argv);
    if (!json || !argv || io.failed) {
        json_decref(json);
        return mb_fail(err, why.status, "%s", why.text);
    }
    *out = json;
    return MB_OK;
}

enum mb_status mb_report_json(const struct mb_result *result, const struct mb_machine *machine,
                              json_t **out, struct mb_err *err) {
    const struct mb_result_file file = {*result, *machine, mb_build_identify(), true, false};
    return mb_result_file_json(&file, out, err);
}

enum mb_status mb_result_file_fill(json_t *json, struct mb_result_file *out, struct mb_err *err) {
    struct mb_err why = {.status = MB_OK};
    struct mb_io io = {.reading = true, .arena = &out->result.arena, .err = &why};
    struct mb_io_object o = mb_io_top(&io, json);
    memset(out, 0, sizeof *out);
    whole(&o, &out->result, &out->machine, &out->build);
    digest(&o, &out->sealed);
    mb_io_end(&o);
    if (!io.failed) return MB_OK;
    mb_arena_free(&out->result.arena);
    return mb_fail(err, why.status, "%s", why.text);
}

/* ---- text ---- */

static bool holds_objects(json_t *array) {
    size_t i;
    json_t *value;
    json_array_foreach(array, i, value) if (json_is_object(value)) return true;
    return false;
}

static bool print_value(json_t *value, FILE *out, int depth) {
    const size_t flags = JSON_ENCODE_ANY | JSON_REAL_PRECISION(MB_REPORT_DIGITS);
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
