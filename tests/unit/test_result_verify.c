/* verify against edits: seeded random changes of one number of a result file, as an editor or a
 * broken disk makes them.
 *
 *     test_result_verify [N_EDITS [SEED [FILE.json]]]      default: 60 edits of a small result
 *
 * Every edit must be found. The same edits with a digest made again show which fields verify forms
 * again from the samples; a table of those that only the digest covers is printed. */
#include "conclude.h"
#include "random.h"
#include "report.h"
#include "result_verify.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static size_t n_edits = 60;
static uint64_t edit_seed = 1;
static const char *file_name;

/* ---- a result ---- */

enum { N_SAMPLES = 24, N_BLOCKS = 8 };

static const struct mb_machine machine = {.platform = "Linux",
                                          .n_cores = 2,
                                          .n_threads = 4,
                                          .n_online_threads = 4,
                                          .memory_bytes = 8589934592,
                                          .cpu_quota = (double)NAN,
                                          .load_1min = 0.25,
                                          .turbo = -1,
                                          .virtualized = 1};

static void measured(struct mb_executor_result *e, const char *name, double p50_ns,
                     struct mb_arena *arena) {
    size_t *first = mb_arena_calloc(arena, N_BLOCKS + 1, sizeof *first);
    size_t *process = mb_arena_calloc(arena, N_BLOCKS, sizeof *process);
    double pair[2];
    *e =
        (struct mb_executor_result){.name = name, .device = "cpu", .measured = true, .valid = true};
    e->info.precision = MB_FP32;
    e->phases = (struct mb_phases_ns){1e3, 2e3, 3e3, 4e6, 5e5, 0, 6e5, 7e4};
    e->samples_ns = mb_arena_calloc(arena, N_SAMPLES, sizeof *e->samples_ns);
    e->n_samples = N_SAMPLES;
    e->n_blocks = N_BLOCKS;
    for (size_t i = 0; i < N_SAMPLES; i++) {
        mb_random_normal_pair(7, mb_random_stream(name), 2 * i, pair);
        e->samples_ns[i] = mb_stats_whole_ps(p50_ns * exp(pair[0] / 20));
    }
    for (size_t i = 0; i <= N_BLOCKS; i++) first[i] = i * N_SAMPLES / N_BLOCKS;
    e->first_of_block = first;
    e->n_processes = 2;
    e->processes = mb_arena_calloc(arena, e->n_processes, sizeof *e->processes);
    e->process_of_block = process;
    e->block_states = mb_arena_calloc(arena, N_BLOCKS, sizeof *e->block_states);
    for (size_t i = 0; i < N_BLOCKS; i++) {
        process[i] = i % 2;
        e->block_states[i] =
            (struct mb_block_state){1e6 * (double)i, 0, 1e3, 2500, (double)NAN, 1, 2};
        for (size_t k = first[i]; k < first[i + 1]; k++)
            e->block_states[i].second_timer_ns += e->samples_ns[k] + 50;
    }
    e->rel_l2_error = 1e-7;
    e->max_abs_error = 2e-6;
    e->max_rel_error = 3e-7;
    e->energy_per_run_mj = (double)NAN;
    e->drift = e->timer_disagreement = (double)NAN;
    for (int k = 0; k < MB_N_DEVICE_SERIES; k++) e->device_time[k].n_runs = 1;
}

static json_t *written_and_read(json_t *json) {
    char *text = NULL;
    size_t len = 0;
    json_t *read = NULL;
    struct mb_err err;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    assert_true(mb_report_print_json(json, out));
    fclose(out);
    json_decref(json);
    if (mb_result_parse("made", text, len, &read, &err) != MB_OK) fail_msg("%s", err.text);
    free(text);
    return read;
}

static json_t *make_result(void) {
    struct mb_result r = {.seed = 42,
                          .n_threads = 2,
                          .tolerance_rel_l2 = 5e-6,
                          .tolerance_max_rel = 2e-5,
                          .device = "cpu",
                          .valid = true,
                          .started_unix_s = 1700000000,
                          .statistics = {MB_RESAMPLES, 1, 0.95, MB_LEAST_EFFECT, 0, 0},
                          .n_benchmarks = 1};
    json_t *json = NULL;
    struct mb_err err = {.text = ""};
    r.benchmarks = mb_arena_calloc(&r.arena, 1, sizeof *r.benchmarks);
    struct mb_benchmark_result *b = r.benchmarks;
    *b = (struct mb_benchmark_result){.name = "made", .batch = 32, .flops = 1e6, .bytes = 2e6};
    b->params_text = "x: tensor<f32[32, 784]> input";
    b->n_other_processes = -1;
    b->floor_ns = (double)NAN;
    b->floor_reason = "no ceiling was measured";
    b->ended_by = "samples";
    b->n_executors = 3;
    b->executors = mb_arena_calloc(&r.arena, 3, sizeof *b->executors);
    measured(&b->executors[0], "mind", 1e5, &r.arena);
    measured(&b->executors[1], "torch-eager", 1.2e5, &r.arena);
    measured(&b->executors[2], "torch-jit", 1.1e5, &r.arena);
    if (mb_conclude(b, r.seed, &r.statistics, &r.arena, &err) != MB_OK ||
        mb_report_json(&r, &machine, &json, &err) != MB_OK)
        fail_msg("%s", err.text);
    mb_arena_free(&r.arena);
    return written_and_read(json);
}

