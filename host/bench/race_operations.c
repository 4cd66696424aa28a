/* The steps of each run, timed apart from the samples. */
#include "race.h"
#include "reason.h"

#include <math.h>

enum { MOST_OPERATIONS = 512 };
static const double operations_ns = 2e8; /* of runs with a clock between their steps */

static enum mb_status time_operations(struct race *r, struct racer *racer, struct mb_err *err) {
    struct mb_executor_result *e = racer->result;
    const double n_runs = fmin(fmax(operations_ns / e->phases.first_inference, 5), 200);
    e->operations = mb_arena_calloc(&r->result->arena, MOST_OPERATIONS, sizeof *e->operations);
    if (!e->operations) return mb_fail(err, MB_E_NOMEM, "no memory for the times of steps");
    enum mb_status st = mb_worker_operations(racer->worker, (uint32_t)n_runs,
                                             mb_race_patience(r, racer, 2 * n_runs), e->operations,
                                             MOST_OPERATIONS, &e->n_operations, err);
    if (st != MB_E_UNSUPPORTED) return st;
    e->operations_reason = mb_reason(&r->result->arena, "%s", err->text);
    return MB_OK;
}

enum mb_status mb_race_operations(struct race *r, struct mb_err *err) {
    for (size_t i = 0; i < r->config->n_executors; i++) {
        struct racer *racer = &r->racers[i];
        struct mb_err why = {0};
        if (racer->out) continue;
        mb_race_progress(r, "timing each operation", 1);
        enum mb_status st = time_operations(r, racer, &why);
        if (st == MB_OK) {
            mb_worker_wait_parked(racer->worker);
            continue;
        }
        if (mb_race_ends(r, st)) return mb_fail(err, st, "%s", why.text);
        mb_race_drop(r, racer, st, why.text);
    }
    return MB_OK;
}
