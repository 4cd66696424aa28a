/* The oracle: any program by plain loops in double precision. Right before fast; never timed. */
#ifndef MB_REFERENCE_H
#define MB_REFERENCE_H

#include "program.h"
#include "status.h"

/* Runs the program. params[i] is the host data of program->params[i], in that parameter's dtype;
 * outputs[i] has room for all elements of output i, written as doubles whatever the dtype.
 *
 * Every value is a double between operations, also where the program says f32: what is compared
 * with it differs by its own roundings alone. Constants are rounded to their dtype. Integers are
 * exact below 2^53 and do not wrap; their division truncates, and by zero it is MB_E_NUMERIC; so is
 * a gather of an index that is out of range.
 * Sums run in index order, so results do not depend on the number of threads.
 * The program has passed mb_program_check. MB_E_NOMEM leaves outputs undefined. */
enum mb_status mb_reference_run(const struct mb_program *program, const void *const *params,
                                double *const *outputs, struct mb_err *err);

/* The element `index` of host data of this dtype. */
double mb_reference_element(enum mb_dtype dtype, const void *data, size_t index);

#endif
