/* The one interface between the harness and whatever runs programs.
 *
 * A backend serves one device kind and offers one or more executors (ways to run a program). The
 * same code drives all of them, in a worker process of their own, and times the same call: what one
 * executor may do ahead of time in plan and load, every executor may. The order is
 *
 *     open -> plan -> load -> { launch -> sync }... -> close
 *
 * One context holds one program. Single-threaded use only; a backend may have threads of its own,
 * which sleep soon after sync (within a few milliseconds), since other executors are timed then.
 * A C++ or CUDA backend lets no exception out.
 *
 * A backend is a static struct behind one getter. Plugins (shared objects beside the program)
 * export it under MB_BACKEND_SYMBOL. */
#ifndef MB_BACKEND_H
#define MB_BACKEND_H

#include "program.h"
#include "status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MB_BACKEND_ABI    6
#define MB_BACKEND_SYMBOL "mb_backend_get"

struct mb_ctx; /* each backend's own */
struct mb_buf; /* memory an executor can read and write; knows its size */

enum mb_precision { MB_FP32, MB_TF32, MB_BF16, MB_FP16 };

enum mb_isa { MB_ISA_SCALAR, MB_ISA_AVX2, MB_ISA_AVX512, MB_ISA_BEST = MB_ISA_AVX512 };

struct mb_open_config {
    const char *executor; /* one of the backend's own; borrowed during open */
    const char *device;   /* "cpu" or "cuda" */
    int device_index;
    int n_threads; /* >= 1: threads that compute, the caller's included */
    enum mb_precision precision;
    enum mb_isa isa_cap; /* instruction sets above this one are not used (CPU) */
    const char *kernel;  /* NULL: the best for each step; else the one row of kernels.def that its
                            steps may use, for measuring it: plan fails with MB_E_UNSUPPORTED where
                            it supports none of them. Borrowed during open */
    bool plain_start;    /* a start is timed: nothing that is there for the race's sake alone, as a
                            search for the layout a peer likes best or runs ahead of the first */
    const char *package; /* what was compiled ahead of time, a file; NULL for executors that need
                            none. Borrowed during open */
};

/* What the executor really does, read back after load, never assumed. */
struct mb_exec_info {
    enum mb_precision precision; /* of products and sums; decides whether a ratio may be printed */
    char math_mode[64];          /* for people: "fp32, avx2+fma", "fp32, oneDNN/MKL avx2" */
    char library[96];  /* version of what computes: "mindbench 0.1.0", "libtorch 2.11.0" */
    double tuning_ns;  /* part of plan that went into choosing by measurement: what a user who knows
                          the choice need not spend, so it is reported apart */
    double compile_ns; /* part of load that a compiler took: scripting, freezing */
    char device_uuid[48]; /* "GPU-3f2a...", as the driver's tools name it; "" where there is none */
    double flops; /* arithmetic of a run by the algorithms that it really uses (mb_operation);
                     0: it cannot tell */
};

/* A step of a run, as one run with a clock between the steps found it. */
struct mb_operation {
    char kernel[64]; /* row of kernels.def, or the operation's own name */
    char what[128];  /* "matmul (32,784)x(784,512) + bias + relu" */
    double ns;
    double bytes; /* operands and result, each once */
    double flops; /* of a kernel: two for each multiplication of its own algorithm (mb_kernel_row),
                     bias, ReLU, pooling and transforms left out; else mb_node_flops */
};

/* What the device can do at best, measured on it a moment ago: what a share of a roofline is a
 * share of. With the threads and instruction sets, or the device, that the context was opened with.
 */
enum { MB_CEILING_SIZES = 12 };
struct mb_ceilings {
    struct {
        size_t bytes; /* of a working set read again and again, ascending */
        double read_gbps;
    } read[MB_CEILING_SIZES];
    size_t n_read;
    double fma_gflops; /* f32 multiply-adds, two operations each */
    double launch_ns;  /* one empty kernel after another, NaN on a CPU */
    double graph_node_ns;
};

/* A row of the device's kernels.def: what mb_open_config.kernel may name. */
struct mb_kernel_row {
    const char *name; /* static */
    enum mb_op op;    /* MB_OP_MATMUL or MB_OP_CONV2D, with what is fused into it */
    double products;  /* multiplications for each one of the direct algorithm: 1, or for example
                         36.0 / 144 for Winograd's F(4x4, 3x3), whose transforms are not counted */
};

struct mb_backend {
    int abi;          /* MB_BACKEND_ABI; the registry refuses any other value */
    const char *name; /* "cpu", "cuda", "torch" */

