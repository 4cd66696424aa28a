/* One description of an object for writing and reading. A function that goes through the fields of
 * a structure with the calls below turns it into JSON or fills it from JSON, so that a writer and
 * its reader cannot drift apart and a new field is one line:
 *
 *     static void tolerance(struct mb_io_object *parent, struct mb_result *r) {
 *         struct mb_io_object o = mb_io_object(parent, "tolerance");
 *         mb_io_number(&o, "rel_l2", &r->tolerance_rel_l2, 1);
 *         mb_io_end(&o);
 *     }
 *
 * When writing, nothing of the structure is changed; the first failure is want of memory. When
 * reading, the first fault of the file is told in io->err with the place of it, and every later
 * call does nothing. A key that is missing or that nobody asked for is a fault. */
#ifndef MB_JSON_IO_H
#define MB_JSON_IO_H

#include "arena.h"
#include "place.h"
#include "status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mb_io {
    bool reading;
    bool failed;
    struct mb_arena *arena; /* reading: holds all texts and arrays; unused when writing */
    struct mb_err *err;     /* reading: `PLACE: WHY`; not NULL */
};

enum { MB_IO_MAX_KEYS = 128, MB_IO_MAX_TEXTS = 100000 };

struct mb_io_object {
    struct mb_io *io;
    json_t *json; /* borrowed from the parent */
    struct mb_place at;
    bool blank; /* every value is null, whatever the structure holds; set it at will */
    const char *known[MB_IO_MAX_KEYS];
    size_t n_known;
};

/* ---- objects and arrays ---- */

/* The whole. `json` is an object, owned by the caller. */
struct mb_io_object mb_io_top(struct mb_io *io, json_t *json);

/* The object under `key`. Each ends with mb_io_end, which looks for keys that nobody knows. The
 * parent stays where it is until then. */
struct mb_io_object mb_io_object(struct mb_io_object *parent, const char *key);
void mb_io_end(struct mb_io_object *o);

/* Objects by name: *n of them when writing, found out when reading. Name i when reading; the object
 * of name i (`name` is borrowed). There are no other keys. */
struct mb_io_object mb_io_map(struct mb_io_object *parent, const char *key, size_t *n);
const char *mb_io_name(struct mb_io_object *map, size_t i);

/* An array of objects, *n likewise, and element i of it. */
struct mb_io_object mb_io_array(struct mb_io_object *parent, const char *key, size_t *n);
struct mb_io_object mb_io_element(struct mb_io_object *array, size_t i);

/* Whether a key that a file may lack is there: `present` when writing, the file's answer when
 * reading. */
bool mb_io_optional(const struct mb_io_object *o, const char *key, bool present);

/* Whether the value under `key` is null, or a text: `written` when writing, the file's answer when
 * reading. */
bool mb_io_is_null(const struct mb_io_object *o, const char *key, bool written);
bool mb_io_is_text(const struct mb_io_object *o, const char *key, bool written);

/* Room for n elements when reading, *field as it is when writing; NULL on failure and for n = 0. */
void *mb_io_room(struct mb_io *io, void *field, size_t n, size_t size);

/* ---- values; `unit` is how much of the structure's unit one of the file's is ---- */

void mb_io_number(struct mb_io_object *o, const char *key, double *value, double unit); /* >= 0 */
void mb_io_signed(struct mb_io_object *o, const char *key, double *value, double unit);
void mb_io_count(struct mb_io_object *o, const char *key, int64_t *value); /* null is -1 */
void mb_io_int(struct mb_io_object *o, const char *key, int *value);       /* null is -1 */
void mb_io_integer(struct mb_io_object *o, const char *key, int64_t *value, int64_t low,
                   int64_t high); /* never null */
void mb_io_bool(struct mb_io_object *o, const char *key, bool *value);
void mb_io_yes_no(struct mb_io_object *o, const char *key, int *value);      /* null is -1 */
void mb_io_text(struct mb_io_object *o, const char *key, const char **text); /* null is NULL, "" */
void mb_io_string(struct mb_io_object *o, const char *key, const char **text);      /* never null */
void mb_io_chars(struct mb_io_object *o, const char *key, char *text, size_t size); /* null is "" */

/* One of n names. Null is index n, which only `or_null` allows. */
size_t mb_io_choice(struct mb_io_object *o, const char *key, size_t index, const char *const *names,
                    size_t n, bool or_null);

/* Numbers of an array. Samples: positive, kept to the picosecond (stats.h). Indices: whole, >= 0.
 */
void mb_io_samples(struct mb_io_object *o, const char *key, double **values, size_t *n,
                   double unit);
void mb_io_indices(struct mb_io_object *o, const char *key, const size_t **values, size_t *n);
void mb_io_texts(struct mb_io_object *o, const char *key, char ***values, int *n);

/* What follows from other fields: written, and of the right kind when read, but kept nowhere. A
 * number that is not finite and a text that is NULL or empty are null. */
void mb_io_derived_number(struct mb_io_object *o, const char *key, double value);
void mb_io_derived_text(struct mb_io_object *o, const char *key, const char *text);

/* A fault of the file at `key` (NULL: the object itself), when reading. */
__attribute__((format(printf, 3, 4))) void mb_io_wrong(const struct mb_io_object *o,
                                                       const char *key, const char *format, ...);

#endif
