/* compile --time: how long the compiler takes, by phases. */
#ifndef MB_COMPILE_TIME_H
#define MB_COMPILE_TIME_H

#include "targets.h"

/* Compiles the source of a target that was read (mb_target_read) again and again and prints the
 * table; its compiler is opened here and stays the target's. The first compile is to be the first
 * of the process. `n_threads` is what the plan is for. Returns an exit status. */
int mb_compile_time(struct mb_target *target, int n_threads, const struct mb_diag_options *diags,
                    bool quiet);

#endif
