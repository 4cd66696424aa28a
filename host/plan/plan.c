/* Program to steps: what is constant, what is fused, which kernel. Layouts are plan_layout.c's,
 * memory is plan_memory.c's. */
#include "plan.h"

#include "plan_chain.h"
#include "plan_layout.h"
#include "plan_place.h"

#include <string.h>

static const struct mb_node *node_at(const struct mb_plan *plan, uint32_t i) {
    return &plan->program->nodes[i];
}

static int64_t extents(const struct mb_shape *shape, int32_t begin, int32_t end) {
    int64_t product = 1;
    for (int32_t i = begin; i < end; i++) product *= shape->dim[i];
    return product;
}

static int64_t elements(const struct mb_shape *shape) { return extents(shape, 0, shape->rank); }

/* ---- what the values are ---- */

static bool is_constant(const struct mb_plan *plan, const struct mb_node *node) {
    if (node->op == MB_OP_PARAM)
        return plan->program->params[node->attr.param.index].role == MB_WEIGHT;
    for (uint32_t k = 0; k < node->n_operands; k++)
        if (!plan->values[node->operand[k]].constant) return false;
    return true;
}

static void note_use(struct mb_place_of *value, uint32_t user) {
    value->live = true;
    value->n_uses++;
    value->user = user;
}

static void find_values(struct mb_plan *plan) {
    const struct mb_program *p = plan->program;
    struct mb_place_of *values = plan->values;
    for (uint32_t i = 0; i < p->n_nodes; i++) {
        const struct mb_node *node = &p->nodes[i];
        values[i].root = node->op == MB_OP_RESHAPE ? values[node->operand[0]].root : i;
        values[i].constant = is_constant(plan, node);
        values[i].absorbed_by = values[i].head = values[i].chain = MB_NO_NODE;
        values[i].first_step = values[i].last_step = MB_NO_STEP;
    }
    for (uint32_t i = 0; i < p->n_outputs; i++) note_use(&values[p->outputs[i]], MB_NO_NODE);
    for (uint32_t i = p->n_nodes; i-- > 0;)
        for (uint32_t k = 0; values[i].live && k < p->nodes[i].n_operands; k++)
            note_use(&values[p->nodes[i].operand[k]], i);
}

/* ---- descriptions ---- */

/* The leading axes as one: how far from entry to entry, in matrices; false where some are broadcast
 * and others not. */
static bool lead_stride(const struct mb_shape *shape, int64_t batch, int64_t matrix,
                        int64_t *stride) {
    const int64_t count = elements(shape) / matrix;
    *stride = count == 1 ? 0 : matrix;
    return count == 1 || count == batch;
}

static bool describe_matmul(const struct mb_plan *plan, const struct mb_node *node,
                            struct mb_matmul_desc *d) {
    const struct mb_shape *a = &node_at(plan, node->operand[0])->type.shape;
    const struct mb_shape *b = &node_at(plan, node->operand[1])->type.shape;
    memset(d, 0, sizeof *d);
    d->m = a->rank == 1 ? 1 : a->dim[a->rank - 2];
    d->k = a->dim[a->rank - 1];
    d->n = b->rank == 1 ? 1 : b->dim[b->rank - 1];
    d->batch = elements(&node->type.shape) / (d->m * d->n);
    if (!lead_stride(a, d->batch, d->m * d->k, &d->a_stride) ||
        !lead_stride(b, d->batch, d->k * d->n, &d->w_stride))
        return false;
    if (d->w_stride == 0 && (d->a_stride != 0 || d->batch == 1)) { /* one tall matrix */
        d->m *= d->batch;
        d->batch = 1;
        d->a_stride = 0;
    }
    return true;
}

static void describe_conv2d(const struct mb_plan *plan, const struct mb_node *node,
                            struct mb_conv2d_desc *d) {
    const struct mb_shape *x = &node_at(plan, node->operand[0])->type.shape;
    const struct mb_shape *w = &node_at(plan, node->operand[1])->type.shape;
    const struct mb_shape *y = &node->type.shape;
    const struct mb_attr_conv *at = &node->attr.conv;
    const bool nchw = at->layout == MB_NCHW;
    memset(d, 0, sizeof *d);
    d->layout = d->x_layout = d->y_layout = at->layout;
    d->n = x->dim[0];
    d->c = x->dim[nchw ? 1 : 3];
    d->h = x->dim[nchw ? 2 : 1];
    d->w = x->dim[nchw ? 3 : 2];
    d->filters = w->dim[nchw ? 0 : 3];
    d->r = w->dim[nchw ? 2 : 0];
    d->s = w->dim[nchw ? 3 : 1];
    d->out_h = d->pool_h = y->dim[nchw ? 2 : 1];
    d->out_w = d->pool_w = y->dim[nchw ? 3 : 2];
    for (int i = 0; i < 2; i++) {
        d->stride[i] = at->stride[i];
        d->pad_before[i] = at->pad_before[i];
    }
}

