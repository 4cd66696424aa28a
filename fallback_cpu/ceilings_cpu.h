/* What this CPU can do at best: struct mb_ceilings of backend.h. */
#ifndef MB_CEILINGS_CPU_H
#define MB_CEILINGS_CPU_H

#include "backend.h"
#include "threads.h"

/* With the team's threads and the vectors of `isa`. Working sets go from 32 KiB a thread to four
 * times the last-level caches (caches.h), 2 GiB at most, in powers of two (some are left out where
 * there would be more than MB_CEILING_SIZES). Each figure is the best of five repetitions of a
 * few milliseconds. */
enum mb_status mb_cpu_ceilings(struct mb_team *team, enum mb_isa isa, struct mb_ceilings *out,
                               struct mb_err *err);

#endif
