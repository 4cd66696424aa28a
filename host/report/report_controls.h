/* What `mindbench run` prints of how sure its numbers are. Private to host/report. */
#ifndef MB_REPORT_CONTROLS_H
#define MB_REPORT_CONTROLS_H

#include "report_page.h"
#include "result.h"

/* Each executor against itself, verdicts that were taken back, drift. */
void mb_report_controls(const struct mb_page *page, const struct mb_benchmark_result *benchmark);

/* False alarms of the whole run. */
void mb_report_false_alarms(const struct mb_page *page, const struct mb_result *result);

#endif