static void describe_pool(const struct mb_node *pool, struct mb_conv2d_desc *d) {
    const bool nchw = d->layout == MB_NCHW;
    d->has_pool = true;
    d->pool_h = pool->type.shape.dim[nchw ? 2 : 1];
    d->pool_w = pool->type.shape.dim[nchw ? 3 : 2];
    for (int i = 0; i < 2; i++) {
        d->pool_kernel[i] = pool->attr.pool.kernel[i];
        d->pool_stride[i] = pool->attr.pool.stride[i];
    }
}

/* ---- fusion ---- */

/* Whether a value of shape `bias`, added to one of shape `y`, adds one number to each index of
 * `axis` and leaves y's shape as it is. */
static bool varies_along(const struct mb_shape *bias, const struct mb_shape *y, int32_t axis) {
    if (bias->rank > y->rank) return false;
    for (int32_t i = 0; i < bias->rank; i++) {
        const int32_t at = y->rank - bias->rank + i;
        if (bias->dim[i] != (at == axis ? y->dim[axis] : 1)) return false;
    }
    return elements(bias) == y->dim[axis];
}

/* The axis of a matmul's or a convolution's result that bias runs along; -1: there is none. */
static int32_t bias_axis(const struct mb_plan *plan, const struct mb_node *head) {
    if (head->op == MB_OP_CONV2D) return head->attr.conv.layout == MB_NCHW ? 1 : 3;
    const bool b_is_vector = node_at(plan, head->operand[1])->type.shape.rank == 1;
    return b_is_vector ? -1 : head->type.shape.rank - 1;
}

/* The node that alone reads `i`, or MB_NO_NODE. */
static uint32_t only_user(const struct mb_plan *plan, uint32_t i) {
    const struct mb_place_of *v = &plan->values[i];
    return v->n_uses == 1 ? v->user : MB_NO_NODE;
}

/* The other operand of the addition `user` of `i`, if it can be the head's bias. A bias computed at
 * run time is left alone when the weights are constant: they are packed together, by load. */
static bool takes_bias(const struct mb_plan *plan, const struct mb_step *step, uint32_t i,
                       uint32_t user, uint32_t *bias) {
    const struct mb_node *add = node_at(plan, user), *head = node_at(plan, step->head);
    const int32_t axis = bias_axis(plan, head);
    if (add->op != MB_OP_ADD || axis < 0) return false;
    *bias = add->operand[add->operand[0] == i ? 1 : 0];
    return varies_along(&node_at(plan, *bias)->type.shape, &head->type.shape, axis) &&
           (plan->values[*bias].constant || !plan->values[step->w].constant);
}

static bool takes_pool(const struct mb_plan *plan, const struct mb_step *step, uint32_t user) {
    const struct mb_node *pool = node_at(plan, user);
    return pool->op == MB_OP_MAXPOOL2D && node_at(plan, step->head)->op == MB_OP_CONV2D &&
           !step->desc.conv2d.has_pool && pool->attr.pool.layout == step->desc.conv2d.layout;
}

static void set_relu(const struct mb_plan *plan, struct mb_step *step) {
    if (node_at(plan, step->head)->op == MB_OP_CONV2D)
        step->desc.conv2d.act = MB_ACT_RELU;
    else
        step->desc.matmul.act = MB_ACT_RELU;
}

static void set_bias(const struct mb_plan *plan, struct mb_step *step, uint32_t bias) {
    step->bias = bias;
    if (node_at(plan, step->head)->op == MB_OP_CONV2D)
        step->desc.conv2d.has_bias = true;
    else
        step->desc.matmul.has_bias = true;
}

/* Follows the chain of only users from a matmul or conv2d: first a bias, then a ReLU and, after a
 * convolution, a max-pooling in either order (they commute). */
static void fuse(const struct mb_plan *plan, struct mb_step *step) {
    bool relu = false;
    for (;;) {
        const uint32_t user = only_user(plan, step->node);
        uint32_t bias;
        if (user == MB_NO_NODE) return;
        if (!relu && step->node == step->head && takes_bias(plan, step, step->node, user, &bias)) {
            set_bias(plan, step, bias);
        } else if (!relu && node_at(plan, user)->op == MB_OP_RELU) {
            set_relu(plan, step);
            relu = true;
        } else if (takes_pool(plan, step, user)) {
            describe_pool(node_at(plan, user), &step->desc.conv2d);
        } else {
            return;
        }
        step->node = user;
    }
}

