#include "evict_cpu.h"

#include "arena.h"
#include "caches.h"

#include <stdint.h>

enum { LINE_BYTES = 64, LINE_WORDS = LINE_BYTES / sizeof(uint64_t) };

struct mb_cpu_evictor {
    struct mb_team *team; /* borrowed */
    uint64_t *words;
    size_t n_lines;
    uint64_t sum; /* of what was read: keeps the reads */
};

static const uint64_t *share(const struct mb_cpu_evictor *e, const struct mb_thread *thread,
                             int64_t *n_lines) {
    int64_t begin, end;
    mb_share(thread, (int64_t)e->n_lines, &begin, &end);
    *n_lines = end - begin;
    return e->words + begin * LINE_WORDS;
}

/* Written once, so that every page is memory of its own and near the thread that reads it. */
static void fill(void *arg, int phase, const struct mb_thread *thread) {
    (void)phase;
    int64_t n;
    uint64_t *words = (uint64_t *)share(arg, thread, &n);
    for (int64_t i = 0; i < n * LINE_WORDS; i++) words[i] = 1;
}

static void read_lines(void *arg, int phase, const struct mb_thread *thread) {
    (void)phase;
    struct mb_cpu_evictor *e = arg;
    int64_t n;
    uint64_t sum = 0;
    const uint64_t *words = share(e, thread, &n);
    for (int64_t i = 0; i < n; i++) sum += words[i * LINE_WORDS];
    __atomic_fetch_add(&e->sum, sum, __ATOMIC_RELAXED);
}

enum mb_status mb_cpu_evictor_new(struct mb_team *team, struct mb_cpu_evictor **out,
                                  struct mb_err *err) {
    const size_t bytes = 2 * mb_last_level_bytes();
    if (bytes == 0)
        return mb_fail(err, MB_E_UNSUPPORTED,
                       "cpu: cold caches: the system does not say how large its caches are");
    struct mb_cpu_evictor *e = mb_allocator.alloc(sizeof *e);
    uint64_t *words = mb_allocator.alloc(bytes);
    if (!e || !words) {
        mb_allocator.release(e);
        mb_allocator.release(words);
        return mb_fail(err, MB_E_NOMEM, "cpu: cold caches: out of memory: %zu bytes", bytes);
    }
    *e = (struct mb_cpu_evictor){.team = team, .words = words, .n_lines = bytes / LINE_BYTES};
    mb_team_run(team, 1, fill, e);
    *out = e;
    return MB_OK;
}

void mb_cpu_evictor_free(struct mb_cpu_evictor *e) {
    if (!e) return;
    mb_allocator.release(e->words);
    mb_allocator.release(e);
}

void mb_cpu_evictor_run(struct mb_cpu_evictor *e) {
    e->sum = 0;
    mb_team_run(e->team, 1, read_lines, e);
}

size_t mb_cpu_evictor_bytes(const struct mb_cpu_evictor *e) { return e->n_lines * LINE_BYTES; }
/* Every word is 1. */
size_t mb_cpu_evictor_lines_read(const struct mb_cpu_evictor *e) { return (size_t)e->sum; }
