/* The built-in functions: one lowering for each kind. */
#include "checker.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

struct builtin {
    const char *name;
    enum mb_op op;
    struct mb_value (*lower)(struct mb_check *c, const struct mb_call *call);
};
enum {
#define BUILTIN(name, lowering, op, signature) BUILTIN_##name,
#include "builtins.def"
    N_BUILTINS
};
static const struct builtin builtins[N_BUILTINS]; /* at the end of this file */

static enum mb_op op_of(const struct mb_call *call) { return builtins[call->builtin].op; }

/* ---- arguments ---- */

/* True for what stands for a list of integers: `[..]`, `(..)`. */
static bool is_sequence(const struct mb_ast_expr *e) {
    return e->kind == MB_EXPR_LIST || e->kind == MB_EXPR_TUPLE;
}

static struct mb_value refuse_argument(struct mb_check *c, const struct mb_ast_expr *e,
                                       const char *code, const char *what) {
    mb_check_error(c, e->at, code, NULL, "%s", what);
    return mb_bad();
}

/* One to `max` integers from a list, a tuple or a single integer. */
static bool int_list(struct mb_check *c, const struct mb_ast_expr *e, const char *what, int max,
                     int64_t *out, int *n) {
    *n = 0;
    if (!is_sequence(e)) {
        *n = 1;
        return mb_check_int(c, e, what, out);
    }
    for (const struct mb_ast_expr *a = e->u.call.args; a; a = a->next) {
        if (*n == max) {
            mb_check_error(c, e->at, "E2102", "E3002", "%s: more than %d values", what, max);
            return false;
        }
        if (!mb_check_int(c, a, what, &out[(*n)++])) return false;
    }
    return true;
}

static bool bool_argument(struct mb_check *c, const struct mb_ast_expr *e, bool absent, bool *out) {
    *out = absent;
    if (!e) return true;
    struct mb_value v = mb_check_expr(c, e, NULL);
    *out = v.u.integer != 0;
    if (v.kind == MB_VALUE_BOOL) return true;
    if (v.kind != MB_VALUE_BAD)
        refuse_argument(c, e, "E2001", "this argument must be true or false");
    return false;
}

/* -rank <= axis < rank, as 0..rank-1. */
static bool normal_axis(struct mb_check *c, const struct mb_ast_expr *e, int64_t axis, int32_t rank,
                        int32_t *out) {
    if (axis < -rank || axis >= rank) {
        mb_check_error(c, e->at, "E2102", "E3004",
                       "axis %" PRId64 " out of range for rank %" PRId32, axis, rank);
        return false;
    }
    *out = (int32_t)(axis < 0 ? axis + rank : axis);
    return true;
}

/* The axes of a list or integer as bits; absent or empty: `absent`. */
static bool axis_set(struct mb_check *c, const struct mb_ast_expr *e, int32_t rank, uint32_t absent,
                     uint32_t *out) {
    int64_t axes[MB_MAX_RANK + 1];
    int n = 0;
    *out = 0;
    if (e && !int_list(c, e, "an axis", MB_MAX_RANK + 1, axes, &n)) return false;
    for (int i = 0; i < n; i++) {
        int32_t axis;
        if (!normal_axis(c, e, axes[i], rank, &axis)) return false;
        if (*out >> axis & 1) {
            mb_check_error(c, e->at, "E2102", "E3005", "axis %" PRId64 " is given twice", axes[i]);
            return false;
        }
        *out |= 1u << axis;
    }
    if (n == 0) *out = absent;
    return true;
}

/* ---- extents that are not written ---- */

enum { INFERRED_DIM = -1 };

/* The extent that -1 stands for: what is left of `from` when the other dimensions are divided out,
 * symbols against equal symbols. 0: does not divide. */
static int64_t infer_extent(const struct mb_shape *from, const struct mb_shape *to, int place) {
    struct mb_shape x = *from, y = *to;
    int64_t have = 1, need = 1;
    y.dim[place] = 1;
    for (int32_t i = 0; i < x.rank; i++)
        for (int32_t k = 0; k < y.rank; k++)
            if (x.dim[i] == y.dim[k] && x.dim[i] != 1 && x.dim[i] != MB_DIM_UNKNOWN) {
                x.dim[i] = y.dim[k] = 1;
                break;
            }
    int64_t symbol = 0;
    int n_symbols = 0;
    for (int32_t i = 0; i < x.rank; i++) {
        if (x.dim[i] >= 0) {
            if (__builtin_mul_overflow(have, x.dim[i], &have)) return 0;
        } else {
            symbol = x.dim[i];
            n_symbols++;
        }
    }
    for (int32_t k = 0; k < y.rank; k++) {
        if (y.dim[k] < 0) return MB_DIM_UNKNOWN;
        if (__builtin_mul_overflow(need, y.dim[k], &need)) return 0;
    }
    if (n_symbols) return n_symbols == 1 && have == need ? symbol : MB_DIM_UNKNOWN;
    return have % need ? 0 : have / need;
}

static struct mb_value flattened(struct mb_check *c, uint32_t x, struct mb_ast_span at) {
    struct mb_shape shape = {1, {INFERRED_DIM}};
    shape.dim[0] = infer_extent(&c->nodes[x].type.shape, &shape, 0);
    return mb_emit_reshape(c, x, &shape, at);
}

/* ---- elementwise ---- */

static struct mb_value lower_unary(struct mb_check *c, const struct mb_call *call) {
    uint32_t x;
    if (!mb_check_tensor(c, call->arg[0], NULL, &x)) return mb_bad();
    return mb_emit(c, op_of(call), &x, NULL, NULL, call->expr->at);
}

static struct mb_value lower_gelu(struct mb_check *c, const struct mb_call *call) {
    const struct mb_ast_expr *form = call->arg[1];
    if (form && !(form->kind == MB_EXPR_TEXT && form->u.text.len == 4 &&
                  memcmp(form->u.text.data, "none", 4) == 0))
        return mb_check_outside(c, form->at, "E2003", "gelu: only the erf form is supported");
    return lower_unary(c, call);
}

