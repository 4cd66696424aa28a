/* A program turned into steps for the CPU: fusion, choice of kernels, memory, and running it.
 *
 *     mb_plan_new -> mb_plan_load -> mb_plan_run... -> mb_plan_free
 *
 * A step is a kernel of kernels.def with what follows it fused in (bias, ReLU, max-pooling), or one
 * operation in plain C (generic.h). Reshapes are no step: they share their operand's memory. What
 * depends on weights and constants alone is computed once, by load. A run is one team of threads,
 * with a barrier after each step. */
#ifndef MB_PLAN_H
#define MB_PLAN_H

#include "backend.h"

struct mb_plan;

/* Uses kernels of instruction set `isa` and below. The program outlives the plan and has passed
 * mb_program_check. Reserves all memory that load and run need. */
enum mb_status mb_plan_new(const struct mb_program *program, int n_threads, enum mb_isa isa,
                           struct mb_plan **out, struct mb_err *err);
void mb_plan_free(struct mb_plan *plan); /* NULL is fine */

/* weights[i]: host data of params[i], NULL for an input; borrowed until it returns. May be called
 * again with other weights. MB_E_NUMERIC: an integer division by zero among the constants. */
enum mb_status mb_plan_load(struct mb_plan *plan, const void *const *weights, struct mb_err *err);

/* inputs: data of the params with role MB_INPUT in order, outputs: of the program's outputs; no
 * two overlap. Allocates nothing. MB_E_NUMERIC: an integer division by zero. */
enum mb_status mb_plan_run(struct mb_plan *plan, const void *const *inputs, void *const *outputs,
                           struct mb_err *err);

/* One line a step: kernel, shapes, what is fused, estimated time and the runner-up; then memory.
 * Always terminated, cut to `size`. */
void mb_plan_text(const struct mb_plan *plan, char *buf, size_t size);

#endif
