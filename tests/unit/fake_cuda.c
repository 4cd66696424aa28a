#include "fake_cuda.h"

#include <cuda_runtime_api.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct fake_cuda fake_cuda;

/* ---- work that waits ---- */

struct work {
    void (*run)(const void *args);
    struct work *next;
    char args[512];
};

struct queue {
    struct work *first, **end;
    int n;
};

struct CUstream_st {
    struct queue queue;
    struct CUgraph_st *capture; /* NULL: not capturing */
};
struct CUgraph_st {
    struct queue queue;
};
struct CUgraphExec_st {
    struct queue queue;
    int n_pending; /* launches enqueued and not run yet */
};
struct CUevent_st {
    cudaStream_t stream; /* where it was recorded last */
    double at_ns;
    int n_pending; /* records enqueued and not run yet */
};

static cudaStream_t streams[4];
static cudaError_t last_error;

void fake_cuda_reset(void) {
    unsetenv("XDG_CACHE_HOME"); /* nobody's cache of tuning is read or written */
    unsetenv("HOME");
    fake_cuda = (struct fake_cuda){
        .cc = 90, .memory_bytes = (size_t)1 << 30, .free_bytes = (size_t)1 << 30};
    last_error = cudaSuccess;
}

static cudaError_t note(cudaError_t error) {
    if (error != cudaSuccess) last_error = error;
    return error;
}

bool fake_cuda_fails(void) { return ++fake_cuda.n_calls == fake_cuda.fail_at; }

#define MAY_FAIL                                                                                   \
    do {                                                                                           \
        if (fake_cuda_fails()) return note(cudaErrorLaunchFailure);                                \
    } while (0)

static void *make(size_t bytes) {
    void *memory = malloc(bytes);
    assert_non_null(memory);
    memset(memory, 0xff, bytes);
    fake_cuda.n_alive++;
    return memory;
}

static void drop(void *memory) {
    free(memory);
    fake_cuda.n_alive--;
}

static void append(struct queue *queue, void (*run)(const void *), const void *args, size_t bytes) {
    struct work *work = calloc(1, sizeof *work);
    assert_non_null(work);
    assert_true(bytes <= sizeof work->args);
    work->run = run;
    memcpy(work->args, args, bytes);
    if (!queue->end) queue->end = &queue->first;
    *queue->end = work;
    queue->end = &work->next;
    queue->n++;
}

static void clear(struct queue *queue) {
    for (struct work *work = queue->first, *next; work; work = next) {
        next = work->next;
        free(work);
    }
    *queue = (struct queue){0};
}

static void drain(cudaStream_t stream) {
    assert_null(stream->capture); /* waiting would end the capture */
    for (const struct work *work = stream->queue.first; work; work = work->next)
        work->run(work->args);
    clear(&stream->queue);
}

void fake_cuda_enqueue(cudaStream_t stream, void (*run)(const void *), const void *args,
                       size_t bytes) {
    const bool full = fake_cuda.queue_entries && stream->queue.n >= fake_cuda.queue_entries;
    if (!stream->capture && full) drain(stream);
    append(stream->capture ? &stream->capture->queue : &stream->queue, run, args, bytes);
}

void fake_cuda_note(char what) {
    const size_t n = strlen(fake_cuda.order);
    if (n + 1 < sizeof fake_cuda.order) fake_cuda.order[n] = what;
}

static void drain_all(void) {
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++)
        if (streams[i]) drain(streams[i]);
}

/* ---- the runtime ---- */

const char *cudaGetErrorName(cudaError_t error) {
    return error == cudaErrorLaunchFailure ? "cudaErrorLaunchFailure" : "cudaErrorOther";
}
const char *cudaGetErrorString(cudaError_t error) {
    return error == cudaErrorLaunchFailure ? "unspecified launch failure" : "other";
}
cudaError_t cudaGetLastError(void) {
    const cudaError_t error = last_error;
    last_error = cudaSuccess;
    return error;
}

