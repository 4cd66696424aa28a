/* Whether what a worker process tells of its time can be true, by what the harness and the kernel
 * saw of it from outside.
 *
 * Each check looks at a quantile over the blocks: what a process does to look faster it does in
 * most of them, while other load, which only ever adds time, spares at least a quarter of them even
 * on a busy machine. Of the time that passes it may spare fewer: a process waits for a processor
 * before it gets to its block. What the harness itself waits is known and does not count.
 */
#include "race.h"
#include "reason.h"
#include "sort.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST_BLOCKS = 4 };

/* A block's time may be off by a share of it and a constant: messages, and a clock tick. */
static const double share_of_cpu = 0.05, cpu_ns = 3e5;   /* processor time without an account */
static const double share_of_wall = 0.10, wall_ns = 6e6; /* passed time without one: load */
static const double share_of_run = 0.05, call_ns = 1e4;  /* a copy beside a run */
static const double copy_ns_per_byte = 2;
static const double other_runs = 6, other_ns = 2e6; /* the two of the guard, thrice */
static const double settle_share = 0.5; /* an untimed run takes no less of a timed one */
static const double settle_ns = 5e3;    /* the guard leaves its own data in the caches */
enum { SETTLE_RUNS = 3 };               /* that tell an untimed run's time */

bool mb_race_keep_account(struct race *r, struct racer *racer,
                          const struct racer_account *account) {
    if (racer->n_accounts == racer->capacity_accounts) {
        const size_t capacity = racer->n_accounts * 2 + 16;
        struct racer_account *grown = mb_arena_calloc(&r->result->arena, capacity, sizeof *grown);
        if (!grown) return false;
        if (racer->n_accounts) memcpy(grown, racer->accounts, racer->n_accounts * sizeof *grown);
        racer->accounts = grown;
        racer->capacity_accounts = capacity;
    }
    racer->accounts[racer->n_accounts++] = *account;
    return true;
}

/* ---- single blocks ---- */

struct block {
    const struct racer_account *account;
    double sum_ns, median_ns; /* of its samples */
    double n;
    double in_bytes, out_bytes; /* that go to and from the executor */
    double copies;              /* calls around a timed run that copy */
    bool cold;                  /* timed runs find their data in memory, untimed ones in caches */
};

static double told(const struct block *b) {
    const struct mb_block_account *a = &b->account->told;
    return b->sum_ns + a->settle_ns + a->around_ns + a->evict_ns + a->other_ns;
}

/* All of these are above 0 where something is wrong, by so many nanoseconds; NaN: no telling. */

static double hidden_cpu(const struct block *b) {
    return b->account->cpu_ns - told(b) * (1 + share_of_cpu) - cpu_ns;
}

static double hidden_wall(const struct block *b) {
    return b->account->told.wall_ns - b->account->waited_ns - told(b) * (1 + share_of_wall) -
           wall_ns;
}

static double invented(const struct block *b) {
    return told(b) * (1 - share_of_cpu) - b->account->told.wall_ns;
}

static double slow_copies(const struct block *b) {
    if (!b->account->told.guarded) return (double)NAN;
    const double bytes = fmin(b->in_bytes + 2 * b->out_bytes, 3 * MB_GUARD_BYTES);
    return b->account->told.around_ns / b->n - share_of_run * b->median_ns - b->copies * call_ns -
           copy_ns_per_byte * bytes;
}

static double slow_rest(const struct block *b) {
    if (!b->account->told.guarded) return (double)NAN;
    return b->account->told.other_ns - other_runs * b->median_ns - other_ns -
           copy_ns_per_byte * (b->in_bytes + 4 * b->out_bytes);
}

static double quick_settling(const struct block *b) {
    const struct mb_block_account *a = &b->account->told;
    if (!a->guarded || b->cold || a->n_settle < SETTLE_RUNS) return (double)NAN;
    return settle_share * b->median_ns - settle_ns - a->settle_ns / (double)a->n_settle;
}

/* CHECK(function, quantile, what it says): a lower quartile above 0 is three blocks in four. */
#define CHECKS(CHECK)                                                                              \
    CHECK(invented, 0.5, "its process accounts for more time than passed")                         \
    CHECK(hidden_cpu, 0.25,                                                                        \
          "its process computed for longer than its samples and the rest of its account say")      \
    CHECK(hidden_wall, 0.25, "more time passed than its samples and the rest of its account say")  \
    CHECK(slow_copies, 0.25, "it works outside of the timed runs, where data is copied")           \
    CHECK(slow_rest, 0.25, "it works outside of the timed runs, at the ends of its blocks")        \
    CHECK(quick_settling, 0.25,                                                                    \
          "untimed runs take less than half of a timed one: it does not always compute")

