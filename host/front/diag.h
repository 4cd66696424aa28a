/* Collects the diagnostics of one compile. Positions are byte offsets until mb_diags_finish. */
#ifndef MB_DIAG_H
#define MB_DIAG_H

#include "arena.h"
#include "mind.h"

#define MB_NOWHERE UINT32_MAX /* a position: of nothing in the source */

enum {
    MB_MAX_DIAGS = 64, /* later ones are counted, not kept: memory stays bounded */
    MB_MAX_NOTES = 4,
};

struct mb_diag_record {
    struct mb_diag diag;
    uint32_t pos, end; /* bytes of the source */
    const char *notes[MB_MAX_NOTES];
};

struct mb_diags {
    struct mb_arena *arena; /* of the texts */
    const char *text;       /* the source */
    size_t len;
    const char *file;
    bool failed; /* memory ran out; sticky until begin */
    uint32_t count, n_errors, n_dropped, n_out;
    struct mb_diag_record list[MB_MAX_DIAGS]; /* `count` are there, and `n_out` below */
    struct mb_diag_record spare;              /* what is handed out when a diagnostic is not kept */
    struct mb_diag out[MB_MAX_DIAGS + 1];
};

void mb_diags_begin(struct mb_diags *diags, struct mb_arena *arena,
                    const struct mb_mind_source *source);

/* Adds one; never NULL. The same code at the same place is kept once, as an error if either was.
 * `spec_code` may be NULL. */
__attribute__((format(printf, 8, 9))) struct mb_diag_record *
mb_diags_add(struct mb_diags *diags, enum mb_severity severity, const char *phase, const char *code,
             const char *spec_code, uint32_t pos, uint32_t end, const char *format, ...);

__attribute__((format(printf, 3, 4))) void
mb_diags_note(struct mb_diags *diags, struct mb_diag_record *record, const char *format, ...);
__attribute__((format(printf, 3, 4))) void
mb_diags_help(struct mb_diags *diags, struct mb_diag_record *record, const char *format, ...);

/* Orders them by position and turns positions into lines and columns: fills `out` and `n_out`. */
void mb_diags_finish(struct mb_diags *diags);

/* For `%.*s` of texts from a source, which may be megabytes long. */
static inline int mb_diags_clip(size_t len) { return len > 48 ? 48 : (int)len; }

/* Line and column of one byte offset, both from 1; the column counts characters. */
void mb_diags_locate(const struct mb_diags *diags, uint32_t pos, uint32_t *line, uint32_t *column);

/* Edit distance (insert, delete, replace, swap of neighbours) of two words, or `limit` + 1 when it
 * is more than `limit`. Words longer than 32 bytes are as far from each other as can be. */
unsigned mb_edit_distance(const char *a, size_t len_a, const char *b, size_t len_b, unsigned limit);

#endif
