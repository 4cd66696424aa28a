#include "report_page.h"

#include "place.h"

#include <stdarg.h>
#include <string.h>

static const char *const escapes[] = {"", "\033[1m", "\033[32m", "\033[31m"};

/* Bytes of the character at `s`, at least 1, whether it is good UTF-8 or not. */
static size_t char_len(const char *s) {
    size_t n = 1;
    while (((unsigned char)s[n] & 0xc0) == 0x80) n++;
    return n;
}

int mb_page_text_width(const char *s) {
    int width = 0;
    for (; *s; s += char_len(s)) width++;
    return width;
}

/* Takes from *text what fits in `width` columns, at a space where there is one, else after an
 * underscore or a slash or before a bracket, else anywhere, and moves it on. Returns the bytes
 * taken; *used is their width. */
static size_t take_line(const char **text, int width, int *used) {
    const char *start = *text, *end = start, *space = NULL, *joint = NULL;
    int n = 0, space_n = 0, joint_n = 0;
    for (; *end && n < width; end += char_len(end), n++) {
        if (*end == ' ' && n) {
            space = end;
            space_n = n;
        } else if (*end == '[' && n) {
            joint = end;
            joint_n = n;
        } else if (*end == '_' || *end == '/') {
            joint = end + 1;
            joint_n = n + 1;
        }
    }
    if (*end && *end != ' ' && (space || joint)) {
        end = space ? space : joint;
        n = space ? space_n : joint_n;
    }
    *text = end + strspn(end, " ");
    *used = n;
    return (size_t)(end - start);
}

void mb_page_text(const struct mb_page *page, const char *text, size_t len, enum mb_color color) {
    bool escape = page->color && color != MB_PLAIN && len;
    if (escape) fputs(escapes[color], page->out);
    for (size_t i = 0; i < len; i++) /* a name may hold control characters: they stay here */
        putc(mb_printable_char(text[i]), page->out);
    if (escape) fputs("\033[0m", page->out);
}

static void put_spaces(const struct mb_page *page, int n) { fprintf(page->out, "%*s", n, ""); }

void mb_page_row(const struct mb_page *page, const struct mb_column *columns, int n_columns,
                 const struct mb_cell *cells, int n_cells) {
    const char *rest[MB_MAX_COLUMNS];
    bool more = true;
    for (int i = 0; i < n_cells; i++) rest[i] = cells[i].text;
    while (more) {
        int owed = 0; /* spaces before the next text: none trail on a line */
        more = false;
        for (int i = 0; i < n_cells; i++) {
            int width = columns[i].width, used;
            bool spans = i + 1 == n_cells && n_cells < n_columns;
            for (int j = i + 1; spans && j < n_columns; j++) width += 1 + columns[j].width;
            const char *start = rest[i];
            size_t len = take_line(&rest[i], width, &used);
            int before = columns[i].right && !spans ? width - used : 0;
            if (len) {
                put_spaces(page, owed + before);
                mb_page_text(page, start, len, cells[i].color);
                owed = width - used - before + 1;
            } else {
                owed += width + 1;
            }
            more = more || *rest[i];
        }
        putc('\n', page->out);
    }
}

int mb_page_table_width(const struct mb_column *columns, int n_columns) {
    int width = n_columns - 1;
    for (int i = 0; i < n_columns; i++) width += columns[i].width;
    return width;
}

static void put_rule(const struct mb_page *page, int width) {
    for (int i = 0; i < width; i++) putc('-', page->out);
    putc('\n', page->out);
}

void mb_page_head(const struct mb_page *page, const struct mb_column *columns, int n_columns) {
    struct mb_cell cells[MB_MAX_COLUMNS] = {{0}};
    for (int i = 0; i < n_columns; i++) cells[i] = (struct mb_cell){columns[i].head, MB_PLAIN};
    mb_page_row(page, columns, n_columns, cells, n_columns);
    put_rule(page, mb_page_table_width(columns, n_columns));
}

void mb_page_prose(const struct mb_page *page, int indent, enum mb_color color, const char *format,
                   ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (const char *rest = text; *rest;) {
        int used;
        const char *start = rest;
        if (start != text && indent >= 0)
            put_spaces(page, indent + 2);
        else
            put_spaces(page, indent);
        size_t len = take_line(&rest, page->columns - indent - 2, &used);
        mb_page_text(page, start, len, color);
        putc('\n', page->out);
    }
}
