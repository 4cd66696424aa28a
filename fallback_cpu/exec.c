#include "exec.h"

#include "chain.h"
#include "choose_kernel.h"
#include "clock.h"
#include "cpu_isa.h"
#include "generic.h"
#include "plan.h"

#include <stdio.h>
#include <string.h>

enum { ALIGN = 64 };

struct block {
    void *memory; /* what the allocator gave */
    char *base;   /* aligned */
};

/* One phase of a job. */
struct phase {
    enum { COPY_WEIGHTS, PACK_ALL, PACK, KERNEL, CHAIN, OPERATION } what;
    int part;                   /* of KERNEL: 0 or 1, see mb_kernel_phase */
    const struct mb_step *step; /* of PACK, KERNEL, CHAIN and OPERATION */
};

struct phase_list {
    struct phase *phases;
    int count;
    int64_t *ends_ns; /* of the run, when its steps are timed: one for each phase and share */
};

struct mb_cpu_exec {
    struct mb_team *team;
    enum mb_isa isa;
    const struct mb_cpu_kernel *only;
    struct mb_tuning *tuning; /* the plan has texts of its */
    struct mb_plan *plan;
    struct block persist, work;
    struct phase_list load, run;
    bool divided_by_zero, index_outside;
    bool loaded;

    /* Of the call in progress. */
    const void *const *weights;
    const void *const *inputs;
    void *const *outputs;
};

/* ---- what the planner asks ---- */

static struct mb_cpu_chooser chooser_of(const struct mb_cpu_exec *exec) {
    return (struct mb_cpu_chooser){.kernels = mb_cpu_kernels,
                                   .n_kernels = mb_cpu_n_kernels,
                                   .only = exec->only,
                                   .team = exec->team,
                                   .isa = exec->isa,
                                   .tuning = exec->tuning};
}

static enum mb_status choose(void *self, enum mb_step_kind kind, const union mb_step_desc *desc,
                             struct mb_kernel_choice *out, struct mb_err *err) {
    const struct mb_cpu_chooser chooser = chooser_of(self);
    return mb_cpu_choose(&chooser, kind, desc, out, err);
}

static bool takes_layouts(void *self, const union mb_step_desc *desc) {
    const struct mb_cpu_chooser chooser = chooser_of(self);
    return mb_cpu_takes(&chooser, MB_STEP_CONV2D, desc);
}

static bool has_operation(const void *self, enum mb_op op, enum mb_dtype dtype) {
    const struct mb_cpu_exec *exec = self;
    return mb_generic_find(exec->isa, op, dtype) != NULL;
}

static size_t chain_scratch(const void *self, uint32_t n) {
    const struct mb_cpu_exec *exec = self;
    return mb_chain_scratch(n, mb_team_size(exec->team));
}

/* ---- where a value is during this call ---- */

static void *address(const struct mb_cpu_exec *exec, uint32_t node) {
    const struct mb_plan *plan = exec->plan;
    const uint32_t root = plan->values[node].root;
    const struct mb_place_of *value = &plan->values[root];
    switch (value->place) {
    case MB_PLACE_INPUT: return (void *)(uintptr_t)exec->inputs[value->index];
    case MB_PLACE_OUTPUT: return exec->outputs[value->index];
    case MB_PLACE_WEIGHT: return (void *)(uintptr_t)exec->weights[value->index];
    case MB_PLACE_DENSE: return (void *)(uintptr_t)plan->program->nodes[root].attr.dense.data;
    case MB_PLACE_PERSIST: return exec->persist.base + value->offset;
    case MB_PLACE_WORK: return exec->work.base + value->offset;
    case MB_PLACE_NONE: break;
    }
    return NULL;
}

static void *packed_address(const struct mb_cpu_exec *exec, const struct mb_step *step) {
    return (step->packs_in_run ? exec->work.base : exec->persist.base) + step->packed_offset;
}

/* ---- steps ---- */

static void pack(const struct mb_cpu_exec *exec, const struct mb_step *step,
                 const struct mb_thread *thread) {
    const struct mb_cpu_kernel *kernel = step->choice.kernel;
    kernel->pack(&step->desc, address(exec, step->w),
                 step->bias == MB_NO_NODE ? NULL : address(exec, step->bias),
                 packed_address(exec, step), thread);
}

static void run_kernel(const struct mb_cpu_exec *exec, const struct mb_step *step, int part,
                       const struct mb_thread *thread) {
    const struct mb_kernel_args args = {.x = address(exec, step->x),
                                        .packed = packed_address(exec, step),
                                        .y = address(exec, step->node),
                                        .scratch = exec->work.base + step->scratch_offset};
    mb_kernel_phase(step->choice.kernel, &step->desc, &args, part, thread);
}

static const void *operand_address(const void *exec, uint32_t node) { return address(exec, node); }

