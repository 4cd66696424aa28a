#include "gpu.h"

#include "arena.h"

#include <stdio.h>
#include <string.h>

/* Large enough to hide the cost of a copy's start, small enough to lock without being noticed. */
static const size_t half_bytes = (size_t)4 << 20;

/* ---- what is there ---- */

enum mb_status mb_gpu_probe(int index, int *cc, struct mb_err *err) {
    enum mb_status st = MB_OK;
    int count = 0, major = 0, minor = 0;
    const cudaError_t error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess) {
        char text[256];
        return mb_fail(err, mb_gpu_status(error),
                       "no CUDA device answers: %s; nvidia-smi shows the driver and its devices",
                       mb_gpu_error_text(text, sizeof text, error));
    }
    if (index < 0 || index >= count)
        return mb_fail(err, MB_E_UNSUPPORTED, "there is no device cuda:%d: the driver shows %d",
                       index, count);
    MB_TRY(mb_gpu_check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, index),
                        "compute capability", err));
    MB_TRY(mb_gpu_check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, index),
                        "compute capability", err));
    *cc = major * 10 + minor;
out:
    return st;
}

static void write_uuid(char *buf, size_t size, const cudaUUID_t *uuid) {
    const unsigned char *b = (const unsigned char *)uuid->bytes;
    snprintf(buf, size, "GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
             b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
             b[14], b[15]);
}

static enum mb_status read_info(int index, struct mb_gpu_info *out, struct mb_err *err) {
    enum mb_status st = MB_OK;
    struct cudaDeviceProp prop;
    int l2_bytes = 0;
    MB_TRY(mb_gpu_check(cudaGetDeviceProperties(&prop, index), "device properties", err));
    memset(out, 0, sizeof *out);
    snprintf(out->name, sizeof out->name, "%s", prop.name);
    write_uuid(out->uuid, sizeof out->uuid, &prop.uuid);
    out->cc = prop.major * 10 + prop.minor;
    out->memory_bytes = prop.totalGlobalMem;
    const struct {
        enum cudaDeviceAttr attribute;
        int *to;
    } attributes[] = {
        {cudaDevAttrMultiProcessorCount, &out->n_sms},
        {cudaDevAttrMaxSharedMemoryPerBlockOptin, &out->shared_bytes},
        {cudaDevAttrClockRate, &out->clock_khz},
        {cudaDevAttrMemoryClockRate, &out->memory_clock_khz},
        {cudaDevAttrGlobalMemoryBusWidth, &out->memory_bus_bits},
        {cudaDevAttrL2CacheSize, &l2_bytes},
    };
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++)
        MB_TRY(
            mb_gpu_check(cudaDeviceGetAttribute(attributes[i].to, attributes[i].attribute, index),
                         "device attributes", err));
    out->l2_bytes = (size_t)l2_bytes;
    MB_TRY(mb_gpu_check(cudaDriverGetVersion(&out->driver_version), "driver version", err));
    MB_TRY(mb_gpu_check(cudaRuntimeGetVersion(&out->runtime_version), "runtime version", err));
out:
    return st;
}

/* ---- a device in use ---- */

enum mb_status mb_gpu_open(int index, struct mb_gpu **out, struct mb_err *err) {
    enum mb_status st = MB_OK;
    struct mb_gpu *gpu = mb_allocator.alloc(sizeof *gpu);
    if (!gpu) return mb_fail(err, MB_E_NOMEM, "cuda: out of memory");
    *gpu = (struct mb_gpu){.index = index};
    MB_TRY(mb_gpu_check(cudaSetDevice(index), "cuda: open", err));
    MB_TRY(read_info(index, &gpu->info, err));
    MB_TRY(mb_gpu_check(cudaStreamCreateWithFlags(&gpu->stream, cudaStreamNonBlocking),
                        "cuda: stream", err));
    MB_TRY(mb_gpu_check(cudaHostAlloc((void **)&gpu->staging, 2 * half_bytes, cudaHostAllocDefault),
                        "cuda: page-locked memory", err));
    for (int i = 0; i < 2; i++)
        MB_TRY(mb_gpu_check(cudaEventCreateWithFlags(&gpu->staged[i], cudaEventDisableTiming),
                            "cuda: event", err));
    *out = gpu;
    return MB_OK;
out:
    mb_gpu_close(gpu);
    return st;
}

