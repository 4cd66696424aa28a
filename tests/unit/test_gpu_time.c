/* The timer of host/gpu on a runtime of paper: what stands between the events, when the gate opens,
 * and that it opens whatever fails. */
#include "clock.h"
#include "fake_cuda.h"
#include "gpu_time.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { RUN_NS = 3000, EVICT_NS = 70000, GATE_MS = 20 };

static struct mb_err err;
static cudaStream_t stream;
static struct mb_gpu_timer *timer;

/* What the callbacks do besides enqueueing. */
static struct {
    int n_runs;
    int fail_run; /* this one fails by itself, counted from 1 */
    bool waits;   /* as a launch that synchronises does */
} work_state;

#define OK(call)                                                                                   \
    do {                                                                                           \
        if ((call) != MB_OK) fail_msg("%s: %s", #call, err.text);                                  \
    } while (0)

static void work_for(const void *args) {
    const double ns = *(const double *)args;
    fake_cuda.clock_ns += ns;
    fake_cuda_note(ns == RUN_NS ? 'r' : 'x');
}
static enum mb_status enqueue(double ns, struct mb_err *error) {
    if (fake_cuda_fails())
        return mb_fail(error, MB_E_DEVICE, "launch: cudaErrorLaunchFailure (719): of the test");
    fake_cuda_enqueue(stream, work_for, &ns, sizeof ns);
    return MB_OK;
}
static enum mb_status run(void *arg, struct mb_err *error) {
    assert_ptr_equal(arg, &work_state);
    if (++work_state.n_runs == work_state.fail_run)
        return mb_fail(error, MB_E_NOMEM, "the run's own error");
    if (work_state.waits) cudaStreamSynchronize(stream);
    return enqueue(RUN_NS, error);
}
static enum mb_status evict(void *arg, struct mb_err *error) {
    assert_ptr_equal(arg, &work_state);
    return enqueue(EVICT_NS, error);
}
static const struct mb_gpu_work warm = {run, NULL, &work_state, 1};
static const struct mb_gpu_work cold = {run, evict, &work_state, 1};

static int setup(void **state) {
    (void)state;
    fake_cuda_reset();
    memset(&work_state, 0, sizeof work_state);
    cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    return mb_gpu_timer_new(stream, GATE_MS, &timer, &err);
}
static int teardown(void **state) {
    (void)state;
    mb_gpu_timer_free(timer);
    cudaStreamDestroy(stream);
    return fake_cuda.n_alive;
}

static void is_ns(double ns, double wanted) {
    if (ns < wanted - 1 || ns > wanted + 1) fail_msg("%g ns, not %g", ns, wanted);
}

static void a_batch(void **state) {
    (void)state;
    double ns = 0;
    OK(mb_gpu_time_batch(timer, &warm, 5, &ns, &err));
    is_ns(ns, 5 * RUN_NS);
    assert_string_equal(fake_cuda.order, "gerrrrre");
}

/* No eviction in a batch: what it would measure is the sum of both. */
static void a_batch_evicts_nothing(void **state) {
    (void)state;
    double ns = 0;
    OK(mb_gpu_time_batch(timer, &cold, 2, &ns, &err));
    is_ns(ns, 2 * RUN_NS);
}

static void isolated_runs(void **state) {
    (void)state;
    double ns = 0;
    OK(mb_gpu_time_isolated(timer, &warm, 3, &ns, &err));
    is_ns(ns, 3 * RUN_NS);
    assert_string_equal(fake_cuda.order, "geregeregere");
}

static void isolated_runs_find_their_data_evicted(void **state) {
    (void)state;
    double ns = 0;
    OK(mb_gpu_time_isolated(timer, &cold, 2, &ns, &err));
    is_ns(ns, 2 * RUN_NS);
    assert_string_equal(fake_cuda.order, "gxeregxere");
    is_ns(fake_cuda.clock_ns, 2 * (RUN_NS + EVICT_NS));
}

/* More than the queue holds: the gate must open before enqueueing waits. */
static void more_than_the_queue_holds(void **state) {
    (void)state;
    double ns = 0;
    fake_cuda.queue_entries = 1024;
    OK(mb_gpu_time_batch(timer, &warm, 3000, &ns, &err));
    is_ns(ns, 3000.0 * RUN_NS);
    assert_int_equal(work_state.n_runs, 3000);
}

/* The gate opens after as many runs as fit. */
static void entries_of_a_run_are_counted(void **state) {
    (void)state;
    const uint32_t entries[] = {0, 100, MB_GPU_GATE_ENTRIES - 1, MB_GPU_GATE_ENTRIES, 1u << 31};
    const int held[] = {MB_GPU_GATE_ENTRIES, 5, 1, 1, 1};
    for (size_t i = 0; i < sizeof held / sizeof *held; i++) {
        struct mb_gpu_work work = warm;
        double ns = 0;
        work.run_entries = entries[i];
        fake_cuda.queue_entries = held[i] + 2; /* the gate and the event come first */
        OK(mb_gpu_time_batch(timer, &work, (uint32_t)held[i] + 3, &ns, &err));
        fake_cuda.queue_entries = held[i] + 1;
        assert_int_equal(mb_gpu_time_batch(timer, &work, (uint32_t)held[i] + 3, &ns, &err),
                         MB_E_TIMEOUT);
    }
}

/* The first run waits for a stream that is held back: no deadlock, and no number. */
static void a_run_that_waits(void **state) {
    (void)state;
    double ns = -1;
    work_state.waits = true;
    assert_int_equal(mb_gpu_time_batch(timer, &warm, 3, &ns, &err), MB_E_TIMEOUT);
    assert_non_null(strstr(err.text, "gate timed out after 20 ms"));
    assert_int_equal(mb_gpu_time_isolated(timer, &cold, 3, &ns, &err), MB_E_TIMEOUT);
    assert_true(ns == -1);
    work_state.waits = false;
    OK(mb_gpu_time_batch(timer, &warm, 3, &ns, &err));
    is_ns(ns, 3 * RUN_NS);
}

static void a_run_that_fails(void **state) {
    (void)state;
    double ns = -1;
    for (work_state.fail_run = 1; work_state.fail_run <= 3; work_state.fail_run++) {
        work_state.n_runs = 0;
        assert_int_equal(mb_gpu_time_batch(timer, &warm, 3, &ns, &err), MB_E_NOMEM);
        assert_string_equal(err.text, "the run's own error");
    }
    assert_true(ns == -1);
    work_state.fail_run = 0;
    OK(mb_gpu_time_batch(timer, &warm, 3, &ns, &err));
}

/* Each call of the runtime and of the callbacks fails once. A gate left closed would show in the
 * time that the wait for the stream takes. */
static void every_call_fails(void **state) {
    (void)state;
    enum { LONG_MS = 60000 };
    const int64_t begin = mb_clock_ns();
    int failed = 0;
    for (int at = 1;; at++) {
        double ns = -1;
        fake_cuda.n_calls = 0;
        fake_cuda.fail_at = at;
        struct mb_gpu_timer *t = NULL;
        enum mb_status st = mb_gpu_timer_new(stream, LONG_MS, &t, &err);
        if (st == MB_OK) st = mb_gpu_time_isolated(t, &cold, 2, &ns, &err);
        if (st == MB_OK) st = mb_gpu_time_batch(t, &warm, 2, &ns, &err);
        const bool happened = fake_cuda.n_calls >= at;
        fake_cuda.fail_at = 0;
        if (st != MB_OK) {
            assert_int_equal(st, MB_E_DEVICE);
            assert_non_null(strstr(err.text, "cudaErrorLaunchFailure (719)"));
            failed++;
        } else {
            is_ns(ns, 2 * RUN_NS);
        }
        cudaStreamSynchronize(stream);
        if (t) OK(mb_gpu_time_batch(t, &warm, 2, &ns, &err));
        mb_gpu_timer_free(t);
        if (!happened) break;
        assert_int_not_equal(st, MB_OK);
    }
    assert_int_equal(failed, 2 + 2 * 7 + 7);
    assert_true(mb_clock_ns() - begin < LONG_MS * INT64_C(1000000));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_batch),
        TEST(a_batch_evicts_nothing),
        TEST(isolated_runs),
        TEST(isolated_runs_find_their_data_evicted),
        TEST(more_than_the_queue_holds),
        TEST(entries_of_a_run_are_counted),
        TEST(a_run_that_waits),
        TEST(a_run_that_fails),
        TEST(every_call_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
