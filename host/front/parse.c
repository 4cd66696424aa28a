/* The parser: recursive descent, and precedence climbing for the binary operators.
 *
 * A syntax error is reported once where it is found; the parser then skips to where a statement can
 * begin and goes on, so that one run shows all of them. */
#include "ast.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    MAX_NESTING = 200, /* of brackets, blocks, types and what an expression's value hangs on */
    NODE_ALIGNMENT = 8,
    ROOM_BYTES = 1024, /* clearing more than a small program needs would cost it much */
};

struct parser {
    struct mb_lexer *lx;
    struct mb_token tok;
    bool panic; /* an error was reported and the place to go on is not reached */
    bool failed;
    unsigned depth;
    char *room, *room_end; /* cleared memory of the arena for the next nodes */
    uint32_t last_end;     /* where the token before the current one ended */
    union {                /* what take() gives when memory is out; nobody reads it */
        struct mb_ast_expr expr;
        struct mb_ast_stmt stmt;
        struct mb_ast_item item;
        struct mb_ast_type type;
    } spare;
    struct mb_ast_item **last_item;
    struct mb_ast_stmt **last_stmt;
};

static struct mb_ast_expr *parse_expr(struct parser *p);
static struct mb_ast_type *parse_type(struct parser *p);
static struct mb_ast_block *parse_block(struct parser *p);
static struct mb_ast_stmt *parse_stmt(struct parser *p);
static void parse_item(struct parser *p);

/* ---- tokens ---- */

static void advance(struct parser *p) {
    p->last_end = p->tok.end;
    mb_lex_next(p->lx, &p->tok);
}

static bool at(const struct parser *p, uint8_t kind) { return p->tok.kind == kind; }

static bool accept(struct parser *p, uint8_t kind) {
    if (p->tok.kind != kind) return false;
    advance(p);
    return true;
}

/* More room; memory that is out ends the parse, with `spare` for the nodes still asked for. */
static void *take_slow(struct parser *p, size_t size) {
    p->room = mb_arena_calloc(p->lx->arena, 1, ROOM_BYTES);
    if (p->room) {
        void *node = p->room;
        p->room_end = p->room + ROOM_BYTES;
        p->room += size;
        return node;
    }
    p->room_end = NULL;
    p->failed = p->panic = true;
    p->lx->at = p->lx->len;
    memset(&p->spare, 0, sizeof p->spare);
    return &p->spare;
}

/* A cleared node. */
static inline void *take(struct parser *p, size_t size) {
    size = (size + NODE_ALIGNMENT - 1) & ~(size_t)(NODE_ALIGNMENT - 1);
    if ((size_t)(p->room_end - p->room) < size) return take_slow(p, size);
    void *node = p->room;
    p->room += size;
    return node;
}

__attribute__((format(printf, 3, 4))) static void error_at(struct parser *p, struct mb_ast_span at,
                                                           const char *format, ...) {
    if (p->panic) return;
    p->panic = true;
    char text[160];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    mb_diags_add(p->lx->diags, MB_ERROR, "parse", "E1001", NULL, at.pos, at.end, "%s", text);
}

static struct mb_ast_span here(const struct parser *p) {
    return (struct mb_ast_span){p->tok.pos, p->tok.end};
}

static bool is_word(const struct mb_token *t) {
    return t->kind == MB_TOK_NAME || t->kind >= MB_TOK_FN;
}

/* Reports that `what` should stand here. */
static void expected(struct parser *p, const char *what) {
    const struct mb_token *t = &p->tok;
    if (is_word(t))
        error_at(p, here(p), "expected %s, found `%.*s`", what, mb_diags_clip(t->end - t->pos),
                 p->lx->text + t->pos);
    else if (t->kind <= MB_TOK_CHAR)
        error_at(p, here(p), "expected %s, found %s", what, mb_token_kind_text(t->kind));
    else
        error_at(p, here(p), "expected %s, found `%s`", what, mb_token_kind_text(t->kind));
}

static bool expect(struct parser *p, uint8_t kind) {
    if (accept(p, kind)) return true;
    char what[16];
    snprintf(what, sizeof what, "`%s`", mb_token_kind_text(kind));
    expected(p, what);
    return false;
}

/* A name of something declared here; keywords are refused. */
static uint32_t expect_name(struct parser *p, const char *what) {
    uint32_t name = p->tok.value.name;
    if (accept(p, MB_TOK_NAME)) return name;
    expected(p, what);
    return MB_NO_NAME;
}

static bool enter(struct parser *p) {
    if (p->depth < MAX_NESTING) {
        p->depth++;
        return true;
    }
    error_at(p, here(p), "nested more than %d deep", MAX_NESTING);
    return false;
}

static void leave(struct parser *p) { p->depth--; }

/* Skips `open` ... `close` with all that is nested in it, without recursion. */
static void skip_balanced(struct parser *p, uint8_t open, uint8_t close) {
    struct mb_ast_span start = here(p);
    uint32_t depth = 0;
    if (!at(p, open)) {
        expect(p, open);
        return;
    }
    do {
        if (at(p, open)) depth++;
        if (at(p, close)) depth--;
        if (at(p, MB_TOK_END)) {
            error_at(p, start, "this `%s` is never closed", mb_token_kind_text(open));
            return;
        }
        advance(p);
    } while (depth);
}

