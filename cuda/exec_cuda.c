#include "exec_cuda.h"

#include "gpu_graphs.h"

#include <stdio.h>
#include <string.h>

struct mb_cuda_exec {
    struct mb_gpu *gpu;
    struct mb_gpu_properties properties;
    struct mb_kernel_chooser *chooser;
    struct mb_plan *plan;
    struct mb_gpu_graphs *graphs;
    void *persist, *work, *constants; /* device memory */
    size_t *offsets; /* of each node with data from the host: constants in `constants`, weights that
                        load alone reads in its temporary block */
    size_t constant_bytes, weight_bytes;
    uint32_t n_inputs;
    bool loaded;

    /* Of the call in progress. */
    char *weights; /* load's temporary block */
    void *const *buffers;
};

static size_t operation_scratch(const void *self, const struct mb_node *node,
                                const struct mb_type *const *types) {
    (void)self;
    return mb_cuda_operation_scratch(node, types);
}

static bool has_operation(const void *self, enum mb_op op, enum mb_dtype dtype) {
    (void)self;
    return mb_cuda_has_operation(op, dtype);
}

/* ---- where a value is during this call ---- */

static void *address(const struct mb_cuda_exec *exec, uint32_t node) {
    const uint32_t root = exec->plan->values[node].root;
    const struct mb_place_of *value = &exec->plan->values[root];
    switch (value->place) {
    case MB_PLACE_INPUT: return exec->buffers[value->index];
    case MB_PLACE_OUTPUT: return exec->buffers[exec->n_inputs + value->index];
    case MB_PLACE_WEIGHT: return exec->weights + exec->offsets[root];
    case MB_PLACE_DENSE: return (char *)exec->constants + exec->offsets[root];
    case MB_PLACE_PERSIST: return (char *)exec->persist + value->offset;
    case MB_PLACE_WORK: return (char *)exec->work + value->offset;
    case MB_PLACE_NONE: break;
    }
    return NULL;
}

static void *packed_address(const struct mb_cuda_exec *exec, const struct mb_step *step) {
    return (char *)(step->packs_in_run ? exec->work : exec->persist) + step->packed_offset;
}

/* ---- steps ---- */

static enum mb_status pack(const struct mb_cuda_exec *exec, const struct mb_step *step,
                           struct mb_err *err) {
    return mb_step_kernel_pack(step->choice.kernel, address(exec, step->w),
                               step->bias == MB_NO_NODE ? NULL : address(exec, step->bias),
                               packed_address(exec, step), err);
}

static enum mb_status enqueue_kernel(const struct mb_cuda_exec *exec, const struct mb_step *step,
                                     struct mb_err *err) {
    const struct mb_cuda_args args = {.x = address(exec, step->x),
                                      .packed = packed_address(exec, step),
                                      .y = address(exec, step->node),
                                      .scratch = (char *)exec->work + step->scratch_offset,
                                      .packed_in_run = step->packs_in_run};
    enum mb_status st = step->packs_in_run ? pack(exec, step, err) : MB_OK;
    return st == MB_OK ? mb_step_kernel_launch(step->choice.kernel, &args, err) : st;
}

static enum mb_status enqueue_copy(const struct mb_cuda_exec *exec, const struct mb_step *step,
                                   struct mb_err *err) {
    return mb_gpu_check(cudaMemcpyAsync(exec->buffers[exec->n_inputs + step->output],
                                        address(exec, step->x), exec->plan->values[step->x].bytes,
                                        cudaMemcpyDeviceToDevice, exec->gpu->stream),
                        "copy", err);
}

static enum mb_status enqueue_operation(const struct mb_cuda_exec *exec, const struct mb_step *step,
                                        struct mb_err *err) {
    struct mb_cuda_operation_args args = {.node = &exec->plan->program->nodes[step->node],
                                          .y = address(exec, step->node),
                                          .scratch = (char *)exec->work + step->scratch_offset};
    const uint32_t operands[MB_MAX_OPERANDS] = {step->x, step->w, step->bias};
    for (int k = 0; k < MB_MAX_OPERANDS && operands[k] != MB_NO_NODE; k++) {
        args.types[k] = &exec->plan->program->nodes[operands[k]].type;
        args.operands[k] = address(exec, operands[k]);
    }
    return mb_gpu_check(mb_cuda_operation(&args, exec->gpu->stream), "launch", err);
}

static enum mb_status enqueue_step(const struct mb_cuda_exec *exec, const struct mb_step *step,
                                   struct mb_err *err) {
    if (step->choice.kernel) return enqueue_kernel(exec, step, err);
    return step->is_copy ? enqueue_copy(exec, step, err) : enqueue_operation(exec, step, err);
}

static const char *step_name(const struct mb_cuda_exec *exec, const struct mb_step *step) {
    if (step->choice.kernel) return step->choice.name;
    return step->is_copy ? "copy" : mb_op_info(exec->plan->program->nodes[step->node].op)->name;
}

