/* Rooflines: how long a device takes at best, and what share of that a measured time reaches.
 *
 * The roofline's time is the larger of two:
 *     bytes that must be moved / read ceiling at that working-set size
 *     arithmetic               / multiply-add ceiling
 * For a row of a race the bytes are the program's (mb_program_bytes) and the arithmetic is that of
 * the algorithms which the executor used (mb_exec_info.flops), Winograd counted as Winograd; of one
 * that cannot tell, that of the direct algorithm (mb_program_flops).
 *
 * The floor is something else: half of what the device would take for the least that the cheapest
 * algorithm known must do (mb_program_least). Nobody is faster than that, so a shorter time was not
 * a run of the program. Half, and the bandwidth of a working set half as large: ceilings are
 * measured, and noise and caches must never make an honest row INVALID. */
#ifndef MB_ROOFLINE_H
#define MB_ROOFLINE_H

#include "backend.h"
#include "result.h"

/* A working set's read ceiling is the highest that was measured at its size or a larger one, since
 * one that was disturbed is no ceiling. Between two sizes it lies on a straight line over the
 * size's logarithm; beyond the first and the last it is theirs. n_read >= 1. */
struct mb_roofline mb_roofline_of(const struct mb_ceilings *ceilings, double bytes, double flops);

/* `cold`: of data that is in memory, whatever its size. `capped`: instruction sets were, which
 * a library may not follow, so that the arithmetic sets no floor. */
double mb_roofline_floor_ns(const struct mb_ceilings *ceilings, const struct mb_least *least,
                            bool cold, bool capped);

/* Fills in roofline and roofline_share of every row with samples, against the result's ceilings. A
 * function of what was measured alone, so that whoever reads a result file can form it again. The
 * time is device_time's where the device has a clock (batch; cold where caches were evicted), else
 * the latency's median. NaN without ceilings, or where transfers, which no ceiling is of, were part
 * of a run. */
void mb_roofline_conclude(const struct mb_result *result, struct mb_benchmark_result *benchmark);

/* The higher of each two ceilings of one device. */
void mb_ceilings_merge(struct mb_ceilings *ceilings, const struct mb_ceilings *others);

#endif
