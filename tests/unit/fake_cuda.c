#include "fake_cuda.h"

#include "cuda_kernel.h"
#include "generic.h"
#include "kernel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
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
};

static cudaStream_t streams[4];
static cudaError_t last_error;

void fake_cuda_reset(void) {
    fake_cuda = (struct fake_cuda){.cc = 90};
    last_error = cudaSuccess;
}

static cudaError_t note(cudaError_t error) {
    if (error != cudaSuccess) last_error = error;
    return error;
}

/* Every call that can fail begins so. */
static bool fails(void) { return ++fake_cuda.n_calls == fake_cuda.fail_at; }

#define MAY_FAIL                                                                                   \
    do {                                                                                           \
        if (fails()) return note(cudaErrorLaunchFailure);                                          \
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
}

static void enqueue(cudaStream_t stream, void (*run)(const void *), const void *args,
                    size_t bytes) {
    append(stream->capture ? &stream->capture->queue : &stream->queue, run, args, bytes);
}

static void clear(struct queue *queue) {
    for (struct work *work = queue->first, *next; work; work = next) {
        next = work->next;
        free(work);
    }
    *queue = (struct queue){NULL, NULL};
}

static void drain(cudaStream_t stream) {
    assert_null(stream->capture); /* waiting would end the capture */
    for (const struct work *work = stream->queue.first; work; work = work->next)
        work->run(work->args);
    clear(&stream->queue);
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
    (*event)->stream = NULL;
    return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    MAY_FAIL;
    event->stream = stream;
    return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    MAY_FAIL;
    if (event->stream) drain(event->stream);
    return cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to) {
    MAY_FAIL;
    assert_ptr_equal(from->stream, to->stream);
    *ms = 0.5f;
    return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
    drop(event);
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
cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t stream) {
    MAY_FAIL;
    (void)kind;
    const struct copy copy = {dst, src, bytes};
    enqueue(stream, run_copy, &copy, sizeof copy);
    return cudaSuccess;
}

