/* The table of `mindbench run --plan`. */
#ifndef MB_REPORT_PLAN_H
#define MB_REPORT_PLAN_H

#include "result.h"

#include <stdio.h>

/* What each of several precisions takes, from a benchmark that was measured as a pilot in wall_s
 * seconds (precision_plan.h); or one line that says why the pilot tells nothing. */
void mb_report_plan(const struct mb_benchmark_result *benchmark, double wall_s, FILE *out);

#endif