static json_t *the_result(void) {
    json_t *json = NULL;
    struct mb_err err;
    if (!file_name) return make_result();
    if (mb_result_load(file_name, &json, &err) != MB_OK) fail_msg("%s", err.text);
    return json;
}

/* Deviations that verify finds; 1 when the file cannot be read at all. */
static size_t n_deviations(json_t *json) {
    struct mb_result_file *file = NULL;
    struct mb_verification v = {0};
    struct mb_err err = {.text = ""};
    size_t n = 1;
    if (mb_result_file_new("edited", json, &file, &err) == MB_OK) {
        if (mb_verify(json, file, &v, &err) != MB_OK) fail_msg("%s", err.text);
        n = v.n_deviations;
        for (size_t i = 0; i < v.n_findings; i++) assert_null(strchr(v.findings[i].text, '\n'));
    }
    mb_verification_free(&v);
    mb_result_file_free(file);
    return n;
}

/* ---- edits ---- */

struct leaf {
    json_t *holder;
    const char *key; /* of an object; NULL: an element */
    size_t index;
    const char *under; /* the last key above it */
};

struct leaves {
    struct leaf *items;
    size_t n, capacity;
};

static void collect(json_t *value, struct leaf at, struct leaves *all) {
    const char *key;
    json_t *child;
    size_t i;
    if (json_is_object(value)) {
        json_object_foreach(value, key, child)
            collect(child, (struct leaf){value, key, 0, key}, all);
    } else if (json_is_array(value)) {
        json_array_foreach(value, i, child)
            collect(child, (struct leaf){value, NULL, i, at.under}, all);
    } else if (json_is_number(value)) {
        if (all->n == all->capacity) {
            all->capacity = all->capacity * 2 + 64;
            all->items = realloc(all->items, all->capacity * sizeof *all->items);
            assert_non_null(all->items);
        }
        all->items[all->n++] = at;
    }
}

static json_t *value_of(const struct leaf *leaf) {
    return leaf->key ? json_object_get(leaf->holder, leaf->key)
                     : json_array_get(leaf->holder, leaf->index);
}

/* Half of the edits go to any number, the others to numbers that are no elements of an array, of
 * which there are few. */
static const struct leaf *choose(const struct leaves *all, uint64_t edit) {
    const struct leaf *leaf = NULL;
    for (uint64_t draw = 0; !leaf || (edit % 2 && !leaf->key); draw++)
        leaf = &all->items[mb_random_below(edit_seed, 2 * edit, draw, (uint32_t)all->n)];
    return leaf;
}

/* Another number: one more, a share of 1e-1 to 1e-12 more or less, the digits of a neighbour, ten
 * times as much. */
static json_t *other_number(const json_t *old, const struct leaves *all, uint64_t edit) {
    const uint64_t bits = mb_random_bits(edit_seed, 2 * edit + 1, 0);
    const double x = json_number_value(old);
    const double share = pow(10, -1.0 - (double)(bits >> 8 & 0xff) / 255 * 11);
    double y = x;
    if (json_is_integer(old)) {
        const json_int_t step = (json_int_t)(bits >> 8 & 7) + 1;
        return json_integer(json_integer_value(old) + (bits & 1 ? step : -step));
    }
    switch (bits % 4) {
    case 0: y = x + 1; break;
    case 1: y = x * (bits & 4 ? 1 + share : 1 - share); break;
    case 2: y = json_number_value(value_of(&all->items[(bits >> 16) % all->n])); break;
    case 3: y = x * 10; break;
    }
    return json_real(y != x ? y : x + 1e-3);
}

/* Fields that verify forms again, whatever the digest says. */
static bool is_formed_again(const char *key) {
    static const char *const stems[] = {"latency_", "speedup",  "ci_",         "throughput",
                                        "ratio",    "samples_", "block_starts"};
    for (size_t i = 0; i < sizeof stems / sizeof *stems; i++)
        if (strncmp(key, stems[i], strlen(stems[i])) == 0) return true;
    return false;
}

enum { MAX_MISSED = 200 };

static void count_missed(const char *key, const char *names[], size_t counts[], size_t *n) {
    size_t i = 0;
    while (i < *n && strcmp(names[i], key) != 0) i++;
    if (i == MAX_MISSED) return;
    if (i == *n) {
        names[i] = key;
        counts[i] = 0;
        ++*n;
    }
    counts[i]++;
}

