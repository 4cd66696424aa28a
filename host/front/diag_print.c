/* Diagnostics as text: mindc's human and short forms, and one JSON object per line. */
#include "mind.h"

#include <inttypes.h>
#include <string.h>

enum { SHOWN_COLUMNS = 160 }; /* longer source lines are cut around the place */

#define BOLD   "\x1b[1m"
#define RED    "\x1b[1;31m"
#define YELLOW "\x1b[1;33m"
#define BLUE   "\x1b[1;34m"
#define PLAIN  "\x1b[0m"

/* Length of the valid UTF-8 sequence at `s`, or 0. */
static size_t utf8_length(const char *s, size_t len) {
    const unsigned char *b = (const unsigned char *)s;
    if (b[0] < 0x80) return 1;
    size_t n = b[0] >= 0xC2 && b[0] <= 0xDF ? 2 : (b[0] & 0xF0) == 0xE0 ? 3 : 0;
    if (b[0] >= 0xF0 && b[0] <= 0xF4) n = 4;
    if (n == 0 || n > len) return 0;
    for (size_t i = 1; i < n; i++)
        if ((b[i] & 0xC0) != 0x80) return 0;
    if ((b[0] == 0xE0 && b[1] < 0xA0) || (b[0] == 0xED && b[1] > 0x9F) ||
        (b[0] == 0xF0 && b[1] < 0x90) || (b[0] == 0xF4 && b[1] > 0x8F))
        return 0;
    return n;
}

/* One character of source text; what would not show, or would command a terminal, as U+FFFD. */
static size_t put_character(const char *s, size_t len, FILE *out) {
    size_t n = utf8_length(s, len);
    unsigned char c = (unsigned char)*s;
    if (n == 0 || (c < 0x20 && c != '\t') || c == 0x7F)
        fputs("\xEF\xBF\xBD", out);
    else
        fwrite(s, 1, n, out);
    return n ? n : 1;
}

static void print_source(const struct mb_diag *d, bool color, FILE *out) {
    uint32_t first = d->column > SHOWN_COLUMNS / 2 ? d->column - SHOWN_COLUMNS / 2 : 1;
    if (d->source_line_len <= SHOWN_COLUMNS) first = 1;
    uint32_t column = 1, shown = 0;
    uint64_t caret_end = (uint64_t)d->column + d->length;
    char marks[SHOWN_COLUMNS + 1];
    size_t n_marks = 0;
    fputs(color ? BLUE "   | " PLAIN : "   | ", out);
    for (size_t i = 0; i < d->source_line_len && shown < SHOWN_COLUMNS; column++) {
        const char *s = d->source_line + i;
        if (column >= first) {
            i += put_character(s, d->source_line_len - i, out);
            marks[shown++] = *s == '\t' && column < d->column ? '\t' : ' ';
            if (column >= d->column && column < caret_end) {
                marks[shown - 1] = '^';
                n_marks = shown;
            }
        } else {
            size_t n = utf8_length(s, d->source_line_len - i);
            i += n ? n : 1;
        }
    }
    if (n_marks == 0) { /* the place is the end of the line */
        if (shown == SHOWN_COLUMNS) shown--;
        marks[shown] = '^';
        n_marks = shown + 1;
    }
    fprintf(out, "\n%s%.*s%s\n", color ? BLUE "   | " RED : "   | ", (int)n_marks, marks,
            color ? PLAIN : "");
}

static void print_human(const struct mb_diag *d, bool color, FILE *out) {
    const char *word = d->severity == MB_ERROR ? "error" : "warning";
    const char *paint = d->severity == MB_ERROR ? RED : YELLOW;
    fprintf(out, "%s%s[%s][%s]%s: %s%s%s\n", color ? paint : "", word, d->phase, d->code,
            color ? PLAIN : "", color ? BOLD : "", d->message, color ? PLAIN : "");
    if (d->line) {
        fprintf(out, "  %s-->%s %s:%" PRIu32 ":%" PRIu32 "\n", color ? BLUE : "",
                color ? PLAIN : "", d->file, d->line, d->column);
        print_source(d, color, out);
    }
    for (size_t i = 0; i < d->n_notes; i++)
        fprintf(out, "%snote%s: %s\n", color ? BOLD : "", color ? PLAIN : "", d->notes[i]);
    if (d->help) fprintf(out, "%shelp%s: %s\n", color ? BOLD : "", color ? PLAIN : "", d->help);
}

static void print_short(const struct mb_diag *d, FILE *out) {
    fprintf(out, "%s[%s][%s]: %s", d->severity == MB_ERROR ? "error" : "warning", d->phase, d->code,
            d->message);
    if (d->line) fprintf(out, " (%s:%" PRIu32 ":%" PRIu32 ")", d->file, d->line, d->column);
    fputc('\n', out);
}

static void json_string(const char *text, FILE *out) {
    size_t len = text ? strlen(text) : 0;
    if (!text) {
        fputs("null", out);
        return;
    }
    fputc('"', out);
    for (size_t i = 0; i < len;) {
        unsigned char c = (unsigned char)text[i];
        size_t n = utf8_length(text + i, len - i);
        if (n == 0)
            fputs("\\ufffd", out);
        else if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7F)
            fprintf(out, "\\u%04x", c);
        else
            fwrite(text + i, 1, n, out);
        i += n ? n : 1;
    }
    fputc('"', out);
}

static void json_member(const char *key, const char *value, FILE *out) {
    fprintf(out, "\"%s\":", key);
    json_string(value, out);
    fputc(',', out);
}

static void print_json(const struct mb_diag *d, FILE *out) {
    fputc('{', out);
    json_member("phase", d->phase, out);
    json_member("code", d->code, out);
    json_member("spec_code", d->spec_code, out);
    json_member("severity", d->severity == MB_ERROR ? "error" : "warning", out);
    json_member("message", d->message, out);
    fputs("\"span\":", out);
    if (d->line) {
        fputs("{", out);
        json_member("file", d->file, out);
        fprintf(out,
                "\"line\":%" PRIu32 ",\"column\":%" PRIu32 ",\"length\":%" PRIu32 "},\"notes\":[",
                d->line, d->column, d->length);
    } else {
        fputs("null,\"notes\":[", out);
    }
    for (size_t i = 0; i < d->n_notes; i++) {
        if (i) fputc(',', out);
        json_string(d->notes[i], out);
    }
    fputs("],\"help\":", out);
    json_string(d->help, out);
    fputs("}\n", out);
}

void mb_diag_print(const struct mb_diag *d, enum mb_diag_format format, bool color, FILE *out) {
    switch (format) {
    case MB_DIAG_HUMAN: print_human(d, color, out); break;
    case MB_DIAG_SHORT: print_short(d, out); break;
    case MB_DIAG_JSON: print_json(d, out); break;
    }
}
