/* What mindbench run prints and writes, once it has measured. */
#ifndef MB_RUN_OUTPUTS_H
#define MB_RUN_OUTPUTS_H

#include "result.h"
#include "run_options.h"
#include "trace_log.h"

#include <stdio.h>

/* Finds out before minutes are spent measuring that a result could not be written. An exit status,
 * the error told, or -1 to go on. */
int mb_run_check_writable(const struct mb_run_options *options);

/* Where people read: standard output, or standard error when a file goes to that. */
FILE *mb_run_console(const struct mb_run_options *options);

/* The tables and the files; false, the errors told, when one of them could not be written. */
bool mb_run_write(const struct mb_run_options *options, const struct mb_result *result);

/* In place of tables and files: each executor that went wrong, and what there is to see. Missing
 * plugins were warned of before. */
void mb_run_print_profiled(const struct mb_run_options *options, const struct mb_result *result);

/* The file of --trace, and what it lacks; false when it could not be written. */
bool mb_run_write_trace(const struct mb_run_options *options, const struct mb_trace_log *log);

#endif
