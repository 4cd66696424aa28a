#include "report_trace.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum what { PROGRAM, EXECUTOR, PHASE, GRAPH, DEVICE }; /* outer ranges first */

struct event {
    enum what what;
    int64_t begin_ns, end_ns;
    size_t worker, track;
    const struct mb_trace_record *record; /* of the worker, the phase, or the first of a graph */
    uint64_t n_nodes;                     /* of a graph */
};

struct worker {
    const struct mb_trace_record *open;
    size_t row;      /* the executor's */
    int64_t last_ns; /* the latest that it told */
    bool closed;
    size_t phase; /* the event of the phase that is open, or NONE */
};

/* Where ranges of one kind go that do not overlap unless one lies within the other. */
struct track {
    size_t worker;
    enum what what;
    uint32_t device, stream;
    unsigned lane;
    int64_t busy_until_ns;
};

struct writer {
    const struct mb_trace *trace;
    struct event *events;
    struct worker *workers;
    struct track *tracks;
    size_t n_events, n_workers, n_tracks;
    int64_t origin_ns;
};

#define NONE SIZE_MAX

/* ---- from records to events ---- */

static bool is_device(const struct mb_trace_record *r) {
    return r->kind == MB_TRACE_KERNEL || r->kind == MB_TRACE_COPY || r->kind == MB_TRACE_FILL;
}

static size_t add_event(struct writer *w, enum what what, size_t worker,
                        const struct mb_trace_record *record) {
    w->events[w->n_events] = (struct event){.what = what,
                                            .begin_ns = record->begin_ns,
                                            .end_ns = record->end_ns,
                                            .worker = worker,
                                            .record = record};
    return w->n_events++;
}

/* The worker that the record comes from: the last of this process number; NONE before it opened. */
static size_t worker_of(const struct writer *w, const struct mb_trace_record *r) {
    for (size_t i = w->n_workers; i-- > 0;)
        if (w->workers[i].open->process == r->process) return i;
    return NONE;
}

static void open_worker(struct writer *w, const struct mb_trace_record *r) {
    size_t row = 0;
    for (size_t i = 0; i < w->n_workers; i++) {
        const struct worker *other = &w->workers[i];
        if (strcmp(other->open->detail, r->detail) == 0) {
            row = other->row;
            break;
        }
        if (other->row >= row) row = other->row + 1;
    }
    w->workers[w->n_workers++] =
        (struct worker){.open = r, .row = row, .last_ns = r->end_ns, .phase = NONE};
}

static void end_phase(struct writer *w, struct worker *worker, int64_t at_ns) {
    if (worker->phase != NONE) w->events[worker->phase].end_ns = at_ns;
    worker->phase = NONE;
}

static void take_record(struct writer *w, const struct mb_trace_record *r) {
    if (r->kind == MB_TRACE_OPEN) {
        open_worker(w, r);
        return;
    }
    const size_t at = worker_of(w, r);
    if (at == NONE || w->workers[at].closed) return;
    struct worker *worker = &w->workers[at];
    if (r->end_ns > worker->last_ns) worker->last_ns = r->end_ns;
    if (is_device(r)) add_event(w, DEVICE, at, r);
    if (r->kind == MB_TRACE_BEGIN || r->kind == MB_TRACE_END || r->kind == MB_TRACE_CLOSE)
        end_phase(w, worker, r->begin_ns);
    if (r->kind == MB_TRACE_BEGIN) worker->phase = add_event(w, PHASE, at, r);
    if (r->kind == MB_TRACE_CLOSE) worker->closed = true;
}

static void add_outer_ranges(struct writer *w) {
    for (size_t i = 0; i < w->n_workers; i++) {
        end_phase(w, &w->workers[i], w->workers[i].last_ns);
        for (enum what what = PROGRAM; what <= EXECUTOR; what++)
            w->events[add_event(w, what, i, w->workers[i].open)].end_ns = w->workers[i].last_ns;
    }
}

static int order(int64_t a, int64_t b) { return (a > b) - (a < b); }

/* Nodes of one launch of a graph next to each other. */
static int by_launch(const void *left, const void *right) {
    const struct event *a = left, *b = right;
    int sign = order((int64_t)a->worker, (int64_t)b->worker);
    if (!sign) sign = order(a->record->device, b->record->device);
    if (!sign) sign = order(a->record->graph, b->record->graph);
    if (!sign) sign = order(a->record->launch, b->record->launch);
    return sign;
}

/* CUPTI tells nodes or whole graphs; a launch is from its first node's begin to its last's end. */
static void add_graph_launches(struct writer *w) {
    const size_t n_nodes = w->n_events;
    qsort(w->events, n_nodes, sizeof *w->events, by_launch);
    size_t launch = NONE;
    for (size_t i = 0; i < n_nodes; i++) {
        const struct event *node = &w->events[i];
        if (node->what != DEVICE || node->record->graph == 0) continue;
        if (launch == NONE || by_launch(&w->events[launch], node) != 0)
            launch = add_event(w, GRAPH, node->worker, node->record);
        struct event *whole = &w->events[launch];
        if (node->begin_ns < whole->begin_ns) whole->begin_ns = node->begin_ns;
        if (node->end_ns > whole->end_ns) whole->end_ns = node->end_ns;
        whole->n_nodes++;
    }
}

