/* Lies of a whole process: what a library in it can do to the worker's code around it. */
#ifndef MB_LIARS_H
#define MB_LIARS_H

#include "status.h"

#include <stdbool.h>

/* From now on this process's clock runs at half speed. */
enum mb_status mb_lie_of_clock(struct mb_err *err);

/* From now on its answers tell half of each sample and of the second timer; with `hide` the other
 * half is told as time between the runs. */
enum mb_status mb_lie_of_samples(bool hide, struct mb_err *err);

#endif
