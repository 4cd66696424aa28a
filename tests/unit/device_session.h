/* One program on the CUDA backend by hand: its context, its buffers, its data. */
#ifndef MB_DEVICE_SESSION_H
#define MB_DEVICE_SESSION_H

#include "backend.h"
#include "program_builder.h"

enum { SESSION_BUFFERS = 8 };

struct device_session {
    const struct mb_program *program;
    struct mb_ctx *ctx;
    struct mb_buf *in[SESSION_BUFFERS], *out[SESSION_BUFFERS];
    void **data; /* of its params */
};

extern struct mb_err session_err; /* of the last call that failed */

#define OK(call)                                                                                   \
    do {                                                                                           \
        if ((call) != MB_OK) fail_msg("%s: %s", #call, session_err.text);                          \
    } while (0)

void has(const char *text, const char *part); /* asserts */

size_t session_bytes(const struct mb_type *type);

/* All that comes before a launch; session_stop is needed whatever it returns. */
enum mb_status session_start(struct device_session *s, const struct mb_open_config *config,
                             const struct mb_program *program);
enum mb_status session_load(struct device_session *s);
enum mb_status session_run(const struct device_session *s, struct mb_buf *const *out);
void session_stop(struct device_session *s);

/* The first output against the reference, to `tolerance` for each element. */
enum mb_status session_check(const struct device_session *s, const struct mb_buf *out,
                             double tolerance);

/* (5, 33) -> 17 -> 10 with biases and one ReLU. */
void build_mlp(struct pb *pb);
uint32_t dense_layer(struct pb *pb, uint32_t x, int64_t in, int64_t out);

#endif