static void count_bytes(const struct mb_program *p, struct block *b) {
    size_t bytes;
    b->in_bytes = b->out_bytes = 0;
    for (uint32_t i = 0; i < p->n_params; i++)
        if (p->params[i].role == MB_INPUT && mb_type_bytes(&p->params[i].type, &bytes))
            b->in_bytes += (double)bytes;
    for (uint32_t i = 0; i < p->n_outputs; i++)
        if (mb_type_bytes(&p->nodes[p->outputs[i]].type, &bytes)) b->out_bytes += (double)bytes;
    b->copies = 1 + 2 * p->n_outputs;
}

/* Of a check over all blocks; NaN with too few that tell. `room` is for all samples and blocks. */
static double quantile(const struct race *r, const struct racer *racer,
                       double (*check)(const struct block *), double which, double *room) {
    const struct mb_executor_result *e = racer->result;
    double *excess = room + e->n_samples;
    struct block b;
    size_t n = 0;
    count_bytes(r->config->program, &b);
    b.cold = r->config->cold;
    for (size_t i = 0; i < e->n_blocks && i < racer->n_accounts; i++) {
        const size_t first = e->first_of_block[i], end = e->first_of_block[i + 1];
        b.account = &racer->accounts[i];
        b.n = (double)(end - first);
        memcpy(room, e->samples_ns + first, (end - first) * sizeof *room);
        b.median_ns = mb_stats_median(room, end - first);
        b.sum_ns = 0;
        for (size_t k = first; k < end; k++) b.sum_ns += e->samples_ns[k];
        const double by = check(&b);
        if (!isnan(by)) excess[n++] = by;
    }
    if (n < LEAST_BLOCKS) return (double)NAN;
    mb_sort_doubles(excess, n);
    return mb_stats_quantile_sorted(excess, n, which);
}

static void judge_parking(struct race *r, struct racer *racer) {
    size_t n_restless = 0;
    for (size_t i = 0; i < racer->n_accounts; i++) n_restless += !racer->accounts[i].parked;
    if (racer->n_accounts >= LEAST_BLOCKS && 4 * n_restless >= 3 * racer->n_accounts)
        mb_race_drop(r, racer, MB_E_NUMERIC,
                     mb_reason(&r->result->arena,
                               "its threads go on when its runs have returned: still busy 0.1 s "
                               "after %zu of %zu blocks",
                               n_restless, racer->n_accounts));
}

enum mb_status mb_race_judge_accounts(struct race *r, struct mb_err *err) {
    for (size_t i = 0; i < r->config->n_executors; i++) {
        struct racer *racer = &r->racers[i];
        if (!racer->result->n_blocks || !racer->result->valid) continue;
        double *room = mb_arena_calloc(
            &r->result->arena, racer->result->n_samples + racer->result->n_blocks, sizeof *room);
        if (!room) return mb_fail(err, MB_E_NOMEM, "no memory for accounts");
        judge_parking(r, racer);
#define CHECK(function, which, what)                                                               \
    if (racer->result->valid) {                                                                    \
        const double by = quantile(r, racer, function, which, room);                               \
        if (by > 0)                                                                                \
            mb_race_drop(                                                                          \
                r, racer, MB_E_NUMERIC,                                                            \
                mb_reason(&r->result->arena, what " (by %.3g us more than allowed)", by / 1e3));   \
    }
        CHECKS(CHECK)
#undef CHECK
    }
    return MB_OK;
}

bool mb_race_check_guard(struct race *r, struct racer *racer) {
    const struct mb_block_account *a = mb_worker_account(racer->worker);
    if (a->fault == MB_GUARD_NONE) return true;
    mb_race_drop(r, racer, MB_E_NUMERIC,
                 mb_reason(&r->result->arena,
                           a->fault == MB_GUARD_POISON
                               ? "its output was not there when timed run %llu of a block returned"
                               : "timed run %llu of a block gave the output of other inputs",
                           (unsigned long long)a->fault_run + 1));
    return false;
}