static bool begins_item(uint8_t kind) {
    switch (kind) {
    case MB_TOK_FN:
    case MB_TOK_PUB:
    case MB_TOK_STRUCT:
    case MB_TOK_ENUM:
    case MB_TOK_IMPL:
    case MB_TOK_TRAIT:
    case MB_TOK_TYPE:
    case MB_TOK_CONST:
    case MB_TOK_USE:
    case MB_TOK_IMPORT:
    case MB_TOK_EXPORT:
    case MB_TOK_EXTERN:
    case MB_TOK_MODULE:
    case MB_TOK_REGION:
    case MB_TOK_INVARIANT:
    case MB_TOK_HASH: return true;
    default: return false;
    }
}

/* After an error in what began at `start`: to the end of the statement, or to the next item when
 * `to_item`. Passes at least one token, unless it is the `}` of the block around. */
static void recover(struct parser *p, uint32_t start, bool to_item) {
    uint32_t depth = 0;
    p->panic = p->failed;
    for (; !at(p, MB_TOK_END); advance(p)) {
        if (at(p, MB_TOK_LBRACE)) depth++;
        if (at(p, MB_TOK_RBRACE) && depth-- == 0) {
            if (!to_item) return;
            depth = 0;
        }
        if (depth || p->tok.pos == start) continue;
        if (p->tok.after_break && (begins_item(p->tok.kind) || at(p, MB_TOK_LET))) return;
        if (to_item) continue;
        if (at(p, MB_TOK_SEMICOLON) || (p->tok.after_break && !at(p, MB_TOK_RBRACE))) return;
    }
}

/* ---- expressions ---- */

static uint16_t taller(uint16_t a, uint16_t b) { return a > b ? a : b; }

static struct mb_ast_expr *new_expr(struct parser *p, enum mb_ast_expr_kind kind, uint32_t pos) {
    struct mb_ast_expr *e = take(p, sizeof *e);
    e->kind = (uint8_t)kind;
    e->label = MB_NO_NAME;
    e->at.pos = pos;
    e->at.end = p->tok.end;
    return e;
}

/* Ends `e` before the current token. */
static struct mb_ast_expr *finish(struct parser *p, struct mb_ast_expr *e, unsigned height) {
    e->at.end = p->last_end;
    e->height = (uint16_t)height;
    if (height > MAX_NESTING) error_at(p, e->at, "nested more than %d deep", MAX_NESTING);
    return e;
}

static struct mb_ast_expr *bad_expr(struct parser *p) {
    struct mb_ast_expr *e = new_expr(p, MB_EXPR_BAD, p->tok.pos);
    e->at.end = p->tok.pos;
    return e;
}

struct args {
    struct mb_ast_expr *first, **last;
    uint32_t n;
    uint16_t height;
};

static void append(struct args *a, struct mb_ast_expr *e) {
    *a->last = e;
    a->last = &e->next;
    a->n++;
    a->height = taller(a->height, e->height);
}

/* True when the word at hand names an argument: `=` follows, or `:` where that is allowed. */
static bool names_argument(const struct parser *p, bool colon) {
    const struct mb_lexer *lx = p->lx;
    uint32_t i = lx->at;
    if (!is_word(&p->tok)) return false;
    while (i < lx->len && (lx->text[i] == ' ' || lx->text[i] == '\t' || lx->text[i] == '\n' ||
                           lx->text[i] == '\r'))
        i++;
    if (i >= lx->len) return false;
    char c = lx->text[i], next = i + 1 < lx->len ? lx->text[i + 1] : '\0';
    return (c == '=' && next != '=' && next != '>') || (c == ':' && colon && next != ':');
}

/* element = expr [ ".." expr ] ; the range only inside an index */
static struct mb_ast_expr *parse_element(struct parser *p, bool ranges) {
    struct mb_ast_expr *e = parse_expr(p);
    if (!ranges || !at(p, MB_TOK_DOTS)) return e;
    struct mb_ast_expr *range = new_expr(p, MB_EXPR_RANGE, e->at.pos);
    advance(p);
    range->u.of.lhs = e;
    range->u.of.rhs = parse_expr(p);
    return finish(p, range, taller(e->height, range->u.of.rhs->height) + 1u);
}

/* args = { [ name ("="|":") ] element "," } close */
static struct args parse_args(struct parser *p, uint8_t close, bool names, bool colon,
                              bool ranges) {
    struct args a = {.first = NULL};
    a.last = &a.first;
    while (!at(p, close) && !p->panic) {
        uint32_t label = MB_NO_NAME;
        if (names && names_argument(p, colon)) {
            label = p->tok.value.name;
            advance(p);
            advance(p);
        }
        struct mb_ast_expr *e = parse_element(p, ranges);
        e->label = label;
        append(&a, e);
        if (!accept(p, MB_TOK_COMMA)) break;
    }
    if (!p->panic) expect(p, close);
    return a;
}

static struct mb_ast_expr *with_args(struct parser *p, enum mb_ast_expr_kind kind, uint32_t pos,
                                     struct mb_ast_expr *base, struct args a) {
    struct mb_ast_expr *e = new_expr(p, kind, pos);
    e->u.call.base = base;
    e->u.call.args = a.first;
    e->u.call.n_args = a.n;
    return finish(p, e, taller(a.height, base ? base->height : 0) + 1u);
}

/* paren = "(" expr ")" | "(" [ expr "," { expr "," } ] ")" ; the second is a tuple */
static struct mb_ast_expr *parse_paren(struct parser *p) {
    uint32_t pos = p->tok.pos;
    advance(p);
    struct args a = {.first = NULL};
    a.last = &a.first;
    bool comma = false;
    while (!at(p, MB_TOK_RPAREN) && !p->panic) {
        append(&a, parse_expr(p));
        comma = accept(p, MB_TOK_COMMA);
        if (!comma) break;
    }
    if (!p->panic) expect(p, MB_TOK_RPAREN);
    if (a.n == 1 && !comma) {
        a.first->in_parens = true;
        a.first->at = (struct mb_ast_span){pos, p->last_end};
        return a.first;
    }
    return with_args(p, MB_EXPR_TUPLE, pos, NULL, a);
}

