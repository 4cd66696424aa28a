#include "kernel_tester.h"

#include "cpu_isa.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kt_counts kt_counts;
size_t kt_operand_align = sizeof(float);

/* ---- kernels that the processor cannot run ---- */

#if defined(MB_HAVE_EMULATED)
#define EMULATED_scalar(name)
#define EMULATED_avx2(name)
#define EMULATED_avx512(name) extern const struct mb_cpu_kernel mb_cpu_##name##__avx512_emulated;
#define K(name, isa)          EMULATED_##isa(name)
#include "kernels.def"
#undef EMULATED_avx512
#define EMULATED_avx512(name) &mb_cpu_##name##__avx512_emulated,
#define K(name, isa)          EMULATED_##isa(name)
static const struct mb_cpu_kernel *const emulated[] = {
#include "kernels.def"
    NULL};
#else
static const struct mb_cpu_kernel *const emulated[] = {NULL};
#endif

const struct mb_cpu_kernel *kt_runnable(const struct mb_cpu_kernel *row) {
    if (row->isa <= mb_cpu_isa()) return row;
    if (row->isa != MB_ISA_AVX512 || mb_cpu_isa() < MB_ISA_AVX2) return NULL;
    for (size_t i = 0; emulated[i]; i++)
        if (strncmp(emulated[i]->name, row->name, strlen(row->name)) == 0) return emulated[i];
    return NULL;
}

/* ---- operands ---- */

