/* A few rows (1 to 4) times a matrix: bound by reading the weights, which stay row-major.
 *
 * A thread adds ROWS rows of w at a time to a block of columns whose sums stay in the caches, then
 * the rows below those. The rows lie a ROWS-th of the thread's part of k apart, so that it reads
 * that many long runs of memory side by side (which doubled the rate of a core on Zen 3), each byte
 * once. Usually k is split between the threads, and the partial sums are added in a second phase;
 * with many columns and few k, or a batch, columns are split instead. Packing w in panels and
 * software prefetch gained nothing where this was measured. */
#include "simd.h"

#include <string.h>

enum {
    MAX_M = 4,
    ROWS = 6, /* of w at once: with y they fit the 8 ways of a cache set if all fall into one */
    BLOCK_FLOATS = 16384, /* sums that stay in the cache: m rows of them */
    MIN_K = 64,           /* of a thread, where k is split */
    SPLIT_COLUMNS = 1024, /* of a thread, where columns are */
};

static int64_t min_i64(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

static int64_t w_entries(const struct mb_matmul_desc *d) { return d->w_stride ? d->batch : 1; }

static bool splits_k(const struct mb_matmul_desc *d, int n_threads) {
    const int64_t column_units = d->batch * divide_up(d->n, SPLIT_COLUMNS);
    return n_threads > 1 && d->k >= (int64_t)n_threads * MIN_K && column_units < 8 * n_threads;
}

/* ---- packed: [entries][k][n] as it was, [n] bias, zeros without ---- */

static size_t packed_bytes(const union mb_step_desc *desc, int n_threads) {
    const struct mb_matmul_desc *d = &desc->matmul;
    (void)n_threads;
    return (size_t)((w_entries(d) * d->k + 1) * d->n) * sizeof(float);
}

static void pack(const union mb_step_desc *desc, const float *w, const float *bias, void *packed,
                 const struct mb_thread *thread) {
    const struct mb_matmul_desc *d = &desc->matmul;
    const size_t row_bytes = (size_t)d->n * sizeof(float);
    float *to = packed;
    int64_t row, end, rows = w_entries(d) * d->k;
    for (mb_share(thread, rows, &row, &end); row < end; row++)
        memcpy(to + row * d->n, w + row / d->k * d->w_stride + row % d->k * d->n, row_bytes);
    if (thread->index != 0) return;
    if (bias)
        memcpy(to + rows * d->n, bias, row_bytes);
    else
        memset(to + rows * d->n, 0, row_bytes);
}

/* ---- sums of rows ---- */

/* sum[m][columns] (+)= a[m][rows] * w[rows][columns]. */
struct strip {
    const float *a; /* first k of the strip */
    int64_t a_stride;
    const float *w; /* first k and column */
    int64_t w_stride;
    float *sum;
    int64_t sum_stride;
    int64_t columns;
    int64_t apart; /* rows of w between those added at once */
    bool first;    /* start from zero */
};

/* `rows` rows of w at once; m and rows are constants of each copy. */
MB_INLINE void add_rows(const struct strip *s, const int m, const int rows) {
    VF a[MAX_M][ROWS];
    MB_UNROLL for (int i = 0; i < m; i++) {
        MB_UNROLL for (int r = 0; r < rows; r++) a[i][r] =
            vf_set1(s->a[i * s->a_stride + r * s->apart]);
    }
    int64_t j = 0;
    for (; j + 2 * VW <= s->columns; j += 2 * VW) {
        VF sum[MAX_M][2];
        MB_UNROLL for (int i = 0; i < m; i++) {
            MB_UNROLL for (int v = 0; v < 2; v++) sum[i][v] =
                s->first ? vf_zero() : vf_load(s->sum + i * s->sum_stride + j + v * VW);
        }
        MB_UNROLL for (int r = 0; r < rows; r++) {
            const float *w = s->w + r * s->apart * s->w_stride + j;
            MB_UNROLL for (int v = 0; v < 2; v++) {
                const VF wv = vf_load(w + v * VW);
                MB_UNROLL for (int i = 0; i < m; i++) sum[i][v] = vf_fma(a[i][r], wv, sum[i][v]);
            }
        }
        MB_UNROLL for (int i = 0; i < m; i++) {
            MB_UNROLL for (int v = 0; v < 2; v++)
                vf_store(s->sum + i * s->sum_stride + j + v * VW, sum[i][v]);
        }
    }
    for (; j < s->columns; j += VW) {
        const int64_t count = min_i64(s->columns - j, VW);
        VF sum[MAX_M];
        MB_UNROLL for (int i = 0; i < m; i++) sum[i] =
            s->first ? vf_zero() : vf_load_part(s->sum + i * s->sum_stride + j, count);
        MB_UNROLL for (int r = 0; r < rows; r++) {
            const VF wv = vf_load_part(s->w + r * s->apart * s->w_stride + j, count);
            MB_UNROLL for (int i = 0; i < m; i++) sum[i] = vf_fma(a[i][r], wv, sum[i]);
        }
        MB_UNROLL for (int i = 0; i < m; i++)
            vf_store_part(s->sum + i * s->sum_stride + j, sum[i], count);
    }
}

MB_INLINE void add_strip_m(struct strip s, int64_t k, const int m) {
    s.apart = k / ROWS;
    for (int64_t i = 0; i < s.apart; i++) {
        add_rows(&s, m, ROWS);
        s.a++, s.w += s.w_stride, s.first = false;
    }
    s.a += (ROWS - 1) * s.apart, s.w += (ROWS - 1) * s.apart * s.w_stride;
    for (int64_t i = ROWS * s.apart; i < k; i++) {
        add_rows(&s, m, 1);
        s.a++, s.w += s.w_stride, s.first = false;
    }
}

static void add_strip(const struct strip *s, int64_t k, int64_t m) {
    switch (m) {
    case 1: add_strip_m(*s, k, 1); break;
    case 2: add_strip_m(*s, k, 2); break;
    case 3: add_strip_m(*s, k, 3); break;
    default: add_strip_m(*s, k, 4); break;
    }
}

/* y[columns] = act(sum over parts of from[part * stride + column] + bias). */
static void finish(const struct mb_matmul_desc *d, const float *from, int parts, int64_t stride,
                   const float *bias, float *y, int64_t columns) {
    for (int64_t j = 0; j < columns; j += VW) {
        const int64_t count = min_i64(columns - j, VW);
        VF sum = vf_load_part(from + j, count);
        for (int p = 1; p < parts; p++)
            sum = vf_add(sum, vf_load_part(from + p * stride + j, count));
        sum = vf_add(sum, vf_load_part(bias + j, count));
        vf_store_part(y + j, d->act == MB_ACT_RELU ? vf_relu(sum) : sum, count);
    }
}

/* ---- the two splits ---- */

/* Sums over k [begin, end) for columns [column, column + columns) of one batch entry. */
static void add_block(const struct mb_matmul_desc *d, const float *a, const float *w, int64_t begin,
                      int64_t end, int64_t column, int64_t columns, float *sum) {
    const struct strip s = {.a = a + begin,
                            .a_stride = d->k,
                            .w = w + begin * d->n + column,
                            .w_stride = d->n,
                            .sum = sum + column,
                            .sum_stride = d->n,
                            .columns = columns,
                            .first = true};
    add_strip(&s, end - begin, d->m);
}

static int64_t block_columns(const struct mb_matmul_desc *d) { return BLOCK_FLOATS / d->m; }

static void split_k(const struct mb_matmul_desc *d, const struct mb_kernel_args *args,
                    const struct mb_thread *thread) {
    const int64_t y_floats = d->batch * d->m * d->n;
    float *partial = (float *)args->scratch + thread->index * y_floats;
    const float *w = args->packed;
    int64_t begin, end;
    mb_share(thread, d->k, &begin, &end);
    for (int64_t b = 0; b < d->batch; b++)
        for (int64_t j = 0; j < d->n; j += block_columns(d))
            add_block(d, args->x + b * d->a_stride, w + (d->w_stride ? b * d->k * d->n : 0), begin,
                      end, j, min_i64(d->n - j, block_columns(d)), partial + b * d->m * d->n);
}

/* The partial sums of split_k to y. */
static void combine(const union mb_step_desc *desc, const struct mb_kernel_args *args,
                    const struct mb_thread *thread) {
    const struct mb_matmul_desc *d = &desc->matmul;
    const int64_t y_floats = d->batch * d->m * d->n;
    const float *bias = (const float *)args->packed + w_entries(d) * d->k * d->n;
    int64_t begin, end;
    mb_share(thread, d->n, &begin, &end);
    for (int64_t row = 0; row < d->batch * d->m; row++)
        finish(d, (float *)args->scratch + row * d->n + begin, thread->count, y_floats,
               bias + begin, args->y + row * d->n + begin, end - begin);
}

static bool combines(const union mb_step_desc *desc, int n_threads) {
    return splits_k(&desc->matmul, n_threads);
}

static void split_columns(const struct mb_matmul_desc *d, const struct mb_kernel_args *args,
                          const struct mb_thread *thread) {
    const float *w = args->packed, *bias = w + w_entries(d) * d->k * d->n;
    int64_t at, end;
    mb_share(thread, d->batch * d->n, &at, &end);
    while (at < end) {
        const int64_t b = at / d->n, column = at % d->n;
        int64_t columns = min_i64(min_i64(d->n - column, end - at), block_columns(d));
        float *y = args->y + b * d->m * d->n;
        add_block(d, args->x + b * d->a_stride, w + (d->w_stride ? b * d->k * d->n : 0), 0, d->k,
                  column, columns, y);
        for (int64_t i = 0; i < d->m; i++)
            finish(d, y + i * d->n + column, 1, 0, bias + column, y + i * d->n + column, columns);
        at += columns;
    }
}

/* Sums of each thread: [threads][batch][m][n]. */
static size_t scratch_bytes(const union mb_step_desc *desc, int n_threads) {
    const struct mb_matmul_desc *d = &desc->matmul;
    return splits_k(d, n_threads) ? (size_t)(n_threads * d->batch * d->m * d->n) * sizeof(float)
                                  : 0;
}

static void run(const union mb_step_desc *desc, const struct mb_kernel_args *args,
                const struct mb_thread *thread) {
    if (splits_k(&desc->matmul, thread->count))
        split_k(&desc->matmul, args, thread);
    else
        split_columns(&desc->matmul, args, thread);
}

static bool supports(const union mb_step_desc *desc, int n_threads) {
    (void)n_threads;
    return desc->matmul.m <= MAX_M;
}

/* Per 64 bytes of w two cycles to read them and one for each row's sums. */
static double cost(const union mb_step_desc *desc, int n_threads) {
    const struct mb_matmul_desc *d = &desc->matmul;
    const double lines = (double)d->batch * (double)d->k * ((double)d->n / 16 + 1);
    return 400 + lines * (2 + 0.75 * (double)d->m) / 3 / n_threads;
}

MB_KERNEL(f32_gemv) = {
    MB_KERNEL_HEAD(f32_gemv),
    .kind = MB_STEP_MATMUL,
    .supports = supports,
    .cost = cost,
    .packed_bytes = packed_bytes,
    .scratch_bytes = scratch_bytes,
    .pack = pack,
    .run = run,
    .combines = combines,
    .combine = combine,
};
