/* What the measurements need to know of the caches. */
#ifndef MB_CACHES_H
#define MB_CACHES_H

#include <stddef.h>

/* Of all caches of the level farthest from the cores together; 0 where the system does not say.
 * Takes some milliseconds. */
size_t mb_last_level_bytes(void);

#endif