void mb_gpu_close(struct mb_gpu *gpu) {
    if (!gpu) return;
    if (gpu->stream) {
        cudaStreamSynchronize(gpu->stream);
        cudaStreamDestroy(gpu->stream);
    }
    for (int i = 0; i < 2; i++)
        if (gpu->staged[i]) cudaEventDestroy(gpu->staged[i]);
    if (gpu->staging) cudaFreeHost(gpu->staging);
    mb_allocator.release(gpu);
}

enum mb_status mb_gpu_alloc(size_t bytes, void **out, struct mb_err *err) {
    void *memory = NULL;
    const cudaError_t error = cudaMalloc(&memory, bytes ? bytes : 1);
    if (error != cudaSuccess)
        return mb_gpu_fail(err, error, "cuda: %zu bytes of device memory", bytes);
    *out = memory;
    return MB_OK;
}

void mb_gpu_free(void *memory) {
    if (memory) cudaFree(memory);
}

/* ---- transfers ---- */

/* The half of the staging memory that the piece at this offset goes through. */
static int half_of(size_t at) { return (int)(at / half_bytes % 2); }

static size_t piece_at(size_t at, size_t bytes) {
    return bytes - at < half_bytes ? bytes - at : half_bytes;
}

static cudaError_t start_copy(struct mb_gpu *gpu, void *dst, const void *src, size_t bytes,
                              enum cudaMemcpyKind kind, int half) {
    const cudaError_t error = cudaMemcpyAsync(dst, src, bytes, kind, gpu->stream);
    return error == cudaSuccess ? cudaEventRecord(gpu->staged[half], gpu->stream) : error;
}

enum mb_status mb_gpu_upload(struct mb_gpu *gpu, void *dst, const void *src, size_t bytes,
                             struct mb_err *err) {
    enum mb_status st = MB_OK;
    for (size_t at = 0; at < bytes; at += half_bytes) {
        const int half = half_of(at);
        const size_t piece = piece_at(at, bytes);
        char *stage = gpu->staging + (size_t)half * half_bytes;
        MB_TRY(mb_gpu_check(cudaEventSynchronize(gpu->staged[half]), "cuda: upload", err));
        memcpy(stage, (const char *)src + at, piece);
        MB_TRY(mb_gpu_check(
            start_copy(gpu, (char *)dst + at, stage, piece, cudaMemcpyHostToDevice, half),
            "cuda: upload", err));
    }
    st = mb_gpu_check(cudaStreamSynchronize(gpu->stream), "cuda: upload", err);
out:
    return st;
}

enum mb_status mb_gpu_download(struct mb_gpu *gpu, void *dst, const void *src, size_t bytes,
                               struct mb_err *err) {
    enum mb_status st = MB_OK;
    size_t started = 0;
    for (size_t at = 0; at < bytes; at += half_bytes) {
        for (; started < bytes && started < at + 2 * half_bytes; started += half_bytes)
            MB_TRY(
                mb_gpu_check(start_copy(gpu, gpu->staging + (size_t)half_of(started) * half_bytes,
                                        (const char *)src + started, piece_at(started, bytes),
                                        cudaMemcpyDeviceToHost, half_of(started)),
                             "cuda: download", err));
        MB_TRY(mb_gpu_check(cudaEventSynchronize(gpu->staged[half_of(at)]), "cuda: download", err));
        memcpy((char *)dst + at, gpu->staging + (size_t)half_of(at) * half_bytes,
               piece_at(at, bytes));
    }
out:
    return st;
}

enum mb_status mb_gpu_sync(struct mb_gpu *gpu, struct mb_err *err) {
    return mb_gpu_check(cudaStreamSynchronize(gpu->stream), "cuda: sync", err);
}
