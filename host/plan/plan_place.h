/* plan_memory.c: places for all values, packed weights and scratch. Private to host/plan. */
#ifndef MB_PLAN_PLACE_H
#define MB_PLAN_PLACE_H

#include "plan.h"

enum mb_status mb_plan_place(struct mb_plan *plan, struct mb_err *err);

#endif