/* ---- kernels ---- */

void mb_kernel_offer(struct mb_kernel_choice *choice, const void *kernel, const char *name,
                     double cost_ns) {
    if (!choice->kernel || cost_ns < choice->cost_ns) {
        choice->runner_up = choice->name;
        choice->runner_up_ns = choice->cost_ns;
        choice->kernel = kernel;
        choice->name = name;
        choice->cost_ns = cost_ns;
    } else if (!choice->runner_up || cost_ns < choice->runner_up_ns) {
        choice->runner_up = name;
        choice->runner_up_ns = cost_ns;
    }
}

/* The kernel step that node i would head; its own head is MB_NO_NODE where there is none. */
static void describe_step(const struct mb_plan *plan, uint32_t i, struct mb_step *step) {
    const struct mb_node *head = node_at(plan, i);
    *step = (struct mb_step){.head = MB_NO_NODE};
    if (!plan->values[i].live || head->type.dtype != MB_F32 ||
        (head->op != MB_OP_MATMUL && head->op != MB_OP_CONV2D))
        return;
    *step = (struct mb_step){.kind = head->op == MB_OP_CONV2D ? MB_STEP_CONV2D : MB_STEP_MATMUL,
                             .node = i,
                             .head = i,
                             .x = head->operand[0],
                             .w = head->operand[1],
                             .bias = MB_NO_NODE};
    if (head->op == MB_OP_CONV2D)
        describe_conv2d(plan, head, &step->desc.conv2d);
    else if (!describe_matmul(plan, head, &step->desc.matmul)) {
        step->head = MB_NO_NODE;
        return;
    }
    fuse(plan, step);
    step->packs_in_run = plan->values[step->node].constant || !plan->values[step->w].constant;
}

/* ---- the lists ---- */

static void append(struct mb_plan *plan, struct mb_step_list *list, const struct mb_step *step) {
    list->steps[list->count++] = *step;
    if (!step->is_copy) plan->values[step->node].computed = true;
}

static enum mb_dtype operand_dtype(const struct mb_plan *plan, const struct mb_node *node) {
    return node->n_operands ? node_at(plan, node->operand[0])->type.dtype : node->type.dtype;
}

static struct mb_step operation_step(const struct mb_plan *plan,
                                     const struct mb_plan_device *device, uint32_t i) {
    const struct mb_node *node = node_at(plan, i);
    const struct mb_type *types[MB_MAX_OPERANDS] = {NULL};
    size_t scratch = 0;
    for (uint32_t k = 0; k < node->n_operands; k++)
        types[k] = &node_at(plan, node->operand[k])->type;
    if (device->operation_scratch) scratch = device->operation_scratch(device->self, node, types);
    return (struct mb_step){.choice = {.scratch_bytes = scratch},
                            .node = i,
                            .head = MB_NO_NODE,
                            .x = node->n_operands > 0 ? node->operand[0] : MB_NO_NODE,
                            .w = node->n_operands > 1 ? node->operand[1] : MB_NO_NODE,
                            .bias = node->n_operands > 2 ? node->operand[2] : MB_NO_NODE};
}

static bool is_no_step(const struct mb_plan *plan, uint32_t i) {
    const enum mb_op op = node_at(plan, i)->op;
    return !plan->values[i].live || op == MB_OP_PARAM || op == MB_OP_DENSE || op == MB_OP_RESHAPE;
}

/* A fused chain is found at its head, which comes first; its step waits in `pending` until its last
 * node. */
static enum mb_status find_kernel_steps(struct mb_plan *plan, const struct mb_plan_device *device,
                                        struct mb_step *pending, struct mb_err *err) {
    for (uint32_t i = 0; i < plan->program->n_nodes; i++) describe_step(plan, i, &pending[i]);
    mb_plan_layouts(plan, device, pending);
    for (uint32_t i = 0; i < plan->program->n_nodes; i++) {
        struct mb_step *step = &pending[i];
        if (step->head != i) continue;
        const enum mb_status st =
            device->choose(device->self, step->kind, &step->desc, &step->choice, err);
        if (st != MB_OK) return st;
        if (!step->choice.kernel) continue;
        for (uint32_t inner = i; inner != step->node; inner = plan->values[inner].user)
            plan->values[inner].absorbed_by = step->node;
        plan->values[step->node].head = i;
    }
    return MB_OK;
}

