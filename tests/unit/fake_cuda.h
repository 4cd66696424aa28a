/* A CUDA runtime for tests without a GPU: one device whose memory is the host's. Its kernels are
 * those of fake_kernels.c, or the real ones in emulation (tests/cuda), which run when launched, so
 * that capture must be refused.
 *
 * It is as lazy as a device may be: what is enqueued runs only when something waits for it, and
 * what is captured only when its graph runs, so that memory freed or staging used again too early
 * shows. A count of what is alive shows leaks. */
#ifndef MB_FAKE_CUDA_H
#define MB_FAKE_CUDA_H

#include "gpu.h"

#include <stdbool.h>

struct fake_cuda {
    int cc;      /* of the one device */
    int fail_at; /* the call, counted from 1, that fails with cudaErrorLaunchFailure; 0: none */
    int refuse_capture;  /* cudaStreamEndCapture fails */
    int n_calls;         /* of those that can fail, since fake_cuda_reset */
    int n_alive;         /* allocations, streams, events, graphs */
    int n_launched;      /* graphs */
    int n_captured;      /* captures begun */
    int n_run;           /* kernels, copies and operations that really ran */
    size_t memory_bytes; /* of the device */
    size_t free_bytes;   /* the most that one cudaMalloc gives */
    int queue_entries;   /* of a stream: one more waits for what is in it; 0: no end */
    double clock_ns;     /* the device's own, which events note; only work of the test moves it */
    char order[64];      /* host functions 'g' and events 'e' that ran, and what the test adds */
};
extern struct fake_cuda fake_cuda;

/* Back to a device of compute capability 9.0 on which nothing fails. */
void fake_cuda_reset(void);

/* Adds to `order`, which keeps what comes first. */
void fake_cuda_note(char what);

/* For kernels. Counts a call that can fail and says whether this one does. */
bool fake_cuda_fails(void);
/* run(args), a copy of the `bytes` there, on the stream or in the graph that it captures. */
void fake_cuda_enqueue(cudaStream_t stream, void (*run)(const void *), const void *args,
                       size_t bytes);

#endif
