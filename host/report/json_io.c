#include "json_io.h"

#include "report_value.h"
#include "stats.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- faults ---- */

enum { LONGEST_KEY = 60 }; /* in a message */

void mb_io_wrong(const struct mb_io_object *o, const char *key, const char *format, ...) {
    char where[256] = "", why[200];
    va_list args;
    if (o->io->failed) return;
    o->io->failed = true;
    size_t used = mb_place_text(&o->at, LONGEST_KEY, where, sizeof where);
    if (key)
        snprintf(where + used, sizeof where - used, "%s%.*s", used && *key != '[' ? "." : "",
                 LONGEST_KEY, key);
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    mb_fail(o->io->err, MB_E_INVALID, "%s%s%s", where, *where ? ": " : "", why);
    mb_printable(o->io->err->text);
}

static void out_of_memory(struct mb_io *io) {
    if (!io->failed && io->reading) mb_fail(io->err, MB_E_NOMEM, "out of memory");
    io->failed = true;
}

static const char *kind_of(const json_t *value) {
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a text";
    case JSON_INTEGER:
    case JSON_REAL: return "a number";
    case JSON_TRUE:
    case JSON_FALSE: return "true or false";
    case JSON_NULL: return "null";
    }
    return "of no kind";
}

/* ---- the two directions ---- */

static void put(struct mb_io_object *o, const char *key, json_t *value) {
    if (o->blank && !json_is_null(value)) {
        json_decref(value);
        value = json_null();
    }
    if (json_object_set_new(o->json, key, value)) out_of_memory(o->io);
}

/* The value under `key`, NULL when there is none or something failed before. */
static json_t *take(struct mb_io_object *o, const char *key) {
    if (o->io->failed) return NULL;
    json_t *value = json_object_get(o->json, key);
    if (!value)
        mb_io_wrong(o, key, "is missing");
    else if (o->n_known < MB_IO_MAX_KEYS)
        o->known[o->n_known++] = key;
    return value;
}

/* The value when it is of the wanted kind; NULL for null and after a fault. */
static json_t *take_kind(struct mb_io_object *o, const char *key, bool (*is)(const json_t *),
                         const char *wanted, bool or_null) {
    json_t *value = take(o, key);
    if (!value || (or_null && json_is_null(value))) return NULL;
    if (or_null && o->blank)
        mb_io_wrong(o, key, "is %s, where nothing was measured", kind_of(value));
    if (is(value)) return value;
    mb_io_wrong(o, key, "is %s, not %s", kind_of(value), wanted);
    return NULL;
}

static bool is_number(const json_t *v) { return json_is_number(v); }
static bool is_whole(const json_t *v) { return json_is_integer(v); }
static bool is_text(const json_t *v) { return json_is_string(v); }
static bool is_truth(const json_t *v) { return json_is_boolean(v); }
static bool is_object(const json_t *v) { return json_is_object(v); }
static bool is_array(const json_t *v) { return json_is_array(v); }

/* A file name may be any bytes: what is not UTF-8 becomes question marks. */
static json_t *utf8(const char *text) {
    json_t *value = json_string(text);
    if (!value) {
        char *copy = strdup(text);
        for (char *c = copy; c && *c; c++)
            if ((unsigned char)*c >= 0x80) *c = '?';
        value = copy ? json_string(copy) : NULL;
        free(copy);
    }
    return value;
}

static json_t *text_or_null(const char *text) { return text && *text ? utf8(text) : json_null(); }

static const char *keep_text(struct mb_io *io, const json_t *value) {
    const char *copy =
        mb_arena_strndup(io->arena, json_string_value(value), json_string_length(value));
    if (!copy) out_of_memory(io);
    return copy;
}

/* ---- objects and arrays ---- */

struct mb_io_object mb_io_top(struct mb_io *io, json_t *json) {
    struct mb_io_object o = {.io = io, .json = json};
    if (!json) out_of_memory(io);
    return o;
}