static uint64_t random_bits(uint64_t *state) {
    *state += 0x9e3779b97f4a7c15u;
    uint64_t z = *state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static float normal(uint64_t *state) {
    double u = ((double)(random_bits(state) >> 11) + 1) * 0x1p-53;
    double v = (double)(random_bits(state) >> 11) * 0x1p-53;
    return (float)(sqrt(-2 * log(u)) * cos(6.283185307179586 * v));
}

static void fill(float *to, size_t count, enum kt_fill how, bool is_x, uint64_t seed) {
    for (size_t i = 0; i < count; i++) {
        if (how == KT_INTEGERS)
            to[i] = (float)(int)(random_bits(&seed) % 7) - 3;
        else
            to[i] = normal(&seed) + (how == KT_OFFSET && is_x ? 100.0f : 0.0f);
        if (how == KT_POSITIVE && is_x) to[i] = fabsf(to[i]);
        if (how == KT_IMPULSES && is_x) to[i] = 0.0f;
        if (how == KT_DENORMAL && is_x) to[i] *= 0x1p-130f;
        if (how == KT_INF_ZERO && !is_x && i % 3 == 1) to[i] = 0.0f;
    }
    if (count == 0) return;
    for (int i = 0; how == KT_INF_W && !is_x && i < 3; i++)
        to[random_bits(&seed) % count] = i == 0 ? NAN : i == 1 ? INFINITY : -INFINITY;
    if (!is_x) return;
    if (how == KT_IMPULSES) to[0] = to[count - 1] = 1.0f;
    for (int i = 0; i < 3; i++) {
        size_t at = random_bits(&seed) % count;
        if (how == KT_NAN) to[at] = NAN;
        if (how == KT_INF || how == KT_INF_ZERO) to[at] = i & 1 ? -INFINITY : INFINITY;
        if (how == KT_IMPULSES) to[at] = (float)(i - 3);
    }
}

/* ---- the FP64 loops ---- */

/* An output before activation, and the sum of its terms' magnitudes. */
struct sum {
    double value, magnitude;
};

static void sum_add(struct sum *s, double term) {
    s->value += term;
    s->magnitude += fabs(term);
}

static void sum_activate(struct sum *s, enum mb_activation act) {
    if (act == MB_ACT_RELU && s->value < 0) s->value = 0;
}

static struct sum matmul_at(const struct mb_matmul_desc *d, const float *a, const float *w,
                            const float *bias, int64_t index) {
    const int64_t j = index % d->n, i = index / d->n % d->m, b = index / d->n / d->m;
    struct sum s = {0, 0};
    for (int64_t k = 0; k < d->k; k++)
        sum_add(&s, (double)a[b * d->a_stride + i * d->k + k] *
                        (double)w[b * d->w_stride + k * d->n + j]);
    if (bias) sum_add(&s, (double)bias[j]);
    sum_activate(&s, d->act);
    return s;
}

static struct sum conv_at(const struct mb_conv2d_desc *d, const float *x, const float *w,
                          const float *bias, int64_t n, int64_t f, int64_t oy, int64_t ox) {
    struct sum sum = {0, 0};
    for (int64_t c = 0; c < d->c; c++)
        for (int64_t r = 0; r < d->r; r++)
            for (int64_t s = 0; s < d->s; s++) {
                int64_t y = oy * d->stride[0] - d->pad_before[0] + r;
                int64_t z = ox * d->stride[1] - d->pad_before[1] + s;
                if (y < 0 || y >= d->h || z < 0 || z >= d->w) continue;
                float xv = d->x_layout == MB_NCHW ? x[((n * d->c + c) * d->h + y) * d->w + z]
                                                  : x[((n * d->h + y) * d->w + z) * d->c + c];
                float wv = d->layout == MB_NCHW ? w[((f * d->c + c) * d->r + r) * d->s + s]
                                                : w[((r * d->s + s) * d->c + c) * d->filters + f];
                sum_add(&sum, (double)xv * (double)wv);
            }
    if (bias) sum_add(&sum, (double)bias[f]);
    sum_activate(&sum, d->act);
    return sum;
}

/* Position of y[index] of a convolution: image, filter, row, column. */
static void conv_position(const struct mb_conv2d_desc *d, int64_t index, int64_t at[4]) {
    const bool nchw = d->y_layout == MB_NCHW;
    const int64_t extent[] = {d->filters, d->pool_h, d->pool_w};
    static const int order[2][3] = {{3, 2, 1}, {1, 3, 2}}; /* fastest first */
    for (int i = 0; i < 3; i++) {
        const int axis = order[nchw ? 0 : 1][i];
        at[axis] = index % extent[axis - 1];
        index /= extent[axis - 1];
    }
    at[0] = index;
}

static struct sum conv2d_at(const struct mb_conv2d_desc *d, const float *x, const float *w,
                            const float *bias, int64_t index) {
    int64_t at[4];
    conv_position(d, index, at);
    const int64_t n = at[0], f = at[1], py = at[2], px = at[3];
    if (!d->has_pool) return conv_at(d, x, w, bias, n, f, py, px);
    struct sum best = {-INFINITY, 0};
    for (int64_t i = 0; i < d->pool_kernel[0]; i++)
        for (int64_t j = 0; j < d->pool_kernel[1]; j++) {
            struct sum s = conv_at(d, x, w, bias, n, f, py * d->pool_stride[0] + i,
                                   px * d->pool_stride[1] + j);
            if (isnan(s.value) || s.value > best.value) best.value = s.value;
            if (isnan(best.value)) best.value = (double)NAN;
            if (s.magnitude > best.magnitude) best.magnitude = s.magnitude;
        }
    return best;
}

/* ---- one case ---- */

struct trial {
    const struct mb_cpu_kernel *kernel;
    const union mb_step_desc *desc;
    struct kt_region x, w, bias, y, packed, scratch;
    bool has_bias;
};

static void pack_body(void *arg, int phase, const struct mb_thread *thread) {
    const struct trial *t = arg;
    (void)phase;
    t->kernel->pack(t->desc, (const float *)t->w.data,
                    t->has_bias ? (const float *)t->bias.data : NULL, t->packed.data, thread);
}

static void run_body(void *arg, int phase, const struct mb_thread *thread) {
    const struct trial *t = arg;
    const struct mb_kernel_args args = {(const float *)t->x.data, t->packed.data,
                                        (float *)t->y.data, t->scratch.data};
    mb_kernel_phase(t->kernel, t->desc, &args, phase, thread);
}

struct case_sizes {
    size_t x, w, bias, y; /* elements */
};

static struct sum expected_at(const struct trial *t, int64_t index) {
    const float *x = (const float *)t->x.data, *w = (const float *)t->w.data;
    const float *bias = t->has_bias ? (const float *)t->bias.data : NULL;
    return t->kernel->kind == MB_STEP_MATMUL ? matmul_at(&t->desc->matmul, x, w, bias, index)
                                             : conv2d_at(&t->desc->conv2d, x, w, bias, index);
}

static bool value_fits(float got, struct sum expected, double rel_sum, double floor) {
    if (isnan(expected.value)) return isnan(got);
    if (isinf(expected.value)) return (double)got == expected.value;
    return fabs((double)got - expected.value) <= rel_sum * expected.magnitude + floor;
}

/* What rounding denormal products and sums costs at most. */
static double denormal_floor(const struct trial *t, const struct kt_tolerance *tolerance) {
    const struct mb_conv2d_desc *c = &t->desc->conv2d;
    const bool is_matmul = t->kernel->kind == MB_STEP_MATMUL;
    const int64_t terms = is_matmul ? t->desc->matmul.k : c->c * c->r * c->s;
    return (double)terms * 0x1p-149 * (tolerance->tile ? 100 : 1);
}

/* Whether a filter of output `index` holds what is not finite: a product with a zero of the padding
 * then counts in some kernels and not in others, as it does among PyTorch's. */
static bool filter_is_wild(const struct trial *t, int64_t index) {
    const struct mb_conv2d_desc *d = &t->desc->conv2d;
    const float *w = (const float *)t->w.data;
    const int64_t taps = d->c * d->r * d->s;
    int64_t at[4];
    if (t->kernel->kind == MB_STEP_MATMUL) return false;
    conv_position(d, index, at);
    for (int64_t i = 0; i < taps; i++)
        if (!isfinite(d->layout == MB_NCHW ? w[at[1] * taps + i] : w[i * d->filters + at[1]]))
            return true;
    return false;
}

static void describe(char *buf, size_t size, const struct trial *t) {
    static const char *const layouts[] = {[MB_NCHW] = "NCHW", [MB_NHWC] = "NHWC"};
    if (t->kernel->kind == MB_STEP_MATMUL) {
        const struct mb_matmul_desc *d = &t->desc->matmul;
        snprintf(buf, size,
                 "batch %lld m %lld n %lld k %lld a_stride %lld w_stride %lld bias %d act %d",
                 (long long)d->batch, (long long)d->m, (long long)d->n, (long long)d->k,
                 (long long)d->a_stride, (long long)d->w_stride, d->has_bias, (int)d->act);
    } else {
        const struct mb_conv2d_desc *d = &t->desc->conv2d;
        snprintf(buf, size,
                 "w %s x %s y %s n %lld c %lld h %lld w %lld filters %lld r %lld s %lld stride "
                 "%d,%d pad "
                 "%d,%d out %lldx%lld bias %d act %d pool %d kernel %d,%d stride %d,%d",
                 layouts[d->layout], layouts[d->x_layout], layouts[d->y_layout], (long long)d->n,
                 (long long)d->c, (long long)d->h, (long long)d->w, (long long)d->filters,
                 (long long)d->r, (long long)d->s, d->stride[0], d->stride[1], d->pad_before[0],
                 d->pad_before[1], (long long)d->out_h, (long long)d->out_w, d->has_bias,
                 (int)d->act, d->has_pool, d->pool_kernel[0], d->pool_kernel[1], d->pool_stride[0],
                 d->pool_stride[1]);
    }
}

static bool complain(const struct trial *t, int n_threads, enum kt_fill how, const char *what) {
    static const char *const fills[KT_N_FILLS] = {
        "integers", "normal",   "offset",   "nan",           "inf",
        "positive", "impulses", "denormal", "inf and zeros", "weights not finite"};
    char shape[320];
    describe(shape, sizeof shape, t);
    fprintf(stderr, "FAILED %s: %s, %d threads, fill %s: %s\n", t->kernel->name, shape, n_threads,
            fills[how], what);
    kt_counts.failed++;
    return false;
}

/* The largest magnitude of each tile among its sums that reach no output: what pooling leaves over,
 * and what lies beyond the edge. */
static void note_unused(const struct trial *t, int tile, int64_t rows, int64_t columns,
                        double *largest) {
    const struct mb_conv2d_desc *d = &t->desc->conv2d;
    const int64_t used_h = d->pool_h * (d->has_pool ? d->pool_stride[0] : 1);
    const int64_t used_w = d->pool_w * (d->has_pool ? d->pool_stride[1] : 1);
    const float *bias = t->has_bias ? (const float *)t->bias.data : NULL;
    for (int64_t n = 0; n < d->n; n++)
        for (int64_t y = 0; y < rows * tile; y++)
            for (int64_t x = y < used_h ? used_w : 0; x < columns * tile; x++) {
                double *of_tile = &largest[(n * rows + y / tile) * columns + x / tile];
                for (int64_t f = 0; f < d->filters; f++)
                    *of_tile = fmax(*of_tile, conv_at(d, (const float *)t->x.data,
                                                      (const float *)t->w.data, bias, n, f, y, x)
                                                  .magnitude);
            }
}

/* Makes every expected value of a tile what may be expected of any of them (struct kt_tolerance):
 * the largest magnitude, and an infinite one where the patch of x is not finite. */
static void spread_over_tiles(const struct trial *t, int tile, struct sum *expected, size_t count) {
    const struct mb_conv2d_desc *d = &t->desc->conv2d;
    const float *x = (const float *)t->x.data;
    const int64_t side = d->has_pool ? tile / d->pool_stride[0] : tile;
    const int64_t rows = (d->pool_h + side - 1) / side, columns = (d->pool_w + side - 1) / side;
    double *largest = calloc((size_t)(d->n * rows * columns), sizeof *largest);
    if (!largest) return;
    note_unused(t, tile, rows, columns, largest);
    for (int64_t i = 0; i < d->n * d->c * d->h * d->w; i++) {
        if (isfinite(x[i])) continue;
        const bool nchw = d->x_layout == MB_NCHW;
        const int64_t in_x = nchw ? i % d->w : i / d->c % d->w;
        const int64_t in_y = nchw ? i / d->w % d->h : i / d->c / d->w % d->h;
        const int64_t n = i / (d->c * d->h * d->w);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t c = 0; c < columns; c++) {
                const int64_t top = r * tile - d->pad_before[0], left = c * tile - d->pad_before[1];
                if (in_y >= top && in_y < top + tile + d->r - 1 && in_x >= left &&
                    in_x < left + tile + d->s - 1)
                    largest[(n * rows + r) * columns + c] = (double)INFINITY;
            }
    }
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < count; i++) {
            int64_t at[4];
            conv_position(d, (int64_t)i, at);
            double *of_tile = &largest[(at[0] * rows + at[2] / side) * columns + at[3] / side];
            if (pass == 0)
                *of_tile = fmax(*of_tile, expected[i].magnitude);
            else
                expected[i].magnitude = *of_tile;
        }
    free(largest);
}

