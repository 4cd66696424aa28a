#include "generic.h"

#include "generic_index.h"

#include <math.h>
#include <string.h>

enum { REDUCE_BLOCK = 64 };

/* ---- sums over axes ---- */

/* The last axis is `kept_inner` neighbouring outputs, or `summed_inner` neighbouring terms; the
 * other one is 1. The other axes are steps to outputs or to terms. */
struct mb_reduction {
    int64_t outputs, terms, divisor; /* terms: without the summed inner ones */
    int64_t kept_inner, summed_inner;
    int32_t n_kept, n_summed;
    int64_t kept_extent[MB_MAX_RANK], kept_step[MB_MAX_RANK];
    int64_t summed_extent[MB_MAX_RANK], summed_step[MB_MAX_RANK];
};

static struct mb_reduction mb_reduction_of(const struct mb_generic_args *args) {
    const struct mb_shape *x = &args->types[0]->shape;
    const uint32_t axes = args->node->attr.reduce.axes;
    struct mb_reduction red = {.outputs = mb_count_of(&args->node->type.shape),
                               .terms = 1,
                               .divisor = 1,
                               .kept_inner = 1,
                               .summed_inner = 1};
    int64_t step[MB_MAX_RANK];
    mb_steps_of(x, step);
    for (int32_t i = 0; i < x->rank; i++) {
        const bool summed = axes >> i & 1, last = i == x->rank - 1;
        if (summed) red.divisor *= x->dim[i];
        if (last && summed) {
            red.summed_inner = x->dim[i];
        } else if (last) {
            red.kept_inner = x->dim[i];
        } else if (summed) {
            red.terms *= x->dim[i];
            red.summed_extent[red.n_summed] = x->dim[i];
            red.summed_step[red.n_summed++] = step[i];
        } else {
            red.kept_extent[red.n_kept] = x->dim[i];
            red.kept_step[red.n_kept++] = step[i];
        }
    }
    return red;
}

static int64_t offset_at(int64_t index, int32_t n, const int64_t *extent, const int64_t *step) {
    int64_t at = 0;
    for (int32_t i = n - 1; i >= 0; i--) {
        at += index % extent[i] * step[i];
        index /= extent[i];
    }
    return at;
}

static int64_t mb_reduction_base(const struct mb_reduction *red, int64_t output_row) {
    return offset_at(output_row, red->n_kept, red->kept_extent, red->kept_step);
}

static int64_t mb_reduction_term(const struct mb_reduction *red, int64_t term) {
    return offset_at(term, red->n_summed, red->summed_extent, red->summed_step);
}

/* ---- the dtypes ---- */

#define ADD_(a, b)     ((a) + (b))
#define SUB_(a, b)     ((a) - (b))
#define MUL_(a, b)     ((a) * (b))
#define DIV_(a, b)     ((a) / (b))
#define NEG_(a)        (-(a))
#define SUM_T          double
#define SUM_ADD_(s, a) ((s) + (double)(a))

#define T        float
#define NAME(x)  x##_f32
#define MATH(fn) fn##f
#include "generic_numeric.inc"

#include "generic_float.inc"
#undef T
#undef NAME
#undef MATH

#define T        double
#define NAME(x)  x##_f64
#define MATH(fn) fn
#include "generic_numeric.inc"

#include "generic_float.inc"
#undef T
#undef NAME
#undef MATH

#undef ADD_
#undef SUB_
#undef MUL_
#undef DIV_
#undef NEG_
#undef SUM_T
#undef SUM_ADD_

/* Integers wrap: computed unsigned, converted back modulo 2^bits (gcc and clang define it so). */
#define ADD_(a, b)     ((T)((U)(a) + (U)(b)))
#define SUB_(a, b)     ((T)((U)(a) - (U)(b)))
#define MUL_(a, b)     ((T)((U)(a) * (U)(b)))
#define NEG_(a)        ((T)((U)0 - (U)(a)))
#define SUM_T          T
#define SUM_ADD_(s, a) ADD_(s, a)

static bool raise_flag(bool *flag) {
    __atomic_store_n(flag, true, __ATOMIC_RELAXED);
    return true;
}
#define DIV_(a, b)                                                                                 \
    ((b) == 0 ? (T)!raise_flag(args->divided_by_zero) : (b) == -1 ? NEG_(a) : (T)((a) / (b)))

#define T       int32_t
#define U       uint32_t
#define NAME(x) x##_i32
#include "generic_numeric.inc"
#undef T
#undef U
#undef NAME

#define T       int64_t
#define U       uint64_t
#define NAME(x) x##_i64
#include "generic_numeric.inc"
#undef T
#undef U
#undef NAME

