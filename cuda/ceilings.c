/* Times what kernels/ceilings.cu does, by the device's own clock. */
#include "ceilings.h"

#include "cuda_kernel.h"
#include "gpu_graphs.h"
#include "gpu_time.h"

#include <math.h>

enum {
    N_WARM_UP = 100, /* of FMA_ROUNDS: a tenth of a second, in which clocks rise */
    N_TIMES = 5,
    FMA_ROUNDS = 1000,  /* a millisecond, beside which the launch is nothing */
    N_LAUNCHES = 400,   /* fit behind the timer's gate, as a graph's nodes do */
    READS_MIB = 4 << 10 /* a millisecond, too */
};

static const size_t sizes_mib[MB_CEILING_SIZES] = {4,  8,  16,  24,  32,  48,
                                                   64, 96, 128, 256, 512, 1024};

struct ceilings {
    struct mb_gpu *gpu;
    struct mb_gpu_timer *timer;
    float *memory; /* as large as the largest working set */
    float *sums;   /* MB_CUDA_CEILING_SUMS */
    struct mb_cuda_reads reads;
    struct mb_cuda_fmas fmas;
    cudaGraphExec_t graph;
};

/* ---- what is timed ---- */

static enum mb_status run_reads(void *arg, struct mb_err *err) {
    const struct ceilings *c = arg;
    return mb_gpu_check(mb_cuda_ceiling_read(&c->reads, c->memory, c->sums, c->gpu->stream),
                        "cuda: ceilings: reads", err);
}

static enum mb_status run_fmas(void *arg, struct mb_err *err) {
    const struct ceilings *c = arg;
    return mb_gpu_check(mb_cuda_ceiling_fma(&c->fmas, c->sums, c->gpu->stream),
                        "cuda: ceilings: multiply-adds", err);
}

static enum mb_status run_nothing(void *arg, struct mb_err *err) {
    const struct ceilings *c = arg;
    return mb_gpu_check(mb_cuda_ceiling_nothing(c->gpu->stream), "cuda: ceilings: launch", err);
}

static enum mb_status run_graph(void *arg, struct mb_err *err) {
    const struct ceilings *c = arg;
    return mb_gpu_check(cudaGraphLaunch(c->graph, c->gpu->stream), "cuda: ceilings: graph launch",
                        err);
}

static enum mb_status enqueue_nodes(void *arg, void *const *buffers, struct mb_err *err) {
    enum mb_status st = MB_OK;
    (void)buffers;
    for (int i = 0; i < N_LAUNCHES && st == MB_OK; i++) st = run_nothing(arg, err);
    return st;
}

/* The shortest time of n_runs runs, in nanoseconds; one time is thrown away, which loads code. */
static enum mb_status shortest(struct ceilings *c,
                               enum mb_status (*run)(void *arg, struct mb_err *err),
                               uint32_t n_runs, double *ns, struct mb_err *err) {
    const struct mb_gpu_work work = {.run = run, .arg = c};
    *ns = INFINITY;
    for (int i = 0; i <= N_TIMES; i++) {
        double one;
        const enum mb_status st = mb_gpu_time_batch(c->timer, &work, n_runs, &one, err);
        if (st != MB_OK) return st;
        if (i > 0) *ns = fmin(*ns, one);
    }
    return MB_OK;
}

/* ---- the numbers ---- */

static enum mb_status warm_up(struct ceilings *c, struct mb_err *err) {
    enum mb_status st = MB_OK;
    for (int i = 0; i < N_WARM_UP && st == MB_OK; i++) st = run_fmas(c, err);
    return st == MB_OK ? mb_gpu_sync(c->gpu, err) : st;
}

static enum mb_status measure_fmas(struct ceilings *c, double *gflops, struct mb_err *err) {
    double ns;
    const enum mb_status st = shortest(c, run_fmas, 1, &ns, err);
    if (st == MB_OK) *gflops = mb_cuda_ceiling_flops(&c->fmas) / ns;
    return st;
}

static enum mb_status measure_reads(struct ceilings *c, size_t bytes, double *gbps,
                                    struct mb_err *err) {
    double ns;
    c->reads = mb_cuda_ceiling_reads(c->gpu->info.n_sms, bytes, (size_t)READS_MIB << 20);
    const enum mb_status st = shortest(c, run_reads, 1, &ns, err);
    if (st == MB_OK) *gbps = mb_cuda_ceiling_bytes(&c->reads) / ns;
    return st;
}

static enum mb_status measure_launches(struct ceilings *c, double *launch_ns, double *node_ns,
                                       struct mb_err *err) {
    enum mb_status st = MB_OK;
    double ns;
    MB_TRY(shortest(c, run_nothing, N_LAUNCHES, &ns, err));
    *launch_ns = ns / N_LAUNCHES;
    MB_TRY(mb_gpu_capture(c->gpu, enqueue_nodes, c, NULL, &c->graph, err));
    MB_TRY(shortest(c, run_graph, 1, &ns, err));
    *node_ns = ns / N_LAUNCHES;
out:
    return st;
}

/* As many of the sizes as there is room for; memory that others hold counts as none. */
static enum mb_status make_memory(struct ceilings *c, size_t *n_sizes, struct mb_err *err) {
    enum mb_status st = MB_E_NOMEM;
    void *memory = NULL;
    size_t n = MB_CEILING_SIZES;
    while (n > 1 && sizes_mib[n - 1] << 20 > c->gpu->info.memory_bytes / 4) n--;
    for (; n > 0 && st == MB_E_NOMEM; n--) {
        st = mb_gpu_alloc(sizes_mib[n - 1] << 20, &memory, err);
        *n_sizes = n;
    }
    if (st != MB_OK) return st;
    c->memory = memory;
    st = mb_gpu_alloc(MB_CUDA_CEILING_SUMS * sizeof *c->sums, &memory, err);
    if (st != MB_OK) return st;
    c->sums = memory;
    return mb_gpu_check(mb_cuda_ceiling_fill(c->memory,
                                             (sizes_mib[*n_sizes - 1] << 20) / sizeof *c->memory,
                                             c->gpu->stream),
                        "cuda: ceilings: data", err);
}

enum mb_status mb_cuda_ceilings(struct mb_gpu *gpu, struct mb_ceilings *out, struct mb_err *err) {
    enum mb_status st = MB_OK;
    struct ceilings c = {.gpu = gpu, .fmas = mb_cuda_ceiling_fmas(gpu->info.n_sms, FMA_ROUNDS)};
    struct mb_ceilings found = {0};
    MB_TRY(mb_gpu_timer_new(gpu->stream, MB_GPU_GATE_TIMEOUT_MS, &c.timer, err));
    MB_TRY(make_memory(&c, &found.n_read, err));
    MB_TRY(warm_up(&c, err));
    MB_TRY(measure_fmas(&c, &found.fma_gflops, err));
    for (size_t i = 0; i < found.n_read; i++) {
        found.read[i].bytes = sizes_mib[i] << 20;
        MB_TRY(measure_reads(&c, found.read[i].bytes, &found.read[i].read_gbps, err));
    }
    MB_TRY(measure_launches(&c, &found.launch_ns, &found.graph_node_ns, err));
    *out = found;
out:
    mb_gpu_timer_free(c.timer);
    if (c.graph) cudaGraphExecDestroy(c.graph);
    mb_gpu_free(c.memory);
    mb_gpu_free(c.sums);
    return st;
}