/* Two arguments as tensors; a scalar takes the element type of the tensor beside it. */
static bool tensor_pair(struct mb_check *c, const struct mb_ast_expr *const e[2],
                        uint32_t nodes[2]) {
    struct mb_value a = mb_check_expr(c, e[0], NULL);
    enum mb_dtype dtype = MB_F32;
    const enum mb_dtype *of_a = NULL;
    if (a.kind == MB_VALUE_TENSOR) {
        dtype = c->nodes[a.u.node].type.dtype;
        of_a = &dtype;
    }
    struct mb_value b = mb_check_expr(c, e[1], of_a);
    if (!of_a && b.kind == MB_VALUE_TENSOR) {
        dtype = c->nodes[b.u.node].type.dtype;
        of_a = &dtype;
    }
    return mb_value_tensor(c, a, e[0]->at, of_a, &nodes[0]) &&
           mb_value_tensor(c, b, e[1]->at, of_a, &nodes[1]);
}

static struct mb_value lower_binary(struct mb_check *c, const struct mb_call *call) {
    uint32_t nodes[2];
    if (!tensor_pair(c, call->arg, nodes)) return mb_bad();
    return mb_emit_binary(c, op_of(call), nodes[0], nodes[1], call->expr->at);
}

static struct mb_value lower_select(struct mb_check *c, const struct mb_call *call) {
    uint32_t nodes[3];
    if (!mb_check_tensor(c, call->arg[0], NULL, &nodes[0]) ||
        !tensor_pair(c, call->arg + 1, nodes + 1))
        return mb_bad();
    return mb_emit(c, MB_OP_SELECT, nodes, NULL, NULL, call->expr->at);
}

/* True when an expression is the name of an element type. */
static bool names_dtype(const struct mb_check *c, const struct mb_ast_expr *e,
                        enum mb_dtype *dtype) {
    return e->kind == MB_EXPR_NAME && mb_check_dtype(c, e->u.call.name, dtype);
}

static bool dtype_argument(struct mb_check *c, const struct mb_ast_expr *e, enum mb_dtype *dtype) {
    if (!e || names_dtype(c, e, dtype)) return true;
    refuse_argument(c, e, "E2001", "dtype must be f32, f64, i32, i64 or bool");
    return false;
}

static struct mb_value lower_cast(struct mb_check *c, const struct mb_call *call) {
    uint32_t x;
    enum mb_dtype dtype;
    if (!mb_check_tensor(c, call->arg[0], NULL, &x) || !dtype_argument(c, call->arg[1], &dtype))
        return mb_bad();
    return mb_emit_cast(c, x, dtype, call->expr->at);
}

/* ---- reductions ---- */

static struct mb_value reduction(struct mb_check *c, const struct mb_call *call, enum mb_op op,
                                 const struct mb_ast_expr *axes, const struct mb_ast_expr *keep) {
    uint32_t x;
    union mb_attr attr = {.reduce = {0, false}};
    if (!mb_check_tensor(c, call->arg[0], NULL, &x)) return mb_bad();
    int32_t rank = c->nodes[x].type.shape.rank;
    if (!axis_set(c, axes, rank, (1u << rank) - 1, &attr.reduce.axes) ||
        !bool_argument(c, keep, false, &attr.reduce.keepdims))
        return mb_bad();
    return mb_emit(c, op, &x, &attr, NULL, call->expr->at);
}

/* max(a, b) is elementwise; with one argument, a list or a keyword it is a reduction. */
static struct mb_value lower_extremum(struct mb_check *c, const struct mb_call *call) {
    const struct mb_ast_expr *b = call->arg[1], *axes = call->arg[2];
    if (b && !is_sequence(b) && !axes && !call->arg[3]) return lower_binary(c, call);
    if (b && axes)
        return refuse_argument(c, call->expr, "E2005", "either a second operand or axes, not both");
    return reduction(c, call, op_of(call) == MB_OP_MAX ? MB_OP_REDUCE_MAX : MB_OP_REDUCE_MIN,
                     axes ? axes : b, call->arg[3]);
}

static struct mb_value lower_reduce(struct mb_check *c, const struct mb_call *call) {
    return reduction(c, call, op_of(call), call->arg[1], call->arg[2]);
}

static struct mb_value lower_reduce_all(struct mb_check *c, const struct mb_call *call) {
    return reduction(c, call, op_of(call), NULL, NULL);
}

/* ---- along one axis ---- */

/* One axis out of `rank`; absent: `absent`, which may be negative. */
static bool one_axis(struct mb_check *c, const struct mb_call *call, const struct mb_ast_expr *e,
                     int64_t absent, int32_t rank, int32_t *out) {
    int64_t axis = absent;
    int n = 1;
    if (e && !int_list(c, e, "the axis", 1, &axis, &n)) return false;
    if (n == 1) return normal_axis(c, e ? e : call->expr, axis, rank, out);
    mb_check_error(c, e->at, "E2102", NULL, "%s: needs one axis", builtins[call->builtin].name);
    return false;
}

static struct mb_value lower_softmax(struct mb_check *c, const struct mb_call *call) {
    uint32_t x;
    union mb_attr attr = {.axis = {0}};
    if (!mb_check_tensor(c, call->arg[0], NULL, &x) ||
        !one_axis(c, call, call->arg[1], -1, c->nodes[x].type.shape.rank, &attr.axis.axis))
        return mb_bad();
    return mb_emit(c, op_of(call), &x, &attr, NULL, call->expr->at);
}

/* i32, or i64 where the statement's value is declared so; without an axis that of the elements in
 * row-major order. */
static struct mb_value lower_argmax(struct mb_check *c, const struct mb_call *call) {
    uint32_t x;
    union mb_attr attr = {.axis = {0}};
    struct mb_value v = mb_bad();
    if (!mb_check_tensor(c, call->arg[0], NULL, &x)) return v;
    if (!call->arg[1]) {
        v = flattened(c, x, call->expr->at);
        if (v.kind != MB_VALUE_TENSOR) return v;
        x = v.u.node;
    }
    if (!one_axis(c, call, call->arg[1], 0, c->nodes[x].type.shape.rank, &attr.axis.axis))
        return mb_bad();
    v = mb_emit(c, MB_OP_ARGMAX, &x, &attr, NULL, call->expr->at);
    if (v.kind != MB_VALUE_TENSOR || !c->want || c->want->dtype != MB_I64) return v;
    return mb_emit_cast(c, v.u.node, MB_I64, call->expr->at);
}