/* ---- moving elements, whatever they are ---- */

static void fill_bool(const struct mb_generic_args *args, const struct mb_thread *thread) {
    uint8_t *y = args->y;
    int64_t i, end;
    mb_share(thread, mb_count_of(&args->node->type.shape), &i, &end);
    if (i < end) memset(y + i, args->node->attr.fill.value != 0, (size_t)(end - i));
}

static void copy(const struct mb_generic_args *args, const struct mb_thread *thread) {
    const int64_t size = (int64_t)mb_dtype_size(args->node->type.dtype);
    int64_t i, end;
    mb_share(thread, mb_count_of(&args->node->type.shape), &i, &end);
    if (i < end)
        memcpy((char *)args->y + i * size, (const char *)args->operands[0] + i * size,
               (size_t)((end - i) * size));
}

#define TRANSPOSE(T)                                                                               \
    static void transpose_##T(const struct mb_generic_args *args,                                  \
                              const struct mb_thread *thread) {                                    \
        const struct mb_shape *shape = &args->node->type.shape;                                    \
        const T *x = args->operands[0];                                                            \
        T *y = args->y;                                                                            \
        int64_t own[MB_MAX_RANK], step[MB_MAX_RANK], at, end;                                      \
        const int32_t outer = shape->rank - 1;                                                     \
        mb_steps_of(&args->types[0]->shape, own);                                                  \
        for (int32_t i = 0; i < shape->rank; i++) step[i] = own[args->node->attr.perm.perm[i]];    \
        const int64_t inner = shape->rank ? shape->dim[outer] : 1;                                 \
        mb_share(thread, mb_count_of(shape) / inner, &at, &end);                                   \
        for (; at < end; at++) {                                                                   \
            const T *from = x + offset_at(at, outer, shape->dim, step);                            \
            for (int64_t i = 0; i < inner; i++) y[at * inner + i] = from[i * step[outer]];         \
        }                                                                                          \
    }
TRANSPOSE(uint8_t)
TRANSPOSE(uint32_t)
TRANSPOSE(uint64_t)

/* ---- the table ---- */

#define NUMERIC(t)                                                                                 \
    [MB_OP_FILL] = fill_##t, [MB_OP_ADD] = binary_ADD_##t, [MB_OP_SUB] = binary_SUB_##t,           \
    [MB_OP_MUL] = binary_MUL_##t, [MB_OP_DIV] = binary_DIV_##t, [MB_OP_MAX] = binary_MAX_##t,      \
    [MB_OP_MIN] = binary_MIN_##t, [MB_OP_NEG] = unary_NEG_##t, [MB_OP_ABS] = unary_ABS_##t,        \
    [MB_OP_RELU] = unary_RELU_##t, [MB_OP_SUM] = sum_##t, [MB_OP_RESHAPE] = copy
#define FLOATING(t)                                                                                \
    [MB_OP_SIGMOID] = unary_SIGMOID_##t, [MB_OP_TANH] = unary_TANH_##t,                            \
    [MB_OP_EXP] = unary_EXP_##t, [MB_OP_LOG] = unary_LOG_##t, [MB_OP_SQRT] = unary_SQRT_##t,       \
    [MB_OP_GELU] = unary_GELU_##t, [MB_OP_MATMUL] = matmul_##t, [MB_OP_CONV2D] = conv2d_##t,       \
    [MB_OP_MAXPOOL2D] = maxpool_##t, [MB_OP_AVGPOOL2D] = avgpool_##t, [MB_OP_MEAN] = mean_##t,     \
    [MB_OP_SOFTMAX] = softmax_##t

mb_generic_fn *mb_generic_find(enum mb_op op, enum mb_dtype dtype) {
    static mb_generic_fn *const table[][MB_OP_COUNT] = {
        [MB_F32] = {NUMERIC(f32), FLOATING(f32), [MB_OP_TRANSPOSE] = transpose_uint32_t},
        [MB_F64] = {NUMERIC(f64), FLOATING(f64), [MB_OP_TRANSPOSE] = transpose_uint64_t},
        [MB_I32] = {NUMERIC(i32), [MB_OP_TRANSPOSE] = transpose_uint32_t},
        [MB_I64] = {NUMERIC(i64), [MB_OP_TRANSPOSE] = transpose_uint64_t},
        [MB_BOOL] = {[MB_OP_FILL] = fill_bool,
                     [MB_OP_RESHAPE] = copy,
                     [MB_OP_TRANSPOSE] = transpose_uint8_t},
    };
    return table[dtype][op];
}
