#include "gpu_graphs.h"

#include "arena.h"
#include "pointer_table.h"

#include <stdio.h>

struct mb_gpu_graphs {
    struct mb_gpu *gpu;
    mb_gpu_enqueue *enqueue;
    void *arg;
    struct mb_pointer_table sets;
    cudaGraphExec_t graphs[MB_POINTER_ROWS];
    struct mb_err refusal; /* why nothing is captured; status MB_OK: it is */
};

enum mb_status mb_gpu_graphs_new(struct mb_gpu *gpu, uint32_t n_buffers, mb_gpu_enqueue *enqueue,
                                 void *arg, struct mb_gpu_graphs **out, struct mb_err *err) {
    struct mb_gpu_graphs *graphs = mb_allocator.alloc(sizeof *graphs);
    if (!graphs) return mb_fail(err, MB_E_NOMEM, "cuda: out of memory");
    *graphs = (struct mb_gpu_graphs){.gpu = gpu, .enqueue = enqueue, .arg = arg};
    if (!mb_pointer_table_init(&graphs->sets, n_buffers)) {
        mb_gpu_graphs_free(graphs);
        return mb_fail(err, MB_E_NOMEM, "cuda: out of memory for %u buffers", n_buffers);
    }
    *out = graphs;
    return MB_OK;
}

void mb_gpu_graphs_free(struct mb_gpu_graphs *graphs) {
    if (!graphs) return;
    if (graphs->sets.n_rows) cudaStreamSynchronize(graphs->gpu->stream);
    for (uint32_t i = 0; i < graphs->sets.n_rows; i++) cudaGraphExecDestroy(graphs->graphs[i]);
    mb_pointer_table_fini(&graphs->sets);
    mb_allocator.release(graphs);
}

/* A capture that has begun is always ended, or the stream could not be used again. */
static enum mb_status record(struct mb_gpu *gpu, mb_gpu_enqueue *enqueue, void *arg,
                             void *const *buffers, cudaGraph_t *graph, struct mb_err *err) {
    cudaStream_t stream = gpu->stream;
    enum mb_status st = mb_gpu_check(
        cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "begin of capture", err);
    if (st != MB_OK) return st;
    st = enqueue(arg, buffers, err);
    const cudaError_t error = cudaStreamEndCapture(stream, graph);
    if (st == MB_OK) return mb_gpu_check(error, "end of capture", err);
    cudaGetLastError(); /* the end of a failed capture fails as well */
    return st;
}

enum mb_status mb_gpu_capture(struct mb_gpu *gpu, mb_gpu_enqueue *enqueue, void *arg,
                              void *const *buffers, cudaGraphExec_t *out, struct mb_err *err) {
    enum mb_status st = MB_OK;
    cudaGraph_t graph = NULL;
    cudaGraphExec_t instance = NULL;
    MB_TRY(record(gpu, enqueue, arg, buffers, &graph, err));
    MB_TRY(mb_gpu_check(cudaGraphInstantiate(&instance, graph, 0), "graph instantiation", err));
    MB_TRY(mb_gpu_check(cudaGraphUpload(instance, gpu->stream), "graph upload", err));
    *out = instance;
    instance = NULL;
out:
    if (instance) cudaGraphExecDestroy(instance);
    if (graph) cudaGraphDestroy(graph);
    return st;
}

enum mb_status mb_gpu_graphs_run(struct mb_gpu_graphs *graphs, void *const *buffers,
                                 struct mb_err *err) {
    const uint32_t row = mb_pointer_table_find(&graphs->sets, buffers);
    if (row != MB_NO_ROW)
        return mb_gpu_check(cudaGraphLaunch(graphs->graphs[row], graphs->gpu->stream),
                            "cuda: graph launch", err);
    cudaGraphExec_t graph;
    enum mb_status st = graphs->enqueue(graphs->arg, buffers, err);
    if (st != MB_OK || graphs->refusal.status != MB_OK || graphs->sets.n_rows == MB_POINTER_ROWS)
        return st;
    if (mb_gpu_capture(graphs->gpu, graphs->enqueue, graphs->arg, buffers, &graph,
                       &graphs->refusal) == MB_OK)
        graphs->graphs[mb_pointer_table_add(&graphs->sets, buffers)] = graph;
    return MB_OK;
}

void mb_gpu_graphs_text(const struct mb_gpu_graphs *graphs, char *buf, size_t size) {
    if (graphs->refusal.status != MB_OK)
        snprintf(buf, size, "launch: kernel by kernel, since no graph could be made: %s\n",
                 graphs->refusal.text);
    else
        snprintf(buf, size,
                 "launch: one CUDA graph a run, captured at the first with its buffers\n");
}
