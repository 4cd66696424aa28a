/* NumPy's .npy: a magic number, a version, the length of a Python dictionary literal, that literal
 * (element type, order, shape), then the elements. */
#include "datafile.h"
#include "mapping.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static const char magic[] = "\x93NUMPY";
enum { MAGIC_BYTES = sizeof magic - 1 };

struct header {
    const char *text; /* the dictionary */
    size_t len;
    size_t data_offset;
};

static bool find_header(const struct mb_mapping *file, struct header *out) {
    const unsigned char *bytes = (const unsigned char *)file->data;
    if (file->len < MAGIC_BYTES + 4 || memcmp(bytes, magic, MAGIC_BYTES) != 0) return false;
    const int version = bytes[MAGIC_BYTES];
    const size_t size_bytes = version == 1 ? 2 : 4, start = MAGIC_BYTES + 2 + size_bytes;
    if (version < 1 || version > 3 || file->len < start) return false;
    out->len = 0;
    for (size_t i = 0; i < size_bytes; i++)
        out->len |= (size_t)bytes[MAGIC_BYTES + 2 + i] << (8 * i);
    out->text = file->data + start;
    out->data_offset = start + out->len;
    return out->len <= file->len - start;
}

/* The text behind `'key':`, without leading blanks; NULL when there is none. */
static const char *value_of(const struct header *h, const char *key) {
    const size_t key_len = strlen(key);
    for (size_t i = 0; i + key_len + 3 <= h->len; i++) {
        const char *at = h->text + i;
        if (at[0] != '\'' || memcmp(at + 1, key, key_len) != 0 || at[key_len + 1] != '\'') continue;
        at += key_len + 2;
        while (at < h->text + h->len && (*at == ' ' || *at == ':')) at++;
        return at;
    }
    return NULL;
}

static bool starts_with(const struct header *h, const char *at, const char *prefix) {
    size_t len = strlen(prefix);
    return at && (size_t)(h->text + h->len - at) >= len && memcmp(at, prefix, len) == 0;
}

/* "(2, 3)", "(5,)", "()" */
static bool parse_shape(const struct header *h, const char *at, struct mb_shape *out) {
    const char *end = h->text + h->len;
    out->rank = 0;
    if (!starts_with(h, at, "(")) return false;
    at++;
    for (;;) {
        while (at < end && (*at == ' ' || *at == ',')) at++;
        if (at == end) return false;
        if (*at == ')') return true;
        if (!isdigit((unsigned char)*at) || out->rank == MB_MAX_RANK) return false;
        int64_t extent = 0;
        for (; at < end && isdigit((unsigned char)*at); at++)
            if (__builtin_mul_overflow(extent, 10, &extent) ||
                __builtin_add_overflow(extent, *at - '0', &extent))
                return false;
        out->dim[out->rank++] = extent;
    }
}

static enum mb_status check(const char *path, const struct header *h, const struct mb_type *want,
                            struct mb_err *err) {
    static const struct {
        const char *descr;
        enum mb_dtype dtype;
    } types[] = {{"'<f4'", MB_F32},
                 {"'<f8'", MB_F64},
                 {"'<i4'", MB_I32},
                 {"'<i8'", MB_I64},
                 {"'|b1'", MB_BOOL}};
    char wanted[160], found[160];
    const char *descr = value_of(h, "descr");
    struct mb_type type = {.dtype = MB_F32};
    bool known = false;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (starts_with(h, descr, types[i].descr)) {
            type.dtype = types[i].dtype;
            known = true;
        }
    if (!known || !parse_shape(h, value_of(h, "shape"), &type.shape))
        return mb_fail(err, MB_E_INVALID,
                       "%s: not an array of f32, f64, i32, i64 or bool in little-endian order",
                       path);
    if (!starts_with(h, value_of(h, "fortran_order"), "False"))
        return mb_fail(err, MB_E_INVALID,
                       "%s: in Fortran order; save it with numpy.ascontiguousarray", path);
    if (mb_type_equal(&type, want)) return MB_OK;
    return mb_fail(err, MB_E_INVALID, "%s: holds %s, the program wants %s", path,
                   mb_type_text(found, sizeof found, &type, NULL),
                   mb_type_text(wanted, sizeof wanted, want, NULL));
}

enum mb_status mb_npy_read(const char *path, const struct mb_type *want, void *out,
                           struct mb_err *err) {
    struct mb_mapping file = {NULL, 0};
    struct header h;
    size_t bytes = 0;
    enum mb_status st = MB_OK;
    MB_TRY(mb_map(path, &file, err));
    if (!file.data || !find_header(&file, &h)) {
        st = mb_fail(err, MB_E_INVALID, "%s: not a .npy file of version 1, 2 or 3", path);
        goto out;
    }
    MB_TRY(check(path, &h, want, err));
    mb_type_bytes(want, &bytes);
    if (file.len - h.data_offset < bytes) {
        st = mb_fail(err, MB_E_INVALID, "%s: %zu bytes of elements are missing; is it cut off?",
                     path, bytes - (file.len - h.data_offset));
        goto out;
    }
    if (out) memcpy(out, file.data + h.data_offset, bytes);
out:
    mb_unmap(&file);
    return st;
}
