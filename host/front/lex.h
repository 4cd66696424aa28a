/* The lexer: source bytes to tokens, one at a time and in one pass. */
#ifndef MB_LEX_H
#define MB_LEX_H

#include "diag.h"
#include "names.h"

#include <stdint.h>

enum mb_token_kind {
#define TOKEN(id, text) MB_TOK_##id,
#include "tokens.def"
#define KEYWORD(word, id) MB_TOK_##id,
#include "keywords.def"
    MB_TOK_COUNT
};

struct mb_token {
    uint8_t kind;      /* enum mb_token_kind */
    bool after_break;  /* a line break lies between the token before and this one */
    uint16_t suffix;   /* INT: the fixed name of its type suffix, or 0 */
    uint32_t pos, end; /* bytes of the source */
    union {
        uint32_t name;    /* NAME and keywords */
        uint64_t integer; /* INT, CHAR */
        double number;    /* FLOAT */
        struct {
            const char *data; /* in the source or the arena, escapes replaced */
            uint32_t len;
        } text; /* TEXT */
    } value;
};

struct mb_lexer {
    const char *text;
    uint32_t len, at;
    uint8_t last; /* kind of the token before */
    struct mb_names *names;
    struct mb_arena *arena;
    struct mb_diags *diags;
};

/* The source must be shorter than UINT32_MAX bytes. */
void mb_lex_begin(struct mb_lexer *lexer, const char *text, uint32_t len, struct mb_names *names,
                  struct mb_arena *arena, struct mb_diags *diags);

/* The next token. What is no token is reported (E1001) and skipped; at the end, END for ever. */
void mb_lex_next(struct mb_lexer *lexer, struct mb_token *token);

/* "`+`", "name", ...: how messages call a kind of token. Static storage. */
const char *mb_token_kind_text(uint8_t kind);

#endif
