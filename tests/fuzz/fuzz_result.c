/* Any bytes as a result file: it is read or refused with one line, what is read is written again,
 * verified, compared with itself and merged, and nothing crashes, leaks or hangs. What was written
 * is read back and written the same. */
#include "report.h"
#include "result_compare.h"
#include "result_verify.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SAMPLES = 24 }; /* of all rows: each costs thousands of draws */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth) {
    if (!truth) abort();
}

static void require_line(const struct mb_err *err) {
    require(*err->text && !strchr(err->text, '\n') && strlen(err->text) < sizeof err->text);
}

static size_t n_samples(const struct mb_result *r) {
    size_t n = 0;
    for (size_t i = 0; i < r->n_benchmarks; i++)
        for (size_t k = 0; k < r->benchmarks[i].n_executors; k++) {
            const struct mb_executor_result *e = &r->benchmarks[i].executors[k];
            n += 1 + e->n_samples;
            for (int d = 0; d < MB_N_DEVICE_SERIES; d++) n += e->device_time[d].n_samples;
        }
    return n;
}

static void comes_back(const struct mb_result_file *file) {
    struct mb_result_file *again = NULL;
    json_t *first = NULL, *second = NULL;
    struct mb_err err;
    require(mb_result_file_json(file, &first, &err) == MB_OK);
    if (mb_result_file_new("again", first, &again, &err) == MB_OK) {
        require(mb_result_file_json(again, &second, &err) == MB_OK);
        char *a = json_dumps(first, JSON_REAL_PRECISION(MB_REPORT_DIGITS));
        char *b = json_dumps(second, JSON_REAL_PRECISION(MB_REPORT_DIGITS));
        require(a && b && strcmp(a, b) == 0);
        free(a);
        free(b);
    }
    json_decref(first);
    json_decref(second);
    mb_result_file_free(again);
}

static void use(json_t *json, struct mb_result_file *file) {
    struct mb_verification v = {0};
    struct mb_compared c = {0};
    const struct mb_compare_options options = {0};
    struct mb_err err;
    comes_back(file);
    if (n_samples(&file->result) > MAX_SAMPLES) return;
    require(mb_compare_results(file, file, &options, &c, &err) == MB_OK);
    mb_compared_free(&c);
    require(mb_verify(json, file, &v, &err) == MB_OK);
    for (size_t i = 0; i < v.n_findings; i++) require(!strchr(v.findings[i].text, '\n'));
    mb_verification_free(&v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = malloc(size ? size : 1); /* exactly as long, so that a read past it is seen */
    json_t *json = NULL;
    struct mb_result_file *file = NULL;
    struct mb_err err = {.text = ""};
    require(text != NULL);
    memcpy(text, data, size);
    if (mb_result_parse("fuzz.json", text, size, &json, &err) != MB_OK) {
        require_line(&err);
    } else if (mb_result_file_new("fuzz.json", json, &file, &err) != MB_OK) {
        require_line(&err);
    } else {
        use(json, file);
    }
    mb_result_file_free(file);
    json_decref(json);
    free(text);
    return 0;
}