/* ---- convolution and pooling ---- */

static bool word_is(const char *text, size_t len, const char *word) {
    return len == strlen(word) && strncasecmp(text, word, len) == 0;
}

/* The text of a string or of a bare word. */
static bool word_of(const struct mb_check *c, const struct mb_ast_expr *e, const char **text,
                    size_t *len) {
    if (e->kind == MB_EXPR_TEXT) {
        *text = e->u.text.data;
        *len = e->u.text.len;
        return true;
    }
    if (e->kind != MB_EXPR_NAME) return false;
    *text = c->names->list[e->u.call.name].text;
    *len = c->names->list[e->u.call.name].len;
    return true;
}

/* One or two integers of at least `least`, vertical and horizontal. */
static bool int_pair(struct mb_check *c, const struct mb_ast_expr *e, const char *what,
                     int64_t least, int32_t out[2]) {
    int64_t values[2];
    int n;
    if (!int_list(c, e, what, 2, values, &n)) return false;
    if (n == 0) {
        mb_check_error(c, e->at, "E2102", "E3002", "%s: an empty list", what);
        return false;
    }
    if (n == 1) values[1] = values[0];
    for (int i = 0; i < 2; i++) {
        if (values[i] < least || values[i] > INT32_MAX / 4) {
            mb_check_error(c, e->at, "E2001", "E4010", "%s %" PRId64 " is out of range", what,
                           values[i]);
            return false;
        }
        out[i] = (int32_t)values[i];
    }
    return true;
}

static bool layout_argument(struct mb_check *c, const struct mb_ast_expr *e,
                            enum mb_layout *layout) {
    const char *text;
    size_t len;
    if (word_of(c, e, &text, &len)) {
        if (word_is(text, len, "NCHW")) return *layout = MB_NCHW, true;
        if (word_is(text, len, "NHWC")) return *layout = MB_NHWC, true;
    }
    refuse_argument(c, e, "E2001", "layout must be \"NCHW\" or \"NHWC\"");
    return false;
}

/* [[top, bottom], [left, right]] */
static bool custom_padding(struct mb_check *c, const struct mb_ast_expr *e,
                           struct mb_attr_conv *conv) {
    const struct mb_ast_expr *rows = is_sequence(e) ? e->u.call.args : NULL;
    if (!rows || e->u.call.n_args != 2) {
        refuse_argument(c, e, "E2001", "padding must be [[top, bottom], [left, right]]");
        return false;
    }
    for (int i = 0; i < 2; i++, rows = rows->next) {
        int32_t pair[2];
        if (!int_pair(c, rows, "padding", 0, pair)) return false;
        conv->pad_before[i] = pair[0];
        conv->pad_after[i] = pair[1];
    }
    conv->padding = MB_PAD_CUSTOM;
    return true;
}

/* padding = "valid" | "same" | Custom(rows) | rows | int | [int, int] ; SAME is resolved later */
static bool padding_argument(struct mb_check *c, const struct mb_ast_expr *e,
                             struct mb_attr_conv *conv) {
    const char *text;
    size_t len;
    if (word_of(c, e, &text, &len)) {
        conv->padding = word_is(text, len, "same") ? MB_PAD_SAME : MB_PAD_VALID;
        if (conv->padding == MB_PAD_SAME || word_is(text, len, "valid")) return true;
        if (e->kind == MB_EXPR_TEXT) {
            refuse_argument(c, e, "E2001", "padding must be \"valid\", \"same\" or integers");
            return false;
        }
    }
    if (e->kind == MB_EXPR_CALL && e->u.call.base->kind == MB_EXPR_NAME &&
        word_of(c, e->u.call.base, &text, &len) && word_is(text, len, "custom")) {
        if (e->u.call.n_args == 1) return custom_padding(c, e->u.call.args, conv);
        refuse_argument(c, e, "E2005", "Custom takes [[top, bottom], [left, right]]");
        return false;
    }
    if (is_sequence(e) && e->u.call.args && is_sequence(e->u.call.args))
        return custom_padding(c, e, conv);
    if (!int_pair(c, e, "padding", 0, conv->pad_before)) return false;
    conv->pad_after[0] = conv->pad_before[0];
    conv->pad_after[1] = conv->pad_before[1];
    bool none = conv->pad_before[0] == 0 && conv->pad_before[1] == 0;
    conv->padding = none ? MB_PAD_VALID : MB_PAD_CUSTOM;
    return true;
}

/* Zeros that make the output ceil(extent / stride), the smaller half first. */
static bool same_padding(struct mb_check *c, const struct mb_call *call, struct mb_attr_conv *conv,
                         const struct mb_shape *x, const struct mb_shape *w) {
    if (conv->padding != MB_PAD_SAME) return true;
    for (int i = 0; i < 2; i++) {
        int64_t extent = x->dim[(conv->layout == MB_NCHW ? 2 : 1) + i];
        int64_t window = w->dim[(conv->layout == MB_NCHW ? 2 : 0) + i];
        if (extent < 0 || window < 0) continue; /* the result's extent is unknown anyway */
        int64_t out = (extent - 1) / conv->stride[i] + 1;
        int64_t total = (out - 1) * conv->stride[i] + window - extent;
        if (total < 0) total = 0;
        if (total > INT32_MAX / 2) {
            refuse_argument(c, call->expr, "E2102", "conv2d: the filter is too large");
            return false;
        }
        conv->pad_before[i] = (int32_t)(total / 2);
        conv->pad_after[i] = (int32_t)(total - total / 2);
    }
    return true;
}

/* True when the convolution in this layout has the declared type of the statement. */
static bool layout_gives_declared(struct mb_check *c, const struct mb_call *call,
                                  const struct mb_attr_conv *conv, const struct mb_type *x,
                                  const struct mb_type *w, enum mb_layout layout) {
    union mb_attr attr = {.conv = *conv};
    struct mb_type type;
    struct mb_shape_error why;
    attr.conv.layout = layout;
    if (!c->want || !same_padding(c, call, &attr.conv, &x->shape, &w->shape) ||
        !mb_op_infer(MB_OP_CONV2D, (const struct mb_type *[]){x, w}, &attr, NULL, c->symbols, &type,
                     &why) ||
        type.shape.rank != c->want->shape.rank)
        return false;
    for (int32_t i = 0; i < type.shape.rank; i++)
        if (!mb_extents_agree(type.shape.dim[i], c->want->shape.dim[i])) return false;
    return true;
}

