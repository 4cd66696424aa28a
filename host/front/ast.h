/* The tree that the parser makes. Everything is in the compile's arena; lists are linked through
 * `next`, in source order; positions are byte offsets of the source. */
#ifndef MB_AST_H
#define MB_AST_H

#include "lex.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct mb_ast_span {
    uint32_t pos, end;
};

/* ---- types ---- */

struct mb_ast_dim {
    struct mb_ast_dim *next;
    struct mb_ast_span at;
    uint32_t name; /* or MB_NO_NAME: then `extent` */
    uint64_t extent;
};

enum mb_ast_type_kind {
    MB_TYPE_NAME,   /* a scalar, a struct, an alias */
    MB_TYPE_TENSOR, /* name: element type; dims */
    MB_TYPE_TUPLE,  /* items; none for `()` */
    MB_TYPE_OTHER,  /* parsed, outside the subset */
};

struct mb_ast_type {
    struct mb_ast_type *next;
    struct mb_ast_span at;
    uint8_t kind;
    uint32_t name;
    uint32_t n_dims;
    struct mb_ast_dim *dims;
    struct mb_ast_type *items;
};

/* ---- expressions ---- */

enum mb_ast_expr_kind {
    MB_EXPR_BAD, /* a syntax error was here */
    MB_EXPR_NAME,
    MB_EXPR_INT,
    MB_EXPR_FLOAT,
    MB_EXPR_BOOL,
    MB_EXPR_TEXT,
    MB_EXPR_UNARY,  /* op lhs */
    MB_EXPR_BINARY, /* lhs op rhs */
    MB_EXPR_CAST,   /* lhs as type */
    MB_EXPR_CALL,   /* base(args) */
    MB_EXPR_INDEX,  /* base[args] */
    MB_EXPR_RANGE,  /* lhs..rhs, only inside an index */
    MB_EXPR_FIELD,  /* base.name or base::name */
    MB_EXPR_ITEM,   /* base.0 */
    MB_EXPR_LIST,   /* [args] */
    MB_EXPR_TUPLE,  /* (args) */
    MB_EXPR_STRUCT, /* name { label: args } */
    MB_EXPR_IF,
    MB_EXPR_OTHER, /* parsed, outside the subset: `match`, `?` */
};

struct mb_ast_expr {
    struct mb_ast_expr *next; /* in an argument list */
    struct mb_ast_span at;
    uint8_t kind;
    uint8_t op; /* token kind of the operator; `::` or `.` for a field */
    bool in_parens;
    uint16_t height; /* nesting depth of what evaluates this recursively */
    uint16_t suffix; /* INT: fixed name of the suffix, or 0 */
    uint32_t label;  /* of a named argument, or MB_NO_NAME */
    union {
        struct {
            struct mb_ast_expr *lhs, *rhs;
            struct mb_ast_type *type;
        } of; /* UNARY BINARY CAST RANGE */
        struct {
            struct mb_ast_expr *base, *args;
            uint32_t n_args;
            uint32_t name; /* FIELD STRUCT NAME */
        } call;            /* CALL INDEX FIELD ITEM LIST TUPLE STRUCT NAME */
        struct {
            struct mb_ast_expr *condition;
            struct mb_ast_block *then, *otherwise; /* otherwise: or NULL */
        } branch;
        uint64_t integer; /* INT, and ITEM's index is in call.n_args */
        double number;
        bool truth;
        struct {
            const char *data;
            uint32_t len;
        } text;
    } u;
};

/* ---- statements ---- */

struct mb_ast_block {
    struct mb_ast_span at;
    struct mb_ast_stmt *first;
};

struct mb_ast_name {
    struct mb_ast_name *next;
    struct mb_ast_span at;
    uint32_t name;
};

enum mb_ast_stmt_kind {
    MB_STMT_LET,    /* names, is_tuple, type or NULL, value or NULL */
    MB_STMT_ASSIGN, /* target op value; op: the operator before `=`, or MB_TOK_ASSIGN */
    MB_STMT_EXPR,   /* value */
    MB_STMT_RETURN, /* value or NULL */
    MB_STMT_FOR,    /* names, target..value, body; value NULL: over a collection */
    MB_STMT_WHILE,  /* value, body; value NULL: `loop` */
    MB_STMT_PRINT,  /* args */
    MB_STMT_ASSERT, /* args */
    MB_STMT_JUMP,   /* break, continue */
    MB_STMT_OTHER,  /* parsed, outside the subset: nested functions */
};

struct mb_ast_stmt {
    struct mb_ast_stmt *next;
    struct mb_ast_span at;
    uint8_t kind;
    uint8_t op;
    bool is_tuple;
    struct mb_ast_name *names;
    struct mb_ast_type *type;
    struct mb_ast_expr *target, *value, *args;
    struct mb_ast_block *body;
};

/* ---- items ---- */

enum mb_ast_item_kind {
    MB_ITEM_FN,
    MB_ITEM_CONST,
    MB_ITEM_STRUCT,
    MB_ITEM_ALIAS,
    MB_ITEM_IMPORT,
    MB_ITEM_OTHER
};

struct mb_ast_param { /* of a function, or a field of a struct */
    struct mb_ast_param *next;
    struct mb_ast_span at; /* of the name */
    uint32_t name;
    struct mb_ast_type *type;
};

struct mb_ast_item {
    struct mb_ast_item *next;
    struct mb_ast_span at, name_at;
    uint8_t kind;
    bool is_pub, is_generic;
    bool is_busy;           /* the checker's: this const is being evaluated */
    struct mb_value *known; /* the checker's: the value of a scalar const, or NULL */
    uint32_t name;
    uint32_t n_params;
    struct mb_ast_param *params;
    struct mb_ast_type *type; /* result, of a const, of an alias; or NULL */
    struct mb_ast_expr *value;
    struct mb_ast_block *body; /* NULL: declared elsewhere */
};

struct mb_ast_file {
    struct mb_ast_item *items;
    struct mb_ast_block script; /* the top-level statements */
};

/* ---- parse.c ---- */

/* Parses a whole source. Errors are in `diags`; after one the tree is not to be used.
 * False when memory ran out. */
bool mb_parse(struct mb_lexer *lexer, struct mb_ast_file *file);

/* ---- ast_print.c ---- */
void mb_ast_print(const struct mb_ast_file *file, const struct mb_names *names, FILE *out);

#endif
