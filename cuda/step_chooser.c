#include "step_chooser.h"

#include "arena.h"
#include "measure_kernel.h"
#include "tuning.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A vendor's row has some fifty ways, each of which may have to be compiled. */
static const double step_limit_ns = 3e9;

struct mb_kernel_chooser {
    struct mb_gpu *gpu;
    const struct mb_gpu_properties *properties;
    struct mb_cuda_rows rows;
    struct mb_tuning *tuning;
    struct mb_arena arena;        /* names and notes */
    struct mb_step_kernel *first; /* all chosen kernels */
    struct mb_kernel_choices choices;
    char notes[1024];
};

/* ---- life ---- */

static const char *const precisions[] = {"fp32", "tf32"};

static enum mb_status open_tuning(struct mb_kernel_chooser *chooser, struct mb_err *err) {
    const struct mb_gpu_info *info = &chooser->gpu->info;
    const struct mb_vendor *vendor = chooser->rows.vendor;
    const struct mb_tuning_options options = {.step_limit_ns = step_limit_ns};
    char device[512];
    int used = snprintf(device, sizeof device, "%s %s sm_%d driver %d", info->name, info->uuid,
                        info->cc, info->driver_version);
    if (vendor)
        snprintf(device + used, sizeof device - (size_t)used, " %s %d %s %d %s",
                 vendor->library[0].name, vendor->library[0].version, vendor->library[1].name,
                 vendor->library[1].version, precisions[vendor->precision == MB_TF32]);
    return mb_tuning_open(device, &options, &chooser->tuning, err);
}

enum mb_status mb_kernel_chooser_new(struct mb_gpu *gpu, const struct mb_gpu_properties *properties,
                                     const struct mb_cuda_rows *rows,
                                     struct mb_kernel_chooser **out, struct mb_err *err) {
    struct mb_kernel_chooser *chooser = mb_allocator.alloc(sizeof *chooser);
    if (!chooser) return mb_fail(err, MB_E_NOMEM, "cuda: out of memory for a plan");
    *chooser = (struct mb_kernel_chooser){.gpu = gpu, .properties = properties, .rows = *rows};
    mb_arena_init(&chooser->arena);
    enum mb_status st = open_tuning(chooser, err);
    if (st == MB_OK)
        *out = chooser;
    else
        mb_kernel_chooser_free(chooser);
    return st;
}

static void release(struct mb_step_kernel *kernel) {
    if (kernel && kernel->vendor) kernel->vendor->release(kernel->state);
    mb_allocator.release(kernel);
}

void mb_kernel_chooser_free(struct mb_kernel_chooser *chooser) {
    if (!chooser) return;
    for (struct mb_step_kernel *kernel = chooser->first, *next; kernel; kernel = next) {
        next = kernel->next;
        release(kernel);
    }
    mb_tuning_close(chooser->tuning);
    mb_arena_free(&chooser->arena);
    mb_allocator.release(chooser);
}

/* ---- candidates for one step ---- */

struct contest {
    struct mb_kernel_chooser *chooser;
    enum mb_step_kind kind;
    const union mb_step_desc *desc;
    struct mb_stand_in *data;        /* made when something is measured */
    struct mb_step_kernel **kernels; /* n of them; owned until one is chosen */
    struct mb_candidate *candidates;
    struct mb_kernel_choice *among_ways; /* of each kernel: how its way was chosen; zero for ours */
    size_t n;
    const char *why_not; /* what vendors' rows said that do not take part; NULL: nothing */
};

static enum mb_status measure_kernel(struct contest *contest, const struct mb_step_kernel *kernel,
                                     double *ns, struct mb_err *err) {
    enum mb_status st = MB_OK;
    if (!contest->data)
        st = mb_stand_in_new(contest->chooser->gpu, contest->kind, contest->desc, &contest->data,
                             err);
    return st == MB_OK ? mb_stand_in_measure(contest->data, kernel, ns, err) : st;
}

static enum mb_status measure(void *self, size_t candidate, double *ns, struct mb_err *err) {
    struct contest *contest = self;
    return measure_kernel(contest, contest->kernels[candidate], ns, err);
}

