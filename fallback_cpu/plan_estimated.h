/* Plans of the CPU without measuring: what of planning is computation. */
#ifndef MB_PLAN_ESTIMATED_H
#define MB_PLAN_ESTIMATED_H

#include "kernel.h"
#include "plan.h"

/* The plan of exec.h for this machine with every kernel chosen by its estimated time. Starts no
 * thread, runs no kernel and opens no file. The program has passed mb_program_check and outlives
 * the plan; mb_plan_free ends it. */
enum mb_status mb_cpu_plan_estimated(const struct mb_program *program, int n_threads,
                                     struct mb_plan **out, struct mb_err *err);

#endif
