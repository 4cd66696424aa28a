/* Reading result files: every kept result comes back byte for byte, and what is no result is
 * refused with one line that says where and why. */
#include "file.h"
#include "report.h"
#include "result_file.h"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *printed(json_t *json) {
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    assert_true(mb_report_print_json(json, out));
    fclose(out);
    return text;
}

static json_t *load(const char *path) {
    json_t *json = NULL;
    struct mb_err err = {.text = ""};
    if (mb_result_load(path, &json, &err) != MB_OK) fail_msg("%s", err.text);
    return json;
}

/* Written again as it was, or refused for a key that it lacks; true when written. */
static bool comes_back(const char *path) {
    struct mb_result_file *file = NULL;
    struct mb_err err = {.text = ""};
    char *before = NULL;
    size_t len = 0;
    json_t *json = load(path), *again = NULL;
    const bool read = mb_result_file_new(path, json, &file, &err) == MB_OK;
    if (read) {
        assert_int_equal(mb_file_read(path, (size_t)64 << 20, &before, &len, &err), MB_OK);
        assert_int_equal(mb_result_file_json(file, &again, &err), MB_OK);
        char *after = printed(again);
        size_t same = 0;
        while (before[same] && before[same] == after[same]) same++;
        if (before[same] != after[same])
            fail_msg("%s: at byte %zu was \"%.40s\" and is \"%.40s\"", path, same, before + same,
                     after + same);
        free(after);
        free(before);
    } else if (!strstr(err.text, "is missing") && !strstr(err.text, "no schema_version")) {
        fail_msg("%s", err.text);
    }
    json_decref(again);
    json_decref(json);
    mb_result_file_free(file);
    return read;
}

static void kept_results_come_back_byte_for_byte(void **state) {
    glob_t found;
    size_t n = 0;
    (void)state;
    assert_int_equal(glob(MB_RESULTS "/*/*.json", 0, NULL, &found), 0);
    assert_true(glob(MB_RESULTS "/*/*/*.json", GLOB_APPEND, NULL, &found) == 0);
    for (size_t i = 0; i < found.gl_pathc; i++) n += comes_back(found.gl_pathv[i]);
    assert_true(n >= 3);
    globfree(&found);
}

static void the_fixture_comes_back_byte_for_byte(void **state) {
    (void)state;
    assert_true(comes_back("report_fixture.json"));
}

/* ---- what is no result ---- */

static void expect_refused(json_t *json, const char *want) {
    struct mb_result_file *file = NULL;
    struct mb_err err = {.text = ""};
    assert_int_not_equal(mb_result_file_new("x.json", json, &file, &err), MB_OK);
    if (!strstr(err.text, want)) fail_msg("said \"%s\", not \"%s\"", err.text, want);
    assert_null(strchr(err.text, '\n'));
    assert_true(strncmp(err.text, "x.json: ", 8) == 0);
}

/* Replaces what lies under the keys (the last may be NULL for none) by `value`. */
static void expect_fault(const char *const *keys, json_t *value, const char *want) {
    json_t *json = load("report_fixture.json"), *at = json;
    while (keys[1]) {
        at = json_object_get(at, *keys++);
        assert_non_null(at);
    }
    if (value)
        assert_int_equal(json_object_set_new(at, *keys, value), 0);
    else
        assert_int_equal(json_object_del(at, *keys), 0);
    expect_refused(json, want);
    json_decref(json);
}

#define MATMUL "benchmarks", "large_matmul_4096"
#define MIND   MATMUL, "executors", "mind"
#define AT(...)                                                                                    \
    (const char *const[]) { __VA_ARGS__, NULL }

