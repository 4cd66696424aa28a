/* The memory plan: one block that lives as long as the plan (constants, packed weights) and one
 * whose parts are used again from step to step (values between steps, scratch). */
#include "plan_place.h"

#include <string.h>

/* Wide enough for the vector loads of every device. */
enum { ALIGN = 256 };

static size_t aligned(size_t bytes) { return (bytes + ALIGN - 1) / ALIGN * ALIGN; }

static struct mb_place_of *root_of(const struct mb_plan *plan, uint32_t node) {
    return &plan->values[plan->values[node].root];
}

/* ---- who needs what ---- */

static void note_read(struct mb_plan *plan, uint32_t node, uint32_t step) {
    if (node == MB_NO_NODE) return;
    struct mb_place_of *value = root_of(plan, node);
    value->read_by_run = true;
    value->last_step = step;
}

static void note_chain(struct mb_plan *plan, const struct mb_step *step, uint32_t at) {
    for (uint32_t i = 0; i < step->n_chain; i++) {
        const struct mb_node *node = &plan->program->nodes[step->chain[i]];
        for (uint32_t k = 0; k < node->n_operands; k++)
            if (plan->values[node->operand[k]].chain != step->node)
                note_read(plan, node->operand[k], at);
    }
}

/* Weights and bias of a kernel step that packs in load are read there, not by the run. */
static void note_steps(struct mb_plan *plan) {
    for (uint32_t i = 0; i < plan->run.count; i++) {
        const struct mb_step *step = &plan->run.steps[i];
        note_read(plan, step->x, i);
        note_chain(plan, step, i);
        if (!step->choice.kernel || step->packs_in_run) {
            note_read(plan, step->w, i);
            note_read(plan, step->bias, i);
        }
        struct mb_place_of *y = root_of(plan, step->node);
        if (step->is_copy) continue;
        y->first_step = i;
        if (y->last_step == MB_NO_STEP) y->last_step = i;
    }
}

static size_t persist(struct mb_plan *plan, size_t bytes) {
    const size_t offset = plan->persist_bytes;
    plan->persist_bytes += aligned(bytes);
    return offset;
}

static void place_outside_work(struct mb_plan *plan) {
    uint32_t n_inputs = 0;
    for (uint32_t i = 0; i < plan->program->n_params; i++) {
        const struct mb_param *param = &plan->program->params[i];
        struct mb_place_of *value = &plan->values[param->node];
        if (param->role == MB_INPUT) {
            value->place = MB_PLACE_INPUT;
            value->index = n_inputs++;
        } else {
            value->place = value->read_by_run ? MB_PLACE_PERSIST : MB_PLACE_WEIGHT;
            value->index = i;
            if (value->read_by_run) value->offset = persist(plan, value->bytes);
        }
    }
    for (uint32_t i = 0; i < plan->program->n_nodes; i++) {
        struct mb_place_of *value = &plan->values[i];
        if (plan->program->nodes[i].op == MB_OP_DENSE) value->place = MB_PLACE_DENSE;
        if (!value->computed || !value->constant) continue;
        value->place = MB_PLACE_PERSIST;
        value->offset = persist(plan, value->bytes);
    }
    for (uint32_t i = 0; i < plan->run.count; i++) {
        struct mb_step *step = &plan->run.steps[i];
        if (step->choice.kernel && !step->packs_in_run)
            step->packed_offset = persist(plan, step->choice.packed_bytes);
    }
}

/* ---- the work block ---- */

/* A piece of the work block and the steps that need it, both ends included. */
struct piece {
    size_t offset, bytes;
    uint32_t first, last;
};

struct layout {
    struct piece *pieces; /* placed so far, by ascending offset */
    uint32_t count;
};

/* The lowest gap that is free during the piece's steps. */
static size_t place(struct layout *layout, size_t bytes, uint32_t first, uint32_t last) {
    struct piece piece = {0, aligned(bytes), first, last};
    uint32_t at = 0;
    for (uint32_t i = 0; i < layout->count; i++) {
        const struct piece *other = &layout->pieces[i];
        if (other->last < first || last < other->first) continue;
        if (piece.offset + piece.bytes <= other->offset) break;
        if (other->offset + other->bytes > piece.offset)
            piece.offset = other->offset + other->bytes;
    }
    while (at < layout->count && layout->pieces[at].offset <= piece.offset) at++;
    memmove(layout->pieces + at + 1, layout->pieces + at,
            (layout->count - at) * sizeof *layout->pieces);
    layout->pieces[at] = piece;
    layout->count++;
    return piece.offset;
}

static void place_in_work(struct mb_plan *plan, struct layout *layout) {
    for (uint32_t i = 0; i < plan->run.count; i++) {
        struct mb_step *step = &plan->run.steps[i];
        struct mb_place_of *y = root_of(plan, step->node);
        if (!step->is_copy && y->place == MB_PLACE_NONE) {
            y->place = MB_PLACE_WORK;
            y->offset = place(layout, y->bytes, y->first_step, y->last_step);
        }
        if (step->choice.kernel && step->packs_in_run)
            step->packed_offset = place(layout, step->choice.packed_bytes, i, i);
        if (step->choice.scratch_bytes)
            step->scratch_offset = place(layout, step->choice.scratch_bytes, i, i);
    }
    for (uint32_t i = 0; i < layout->count; i++) {
        const size_t end = layout->pieces[i].offset + layout->pieces[i].bytes;
        if (end > plan->work_bytes) plan->work_bytes = end;
    }
}

/* Steps of load have the block to themselves, one after the other. */
static void place_load_steps(struct mb_plan *plan) {
    for (uint32_t i = 0; i < plan->load.count; i++) {
        struct mb_step *step = &plan->load.steps[i];
        step->packed_offset = 0;
        step->scratch_offset = aligned(step->choice.packed_bytes);
        const size_t end = step->scratch_offset + aligned(step->choice.scratch_bytes);
        if (end > plan->work_bytes) plan->work_bytes = end;
    }
}

enum mb_status mb_plan_place(struct mb_plan *plan, struct mb_err *err) {
    struct layout layout = {
        mb_arena_calloc(&plan->arena, 3 * (size_t)plan->run.count, sizeof *layout.pieces), 0};
    if (!layout.pieces)
        return mb_fail(err, MB_E_NOMEM, "out of memory for a plan of %u steps", plan->run.count);
    note_steps(plan);
    place_outside_work(plan);
    place_in_work(plan, &layout);
    place_load_steps(plan);
    return MB_OK;
}
