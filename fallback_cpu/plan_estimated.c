#include "plan_estimated.h"

#include "cpu_isa.h"
#include "generic.h"

struct estimator {
    enum mb_isa isa;
    int n_threads;
};

static enum mb_status choose(void *self, enum mb_step_kind kind, const union mb_step_desc *desc,
                             struct mb_kernel_choice *out, struct mb_err *err) {
    (void)err;
    const struct estimator *e = self;
    *out = (struct mb_kernel_choice){0};
    for (size_t i = 0; i < mb_cpu_n_kernels; i++) {
        const struct mb_cpu_kernel *k = mb_cpu_kernels[i];
        if (k->kind == kind && k->isa <= e->isa && k->supports(desc, e->n_threads))
            mb_kernel_offer(out, k, k->name, k->cost(desc, e->n_threads));
    }
    const struct mb_cpu_kernel *best = out->kernel;
    if (!best) return MB_OK;
    out->packed_bytes = best->packed_bytes(desc, e->n_threads);
    out->scratch_bytes = best->scratch_bytes(desc, e->n_threads);
    return MB_OK;
}

static bool has_operation(const void *self, enum mb_op op, enum mb_dtype dtype) {
    const struct estimator *e = self;
    return mb_generic_find(e->isa, op, dtype) != NULL;
}

enum mb_status mb_cpu_plan_estimated(const struct mb_program *program, int n_threads,
                                     struct mb_plan **out, struct mb_err *err) {
    struct estimator self = {.isa = mb_cpu_isa(), .n_threads = n_threads};
    const struct mb_plan_device device = {
        .self = &self, .name = "cpu", .choose = choose, .has_operation = has_operation};
    return mb_plan_new(program, &device, out, err);
}
