/* The loops of the generic operations, as macros on the element type: expanded for each T and NAME
 * by the .inc files. */
#ifndef MB_GENERIC_LOOPS_H
#define MB_GENERIC_LOOPS_H

/* Neighbouring outputs of a reduction made side by side; terms of one folded side by side. */
enum { REDUCE_BLOCK = 64, LANES = 16 };

#define IS_NAN_(a) ((a) != (a)) /* false for integers, without a warning */

/* y = expression of a and b, in runs along the innermost axis: each operand moves or stands. */
#define BINARY_TO(R, id, expression)                                                               \
    static void NAME(binary_##id)(const struct mb_generic_args *args,                              \
                                  const struct mb_thread *thread) {                                \
        const struct mb_nest nest = mb_nest_broadcast(                                             \
            &args->node->type.shape, &args->types[0]->shape, &args->types[1]->shape);              \
        const int64_t inner = nest.extent[nest.rank - 1];                                          \
        const bool a_moves = nest.step[0][nest.rank - 1], b_moves = nest.step[1][nest.rank - 1];   \
        int64_t at, end;                                                                           \
        mb_share(thread, mb_count_of(&args->node->type.shape), &at, &end);                         \
        while (at < end) {                                                                         \
            const int64_t column = at % inner, count = mb_min_i64(inner - column, end - at);       \
            int64_t offset[MB_MAX_OPERANDS];                                                       \
            mb_nest_row(&nest, at / inner, offset);                                                \
            const T *restrict p = (const T *)args->operands[0] + offset[0];                        \
            const T *restrict q = (const T *)args->operands[1] + offset[1];                        \
            R *restrict y = (R *)args->y + at;                                                     \
            p += a_moves ? column : 0, q += b_moves ? column : 0;                                  \
            if (a_moves && b_moves) {                                                              \
                for (int64_t i = 0; i < count; i++) {                                              \
                    const T a = p[i], b = q[i];                                                    \
                    y[i] = (R)(expression);                                                        \
                }                                                                                  \
            } else if (a_moves) {                                                                  \
                const T b = q[0];                                                                  \
                for (int64_t i = 0; i < count; i++) {                                              \
                    const T a = p[i];                                                              \
                    y[i] = (R)(expression);                                                        \
                }                                                                                  \
            } else {                                                                               \
                const T a = p[0];                                                                  \
                for (int64_t i = 0; i < count; i++) {                                              \
                    const T b = q[b_moves ? i : 0];                                                \
                    y[i] = (R)(expression);                                                        \
                }                                                                                  \
            }                                                                                      \
            at += count;                                                                           \
        }                                                                                          \
    }

#define UNARY_TO(R, id, expression)                                                                \
    static void NAME(unary_##id)(const struct mb_generic_args *args,                               \
                                 const struct mb_thread *thread) {                                 \
        const T *restrict x = args->operands[0];                                                   \
        R *restrict y = args->y;                                                                   \
        int64_t i, end;                                                                            \
        mb_share(thread, mb_count_of(&args->node->type.shape), &i, &end);                          \
        for (; i < end; i++) {                                                                     \
            const T a = x[i];                                                                      \
            y[i] = (R)(expression);                                                                \
        }                                                                                          \
    }

#define BINARY(id, expression)  BINARY_TO(T, id, expression)
#define COMPARE(id, expression) BINARY_TO(uint8_t, id, expression)
#define UNARY(id, expression)   UNARY_TO(T, id, expression)

/* into = the `n` elements at `from` and into, folded: `v` is an element and `acc` what came before
 * it. LANES of them at a time, each lane from `first`, the lanes themselves last: always in one
 * order. */
#define FOLD_RUN(A, first, fold, into, from, n)                                                    \
    do {                                                                                           \
        A lanes[LANES], before = (into);                                                           \
        int64_t at_lane = 0;                                                                       \
        for (int l = 0; l < LANES; l++) lanes[l] = (first);                                        \
        for (; at_lane + LANES <= (n); at_lane += LANES)                                           \
            for (int l = 0; l < LANES; l++) {                                                      \
                const A acc = lanes[l];                                                            \
                const T v = (from)[at_lane + l];                                                   \
                lanes[l] = (fold);                                                                 \
            }                                                                                      \
        for (; at_lane < (n); at_lane++) {                                                         \
            const A acc = before;                                                                  \
            const T v = (from)[at_lane];                                                           \
            before = (fold);                                                                       \
        }                                                                                          \
        for (int l = 0; l < LANES && (n) >= LANES; l++) {                                          \
            const A acc = before, v = lanes[l];                                                    \
            before = (fold);                                                                       \
        }                                                                                          \
        (into) = before;                                                                           \
    } while (0)

/* y = the elements along the axes, folded into A from `first`; `count` is how many there are. Up to
 * REDUCE_BLOCK neighbouring outputs are made side by side where the last axis is kept, so that
 * memory is read along it either way. */
#define REDUCE(id, A, first, fold, result)                                                         \
    static void NAME(reduce_##id)(const struct mb_generic_args *args,                              \
                                  const struct mb_thread *thread) {                                \
        const struct mb_reduction red = mb_reduction_of(args);                                     \
        const T *x = args->operands[0];                                                            \
        T *y = args->y;                                                                            \
        int64_t at, end;                                                                           \
        mb_share(thread, red.outputs, &at, &end);                                                  \
        while (at < end) {                                                                         \
            const int64_t column = at % red.kept_inner;                                            \
            const int64_t side =                                                                   \
                mb_min_i64(mb_min_i64(red.kept_inner - column, end - at), REDUCE_BLOCK);           \
            const int64_t base = mb_reduction_base(&red, at / red.kept_inner) + column;            \
            A accs[REDUCE_BLOCK];                                                                  \
            for (int64_t i = 0; i < side; i++) accs[i] = (first);                                  \
            for (int64_t term = 0; term < red.terms; term++) {                                     \
                const T *from = x + base + mb_reduction_term(&red, term);                          \
                if (red.summed_inner == 1) {                                                       \
                    for (int64_t i = 0; i < side; i++) {                                           \
                        const A acc = accs[i];                                                     \
                        const T v = from[i];                                                       \
                        accs[i] = (fold);                                                          \
                    }                                                                              \
                } else {                                                                           \
                    FOLD_RUN(A, first, fold, accs[0], from, red.summed_inner);                     \
                }                                                                                  \
            }                                                                                      \
            for (int64_t i = 0; i < side; i++) {                                                   \
                const A acc = accs[i], count = (A)red.divisor;                                     \
                (void)count;                                                                       \
                y[at + i] = (T)(result);                                                           \
            }                                                                                      \
            at += side;                                                                            \
        }                                                                                          \
    }

#endif
