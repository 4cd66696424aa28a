/* Parts of tensors and tensors of parts: `x[..]`, index, slice, gather, concat and stack. */
#include "checker.h"

#include <inttypes.h>

enum { MAX_PIECES = 4096 };

static const struct mb_type *type_of(const struct mb_check *c, uint32_t node) {
    return &c->nodes[node].type;
}

struct mb_value mb_emit_slice(struct mb_check *c, uint32_t x, const struct mb_attr_slice *slice,
                              struct mb_ast_span at) {
    union mb_attr attr = {.slice = *slice};
    const bool whole = slice->start == 0 && slice->step == 1 &&
                       slice->extent == type_of(c, x)->shape.dim[slice->axis];
    if (whole) return (struct mb_value){.kind = MB_VALUE_TENSOR, .u.node = x};
    return mb_emit(c, MB_OP_SLICE, &x, &attr, NULL, at);
}

struct mb_value mb_emit_take_one(struct mb_check *c, uint32_t x, int32_t axis, int64_t i,
                                 const char *code, struct mb_ast_span at) {
    struct mb_shape shape = {.rank = 0};
    const struct mb_shape from = type_of(c, x)->shape;
    const struct mb_attr_slice one = {axis, i, 1, 1};
    if (i < 0 || (from.dim[axis] >= 0 && i >= from.dim[axis])) {
        char a[96];
        mb_check_error(c, at, code, NULL, "index %" PRId64 " is out of range for axis %d of %s", i,
                       axis, mb_shape_text(a, sizeof a, &from, c->symbols));
        return mb_bad();
    }
    struct mb_value v = mb_emit_slice(c, x, &one, at);
    for (int32_t k = 0; k < from.rank; k++)
        if (k != axis) shape.dim[shape.rank++] = from.dim[k];
    return v.kind == MB_VALUE_TENSOR ? mb_emit_reshape(c, v.u.node, &shape, at) : v;
}

/* start..end of an axis by `step` >= 1. */
struct mb_value mb_emit_span(struct mb_check *c, uint32_t x, int32_t axis, int64_t start,
                             int64_t end, int64_t step, const char *code, struct mb_ast_span at) {
    const struct mb_shape shape = type_of(c, x)->shape;
    if (step < 1) return mb_check_refuse(c, at, "E2001", "the step of a slice must be at least 1");
    if (start < 0 || end < start || (shape.dim[axis] >= 0 && end > shape.dim[axis])) {
        char a[96];
        mb_check_error(c, at, code, NULL,
                       "%" PRId64 "..%" PRId64 " is out of range for axis %d of %s", start, end,
                       axis, mb_shape_text(a, sizeof a, &shape, c->symbols));
        return mb_bad();
    }
    const struct mb_attr_slice slice = {axis, start, step,
                                        end == start ? 0 : (end - start - 1) / step + 1};
    return mb_emit_slice(c, x, &slice, at);
}

struct mb_value mb_emit_gather(struct mb_check *c, uint32_t x, uint32_t indices, int32_t axis,
                               int32_t batch, struct mb_ast_span at) {
    union mb_attr attr = {.gather = {axis, batch}};
    return mb_emit(c, MB_OP_GATHER, (uint32_t[]){x, indices}, &attr, NULL, at);
}

/* ---- x[..] ---- */

/* One subscript at `axis`, which moves on past the axes that it leaves. */
static struct mb_value subscript(struct mb_check *c, uint32_t x, const struct mb_ast_expr *e,
                                 int32_t *axis) {
    if (*axis >= type_of(c, x)->shape.rank) {
        char a[96];
        mb_check_error(c, e->at, "E2102", "E3002", "more subscripts than axes left: %s",
                       mb_shape_text(a, sizeof a, &type_of(c, x)->shape, c->symbols));
        return mb_bad();
    }
    if (e->kind == MB_EXPR_RANGE) {
        int64_t start, end;
        if (!mb_check_int(c, e->u.of.lhs, "the start of a slice", &start) ||
            !mb_check_int(c, e->u.of.rhs, "the end of a slice", &end))
            return mb_bad();
        return mb_emit_span(c, x, (*axis)++, start, end, 1, "E2621", e->at);
    }
    struct mb_value v = mb_check_expr(c, e, NULL);
    if (v.kind == MB_VALUE_INT) return mb_emit_take_one(c, x, *axis, v.u.integer, "E2621", e->at);
    if (v.kind == MB_VALUE_BAD || v.kind == MB_VALUE_DIM) return mb_bad();
    if (v.kind != MB_VALUE_TENSOR) {
        mb_check_error(c, e->at, "E2001", NULL, "a subscript must be an integer, not %s",
                       mb_value_kind_text(v));
        return mb_bad();
    }
    const int32_t at = *axis;
    *axis += type_of(c, v.u.node)->shape.rank;
    return mb_emit_gather(c, x, v.u.node, at, 0, e->at);
}

struct mb_value mb_check_subscripts(struct mb_check *c, const struct mb_ast_expr *e) {
    struct mb_value v = mb_check_expr(c, e->u.call.base, NULL);
    int32_t axis = 0;
    if (v.kind != MB_VALUE_TENSOR && v.kind != MB_VALUE_BAD) {
        mb_check_error(c, e->at, "E2001", NULL, "%s has no subscripts", mb_value_kind_text(v));
        return mb_bad();
    }
    for (const struct mb_ast_expr *a = e->u.call.args; a && v.kind == MB_VALUE_TENSOR; a = a->next)
        v = subscript(c, v.u.node, a, &axis);
    return v;
}