/* if = "if" expr block [ "else" ( if | block ) ] */
static struct mb_ast_expr *parse_if(struct parser *p) {
    struct mb_ast_expr *e = new_expr(p, MB_EXPR_IF, p->tok.pos);
    if (!enter(p)) return e;
    advance(p);
    e->u.branch.condition = parse_expr(p);
    e->u.branch.then = parse_block(p);
    if (!p->panic && accept(p, MB_TOK_ELSE)) {
        struct mb_ast_block *otherwise;
        if (at(p, MB_TOK_IF)) {
            struct mb_ast_stmt *s = take(p, sizeof *s);
            s->kind = MB_STMT_EXPR;
            s->value = parse_if(p);
            s->at = s->value->at;
            otherwise = take(p, sizeof *otherwise);
            otherwise->at = s->at;
            otherwise->first = s;
        } else {
            otherwise = parse_block(p);
        }
        e->u.branch.otherwise = otherwise;
    }
    leave(p);
    return finish(p, e, e->u.branch.condition->height + 1u);
}

/* True when `{` after a name opens a struct literal: `ident :` follows. */
static bool opens_struct(struct parser *p) {
    struct mb_lexer saved = *p->lx;
    struct mb_token first, second;
    mb_lex_next(p->lx, &first);
    mb_lex_next(p->lx, &second);
    *p->lx = saved;
    return first.kind == MB_TOK_NAME && second.kind == MB_TOK_COLON;
}

/* struct literal = name "{" { name ":" expr "," } "}" */
static struct mb_ast_expr *parse_struct_literal(struct parser *p, uint32_t name, uint32_t pos) {
    struct args a = {.first = NULL};
    a.last = &a.first;
    advance(p);
    while (!at(p, MB_TOK_RBRACE) && !p->panic) {
        uint32_t label = expect_name(p, "a field name");
        if (!p->panic) expect(p, MB_TOK_COLON);
        struct mb_ast_expr *value = parse_expr(p);
        value->label = label;
        append(&a, value);
        if (!accept(p, MB_TOK_COMMA)) break;
    }
    if (!p->panic) expect(p, MB_TOK_RBRACE);
    struct mb_ast_expr *e = with_args(p, MB_EXPR_STRUCT, pos, NULL, a);
    e->u.call.name = name;
    return e;
}

/* primary = name | literal | paren | "[" args "]" | struct literal | if | match */
static struct mb_ast_expr *parse_primary(struct parser *p) {
    struct mb_token t = p->tok;
    struct mb_ast_expr *e;
    switch (t.kind) {
    case MB_TOK_NAME:
        advance(p);
        if (at(p, MB_TOK_LBRACE) && !p->tok.after_break && opens_struct(p))
            return parse_struct_literal(p, t.value.name, t.pos);
        e = new_expr(p, MB_EXPR_NAME, t.pos);
        e->u.call.name = t.value.name;
        e->at.end = t.end;
        return e;
    case MB_TOK_INT:
    case MB_TOK_CHAR:
        e = new_expr(p, MB_EXPR_INT, t.pos);
        e->u.integer = t.value.integer;
        e->suffix = t.suffix;
        break;
    case MB_TOK_FLOAT:
        e = new_expr(p, MB_EXPR_FLOAT, t.pos);
        e->u.number = t.value.number;
        break;
    case MB_TOK_TRUE:
    case MB_TOK_FALSE:
        e = new_expr(p, MB_EXPR_BOOL, t.pos);
        e->u.truth = t.kind == MB_TOK_TRUE;
        break;
    case MB_TOK_TEXT:
        e = new_expr(p, MB_EXPR_TEXT, t.pos);
        e->u.text.data = t.value.text.data;
        e->u.text.len = t.value.text.len;
        break;
    case MB_TOK_LPAREN: return parse_paren(p);
    case MB_TOK_LBRACKET: {
        advance(p);
        struct args a = parse_args(p, MB_TOK_RBRACKET, false, false, false);
        return with_args(p, MB_EXPR_LIST, t.pos, NULL, a);
    }
    case MB_TOK_IF: return parse_if(p);
    case MB_TOK_MATCH:
        e = new_expr(p, MB_EXPR_OTHER, t.pos);
        advance(p);
        parse_expr(p);
        if (!p->panic) skip_balanced(p, MB_TOK_LBRACE, MB_TOK_RBRACE);
        return e;
    case MB_TOK_LBRACE:
        error_at(p, here(p), "expected an expression; a block is none");
        return bad_expr(p);
    default: expected(p, "an expression"); return bad_expr(p);
    }
    advance(p);
    return e;
}

/* field = base ( "." | "::" ) name | base "." int */
static struct mb_ast_expr *parse_field(struct parser *p, struct mb_ast_expr *base) {
    struct mb_ast_expr *e = new_expr(p, MB_EXPR_FIELD, base->at.pos);
    e->op = p->tok.kind;
    e->u.call.base = base;
    advance(p);
    if (is_word(&p->tok)) {
        e->u.call.name = p->tok.value.name;
    } else if (at(p, MB_TOK_INT) && e->op == MB_TOK_DOT) {
        e->kind = MB_EXPR_ITEM;
        e->u.call.n_args =
            p->tok.value.integer > UINT32_MAX ? UINT32_MAX : (uint32_t)p->tok.value.integer;
    } else {
        expected(p, "a name");
        return e;
    }
    advance(p);
    return finish(p, e, base->height + 1u);
}

