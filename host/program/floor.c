/* What any implementation of a program must at least do. */
#include "program.h"

#include <math.h>
#include <stdlib.h>

enum { STRASSEN_LEAST = 256, WINOGRAD_TILE = 6 };

struct need {
    bool whole;       /* every element of the value goes into an output */
    bool from_inputs; /* else it may be computed once, ahead of time */
};

static bool is_windowed_apart(const int32_t stride[2], int64_t rows, int64_t columns) {
    return stride[0] > rows || stride[1] > columns;
}

/* Whether a whole result takes all of each operand. */
static bool takes_all(const struct mb_program *p, const struct mb_node *node) {
    switch (node->op) {
    case MB_OP_SLICE:
    case MB_OP_GATHER:
    case MB_OP_SELECT: return false;
    case MB_OP_MAXPOOL2D:
    case MB_OP_AVGPOOL2D:
        return !is_windowed_apart(node->attr.pool.stride, node->attr.pool.kernel[0],
                                  node->attr.pool.kernel[1]);
    case MB_OP_CONV2D: {
        const struct mb_shape *w = &p->nodes[node->operand[1]].type.shape;
        const int rows = node->attr.conv.layout == MB_NCHW ? 2 : 0;
        return !is_windowed_apart(node->attr.conv.stride, w->dim[rows], w->dim[rows + 1]);
    }
    default: return true;
    }
}

static void find_needs(const struct mb_program *p, struct need *needs) {
    for (uint32_t i = 0; i < p->n_params; i++)
        needs[p->params[i].node].from_inputs = p->params[i].role == MB_INPUT;
    for (uint32_t i = 0; i < p->n_nodes; i++)
        for (uint32_t k = 0; k < p->nodes[i].n_operands; k++)
            if (needs[p->nodes[i].operand[k]].from_inputs) needs[i].from_inputs = true;
    for (uint32_t i = 0; i < p->n_outputs; i++) needs[p->outputs[i]].whole = true;
    for (uint32_t i = p->n_nodes; i-- > 0;) {
        const struct mb_node *node = &p->nodes[i];
        if (!needs[i].whole || !needs[i].from_inputs || !takes_all(p, node)) continue;
        for (uint32_t k = 0; k < node->n_operands; k++) needs[node->operand[k]].whole = true;
    }
}

/* The same operation on the same operands may be done once for both; other attributes are not
 * looked at, which only lowers the floor. */
static bool occurred_before(const struct mb_program *p, uint32_t at) {
    const struct mb_node *node = &p->nodes[at];
    for (uint32_t i = 0; i < at; i++)
        if (p->nodes[i].op == node->op && p->nodes[i].operand[0] == node->operand[0] &&
            p->nodes[i].operand[1] == node->operand[1])
            return true;
    return false;
}

/* Strassen's algorithm down to products that no library splits further. */
static double share_of_matmul(const struct mb_program *p, const struct mb_node *node) {
    const struct mb_shape *a = &p->nodes[node->operand[0]].type.shape;
    const struct mb_shape *b = &p->nodes[node->operand[1]].type.shape;
    double share = 1;
    if (a->rank < 2 || b->rank < 2) return share;
    const double m = (double)a->dim[a->rank - 2], k = (double)a->dim[a->rank - 1];
    const double n = (double)b->dim[b->rank - 1];
    for (double least = fmin(fmin(m, n), k); least >= 2 * STRASSEN_LEAST; least /= 2)
        share *= 7.0 / 8;
    return share;
}

/* Winograd's F(6x6, r x s), of which the larger tiles lose too many digits in FP32. */
static double share_of_conv2d(const struct mb_program *p, const struct mb_node *node) {
    const struct mb_shape *w = &p->nodes[node->operand[1]].type.shape;
    const int rows = node->attr.conv.layout == MB_NCHW ? 2 : 0;
    const double r = (double)w->dim[rows], s = (double)w->dim[rows + 1], tile = WINOGRAD_TILE;
    if (node->attr.conv.stride[0] > 1 || node->attr.conv.stride[1] > 1)
        return 1 / ((double)node->attr.conv.stride[0] * node->attr.conv.stride[1]);
    return (tile + r - 1) * (tile + s - 1) / (tile * tile * r * s);
}

struct mb_least mb_program_least(const struct mb_program *p) {
    struct mb_least least = {0, 0};
    struct need *needs = calloc(p->n_nodes + 1, sizeof *needs);
    if (!needs) return least;
    find_needs(p, needs);
    for (uint32_t i = 0; i < p->n_nodes; i++) {
        const struct mb_node *node = &p->nodes[i];
        const bool is_matmul = node->op == MB_OP_MATMUL, is_conv2d = node->op == MB_OP_CONV2D;
        if (!needs[i].whole || !needs[i].from_inputs || !(is_matmul || is_conv2d)) continue;
        if (occurred_before(p, i)) continue;
        least.flops +=
            mb_node_flops(p, i) * (is_matmul ? share_of_matmul(p, node) : share_of_conv2d(p, node));
    }
    for (uint32_t i = 0; i < p->n_params; i++) {
        size_t bytes = 0;
        if (needs[p->params[i].node].whole && mb_type_bytes(&p->params[i].type, &bytes))
            least.bytes += (double)bytes;
    }
    free(needs);
    return least;
}
