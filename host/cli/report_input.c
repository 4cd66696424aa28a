#include "report_input.h"

#include "report_kernels.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

struct mb_report_part {
    const char *label, *place;
    struct mb_result_file *file; /* NULL: a table of kernels */
    bool altered;                /* after it was written, or the merged file that it is in */
};

enum mb_status mb_report_input_open(struct mb_report_input *out, struct mb_err *err) {
    *out = (struct mb_report_input){.lines = tmpfile()};
    mb_arena_init(&out->arena);
    return out->lines ? MB_OK
                      : mb_fail(err, MB_E_IO, "cannot make a temporary file: %s", strerror(errno));
}

void mb_report_input_close(struct mb_report_input *in) {
    for (size_t i = 0; i < in->n_parts; i++) mb_result_file_free(in->parts[i].file);
    if (in->lines) fclose(in->lines);
    mb_arena_free(&in->arena);
    *in = (struct mb_report_input){0};
}

static bool same_file(const char *a, const char *b) {
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static bool is_kernels(const json_t *json) {
    const char *format = json_string_value(json_object_get(json, "format"));
    return format && strcmp(format, MB_KERNELS_FORMAT) == 0;
}

static bool grow(struct mb_report_input *in) {
    if (in->n_parts < in->capacity) return true;
    const size_t capacity = in->capacity * 2 + 16;
    struct mb_report_part *grown = mb_arena_calloc(&in->arena, capacity, sizeof *grown);
    if (!grown) return false;
    if (in->n_parts) memcpy(grown, in->parts, in->n_parts * sizeof *grown);
    in->parts = grown;
    in->capacity = capacity;
    return true;
}

static enum mb_status no_memory(struct mb_err *err) {
    return mb_fail(err, MB_E_NOMEM, "no memory for the results; report fewer files");
}

static enum mb_status put_line(struct mb_report_input *in, const json_t *json, struct mb_err *err) {
    const size_t flags = JSON_COMPACT | JSON_REAL_PRECISION(17);
    if (json_dumpf(json, in->lines, flags) == 0 && putc('\n', in->lines) != EOF) return MB_OK;
    return mb_fail(err, MB_E_IO, "cannot write a temporary file: %s", strerror(errno));
}

static enum mb_status add_part(struct mb_report_input *in, const struct mb_result_part *part,
                               bool altered, struct mb_err *err) {
    struct mb_report_part made = {.label = mb_result_label(part, &in->arena),
                                  .place =
                                      mb_arena_strndup(&in->arena, part->name, strlen(part->name))};
    if (!made.label || !made.place || !grow(in)) return no_memory(err);
    enum mb_status st = is_kernels(part->json)
                            ? MB_OK
                            : mb_result_file_new(part->name, part->json, &made.file, err);
    if (st != MB_OK) return st;
    made.altered = altered || (made.file && made.file->altered);
    if (!made.file && !in->kernels) in->kernels = made.place;
    in->parts[in->n_parts++] = made;
    return put_line(in, part->json, err);
}

enum mb_status mb_report_input_add(struct mb_report_input *in, const char *path,
                                   const char *const *outputs, size_t n, struct mb_err *err) {
    struct mb_result_set set;
    enum mb_status st = mb_result_set_load(path, &set, err);
    if (st != MB_OK) return st;
    for (size_t i = 0; i < n && st == MB_OK; i++)
        if (outputs[i] && same_file(set.file, outputs[i]))
            st = mb_fail(err, MB_E_IO, "%s is one of the files to report; write to another one",
                         outputs[i]);
    for (size_t i = 0; i < set.n && st == MB_OK; i++)
        st = add_part(in, &set.parts[i], set.altered, err);
    mb_result_set_free(&set);
    return st;
}

/* ---- once all are there ---- */

/* Several machines' results are often called the same: those have their place beside their name. */
static enum mb_status name_results(struct mb_report_input *in, struct mb_err *err) {
    in->results = mb_arena_calloc(&in->arena, in->n_parts, sizeof *in->results);
    if (in->n_parts && !in->results) return no_memory(err);
    for (size_t i = 0; i < in->n_parts; i++) {
        const struct mb_report_part *p = &in->parts[i];
        const size_t size = strlen(p->label) + strlen(p->place) + 4;
        bool alone = true;
        for (size_t k = 0; k < in->n_parts && alone; k++)
            alone = k == i || strcmp(in->parts[k].label, p->label) != 0;
        char *both = alone ? NULL : mb_arena_calloc(&in->arena, size, 1);
        if (both) snprintf(both, size, "%s (%s)", p->label, p->place);
        const char *name = alone ? p->label : both;
        if (!name) return no_memory(err);
        in->results[i] = (struct mb_named_result){name, p->file ? &p->file->result : NULL};
    }
    return MB_OK;
}

/* The last line, with the names just made. */
static enum mb_status put_parts(struct mb_report_input *in, struct mb_err *err) {
    json_t *all = json_array();
    for (size_t i = 0; i < in->n_parts; i++) {
        const struct mb_report_part *p = &in->parts[i];
        json_t *label = json_string(in->results[i].name), *place = json_string(p->place);
        json_array_append_new(
            all, json_pack("{s:o, s:o, s:b}", "label",
                           label ? label : json_string(MB_RESULT_NO_NAME), "place",
                           place ? place : json_string(MB_RESULT_NO_NAME), "altered", p->altered));
    }
    enum mb_status st =
        json_array_size(all) == in->n_parts ? put_line(in, all, err) : no_memory(err);
    json_decref(all);
    return st;
}

enum mb_status mb_report_input_end(struct mb_report_input *in, struct mb_err *err) {
    enum mb_status st = name_results(in, err);
    if (st == MB_OK) st = put_parts(in, err);
    if (st == MB_OK && (fflush(in->lines) != 0 || fseek(in->lines, 0, SEEK_SET) != 0))
        st = mb_fail(err, MB_E_IO, "cannot write a temporary file: %s", strerror(errno));
    for (size_t i = 0; st == MB_OK && i < in->n_parts; i++)
        if (in->results[i].result) in->results[in->n_results++] = in->results[i];
    return st;
}
