/* Many results in one file (results/merged.schema.json): each as it is, under a name, with its own
 * digest and that of the whole. */
#ifndef MB_RESULT_MERGE_H
#define MB_RESULT_MERGE_H

#include "result_file.h"

#include <stdio.h>

struct mb_merge {
    json_t *json; /* what is written */
    size_t n_parts, n_duplicates;
};

/* Begins an empty one. MB_E_NOMEM. */
enum mb_status mb_merge_begin(struct mb_merge *out, struct mb_err *err);

/* Adds a result, or every part of a merged one, each checked by reading it. A run that is already
 * there is left out and counted. MB_E_IO, MB_E_INVALID, and MB_E_NUMERIC when a digest is not that
 * of the content: such a file is no result any more. */
enum mb_status mb_merge_add(struct mb_merge *m, const char *path, struct mb_err *err);

/* Seals it, and prints it to `out`. False without memory or on a write error. */
bool mb_merge_print(struct mb_merge *m, FILE *out);
void mb_merge_free(struct mb_merge *m);

#endif