static enum mb_status enqueue_list(const struct mb_cuda_exec *exec, const struct mb_step_list *list,
                                   const char *title, struct mb_err *err) {
    struct mb_err why;
    for (uint32_t i = 0; i < list->count; i++) {
        enum mb_status st = enqueue_step(exec, &list->steps[i], &why);
        if (st != MB_OK)
            return mb_fail(err, st, "cuda: %s %u, %s: %s", title, i,
                           step_name(exec, &list->steps[i]), why.text);
    }
    return MB_OK;
}

static enum mb_status enqueue_run(void *arg, void *const *buffers, struct mb_err *err) {
    struct mb_cuda_exec *exec = arg;
    exec->buffers = buffers;
    return enqueue_list(exec, &exec->plan->run, "step", err);
}

/* ---- load ---- */

static enum mb_status upload_weights(const struct mb_cuda_exec *exec, const void *const *weights,
                                     char *temporary, struct mb_err *err) {
    const struct mb_program *program = exec->plan->program;
    for (uint32_t i = 0; i < program->n_params; i++) {
        const uint32_t node = program->params[i].node;
        const struct mb_place_of *value = &exec->plan->values[node];
        if (program->params[i].role != MB_WEIGHT || !value->live) continue;
        void *to = value->place == MB_PLACE_PERSIST ? (char *)exec->persist + value->offset
                                                    : temporary + exec->offsets[node];
        enum mb_status st = mb_gpu_upload(exec->gpu, to, weights[i], value->bytes, err);
        if (st != MB_OK) return st;
    }
    return MB_OK;
}

/* Those steps of the run whose weights are known now. */
static enum mb_status pack_all(const struct mb_cuda_exec *exec, struct mb_err *err) {
    for (uint32_t i = 0; i < exec->plan->run.count; i++) {
        const struct mb_step *step = &exec->plan->run.steps[i];
        if (!step->choice.kernel || step->packs_in_run) continue;
        struct mb_err why;
        enum mb_status st = pack(exec, step, &why);
        if (st != MB_OK)
            return mb_fail(err, st, "cuda: weights of step %u, %s: %s", i, step->choice.name,
                           why.text);
    }
    return MB_OK;
}

enum mb_status mb_cuda_exec_load(struct mb_cuda_exec *exec, const void *const *weights,
                                 struct mb_err *err) {
    enum mb_status st = MB_OK;
    const struct mb_program *program = exec->plan->program;
    void *temporary = NULL;
    for (uint32_t i = 0; i < program->n_params; i++)
        if (program->params[i].role == MB_WEIGHT && !weights[i])
            return mb_fail(err, MB_E_INVALID, "cuda: no data for the weight %s",
                           program->params[i].name);
    exec->loaded = false;
    MB_TRY(mb_gpu_sync(exec->gpu, err)); /* runs with the weights before these */
    MB_TRY(mb_gpu_alloc(exec->weight_bytes, &temporary, err));
    MB_TRY(upload_weights(exec, weights, temporary, err));
    exec->weights = temporary;
    MB_TRY(enqueue_list(exec, &exec->plan->load, "load", err));
    MB_TRY(pack_all(exec, err));
    MB_TRY(mb_gpu_sync(exec->gpu, err));
    exec->loaded = true;
out:
    exec->weights = NULL;
    mb_gpu_free(temporary);
    return st;
}

enum mb_status mb_cuda_exec_run(struct mb_cuda_exec *exec, void *const *buffers,
                                struct mb_err *err) {
    if (!exec->loaded) return mb_fail(err, MB_E_INVALID, "cuda: launch before load");
    return mb_gpu_graphs_run(exec->graphs, buffers, err);
}

/* ---- life ---- */

static struct mb_gpu_properties properties_of(const struct mb_gpu_info *info) {
    return (struct mb_gpu_properties){.cc = info->cc,
                                      .n_sms = info->n_sms,
                                      .shared_bytes = info->shared_bytes,
                                      .clock_khz = info->clock_khz,
                                      .l2_bytes = info->l2_bytes,
                                      /* two transfers a clock */
                                      .memory_gbps = 2.0 * info->memory_clock_khz *
                                                     info->memory_bus_bits / 8 / 1e6};
}

static size_t take(size_t *end, size_t bytes) {
    static const size_t align = 256; /* as kernels may expect of device memory */
    const size_t offset = *end;
    *end += (bytes + align - 1) / align * align;
    return offset;
}

static void place_host_data(struct mb_cuda_exec *exec) {
    const struct mb_program *program = exec->plan->program;
    for (uint32_t i = 0; i < program->n_nodes; i++) {
        const struct mb_place_of *value = &exec->plan->values[i];
        if (!value->live) continue;
        if (value->place == MB_PLACE_DENSE)
            exec->offsets[i] = take(&exec->constant_bytes, value->bytes);
        else if (value->place == MB_PLACE_WEIGHT)
            exec->offsets[i] = take(&exec->weight_bytes, value->bytes);
    }
}