static struct mb_io_object child(struct mb_io_object *parent, const char *key, bool object) {
    struct mb_io_object o = {.io = parent->io, .at = {&parent->at, key, 0}};
    if (o.io->reading) {
        o.json = take_kind(parent, key, object ? is_object : is_array,
                           object ? "an object" : "an array", false);
        return o;
    }
    json_t *name = utf8(key), *value = object ? json_object() : json_array();
    /* without a name, the value is released all the same */
    if (json_object_set_new(parent->json, json_string_value(name), value))
        out_of_memory(o.io);
    else
        o.json = value;
    json_decref(name);
    return o;
}

struct mb_io_object mb_io_object(struct mb_io_object *parent, const char *key) {
    return child(parent, key, true);
}

void mb_io_end(struct mb_io_object *o) {
    const char *key;
    json_t *value;
    if (!o->io->reading || o->io->failed || json_object_size(o->json) == o->n_known) return;
    json_object_foreach(o->json, key, value) {
        bool known = false;
        for (size_t i = 0; i < o->n_known && !known; i++) known = strcmp(o->known[i], key) == 0;
        if (!known) {
            mb_io_wrong(o, key, "is not a key of this version");
            return;
        }
    }
}

struct mb_io_object mb_io_map(struct mb_io_object *parent, const char *key, size_t *n) {
    struct mb_io_object o = child(parent, key, true);
    if (o.io->reading) *n = o.io->failed ? 0 : json_object_size(o.json);
    return o;
}

const char *mb_io_name(struct mb_io_object *map, size_t i) {
    void *at = map->io->failed ? NULL : json_object_iter(map->json);
    while (at && i-- > 0) at = json_object_iter_next(map->json, at);
    const char *key = at ? json_object_iter_key(at) : "";
    const char *copy = mb_arena_strndup(map->io->arena, key, strlen(key));
    if (!copy) out_of_memory(map->io);
    return copy ? copy : "";
}

struct mb_io_object mb_io_array(struct mb_io_object *parent, const char *key, size_t *n) {
    struct mb_io_object o = child(parent, key, false);
    if (o.io->reading) *n = o.io->failed ? 0 : json_array_size(o.json);
    return o;
}

struct mb_io_object mb_io_element(struct mb_io_object *array, size_t i) {
    struct mb_io_object o = {.io = array->io, .at = {&array->at, NULL, i}};
    if (o.io->failed) return o;
    if (o.io->reading) {
        o.json = json_array_get(array->json, i);
        if (!json_is_object(o.json)) mb_io_wrong(&o, NULL, "is %s, not an object", kind_of(o.json));
        return o;
    }
    o.json = json_object();
    if (json_array_append_new(array->json, o.json)) out_of_memory(o.io);
    return o;
}

bool mb_io_optional(const struct mb_io_object *o, const char *key, bool present) {
    if (!o->io->reading) return present;
    return !o->io->failed && json_object_get(o->json, key) != NULL;
}

bool mb_io_is_null(const struct mb_io_object *o, const char *key, bool written) {
    if (!o->io->reading) return written;
    return !o->io->failed && json_is_null(json_object_get(o->json, key));
}

bool mb_io_is_text(const struct mb_io_object *o, const char *key, bool written) {
    if (!o->io->reading) return written;
    return !o->io->failed && json_is_string(json_object_get(o->json, key));
}

void *mb_io_room(struct mb_io *io, void *field, size_t n, size_t size) {
    if (!io->reading) return field;
    if (io->failed || n == 0) return NULL;
    void *room = mb_arena_calloc(io->arena, n, size);
    if (!room) out_of_memory(io);
    return room;
}

/* ---- values ---- */