/* ---- tensors of parts ---- */

/* Neighbours in pairs, then the pairs: each element moves about log2(n) times. */
static struct mb_value concat_all(struct mb_check *c, uint32_t *nodes, uint32_t n, int32_t axis,
                                  struct mb_ast_span at) {
    union mb_attr attr = {.axis = {axis}};
    for (; n > 1; n = (n + 1) / 2)
        for (uint32_t i = 0; i < n; i += 2) {
            nodes[i / 2] = nodes[i];
            if (i + 1 == n) continue;
            struct mb_value v = mb_emit(c, MB_OP_CONCAT, nodes + i, &attr, NULL, at);
            if (v.kind != MB_VALUE_TENSOR) return v;
            nodes[i / 2] = v.u.node;
        }
    return (struct mb_value){.kind = MB_VALUE_TENSOR, .u.node = nodes[0]};
}

/* The tensors of a list, a tuple, or a value that is a tuple; their number in *n. NULL: reported.
 */
static uint32_t *pieces_of(struct mb_check *c, const struct mb_ast_expr *e, uint32_t *n) {
    const bool listed = e->kind == MB_EXPR_LIST || e->kind == MB_EXPR_TUPLE;
    struct mb_value v = listed ? mb_bad() : mb_check_expr(c, e, NULL);
    if (!listed && v.kind != MB_VALUE_TUPLE) {
        if (v.kind != MB_VALUE_BAD)
            mb_check_error(c, e->at, "E2001", NULL, "expected a list of tensors, not %s",
                           mb_value_kind_text(v));
        return NULL;
    }
    *n = listed ? e->u.call.n_args : v.u.tuple->n;
    if (*n == 0 || *n > MAX_PIECES) {
        mb_check_error(c, e->at, "E2102", "E3002", "a list of 1 to %d tensors is needed",
                       MAX_PIECES);
        return NULL;
    }
    uint32_t *nodes = mb_arena_calloc(c->arena, *n, sizeof *nodes), i = 0;
    if (!nodes) {
        c->failed = c->stop = true;
        return NULL;
    }
    const struct mb_ast_expr *a = listed ? e->u.call.args : NULL;
    for (; i < *n; i++, a = a ? a->next : NULL) {
        const enum mb_dtype *dtype = i ? &type_of(c, nodes[0])->dtype : NULL;
        enum mb_dtype first = dtype ? *dtype : MB_F32;
        struct mb_value piece = a ? mb_check_expr(c, a, dtype ? &first : NULL) : v.u.tuple->item[i];
        if (!mb_value_tensor(c, piece, a ? a->at : e->at, dtype ? &first : NULL, &nodes[i]))
            return NULL;
    }
    return nodes;
}

static bool axis_of(struct mb_check *c, const struct mb_call *call, int32_t rank, int32_t *axis) {
    int64_t given = 0;
    const struct mb_ast_expr *e = call->arg[1];
    if (e && !mb_check_int(c, e, "the axis", &given)) return false;
    if (given >= -rank && given < rank) {
        *axis = (int32_t)(given < 0 ? given + rank : given);
        return true;
    }
    mb_check_error(c, e ? e->at : call->expr->at, "E2102", "E3004",
                   "axis %" PRId64 " out of range for rank %" PRId32, given, rank);
    return false;
}

struct mb_value mb_lower_concat(struct mb_check *c, const struct mb_call *call) {
    uint32_t n;
    int32_t axis;
    uint32_t *nodes = pieces_of(c, call->arg[0], &n);
    if (!nodes || !axis_of(c, call, type_of(c, nodes[0])->shape.rank, &axis)) return mb_bad();
    return concat_all(c, nodes, n, axis, call->expr->at);
}

struct mb_value mb_lower_stack(struct mb_check *c, const struct mb_call *call) {
    uint32_t n;
    int32_t axis;
    uint32_t *nodes = pieces_of(c, call->arg[0], &n);
    if (!nodes || !axis_of(c, call, type_of(c, nodes[0])->shape.rank + 1, &axis)) return mb_bad();
    const struct mb_shape from = type_of(c, nodes[0])->shape;
    if (from.rank == MB_MAX_RANK)
        return mb_check_refuse(c, call->expr->at, "E2102", "stack: the rank grows too large");
    for (uint32_t i = 0; i < n; i++) {
        const struct mb_shape own = type_of(c, nodes[i])->shape;
        struct mb_shape shape = {.rank = own.rank + 1};
        if (own.rank != from.rank)
            return mb_check_refuse(c, call->expr->at, "E2102", "stack: the tensors differ in rank");
        for (int32_t k = 0; k <= own.rank; k++)
            shape.dim[k] = k == axis ? 1 : own.dim[k < axis ? k : k - 1];
        struct mb_value v = mb_emit_reshape(c, nodes[i], &shape, call->expr->at);
        if (v.kind != MB_VALUE_TENSOR) return v;
        nodes[i] = v.u.node;
    }
    return concat_all(c, nodes, n, axis, call->expr->at);
}
