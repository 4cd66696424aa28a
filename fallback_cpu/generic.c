/* Compiled for each instruction set (CMakeLists.txt), whose vectors the compiler makes of the loops
 * below; only the name of mb_generic_find differs. */
#include "generic.h"

#include "generic_index.h"
#include "generic_loops.h"
#include "vector_math.h"

#include <math.h>
#include <string.h>

/* ---- reductions over axes ---- */

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

/* The lines of the operand along the node's axis. */
struct mb_lines {
    int64_t count, extent, step;
};

static struct mb_lines mb_lines_of(const struct mb_generic_args *args) {
    const struct mb_shape *x = &args->types[0]->shape;
    const int32_t axis = args->node->attr.axis.axis;
    int64_t steps[MB_MAX_RANK];
    mb_steps_of(x, steps);
    return (struct mb_lines){mb_count_of(x) / x->dim[axis], x->dim[axis], steps[axis]};
}

static int64_t mb_line_start(const struct mb_lines *lines, int64_t line) {
    return line / lines->step * lines->step * lines->extent + line % lines->step;
}

/* ---- the dtypes ---- */

/* A float as an integer of `bits` bits; comparisons that hold in every float type. */
#define FLOAT_TO_(bits, a)                                                                         \
    ((a) != (a)                   ? 0                                                              \
     : (a) >= -(T)INT##bits##_MIN ? INT##bits##_MAX                                                \
     : (a) < (T)INT##bits##_MIN   ? INT##bits##_MIN                                                \
                                  : (int##bits##_t)(a))

#define ADD_(a, b)     ((a) + (b))
#define SUB_(a, b)     ((a) - (b))
#define MUL_(a, b)     ((a) * (b))
#define DIV_(a, b)     ((a) / (b))
#define NEG_(a)        (-(a))
#define SUM_T          double
#define SUM_ADD_(s, a) ((s) + (double)(a))
#define SUM_MUL_(s, a) ((s) * (double)(a))
#define MOD_(a, b)     MATH(fmod)(a, b)
#define TO_I32_(a)     FLOAT_TO_(32, a)
#define TO_I64_(a)     FLOAT_TO_(64, a)
#define LEAST          ((T)-INFINITY)
#define MOST           ((T)INFINITY)

#define T           float
#define NAME(x)     x##_f32
#define MATH(fn)    fn##f
#define EXP_(a)     mb_expf(a)
#define LOG_(a)     mb_logf(a)
#define TANH_(a)    mb_tanhf(a)
#define SIGMOID_(a) mb_sigmoidf(a)
#define CDF_(a)     mb_normal_cdff(a)
#include "generic_numeric.inc"

#include "generic_any.inc"
#include "generic_float.inc"
#undef T
#undef NAME
#undef MATH
#undef EXP_
#undef LOG_
#undef TANH_
#undef SIGMOID_
#undef CDF_

#define T           double
#define NAME(x)     x##_f64
#define MATH(fn)    fn
#define EXP_(a)     exp(a)
#define LOG_(a)     log(a)
#define TANH_(a)    tanh(a)
#define SIGMOID_(a) (1 / (1 + exp(-(a))))
#define CDF_(a)     (0.5 * erfc(-(a)*0.70710678118654752440))
#include "generic_numeric.inc"

#include "generic_any.inc"
#include "generic_float.inc"
#undef T
#undef NAME
#undef MATH
#undef EXP_
#undef LOG_
#undef TANH_
#undef SIGMOID_
#undef CDF_

#undef ADD_
#undef SUB_
#undef MUL_
#undef DIV_
#undef NEG_
#undef SUM_T
#undef SUM_ADD_
#undef SUM_MUL_
#undef MOD_
#undef TO_I32_
#undef TO_I64_
#undef LEAST
#undef MOST

/* Integers wrap: computed unsigned, converted back modulo 2^bits (gcc and clang define it so). */
#define ADD_(a, b)     ((T)((U)(a) + (U)(b)))
#define SUB_(a, b)     ((T)((U)(a) - (U)(b)))
#define MUL_(a, b)     ((T)((U)(a) * (U)(b)))
#define NEG_(a)        ((T)((U)0 - (U)(a)))
#define SUM_T          T
#define SUM_ADD_(s, a) ADD_(s, a)
#define SUM_MUL_(s, a) MUL_(s, a)
#define TO_I32_(a)     ((int32_t)(a))
#define TO_I64_(a)     ((int64_t)(a))

static bool raise_flag(bool *flag) {
    __atomic_store_n(flag, true, __ATOMIC_RELAXED);
    return true;
}
#define DIV_(a, b)                                                                                 \
    ((b) == 0 ? (T)!raise_flag(args->divided_by_zero) : (b) == -1 ? NEG_(a) : (T)((a) / (b)))

#define MOD_(a, b)                                                                                 \
    ((b) == 0 ? (T)!raise_flag(args->divided_by_zero) : (b) == -1 ? 0 : (T)((a) % (b)))

#define T       int32_t
#define U       uint32_t
#define NAME(x) x##_i32
#define LEAST   INT32_MIN
#define MOST    INT32_MAX
#include "generic_numeric.inc"

#include "generic_any.inc"
#undef T
#undef U
#undef NAME
#undef LEAST
#undef MOST

#define T       int64_t
#define U       uint64_t
#define NAME(x) x##_i64
#define LEAST   INT64_MIN
#define MOST    INT64_MAX
#include "generic_numeric.inc"

#include "generic_any.inc"
#undef T
#undef U
#undef NAME
#undef LEAST
#undef MOST

#define T       uint8_t
#define NAME(x) x##_bool
BINARY(AND, a &&b)
BINARY(OR, a || b)
UNARY(NOT, !a)
UNARY_TO(int32_t, TO_I32, a)
UNARY_TO(int64_t, TO_I64, a)
#include "generic_any.inc"
#undef T
#undef NAME

/* ---- moving elements, whatever they are ---- */

static void copy(const struct mb_generic_args *args, const struct mb_thread *thread) {
    const int64_t size = (int64_t)mb_dtype_size(args->node->type.dtype);
    int64_t i, end;
    mb_share(thread, mb_count_of(&args->node->type.shape), &i, &end);
    if (i < end)
        memcpy((char *)args->y + i * size, (const char *)args->operands[0] + i * size,
               (size_t)((end - i) * size));
}

static void constant(const struct mb_generic_args *args, const struct mb_thread *thread) {
    const int64_t size = (int64_t)mb_dtype_size(args->node->type.dtype);
    int64_t i, end;
    mb_share(thread, mb_count_of(&args->node->type.shape), &i, &end);
    mb_program_constant(args->node, i, end, (char *)args->y + i * size);
}

/* Rows of the inner axes, each from one operand. */
static void concat(const struct mb_generic_args *args, const struct mb_thread *thread) {
    const int32_t axis = args->node->attr.axis.axis;
    const int64_t size = (int64_t)mb_dtype_size(args->node->type.dtype);
    int64_t steps[2][MB_MAX_RANK], bytes[2], row, end;
    for (int k = 0; k < 2; k++) {
        mb_steps_of(&args->types[k]->shape, steps[k]);
        bytes[k] = args->types[k]->shape.dim[axis] * steps[k][axis] * size;
    }
    mb_share(thread, mb_count_of(&args->types[0]->shape) * size / bytes[0], &row, &end);
    for (; row < end; row++)
        for (int k = 0; k < 2; k++)
            memcpy((char *)args->y + row * (bytes[0] + bytes[1]) + (k ? bytes[0] : 0),
                   (const char *)args->operands[k] + row * bytes[k], (size_t)bytes[k]);
}

static void gather(const struct mb_generic_args *args, const struct mb_thread *thread) {
    const struct mb_gathering g = mb_gathering_of(args->node, args->types[0], args->types[1]);
    const int64_t bytes = g.inner * (int64_t)mb_dtype_size(args->node->type.dtype);
    const bool wide = args->types[1]->dtype == MB_I64;
    int64_t at, end;
    for (mb_share(thread, g.batches * g.middle * g.picks, &at, &end); at < end; at++) {
        const int64_t row = at / g.picks, pick = row / g.middle * g.picks + at % g.picks;
        const int64_t index = wide ? ((const int64_t *)args->operands[1])[pick]
                                   : ((const int32_t *)args->operands[1])[pick];
        char *y = (char *)args->y + at * bytes;
        if (index >= 0 && index < g.extent) {
            memcpy(y, (const char *)args->operands[0] + (row * g.extent + index) * bytes,
                   (size_t)bytes);
        } else {
            raise_flag(args->index_outside);
            memset(y, 0, (size_t)bytes);
        }
    }
}

/* How y is made of x in pieces. Where x runs along another axis than y's last, pieces are TILE
 * neighbours along that axis by a whole row of y, in tiles: a line of either is used up while it is
 * in the first-level cache. Elsewhere a piece is a row of y. */
struct mb_move {
    int32_t n_outer, across; /* the other axes; the axis that x runs along, -1: rows */
    int64_t inner, inner_step, pieces, tiles;
    int64_t extent[MB_MAX_RANK], from_step[MB_MAX_RANK], to_step[MB_MAX_RANK];
    int64_t across_extent, across_to;
};

enum { TILE = 16 };

static struct mb_move mb_move_of(const struct mb_shape *shape, const int64_t step[MB_MAX_RANK]) {
    const int32_t last = shape->rank - 1;
    struct mb_move m = {.across = -1, .inner = 1, .pieces = 1, .tiles = 1};
    int64_t own[MB_MAX_RANK] = {0};
    if (shape->rank == 0) return m;
    mb_steps_of(shape, own);
    m.inner = shape->dim[last];
    m.inner_step = step[last];
    for (int32_t i = 0; i < last && m.inner_step != 1; i++)
        if (step[i] == 1 && shape->dim[i] > 1) m.across = i;
    for (int32_t i = 0; i < last; i++) {
        if (i == m.across) continue;
        m.extent[m.n_outer] = shape->dim[i];
        m.from_step[m.n_outer] = step[i];
        m.to_step[m.n_outer++] = own[i];
        m.pieces *= shape->dim[i];
    }
    if (m.across < 0) return m;
    m.across_extent = shape->dim[m.across];
    m.across_to = own[m.across];
    m.tiles = (m.across_extent + TILE - 1) / TILE;
    m.pieces *= m.tiles;
    return m;
}

/* y = x along its own steps; x begins at its element `base`. */
#define MOVE(T)                                                                                    \
    static void move_tile_##T(const struct mb_move *m, const T *restrict from, T *restrict to,     \
                              int64_t lines) {                                                     \
        for (int64_t j = 0; j < m->inner; j += TILE) {                                             \
            const int64_t columns = mb_min_i64(TILE, m->inner - j);                                \
            for (int64_t i = 0; i < lines; i++)                                                    \
                for (int64_t k = j; k < j + columns; k++)                                          \
                    to[i * m->across_to + k] = from[i + k * m->inner_step];                        \
        }                                                                                          \
    }                                                                                              \
    static void move_##T(const struct mb_generic_args *args, int64_t base,                         \
                         const int64_t step[MB_MAX_RANK], const struct mb_thread *thread) {        \
        const struct mb_move m = mb_move_of(&args->node->type.shape, step);                        \
        const T *x = (const T *)args->operands[0] + base;                                          \
        T *y = args->y;                                                                            \
        int64_t at, end;                                                                           \
        for (mb_share(thread, m.pieces, &at, &end); at < end; at++) {                              \
            const int64_t outer = at / m.tiles, line = at % m.tiles * TILE;                        \
            const T *from = x + offset_at(outer, m.n_outer, m.extent, m.from_step) + line;         \
            T *to = y + offset_at(outer, m.n_outer, m.extent, m.to_step) + line * m.across_to;     \
            if (m.across >= 0)                                                                     \
                move_tile_##T(&m, from, to, mb_min_i64(TILE, m.across_extent - line));             \
            else if (m.inner_step == 1)                                                            \
                memcpy(to, from, (size_t)m.inner * sizeof *to);                                    \
            else                                                                                   \
                for (int64_t i = 0; i < m.inner; i++) to[i] = from[i * m.inner_step];              \
        }                                                                                          \
    }
