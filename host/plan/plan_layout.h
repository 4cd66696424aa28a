/* Used by plan.c alone. */
#ifndef MB_PLAN_LAYOUT_H
#define MB_PLAN_LAYOUT_H

#include "plan.h"

/* steps[i]: the described step headed by node i, its head another one where there is none. Sets
 * x_layout and y_layout of convolutions, of one value alike in all of them, before any kernel is
 * chosen. */
void mb_plan_layouts(const struct mb_plan *plan, const struct mb_plan_device *device,
                     struct mb_step *steps);

#endif
