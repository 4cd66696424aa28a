/* Messages between the harness and its worker processes, over a stream socket: a header and a
 * payload of numbers and strings, in the order both sides know. Both sides are the same binary, so
 * there is no version and no byte order. */
#ifndef MB_WIRE_H
#define MB_WIRE_H

#include "status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Descriptors that a worker process inherits. */
enum { MB_FD_SOCKET = 3, MB_FD_PARAMS, MB_FD_OUTPUTS, MB_FD_TRACE /* where one is kept */ };

enum mb_message {
    MB_MSG_PREPARE = 1,
    MB_MSG_RUN,
    MB_MSG_QUIT,
    MB_MSG_REPLY,
    MB_MSG_DEVICE_TIME,
    MB_MSG_CEILINGS,
    MB_MSG_OPERATIONS
};

/* A payload being written or read. All zero is an empty one. After any failure (memory, or reading
 * past the end) `bad` is set and stays set; check once, at the end. */
struct mb_wire {
    char *data;
    size_t len, capacity, at;
    bool bad;
};

void mb_wire_free(struct mb_wire *wire);
void mb_wire_clear(struct mb_wire *wire); /* empty again, memory kept */

void mb_wire_put(struct mb_wire *wire, const void *bytes, size_t len);
void mb_wire_put_u64(struct mb_wire *wire, uint64_t value);
void mb_wire_put_f64(struct mb_wire *wire, double value);
void mb_wire_put_text(struct mb_wire *wire, const char *text, size_t len);

uint64_t mb_wire_get_u64(struct mb_wire *wire);
double mb_wire_get_f64(struct mb_wire *wire);
/* Borrowed from the payload, NUL-terminated; "" after a failure. `len` may be NULL. */
const char *mb_wire_get_text(struct mb_wire *wire, size_t *len);

/* One whole message. `status` travels in the header. MB_E_CRASHED when the other end is gone.
 * Receiving waits until the monotonic clock passes deadline_ns (MB_E_TIMEOUT) or until cancel_fd,
 * unless -1, becomes readable (MB_E_INTERRUPTED). */
enum mb_status mb_wire_send(int fd, enum mb_message message, enum mb_status status,
                            const struct mb_wire *payload, struct mb_err *err);
enum mb_status mb_wire_receive(int fd, int64_t deadline_ns, int cancel_fd, enum mb_message *message,
                               enum mb_status *status, struct mb_wire *payload, struct mb_err *err);

/* Takes what still comes, whole messages or not (a wait may have been cut short within one), until
 * the other end is gone: true; or until the deadline: false. */
bool mb_wire_wait_end(int fd, int64_t deadline_ns);

#endif
