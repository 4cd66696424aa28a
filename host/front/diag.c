#include "diag.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void mb_diags_begin(struct mb_diags *d, struct mb_arena *arena,
                    const struct mb_mind_source *source) {
    d->arena = arena;
    d->text = source->text;
    d->len = source->len;
    d->file = source->file ? source->file : "<source>";
    d->failed = false;
    d->count = d->n_errors = d->n_dropped = d->n_out = 0;
}

__attribute__((format(printf, 2, 0))) static const char *
format_text(struct mb_diags *d, const char *format, va_list args) {
    char text[768];
    int len = vsnprintf(text, sizeof text, format, args);
    size_t n = len < 0 ? 0 : (size_t)len < sizeof text ? (size_t)len : sizeof text - 1;
    const char *copy = mb_arena_strndup(d->arena, text, n);
    if (!copy) d->failed = true;
    return copy ? copy : "";
}

struct mb_diag_record *mb_diags_add(struct mb_diags *d, enum mb_severity severity,
                                    const char *phase, const char *code, const char *spec_code,
                                    uint32_t pos, uint32_t end, const char *format, ...) {
    for (uint32_t i = 0; i < d->count && d->count < MB_MAX_DIAGS; i++) {
        struct mb_diag_record *old = &d->list[i];
        if (old->pos != pos || old->end != end || strcmp(old->diag.code, code) != 0) continue;
        if (severity == MB_ERROR && old->diag.severity != MB_ERROR) {
            old->diag.severity = MB_ERROR;
            d->n_errors++;
        }
        return &d->spare;
    }
    if (severity == MB_ERROR) d->n_errors++;
    if (d->count == MB_MAX_DIAGS) {
        d->n_dropped++;
        return &d->spare;
    }
    struct mb_diag_record *r = &d->list[d->count++];
    va_list args;
    va_start(args, format);
    r->diag = (struct mb_diag){.severity = severity,
                               .phase = phase,
                               .code = code,
                               .spec_code = spec_code,
                               .message = format_text(d, format, args)};
    va_end(args);
    r->pos = pos;
    r->end = end;
    return r;
}

void mb_diags_note(struct mb_diags *d, struct mb_diag_record *r, const char *format, ...) {
    if (r == &d->spare || r->diag.n_notes == MB_MAX_NOTES) return;
    va_list args;
    va_start(args, format);
    r->notes[r->diag.n_notes++] = format_text(d, format, args);
    va_end(args);
}

void mb_diags_help(struct mb_diags *d, struct mb_diag_record *r, const char *format, ...) {
    if (r == &d->spare) return;
    va_list args;
    va_start(args, format);
    r->diag.help = format_text(d, format, args);
    va_end(args);
}

/* The first byte of a character, in valid UTF-8; every byte that continues nothing counts too. */
static bool starts_character(char c) { return ((unsigned char)c & 0xC0) != 0x80; }

static uint32_t count_characters(const char *text, size_t len) {
    uint32_t n = 0;
    for (size_t i = 0; i < len; i++) n += starts_character(text[i]);
    return n;
}

/* A walk over the source's lines, forward only. LF, CR and CRLF end a line. */
struct cursor {
    uint32_t line;
    size_t start; /* of that line */
};

static size_t line_end(const struct mb_diags *d, size_t start) {
    size_t i = start;
    while (i < d->len && d->text[i] != '\n' && d->text[i] != '\r') i++;
    return i;
}

static void advance(const struct mb_diags *d, struct cursor *c, size_t pos) {
    for (;;) {
        size_t end = line_end(d, c->start);
        if (pos <= end || end == d->len) return;
        bool crlf = d->text[end] == '\r' && end + 1 < d->len && d->text[end + 1] == '\n';
        size_t next = end + (crlf ? 2 : 1);
        c->start = next;
        c->line++;
    }
}

static uint32_t column_of(const struct mb_diags *d, const struct cursor *c, size_t pos) {
    size_t from = c->start;
    if (from == 0 && d->len >= 3 && memcmp(d->text, "\xEF\xBB\xBF", 3) == 0) from = 3;
    return pos > from ? count_characters(d->text + from, pos - from) + 1 : 1;
}

void mb_diags_locate(const struct mb_diags *d, uint32_t pos, uint32_t *line, uint32_t *column) {
    struct cursor c = {1, 0};
    advance(d, &c, pos);
    *line = c.line;
    *column = column_of(d, &c, pos);
}

static void place(struct mb_diags *d, struct cursor *c, struct mb_diag *out, uint32_t pos,
                  uint32_t end) {
    if (pos == MB_NOWHERE) return;
    advance(d, c, pos);
    size_t stop = line_end(d, c->start);
    size_t last = end < stop ? end : stop;
    out->line = c->line;
    out->column = column_of(d, c, pos);
    out->length = last > pos ? count_characters(d->text + pos, last - pos) : 1;
    if (out->length == 0) out->length = 1;
    out->source_line = d->text + c->start;
    out->source_line_len = stop - c->start;
    if (c->start == 0 && out->source_line_len >= 3 && memcmp(d->text, "\xEF\xBB\xBF", 3) == 0) {
        out->source_line += 3;
        out->source_line_len -= 3;
    }
}

void mb_diags_finish(struct mb_diags *d) {
    struct cursor cursor = {1, 0};
    uint32_t order[MB_MAX_DIAGS];
    for (uint32_t i = 0; i < d->count; i++) { /* insertion sort: few, and mostly in order */
        uint32_t k = i;
        for (; k && d->list[order[k - 1]].pos > d->list[i].pos; k--) order[k] = order[k - 1];
        order[k] = i;
    }
    for (uint32_t i = 0; i < d->count; i++) {
        struct mb_diag_record *r = &d->list[order[i]];
        if (r->diag.spec_code && strcmp(r->diag.spec_code, r->diag.code) != 0)
            mb_diags_note(d, r, "spec code %s", r->diag.spec_code);
        r->diag.notes = r->notes;
        r->diag.file = d->file;
        place(d, &cursor, &r->diag, r->pos, r->end);
        d->out[i] = r->diag;
    }
    d->n_out = d->count;
    if (d->n_dropped == 0) return;
    char text[80];
    snprintf(text, sizeof text, "%u more diagnostics are not shown", d->n_dropped);
    const char *copy = mb_arena_strndup(d->arena, text, strlen(text));
    if (!copy) d->failed = true;
    d->out[d->n_out++] = (struct mb_diag){.severity = MB_WARNING,
                                          .phase = d->list[0].diag.phase,
                                          .code = d->list[0].diag.code,
                                          .message = copy ? copy : "",
                                          .file = d->file};
}

unsigned mb_edit_distance(const char *a, size_t len_a, const char *b, size_t len_b,
                          unsigned limit) {
    enum { LONGEST = 32 };
    unsigned rows[3][LONGEST + 1];
    if (len_a > LONGEST || len_b > LONGEST) return limit + 1;
    unsigned *before = rows[0], *last = rows[1], *row = rows[2];
    for (unsigned j = 0; j <= len_b; j++) last[j] = j;
    for (unsigned i = 1; i <= len_a; i++) {
        row[0] = i;
        for (unsigned j = 1; j <= len_b; j++) {
            unsigned best = last[j - 1] + (a[i - 1] != b[j - 1]);
            if (last[j] + 1 < best) best = last[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
        unsigned *free_row = before;
        before = last;
        last = row;
        row = free_row;
    }
    return last[len_b] <= limit ? last[len_b] : limit + 1;
}
