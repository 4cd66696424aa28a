/* A growable array that keeps its memory when it is emptied: a compile with a context that has been
 * used before finds the room already there. All memory comes from mb_allocator. */
#ifndef MB_VEC_H
#define MB_VEC_H

#include "arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Makes room for at least `want` elements of `size` bytes in *data, of which the first `used` are
 * kept. False when memory is out; nothing has changed then. */
static inline bool mb_vec_reserve(void **data, uint32_t *cap, uint32_t used, uint64_t want,
                                  size_t size) {
    if (want <= *cap) return true;
    uint64_t room = *cap ? (uint64_t)*cap * 2 : 64;
    if (room < want) room = want;
    if (room > UINT32_MAX || room > SIZE_MAX / size) return false;
    void *fresh = mb_allocator.alloc((size_t)room * size);
    if (!fresh) return false;
    if (used) memcpy(fresh, *data, (size_t)used * size);
    if (*data) mb_allocator.release(*data);
    *data = fresh;
    *cap = (uint32_t)room;
    return true;
}

#endif
