#include "reference.h"

#include "ref.h"

#include <string.h>

static void (*const functions[])(const struct mb_ref_args *) = {
#define OP(id, text, operands, attributes, shape_rule, flops, meaning) mb_ref_##id,
#include "ops.def"
};

static double *new_values(size_t count) {
    return count > SIZE_MAX / sizeof(double) ? NULL : mb_allocator.alloc(count * sizeof(double));
}

/* Index of the last node that reads each node; outputs are read at the end. */
static void find_last_uses(const struct mb_program *program, uint32_t *last_use) {
    for (uint32_t i = 0; i < program->n_nodes; i++) {
        last_use[i] = i;
        for (uint32_t k = 0; k < program->nodes[i].n_operands; k++)
            last_use[program->nodes[i].operand[k]] = i;
    }
    for (uint32_t i = 0; i < program->n_outputs; i++)
        last_use[program->outputs[i]] = program->n_nodes;
}

static void run_node(const struct mb_program *program, uint32_t index, const void *const *params,
                     double *const *values, size_t count, bool *divided_by_zero,
                     bool *index_outside) {
    const struct mb_node *node = &program->nodes[index];
    struct mb_ref_args args = {.node = node,
                               .y = values[index],
                               .count = count,
                               .divided_by_zero = divided_by_zero,
                               .index_outside = index_outside};
    if (node->op == MB_OP_PARAM) args.param = params[node->attr.param.index];
    for (uint32_t k = 0; k < node->n_operands; k++) {
        args.types[k] = &program->nodes[node->operand[k]].type;
        args.operands[k] = values[node->operand[k]];
    }
    functions[node->op](&args);
}

/* Frees the operands of node `index` that nothing reads later, and itself if nothing ever does. */
static void free_unused(const struct mb_program *program, uint32_t index, double **values,
                        const uint32_t *last_use) {
    const struct mb_node *node = &program->nodes[index];
    for (uint32_t k = 0; k <= node->n_operands; k++) {
        const uint32_t i = k < node->n_operands ? node->operand[k] : index;
        if (last_use[i] != index) continue;
        mb_allocator.release(values[i]);
        values[i] = NULL;
    }
}

enum mb_status mb_reference_run(const struct mb_program *program, const void *const *params,
                                double *const *outputs, struct mb_err *err) {
    enum mb_status st = MB_OK;
    bool divided_by_zero = false, index_outside = false;
    double **values = mb_allocator.alloc(program->n_nodes * sizeof *values);
    uint32_t *last_use = mb_allocator.alloc(program->n_nodes * sizeof *last_use);
    size_t count = 0;
    if (!values || !last_use) {
        mb_allocator.release(values);
        mb_allocator.release(last_use);
        return mb_fail(err, MB_E_NOMEM, "reference: out of memory for %u values", program->n_nodes);
    }
    memset(values, 0, program->n_nodes * sizeof *values);
    find_last_uses(program, last_use);
    for (uint32_t i = 0; i < program->n_nodes; i++) {
        if (!mb_shape_count(&program->nodes[i].type.shape, &count) ||
            !(values[i] = new_values(count))) {
            st = mb_fail(err, MB_E_NOMEM, "reference: out of memory for %%%u, %zu doubles",
                         program->nodes[i].id, count);
            goto out;
        }
        run_node(program, i, params, values, count, &divided_by_zero, &index_outside);
        if (index_outside) {
            st = mb_fail(err, MB_E_NUMERIC, "%%%u: E6001: an index is out of range",
                         program->nodes[i].id);
            goto out;
        }
        if (divided_by_zero) {
            st = mb_fail(err, MB_E_NUMERIC, "%%%u: integer division by zero", program->nodes[i].id);
            goto out;
        }
        free_unused(program, i, values, last_use);
    }
    for (uint32_t i = 0; i < program->n_outputs; i++) {
        if (!mb_shape_count(&program->nodes[program->outputs[i]].type.shape, &count)) continue;
        memcpy(outputs[i], values[program->outputs[i]], count * sizeof(double));
    }
out:
    for (uint32_t i = 0; i < program->n_nodes; i++) mb_allocator.release(values[i]);
    mb_allocator.release(values);
    mb_allocator.release(last_use);
    return st;
}
