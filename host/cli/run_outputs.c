#include "run_outputs.h"

#include "cli.h"
#include "executors.h"
#include "nvtx.h"
#include "outfile.h"
#include "report.h"
#include "report_trace.h"
#include "terminal.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static const char default_json[] = "results/inference_results.json";

static const char *json_name(const struct mb_run_options *o) {
    return o->json ? o->json : default_json;
}

int mb_run_check_writable(const struct mb_run_options *o) {
    const bool writes_result = !o->profile && !o->plan;
    const char *names[] = {writes_result ? json_name(o) : NULL, o->csv, o->md, o->trace};
    if (writes_result && !o->json && mkdir("results", 0777) != 0 && errno != EEXIST)
        return mb_cli_error(MB_EXIT_USAGE,
                            "cannot make the folder results: %s; name another place "
                            "with --json FILE",
                            strerror(errno));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i] && !mb_cli_writable(names[i])) return MB_EXIT_USAGE;
    return -1;
}

static bool write_json(const struct mb_result *result, FILE *out, struct mb_err *err) {
    struct mb_machine machine;
    json_t *json = NULL;
    if (mb_machine_read(NULL, &machine, err) != MB_OK) return false;
    if (mb_report_json(result, &machine, &json, err) != MB_OK) return false;
    bool ok = mb_report_print_json(json, out);
    json_decref(json);
    return ok || (mb_fail(err, MB_E_NOMEM, "no memory for the JSON text"), false);
}

enum writer { WRITE_JSON, WRITE_CSV, WRITE_MD };

/* A failed stream is the commit's to report: it knows why. */
static bool write_file(const struct mb_result *result, enum writer writer, const char *name) {
    struct mb_outfile *file = NULL;
    struct mb_err err;
    if (!name) return true;
    if (mb_outfile_open(name, &file, &err) == MB_OK) {
        bool made = true;
        FILE *out = mb_outfile_stream(file);
        switch (writer) {
        case WRITE_JSON: made = write_json(result, out, &err) || ferror(out); break;
        case WRITE_CSV: mb_report_csv(result, out); break;
        case WRITE_MD: mb_report_md(result, out); break;
        }
        if (made && mb_outfile_commit(file, &err) == MB_OK) return true;
        if (!made) mb_outfile_discard(file);
    }
    mb_cli_error(MB_EXIT_USAGE, "%s", err.text);
    return false;
}

static bool uses_stdout(const struct mb_run_options *o) {
    const char *names[] = {o->json, o->csv, o->md, o->trace};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i] && strcmp(names[i], "stdout") == 0) return true;
    return false;
}

FILE *mb_run_console(const struct mb_run_options *o) { return uses_stdout(o) ? stderr : stdout; }

bool mb_run_write(const struct mb_run_options *o, const struct mb_result *result) {
    FILE *out = mb_run_console(o);
    bool ok = true;
    if (!o->quiet) {
        ok = (o->compile_only ? mb_report_compile_only : mb_report_tables)(
            result, out, mb_terminal_columns(out), mb_diag_options_color(&o->diags, out));
        if (fflush(out) != 0 || !ok) {
            mb_cli_error(MB_EXIT_USAGE, "cannot write the tables: %s", strerror(errno));
            ok = false;
        }
    }
    ok = write_file(result, WRITE_JSON, json_name(o)) && ok;
    ok = write_file(result, WRITE_CSV, o->csv) && ok;
    ok = write_file(result, WRITE_MD, o->md) && ok;
    if (ok && !o->quiet && strcmp(json_name(o), "stdout") != 0)
        fprintf(out, "\nResults: %s\n", json_name(o));
    return ok;
}

void mb_run_print_profiled(const struct mb_run_options *o, const struct mb_result *result) {
    FILE *out = mb_run_console(o);
    size_t n_profiled = 0;
    struct mb_err err;
    for (size_t i = 0; i < result->n_benchmarks; i++) {
        const struct mb_benchmark_result *b = &result->benchmarks[i];
        for (size_t k = 0; k < b->n_executors; k++) {
            const struct mb_executor_result *e = &b->executors[k];
            if (!e->valid && e->measured)
                mb_cli_error(MB_EXIT_INVALID, "%s: %s: %s", b->name, e->name, e->invalid_reason);
            if (!e->measured && e->reason && !o->quiet &&
                mb_executor_present(mb_executor_find(e->name, e->device), &err) == MB_OK)
                fprintf(stderr, "Warn: %s: %s is not profiled: %s\n", b->name, e->name, e->reason);
            n_profiled += e->valid;
        }
    }
    if (o->quiet) return;
    if (!mb_nvtx_built)
        fputs("Warn: no NVTX range was opened: built without NVTX; install the CUDA Toolkit and "
              "build again\n",
              stderr);
    fprintf(out, "Profiled: %zu run%s%s; no statistics are formed, and no results written\n",
            n_profiled, n_profiled == 1 ? "" : "s",
            mb_nvtx_built ? ", each in an NVTX range `profile`" : "");
}

/* Each reason once, however many workers have it. */
static void warn_of_notes(const struct mb_trace *trace) {
    for (size_t i = 0; i < trace->n_records; i++) {
        const struct mb_trace_record *note = &trace->records[i];
        bool told = note->kind != MB_TRACE_NOTE;
        for (size_t k = 0; k < i && !told; k++)
            told = trace->records[k].kind == MB_TRACE_NOTE &&
                   strcmp(trace->records[k].name, note->name) == 0;
        if (!told) fprintf(stderr, "Warn: the trace lacks %s\n", note->name);
    }
}

bool mb_run_write_trace(const struct mb_run_options *o, const struct mb_trace_log *log) {
    struct mb_trace trace = {0};
    struct mb_outfile *file = NULL;
    struct mb_err err;
    enum mb_status st = mb_trace_log_read(log, &trace, &err);
    if (st == MB_OK) st = mb_outfile_open(o->trace, &file, &err);
    if (st == MB_OK) {
        st = mb_report_trace(&trace, mb_outfile_stream(file), &err);
        if (st == MB_OK)
            st = mb_outfile_commit(file, &err);
        else
            mb_outfile_discard(file);
    }
    if (st != MB_OK) mb_cli_error(MB_EXIT_USAGE, "%s", err.text);
    if (st == MB_OK && !o->quiet) {
        warn_of_notes(&trace);
        if (!uses_stdout(o))
            printf("Trace: %s; open it in ui.perfetto.dev or chrome://tracing\n", o->trace);
    }
    mb_trace_free(&trace);
    return st == MB_OK;
}
