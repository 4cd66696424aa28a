/* Layouts of the values between convolutions. */
#include "plan_layout.h"

/* Whether a value is read by convolutions alone, as their image. */
static bool feeds_convolutions(const struct mb_plan *plan, const struct mb_step *steps,
                               uint32_t node) {
    uint32_t n_readers = 0;
    for (uint32_t i = node; i < plan->program->n_nodes; i++) {
        const struct mb_step *step = &steps[i];
        if (step->head == i && step->kind == MB_STEP_CONV2D && step->x == node && step->w != node)
            n_readers++;
    }
    return n_readers > 0 && n_readers == plan->values[node].n_uses;
}

static bool takes(const struct mb_plan_device *device, const struct mb_conv2d_desc *conv) {
    const union mb_step_desc desc = {.conv2d = *conv};
    return device->takes_layouts(device->self, &desc);
}

/* Whether the step that writes the value and all that read it take it as NHWC. */
static bool all_take(const struct mb_plan *plan, const struct mb_plan_device *device,
                     const struct mb_step *steps, uint32_t writer) {
    const uint32_t node = steps[writer].node;
    struct mb_conv2d_desc conv = steps[writer].desc.conv2d;
    conv.y_layout = MB_NHWC;
    if (!takes(device, &conv)) return false;
    for (uint32_t i = node; i < plan->program->n_nodes; i++) {
        if (steps[i].head != i || steps[i].x != node) continue;
        conv = steps[i].desc.conv2d;
        conv.x_layout = MB_NHWC;
        if (!takes(device, &conv)) return false;
    }
    return true;
}

void mb_plan_layouts(const struct mb_plan *plan, const struct mb_plan_device *device,
                     struct mb_step *steps) {
    if (!device->takes_layouts) return;
    for (uint32_t writer = 0; writer < plan->program->n_nodes; writer++) {
        struct mb_step *step = &steps[writer];
        if (step->head != writer || step->kind != MB_STEP_CONV2D ||
            step->desc.conv2d.y_layout == MB_NHWC || !feeds_convolutions(plan, steps, step->node) ||
            !all_take(plan, device, steps, writer))
            continue;
        step->desc.conv2d.y_layout = MB_NHWC;
        for (uint32_t i = step->node; i < plan->program->n_nodes; i++)
            if (steps[i].head == i && steps[i].x == step->node)
                steps[i].desc.conv2d.x_layout = MB_NHWC;
    }
}