/* Whether images are NCHW or NHWC is nowhere written: the channels decide, then the declared
 * result, then NHWC with a warning. False when reported. */
static bool choose_layout(struct mb_check *c, const struct mb_call *call, struct mb_attr_conv *conv,
                          uint32_t image, uint32_t filter) {
    struct mb_type x = c->nodes[image].type, w = c->nodes[filter].type;
    conv->layout = MB_NHWC;
    if (x.shape.rank != 4 || w.shape.rank != 4) return true; /* the shape rule reports it */
    bool nhwc = mb_extents_agree(x.shape.dim[3], w.shape.dim[2]);
    bool nchw = mb_extents_agree(x.shape.dim[1], w.shape.dim[1]);
    if (!nhwc && !nchw) {
        char a[96], b[96];
        struct mb_diag_record *r = mb_check_error(c, call->expr->at, "E2102", "E4009",
                                                  "conv2d: channels differ: image %s, filter %s",
                                                  mb_shape_text(a, sizeof a, &x.shape, c->symbols),
                                                  mb_shape_text(b, sizeof b, &w.shape, c->symbols));
        mb_diags_note(c->diags, r, "NCHW takes a filter (out, in, h, w), NHWC one (h, w, in, out)");
        return false;
    }
    if (nchw != nhwc) {
        conv->layout = nchw ? MB_NCHW : MB_NHWC;
        return true;
    }
    bool as_nhwc = layout_gives_declared(c, call, conv, &x, &w, MB_NHWC);
    bool as_nchw = layout_gives_declared(c, call, conv, &x, &w, MB_NCHW);
    if (as_nhwc != as_nchw) {
        conv->layout = as_nchw ? MB_NCHW : MB_NHWC;
        return true;
    }
    struct mb_diag_record *r =
        mb_check_warning(c, call->expr->at, "shape::layout_assumed",
                         "conv2d: NHWC and NCHW both fit these shapes; NHWC is assumed");
    mb_diags_help(c->diags, r, "say layout=\"NHWC\" or layout=\"NCHW\"");
    return true;
}

static struct mb_value lower_conv2d(struct mb_check *c, const struct mb_call *call) {
    union mb_attr attr = {.conv = {.stride = {1, 1}}};
    struct mb_attr_conv *conv = &attr.conv;
    uint32_t operands[2];
    int32_t pair[2];
    if (!mb_check_tensor(c, call->arg[0], NULL, &operands[0]) ||
        !mb_check_tensor(c, call->arg[1], NULL, &operands[1]))
        return mb_bad();
    if (call->arg[2] && !int_pair(c, call->arg[2], "stride", 1, conv->stride)) return mb_bad();
    for (int i = 0; i < 2; i++)
        if (call->arg[5 + i]) {
            if (!int_pair(c, call->arg[5 + i], "stride", 1, pair)) return mb_bad();
            conv->stride[i] = pair[0];
        }
    if (call->arg[3] && !padding_argument(c, call->arg[3], conv)) return mb_bad();
    if (call->arg[4] ? !layout_argument(c, call->arg[4], &conv->layout)
                     : !choose_layout(c, call, conv, operands[0], operands[1]))
        return mb_bad();
    const struct mb_shape *x = &c->nodes[operands[0]].type.shape;
    const struct mb_shape *w = &c->nodes[operands[1]].type.shape;
    if (x->rank == 4 && w->rank == 4 && !same_padding(c, call, conv, x, w)) return mb_bad();
    return mb_emit(c, MB_OP_CONV2D, operands, &attr, NULL, call->expr->at);
}

static struct mb_value lower_pool2d(struct mb_check *c, const struct mb_call *call) {
    union mb_attr attr = {.pool = {.layout = MB_NCHW}};
    uint32_t x;
    if (!mb_check_tensor(c, call->arg[0], NULL, &x)) return mb_bad();
    if (c->tags[x] == MB_TAG_NHWC) attr.pool.layout = MB_NHWC;
    if (!int_pair(c, call->arg[1], "kernel", 1, attr.pool.kernel)) return mb_bad();
    memcpy(attr.pool.stride, attr.pool.kernel, sizeof attr.pool.stride);
    if (call->arg[2] && !int_pair(c, call->arg[2], "stride", 1, attr.pool.stride)) return mb_bad();
    if (call->arg[3] && !layout_argument(c, call->arg[3], &attr.pool.layout)) return mb_bad();
    return mb_emit(c, op_of(call), &x, &attr, NULL, call->expr->at);
}

/* ---- shapes ---- */

static bool put_extent(struct mb_check *c, const struct mb_ast_expr *e, struct mb_value v,
                       struct mb_shape *shape, int *inferred) {
    if (v.kind == MB_VALUE_BAD) return false;
    if (v.kind == MB_VALUE_TENSOR) {
        mb_check_error(c, e->at, "shape::reshape_runtime_dim", NULL,
                       "a dimension must be known at compile time");
        return false;
    }
    if (v.kind != MB_VALUE_INT && v.kind != MB_VALUE_DIM) {
        mb_check_error(c, e->at, "E2001", NULL, "a dimension must be an integer");
        return false;
    }
    if (shape->rank == MB_MAX_RANK) {
        mb_check_error(c, e->at, "E2102", "E3002", "rank is more than %d", MB_MAX_RANK);
        return false;
    }
    if (v.kind == MB_VALUE_INT && v.u.integer == INFERRED_DIM && inferred && *inferred < 0) {
        *inferred = shape->rank;
    } else if (v.kind == MB_VALUE_INT && (v.u.integer < 1 || v.u.integer > (int64_t)1 << 40)) {
        mb_check_error(c, e->at, "E2102", v.u.integer == 0 ? "E3006" : "E3007",
                       "dimension %" PRId64 " is out of range", v.u.integer);
        return false;
    }
    shape->dim[shape->rank++] = v.u.integer;
    return true;
}

