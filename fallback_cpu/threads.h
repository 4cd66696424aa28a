/* Teams of threads, by OpenMP: one fork and join per run of a plan, barriers inside. */
#ifndef MB_THREADS_H
#define MB_THREADS_H

#include <stddef.h>
#include <stdint.h>

struct mb_thread {
    int index, count; /* 0 <= index < count */
};

/* Calls body(arg, thread) once on each of n_threads threads, the caller being number 0, and returns
 * when all have. Threads flush denormals to zero inside (the caller's mode is restored). */
void mb_team_run(int n_threads, void (*body)(void *arg, const struct mb_thread *thread), void *arg);

/* How many threads a team of n_threads really gets: OpenMP's limits (OMP_THREAD_LIMIT, nesting) may
 * allow fewer, and then `count` says so in mb_team_run. */
int mb_team_size(int n_threads);

/* Waits until every thread of the team has come here; writes before are seen after. */
void mb_barrier(const struct mb_thread *thread);

/* The thread's share [*begin, *end) of `count` units, contiguous, sizes differing by at most one.
 */
static inline void mb_share(const struct mb_thread *thread, int64_t count, int64_t *begin,
                            int64_t *end) {
    int64_t each = count / thread->count, rest = count % thread->count, i = thread->index;
    *begin = i * each + (i < rest ? i : rest);
    *end = *begin + each + (i < rest ? 1 : 0);
}

#endif
