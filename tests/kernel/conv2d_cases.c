/* Convolutions: layouts, filter sizes, strides, padding, pooling, extents with every remainder. */
#include "kernel_tester.h"

#include <math.h>
#include <string.h>

/* FP32 sums of `terms`, of any order. Winograd's transforms of 4 x 4 sums multiply the inputs and
 * the sums by factors up to 10, those of 2 x 2 sums add up to 4 of the inputs and 9 of the sums:
 * seen up to a tenth of the bounds below, and 1e-6 in rms. */
static struct kt_tolerance tolerance_of(const struct mb_cpu_kernel *kernel,
                                        const struct mb_conv2d_desc *d) {
    const double terms = sqrt((double)(d->c * d->r * d->s));
    if (strstr(kernel->name, "winograd2_5x5"))
        return (struct kt_tolerance){0x1p-24 * (40 + 2 * terms), 2, 5e-6};
    if (strstr(kernel->name, "winograd4"))
        return (struct kt_tolerance){0x1p-24 * (40 + 2 * terms), 4, 5e-6};
    if (strstr(kernel->name, "winograd2"))
        return (struct kt_tolerance){0x1p-24 * (12 + 2 * terms), 2, 5e-6};
    return (struct kt_tolerance){0x1p-24 * (4 + 2 * terms), 0, 5e-6};
}

static void try_desc(const struct mb_cpu_kernel *kernel, const struct kt_conv2d_scale *scale,
                     struct mb_conv2d_desc *d, int turn, enum kt_fill fill) {
    d->has_bias = turn & 1;
    d->act = turn & 2 ? MB_ACT_RELU : MB_ACT_NONE;
    kt_conv2d(kernel, d, scale->threads[turn % KT_N_THREADS], fill, tolerance_of(kernel, d));
}

/* Named shapes: the least, the seed's own in small, and what networks use. */
static void fixed_cases(const struct mb_cpu_kernel *kernel, const struct kt_conv2d_scale *scale) {
    static const struct {
        int64_t n, c, h, w, filters, r, s;
        int32_t stride, pad, pool;
    } shapes[] = {
        {1, 1, 1, 1, 1, 1, 1, 1, 0, 0},     {2, 3, 8, 8, 16, 3, 3, 1, 1, 2},
        {1, 3, 9, 7, 5, 3, 3, 1, 1, 2},     {1, 2, 6, 11, 7, 5, 3, 2, 2, 0},
        {3, 4, 10, 10, 9, 3, 3, 1, 0, 3},   {2, 17, 5, 5, 33, 1, 1, 1, 0, 0},
        {1, 8, 13, 13, 8, 7, 7, 3, 3, 0},   {5, 2, 4, 4, 3, 3, 3, 1, 1, 1},
        {2, 3, 20, 20, 64, 3, 3, 1, 1, 2},  {1, 64, 12, 12, 64, 3, 3, 1, 1, 2},
        {1, 40, 7, 7, 72, 3, 3, 1, 1, 0},   {1, 3, 29, 29, 24, 7, 7, 2, 3, 0},
        {1, 1, 40, 61, 2, 3, 3, 1, 1, 0},   {1, 270, 9, 9, 20, 3, 3, 1, 1, 0},
        {2, 9, 11, 14, 40, 3, 3, 1, 1, 2},  {1, 12, 6, 6, 33, 5, 5, 1, 2, 0},
        {1, 3, 18, 34, 65, 3, 3, 1, 1, 2},  {1, 1, 17, 16, 3, 17, 18, 1, 1, 0},
        {3, 65, 5, 7, 65, 3, 3, 1, 0, 0},   {1, 17, 1, 1, 64, 3, 3, 1, 1, 0},
        {1, 24, 19, 13, 40, 5, 5, 1, 2, 2}, {2, 130, 6, 9, 33, 5, 5, 1, 2, 0},
        {1, 2, 8, 300, 16, 3, 3, 1, 1, 2},  {1, 4, 20, 150, 16, 3, 3, 1, 1, 0},
    };
    static const enum mb_layout layouts[][3] = {/* of w, x and y */
                                                {MB_NCHW, MB_NCHW, MB_NCHW},
                                                {MB_NHWC, MB_NHWC, MB_NHWC},
                                                {MB_NCHW, MB_NCHW, MB_NHWC},
                                                {MB_NCHW, MB_NHWC, MB_NCHW},
                                                {MB_NCHW, MB_NHWC, MB_NHWC}};
    int turn = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (size_t l = 0; l < sizeof layouts / sizeof *layouts; l++)
            for (int i_fill = 0; i_fill < (l < 2 ? scale->n_fills : 1); i_fill++, turn++) {
                struct mb_conv2d_desc d =
                    kt_conv2d_desc(layouts[l][0], shapes[i].n, shapes[i].c, shapes[i].h,
                                   shapes[i].w, shapes[i].filters, shapes[i].r, shapes[i].s,
                                   shapes[i].stride, shapes[i].pad, shapes[i].pool);
                d.x_layout = layouts[l][1], d.y_layout = layouts[l][2];
                try_desc(kernel, scale, &d, turn, (enum kt_fill)(turn % KT_N_FILLS));
            }
}

