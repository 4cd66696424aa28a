/* The shapes that kernels are measured on: results/shapes/shapes.csv, embedded as it is. Matrix
 * products with a bias, (n, c) by (c, filters), and convolutions with a bias and a ReLU, NCHW. */
#ifndef MB_KERNEL_SHAPES_H
#define MB_KERNEL_SHAPES_H

#include "program.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mb_kernel_shape {
    enum mb_op op; /* MB_OP_MATMUL or MB_OP_CONV2D */
    int64_t n, c, filters;
    int64_t h, w, r, s, stride, pad; /* of a convolution; the last two in both directions */
    char from[64];                   /* the layer of a network that has this shape */
    char label[64];                  /* "matmul (1, 4096) x 4096", "conv2d (8, 3, 64, 64) by 64 of
                                        3x3/1": filters of r x s and the stride */
    bool is_short;                   /* of the representative few */
};

/* The next row: start with *at NULL. False at the table's end, or at a row that is no shape. */
bool mb_kernel_shape_next(const char **at, struct mb_kernel_shape *out);

/* "all"; NULL: the representative few; else a part of the label, a space and `from`. */
bool mb_kernel_shape_matches(const struct mb_kernel_shape *shape, const char *filter);

/* The MIND program of the shape: one function of the input x, the weights w and b. */
enum { MB_KERNEL_SOURCE_BYTES = 1024 };
void mb_kernel_shape_source(const struct mb_kernel_shape *shape, char text[MB_KERNEL_SOURCE_BYTES]);

#endif