static void every_edit_is_found(void **state) {
    static const char *names[MAX_MISSED];
    static size_t counts[MAX_MISSED];
    struct leaves all = {0};
    size_t n_names = 0, n_formed = 0;
    (void)state;
    json_t *json = the_result();
    if (n_deviations(json)) {
        struct mb_result_file *file = NULL;
        struct mb_err err = {.text = "it deviates"};
        mb_result_file_new("unedited", json, &file, &err);
        fail_msg("%s", err.text);
    }
    collect(json, (struct leaf){0}, &all);
    assert_true(all.n > 100);
    for (uint64_t edit = 0; edit < n_edits; edit++) {
        const struct leaf *leaf = choose(&all, edit);
        json_t *old = json_incref(value_of(leaf)), *new = other_number(old, &all, edit);
        const json_t *digest = json_incref(json_object_get(json, MB_RESULT_DIGEST));
        const bool visible =
            fabs(json_number_value(new) - json_number_value(old)) > 1e-9 * json_number_value(old);
        if (leaf->key)
            assert_int_equal(json_object_set(leaf->holder, leaf->key, new), 0);
        else
            assert_int_equal(json_array_set(leaf->holder, leaf->index, new), 0);
        if (n_deviations(json) == 0)
            fail_msg("seed %llu, edit %llu: %s from %.17g to %.17g passes",
                     (unsigned long long)edit_seed, (unsigned long long)edit, leaf->under,
                     json_number_value(old), json_number_value(new));

        assert_true(mb_result_seal(json));
        if (n_deviations(json) > 0)
            n_formed++;
        else if (visible && is_formed_again(leaf->under))
            fail_msg("seed %llu, edit %llu: %s from %.17g to %.17g passes with a new digest",
                     (unsigned long long)edit_seed, (unsigned long long)edit, leaf->under,
                     json_number_value(old), json_number_value(new));
        else
            count_missed(leaf->under, names, counts, &n_names);

        if (leaf->key)
            json_object_set_new(leaf->holder, leaf->key, old);
        else
            json_array_set_new(leaf->holder, leaf->index, old);
        json_decref(new);
        json_object_set_new(json, MB_RESULT_DIGEST, (json_t *)digest);
    }
    assert_int_equal(n_deviations(json), 0);
    printf("%zu edits of %zu numbers: all found; with a digest made again %zu found by forming "
           "again\n",
           n_edits, all.n, n_formed);
    for (size_t i = 0; i < n_names; i++)
        printf("  under the digest alone: %s %zu\n", names[i], counts[i]);
    free(all.items);
    json_decref(json);
}

static void texts_and_verdicts_are_formed_again(void **state) {
    (void)state;
    json_t *json = make_result();
    json_t *b = json_object_get(json_object_get(json, "benchmarks"), "made");
    json_t *c = json_array_get(json_object_get(b, "comparisons"), 0);
    const char *verdict = json_string_value(json_object_get(c, "verdict"));
    json_object_set_new(c, "verdict", json_string(strcmp(verdict, "FAST") ? "FAST" : "SLOW"));
    mb_result_seal(json);
    assert_int_equal(n_deviations(json), 1);
    json_object_set_new(b, "fastest_pytorch", json_string("torch-eager"));
    mb_result_seal(json);
    assert_int_equal(n_deviations(json), 2);
    json_decref(json);
}

/* A row that is made VALID although its errors are too large. */
static void errors_beyond_the_tolerance_are_found(void **state) {
    (void)state;
    json_t *json = make_result();
    json_t *b = json_object_get(json_object_get(json, "benchmarks"), "made");
    json_t *e = json_object_get(json_object_get(b, "executors"), "mind");
    json_object_set_new(e, "rel_l2_error", json_real(1e-3));
    mb_result_seal(json);
    assert_true(n_deviations(json) > 1);
    json_decref(json);
}

static void without_a_digest_it_says_so(void **state) {
    struct mb_result_file *file = NULL;
    struct mb_verification v = {0};
    struct mb_err err;
    (void)state;
    json_t *json = make_result();
    json_object_del(json, MB_RESULT_DIGEST);
    assert_int_equal(mb_result_file_new("x", json, &file, &err), MB_OK);
    assert_int_equal(mb_verify(json, file, &v, &err), MB_OK);
    assert_int_equal(v.n_deviations, 0);
    assert_int_equal(v.n_findings, 1);
    assert_non_null(strstr(v.findings[0].text, "digest: there is none"));
    mb_verification_free(&v);
    mb_result_file_free(file);
    json_decref(json);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_edit_is_found),
        cmocka_unit_test(texts_and_verdicts_are_formed_again),
        cmocka_unit_test(errors_beyond_the_tolerance_are_found),
        cmocka_unit_test(without_a_digest_it_says_so),
    };
    if (argc > 1) n_edits = strtoull(argv[1], NULL, 10);
    if (argc > 2) edit_seed = strtoull(argv[2], NULL, 10);
    if (argc > 3) file_name = argv[3];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
