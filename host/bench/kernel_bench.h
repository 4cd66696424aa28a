/* Times each kernel of a device alone on a table of shapes, against the device's ceilings. In this
 * process: what is compared are kernels of one device, not executors.
 *
 *     mb_kernel_bench_open -> mb_kernel_bench_run -> read rows -> mb_kernel_bench_close
 *
 * A row's program has one step, planned with mb_open_config.kernel. The first run and one after the
 * timed ones begin with a poisoned output and are compared with the FP64 reference.
 *
 * The roofline (roofline.h) is of the bytes that any kernel must move (mb_program_bytes) and of the
 * arithmetic of the row's algorithm. The arithmetic is that of the matrix product or convolution
 * alone, two operations for each multiplication, times mb_kernel_row.products; bias, ReLU and
 * transforms are left out. */
#ifndef MB_KERNEL_BENCH_H
#define MB_KERNEL_BENCH_H

#include "backend.h"
#include "kernel_shapes.h"
#include "result.h"

struct mb_kernel_time {
    const char *kernel; /* static */
    struct mb_kernel_shape shape;
    enum mb_status status; /* MB_OK; MB_E_NUMERIC: the output is wrong; else it failed */
    char reason[512];      /* of either; "" for MB_OK */
    /* NaN, or 0 runs, where it was not measured */
    uint32_t n_runs;
    double host_ns, host_ns_min, host_ns_p95; /* launch and sync by the host's clock; the median */
    double device_ns;         /* one of a batch of launches by the device's own clock */
    char device_reason[512];  /* why there is none, "" where there is */
    double time_ns;           /* device_ns where there is one, else host_ns */
    double bytes, flops;      /* see above; flops of the row's algorithm */
    struct mb_roofline limit; /* ns is NaN without ceilings */
    double share;             /* limit.ns / time_ns */
    double rel_l2, max_rel;   /* against FP64, the worse of the two comparisons */
};

struct mb_kernel_bench_config {
    const struct mb_backend *backend; /* which has kernel_row */
    const struct mb_backend *peer;    /* a library whose kernels are measured beside; NULL: none */
    struct mb_open_config open;       /* kernel NULL: each one that can run here */
    const char *shapes;               /* mb_kernel_shape_matches */
    uint64_t seed;
    void (*on_row)(void *arg, const struct mb_kernel_time *row); /* as soon as it is there */
    void *on_row_arg;
};

struct mb_kernel_bench {
    struct mb_exec_info info; /* of the device without a program */
    bool has_ceilings;
    struct mb_ceilings ceilings;
    char ceilings_reason[512]; /* why there are none */
    struct mb_kernel_time *rows;
    size_t n_rows;
    size_t n_shapes, n_kernels; /* that were tried */
    size_t n_unsupported;       /* pairs of a kernel and a shape of its operation that it does not
                                   support */
    char peer_reason[640];      /* why the peer is not measured; "": it is, or there is none */
    size_t n_not_here;          /* kernels that this machine or the cap on instruction sets has no
                                   use for */
};

/* Measures the ceilings. MB_E_INVALID where no kernel or no shape has the name, MB_E_UNSUPPORTED
 * where the named kernel cannot run here; else what opening the device said. */
enum mb_status mb_kernel_bench_open(const struct mb_kernel_bench_config *config,
                                    struct mb_kernel_bench *out, struct mb_err *err);

/* Every kernel on every shape, the peer's behind ours. What a kernel does wrong is in its row; a
 * failure here is one of memory. */
enum mb_status mb_kernel_bench_run(const struct mb_kernel_bench_config *config,
                                   struct mb_kernel_bench *bench, struct mb_err *err);
void mb_kernel_bench_close(struct mb_kernel_bench *bench); /* all zero is fine */

#endif
