/* CUPTI's activity API, over a table of its functions. */
#include "activity.h"

#include "clock.h"

#include <cupti.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Structs of records only grow at their end, so one that is not the newest reads the records of
 * every later library. The file's name has the major version, which the header must share. */
typedef CUpti_ActivityKernel9 kernel_record;
typedef CUpti_ActivityMemcpy5 copy_record;
typedef CUpti_ActivityMemset4 fill_record;
#if CUPTI_API_VERSION >= 130000
static const char soname[] = "libcupti.so.13";
_Static_assert(CUPTI_API_VERSION / 10000 == 13, "the file's name must have the header's version");
#else
static const char soname[] = "libcupti.so.12";
#endif

/* F(name) */
#define FUNCTIONS(F)                                                                               \
    F(cuptiGetTimestamp)                                                                           \
    F(cuptiGetResultString)                                                                        \
    F(cuptiActivityRegisterCallbacks)                                                              \
    F(cuptiActivityEnable)                                                                         \
    F(cuptiActivityDisable)                                                                        \
    F(cuptiActivityFlushAll)                                                                       \
    F(cuptiActivityGetNextRecord)                                                                  \
    F(cuptiActivityGetNumDroppedRecords)

struct functions {
#define F(name) __typeof__(name) *name;
    FUNCTIONS(F)
#undef F
};

static const CUpti_ActivityKind kinds[] = {CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL,
                                           CUPTI_ACTIVITY_KIND_MEMCPY, CUPTI_ACTIVITY_KIND_MEMSET};
enum { N_KINDS = sizeof kinds / sizeof *kinds, BUFFER_BYTES = 1 << 20 };

/* CUPTI's callbacks carry no pointer of ours, and come from threads of its own. */
static struct {
    struct functions cupti;
    struct mb_trace_log *log; /* NULL: nothing is recorded */
    int64_t offset_ns;        /* CUPTI's clock less ours */
    pthread_mutex_t lock;     /* of what follows */
    struct mb_err error;      /* the first since it was told; MB_OK: none */
    size_t n_dropped, n_untimed;
} state = {.lock = PTHREAD_MUTEX_INITIALIZER};

static enum mb_status call_failed(struct mb_err *err, const char *function, CUptiResult result) {
    const char *name = NULL;
    if (state.cupti.cuptiGetResultString(result, &name) != CUPTI_SUCCESS || !name)
        name = "unknown error";
    return mb_fail(err, MB_E_DEVICE, "%s: %s (%d)", function, name, (int)result);
}

