/* Tables of cold starts, total time and break-even, and of what compiling takes. */
#ifndef MB_REPORT_STARTS_H
#define MB_REPORT_STARTS_H

#include "report_page.h"
#include "result.h"

/* Of one benchmark; nothing where no cold starts were asked for. */
void mb_report_starts(const struct mb_page *page, const struct mb_benchmark_result *benchmark);

/* For a run with --compile-only, in place of all tables: source text to a program that can run. */
void mb_report_compile_times(const struct mb_page *page, const struct mb_result *result);

#endif
