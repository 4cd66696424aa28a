/* What the device of a race can do at best, and the floor that it sets to every time. The ceilings
 * are measured by a process of its own while no executor runs, once for all races of a result. */
#ifndef MB_DEVICE_LIMITS_H
#define MB_DEVICE_LIMITS_H

#include "result.h"
#include "runner.h"

/* Fills in the result's ceilings, or the reason why there are none, unless they are there already.
 * Fails only as a race does: MB_E_INTERRUPTED, MB_E_TIMEOUT. */
enum mb_status mb_limits_measure(const struct mb_race_config *config, struct mb_result *result,
                                 struct mb_err *err);

/* Once the benchmark is concluded and its workers have ended: its floor and rooflines. Ceilings
 * that another process held down are no reason to mark a row: where one lies below the floor they
 * are measured again, up to twice, and the higher ones count. True: a row is below it still, which
 * mb_conclude marks INVALID when it is called again. */
bool mb_limits_set_floor(const struct mb_race_config *config, struct mb_result *result,
                         struct mb_benchmark_result *benchmark);

#endif