static void run_chain(struct mb_cpu_exec *exec, const struct mb_step *step,
                      const struct mb_thread *thread) {
    const struct mb_chain_args args = {.program = exec->plan->program,
                                       .nodes = step->chain,
                                       .n = step->n_chain,
                                       .isa = exec->isa,
                                       .address = operand_address,
                                       .self = exec,
                                       .y = address(exec, step->node),
                                       .scratch = exec->work.base + step->scratch_offset,
                                       .divided_by_zero = &exec->divided_by_zero};
    mb_chain_run(&args, thread);
}

static void run_operation(struct mb_cpu_exec *exec, const struct mb_step *step,
                          const struct mb_thread *thread) {
    struct mb_generic_args args = {.node = &exec->plan->program->nodes[step->node],
                                   .y = step->is_copy ? exec->outputs[step->output]
                                                      : address(exec, step->node),
                                   .divided_by_zero = &exec->divided_by_zero,
                                   .index_outside = &exec->index_outside};
    const uint32_t operands[MB_MAX_OPERANDS] = {step->x, step->w, step->bias};
    for (int k = 0; k < MB_MAX_OPERANDS && operands[k] != MB_NO_NODE; k++) {
        args.types[k] = &exec->plan->program->nodes[operands[k]].type;
        args.operands[k] = address(exec, operands[k]);
    }
    const enum mb_dtype dtype =
        operands[0] == MB_NO_NODE ? args.node->type.dtype : args.types[0]->dtype;
    mb_generic_find(exec->isa, step->is_copy ? MB_OP_RESHAPE : args.node->op, dtype)(&args, thread);
}

/* ---- load ---- */

/* Weights that steps of the run read as they are. */
static void copy_weights(const struct mb_cpu_exec *exec, const struct mb_thread *thread) {
    const struct mb_plan *plan = exec->plan;
    for (uint32_t i = 0; i < plan->program->n_params; i++) {
        const struct mb_place_of *value = &plan->values[plan->program->params[i].node];
        int64_t begin, end;
        if (value->place != MB_PLACE_PERSIST) continue;
        mb_share(thread, (int64_t)value->bytes, &begin, &end);
        memcpy(exec->persist.base + value->offset + begin, (const char *)exec->weights[i] + begin,
               (size_t)(end - begin));
    }
}

/* Those steps of the run whose weights are known now. */
static void pack_all(const struct mb_cpu_exec *exec, const struct mb_thread *thread) {
    for (uint32_t i = 0; i < exec->plan->run.count; i++) {
        const struct mb_step *step = &exec->plan->run.steps[i];
        if (step->choice.kernel && !step->packs_in_run) pack(exec, step, thread);
    }
}

/* ---- phases ---- */

static void run_phase(struct mb_cpu_exec *exec, const struct phase *phase,
                      const struct mb_thread *thread) {
    switch (phase->what) {
    case COPY_WEIGHTS: copy_weights(exec, thread); break;
    case PACK_ALL: pack_all(exec, thread); break;
    case PACK: pack(exec, phase->step, thread); break;
    case KERNEL: run_kernel(exec, phase->step, phase->part, thread); break;
    case CHAIN: run_chain(exec, phase->step, thread); break;
    case OPERATION: run_operation(exec, phase->step, thread); break;
    }
}

static void load_body(void *arg, int phase, const struct mb_thread *thread) {
    struct mb_cpu_exec *exec = arg;
    run_phase(exec, &exec->load.phases[phase], thread);
}

static void run_body(void *arg, int phase, const struct mb_thread *thread) {
    struct mb_cpu_exec *exec = arg;
    run_phase(exec, &exec->run.phases[phase], thread);
}

static void add_phase(struct phase_list *list, struct phase phase) {
    list->phases[list->count++] = phase;
}

static void add_steps(const struct mb_cpu_exec *exec, struct phase_list *list,
                      const struct mb_step_list *steps) {
    for (uint32_t i = 0; i < steps->count; i++) {
        const struct mb_step *step = &steps->steps[i];
        if (!step->choice.kernel) {
            add_phase(list, (struct phase){step->n_chain ? CHAIN : OPERATION, 0, step});
            continue;
        }
        const int parts =
            mb_kernel_phases(step->choice.kernel, &step->desc, mb_team_size(exec->team));
        if (step->packs_in_run) add_phase(list, (struct phase){PACK, 0, step});
        for (int part = 0; part < parts; part++)
            add_phase(list, (struct phase){KERNEL, part, step});
    }
}

