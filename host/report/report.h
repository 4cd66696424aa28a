/* Writers of a finished result. They measure nothing, change nothing and make up nothing: what the
 * result does not hold is written as `not measured: REASON` (tables), null (JSON) or an empty field
 * (CSV). Each writes to an open stream or returns a value; outfile.h puts a stream on disk safely.
 *
 *     mb_report_tables(&result, stdout, columns, color);
 *     MB_TRY(mb_report_json(&result, &machine, &json, &err));
 *     MB_TRY(mb_outfile_open("results/inference_results.json", &file, &err));
 *     mb_report_print_json(json, mb_outfile_stream(file));
 *     MB_TRY(mb_outfile_commit(file, &err));
 */
#ifndef MB_REPORT_H
#define MB_REPORT_H

#include "machine.h"
#include "result.h"
#include "status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#define MB_RESULT_SCHEMA_VERSION "1.0.0"

enum { MB_REPORT_DIGITS = 15 }; /* significant ones, of numbers in JSON */

/* Names of the two sides of the headline tables and of the seed's keys "mind" and "pytorch". */
#define MB_REPORT_MIND    "mind"
#define MB_REPORT_PYTORCH "torch-eager"

/* The tables for people: latency, throughput, fastest PyTorch executor, every executor, start-up.
 * `columns` is the terminal's width; below 80 counts as 80. `color` adds SGR escapes. Ratios are
 * written with a multiplication sign where the LC_CTYPE locale is UTF-8, with an x elsewhere; the
 * caller sets that locale (and leaves LC_NUMERIC alone). False on a write error. */
bool mb_report_tables(const struct mb_result *result, FILE *out, int columns, bool color);

/* The table of a run with --compile-only: what lies between source text and a program that runs. */
bool mb_report_compile_only(const struct mb_result *result, FILE *out, int columns, bool color);

/* The object that results/schema.json describes. `machine` becomes system_info. The caller owns
 * *out (json_decref). MB_E_NOMEM; MB_E_INVALID when two benchmarks share a name or a text is not
 * UTF-8. */
enum mb_status mb_report_json(const struct mb_result *result, const struct mb_machine *machine,
                              json_t **out, struct mb_err *err);

/* Indented text of any JSON value, arrays without objects on one line, numbers with 15 significant
 * digits, a newline at the end. `json` is only read. False on a write error or when memory is out.
 */
bool mb_report_print_json(json_t *json, FILE *out);

/* One row per workload and executor, a header row first. CSV by RFC 4180 but with LF line ends;
 * times in microseconds. Markdown with units fit for reading. False on a write error. */
bool mb_report_csv(const struct mb_result *result, FILE *out);
bool mb_report_md(const struct mb_result *result, FILE *out);

/* The same of several results in one table, whose first column, `result`, is the name. */
struct mb_named_result {
    const char *name;
    const struct mb_result *result;
};
bool mb_report_csv_all(const struct mb_named_result *results, size_t n, FILE *out);
bool mb_report_md_all(const struct mb_named_result *results, size_t n, FILE *out);

#endif
