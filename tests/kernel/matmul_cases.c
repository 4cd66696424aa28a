/* Matrix products: shapes around every tile and block size, batches, strides, threads. */
#include "kernel_tester.h"

#include <math.h>

static const int threads[] = {1, 2, 3, 5};
enum { N_THREADS = sizeof threads / sizeof *threads };

/* Of a sum of k rounded products, in any order of a few partial sums: each partial sum is at most
 * the sum of magnitudes, and roundings are independent enough to grow with sqrt(k). */
static struct kt_tolerance rounding(int64_t k) {
    return (struct kt_tolerance){.rel_sum = 0x1p-24 * (4 + 2 * sqrt((double)k))};
}

static void try_shape(const struct mb_cpu_kernel *kernel, struct mb_matmul_desc d, int n_threads) {
    static const struct kt_tolerance exact = {0};
    kt_matmul(kernel, &d, n_threads, KT_INTEGERS, exact);
}

/* All four combinations of bias and activation, in turn from shape to shape. */
static void with_epilogue(struct mb_matmul_desc *d, int turn) {
    d->has_bias = turn & 1;
    d->act = turn & 2 ? MB_ACT_RELU : MB_ACT_NONE;
}

void kt_matmul_cases(const struct mb_cpu_kernel *kernel) {
    static const int64_t ms[] = {1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 23, 24, 25, 31, 37};
    static const int64_t ns[] = {1,  2,  3,  5,  7,  8,  9,  10, 15, 16, 17, 24,
                                 29, 31, 32, 33, 47, 48, 49, 63, 64, 65, 97};
    static const int64_t ks[] = {1, 2, 7, 8, 9, 16, 33, 67};
    int turn = 0;
    for (size_t i = 0; i < sizeof ms / sizeof *ms; i++)
        for (size_t j = 0; j < sizeof ns / sizeof *ns; j++)
            for (size_t l = 0; l < sizeof ks / sizeof *ks; l++, turn++) {
                struct mb_matmul_desc d = {.batch = 1, .m = ms[i], .n = ns[j], .k = ks[l]};
                with_epilogue(&d, turn);
                try_shape(kernel, d, threads[turn / 4 % N_THREADS]);
            }

    /* Larger than the cache blocks of k, m and n, and the benchmark's own shapes. */
    static const int64_t large[][3] = {
        {1, 1031, 1021}, {1, 4099, 300}, {1, 64, 9001},   {2, 777, 521},    {3, 2053, 129},
        {4, 1025, 258},  {1, 10, 16384}, {8, 10, 2053},   {32, 10, 256},    {32, 512, 784},
        {32, 256, 512},  {97, 67, 769},  {131, 259, 513}, {257, 100, 1031}, {5, 5, 5000},
        {1, 1, 10007},   {300, 3, 100},  {64, 64, 1537},  {51, 40, 1024},   {203, 33, 2047},
    };
    for (size_t i = 0; i < sizeof large / sizeof *large; i++)
        for (int t = 0; t < N_THREADS; t++, turn++) {
            struct mb_matmul_desc d = {
                .batch = 1, .m = large[i][0], .n = large[i][1], .k = large[i][2]};
            with_epilogue(&d, turn);
            try_shape(kernel, d, threads[t]);
            kt_matmul(kernel, &d, threads[t], KT_NORMAL, rounding(d.k));
        }

    /* Batches: both operands of their own, either shared, more and fewer entries than threads. */
    static const int64_t batches[][4] = {
        {2, 1, 33, 17},   {3, 4, 16, 8}, {7, 13, 35, 40},
        {2, 2, 1100, 70}, {5, 3, 9, 31}, {4, 9, 3, 65},
    };
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++)
        for (int shared = 0; shared < 4; shared++, turn++) {
            const int64_t m = batches[i][1], n = batches[i][2], k = batches[i][3];
            struct mb_matmul_desc d = {.batch = batches[i][0],
                                       .m = m,
                                       .n = n,
                                       .k = k,
                                       .a_stride = shared & 1 ? 0 : m * k,
                                       .w_stride = shared & 2 ? 0 : k * n};
            with_epilogue(&d, turn);
            for (int t = 0; t < N_THREADS; t++) try_shape(kernel, d, threads[t]);
        }

    /* Values. */
    static const int64_t shapes[][3] = {{1, 40, 64}, {4, 10, 300}, {14, 33, 50}, {6, 129, 401}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int fill = KT_NORMAL; fill < KT_N_FILLS; fill++)
            for (int t = 0; t < N_THREADS; t++, turn++) {
                struct mb_matmul_desc d = {
                    .batch = 1, .m = shapes[i][0], .n = shapes[i][1], .k = shapes[i][2]};
                with_epilogue(&d, turn);
                kt_matmul(kernel, &d, threads[t], (enum kt_fill)fill, rounding(d.k));
            }
}
