#include "file.h"
#include "report.h"
#include "result_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char advice[] = "name a file that mindbench run or mindbench merge wrote";

/* The N of FILE#N, 0 without one or where a file has that very name; *base is FILE's length. */
static size_t part_number(const char *path, size_t *base) {
    const char *hash = strrchr(path, '#');
    char *end;
    *base = strlen(path);
    if (!hash || hash == path || hash[1] < '1' || hash[1] > '9' || access(path, F_OK) == 0)
        return 0;
    const unsigned long long n = strtoull(hash + 1, &end, 10);
    if (*end || n > SIZE_MAX / 2) return 0;
    *base = (size_t)(hash - path);
    return (size_t)n;
}

static enum mb_status load_json(const char *path, json_t **out, struct mb_err *err) {
    char *text = NULL;
    size_t len = 0;
    struct mb_err why;
    enum mb_status st = mb_file_read(path, (size_t)MB_RESULT_MAX_MIB << 20, &text, &len, &why);
    if (st != MB_OK) return mb_fail(err, st, "%s; %s", why.text, advice);
    st = mb_result_parse(path, text, len, out, err);
    free(text);
    return st;
}

/* Parts of a merged file; only their frame is checked here. */
static enum mb_status take_parts(struct mb_result_set *set, struct mb_err *err) {
    const char *path = set->file;
    json_t *parts = json_object_get(set->json, MB_RESULT_MERGED);
    const char *version = json_string_value(json_object_get(set->json, "schema_version"));
    const char *says = json_string_value(json_object_get(set->json, MB_RESULT_DIGEST));
    char digest[MB_DIGEST_SIZE];
    if (!version || strcmp(version, MB_RESULT_SCHEMA_VERSION) != 0)
        return mb_fail(err, MB_E_INVALID,
                       "%s: merged results of another schema version than %s; %s", path,
                       MB_RESULT_SCHEMA_VERSION, advice);
    if (!json_array_size(parts) || json_object_size(set->json) != 3 || !says)
        return mb_fail(err, MB_E_INVALID, "%s: not of the form of merged results; %s", path,
                       advice);
    if (!mb_result_digest(set->json, digest))
        return mb_fail(err, MB_E_NOMEM, "%s: no memory for its content", path);
    set->altered = strcmp(says, digest) != 0;
    set->merged = true;
    set->n = json_array_size(parts);
    set->parts = mb_arena_calloc(&set->arena, set->n, sizeof *set->parts);
    for (size_t i = 0; set->parts && i < set->n; i++) {
        struct mb_result_part *p = &set->parts[i];
        json_t *part = json_array_get(parts, i);
        const size_t size = strlen(path) + 24;
        char *name = mb_arena_calloc(&set->arena, size, 1);
        p->given = json_string_value(json_object_get(part, "name"));
        p->json = json_object_get(part, "result");
        if (!p->given || !json_is_object(p->json) || json_object_size(part) != 2)
            return mb_fail(err, MB_E_INVALID, "%s: merged[%zu]: not of the form {name, result}; %s",
                           path, i, advice);
        if (name) snprintf(name, size, "%s#%zu", path, i + 1);
        p->name = name;
    }
    if (set->arena.failed) return mb_fail(err, MB_E_NOMEM, "%s: no memory for its content", path);
    return MB_OK;
}

static enum mb_status take_one(struct mb_result_set *set, struct mb_err *err) {
    set->n = 1;
    set->parts = mb_arena_calloc(&set->arena, 1, sizeof *set->parts);
    if (!set->parts) return mb_fail(err, MB_E_NOMEM, "%s: no memory for its content", set->file);
    set->parts[0] = (struct mb_result_part){.name = set->file, .json = set->json};
    return MB_OK;
}

static enum mb_status choose(size_t number, struct mb_result_set *set, struct mb_err *err) {
    if (number > set->n || !set->merged)
        return mb_fail(err, MB_E_INVALID, "%s: has no part %zu; it holds %zu result%s", set->file,
                       number, set->n, set->n == 1 ? "" : "s");
    set->parts += number - 1;
    set->n = 1;
    return MB_OK;
}

const char *mb_result_label(const struct mb_result_part *part, struct mb_arena *arena) {
    const char *slash = strrchr(part->name, '/');
    const char *label = part->given ? part->given : slash ? slash + 1 : part->name;
    size_t len = strlen(label);
    if (!part->given && len > 5 && strcmp(label + len - 5, ".json") == 0) len -= 5;
    return mb_arena_strndup(arena, label, len);
}

enum mb_status mb_result_set_load(const char *path, struct mb_result_set *out, struct mb_err *err) {
    struct mb_result_set set = {0};
    size_t base;
    const size_t number = part_number(path, &base);
    set.file = mb_arena_strndup(&set.arena, path, base);
    enum mb_status st = set.file ? load_json(set.file, &set.json, err)
                                 : mb_fail(err, MB_E_NOMEM, "%s: no memory for its name", path);
    if (st == MB_OK)
        st = json_object_get(set.json, MB_RESULT_MERGED) ? take_parts(&set, err)
                                                         : take_one(&set, err);
    if (st == MB_OK && number) st = choose(number, &set, err);
    if (st == MB_OK)
        *out = set;
    else
        mb_result_set_free(&set);
    return st;
}

void mb_result_set_free(struct mb_result_set *set) {
    json_decref(set->json);
    mb_arena_free(&set->arena);
    *set = (struct mb_result_set){0};
}

enum mb_status mb_result_load(const char *path, json_t **out, struct mb_err *err) {
    struct mb_result_set set;
    enum mb_status st = mb_result_set_load(path, &set, err);
    if (st != MB_OK) return st;
    if (set.n != 1)
        st = mb_fail(err, MB_E_INVALID, "%s: holds %zu results; name one of them: %s#1", path,
                     set.n, path);
    else
        *out = json_incref(set.parts[0].json);
    mb_result_set_free(&set);
    return st;
}
