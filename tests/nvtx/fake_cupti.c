/* Stands in for libcupti: hands out activity records as if a GPU had run something.
 *
 * Its clock is CLOCK_MONOTONIC and an hour. Each flush that comes before any kind is disabled
 * brings one buffer: a copy to the device, a fill, then a graph of three kernels, the second and
 * third at the same time, and a kernel on another stream, one behind the other and ending at the
 * flush. Only kinds that were enabled are there. MINDBENCH_CUPTI_FAIL names functions that fail;
 * "dropped" and "untimed" there lose records. */
#include <cupti.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FAILURE CUPTI_ERROR_INSUFFICIENT_PRIVILEGES
#define N_KINDS 64u

static CUpti_BuffersCallbackRequestFunc on_wanted;
static CUpti_BuffersCallbackCompleteFunc on_filled;
static char enabled[N_KINDS];

static int is_mode(const char *name) {
    const char *mode = getenv("MINDBENCH_CUPTI_FAIL");
    return mode && strstr(mode, name) != NULL;
}

#define MAY_FAIL                                                                                   \
    do {                                                                                           \
        if (is_mode(__func__)) return FAILURE;                                                     \
    } while (0)

CUptiResult cuptiGetResultString(CUptiResult result, const char **text) {
    MAY_FAIL;
    *text = result == FAILURE ? "CUPTI_ERROR_INSUFFICIENT_PRIVILEGES" : "CUPTI_ERROR_OTHER";
    return CUPTI_SUCCESS;
}

CUptiResult cuptiGetTimestamp(uint64_t *now) {
    struct timespec t;
    MAY_FAIL;
    clock_gettime(CLOCK_MONOTONIC, &t);
    *now = (uint64_t)(t.tv_sec + 3600) * 1000000000 + (uint64_t)t.tv_nsec;
    return CUPTI_SUCCESS;
}

CUptiResult cuptiActivityRegisterCallbacks(CUpti_BuffersCallbackRequestFunc wanted,
                                           CUpti_BuffersCallbackCompleteFunc filled) {
    MAY_FAIL;
    on_wanted = wanted;
    on_filled = filled;
    return CUPTI_SUCCESS;
}

CUptiResult cuptiActivityEnable(CUpti_ActivityKind kind) {
    MAY_FAIL;
    if (!on_filled || (unsigned)kind >= N_KINDS) return CUPTI_ERROR_INVALID_OPERATION;
    enabled[kind] = 1;
    return CUPTI_SUCCESS;
}

CUptiResult cuptiActivityDisable(CUpti_ActivityKind kind) {
    MAY_FAIL;
    if ((unsigned)kind >= N_KINDS || !enabled[kind]) return CUPTI_ERROR_INVALID_OPERATION;
    enabled[kind] = 0;
    return CUPTI_SUCCESS;
}

/* ---- records ---- */

struct pen {
    uint8_t *at, *end;
};

static void write_record(struct pen *pen, CUpti_ActivityKind kind, const void *record,
                         size_t size) {
    if (!enabled[kind] || (size_t)(pen->end - pen->at) < size) return;
    memcpy(pen->at, record, size);
    pen->at += size;
}

static size_t size_of(CUpti_ActivityKind kind) {
    switch (kind) {
    case CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL: return sizeof(CUpti_ActivityKernel9);
    case CUPTI_ACTIVITY_KIND_MEMCPY: return sizeof(CUpti_ActivityMemcpy5);
    default: return sizeof(CUpti_ActivityMemset4);
    }
}

static void write_kernel(struct pen *pen, const char *name, uint64_t begin, uint64_t end,
                         uint32_t stream, uint32_t graph, uint32_t launch) {
    const CUpti_ActivityKernel9 k = {.kind = CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL,
                                     .registersPerThread = 96,
                                     .start = is_mode("untimed") ? 0 : begin,
                                     .end = is_mode("untimed") ? 0 : end,
                                     .streamId = stream,
                                     .gridX = 4,
                                     .gridY = 32,
                                     .gridZ = 1,
                                     .blockX = 512,
                                     .blockY = 1,
                                     .blockZ = 1,
                                     .staticSharedMemory = 1024,
                                     .dynamicSharedMemory = 65536,
                                     .correlationId = launch,
                                     .name = name,
                                     .graphNodeId = graph ? 5 : 0,
                                     .graphId = graph};
    write_record(pen, k.kind, &k, sizeof k);
}

static void write_records(struct pen *pen, uint64_t now, uint32_t launch) {
    const CUpti_ActivityMemcpy5 copy = {.kind = CUPTI_ACTIVITY_KIND_MEMCPY,
                                        .copyKind = CUPTI_ACTIVITY_MEMCPY_KIND_HTOD,
                                        .bytes = 4096,
                                        .start = now - 9000,
                                        .end = now - 8001,
                                        .streamId = 7,
                                        .correlationId = launch};
    const CUpti_ActivityMemset4 fill = {.kind = CUPTI_ACTIVITY_KIND_MEMSET,
                                        .bytes = 64,
                                        .start = now - 8000,
                                        .end = now - 7000,
                                        .streamId = 7,
                                        .correlationId = launch + 1};
    write_record(pen, copy.kind, &copy, sizeof copy);
    write_record(pen, fill.kind, &fill, sizeof fill);
    write_kernel(pen, "_Z5firstPf", now - 6000, now - 5000, 7, 3, launch + 2);
    write_kernel(pen, "second", now - 5000, now - 3000, 7, 3, launch + 2);
    write_kernel(pen, "third", now - 4000, now - 2000, 7, 3, launch + 2);
    write_kernel(pen, "alone", now - 1000, now - 250, 8, 0, launch + 3);
}

CUptiResult cuptiActivityGetNextRecord(uint8_t *buffer, size_t valid, CUpti_Activity **record) {
    MAY_FAIL;
    uint8_t *next = *record ? (uint8_t *)*record + size_of((*record)->kind) : buffer;
    if (next >= buffer + valid) return CUPTI_ERROR_MAX_LIMIT_REACHED;
    *record = (CUpti_Activity *)(void *)next;
    return CUPTI_SUCCESS;
}

CUptiResult cuptiActivityGetNumDroppedRecords(CUcontext context, uint32_t stream, size_t *dropped) {
    (void)context, (void)stream;
    MAY_FAIL;
    *dropped = is_mode("dropped") ? 1 : 0;
    return CUPTI_SUCCESS;
}

CUptiResult cuptiActivityFlushAll(uint32_t flag) {
    static uint32_t launch = 100;
    uint8_t *buffer = NULL;
    size_t size = 0, most = 0;
    uint64_t now;
    (void)flag;
    MAY_FAIL;
    if (cuptiGetTimestamp(&now) != CUPTI_SUCCESS) return CUPTI_ERROR_UNKNOWN;
    on_wanted(&buffer, &size, &most);
    if (!buffer) return CUPTI_SUCCESS;
    struct pen pen = {buffer, buffer + size};
    write_records(&pen, now, launch);
    launch += 10;
    on_filled(NULL, 0, buffer, size, (size_t)(pen.at - buffer));
    return CUPTI_SUCCESS;
}
