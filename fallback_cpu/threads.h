/* A team of threads that runs jobs: a job is a few phases, a phase as many shares as the team has
 * threads, and no share begins before the phase before its own is complete.
 *
 * Share i is meant for thread i, which finds in its caches what it left there. But whoever is there
 * takes it: a thread that has done its own share takes one that nobody has begun. So a thread that
 * the system runs late, or that has not woken up yet, holds nobody up, and a job too short to share
 * is done by the caller before anyone has noticed. With OpenMP's barriers, which need every thread
 * at every step, one other busy process made runs tens of times longer (results/README.md).
 *
 * Threads wait for the next phase and, for a tenth of a millisecond, for the next job without
 * sleeping; then they sleep. */
#ifndef MB_THREADS_H
#define MB_THREADS_H

#include "status.h"

#include <stddef.h>
#include <stdint.h>

/* A share of a phase: number `index` of `count`. */
struct mb_thread {
    int index, count; /* 0 <= index < count */
};

struct mb_team;

/* n_threads >= 1, the caller's included: it is thread 0 of every job. MB_E_DEVICE: the system gives
 * no more threads. */
enum mb_status mb_team_new(int n_threads, struct mb_team **out, struct mb_err *err);
void mb_team_free(struct mb_team *team); /* NULL is fine */
int mb_team_size(const struct mb_team *team);

/* Calls body(arg, phase, share) for every share of phases 0..n_phases-1 and returns when all are
 * done. What a phase wrote is seen by the next. Denormals are kept inside, whatever the
 * caller's mode (which is restored). One job at a time; a body starts no other. */
typedef void mb_phase_fn(void *arg, int phase, const struct mb_thread *share);
void mb_team_run(struct mb_team *team, int n_phases, mb_phase_fn *body, void *arg);

/* The share [*begin, *end) of `count` units, contiguous, sizes differing by at most one. */
static inline void mb_share(const struct mb_thread *thread, int64_t count, int64_t *begin,
                            int64_t *end) {
    int64_t each = count / thread->count, rest = count % thread->count, i = thread->index;
    *begin = i * each + (i < rest ? i : rest);
    *end = *begin + each + (i < rest ? 1 : 0);
}

#endif
