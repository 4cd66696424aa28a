/* Shape rules: the result type of every operation from its operands' types.
 *
 * One function a rule, named in ops.def. They work on symbolic dimensions too: equal symbols agree,
 * an unknown extent agrees with all, and an extent computed from a symbol is unknown. */
#include "program.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct rule {
    enum mb_op op;
    const struct mb_type *const *operands;
    const union mb_attr *attr;
    const struct mb_type *given;
    const char *const *symbols;
    struct mb_type *type;
    struct mb_shape_error *error;
};

__attribute__((format(printf, 4, 5))) static bool
refuse(const struct rule *r, const char *code, const char *spec_code, const char *format, ...) {
    va_list args;
    r->error->code = code;
    r->error->spec_code = spec_code;
    va_start(args, format);
    vsnprintf(r->error->text, sizeof r->error->text, format, args);
    va_end(args);
    return false;
}

struct shape_text {
    char s[96];
};

static struct shape_text text_of(const struct rule *r, const struct mb_shape *shape) {
    struct shape_text t;
    mb_shape_text(t.s, sizeof t.s, shape, r->symbols);
    return t;
}

static const char *name_of(const struct rule *r) { return mb_op_info(r->op)->name; }

static bool dims_agree(int64_t a, int64_t b) {
    return a == b || a == MB_DIM_UNKNOWN || b == MB_DIM_UNKNOWN;
}

static bool is_float(enum mb_dtype dtype) { return dtype == MB_F32 || dtype == MB_F64; }

static bool same_dtypes_at(const struct rule *r, int i, int k) {
    enum mb_dtype a = r->operands[i]->dtype, b = r->operands[k]->dtype;
    if (a == b) return true;
    return refuse(r, "E2001", "E2004", "%s: element types differ: %s and %s", name_of(r),
                  mb_dtype_name(a), mb_dtype_name(b));
}

static bool same_dtypes(const struct rule *r) { return same_dtypes_at(r, 0, 1); }

static bool needs_float(const struct rule *r) {
    if (is_float(r->operands[0]->dtype)) return true;
    return refuse(r, "E2001", "E2005", "%s: needs a floating-point tensor, not %s", name_of(r),
                  mb_dtype_name(r->operands[0]->dtype));
}

static bool needs_number(const struct rule *r) {
    if (r->operands[0]->dtype != MB_BOOL) return true;
    return refuse(r, "E2001", "E2005", "%s: bool has no arithmetic", name_of(r));
}

static bool needs_bool(const struct rule *r) {
    if (r->operands[0]->dtype == MB_BOOL) return true;
    return refuse(r, "E2001", "E2005", "%s: needs a bool tensor, not %s", name_of(r),
                  mb_dtype_name(r->operands[0]->dtype));
}

static bool infer_given(const struct rule *r) {
    *r->type = *r->given;
    return true;
}

/* Of the first rank_a and rank_b dimensions of two shapes. */
static bool broadcast_leading(const struct mb_shape *a, int32_t rank_a, const struct mb_shape *b,
                              int32_t rank_b, struct mb_shape *out) {
    const int32_t rank = rank_a > rank_b ? rank_a : rank_b;
    out->rank = rank;
    for (int32_t i = 1; i <= rank; i++) {
        const int64_t x = i <= rank_a ? a->dim[rank_a - i] : 1;
        const int64_t y = i <= rank_b ? b->dim[rank_b - i] : 1;
        if (x != 1 && y != 1 && !dims_agree(x, y)) return false;
        out->dim[rank - i] = x == 1 || (x == MB_DIM_UNKNOWN && y != 1) ? y : x;
    }
    return true;
}

bool mb_shape_broadcast(const struct mb_shape *a, const struct mb_shape *b, struct mb_shape *out) {
    return broadcast_leading(a, a->rank, b, b->rank, out);
}

