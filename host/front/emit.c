/* Nodes: from an operation and its operands, and from scalars that are known. */
#include "checker.h"
#include "vec.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static enum mb_dtype natural_dtype(struct mb_value v) {
    if (v.has_dtype) return (enum mb_dtype)v.dtype;
    if (v.kind == MB_VALUE_FLOAT) return MB_F32;
    if (v.kind == MB_VALUE_BOOL) return MB_BOOL;
    return v.u.integer >= INT32_MIN && v.u.integer <= INT32_MAX ? MB_I32 : MB_I64;
}

static bool reserve_node(struct mb_check *c) {
    if (c->n_nodes < c->node_cap && c->n_nodes < c->tag_cap) return true;
    uint64_t want = (uint64_t)c->n_nodes + 1;
    struct mb_node *nodes = mb_vec_room(c->nodes, &c->node_cap, c->n_nodes, want, sizeof *nodes);
    if (nodes) c->nodes = nodes;
    uint8_t *tags = mb_vec_room(c->tags, &c->tag_cap, c->n_nodes, want, sizeof *tags);
    if (tags) c->tags = tags;
    if (nodes && tags) return true;
    c->failed = c->stop = true;
    return false;
}

/* The message of a shape rule, with the code that the written form of the operation has. */
static struct mb_value refuse(struct mb_check *c, struct mb_ast_span at,
                              const struct mb_shape_error *why) {
    const char *code = why->code;
    bool dotted = c->spelling >= MB_TOK_DOT_STAR && c->spelling <= MB_TOK_DOT_MINUS;
    if (c->spelling == MB_TOK_AT && strcmp(code, "E2103") == 0) code = "shape::matmul_mismatch";
    if (dotted && strcmp(code, "E2101") == 0) code = "shape::broadcast_mismatch";
    struct mb_diag_record *r = mb_check_error(c, at, code, why->spec_code, "%s", why->text);
    if (c->hint) mb_diags_help(c->diags, r, "%s", c->hint);
    return mb_bad();
}

struct mb_value mb_emit(struct mb_check *c, enum mb_op op, const uint32_t *operands,
                        const union mb_attr *attr, const struct mb_type *given,
                        struct mb_ast_span at) {
    struct mb_shape_error why; /* filled on failure; clearing it would be most of the work */
    const struct mb_type *types[MB_MAX_OPERANDS] = {NULL};
    size_t bytes;
    if (!reserve_node(c)) return mb_bad();
    struct mb_node *n = &c->nodes[c->n_nodes];
    n->op = op;
    n->n_operands = mb_op_info(op)->n_operands;
    n->id = c->n_nodes;
    uint8_t tag = MB_TAG_NONE;
    for (uint32_t k = 0; k < n->n_operands; k++) {
        n->operand[k] = operands[k];
        types[k] = &c->nodes[operands[k]].type;
        if (c->tags[operands[k]] != MB_TAG_NONE) tag = c->tags[operands[k]];
    }
    if (attr) n->attr = *attr;
    if (!mb_op_infer(op, types, &n->attr, given, c->symbols, &n->type, &why))
        return refuse(c, at, &why);
    if (mb_shape_is_concrete(&n->type.shape) && !mb_type_bytes(&n->type, &bytes)) {
        char text[160];
        mb_check_error(c, at, "E2102", NULL, "%s: the result %s is too large", mb_op_info(op)->name,
                       mb_type_text(text, sizeof text, &n->type, NULL));
        return mb_bad();
    }
    /* add and mul print their operands by ascending id, as the MIND compiler orders them */
    if ((op == MB_OP_ADD || op == MB_OP_MUL) && n->operand[0] > n->operand[1]) {
        uint32_t first = n->operand[0];
        n->operand[0] = n->operand[1];
        n->operand[1] = first;
    }
    enum mb_attr_kind kind = mb_op_info(op)->attr;
    bool keeps_tag = (kind == MB_ATTR_NONE && op != MB_OP_MATMUL) || kind == MB_ATTR_DTYPE;
    if (op == MB_OP_CONV2D)
        tag = attr->conv.layout == MB_NCHW ? MB_TAG_NCHW : MB_TAG_NHWC;
    else if (op == MB_OP_MAXPOOL2D || op == MB_OP_AVGPOOL2D)
        tag = attr->pool.layout == MB_NCHW ? MB_TAG_NCHW : MB_TAG_NHWC;
    else if (!keeps_tag)
        tag = MB_TAG_NONE;
    c->tags[c->n_nodes] = tag;
    return (struct mb_value){.kind = MB_VALUE_TENSOR, .u.node = c->n_nodes++};
}