static void number(struct mb_io_object *o, const char *key, double *value, double unit,
                   double low) {
    if (!o->io->reading) {
        put(o, key, mb_json_number(*value / unit));
        return;
    }
    const json_t *v = take_kind(o, key, is_number, "a number", true);
    *value = v ? json_number_value(v) * unit : (double)NAN;
    if (v && (!isfinite(*value) || *value < low)) mb_io_wrong(o, key, "is out of its range");
}

void mb_io_number(struct mb_io_object *o, const char *key, double *value, double unit) {
    number(o, key, value, unit, 0);
}

void mb_io_signed(struct mb_io_object *o, const char *key, double *value, double unit) {
    number(o, key, value, unit, -INFINITY);
}

void mb_io_integer(struct mb_io_object *o, const char *key, int64_t *value, int64_t low,
                   int64_t high) {
    if (!o->io->reading) {
        put(o, key, json_integer((json_int_t)*value));
        return;
    }
    const json_t *v = take_kind(o, key, is_whole, "a whole number", false);
    *value = v ? json_integer_value(v) : low;
    if (*value >= low && *value <= high) return;
    *value = low;
    mb_io_wrong(o, key, "is not from %lld to %lld", (long long)low, (long long)high);
}

void mb_io_count(struct mb_io_object *o, const char *key, int64_t *value) {
    if (!o->io->reading) {
        put(o, key, *value < 0 ? json_null() : json_integer((json_int_t)*value));
        return;
    }
    const json_t *v = take_kind(o, key, is_whole, "a whole number", true);
    *value = v ? json_integer_value(v) : -1;
    if (v && *value < 0) mb_io_wrong(o, key, "is below 0");
}

void mb_io_int(struct mb_io_object *o, const char *key, int *value) {
    int64_t wide = *value;
    mb_io_count(o, key, &wide);
    if (!o->io->reading) return;
    if (wide > INT32_MAX) mb_io_wrong(o, key, "is above %d", INT32_MAX);
    *value = o->io->failed ? -1 : (int)wide;
}

void mb_io_bool(struct mb_io_object *o, const char *key, bool *value) {
    if (!o->io->reading) {
        put(o, key, json_boolean(*value));
        return;
    }
    *value = json_is_true(take_kind(o, key, is_truth, "true or false", false));
}

void mb_io_yes_no(struct mb_io_object *o, const char *key, int *value) {
    if (!o->io->reading) {
        put(o, key, *value < 0 ? json_null() : json_boolean(*value));
        return;
    }
    const json_t *v = take_kind(o, key, is_truth, "true or false", true);
    *value = v ? json_is_true(v) : -1;
}

void mb_io_text(struct mb_io_object *o, const char *key, const char **text) {
    if (!o->io->reading) {
        put(o, key, text_or_null(*text));
        return;
    }
    const json_t *v = take_kind(o, key, is_text, "a text", true);
    *text = v ? keep_text(o->io, v) : NULL;
}

void mb_io_string(struct mb_io_object *o, const char *key, const char **text) {
    if (!o->io->reading) {
        put(o, key, utf8(*text ? *text : ""));
        return;
    }
    const json_t *v = take_kind(o, key, is_text, "a text", false);
    *text = v ? keep_text(o->io, v) : NULL;
    if (!*text) *text = "";
}

void mb_io_chars(struct mb_io_object *o, const char *key, char *text, size_t size) {
    if (!o->io->reading) {
        put(o, key, text_or_null(text));
        return;
    }
    const json_t *v = take_kind(o, key, is_text, "a text", true);
    size_t len = v ? json_string_length(v) : 0;
    if (len >= size) {
        mb_io_wrong(o, key, "is longer than %zu bytes", size - 1);
        len = 0;
    }
    if (len) memcpy(text, json_string_value(v), len);
    text[len] = '\0';
}

size_t mb_io_choice(struct mb_io_object *o, const char *key, size_t index, const char *const *names,
                    size_t n, bool or_null) {
    if (!o->io->reading) {
        put(o, key, index < n ? json_string(names[index]) : json_null());
        return index;
    }
    const json_t *v = take_kind(o, key, is_text, "a text", or_null);
    if (!v) return or_null ? n : 0;
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], json_string_value(v)) == 0) return i;
    mb_io_wrong(o, key, "is \"%.40s\", none of the words that can stand there",
                json_string_value(v));
    return 0;
}

