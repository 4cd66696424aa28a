/* What a step of a plan moves and computes. */
#include "plan.h"

static double bytes_of(const struct mb_plan *plan, uint32_t node) {
    size_t bytes = 0;
    if (node != MB_NO_NODE) mb_type_bytes(&plan->program->nodes[node].type, &bytes);
    return (double)bytes;
}

static bool is_in_chain(const struct mb_step *step, uint32_t node) {
    for (uint32_t i = 0; i < step->n_chain; i++)
        if (step->chain[i] == node) return true;
    return false;
}

/* What the operations hand on among themselves is not moved. */
static struct mb_step_cost cost_of_chain(const struct mb_plan *plan, const struct mb_step *step) {
    struct mb_step_cost cost = {bytes_of(plan, step->node), 0};
    for (uint32_t i = 0; i < step->n_chain; i++) {
        const struct mb_node *node = &plan->program->nodes[step->chain[i]];
        cost.flops += mb_node_flops(plan->program, step->chain[i]);
        for (uint32_t k = 0; k < node->n_operands; k++)
            if (!is_in_chain(step, node->operand[k]))
                cost.bytes += bytes_of(plan, node->operand[k]);
    }
    return cost;
}

struct mb_step_cost mb_step_cost(const struct mb_plan *plan, const struct mb_step *step,
                                 double products) {
    if (step->n_chain) return cost_of_chain(plan, step);
    const double operands =
        bytes_of(plan, step->x) + bytes_of(plan, step->w) + bytes_of(plan, step->bias);
    if (step->is_copy) return (struct mb_step_cost){2 * operands, 0};
    return (struct mb_step_cost){operands + bytes_of(plan, step->node),
                                 step->choice.kernel
                                     ? products * mb_node_flops(plan->program, step->head)
                                     : mb_node_flops(plan->program, step->node)};
}