static void faults_are_told_with_their_place(void **state) {
    (void)state;
    expect_fault(AT("seed"), NULL, "seed: is missing");
    expect_fault(AT("seed"), json_integer(-1), "seed: is not from 0");
    expect_fault(AT("seed"), json_string("18446744073709551616"), "seed: is no whole number");
    expect_fault(AT("seed"), json_string("42"), "seed: is no whole number");
    expect_fault(AT("date"), json_string("2026-02-30T00:00:00Z"), "date: is no date");
    expect_fault(AT("threads"), json_real(2), "threads: is a number, not a whole number");
    expect_fault(AT(MIND, "block_processes"), json_pack("[iii]", 0, 1, 2),
                 "mind.block_processes: does not name a process of each block");
    expect_fault(AT(MIND, "block_states"), json_array(), "block_states: has not one state");
    expect_fault(AT(MIND, "aa", "ratio"), json_null(), "mind.aa.ci_low: is a number");
    expect_fault(AT("statistics", "min_effect"), json_real(0), "min_effect: is no number above 0");
    expect_fault(AT("more"), json_null(), "more: is not a key of this version");
    expect_fault(AT("argv"), json_pack("[i]", 1), "argv[0]: is no text");
    expect_fault(AT("result_validity"), json_string("VALID"), "result_invalid_reason: does not go");
    expect_fault(AT("schema_version"), json_string("2.0.0"), "schema version 2.0.0: this build");
    expect_fault(AT("schema_version"), json_integer(1), "no result of mindbench run");
    expect_fault(AT(MATMUL, "cache"), json_string("tepid"), "cache: is \"tepid\"");
    expect_fault(AT(MATMUL, "batch_size"), json_integer(0), "batch_size: is not from 1");
    expect_fault(AT(MIND, "latency_p50_us"), json_string("1"),
                 "benchmarks.large_matmul_4096.executors.mind.latency_p50_us: is a text");
    expect_fault(AT(MIND, "latency_p50_us"), json_real(-1), "latency_p50_us: is out of its range");
    expect_fault(AT(MIND, "samples_us"), json_pack("[s]", "1"), "samples_us[0]: is no number");
    expect_fault(AT(MIND, "samples_us"), json_pack("[f]", 0.0), "samples_us[0]: is no number");
    expect_fault(AT(MIND, "samples_us"), json_pack("[f,f]", 1.0, 2.0), "block_starts: does not");
    expect_fault(AT(MIND, "block_starts"), json_pack("[i,i,i]", 0, 6, 6), "block_starts: does not");
    expect_fault(AT(MIND, "block_starts"), json_pack("[i,i]", -1, 6), "block_starts[0]: is no");
    expect_fault(AT(MIND, "block_starts"), json_array(), "block_starts: does not");
    expect_fault(AT(MIND, "status"), json_string("not_measured"), "where nothing was measured");
    expect_fault(AT(MIND, "status"), json_string("failed"), "status: is failed, with 6 samples");
    expect_fault(AT(MIND, "phases_us"), json_array(), "phases_us: is an array, not an object");
    expect_fault(AT(MATMUL, "comparisons"), json_pack("[i]", 1), "comparisons[0]: is a number");
    expect_fault(AT(MATMUL, "executors"), json_object(), "comparisons[0]: is about an executor");
    json_t *empty = json_object();
    expect_refused(empty, "no schema_version");
    json_decref(empty);
}

static void expect_unparsed(const char *text, size_t len, const char *want) {
    json_t *json = NULL;
    struct mb_err err = {.text = ""};
    assert_int_not_equal(mb_result_parse("x.json", text, len, &json, &err), MB_OK);
    if (!strstr(err.text, want)) fail_msg("said \"%s\", not \"%s\"", err.text, want);
    assert_null(strchr(err.text, '\n'));
}

static void texts_that_are_no_json(void **state) {
    static char deep[200000];
    (void)state;
    expect_unparsed("", 0, "line 1: ");
    expect_unparsed("{\"a\": NaN}", 10, "line 1: invalid token");
    expect_unparsed("{\"a\": -Infinity}", 16, "line 1: invalid token");
    expect_unparsed("{\"a\": 1e999}", 12, "line 1: real number overflow");
    expect_unparsed("{\"a\": 99999999999999999999}", 27, "line 1: too big integer");
    expect_unparsed("{\"a\": 1,\n\"a\": 2}", 16, "line 2: duplicate object key");
    expect_unparsed("{\"a\": 1", 7, "expected near end of file");
    expect_unparsed("{} x", 4, "end of file expected");
    expect_unparsed("\x89PNG\r\n", 6, "line 1: ");
    memset(deep, '[', sizeof deep);
    expect_unparsed(deep, sizeof deep, "maximum parsing depth");
    memset(deep + 100, ']', 100);
    expect_unparsed(deep, 200, "nested deeper than 32");
}

/* ---- want of memory ---- */

static size_t n_left;

static void *scarce(size_t size) { return n_left && n_left-- ? malloc(size) : NULL; }

static void every_allocation_may_fail(void **state) {
    const struct mb_allocator usual = mb_allocator;
    enum mb_status st = MB_E_NOMEM;
    struct mb_err err;
    (void)state;
    json_t *json = load("report_fixture.json");
    for (size_t n = 0; st != MB_OK; n++) {
        struct mb_result_file *file = NULL;
        mb_allocator = (struct mb_allocator){scarce, free};
        n_left = n;
        st = mb_result_file_new("x.json", json, &file, &err);
        mb_allocator = usual;
        assert_true(st == MB_OK || st == MB_E_NOMEM);
        if (st == MB_OK) assert_true(n > 0);
        mb_result_file_free(file);
    }
    st = MB_E_NOMEM;
    struct mb_result_file *file = NULL;
    assert_int_equal(mb_result_file_new("x.json", json, &file, &err), MB_OK);
    for (size_t n = 0; st != MB_OK; n += 97) { /* there are thousands */
        json_t *again = NULL;
        json_set_alloc_funcs(scarce, free);
        n_left = n;
        st = mb_result_file_json(file, &again, &err);
        assert_true(st == MB_OK || st == MB_E_NOMEM);
        json_decref(again);
        json_set_alloc_funcs(malloc, free);
    }
    mb_result_file_free(file);
    json_decref(json);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_results_come_back_byte_for_byte),
        cmocka_unit_test(the_fixture_comes_back_byte_for_byte),
        cmocka_unit_test(faults_are_told_with_their_place),
        cmocka_unit_test(texts_that_are_no_json),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
