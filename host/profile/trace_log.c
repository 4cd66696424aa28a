#include "trace_log.h"

#include "clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

struct mb_trace_log {
    int fd;
    atomic_int error; /* of the first record that could not be written; 0: none */
};

/* Before each record: both sides are the same binary. Its texts follow, each with its NUL, and the
 * magic number, without which the record was cut and holds the begin of a later one. */
struct prefix {
    uint32_t name_size, detail_size;
};

static const uint64_t magic = 0x6d622d7472616365;

static enum mb_status make(int fd, struct mb_trace_log **out, struct mb_err *err) {
    struct mb_trace_log *log = malloc(sizeof *log);
    if (!log) return mb_fail(err, MB_E_NOMEM, "no memory for a trace");
    log->fd = fd;
    atomic_init(&log->error, 0);
    *out = log;
    return MB_OK;
}

enum mb_status mb_trace_log_new(struct mb_trace_log **out, struct mb_err *err) {
    int fd = memfd_create("mindbench trace", MFD_CLOEXEC);
    if (fd < 0 || fcntl(fd, F_SETFL, O_APPEND) != 0) {
        enum mb_status st = mb_fail(err, MB_E_IO, "cannot make a trace: %s", strerror(errno));
        if (fd >= 0) close(fd);
        return st;
    }
    enum mb_status st = make(fd, out, err);
    if (st != MB_OK) close(fd);
    return st;
}

enum mb_status mb_trace_log_attach(int fd, struct mb_trace_log **out, struct mb_err *err) {
    return make(fd, out, err);
}

void mb_trace_log_close(struct mb_trace_log *log) {
    if (!log) return;
    close(log->fd);
    free(log);
}

int mb_trace_log_fd(const struct mb_trace_log *log) { return log->fd; }

void mb_trace_log_add(struct mb_trace_log *log, const struct mb_trace_record *record) {
    struct prefix prefix = {(uint32_t)strlen(record->name) + 1,
                            (uint32_t)strlen(record->detail) + 1};
    const struct iovec parts[] = {
        {&prefix, sizeof prefix},
        {(void *)(uintptr_t)record, sizeof *record},
        {(void *)(uintptr_t)record->name, prefix.name_size},
        {(void *)(uintptr_t)record->detail, prefix.detail_size},
        {(void *)(uintptr_t)&magic, sizeof magic},
    };
    const size_t size =
        sizeof prefix + sizeof *record + prefix.name_size + prefix.detail_size + sizeof magic;
    const ssize_t wrote = writev(log->fd, parts, sizeof parts / sizeof *parts);
    if (wrote == (ssize_t)size) return;
    int none = 0;
    atomic_compare_exchange_strong(&log->error, &none, wrote < 0 ? errno : ENOSPC);
}

void mb_trace_log_mark(struct mb_trace_log *log, enum mb_trace_kind kind, int32_t process,
                       const char *name, const char *detail, uint64_t amount) {
    if (!log) return;
    const int64_t now = mb_clock_ns();
    const struct mb_trace_record record = {.kind = kind,
                                           .process = process,
                                           .begin_ns = now,
                                           .end_ns = now,
                                           .amount = amount,
                                           .name = name,
                                           .detail = detail};
    mb_trace_log_add(log, &record);
}

enum mb_status mb_trace_log_check(const struct mb_trace_log *log, struct mb_err *err) {
    const int error = atomic_load(&log->error);
    if (!error) return MB_OK;
    return mb_fail(err, MB_E_IO, "cannot write the trace: %s", strerror(error));
}

/* ---- reading ---- */

/* The record at *at, which moves on behind it; false at the end or where no whole record is. */
static bool take(char *bytes, size_t size, size_t *at, struct mb_trace_record *out) {
    struct prefix prefix;
    if (size - *at < sizeof prefix + sizeof *out + sizeof magic) return false;
    memcpy(&prefix, bytes + *at, sizeof prefix);
    memcpy(out, bytes + *at + sizeof prefix, sizeof *out);
    const size_t texts = *at + sizeof prefix + sizeof *out;
    const size_t left = size - texts - sizeof magic;
    if (prefix.name_size > left || prefix.detail_size > left - prefix.name_size) return false;
    const size_t end = texts + prefix.name_size + prefix.detail_size;
    if (memcmp(bytes + end, &magic, sizeof magic) != 0) return false;
    out->name = bytes + texts;
    out->detail = out->name + prefix.name_size;
    *at = end + sizeof magic;
    return true;
}

/* 0 or an errno. */
static int read_whole(int fd, char *bytes, size_t size) {
    for (size_t at = 0; at < size;) {
        const ssize_t got = pread(fd, bytes + at, size - at, (off_t)at);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return got < 0 ? errno : EIO;
        at += (size_t)got;
    }
    return 0;
}

enum mb_status mb_trace_log_read(const struct mb_trace_log *log, struct mb_trace *out,
                                 struct mb_err *err) {
    struct mb_trace trace = {0};
    struct mb_trace_record record;
    struct stat info;
    size_t at = 0;
    if (fstat(log->fd, &info) != 0)
        return mb_fail(err, MB_E_IO, "cannot read the trace: %s", strerror(errno));
    const size_t size = (size_t)info.st_size;
    trace.bytes = malloc(size + 1);
    if (!trace.bytes) return mb_fail(err, MB_E_NOMEM, "no memory for a trace of %zu bytes", size);
    const int error = read_whole(log->fd, trace.bytes, size);
    if (error) {
        mb_trace_free(&trace);
        return mb_fail(err, MB_E_IO, "cannot read the trace: %s", strerror(error));
    }
    while (take(trace.bytes, size, &at, &record)) trace.n_records++;
    trace.records = malloc((trace.n_records + 1) * sizeof *trace.records);
    if (!trace.records) {
        mb_trace_free(&trace);
        return mb_fail(err, MB_E_NOMEM, "no memory for a trace of %zu bytes", size);
    }
    at = 0;
    for (size_t i = 0; i < trace.n_records; i++) take(trace.bytes, size, &at, &trace.records[i]);
    *out = trace;
    return MB_OK;
}

void mb_trace_free(struct mb_trace *trace) {
    free(trace->records);
    free(trace->bytes);
    *trace = (struct mb_trace){0};
}
