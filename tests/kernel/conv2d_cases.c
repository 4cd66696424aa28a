/* Convolutions: layouts, filter sizes, strides, padding, pooling, threads. */
#include "kernel_tester.h"

#include <math.h>

static struct kt_tolerance rounding(const struct mb_conv2d_desc *d) {
    return (struct kt_tolerance){0x1p-24 * (4 + 2 * sqrt((double)(d->c * d->r * d->s)))};
}

void kt_conv2d_cases(const struct mb_cpu_kernel *kernel) {
    static const int threads[] = {1, 2, 3, 5};
    static const struct {
        int64_t n, c, h, w, filters, r, s;
        int32_t stride, pad, pool;
    } shapes[] = {
        {1, 1, 1, 1, 1, 1, 1, 1, 0, 0},   {2, 3, 8, 8, 16, 3, 3, 1, 1, 2},
        {1, 3, 9, 7, 5, 3, 3, 1, 1, 2},   {1, 2, 6, 11, 7, 5, 3, 2, 2, 0},
        {3, 4, 10, 10, 9, 3, 3, 1, 0, 3}, {2, 17, 5, 5, 33, 1, 1, 1, 0, 0},
        {1, 8, 13, 13, 8, 7, 7, 3, 3, 0}, {5, 2, 4, 4, 3, 3, 3, 1, 1, 1},
    };
    int turn = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int layout = MB_NCHW; layout <= MB_NHWC; layout++)
            for (int fill = 0; fill < KT_N_FILLS; fill++, turn++) {
                struct mb_conv2d_desc d =
                    kt_conv2d_desc((enum mb_layout)layout, shapes[i].n, shapes[i].c, shapes[i].h,
                                   shapes[i].w, shapes[i].filters, shapes[i].r, shapes[i].s,
                                   shapes[i].stride, shapes[i].pad, shapes[i].pool);
                d.has_bias = turn & 1;
                d.act = turn & 2 ? MB_ACT_RELU : MB_ACT_NONE;
                kt_conv2d(kernel, &d, threads[turn % 4], (enum kt_fill)fill, rounding(&d));
            }
}
