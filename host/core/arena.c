#include "arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The first chunk holds what a small program needs: memory that is touched for the first time costs
 * microseconds a page, and the allocator touches the end of a chunk, too. */
enum { ALIGNMENT = 16, FIRST_CHUNK_BYTES = 16 << 10 };

struct mb_arena_chunk {
    struct mb_arena_chunk *next;
    size_t size; /* usable bytes after this header */
};

_Static_assert(sizeof(struct mb_arena_chunk) % ALIGNMENT == 0, "chunk payload must stay aligned");

struct mb_allocator mb_allocator = {malloc, free};

void mb_arena_init(struct mb_arena *arena) { memset(arena, 0, sizeof *arena); }

void mb_arena_free(struct mb_arena *arena) {
    if (!arena) return;
    for (struct mb_arena_chunk *c = arena->first, *next; c; c = next) {
        next = c->next;
        mb_allocator.release(c);
    }
    mb_arena_init(arena);
}

static void enter_chunk(struct mb_arena *arena, struct mb_arena_chunk *chunk) {
    arena->current = chunk;
    arena->next = (char *)(chunk + 1);
    arena->end = arena->next + chunk->size;
}

void mb_arena_reset(struct mb_arena *arena) {
    arena->failed = false;
    if (arena->first) enter_chunk(arena, arena->first);
}

/* Moves to the next kept chunk that fits, or inserts a new one of at least twice the last size. */
static void *alloc_slow(struct mb_arena *arena, size_t size) {
    struct mb_arena_chunk *last = arena->current;
    for (struct mb_arena_chunk *c = last ? last->next : NULL; c; c = c->next) {
        last = c;
        if (c->size >= size) {
            enter_chunk(arena, c);
            void *ptr = arena->next;
            arena->next += size;
            return ptr;
        }
    }
    size_t want = last ? last->size * 2 : FIRST_CHUNK_BYTES;
    if (want < size) want = size;
    struct mb_arena_chunk *c =
        want <= SIZE_MAX - sizeof *c ? mb_allocator.alloc(sizeof *c + want) : NULL;
    if (!c) {
        arena->failed = true;
        return NULL;
    }
    c->next = NULL;
    c->size = want;
    if (last)
        last->next = c;
    else
        arena->first = c;
    enter_chunk(arena, c);
    void *ptr = arena->next;
    arena->next += size;
    return ptr;
}

void *mb_arena_alloc(struct mb_arena *arena, size_t size) {
    if (size > SIZE_MAX - ALIGNMENT) {
        arena->failed = true;
        return NULL;
    }
    size = size ? (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1) : ALIGNMENT;
    if ((size_t)(arena->end - arena->next) < size) return alloc_slow(arena, size);
    void *ptr = arena->next;
    arena->next += size;
    return ptr;
}

void *mb_arena_calloc(struct mb_arena *arena, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        arena->failed = true;
        return NULL;
    }
    void *ptr = mb_arena_alloc(arena, bytes);
    if (ptr) memset(ptr, 0, bytes);
    return ptr;
}

char *mb_arena_strndup(struct mb_arena *arena, const char *text, size_t len) {
    char *copy = len < SIZE_MAX ? mb_arena_alloc(arena, len + 1) : NULL;
    if (!copy) return NULL;
    if (len) memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

size_t mb_arena_held_bytes(const struct mb_arena *arena) {
    size_t bytes = 0;
    for (const struct mb_arena_chunk *c = arena->first; c; c = c->next) bytes += c->size;
    return bytes;
}
