#include "selftest.h"

#include "clock.h"
#include "conclude.h"
#include "reason.h"
#include "runner.h"

#include <math.h>
#include <string.h>
#include <time.h>

enum {
    N_SAMPLES = 600, /* of a race that a check decides */
    N_WARMUP = 10,
    N_ATTEMPTS = 3 /* at a race that the verdict decides ... */
};
static const double first_attempt_s =
    5; /* ... the first so long, each other twice the one before */

static const char needs_gpu[] = "needs a GPU";

/* Not an executor, since nothing here has a stream to leave work on. */
static const char stream_name[] = "stream", stream_what[] = "returns while a stream still computes";

const char *mb_selftest_outcome_name(enum mb_selftest_outcome outcome) {
    static const char *const names[] = {"CAUGHT", "MISSED", "not run"};
    return names[outcome];
}

static struct mb_result new_result(const struct mb_selftest_config *c, double duration_s) {
    struct mb_result result = {.seed = c->seed,
                               .statistics = {MB_RESAMPLES, duration_s > 0 ? 0 : 1, MB_CONFIDENCE,
                                              MB_LEAST_EFFECT, 0, duration_s},
                               .n_threads = 1,
                               .precision = MB_FP32,
                               .tolerance_rel_l2 = MB_TOLERANCE_REL_L2,
                               .tolerance_max_rel = MB_TOLERANCE_MAX_REL,
                               .device = "cpu",
                               .ceilings_reason =
                                   "the selftest measures none, so that no floor catches a cheat",
                               .started_unix_s = (int64_t)time(NULL)};
    mb_arena_init(&result.arena);
    return result;
}

/* Both sides have one thread, so that the other processors are left to what else is running. */
static enum mb_status race(const struct mb_selftest_config *c, const char *executor,
                           double duration_s, struct mb_result *result,
                           struct mb_benchmark_result *bench, struct mb_err *err) {
    const char *const executors[] = {"mind", executor};
    const struct mb_race_config config = {
        .name = c->workload,
        .source = c->source,
        .program = c->program,
        .device = "cpu",
        .executors = executors,
        .n_executors = 2,
        .open = {.n_threads = 1, .precision = MB_FP32, .isa_cap = c->isa_cap},
        .seed = c->seed,
        .n_samples = N_SAMPLES,
        .n_warmup = N_WARMUP,
        .n_restarts = duration_s > 0 ? 0 : 1,
        .duration_s = duration_s,
        .deadline_ns = c->deadline_ns,
        .cancel_fd = c->cancel_fd};
    return mb_race(&config, result, bench, err);
}

/* ---- judgement ---- */

static void judge_slow(const struct mb_comparison *c, struct mb_arena *arena,
                       struct mb_selftest_row *row) {
    const double low = c->speedup.low, high = c->speedup.high;
    const bool told = c->verdict == MB_FAST || (c->verdict == MB_AMBIGUOUS && low > 1);
    row->outcome = told ? MB_CAUGHT : MB_MISSED;
    row->reason = mb_reason(arena, "mind told %s: %.3f [%.3f, %.3f] of its time%s",
                            mb_verdict_name(c->verdict), c->speedup.value, low, high,
                            told && c->verdict == MB_AMBIGUOUS
                                ? "; an interval above 1, though too wide for a verdict"
                                : "");
}

