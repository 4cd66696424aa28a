/* The part of the result about cold starts, total time and break-even. Private to host/report. */
#ifndef MB_REPORT_JSON_STARTS_H
#define MB_REPORT_JSON_STARTS_H

#include "json_io.h"
#include "result.h"

/* The keys cold_starts, total_time and break_even of a benchmark, both ways. After its executors.
 */
void mb_io_cold_starts(struct mb_io_object *parent, struct mb_benchmark_result *b);

#endif