/* By time, an outer range before those within. */
static int by_time(const void *left, const void *right) {
    const struct event *a = left, *b = right;
    int sign = order(a->begin_ns, b->begin_ns);
    if (!sign) sign = order(b->end_ns, a->end_ns);
    if (!sign) sign = order((int64_t)a->worker, (int64_t)b->worker);
    if (!sign) sign = order((int)a->what, (int)b->what);
    return sign;
}

static bool same_track(const struct track *t, const struct event *e) {
    if (t->worker != e->worker) return false;
    if (e->what <= PHASE) return t->what <= PHASE;
    return t->what == e->what && t->device == e->record->device &&
           (e->what == GRAPH || t->stream == e->record->stream);
}

/* In order of time: the first track of its kind that is free, else a new one. */
static void choose_track(struct writer *w, struct event *e) {
    unsigned lane = 0;
    for (size_t i = 0; i < w->n_tracks; i++) {
        struct track *t = &w->tracks[i];
        if (!same_track(t, e)) continue;
        if (e->what <= PHASE || t->busy_until_ns <= e->begin_ns) {
            t->busy_until_ns = e->end_ns;
            e->track = i;
            return;
        }
        lane++;
    }
    w->tracks[w->n_tracks] = (struct track){.worker = e->worker,
                                            .what = e->what,
                                            .device = e->record->device,
                                            .stream = e->record->stream,
                                            .lane = lane,
                                            .busy_until_ns = e->end_ns};
    e->track = w->n_tracks++;
}

/* ---- JSON ---- */

static json_t *text(const char *string) {
    json_t *json = json_string(string);
    return json ? json : json_string("(not UTF-8)");
}

/* Takes the reference. What cannot be made or written is found in the end, by its separator. */
static bool write_object(json_t *json, bool *first, FILE *out) {
    fputs(*first ? "\n" : ",\n", out);
    *first = false;
    const bool ok =
        json && (json_dumpf(json, out, JSON_COMPACT | JSON_REAL_PRECISION(15)) == 0 || ferror(out));
    json_decref(json);
    return ok;
}

static double microseconds(int64_t ns) { return (double)ns / 1e3; }

static json_t *dimensions(const uint32_t d[3]) {
    return json_pack("[I,I,I]", (json_int_t)d[0], (json_int_t)d[1], (json_int_t)d[2]);
}

static json_t *kernel_args(const struct mb_trace_record *r) {
    return json_pack("{s:o,s:o,s:I,s:I,s:I}", "grid", dimensions(r->grid), "block",
                     dimensions(r->block), "registers", (json_int_t)r->registers,
                     "static_shared_bytes", (json_int_t)r->static_shared_bytes,
                     "dynamic_shared_bytes", (json_int_t)r->dynamic_shared_bytes);
}

static json_t *device_args(const struct mb_trace_record *r) {
    json_t *args = NULL;
    switch (r->kind) {
    case MB_TRACE_KERNEL: args = kernel_args(r); break;
    case MB_TRACE_COPY:
        args = json_pack("{s:I,s:o}", "bytes", (json_int_t)r->amount, "direction", text(r->detail));
        break;
    default: args = json_pack("{s:I}", "bytes", (json_int_t)r->amount); break;
    }
    if (args &&
        (json_object_set_new(args, "launch", json_integer((json_int_t)r->launch)) ||
         (r->graph && json_object_set_new(args, "graph", json_integer((json_int_t)r->graph))))) {
        json_decref(args);
        args = NULL;
    }
    return args;
}

/* Name, category and arguments of an event; a name of ours is cut to `size`. */
static json_t *describe(const struct writer *w, const struct event *e) {
    const struct mb_trace_record *r = e->record, *open = w->workers[e->worker].open;
    char name[640];
    switch (e->what) {
    case PROGRAM: return json_pack("{s:o,s:s}", "name", text(open->name), "cat", "program");
    case EXECUTOR:
        snprintf(name, sizeof name, "%s/%s", open->name, open->detail);
        return json_pack("{s:o,s:s}", "name", text(name), "cat", "executor");
    case PHASE:
        snprintf(name, sizeof name, "%s/%s/%s", open->name, open->detail, r->name);
        return json_pack("{s:o,s:s,s:{s:I}}", "name", text(name), "cat", r->name, "args", "runs",
                         (json_int_t)r->amount);
    case GRAPH:
        snprintf(name, sizeof name, "graph %u", r->graph);
        return json_pack("{s:s,s:s,s:{s:I,s:I}}", "name", name, "cat", "graph", "args", "nodes",
                         (json_int_t)e->n_nodes, "launch", (json_int_t)r->launch);
    case DEVICE:
        return json_pack("{s:o,s:s,s:o}", "name", text(r->name), "cat",
                         r->kind == MB_TRACE_KERNEL ? "kernel" : r->name, "args", device_args(r));
    }
    return NULL;
}

