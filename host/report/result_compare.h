/* Two results, row by row: is the new one faster or slower than the base? */
#ifndef MB_RESULT_COMPARE_H
#define MB_RESULT_COMPARE_H

#include "result_file.h"

#include <stdio.h>

struct mb_compared_row {
    const char *benchmark, *executor;
    bool gates;                 /* its being slower is a regression */
    bool invalid;               /* the new result says INVALID there */
    const char *reason;         /* why there is no ratio; NULL when there is one */
    double base_ns, next_ns;    /* medians of all samples; NaN without */
    struct mb_interval speedup; /* latency of base / latency of the new one */
    enum mb_verdict verdict;    /* of the new one against the base */
    bool one_process;           /* see mb_unpaired */
};

struct mb_compared {
    struct mb_arena arena;
    struct mb_compared_row *rows;
    size_t n_rows;
    const char **warnings; /* what makes the comparison weaker, one line each */
    size_t n_warnings;
    double least_effect;
    /* among the rows that gate */
    size_t n_counted, n_regressions, n_inconclusive, n_invalid;
    size_t n_common; /* that are in both results */
};

struct mb_compare_options {
    double least_effect;      /* 0: the larger of both files', or MB_LEAST_EFFECT */
    const char *const *gates; /* names of executors; or NULL: mind and mind-*, all where a file
                                 has none of them */
    size_t n_gates;
};

/* Every workload and executor of either side. Rows without a ratio say why: another device,
 * precision, program, number of threads, state of caches, an INVALID side, a missing side.
 * MB_E_NOMEM; free with mb_compared_free. */
enum mb_status mb_compare_results(const struct mb_result_file *base,
                                  const struct mb_result_file *next,
                                  const struct mb_compare_options *options, struct mb_compared *out,
                                  struct mb_err *err);
void mb_compared_free(struct mb_compared *compared);

/* A table for people, GitHub's Markdown, and the object that README describes. False on a write
 * error; the JSON is the caller's, NULL without memory. */
bool mb_compared_table(const struct mb_compared *c, FILE *out, bool color);
bool mb_compared_md(const struct mb_compared *c, FILE *out);
json_t *mb_compared_json(const struct mb_compared *c, const struct mb_result_file *base,
                         const struct mb_result_file *next);

#endif