cudaError_t cudaGetDeviceCount(int *count) {
    MAY_FAIL;
    *count = 1;
    return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
    MAY_FAIL;
    assert_int_equal(device, 0);
    return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int device) {
    MAY_FAIL;
    assert_int_equal(device, 0);
    switch ((int)attribute) {
    case cudaDevAttrComputeCapabilityMajor: *value = fake_cuda.cc / 10; break;
    case cudaDevAttrComputeCapabilityMinor: *value = fake_cuda.cc % 10; break;
    case cudaDevAttrMultiProcessorCount: *value = 132; break;
    case cudaDevAttrMemoryClockRate: *value = 3201000; break;
    case cudaDevAttrGlobalMemoryBusWidth: *value = 6144; break;
    case cudaDevAttrL2CacheSize: *value = 60 << 20; break;
    case cudaDevAttrClockRate: *value = 1980000; break;
    default: *value = 227 << 10;
    }
    return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *prop, int device) {
    MAY_FAIL;
    assert_int_equal(device, 0);
    memset(prop, 0, sizeof *prop);
    strcpy(prop->name, "Paper H200");
    prop->totalGlobalMem = fake_cuda.memory_bytes;
    prop->major = fake_cuda.cc / 10;
    prop->minor = fake_cuda.cc % 10;
    return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int *version) {
    MAY_FAIL;
    *version = 13010;
    return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int *version) {
    MAY_FAIL;
    *version = 13000;
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **memory, size_t bytes) {
    MAY_FAIL;
    if (bytes > fake_cuda.free_bytes) return note(cudaErrorMemoryAllocation);
    *memory = make(bytes);
    return cudaSuccess;
}
cudaError_t cudaFree(void *memory) {
    drain_all();
    drop(memory);
    return cudaSuccess;
}
cudaError_t cudaHostAlloc(void **memory, size_t bytes, unsigned int flags) {
    MAY_FAIL;
    (void)flags;
    *memory = make(bytes);
    return cudaSuccess;
}
cudaError_t cudaFreeHost(void *memory) {
    drain_all();
    drop(memory);
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned int flags) {
    MAY_FAIL;
    (void)flags;
    size_t i = 0;
    while (streams[i]) assert_true(++i < sizeof streams / sizeof *streams);
    *stream = streams[i] = make(sizeof **stream);
    **stream = (struct CUstream_st){0};
    return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    MAY_FAIL;
    drain(stream);
    return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    drain(stream);
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++)
        if (streams[i] == stream) streams[i] = NULL;
    drop(stream);
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned int flags) {
    MAY_FAIL;
    (void)flags;
    *event = make(sizeof **event);
    **event = (struct CUevent_st){0};
    return cudaSuccess;
}
static void run_event(const void *args) {
    cudaEvent_t event = *(const cudaEvent_t *)args;
    event->at_ns = fake_cuda.clock_ns;
    event->n_pending--;
    fake_cuda_note('e');
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    MAY_FAIL;
    event->stream = stream;
    event->n_pending++;
    fake_cuda_enqueue(stream, run_event, &event, sizeof event);
    return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    MAY_FAIL;
    if (event->n_pending) drain(event->stream);
    return cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to) {
    MAY_FAIL;
    assert_ptr_equal(from->stream, to->stream);
    assert_int_equal(from->n_pending + to->n_pending, 0);
    *ms = (float)((to->at_ns - from->at_ns) / 1e6);
    return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
    if (event->n_pending) drain_all();
    drop(event);
    return cudaSuccess;
}

struct host_function {
    cudaHostFn_t function;
    void *arg;
};
static void run_host_function(const void *args) {
    const struct host_function *f = args;
    fake_cuda_note('g');
    f->function(f->arg);
}
cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void *arg) {
    MAY_FAIL;
    const struct host_function f = {function, arg};
    fake_cuda_enqueue(stream, run_host_function, &f, sizeof f);
    return cudaSuccess;
}

struct copy {
    void *dst;
    const void *src;
    size_t bytes;
};
static void run_copy(const void *args) {
    const struct copy *copy = args;
    memcpy(copy->dst, copy->src, copy->bytes);
    fake_cuda.n_run++;
}
struct filling {
    void *memory;
    int value;
    size_t bytes;
};
static void run_filling(const void *args) {
    const struct filling *filling = args;
    memset(filling->memory, filling->value, filling->bytes);
}
cudaError_t cudaMemsetAsync(void *memory, int value, size_t bytes, cudaStream_t stream) {
    MAY_FAIL;
    const struct filling filling = {memory, value, bytes};
    fake_cuda_enqueue(stream, run_filling, &filling, sizeof filling);
    return cudaSuccess;
}

/* Weak, since emulated kernels (tests/cuda) bring one that copies at once. */
__attribute__((weak)) cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t bytes,
                                                  enum cudaMemcpyKind kind, cudaStream_t stream) {
    MAY_FAIL;
    (void)kind;
    const struct copy copy = {dst, src, bytes};
    fake_cuda_enqueue(stream, run_copy, &copy, sizeof copy);
    return cudaSuccess;
}

/* ---- graphs ---- */

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode) {
    MAY_FAIL;
    (void)mode;
    assert_null(stream->capture);
    stream->capture = make(sizeof *stream->capture);
    stream->capture->queue = (struct queue){0};
    fake_cuda.n_captured++;
    return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
    cudaGraph_t captured = stream->capture;
    assert_non_null(captured);
    stream->capture = NULL;
    if (fake_cuda_fails() || fake_cuda.refuse_capture) {
        cudaGraphDestroy(captured);
        return note(cudaErrorLaunchFailure);
    }
    *graph = captured;
    return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *instance, cudaGraph_t graph,
                                 unsigned long long flags) {
    MAY_FAIL;
    (void)flags;
    *instance = make(sizeof **instance);
    **instance = (struct CUgraphExec_st){{0}, 0};
    for (const struct work *work = graph->queue.first; work; work = work->next)
        append(&(*instance)->queue, work->run, work->args, sizeof work->args);
    return cudaSuccess;
}
cudaError_t cudaGraphUpload(cudaGraphExec_t instance, cudaStream_t stream) {
    MAY_FAIL;
    (void)instance, (void)stream;
    return cudaSuccess;
}
static void run_graph(const void *args) {
    cudaGraphExec_t instance = *(const cudaGraphExec_t *)args;
    for (const struct work *work = instance->queue.first; work; work = work->next)
        work->run(work->args);
    instance->n_pending--;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t instance, cudaStream_t stream) {
    MAY_FAIL;
    instance->n_pending++;
    fake_cuda.n_launched++;
    fake_cuda_enqueue(stream, run_graph, &instance, sizeof instance);
    return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    clear(&graph->queue);
    drop(graph);
    return cudaSuccess;
}
/* A failed wait leaves launches behind, which no longer matter; else none may be on its way. */
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t instance) {
    if (instance->n_pending > 0) {
        assert_true(fake_cuda.fail_at > 0);
        drain_all();
    }
    clear(&instance->queue);
    drop(instance);
    return cudaSuccess;
}
