/* `mindbench run --baseline` and `--save-baseline`. */
#ifndef MB_BASELINE_H
#define MB_BASELINE_H

#include "result_file.h"

#include <stdbool.h>
#include <stdio.h>

struct mb_baseline {
    const char *against, *save; /* names or files (compare_options.h); NULL: none */
    bool fail_on_inconclusive;
    char *against_path, *save_path; /* the rest is filled by mb_baseline_open */
    struct mb_result_file *base;
};

/* Before minutes are spent measuring: reads the one and finds out whether the other can be written.
 * False after an error on stderr; close it in either case. */
bool mb_baseline_open(struct mb_baseline *b);
void mb_baseline_close(struct mb_baseline *b);

/* After the run: prints the comparison to `out` (NULL: nowhere) and saves the result, unless it is
 * INVALID or regressed, so that a bad run does not become what others are measured against.
 * `status` is what the run comes to without baselines; returns what it comes to with them. */
int mb_baseline_judge(const struct mb_baseline *b, const struct mb_result *result, int status,
                      FILE *out);

#endif
