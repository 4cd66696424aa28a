/* Matrix product by register tiles over packed weights: every shape, best from about five rows on.
 *
 * w is packed once to panels of NR columns, [n/NR][k][NR], the last one padded with zeros, so that
 * the innermost loop reads it with whole vectors at consecutive addresses. A tile is MR rows by NR
 * columns of y in registers; per step of k it costs two loads of w and a broadcast of each row's x
 * (6 + 2 loads for 12 multiply-adds of AVX2, 12 + 2 for 24 of AVX-512). Every remainder has its own
 * tile: 1..MR rows, one or two vectors of columns.
 *
 * k is cut into blocks of at most KC, so that a block of a panel stays in the first-level cache
 * while all row tiles use it; y carries the sums from block to block. Where x's rows do not fit the
 * second-level cache, blocks of MC rows of it are copied together first: rows a power of two apart
 * would evict one another. */
#include "simd.h"

#include <string.h>

enum {
    MR = VF_REGS == 32 ? 12 : 6,
    NR = 2 * VW,
    KC = 1024,
    MC = 16 * MR,
    AHEAD = 1024,            /* floats of a panel fetched ahead of their use */
    X_STRIDE = KC + 16,      /* of a copied row: a line more than a multiple of any power of two */
    X_IN_CACHE = 192 * 1024, /* bytes of x that a thread may leave where they are */
};

