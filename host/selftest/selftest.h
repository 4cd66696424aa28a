/* The selftest: each cheat (cheats.def) races the honest `mind`, by the same code as every run, and
 * must be found out. A row that must be INVALID is CAUGHT when it is. One that is only slower is
 * CAUGHT when the verdict says so, or when it is AMBG with an interval that leaves 1 out, on the
 * right side: then time was short and nothing false was said. A race that is not decided is run
 * again for twice as long, a few times. SAME, or the wrong side, is MISSED, as is any row whose
 * honest side was called INVALID: that is a false alarm. */
#ifndef MB_SELFTEST_H
#define MB_SELFTEST_H

#include "arena.h"
#include "cheats.h"
#include "mind.h"
#include "stats.h"

enum mb_selftest_outcome { MB_CAUGHT, MB_MISSED, MB_NOT_RUN };

struct mb_selftest_row {
    const char *cheat, *what;
    enum mb_selftest_outcome outcome;
    const char *reason; /* by what it was caught, how it got through, or why it was not run */
    struct mb_interval slowdown; /* time of the cheat / time of `mind`; NaN: withheld */
    double seconds;              /* that it took */
};

struct mb_selftest_config {
    struct mb_mind_source source;     /* of the program that is raced */
    const struct mb_program *program; /* the same, compiled */
    const char *workload;
    const char *cheat; /* that one alone; NULL: all */
    enum mb_isa isa_cap;
    uint64_t seed;
    int64_t deadline_ns; /* CLOCK_MONOTONIC */
    int cancel_fd;
    void (*on_row)(void *arg, const struct mb_selftest_row *row); /* as soon as it is known */
    void *on_row_arg;
};

struct mb_selftest {
    struct mb_arena arena; /* of all the texts */
    struct mb_selftest_row *rows;
    size_t n_rows, n_missed;
};

/* MB_E_INTERRUPTED and MB_E_TIMEOUT: the rows so far are there. Release with mb_selftest_free, also
 * after a failure. */
enum mb_status mb_selftest_run(const struct mb_selftest_config *config, struct mb_selftest *out,
                               struct mb_err *err);
void mb_selftest_free(struct mb_selftest *selftest);

const char *mb_selftest_outcome_name(enum mb_selftest_outcome outcome);

#endif
