/* The results that `mindbench report` is asked for: files of one, merged files with all their
 * parts, single parts (FILE#N), tables of kernels. */
#ifndef MB_REPORT_INPUT_H
#define MB_REPORT_INPUT_H

#include "report.h"
#include "result_file.h"

#include <stdio.h>

struct mb_report_input {
    struct mb_arena arena;
    struct mb_named_result *results; /* all but tables of kernels; names tell them apart */
    size_t n_results;
    const char *kernels; /* the first table of kernels; NULL: there is none */
    /* For the script that makes the page: each result or table as one line of JSON, and at the end
     * a line of what each is, [{"label", "place", "altered"}...] in the same order. */
    FILE *lines;
    struct mb_report_part *parts; /* private */
    size_t n_parts, capacity;
};

/* MB_E_NOMEM, MB_E_IO. */
enum mb_status mb_report_input_open(struct mb_report_input *out, struct mb_err *err);
void mb_report_input_close(struct mb_report_input *in); /* all zero is fine */

/* All results that `path` names, read and checked. Errors as of mb_result_file_read, and MB_E_IO
 * when one of the n outputs (NULL is fine) would take the file's place. */
enum mb_status mb_report_input_add(struct mb_report_input *in, const char *path,
                                   const char *const *outputs, size_t n, struct mb_err *err);

/* When all are added: names, results and lines become what they are above. */
enum mb_status mb_report_input_end(struct mb_report_input *in, struct mb_err *err);

#endif
