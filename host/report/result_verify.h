/* Whether a result file says what its samples say: every statistic, interval and verdict is formed
 * again from the raw samples in the file and compared with what is written there. What cannot be
 * formed again (the samples themselves, the machine, the seed) stands under the file's digest,
 * which shows damage and careless edits, but nobody who makes the digest again. */
#ifndef MB_RESULT_VERIFY_H
#define MB_RESULT_VERIFY_H

#include "result_file.h"

/* Numbers that are formed again may differ by this share: another compiler may round an operation
 * of theirs otherwise. Everything else agrees exactly. */
#define MB_VERIFY_TOLERANCE 1e-12

struct mb_finding {
    bool deviation;   /* false: something could not be compared */
    const char *text; /* "benchmarks.mlp_batch32.latency_speedup: says 1.5, the samples say 1.7" */
};

struct mb_verification {
    struct mb_arena arena; /* holds the findings */
    struct mb_finding *findings;
    size_t n_findings, n_deviations, capacity;
    size_t n_numbers; /* in the file, compared with what was formed again or read back */
    bool sealed;      /* there is a digest */
    bool failed;      /* memory ran out, findings were lost */
};

/* `file` is made of `json` (mb_result_file_new); what follows from its samples is replaced by what
 * was formed again. MB_E_NOMEM. Findings are added to `out`, which is all zero at first. */
enum mb_status mb_verify(json_t *json, struct mb_result_file *file, struct mb_verification *out,
                         struct mb_err *err);

/* One more finding. */
__attribute__((format(printf, 3, 4))) void mb_verify_find(struct mb_verification *v, bool deviation,
                                                          const char *format, ...);

void mb_verification_free(struct mb_verification *v);

#endif
