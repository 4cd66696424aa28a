/* Where elements lie: what the generic operations of all dtypes and devices share. */
#ifndef MB_GENERIC_INDEX_H
#define MB_GENERIC_INDEX_H

#include "program.h"

#ifdef __cplusplus
extern "C" {
#endif

static inline int64_t mb_min_i64(int64_t a, int64_t b) { return a < b ? a : b; }

static inline int64_t mb_count_of(const struct mb_shape *shape) {
    int64_t count = 1;
    for (int32_t i = 0; i < shape->rank; i++) count *= shape->dim[i];
    return count;
}

/* A loop nest over a result and its operands, neighbouring axes merged where all operands allow.
 * Operand steps are in elements; 0 where the operand is broadcast. */
struct mb_nest {
    int32_t rank; /* >= 1; the last axis is the innermost */
    int64_t extent[MB_MAX_RANK], step[MB_MAX_OPERANDS][MB_MAX_RANK];
};

/* Of the first `n` operands; the others' steps are 0. */
struct mb_nest mb_nest_of(const struct mb_shape *y, const struct mb_shape *const *operands, int n);

/* Of two operands. */
struct mb_nest mb_nest_broadcast(const struct mb_shape *y, const struct mb_shape *a,
                                 const struct mb_shape *b);

/* Offsets of the operands at row `row` of all rows of the innermost axis. */
void mb_nest_row(const struct mb_nest *nest, int64_t row, int64_t offset[MB_MAX_OPERANDS]);

/* How an operand of an element operation lies beside a result, of rank >= 1, taken as a matrix of
 * rows along its last axis. */
enum mb_operand_form {
    MB_FORM_WHOLE,  /* the same shape */
    MB_FORM_ONE,    /* one number */
    MB_FORM_ROW,    /* one row, the same for all */
    MB_FORM_COLUMN, /* one number for each row */
    MB_FORM_OTHER
};
enum mb_operand_form mb_operand_form(const struct mb_shape *operand, const struct mb_shape *y);

/* Row-major steps of a shape. */
void mb_steps_of(const struct mb_shape *shape, int64_t step[MB_MAX_RANK]);

/* Extents and steps of an image or of filters (n: which filter), whatever the layout. */
struct mb_image {
    int64_t n, c, h, w;
    int64_t n_step, c_step, h_step, w_step;
};
struct mb_image mb_image_of(const struct mb_shape *shape, enum mb_layout layout);
struct mb_image mb_filter_of(const struct mb_shape *shape, enum mb_layout layout);

/* A gather as y[b, m, j, i] = x[b, m, idx[b, j], i]. */
struct mb_gathering {
    int64_t batches, middle, picks, extent, inner;
};
struct mb_gathering mb_gathering_of(const struct mb_node *node, const struct mb_type *x,
                                    const struct mb_type *idx);

/* A matmul's operands as batches of matrices. */
struct mb_matrices {
    int64_t batch, m, n, k;
    struct mb_shape batch_shape, lead[2]; /* leading axes of the result and the operands */
};
struct mb_matrices mb_matrices_of(const struct mb_type *a, const struct mb_type *b,
                                  const struct mb_type *y);

/* Which matrix of operand `which` entry `entry` of the batch reads. */
int64_t mb_matrices_entry(const struct mb_matrices *mm, int which, int64_t entry);

#ifdef __cplusplus
}
#endif
#endif
