#include "report_json_starts.h"

#include "cold_start.h"

#include <math.h>
#include <string.h>

static const double us = 1e3; /* in nanoseconds */
static const char *const states[] = {"alike", "first", "later"};
static const char *const kinds[] = {
#define KIND(id, name, meaning) name,
    MB_BREAK_EVENS(KIND)
#undef KIND
};
enum { N_STATES = 3, N_KINDS = sizeof kinds / sizeof *kinds };

/* Opens the object under `key`, which without cold starts has nothing but the reason. */
static struct mb_io_object begin(struct mb_io_object *parent, const char *key, bool has_starts) {
    struct mb_io_object o = mb_io_object(parent, key);
    mb_io_derived_text(&o, "status", has_starts ? "measured" : "not_measured");
    mb_io_derived_text(&o, "reason",
                       has_starts ? NULL
                                  : "each start-up phase is timed once; a total needs repeated "
                                    "cold starts");
    return o;
}

/* ---- starts ---- */

static void start(struct mb_io_object *o, struct mb_start_row *row, size_t i) {
    double *outputs = row->outputs_ns[i];
    size_t n = MB_FIRST_RUNS;
    struct mb_io_object steps = mb_io_object(o, "steps_us");
    for (int k = 0; k < MB_N_START_STEPS; k++)
        mb_io_signed(&steps, mb_start_step_name((enum mb_start_step)k), &row->steps_ns[i][k], us);
    mb_io_end(&steps);
    mb_io_samples(o, "outputs_us", &outputs, &n, us);
    if (o->io->reading && n == MB_FIRST_RUNS)
        memcpy(row->outputs_ns[i], outputs, sizeof row->outputs_ns[i]);
    else if (o->io->reading)
        mb_io_wrong(o, "outputs_us", "has %zu moments instead of %d", n, MB_FIRST_RUNS);
    mb_io_number(o, "peak_bytes", &row->peak_bytes[i], 1);
    mb_io_number(o, "loaded_bytes", &row->loaded_bytes[i], 1);
}

static void start_row(struct mb_io_object *o, struct mb_start_row *row) {
    struct mb_io *io = o->io;
    mb_io_string(o, "executor", &row->executor);
    row->state =
        (enum mb_start_state)mb_io_choice(o, "state", (size_t)row->state, states, N_STATES, false);
    mb_io_text(o, "remembers", &row->remembers);
    mb_io_bool(o, "in_python", &row->in_python);
    mb_io_text(o, "reason", &row->reason);
    struct mb_io_object all = mb_io_array(o, "starts", &row->n);
    row->steps_ns = mb_io_room(io, row->steps_ns, row->n, sizeof *row->steps_ns);
    row->outputs_ns = mb_io_room(io, row->outputs_ns, row->n, sizeof *row->outputs_ns);
    row->peak_bytes = mb_io_room(io, row->peak_bytes, row->n, sizeof *row->peak_bytes);
    row->loaded_bytes = mb_io_room(io, row->loaded_bytes, row->n, sizeof *row->loaded_bytes);
    for (size_t i = 0; i < row->n && !io->failed; i++) {
        struct mb_io_object element = mb_io_element(&all, i);
        start(&element, row, i);
        mb_io_end(&element);
    }
}

static void start_rows(struct mb_io_object *parent, struct mb_cold_starts *c) {
    struct mb_io_object map = mb_io_map(parent, "rows", &c->n_rows);
    c->rows = mb_io_room(map.io, c->rows, c->n_rows, sizeof *c->rows);
    for (size_t i = 0; i < c->n_rows && !map.io->failed; i++) {
        if (map.io->reading) c->rows[i].name = mb_io_name(&map, i);
        struct mb_io_object o = mb_io_object(&map, c->rows[i].name);
        start_row(&o, &c->rows[i]);
        mb_io_end(&o);
    }
    if (map.io->failed && map.io->reading) c->n_rows = 0;
}

/* ---- what they come to ---- */

/* One object for each N of mb_total_runs. */
static void by_runs(struct mb_io_object *parent, const char *key,
                    struct mb_interval values[MB_N_TOTALS], bool present, double unit) {
    size_t n = present ? MB_N_TOTALS : 0;
    struct mb_io_object all = mb_io_array(parent, key, &n);
    if (n != (present ? MB_N_TOTALS : 0)) mb_io_wrong(parent, key, "has %zu entries", n);
    for (size_t i = 0; i < n && !all.io->failed; i++) {
        struct mb_io_object o = mb_io_element(&all, i);
        double runs = mb_total_runs[i];
        mb_io_number(&o, "runs", &runs, 1);
        mb_io_number(&o, "value", &values[i].value, unit);
        mb_io_number(&o, "ci_low", &values[i].low, unit);
        mb_io_number(&o, "ci_high", &values[i].high, unit);
        mb_io_end(&o);
    }
}

