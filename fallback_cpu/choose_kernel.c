#include "choose_kernel.h"

#include "clock.h"
#include "random.h"
#include "threads.h"

#include <math.h>
#include <string.h>

enum { ALIGN = 64, MAX_CANDIDATES = 64, PERIOD = 16381, MAX_BATCH = 64 };
static const size_t max_bytes = (size_t)256 << 20;
static const double batch_ns = 30e3; /* long against the clock's resolution and a job's start */

/* Elements of the operands. */
struct extents {
    size_t x, w, bias, y;
};

static size_t product(int64_t a, int64_t b, int64_t c, int64_t d) {
    return (size_t)a * (size_t)b * (size_t)c * (size_t)d;
}

static struct extents extents_of(enum mb_step_kind kind, const union mb_step_desc *desc) {
    if (kind == MB_STEP_MATMUL) {
        const struct mb_matmul_desc *d = &desc->matmul;
        return (struct extents){product(d->a_stride ? d->batch : 1, d->m, d->k, 1),
                                product(d->w_stride ? d->batch : 1, d->k, d->n, 1), (size_t)d->n,
                                product(d->batch, d->m, d->n, 1)};
    }
    const struct mb_conv2d_desc *d = &desc->conv2d;
    return (struct extents){product(d->n, d->c, d->h, d->w), product(d->filters, d->c, d->r, d->s),
                            (size_t)d->filters, product(d->n, d->filters, d->pool_h, d->pool_w)};
}

/* What measuring one candidate needs, kept from its first run to the end. */
struct trial {
    const struct mb_cpu_kernel *kernel;
    void *memory;
    char *packed, *scratch;
};

struct bench {
    const struct mb_cpu_chooser *chooser;
    const union mb_step_desc *desc;
    struct extents extents;
    bool has_bias;
    struct trial trials[MAX_CANDIDATES];
    size_t trial_bytes; /* of all so far */
    void *memory;       /* of the operands, shared by all */
    float *x, *w, *bias, *y;

    /* Of the call in progress. */
    const struct trial *trial;
    int n_phases; /* of one run */
};

static char *aligned(void *memory) {
    return (char *)(((uintptr_t)memory + ALIGN - 1) / ALIGN * ALIGN);
}

static size_t padded(size_t bytes) { return (bytes + ALIGN - 1) / ALIGN * ALIGN; }

static size_t operand_bytes(const struct extents *e) {
    return padded(e->x * sizeof(float)) + padded(e->w * sizeof(float)) +
           padded(e->bias * sizeof(float)) + padded(e->y * sizeof(float));
}

/* ---- stand-in data ---- */

/* Standard normal values that repeat after a prime number of them: making each one takes as long as
 * some of the kernels take for it, and no kernel sees the repetition. */
static void fill(float *to, size_t count, uint64_t stream) {
    const size_t fresh = count < PERIOD ? count : PERIOD;
    for (size_t i = 0; i < fresh; i += 2) {
        double pair[2];
        mb_random_normal_pair(1, stream, i, pair);
        to[i] = (float)pair[0];
        if (i + 1 < fresh) to[i + 1] = (float)pair[1];
    }
    for (size_t done = fresh; done < count; done += fresh)
        memcpy(to + done, to, (count - done < fresh ? count - done : fresh) * sizeof *to);
}

static enum mb_status make_operands(struct bench *b, struct mb_err *err) {
    const struct extents *e = &b->extents;
    const size_t bytes = operand_bytes(e) + ALIGN;
    if (b->memory) return MB_OK;
    b->memory = mb_allocator.alloc(bytes);
    if (!b->memory)
        return mb_fail(err, MB_E_NOMEM, "out of memory: %zu bytes for measuring", bytes);
    b->x = (float *)aligned(b->memory);
    b->w = (float *)((char *)b->x + padded(e->x * sizeof(float)));
    b->bias = (float *)((char *)b->w + padded(e->w * sizeof(float)));
    b->y = (float *)((char *)b->bias + padded(e->bias * sizeof(float)));
    fill(b->x, e->x, 1);
    fill(b->w, e->w, 2);
    fill(b->bias, e->bias, 3);
    return MB_OK;
}

/* ---- one candidate ---- */

static enum mb_status make_trial(struct bench *b, struct trial *t, struct mb_err *err) {
    const int threads = mb_team_size(b->chooser->team);
    const size_t packed = padded(t->kernel->packed_bytes(b->desc, threads));
    const size_t bytes = packed + t->kernel->scratch_bytes(b->desc, threads) + ALIGN;
    if (b->trial_bytes > 0 && b->trial_bytes + bytes > max_bytes / 2)
        return mb_fail(err, MB_E_UNSUPPORTED, "measuring it would take %zu MiB more", bytes >> 20);
    t->memory = mb_allocator.alloc(bytes);
    if (!t->memory)
        return mb_fail(err, MB_E_NOMEM, "out of memory: %zu bytes for measuring", bytes);
    b->trial_bytes += bytes;
    t->packed = aligned(t->memory);
    t->scratch = t->packed + packed;
    return MB_OK;
}

