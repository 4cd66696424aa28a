/* Writers of what kernel_bench.h measured. As in report.h they measure nothing and make up nothing.
 *
 * The JSON object, times in microseconds, rates in 1e9 a second, null where nothing was measured:
 *     format "mindbench-kernels", format_version 1
 *     mindbench {version, git_sha, git_is_dirty, compiler, flags}
 *     machine {cpu, gpu}, device, math_mode, library, threads, seed
 *     ceilings {read [{bytes, gbps}], fma_gflops, launch_us, graph_node_us}, or null
 *     ceilings_reason      why there are none, or null
 *     rows [{kernel, operation, shape, from, status, reason, runs,
 *            time_us           device_us where there is one, else host_us
 *            host_us, host_min_us, host_p95_us    launch and sync: median, least, 95 %
 *            device_us         of one of a batch, device_reason says why there is none
 *            flops, bytes      of the kernel's algorithm; that any kernel must move
 *            gflops, gbps      these by time_us
 *            limit_us, limit_read_gbps, bound, share    roofline; share = limit_us / time_us
 *            rel_l2_error, max_rel_error}]        against FP64
 *     unsupported          pairs of a kernel and a shape that have no row
 *     kernels_not_here     kernels without a row that this machine cannot run
 *     peer_reason          why a library to compare with has no rows, or null
 * status is "ok", "INVALID" (the output was wrong) or "failed"; bound "memory" or "compute". The
 * CSV has the rows, with the same names. */
#ifndef MB_REPORT_KERNELS_H
#define MB_REPORT_KERNELS_H

#include "kernel_bench.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#define MB_KERNELS_FORMAT "mindbench-kernels"

/* For people: ceilings, how the share is counted, and the table's head; then a line for each row;
 * then what has no row. False on a write error. */
bool mb_report_kernels_head(const struct mb_kernel_bench *bench, const struct mb_open_config *open,
                            FILE *out);
bool mb_report_kernels_row(const struct mb_kernel_time *row, FILE *out);
bool mb_report_kernels_foot(const struct mb_kernel_bench *bench, FILE *out);

/* How the share is counted, in lines. */
extern const char mb_report_kernels_share[];

/* The caller owns *out. MB_E_NOMEM. */
enum mb_status mb_report_kernels_json(const struct mb_kernel_bench *bench,
                                      const struct mb_kernel_bench_config *config, json_t **out,
                                      struct mb_err *err);
bool mb_report_kernels_csv(const struct mb_kernel_bench *bench, FILE *out);

#endif