static int64_t min_i64(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

static int64_t w_entries(const struct mb_matmul_desc *d) { return d->w_stride ? d->batch : 1; }
static int64_t n_panels(const struct mb_matmul_desc *d) { return divide_up(d->n, NR); }

/* ---- who computes what ---- */

/* Threads in a grid over batch entries, rows and panels of columns. */
struct grid {
    int batch, rows, panels;
};

/* Cycles of the busiest thread: per step of k and panel, one for each row's two multiply-adds, half
 * of one for each tile's overhead, two for bringing in the panel. */
static double busiest(const struct mb_matmul_desc *d, struct grid g) {
    const int64_t rows = divide_up(d->m, g.rows);
    return (double)divide_up(d->batch, g.batch) * (double)divide_up(n_panels(d), g.panels) *
           (double)d->k * ((double)rows + 0.5 * (double)divide_up(rows, MR) + 2);
}

static struct grid best_grid(const struct mb_matmul_desc *d, int n_threads) {
    struct grid best = {1, 1, 1};
    double best_cost = busiest(d, best);
    for (int b = 1; b <= n_threads && b <= d->batch; b++)
        for (int r = 1; r * b <= n_threads && r <= d->m; r++) {
            const struct grid g = {b, r, (int)min_i64(n_threads / (b * r), n_panels(d))};
            const double cost = busiest(d, g);
            if (cost < best_cost) best = g, best_cost = cost;
        }
    return best;
}

struct range {
    int64_t begin, end;
};

static struct range share_of(int64_t count, int index, int parts) {
    struct range r;
    mb_share(&(struct mb_thread){index, parts}, count, &r.begin, &r.end);
    return r;
}

/* ---- packed weights: [entries][panels][k][NR], bias [panels][NR] (zeros without), the grid ----
 */

static int64_t weight_floats(const struct mb_matmul_desc *d) {
    return w_entries(d) * n_panels(d) * d->k * NR;
}

static size_t packed_bytes(const union mb_step_desc *desc, int n_threads) {
    const struct mb_matmul_desc *d = &desc->matmul;
    (void)n_threads;
    return (size_t)(weight_floats(d) + n_panels(d) * NR) * sizeof(float) + sizeof(struct grid);
}

static const float *bias_of(const struct mb_matmul_desc *d, const void *packed) {
    return (const float *)packed + weight_floats(d);
}

static struct grid grid_of(const struct mb_matmul_desc *d, const void *packed) {
    struct grid g;
    memcpy(&g, bias_of(d, packed) + n_panels(d) * NR, sizeof g);
    return g;
}

static void pack_row(const float *from, int64_t columns, float *to) {
    VF zero = vf_zero();
    if (columns >= NR) {
        vf_store(to, vf_load(from));
        vf_store(to + VW, vf_load(from + VW));
        return;
    }
    vf_store(to, columns < VW ? vf_load_part(from, columns) : vf_load(from));
    vf_store(to + VW, columns > VW ? vf_load_part(from + VW, columns - VW) : zero);
}

static void pack(const union mb_step_desc *desc, const float *w, const float *bias, void *packed,
                 const struct mb_thread *thread) {
    const struct mb_matmul_desc *d = &desc->matmul;
    float *to = packed;
    struct range mine = share_of(w_entries(d) * n_panels(d), thread->index, thread->count);
    for (int64_t i = mine.begin; i < mine.end; i++) {
        const int64_t entry = i / n_panels(d), column = i % n_panels(d) * NR;
        const float *from = w + entry * d->w_stride + column;
        for (int64_t k = 0; k < d->k; k++)
            pack_row(from + k * d->n, d->n - column, to + (i * d->k + k) * NR);
    }
    if (thread->index != 0) return;
    float *bias_to = to + weight_floats(d);
    const struct grid grid = best_grid(d, thread->count);
    for (int64_t j = 0; j < n_panels(d) * NR; j++) bias_to[j] = bias && j < d->n ? bias[j] : 0.0f;
    memcpy(bias_to + n_panels(d) * NR, &grid, sizeof grid);
}

/* ---- one tile ---- */

struct tile {
    const float *x; /* first row, first k of the block */
    int64_t x_stride;
    const float *w; /* [kc][NR] */
    int64_t kc;
    const float *bias; /* [NR]: start from it; NULL: go on from y */
    float *y;
    int64_t y_stride;
    int64_t last; /* columns of the last vector, 1..VW */
    bool relu;
};

/* y[mr][nv vectors] (+)= x[mr][kc] * w[kc][nv vectors]; mr and nv are constants of each copy. The
 * last vector has t->last columns if `partial`. y is fetched while the sums are made. */
MB_INLINE void compute(const struct tile *t, const int mr, const int nv, const bool partial) {
    VF sum[MR][2];
    const float *w = t->w, *x = t->x, *bias = t->bias;
    float *y = t->y;
    const int64_t x_stride = t->x_stride, y_stride = t->y_stride, last = t->last, kc = t->kc;
    const bool relu = t->relu;
    MB_UNROLL for (int i = 0; i < mr; i++) {
        mb_prefetch(y + i * y_stride);
        MB_UNROLL for (int v = 0; v < nv; v++) sum[i][v] =
            bias ? vf_load(bias + v * VW) : vf_zero();
    }
    for (int64_t k = 0; k < kc; k++, w += NR, x++) {
        VF wv[2];
        MB_UNROLL for (int v = 0; v < nv; v++) wv[v] = vf_load(w + v * VW);
        mb_prefetch(w + AHEAD);
        MB_UNROLL for (int i = 0; i < mr; i++) {
            const VF xv = vf_set1(x[i * x_stride]);
            MB_UNROLL for (int v = 0; v < nv; v++) sum[i][v] = vf_fma(xv, wv[v], sum[i][v]);
        }
    }
    MB_UNROLL for (int i = 0; i < mr; i++) {
        MB_UNROLL for (int v = 0; v < nv; v++) {
            float *to = y + i * y_stride + v * VW;
            const bool part = partial && v == nv - 1;
            VF out = sum[i][v];
            if (!bias) out = vf_add(out, part ? vf_load_part(to, last) : vf_load(to));
            if (relu) out = vf_relu(out);
            if (part)
                vf_store_part(to, out, last);
            else
                vf_store(to, out);
        }
    }
}

MB_INLINE void compute_any(const struct tile *t, const int mr, const int nv) {
    if (t->last == VW)
        compute(t, mr, nv, false);
    else
        compute(t, mr, nv, true);
}

typedef void tile_fn(const struct tile *t);

#define TILE(mr)                                                                                   \
    static void tile_##mr##x1(const struct tile *t) { compute_any(t, mr, 1); }                     \
    static void tile_##mr##x2(const struct tile *t) { compute_any(t, mr, 2); }
#define TILE_ROW(mr) {tile_##mr##x1, tile_##mr##x2},
#if VF_REGS == 32
#define TILES(T) T(1) T(2) T(3) T(4) T(5) T(6) T(7) T(8) T(9) T(10) T(11) T(12)
#else
#define TILES(T) T(1) T(2) T(3) T(4) T(5) T(6)
#endif
TILES(TILE)
static tile_fn *const tiles[MR][2] = {TILES(TILE_ROW)};

/* ---- blocks ---- */

/* One thread's part of one product of the batch. */
struct job {
    const struct mb_matmul_desc *d;
    const float *x, *w, *bias; /* [m][k], [panels][k][NR], [panels][NR] */
    float *y;                  /* [m][n] */
    struct range rows, panels;
    float *copy; /* MC rows of X_STRIDE floats */
};

/* Block kb of k for some rows and one panel. x points to its first row and k. */
static void panel_block(const struct job *job, struct range rows, struct range kb, int64_t panel,
                        const float *x, int64_t x_stride) {
    const struct mb_matmul_desc *d = job->d;
    const int64_t columns = min_i64(d->n - panel * NR, NR), nv = divide_up(columns, VW);
    const int64_t n_tiles = divide_up(rows.end - rows.begin, MR);
    struct tile t = {.x_stride = x_stride,
                     .w = job->w + (panel * d->k + kb.begin) * NR,
                     .kc = kb.end - kb.begin,
                     .bias = kb.begin == 0 ? job->bias + panel * NR : NULL,
                     .y_stride = d->n,
                     .last = columns - (nv - 1) * VW,
                     .relu = kb.end == d->k && d->act == MB_ACT_RELU};
    for (int64_t i = 0; i < n_tiles; i++) {
        const struct range r = share_of(rows.end - rows.begin, (int)i, (int)n_tiles);
        t.x = x + r.begin * x_stride;
        t.y = job->y + (rows.begin + r.begin) * d->n + panel * NR;
        tiles[r.end - r.begin - 1][nv - 1](&t);
    }
}

static struct range k_block(const struct mb_matmul_desc *d, int64_t index) {
    return share_of(d->k, (int)index, (int)divide_up(d->k, KC));
}

/* All of x stays in the second-level cache: each panel once, from first k to last. */
static void small_x(const struct job *job) {
    const struct mb_matmul_desc *d = job->d;
    for (int64_t panel = job->panels.begin; panel < job->panels.end; panel++)
        for (int64_t b = 0; b < divide_up(d->k, KC); b++) {
            const struct range kb = k_block(d, b);
            panel_block(job, job->rows, kb, panel, job->x + job->rows.begin * d->k + kb.begin,
                        d->k);
        }
}

/* Blocks of MC rows by KC of x, copied together, each against all panels. */
static void large_x(const struct job *job) {
    const struct mb_matmul_desc *d = job->d;
    const int64_t n_rows = job->rows.end - job->rows.begin, n_blocks = divide_up(n_rows, MC);
    for (int64_t m = 0; m < n_blocks; m++) {
        struct range rows = share_of(n_rows, (int)m, (int)n_blocks);
        rows.begin += job->rows.begin, rows.end += job->rows.begin;
        for (int64_t b = 0; b < divide_up(d->k, KC); b++) {
            const struct range kb = k_block(d, b);
            for (int64_t i = rows.begin; i < rows.end; i++)
                memcpy(job->copy + (i - rows.begin) * X_STRIDE, job->x + i * d->k + kb.begin,
                       (size_t)(kb.end - kb.begin) * sizeof(float));
            for (int64_t panel = job->panels.begin; panel < job->panels.end; panel++)
                panel_block(job, rows, kb, panel, job->copy, X_STRIDE);
        }
    }
}

static bool x_is_large(const struct mb_matmul_desc *d) { return d->m * d->k * 4 > X_IN_CACHE; }

static size_t scratch_bytes(const union mb_step_desc *desc, int n_threads) {
    return x_is_large(&desc->matmul) ? (size_t)n_threads * MC * X_STRIDE * sizeof(float) : 0;
}

static void run(const union mb_step_desc *desc, const struct mb_kernel_args *args,
                const struct mb_thread *thread) {
    const struct mb_matmul_desc *d = &desc->matmul;
    const struct grid g = grid_of(d, args->packed);
    const int index = thread->index;
    if (index >= g.batch * g.rows * g.panels) return;
    const struct range batch = share_of(d->batch, index / (g.rows * g.panels), g.batch);
    struct job job = {
        .d = d,
        .bias = bias_of(d, args->packed),
        .rows = share_of(d->m, index / g.panels % g.rows, g.rows),
        .panels = share_of(n_panels(d), index % g.panels, g.panels),
        .copy = (float *)args->scratch + (int64_t)index * MC * X_STRIDE,
    };
    for (int64_t b = batch.begin; b < batch.end; b++) {
        job.x = args->x + b * d->a_stride;
        job.w = (const float *)args->packed + (d->w_stride ? b * n_panels(d) * d->k * NR : 0);
        job.y = args->y + b * d->m * d->n;
        if (x_is_large(d))
            large_x(&job);
        else
            small_x(&job);
    }
}

static bool supports(const union mb_step_desc *desc, int n_threads) {
    (void)desc, (void)n_threads;
    return true;
}

static double cost(const union mb_step_desc *desc, int n_threads) {
    return 300 + busiest(&desc->matmul, best_grid(&desc->matmul, n_threads)) / 3;
}

MB_KERNEL(f32_gemm) = {
    MB_KERNEL_HEAD(f32_gemm),
    .kind = MB_STEP_MATMUL,
    .supports = supports,
    .cost = cost,
    .packed_bytes = packed_bytes,
    .scratch_bytes = scratch_bytes,
    .pack = pack,
    .run = run,
};
