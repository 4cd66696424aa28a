#include "result_merge.h"

#include "report.h"

#include <string.h>

enum mb_status mb_merge_begin(struct mb_merge *out, struct mb_err *err) {
    *out = (struct mb_merge){.json = json_pack("{s:s, s:[]}", "schema_version",
                                               MB_RESULT_SCHEMA_VERSION, MB_RESULT_MERGED)};
    return out->json ? MB_OK : mb_fail(err, MB_E_NOMEM, "no memory to merge");
}

static json_t *name_of(const struct mb_result_part *part) {
    struct mb_arena arena;
    mb_arena_init(&arena);
    const char *label = mb_result_label(part, &arena);
    json_t *name = label ? json_string(label) : NULL;
    if (label && !name) name = json_string(MB_RESULT_NO_NAME);
    mb_arena_free(&arena);
    return name;
}

static bool is_there(const struct mb_merge *m, const json_t *result) {
    const json_t *parts = json_object_get(m->json, MB_RESULT_MERGED), *part;
    size_t i;
    json_array_foreach(parts, i,
                       part) if (json_equal(json_object_get(part, "result"), result)) return true;
    return false;
}

static enum mb_status changed(const char *name, struct mb_err *err) {
    return mb_fail(err, MB_E_NUMERIC,
                   "%s: its digest is not that of its content: it was changed after it was "
                   "written; mindbench verify tells more",
                   name);
}

static enum mb_status check(const struct mb_result_part *part, struct mb_err *err) {
    struct mb_result_file *file = NULL;
    enum mb_status st = mb_result_file_new(part->name, part->json, &file, err);
    if (st == MB_OK && file->altered) st = changed(part->name, err);
    mb_result_file_free(file);
    return st;
}

static enum mb_status add_part(struct mb_merge *m, const struct mb_result_part *part,
                               struct mb_err *err) {
    enum mb_status st = check(part, err);
    if (st != MB_OK) return st;
    if (is_there(m, part->json)) {
        m->n_duplicates++;
        return MB_OK;
    }
    if (json_array_append_new(
            json_object_get(m->json, MB_RESULT_MERGED),
            json_pack("{s:o, s:O}", "name", name_of(part), "result", part->json)) != 0)
        return mb_fail(err, MB_E_NOMEM, "no memory to merge");
    m->n_parts++;
    return MB_OK;
}

enum mb_status mb_merge_add(struct mb_merge *m, const char *path, struct mb_err *err) {
    struct mb_result_set set;
    enum mb_status st = mb_result_set_load(path, &set, err);
    if (st != MB_OK) return st;
    if (set.altered) st = changed(path, err);
    for (size_t i = 0; i < set.n && st == MB_OK; i++) st = add_part(m, &set.parts[i], err);
    mb_result_set_free(&set);
    return st;
}

bool mb_merge_print(struct mb_merge *m, FILE *out) {
    return mb_result_seal(m->json) && mb_report_print_json(m->json, out);
}

void mb_merge_free(struct mb_merge *m) {
    json_decref(m->json);
    *m = (struct mb_merge){0};
}
