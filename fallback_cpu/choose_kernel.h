/* The CPU kernel for a step: of those that support it the fastest, measured on stand-in data by the
 * threads that will run it (tuning.h). */
#ifndef MB_CHOOSE_KERNEL_H
#define MB_CHOOSE_KERNEL_H

#include "kernel.h"
#include "plan.h"
#include "threads.h"
#include "tuning.h"

struct mb_cpu_chooser {
    const struct mb_cpu_kernel *const *kernels; /* all there are */
    size_t n_kernels;
    const struct mb_cpu_kernel *only; /* NULL: any */
    struct mb_team *team;
    enum mb_isa isa; /* kernels above it are not considered */
    struct mb_tuning *tuning;
};

/* Whether any kernel supports the step. */
bool mb_cpu_takes(const struct mb_cpu_chooser *chooser, enum mb_step_kind kind,
                  const union mb_step_desc *desc);

/* All zero when no kernel supports the step. Measures with packed weights in memory of its own, up
 * to 128 MiB of operands and as much for the candidates (the cheapest by estimate always has room):
 * above, a plan would take seconds and several times the program's memory, and estimates decide. */
enum mb_status mb_cpu_choose(const struct mb_cpu_chooser *chooser, enum mb_step_kind kind,
                             const union mb_step_desc *desc, struct mb_kernel_choice *out,
                             struct mb_err *err);

#endif
