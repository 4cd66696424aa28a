#include "generic_index.h"

#include <string.h>

void mb_steps_of(const struct mb_shape *shape, int64_t step[MB_MAX_RANK]) {
    int64_t s = 1;
    for (int32_t i = shape->rank - 1; i >= 0; i--) {
        step[i] = s;
        s *= shape->dim[i];
    }
}

/* Steps of `a` along the axes of y, 0 where it is broadcast. */
static void broadcast_steps(const struct mb_shape *y, const struct mb_shape *a,
                            int64_t step[MB_MAX_RANK]) {
    int64_t own[MB_MAX_RANK];
    const int32_t missing = y->rank - a->rank;
    mb_steps_of(a, own);
    for (int32_t i = 0; i < y->rank; i++)
        step[i] = i < missing || a->dim[i - missing] == 1 ? 0 : own[i - missing];
}

struct mb_nest mb_nest_of(const struct mb_shape *y, const struct mb_shape *const *operands, int n) {
    struct mb_nest nest = {.rank = 1, .extent = {1}};
    int64_t step[MB_MAX_OPERANDS][MB_MAX_RANK];
    for (int k = 0; k < n; k++) broadcast_steps(y, operands[k], step[k]);
    for (int32_t i = 0; i < y->rank; i++) {
        const int64_t extent = y->dim[i];
        if (extent == 1) continue;
        const int32_t last = nest.rank - 1;
        bool merges = true;
        for (int k = 0; k < n; k++) merges &= nest.step[k][last] == step[k][i] * extent;
        merges |= nest.extent[last] == 1;
        const int32_t at = merges ? last : nest.rank++;
        nest.extent[at] = merges ? nest.extent[at] * extent : extent;
        for (int k = 0; k < n; k++) nest.step[k][at] = step[k][i];
    }
    return nest;
}

struct mb_nest mb_nest_broadcast(const struct mb_shape *y, const struct mb_shape *a,
                                 const struct mb_shape *b) {
    return mb_nest_of(y, (const struct mb_shape *[]){a, b}, 2);
}

void mb_nest_row(const struct mb_nest *nest, int64_t row, int64_t offset[MB_MAX_OPERANDS]) {
    memset(offset, 0, MB_MAX_OPERANDS * sizeof *offset);
    for (int32_t i = nest->rank - 2; i >= 0; i--) {
        const int64_t at = row % nest->extent[i];
        for (int k = 0; k < MB_MAX_OPERANDS; k++) offset[k] += at * nest->step[k][i];
        row /= nest->extent[i];
    }
}

enum mb_operand_form mb_operand_form(const struct mb_shape *operand, const struct mb_shape *y) {
    const int32_t missing = y->rank - operand->rank, last = operand->rank - 1;
    bool leading_same = missing == 0 && operand->rank > 0, leading_one = missing >= 0;
    for (int32_t i = 0; i < last; i++) {
        leading_same &= operand->dim[i] == y->dim[i];
        leading_one &= operand->dim[i] == 1;
    }
    const bool last_one = operand->rank == 0 || operand->dim[last] == 1;
    const bool last_same = operand->rank > 0 && operand->dim[last] == y->dim[y->rank - 1];
    if (leading_same && last_same) return MB_FORM_WHOLE;
    if (leading_one && last_one) return MB_FORM_ONE;
    if (leading_one && last_same) return MB_FORM_ROW;
    return leading_same && last_one ? MB_FORM_COLUMN : MB_FORM_OTHER;
}

struct mb_image mb_image_of(const struct mb_shape *shape, enum mb_layout layout) {
    const bool nchw = layout == MB_NCHW;
    const int c = nchw ? 1 : 3, h = nchw ? 2 : 1, w = nchw ? 3 : 2;
    int64_t step[MB_MAX_RANK];
    mb_steps_of(shape, step);
    return (struct mb_image){shape->dim[0], shape->dim[c], shape->dim[h], shape->dim[w],
                             step[0],       step[c],       step[h],       step[w]};
}

struct mb_image mb_filter_of(const struct mb_shape *shape, enum mb_layout layout) {
    if (layout == MB_NCHW) return mb_image_of(shape, layout);
    int64_t step[MB_MAX_RANK];
    mb_steps_of(shape, step);
    return (struct mb_image){shape->dim[3], shape->dim[2], shape->dim[0], shape->dim[1],
                             step[3],       step[2],       step[0],       step[1]};
}

struct mb_gathering mb_gathering_of(const struct mb_node *node, const struct mb_type *x,
                                    const struct mb_type *idx) {
    const int32_t axis = node->attr.gather.axis, batch = node->attr.gather.batch;
    struct mb_gathering g = {1, 1, 1, x->shape.dim[axis], 1};
    for (int32_t i = 0; i < batch; i++) g.batches *= x->shape.dim[i];
    for (int32_t i = batch; i < axis; i++) g.middle *= x->shape.dim[i];
    for (int32_t i = batch; i < idx->shape.rank; i++) g.picks *= idx->shape.dim[i];
    for (int32_t i = axis + 1; i < x->shape.rank; i++) g.inner *= x->shape.dim[i];
    return g;
}

struct mb_matrices mb_matrices_of(const struct mb_type *a, const struct mb_type *b,
                                  const struct mb_type *y) {
    const struct mb_shape *sa = &a->shape, *sb = &b->shape;
    const bool a_is_vector = sa->rank == 1, b_is_vector = sb->rank == 1;
    struct mb_matrices mm = {.m = a_is_vector ? 1 : sa->dim[sa->rank - 2],
                             .n = b_is_vector ? 1 : sb->dim[sb->rank - 1],
                             .k = sa->dim[sa->rank - 1],
                             .batch_shape = y->shape,
                             .lead = {*sa, *sb}};
    mm.batch_shape.rank -= !a_is_vector + !b_is_vector;
    mm.lead[0].rank -= a_is_vector ? 1 : 2;
    mm.lead[1].rank -= b_is_vector ? 1 : 2;
    mm.batch = mb_count_of(&mm.batch_shape);
    return mm;
}

int64_t mb_matrices_entry(const struct mb_matrices *mm, int which, int64_t entry) {
    int64_t step[MB_MAX_RANK], at = 0;
    broadcast_steps(&mm->batch_shape, &mm->lead[which], step);
    for (int32_t i = mm->batch_shape.rank - 1; i >= 0; i--) {
        at += entry % mm->batch_shape.dim[i] * step[i];
        entry /= mm->batch_shape.dim[i];
    }
    return at;
}
