/* Single values of CSV, Markdown and JSON: what was not measured is an empty field or null. */
#ifndef MB_REPORT_VALUE_H
#define MB_REPORT_VALUE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* Quoted by RFC 4180 where it must be; NULL is empty. */
void mb_csv_text(FILE *out, const char *text);

/* A comma and fifteen digits, what the JSON holds; the comma alone without a finite number. */
void mb_csv_number(FILE *out, bool have, double value);

/* A cell of a Markdown table: bars and backslashes escaped, line ends as spaces. */
void mb_md_text(FILE *out, const char *text);

json_t *mb_json_number(double value);

#endif
