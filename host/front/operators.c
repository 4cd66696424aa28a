/* Unary and binary operators: on tensors they are nodes, on known scalars they are computed now. */
#include "checker.h"

#include <inttypes.h>
#include <math.h>

static enum mb_op tensor_op(uint8_t op) {
    switch (op) {
    case MB_TOK_PLUS:
    case MB_TOK_DOT_PLUS: return MB_OP_ADD;
    case MB_TOK_MINUS:
    case MB_TOK_DOT_MINUS: return MB_OP_SUB;
    case MB_TOK_STAR:
    case MB_TOK_DOT_STAR: return MB_OP_MUL;
    case MB_TOK_SLASH:
    case MB_TOK_DOT_SLASH: return MB_OP_DIV;
    case MB_TOK_AT: return MB_OP_MATMUL;
    case MB_TOK_PERCENT: return MB_OP_MOD;
    case MB_TOK_LT: return MB_OP_LT;
    case MB_TOK_LE: return MB_OP_LE;
    case MB_TOK_GT: return MB_OP_GT;
    case MB_TOK_GE: return MB_OP_GE;
    case MB_TOK_EQ: return MB_OP_EQ;
    case MB_TOK_NE: return MB_OP_NE;
    case MB_TOK_AND_AND:
    case MB_TOK_AND: return MB_OP_AND;
    case MB_TOK_OR_OR:
    case MB_TOK_OR: return MB_OP_OR;
    default: return MB_OP_COUNT;
    }
}

struct mb_value mb_no_operator(struct mb_check *c, uint8_t op, struct mb_value v,
                               struct mb_ast_span at) {
    mb_check_error(c, at, "E2001", "E2004", "`%s` is not defined for %s", mb_token_kind_text(op),
                   mb_value_kind_text(v));
    return mb_bad();
}

static struct mb_value fold_ints(struct mb_check *c, uint8_t op, int64_t a, int64_t b,
                                 struct mb_ast_span at) {
    int64_t r = 0;
    bool overflow = false;
    switch (op) {
    case MB_TOK_PLUS: overflow = __builtin_add_overflow(a, b, &r); break;
    case MB_TOK_MINUS: overflow = __builtin_sub_overflow(a, b, &r); break;
    case MB_TOK_STAR: overflow = __builtin_mul_overflow(a, b, &r); break;
    case MB_TOK_SLASH:
    case MB_TOK_PERCENT:
        if (b == 0) return mb_check_refuse(c, at, "E2001", "division by zero");
        overflow = b == -1 && a == INT64_MIN;
        if (!overflow) r = op == MB_TOK_SLASH ? a / b : a % b;
        break;
    case MB_TOK_AND: r = a & b; break;
    case MB_TOK_OR: r = a | b; break;
    case MB_TOK_XOR: r = a ^ b; break;
    case MB_TOK_SHL:
    case MB_TOK_SHR:
        if (b < 0 || b > 63) return mb_check_refuse(c, at, "E2001", "shift outside 0..63");
        r = op == MB_TOK_SHL ? (int64_t)((uint64_t)a << b) : a >> b;
        break;
    case MB_TOK_EQ: return mb_bool_value(a == b);
    case MB_TOK_NE: return mb_bool_value(a != b);
    case MB_TOK_LT: return mb_bool_value(a < b);
    case MB_TOK_LE: return mb_bool_value(a <= b);
    case MB_TOK_GT: return mb_bool_value(a > b);
    case MB_TOK_GE: return mb_bool_value(a >= b);
    default: return mb_no_operator(c, op, mb_int_value(a), at);
    }
    if (overflow) return mb_check_refuse(c, at, "E2001", "integer overflow");
    return mb_int_value(r);
}

static struct mb_value fold_floats(struct mb_check *c, uint8_t op, double a, double b,
                                   struct mb_ast_span at) {
    struct mb_value r = {.kind = MB_VALUE_FLOAT};
    switch (op) {
    case MB_TOK_PLUS: r.u.number = a + b; break;
    case MB_TOK_MINUS: r.u.number = a - b; break;
    case MB_TOK_STAR: r.u.number = a * b; break;
    case MB_TOK_SLASH: r.u.number = a / b; break;
    case MB_TOK_PERCENT: r.u.number = fmod(a, b); break;
    case MB_TOK_EQ: return mb_bool_value(a == b);
    case MB_TOK_NE: return mb_bool_value(a != b);
    case MB_TOK_LT: return mb_bool_value(a < b);
    case MB_TOK_LE: return mb_bool_value(a <= b);
    case MB_TOK_GT: return mb_bool_value(a > b);
    case MB_TOK_GE: return mb_bool_value(a >= b);
    default: r.u.number = 0.0; return mb_no_operator(c, op, r, at);
    }
    return r;
}