/* postfix = primary { field | "(" args ")" | "[" args "]" | "?" } ; a bracket on a new line begins
 * another statement */
static struct mb_ast_expr *parse_postfix(struct parser *p) {
    struct mb_ast_expr *e = parse_primary(p);
    while (!p->panic) {
        uint32_t pos = e->at.pos;
        if (at(p, MB_TOK_DOT) || at(p, MB_TOK_COLONS)) {
            e = parse_field(p, e);
        } else if (at(p, MB_TOK_LPAREN) && !p->tok.after_break) {
            advance(p);
            struct args a = parse_args(p, MB_TOK_RPAREN, true, e->kind == MB_EXPR_FIELD, false);
            e = with_args(p, MB_EXPR_CALL, pos, e, a);
        } else if (at(p, MB_TOK_LBRACKET) && !p->tok.after_break) {
            advance(p);
            struct args a = parse_args(p, MB_TOK_RBRACKET, false, false, true);
            e = with_args(p, MB_EXPR_INDEX, pos, e, a);
        } else if (at(p, MB_TOK_QUESTION)) {
            unsigned height = e->height + 1u;
            e = new_expr(p, MB_EXPR_OTHER, pos);
            advance(p);
            finish(p, e, height);
        } else {
            break;
        }
    }
    return e;
}

/* prefix = ( "-" | "!" | "~" | "&" [ "mut" ] ) prefix | postfix ; references are erased */
static struct mb_ast_expr *parse_prefix(struct parser *p) {
    struct mb_ast_expr *e;
    if (!enter(p)) return bad_expr(p);
    if (at(p, MB_TOK_MINUS) || at(p, MB_TOK_NOT) || at(p, MB_TOK_TILDE)) {
        e = new_expr(p, MB_EXPR_UNARY, p->tok.pos);
        e->op = p->tok.kind;
        advance(p);
        e->u.of.lhs = parse_prefix(p);
        finish(p, e, e->u.of.lhs->height + 1u);
    } else if (accept(p, MB_TOK_AND)) {
        accept(p, MB_TOK_MUT);
        e = parse_prefix(p);
    } else {
        e = parse_postfix(p);
    }
    leave(p);
    return e;
}

/* How tightly a binary operator binds; 0: it is none. The MIND compiler's own numbers. */
static const uint8_t power[MB_TOK_COUNT] = {
    [MB_TOK_AS] = 15,       [MB_TOK_STAR] = 13,      [MB_TOK_SLASH] = 13,   [MB_TOK_PERCENT] = 13,
    [MB_TOK_DOT_STAR] = 13, [MB_TOK_DOT_SLASH] = 13, [MB_TOK_AT] = 11,      [MB_TOK_OR] = 11,
    [MB_TOK_AND] = 11,      [MB_TOK_XOR] = 11,       [MB_TOK_SHL] = 11,     [MB_TOK_SHR] = 11,
    [MB_TOK_PLUS] = 9,      [MB_TOK_MINUS] = 9,      [MB_TOK_DOT_PLUS] = 9, [MB_TOK_DOT_MINUS] = 9,
    [MB_TOK_EQ] = 5,        [MB_TOK_NE] = 5,         [MB_TOK_LT] = 5,       [MB_TOK_LE] = 5,
    [MB_TOK_GT] = 5,        [MB_TOK_GE] = 5,         [MB_TOK_AND_AND] = 3,  [MB_TOK_OR_OR] = 1,
};

static bool is_product(const struct mb_ast_expr *e) {
    return e->kind == MB_EXPR_BINARY && !e->in_parens && power[e->op] == power[MB_TOK_STAR];
}

/* `a * b @ c` is `(a * b) @ c` here and `a * (b @ c)` to most readers. */
static void warn_of_mixed_matmul(struct parser *p, const struct mb_ast_expr *e) {
    if (e->op != MB_TOK_AT || (!is_product(e->u.of.lhs) && !is_product(e->u.of.rhs))) return;
    struct mb_diag_record *r =
        mb_diags_add(p->lx->diags, MB_WARNING, "parse", "syntax::mixed_matmul", NULL, e->at.pos,
                     e->at.end, "`@` binds less tightly than `*` and `/`");
    mb_diags_help(p->lx->diags, r, "write parentheses around the part meant to go first");
}

/* binary = prefix { op binary | "as" type } for operators of more than `least` power; all are left
 * associative. A chain's left side does not count as nesting: the checker walks it in a loop. */
static struct mb_ast_expr *parse_binary(struct parser *p, uint8_t least) {
    struct mb_ast_expr *lhs = parse_prefix(p);
    while (!p->panic && power[p->tok.kind] > least) {
        uint8_t op = p->tok.kind;
        struct mb_ast_expr *e =
            new_expr(p, op == MB_TOK_AS ? MB_EXPR_CAST : MB_EXPR_BINARY, lhs->at.pos);
        e->op = op;
        e->u.of.lhs = lhs;
        advance(p);
        if (op == MB_TOK_AS) {
            e->u.of.type = parse_type(p);
            lhs = finish(p, e, lhs->height + 1u);
            continue;
        }
        e->u.of.rhs = parse_binary(p, power[op]);
        finish(p, e, taller(lhs->height, (uint16_t)(e->u.of.rhs->height + 1)));
        warn_of_mixed_matmul(p, e);
        lhs = e;
    }
    return lhs;
}

/* expr = binary */
static struct mb_ast_expr *parse_expr(struct parser *p) { return parse_binary(p, 0); }

/* ---- types ---- */

