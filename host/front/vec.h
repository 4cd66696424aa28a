/* A growable array that keeps its memory when it is emptied: a compile with a context that has been
 * used before finds the room already there. All memory comes from mb_allocator. */
#ifndef MB_VEC_H
#define MB_VEC_H

#include "arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* `data` with room for at least `want` >= 1 elements of `size` bytes, of which the first `used` are
 * kept: the same memory, or larger memory in its place. NULL when memory is out; `data` then stays
 * as it is. */
static inline void *mb_vec_room(void *data, uint32_t *cap, uint32_t used, uint64_t want,
                                size_t size) {
    if (want <= *cap) return data;
    uint64_t room = *cap ? (uint64_t)*cap * 2 : 16;
    if (room < want) room = want;
    if (room > UINT32_MAX || room > SIZE_MAX / size) return NULL;
    void *fresh = mb_allocator.alloc((size_t)room * size);
    if (!fresh) return NULL;
    if (used) memcpy(fresh, data, (size_t)used * size);
    if (data) mb_allocator.release(data);
    *cap = (uint32_t)room;
    return fresh;
}

#endif
