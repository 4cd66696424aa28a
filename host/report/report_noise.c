#include "report_noise.h"

#include <math.h>

static const double us = 1e3; /* in nanoseconds */

/* A stop rule that was not given is null in the file and 0 in the structure. */
static void stop_rule(struct mb_io_object *o, const char *key, double *value) {
    double number = *value > 0 ? *value : (double)NAN;
    mb_io_number(o, key, &number, 1);
    if (o->io->reading) *value = isnan(number) ? 0 : number;
}

void mb_report_statistics(struct mb_io_object *parent, struct mb_statistics *s) {
    if (!mb_io_optional(parent, "statistics", s->n_resamples > 0)) return;
    struct mb_io_object o = mb_io_object(parent, "statistics");
    int64_t n_resamples = s->n_resamples, n_restarts = s->n_restarts;
    mb_io_integer(&o, "resamples", &n_resamples, MB_RESAMPLES, UINT32_MAX);
    mb_io_integer(&o, "restarts", &n_restarts, 1, UINT32_MAX);
    mb_io_number(&o, "confidence", &s->confidence, 1);
    mb_io_number(&o, "min_effect", &s->least_effect, 1);
    stop_rule(&o, "max_noise", &s->max_noise);
    stop_rule(&o, "duration_s", &s->duration_s);
    if (o.io->reading) {
        s->n_resamples = (uint32_t)n_resamples;
        s->n_restarts = (uint32_t)n_restarts;
        if (!(s->least_effect > 0)) mb_io_wrong(&o, "min_effect", "is no number above 0");
    }
    mb_io_end(&o);
}

static void processes(struct mb_io_object *row, struct mb_executor_result *e) {
    struct mb_io_object all = mb_io_array(row, "processes", &e->n_processes);
    e->processes = mb_io_room(all.io, e->processes, e->n_processes, sizeof *e->processes);
    for (size_t i = 0; i < e->n_processes && !all.io->failed; i++) {
        struct mb_process *p = &e->processes[i];
        struct mb_io_object o = mb_io_element(&all, i);
        int64_t steady_from = (int64_t)p->steady_from;
        mb_io_samples(&o, "warmup_us", &p->warmup_ns, &p->n_warmup, us);
        mb_io_integer(&o, "steady_from", &steady_from, 0, (int64_t)p->n_warmup);
        if (o.io->reading) p->steady_from = (size_t)steady_from;
        mb_io_end(&o);
    }
    if (all.io->failed && all.io->reading) e->n_processes = 0;
}

static void block_processes(struct mb_io_object *row, struct mb_executor_result *e) {
    size_t n = e->process_of_block ? e->n_blocks : 0;
    mb_io_indices(row, "block_processes", &e->process_of_block, &n);
    if (!row->io->reading || row->io->failed) return;
    bool good = n == e->n_blocks;
    for (size_t i = 0; i < n && good; i++) good = e->process_of_block[i] < e->n_processes;
    if (!good) mb_io_wrong(row, "block_processes", "does not name a process of each block");
}

static void block_states(struct mb_io_object *row, struct mb_executor_result *e) {
    size_t n = e->block_states ? e->n_blocks : 0;
    struct mb_io_object all = mb_io_array(row, "block_states", &n);
    e->block_states = mb_io_room(all.io, e->block_states, n, sizeof *e->block_states);
    for (size_t i = 0; i < n && !all.io->failed; i++) {
        struct mb_block_state *s = &e->block_states[i];
        struct mb_io_object o = mb_io_element(&all, i);
        mb_io_number(&o, "start_us", &s->start_ns, us);
        mb_io_number(&o, "second_timer_us", &s->second_timer_ns, us);
        mb_io_number(&o, "steal_us", &s->steal_ns, us);
        mb_io_number(&o, "cpu_mhz", &s->cpu_mhz, 1);
        mb_io_signed(&o, "temperature_c", &s->temperature_c, 1);
        mb_io_count(&o, "migrations", &s->migrations);
        mb_io_count(&o, "context_switches", &s->context_switches);
        mb_io_end(&o);
    }
    if (row->io->reading && n != e->n_blocks)
        mb_io_wrong(row, "block_states", "has not one state for each block");
}

static void control(struct mb_io_object *row, struct mb_executor_result *e) {
    static const char *const verdicts[] = {"FAST", "SLOW", "SAME", "AMBG"};
    enum { N_VERDICTS = 4 };
    struct mb_control *c = &e->control;
    struct mb_io_object o = mb_io_object(row, "aa");
    const char *reason = c->reason;
    const bool none = mb_io_is_null(&o, "ratio", reason != NULL);
    o.blank = !none;
    mb_io_text(&o, "reason", &reason);
    o.blank = none;
    mb_io_number(&o, "ratio", &c->ratio.value, 1);
    mb_io_number(&o, "ci_low", &c->ratio.low, 1);
    mb_io_number(&o, "ci_high", &c->ratio.high, 1);
    const size_t verdict =
        mb_io_choice(&o, "verdict", (size_t)c->verdict, verdicts, N_VERDICTS, none);
    mb_io_number(&o, "detectable", &c->detectable, 1);
    if (o.io->reading) {
        c->verdict = verdict < N_VERDICTS ? (enum mb_verdict)verdict : MB_AMBIGUOUS;
        c->reason = reason;
        if (none == !reason) mb_io_wrong(&o, "reason", "does not go with the ratio");
    }
    mb_io_end(&o);
}

void mb_report_noise(struct mb_io_object *row, struct mb_executor_result *e) {
    const bool known = e->process_of_block || e->control.reason;
    if (!mb_io_optional(row, "aa", known)) return;
    processes(row, e);
    block_processes(row, e);
    block_states(row, e);
    control(row, e);
    mb_io_text(row, "unsteady", &e->unsteady);
    mb_io_text(row, "timer_reason", &e->timer_reason);
    row->blank = !e->measured;
    mb_io_signed(row, "drift", &e->drift, 1);
    mb_io_signed(row, "timer_disagreement", &e->timer_disagreement, 1);
    row->blank = false;
}