static json_t *event_json(const struct writer *w, const struct event *e) {
    json_t *json = describe(w, e);
    json_t *place = json_pack(
        "{s:s,s:f,s:f,s:I,s:I}", "ph", "X", "ts", microseconds(e->begin_ns - w->origin_ns), "dur",
        microseconds(e->end_ns - e->begin_ns), "pid", (json_int_t)w->workers[e->worker].row + 1,
        "tid", (json_int_t)e->track + 1);
    if (!json || !place || json_object_update(json, place)) {
        json_decref(json);
        json = NULL;
    }
    json_decref(place);
    return json;
}

/* Names or places ("name", "sort_index") of a process or a thread. */
static json_t *metadata(const char *kind, size_t pid, size_t tid, const char *key, json_t *value) {
    return json_pack("{s:s,s:s,s:I,s:I,s:{s:o}}", "name", kind, "ph", "M", "pid",
                     (json_int_t)pid + 1, "tid", (json_int_t)tid + 1, "args", key, value);
}

static void name_track(const struct writer *w, const struct track *t, char *name, size_t size) {
    const char *program = w->workers[t->worker].open->name;
    char beside[32] = "";
    if (t->lane) snprintf(beside, sizeof beside, ", beside it %u", t->lane);
    if (t->what <= PHASE)
        snprintf(name, size, "%s", program);
    else if (t->what == GRAPH)
        snprintf(name, size, "%s, cuda:%u graphs%s", program, t->device, beside);
    else
        snprintf(name, size, "%s, cuda:%u stream %u%s", program, t->device, t->stream, beside);
}

static bool write_names(const struct writer *w, bool *first, FILE *out) {
    bool ok = true;
    for (size_t i = 0; i < w->n_workers; i++)
        ok = write_object(metadata("process_name", w->workers[i].row, 0, "name",
                                   text(w->workers[i].open->detail)),
                          first, out) &&
             write_object(metadata("process_sort_index", w->workers[i].row, 0, "sort_index",
                                   json_integer((json_int_t)w->workers[i].row)),
                          first, out) &&
             ok;
    for (size_t i = 0; i < w->n_tracks; i++) {
        const struct track *t = &w->tracks[i];
        const size_t row = w->workers[t->worker].row;
        const int kind = t->what <= PHASE ? 0 : t->what == GRAPH ? 1 : 2;
        char name[400];
        name_track(w, t, name, sizeof name);
        ok = write_object(metadata("thread_name", row, i, "name", text(name)), first, out) &&
             write_object(metadata("thread_sort_index", row, i, "sort_index",
                                   json_integer((json_int_t)(t->worker * 3) + kind)),
                          first, out) &&
             ok;
    }
    return ok;
}

static json_t *other_data(const struct writer *w) {
    json_t *notes = json_array();
    for (size_t i = 0; i < w->trace->n_records; i++)
        if (w->trace->records[i].kind == MB_TRACE_NOTE)
            json_array_append_new(notes, text(w->trace->records[i].name));
    return json_pack("{s:s,s:I,s:o}", "clock", "CLOCK_MONOTONIC", "origin_ns",
                     (json_int_t)w->origin_ns, "notes", notes);
}

static bool write_all(const struct writer *w, FILE *out) {
    bool first = true;
    fputs("{\"traceEvents\":[", out);
    bool ok = write_names(w, &first, out);
    for (size_t i = 0; i < w->n_events; i++)
        ok = write_object(event_json(w, &w->events[i]), &first, out) && ok;
    fputs("\n],\"displayTimeUnit\":\"ns\",\"otherData\":", out);
    first = true;
    ok = write_object(other_data(w), &first, out) && ok;
    fputs("}\n", out);
    return ok;
}

enum mb_status mb_report_trace(const struct mb_trace *trace, FILE *out, struct mb_err *err) {
    /* a record gives at most two events, its own and a graph's, or the outer two */
    const size_t most = 2 * trace->n_records + 1;
    struct writer w = {.trace = trace};
    bool ok = false;
    w.events = calloc(most, sizeof *w.events);
    w.workers = calloc(trace->n_records + 1, sizeof *w.workers);
    w.tracks = calloc(most, sizeof *w.tracks);
    if (w.events && w.workers && w.tracks) {
        for (size_t i = 0; i < trace->n_records; i++) take_record(&w, &trace->records[i]);
        add_outer_ranges(&w);
        add_graph_launches(&w);
        qsort(w.events, w.n_events, sizeof *w.events, by_time);
        if (w.n_events) w.origin_ns = w.events[0].begin_ns;
        for (size_t i = 0; i < w.n_events; i++) choose_track(&w, &w.events[i]);
        ok = write_all(&w, out);
    }
    free(w.events);
    free(w.workers);
    free(w.tracks);
    return ok ? MB_OK : mb_fail(err, MB_E_NOMEM, "no memory for the trace");
}
