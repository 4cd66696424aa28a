#include "threads.h"

#include "arena.h"
#include "clock.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <x86intrin.h>

/* MXCSR: results that would be denormal become zero (FTZ, bit 15), denormal operands count as zero
 * (DAZ, bit 6). Neither is so within a job, as in PyTorch. */
enum { FLUSH_DENORMALS = 0x8040 };

enum {
    LINE = 64,
    SPIN_NS = 100000,      /* awake after a job: between two runs in a row there are microseconds */
    SPINS_A_LOOK = 64,     /* pauses between two looks at the clock */
    SPINS_TO_YIELD = 4096, /* within a job: whoever has the missing share may need this processor */
    WAKE_NS = 50000,       /* a thread that was woken is there by then; see look_for_woken */
};

/* Phases are numbered through all jobs of a team, from 1. A share's number is that of the phase it
 * was last claimed in: it is claimed for phase s by the one who moves it from s - 1 to s, which is
 * possible once, however late anyone comes. */
struct share {
    _Alignas(LINE) _Atomic uint64_t claimed;
};

struct worker {
    _Alignas(LINE) _Atomic uint32_t seen; /* number of the job that it read last */
    pthread_t thread;
    struct mb_team *team;
    int index;
};

struct mb_team {
    void *memory; /* of all of this */
    int count, n_started;
    struct worker *workers;
    struct share *shares;
    cpu_set_t allowed; /* when it was made */
    int64_t woken_ns;  /* when the caller woke sleepers that it has not looked for yet; 0: none */

    /* Written by the caller before each job, read by workers that may come so late that the next
     * job is being written: odd while that lasts, and a reader looks before and after. Every access
     * orders what is around it, so that a reader of a new value also sees the odd number. */
    _Alignas(LINE) _Atomic uint32_t job; /* also what sleepers wait on */
    _Atomic(mb_phase_fn *) body;
    _Atomic(void *) arg;
    _Atomic uint64_t first_phase; /* of the job */
    _Atomic uint64_t end_phase;
    _Atomic bool quit;

    _Alignas(LINE) _Atomic uint64_t done; /* shares, of all phases since the beginning */
    _Alignas(LINE) _Atomic uint32_t n_sleepers;
};