struct mb_value mb_emit_reshape(struct mb_check *c, uint32_t x, const struct mb_shape *shape,
                                struct mb_ast_span at) {
    union mb_attr attr = {.shape = {*shape}};
    return mb_emit(c, MB_OP_RESHAPE, &x, &attr, NULL, at);
}

struct mb_value mb_emit_cast(struct mb_check *c, uint32_t x, enum mb_dtype dtype,
                             struct mb_ast_span at) {
    union mb_attr attr = {.dtype = {dtype}};
    if (c->nodes[x].type.dtype != dtype) return mb_emit(c, MB_OP_CAST, &x, &attr, NULL, at);
    return (struct mb_value){.kind = MB_VALUE_TENSOR, .u.node = x};
}

/* Stores a scalar as one element of `dtype`; reported when it has no such value. */
bool mb_store_scalar(struct mb_check *c, struct mb_value v, enum mb_dtype dtype, void *out,
                     size_t index, struct mb_ast_span at) {
    bool to_float = dtype == MB_F32 || dtype == MB_F64;
    bool fits = v.kind == MB_VALUE_BOOL    ? dtype == MB_BOOL
                : v.kind == MB_VALUE_FLOAT ? to_float
                                           : mb_is_number(v) && dtype != MB_BOOL;
    if (!fits) {
        mb_check_error(c, at, "E2001", "E2004", "%s is no value of element type %s",
                       mb_value_kind_text(v), mb_dtype_name(dtype));
        return false;
    }
    int64_t i = v.kind == MB_VALUE_DIM ? 1 : v.u.integer;
    double number = v.kind == MB_VALUE_FLOAT ? v.u.number : (double)i;
    if (dtype == MB_I32 && (i < INT32_MIN || i > INT32_MAX)) {
        mb_check_error(c, at, "E2004", NULL, "integer %" PRId64 " does not fit i32", i);
        return false;
    }
    if (dtype == MB_F32 && isfinite(number) && fabs(number) > (double)3.4028235677973366e38) {
        mb_check_error(c, at, "E2004", NULL, "%g does not fit f32", number);
        return false;
    }
    switch (dtype) {
    case MB_F32: ((float *)out)[index] = (float)number; break;
    case MB_F64: ((double *)out)[index] = number; break;
    case MB_I32: ((int32_t *)out)[index] = (int32_t)i; break;
    case MB_I64: ((int64_t *)out)[index] = i; break;
    case MB_BOOL: ((uint8_t *)out)[index] = (uint8_t)(i != 0); break;
    }
    return true;
}

struct mb_value mb_emit_fill(struct mb_check *c, struct mb_value v, const struct mb_type *type,
                             struct mb_ast_span at) {
    union {
        float f32;
        double f64;
        int32_t i32;
        int64_t i64;
        uint8_t truth;
    } element;
    union mb_attr attr = {.fill = {0.0}};
    if (!mb_store_scalar(c, v, type->dtype, &element, 0, at)) return mb_bad();
    switch (type->dtype) {
    case MB_F32: attr.fill.value = (double)element.f32; break;
    case MB_F64: attr.fill.value = element.f64; break;
    case MB_I32: attr.fill.value = element.i32; break;
    case MB_BOOL: attr.fill.value = element.truth; break;
    case MB_I64:
        attr.fill.value = (double)element.i64;
        if (element.i64 > (int64_t)1 << 53 || element.i64 < -((int64_t)1 << 53)) {
            mb_check_error(c, at, "E2004", NULL,
                           "integer %" PRId64 " is too large for a constant tensor", element.i64);
            return mb_bad();
        }
        break;
    }
    return mb_emit(c, MB_OP_FILL, NULL, &attr, type, at);
}

bool mb_value_tensor(struct mb_check *c, struct mb_value v, struct mb_ast_span at,
                     const enum mb_dtype *dtype, uint32_t *node) {
    if (mb_is_scalar(v)) {
        struct mb_type type = {dtype ? *dtype : natural_dtype(v), {.rank = 0}};
        v = mb_emit_fill(c, v, &type, at);
    }
    if (v.kind == MB_VALUE_TENSOR) {
        *node = v.u.node;
        return true;
    }
    if (v.kind != MB_VALUE_BAD)
        mb_check_error(c, at, "E2001", NULL, "expected a tensor, not %s", mb_value_kind_text(v));
    return false;
}

bool mb_check_tensor(struct mb_check *c, const struct mb_ast_expr *e, const enum mb_dtype *dtype,
                     uint32_t *node) {
    return mb_value_tensor(c, mb_check_expr(c, e, dtype), e->at, dtype, node);
}