static bool check_values(const struct trial *t, int n_threads, enum kt_fill how,
                         struct kt_tolerance tolerance) {
    const float *y = (const float *)t->y.data;
    const size_t count = t->y.bytes / sizeof *y;
    struct sum *expected = calloc(count ? count : 1, sizeof *expected);
    if (!expected) return complain(t, n_threads, how, "out of memory");
    for (size_t i = 0; i < count; i++) expected[i] = expected_at(t, (int64_t)i);
    if (tolerance.tile) spread_over_tiles(t, tolerance.tile, expected, count);
    double errors = 0, values = 0;
    const double floor = how == KT_DENORMAL ? denormal_floor(t, &tolerance) : 0;
    char what[160] = "";
    for (size_t i = 0; i < count && !*what; i++) {
        const bool wild = how == KT_INF_W && filter_is_wild(t, (int64_t)i);
        const bool anything = ((tolerance.tile && isinf(expected[i].magnitude)) || wild) &&
                              isfinite(expected[i].value);
        const bool not_finite = (tolerance.tile || wild) && !isfinite(expected[i].value);
        const double error = (double)y[i] - expected[i].value;
        errors += error * error;
        values += expected[i].value * expected[i].value;
        if (anything || (not_finite ? !isfinite(y[i])
                                    : value_fits(y[i], expected[i], tolerance.rel_sum, floor)))
            continue;
        snprintf(what, sizeof what, "y[%zu] is %.9g, expected %.9g within %.3g", i, (double)y[i],
                 expected[i].value, tolerance.rel_sum * expected[i].magnitude);
    }
    free(expected);
    if (!*what && tolerance.rms > 0 && how != KT_DENORMAL && count >= 256 && isfinite(errors) &&
        isfinite(values) && errors > tolerance.rms * tolerance.rms * values)
        snprintf(what, sizeof what, "rms error is %.3g of the result's, expected within %.3g",
                 sqrt(errors / values), tolerance.rms);
    return *what ? complain(t, n_threads, how, what) : true;
}