static void sleep_on(_Atomic uint32_t *word, uint32_t value) {
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void wake_all(_Atomic uint32_t *word) {
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

/* ---- a job ---- */

struct job {
    mb_phase_fn *body;
    void *arg;
    uint64_t first_phase, end_phase;
};

/* Waits until the phases before `phase` are complete. */
static void wait_for(const struct mb_team *team, uint64_t phase) {
    const uint64_t shares = (phase - 1) * (uint64_t)team->count;
    for (int spins = 0; atomic_load_explicit(&team->done, memory_order_acquire) < shares; spins++) {
        if (spins < SPINS_TO_YIELD) {
            _mm_pause();
        } else {
            sched_yield();
            spins = 0;
        }
    }
}

/* Forbids the thread the caller's processor for a moment, which moves it at once. */
static void move_away(const struct mb_team *team, struct worker *worker) {
    cpu_set_t others = team->allowed;
    const int here = sched_getcpu();
    if (here < 0 || here >= CPU_SETSIZE) return;
    CPU_CLR((size_t)here, &others);
    if (CPU_COUNT(&others) == 0) return;
    if (pthread_setaffinity_np(worker->thread, sizeof others, &others) == 0)
        pthread_setaffinity_np(worker->thread, sizeof team->allowed, &team->allowed);
}

/* The system may wake a thread up on the caller's own processor, when the others seem busy. There
 * it waits until a timer tick notices: milliseconds, in which the caller, which never waits, does
 * all alone. So the caller looks, once for each waking and when it has something done: who should
 * be there by now and is not is moved, and has a moment to come. */
static void look_for_woken(struct mb_team *team) {
    const uint32_t number = atomic_load_explicit(&team->job, memory_order_relaxed);
    const int64_t now = mb_clock_ns();
    bool moved = false;
    if (now - team->woken_ns < WAKE_NS) return;
    team->woken_ns = 0;
    for (int i = 1; i < team->count; i++) {
        struct worker *worker = &team->workers[i];
        if (atomic_load_explicit(&worker->seen, memory_order_relaxed) == number) continue;
        move_away(team, worker);
        moved = true;
    }
    while (moved && mb_clock_ns() - now < WAKE_NS) {
        moved = false;
        for (int i = 1; i < team->count; i++)
            if (atomic_load_explicit(&team->workers[i].seen, memory_order_relaxed) != number)
                moved = true;
    }
}

static void take_part(struct mb_team *team, const struct job *job, int self) {
    for (uint64_t phase = job->first_phase; phase < job->end_phase; phase++) {
        wait_for(team, phase);
        for (int i = 0; i < team->count; i++) {
            const struct mb_thread share = {(self + i) % team->count, team->count};
            _Atomic uint64_t *claimed = &team->shares[share.index].claimed;
            uint64_t before = phase - 1;
            if (atomic_load_explicit(claimed, memory_order_relaxed) != before ||
                !atomic_compare_exchange_strong_explicit(
                    claimed, &before, phase, memory_order_relaxed, memory_order_relaxed))
                continue;
            job->body(job->arg, (int)(phase - job->first_phase), &share);
            atomic_fetch_add_explicit(&team->done, 1, memory_order_acq_rel);
            if (self == 0 && team->woken_ns) look_for_woken(team);
        }
    }
}

void mb_team_run(struct mb_team *team, int n_phases, mb_phase_fn *body, void *arg) {
    const unsigned mode = _mm_getcsr();
    const uint32_t number = atomic_load_explicit(&team->job, memory_order_relaxed);
    const uint64_t first = atomic_load_explicit(&team->end_phase, memory_order_relaxed);
    const struct job job = {body, arg, first, first + (uint64_t)n_phases};
    _mm_setcsr(mode & ~(unsigned)FLUSH_DENORMALS);
    if (team->count > 1) {
        atomic_store_explicit(&team->job, number + 1, memory_order_release);
        atomic_store_explicit(&team->body, body, memory_order_release);
        atomic_store_explicit(&team->arg, arg, memory_order_release);
        atomic_store_explicit(&team->first_phase, job.first_phase, memory_order_release);
        atomic_store_explicit(&team->end_phase, job.end_phase, memory_order_release);
        atomic_store(&team->job, number + 2);
        if (atomic_load(&team->n_sleepers) > 0) {
            wake_all(&team->job);
            team->woken_ns = mb_clock_ns();
        }
    } else {
        atomic_store_explicit(&team->end_phase, job.end_phase, memory_order_relaxed);
    }
    take_part(team, &job, 0);
    wait_for(team, job.end_phase);
    _mm_setcsr(mode);
}

/* ---- workers ---- */

/* False: another job is being written. */
static bool read_job(struct mb_team *team, uint32_t number, struct job *job) {
    job->body = atomic_load_explicit(&team->body, memory_order_acquire);
    job->arg = atomic_load_explicit(&team->arg, memory_order_acquire);
    job->first_phase = atomic_load_explicit(&team->first_phase, memory_order_acquire);
    job->end_phase = atomic_load_explicit(&team->end_phase, memory_order_acquire);
    return number % 2 == 0 && atomic_load_explicit(&team->job, memory_order_acquire) == number;
}

/* The number of a job other than `last`, awake for a while and asleep then. */
static uint32_t wait_for_job(struct mb_team *team, uint32_t last) {
    const int64_t end = mb_clock_ns() + SPIN_NS;
    uint32_t number;
    do {
        for (int i = 0; i < SPINS_A_LOOK; i++) {
            number = atomic_load_explicit(&team->job, memory_order_acquire);
            if (number != last) return number;
            _mm_pause();
        }
    } while (mb_clock_ns() < end);
    atomic_fetch_add(&team->n_sleepers, 1);
    while ((number = atomic_load(&team->job)) == last) sleep_on(&team->job, last);
    atomic_fetch_sub(&team->n_sleepers, 1);
    return number;
}

static void *work(void *arg) {
    struct worker *worker = arg;
    struct mb_team *team = worker->team;
    uint32_t last = 0;
    _mm_setcsr(_mm_getcsr() & ~(unsigned)FLUSH_DENORMALS);
    for (;;) {
        struct job job;
        const uint32_t number = wait_for_job(team, last);
        if (atomic_load_explicit(&team->quit, memory_order_acquire)) return NULL;
        if (!read_job(team, number, &job)) continue;
        atomic_store_explicit(&worker->seen, number, memory_order_relaxed);
        take_part(team, &job, worker->index);
        last = number;
    }
}

/* ---- life ---- */

enum mb_status mb_team_new(int n_threads, struct mb_team **out, struct mb_err *err) {
    const size_t count = (size_t)n_threads;
    const size_t bytes =
        sizeof(struct mb_team) + count * (sizeof(struct share) + sizeof(struct worker)) + LINE;
    void *memory = mb_allocator.alloc(bytes);
    if (!memory) return mb_fail(err, MB_E_NOMEM, "cpu: out of memory for %d threads", n_threads);
    memset(memory, 0, bytes);
    struct mb_team *team = (void *)(((uintptr_t)memory + LINE - 1) / LINE * LINE);
    team->memory = memory;
    team->count = n_threads;
    team->shares = (struct share *)(team + 1);
    team->workers = (struct worker *)(team->shares + count);
    atomic_init(&team->end_phase, 1);
    if (pthread_getaffinity_np(pthread_self(), sizeof team->allowed, &team->allowed) != 0)
        CPU_ZERO(&team->allowed); /* more processors than the set has room for */
    for (int i = 1; i < n_threads; i++) {
        struct worker *worker = &team->workers[i];
        worker->team = team;
        worker->index = i;
        const int failure = pthread_create(&worker->thread, NULL, work, worker);
        if (failure) {
            mb_team_free(team);
            return mb_fail(err, MB_E_DEVICE, "cpu: cannot start thread %d of %d: %s", i + 1,
                           n_threads, strerror(failure));
        }
        team->n_started++;
    }
    *out = team;
    return MB_OK;
}

void mb_team_free(struct mb_team *team) {
    if (!team) return;
    atomic_store_explicit(&team->quit, true, memory_order_release);
    atomic_fetch_add(&team->job, 2);
    wake_all(&team->job);
    for (int i = 1; i <= team->n_started; i++) pthread_join(team->workers[i].thread, NULL);
    mb_allocator.release(team->memory);
}

int mb_team_size(const struct mb_team *team) { return team->count; }
