/* What several writers ask of a result, and numbers as people read them. Private to host/report. */
#ifndef MB_REPORT_VIEW_H
#define MB_REPORT_VIEW_H

#include "result.h"

#include <stdbool.h>
#include <stddef.h>

/* NULL when the benchmark has no such executor. */
const struct mb_executor_result *mb_view_executor(const struct mb_benchmark_result *benchmark,
                                                  const char *name);

/* "measured", "failed" (nothing was timed: a finding, with its reason) or "not_measured" (this
 * machine or build does not have the executor). */
const char *mb_view_status(const struct mb_executor_result *executor);

/* The comparison of a against b, or NULL. */
const struct mb_comparison *mb_view_comparison(const struct mb_benchmark_result *benchmark,
                                               const char *a, const char *b);

/* The comparison at against_eager or against_fastest; NULL when that is -1, or in a race without
 * mind, where the two are about the first executor named. */
const struct mb_comparison *mb_view_headline(const struct mb_benchmark_result *benchmark,
                                             int index);

/* Whether the comparison holds a ratio that may be shown. */
bool mb_view_has_ratio(const struct mb_comparison *comparison);

/* The device time that goes with the benchmark's latency: single runs from cold caches where those
 * were evicted, else runs back to back. */
const struct mb_device_time *mb_view_device_time(const struct mb_benchmark_result *benchmark,
                                                 const struct mb_executor_result *executor);

const char *mb_precision_name(enum mb_precision precision); /* "fp32"; static */

/* "80.00 ms", "1.20 us": three or four significant digits and the unit that fits; "-" unless
 * finite. All of these return `buf`, always terminated. */
const char *mb_view_time(char *buf, size_t size, double ns);

/* The same with three digits, never more than seven characters below 1,000 s: "350 us", "1.25 ms".
 */
const char *mb_view_time_short(char *buf, size_t size, double ns);

/* "12.5 samples/sec", "26.7K samples/sec"; "-" unless finite. */
const char *mb_view_rate(char *buf, size_t size, double per_second);

/* "1.07x [1.05, 1.09]" with `sign` for the x. */
const char *mb_view_ratio(char *buf, size_t size, const struct mb_interval *ratio,
                          const char *sign);

/* A number of about four significant digits: 0.012, 1.20, 80.00, 123.4, 50001. */
const char *mb_view_number(char *buf, size_t size, double value);

/* A whole number of runs, exact below 100,000: "12345", "1.23e+06"; "-" unless finite. */
const char *mb_view_count(char *buf, size_t size, double n);

/* The largest of ns, us, ms and s in which `smallest` is at least 1 (ns else), taken further up
 * while `largest` needs more than five digits. */
struct mb_time_unit {
    const char *name;
    double ns;
};
struct mb_time_unit mb_view_unit(double smallest, double largest);

#endif
