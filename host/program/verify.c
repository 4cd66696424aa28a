/* The verifier: what every executor may take for granted about a program. */
#include "program.h"

#include <string.h>

static enum mb_status check_node(const struct mb_program *p, uint32_t i, struct mb_err *err) {
    const struct mb_node *n = &p->nodes[i];
    if ((unsigned)n->op >= MB_OP_COUNT)
        return mb_fail(err, MB_E_PROGRAM, "node %u: unknown operation %d", i, (int)n->op);
    const struct mb_op_info *info = mb_op_info(n->op);
    if (n->n_operands != info->n_operands)
        return mb_fail(err, MB_E_PROGRAM, "%%%u = %s: %u operands instead of %u", n->id, info->name,
                       n->n_operands, info->n_operands);
    const struct mb_type *types[MB_MAX_OPERANDS] = {NULL};
    for (uint32_t k = 0; k < n->n_operands; k++) {
        if (n->operand[k] >= i)
            return mb_fail(err, MB_E_PROGRAM, "%%%u = %s: operand %u is used before its definition",
                           n->id, info->name, k);
        types[k] = &p->nodes[n->operand[k]].type;
    }
    if (i && n->id <= p->nodes[i - 1].id)
        return mb_fail(err, MB_E_PROGRAM, "%%%u = %s: ids are not ascending", n->id, info->name);
    if (n->op == MB_OP_PARAM && n->attr.param.index >= p->n_params)
        return mb_fail(err, MB_E_PROGRAM, "%%%u: no parameter %u", n->id, n->attr.param.index);
    if (n->op == MB_OP_EYE && n->type.shape.rank < 2)
        return mb_fail(err, MB_E_PROGRAM, "%%%u = %s: needs rank 2 or more", n->id, info->name);
    struct mb_type type;
    struct mb_shape_error why; /* filled on failure */
    if (!mb_op_infer(n->op, types, &n->attr, &n->type, NULL, &type, &why))
        return mb_fail(err, MB_E_PROGRAM, "%%%u: %s", n->id, why.text);
    char stated[128], derived[128];
    if (!mb_type_equal(&type, &n->type))
        return mb_fail(err, MB_E_PROGRAM, "%%%u = %s: stated type %s, derived %s", n->id,
                       info->name, mb_type_text(stated, sizeof stated, &n->type, NULL),
                       mb_type_text(derived, sizeof derived, &type, NULL));
    size_t bytes;
    for (int32_t k = 0; k < n->type.shape.rank; k++)
        if (n->type.shape.dim[k] < 1)
            return mb_fail(err, MB_E_PROGRAM, "%%%u = %s: dimension %d of %s is not positive",
                           n->id, info->name, k,
                           mb_type_text(stated, sizeof stated, &n->type, NULL));
    if (!mb_type_bytes(&n->type, &bytes))
        return mb_fail(err, MB_E_PROGRAM, "%%%u = %s: %s does not fit in memory", n->id, info->name,
                       mb_type_text(stated, sizeof stated, &n->type, NULL));
    return MB_OK;
}

enum mb_status mb_program_check(const struct mb_program *p, struct mb_err *err) {
    for (uint32_t i = 0; i < p->n_nodes; i++) {
        enum mb_status st = check_node(p, i, err);
        if (st != MB_OK) return st;
    }
    if (p->n_nodes && p->nodes[p->n_nodes - 1].id >= p->next_id)
        return mb_fail(err, MB_E_PROGRAM, "next_id %u is already in use", p->next_id);
    for (uint32_t i = 0; i < p->n_params; i++) {
        const struct mb_param *q = &p->params[i];
        if (q->node >= p->n_nodes || p->nodes[q->node].op != MB_OP_PARAM ||
            p->nodes[q->node].attr.param.index != i ||
            !mb_type_equal(&p->nodes[q->node].type, &q->type))
            return mb_fail(err, MB_E_PROGRAM, "parameter %u (%s) has no node of its own", i,
                           q->name);
    }
    if (p->n_outputs == 0) return mb_fail(err, MB_E_PROGRAM, "the program has no output");
    for (uint32_t i = 0; i < p->n_outputs; i++)
        if (p->outputs[i] >= p->n_nodes)
            return mb_fail(err, MB_E_PROGRAM, "output %u names no node", i);
    return MB_OK;
}
