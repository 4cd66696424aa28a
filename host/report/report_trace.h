/* The trace of a run as Chrome's trace-event JSON, for ui.perfetto.dev and chrome://tracing. */
#ifndef MB_REPORT_TRACE_H
#define MB_REPORT_TRACE_H

#include "status.h"
#include "trace_log.h"

#include <stdio.h>

/* A process row for each executor; in it a track for each program with its phases, nested as
 * NVTX's ranges are, and tracks of its device's streams and graph launches. Work that overlaps in
 * one stream has further tracks beside it. Events are complete ones ("X") in the order of their
 * beginning; times are microseconds since the first. MB_E_NOMEM; write errors are the stream's. */
enum mb_status mb_report_trace(const struct mb_trace *trace, FILE *out, struct mb_err *err);

#endif
