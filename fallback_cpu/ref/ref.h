/* One function for each operation of ops.def: mb_ref_<ID>. */
#ifndef MB_REF_H
#define MB_REF_H

#include "program.h"

/* Operands and result as doubles, row-major; types[i] belongs to operand i. */
struct mb_ref_args {
    const struct mb_node *node;
    const struct mb_type *types[MB_MAX_OPERANDS];
    const double *operands[MB_MAX_OPERANDS];
    const void *param; /* host data, for PARAM alone */
    double *y;
    size_t count;          /* elements of y */
    bool *divided_by_zero; /* set by an integer division by zero */
    bool *index_outside;   /* set by a gather of an index that is none */
};

#define OP(id, text, operands, attributes, shape_rule, flops, meaning)                             \
    void mb_ref_##id(const struct mb_ref_args *args);
#include "ops.def"

/* ---- for the functions themselves ---- */

/* Where element `index` of a tensor of shape `y` lies in one of shape `a` broadcast to y. */
size_t mb_ref_broadcast_index(const struct mb_shape *y, const struct mb_shape *a, size_t index);

#endif
