#include "compile_time.h"

#include "cli.h"
#include "clock.h"
#include "plan_estimated.h"
#include "stats.h"

#include <stdlib.h>

enum {
    MIN_COMPILES = 1000,
    MAX_COMPILES = 20000,
    FEW_COMPILES = 5, /* of a program that takes seconds: less than MIN_COMPILES, and the table
                         says so */
};
static const int64_t enough_ns = 500000000; /* no more than MIN_COMPILES once this is over */
static const int64_t most_ns = 20000000000; /* no more at all */

/* What is timed. Each row but OPEN is measured in the first compile and in the later ones. */
enum row { ROW_OPEN, ROW_PARSE, ROW_CHECK, ROW_LOWER, ROW_PLAN, ROW_IR, ROW_ALL, N_ROWS };

static const char *const row_names[N_ROWS] = {"open", "lex+parse",    "check",         "lower",
                                              "plan", "source to IR", "source to plan"};

struct sample {
    double ns[N_ROWS];
};

/* One compile and one plan. With `phases` the three phases of the compile are timed, else the
 * compile as a whole: the clock's own time is a tenth of a small program's. */
static enum mb_status take(struct mb_target *t, int n_threads, bool phases, struct sample *s,
                           struct mb_err *err) {
    enum mb_status st = MB_OK;
    struct mb_plan *plan = NULL;
    mb_mind_time_phases(t->mind, phases);
    const int64_t begin = mb_clock_ns();
    MB_TRY(mb_mind_compile(t->mind, &t->source, &t->program, err));
    const int64_t compiled = mb_clock_ns();
    MB_TRY(mb_cpu_plan_estimated(t->program, n_threads, &plan, err));
    const int64_t planned = mb_clock_ns();
    mb_plan_free(plan);
    if (phases) {
        const struct mb_mind_phases *p = mb_mind_phases(t->mind);
        s->ns[ROW_PARSE] = (double)p->parse_ns;
        s->ns[ROW_CHECK] = (double)p->check_ns;
        s->ns[ROW_LOWER] = (double)p->lower_ns;
        s->ns[ROW_PLAN] = (double)(planned - compiled);
    } else {
        s->ns[ROW_IR] = (double)(compiled - begin);
        s->ns[ROW_ALL] = (double)(planned - begin);
    }
out:
    return st;
}

static enum mb_status take_first(struct mb_target *t, int n_threads, struct sample *s,
                                 struct mb_err *err) {
    enum mb_status st = MB_OK;
    const int64_t begin = mb_clock_ns();
    MB_TRY(mb_mind_open(&t->mind, err));
    s->ns[ROW_OPEN] = (double)(mb_clock_ns() - begin);
    MB_TRY(take(t, n_threads, true, s, err));
    s->ns[ROW_IR] = s->ns[ROW_OPEN] + s->ns[ROW_PARSE] + s->ns[ROW_CHECK] + s->ns[ROW_LOWER];
    s->ns[ROW_ALL] = s->ns[ROW_IR] + s->ns[ROW_PLAN];
out:
    return st;
}

static double median_of(const struct sample *samples, size_t n, enum row row, double *room) {
    for (size_t i = 0; i < n; i++) room[i] = samples[i].ns[row];
    return mb_stats_median(room, n);
}

static void print_table(const struct mb_target *t, const struct sample *first,
                        const struct sample *samples, size_t n, double *room) {
    printf("%s: %zu bytes, %u nodes; %zu compiles with the compiler used before%s\n", t->name,
           t->source.len, t->program->n_nodes, n,
           n < MIN_COMPILES ? " (less than 1000: they take too long)" : "");
    printf("%-16s%12s%12s\n", "us", "first", "median");
    for (enum row row = 0; row < N_ROWS; row++) {
        printf("%-16s%12.2f", row_names[row], first->ns[row] / 1e3);
        if (row == ROW_OPEN)
            printf("%12s\n", "-");
        else
            printf("%12.2f\n", median_of(samples, n, row, room) / 1e3);
    }
    const double ir_ns = median_of(samples, n, ROW_IR, room);
    printf("%-28s%12.1f\n", "MB/s of source to IR", (double)t->source.len / ir_ns * 1e3);
}

int mb_compile_time(struct mb_target *t, int n_threads, const struct mb_diag_options *diags,
                    bool quiet) {
    struct mb_err err;
    struct sample first = {{0}};
    size_t n = 0;
    struct sample *samples = calloc(MAX_COMPILES, sizeof *samples);
    double *room = calloc(MAX_COMPILES, sizeof *room);
    enum mb_status st = samples && room
                            ? take_first(t, n_threads, &first, &err)
                            : mb_fail(&err, MB_E_NOMEM, "out of memory for the samples");
    if (t->mind) mb_print_diags(t->mind, diags, quiet);
    const int64_t begin = mb_clock_ns();
    for (; st == MB_OK && n < MAX_COMPILES; n++) {
        const int64_t spent = mb_clock_ns() - begin;
        if ((spent > enough_ns && n >= MIN_COMPILES) || (spent > most_ns && n >= FEW_COMPILES))
            break;
        st = take(t, n_threads, true, &samples[n], &err);
        if (st == MB_OK) st = take(t, n_threads, false, &samples[n], &err);
    }
    if (st == MB_OK) print_table(t, &first, samples, n, room);
    free(samples);
    free(room);
    if (st == MB_OK) return MB_EXIT_OK;
    if (st == MB_E_PROGRAM) return MB_EXIT_REJECTED;
    return mb_cli_error(mb_cli_exit_of(st), "compile: %s", err.text);
}