/* dims = { ( int | name ) "," } close */
static void parse_dims(struct parser *p, struct mb_ast_type *type, uint8_t close) {
    struct mb_ast_dim **last = &type->dims;
    while (!at(p, close) && !p->panic) {
        struct mb_ast_dim *d = take(p, sizeof *d);
        d->at = here(p);
        d->name = MB_NO_NAME;
        if (at(p, MB_TOK_INT)) {
            d->extent = p->tok.value.integer;
            advance(p);
        } else {
            d->name = expect_name(p, "a dimension (an integer or a name)");
        }
        *last = d;
        last = &d->next;
        type->n_dims++;
        if (!accept(p, MB_TOK_COMMA)) break;
    }
    if (!p->panic) expect(p, close);
}

/* ">" ends a type argument list, and so does the first half of ">>", ">=" and ">>=". */
static void expect_angle(struct parser *p) {
    uint8_t rest = at(p, MB_TOK_SHR)          ? MB_TOK_GT
                   : at(p, MB_TOK_GE)         ? MB_TOK_ASSIGN
                   : at(p, MB_TOK_SHR_ASSIGN) ? MB_TOK_GE
                                              : MB_TOK_END;
    if (rest == MB_TOK_END) {
        expect(p, MB_TOK_GT);
        return;
    }
    p->last_end = ++p->tok.pos;
    p->tok.kind = rest;
    p->tok.after_break = false;
}

/* The element type, by any name; a later stage knows which there are. */
static void parse_dtype(struct parser *p, struct mb_ast_type *type) {
    type->name = expect_name(p, "an element type");
    while (!p->panic && (accept(p, MB_TOK_DOT) || accept(p, MB_TOK_COLONS)))
        type->name = expect_name(p, "an element type");
}

/* tensor = "tensor" "<" dtype [ "[" dims "]" | "," "[" dims "]" ] ">"
 *        | "tensor" "[" dtype "," "(" dims ")" "]"
 *        | "tensor" "<" "sparse" "[" name "]" "," ... ">"          ; either case of the word */
static void parse_tensor_type(struct parser *p, struct mb_ast_type *type) {
    type->kind = MB_TYPE_TENSOR;
    if (accept(p, MB_TOK_LBRACKET)) {
        parse_dtype(p, type);
        if (!p->panic && accept(p, MB_TOK_COMMA) && expect(p, MB_TOK_LPAREN))
            parse_dims(p, type, MB_TOK_RPAREN);
        if (!p->panic) expect(p, MB_TOK_RBRACKET);
        return;
    }
    if (!expect(p, MB_TOK_LT)) return;
    if (at(p, MB_TOK_NAME) && p->tok.value.name == MB_NAME_SPARSE) {
        type->kind = MB_TYPE_OTHER;
        advance(p);
        skip_balanced(p, MB_TOK_LBRACKET, MB_TOK_RBRACKET);
        if (!p->panic) expect(p, MB_TOK_COMMA);
    }
    if (!p->panic) parse_dtype(p, type);
    bool comma = !p->panic && accept(p, MB_TOK_COMMA);
    if (!p->panic && (at(p, MB_TOK_LBRACKET) || comma) && expect(p, MB_TOK_LBRACKET))
        parse_dims(p, type, MB_TOK_RBRACKET);
    if (!p->panic) expect_angle(p);
}

static void parse_type_list(struct parser *p, struct mb_ast_type *type, uint8_t close) {
    struct mb_ast_type **last = &type->items;
    while (!at(p, close) && !p->panic) {
        *last = parse_type(p);
        last = &(*last)->next;
        if (!accept(p, MB_TOK_COMMA)) break;
    }
}

/* type = "diff" type | "&" [ "mut" ] type | tensor | "(" { type "," } ")" | "[" type [ ";" expr ]
 * "]" | name { ( "." | "::" ) name } [ "<" types ">" ] */
static struct mb_ast_type *parse_type(struct parser *p) {
    struct mb_ast_type *type = take(p, sizeof *type);
    type->at.pos = p->tok.pos;
    type->name = MB_NO_NAME;
    if (!enter(p)) return type;
    uint32_t name = at(p, MB_TOK_NAME) ? p->tok.value.name : MB_NO_NAME;
    if (accept(p, MB_TOK_AND)) {
        accept(p, MB_TOK_MUT);
        type = parse_type(p);
    } else if (accept(p, MB_TOK_LPAREN)) {
        type->kind = MB_TYPE_TUPLE;
        parse_type_list(p, type, MB_TOK_RPAREN);
        if (!p->panic) expect(p, MB_TOK_RPAREN);
    } else if (accept(p, MB_TOK_LBRACKET)) {
        type->kind = MB_TYPE_OTHER;
        parse_type(p);
        if (!p->panic && accept(p, MB_TOK_SEMICOLON)) parse_expr(p);
        if (!p->panic) expect(p, MB_TOK_RBRACKET);
    } else if (name == MB_NAME_TENSOR || name == MB_NAME_TENSOR_UPPER) {
        advance(p);
        parse_tensor_type(p, type);
    } else {
        type->kind = MB_TYPE_NAME;
        type->name = expect_name(p, "a type");
        if (name == MB_NAME_DIFF && (at(p, MB_TOK_NAME) || at(p, MB_TOK_AND) ||
                                     at(p, MB_TOK_LPAREN) || at(p, MB_TOK_LBRACKET))) {
            type = parse_type(p);
            leave(p);
            return type;
        }
        while (!p->panic && (accept(p, MB_TOK_DOT) || accept(p, MB_TOK_COLONS)))
            type->name = expect_name(p, "a type");
        if (!p->panic && accept(p, MB_TOK_LT)) {
            type->kind = MB_TYPE_OTHER;
            parse_type_list(p, type, MB_TOK_GT);
            if (!p->panic) expect_angle(p);
        }
    }
    leave(p);
    type->at.end = p->last_end;
    return type;
}

