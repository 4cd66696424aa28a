/* The sentences of a result that say why something is not there or not to be trusted. */
#ifndef MB_REASON_H
#define MB_REASON_H

#include "arena.h"

/* Formatted text in the arena, cut to 639 bytes; "no memory for the reason" when that is so, never
 * NULL. */
__attribute__((format(printf, 2, 3))) const char *mb_reason(struct mb_arena *arena,
                                                            const char *format, ...);

#endif
