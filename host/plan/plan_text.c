/* A plan for people. */
#include "plan.h"

#include <stdarg.h>
#include <stdio.h>

struct text {
    char *at;
    size_t left;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *text, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text->at, text->left, format, args);
    va_end(args);
    if (n < 0) return;
    size_t used = (size_t)n < text->left ? (size_t)n : text->left - 1;
    text->at += used;
    text->left -= used;
}

static void put_matmul(struct text *text, const struct mb_matmul_desc *d) {
    put(text, "matmul ");
    if (d->batch > 1) put(text, "%lld x ", (long long)d->batch);
    put(text, "(%lld,%lld)x(%lld,%lld)", (long long)d->m, (long long)d->k, (long long)d->k,
        (long long)d->n);
    if (d->has_bias) put(text, " + bias");
    if (d->act == MB_ACT_RELU) put(text, " + relu");
}

static void put_conv2d(struct text *text, const struct mb_conv2d_desc *d) {
    const char *const layouts[] = {[MB_NCHW] = "nchw", [MB_NHWC] = "nhwc"};
    put(text, "conv2d %s", layouts[d->x_layout]);
    if (d->y_layout != d->x_layout) put(text, " to %s", layouts[d->y_layout]);
    put(text, " (%lld,%lld,%lld,%lld) by %lld of %lldx%lld", (long long)d->n, (long long)d->c,
        (long long)d->h, (long long)d->w, (long long)d->filters, (long long)d->r, (long long)d->s);
    if (d->has_bias) put(text, " + bias");
    if (d->act == MB_ACT_RELU) put(text, " + relu");
    if (d->has_pool)
        put(text, " + maxpool %dx%d/%d,%d", d->pool_kernel[0], d->pool_kernel[1], d->pool_stride[0],
            d->pool_stride[1]);
}

static void put_chain(struct text *text, const struct mb_plan *plan, const struct mb_step *step) {
    char type[128];
    put(text, "chain");
    for (uint32_t i = 0; i < step->n_chain; i++)
        put(text, "%s %s", i ? "," : "", mb_op_info(plan->program->nodes[step->chain[i]].op)->name);
    put(text, ": %s",
        mb_type_text(type, sizeof type, &plan->program->nodes[step->node].type, NULL));
}

static void put_what(struct text *text, const struct mb_plan *plan, const struct mb_step *step) {
    char type[128];
    const struct mb_node *node = &plan->program->nodes[step->node];
    if (step->is_copy)
        put(text, "copy to output %u", step->output);
    else if (step->n_chain)
        put_chain(text, plan, step);
    else if (!step->choice.kernel)
        put(text, "%s: %s", mb_op_info(node->op)->name,
            mb_type_text(type, sizeof type, &node->type, NULL));
    else if (step->kind == MB_STEP_CONV2D)
        put_conv2d(text, &step->desc.conv2d);
    else
        put_matmul(text, &step->desc.matmul);
}

static void put_kernel_step(struct text *text, const struct mb_plan *plan,
                            const struct mb_step *step) {
    put(text, "%s: ", step->choice.name);
    put_what(text, plan, step);
    if (step->packs_in_run) put(text, ", packs weights in each run");
    put(text, "; %s %.1f us", step->choice.measured ? "measured" : "estimated",
        step->choice.cost_ns / 1e3);
    if (step->choice.runner_up)
        put(text, " (%s %.1f us)", step->choice.runner_up, step->choice.runner_up_ns / 1e3);
    if (step->choice.left_out) put(text, ", left out: %s", step->choice.left_out);
}

static void put_list(struct text *text, const struct mb_plan *plan, const char *title,
                     const struct mb_step_list *list) {
    for (uint32_t i = 0; i < list->count; i++) {
        const struct mb_step *step = &list->steps[i];
        put(text, "%s %u: %%%u = ", title, i, plan->program->nodes[step->node].id);
        if (step->choice.kernel) {
            put_kernel_step(text, plan, step);
        } else {
            if (!step->is_copy && !step->n_chain) put(text, "generic ");
            put_what(text, plan, step);
        }
        put(text, "\n");
    }
}

void mb_step_text(const struct mb_plan *plan, const struct mb_step *step, char *buf, size_t size) {
    struct text text = {buf, size};
    if (size == 0) return;
    buf[0] = '\0';
    put_what(&text, plan, step);
}

void mb_plan_text(const struct mb_plan *plan, char *buf, size_t size) {
    struct text text = {buf, size};
    if (size == 0) return;
    buf[0] = '\0';
    put_list(&text, plan, "load", &plan->load);
    put_list(&text, plan, "step", &plan->run);
    put(&text, "memory: %zu bytes of constants and packed weights, %zu bytes of work space\n",
        plan->persist_bytes, plan->work_bytes);
}