static const char *operator_of(enum mb_op op) {
    switch (op) {
    case MB_OP_ADD: return "+";
    case MB_OP_SUB: return "-";
    case MB_OP_MUL: return "*";
    case MB_OP_DIV: return "/";
    case MB_OP_MOD: return "%";
    case MB_OP_LT: return "<";
    case MB_OP_LE: return "<=";
    case MB_OP_GT: return ">";
    case MB_OP_GE: return ">=";
    case MB_OP_EQ: return "==";
    case MB_OP_NE: return "!=";
    case MB_OP_AND: return "&&";
    case MB_OP_OR: return "||";
    default: return mb_op_info(op)->name;
    }
}

/* The result's shape is a's broadcast with b's. */
static bool broadcast_to(const struct rule *r, const struct mb_shape *a, const struct mb_shape *b) {
    if (mb_shape_broadcast(a, b, &r->type->shape)) return true;
    return refuse(r, "E2101", "E3001", "cannot broadcast shapes %s and %s for `%s`",
                  text_of(r, a).s, text_of(r, b).s, operator_of(r->op));
}

/* Two operands of one element type, broadcast to a result of type `dtype`. */
static bool pair_to(const struct rule *r, enum mb_dtype dtype) {
    r->type->dtype = dtype;
    return same_dtypes(r) && broadcast_to(r, &r->operands[0]->shape, &r->operands[1]->shape);
}

static bool infer_broadcast(const struct rule *r) {
    return needs_number(r) && pair_to(r, r->operands[0]->dtype);
}

static bool infer_broadcast_float(const struct rule *r) {
    return needs_float(r) && pair_to(r, r->operands[0]->dtype);
}

static bool infer_compare(const struct rule *r) { return needs_number(r) && pair_to(r, MB_BOOL); }
static bool infer_equal(const struct rule *r) { return pair_to(r, MB_BOOL); }
static bool infer_logical(const struct rule *r) { return needs_bool(r) && pair_to(r, MB_BOOL); }

static bool infer_select(const struct rule *r) {
    if (!needs_bool(r) || !same_dtypes_at(r, 1, 2) ||
        !broadcast_to(r, &r->operands[1]->shape, &r->operands[2]->shape))
        return false;
    const struct mb_shape values = r->type->shape;
    r->type->dtype = r->operands[1]->dtype;
    return broadcast_to(r, &r->operands[0]->shape, &values);
}

static bool infer_same(const struct rule *r) {
    *r->type = *r->operands[0];
    return needs_number(r);
}

static bool infer_same_float(const struct rule *r) {
    *r->type = *r->operands[0];
    return needs_float(r);
}

static bool infer_logical_not(const struct rule *r) {
    *r->type = *r->operands[0];
    return needs_bool(r);
}

static bool infer_cast(const struct rule *r) {
    *r->type = *r->operands[0];
    r->type->dtype = r->attr->dtype.dtype;
    return true;
}

static bool infer_matmul(const struct rule *r) {
    const struct mb_shape *a = &r->operands[0]->shape, *b = &r->operands[1]->shape;
    struct mb_shape *y = &r->type->shape;
    const bool a_is_vector = a->rank == 1, b_is_vector = b->rank == 1;
    if (!same_dtypes(r)) return false;
    if (!is_float(r->operands[0]->dtype))
        return refuse(r, "E2001", "E2005", "matmul: needs floating-point tensors, not %s",
                      mb_dtype_name(r->operands[0]->dtype));
    if (a->rank == 0 || b->rank == 0)
        return refuse(r, "E2102", "E3002", "matmul: an operand is a scalar: lhs %s, rhs %s",
                      text_of(r, a).s, text_of(r, b).s);
    int64_t k_a = a->dim[a->rank - 1], k_b = b_is_vector ? b->dim[0] : b->dim[b->rank - 2];
    if (!dims_agree(k_a, k_b)) {
        struct mb_shape inner = {2, {k_a, k_b}};
        return refuse(r, "E2103", "E3003", "matmul: inner sizes differ: lhs %s, rhs %s %s",
                      text_of(r, a).s, text_of(r, b).s, text_of(r, &inner).s);
    }
    r->type->dtype = r->operands[0]->dtype;
    if (!broadcast_leading(a, a_is_vector ? 0 : a->rank - 2, b, b_is_vector ? 0 : b->rank - 2, y))
        return refuse(r, "E2101", "E3001", "matmul: leading axes do not broadcast: lhs %s, rhs %s",
                      text_of(r, a).s, text_of(r, b).s);
    if (!a_is_vector) y->dim[y->rank++] = a->dim[a->rank - 2];
    if (!b_is_vector) y->dim[y->rank++] = b->dim[b->rank - 1];
    return true;
}

