/* Cold caches on a CPU: reads other memory of twice the size of all last-level caches together, so
 * that what was read before is in memory alone. */
#ifndef MB_EVICT_CPU_H
#define MB_EVICT_CPU_H

#include "threads.h"

#include <stddef.h>

struct mb_cpu_evictor;

/* Each thread of the team, which outlives it, reads a share. MB_E_UNSUPPORTED where the system does
 * not say how large its caches are. */
enum mb_status mb_cpu_evictor_new(struct mb_team *team, struct mb_cpu_evictor **out,
                                  struct mb_err *err);
void mb_cpu_evictor_free(struct mb_cpu_evictor *evictor); /* NULL is fine */

/* Returns when all is read. */
void mb_cpu_evictor_run(struct mb_cpu_evictor *evictor);

/* The memory it has, and how many lines of 64 bytes the last run read of it. */
size_t mb_cpu_evictor_bytes(const struct mb_cpu_evictor *evictor);
size_t mb_cpu_evictor_lines_read(const struct mb_cpu_evictor *evictor);

#endif
