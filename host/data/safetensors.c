/* safetensors: eight bytes of length, a JSON object that names every tensor with its element type,
 * shape and place, then the elements. */
#include "datafile.h"
#include "mapping.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH_BYTES = 8 };

struct mb_safetensors {
    struct mb_mapping file;
    json_t *header;
    const char *data;
    size_t data_len;
    char *path;
};

void mb_safetensors_close(struct mb_safetensors *s) {
    if (!s) return;
    json_decref(s->header);
    mb_unmap(&s->file);
    free(s->path);
    free(s);
}

enum mb_status mb_safetensors_open(const char *path, struct mb_safetensors **out,
                                   struct mb_err *err) {
    enum mb_status st = MB_OK;
    uint64_t len = 0;
    json_error_t why;
    struct mb_safetensors *s = calloc(1, sizeof *s);
    if (!s || !(s->path = strdup(path))) {
        st = mb_fail(err, MB_E_NOMEM, "%s: no memory", path);
        goto out;
    }
    MB_TRY(mb_map(path, &s->file, err));
    for (size_t i = 0; i < LENGTH_BYTES && s->file.len >= LENGTH_BYTES; i++)
        len |= (uint64_t)(unsigned char)s->file.data[i] << (8 * i);
    if (s->file.len < LENGTH_BYTES || len > s->file.len - LENGTH_BYTES) {
        st =
            mb_fail(err, MB_E_INVALID, "%s: not a safetensors file: its header does not fit", path);
        goto out;
    }
    s->header = json_loadb(s->file.data + LENGTH_BYTES, len, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(s->header)) {
        st = mb_fail(err, MB_E_INVALID, "%s: not a safetensors file: its header is no JSON object",
                     path);
        goto out;
    }
    s->data = s->file.data + LENGTH_BYTES + len;
    s->data_len = s->file.len - LENGTH_BYTES - len;
    *out = s;
    return MB_OK;
out:
    mb_safetensors_close(s);
    return st;
}

static bool get_type(const json_t *entry, struct mb_type *out) {
    static const struct {
        const char *name;
        enum mb_dtype dtype;
    } types[] = {
        {"F32", MB_F32}, {"F64", MB_F64}, {"I32", MB_I32}, {"I64", MB_I64}, {"BOOL", MB_BOOL}};
    const char *name = json_string_value(json_object_get(entry, "dtype"));
    const json_t *shape = json_object_get(entry, "shape");
    bool known = false;
    for (size_t i = 0; name && i < sizeof types / sizeof *types; i++)
        if (strcmp(name, types[i].name) == 0) {
            out->dtype = types[i].dtype;
            known = true;
        }
    if (!known || !json_is_array(shape) || json_array_size(shape) > MB_MAX_RANK) return false;
    out->shape.rank = (int32_t)json_array_size(shape);
    for (int32_t i = 0; i < out->shape.rank; i++) {
        const json_t *extent = json_array_get(shape, (size_t)i);
        if (!json_is_integer(extent) || json_integer_value(extent) < 0) return false;
        out->shape.dim[i] = json_integer_value(extent);
    }
    return true;
}

enum mb_status mb_safetensors_read(const struct mb_safetensors *s, const char *name,
                                   const struct mb_type *want, void *out, struct mb_err *err) {
    char wanted[160], found[160];
    struct mb_type type;
    size_t bytes = 0;
    const json_t *entry = json_object_get(s->header, name);
    if (!entry)
        return mb_fail(err, MB_E_INVALID, "%s: has no tensor %s, which is a weight of the program",
                       s->path, name);
    if (!get_type(entry, &type))
        return mb_fail(err, MB_E_INVALID, "%s: %s is not of f32, f64, i32, i64 or bool", s->path,
                       name);
    if (!mb_type_equal(&type, want))
        return mb_fail(err, MB_E_INVALID, "%s: %s is %s, the program wants %s", s->path, name,
                       mb_type_text(found, sizeof found, &type, NULL),
                       mb_type_text(wanted, sizeof wanted, want, NULL));
    mb_type_bytes(want, &bytes);
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_int_t begin = json_integer_value(json_array_get(offsets, 0));
    const json_int_t end = json_integer_value(json_array_get(offsets, 1));
    if (json_array_size(offsets) != 2 || begin < 0 || end < begin || (uint64_t)end > s->data_len ||
        (uint64_t)(end - begin) != bytes)
        return mb_fail(err, MB_E_INVALID, "%s: %s lies outside of the file; is it cut off?",
                       s->path, name);
    if (out) memcpy(out, s->data + begin, bytes);
    return MB_OK;
}
