/* plan_chain.c: element operations that one step computes together. Private to host/plan. */
#ifndef MB_PLAN_CHAIN_H
#define MB_PLAN_CHAIN_H

#include "plan.h"

/* Sets chain of every value that is computed inside of another's chain, and of that other, to the
 * chain's last node. After the kernels' steps have absorbed what they take. */
void mb_plan_find_chains(struct mb_plan *plan, const struct mb_plan_device *device);

/* The nodes of the chain that ends with `node`, ascending; MB_E_NOMEM. */
enum mb_status mb_plan_chain_step(struct mb_plan *plan, const struct mb_plan_device *device,
                                  uint32_t node, struct mb_step *step, struct mb_err *err);

#endif