/* ---- statements ---- */

static struct mb_ast_stmt *new_stmt(struct parser *p, enum mb_ast_stmt_kind kind, uint32_t pos) {
    struct mb_ast_stmt *s = take(p, sizeof *s);
    s->kind = (uint8_t)kind;
    s->at.pos = pos;
    return s;
}

static struct mb_ast_name *parse_binding(struct parser *p) {
    struct mb_ast_name *n = take(p, sizeof *n);
    n->at = here(p);
    n->name = expect_name(p, "a name");
    return n;
}

/* let = ( "let" | "const" ) [ "mut" ] ( name | "(" { name "," } ")" ) [ ":" type ] [ "=" expr ] */
static struct mb_ast_stmt *parse_let(struct parser *p) {
    struct mb_ast_stmt *s = new_stmt(p, MB_STMT_LET, p->tok.pos);
    advance(p);
    accept(p, MB_TOK_MUT);
    if (accept(p, MB_TOK_LPAREN)) {
        struct mb_ast_name **last = &s->names;
        s->is_tuple = true;
        while (!at(p, MB_TOK_RPAREN) && !p->panic) {
            accept(p, MB_TOK_MUT);
            *last = parse_binding(p);
            last = &(*last)->next;
            if (!accept(p, MB_TOK_COMMA)) break;
        }
        if (!p->panic) expect(p, MB_TOK_RPAREN);
    } else {
        s->names = parse_binding(p);
    }
    if (!p->panic && accept(p, MB_TOK_COLON)) s->type = parse_type(p);
    if (!p->panic && accept(p, MB_TOK_ASSIGN)) s->value = parse_expr(p);
    return s;
}

static bool ends_statement(const struct parser *p) {
    return p->tok.after_break || at(p, MB_TOK_SEMICOLON) || at(p, MB_TOK_RBRACE) ||
           at(p, MB_TOK_END);
}

/* for = "for" name "in" expr [ ".." expr ] block */
static struct mb_ast_stmt *parse_for(struct parser *p) {
    struct mb_ast_stmt *s = new_stmt(p, MB_STMT_FOR, p->tok.pos);
    advance(p);
    s->names = parse_binding(p);
    if (!p->panic) expect(p, MB_TOK_IN);
    if (!p->panic) s->target = parse_expr(p);
    if (!p->panic && accept(p, MB_TOK_DOTS)) s->value = parse_expr(p);
    if (!p->panic) s->body = parse_block(p);
    return s;
}

/* while = "while" expr block | "loop" block */
static struct mb_ast_stmt *parse_while(struct parser *p) {
    struct mb_ast_stmt *s = new_stmt(p, MB_STMT_WHILE, p->tok.pos);
    bool condition = at(p, MB_TOK_WHILE);
    advance(p);
    if (condition) s->value = parse_expr(p);
    if (!p->panic) s->body = parse_block(p);
    return s;
}

/* print = "print" "(" args ")"       assert = "assert" expr [ "," expr ] */
static struct mb_ast_stmt *parse_print_or_assert(struct parser *p) {
    bool print = at(p, MB_TOK_PRINT);
    struct mb_ast_stmt *s = new_stmt(p, print ? MB_STMT_PRINT : MB_STMT_ASSERT, p->tok.pos);
    advance(p);
    if (print && expect(p, MB_TOK_LPAREN)) {
        s->args = parse_args(p, MB_TOK_RPAREN, true, false, false).first;
    } else if (!print) {
        s->args = parse_expr(p);
        if (!p->panic && accept(p, MB_TOK_COMMA)) s->args->next = parse_expr(p);
    }
    return s;
}

/* The operator that an assignment applies first; ASSIGN for a plain one; END for none. */
static uint8_t assignment_operator(uint8_t kind) {
    switch (kind) {
    case MB_TOK_ASSIGN: return MB_TOK_ASSIGN;
    case MB_TOK_PLUS_ASSIGN: return MB_TOK_PLUS;
    case MB_TOK_MINUS_ASSIGN: return MB_TOK_MINUS;
    case MB_TOK_STAR_ASSIGN: return MB_TOK_STAR;
    case MB_TOK_SLASH_ASSIGN: return MB_TOK_SLASH;
    case MB_TOK_PERCENT_ASSIGN: return MB_TOK_PERCENT;
    case MB_TOK_AND_ASSIGN: return MB_TOK_AND;
    case MB_TOK_OR_ASSIGN: return MB_TOK_OR;
    case MB_TOK_XOR_ASSIGN: return MB_TOK_XOR;
    case MB_TOK_SHL_ASSIGN: return MB_TOK_SHL;
    case MB_TOK_SHR_ASSIGN: return MB_TOK_SHR;
    default: return MB_TOK_END;
    }
}

/* simple = expr [ ( "=" | "+=" | ... ) expr ] */
static struct mb_ast_stmt *parse_simple(struct parser *p) {
    struct mb_ast_stmt *s = new_stmt(p, MB_STMT_EXPR, p->tok.pos);
    s->value = parse_expr(p);
    uint8_t op = p->panic ? MB_TOK_END : assignment_operator(p->tok.kind);
    if (op == MB_TOK_END) return s;
    s->kind = MB_STMT_ASSIGN;
    s->op = op;
    s->target = s->value;
    advance(p);
    s->value = parse_expr(p);
    return s;
}

