#include "wire.h"

#include "clock.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct header {
    uint32_t message, status;
    uint64_t len;
};

void mb_wire_free(struct mb_wire *wire) {
    free(wire->data);
    *wire = (struct mb_wire){0};
}

void mb_wire_clear(struct mb_wire *wire) {
    wire->len = wire->at = 0;
    wire->bad = false;
}

static bool reserve(struct mb_wire *wire, size_t len) {
    if (len > SIZE_MAX / 2 - wire->len) wire->bad = true;
    if (wire->bad) return false;
    if (wire->len + len <= wire->capacity) return true;
    size_t capacity = (wire->len + len) * 2;
    char *grown = realloc(wire->data, capacity);
    if (!grown) {
        wire->bad = true;
        return false;
    }
    wire->data = grown;
    wire->capacity = capacity;
    return true;
}

void mb_wire_put(struct mb_wire *wire, const void *bytes, size_t len) {
    if (!reserve(wire, len)) return;
    if (len) memcpy(wire->data + wire->len, bytes, len);
    wire->len += len;
}

void mb_wire_put_u64(struct mb_wire *wire, uint64_t value) { mb_wire_put(wire, &value, 8); }
void mb_wire_put_f64(struct mb_wire *wire, double value) { mb_wire_put(wire, &value, 8); }

void mb_wire_put_text(struct mb_wire *wire, const char *text, size_t len) {
    mb_wire_put_u64(wire, len);
    mb_wire_put(wire, text, len);
    mb_wire_put(wire, "", 1);
}

static const char *take(struct mb_wire *wire, size_t len) {
    if (wire->bad || len > wire->len - wire->at) {
        wire->bad = true;
        return NULL;
    }
    wire->at += len;
    return wire->data + (wire->at - len);
}

uint64_t mb_wire_get_u64(struct mb_wire *wire) {
    uint64_t value = 0;
    const char *bytes = take(wire, sizeof value);
    if (bytes) memcpy(&value, bytes, sizeof value);
    return value;
}

double mb_wire_get_f64(struct mb_wire *wire) {
    double value = 0;
    const char *bytes = take(wire, sizeof value);
    if (bytes) memcpy(&value, bytes, sizeof value);
    return value;
}

const char *mb_wire_get_text(struct mb_wire *wire, size_t *len) {
    size_t n = mb_wire_get_u64(wire);
    const char *text = n < SIZE_MAX ? take(wire, n + 1) : NULL;
    if (len) *len = text ? n : 0;
    return text ? text : "";
}

/* ---- transport ---- */

static enum mb_status gone(struct mb_err *err) {
    return mb_fail(err, MB_E_CRASHED, "the other process is gone");
}

static enum mb_status send_all(int fd, const void *bytes, size_t len, struct mb_err *err) {
    for (const char *at = bytes; len;) {
        ssize_t sent = send(fd, at, len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return gone(err);
        at += sent;
        len -= (size_t)sent;
    }
    return MB_OK;
}

enum mb_status mb_wire_send(int fd, enum mb_message message, enum mb_status status,
                            const struct mb_wire *payload, struct mb_err *err) {
    struct header header = {(uint32_t)message, (uint32_t)status, payload ? payload->len : 0};
    if (payload && payload->bad) return mb_fail(err, MB_E_NOMEM, "no memory for a message");
    enum mb_status st = send_all(fd, &header, sizeof header, err);
    if (st == MB_OK && header.len) st = send_all(fd, payload->data, header.len, err);
    return st;
}

static enum mb_status wait_readable(int fd, int64_t deadline_ns, int cancel_fd,
                                    struct mb_err *err) {
    for (;;) {
        struct pollfd fds[2] = {{.fd = fd, .events = POLLIN}, {.fd = cancel_fd, .events = POLLIN}};
        int64_t left_ms =
            deadline_ns == INT64_MAX ? INT_MAX : (deadline_ns - mb_clock_ns()) / 1000000;
        if (left_ms > INT_MAX) left_ms = INT_MAX;
        int ready = poll(fds, 2, left_ms < 0 ? 0 : (int)left_ms);
        if (ready < 0 && errno != EINTR) return gone(err);
        if (ready > 0 && fds[1].revents) return mb_fail(err, MB_E_INTERRUPTED, "interrupted");
        if (ready > 0 && fds[0].revents) return MB_OK;
        if (ready == 0 && mb_clock_ns() >= deadline_ns)
            return mb_fail(err, MB_E_TIMEOUT, "no answer in time");
    }
}

static enum mb_status receive_all(int fd, int64_t deadline_ns, int cancel_fd, void *bytes,
                                  size_t len, struct mb_err *err) {
    for (char *at = bytes; len;) {
        enum mb_status st = wait_readable(fd, deadline_ns, cancel_fd, err);
        if (st != MB_OK) return st;
        ssize_t got = recv(fd, at, len, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return gone(err);
        at += got;
        len -= (size_t)got;
    }
    return MB_OK;
}

enum mb_status mb_wire_receive(int fd, int64_t deadline_ns, int cancel_fd, enum mb_message *message,
                               enum mb_status *status, struct mb_wire *payload,
                               struct mb_err *err) {
    struct header header;
    enum mb_status st = receive_all(fd, deadline_ns, cancel_fd, &header, sizeof header, err);
    if (st != MB_OK) return st;
    mb_wire_clear(payload);
    if (!reserve(payload, header.len)) return mb_fail(err, MB_E_NOMEM, "no memory for a message");
    st = receive_all(fd, deadline_ns, cancel_fd, payload->data, header.len, err);
    if (st != MB_OK) return st;
    payload->len = header.len;
    *message = (enum mb_message)header.message;
    *status = (enum mb_status)header.status;
    return MB_OK;
}

bool mb_wire_wait_end(int fd, int64_t deadline_ns) {
    char rest[4096];
    while (wait_readable(fd, deadline_ns, -1, NULL) == MB_OK) {
        const ssize_t got = recv(fd, rest, sizeof rest, 0);
        if (got == 0 || (got < 0 && errno != EINTR)) return true;
    }
    return false;
}
