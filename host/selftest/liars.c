#include "liars.h"

#include "interpose.h"
#include "wire.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* ---- the clock ---- */

static int slow_clock(clockid_t clock, struct timespec *t) {
    static int64_t began_ns;
    struct timespec now;
    const long failed = syscall(SYS_clock_gettime, clock, &now);
    if (failed || clock != CLOCK_MONOTONIC) {
        *t = now;
        return (int)failed;
    }
    const int64_t ns = now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
    if (!began_ns) began_ns = ns;
    const int64_t told = began_ns + (ns - began_ns) / 2;
    t->tv_sec = told / 1000000000;
    t->tv_nsec = told % 1000000000;
    return 0;
}

enum mb_status mb_lie_of_clock(struct mb_err *err) {
    return mb_interpose("clock_gettime", (mb_function)slow_clock, err);
}

/* ---- the samples ---- */

/* A reply to MB_MSG_RUN, as worker_serve.c sends it. */
struct reply {
    uint64_t n_settled;
    double ticks, settle_ns, around_ns, evict_ns, other_ns;
    uint64_t n_settle, guarded, fault, fault_run;
    double samples[];
};

static bool hides;

static ssize_t halved(int fd, const void *data, size_t bytes, int flags) {
    _Alignas(struct reply) char copy[1 << 16];
    struct reply *r = (struct reply *)copy;
    if (fd != MB_FD_SOCKET || bytes <= sizeof *r || bytes > sizeof copy)
        return sendto(fd, data, bytes, flags, NULL, 0);
    memcpy(copy, data, bytes);
    const size_t n = (bytes - sizeof *r) / sizeof *r->samples;
    /* others, as the reply to MB_MSG_PREPARE, are not of this form */
    if (r->guarded > 1 || r->fault > 2 || bytes % 8) return sendto(fd, data, bytes, flags, NULL, 0);
    for (size_t i = 0; i < n; i++) {
        r->samples[i] /= 2;
        if (hides) r->other_ns += r->samples[i];
    }
    r->ticks /= 2;
    return sendto(fd, copy, bytes, flags, NULL, 0);
}

enum mb_status mb_lie_of_samples(bool hide, struct mb_err *err) {
    hides = hide;
    return mb_interpose("send", (mb_function)halved, err);
}
