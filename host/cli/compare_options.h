/* What `mindbench compare` and `mindbench run --baseline` share: how results are compared and which
 * exit status a comparison gives. */
#ifndef MB_COMPARE_OPTIONS_H
#define MB_COMPARE_OPTIONS_H

#include "result_compare.h"

#include <stdbool.h>

/* 0 no regression proven, 1 one is, 2 inconclusive (with `fail_on_inconclusive`), 3 the new result
 * is INVALID where it counts. */
int mb_compared_exit(const struct mb_compared *c, bool fail_on_inconclusive);

/* Where baselines are kept: a NAME of letters, digits, dots, dashes and underscores lies in
 * $XDG_DATA_HOME/mindbench/baselines (~/.local/share without it) as NAME.json; what has a slash or
 * ends in .json is a file. With `make` the folder is made. The caller frees *path. False after an
 * error on stderr. */
bool mb_baseline_path(const char *name, bool make, char **path);

#endif