    /* Whether this machine can run the executor (host/executors.c lists them); MB_OK or why not.
     * Cheap, starts no thread. */
    enum mb_status (*probe)(const struct mb_open_config *config, struct mb_err *err);

    enum mb_status (*open)(const struct mb_open_config *config, struct mb_ctx **out,
                           struct mb_err *err);
    void (*close)(struct mb_ctx *ctx); /* frees all of it, its buffers excepted; NULL is fine */

    /* `bytes` of uninitialised memory, aligned to 64 or better. */
    enum mb_status (*buf_alloc)(struct mb_ctx *ctx, size_t bytes, struct mb_buf **out,
                                struct mb_err *err);
    void (*buf_free)(struct mb_ctx *ctx, struct mb_buf *buf); /* NULL is fine; before close */
    enum mb_status (*upload)(struct mb_ctx *ctx, struct mb_buf *dst, const void *src, size_t bytes,
                             struct mb_err *err);
    enum mb_status (*download)(struct mb_ctx *ctx, void *dst, const struct mb_buf *src,
                               size_t bytes, struct mb_err *err);

    /* Everything that needs the program but no weight: fusion, algorithm choice (measured on
     * stand-in data where it is measured), memory plan. The program outlives the context. */
    enum mb_status (*plan)(struct mb_ctx *ctx, const struct mb_program *program,
                           struct mb_err *err);

    /* Takes the weights: weights[i] is the host data of params[i], NULL where that is an input.
     * Borrowed until load returns: pack, fold, upload or copy them. Graph capture belongs here. */
    enum mb_status (*load)(struct mb_ctx *ctx, const void *const *weights, struct mb_err *err);

    /* Enqueues one run: inputs in the order of the params with role MB_INPUT, outputs in the order
     * of program->outputs. Each has room for its value; an output's is no other output's and no
     * input's, while two inputs may share one (the CPU refuses anything else with MB_E_INVALID,
     * others need not look). Allocates nothing, plans nothing, prints nothing, waits for nothing:
     * with sync, this is the timed region. The first launch with a new set of buffers may be
     * slower (the harness never times it). */
    enum mb_status (*launch)(struct mb_ctx *ctx, struct mb_buf *const *inputs,
                             struct mb_buf *const *outputs, struct mb_err *err);

    /* Returns when the outputs of every launch so far may be read. */
    enum mb_status (*sync)(struct mb_ctx *ctx, struct mb_err *err);

    /* Evicts from the device's caches what the program reads, by reading other memory of twice the
     * last level's size: what a launch behind it finds is in memory. Enqueued like a launch. NULL:
     * cannot be done, and only warm caches are measured. */
    enum mb_status (*evict)(struct mb_ctx *ctx, struct mb_err *err);

    /* Time of `n_runs` launches back to back by the device's own clock, from before the first to
     * after the last, in nanoseconds; waits. The device is held until all is enqueued, as far as
     * its queue allows, so that the host's share is not in it. With `evicted` each run finds its
     * data in memory, and the time is the sum of the runs without the evictions. NULL: the device
     * has no clock apart from the host's (CPU). */
    enum mb_status (*device_time)(struct mb_ctx *ctx, struct mb_buf *const *inputs,
                                  struct mb_buf *const *outputs, uint32_t n_runs, bool evicted,
                                  double *ns, struct mb_err *err);

    /* Takes some hundred milliseconds; needs no program. NULL: the backend measures none. */
    enum mb_status (*ceilings)(struct mb_ctx *ctx, struct mb_ceilings *out, struct mb_err *err);

    enum mb_status (*info)(const struct mb_ctx *ctx, struct mb_exec_info *out, struct mb_err *err);

    /* After plan: what was chosen and why, for people (`compile --emit plan`); lines, always
     * terminated, cut to `size`. */
    void (*plan_text)(const struct mb_ctx *ctx, char *buf, size_t size);

    /* Row `i` of the kernels, also of those that this machine cannot run (probe tells); false from
     * the end on, and then *out is left alone. Needs no context. NULL: no kernel can be named. */
    bool (*kernel_row)(size_t i, struct mb_kernel_row *out);

    /* One run, waited for, with a clock between its steps: those in the order they run, at most
     * `room` of them into `out`, and how many there are. What lies between steps counts to the one
     * behind it. NULL: the backend has no steps of its own to time. */
    enum mb_status (*operations)(struct mb_ctx *ctx, struct mb_buf *const *inputs,
                                 struct mb_buf *const *outputs, struct mb_operation *out,
                                 size_t room, size_t *n, struct mb_err *err);
};

#ifdef __cplusplus
}
#endif
#endif
