/* A plan on a CUDA device: its memory, its weights, and runs of it as a CUDA graph.
 *
 *     mb_cuda_exec_new -> mb_cuda_exec_load -> mb_cuda_exec_run... -> mb_cuda_exec_free
 *
 * A step is a row of kernels.def (step_chooser.h) or one operation of kernels/operations_*.cu; all
 * are enqueued on the device's one stream. Integer division by zero gives 0: nothing on the device
 * can refuse a run that is already on its way. */
#ifndef MB_EXEC_CUDA_H
#define MB_EXEC_CUDA_H

#include "gpu.h"
#include "program.h"
#include "step_chooser.h"

struct mb_cuda_exec;

/* The program outlives it and has passed mb_program_check; so do the device and what `rows` points
 * to, which it borrows. Chooses kernels, by measurement where it is not known already, reserves all
 * memory that runs need and uploads the program's constants. */
enum mb_status mb_cuda_exec_new(const struct mb_program *program, struct mb_gpu *gpu,
                                const struct mb_cuda_rows *rows, struct mb_cuda_exec **out,
                                struct mb_err *err);
void mb_cuda_exec_free(struct mb_cuda_exec *exec); /* waits; NULL is fine */

/* weights[i]: host data of params[i], NULL for an input; borrowed until it returns. Waits until all
 * is packed. May be called again with other weights. */
enum mb_status mb_cuda_exec_load(struct mb_cuda_exec *exec, const void *const *weights,
                                 struct mb_err *err);

/* Enqueues one run. buffers: device memory of the params with role MB_INPUT in order, then of the
 * program's outputs; no two overlap. Allocates nothing after the first run with these buffers. */
enum mb_status mb_cuda_exec_run(struct mb_cuda_exec *exec, void *const *buffers,
                                struct mb_err *err);

struct mb_kernel_choices mb_cuda_exec_choices(const struct mb_cuda_exec *exec);

/* The device, how runs are launched, then the plan's own text. Always terminated, cut to `size`. */
void mb_cuda_exec_text(const struct mb_cuda_exec *exec, char *buf, size_t size);

#endif