static struct mb_value fold_bools(struct mb_check *c, uint8_t op, bool a, bool b,
                                  struct mb_ast_span at) {
    switch (op) {
    case MB_TOK_AND_AND:
    case MB_TOK_AND: return mb_bool_value(a && b);
    case MB_TOK_OR_OR:
    case MB_TOK_OR: return mb_bool_value(a || b);
    case MB_TOK_XOR:
    case MB_TOK_NE: return mb_bool_value(a != b);
    case MB_TOK_EQ: return mb_bool_value(a == b);
    default: return mb_no_operator(c, op, mb_bool_value(a), at);
    }
}

/* Dotted operators on scalars are the plain ones. */
static uint8_t plain_operator(uint8_t op) {
    switch (op) {
    case MB_TOK_DOT_PLUS: return MB_TOK_PLUS;
    case MB_TOK_DOT_MINUS: return MB_TOK_MINUS;
    case MB_TOK_DOT_STAR: return MB_TOK_STAR;
    case MB_TOK_DOT_SLASH: return MB_TOK_SLASH;
    default: return op;
    }
}

static struct mb_value fold(struct mb_check *c, uint8_t op, struct mb_value a, struct mb_value b,
                            struct mb_ast_span at) {
    struct mb_value r;
    op = plain_operator(op);
    if (a.kind == MB_VALUE_BOOL && b.kind == MB_VALUE_BOOL) {
        r = fold_bools(c, op, a.u.integer, b.u.integer, at);
    } else if (a.kind == MB_VALUE_FLOAT && b.kind == MB_VALUE_FLOAT) {
        r = fold_floats(c, op, a.u.number, b.u.number, at);
    } else if (a.kind == MB_VALUE_INT && b.kind == MB_VALUE_INT) {
        r = fold_ints(c, op, a.u.integer, b.u.integer, at);
    } else if (a.kind == MB_VALUE_BOOL || b.kind == MB_VALUE_BOOL) {
        return mb_no_operator(c, op, a.kind == MB_VALUE_BOOL ? b : a, at);
    } else if (a.kind == MB_VALUE_FLOAT || b.kind == MB_VALUE_FLOAT) {
        return mb_check_refuse(c, at, "E2013", "an integer and a floating-point scalar do not mix");
    } else { /* an extent that is not bound yet */
        bool compares = op >= MB_TOK_EQ && op <= MB_TOK_GE;
        return compares ? mb_bad() : mb_extent_value(MB_DIM_UNKNOWN);
    }
    if (a.has_dtype || b.has_dtype) {
        r.has_dtype = r.kind == a.kind;
        r.dtype = a.has_dtype ? a.dtype : b.dtype;
    }
    return r;
}

/* lhs op rhs, whose values are at hand. */
struct mb_value mb_binary(struct mb_check *c, uint8_t op, struct mb_value a, struct mb_value b,
                          const struct mb_ast_expr *lhs, const struct mb_ast_expr *rhs) {
    struct mb_ast_span at = {lhs->at.pos, rhs->at.end};
    if (a.kind == MB_VALUE_BAD || b.kind == MB_VALUE_BAD) return mb_bad();
    if (mb_is_scalar(a) && mb_is_scalar(b)) return fold(c, op, a, b, at);
    if (a.kind != MB_VALUE_TENSOR && !mb_is_scalar(a)) return mb_no_operator(c, op, a, at);
    if (b.kind != MB_VALUE_TENSOR && !mb_is_scalar(b)) return mb_no_operator(c, op, b, at);
    enum mb_op node_op = tensor_op(op);
    if (node_op == MB_OP_COUNT)
        return mb_check_outside(c, at, "E2001", "`%s` on tensors is outside the inference subset",
                                mb_token_kind_text(op));
    enum mb_dtype dtype = c->nodes[a.kind == MB_VALUE_TENSOR ? a.u.node : b.u.node].type.dtype;
    uint32_t x, y;
    if (!mb_value_tensor(c, a, lhs->at, &dtype, &x) || !mb_value_tensor(c, b, rhs->at, &dtype, &y))
        return mb_bad();
    c->spelling = op;
    struct mb_value v = mb_emit_binary(c, node_op, x, y, at);
    c->spelling = MB_TOK_END;
    return v;
}

