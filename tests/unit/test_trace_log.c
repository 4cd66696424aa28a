/* The log that workers share: what goes in comes out, cut records and failed writes are seen. */
#include "trace_log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct mb_err err;

static void fill(struct mb_trace_log *log) {
    const struct mb_trace_record kernel = {.kind = MB_TRACE_KERNEL,
                                           .process = 12,
                                           .begin_ns = 100,
                                           .end_ns = 250,
                                           .stream = 7,
                                           .grid = {1, 2, 3},
                                           .name = "kernel",
                                           .detail = ""};
    mb_trace_log_mark(log, MB_TRACE_OPEN, 11, "program", "executor", 0);
    mb_trace_log_add(log, &kernel);
    mb_trace_log_mark(log, MB_TRACE_BEGIN, 11, "phase", "", 9);
}

static void round_trip(void **state) {
    (void)state;
    struct mb_trace_log *log, *other;
    struct mb_trace trace;
    assert_int_equal(mb_trace_log_new(&log, &err), MB_OK);
    /* as a worker has it: another descriptor of the same file */
    assert_int_equal(mb_trace_log_attach(dup(mb_trace_log_fd(log)), &other, &err), MB_OK);
    fill(other);
    mb_trace_log_mark(log, MB_TRACE_CLOSE, 11, "", "", 0);
    assert_int_equal(mb_trace_log_check(other, &err), MB_OK);
    mb_trace_log_close(other);
    assert_int_equal(mb_trace_log_read(log, &trace, &err), MB_OK);
    assert_int_equal(trace.n_records, 4);
    const struct mb_trace_record *r = trace.records;
    assert_int_equal(r[0].kind, MB_TRACE_OPEN);
    assert_string_equal(r[0].name, "program");
    assert_string_equal(r[0].detail, "executor");
    assert_int_equal(r[0].process, 11);
    assert_int_equal(r[0].begin_ns, r[0].end_ns);
    assert_int_equal(r[1].kind, MB_TRACE_KERNEL);
    assert_int_equal(r[1].end_ns, 250);
    assert_int_equal(r[1].grid[2], 3);
    assert_string_equal(r[1].name, "kernel");
    assert_int_equal(r[2].amount, 9);
    assert_true(r[2].begin_ns >= r[0].begin_ns);
    assert_int_equal(r[3].kind, MB_TRACE_CLOSE);
    mb_trace_free(&trace);
    mb_trace_free(&trace);
    mb_trace_log_close(log);
    mb_trace_log_close(NULL);
}

static void nothing(void **state) {
    (void)state;
    struct mb_trace_log *log;
    struct mb_trace trace;
    mb_trace_log_mark(NULL, MB_TRACE_END, 1, "", "", 0);
    assert_int_equal(mb_trace_log_new(&log, &err), MB_OK);
    assert_int_equal(mb_trace_log_read(log, &trace, &err), MB_OK);
    assert_int_equal(trace.n_records, 0);
    mb_trace_free(&trace);
    mb_trace_log_close(log);
}

/* Wherever the last record is cut, those before it are whole. */
static void cut_at_every_byte(void **state) {
    (void)state;
    struct mb_trace_log *log;
    struct mb_trace trace;
    struct stat two, three;
    assert_int_equal(mb_trace_log_new(&log, &err), MB_OK);
    fill(log);
    assert_int_equal(fstat(mb_trace_log_fd(log), &two), 0);
    mb_trace_log_mark(log, MB_TRACE_NOTE, 11, "last", "one", 0);
    assert_int_equal(fstat(mb_trace_log_fd(log), &three), 0);
    for (off_t size = three.st_size - 1; size >= two.st_size; size--) {
        assert_int_equal(ftruncate(mb_trace_log_fd(log), size), 0);
        assert_int_equal(mb_trace_log_read(log, &trace, &err), MB_OK);
        assert_int_equal(trace.n_records, 3);
        mb_trace_free(&trace);
    }
    /* what another worker wrote behind a cut one is not taken for the rest of it */
    for (off_t size = two.st_size + 1; size < three.st_size; size++) {
        assert_int_equal(ftruncate(mb_trace_log_fd(log), two.st_size), 0);
        mb_trace_log_mark(log, MB_TRACE_NOTE, 11, "last", "one", 0);
        assert_int_equal(ftruncate(mb_trace_log_fd(log), size), 0);
        mb_trace_log_mark(log, MB_TRACE_NOTE, 12, "last", "one", 0);
        assert_int_equal(mb_trace_log_read(log, &trace, &err), MB_OK);
        assert_int_equal(trace.n_records, 3);
        mb_trace_free(&trace);
    }
    mb_trace_log_close(log);
}

static void a_lost_record_is_told(void **state) {
    (void)state;
    struct mb_trace_log *log;
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(full >= 0);
    assert_int_equal(mb_trace_log_attach(full, &log, &err), MB_OK);
    fill(log);
    assert_int_equal(mb_trace_log_check(log, &err), MB_E_IO);
    assert_string_equal(err.text, "cannot write the trace: No space left on device");
    mb_trace_log_close(log);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(nothing),
        cmocka_unit_test(cut_at_every_byte),
        cmocka_unit_test(a_lost_record_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