int64_t mb_window_extent(int64_t extent, int32_t before, int32_t after, int64_t window,
                         int32_t stride) {
    int64_t room = extent + before + after - window;
    return room < 0 ? 0 : room / stride + 1;
}

/* One spatial axis of a convolution or pooling; unknown in, unknown out. */
static bool window_axis(const struct rule *r, int64_t extent, int32_t before, int32_t after,
                        int64_t window, int32_t stride, int64_t *out) {
    if (stride < 1)
        return refuse(r, "E2001", "E4010", "%s: stride must be at least 1, not %d", name_of(r),
                      stride);
    if (window < 0 || extent < 0) {
        *out = MB_DIM_UNKNOWN;
        return true;
    }
    *out = mb_window_extent(extent, before, after, window, stride);
    if (*out > 0) return true;
    return refuse(r, "E2102", "E4009", "%s: window of %lld does not fit %lld padded to %lld",
                  name_of(r), (long long)window, (long long)extent,
                  (long long)(extent + before + after));
}

static bool infer_conv2d(const struct rule *r) {
    const struct mb_shape *x = &r->operands[0]->shape, *w = &r->operands[1]->shape;
    const struct mb_attr_conv *at = &r->attr->conv;
    if (!same_dtypes(r)) return false;
    if (!is_float(r->operands[0]->dtype))
        return refuse(r, "E2001", "E2005", "conv2d: needs floating-point tensors, not %s",
                      mb_dtype_name(r->operands[0]->dtype));
    if (x->rank != 4 || w->rank != 4)
        return refuse(r, "E2102", "E3002", "conv2d: needs rank 4: image %s, filter %s",
                      text_of(r, x).s, text_of(r, w).s);
    const bool nchw = at->layout == MB_NCHW;
    int64_t image_channels = nchw ? x->dim[1] : x->dim[3];
    int64_t filter_channels = nchw ? w->dim[1] : w->dim[2];
    int64_t filters = nchw ? w->dim[0] : w->dim[3];
    if (!dims_agree(image_channels, filter_channels))
        return refuse(r, "E2102", "E4009", "conv2d: channels differ: image %s, filter %s, %s",
                      text_of(r, x).s, text_of(r, w).s, nchw ? "NCHW/OIHW" : "NHWC/HWIO");
    int64_t out[2];
    for (int i = 0; i < 2; i++)
        if (!window_axis(r, x->dim[(nchw ? 2 : 1) + i], at->pad_before[i], at->pad_after[i],
                         w->dim[(nchw ? 2 : 0) + i], at->stride[i], &out[i]))
            return false;
    r->type->dtype = r->operands[0]->dtype;
    r->type->shape = nchw ? (struct mb_shape){4, {x->dim[0], filters, out[0], out[1]}}
                          : (struct mb_shape){4, {x->dim[0], out[0], out[1], filters}};
    return true;
}

static bool infer_pool2d(const struct rule *r) {
    const struct mb_shape *x = &r->operands[0]->shape;
    const struct mb_attr_pool *at = &r->attr->pool;
    if (!needs_float(r)) return false;
    if (x->rank != 4)
        return refuse(r, "E2102", "E3002", "%s: needs rank 4, not %s", name_of(r), text_of(r, x).s);
    *r->type = *r->operands[0];
    int32_t first = at->layout == MB_NCHW ? 2 : 1;
    for (int i = 0; i < 2; i++)
        if (!window_axis(r, x->dim[first + i], 0, 0, at->kernel[i], at->stride[i],
                         &r->type->shape.dim[first + i]))
            return false;
    return true;
}

