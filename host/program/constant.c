/* Constants that are computed from an index: the values of RANGE, EYE, UNIFORM and NORMAL. */
#include "program.h"
#include "random.h"

/* Uniform in [0, 1), 53 bits. */
static double uniform(const struct mb_attr_random *at, uint64_t index) {
    return (double)(mb_random_bits(at->seed, at->stream, index) >> 11) * 0x1p-53;
}

static double normal(const struct mb_attr_random *at, uint64_t index) {
    double pair[2];
    mb_random_normal_pair(at->seed, at->stream, index & ~UINT64_C(1), pair);
    return pair[index & 1];
}

static double value(const struct mb_node *node, int64_t index, int64_t count) {
    const struct mb_shape *s = &node->type.shape;
    const union mb_attr *at = &node->attr;
    switch (node->op) {
    case MB_OP_RANGE:
        return index == count - 1 ? at->range.last
                                  : at->range.start + (double)index * at->range.step;
    case MB_OP_EYE: {
        const int64_t columns = s->dim[s->rank - 1], rows = s->dim[s->rank - 2];
        return index / columns % rows == index % columns;
    }
    case MB_OP_UNIFORM:
        return at->random.low + at->random.scale * uniform(&at->random, (uint64_t)index);
    default: return at->random.low + at->random.scale * normal(&at->random, (uint64_t)index);
    }
}

void mb_program_constant(const struct mb_node *node, int64_t begin, int64_t end, void *y) {
    size_t count = 0;
    mb_shape_count(&node->type.shape, &count);
    for (int64_t i = begin; i < end; i++) {
        const double v = value(node, i, (int64_t)count);
        switch (node->type.dtype) {
        case MB_F32: ((float *)y)[i - begin] = (float)v; break;
        case MB_F64: ((double *)y)[i - begin] = v; break;
        case MB_I32: ((int32_t *)y)[i - begin] = (int32_t)v; break;
        case MB_I64: ((int64_t *)y)[i - begin] = (int64_t)v; break;
        case MB_BOOL: ((uint8_t *)y)[i - begin] = v != 0; break;
        }
    }
}
