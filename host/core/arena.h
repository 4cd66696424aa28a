/* A region allocator: many small allocations, one release.
 *
 * Everything that a compile makes (tokens, tree, types, program) lives in one arena and dies with
 * it; nothing in an arena owns an OS or device handle. mb_arena_reset keeps the chunks, so that a
 * compiler context that is used again allocates nothing. Not thread-safe. */
#ifndef MB_ARENA_H
#define MB_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct mb_arena_chunk;

struct mb_arena {
    char *next; /* first free byte of the current chunk */
    char *end;
    struct mb_arena_chunk *first, *current;
    bool failed; /* an allocation failed since the last reset; sticky, so that a pass may check once
                  */
};

/* All zero is a valid empty arena. */
void mb_arena_init(struct mb_arena *arena);
void mb_arena_free(struct mb_arena *arena); /* back to empty; NULL is fine */

/* Forgets every allocation and keeps the memory for the next use. */
void mb_arena_reset(struct mb_arena *arena);

/* `size` bytes aligned for any type (16 bytes), not cleared; size 0 gives a valid pointer.
 * NULL when memory is out, and then arena->failed is set. */
void *mb_arena_alloc(struct mb_arena *arena, size_t size);

/* As above for `count` elements of `size` bytes, cleared; NULL also when the product overflows. */
void *mb_arena_calloc(struct mb_arena *arena, size_t count, size_t size);

/* Copies `len` bytes and adds a NUL. */
char *mb_arena_strndup(struct mb_arena *arena, const char *text, size_t len);

/* Bytes held in chunks, for tests of memory bounds. */
size_t mb_arena_held_bytes(const struct mb_arena *arena);

/* The one allocator hook of the project, so that tests can count and fail allocations.
 * Default: malloc and free. Set it before the first use; not thread-safe. */
struct mb_allocator {
    void *(*alloc)(size_t size);
    void (*release)(void *ptr);
};
extern struct mb_allocator mb_allocator;

#ifdef __cplusplus
}
#endif
#endif
