/* What cold starts and a race come to: total times and break-evens. */
#include "cold_start.h"

#include <string.h>

struct starts {
    const struct mb_benchmark_result *bench;
    struct mb_cold_starts *out;
    uint64_t seed;
};

static const struct mb_executor_result *raced(const struct starts *s, const char *executor) {
    for (size_t i = 0; i < s->bench->n_executors; i++)
        if (strcmp(s->bench->executors[i].name, executor) == 0) return &s->bench->executors[i];
    return NULL;
}

/* NULL, or why a side lacks what a total is made of. */
static const char *side_of(const struct starts *s, const struct mb_start_row *row,
                           struct mb_total_side *side) {
    const struct mb_executor_result *e = raced(s, row->executor);
    if (row->n == 0) return row->reason ? row->reason : "no start was measured";
    if (row->n < MB_LEAST_STARTS) return "fewer than 3 cold starts make no interval";
    if (!e) return "it was not in the race";
    if (!e->valid || !e->n_blocks)
        return e->invalid_reason ? e->invalid_reason
               : e->reason       ? e->reason
                                 : "no latency was measured";
    *side = (struct mb_total_side){row->outputs_ns, row->n, e->samples_ns, e->first_of_block,
                                   e->n_blocks};
    return NULL;
}

static bool same_state(const struct mb_start_row *a, const struct mb_start_row *b) {
    return a->state == b->state || a->state == MB_START_ALIKE || b->state == MB_START_ALIKE;
}

/* A pair of one precision and not of another, as for any ratio. */
static void pair_up(struct starts *s, const struct mb_start_row *a, const struct mb_start_row *b,
                    struct mb_start_pair *pair) {
    struct mb_total_side x, y;
    *pair = (struct mb_start_pair){.a = a, .b = b};
    if ((pair->reason = side_of(s, a, &x)) || (pair->reason = side_of(s, b, &y))) return;
    if (raced(s, a->executor)->info.precision != raced(s, b->executor)->info.precision)
        pair->reason = "precision differs";
    else if (!mb_break_even(&x, &y, s->seed, &pair->even))
        pair->reason = "no memory for the bootstrap";
}

enum mb_status mb_conclude_starts(const struct mb_benchmark_result *bench,
                                  struct mb_cold_starts *out, uint64_t seed, struct mb_arena *arena,
                                  struct mb_err *err) {
    struct starts s = {bench, out, seed};
    for (size_t i = 0; i < out->n_rows; i++) {
        struct mb_start_row *row = &out->rows[i];
        struct mb_total_side side;
        row->total_reason = side_of(&s, row, &side);
        if (!row->total_reason && !mb_total_times(&side, seed, row->total_ns))
            row->total_reason = "no memory for the bootstrap";
    }
    out->n_pairs = 0;
    out->pairs = mb_arena_calloc(arena, 2 * out->n_rows + 1, sizeof *out->pairs);
    if (!out->pairs) return mb_fail(err, MB_E_NOMEM, "no memory for break-evens");
    for (size_t i = 0; i < out->n_rows; i++) {
        const struct mb_start_row *a = &out->rows[i];
        if (strcmp(a->executor, out->rows[0].executor) != 0) break;
        for (size_t k = i + 1; k < out->n_rows; k++) {
            const struct mb_start_row *b = &out->rows[k];
            if (strcmp(a->executor, b->executor) != 0 && same_state(a, b))
                pair_up(&s, a, b, &out->pairs[out->n_pairs++]);
        }
    }
    return MB_OK;
}
