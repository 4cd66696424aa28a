#include "total_time.h"

#include "random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_RESAMPLES = 10000, N_KINDS = MB_EVEN_NOT_PROVEN };
static const double least_share = 0.975; /* of the resamples, for a kind to be proven */

const double mb_total_runs[MB_N_TOTALS] = {1, 10, 100, 1000, 1000000};

const char *mb_break_even_name(enum mb_break_even_kind kind) {
    static const char *const names[] = {
#define KIND(id, name, meaning) name,
        MB_BREAK_EVENS(KIND)
#undef KIND
    };
    return names[kind];
}

/* ---- one side, resampled ---- */

/* Total time as a function of N. */
struct curve {
    double at[MB_FIRST_RUNS]; /* at[k]: of N = k + 1 */
    double per_run;           /* of each run after these */
};

static double total_at(const struct curve *c, double n) {
    return n <= MB_FIRST_RUNS ? c->at[(int)n - 1]
                              : c->at[MB_FIRST_RUNS - 1] + (n - MB_FIRST_RUNS) * c->per_run;
}

struct sampler {
    const struct mb_total_side *side;
    size_t *order[MB_FIRST_RUNS]; /* starts by the time of output k, ascending */
    double *block_sums;
    uint32_t *counts; /* how often a resample has each start */
};

struct keyed {
    double key;
    size_t index;
};

static int compare_keyed(const void *a, const void *b) {
    const double x = ((const struct keyed *)a)->key, y = ((const struct keyed *)b)->key;
    return (x > y) - (x < y);
}

static void sampler_close(struct sampler *s) {
    free(s->order[0]);
    free(s->block_sums);
    free(s->counts);
}

static bool sampler_open(struct sampler *s, const struct mb_total_side *side) {
    const size_t n = side->n_starts;
    *s = (struct sampler){.side = side};
    struct keyed *keyed = calloc(n, sizeof *keyed);
    s->order[0] = calloc(n * MB_FIRST_RUNS, sizeof *s->order[0]);
    s->block_sums = calloc(side->n_blocks, sizeof *s->block_sums);
    s->counts = calloc(n, sizeof *s->counts);
    const bool ok = keyed && s->order[0] && s->block_sums && s->counts;
    for (size_t k = 0; ok && k < MB_FIRST_RUNS; k++) {
        s->order[k] = s->order[0] + k * n;
        for (size_t i = 0; i < n; i++) keyed[i] = (struct keyed){side->outputs_ns[i][k], i};
        qsort(keyed, n, sizeof *keyed, compare_keyed);
        for (size_t i = 0; i < n; i++) s->order[k][i] = keyed[i].index;
    }
    for (size_t b = 0; ok && b < side->n_blocks; b++)
        for (size_t i = side->first_of_block[b]; i < side->first_of_block[b + 1]; i++)
            s->block_sums[b] += side->steady_ns[i];
    free(keyed);
    if (!ok) sampler_close(s);
    return ok;
}

/* Median over the starts as often as they are counted, n_starts in all. */
static double counted_median(const struct sampler *s, size_t k) {
    const size_t n = s->side->n_starts, low_rank = (n - 1) / 2, high_rank = n / 2;
    size_t seen = 0, i = 0;
    while (seen + s->counts[s->order[k][i]] <= low_rank) seen += s->counts[s->order[k][i++]];
    const double low = s->side->outputs_ns[s->order[k][i]][k];
    while (seen + s->counts[s->order[k][i]] <= high_rank) seen += s->counts[s->order[k][i++]];
    return (low + s->side->outputs_ns[s->order[k][i]][k]) / 2;
}

/* The curve of resample `r`; r = 0: of the measurements as they are. Sides with the same number of
 * blocks draw the same ones. */
static void resample(const struct sampler *s, uint64_t seed, uint64_t stream, uint64_t r,
                     struct curve *out) {
    const struct mb_total_side *side = s->side;
    const uint32_t n = (uint32_t)side->n_starts, n_blocks = (uint32_t)side->n_blocks;
    const uint64_t starts = mb_random_stream("cold starts") + stream * N_RESAMPLES * 2 + r;
    const uint64_t blocks = mb_random_stream("blocks of total time") + r;
    double sum = 0, count = 0;
    memset(s->counts, 0, n * sizeof *s->counts);
    for (uint32_t i = 0; i < n; i++) s->counts[r ? mb_random_below(seed, starts, i, n) : i]++;
    for (size_t k = 0; k < MB_FIRST_RUNS; k++) out->at[k] = counted_median(s, k);
    for (uint32_t i = 0; i < n_blocks; i++) {
        const size_t b = r ? mb_random_below(seed, blocks, i, n_blocks) : i;
        sum += s->block_sums[b];
        count += (double)(side->first_of_block[b + 1] - side->first_of_block[b]);
    }
    out->per_run = sum / count;
}

static struct mb_interval interval_of(double value, double *resampled, size_t n) {
    const struct mb_interval held = mb_stats_held(resampled, n);
    return (struct mb_interval){value, held.low, held.high};
}

