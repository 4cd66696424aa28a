/* Shared tensors, made-up values, accuracy, and messages. */
#include "clock.h"
#include "tensors.h"
#include "wire.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* y = x (64, 400) @ w (400, 300) + b (300,) */
struct example {
    struct mb_node nodes[5];
    struct mb_param params[3];
    uint32_t outputs[1];
    struct mb_program program;
};

static const struct mb_program *example(void) {
    static struct example e;
    const struct mb_type x = {MB_F32, {2, {64, 400}}}, w = {MB_F32, {2, {400, 300}}};
    const struct mb_type b = {MB_F32, {1, {300}}}, y = {MB_F32, {2, {64, 300}}};
    e.params[0] = (struct mb_param){"x", x, MB_INPUT, 0};
    e.params[1] = (struct mb_param){"w", w, MB_WEIGHT, 1};
    e.params[2] = (struct mb_param){"b", b, MB_WEIGHT, 2};
    for (uint32_t i = 0; i < 3; i++)
        e.nodes[i] = (struct mb_node){
            .op = MB_OP_PARAM, .id = i, .type = e.params[i].type, .attr.param.index = i};
    e.nodes[3] = (struct mb_node){MB_OP_MATMUL, 2, {0, 1}, 3, y, {{0}}};
    e.nodes[4] = (struct mb_node){MB_OP_ADD, 2, {3, 2}, 4, y, {{0}}};
    e.outputs[0] = 4;
    e.program = (struct mb_program){"f", e.nodes, 5, 5, e.params, 3, e.outputs, 1};
    return &e.program;
}

static double deviation(const float *values, size_t n) {
    double squares = 0;
    for (size_t i = 0; i < n; i++) squares += (double)values[i] * (double)values[i];
    return sqrt(squares / (double)n);
}

static void values_follow_role_and_fan_in(void **state) {
    const struct mb_program *p = example();
    struct mb_shared s;
    struct mb_err err;
    (void)state;
    assert_int_equal(mb_shared_params(p, -1, true, &s, &err), MB_OK);
    mb_tensors_fill(p, 42, s.data);
    assert_true(fabs(deviation(s.data[0], 64 * 400) - 1) < 0.03);
    assert_true(fabs(deviation(s.data[1], 400 * 300) * sqrt(400) - 1) < 0.03);
    assert_true(fabs(deviation(s.data[2], 300) * sqrt(300) - 1) < 0.2);
    float first = *(float *)s.data[0];
    mb_tensors_fill(p, 43, s.data);
    assert_true(*(float *)s.data[0] != first);
    mb_tensors_fill(p, 42, s.data);
    assert_true(*(float *)s.data[0] == first);
    mb_shared_close(&s);
}

static void memory_is_shared_by_descriptor(void **state) {
    const struct mb_program *p = example();
    struct mb_shared a, b, c = {.fd = -1};
    struct mb_err err;
    (void)state;
    assert_int_equal(mb_shared_params(p, -1, true, &a, &err), MB_OK);
    assert_int_equal(mb_shared_params(p, dup(a.fd), false, &b, &err), MB_OK);
    for (int i = 0; i < 3; i++) assert_int_equal((uintptr_t)a.data[i] % 64, 0);
    ((float *)a.data[2])[299] = 12;
    assert_true(((float *)b.data[2])[299] == 12);
    /* parameters are not outputs: another size is refused */
    assert_int_equal(mb_shared_outputs(p, a.fd, &c, &err), MB_E_INVALID);
    mb_shared_close(&a);
    mb_shared_close(&b);
    mb_shared_close(&c);
}

static struct mb_accuracy accuracy_with(float changed, double reference_value) {
    enum { COUNT = 64 * 300 };
    static float y[COUNT];
    static double want[COUNT];
    void *outputs[] = {y};
    double *reference[] = {want};
    for (int i = 0; i < COUNT; i++) want[i] = y[i] = (float)(i % 7 - 3);
    y[100] = changed;
    want[100] = reference_value;
    return mb_accuracy_of(example(), outputs, reference);
}