MOVE(uint8_t)
MOVE(uint32_t)
MOVE(uint64_t)

static void move(const struct mb_generic_args *args, int64_t base, const int64_t *step,
                 const struct mb_thread *thread) {
    switch (mb_dtype_size(args->node->type.dtype)) {
    case 1: move_uint8_t(args, base, step, thread); break;
    case 4: move_uint32_t(args, base, step, thread); break;
    default: move_uint64_t(args, base, step, thread); break;
    }
}

static void transpose(const struct mb_generic_args *args, const struct mb_thread *thread) {
    int64_t own[MB_MAX_RANK] = {0}, step[MB_MAX_RANK] = {0};
    mb_steps_of(&args->types[0]->shape, own);
    for (int32_t i = 0; i < args->node->type.shape.rank; i++)
        step[i] = own[args->node->attr.perm.perm[i]];
    move(args, 0, step, thread);
}

static void slice(const struct mb_generic_args *args, const struct mb_thread *thread) {
    const struct mb_attr_slice *at = &args->node->attr.slice;
    int64_t step[MB_MAX_RANK] = {0};
    mb_steps_of(&args->types[0]->shape, step);
    const int64_t base = at->start * step[at->axis];
    step[at->axis] *= at->step;
    move(args, base, step, thread);
}

#define SELECT(T)                                                                                  \
    static void select_##T(const struct mb_generic_args *args, const struct mb_thread *thread) {   \
        const struct mb_shape *shape = &args->node->type.shape;                                    \
        const struct mb_nest nest =                                                                \
            mb_nest_of(shape,                                                                      \
                       (const struct mb_shape *[]){&args->types[0]->shape, &args->types[1]->shape, \
                                                   &args->types[2]->shape},                        \
                       3);                                                                         \
        const int32_t last = nest.rank - 1;                                                        \
        const int64_t inner = nest.extent[last];                                                   \
        int64_t at, end;                                                                           \
        mb_share(thread, mb_count_of(shape), &at, &end);                                           \
        while (at < end) {                                                                         \
            const int64_t column = at % inner, stop = mb_min_i64(inner, column + end - at);        \
            int64_t offset[MB_MAX_OPERANDS];                                                       \
            mb_nest_row(&nest, at / inner, offset);                                                \
            const uint8_t *which = (const uint8_t *)args->operands[0] + offset[0];                 \
            const T *a = (const T *)args->operands[1] + offset[1];                                 \
            const T *b = (const T *)args->operands[2] + offset[2];                                 \
            for (int64_t i = column; i < stop; i++)                                                \
                ((T *)args->y)[at++] = which[i * nest.step[0][last]] ? a[i * nest.step[1][last]]   \
                                                                     : b[i * nest.step[2][last]];  \
        }                                                                                          \
    }