/* A shape argument; `inferred` (may be NULL: not allowed) gets the place of its -1, or -1. */
static bool shape_argument(struct mb_check *c, const struct mb_ast_expr *e, struct mb_shape *shape,
                           int *inferred) {
    shape->rank = 0;
    if (inferred) *inferred = -1;
    if (is_sequence(e)) {
        for (const struct mb_ast_expr *a = e->u.call.args; a; a = a->next)
            if (!put_extent(c, a, mb_check_expr(c, a, NULL), shape, inferred)) return false;
        return true;
    }
    struct mb_value v = mb_check_expr(c, e, NULL);
    if (v.kind == MB_VALUE_NONE) return true; /* `()` by way of a name */
    if (v.kind == MB_VALUE_TUPLE) {
        for (uint32_t i = 0; i < v.u.tuple->n; i++)
            if (!put_extent(c, e, v.u.tuple->item[i], shape, inferred)) return false;
        return true;
    }
    const struct mb_node *n = v.kind == MB_VALUE_TENSOR ? &c->nodes[v.u.node] : NULL;
    if (n && n->op == MB_OP_DENSE && n->type.dtype == MB_I32 && n->type.shape.rank == 1) {
        const int32_t *data = n->attr.dense.data;
        for (int64_t i = 0; i < n->type.shape.dim[0]; i++) {
            struct mb_value extent = {.kind = MB_VALUE_INT, .u.integer = data[i]};
            if (!put_extent(c, e, extent, shape, inferred)) return false;
        }
        return true;
    }
    return put_extent(c, e, v, shape, inferred);
}

static struct mb_value lower_reshape(struct mb_check *c, const struct mb_call *call) {
    uint32_t x;
    struct mb_shape shape;
    int inferred;
    if (!mb_check_tensor(c, call->arg[0], NULL, &x) ||
        !shape_argument(c, call->arg[1], &shape, &inferred))
        return mb_bad();
    if (inferred >= 0) {
        char a[96];
        const struct mb_shape *from = &c->nodes[x].type.shape;
        int64_t extent = infer_extent(from, &shape, inferred);
        if (extent == 0) {
            mb_check_error(c, call->arg[1]->at, "E2102", "E3007",
                           "reshape: no extent for -1 keeps the elements of %s",
                           mb_shape_text(a, sizeof a, from, c->symbols));
            return mb_bad();
        }
        shape.dim[inferred] = extent;
    }
    return mb_emit_reshape(c, x, &shape, call->expr->at);
}

static struct mb_value lower_transpose(struct mb_check *c, const struct mb_call *call) {
    uint32_t x;
    int64_t axes[MB_MAX_RANK];
    union mb_attr attr = {.perm = {{0}}};
    int n = 0;
    if (!mb_check_tensor(c, call->arg[0], NULL, &x)) return mb_bad();
    int32_t rank = c->nodes[x].type.shape.rank;
    if (call->arg[1] && !int_list(c, call->arg[1], "an axis", MB_MAX_RANK, axes, &n))
        return mb_bad();
    if (n && n != rank) {
        mb_check_error(c, call->arg[1]->at, "E2102", "E3008",
                       "transpose: %d axes for rank %" PRId32, n, rank);
        return mb_bad();
    }
    for (int32_t i = 0; i < rank; i++) {
        int32_t axis = rank - 1 - i;
        if (n && !normal_axis(c, call->arg[1], axes[i], rank, &axis)) return mb_bad();
        attr.perm.perm[i] = (int8_t)axis;
    }
    return mb_emit(c, MB_OP_TRANSPOSE, &x, &attr, NULL, call->expr->at);
}

/* Axes of the result where 1s are inserted. */
static struct mb_value lower_expand_dims(struct mb_check *c, const struct mb_call *call) {
    uint32_t x, set;
    struct mb_shape shape = {.rank = 0};
    int64_t axes[MB_MAX_RANK];
    int n;
    if (!mb_check_tensor(c, call->arg[0], NULL, &x) ||
        !int_list(c, call->arg[1], "an axis", MB_MAX_RANK, axes, &n))
        return mb_bad();
    const struct mb_shape from = c->nodes[x].type.shape;
    if (from.rank + n > MB_MAX_RANK)
        return refuse_argument(c, call->expr, "E2102", "expand_dims: the rank grows too large");
    if (!axis_set(c, call->arg[1], from.rank + n, 0, &set)) return mb_bad();
    for (int32_t i = 0, k = 0; i < from.rank + n; i++)
        shape.dim[shape.rank++] = set >> i & 1 ? 1 : from.dim[k++];
    return mb_emit_reshape(c, x, &shape, call->expr->at);
}

static struct mb_value lower_squeeze(struct mb_check *c, const struct mb_call *call) {
    uint32_t x, set;
    struct mb_shape shape = {.rank = 0};
    if (!mb_check_tensor(c, call->arg[0], NULL, &x)) return mb_bad();
    const struct mb_shape from = c->nodes[x].type.shape;
    uint32_t ones = 0;
    for (int32_t i = 0; i < from.rank; i++) ones |= (uint32_t)(from.dim[i] == 1) << i;
    if (!axis_set(c, call->arg[1], from.rank, ones, &set)) return mb_bad();
    for (int32_t i = 0; i < from.rank; i++) {
        if (!(set >> i & 1)) {
            shape.dim[shape.rank++] = from.dim[i];
        } else if (from.dim[i] != 1 && from.dim[i] != MB_DIM_UNKNOWN) {
            char a[96];
            mb_check_error(c, call->arg[1]->at, "E2102", "E3009",
                           "squeeze: axis %" PRId32 " of %s is not 1", i,
                           mb_shape_text(a, sizeof a, &from, c->symbols));
            return mb_bad();
        }
    }
    return mb_emit_reshape(c, x, &shape, call->expr->at);
}

static struct mb_value lower_flatten(struct mb_check *c, const struct mb_call *call) {
    uint32_t x;
    if (!mb_check_tensor(c, call->arg[0], NULL, &x)) return mb_bad();
    return flattened(c, x, call->expr->at);
}

/* ---- constructors ---- */