static void pack_body(void *arg, int phase, const struct mb_thread *thread) {
    (void)phase;
    const struct bench *b = arg;
    b->trial->kernel->pack(b->desc, b->w, b->has_bias ? b->bias : NULL, b->trial->packed, thread);
}

/* Phases of several runs, one after another. */
static void run_body(void *arg, int phase, const struct mb_thread *thread) {
    const struct bench *b = arg;
    const struct mb_kernel_args args = {
        .x = b->x, .packed = b->trial->packed, .y = b->y, .scratch = b->trial->scratch};
    mb_kernel_phase(b->trial->kernel, b->desc, &args, phase % b->n_phases, thread);
}

static double time_runs(struct bench *b, int runs) {
    const int64_t begin = mb_clock_ns();
    mb_team_run(b->chooser->team, runs * b->n_phases, run_body, b);
    return (double)(mb_clock_ns() - begin) / runs;
}

/* Once, which warms the caches, and for short runs a batch of some length. */
static enum mb_status measure(void *self, size_t candidate, double *ns, struct mb_err *err) {
    enum mb_status st = MB_OK;
    struct bench *b = self;
    struct trial *t = &b->trials[candidate];
    MB_TRY(make_operands(b, err));
    b->trial = t;
    if (!t->memory) {
        MB_TRY(make_trial(b, t, err));
        mb_team_run(b->chooser->team, 1, pack_body, b);
    }
    b->n_phases = mb_kernel_phases(t->kernel, b->desc, mb_team_size(b->chooser->team));
    const double once = time_runs(b, 1), runs = batch_ns / fmax(once, 1);
    *ns = runs < 1 ? once : time_runs(b, (int)fmin(runs + 1, MAX_BATCH));
out:
    return st;
}

/* ---- choosing ---- */

static bool may_use(const struct mb_cpu_chooser *chooser, const struct mb_cpu_kernel *kernel,
                    enum mb_step_kind kind, const union mb_step_desc *desc) {
    return kernel->kind == kind && kernel->isa <= chooser->isa &&
           (!chooser->only || chooser->only == kernel) &&
           kernel->supports(desc, mb_team_size(chooser->team));
}

bool mb_cpu_takes(const struct mb_cpu_chooser *chooser, enum mb_step_kind kind,
                  const union mb_step_desc *desc) {
    for (size_t i = 0; i < chooser->n_kernels; i++)
        if (may_use(chooser, chooser->kernels[i], kind, desc)) return true;
    return false;
}

enum mb_status mb_cpu_choose(const struct mb_cpu_chooser *chooser, enum mb_step_kind kind,
                             const union mb_step_desc *desc, struct mb_kernel_choice *out,
                             struct mb_err *err) {
    enum mb_status st = MB_OK;
    struct mb_candidate candidates[MAX_CANDIDATES];
    size_t n = 0;
    struct bench bench = {.chooser = chooser,
                          .desc = desc,
                          .extents = extents_of(kind, desc),
                          .has_bias = kind == MB_STEP_MATMUL ? desc->matmul.has_bias
                                                             : desc->conv2d.has_bias};
    *out = (struct mb_kernel_choice){0};
    for (size_t i = 0; i < chooser->n_kernels && n < MAX_CANDIDATES; i++) {
        const struct mb_cpu_kernel *kernel = chooser->kernels[i];
        if (!may_use(chooser, kernel, kind, desc)) continue;
        bench.trials[n].kernel = kernel;
        candidates[n++] = (struct mb_candidate){kernel, kernel->name,
                                                kernel->cost(desc, mb_team_size(chooser->team))};
    }
    if (n == 0) return MB_OK;
    MB_TRY(mb_tuning_choose(chooser->tuning, kind, desc, candidates, n,
                            operand_bytes(&bench.extents) <= max_bytes / 2 ? measure : NULL, &bench,
                            out, err));
    const struct mb_cpu_kernel *best = out->kernel;
    out->packed_bytes = best->packed_bytes(desc, mb_team_size(chooser->team));
    out->scratch_bytes = best->scratch_bytes(desc, mb_team_size(chooser->team));
out:
    mb_allocator.release(bench.memory);
    for (size_t i = 0; i < n; i++) mb_allocator.release(bench.trials[i].memory);
    return st;
}