/* ---- arrays of values ---- */

static void append(json_t *array, json_t *value, struct mb_io *io) {
    if (json_array_append_new(array, value)) out_of_memory(io);
}

/* Element i, told as KEY[i] when it is wrong. */
static void wrong_element(const struct mb_io_object *array, size_t i, const char *why) {
    char at[32];
    snprintf(at, sizeof at, "[%zu]", i);
    mb_io_wrong(array, at, "%s", why);
}

void mb_io_samples(struct mb_io_object *o, const char *key, double **values, size_t *n,
                   double unit) {
    struct mb_io_object array = mb_io_array(o, key, n);
    *values = mb_io_room(o->io, *values, *n, sizeof **values);
    for (size_t i = 0; i < *n && !o->io->failed; i++) {
        if (!o->io->reading) {
            append(array.json, mb_json_number((*values)[i] / unit), o->io);
            continue;
        }
        const json_t *v = json_array_get(array.json, i);
        const double ns = mb_stats_whole_ps(json_number_value(v) * unit);
        if (!json_is_number(v) || !(ns > 0) || !isfinite(ns))
            wrong_element(&array, i, "is no number above 0");
        (*values)[i] = ns;
    }
    if (o->io->failed && o->io->reading) *n = 0;
}

void mb_io_indices(struct mb_io_object *o, const char *key, const size_t **values, size_t *n) {
    struct mb_io_object array = mb_io_array(o, key, n);
    size_t *room = mb_io_room(o->io, NULL, *n, sizeof *room);
    for (size_t i = 0; i < *n && !o->io->failed; i++) {
        if (!o->io->reading) {
            append(array.json, json_integer((json_int_t)(*values)[i]), o->io);
            continue;
        }
        const json_t *v = json_array_get(array.json, i);
        if (!json_is_integer(v) || json_integer_value(v) < 0)
            wrong_element(&array, i, "is no whole number of at least 0");
        else
            room[i] = (size_t)json_integer_value(v);
    }
    if (!o->io->reading) return;
    *values = room;
    if (o->io->failed) *n = 0;
}

void mb_io_texts(struct mb_io_object *o, const char *key, char ***values, int *n) {
    size_t count = *n > 0 ? (size_t)*n : 0;
    struct mb_io_object array = mb_io_array(o, key, &count);
    if (o->io->reading && count > MB_IO_MAX_TEXTS) {
        mb_io_wrong(&array, NULL, "has more than %d texts", MB_IO_MAX_TEXTS);
        count = 0;
    }
    *values = mb_io_room(o->io, *values, count, sizeof **values);
    for (size_t i = 0; i < count && !o->io->failed; i++) {
        if (!o->io->reading) {
            append(array.json, utf8((*values)[i]), o->io);
            continue;
        }
        const json_t *v = json_array_get(array.json, i);
        if (!json_is_string(v))
            wrong_element(&array, i, "is no text");
        else if (!((*values)[i] =
                       mb_arena_strndup(o->io->arena, json_string_value(v), json_string_length(v))))
            out_of_memory(o->io);
    }
    if (o->io->reading) *n = o->io->failed ? 0 : (int)count;
}

/* ---- what follows from other fields ---- */

void mb_io_derived_number(struct mb_io_object *o, const char *key, double value) {
    if (!o->io->reading)
        put(o, key, mb_json_number(value));
    else
        take_kind(o, key, is_number, "a number", true);
}

void mb_io_derived_text(struct mb_io_object *o, const char *key, const char *text) {
    if (!o->io->reading)
        put(o, key, text_or_null(text));
    else
        take_kind(o, key, is_text, "a text", true);
}
