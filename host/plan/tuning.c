#include "tuning.h"

#include "build_id.h"
#include "clock.h"
#include "sort.h"
#include "tuning_cache.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ROUNDS = 9 };
static const double far_estimate = 4; /* estimates are within a factor of 2 on machines seen */
static const double clear_loser = 1.3;
static const double usual_step_limit_ns = 100e6;

struct mb_tuning {
    struct mb_arena arena;
    struct mb_tuning_cache cache;
    const char *device; /* with the build */
    int64_t (*clock_ns)(void);
    double step_limit_ns, spent_ns;
};

/* A candidate that is measured. */
struct entrant {
    const struct mb_candidate *candidate;
    double samples[MAX_ROUNDS], least; /* of all runs, the warm-up's too */
    double warm_ns, wall_ns;           /* of the last call, all it did */
    int n_samples;
    const char *why_out; /* NULL: it ran */
    enum mb_status status;
    bool lost, lasting; /* no further run; the reason to be out would be the same next time */
};

/* ---- texts ---- */

/* A copy without what separates fields of the file. */
static const char *clean(struct mb_arena *arena, const char *text) {
    char *copy = mb_arena_strndup(arena, text, strlen(text));
    for (char *c = copy; c && *c; c++)
        if ((unsigned char)*c < ' ' || *c == '|' || *c == ',') *c = ' ';
    return copy;
}

static void put_step(FILE *out, enum mb_step_kind kind, const union mb_step_desc *desc) {
    if (kind == MB_STEP_MATMUL) {
        const struct mb_matmul_desc *d = &desc->matmul;
        fprintf(out, "matmul %lld %lld %lld %lld stride %lld %lld bias %d act %d",
                (long long)d->batch, (long long)d->m, (long long)d->n, (long long)d->k,
                (long long)d->a_stride, (long long)d->w_stride, d->has_bias, (int)d->act);
        return;
    }
    const struct mb_conv2d_desc *d = &desc->conv2d;
    fprintf(
        out,
        "conv2d %d %d %d %lld %lld %lld %lld %lld %lld %lld stride %d %d pad %d %d out %lld %lld",
        (int)d->layout, (int)d->x_layout, (int)d->y_layout, (long long)d->n, (long long)d->c,
        (long long)d->h, (long long)d->w, (long long)d->filters, (long long)d->r, (long long)d->s,
        d->stride[0], d->stride[1], d->pad_before[0], d->pad_before[1], (long long)d->out_h,
        (long long)d->out_w);
    fprintf(out, " bias %d act %d", d->has_bias, (int)d->act);
    if (d->has_pool)
        fprintf(out, " pool %d %d stride %d %d out %lld %lld", d->pool_kernel[0], d->pool_kernel[1],
                d->pool_stride[0], d->pool_stride[1], (long long)d->pool_h, (long long)d->pool_w);
}

/* What `write` printed, in the arena; NULL without memory. */
static const char *printed(struct mb_arena *arena, FILE *stream, char **text, const size_t *len) {
    const bool whole = fflush(stream) == 0 && !ferror(stream);
    const char *copy = whole ? mb_arena_strndup(arena, *text, *len) : NULL;
    fclose(stream);
    free(*text);
    *text = NULL;
    return copy;
}

static const char *key_of(struct mb_tuning *tuning, enum mb_step_kind kind,
                          const union mb_step_desc *desc, const struct entrant *entrants,
                          size_t n) {
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out) return NULL;
    fprintf(out, "%s|", tuning->device);
    put_step(out, kind, desc);
    for (size_t i = 0; i < n; i++) {
        const char *name = clean(&tuning->arena, entrants[i].candidate->name);
        fprintf(out, "%c%s", i == 0 ? '|' : ',', name ? name : "");
    }
    return printed(&tuning->arena, out, &text, &len);
}

/* ---- measuring ---- */

static void leave_out(struct mb_tuning *tuning, struct entrant *e, enum mb_status status,
                      const char *why) {
    e->why_out = clean(&tuning->arena, why);
    if (!e->why_out) e->why_out = "out of memory";
    e->status = status;
    e->lasting = status == MB_E_UNSUPPORTED || status == MB_E_TIMEOUT;
}

static void measure_once(struct mb_tuning *tuning, struct entrant *e, size_t index,
                         mb_measure measure, void *self, double *ns) {
    struct mb_err err = {.text = ""};
    const int64_t begin = tuning->clock_ns();
    const enum mb_status st = measure(self, index, ns, &err);
    e->wall_ns = (double)(tuning->clock_ns() - begin);
    if (st != MB_OK)
        leave_out(tuning, e, st, err.text);
    else if (!(*ns > 0 && isfinite(*ns)))
        leave_out(tuning, e, MB_E_INVALID, "its time is not a positive number");
    else if (e->least == 0 || *ns < e->least)
        e->least = *ns;
}

struct contest {
    struct mb_tuning *tuning;
    const struct mb_candidate *all; /* the caller's, which measure's index counts */
    struct entrant *entrants;
    size_t n;
    mb_measure measure;
    void *self;
    int64_t begin;
};