bool mb_total_times(const struct mb_total_side *side, uint64_t seed,
                    struct mb_interval out_ns[MB_N_TOTALS]) {
    struct sampler s;
    struct curve whole, c;
    double *totals = calloc((size_t)MB_N_TOTALS * N_RESAMPLES, sizeof *totals);
    const bool ok = totals && sampler_open(&s, side);
    if (ok) {
        resample(&s, seed, 0, 0, &whole);
        for (size_t r = 0; r < N_RESAMPLES; r++) {
            resample(&s, seed, 0, r + 1, &c);
            for (size_t t = 0; t < MB_N_TOTALS; t++)
                totals[t * N_RESAMPLES + r] = total_at(&c, mb_total_runs[t]);
        }
        for (size_t t = 0; t < MB_N_TOTALS; t++)
            out_ns[t] = interval_of(total_at(&whole, mb_total_runs[t]), totals + t * N_RESAMPLES,
                                    N_RESAMPLES);
        sampler_close(&s);
    }
    free(totals);
    return ok;
}

/* ---- two sides ---- */

struct crossing {
    enum mb_break_even_kind kind;
    double runs; /* NaN where there is none */
};

/* Where a's curve last passes b's. */
static struct crossing cross(const struct curve *a, const struct curve *b) {
    const int last = MB_FIRST_RUNS - 1;
    const double slope = b->per_run - a->per_run, lead = b->at[last] - a->at[last];
    const bool ahead = lead >= 0;
    /* on the straight part: a lead that melts, or a lag that is made up for */
    if (ahead && slope < 0)
        return (struct crossing){MB_EVEN_UNTIL_RUN, MB_FIRST_RUNS + floor(lead / -slope)};
    if (!ahead && slope > 0)
        return (struct crossing){MB_EVEN_FROM_RUN, MB_FIRST_RUNS + ceil(-lead / slope)};
    for (int k = last; k-- > 0;)
        if ((b->at[k] >= a->at[k]) != ahead) /* output k + 1 is the last of the other sign */
            return (struct crossing){ahead ? MB_EVEN_FROM_RUN : MB_EVEN_UNTIL_RUN,
                                     ahead ? k + 2 : k + 1};
    return (struct crossing){ahead ? MB_EVEN_FROM_FIRST_RUN : MB_EVEN_NEVER, (double)NAN};
}

static void conclude(const struct crossing *value, const struct crossing *resampled,
                     double *scratch, struct mb_break_even *out) {
    size_t n[N_KINDS] = {0}, kind = 0, used = 0;
    for (size_t r = 0; r < N_RESAMPLES; r++) n[resampled[r].kind]++;
    for (size_t k = 1; k < N_KINDS; k++)
        if (n[k] > n[kind]) kind = k;
    out->runs = (struct mb_interval){(double)NAN, (double)NAN, (double)NAN};
    out->kind = MB_EVEN_NOT_PROVEN;
    if ((double)n[kind] < least_share * N_RESAMPLES || value->kind != (enum mb_break_even_kind)kind)
        return;
    out->kind = (enum mb_break_even_kind)kind;
    if (isnan(value->runs)) return;
    for (size_t r = 0; r < N_RESAMPLES; r++)
        if (resampled[r].kind == (enum mb_break_even_kind)kind) scratch[used++] = resampled[r].runs;
    out->runs = interval_of(value->runs, scratch, used);
}

bool mb_break_even(const struct mb_total_side *a, const struct mb_total_side *b, uint64_t seed,
                   struct mb_break_even *out) {
    struct sampler of_a, of_b;
    struct curve x, y;
    double *ratios = calloc((size_t)MB_N_TOTALS * N_RESAMPLES, sizeof *ratios);
    struct crossing *crossings = calloc(N_RESAMPLES, sizeof *crossings);
    bool ok = ratios && crossings && sampler_open(&of_a, a);
    if (ok && !sampler_open(&of_b, b)) {
        sampler_close(&of_a);
        ok = false;
    }
    if (ok) {
        for (size_t r = 0; r < N_RESAMPLES; r++) {
            resample(&of_a, seed, 1, r + 1, &x);
            resample(&of_b, seed, 2, r + 1, &y);
            crossings[r] = cross(&x, &y);
            for (size_t t = 0; t < MB_N_TOTALS; t++)
                ratios[t * N_RESAMPLES + r] =
                    total_at(&y, mb_total_runs[t]) / total_at(&x, mb_total_runs[t]);
        }
        resample(&of_a, seed, 1, 0, &x);
        resample(&of_b, seed, 2, 0, &y);
        for (size_t t = 0; t < MB_N_TOTALS; t++)
            out->ratio[t] =
                interval_of(total_at(&y, mb_total_runs[t]) / total_at(&x, mb_total_runs[t]),
                            ratios + t * N_RESAMPLES, N_RESAMPLES);
        const struct crossing value = cross(&x, &y);
        conclude(&value, crossings, ratios, out);
        sampler_close(&of_a);
        sampler_close(&of_b);
    }
    free(ratios);
    free(crossings);
    return ok;
}