static void totals(struct mb_io_object *parent, struct mb_cold_starts *c) {
    size_t n = c->n_rows;
    struct mb_io_object map = mb_io_map(parent, "rows", &n);
    if (n != c->n_rows) mb_io_wrong(parent, "rows", "are not those of cold_starts");
    for (size_t i = 0; i < c->n_rows && !map.io->failed; i++) {
        struct mb_start_row *row = &c->rows[i];
        struct mb_io_object o = mb_io_object(&map, row->name);
        mb_io_text(&o, "reason", &row->total_reason);
        by_runs(&o, "total_us", row->total_ns, !row->total_reason, us);
        mb_io_end(&o);
    }
}

static const struct mb_start_row *row_named(const struct mb_io_object *o, const char *key,
                                            const struct mb_cold_starts *c, const char *name) {
    for (size_t i = 0; name && i < c->n_rows; i++)
        if (strcmp(c->rows[i].name, name) == 0) return &c->rows[i];
    mb_io_wrong(o, key, "names no row of cold_starts");
    return NULL;
}

static void pair(struct mb_io_object *o, struct mb_cold_starts *c, struct mb_start_pair *p) {
    struct mb_break_even *e = &p->even;
    const char *a = p->a ? p->a->name : NULL, *b = p->b ? p->b->name : NULL;
    mb_io_string(o, "a", &a);
    mb_io_string(o, "b", &b);
    p->a = row_named(o, "a", c, a);
    p->b = row_named(o, "b", c, b);
    mb_io_text(o, "reason", &p->reason);
    const bool none = p->reason != NULL;
    o->blank = none;
    const size_t kind = mb_io_choice(o, "kind", (size_t)e->kind, kinds, N_KINDS, none);
    e->kind = kind < N_KINDS ? (enum mb_break_even_kind)kind : MB_EVEN_NOT_PROVEN;
    mb_io_number(o, "runs", &e->runs.value, 1);
    mb_io_number(o, "runs_ci_low", &e->runs.low, 1);
    mb_io_number(o, "runs_ci_high", &e->runs.high, 1);
    o->blank = false;
    by_runs(o, "ratios", e->ratio, !none, 1);
}

static void pairs(struct mb_io_object *parent, struct mb_cold_starts *c) {
    struct mb_io_object all = mb_io_array(parent, "pairs", &c->n_pairs);
    c->pairs = mb_io_room(all.io, c->pairs, c->n_pairs, sizeof *c->pairs);
    for (size_t i = 0; i < c->n_pairs && !all.io->failed; i++) {
        struct mb_io_object o = mb_io_element(&all, i);
        pair(&o, c, &c->pairs[i]);
        mb_io_end(&o);
    }
    if (all.io->failed && all.io->reading) c->n_pairs = 0;
}

static void cold_starts(struct mb_io_object *o, struct mb_benchmark_result *b) {
    b->cold_starts = mb_io_room(o->io, b->cold_starts, 1, sizeof *b->cold_starts);
    if (!b->cold_starts) return;
    int64_t n_asked = b->cold_starts->n_asked;
    mb_io_integer(o, "asked", &n_asked, 1, UINT32_MAX);
    b->cold_starts->n_asked = (uint32_t)n_asked;
    start_rows(o, b->cold_starts);
}

void mb_io_cold_starts(struct mb_io_object *parent, struct mb_benchmark_result *b) {
    const bool has_starts = mb_io_optional(parent, "cold_starts", b->cold_starts != NULL);
    struct mb_io_object o;
    if (has_starts) {
        o = mb_io_object(parent, "cold_starts");
        cold_starts(&o, b);
        mb_io_end(&o);
    }
    o = begin(parent, "total_time", has_starts);
    if (b->cold_starts) totals(&o, b->cold_starts);
    mb_io_end(&o);
    o = begin(parent, "break_even", has_starts);
    if (b->cold_starts) pairs(&o, b->cold_starts);
    mb_io_end(&o);
}