static enum mb_status upload_constants(const struct mb_cuda_exec *exec, struct mb_err *err) {
    const struct mb_program *program = exec->plan->program;
    for (uint32_t i = 0; i < program->n_nodes; i++) {
        const struct mb_place_of *value = &exec->plan->values[i];
        if (!value->live || value->place != MB_PLACE_DENSE) continue;
        enum mb_status st = mb_gpu_upload(exec->gpu, (char *)exec->constants + exec->offsets[i],
                                          program->nodes[i].attr.dense.data, value->bytes, err);
        if (st != MB_OK) return st;
    }
    return MB_OK;
}

static uint32_t count_inputs(const struct mb_program *program) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < program->n_params; i++) n += program->params[i].role == MB_INPUT;
    return n;
}

/* Chooses the kernels; `only` was asked for by name, and a plan without it would be no answer. */
static enum mb_status make_plan(struct mb_cuda_exec *exec, const struct mb_program *program,
                                const struct mb_cuda_rows *rows, struct mb_err *err) {
    enum mb_status st = MB_OK;
    MB_TRY(mb_kernel_chooser_new(exec->gpu, &exec->properties, rows, &exec->chooser, err));
    const struct mb_plan_device device = {.self = exec->chooser,
                                          .name = "cuda",
                                          .choose = mb_kernel_chooser_choose,
                                          .has_operation = has_operation,
                                          .operation_scratch = operation_scratch};
    MB_TRY(mb_plan_new(program, &device, &exec->plan, err));
    mb_kernel_chooser_save(exec->chooser);
    if (rows->only && mb_kernel_chooser_choices(exec->chooser).n_steps == 0)
        st =
            mb_fail(err, MB_E_UNSUPPORTED, "cuda: %s supports no step of this program", rows->only);
out:
    return st;
}

enum mb_status mb_cuda_exec_new(const struct mb_program *program, struct mb_gpu *gpu,
                                const struct mb_cuda_rows *rows, struct mb_cuda_exec **out,
                                struct mb_err *err) {
    enum mb_status st = MB_OK;
    struct mb_cuda_exec *exec = mb_allocator.alloc(sizeof *exec);
    if (!exec) return mb_fail(err, MB_E_NOMEM, "cuda: out of memory for a plan");
    *exec = (struct mb_cuda_exec){
        .gpu = gpu, .properties = properties_of(&gpu->info), .n_inputs = count_inputs(program)};
    MB_TRY(make_plan(exec, program, rows, err));
    exec->offsets = mb_arena_calloc(&exec->plan->arena, program->n_nodes, sizeof *exec->offsets);
    if (!exec->offsets) {
        st = mb_fail(err, MB_E_NOMEM, "cuda: out of memory for a plan of %u nodes",
                     program->n_nodes);
        goto out;
    }
    place_host_data(exec);
    MB_TRY(mb_gpu_alloc(exec->plan->persist_bytes, &exec->persist, err));
    MB_TRY(mb_gpu_alloc(exec->plan->work_bytes, &exec->work, err));
    MB_TRY(mb_gpu_alloc(exec->constant_bytes, &exec->constants, err));
    MB_TRY(upload_constants(exec, err));
    MB_TRY(mb_gpu_graphs_new(gpu, exec->n_inputs + program->n_outputs, enqueue_run, exec,
                             &exec->graphs, err));
    *out = exec;
    return MB_OK;
out:
    mb_cuda_exec_free(exec);
    return st;
}

void mb_cuda_exec_free(struct mb_cuda_exec *exec) {
    if (!exec) return;
    mb_gpu_graphs_free(exec->graphs);
    mb_gpu_free(exec->persist);
    mb_gpu_free(exec->work);
    mb_gpu_free(exec->constants);
    mb_plan_free(exec->plan);
    mb_kernel_chooser_free(exec->chooser);
    mb_allocator.release(exec);
}

struct mb_kernel_choices mb_cuda_exec_choices(const struct mb_cuda_exec *exec) {
    return mb_kernel_chooser_choices(exec->chooser);
}

void mb_cuda_exec_text(const struct mb_cuda_exec *exec, char *buf, size_t size) {
    const struct mb_gpu_info *info = &exec->gpu->info;
    size_t used;
    if (size == 0) return;
    snprintf(buf, size, "cuda:%d, %s, sm_%d, %d SMs at %d MHz, %zu MB of L2, %.0f GB/s\n",
             exec->gpu->index, info->name, info->cc, info->n_sms, info->clock_khz / 1000,
             info->l2_bytes >> 20, exec->properties.memory_gbps);
    used = strlen(buf);
    mb_gpu_graphs_text(exec->graphs, buf + used, size - used);
    used += strlen(buf + used);
    mb_kernel_chooser_text(exec->chooser, buf + used, size - used);
    used += strlen(buf + used);
    mb_plan_text(exec->plan, buf + used, size - used);
}