static struct mb_value filled(struct mb_check *c, const struct mb_call *call, struct mb_value v,
                              const struct mb_ast_expr *dims, const struct mb_ast_expr *dtype) {
    struct mb_type type = {.dtype = c->want ? c->want->dtype : MB_F32};
    if (!dtype_argument(c, dtype, &type.dtype) || !shape_argument(c, dims, &type.shape, NULL))
        return mb_bad();
    return mb_emit_fill(c, v, &type, call->expr->at);
}

/* zeros(shape, dtype=f32), ones; also the other way round, as tensor.zeros(f32, shape) */
static struct mb_value lower_constant(struct mb_check *c, const struct mb_call *call) {
    const struct mb_ast_expr *dims = call->arg[0], *dtype = call->arg[1];
    enum mb_dtype ignored;
    struct mb_value v = {.kind = MB_VALUE_INT};
    v.u.integer = strcmp(builtins[call->builtin].name, "ones") == 0;
    if (dtype && names_dtype(c, dims, &ignored)) {
        dims = call->arg[1];
        dtype = call->arg[0];
    }
    return filled(c, call, v, dims, dtype);
}

static struct mb_value lower_full(struct mb_check *c, const struct mb_call *call) {
    struct mb_value v = mb_check_expr(c, call->arg[1], NULL);
    if (v.kind == MB_VALUE_TENSOR)
        return refuse_argument(c, call->arg[1], "E2001", "full: the value must be a constant");
    if (v.kind == MB_VALUE_BAD) return v;
    return filled(c, call, v, call->arg[0], call->arg[2]);
}

/* A node of a computed constant; `dtype` may be NULL: as declared, else `natural`. */
static struct mb_value computed(struct mb_check *c, const struct mb_call *call, enum mb_op op,
                                const struct mb_shape *shape, const struct mb_ast_expr *dtype,
                                enum mb_dtype natural, const union mb_attr *attr) {
    struct mb_type type = {c->want && !dtype ? c->want->dtype : natural, *shape};
    if (!dtype_argument(c, dtype, &type.dtype)) return mb_bad();
    return mb_emit(c, op, NULL, attr, &type, call->expr->at);
}

static struct mb_value lower_eye(struct mb_check *c, const struct mb_call *call) {
    struct mb_shape shape = {.rank = 0};
    for (int i = 0; i < 2; i++) {
        const struct mb_ast_expr *e = call->arg[i] ? call->arg[i] : call->arg[0];
        if (!put_extent(c, e, mb_check_expr(c, e, NULL), &shape, NULL)) return mb_bad();
    }
    return computed(c, call, MB_OP_EYE, &shape, call->arg[2], MB_F32, NULL);
}

/* A number that is known now; `is_float` (may be NULL) is set when it is not an integer's. */
static bool number_argument(struct mb_check *c, const struct mb_ast_expr *e, double *out,
                            bool *is_float) {
    struct mb_value v = mb_check_expr(c, e, NULL);
    if (v.kind == MB_VALUE_FLOAT || v.kind == MB_VALUE_INT) {
        *out = v.kind == MB_VALUE_FLOAT ? v.u.number : (double)v.u.integer;
        if (is_float) *is_float |= v.kind == MB_VALUE_FLOAT;
        return true;
    }
    if (v.kind != MB_VALUE_BAD && v.kind != MB_VALUE_DIM)
        refuse_argument(c, e, "E2001", "this argument must be a number known at compile time");
    return false;
}

/* `count` values from `start` by `step` to `last`. */
static struct mb_value ranged(struct mb_check *c, const struct mb_call *call, double count,
                              const struct mb_attr_range *range, const struct mb_ast_expr *dtype,
                              bool is_float) {
    if (!(count >= 1 && count <= 0x1p40))
        return refuse_argument(c, call->expr, "E2102", "a range of no elements, or of too many");
    const double least = range->start < range->last ? range->start : range->last;
    const double most = range->start < range->last ? range->last : range->start;
    if (!(least > -0x1p53 && most < 0x1p53))
        return refuse_argument(c, call->expr, "E2004", "the values of a range are too large");
    const enum mb_dtype integer = least < INT32_MIN || most > INT32_MAX ? MB_I64 : MB_I32;
    const struct mb_shape shape = {1, {(int64_t)count}};
    const union mb_attr attr = {.range = *range};
    struct mb_value v =
        computed(c, call, MB_OP_RANGE, &shape, dtype, is_float ? MB_F32 : integer, &attr);
    if (v.kind == MB_VALUE_TENSOR && c->nodes[v.u.node].type.dtype == MB_I32 && integer == MB_I64)
        return refuse_argument(c, call->expr, "E2004", "the values of a range do not fit i32");
    return v;
}

/* arange(end) or arange(start, end, step = 1): the end is left out. */
static struct mb_value lower_arange(struct mb_check *c, const struct mb_call *call) {
    double from = 0, to, step = 1;
    bool is_float = false;
    if (call->arg[1] && !number_argument(c, call->arg[0], &from, &is_float)) return mb_bad();
    if (!number_argument(c, call->arg[call->arg[1] ? 1 : 0], &to, &is_float)) return mb_bad();
    if (call->arg[2] && !number_argument(c, call->arg[2], &step, &is_float)) return mb_bad();
    if (step == 0) return refuse_argument(c, call->arg[2], "E2001", "the step must not be 0");
    const double count = ceil((to - from) / step);
    const struct mb_attr_range range = {from, step, from + (count - 1) * step};
    return ranged(c, call, count, &range, call->arg[3], is_float);
}

static struct mb_value lower_linspace(struct mb_check *c, const struct mb_call *call) {
    struct mb_attr_range range = {0, 0, 0};
    int64_t n;
    if (!number_argument(c, call->arg[0], &range.start, NULL) ||
        !number_argument(c, call->arg[1], &range.last, NULL) ||
        !mb_check_int(c, call->arg[2], "the number of values", &n))
        return mb_bad();
    if (n > 1) range.step = (range.last - range.start) / (double)(n - 1);
    if (n == 1) range.last = range.start;
    return ranged(c, call, (double)n, &range, call->arg[3], true);
}