static void accuracy_measures(void **state) {
    (void)state;
    struct mb_accuracy exact = accuracy_with(2, 2);
    assert_true(exact.rel_l2 == 0 && exact.max_abs == 0 && exact.max_rel == 0);
    assert_true(exact.finite_agree);
    struct mb_accuracy off = accuracy_with(2.5f, 2);
    assert_true(fabs(off.max_abs - 0.5) < 1e-12 && fabs(off.max_rel - 0.5 / 3) < 1e-12);
    assert_true(fabs(off.rel_l2 - 0.5 / sqrt(4.0 * 64 * 300)) < 1e-5);
    assert_false(accuracy_with(NAN, 2).finite_agree);
    assert_false(accuracy_with(2, INFINITY).finite_agree);
    assert_false(accuracy_with(-INFINITY, INFINITY).finite_agree);
    assert_true(accuracy_with(NAN, NAN).finite_agree);
    assert_true(accuracy_with(INFINITY, INFINITY).finite_agree);
}

static void messages_survive_the_trip(void **state) {
    int pair[2];
    struct mb_wire out = {0}, in = {0};
    struct mb_err err;
    enum mb_message message;
    enum mb_status status;
    size_t len;
    static char big[300000];
    (void)state;
    memset(big, 'x', sizeof big);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    int room = 2 * (int)sizeof big; /* so that one thread can both send and receive */
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    mb_wire_put_u64(&out, 7);
    mb_wire_put_text(&out, "a\0b", 3);
    mb_wire_put_f64(&out, -0.25);
    mb_wire_put_text(&out, big, 100000);
    assert_int_equal(mb_wire_send(pair[0], MB_MSG_RUN, MB_E_NUMERIC, &out, &err), MB_OK);
    assert_int_equal(mb_wire_receive(pair[1], INT64_MAX, -1, &message, &status, &in, &err), MB_OK);
    assert_int_equal(message, MB_MSG_RUN);
    assert_int_equal(status, MB_E_NUMERIC);
    assert_int_equal(mb_wire_get_u64(&in), 7);
    assert_memory_equal(mb_wire_get_text(&in, &len), "a\0b", 4);
    assert_int_equal(len, 3);
    assert_true(mb_wire_get_f64(&in) == -0.25);
    assert_memory_equal(mb_wire_get_text(&in, &len), big, 100000);
    assert_false(in.bad);
    /* past the end: marked, and nothing is read out of bounds */
    assert_int_equal(mb_wire_get_u64(&in), 0);
    assert_string_equal(mb_wire_get_text(&in, &len), "");
    assert_true(in.bad);
    close(pair[0]);
    assert_int_equal(mb_wire_receive(pair[1], INT64_MAX, -1, &message, &status, &in, &err),
                     MB_E_CRASHED);
    assert_int_equal(mb_wire_send(pair[1], MB_MSG_QUIT, MB_OK, NULL, &err), MB_E_CRASHED);
    close(pair[1]);
    mb_wire_free(&out);
    mb_wire_free(&in);
}

static void waiting_ends_at_the_deadline_or_when_cancelled(void **state) {
    int pair[2], cancel[2];
    struct mb_wire in = {0};
    struct mb_err err;
    enum mb_message message;
    enum mb_status status;
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(pipe(cancel), 0);
    int64_t begin = mb_clock_ns();
    assert_int_equal(mb_wire_receive(pair[1], begin + 30000000, -1, &message, &status, &in, &err),
                     MB_E_TIMEOUT);
    assert_true(mb_clock_ns() - begin >= 30000000);
    assert_int_equal(write(cancel[1], "", 1), 1);
    assert_int_equal(mb_wire_receive(pair[1], INT64_MAX, cancel[0], &message, &status, &in, &err),
                     MB_E_INTERRUPTED);
    for (int i = 0; i < 2; i++) {
        close(pair[i]);
        close(cancel[i]);
    }
    mb_wire_free(&in);
}

/* A run that is interrupted in the middle of a reply leaves the rest of it in the stream. */
static void end_of_a_stream_behind_half_a_message(void **state) {
    (void)state;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(write(pair[1], "half a message", 14), 14);
    assert_false(mb_wire_wait_end(pair[0], mb_clock_ns() + 20000000));
    assert_int_equal(write(pair[1], "and more", 8), 8);
    close(pair[1]);
    assert_true(mb_wire_wait_end(pair[0], mb_clock_ns() + 2000000000));
    close(pair[0]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(end_of_a_stream_behind_half_a_message),
        cmocka_unit_test(values_follow_role_and_fan_in),
        cmocka_unit_test(memory_is_shared_by_descriptor),
        cmocka_unit_test(accuracy_measures),
        cmocka_unit_test(messages_survive_the_trip),
        cmocka_unit_test(waiting_ends_at_the_deadline_or_when_cancelled),
    };
    return cmocka_run_group_tests_name("bench", tests, NULL, NULL);
}
