/* Result files: reading what `mindbench run` wrote back into the structure that it was written
 * from.
 *
 *     MB_TRY(mb_result_file_read("base.json", &file, &err));
 *     ... file->result, file->machine, file->build ...
 *     mb_result_file_free(file);
 *
 * A file is material to judge: anything may stand in it. What is read has every field of its kind
 * and range, blocks that divide their samples, and comparisons of executors that are there; whether
 * its statistics follow from its samples is verify's to find out (verify.h). */
#ifndef MB_RESULT_FILE_H
#define MB_RESULT_FILE_H

#include "machine.h"
#include "result.h"
#include "status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    MB_RESULT_MAX_MIB = 64,   /* of a file */
    MB_RESULT_MAX_DEPTH = 32, /* of objects and arrays in each other */
};

struct mb_result_file {
    struct mb_result result; /* its arena holds all that is pointed to */
    struct mb_machine machine;
    struct mb_build build; /* that measured */
    bool sealed;           /* there is a digest */
    bool altered;          /* and it is not that of the content (mb_result_file_new finds out) */
};

#define MB_RESULT_DIGEST "digest" /* its key */
enum { MB_DIGEST_SIZE = 80 };

/* "sha256:..." of a result as it is read from a file: all of it but the digest in it, as compact
 * JSON with sorted keys and numbers of 17 digits. It shows damage and careless edits; whoever edits
 * on purpose can make it again. False without memory. */
bool mb_result_digest(json_t *json, char digest[MB_DIGEST_SIZE]);

/* Writes the digest of what a file will hold of `json` into it, in place of one that is there. */
bool mb_result_seal(json_t *json);

/* Reads and checks one file. Errors are one line `FILE: WHY; TRY`: MB_E_IO, MB_E_INVALID (no JSON,
 * no result, another schema version, a key missing, unknown or of the wrong kind), MB_E_NOMEM. */
enum mb_status mb_result_file_read(const char *path, struct mb_result_file **out,
                                   struct mb_err *err);
void mb_result_file_free(struct mb_result_file *file); /* NULL is fine */

/* The same in steps, for those who need the JSON too. The text need not end in NUL; `name` is for
 * messages. */
enum mb_status mb_result_load(const char *path, json_t **out, struct mb_err *err);
enum mb_status mb_result_parse(const char *name, const char *text, size_t len, json_t **out,
                               struct mb_err *err);
enum mb_status mb_result_file_new(const char *name, json_t *json, struct mb_result_file **out,
                                  struct mb_err *err);

/* Files of one result or of many (`mindbench merge`, results/merged.schema.json). Part N of the
 * many is named FILE#N wherever a result is asked for, mb_result_load's path included. */
#define MB_RESULT_MERGED "merged" /* the key of the array of {name, result} */

struct mb_result_part {
    const char *name;  /* for messages: the path, with #N for a part */
    const char *given; /* the part's name in a merged file; NULL in a file of one */
    json_t *json;      /* borrowed from `json` of the set */
};

struct mb_result_set {
    const char *file; /* without #N */
    json_t *json;
    struct mb_result_part *parts;
    size_t n;
    bool merged;
    bool altered; /* merged, and its digest is not that of its content */
    struct mb_arena arena;
};

/* What tells a result apart for people: the part's name in a merged file, else the file's name
 * without folders and .json. Bytes that are no UTF-8 may be in it. NULL without memory. */
const char *mb_result_label(const struct mb_result_part *part, struct mb_arena *arena);
#define MB_RESULT_NO_NAME "a name that is not UTF-8" /* in its place in JSON */

/* All results in a file, not yet looked into. */
enum mb_status mb_result_set_load(const char *path, struct mb_result_set *out, struct mb_err *err);
void mb_result_set_free(struct mb_result_set *set);

/* As mb_report_json, of a result that was read. */
enum mb_status mb_result_file_json(const struct mb_result_file *file, json_t **out,
                                   struct mb_err *err);

/* Fills *out from a parsed file of this schema version; on failure there is nothing to free, and
 * the text lacks the file's name. Used by mb_result_file_new. */
enum mb_status mb_result_file_fill(json_t *json, struct mb_result_file *out, struct mb_err *err);

#endif