static bool infer_reduce(const struct rule *r) {
    const struct mb_shape *x = &r->operands[0]->shape;
    const struct mb_attr_reduce *at = &r->attr->reduce;
    struct mb_shape *y = &r->type->shape;
    if (!needs_number(r)) return false;
    if (at->axes >> x->rank)
        return refuse(r, "E2102", "E3004", "%s: axis out of range for rank %d", name_of(r),
                      x->rank);
    r->type->dtype = r->operands[0]->dtype;
    y->rank = 0;
    for (int32_t i = 0; i < x->rank; i++) {
        bool reduced = at->axes >> i & 1;
        if (!reduced || at->keepdims) y->dim[y->rank++] = reduced ? 1 : x->dim[i];
    }
    return true;
}

static bool infer_reduce_float(const struct rule *r) { return needs_float(r) && infer_reduce(r); }

static bool has_axis(const struct rule *r, int32_t axis) {
    int32_t rank = r->operands[0]->shape.rank;
    if (axis >= 0 && axis < rank) return true;
    return refuse(r, "E2102", "E3004", "%s: axis %d out of range for rank %d", name_of(r), axis,
                  rank);
}

static bool infer_along_axis(const struct rule *r) {
    return infer_same_float(r) && has_axis(r, r->attr->axis.axis);
}

static bool infer_argmax(const struct rule *r) {
    const struct mb_shape *x = &r->operands[0]->shape;
    if (!needs_number(r) || !has_axis(r, r->attr->axis.axis)) return false;
    if (x->dim[r->attr->axis.axis] > INT32_MAX)
        return refuse(r, "E2102", NULL, "%s: indices of %s do not fit i32", name_of(r),
                      text_of(r, x).s);
    *r->type = (struct mb_type){MB_I32, {.rank = 0}};
    for (int32_t i = 0; i < x->rank; i++)
        if (i != r->attr->axis.axis) r->type->shape.dim[r->type->shape.rank++] = x->dim[i];
    return true;
}

static bool infer_slice(const struct rule *r) {
    const struct mb_attr_slice *at = &r->attr->slice;
    int64_t last;
    if (!has_axis(r, at->axis)) return false;
    *r->type = *r->operands[0];
    const int64_t dim = r->type->shape.dim[at->axis];
    r->type->shape.dim[at->axis] = at->extent;
    if (dim < 0 || at->extent < 0) return true; /* not known yet */
    if (at->extent == 0)
        return refuse(r, "E2102", "E3006", "slice: no element of axis %d is left", at->axis);
    if (at->start >= 0 && at->start < dim &&
        !__builtin_mul_overflow(at->extent - 1, at->step, &last) &&
        !__builtin_add_overflow(last, at->start, &last) && last >= 0 && last < dim)
        return true;
    return refuse(r, "E2102", "E3004", "slice: %lld of step %lld from %lld leave axis %d of %s",
                  (long long)at->extent, (long long)at->step, (long long)at->start, at->axis,
                  text_of(r, &r->operands[0]->shape).s);
}

static bool infer_concat(const struct rule *r) {
    const struct mb_shape *a = &r->operands[0]->shape, *b = &r->operands[1]->shape;
    const int32_t axis = r->attr->axis.axis;
    bool agree = a->rank == b->rank;
    if (!same_dtypes(r) || !has_axis(r, axis)) return false;
    *r->type = *r->operands[0];
    for (int32_t i = 0; agree && i < a->rank; i++)
        if (i != axis) agree = dims_agree(a->dim[i], b->dim[i]);
    if (!agree)
        return refuse(r, "E2102", "E3002", "concat: shapes %s and %s differ beside axis %d",
                      text_of(r, a).s, text_of(r, b).s, axis);
    int64_t *sum = &r->type->shape.dim[axis];
    if (a->dim[axis] < 0 || b->dim[axis] < 0)
        *sum = MB_DIM_UNKNOWN;
    else if (__builtin_add_overflow(a->dim[axis], b->dim[axis], sum))
        return refuse(r, "E2102", NULL, "concat: the result is too large");
    return true;
}

