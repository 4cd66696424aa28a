/* What a CUDA device can do at best: see struct mb_ceilings in backend.h. */
#ifndef MB_CEILINGS_H
#define MB_CEILINGS_H

#include "backend.h"
#include "gpu.h"

/* Working sets from 4 MiB to 1 GiB, as far as a quarter of the device's memory goes. launch_ns and
 * graph_node_ns are from one empty kernel's begin to the next one's, all of them enqueued before
 * the first begins. Each number is the best of a few, after a warm-up. Waits. */
enum mb_status mb_cuda_ceilings(struct mb_gpu *gpu, struct mb_ceilings *out, struct mb_err *err);

#endif