SELECT(uint8_t)
SELECT(uint32_t)
SELECT(uint64_t)

static void select_any(const struct mb_generic_args *args, const struct mb_thread *thread) {
    switch (mb_dtype_size(args->node->type.dtype)) {
    case 1: select_uint8_t(args, thread); break;
    case 4: select_uint32_t(args, thread); break;
    default: select_uint64_t(args, thread); break;
    }
}

/* ---- the table ---- */

#define ANY(t)                                                                                     \
    [MB_OP_FILL] = fill_##t, [MB_OP_EQ] = binary_EQ_##t, [MB_OP_NE] = binary_NE_##t,               \
    [MB_OP_CAST] = cast_##t, [MB_OP_RESHAPE] = copy, [MB_OP_TRANSPOSE] = transpose,                \
    [MB_OP_SLICE] = slice, [MB_OP_CONCAT] = concat, [MB_OP_GATHER] = gather,                       \
    [MB_OP_RANGE] = constant, [MB_OP_EYE] = constant, [MB_OP_UNIFORM] = constant,                  \
    [MB_OP_NORMAL] = constant
#define NUMERIC(t)                                                                                 \
    [MB_OP_ADD] = binary_ADD_##t, [MB_OP_SUB] = binary_SUB_##t, [MB_OP_MUL] = binary_MUL_##t,      \
    [MB_OP_DIV] = binary_DIV_##t, [MB_OP_MOD] = binary_MOD_##t, [MB_OP_MAX] = binary_MAX_##t,      \
    [MB_OP_MIN] = binary_MIN_##t, [MB_OP_LT] = binary_LT_##t, [MB_OP_LE] = binary_LE_##t,          \
    [MB_OP_GT] = binary_GT_##t, [MB_OP_GE] = binary_GE_##t, [MB_OP_NEG] = unary_NEG_##t,           \
    [MB_OP_ABS] = unary_ABS_##t, [MB_OP_RELU] = unary_RELU_##t, [MB_OP_SUM] = reduce_SUM_##t,      \
    [MB_OP_PROD] = reduce_PROD_##t, [MB_OP_REDUCE_MAX] = reduce_MAX_##t,                           \
    [MB_OP_REDUCE_MIN] = reduce_MIN_##t, [MB_OP_ARGMAX] = argmax_##t
