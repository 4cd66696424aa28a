/* A plan on the CPU: its memory, its weights, and runs of it by a team of threads.
 *
 *     mb_cpu_exec_new -> mb_cpu_exec_load -> mb_cpu_exec_run... -> mb_cpu_exec_free
 *
 * A run is one job of a team of threads (threads.h), each step one phase of it or a few. A step is
 * a kernel of kernels.def, or one operation in plain C (generic.h). */
#ifndef MB_EXEC_H
#define MB_EXEC_H

#include "backend.h"
#include "kernel.h"
#include "threads.h"

struct mb_cpu_exec;

/* Uses kernels of instruction set `isa` and below, or `only` that kernel (NULL: any), and then
 * fails with MB_E_UNSUPPORTED where it supports no step. Chooses by measurement, with the cache of
 * tuning.h. The program and the team outlive it, and the program has passed mb_program_check.
 * Reserves all memory that load and run need. */
enum mb_status mb_cpu_exec_new(const struct mb_program *program, struct mb_team *team,
                               enum mb_isa isa, const struct mb_cpu_kernel *only,
                               struct mb_cpu_exec **out, struct mb_err *err);
void mb_cpu_exec_free(struct mb_cpu_exec *exec); /* NULL is fine */

/* weights[i]: host data of params[i], NULL for an input; borrowed until it returns. May be called
 * again with other weights. MB_E_NUMERIC: an integer division by zero among the constants. */
enum mb_status mb_cpu_exec_load(struct mb_cpu_exec *exec, const void *const *weights,
                                struct mb_err *err);

/* inputs: data of the params with role MB_INPUT in order, outputs: of the program's outputs, which
 * overlap nothing else; all aligned to their elements and no more. Allocates nothing. MB_E_NUMERIC:
 * an integer division by zero. */
enum mb_status mb_cpu_exec_run(struct mb_cpu_exec *exec, const void *const *inputs,
                               void *const *outputs, struct mb_err *err);

/* A run with a clock between its steps (mb_backend.operations); it is otherwise as any run. */
enum mb_status mb_cpu_exec_operations(struct mb_cpu_exec *exec, const void *const *inputs,
                                      void *const *outputs, struct mb_operation *out, size_t room,
                                      size_t *n, struct mb_err *err);

/* Arithmetic of a run (mb_exec_info). */
double mb_cpu_exec_flops(const struct mb_cpu_exec *exec);

/* Time that mb_cpu_exec_new spent in measuring kernels. */
double mb_cpu_exec_tuning_ns(const struct mb_cpu_exec *exec);

/* Threads, instruction set, then the plan's own text. Always terminated, cut to `size`. */
void mb_cpu_exec_text(const struct mb_cpu_exec *exec, char *buf, size_t size);

#endif