static struct mb_step_kernel *new_kernel(const struct contest *contest) {
    struct mb_step_kernel *kernel = mb_allocator.alloc(sizeof *kernel);
    if (kernel)
        *kernel = (struct mb_step_kernel){.kind = contest->kind,
                                          .desc = *contest->desc,
                                          .properties = contest->chooser->properties,
                                          .gpu = contest->chooser->gpu};
    return kernel;
}

static bool may_use(const struct mb_kernel_chooser *chooser, const char *row) {
    return !chooser->rows.only || strcmp(chooser->rows.only, row) == 0;
}

static enum mb_status add_own(struct contest *contest, struct mb_err *err) {
    const struct mb_gpu_properties *properties = contest->chooser->properties;
    for (size_t i = 0; i < mb_cuda_n_kernels; i++) {
        const struct mb_cuda_kernel *own = mb_cuda_kernels[i];
        if (own->kind != contest->kind || !may_use(contest->chooser, own->name) ||
            !own->supports(contest->desc, properties))
            continue;
        struct mb_step_kernel *kernel = new_kernel(contest);
        if (!kernel) return mb_fail(err, MB_E_NOMEM, "cuda: out of memory for a plan");
        kernel->own = own;
        kernel->name = own->name;
        kernel->way.packed_bytes = own->packed_bytes(contest->desc, properties);
        kernel->way.scratch_bytes = own->scratch_bytes(contest->desc, properties);
        contest->candidates[contest->n] =
            (struct mb_candidate){kernel, own->name, own->cost(contest->desc, properties)};
        contest->kernels[contest->n++] = kernel;
    }
    return MB_OK;
}

/* ---- a vendor's row ---- */

struct ways {
    struct contest *contest;
    struct mb_step_kernel *kernel;
};

static enum mb_status measure_way(void *self, size_t way, double *ns, struct mb_err *err) {
    const struct ways *ways = self;
    struct mb_step_kernel *kernel = ways->kernel;
    enum mb_status st = kernel->vendor->take(kernel->state, (uint32_t)way, &kernel->way, err);
    return st == MB_OK ? measure_kernel(ways->contest, kernel, ns, err) : st;
}

/* One candidate for each way: ROW.WAY, of equal estimates. */
static struct mb_candidate *name_ways(struct contest *contest, const struct mb_step_kernel *kernel,
                                      uint32_t n, struct mb_err *err) {
    struct mb_arena *arena = &contest->chooser->arena;
    struct mb_candidate *list = mb_arena_calloc(arena, n, sizeof *list);
    for (uint32_t i = 0; list && i < n; i++) {
        char way[32], name[64];
        kernel->vendor->way_name(kernel->state, i, way, sizeof way);
        snprintf(name, sizeof name, "%s.%s", kernel->vendor->name, way);
        list[i] = (struct mb_candidate){&list[i], mb_arena_strndup(arena, name, strlen(name)), 1};
        if (!list[i].name) list = NULL;
    }
    if (!list) mb_fail(err, MB_E_NOMEM, "cuda: out of memory for %u algorithms", n);
    return list;
}

/* The fastest way that works. A single one is measured as well: whether it works is not known
 * before. */
static enum mb_status choose_way(struct contest *contest, struct mb_step_kernel *kernel,
                                 struct mb_kernel_choice *choice, struct mb_err *err) {
    enum mb_status st = MB_OK;
    struct ways ways = {contest, kernel};
    uint32_t n = 0, best = 0;
    MB_TRY(kernel->vendor->prepare(contest->chooser->rows.vendor, contest->desc, &kernel->state, &n,
                                   err));
    const struct mb_candidate *list = name_ways(contest, kernel, n, err);
    if (!list) return MB_E_NOMEM;
    if (n == 1) {
        double ns;
        MB_TRY(measure_way(&ways, 0, &ns, err));
        *choice = (struct mb_kernel_choice){.name = list[0].name, .measured = true, .cost_ns = ns};
    } else {
        MB_TRY(mb_tuning_choose(contest->chooser->tuning, contest->kind, contest->desc, list, n,
                                measure_way, &ways, choice, err));
        best = (uint32_t)((const struct mb_candidate *)choice->kernel - list);
    }
    choice->kernel = kernel;
    choice->left_out = NULL; /* libraries list much that then does not work */
    kernel->name = choice->name;
    st = kernel->vendor->take(kernel->state, best, &kernel->way, err);
out:
    return st;
}

