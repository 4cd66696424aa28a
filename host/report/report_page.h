/* Text in columns on a page of a given width: what tables are made of. Private to host/report.
 * Names may hold any bytes; control characters in them are written as question marks. */
#ifndef MB_REPORT_PAGE_H
#define MB_REPORT_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum mb_color { MB_PLAIN, MB_BOLD, MB_GREEN, MB_RED };

struct mb_page {
    FILE *out;
    int columns;
    bool color;
    const char *times; /* the sign of a ratio */
};

struct mb_column {
    const char *head;
    int width; /* of the text; one more is left free before the next column */
    bool right;
};

struct mb_cell {
    const char *text;
    enum mb_color color;
};

enum { MB_MAX_COLUMNS = 14 };

int mb_page_text_width(const char *text);
int mb_page_table_width(const struct mb_column *columns, int n_columns);

void mb_page_text(const struct mb_page *page, const char *text, size_t len, enum mb_color color);

/* The columns' heads and a rule. */
void mb_page_head(const struct mb_page *page, const struct mb_column *columns, int n_columns);

/* One row; text that is too long goes on below in its own column. When there are fewer cells than
 * columns the last one reaches over the rest. */
void mb_page_row(const struct mb_page *page, const struct mb_column *columns, int n_columns,
                 const struct mb_cell *cells, int n_cells);

/* A line of prose, wrapped to the page, its further lines indented by two more than `indent`. */
__attribute__((format(printf, 4, 5))) void
mb_page_prose(const struct mb_page *page, int indent, enum mb_color color, const char *format, ...);

#endif