/* The element type of a tensor, for a bracket list beside it. */
const enum mb_dtype *mb_dtype_of(const struct mb_check *c, struct mb_value v, enum mb_dtype *room) {
    if (v.kind != MB_VALUE_TENSOR) return NULL;
    *room = c->nodes[v.u.node].type.dtype;
    return room;
}

static struct mb_value apply(struct mb_check *c, const struct mb_ast_expr *e, struct mb_value lhs) {
    enum mb_dtype room;
    struct mb_value rhs = mb_check_expr(c, e->u.of.rhs, mb_dtype_of(c, lhs, &room));
    return mb_binary(c, e->op, lhs, rhs, e->u.of.lhs, e->u.of.rhs);
}

/* A chain of operators leans left and may be long: it is walked down once and computed upwards. */
struct mb_value mb_check_binary(struct mb_check *c, const struct mb_ast_expr *e,
                                const enum mb_dtype *dtype) {
    const struct mb_ast_expr *deepest = e->u.of.lhs;
    uint32_t n = 1;
    for (; deepest->kind == MB_EXPR_BINARY; deepest = deepest->u.of.lhs) n++;
    struct mb_value v;
    enum mb_dtype room;
    if (n == 1) {
        if (deepest->kind != MB_EXPR_LIST || e->u.of.rhs->kind == MB_EXPR_LIST)
            return apply(c, e, mb_check_expr(c, deepest, dtype));
        struct mb_value rhs = mb_check_expr(c, e->u.of.rhs, dtype);
        v = mb_check_expr(c, deepest, mb_dtype_of(c, rhs, &room));
        return mb_binary(c, e->op, v, rhs, deepest, e->u.of.rhs);
    }
    const struct mb_ast_expr **chain = mb_arena_alloc(c->arena, n * sizeof(void *));
    if (!chain) {
        c->failed = c->stop = true;
        return mb_bad();
    }
    for (uint32_t i = n; i; e = e->u.of.lhs) chain[--i] = e;
    v = mb_check_expr(c, deepest, dtype);
    for (uint32_t i = 0; i < n && !c->stop; i++) v = apply(c, chain[i], v);
    return v;
}

struct mb_value mb_check_unary(struct mb_check *c, const struct mb_ast_expr *e,
                               const enum mb_dtype *dtype) {
    struct mb_value v = mb_check_expr(c, e->u.of.lhs, dtype);
    if (v.kind == MB_VALUE_BAD) return v;
    if (e->op == MB_TOK_NOT && v.kind == MB_VALUE_BOOL) {
        v.u.integer = !v.u.integer;
        return v;
    }
    if (e->op == MB_TOK_TILDE && v.kind == MB_VALUE_INT) {
        v.u.integer = ~v.u.integer;
        return v;
    }
    if (e->op == MB_TOK_NOT && v.kind == MB_VALUE_TENSOR)
        return mb_emit(c, MB_OP_NOT, &v.u.node, NULL, NULL, e->at);
    if (e->op == MB_TOK_MINUS) {
        if (v.kind == MB_VALUE_TENSOR) return mb_emit(c, MB_OP_NEG, &v.u.node, NULL, NULL, e->at);
        if (v.kind == MB_VALUE_DIM) return mb_extent_value(MB_DIM_UNKNOWN);
        if (v.kind == MB_VALUE_FLOAT) {
            v.u.number = -v.u.number;
            return v;
        }
        if (v.kind == MB_VALUE_INT) {
            v.u.integer = (int64_t)(0 - (uint64_t)v.u.integer);
            return v;
        }
    } else if (v.kind == MB_VALUE_TENSOR) {
        return mb_check_outside(c, e->at, "E2001",
                                "`%s` on tensors is outside the inference subset",
                                mb_token_kind_text(e->op));
    }
    return mb_no_operator(c, e->op, v, e->at);
}