static void note(struct contest *contest, const struct mb_vendor_kernel *vendor,
                 const struct mb_err *why) {
    struct mb_kernel_chooser *chooser = contest->chooser;
    const size_t used = strlen(chooser->notes);
    char text[sizeof why->text + 64];
    snprintf(text, sizeof text, "%s: %s", vendor->name, why->text);
    contest->why_not = mb_arena_strndup(&chooser->arena, text, strlen(text));
    if (!chooser->rows.own)
        snprintf(chooser->notes + used, sizeof chooser->notes - used,
                 "no kernel for a %s, an operation on its own: %s\n",
                 contest->kind == MB_STEP_MATMUL ? "matmul" : "conv2d", text);
}

/* A row whose library cannot do the step does not take part. Where nothing else may be used, any
 * failure but that one fails the plan. */
static enum mb_status add_vendor(struct contest *contest, const struct mb_vendor_kernel *vendor,
                                 struct mb_err *err) {
    struct mb_kernel_chooser *chooser = contest->chooser;
    struct mb_err why = {.text = ""};
    struct mb_step_kernel *kernel = new_kernel(contest);
    if (!kernel) return mb_fail(err, MB_E_NOMEM, "cuda: out of memory for a plan");
    kernel->vendor = vendor;
    enum mb_status st = choose_way(contest, kernel, &contest->among_ways[contest->n], &why);
    if (st == MB_OK) {
        contest->candidates[contest->n] = (struct mb_candidate){kernel, kernel->name, 0};
        contest->kernels[contest->n++] = kernel;
        return MB_OK;
    }
    release(kernel);
    if (st != MB_E_UNSUPPORTED && !chooser->rows.own)
        return mb_fail(err, st, "%s: %s", vendor->name, why.text);
    note(contest, vendor, &why);
    return MB_OK;
}

/* Estimates are for kernels of ours alone: a vendor's gets the best of them, so that it is
 * measured. */
static enum mb_status add_vendors(struct contest *contest, struct mb_err *err) {
    const struct mb_kernel_chooser *chooser = contest->chooser;
    const struct mb_vendor *vendor = chooser->rows.vendor;
    const size_t n_own = contest->n;
    double least = 1;
    for (size_t i = 0; i < n_own; i++)
        if (i == 0 || contest->candidates[i].cost_ns < least)
            least = contest->candidates[i].cost_ns;
    for (size_t i = 0; vendor && i < mb_vendor_n_kernels; i++) {
        const struct mb_vendor_kernel *row = mb_vendor_kernels[i];
        if (row->kind != contest->kind || !may_use(chooser, row->name)) continue;
        if (mb_vendor_has(vendor, row->library)) {
            enum mb_status st = add_vendor(contest, row, err);
            if (st != MB_OK) return st;
        } else if (!chooser->rows.own) {
            return mb_fail(err, MB_E_UNSUPPORTED, "no %s without %s: %s", row->name,
                           vendor->library[row->library].name,
                           vendor->library[row->library].missing.text);
        }
    }
    for (size_t i = n_own; i < contest->n; i++) contest->candidates[i].cost_ns = least;
    return MB_OK;
}

/* ---- the choice ---- */

static enum mb_status run_contest(struct contest *contest, struct mb_kernel_choice *out,
                                  struct mb_err *err) {
    struct mb_kernel_chooser *chooser = contest->chooser;
    if (contest->n == 1 && contest->kernels[0]->vendor)
        *out = contest->among_ways[0];
    else if (contest->n > 0) {
        enum mb_status st =
            mb_tuning_choose(chooser->tuning, contest->kind, contest->desc, contest->candidates,
                             contest->n, measure, contest, out, err);
        if (st != MB_OK) return st;
    }
    if (contest->why_not && out->kernel) {
        const size_t size = strlen(contest->why_not) + (out->left_out ? strlen(out->left_out) : 0);
        char *both = mb_arena_alloc(&chooser->arena, size + 3);
        if (!both) return mb_fail(err, MB_E_NOMEM, "cuda: out of memory for a plan");
        snprintf(both, size + 3, "%s%s%s", out->left_out ? out->left_out : "",
                 out->left_out ? "; " : "", contest->why_not);
        out->left_out = both;
    }
    return MB_OK;
}

