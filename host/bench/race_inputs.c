/* Weights and inputs from the seed, and the FP64 reference of each set of inputs. */
#include "origin.h"
#include "race.h"
#include "random.h"
#include "reference.h"

#include <string.h>

static enum mb_status compute_reference(struct race *r, size_t set, struct mb_err *err) {
    const struct mb_program *p = r->config->program;
    double **reference = mb_arena_calloc(&r->result->arena, p->n_outputs, sizeof *reference);
    if (!reference) return mb_fail(err, MB_E_NOMEM, "no memory for the reference");
    for (uint32_t i = 0; i < p->n_outputs; i++) {
        size_t count = 0;
        mb_shape_count(&p->nodes[p->outputs[i]].type.shape, &count);
        reference[i] = mb_arena_calloc(&r->result->arena, count, sizeof(double));
        if (!reference[i]) return mb_fail(err, MB_E_NOMEM, "no memory for the reference");
    }
    r->reference[set] = reference;
    mb_race_progress(r, "computing the FP64 reference", 0);
    return mb_reference_run(p, (const void *const *)r->params.data, reference, err);
}

/* Keeps what lies in the parameters as set `set`. *differs: it is another than the set before. */
static enum mb_status keep_inputs(struct race *r, size_t set, bool *differs, struct mb_err *err) {
    const struct mb_program *p = r->config->program;
    void **copies = mb_arena_calloc(&r->result->arena, p->n_params, sizeof *copies);
    if (!copies && p->n_params) return mb_fail(err, MB_E_NOMEM, "no memory for inputs");
    *differs = set == 0;
    for (uint32_t i = 0; i < p->n_params; i++) {
        size_t bytes = 0;
        if (p->params[i].role != MB_INPUT) continue;
        mb_type_bytes(&p->params[i].type, &bytes);
        if (!(copies[i] = mb_arena_calloc(&r->result->arena, bytes + 1, 1)))
            return mb_fail(err, MB_E_NOMEM, "no memory for inputs");
        memcpy(copies[i], r->params.data[i], bytes);
        if (set && memcmp(copies[i], r->inputs[set - 1][i], bytes) != 0) *differs = true;
    }
    r->inputs[set] = copies;
    return MB_OK;
}

void mb_race_use_inputs(struct race *r, size_t set) {
    const struct mb_program *p = r->config->program;
    for (uint32_t i = 0; i < p->n_params && set != r->input_set; i++) {
        size_t bytes = 0;
        if (p->params[i].role != MB_INPUT) continue;
        mb_type_bytes(&p->params[i].type, &bytes);
        memcpy(r->params.data[i], r->inputs[set][i], bytes);
    }
    r->input_set = set;
}

/* A script may keep copies of the inputs that it was given; then they stay as they are. */
static bool may_rotate(const struct race *r) {
    bool scripts = false;
    for (size_t i = 0; i < r->config->n_executors; i++)
        scripts = scripts || r->racers[i].entry->kind == MB_SCRIPT;
    return !scripts && !r->config->profile;
}

enum mb_status mb_race_make_inputs(struct race *r, struct mb_err *err) {
    const struct mb_race_config *c = r->config;
    enum mb_status st = MB_OK;
    bool differs = true;
    MB_TRY(mb_shared_params(c->program, -1, true, &r->params, err));
    mb_race_progress(r, "making weights and inputs", 0);
    mb_tensors_fill(c->program, c->seed, r->params.data);
    for (size_t set = 0; set < MB_RACE_INPUT_SETS && differs; set++) {
        const uint64_t seed = mb_random_bits(c->seed, mb_random_stream("input sets"), set);
        if (set) mb_tensors_fill_inputs(c->program, seed, r->params.data);
        if (c->overwrite) MB_TRY(c->overwrite(c->overwrite_arg, c->program, r->params.data, err));
        if (!set && !c->profile)
            MB_TRY(mb_origin_of(&c->source, c->program, r->params.data, c->given, &r->result->arena,
                                &r->bench->origin, err));
        MB_TRY(keep_inputs(r, set, &differs, err));
        if (!differs) break; /* all inputs were given */
        MB_TRY(compute_reference(r, set, err));
        r->n_input_sets = set + 1;
        r->input_set = set;
        if (!may_rotate(r)) break;
    }
    mb_race_use_inputs(r, 0);
out:
    return st;
}