static bool infer_gather(const struct rule *r) {
    const struct mb_shape *x = &r->operands[0]->shape, *idx = &r->operands[1]->shape;
    const enum mb_dtype index = r->operands[1]->dtype;
    const struct mb_attr_gather *at = &r->attr->gather;
    if (index != MB_I32 && index != MB_I64)
        return refuse(r, "E2001", "E2005", "gather: indices must be i32 or i64, not %s",
                      mb_dtype_name(index));
    if (!has_axis(r, at->axis)) return false;
    bool agree = at->batch >= 0 && at->batch <= at->axis && at->batch <= idx->rank;
    for (int32_t i = 0; agree && i < at->batch; i++) agree = dims_agree(x->dim[i], idx->dim[i]);
    if (!agree || x->rank - 1 + idx->rank - at->batch > MB_MAX_RANK)
        return refuse(r, "E2102", "E3002", "gather: indices %s do not fit %s", text_of(r, idx).s,
                      text_of(r, x).s);
    struct mb_shape y = {.rank = 0};
    for (int32_t i = 0; i < at->axis; i++) y.dim[y.rank++] = x->dim[i];
    for (int32_t i = at->batch; i < idx->rank; i++) y.dim[y.rank++] = idx->dim[i];
    for (int32_t i = at->axis + 1; i < x->rank; i++) y.dim[y.rank++] = x->dim[i];
    *r->type = (struct mb_type){r->operands[0]->dtype, y};
    return true;
}

/* The product of the extents; false when it overflows. Symbols are noted and left out. */
static bool product(const struct mb_shape *shape, uint64_t *count, bool *symbolic) {
    *count = 1;
    for (int32_t i = 0; i < shape->rank; i++) {
        if (shape->dim[i] < 0)
            *symbolic = true;
        else if (__builtin_mul_overflow(*count, (uint64_t)shape->dim[i], count))
            return false;
    }
    return true;
}

/* Cancels equal dimensions of the two shapes, then compares what is left. */
static bool counts_agree(const struct mb_shape *a, const struct mb_shape *b) {
    struct mb_shape x = *a, y = *b;
    uint64_t count_x, count_y;
    bool symbolic = false;
    for (int32_t i = 0; i < x.rank; i++)
        for (int32_t j = 0; j < y.rank; j++)
            if (x.dim[i] == y.dim[j] && x.dim[i] != 1) {
                x.dim[i] = y.dim[j] = 1;
                break;
            }
    return product(&x, &count_x, &symbolic) && product(&y, &count_y, &symbolic) &&
           (symbolic || count_x == count_y);
}

static bool infer_reshape(const struct rule *r) {
    const struct mb_shape *x = &r->operands[0]->shape, *y = &r->attr->shape.shape;
    r->type->dtype = r->operands[0]->dtype;
    r->type->shape = *y;
    if (counts_agree(x, y)) return true;
    return refuse(r, "E2102", "E3007", "reshape: element counts differ: %s to %s", text_of(r, x).s,
                  text_of(r, y).s);
}

static bool infer_transpose(const struct rule *r) {
    const struct mb_shape *x = &r->operands[0]->shape;
    const int8_t *perm = r->attr->perm.perm;
    uint32_t seen = 0;
    *r->type = *r->operands[0];
    for (int32_t i = 0; i < x->rank; i++) {
        if (perm[i] < 0 || perm[i] >= x->rank || (seen >> perm[i] & 1))
            return refuse(r, "E2102", "E3008", "transpose: axes are no permutation of 0..%d",
                          x->rank - 1);
        seen |= 1u << perm[i];
        r->type->shape.dim[i] = x->dim[perm[i]];
    }
    return true;
}

bool mb_op_infer(enum mb_op op, const struct mb_type *const *operands, const union mb_attr *attr,
                 const struct mb_type *given, const char *const *symbols, struct mb_type *type,
                 struct mb_shape_error *error) {
    static bool (*const rules[])(const struct rule *) = {
#define OP(id, text, operands, attributes, shape_rule, flops, meaning) infer_##shape_rule,
#include "ops.def"
    };
    const struct rule r = {op, operands, attr, given, symbols, type, error};
    return rules[op](&r);
}