static enum mb_status make_phases(struct mb_cpu_exec *exec, struct mb_err *err) {
    const struct mb_plan *plan = exec->plan;
    struct mb_arena *arena = &exec->plan->arena;
    enum { MOST = 3 }; /* of a step: pack, run, combine */
    exec->load.phases =
        mb_arena_calloc(arena, (size_t)plan->load.count * MOST + 2, sizeof *exec->load.phases);
    exec->run.phases =
        mb_arena_calloc(arena, (size_t)plan->run.count * MOST + 1, sizeof *exec->run.phases);
    if (arena->failed) return mb_fail(err, MB_E_NOMEM, "cpu: out of memory for a plan");
    add_phase(&exec->load, (struct phase){.what = COPY_WEIGHTS});
    add_steps(exec, &exec->load, &plan->load);
    add_phase(&exec->load, (struct phase){.what = PACK_ALL});
    add_steps(exec, &exec->run, &plan->run);
    return MB_OK;
}

/* ---- jobs ---- */

static enum mb_status finish(struct mb_cpu_exec *exec, const char *what, struct mb_err *err) {
    const bool divided = exec->divided_by_zero, outside = exec->index_outside;
    exec->divided_by_zero = exec->index_outside = false;
    if (divided) return mb_fail(err, MB_E_NUMERIC, "%s: integer division by zero", what);
    if (outside) return mb_fail(err, MB_E_NUMERIC, "%s: E6001: an index is out of range", what);
    return MB_OK;
}

enum mb_status mb_cpu_exec_load(struct mb_cpu_exec *exec, const void *const *weights,
                                struct mb_err *err) {
    const struct mb_program *program = exec->plan->program;
    for (uint32_t i = 0; i < program->n_params; i++)
        if (program->params[i].role == MB_WEIGHT && !weights[i])
            return mb_fail(err, MB_E_INVALID, "cpu: no data for the weight %s",
                           program->params[i].name);
    exec->weights = weights;
    mb_team_run(exec->team, exec->load.count, load_body, exec);
    exec->weights = NULL;
    enum mb_status st = finish(exec, "weights", err);
    exec->loaded = st == MB_OK;
    return st;
}

enum mb_status mb_cpu_exec_run(struct mb_cpu_exec *exec, const void *const *inputs,
                               void *const *outputs, struct mb_err *err) {
    if (!exec->loaded) return mb_fail(err, MB_E_INVALID, "cpu: launch before load");
    exec->inputs = inputs;
    exec->outputs = outputs;
    mb_team_run(exec->team, exec->run.count, run_body, exec);
    return finish(exec, "run", err);
}

/* ---- what each step takes and does ---- */

static void timed_body(void *arg, int phase, const struct mb_thread *thread) {
    struct mb_cpu_exec *exec = arg;
    run_body(exec, phase, thread);
    exec->run.ends_ns[phase * thread->count + thread->index] = mb_clock_ns();
}

static struct mb_step_cost cost_of(const struct mb_cpu_exec *exec, const struct mb_step *step) {
    const struct mb_cpu_kernel *kernel = step->choice.kernel;
    return mb_step_cost(exec->plan, step, kernel && kernel->products > 0 ? kernel->products : 1);
}

static void describe_step(const struct mb_cpu_exec *exec, const struct mb_step *step, double ns,
                          struct mb_operation *out) {
    const struct mb_step_cost cost = cost_of(exec, step);
    const enum mb_op op = exec->plan->program->nodes[step->node].op;
    *out = (struct mb_operation){.ns = ns, .bytes = cost.bytes, .flops = cost.flops};
    snprintf(out->kernel, sizeof out->kernel, "%s",
             step->choice.kernel ? step->choice.name
             : step->is_copy     ? "copy"
                                 : mb_op_info(op)->name);
    mb_step_text(exec->plan, step, out->what, sizeof out->what);
}

/* A phase ends with its last share; the phases of a step follow each other. */
static size_t describe_steps(const struct mb_cpu_exec *exec, int64_t begin_ns,
                             struct mb_operation *out, size_t room) {
    const int n_shares = mb_team_size(exec->team);
    size_t n = 0;
    for (int i = 0; i < exec->run.count; i++) {
        int64_t end_ns = 0;
        for (int s = 0; s < n_shares; s++) {
            const int64_t share = exec->run.ends_ns[i * n_shares + s];
            end_ns = share > end_ns ? share : end_ns;
        }
        if (i + 1 < exec->run.count && exec->run.phases[i + 1].step == exec->run.phases[i].step)
            continue;
        if (n < room)
            describe_step(exec, exec->run.phases[i].step, (double)(end_ns - begin_ns), &out[n]);
        n++;
        begin_ns = end_ns;
    }
    return n;
}

