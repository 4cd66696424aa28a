/* Arithmetic and memory traffic of operations and programs. */
#include "program.h"

struct cost {
    const struct mb_node *node;
    const struct mb_node *nodes;
};

static double count(const struct mb_type *type) {
    double n = 1;
    for (int32_t i = 0; i < type->shape.rank; i++) n *= (double)type->shape.dim[i];
    return n;
}

static const struct mb_type *operand(const struct cost *c, int i) {
    return &c->nodes[c->node->operand[i]].type;
}

static double flops_zero(const struct cost *c) { return (void)c, 0; }
static double flops_element(const struct cost *c) { return count(&c->node->type); }

static double flops_matmul(const struct cost *c) {
    const struct mb_shape *a = &operand(c, 0)->shape;
    return 2 * count(&c->node->type) * (double)a->dim[a->rank - 1];
}

static double flops_conv2d(const struct cost *c) {
    const struct mb_shape *w = &operand(c, 1)->shape;
    bool nchw = c->node->attr.conv.layout == MB_NCHW;
    double filters = (double)(nchw ? w->dim[0] : w->dim[3]);
    return 2 * count(&c->node->type) * count(operand(c, 1)) / filters;
}

static double flops_pool2d(const struct cost *c) {
    const struct mb_attr_pool *at = &c->node->attr.pool;
    return count(&c->node->type) * at->kernel[0] * at->kernel[1];
}

static double flops_reduce(const struct cost *c) { return count(operand(c, 0)); }
static double flops_softmax(const struct cost *c) { return 5 * count(&c->node->type); }

double mb_node_flops(const struct mb_program *program, uint32_t node) {
    static double (*const rules[])(const struct cost *) = {
#define OP(id, text, operands, attributes, shape_rule, flops, meaning) flops_##flops,
#include "ops.def"
    };
    const struct cost c = {&program->nodes[node], program->nodes};
    return rules[c.node->op](&c);
}

double mb_program_flops(const struct mb_program *program) {
    double sum = 0;
    for (uint32_t i = 0; i < program->n_nodes; i++) sum += mb_node_flops(program, i);
    return sum;
}

double mb_program_bytes(const struct mb_program *program) {
    double sum = 0;
    for (uint32_t i = 0; i < program->n_params; i++)
        sum +=
            count(&program->params[i].type) * (double)mb_dtype_size(program->params[i].type.dtype);
    for (uint32_t i = 0; i < program->n_outputs; i++) {
        const struct mb_type *type = &program->nodes[program->outputs[i]].type;
        sum += count(type) * (double)mb_dtype_size(type->dtype);
    }
    return sum;
}