static bool is_in(const struct entrant *e) { return !e->why_out && !e->lost; }

static bool has_time(const struct contest *c, double ns) {
    return (double)(c->tuning->clock_ns() - c->begin) + ns <= c->tuning->step_limit_ns;
}

static void run(const struct contest *c, struct entrant *e, double *ns) {
    measure_once(c->tuning, e, (size_t)(e->candidate - c->all), c->measure, c->self, ns);
}

/* One run of each, cheapest estimate first. */
static void warm_up(const struct contest *c) {
    bool have_one = false;
    for (size_t i = 0; i < c->n; i++) {
        struct entrant *e = &c->entrants[i];
        if (have_one && !has_time(c, 0)) {
            leave_out(c->tuning, e, MB_E_TIMEOUT, "no time was left to measure it");
            continue;
        }
        run(c, e, &e->warm_ns);
        have_one |= !e->why_out;
    }
}

/* Drops who is clearly slower than the fastest; how many are left. */
static size_t drop_losers(const struct contest *c) {
    size_t left = 0;
    double best = INFINITY;
    for (size_t i = 0; i < c->n; i++)
        if (is_in(&c->entrants[i])) best = fmin(best, c->entrants[i].least);
    for (size_t i = 0; i < c->n; i++) {
        struct entrant *e = &c->entrants[i];
        if (is_in(e) && e->least > clear_loser * best) e->lost = true;
        left += is_in(e);
    }
    return left;
}

static void take_turns(const struct contest *c) {
    for (int round = 0; round < MAX_ROUNDS; round++) {
        for (size_t i = 0; i < c->n; i++) {
            struct entrant *e = &c->entrants[i];
            double ns;
            if (!is_in(e)) continue;
            if (!has_time(c, e->wall_ns)) return;
            run(c, e, &ns);
            if (!e->why_out) e->samples[e->n_samples++] = ns;
        }
        if (drop_losers(c) <= 1) return;
    }
}

/* The warm-up's time where there was none for more. */
static double result_ns(struct entrant *e) {
    const int n = e->n_samples;
    if (n == 0) return e->warm_ns;
    mb_sort_doubles(e->samples, (size_t)n);
    return n % 2 ? e->samples[n / 2] : (e->samples[n / 2 - 1] + e->samples[n / 2]) / 2;
}

/* ---- remembering ---- */

/* In the order of the entrants: their times, or ! and the reason to be out. */
static void remember(struct mb_tuning *tuning, const char *key, struct entrant *entrants,
                     const double *ns, size_t n) {
    char *text = NULL;
    size_t len = 0;
    for (size_t i = 0; i < n; i++)
        if (entrants[i].why_out && !entrants[i].lasting) return;
    FILE *out = open_memstream(&text, &len);
    if (!out) return;
    for (size_t i = 0; i < n; i++) {
        if (i > 0) fputc(',', out);
        if (entrants[i].why_out)
            fprintf(out, "!%s", entrants[i].why_out);
        else
            fprintf(out, "%.17g", ns[i]);
    }
    const char *value = printed(&tuning->arena, out, &text, &len);
    if (key && value) mb_tuning_cache_put(&tuning->cache, key, value);
}

/* The reverse; false where the value makes no sense or leaves nothing to choose. */
static bool recall(struct mb_tuning *tuning, const char *value, struct entrant *entrants,
                   double *ns, size_t n) {
    size_t n_in = 0;
    const char *at = value;
    for (size_t i = 0; i < n; i++) {
        const size_t len = strcspn(at, ",");
        if (*at == '!') {
            entrants[i].why_out = mb_arena_strndup(&tuning->arena, at + 1, len - 1);
            if (!entrants[i].why_out) return false;
        } else {
            char *end;
            entrants[i].why_out = NULL;
            ns[i] = strtod(at, &end);
            if (end != at + len || !(ns[i] > 0 && isfinite(ns[i]))) return false;
            n_in++;
        }
        if ((at[len] == ',') != (i + 1 < n)) return false;
        at += len + 1;
    }
    return n_in > 0;
}

/* ---- choosing ---- */

static int by_estimate(const void *a, const void *b) {
    const struct entrant *x = a, *y = b;
    const double d = x->candidate->cost_ns - y->candidate->cost_ns;
    if (d != 0) return d < 0 ? -1 : 1;
    return x->candidate < y->candidate ? -1 : 1; /* as the caller had them */
}

/* Fills `entrants` with those worth measuring, cheapest first. */
static size_t select_entrants(const struct mb_candidate *candidates, size_t n,
                              struct entrant *entrants) {
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) entrants[i] = (struct entrant){.candidate = &candidates[i]};
    qsort(entrants, n, sizeof *entrants, by_estimate);
    while (kept < n &&
           entrants[kept].candidate->cost_ns <= far_estimate * entrants[0].candidate->cost_ns)
        kept++;
    return kept > 0 ? kept : 1; /* an estimate that is no number stays alone */
}

