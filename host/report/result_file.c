#include "result_file.h"

#include "place.h"
#include "report.h"
#include "sha256.h"

#include <stdlib.h>
#include <string.h>

static const char advice[] = "name a file that mindbench run wrote";

/* No object or array lies deeper than `left` below this one. */
static bool shallow(const json_t *value, int left) {
    const char *key;
    json_t *child;
    size_t i;
    if (!json_is_object(value) && !json_is_array(value)) return true;
    if (left == 0) return false;
    json_object_foreach((json_t *)value, key, child) if (!shallow(child, left - 1)) return false;
    json_array_foreach(value, i, child) if (!shallow(child, left - 1)) return false;
    return true;
}

enum mb_status mb_result_parse(const char *name, const char *text, size_t len, json_t **out,
                               struct mb_err *err) {
    json_error_t error;
    json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    if (!json) {
        if (json_error_code(&error) == json_error_out_of_memory)
            return mb_fail(err, MB_E_NOMEM, "%s: no memory for its content", name);
        mb_printable(error.text); /* it quotes the file */
        return mb_fail(err, MB_E_INVALID, "%s: line %d: %s; %s", name, error.line, error.text,
                       advice);
    }
    if (!shallow(json, MB_RESULT_MAX_DEPTH)) {
        json_decref(json);
        return mb_fail(err, MB_E_INVALID, "%s: nested deeper than %d; %s", name,
                       MB_RESULT_MAX_DEPTH, advice);
    }
    *out = json;
    return MB_OK;
}

/* What the file says that it is, before anything in it is believed. */
static enum mb_status check_version(const char *name, const json_t *json, struct mb_err *err) {
    const char *version = json_string_value(json_object_get(json, "schema_version"));
    char shown[24] = "";
    if (!version)
        return mb_fail(err, MB_E_INVALID,
                       "%s: no result of mindbench run: it has no schema_version; %s", name,
                       advice);
    if (strcmp(version, MB_RESULT_SCHEMA_VERSION) == 0) return MB_OK;
    snprintf(shown, sizeof shown, "%s", version);
    mb_printable(shown);
    return mb_fail(
        err, MB_E_INVALID,
        "%s: schema version %s: this build reads %s; use the mindbench that wrote it, or "
        "measure again",
        name, shown, MB_RESULT_SCHEMA_VERSION);
}

enum mb_status mb_result_file_new(const char *name, json_t *json, struct mb_result_file **out,
                                  struct mb_err *err) {
    struct mb_err why;
    enum mb_status st = check_version(name, json, err);
    if (st != MB_OK) return st;
    struct mb_result_file *file = malloc(sizeof *file);
    if (!file) return mb_fail(err, MB_E_NOMEM, "%s: no memory for its content", name);
    st = mb_result_file_fill(json, file, &why);
    if (st != MB_OK) {
        free(file);
        return mb_fail(err, st, "%s: %s; %s", name, why.text, advice);
    }
    if (file->sealed) {
        char digest[MB_DIGEST_SIZE];
        const char *says = json_string_value(json_object_get(json, MB_RESULT_DIGEST));
        if (!mb_result_digest(json, digest)) {
            mb_result_file_free(file);
            return mb_fail(err, MB_E_NOMEM, "%s: no memory for its content", name);
        }
        file->altered = !says || strcmp(says, digest) != 0;
    }
    *out = file;
    return MB_OK;
}

enum mb_status mb_result_file_read(const char *path, struct mb_result_file **out,
                                   struct mb_err *err) {
    json_t *json = NULL;
    enum mb_status st = mb_result_load(path, &json, err);
    if (st == MB_OK) st = mb_result_file_new(path, json, out, err);
    json_decref(json);
    return st;
}

void mb_result_file_free(struct mb_result_file *file) {
    if (!file) return;
    mb_arena_free(&file->result.arena);
    free(file);
}

/* ---- digest ---- */

static int hash_text(const char *text, size_t len, void *hash) {
    mb_sha256_add(hash, text, len);
    return 0;
}

bool mb_result_digest(json_t *json, char digest[MB_DIGEST_SIZE]) {
    struct mb_sha256 hash;
    char hex[MB_SHA256_HEX];
    json_t *rest = json_copy(json);
    if (!rest) return false;
    json_object_del(rest, MB_RESULT_DIGEST);
    mb_sha256_init(&hash);
    const bool ok =
        json_dump_callback(rest, hash_text, &hash,
                           JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17)) == 0;
    mb_sha256_hex(&hash, hex);
    if (ok) snprintf(digest, MB_DIGEST_SIZE, "sha256:%s", hex);
    json_decref(rest);
    return ok;
}

bool mb_result_seal(json_t *json) {
    char digest[MB_DIGEST_SIZE];
    /* the numbers as they will be read */
    char *text = json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(MB_REPORT_DIGITS));
    json_t *written = text ? json_loads(text, 0, NULL) : NULL;
    const bool ok = written && mb_result_digest(written, digest) &&
                    json_object_set_new(json, MB_RESULT_DIGEST, json_string(digest)) == 0;
    json_decref(written);
    free(text);
    return ok;
}