#define FLOATING(t)                                                                                \
    [MB_OP_POW] = binary_POW_##t, [MB_OP_SIGMOID] = unary_SIGMOID_##t,                             \
    [MB_OP_TANH] = unary_TANH_##t, [MB_OP_EXP] = unary_EXP_##t, [MB_OP_LOG] = unary_LOG_##t,       \
    [MB_OP_SQRT] = unary_SQRT_##t, [MB_OP_LOG2] = unary_LOG2_##t, [MB_OP_LOG10] = unary_LOG10_##t, \
    [MB_OP_SIN] = unary_SIN_##t, [MB_OP_COS] = unary_COS_##t, [MB_OP_FLOOR] = unary_FLOOR_##t,     \
    [MB_OP_CEIL] = unary_CEIL_##t, [MB_OP_ROUND] = unary_ROUND_##t, [MB_OP_GELU] = unary_GELU_##t, \
    [MB_OP_MATMUL] = matmul_##t, [MB_OP_CONV2D] = conv2d_##t, [MB_OP_MAXPOOL2D] = maxpool_##t,     \
    [MB_OP_AVGPOOL2D] = avgpool_##t, [MB_OP_MEAN] = reduce_MEAN_##t,                               \
    [MB_OP_SOFTMAX] = softmax_##t, [MB_OP_LOG_SOFTMAX] = log_softmax_##t

mb_generic_fn *MB_GENERIC_FIND(enum mb_op op, enum mb_dtype dtype) {
    static mb_generic_fn *const table[][MB_OP_COUNT] = {
        [MB_F32] = {ANY(f32), NUMERIC(f32), FLOATING(f32)},
        [MB_F64] = {ANY(f64), NUMERIC(f64), FLOATING(f64)},
        [MB_I32] = {ANY(i32), NUMERIC(i32)},
        [MB_I64] = {ANY(i64), NUMERIC(i64)},
        [MB_BOOL] = {ANY(bool), [MB_OP_AND] = binary_AND_bool, [MB_OP_OR] = binary_OR_bool,
                     [MB_OP_NOT] = unary_NOT_bool, [MB_OP_SELECT] = select_any},
    };
    return table[dtype][op];
}