static bool run_case(const struct mb_cpu_kernel *kernel, const union mb_step_desc *desc,
                     struct case_sizes sizes, int n_threads, enum kt_fill how,
                     struct kt_tolerance tolerance) {
    if (!kernel->supports(desc, n_threads)) {
        kt_counts.unsupported++;
        return true;
    }
    kt_counts.run++;
    struct trial t = {.kernel = kernel, .desc = desc, .has_bias = sizes.bias > 0};
    t.x = kt_region_new(sizes.x * sizeof(float), kt_operand_align);
    t.w = kt_region_new(sizes.w * sizeof(float), kt_operand_align);
    t.bias = kt_region_new(sizes.bias * sizeof(float), kt_operand_align);
    t.y = kt_region_new(sizes.y * sizeof(float), kt_operand_align);
    t.packed = kt_region_new(kernel->packed_bytes(desc, n_threads), 64);
    t.scratch = kt_region_new(kernel->scratch_bytes(desc, n_threads), 64);
    const struct kt_region *regions[] = {&t.x, &t.w, &t.bias, &t.y, &t.packed, &t.scratch};
    float *first = malloc(t.y.bytes);
    struct mb_team *team = NULL;
    bool ok = first && mb_team_new(n_threads, &team, NULL) == MB_OK;
    if (!ok) {
        complain(&t, n_threads, how, "out of memory or threads");
        goto out;
    }
    fill((float *)t.x.data, sizes.x, how, true, 1);
    fill((float *)t.w.data, sizes.w, how, false, 2);
    fill((float *)t.bias.data, sizes.bias, how, false, 3);
    memset(t.packed.data, 0xff, t.packed.bytes); /* NaN, and no thread's leavings */
    mb_team_run(team, 1, pack_body, &t);
    for (int repeat = 0; ok && repeat < 2; repeat++) {
        memset(t.y.data, 0xff, t.y.bytes);
        memset(t.scratch.data, 0xff, t.scratch.bytes);
        mb_team_run(team, mb_kernel_phases(kernel, desc, n_threads), run_body, &t);
        if (repeat == 0) memcpy(first, t.y.data, t.y.bytes);
    }
    static const char *const overrun[] = {"guards of x overwritten",
                                          "guards of w overwritten",
                                          "guards of bias overwritten",
                                          "guards of y overwritten",
                                          "guards of packed overwritten",
                                          "guards of scratch "
                                          "overwritten"};
    for (int i = 0; ok && i < 6; i++)
        if (!kt_region_intact(regions[i])) ok = complain(&t, n_threads, how, overrun[i]);
    if (ok) ok = check_values(&t, n_threads, how, tolerance);
    if (ok && memcmp(first, t.y.data, t.y.bytes) != 0)
        ok = complain(&t, n_threads, how, "a second run gave other bits");
out:
    mb_team_free(team);
    free(first);
    for (int i = 0; i < 6; i++) {
        struct kt_region region = *regions[i];
        kt_region_free(&region);
    }
    return ok;
}

