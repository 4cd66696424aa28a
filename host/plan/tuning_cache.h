/* The file behind tuning.h: lines of keys and values. Private to host/plan.
 *
 *     mindbench tuning 1
 *     KEY <tab> VALUE          oldest first
 *     check 0123456789abcdef   FNV-1a of everything above
 */
#ifndef MB_TUNING_CACHE_H
#define MB_TUNING_CACHE_H

#include "arena.h"

#include <stdbool.h>
#include <stdint.h>

struct mb_tuning_entry {
    struct mb_tuning_entry *next;
    const char *key, *value; /* neither has a tab or a line end */
    bool is_new;             /* not in the file yet */
};

struct mb_tuning_cache {
    struct mb_arena *arena;               /* of the entries; borrowed */
    const char *folder;                   /* NULL: remembers in memory only */
    struct mb_tuning_entry *first, *last; /* oldest first; keys differ */
    uint32_t count;
};

/* The user's folder, in the arena; NULL where the environment names none. */
const char *mb_tuning_cache_folder(struct mb_arena *arena);

/* Reads the file, if there is a sound one. */
void mb_tuning_cache_load(struct mb_tuning_cache *cache);

const char *mb_tuning_cache_find(const struct mb_tuning_cache *cache, const char *key);

/* key and value live in the arena. */
void mb_tuning_cache_put(struct mb_tuning_cache *cache, const char *key, const char *value);

/* Adds the new entries to what the file has by now. */
void mb_tuning_cache_save(struct mb_tuning_cache *cache);

#endif