/* `seed` (may be NULL) names a stream of its own; see mind.h. */
static struct mb_value drawn(struct mb_check *c, const struct mb_call *call,
                             const struct mb_shape *shape, double low, double scale,
                             const struct mb_ast_expr *seed, const struct mb_ast_expr *dtype) {
    union mb_attr attr = {.random = {low, scale, c->source->seed, 0}};
    enum mb_dtype type = c->want && !dtype ? c->want->dtype : MB_F32;
    int64_t given;
    if (seed && !mb_check_int(c, seed, "the seed", &given)) return mb_bad();
    if (!dtype_argument(c, dtype, &type)) return mb_bad();
    if (type != MB_F32 && type != MB_F64)
        return refuse_argument(c, call->expr, "E2001", "random values are f32 or f64");
    if (seed)
        attr.random.seed = (uint64_t)given;
    else
        attr.random.stream = ++c->n_random;
    return computed(c, call, op_of(call), shape, dtype, MB_F32, &attr);
}

static struct mb_value lower_random(struct mb_check *c, const struct mb_call *call) {
    struct mb_shape shape;
    double stddev = 1;
    if (!shape_argument(c, call->arg[0], &shape, NULL) ||
        (call->arg[1] && !number_argument(c, call->arg[1], &stddev, NULL)))
        return mb_bad();
    return drawn(c, call, &shape, 0, stddev, call->arg[2], call->arg[3]);
}

static struct mb_value lower_uniform(struct mb_check *c, const struct mb_call *call) {
    struct mb_shape shape;
    double low = 0, high = 1;
    if (!shape_argument(c, call->arg[0], &shape, NULL) ||
        (call->arg[1] && !number_argument(c, call->arg[1], &low, NULL)) ||
        (call->arg[2] && !number_argument(c, call->arg[2], &high, NULL)))
        return mb_bad();
    return drawn(c, call, &shape, low, high - low, call->arg[3], call->arg[4]);
}

static struct mb_value lower_randn(struct mb_check *c, const struct mb_call *call) {
    struct mb_shape shape;
    if (!shape_argument(c, call->arg[0], &shape, NULL)) return mb_bad();
    return drawn(c, call, &shape, 0, 1, call->arg[1], call->arg[2]);
}

/* rand([2, 3]) or rand(2, 3) */
static struct mb_value lower_rand(struct mb_check *c, const struct mb_call *call) {
    struct mb_shape shape;
    if (!shape_argument(c, call->arg[0], &shape, NULL)) return mb_bad();
    for (int i = 1; i < 6; i++)
        if (call->arg[i] &&
            !put_extent(c, call->arg[i], mb_check_expr(c, call->arg[i], NULL), &shape, NULL))
            return mb_bad();
    return drawn(c, call, &shape, 0, 1, call->arg[6], NULL);
}

/* ---- parts ---- */

/* index(x, axis, i), or index(x, [i, j, ..]) with an index for every axis */
static struct mb_value lower_index(struct mb_check *c, const struct mb_call *call) {
    uint32_t x;
    int64_t at[MB_MAX_RANK];
    int n;
    if (!mb_check_tensor(c, call->arg[0], NULL, &x)) return mb_bad();
    const int32_t rank = c->nodes[x].type.shape.rank;
    if (!is_sequence(call->arg[1])) {
        int32_t axis;
        if (!call->arg[2])
            return refuse_argument(c, call->expr, "E2005", "`index` needs its argument `i`");
        if (!one_axis(c, call, call->arg[1], 0, rank, &axis)) return mb_bad();
        struct mb_value i = mb_check_expr(c, call->arg[2], NULL);
        if (i.kind == MB_VALUE_INT)
            return mb_emit_take_one(c, x, axis, i.u.integer, "E2001", call->arg[2]->at);
        uint32_t indices;
        if (i.kind == MB_VALUE_DIM || !mb_value_tensor(c, i, call->arg[2]->at, NULL, &indices))
            return mb_bad();
        return mb_emit_gather(c, x, indices, axis, 0, call->expr->at);
    }
    if (!int_list(c, call->arg[1], "an index", MB_MAX_RANK, at, &n)) return mb_bad();
    if (n != rank)
        return refuse_argument(c, call->arg[1], "E2102", "index: needs one for each axis");
    for (int i = 0; i < n; i++) {
        struct mb_value v = mb_emit_take_one(c, x, 0, at[i], "E2001", call->arg[1]->at);
        if (v.kind != MB_VALUE_TENSOR) return v;
        x = v.u.node;
    }
    return (struct mb_value){.kind = MB_VALUE_TENSOR, .u.node = x};
}

/* slice(x, starts, ends, steps) with an entry for each axis, or slice(x, axis, start, end) */
static struct mb_value lower_slice(struct mb_check *c, const struct mb_call *call) {
    uint32_t x;
    int64_t starts[MB_MAX_RANK], ends[MB_MAX_RANK], steps[MB_MAX_RANK];
    int n, n_ends, n_steps;
    if (!mb_check_tensor(c, call->arg[0], NULL, &x)) return mb_bad();
    const int32_t rank = c->nodes[x].type.shape.rank;
    if (!is_sequence(call->arg[1])) {
        int32_t axis;
        if (!call->arg[3])
            return refuse_argument(c, call->expr, "E2005", "`slice` needs its argument `end`");
        if (!one_axis(c, call, call->arg[1], 0, rank, &axis) ||
            !mb_check_int(c, call->arg[2], "the start of a slice", &starts[0]) ||
            !mb_check_int(c, call->arg[3], "the end of a slice", &ends[0]))
            return mb_bad();
        return mb_emit_span(c, x, axis, starts[0], ends[0], 1, "E2001", call->expr->at);
    }
    for (int i = 0; i < MB_MAX_RANK; i++) steps[i] = 1;
    if (!int_list(c, call->arg[1], "a start", MB_MAX_RANK, starts, &n) ||
        !int_list(c, call->arg[2], "an end", MB_MAX_RANK, ends, &n_ends))
        return mb_bad();
    n_steps = n;
    if (call->arg[3] && !int_list(c, call->arg[3], "a step", MB_MAX_RANK, steps, &n_steps))
        return mb_bad();
    if (n != rank || n_ends != rank || n_steps != rank)
        return refuse_argument(c, call->expr, "E2102", "slice: needs an entry for each axis");
    for (int32_t i = 0; i < rank; i++) {
        struct mb_value v =
            mb_emit_span(c, x, i, starts[i], ends[i], steps[i], "E2102", call->expr->at);
        if (v.kind != MB_VALUE_TENSOR) return v;
        x = v.u.node;
    }
    return (struct mb_value){.kind = MB_VALUE_TENSOR, .u.node = x};
}

