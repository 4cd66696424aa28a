/* Work on a device's stream, captured once for each set of buffers and replayed as a CUDA graph.
 *
 * The first run with a set of buffers is enqueued plainly, which also loads its kernels' code, and
 * captured after that; later runs with the same buffers are one cudaGraphLaunch. Where capture is
 * refused, or there are more sets than MB_POINTER_ROWS, runs stay plain. */
#ifndef MB_GPU_GRAPHS_H
#define MB_GPU_GRAPHS_H

#include "gpu.h"

#include <stdint.h>

struct mb_gpu_graphs;

/* Enqueues the work on gpu->stream for these buffers: every time the same, without waiting. */
typedef enum mb_status mb_gpu_enqueue(void *arg, void *const *buffers, struct mb_err *err);

/* One graph of what `enqueue` does, ready to launch; cudaGraphExecDestroy in the end. The code of
 * its kernels should be loaded. */
enum mb_status mb_gpu_capture(struct mb_gpu *gpu, mb_gpu_enqueue *enqueue, void *arg,
                              void *const *buffers, cudaGraphExec_t *out, struct mb_err *err);

/* `enqueue` and `arg` serve all runs; `gpu` is borrowed. */
enum mb_status mb_gpu_graphs_new(struct mb_gpu *gpu, uint32_t n_buffers, mb_gpu_enqueue *enqueue,
                                 void *arg, struct mb_gpu_graphs **out, struct mb_err *err);
void mb_gpu_graphs_free(struct mb_gpu_graphs *graphs); /* waits; NULL is fine */

enum mb_status mb_gpu_graphs_run(struct mb_gpu_graphs *graphs, void *const *buffers,
                                 struct mb_err *err);

/* One line: how runs are launched, and why if it is not by graphs. Always terminated. */
void mb_gpu_graphs_text(const struct mb_gpu_graphs *graphs, char *buf, size_t size);

#endif