enum mb_status mb_cpu_exec_operations(struct mb_cpu_exec *exec, const void *const *inputs,
                                      void *const *outputs, struct mb_operation *out, size_t room,
                                      size_t *n, struct mb_err *err) {
    const size_t n_ends = (size_t)exec->run.count * (size_t)mb_team_size(exec->team);
    if (!exec->loaded) return mb_fail(err, MB_E_INVALID, "cpu: launch before load");
    if (!exec->run.ends_ns)
        exec->run.ends_ns = mb_arena_calloc(&exec->plan->arena, n_ends + 1, sizeof(int64_t));
    if (!exec->run.ends_ns)
        return mb_fail(err, MB_E_NOMEM, "cpu: out of memory for the times of steps");
    exec->inputs = inputs;
    exec->outputs = outputs;
    const int64_t begin_ns = mb_clock_ns();
    mb_team_run(exec->team, exec->run.count, timed_body, exec);
    *n = describe_steps(exec, begin_ns, out, room);
    return finish(exec, "run", err);
}

double mb_cpu_exec_flops(const struct mb_cpu_exec *exec) {
    double flops = 0;
    for (uint32_t i = 0; i < exec->plan->run.count; i++)
        flops += cost_of(exec, &exec->plan->run.steps[i]).flops;
    return flops;
}

/* ---- life ---- */

static enum mb_status reserve(struct block *block, size_t bytes, struct mb_err *err) {
    block->memory = mb_allocator.alloc(bytes + ALIGN);
    if (!block->memory)
        return mb_fail(err, MB_E_NOMEM, "cpu: out of memory: %zu bytes", bytes + ALIGN);
    block->base = (char *)(((uintptr_t)block->memory + ALIGN - 1) / ALIGN * ALIGN);
    return MB_OK;
}

/* What measured times depend on apart from the step. */
static enum mb_status open_tuning(struct mb_cpu_exec *exec, struct mb_err *err) {
    char name[MB_CPU_NAME_SIZE], device[128];
    mb_cpu_name(name);
    snprintf(device, sizeof device, "cpu %s, %s, %d threads", name, mb_isa_name(exec->isa),
             mb_team_size(exec->team));
    return mb_tuning_open(device, NULL, &exec->tuning, err);
}

static enum mb_status check_used(const struct mb_cpu_exec *exec, struct mb_err *err) {
    const struct mb_step_list *lists[] = {&exec->plan->load, &exec->plan->run};
    if (!exec->only) return MB_OK;
    for (int l = 0; l < 2; l++)
        for (uint32_t i = 0; i < lists[l]->count; i++)
            if (lists[l]->steps[i].choice.kernel) return MB_OK;
    return mb_fail(err, MB_E_UNSUPPORTED, "%s: supports no step of the program on %d threads",
                   exec->only->name, mb_team_size(exec->team));
}

enum mb_status mb_cpu_exec_new(const struct mb_program *program, struct mb_team *team,
                               enum mb_isa isa, const struct mb_cpu_kernel *only,
                               struct mb_cpu_exec **out, struct mb_err *err) {
    enum mb_status st = MB_OK;
    struct mb_cpu_exec *exec = mb_allocator.alloc(sizeof *exec);
    if (!exec) return mb_fail(err, MB_E_NOMEM, "cpu: out of memory for a plan");
    *exec = (struct mb_cpu_exec){.team = team, .isa = isa, .only = only};
    const struct mb_plan_device device = {.self = exec,
                                          .name = "cpu",
                                          .choose = choose,
                                          .takes_layouts = takes_layouts,
                                          .has_operation = has_operation,
                                          .chain_scratch = chain_scratch};
    MB_TRY(open_tuning(exec, err));
    MB_TRY(mb_plan_new(program, &device, &exec->plan, err));
    MB_TRY(check_used(exec, err));
    mb_tuning_save(exec->tuning);
    MB_TRY(make_phases(exec, err));
    MB_TRY(reserve(&exec->persist, exec->plan->persist_bytes, err));
    MB_TRY(reserve(&exec->work, exec->plan->work_bytes, err));
    *out = exec;
    return MB_OK;
out:
    mb_cpu_exec_free(exec);
    return st;
}

void mb_cpu_exec_free(struct mb_cpu_exec *exec) {
    if (!exec) return;
    mb_plan_free(exec->plan);
    mb_tuning_close(exec->tuning);
    mb_allocator.release(exec->persist.memory);
    mb_allocator.release(exec->work.memory);
    mb_allocator.release(exec);
}

double mb_cpu_exec_tuning_ns(const struct mb_cpu_exec *exec) {
    return mb_tuning_spent_ns(exec->tuning);
}

void mb_cpu_exec_text(const struct mb_cpu_exec *exec, char *buf, size_t size) {
    const int wrote = snprintf(buf, size, "cpu, %d threads, %s\n", mb_team_size(exec->team),
                               mb_isa_name(exec->isa));
    if (wrote > 0 && (size_t)wrote < size)
        mb_plan_text(exec->plan, buf + wrote, size - (size_t)wrote);
}