/* An item where a statement can stand: parsed, and out of reach. */
static struct mb_ast_stmt *parse_local_item(struct parser *p) {
    struct mb_ast_stmt *s = new_stmt(p, MB_STMT_OTHER, p->tok.pos);
    struct mb_ast_item *local = NULL, **saved = p->last_item;
    bool import = at(p, MB_TOK_USE) || at(p, MB_TOK_IMPORT);
    p->last_item = &local;
    parse_item(p);
    p->last_item = saved;
    if (import) s->kind = MB_STMT_PRINT; /* nothing to do, and nothing to refuse */
    return s;
}

/* stmt = let | return | for | while | print | assert | item | simple */
static struct mb_ast_stmt *parse_stmt(struct parser *p) {
    uint32_t pos = p->tok.pos;
    struct mb_ast_stmt *s;
    switch (p->tok.kind) {
    case MB_TOK_LET:
    case MB_TOK_CONST: s = parse_let(p); break;
    case MB_TOK_RETURN:
        s = new_stmt(p, MB_STMT_RETURN, pos);
        advance(p);
        if (!ends_statement(p)) s->value = parse_expr(p);
        break;
    case MB_TOK_FOR: s = parse_for(p); break;
    case MB_TOK_WHILE:
    case MB_TOK_LOOP: s = parse_while(p); break;
    case MB_TOK_PRINT:
    case MB_TOK_ASSERT: s = parse_print_or_assert(p); break;
    case MB_TOK_BREAK:
    case MB_TOK_CONTINUE:
        s = new_stmt(p, MB_STMT_JUMP, pos);
        advance(p);
        break;
    default: s = begins_item(p->tok.kind) ? parse_local_item(p) : parse_simple(p); break;
    }
    s->at.end = p->last_end > pos ? p->last_end : pos;
    return s;
}

/* block = "{" { stmt [ ";" ] } "}" */
static struct mb_ast_block *parse_block(struct parser *p) {
    struct mb_ast_block *b = take(p, sizeof *b);
    struct mb_ast_stmt **last = &b->first;
    struct mb_ast_span open = here(p);
    b->at.pos = open.pos;
    if (p->panic || !expect(p, MB_TOK_LBRACE) || !enter(p)) return b;
    while (!at(p, MB_TOK_RBRACE) && !at(p, MB_TOK_END)) {
        uint32_t start = p->tok.pos;
        if (accept(p, MB_TOK_SEMICOLON)) continue;
        *last = parse_stmt(p);
        last = &(*last)->next;
        if (p->panic) recover(p, start, false);
    }
    leave(p);
    if (!at(p, MB_TOK_END))
        advance(p);
    else if (p->lx->diags->n_errors == 0) /* after an error it may have been skipped */
        error_at(p, open, "this `{` is never closed");
    b->at.end = p->last_end;
    return b;
}

/* ---- items ---- */

static struct mb_ast_item *new_item(struct parser *p, enum mb_ast_item_kind kind, uint32_t pos) {
    struct mb_ast_item *item = take(p, sizeof *item);
    item->kind = (uint8_t)kind;
    item->name = MB_NO_NAME;
    item->at.pos = pos;
    return item;
}

static void add_item(struct parser *p, struct mb_ast_item *item) {
    item->at.end = p->last_end;
    *p->last_item = item;
    p->last_item = &item->next;
}

static void parse_item_name(struct parser *p, struct mb_ast_item *item) {
    item->name_at = here(p);
    item->name = expect_name(p, "a name");
}

/* params = { [ "mut" ] name ":" type "," } close */
static void parse_params(struct parser *p, struct mb_ast_item *item, uint8_t close) {
    struct mb_ast_param **last = &item->params;
    while (!at(p, close) && !p->panic) {
        if (close == MB_TOK_RBRACE) accept(p, MB_TOK_PUB);
        accept(p, MB_TOK_MUT);
        struct mb_ast_param *q = take(p, sizeof *q);
        q->at = here(p);
        q->name = expect_name(p, close == MB_TOK_RPAREN ? "a parameter" : "a field");
        if (!p->panic) expect(p, MB_TOK_COLON);
        if (!p->panic) q->type = parse_type(p);
        *last = q;
        last = &q->next;
        item->n_params++;
        if (!accept(p, MB_TOK_COMMA)) break;
    }
    if (!p->panic) expect(p, close);
}

/* fn = "fn" name [ "<" ... ">" ] "(" params ")" [ "->" type ] block */
static void parse_fn(struct parser *p, struct mb_ast_item *item) {
    advance(p);
    parse_item_name(p, item);
    if (!p->panic && at(p, MB_TOK_LT)) {
        item->is_generic = true;
        skip_balanced(p, MB_TOK_LT, MB_TOK_GT);
    }
    if (!p->panic && expect(p, MB_TOK_LPAREN)) parse_params(p, item, MB_TOK_RPAREN);
    if (!p->panic && accept(p, MB_TOK_ARROW)) item->type = parse_type(p);
    if (!p->panic) item->body = parse_block(p);
}

/* const = "const" name [ ":" type ] "=" expr */
static void parse_const(struct parser *p, struct mb_ast_item *item) {
    advance(p);
    parse_item_name(p, item);
    if (!p->panic && accept(p, MB_TOK_COLON)) item->type = parse_type(p);
    if (!p->panic && expect(p, MB_TOK_ASSIGN)) item->value = parse_expr(p);
}

