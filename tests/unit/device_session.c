#include "device_session.h"

#include "backend_cuda.h"
#include "reference.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct mb_err session_err;

void has(const char *text, const char *part) {
    if (!strstr(text, part)) fail_msg("no \"%s\" in\n%s", part, text);
}

size_t session_bytes(const struct mb_type *type) {
    size_t bytes = 0;
    assert_true(mb_type_bytes(type, &bytes));
    return bytes;
}

enum mb_status session_load(struct device_session *s) {
    const void *weights[PB_MAX] = {NULL};
    for (uint32_t i = 0; i < s->program->n_params; i++)
        if (s->program->params[i].role == MB_WEIGHT) weights[i] = s->data[i];
    return mb_backend_get()->load(s->ctx, weights, &session_err);
}

enum mb_status session_start(struct device_session *s, const struct mb_open_config *config,
                             const struct mb_program *program) {
    const struct mb_backend *be = mb_backend_get();
    enum mb_status st = MB_OK;
    uint32_t n = 0;
    *s = (struct device_session){.program = program, .data = pb_data(program, 3)};
    MB_TRY(be->probe(config, &session_err));
    MB_TRY(be->open(config, &s->ctx, &session_err));
    MB_TRY(be->plan(s->ctx, program, &session_err));
    MB_TRY(session_load(s));
    for (uint32_t i = 0; i < program->n_params; i++) {
        const size_t bytes = session_bytes(&program->params[i].type);
        if (program->params[i].role != MB_INPUT) continue;
        MB_TRY(be->buf_alloc(s->ctx, bytes, &s->in[n], &session_err));
        MB_TRY(be->upload(s->ctx, s->in[n++], s->data[i], bytes, &session_err));
    }
    for (uint32_t i = 0; i < program->n_outputs; i++)
        MB_TRY(be->buf_alloc(s->ctx, session_bytes(&program->nodes[program->outputs[i]].type),
                             &s->out[i], &session_err));
out:
    return st;
}

enum mb_status session_run(const struct device_session *s, struct mb_buf *const *out) {
    const struct mb_backend *be = mb_backend_get();
    enum mb_status st = be->launch(s->ctx, s->in, out, &session_err);
    return st == MB_OK ? be->sync(s->ctx, &session_err) : st;
}

void session_stop(struct device_session *s) {
    const struct mb_backend *be = mb_backend_get();
    for (int i = 0; i < SESSION_BUFFERS; i++) {
        be->buf_free(s->ctx, s->in[i]);
        be->buf_free(s->ctx, s->out[i]);
    }
    be->close(s->ctx);
    pb_data_free(s->program, s->data);
}

enum mb_status session_check(const struct device_session *s, const struct mb_buf *out,
                             double tolerance) {
    const struct mb_type *type = &s->program->nodes[s->program->outputs[0]].type;
    const size_t bytes = session_bytes(type), count = bytes / mb_dtype_size(type->dtype);
    double *expected = calloc(count, sizeof *expected);
    float *got = malloc(bytes);
    struct mb_err reference;
    assert_true(expected && got);
    assert_int_equal(
        mb_reference_run(s->program, (const void *const *)s->data, &expected, &reference), MB_OK);
    enum mb_status st = mb_backend_get()->download(s->ctx, got, out, bytes, &session_err);
    for (size_t i = 0; st == MB_OK && i < count; i++)
        if (!(fabs((double)got[i] - expected[i]) <= tolerance))
            fail_msg("[%zu] is %g, not %g", i, (double)got[i], expected[i]);
    free(expected);
    free(got);
    return st;
}

uint32_t dense_layer(struct pb *pb, uint32_t x, int64_t in, int64_t out) {
    uint32_t w = pb_param(pb, MB_WEIGHT, pb_f32(2, in, out, 0, 0));
    uint32_t b = pb_param(pb, MB_WEIGHT, pb_f32(1, out, 0, 0, 0));
    return pb_binary(pb, MB_OP_ADD, pb_binary(pb, MB_OP_MATMUL, x, w), b);
}

void build_mlp(struct pb *pb) {
    pb_init(pb);
    uint32_t x = pb_param(pb, MB_INPUT, pb_f32(2, 5, 33, 0, 0));
    uint32_t h = pb_unary(pb, MB_OP_RELU, dense_layer(pb, x, 33, 17));
    pb_output(pb, dense_layer(pb, h, 17, 10));
}
