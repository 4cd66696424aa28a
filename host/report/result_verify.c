#include "result_verify.h"

#include "cold_start.h"
#include "conclude.h"
#include "place.h"
#include "reason.h"
#include "runner.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LONGEST_KEY = 80 }; /* in a finding */

void mb_verify_find(struct mb_verification *v, bool deviation, const char *format, ...) {
    char text[600];
    va_list args;
    v->n_deviations += deviation;
    if (v->n_findings == v->capacity) {
        const size_t capacity = v->capacity * 2 + 16;
        struct mb_finding *grown = mb_arena_calloc(&v->arena, capacity, sizeof *grown);
        if (!grown) {
            v->failed = true;
            return;
        }
        if (v->n_findings) memcpy(grown, v->findings, v->n_findings * sizeof *grown);
        v->findings = grown;
        v->capacity = capacity;
    }
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    mb_printable(text);
    v->findings[v->n_findings++] = (struct mb_finding){deviation, mb_reason(&v->arena, "%s", text)};
}

void mb_verification_free(struct mb_verification *v) { mb_arena_free(&v->arena); }

/* ---- two JSON values ---- */

static const char *value_text(const json_t *value, char *buf, size_t size) {
    if (!value)
        snprintf(buf, size, "nothing");
    else if (json_is_object(value) || json_is_array(value))
        snprintf(buf, size, "%s of %zu", json_is_object(value) ? "an object" : "an array",
                 json_is_object(value) ? json_object_size(value) : json_array_size(value));
    else if (json_is_string(value))
        snprintf(buf, size, "\"%.100s\"", json_string_value(value));
    else if (json_is_integer(value))
        snprintf(buf, size, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        snprintf(buf, size, "%.15g", json_real_value(value));
    else
        snprintf(buf, size, "%s",
                 json_is_null(value)   ? "null"
                 : json_is_true(value) ? "true"
                                       : "false");
    return buf;
}

static bool same_number(const json_t *a, const json_t *b) {
    if (json_is_integer(a) && json_is_integer(b))
        return json_integer_value(a) == json_integer_value(b);
    const double x = json_number_value(a), y = json_number_value(b);
    return fabs(x - y) <= MB_VERIFY_TOLERANCE * fmax(fabs(x), fabs(y));
}

static void compare_values(const struct mb_place *at, const json_t *says, const json_t *formed,
                           struct mb_verification *v) {
    char where[400] = "", a[128], b[128];
    if (json_is_object(says) && json_is_object(formed)) {
        const char *key;
        json_t *value;
        json_object_foreach((json_t *)says, key, value) {
            compare_values(&(struct mb_place){at, key, 0}, value, json_object_get(formed, key), v);
        }
        json_object_foreach((json_t *)formed, key, value) {
            /* keys that came later: the digest shows that none was removed */
            if (v->sealed && !json_object_get(says, key))
                compare_values(&(struct mb_place){at, key, 0}, NULL, value, v);
        }
        return;
    }
    if (json_is_array(says) && json_is_array(formed) &&
        json_array_size(says) == json_array_size(formed)) {
        for (size_t i = 0; i < json_array_size(says); i++)
            compare_values(&(struct mb_place){at, NULL, i}, json_array_get(says, i),
                           json_array_get(formed, i), v);
        return;
    }
    const bool numbers = json_is_number(says) && json_is_number(formed);
    v->n_numbers += numbers;
    if (numbers ? same_number(says, formed) : json_equal(says, formed)) return;
    mb_place_text(at, LONGEST_KEY, where, sizeof where);
    mb_verify_find(v, true, "%s: says %s, the samples say %s", where, value_text(says, a, sizeof a),
                   value_text(formed, b, sizeof b));
}

/* ---- forming again ---- */

/* A valid row has its errors within what is allowed. The reverse holds not: there are other
 * reasons to be INVALID. */
static void judge_errors(const struct mb_result *r, struct mb_executor_result *e,
                         struct mb_arena *arena) {
    const bool tf32 = e->info.precision == MB_TF32;
    const double rel_l2 = tf32 ? MB_TOLERANCE_TF32_REL_L2 : r->tolerance_rel_l2;
    const double max_rel = tf32 ? MB_TOLERANCE_TF32_MAX_REL : r->tolerance_max_rel;
    if (!e->measured || !e->valid) return;
    if (e->rel_l2_error <= rel_l2 && e->max_rel_error <= max_rel) return;
    e->valid = false;
    e->invalid_reason = mb_reason(arena, "its errors are missing or beyond the tolerance");
}

static enum mb_status form_again(struct mb_result *r, struct mb_err *err) {
    enum mb_status st = MB_OK;
    for (size_t i = 0; i < r->n_benchmarks && st == MB_OK; i++) {
        struct mb_benchmark_result *b = &r->benchmarks[i];
        for (size_t k = 0; k < b->n_executors; k++) judge_errors(r, &b->executors[k], &r->arena);
        st = mb_conclude(b, r->seed, &r->statistics, &r->arena, err);
        if (st == MB_OK && b->cold_starts)
            st = mb_conclude_starts(b, b->cold_starts, r->seed, &r->arena, err);
    }
    /* A result may be INVALID for more than its rows, but not VALID with a row that is not. */
    if (r->valid) mb_conclude_result(r, NULL);
    return st;
}

static void check_digest(const struct mb_result_file *file, struct mb_verification *v) {
    v->sealed = file->sealed;
    if (!file->sealed)
        mb_verify_find(
            v, false, "digest: there is none; samples, machine and settings are taken as they are");
    if (file->altered) mb_verify_find(v, true, "digest: the content is not what was written");
}

enum mb_status mb_verify(json_t *json, struct mb_result_file *file, struct mb_verification *v,
                         struct mb_err *err) {
    json_t *formed = NULL, *says = NULL;
    check_digest(file, v);
    const bool known = file->result.statistics.n_resamples > 0;
    enum mb_status st = known ? form_again(&file->result, err) : MB_OK;
    if (!known)
        mb_verify_find(v, false,
                       "statistics: written by a version that formed them in another way; "
                       "they are not formed again");
    if (st == MB_OK) st = mb_result_file_json(file, &formed, err);
    if (st == MB_OK && !(says = json_copy(json)))
        st = mb_fail(err, MB_E_NOMEM, "no memory to compare");
    if (st == MB_OK) {
        json_object_del(says, MB_RESULT_DIGEST);
        json_object_del(formed, MB_RESULT_DIGEST);
        compare_values(&(struct mb_place){NULL, NULL, 0}, says, formed, v);
        if (v->failed) st = mb_fail(err, MB_E_NOMEM, "no memory to compare");
    }
    json_decref(says);
    json_decref(formed);
    return st;
}