/* type = "type" name ( "=" type | "{" fields "}" )      struct = "struct" name "{" fields "}" */
static void parse_struct_or_alias(struct parser *p, struct mb_ast_item *item) {
    bool alias = at(p, MB_TOK_TYPE);
    advance(p);
    parse_item_name(p, item);
    if (!p->panic && alias && accept(p, MB_TOK_ASSIGN)) {
        item->kind = MB_ITEM_ALIAS;
        item->type = parse_type(p);
        return;
    }
    if (!p->panic && at(p, MB_TOK_LT)) {
        item->is_generic = true;
        skip_balanced(p, MB_TOK_LT, MB_TOK_GT);
    }
    if (!p->panic && expect(p, MB_TOK_LBRACE)) parse_params(p, item, MB_TOK_RBRACE);
}

/* import = ( "import" | "use" ) name { ( "." | "::" ) ( name | "{" { name "," } "}" ) }
 * Every name in it may stand before a `.` afterwards. */
static void parse_import(struct parser *p, uint32_t pos) {
    advance(p);
    bool list = false;
    do {
        if (!list && accept(p, MB_TOK_LBRACE)) {
            list = true;
            if (at(p, MB_TOK_RBRACE)) break;
        }
        if (accept(p, MB_TOK_STAR)) continue; /* everything of a module */
        struct mb_ast_item *item = new_item(p, MB_ITEM_IMPORT, pos);
        item->name_at = here(p);
        if (is_word(&p->tok)) {
            item->name = p->tok.value.name;
            advance(p);
        } else {
            parse_item_name(p, item);
        }
        add_item(p, item);
    } while (!p->panic && (list ? accept(p, MB_TOK_COMMA) && !at(p, MB_TOK_RBRACE)
                                : accept(p, MB_TOK_DOT) || accept(p, MB_TOK_COLONS)));
    if (list && !p->panic) expect(p, MB_TOK_RBRACE);
}

/* To the end of a declaration that has no meaning here: its `{ ... }`, or its `;` or line. */
static void skip_declaration(struct parser *p) {
    while (!at(p, MB_TOK_LBRACE) && !at(p, MB_TOK_SEMICOLON) && !at(p, MB_TOK_END) &&
           !(p->tok.after_break && (begins_item(p->tok.kind) || at(p, MB_TOK_RBRACE))))
        advance(p);
    if (at(p, MB_TOK_LBRACE)) skip_balanced(p, MB_TOK_LBRACE, MB_TOK_RBRACE);
}

static void parse_top(struct parser *p, uint8_t end);

/* module = "module" name "{" file "}" ; what it holds belongs to the file */
static void parse_module(struct parser *p) {
    advance(p);
    expect_name(p, "a module name");
    if (p->panic || !expect(p, MB_TOK_LBRACE) || !enter(p)) return;
    parse_top(p, MB_TOK_RBRACE);
    leave(p);
    if (!p->panic) expect(p, MB_TOK_RBRACE);
}

/* item = { "#" "[" ... "]" } [ "pub" ] ( fn | const | struct | type | import | module | ... ) */
static void parse_item(struct parser *p) {
    while (!p->panic && accept(p, MB_TOK_HASH)) skip_balanced(p, MB_TOK_LBRACKET, MB_TOK_RBRACKET);
    if (p->panic) return;
    uint32_t pos = p->tok.pos;
    bool is_pub = accept(p, MB_TOK_PUB);
    struct mb_ast_item *item;
    switch (p->tok.kind) {
    case MB_TOK_FN:
        item = new_item(p, MB_ITEM_FN, pos);
        item->is_pub = is_pub;
        parse_fn(p, item);
        break;
    case MB_TOK_CONST:
        item = new_item(p, MB_ITEM_CONST, pos);
        parse_const(p, item);
        break;
    case MB_TOK_STRUCT:
    case MB_TOK_TYPE:
        item = new_item(p, MB_ITEM_STRUCT, pos);
        parse_struct_or_alias(p, item);
        break;
    case MB_TOK_USE:
    case MB_TOK_IMPORT: parse_import(p, pos); return;
    case MB_TOK_MODULE: parse_module(p); return;
    case MB_TOK_ENUM:
    case MB_TOK_TRAIT:
        item = new_item(p, MB_ITEM_OTHER, pos);
        advance(p);
        parse_item_name(p, item);
        if (!p->panic) skip_declaration(p);
        break;
    case MB_TOK_IMPL:
    case MB_TOK_EXPORT:
    case MB_TOK_EXTERN:
    case MB_TOK_REGION:
    case MB_TOK_INVARIANT:
        advance(p);
        skip_declaration(p);
        return;
    default: /* attributes may stand before a statement too */
        if (is_pub) expected(p, "a declaration");
        return;
    }
    add_item(p, item);
}

/* file = { item | stmt | ";" } up to `end` */
static void parse_top(struct parser *p, uint8_t end) {
    while (!at(p, end) && !at(p, MB_TOK_END)) {
        uint32_t start = p->tok.pos;
        bool item = begins_item(p->tok.kind);
        if (accept(p, MB_TOK_SEMICOLON)) continue;
        if (item) {
            parse_item(p);
        } else if (at(p, MB_TOK_RBRACE)) {
            error_at(p, here(p), "this `}` closes nothing");
            p->panic = p->failed;
            advance(p);
        } else {
            *p->last_stmt = parse_stmt(p);
            p->last_stmt = &(*p->last_stmt)->next;
        }
        if (p->panic) recover(p, start, item);
    }
}

bool mb_parse(struct mb_lexer *lexer, struct mb_ast_file *file) {
    struct parser p = {.lx = lexer};
    memset(file, 0, sizeof *file);
    p.last_item = &file->items;
    p.last_stmt = &file->script.first;
    advance(&p);
    file->script.at.pos = p.tok.pos;
    parse_top(&p, MB_TOK_END);
    file->script.at.end = p.tok.pos;
    return !p.failed && !lexer->names->failed && !lexer->diags->failed && !lexer->arena->failed;
}
