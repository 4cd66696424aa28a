/* Loading weights and running the steps. */
#include "plan_types.h"

#include <string.h>

/* ---- where a value is during this call ---- */

static void *address(const struct mb_plan *plan, uint32_t node) {
    const uint32_t root = plan->values[node].root;
    const struct mb_value *value = &plan->values[root];
    switch (value->place) {
    case MB_PLACE_INPUT: return (void *)(uintptr_t)plan->inputs[value->index];
    case MB_PLACE_OUTPUT: return plan->outputs[value->index];
    case MB_PLACE_WEIGHT: return (void *)(uintptr_t)plan->weights[value->index];
    case MB_PLACE_DENSE: return (void *)(uintptr_t)plan->program->nodes[root].attr.dense.data;
    case MB_PLACE_PERSIST: return plan->persist.base + value->offset;
    case MB_PLACE_WORK: return plan->work.base + value->offset;
    case MB_PLACE_NONE: break;
    }
    return NULL;
}

static void *packed_address(const struct mb_plan *plan, const struct mb_step *step) {
    return (step->packs_in_run ? plan->work.base : plan->persist.base) + step->packed_offset;
}

/* ---- steps ---- */

static void pack(const struct mb_plan *plan, const struct mb_step *step,
                 const struct mb_thread *thread) {
    step->kernel->pack(&step->desc, address(plan, step->w),
                       step->bias == MB_NO_NODE ? NULL : address(plan, step->bias),
                       packed_address(plan, step), thread);
}

static void run_kernel(const struct mb_plan *plan, const struct mb_step *step,
                       const struct mb_thread *thread) {
    const struct mb_kernel_args args = {.x = address(plan, step->x),
                                        .packed = packed_address(plan, step),
                                        .y = address(plan, step->node),
                                        .scratch = plan->work.base + step->scratch_offset};
    if (step->packs_in_run) {
        pack(plan, step, thread);
        mb_barrier(thread);
    }
    step->kernel->run(&step->desc, &args, thread);
}

static void run_generic(struct mb_plan *plan, const struct mb_step *step,
                        const struct mb_thread *thread) {
    struct mb_generic_args args = {.node = &plan->program->nodes[step->node],
                                   .y = step->is_copy ? plan->outputs[step->output]
                                                      : address(plan, step->node),
                                   .divided_by_zero = &plan->divided_by_zero};
    const uint32_t operands[2] = {step->x, step->w};
    for (int k = 0; k < 2 && operands[k] != MB_NO_NODE; k++) {
        args.types[k] = &plan->program->nodes[operands[k]].type;
        args.operands[k] = address(plan, operands[k]);
    }
    step->generic(&args, thread);
}

static void run_list(struct mb_plan *plan, const struct mb_step_list *list,
                     const struct mb_thread *thread) {
    for (uint32_t i = 0; i < list->count; i++) {
        if (i > 0) mb_barrier(thread);
        if (list->steps[i].kernel)
            run_kernel(plan, &list->steps[i], thread);
        else
            run_generic(plan, &list->steps[i], thread);
    }
}

/* ---- load ---- */

/* Weights that steps of the run read as they are. */
static void copy_weights(const struct mb_plan *plan, const struct mb_thread *thread) {
    for (uint32_t i = 0; i < plan->program->n_params; i++) {
        const struct mb_value *value = &plan->values[plan->program->params[i].node];
        int64_t begin, end;
        if (value->place != MB_PLACE_PERSIST) continue;
        mb_share(thread, (int64_t)value->bytes, &begin, &end);
        memcpy(plan->persist.base + value->offset + begin, (const char *)plan->weights[i] + begin,
               (size_t)(end - begin));
    }
}

static void load_body(void *arg, const struct mb_thread *thread) {
    struct mb_plan *plan = arg;
    copy_weights(plan, thread);
    mb_barrier(thread);
    run_list(plan, &plan->load, thread);
    mb_barrier(thread);
    for (uint32_t i = 0; i < plan->run.count; i++) {
        const struct mb_step *step = &plan->run.steps[i];
        if (step->kernel && !step->packs_in_run) pack(plan, step, thread);
    }
}

static void run_body(void *arg, const struct mb_thread *thread) {
    struct mb_plan *plan = arg;
    run_list(plan, &plan->run, thread);
}

static enum mb_status finish(struct mb_plan *plan, const char *what, struct mb_err *err) {
    if (!plan->divided_by_zero) return MB_OK;
    plan->divided_by_zero = false;
    return mb_fail(err, MB_E_NUMERIC, "%s: integer division by zero", what);
}

enum mb_status mb_plan_load(struct mb_plan *plan, const void *const *weights, struct mb_err *err) {
    for (uint32_t i = 0; i < plan->program->n_params; i++)
        if (plan->program->params[i].role == MB_WEIGHT && !weights[i])
            return mb_fail(err, MB_E_INVALID, "cpu: no data for the weight %s",
                           plan->program->params[i].name);
    plan->weights = weights;
    mb_team_run(plan->n_threads, load_body, plan);
    plan->weights = NULL;
    enum mb_status st = finish(plan, "weights", err);
    plan->loaded = st == MB_OK;
    return st;
}

enum mb_status mb_plan_run(struct mb_plan *plan, const void *const *inputs, void *const *outputs,
                           struct mb_err *err) {
    if (!plan->loaded) return mb_fail(err, MB_E_INVALID, "cpu: launch before load");
    plan->inputs = inputs;
    plan->outputs = outputs;
    mb_team_run(plan->n_threads, run_body, plan);
    return finish(plan, "run", err);
}