bool kt_matmul(const struct mb_cpu_kernel *kernel, const struct mb_matmul_desc *d, int n_threads,
               enum kt_fill how, struct kt_tolerance tolerance) {
    const union mb_step_desc desc = {.matmul = *d};
    const struct case_sizes sizes = {
        .x = (size_t)((d->batch - 1) * d->a_stride + d->m * d->k),
        .w = (size_t)((d->batch - 1) * d->w_stride + d->k * d->n),
        .bias = d->has_bias ? (size_t)d->n : 0,
        .y = (size_t)(d->batch * d->m * d->n),
    };
    return run_case(kernel, &desc, sizes, n_threads, how, tolerance);
}

bool kt_conv2d(const struct mb_cpu_kernel *kernel, const struct mb_conv2d_desc *d, int n_threads,
               enum kt_fill how, struct kt_tolerance tolerance) {
    const union mb_step_desc desc = {.conv2d = *d};
    const struct case_sizes sizes = {
        .x = (size_t)(d->n * d->c * d->h * d->w),
        .w = (size_t)(d->filters * d->c * d->r * d->s),
        .bias = d->has_bias ? (size_t)d->filters : 0,
        .y = (size_t)(d->n * d->filters * d->pool_h * d->pool_w),
    };
    return run_case(kernel, &desc, sizes, n_threads, how, tolerance);
}

struct mb_conv2d_desc kt_conv2d_desc(enum mb_layout layout, int64_t n, int64_t c, int64_t h,
                                     int64_t w, int64_t filters, int64_t r, int64_t s,
                                     int32_t stride, int32_t pad, int32_t pool) {
    struct mb_conv2d_desc d = {.layout = layout,
                               .x_layout = layout,
                               .y_layout = layout,
                               .n = n,
                               .c = c,
                               .h = h,
                               .w = w,
                               .filters = filters,
                               .r = r,
                               .s = s,
                               .stride = {stride, stride},
                               .pad_before = {pad, pad},
                               .out_h = mb_window_extent(h, pad, pad, r, stride),
                               .out_w = mb_window_extent(w, pad, pad, s, stride),
                               .has_pool = pool > 0,
                               .pool_kernel = {pool, pool},
                               .pool_stride = {pool, pool}};
    d.pool_h = pool ? mb_window_extent(d.out_h, 0, 0, pool, pool) : d.out_h;
    d.pool_w = pool ? mb_window_extent(d.out_w, 0, 0, pool, pool) : d.out_w;
    return d;
}
