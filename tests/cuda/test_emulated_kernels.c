/* test_emulated_kernels NAME: one row of cuda/kernels.def in emulation against FP64 loops, over
 * shapes around its tiles, batches, bias and activation, layouts, strides, padding and pooling, on
 * GPUs of one, three and twenty multiprocessors. Without a name: every row. */
#include "emulated_kernel.h"
#include "kernel_tester.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const int gpus[] = {1, 3, 20};
enum { N_GPUS = sizeof gpus / sizeof *gpus };

/* FP32 sums of `terms` in any order, as in tests/kernel. */
static struct kt_tolerance rounding(int64_t terms) {
    return (struct kt_tolerance){0x1p-24 * (4 + 2 * sqrt((double)terms)), 0, 5e-6};
}

static void try_matmul(const struct mb_cpu_kernel *kernel, struct mb_matmul_desc d, int turn) {
    static const struct kt_tolerance exact = {0};
    d.has_bias = turn & 1;
    d.act = turn & 2 ? MB_ACT_RELU : MB_ACT_NONE;
    const enum kt_fill fill = (enum kt_fill)(turn / 4 % KT_N_FILLS);
    kt_matmul(kernel, &d, gpus[turn % N_GPUS], fill, fill == KT_INTEGERS ? exact : rounding(d.k));
}

static void matmul_cases(const struct mb_cpu_kernel *kernel) {
    static const int64_t shapes[][3] = {
        {1, 1, 1},      {1, 4, 64},    {1, 127, 65},   {1, 128, 64},  {1, 129, 63},
        {1, 300, 1031}, {1, 10, 3000}, {2, 131, 129},  {3, 257, 200}, {4, 64, 513},
        {4, 3, 1100},   {5, 7, 9},     {31, 31, 31},   {32, 32, 32},  {33, 33, 33},
        {8, 10, 1024},  {64, 64, 16},  {65, 63, 17},   {128, 128, 8}, {129, 127, 41},
        {130, 260, 24}, {32, 10, 256}, {37, 101, 130}, {300, 5, 20},
    };
    int turn = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int gpu = 0; gpu < 7; gpu++, turn++) {
            const struct mb_matmul_desc d = {
                .batch = 1, .m = shapes[i][0], .n = shapes[i][1], .k = shapes[i][2]};
            try_matmul(kernel, d, turn);
        }
    /* Operands of their own or shared, one after the other or with gaps. */
    static const int64_t batches[][4] = {
        {2, 1, 33, 17}, {3, 4, 16, 8}, {5, 13, 35, 40}, {2, 2, 130, 70}, {2, 9, 3, 1065}};
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++)
        for (int way = 0; way < 6; way++, turn++) {
            const int64_t m = batches[i][1], n = batches[i][2], k = batches[i][3];
            const struct mb_matmul_desc d = {.batch = batches[i][0],
                                             .m = m,
                                             .n = n,
                                             .k = k,
                                             .a_stride = way & 1 ? 0 : m * k + way / 4,
                                             .w_stride = way & 2 ? 0 : k * n + way / 4 * 3};
            try_matmul(kernel, d, turn);
        }
}

static void try_conv2d(const struct mb_cpu_kernel *kernel, struct mb_conv2d_desc d, int turn) {
    d.has_bias = turn & 1;
    d.act = turn & 2 ? MB_ACT_RELU : MB_ACT_NONE;
    kt_conv2d(kernel, &d, gpus[turn % N_GPUS], (enum kt_fill)(turn / 4 % KT_N_FILLS),
              rounding(d.c * d.r * d.s));
}

/* Padding and strides that differ in both directions, windows that overlap or leave gaps. */
static bool uneven(struct mb_conv2d_desc *d, int turn) {
    static const int32_t pools[][4] = {{0}, {2, 2, 2, 2}, {3, 2, 2, 3}, {2, 3, 1, 1}, {2, 2, 2, 2}};
    const int64_t in[2] = {d->h, d->w}, size[2] = {d->r, d->s};
    int64_t out[2], pooled[2];
    for (int i = 0; i < 2; i++) {
        d->stride[i] = 1 + (turn >> i) % 2;
        d->pad_before[i] = (int32_t)((turn / 4 + i) % (size[i] + 1));
        out[i] = pooled[i] =
            mb_window_extent(in[i], d->pad_before[i], (turn / 2 + i) % 3, size[i], d->stride[i]);
        d->pool_kernel[i] = pools[turn % 5][i], d->pool_stride[i] = pools[turn % 5][2 + i];
        d->has_pool = d->pool_kernel[0] > 0;
        if (d->has_pool)
            pooled[i] = mb_window_extent(out[i], 0, 0, d->pool_kernel[i], d->pool_stride[i]);
    }
    d->out_h = out[0], d->out_w = out[1], d->pool_h = pooled[0], d->pool_w = pooled[1];
    return pooled[0] > 0 && pooled[1] > 0;
}

