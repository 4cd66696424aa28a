/* test_emulated_kernels NAME: one row of cuda/kernels.def in emulation against FP64 loops, over
 * shapes around its tiles, batches, bias and activation, and the convolutions of tests/kernel, on
 * GPUs of one multiprocessor to many. Without a name: every row. */
#include "emulated_kernel.h"
#include "kernel_tester.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const int gpus[] = {1, 3, 20, 132, 7};
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
        {130, 260, 24}, {32, 10, 256}, {37, 101, 130}, {300, 5, 20},  {7, 33, 1000},
        {33, 1000, 7},  {1000, 1, 33},
    };
    int turn = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int gpu = 0; gpu < N_GPUS; gpu++, turn++) {
            const struct mb_matmul_desc d = {
                .batch = 1, .m = shapes[i][0], .n = shapes[i][1], .k = shapes[i][2]};
            try_matmul(kernel, d, turn);
        }
    /* The workloads' layers, among others, on a large GPU. */
    static const int64_t large[][3] = {{1, 640, 1500}, {32, 512, 784}, {32, 256, 512},
                                       {8, 10, 6000},  {1, 1000, 700}, {64, 500, 333},
                                       {4, 7, 5000},   {16, 40, 4099}, {200, 136, 300}};
    for (size_t i = 0; i < sizeof large / sizeof *large; i++, turn++) {
        struct mb_matmul_desc d = {
            .batch = 1, .m = large[i][0], .n = large[i][1], .k = large[i][2], .has_bias = turn & 1};
        kt_matmul(kernel, &d, 132, i & 1 ? KT_NORMAL : KT_NAN, rounding(d.k));
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

/* Every product is emulated: fewer of them, and of those on tensor cores, where a warp's threads
 * take turns at each, far fewer. */
static struct kt_conv2d_scale conv2d_scale(const struct mb_cpu_kernel *kernel) {
    if (strstr(kernel->name, "tf32"))
        return (struct kt_conv2d_scale){{1, 3, 20, 132}, 1, 120, 60000};
    return (struct kt_conv2d_scale){{1, 3, 20, 132}, 3, 600, 200000};
}

static bool test_kernel(const struct mb_cpu_kernel *kernel) {
    kt_counts = (struct kt_counts){0, 0, 0};
    const long before = emulated_failures();
    if (kernel->kind == MB_STEP_MATMUL) matmul_cases(kernel);
    if (kernel->kind == MB_STEP_CONV2D) {
        const struct kt_conv2d_scale scale = conv2d_scale(kernel);
        kt_conv2d_cases(kernel, &scale);
    }
    const long failures = emulated_failures() - before;
    printf("%s: %ld cases, %ld unsupported, %ld failed, %ld launches failed\n", kernel->name,
           kt_counts.run, kt_counts.unsupported, kt_counts.failed, failures);
    return kt_counts.failed == 0 && failures == 0;
}

int main(int argc, char **argv) {
    bool passed = true;
    long run = 0; /* some GPU has to support the kernel */
    kt_operand_align = 16;
    for (size_t i = 0; i < n_emulated_kernels; i++) {
        if (argc > 1 && strcmp(emulated_kernels[i]->name, argv[1]) != 0) continue;
        if (!test_kernel(emulated_kernels[i])) passed = false;
        run += kt_counts.run;
    }
    if (!run) fprintf(stderr, "no case of a kernel called %s\n", argc > 1 ? argv[1] : "anything");
    return run && passed ? 0 : 1;
}
