/* Which kernel computes each step of a plan on a CUDA device: of all rows that may be used and
 * support the step, the fastest measured one (host/plan/tuning.h). A vendor's row enters with its
 * fastest way. */
#ifndef MB_STEP_CHOOSER_H
#define MB_STEP_CHOOSER_H

#include "plan.h"
#include "step_kernel.h"

/* Which rows may be used. */
struct mb_cuda_rows {
    bool own;                 /* kernels of ours */
    struct mb_vendor *vendor; /* NULL: no vendor's; borrowed */
    const char *only;         /* NULL: all of those; else this row alone; borrowed */
};

struct mb_kernel_chooser;

/* gpu and properties are borrowed. */
enum mb_status mb_kernel_chooser_new(struct mb_gpu *gpu, const struct mb_gpu_properties *properties,
                                     const struct mb_cuda_rows *rows,
                                     struct mb_kernel_chooser **out, struct mb_err *err);
/* After the plan: its choices are made of what this owns. NULL is fine. */
void mb_kernel_chooser_free(struct mb_kernel_chooser *chooser);

/* For struct mb_plan_device, with the chooser as self. The choice's kernel is a struct
 * mb_step_kernel. All zero where no row supports the step, which is then an operation on its own;
 * MB_E_UNSUPPORTED where only vendors' rows may be used and the library for such a step is missing.
 */
enum mb_status mb_kernel_chooser_choose(void *chooser, enum mb_step_kind kind,
                                        const union mb_step_desc *desc,
                                        struct mb_kernel_choice *out, struct mb_err *err);

/* Keeps what was measured for the next process. */
void mb_kernel_chooser_save(struct mb_kernel_chooser *chooser);

struct mb_kernel_choices {
    uint32_t n_steps; /* that a kernel was chosen for */
    bool uses_own, uses_vendor[MB_N_VENDOR_LIBRARIES];
    bool uses_tf32;  /* some way does, as its library says */
    double spent_ns; /* in measuring */
};
struct mb_kernel_choices mb_kernel_chooser_choices(const struct mb_kernel_chooser *chooser);

/* Lines for people: libraries that are there or missing and why, steps that rows failed for. Always
 * terminated, cut to `size`. */
void mb_kernel_chooser_text(const struct mb_kernel_chooser *chooser, char *buf, size_t size);

#endif
