/* One CUDA device as the host code uses it: what it is, its memory, one stream, transfers.
 *
 * Everything is asynchronous on the device's one stream unless it says that it waits. One thread;
 * the device is the thread's current one from mb_gpu_open on, so a process has one open at a time.
 * Failures carry CUDA's own name and text: "cuda: open: cudaErrorNoDevice (100): no CUDA-capable
 * device is detected". */
#ifndef MB_GPU_H
#define MB_GPU_H

#include "gpu_error.h"

#include <stddef.h>

/* ---- what is there ---- */

struct mb_gpu_info {
    char name[256]; /* "NVIDIA H200" */
    char uuid[48];  /* "GPU-3f2a...": as nvidia-smi prints it */
    int cc;         /* compute capability, major * 10 + minor */
    int n_sms;
    int shared_bytes;     /* a block may ask for, opt-in */
    int clock_khz;        /* boost */
    int memory_clock_khz; /* 0: the driver does not say */
    int memory_bus_bits;
    size_t l2_bytes, memory_bytes;
    int driver_version, runtime_version; /* 13000: CUDA 13.0; the newest that the driver can run */
};

/* Whether device `index` answers and with which compute capability. Makes no context. */
enum mb_status mb_gpu_probe(int index, int *cc, struct mb_err *err);

/* ---- a device in use ---- */

struct mb_gpu {
    int index;
    struct mb_gpu_info info;
    cudaStream_t stream;
    char *staging;         /* page-locked, two halves */
    cudaEvent_t staged[2]; /* the copy that last used each half */
};

enum mb_status mb_gpu_open(int index, struct mb_gpu **out, struct mb_err *err);
void mb_gpu_close(struct mb_gpu *gpu); /* waits; NULL is fine */

/* Device memory, aligned to 256. Size 0 gives a valid address. */
enum mb_status mb_gpu_alloc(size_t bytes, void **out, struct mb_err *err);
void mb_gpu_free(void *memory); /* waits for what uses it; NULL is fine */

/* Through page-locked memory, in pieces, copying one while the other is on its way. Both come after
 * what was enqueued before, and wait until all is there. */
enum mb_status mb_gpu_upload(struct mb_gpu *gpu, void *dst, const void *src, size_t bytes,
                             struct mb_err *err);
enum mb_status mb_gpu_download(struct mb_gpu *gpu, void *dst, const void *src, size_t bytes,
                               struct mb_err *err);

/* Waits for all that was enqueued. */
enum mb_status mb_gpu_sync(struct mb_gpu *gpu, struct mb_err *err);

#endif