/* ---- graphs ---- */

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode) {
    MAY_FAIL;
    (void)mode;
    assert_null(stream->capture);
    stream->capture = make(sizeof *stream->capture);
    stream->capture->queue = (struct queue){NULL, NULL};
    fake_cuda.n_captured++;
    return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
    cudaGraph_t captured = stream->capture;
    assert_non_null(captured);
    stream->capture = NULL;
    if (fails() || fake_cuda.refuse_capture) {
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
    **instance = (struct CUgraphExec_st){{NULL, NULL}, 0};
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
    enqueue(stream, run_graph, &instance, sizeof instance);
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

/* ---- kernels ---- */

static const struct mb_thread alone = {0, 1};

static const struct mb_cpu_kernel *scalar(enum mb_step_kind kind) {
    for (size_t i = 0; i < mb_cpu_n_kernels; i++)
        if (mb_cpu_kernels[i]->kind == kind && mb_cpu_kernels[i]->isa == MB_ISA_SCALAR)
            return mb_cpu_kernels[i];
    fail_msg("no scalar kernel");
    return NULL;
}

struct kernel_work {
    const struct mb_cpu_kernel *kernel;
    union mb_step_desc desc;
    const float *w, *bias;
    void *packed;
    struct mb_kernel_args args;
};
static void run_pack(const void *args) {
    const struct kernel_work *work = args;
    work->kernel->pack(&work->desc, work->w, work->bias, work->packed, &alone);
    fake_cuda.n_run++;
}
static void run_kernel(const void *args) {
    const struct kernel_work *work = args;
    work->kernel->run(&work->desc, &work->args, &alone);
    fake_cuda.n_run++;
}

static cudaError_t enqueue_pack(enum mb_step_kind kind, const union mb_step_desc *desc,
                                const float *w, const float *bias, void *packed,
                                cudaStream_t stream) {
    MAY_FAIL;
    const struct kernel_work work = {
        .kernel = scalar(kind), .desc = *desc, .w = w, .bias = bias, .packed = packed};
    enqueue(stream, run_pack, &work, sizeof work);
    return cudaGetLastError(); /* as after every launch: another's error would show here */
}
static cudaError_t enqueue_run(enum mb_step_kind kind, const union mb_step_desc *desc,
                               const struct mb_cuda_args *args, cudaStream_t stream) {
    MAY_FAIL;
    const struct kernel_work work = {
        .kernel = scalar(kind),
        .desc = *desc,
        .args = {.x = args->x, .packed = args->packed, .y = args->y, .scratch = args->scratch}};
    enqueue(stream, run_kernel, &work, sizeof work);
    return cudaGetLastError();
}

#define KERNEL(id, KIND, ns)                                                                       \
    static bool id##_supports(const union mb_step_desc *desc,                                      \
                              const struct mb_gpu_properties *gpu) {                               \
        assert_true(gpu->n_sms == 132 && gpu->memory_gbps > 4900 && gpu->memory_gbps < 4950);      \
        return scalar(KIND)->supports(desc, 1);                                                    \
    }                                                                                              \
    static double id##_cost(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu) { \
        (void)desc, (void)gpu;                                                                     \
        return ns;                                                                                 \
    }                                                                                              \
    static size_t id##_packed(const union mb_step_desc *desc,                                      \
                              const struct mb_gpu_properties *gpu) {                               \
        (void)gpu;                                                                                 \
        return scalar(KIND)->packed_bytes(desc, 1);                                                \
    }                                                                                              \
    static size_t id##_scratch(const union mb_step_desc *desc,                                     \
                               const struct mb_gpu_properties *gpu) {                              \
        (void)gpu;                                                                                 \
        return scalar(KIND)->scratch_bytes(desc, 1);                                               \
    }                                                                                              \
    static cudaError_t id##_pack(const union mb_step_desc *desc,                                   \
                                 const struct mb_gpu_properties *gpu, const float *w,              \
                                 const float *bias, void *packed, cudaStream_t stream) {           \
        (void)gpu;                                                                                 \
        return enqueue_pack(KIND, desc, w, bias, packed, stream);                                  \
    }                                                                                              \
    static cudaError_t id##_launch(const union mb_step_desc *desc,                                 \
                                   const struct mb_gpu_properties *gpu,                            \
                                   const struct mb_cuda_args *args, cudaStream_t stream) {         \
        (void)gpu;                                                                                 \
        return enqueue_run(KIND, desc, args, stream);                                              \
    }                                                                                              \
    static const struct mb_cuda_kernel id = {                                                      \
        #id, KIND, id##_supports, id##_cost, id##_packed, id##_scratch, id##_pack, id##_launch};

KERNEL(matmul_slow, MB_STEP_MATMUL, 2000)
KERNEL(matmul_quick, MB_STEP_MATMUL, 1000)
KERNEL(conv2d_only, MB_STEP_CONV2D, 5000)

const struct mb_cuda_kernel *const mb_cuda_kernels[] = {&matmul_slow, &matmul_quick, &conv2d_only};
const size_t mb_cuda_n_kernels = 3;

/* ---- operations ---- */

static enum mb_dtype dtype_of(const struct mb_cuda_operation_args *args) {
    return args->types[0] ? args->types[0]->dtype : args->node->type.dtype;
}
static void run_operation(const void *args) {
    const struct mb_cuda_operation_args *a = args;
    bool divided_by_zero = false;
    const struct mb_generic_args generic = {.node = a->node,
                                            .types = {a->types[0], a->types[1]},
                                            .operands = {a->operands[0], a->operands[1]},
                                            .y = a->y,
                                            .divided_by_zero = &divided_by_zero};
    mb_generic_find(a->node->op, dtype_of(a))(&generic, &alone);
    fake_cuda.n_run++;
}
bool mb_cuda_has_operation(enum mb_op op, enum mb_dtype dtype) {
    return mb_generic_find(op, dtype) != NULL;
}
cudaError_t mb_cuda_operation(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
    MAY_FAIL;
    enqueue(stream, run_operation, args, sizeof *args);
    return cudaGetLastError();
}
