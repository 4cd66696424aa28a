/* Chains of element operations. From its last node a chain grows over operands that nothing else
 * reads: their values then never leave the caches next to the core. */
#include "plan_chain.h"

#include "generic_index.h"

static const struct mb_node *node_at(const struct mb_plan *plan, uint32_t i) {
    return &plan->program->nodes[i];
}

static bool is_element_operation(enum mb_op op) {
    enum { zero, element, matmul, conv2d, pool2d, reduce, softmax };
    static const unsigned char kinds[] = {
#define OP(id, text, operands, attributes, shape_rule, flops, meaning) flops,
#include "ops.def"
    };
    return kinds[op] == element;
}

static enum mb_dtype operand_dtype(const struct mb_plan *plan, const struct mb_node *node) {
    return node_at(plan, node->operand[0])->type.dtype;
}

/* Whether the node can be part of a chain whose result has this shape. */
static bool may_join(const struct mb_plan *plan, const struct mb_plan_device *device, uint32_t i,
                     const struct mb_shape *shape) {
    const struct mb_node *node = node_at(plan, i);
    const struct mb_place_of *value = &plan->values[i];
    if (!is_element_operation(node->op) || !value->live || value->constant ||
        value->absorbed_by != MB_NO_NODE || value->head != MB_NO_NODE ||
        value->chain != MB_NO_NODE || !mb_shape_equal(&node->type.shape, shape) ||
        !device->has_operation(device->self, node->op, operand_dtype(plan, node)))
        return false;
    for (uint32_t k = 0; k < node->n_operands; k++)
        if (mb_operand_form(&node_at(plan, node->operand[k])->type.shape, shape) == MB_FORM_OTHER)
            return false;
    return true;
}

/* How often the chain that ends with `last` reads the node. */
static uint32_t uses_inside(const struct mb_plan *plan, uint32_t i, uint32_t last) {
    uint32_t uses = 0;
    for (uint32_t user = i + 1; user <= last; user++)
        for (uint32_t k = 0;
             plan->values[user].chain == last && k < node_at(plan, user)->n_operands; k++)
            uses += node_at(plan, user)->operand[k] == i;
    return uses;
}

static uint32_t lowest_operand(const struct mb_plan *plan, uint32_t i, uint32_t lowest) {
    const struct mb_node *node = node_at(plan, i);
    for (uint32_t k = 0; k < node->n_operands; k++)
        if (node->operand[k] < lowest) lowest = node->operand[k];
    return lowest;
}

/* From the last node backwards: a node is looked at when all of its users have been. */
static void grow(struct mb_plan *plan, const struct mb_plan_device *device, uint32_t last) {
    const struct mb_shape *shape = &node_at(plan, last)->type.shape;
    uint32_t length = 1, lowest = lowest_operand(plan, last, last);
    plan->values[last].chain = last;
    for (uint32_t i = last; i-- > lowest && length < MB_CHAIN_MOST;) {
        const uint32_t user = plan->values[i].user;
        if (user == MB_NO_NODE || plan->values[user].chain != last ||
            !may_join(plan, device, i, shape) ||
            uses_inside(plan, i, last) != plan->values[i].n_uses)
            continue;
        plan->values[i].chain = last;
        lowest = lowest_operand(plan, i, lowest);
        length++;
    }
    if (length == 1) plan->values[last].chain = MB_NO_NODE;
}

void mb_plan_find_chains(struct mb_plan *plan, const struct mb_plan_device *device) {
    if (!device->chain_scratch) return;
    for (uint32_t i = plan->program->n_nodes; i-- > 0;) {
        const struct mb_shape *shape = &node_at(plan, i)->type.shape;
        if (shape->rank > 0 && may_join(plan, device, i, shape)) grow(plan, device, i);
    }
}

enum mb_status mb_plan_chain_step(struct mb_plan *plan, const struct mb_plan_device *device,
                                  uint32_t node, struct mb_step *step, struct mb_err *err) {
    uint32_t *chain = mb_arena_calloc(&plan->arena, MB_CHAIN_MOST, sizeof *chain), n = 0;
    if (!chain) return mb_fail(err, MB_E_NOMEM, "%s: out of memory for a plan", device->name);
    for (uint32_t i = 0; i <= node; i++)
        if (plan->values[i].chain == node) chain[n++] = i;
    *step = (struct mb_step){.choice = {.scratch_bytes = device->chain_scratch(device->self, n)},
                             .node = node,
                             .head = MB_NO_NODE,
                             .x = MB_NO_NODE,
                             .w = MB_NO_NODE,
                             .bias = MB_NO_NODE,
                             .chain = chain,
                             .n_chain = n};
    return MB_OK;
}