#define TRY_CUPTI(function, ...)                                                                   \
    do {                                                                                           \
        const CUptiResult result_ = state.cupti.function(__VA_ARGS__);                             \
        if (result_ != CUPTI_SUCCESS) {                                                            \
            st = call_failed(err, #function, result_);                                             \
            goto out;                                                                              \
        }                                                                                          \
    } while (0)

static void remember(const char *function, CUptiResult result) {
    pthread_mutex_lock(&state.lock);
    if (state.error.status == MB_OK) call_failed(&state.error, function, result);
    pthread_mutex_unlock(&state.lock);
}

/* ---- records ---- */

static void add_times(struct mb_trace_record *out, uint64_t begin, uint64_t end) {
    out->process = (int32_t)getpid();
    out->begin_ns = (int64_t)begin - state.offset_ns;
    out->end_ns = (int64_t)end - state.offset_ns;
}

static void add_kernel(const kernel_record *k) {
    struct mb_trace_record r = {
        .kind = MB_TRACE_KERNEL,
        .device = k->deviceId,
        .stream = k->streamId,
        .graph = k->graphId,
        .launch = k->correlationId,
        .grid = {(uint32_t)k->gridX, (uint32_t)k->gridY, (uint32_t)k->gridZ},
        .block = {(uint32_t)k->blockX, (uint32_t)k->blockY, (uint32_t)k->blockZ},
        .registers = k->registersPerThread,
        .static_shared_bytes = (uint32_t)k->staticSharedMemory,
        .dynamic_shared_bytes = (uint32_t)k->dynamicSharedMemory,
        .name = k->name ? k->name : "unnamed kernel",
        .detail = ""};
    add_times(&r, k->start, k->end);
    mb_trace_log_add(state.log, &r);
}

static const char *copy_text(uint8_t kind) {
    switch ((CUpti_ActivityMemcpyKind)kind) {
    case CUPTI_ACTIVITY_MEMCPY_KIND_HTOD: return "host to device";
    case CUPTI_ACTIVITY_MEMCPY_KIND_DTOH: return "device to host";
    case CUPTI_ACTIVITY_MEMCPY_KIND_HTOA: return "host to array";
    case CUPTI_ACTIVITY_MEMCPY_KIND_ATOH: return "array to host";
    case CUPTI_ACTIVITY_MEMCPY_KIND_ATOA: return "array to array";
    case CUPTI_ACTIVITY_MEMCPY_KIND_ATOD: return "array to device";
    case CUPTI_ACTIVITY_MEMCPY_KIND_DTOA: return "device to array";
    case CUPTI_ACTIVITY_MEMCPY_KIND_DTOD: return "device to device";
    case CUPTI_ACTIVITY_MEMCPY_KIND_HTOH: return "host to host";
    case CUPTI_ACTIVITY_MEMCPY_KIND_PTOP: return "peer to peer";
    default: return "unknown";
    }
}

static void add_copy(const copy_record *c) {
    struct mb_trace_record r = {.kind = MB_TRACE_COPY,
                                .amount = c->bytes,
                                .device = c->deviceId,
                                .stream = c->streamId,
                                .graph = c->graphId,
                                .launch = c->correlationId,
                                .name = "memcpy",
                                .detail = copy_text(c->copyKind)};
    add_times(&r, c->start, c->end);
    mb_trace_log_add(state.log, &r);
}

static void add_fill(const fill_record *f) {
    struct mb_trace_record r = {.kind = MB_TRACE_FILL,
                                .amount = f->bytes,
                                .device = f->deviceId,
                                .stream = f->streamId,
                                .graph = f->graphId,
                                .launch = f->correlationId,
                                .name = "memset",
                                .detail = ""};
    add_times(&r, f->start, f->end);
    mb_trace_log_add(state.log, &r);
}

/* False when CUPTI could not tell the times. */
static bool add_record(const CUpti_Activity *record) {
    switch (record->kind) {
    case CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL: {
        const kernel_record *k = (const kernel_record *)record;
        if (!k->start || k->end < k->start) return false;
        add_kernel(k);
        return true;
    }
    case CUPTI_ACTIVITY_KIND_MEMCPY: {
        const copy_record *c = (const copy_record *)record;
        if (!c->start || c->end < c->start) return false;
        add_copy(c);
        return true;
    }
    case CUPTI_ACTIVITY_KIND_MEMSET: {
        const fill_record *f = (const fill_record *)record;
        if (!f->start || f->end < f->start) return false;
        add_fill(f);
        return true;
    }
    default: return true; /* a kind that was not asked for */
    }
}

/* ---- buffers ---- */

static void CUPTIAPI on_buffer_wanted(uint8_t **buffer, size_t *size, size_t *most_records) {
    *buffer = malloc(BUFFER_BYTES); /* without one CUPTI drops records, and counts them */
    *size = *buffer ? BUFFER_BYTES : 0;
    *most_records = 0; /* as many as there is room for */
}

static void CUPTIAPI on_buffer_filled(CUcontext context, uint32_t stream, uint8_t *buffer,
                                      size_t size, size_t valid) {
    CUpti_Activity *record = NULL;
    CUptiResult result = CUPTI_SUCCESS;
    size_t untimed = 0, dropped = 0;
    (void)size;
    while (valid && (result = state.cupti.cuptiActivityGetNextRecord(buffer, valid, &record)) ==
                        CUPTI_SUCCESS)
        untimed += !add_record(record);
    if (valid && result != CUPTI_ERROR_MAX_LIMIT_REACHED)
        remember("cuptiActivityGetNextRecord", result);
    free(buffer);
    result = state.cupti.cuptiActivityGetNumDroppedRecords(context, stream, &dropped);
    if (result != CUPTI_SUCCESS) remember("cuptiActivityGetNumDroppedRecords", result);
    pthread_mutex_lock(&state.lock);
    state.n_untimed += untimed;
    state.n_dropped += dropped;
    pthread_mutex_unlock(&state.lock);
}

/* ---- recording ---- */

static enum mb_status open_library(struct mb_err *err) {
    /* finds a copy that is loaded already before it looks at any folder */
    void *library = dlopen(soname, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return mb_fail(err, MB_E_UNSUPPORTED, "%s; it comes with the CUDA Toolkit", dlerror());
    const struct {
        void **to;
        const char *name;
    } wanted[] = {
#define F(name) {(void **)&state.cupti.name, #name},
        FUNCTIONS(F)
#undef F
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (!(*wanted[i].to = dlsym(library, wanted[i].name)))
            return mb_fail(err, MB_E_UNSUPPORTED, "%s has no %s; install another CUPTI", soname,
                           wanted[i].name);
    return MB_OK;
}

/* Of several readings of both clocks the one with the shortest way between. */
static enum mb_status measure_offset(struct mb_err *err) {
    enum mb_status st = MB_OK;
    int64_t shortest = INT64_MAX;
    for (int i = 0; i < 8; i++) {
        uint64_t theirs = 0;
        const int64_t before = mb_clock_ns();
        TRY_CUPTI(cuptiGetTimestamp, &theirs);
        const int64_t between = mb_clock_ns() - before;
        if (between >= shortest) continue;
        shortest = between;
        state.offset_ns = (int64_t)theirs - (before + between / 2);
    }
out:
    return st;
}

enum mb_status mb_activity_start(struct mb_trace_log *log, struct mb_err *err) {
    size_t n_enabled = 0;
    enum mb_status st = open_library(err);
    if (st != MB_OK) return st;
    MB_TRY(measure_offset(err));
    TRY_CUPTI(cuptiActivityRegisterCallbacks, on_buffer_wanted, on_buffer_filled);
    state.log = log;
    state.error = (struct mb_err){0};
    state.n_dropped = state.n_untimed = 0;
    for (; n_enabled < N_KINDS; n_enabled++) TRY_CUPTI(cuptiActivityEnable, kinds[n_enabled]);
    return MB_OK;
out:
    while (n_enabled) state.cupti.cuptiActivityDisable(kinds[--n_enabled]);
    state.log = NULL;
    return st;
}

/* The first error that a callback met, once. */
static enum mb_status told_by_callbacks(struct mb_err *err) {
    pthread_mutex_lock(&state.lock);
    const struct mb_err told = state.error;
    state.error = (struct mb_err){0};
    pthread_mutex_unlock(&state.lock);
    return told.status == MB_OK ? MB_OK : mb_fail(err, told.status, "%s", told.text);
}

enum mb_status mb_activity_flush(struct mb_err *err) {
    enum mb_status st = MB_OK;
    if (!state.log) return MB_OK;
    TRY_CUPTI(cuptiActivityFlushAll, 0);
    st = told_by_callbacks(err);
out:
    return st;
}

enum mb_status mb_activity_stop(struct mb_err *err) {
    enum mb_status st = MB_OK;
    if (!state.log) return MB_OK;
    TRY_CUPTI(cuptiActivityFlushAll, CUPTI_ACTIVITY_FLAG_FLUSH_FORCED);
    for (size_t i = 0; i < N_KINDS; i++) TRY_CUPTI(cuptiActivityDisable, kinds[i]);
    MB_TRY(told_by_callbacks(err));
    if (state.n_dropped)
        st = mb_fail(err, MB_E_DEVICE, "CUPTI dropped %zu records", state.n_dropped);
    else if (state.n_untimed)
        st = mb_fail(err, MB_E_DEVICE, "CUPTI gave no times for %zu records", state.n_untimed);
out:
    state.log = NULL;
    return st;
}