/* A bias along the channels of an image in NCHW, by a rule of its own: as if it were (1,C,1,1). */
static struct mb_value along_channels(struct mb_check *c, uint32_t image, uint32_t bias,
                                      struct mb_ast_span at) {
    char text[96];
    const struct mb_shape channels = {4, {1, c->nodes[bias].type.shape.dim[0], 1, 1}};
    struct mb_diag_record *r = mb_check_warning(
        c, at, "shape::channel_bias", "a rank-1 operand is added along the channels of %s",
        mb_shape_text(text, sizeof text, &c->nodes[image].type.shape, c->symbols));
    mb_diags_help(c->diags, r, "write reshape(.., [1, C, 1, 1]) to say so");
    return mb_emit_reshape(c, bias, &channels, at);
}

static bool is_channel_bias(const struct mb_check *c, uint32_t image, uint32_t bias) {
    const struct mb_shape *wide = &c->nodes[image].type.shape, *flat = &c->nodes[bias].type.shape;
    return !c->source->strict && c->tags[image] == MB_TAG_NCHW && wide->rank == 4 &&
           flat->rank == 1 && flat->dim[0] == wide->dim[1];
}

/* The reduction, its axes gone, that a value is computed from element by element; MB_NO_INDEX when
 * there is none. */
static uint32_t reduction_behind(struct mb_check *c, uint32_t i, struct mb_ast_span at) {
    while (mb_check_spend(c, 1, at)) {
        const struct mb_node *n = &c->nodes[i];
        const enum mb_attr_kind kind = mb_op_info(n->op)->attr;
        const bool each = n->n_operands > 0 && n->op != MB_OP_MATMUL &&
                          (kind == MB_ATTR_NONE || kind == MB_ATTR_DTYPE);
        uint32_t from = MB_NO_INDEX;
        if (kind == MB_ATTR_REDUCE) return n->attr.reduce.keepdims ? MB_NO_INDEX : i;
        for (uint32_t k = 0; each && k < n->n_operands && from == MB_NO_INDEX; k++)
            if (mb_shape_equal(&c->nodes[n->operand[k]].type.shape, &n->type.shape))
                from = n->operand[k];
        if (from == MB_NO_INDEX) break;
        i = from;
    }
    return MB_NO_INDEX;
}

/* Whether `flat` lacks exactly the axes that were reduced out of a tensor of the shape of `wide`;
 * `kept` gets its shape as if keepdims had been written. */
static bool lacks_reduced_axes(struct mb_check *c, uint32_t wide, uint32_t flat,
                               struct mb_ast_span at, struct mb_shape *kept) {
    const uint32_t reduction = reduction_behind(c, flat, at);
    if (reduction == MB_NO_INDEX) return false;
    const struct mb_node *r = &c->nodes[reduction];
    *kept = c->nodes[r->operand[0]].type.shape;
    if (!mb_shape_equal(kept, &c->nodes[wide].type.shape)) return false;
    for (int32_t k = 0; k < kept->rank; k++)
        if (r->attr.reduce.axes >> k & 1) kept->dim[k] = 1;
    return true;
}

/* `x - mean(x, 2)` as `x - mean(x, 2, keepdims=true)`. */
static struct mb_value with_reduced_axes(struct mb_check *c, uint32_t flat,
                                         const struct mb_shape *kept, struct mb_ast_span at) {
    char text[96];
    struct mb_diag_record *r =
        mb_check_warning(c, at, "shape::reduced_operand", "the reduced axes are kept, as %s",
                         mb_shape_text(text, sizeof text, kept, c->symbols));
    mb_diags_help(c->diags, r, "write keepdims=true in the reduction to say so");
    return mb_emit_reshape(c, flat, kept, at);
}

struct mb_value mb_emit_binary(struct mb_check *c, enum mb_op op, uint32_t a, uint32_t b,
                               struct mb_ast_span at) {
    const struct mb_shape *of_a = &c->nodes[a].type.shape, *of_b = &c->nodes[b].type.shape;
    struct mb_shape shape;
    if (op != MB_OP_MATMUL && of_a->rank != of_b->rank && !mb_shape_broadcast(of_a, of_b, &shape)) {
        const uint32_t wide = of_a->rank > of_b->rank ? a : b, flat = wide == a ? b : a;
        struct mb_value v = {.kind = MB_VALUE_NONE};
        if (is_channel_bias(c, wide, flat)) {
            v = along_channels(c, wide, flat, at);
        } else if (lacks_reduced_axes(c, wide, flat, at, &shape)) {
            if (c->source->lenient)
                v = with_reduced_axes(c, flat, &shape, at);
            else
                c->hint = "write keepdims=true in the reduction, or take --lenient";
        }
        if (v.kind == MB_VALUE_BAD) return v;
        if (v.kind == MB_VALUE_TENSOR) *(flat == a ? &a : &b) = v.u.node;
    }
    struct mb_value v = mb_emit(c, op, (uint32_t[]){a, b}, NULL, NULL, at);
    c->hint = NULL;
    return v;
}