/* Steps in the order of the last node that each computes. */
static enum mb_status make_steps(struct mb_plan *plan, const struct mb_plan_device *device,
                                 const struct mb_step *pending, struct mb_err *err) {
    for (uint32_t i = 0; i < plan->program->n_nodes; i++) {
        const struct mb_node *node = node_at(plan, i);
        const struct mb_place_of *value = &plan->values[i];
        struct mb_step_list *list = value->constant ? &plan->load : &plan->run;
        struct mb_step step;
        if (is_no_step(plan, i) || value->absorbed_by != MB_NO_NODE) continue;
        if (value->head != MB_NO_NODE) {
            append(plan, list, &pending[value->head]);
            continue;
        }
        if (value->chain != MB_NO_NODE && value->chain != i) continue;
        if (!device->has_operation(device->self, node->op, operand_dtype(plan, node)))
            return mb_fail(err, MB_E_UNSUPPORTED, "%s: %%%u = %s: not for %s", device->name,
                           node->id, mb_op_info(node->op)->name, mb_dtype_name(node->type.dtype));
        step = operation_step(plan, device, i);
        if (value->chain == i) {
            const enum mb_status st = mb_plan_chain_step(plan, device, i, &step, err);
            if (st != MB_OK) return st;
        }
        append(plan, list, &step);
    }
    return MB_OK;
}

/* Outputs go straight to the caller's memory where some step of the run computes them and no other
 * output has taken the value; else they are copied at the end. */
static void make_outputs(struct mb_plan *plan) {
    const struct mb_program *p = plan->program;
    for (uint32_t i = 0; i < p->n_outputs; i++) {
        const uint32_t root = plan->values[p->outputs[i]].root;
        struct mb_place_of *value = &plan->values[root];
        if (value->computed && !value->constant && value->place == MB_PLACE_NONE) {
            value->place = MB_PLACE_OUTPUT;
            value->index = i;
            continue;
        }
        const struct mb_step copy = {.node = root,
                                     .head = MB_NO_NODE,
                                     .x = root,
                                     .w = MB_NO_NODE,
                                     .bias = MB_NO_NODE,
                                     .is_copy = true,
                                     .output = i};
        append(plan, &plan->run, &copy);
    }
}

/* Sizes are multiplied by paddings and thread counts further on, none above 2^20 in all. */
static enum mb_status check_sizes(const struct mb_plan *plan, const char *device,
                                  struct mb_err *err) {
    static const size_t limit = (size_t)1 << 42;
    for (uint32_t i = 0; i < plan->program->n_nodes; i++) {
        size_t bytes;
        const struct mb_node *node = node_at(plan, i);
        if (!mb_type_bytes(&node->type, &bytes) || bytes > limit)
            return mb_fail(err, MB_E_NOMEM, "%s: %%%u = %s is larger than 4 TiB", device, node->id,
                           mb_op_info(node->op)->name);
        plan->values[i].bytes = bytes;
    }
    return MB_OK;
}

enum mb_status mb_plan_new(const struct mb_program *program, const struct mb_plan_device *device,
                           struct mb_plan **out, struct mb_err *err) {
    enum mb_status st = MB_OK;
    const uint32_t n = program->n_nodes;
    struct mb_step *pending;
    struct mb_plan *plan = mb_allocator.alloc(sizeof *plan);
    if (!plan) return mb_fail(err, MB_E_NOMEM, "%s: out of memory for a plan", device->name);
    memset(plan, 0, sizeof *plan);
    mb_arena_init(&plan->arena);
    plan->program = program;
    plan->values = mb_arena_calloc(&plan->arena, n, sizeof *plan->values);
    plan->load.steps = mb_arena_calloc(&plan->arena, n, sizeof *plan->load.steps);
    plan->run.steps =
        mb_arena_calloc(&plan->arena, (size_t)n + program->n_outputs, sizeof *plan->run.steps);
    pending = mb_arena_calloc(&plan->arena, n, sizeof *pending);
    if (plan->arena.failed) {
        st = mb_fail(err, MB_E_NOMEM, "%s: out of memory for a plan of %u nodes", device->name, n);
        goto out;
    }
    MB_TRY(check_sizes(plan, device->name, err));
    find_values(plan);
    MB_TRY(find_kernel_steps(plan, device, pending, err));
    mb_plan_find_chains(plan, device);
    MB_TRY(make_steps(plan, device, pending, err));
    make_outputs(plan);
    MB_TRY(mb_plan_place(plan, err));
    *out = plan;
    return MB_OK;
out:
    mb_plan_free(plan);
    return st;
}

void mb_plan_free(struct mb_plan *plan) {
    if (!plan) return;
    mb_arena_free(&plan->arena);
    mb_allocator.release(plan);
}