/* The chosen kernel is the chooser's from now on, the others are no longer needed. */
static void keep(struct contest *contest, struct mb_kernel_choice *choice) {
    struct mb_kernel_chooser *chooser = contest->chooser;
    for (size_t i = 0; i < contest->n; i++) {
        struct mb_step_kernel *kernel = contest->kernels[i];
        if (kernel != choice->kernel) {
            release(kernel);
            continue;
        }
        choice->packed_bytes = kernel->way.packed_bytes;
        choice->scratch_bytes = kernel->way.scratch_bytes;
        kernel->next = chooser->first;
        chooser->first = kernel;
        chooser->choices.n_steps++;
        if (kernel->vendor)
            chooser->choices.uses_vendor[kernel->vendor->library] = true;
        else
            chooser->choices.uses_own = true;
        chooser->choices.uses_tf32 |= kernel->way.is_tf32;
    }
}

enum mb_status mb_kernel_chooser_choose(void *self, enum mb_step_kind kind,
                                        const union mb_step_desc *desc,
                                        struct mb_kernel_choice *out, struct mb_err *err) {
    enum mb_status st = MB_OK;
    struct mb_kernel_chooser *chooser = self;
    const size_t most = mb_cuda_n_kernels + mb_vendor_n_kernels;
    struct mb_kernel_choice choice = {0};
    struct contest contest = {
        .chooser = chooser,
        .kind = kind,
        .desc = desc,
        .kernels = mb_arena_calloc(&chooser->arena, most, sizeof *contest.kernels),
        .candidates = mb_arena_calloc(&chooser->arena, most, sizeof *contest.candidates),
        .among_ways = mb_arena_calloc(&chooser->arena, most, sizeof *contest.among_ways)};
    if (chooser->arena.failed) return mb_fail(err, MB_E_NOMEM, "cuda: out of memory for a plan");
    if (chooser->rows.own) MB_TRY(add_own(&contest, err));
    MB_TRY(add_vendors(&contest, err));
    MB_TRY(run_contest(&contest, &choice, err));
    *out = choice;
out:
    if (st != MB_OK) choice.kernel = NULL;
    keep(&contest, st == MB_OK ? out : &choice);
    mb_stand_in_free(contest.data);
    return st;
}

void mb_kernel_chooser_save(struct mb_kernel_chooser *chooser) { mb_tuning_save(chooser->tuning); }

struct mb_kernel_choices mb_kernel_chooser_choices(const struct mb_kernel_chooser *chooser) {
    struct mb_kernel_choices choices = chooser->choices;
    choices.spent_ns = mb_tuning_spent_ns(chooser->tuning);
    return choices;
}

/* ---- text ---- */

struct text {
    char *at;
    size_t left;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *text, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(text->at, text->left, format, args);
    va_end(args);
    if (n < 0) return;
    const size_t used = (size_t)n < text->left ? (size_t)n : text->left - 1;
    text->at += used;
    text->left -= used;
}

void mb_kernel_chooser_text(const struct mb_kernel_chooser *chooser, char *buf, size_t size) {
    const struct mb_vendor *vendor = chooser->rows.vendor;
    struct text text = {buf, size};
    if (size == 0) return;
    buf[0] = '\0';
    for (int i = 0; vendor && i < MB_N_VENDOR_LIBRARIES; i++) {
        const int version = vendor->library[i].version;
        if (mb_vendor_has(vendor, (enum mb_vendor_library)i))
            put(&text, "%s %d.%d.%d: there\n", vendor->library[i].name, version / 10000,
                version / 100 % 100, version % 100);
        else
            put(&text, "%s: missing: %s\n", vendor->library[i].name,
                vendor->library[i].missing.text);
    }
    put(&text, "%s", chooser->notes);
}
