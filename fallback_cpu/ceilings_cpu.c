#include "ceilings_cpu.h"

#include "arena.h"
#include "caches.h"
#include "ceiling_loops.h"
#include "clock.h"
#include "threads.h"

#include <math.h>

enum { LEAST_REPETITIONS = 2, REPETITIONS = 6, ALIGN = 64 };
static const double repetition_ns = 2e6;
static const int64_t most_ns = 60000000; /* of one ceiling, on a machine that is not idle */
static const size_t least_per_thread = (size_t)32 << 10;
static const size_t usual_cache = (size_t)32 << 20; /* where the system does not say */
static const size_t most_bytes = (size_t)2 << 30;

struct work {
    const struct mb_ceiling_loops *loops;
    float *memory;
    size_t floats;     /* of one of a thread's streams */
    int64_t count;     /* of passes over the memory, or rounds of arithmetic */
    float results[64]; /* kept, so that no loop is without effect; threads beyond share one */
};

static void note(struct work *work, const struct mb_thread *thread, float result) {
    if (thread->index < (int)(sizeof work->results / sizeof *work->results))
        work->results[thread->index] = result;
}

/* A thread's own part, which it touches first. */
static float *part_of(const struct work *work, const struct mb_thread *thread) {
    return work->memory + (size_t)thread->index * MB_READ_STREAMS * work->floats;
}

static void touch_body(void *arg, int phase, const struct mb_thread *thread) {
    (void)phase;
    const struct work *work = arg;
    float *p = part_of(work, thread);
    for (size_t i = 0; i < MB_READ_STREAMS * work->floats; i++) p[i] = 1;
}

static void read_body(void *arg, int phase, const struct mb_thread *thread) {
    (void)phase;
    struct work *work = arg;
    float sum = 0;
    for (int64_t i = 0; i < work->count; i++)
        sum += work->loops->read(part_of(work, thread), work->floats);
    note(work, thread, sum);
}

static void fma_body(void *arg, int phase, const struct mb_thread *thread) {
    (void)phase;
    struct work *work = arg;
    const float sum = work->loops->fma(work->count);
    note(work, thread, sum);
}

static double time_once(struct work *work, struct mb_team *team, mb_phase_fn *body) {
    const int64_t begin = mb_clock_ns();
    mb_team_run(team, 1, body, work);
    return (double)(mb_clock_ns() - begin);
}

/* Time of one count of `body`: the least of repetitions that are long enough. What a machine can do
 * is what it does undisturbed. */
static double time_of(struct work *work, struct mb_team *team, mb_phase_fn *body) {
    const int64_t end_ns = mb_clock_ns() + most_ns;
    double least = INFINITY;
    /* the shorter of two: one that was interrupted is no reason to stop */
    for (work->count = 1;
         fmin(time_once(work, team, body), time_once(work, team, body)) < repetition_ns / 2;)
        work->count *= 2;
    for (int i = 0; i < LEAST_REPETITIONS || (i < REPETITIONS && mb_clock_ns() < end_ns); i++)
        least = fmin(least, time_once(work, team, body) / (double)work->count);
    return least;
}

/* Doublings from the least working set to the largest. */
static int doublings(int n_threads) {
    const size_t cache = mb_last_level_bytes();
    const size_t wanted = 4 * (cache ? cache : usual_cache);
    const size_t largest = wanted < most_bytes ? wanted : most_bytes;
    int n = 0;
    while ((least_per_thread * (size_t)n_threads) << n < largest) n++;
    return n;
}

enum mb_status mb_cpu_ceilings(struct mb_team *team, enum mb_isa isa, struct mb_ceilings *out,
                               struct mb_err *err) {
    const int n_threads = mb_team_size(team);
    static const struct mb_ceiling_loops *const loops[] = {
        &mb_ceiling_loops_scalar, &mb_ceiling_loops_avx2, &mb_ceiling_loops_avx512};
    const size_t least = least_per_thread * (size_t)n_threads;
    const int n_doublings = doublings(n_threads);
    const int n = n_doublings < MB_CEILING_SIZES ? n_doublings + 1 : MB_CEILING_SIZES;
    struct mb_ceilings found = {.n_read = (size_t)n, .launch_ns = NAN, .graph_node_ns = NAN};
    struct work work = {.loops = loops[isa]};
    const size_t bytes = (least << n_doublings) + ALIGN;
    void *memory = mb_allocator.alloc(bytes);
    if (!memory)
        return mb_fail(err, MB_E_NOMEM, "cpu: out of memory: %zu bytes for measuring", bytes);
    work.memory = (float *)(((uintptr_t)memory + ALIGN - 1) / ALIGN * ALIGN);
    for (int i = 0; i < n; i++) {
        const int step = n > 1 ? i * n_doublings / (n - 1) : 0;
        found.read[i].bytes = least << step;
        work.floats = found.read[i].bytes / sizeof(float) / MB_READ_STREAMS / (size_t)n_threads;
        mb_team_run(team, 1, touch_body, &work);
        found.read[i].read_gbps = (double)found.read[i].bytes / time_of(&work, team, read_body);
    }
    found.fma_gflops = (double)work.loops->fma_flops * n_threads / time_of(&work, team, fma_body);
    mb_allocator.release(memory);
    *out = found;
    return MB_OK;
}