static void judge(const struct mb_cheat *cheat, const struct mb_benchmark_result *bench,
                  struct mb_arena *arena, struct mb_selftest_row *row) {
    const struct mb_executor_result *honest = &bench->executors[0], *e = &bench->executors[1];
    const struct mb_comparison *c = &bench->comparisons[0];
    row->outcome = MB_MISSED;
    if (!c->withheld) row->slowdown = c->speedup;
    if (!honest->measured || !honest->valid) {
        row->reason = mb_reason(arena, "false alarm: mind itself: %s",
                                honest->measured ? honest->invalid_reason : honest->reason);
    } else if (!e->measured) {
        row->outcome = MB_NOT_RUN;
        row->reason = mb_reason(arena, "%s", e->reason);
    } else if (cheat->expected == MB_CHEAT_INVALID && !e->valid) {
        row->outcome = MB_CAUGHT;
        row->reason = mb_reason(arena, "%s", e->invalid_reason);
    } else if (cheat->expected == MB_CHEAT_SLOW && !c->withheld) {
        judge_slow(c, arena, row);
    } else if (c->withheld) {
        row->reason = mb_reason(arena, "%s", e->valid ? c->reason : e->invalid_reason);
    } else {
        row->reason = mb_reason(arena, "its row is VALID, and mind told %s: %.3f of its time",
                                mb_verdict_name(c->verdict), c->speedup.value);
    }
}

/* ---- the rows ---- */

static enum mb_status try_once(const struct mb_selftest_config *c, const struct mb_cheat *cheat,
                               double duration_s, struct mb_arena *arena,
                               struct mb_selftest_row *row, struct mb_err *err) {
    struct mb_result result = new_result(c, duration_s);
    struct mb_benchmark_result bench;
    const enum mb_status st = race(c, cheat->executor, duration_s, &result, &bench, err);
    if (st == MB_OK) judge(cheat, &bench, arena, row);
    mb_arena_free(&result.arena);
    return st;
}

static enum mb_status try_cheat(const struct mb_selftest_config *c, const struct mb_cheat *cheat,
                                struct mb_arena *arena, struct mb_selftest_row *row,
                                struct mb_err *err) {
    const bool by_verdict = cheat->expected == MB_CHEAT_SLOW;
    const int64_t begin_ns = mb_clock_ns();
    enum mb_status st = MB_OK;
    double duration_s = by_verdict ? first_attempt_s : 0;
    const int n_attempts = by_verdict ? N_ATTEMPTS : 1;
    for (int i = 0; i < n_attempts && st == MB_OK && row->outcome != MB_CAUGHT; i++) {
        st = try_once(c, cheat, duration_s, arena, row, err);
        duration_s *= 2;
    }
    row->seconds = (double)(mb_clock_ns() - begin_ns) / 1e9;
    return st;
}

static void keep(const struct mb_selftest_config *c, struct mb_selftest *s,
                 const struct mb_selftest_row *row) {
    s->rows[s->n_rows++] = *row;
    s->n_missed += row->outcome == MB_MISSED;
    if (c->on_row) c->on_row(c->on_row_arg, row);
}

enum mb_status mb_selftest_run(const struct mb_selftest_config *c, struct mb_selftest *s,
                               struct mb_err *err) {
    const double none = (double)NAN;
    const struct mb_interval no_ratio = {none, none, none};
    *s = (struct mb_selftest){0};
    mb_arena_init(&s->arena);
    s->rows = mb_arena_calloc(&s->arena, mb_n_cheats + 1, sizeof *s->rows);
    if (!s->rows) return mb_fail(err, MB_E_NOMEM, "no memory for a table");
    for (size_t i = 0; i < mb_n_cheats; i++) {
        const struct mb_cheat *cheat = &mb_cheats[i];
        struct mb_selftest_row row = {
            .cheat = cheat->name, .what = cheat->what, .outcome = MB_MISSED, .slowdown = no_ratio};
        if (c->cheat && strcmp(c->cheat, cheat->name) != 0) continue;
        const enum mb_status st = try_cheat(c, cheat, &s->arena, &row, err);
        if (st != MB_OK) return st;
        keep(c, s, &row);
    }
    const struct mb_selftest_row stream = {stream_name, stream_what, MB_NOT_RUN,
                                           needs_gpu,   no_ratio,    0};
    if (!c->cheat) keep(c, s, &stream);
    return MB_OK;
}

void mb_selftest_free(struct mb_selftest *s) { mb_arena_free(&s->arena); }