static void conv2d_cases(const struct mb_cpu_kernel *kernel) {
    static const struct {
        int64_t n, c, h, w, filters, r, s;
        int32_t stride, pad, pool;
    } shapes[] = {
        {1, 1, 1, 1, 1, 1, 1, 1, 0, 0},    {2, 3, 8, 8, 16, 3, 3, 1, 1, 2},
        {1, 3, 9, 7, 5, 3, 3, 1, 1, 2},    {1, 2, 6, 11, 7, 5, 3, 2, 2, 0},
        {3, 4, 10, 10, 9, 3, 3, 1, 0, 3},  {2, 17, 5, 5, 33, 1, 1, 1, 0, 0},
        {1, 8, 13, 13, 8, 7, 7, 3, 3, 0},  {5, 2, 4, 4, 3, 3, 3, 1, 1, 1},
        {1, 3, 18, 34, 65, 3, 3, 1, 1, 2}, {1, 64, 8, 8, 64, 3, 3, 1, 1, 2},
        {1, 40, 7, 7, 72, 3, 3, 1, 1, 0},  {1, 3, 17, 17, 8, 7, 7, 2, 3, 0},
        {1, 1, 40, 21, 2, 3, 3, 1, 1, 0},  {1, 70, 6, 6, 20, 3, 3, 1, 1, 0},
        {2, 9, 11, 14, 12, 3, 3, 1, 1, 2}, {1, 1, 24, 19, 3, 19, 18, 1, 5, 0},
    };
    int turn = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int layout = MB_NCHW; layout <= MB_NHWC; layout++) {
            struct mb_conv2d_desc d =
                kt_conv2d_desc((enum mb_layout)layout, shapes[i].n, shapes[i].c, shapes[i].h,
                               shapes[i].w, shapes[i].filters, shapes[i].r, shapes[i].s,
                               shapes[i].stride, shapes[i].pad, shapes[i].pool);
            for (int gpu = 0; gpu < 5; gpu++, turn++) try_conv2d(kernel, d, turn);
        }
    static const int64_t small[][7] = {{1, 3, 9, 12, 10, 3, 3},
                                       {2, 20, 6, 7, 9, 2, 3},
                                       {1, 5, 12, 9, 17, 5, 4},
                                       {2, 8, 7, 5, 4, 1, 1},
                                       {1, 16, 5, 8, 66, 3, 2}};
    for (size_t i = 0; i < sizeof small / sizeof *small; i++)
        for (int way = 0; way < 20; way++, turn++) {
            struct mb_conv2d_desc d = {.layout = way & 1 ? MB_NHWC : MB_NCHW,
                                       .n = small[i][0],
                                       .c = small[i][1],
                                       .h = small[i][2],
                                       .w = small[i][3],
                                       .filters = small[i][4],
                                       .r = small[i][5],
                                       .s = small[i][6]};
            if (uneven(&d, way / 2)) try_conv2d(kernel, d, turn);
        }
}

static bool test_kernel(const struct mb_cpu_kernel *kernel) {
    kt_counts = (struct kt_counts){0, 0, 0};
    const long before = emulated_failures();
    if (kernel->kind == MB_STEP_MATMUL)
        matmul_cases(kernel);
    else
        conv2d_cases(kernel);
    const long failures = emulated_failures() - before;
    printf("%s: %ld cases, %ld unsupported, %ld failed, %ld launches failed\n", kernel->name,
           kt_counts.run, kt_counts.unsupported, kt_counts.failed, failures);
    return kt_counts.run > 0 && kt_counts.failed == 0 && failures == 0;
}

int main(int argc, char **argv) {
    bool found = false, passed = true;
    kt_operand_align = 16;
    for (size_t i = 0; i < n_emulated_kernels; i++) {
        if (argc > 1 && strcmp(emulated_kernels[i]->name, argv[1]) != 0) continue;
        found = true;
        if (!test_kernel(emulated_kernels[i])) passed = false;
    }
    if (!found) fprintf(stderr, "no kernel is called %s\n", argc > 1 ? argv[1] : "anything");
    return found && passed ? 0 : 1;
}
