/* Matrix product with few columns (1 to 64), as in a classifier's last layer: dot products along k.
 *
 * w is packed transposed, [n][k] with k padded to whole vectors by zeros, so that vectors run along
 * k of both operands and no lane is wasted however small n is. A tile of rows by columns shares the
 * loads; k goes in blocks that fit the first-level cache with all rows and columns. With a long k
 * the threads split it and add their sums after a barrier, each reading its part of w once; else
 * they split the tiles. */
#include "simd.h"

#include <string.h>

enum {
    MAX_N = 64,
    ROWS = 4,
    COLUMNS = VF_REGS == 32 ? 5 : 3, /* ROWS * COLUMNS sums, COLUMNS of w and one of x fit */
    KC = 1024,
    MIN_K = 2048, /* of a thread, where k is split */
};

static int64_t min_i64(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

static int64_t w_entries(const struct mb_matmul_desc *d) { return d->w_stride ? d->batch : 1; }
static int64_t padded_k(const struct mb_matmul_desc *d) { return divide_up(d->k, VW) * VW; }

/* In how many parts the threads cut k; each part has n_threads / k_parts threads for its tiles. */
static int k_parts(const struct mb_matmul_desc *d, int n_threads) {
    const int64_t parts = min_i64(n_threads, d->k / MIN_K);
    return parts < 1 ? 1 : (int)parts;
}

/* ---- packed: [entries][n][padded k], [n] bias (zeros without) ---- */

static size_t packed_bytes(const union mb_step_desc *desc, int n_threads) {
    const struct mb_matmul_desc *d = &desc->matmul;
    (void)n_threads;
    return (size_t)((w_entries(d) * padded_k(d) + 1) * d->n) * sizeof(float);
}

static void pack(const union mb_step_desc *desc, const float *w, const float *bias, void *packed,
                 const struct mb_thread *thread) {
    const struct mb_matmul_desc *d = &desc->matmul;
    const int64_t kp = padded_k(d);
    float *to = packed;
    int64_t i, end;
    for (mb_share(thread, w_entries(d) * kp, &i, &end); i < end; i++) {
        const int64_t entry = i / kp, k = i % kp;
        const float *from = w + entry * d->w_stride + k * d->n;
        for (int64_t j = 0; j < d->n; j++)
            to[(entry * d->n + j) * kp + k] = k < d->k ? from[j] : 0.0f;
    }
    if (thread->index != 0) return;
    for (int64_t j = 0; j < d->n; j++) to[w_entries(d) * d->n * kp + j] = bias ? bias[j] : 0.0f;
}

/* ---- one tile ---- */

struct tile {
    const float *x; /* first row and k */
    int64_t x_stride;
    const float *w; /* first column and k; readable up to whole vectors */
    int64_t w_stride;
    int64_t k;  /* of this block */
    float *sum; /* [rows][columns] */
    int64_t sum_stride;
    bool first; /* start from zero */
};

MB_INLINE void multiply_add(VF (*sum)[COLUMNS], const struct tile *t, int64_t k, int64_t count,
                            const int rows, const int columns) {
    VF w[COLUMNS];
    MB_UNROLL for (int j = 0; j < columns; j++) w[j] = vf_load(t->w + j * t->w_stride + k);
    MB_UNROLL for (int i = 0; i < rows; i++) {
        const float *from = t->x + i * t->x_stride + k;
        const VF x = count < VW ? vf_load_part(from, count) : vf_load(from);
        MB_UNROLL for (int j = 0; j < columns; j++) sum[i][j] = vf_fma(x, w[j], sum[i][j]);
    }
}

MB_INLINE void compute(const struct tile *t, const int rows, const int columns) {
    VF sum[ROWS][COLUMNS];
    MB_UNROLL for (int i = 0; i < rows; i++) {
        MB_UNROLL for (int j = 0; j < columns; j++) sum[i][j] = vf_zero();
    }
    int64_t k = 0;
    for (; k + VW <= t->k; k += VW) multiply_add(sum, t, k, VW, rows, columns);
    if (k < t->k) multiply_add(sum, t, k, t->k - k, rows, columns);
    MB_UNROLL for (int i = 0; i < rows; i++) {
        MB_UNROLL for (int j = 0; j < columns; j++) {
            float *to = t->sum + i * t->sum_stride + j;
            const float value = vf_sum(sum[i][j]);
            *to = t->first ? value : *to + value;
        }
    }
}

#define TILE(r, c)                                                                                 \
    static void tile_##r##x##c(const struct tile *t) { compute(t, r, c); }
#define TILE_ENTRY(r, c) tile_##r##x##c,
#if VF_REGS == 32
#define COLUMNS_OF(T, r) T(r, 1) T(r, 2) T(r, 3) T(r, 4) T(r, 5)
#else
#define COLUMNS_OF(T, r) T(r, 1) T(r, 2) T(r, 3)
#endif
COLUMNS_OF(TILE, 1)
COLUMNS_OF(TILE, 2)
COLUMNS_OF(TILE, 3)
COLUMNS_OF(TILE, 4)

typedef void tile_fn(const struct tile *t);
static tile_fn *const tiles[ROWS][COLUMNS] = {{COLUMNS_OF(TILE_ENTRY, 1)},
                                              {COLUMNS_OF(TILE_ENTRY, 2)},
                                              {COLUMNS_OF(TILE_ENTRY, 3)},
                                              {COLUMNS_OF(TILE_ENTRY, 4)}};

/* ---- who computes what ---- */

/* Part `index` of `parts`, sizes differing by at most one. */
static void part_of(int64_t count, int64_t index, int64_t parts, int64_t *begin, int64_t *size) {
    int64_t end;
    mb_share(&(struct mb_thread){(int)index, (int)parts}, count, begin, &end);
    *size = end - *begin;
}

struct unit { /* one tile of y */
    int64_t entry, row, rows, column, columns;
};

static int64_t row_tiles(const struct mb_matmul_desc *d) { return divide_up(d->m, ROWS); }
static int64_t column_tiles(const struct mb_matmul_desc *d) { return divide_up(d->n, COLUMNS); }

static struct unit unit_at(const struct mb_matmul_desc *d, int64_t index) {
    struct unit u = {.entry = index / (row_tiles(d) * column_tiles(d))};
    part_of(d->n, index % column_tiles(d), column_tiles(d), &u.column, &u.columns);
    part_of(d->m, index / column_tiles(d) % row_tiles(d), row_tiles(d), &u.row, &u.rows);
    return u;
}

static void finish(const struct mb_matmul_desc *d, const float *from, int parts, int64_t stride,
                   const float *bias, float *y, int64_t count) {
    for (int64_t j = 0; j < count; j++) {
        float sum = from[j];
        for (int p = 1; p < parts; p++) sum += from[p * stride + j];
        sum += bias[j];
        y[j] = d->act == MB_ACT_RELU && sum <= 0.0f ? 0.0f : sum;
    }
}

static size_t scratch_bytes(const union mb_step_desc *desc, int n_threads) {
    const struct mb_matmul_desc *d = &desc->matmul;
    const int parts = k_parts(d, n_threads);
    return parts > 1 ? (size_t)(parts * d->batch * d->m * d->n) * sizeof(float) : 0;
}

static void run(const union mb_step_desc *desc, const struct mb_kernel_args *args,
                const struct mb_thread *thread) {
    const struct mb_matmul_desc *d = &desc->matmul;
    const int parts = k_parts(d, thread->count), team = thread->count / parts;
    const int64_t kp = padded_k(d), y_floats = d->batch * d->m * d->n;
    const float *w = args->packed, *bias = w + w_entries(d) * d->n * kp;
    const int part = thread->index % parts, member = thread->index / parts;
    float *sum = parts > 1 ? (float *)args->scratch + part * y_floats : args->y;

    /* Threads beyond parts * team have no tile. Parts of k are whole vectors but the last. */
    int64_t first_unit = 0, n_units = 0, first_k, k_vectors;
    if (member < team)
        part_of(d->batch * row_tiles(d) * column_tiles(d), member, team, &first_unit, &n_units);
    part_of(kp / VW, part, parts, &first_k, &k_vectors);
    const int64_t k_begin = first_k * VW, k_end = min_i64(d->k, k_begin + k_vectors * VW);
    for (int64_t k = k_begin; k < k_end; k += KC)
        for (int64_t i = first_unit; i < first_unit + n_units; i++) {
            const struct unit u = unit_at(d, i);
            const struct tile t = {
                .x = args->x + u.entry * d->a_stride + u.row * d->k + k,
                .x_stride = d->k,
                .w = w + ((d->w_stride ? u.entry * d->n : 0) + u.column) * kp + k,
                .w_stride = kp,
                .k = min_i64(KC, k_end - k),
                .sum = sum + (u.entry * d->m + u.row) * d->n + u.column,
                .sum_stride = d->n,
                .first = k == k_begin,
            };
            tiles[u.rows - 1][u.columns - 1](&t);
        }

    if (parts > 1) return;
    for (int64_t i = first_unit; i < first_unit + n_units; i++) {
        const struct unit u = unit_at(d, i);
        for (int64_t r = 0; r < u.rows; r++) {
            float *y = args->y + (u.entry * d->m + u.row + r) * d->n + u.column;
            finish(d, y, 1, 0, bias + u.column, y, u.columns);
        }
    }
}

/* The sums of the parts of k to y. */
static void combine(const union mb_step_desc *desc, const struct mb_kernel_args *args,
                    const struct mb_thread *thread) {
    const struct mb_matmul_desc *d = &desc->matmul;
    const float *bias = (const float *)args->packed + w_entries(d) * d->n * padded_k(d);
    const int parts = k_parts(d, thread->count);
    int64_t row, end;
    for (mb_share(thread, d->batch * d->m, &row, &end); row < end; row++)
        finish(d, (float *)args->scratch + row * d->n, parts, d->batch * d->m * d->n, bias,
               args->y + row * d->n, d->n);
}

static bool combines(const union mb_step_desc *desc, int n_threads) {
    return k_parts(&desc->matmul, n_threads) > 1;
}

static bool supports(const union mb_step_desc *desc, int n_threads) {
    (void)n_threads;
    return desc->matmul.n <= MAX_N;
}

/* Per sum one multiply-add a vector of k, two in three cycles (loads are the rest), and the sum of
 * lanes. */
static double cost(const union mb_step_desc *desc, int n_threads) {
    const struct mb_matmul_desc *d = &desc->matmul;
    const double sums = (double)d->batch * (double)d->m * (double)d->n;
    const double busy = n_threads < row_tiles(d) * column_tiles(d) * k_parts(d, n_threads)
                            ? n_threads
                            : (double)(row_tiles(d) * column_tiles(d) * k_parts(d, n_threads));
    return 300 + sums * ((double)padded_k(d) / VW * 0.75 + 12) / 3 / busy;
}

MB_KERNEL(f32_dot) = {
    MB_KERNEL_HEAD(f32_dot),
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
