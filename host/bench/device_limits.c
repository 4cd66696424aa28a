#include "device_limits.h"

#include "clock.h"
#include "reason.h"
#include "roofline.h"
#include "worker.h"

#include <math.h>

static const int64_t most_ns = 30000000000; /* of one measurement of ceilings */
enum { N_SUSPICIONS = 2 };

static enum mb_status measure(const struct mb_race_config *c, struct mb_ceilings *out,
                              struct mb_err *err) {
    const int64_t limit_ns = mb_clock_ns() + most_ns;
    if (c->progress) c->progress(c->progress_arg, c->name, "what the device can do at best", 0);
    return mb_worker_ceilings(mb_executor_find("mind", c->device), &c->open,
                              limit_ns < c->deadline_ns ? limit_ns : c->deadline_ns, c->cancel_fd,
                              out, err);
}

enum mb_status mb_limits_measure(const struct mb_race_config *c, struct mb_result *result,
                                 struct mb_err *err) {
    struct mb_err why = {0};
    if (result->has_ceilings || result->ceilings_reason) return MB_OK;
    const enum mb_status st = measure(c, &result->ceilings, &why);
    result->has_ceilings = st == MB_OK;
    if (st == MB_OK) return MB_OK;
    result->ceilings_reason = mb_reason(&result->arena, "%s", why.text);
    if (st == MB_E_INTERRUPTED || (st == MB_E_TIMEOUT && mb_clock_ns() >= c->deadline_ns))
        return mb_fail(err, st, "%s", why.text);
    return MB_OK;
}

static bool any_below(const struct mb_benchmark_result *b) {
    for (size_t i = 0; i < b->n_executors; i++) {
        const struct mb_executor_result *e = &b->executors[i];
        if (e->valid && e->latency_ns.p50 < b->floor_ns) return true; /* false for NaN */
    }
    return false;
}

static void form(const struct mb_race_config *c, const struct mb_result *result,
                 struct mb_benchmark_result *b) {
    const bool capped = c->open.isa_cap < MB_ISA_BEST;
    b->floor_ns = (double)NAN;
    b->floor_reason = result->ceilings_reason ? result->ceilings_reason : "no ceiling was measured";
    if (result->has_ceilings) {
        b->floor_ns = mb_roofline_floor_ns(&result->ceilings, &b->least, b->cold, capped);
        b->floor_reason = NULL;
    }
    mb_roofline_conclude(result, b);
}

/* Higher ceilings lower the floors of the races before: no row of theirs changes sides. */
static bool measure_again(const struct mb_race_config *c, struct mb_result *result) {
    struct mb_ceilings again;
    if (measure(c, &again, NULL) != MB_OK) return false;
    mb_ceilings_merge(&result->ceilings, &again);
    for (size_t i = 0; i < result->n_benchmarks; i++) form(c, result, &result->benchmarks[i]);
    return true;
}

bool mb_limits_set_floor(const struct mb_race_config *c, struct mb_result *result,
                         struct mb_benchmark_result *b) {
    form(c, result, b);
    for (int i = 0; i < N_SUSPICIONS && any_below(b) && measure_again(c, result); i++)
        form(c, result, b);
    return any_below(b);
}