/* As Python slices: negative ends count from the back, and both are brought into range. */
static int64_t python_end(int64_t i, int64_t dim, bool backwards) {
    if (i < 0) i = i < -dim ? -1 : i + dim;
    const int64_t least = backwards ? -1 : 0, most = backwards ? dim - 1 : dim;
    return i < least ? least : i > most ? most : i;
}

static struct mb_value lower_slice_stride(struct mb_check *c, const struct mb_call *call) {
    uint32_t x;
    int64_t start, end, step;
    struct mb_attr_slice slice = {.step = 1};
    if (!mb_check_tensor(c, call->arg[0], NULL, &x) ||
        !one_axis(c, call, call->arg[1], 0, c->nodes[x].type.shape.rank, &slice.axis) ||
        !mb_check_int(c, call->arg[2], "the start of a slice", &start) ||
        !mb_check_int(c, call->arg[3], "the end of a slice", &end) ||
        !mb_check_int(c, call->arg[4], "the step of a slice", &step))
        return mb_bad();
    const int64_t dim = c->nodes[x].type.shape.dim[slice.axis];
    if (step == 0) return refuse_argument(c, call->arg[4], "E2001", "the step must not be 0");
    if (dim < 0) { /* known when the program is compiled */
        slice.extent = MB_DIM_UNKNOWN;
        return mb_emit_slice(c, x, &slice, call->expr->at);
    }
    start = python_end(start, dim, step < 0);
    end = python_end(end, dim, step < 0);
    const int64_t room = step > 0 ? end - start : start - end;
    slice.start = start;
    slice.step = step > dim ? dim : step < -dim ? -dim : step; /* the same elements */
    slice.extent = room <= 0 ? 0 : (room - 1) / (slice.step > 0 ? slice.step : -slice.step) + 1;
    return mb_emit_slice(c, x, &slice, call->expr->at);
}

/* `tensor.gather` is always a take; see lower_gather. */
static bool in_tensor_namespace(const struct mb_check *c, const struct mb_ast_expr *callee) {
    return callee->kind == MB_EXPR_FIELD && callee->u.call.base->kind == MB_EXPR_NAME &&
           callee->u.call.base->u.call.name == MB_NAME_TENSOR && !mb_check_local(c, MB_NAME_TENSOR);
}

/* gather(x, idx), gather(x, idx, axis), gather(x, axis, idx): an integer beside a list or tensor is
 * the axis. One index for each row of x picks from its last axis; all else takes along the axis. */
static struct mb_value lower_gather(struct mb_check *c, const struct mb_call *call) {
    uint32_t x, indices;
    int32_t axis = 0;
    if (!mb_check_tensor(c, call->arg[0], NULL, &x)) return mb_bad();
    const struct mb_ast_expr *idx = call->arg[1], *along = call->arg[2];
    struct mb_value i = mb_check_expr(c, idx, NULL);
    if (along && along->label == MB_NO_NAME && idx->label == MB_NO_NAME && i.kind == MB_VALUE_INT) {
        struct mb_value second = mb_check_expr(c, along, NULL);
        if (second.kind == MB_VALUE_TENSOR) {
            idx = call->arg[2];
            along = call->arg[1];
            i = second;
        }
    }
    if (along && !one_axis(c, call, along, 0, c->nodes[x].type.shape.rank, &axis)) return mb_bad();
    if (!along && c->nodes[x].type.shape.rank == 0)
        return refuse_argument(c, call->expr, "E2102", "gather: a scalar has no axis");
    if (i.kind == MB_VALUE_INT) return mb_emit_take_one(c, x, axis, i.u.integer, "E2621", idx->at);
    if (i.kind == MB_VALUE_DIM || !mb_value_tensor(c, i, idx->at, NULL, &indices)) return mb_bad();
    const struct mb_shape *from = &c->nodes[x].type.shape, *at = &c->nodes[indices].type.shape;
    bool picks = call->arg[2] && axis == from->rank - 1 && at->rank == axis &&
                 !in_tensor_namespace(c, call->expr->u.call.base);
    for (int32_t k = 0; picks && k < axis; k++) picks = mb_extents_agree(from->dim[k], at->dim[k]);
    return mb_emit_gather(c, x, indices, axis, picks ? axis : 0, call->expr->at);
}

static struct mb_value lower_concat(struct mb_check *c, const struct mb_call *call) {
    return mb_lower_concat(c, call);
}

static struct mb_value lower_stack(struct mb_check *c, const struct mb_call *call) {
    return mb_lower_stack(c, call);
}

/* ---- outside the subset ---- */

static struct mb_value lower_outside(struct mb_check *c, const struct mb_call *call) {
    return mb_check_outside(c, call->expr->at, "E2003", "`%s` is outside the inference subset",
                            builtins[call->builtin].name);
}

static struct mb_value lower_autodiff(struct mb_check *c, const struct mb_call *call) {
    return mb_check_outside(c, call->expr->at, "E4003",
                            "`%s` needs automatic differentiation, which is not built in",
                            builtins[call->builtin].name);
}

/* ---- the table ---- */

static const struct builtin builtins[N_BUILTINS] = {
#define BUILTIN(name, lowering, op, signature) {#name, MB_OP_##op, lower_##lowering},
#include "builtins.def"
};

bool mb_builtin_fills_gaps(uint32_t builtin) { return builtins[builtin].lower == lower_gather; }

uint32_t mb_builtin_count(void) { return N_BUILTINS; }
bool mb_builtin_takes_brackets(uint32_t builtin) {
    return builtin < N_BUILTINS && builtins[builtin].lower == lower_constant;
}

struct mb_value mb_builtin_lower(struct mb_check *c, const struct mb_call *call) {
    return builtins[call->builtin].lower(c, call);
}
