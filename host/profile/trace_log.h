/* What the worker processes of a run did and when, as they tell it themselves.
 *
 * The harness makes one log, a file in memory without a name, and hands its descriptor to every
 * worker. Each appends a record with one write, so that what a worker that crashed or hung had done
 * before is not lost. Read when all workers are gone. */
#ifndef MB_TRACE_LOG_H
#define MB_TRACE_LOG_H

#include "status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mb_trace_kind {
    MB_TRACE_OPEN,   /* a worker begins: name is the program's, detail the executor's */
    MB_TRACE_BEGIN,  /* a phase of it: name is its text, amount the runs it is opened for */
    MB_TRACE_END,    /* of the phase that is open */
    MB_TRACE_CLOSE,  /* the worker's end; the first one counts */
    MB_TRACE_NOTE,   /* name says what the trace lacks, and why */
    MB_TRACE_KERNEL, /* these three: device activity from begin_ns to end_ns */
    MB_TRACE_COPY,   /* detail says from where to where */
    MB_TRACE_FILL,
};

struct mb_trace_record {
    enum mb_trace_kind kind;
    int32_t process;          /* of the worker */
    int64_t begin_ns, end_ns; /* CLOCK_MONOTONIC; the same but for device activity */
    uint64_t amount;          /* runs, or bytes of a copy or a fill */
    uint32_t device, stream;
    uint32_t graph;  /* 0: not launched by a graph */
    uint32_t launch; /* nodes of one launch of a graph share it */
    uint32_t grid[3], block[3];
    uint32_t registers, static_shared_bytes, dynamic_shared_bytes;
    const char *name, *detail; /* "" where there is none */
};

struct mb_trace_log;

/* A new log. mb_trace_log_close takes NULL. */
enum mb_status mb_trace_log_new(struct mb_trace_log **out, struct mb_err *err);
/* A worker's end of it. The descriptor is the log's from then on. */
enum mb_status mb_trace_log_attach(int fd, struct mb_trace_log **out, struct mb_err *err);
void mb_trace_log_close(struct mb_trace_log *log);
int mb_trace_log_fd(const struct mb_trace_log *log);

/* Appends a copy of the record. From any thread. What cannot be written is told by check. */
void mb_trace_log_add(struct mb_trace_log *log, const struct mb_trace_record *record);
/* The same for a record that is a moment, now. NULL for a log does nothing. */
void mb_trace_log_mark(struct mb_trace_log *log, enum mb_trace_kind kind, int32_t process,
                       const char *name, const char *detail, uint64_t amount);
/* MB_E_IO when a record was lost since the log was opened here. */
enum mb_status mb_trace_log_check(const struct mb_trace_log *log, struct mb_err *err);

struct mb_trace {
    struct mb_trace_record *records; /* in the order of their arrival */
    size_t n_records;
    char *bytes; /* where their texts lie */
};

/* All that is in the log; mb_trace_free in the end. A record that was cut off by its worker's end
 * is left out, and so is all behind it. */
enum mb_status mb_trace_log_read(const struct mb_trace_log *log, struct mb_trace *out,
                                 struct mb_err *err);
void mb_trace_free(struct mb_trace *trace); /* all zero is fine */

#endif