static uint32_t random_below(uint32_t *state, uint32_t limit) {
    *state = *state * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)*state * limit >> 32);
}

#define PICK(state, list) (list)[random_below(state, sizeof(list) / sizeof *(list))]

/* Any combination of the lists; with `square` a filter of that size and stride 1, which most
 * kernels have an opinion on. False when no window fits, or when there are too many products. */
static bool random_desc(uint32_t *state, int64_t square, int64_t most_products,
                        struct mb_conv2d_desc *d) {
    static const int64_t n[] = {1, 1, 2, 3}, c[] = {1, 2, 3, 5, 16, 17, 64, 65};
    static const int64_t filters[] = {1, 7, 16, 17, 64, 65}, window[] = {1, 2, 3, 5, 7};
    static const int64_t extent[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 14, 15, 16, 17, 33};
    static const int32_t pools[][4] = {{0}, {0}, {2, 2, 2, 2}, {3, 3, 2, 2}, {2, 3, 3, 1}};
    *d = (struct mb_conv2d_desc){.layout = random_below(state, 2) ? MB_NHWC : MB_NCHW,
                                 .n = PICK(state, n),
                                 .c = PICK(state, c),
                                 .h = PICK(state, extent),
                                 .w = PICK(state, extent),
                                 .filters = PICK(state, filters),
                                 .r = square ? square : PICK(state, window),
                                 .s = square ? square : PICK(state, window),
                                 .stride = {1, 1}};
    if (d->layout == MB_NCHW) {
        d->x_layout = random_below(state, 2) ? MB_NHWC : MB_NCHW;
        d->y_layout = random_below(state, 2) ? MB_NHWC : MB_NCHW;
    } else {
        d->x_layout = d->y_layout = MB_NHWC;
    }
    const int64_t in[2] = {d->h, d->w}, size[2] = {d->r, d->s};
    int64_t out[2], pooled[2];
    const uint32_t pool = random_below(state, square ? 3 : 5);
    for (int i = 0; i < 2; i++) {
        const uint32_t most = (uint32_t)size[i] + 1;
        d->pad_before[i] = (int32_t)random_below(state, most);
        const int32_t after = (int32_t)random_below(state, most);
        if (!square) d->stride[i] = 1 + (int32_t)random_below(state, 3);
        out[i] = pooled[i] =
            mb_window_extent(in[i], d->pad_before[i], after, size[i], d->stride[i]);
        d->pool_kernel[i] = pools[pool][i], d->pool_stride[i] = pools[pool][2 + i];
        d->has_pool = d->pool_kernel[0] > 0;
        if (d->has_pool)
            pooled[i] = mb_window_extent(out[i], 0, 0, d->pool_kernel[i], d->pool_stride[i]);
    }
    d->out_h = out[0], d->out_w = out[1], d->pool_h = pooled[0], d->pool_w = pooled[1];
    return d->pool_h > 0 && d->pool_w > 0 &&
           d->n * out[0] * out[1] * d->filters * d->c * d->r * d->s <= most_products;
}

void kt_conv2d_cases(const struct mb_cpu_kernel *kernel, const struct kt_conv2d_scale *scale) {
    fixed_cases(kernel, scale);
    uint32_t state = 1;
    for (int turn = 0; turn < scale->n_random; turn++) {
        static const int64_t square[] = {0, 3, 0, 3, 0, 3, 0, 5};
        struct mb_conv2d_desc d;
        if (random_desc(&state, square[turn % 8], scale->most_products, &d))
            try_desc(kernel, scale, &d, turn / 2, (enum kt_fill)(turn / 2 % KT_N_FILLS));
    }
}