static const char *left_out_text(struct mb_tuning *tuning, const struct entrant *entrants,
                                 size_t n) {
    char *text = NULL;
    size_t len = 0;
    bool any = false;
    FILE *out = open_memstream(&text, &len);
    if (!out) return NULL;
    for (size_t i = 0; i < n; i++) {
        if (!entrants[i].why_out) continue;
        fprintf(out, "%s%s: %s", any ? "; " : "", entrants[i].candidate->name, entrants[i].why_out);
        any = true;
    }
    const char *copy = printed(&tuning->arena, out, &text, &len);
    return any ? copy : NULL;
}

/* Times of all entrants, from the cache or now. */
static enum mb_status find_times(struct contest *c, enum mb_step_kind kind,
                                 const union mb_step_desc *desc, double *ns, struct mb_err *err) {
    struct mb_tuning *tuning = c->tuning;
    const char *key = key_of(tuning, kind, desc, c->entrants, c->n);
    const char *value = key ? mb_tuning_cache_find(&tuning->cache, key) : NULL;
    if (value && recall(tuning, value, c->entrants, ns, c->n)) return MB_OK;

    for (size_t i = 0; i < c->n; i++) c->entrants[i].why_out = NULL;
    c->begin = tuning->clock_ns();
    warm_up(c);
    take_turns(c);
    tuning->spent_ns += (double)(tuning->clock_ns() - c->begin);
    bool any = false;
    for (size_t i = 0; i < c->n; i++) {
        ns[i] = result_ns(&c->entrants[i]);
        any |= !c->entrants[i].why_out;
    }
    if (!any) return mb_fail(err, c->entrants[0].status, "%s", c->entrants[0].why_out);
    remember(tuning, key, c->entrants, ns, c->n);
    return MB_OK;
}

enum mb_status mb_tuning_choose(struct mb_tuning *tuning, enum mb_step_kind kind,
                                const union mb_step_desc *desc,
                                const struct mb_candidate *candidates, size_t n, mb_measure measure,
                                void *self, struct mb_kernel_choice *out, struct mb_err *err) {
    struct mb_kernel_choice choice = {0};
    struct entrant *entrants = mb_arena_calloc(&tuning->arena, n, sizeof *entrants);
    double *ns = mb_arena_calloc(&tuning->arena, n, sizeof *ns);
    if (!entrants || !ns)
        return mb_fail(err, MB_E_NOMEM, "out of memory for %zu kernels to choose from", n);
    struct contest contest = {.tuning = tuning,
                              .all = candidates,
                              .entrants = entrants,
                              .n = select_entrants(candidates, n, entrants),
                              .measure = measure,
                              .self = self};
    choice.measured = measure && contest.n > 1;
    if (choice.measured) {
        enum mb_status st = find_times(&contest, kind, desc, ns, err);
        if (st != MB_OK) return st;
        choice.left_out = left_out_text(tuning, entrants, contest.n);
    }
    for (size_t i = 0; i < (choice.measured ? contest.n : n); i++) {
        const struct mb_candidate *c = entrants[i].candidate;
        if (!entrants[i].why_out)
            mb_kernel_offer(&choice, c->kernel, c->name, choice.measured ? ns[i] : c->cost_ns);
    }
    *out = choice;
    return MB_OK;
}

/* ---- life ---- */

enum mb_status mb_tuning_open(const char *device, const struct mb_tuning_options *options,
                              struct mb_tuning **out, struct mb_err *err) {
    static const struct mb_tuning_options usual = {0};
    const struct mb_tuning_options *o = options ? options : &usual;
    char build[MB_BUILD_ID_SIZE];
    char *text = NULL;
    struct mb_tuning *tuning = mb_allocator.alloc(sizeof *tuning);
    if (!tuning) return mb_fail(err, MB_E_NOMEM, "%s: out of memory for tuning", device);
    *tuning = (struct mb_tuning){.clock_ns = o->clock_ns ? o->clock_ns : mb_clock_ns,
                                 .step_limit_ns =
                                     o->step_limit_ns > 0 ? o->step_limit_ns : usual_step_limit_ns};
    mb_arena_init(&tuning->arena);
    mb_build_id(build);
    if (asprintf(&text, "%s  %s", build, device) < 0) text = NULL;
    tuning->device = text ? clean(&tuning->arena, text) : NULL;
    free(text);
    tuning->cache.arena = &tuning->arena;
    if (build[0] != '\0')
        tuning->cache.folder = o->folder
                                   ? mb_arena_strndup(&tuning->arena, o->folder, strlen(o->folder))
                                   : mb_tuning_cache_folder(&tuning->arena);
    if (tuning->arena.failed || !tuning->device) {
        mb_tuning_close(tuning);
        return mb_fail(err, MB_E_NOMEM, "%s: out of memory for tuning", device);
    }
    mb_tuning_cache_load(&tuning->cache);
    *out = tuning;
    return MB_OK;
}

void mb_tuning_close(struct mb_tuning *tuning) {
    if (!tuning) return;
    mb_arena_free(&tuning->arena);
    mb_allocator.release(tuning);
}

void mb_tuning_save(struct mb_tuning *tuning) { mb_tuning_cache_save(&tuning->cache); }

double mb_tuning_spent_ns(const struct mb_tuning *tuning) { return tuning->spent_ns; }
