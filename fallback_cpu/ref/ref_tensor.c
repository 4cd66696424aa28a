/* Reference: operations that sum over or move whole axes. */
#include "ref.h"

#include <math.h>
#include <string.h>

/* ---- matmul ---- */

enum { COLUMN_BLOCK = 512 }; /* columns of y that one iteration of the parallel loop computes */

void mb_ref_MATMUL(const struct mb_ref_args *args) {
    struct mb_shape a = args->types[0]->shape, b = args->types[1]->shape;
    struct mb_shape batch = args->node->type.shape;
    const bool a_is_vector = a.rank == 1, b_is_vector = b.rank == 1;
    const int64_t m = a_is_vector ? 1 : a.dim[a.rank - 2], k = a.dim[a.rank - 1];
    const int64_t n = b_is_vector ? 1 : b.dim[b.rank - 1];
    a.rank = a_is_vector ? 0 : a.rank - 2; /* the leading axes are left */
    b.rank = b_is_vector ? 0 : b.rank - 2;
    batch.rank -= (a_is_vector ? 0 : 1) + (b_is_vector ? 0 : 1);
    const int64_t n_blocks = (n + COLUMN_BLOCK - 1) / COLUMN_BLOCK;
    const int64_t n_batches = (int64_t)args->count / (m * n);
#pragma omp parallel for
    for (int64_t unit = 0; unit < n_batches * m * n_blocks; unit++) {
        const int64_t block = unit % n_blocks, i = unit / n_blocks % m, e = unit / n_blocks / m;
        const int64_t begin = block * COLUMN_BLOCK;
        const int64_t end = begin + COLUMN_BLOCK < n ? begin + COLUMN_BLOCK : n;
        const double *x =
            args->operands[0] + (int64_t)mb_ref_broadcast_index(&batch, &a, (size_t)e) * m * k;
        const double *w =
            args->operands[1] + (int64_t)mb_ref_broadcast_index(&batch, &b, (size_t)e) * k * n;
        double *y = args->y + (e * m + i) * n;
        for (int64_t j = begin; j < end; j++) y[j] = 0;
        for (int64_t l = 0; l < k; l++)
            for (int64_t j = begin; j < end; j++) y[j] += x[i * k + l] * w[l * n + j];
    }
}

/* ---- images ---- */

/* Extents and strides of an image or of filters, whatever the layout. For filters: n is the number
 * of filters. */
struct image {
    int64_t n, c, h, w;
    int64_t n_step, c_step, h_step, w_step;
};

static struct image image_of(const struct mb_shape *s, enum mb_layout layout) {
    if (layout == MB_NCHW)
        return (struct image){s->dim[0],
                              s->dim[1],
                              s->dim[2],
                              s->dim[3],
                              s->dim[1] * s->dim[2] * s->dim[3],
                              s->dim[2] * s->dim[3],
                              s->dim[3],
                              1};
    return (struct image){s->dim[0],
                          s->dim[3],
                          s->dim[1],
                          s->dim[2],
                          s->dim[1] * s->dim[2] * s->dim[3],
                          1,
                          s->dim[2] * s->dim[3],
                          s->dim[3]};
}

static struct image filter_of(const struct mb_shape *s, enum mb_layout layout) {
    if (layout == MB_NCHW) return image_of(s, layout);
    return (struct image){s->dim[3],
                          s->dim[2],
                          s->dim[0],
                          s->dim[1],
                          1,
                          s->dim[3],
                          s->dim[1] * s->dim[2] * s->dim[3],
                          s->dim[2] * s->dim[3]};
}

void mb_ref_CONV2D(const struct mb_ref_args *args) {
    const struct mb_attr_conv *at = &args->node->attr.conv;
    const struct image x = image_of(&args->types[0]->shape, at->layout);
    const struct image w = filter_of(&args->types[1]->shape, at->layout);
    const struct image y = image_of(&args->node->type.shape, at->layout);
#pragma omp parallel for
    for (int64_t plane = 0; plane < y.n * y.c; plane++) {
        const int64_t n = plane / y.c, f = plane % y.c;
        double *to = args->y + n * y.n_step + f * y.c_step;
        for (int64_t oy = 0; oy < y.h; oy++)
            for (int64_t ox = 0; ox < y.w; ox++) to[oy * y.h_step + ox * y.w_step] = 0;
        for (int64_t c = 0; c < x.c; c++)
            for (int64_t r = 0; r < w.h; r++)
                for (int64_t s = 0; s < w.w; s++) {
                    const double tap = args->operands[1][f * w.n_step + c * w.c_step +
                                                         r * w.h_step + s * w.w_step];
                    for (int64_t oy = 0; oy < y.h; oy++) {
                        const int64_t iy = oy * at->stride[0] - at->pad_before[0] + r;
                        if (iy < 0 || iy >= x.h) continue;
                        const double *from =
                            args->operands[0] + n * x.n_step + c * x.c_step + iy * x.h_step;
                        for (int64_t ox = 0; ox < y.w; ox++) {
                            const int64_t ix = ox * at->stride[1] - at->pad_before[1] + s;
                            if (ix < 0 || ix >= x.w) continue;
                            to[oy * y.h_step + ox * y.w_step] += tap * from[ix * x.w_step];
                        }
                    }
                }
    }
}

/* Folds every window of the operand with `f`, from the window's first element. */
static void pool(const struct mb_ref_args *args, double (*f)(double, double), double scale) {
    const struct mb_attr_pool *at = &args->node->attr.pool;
    const struct image x = image_of(&args->types[0]->shape, at->layout);
    const struct image y = image_of(&args->node->type.shape, at->layout);
#pragma omp parallel for
    for (int64_t plane = 0; plane < y.n * y.c; plane++) {
        const int64_t n = plane / y.c, c = plane % y.c;
        for (int64_t oy = 0; oy < y.h; oy++)
            for (int64_t ox = 0; ox < y.w; ox++) {
                const double *window = args->operands[0] + n * x.n_step + c * x.c_step +
                                       oy * at->stride[0] * x.h_step +
                                       ox * at->stride[1] * x.w_step;
                double value = window[0];
                for (int64_t i = 0; i < at->kernel[0]; i++)
                    for (int64_t j = 0; j < at->kernel[1]; j++)
                        if (i || j) value = f(value, window[i * x.h_step + j * x.w_step]);
                args->y[n * y.n_step + c * y.c_step + oy * y.h_step + ox * y.w_step] =
                    value / scale;
            }
    }
}

static double add(double a, double b) { return a + b; }
static double larger(double a, double b) { return isnan(a) || a > b ? a : b; }
static double smaller(double a, double b) { return isnan(a) || a < b ? a : b; }

void mb_ref_MAXPOOL2D(const struct mb_ref_args *args) { pool(args, larger, 1); }

void mb_ref_AVGPOOL2D(const struct mb_ref_args *args) {
    const struct mb_attr_pool *at = &args->node->attr.pool;
    pool(args, add, (double)at->kernel[0] * at->kernel[1]);
}

/* ---- axes ---- */

/* Row-major strides of a shape. */
static void strides_of(const struct mb_shape *shape, int64_t stride[MB_MAX_RANK]) {
    int64_t s = 1;
    for (int32_t i = shape->rank - 1; i >= 0; i--) {
        stride[i] = s;
        s *= shape->dim[i];
    }
}

/* Folds the elements along the axes with `f`, in index order, from the first one. */
static void reduce(const struct mb_ref_args *args, double (*f)(double, double), bool mean) {
    const struct mb_shape *x = &args->types[0]->shape;
    const uint32_t axes = args->node->attr.reduce.axes;
    int64_t stride[MB_MAX_RANK], terms = 1;
    strides_of(x, stride);
    for (int32_t i = 0; i < x->rank; i++)
        if (axes >> i & 1) terms *= x->dim[i];
#pragma omp parallel for
    for (size_t out = 0; out < args->count; out++) {
        int64_t base = 0, rest = (int64_t)out;
        for (int32_t i = x->rank - 1; i >= 0; i--) {
            if (axes >> i & 1) continue;
            base += rest % x->dim[i] * stride[i];
            rest /= x->dim[i];
        }
        double value = args->operands[0][base];
        for (int64_t term = 1; term < terms; term++) {
            int64_t at = base, r = term;
            for (int32_t i = x->rank - 1; i >= 0; i--) {
                if (!(axes >> i & 1)) continue;
                at += r % x->dim[i] * stride[i];
                r /= x->dim[i];
            }
            value = f(value, args->operands[0][at]);
        }
        args->y[out] = mean ? value / (double)terms : value;
    }
}

static double multiply(double a, double b) { return a * b; }

void mb_ref_SUM(const struct mb_ref_args *args) { reduce(args, add, false); }
void mb_ref_MEAN(const struct mb_ref_args *args) { reduce(args, add, true); }
void mb_ref_PROD(const struct mb_ref_args *args) { reduce(args, multiply, false); }
void mb_ref_REDUCE_MAX(const struct mb_ref_args *args) { reduce(args, larger, false); }
void mb_ref_REDUCE_MIN(const struct mb_ref_args *args) { reduce(args, smaller, false); }

/* The lines of the operand along one axis. */
struct lines {
    int64_t count, extent, step;
};

static struct lines lines_of(const struct mb_ref_args *args) {
    const struct mb_shape *shape = &args->types[0]->shape;
    const int32_t axis = args->node->attr.axis.axis;
    int64_t stride[MB_MAX_RANK] = {0};
    strides_of(shape, stride);
    struct lines lines = {1, shape->dim[axis], stride[axis]};
    for (int32_t i = 0; i < shape->rank; i++)
        if (i != axis) lines.count *= shape->dim[i];
    return lines;
}

static int64_t line_start(const struct lines *lines, int64_t line) {
    return line / lines->step * lines->step * lines->extent + line % lines->step;
}

static void softmax(const struct mb_ref_args *args, bool logarithm) {
    const struct lines lines = lines_of(args);
#pragma omp parallel for
    for (int64_t line = 0; line < lines.count; line++) {
        const double *x = args->operands[0] + line_start(&lines, line);
        double *y = args->y + line_start(&lines, line);
        double max = x[0], sum = 0;
        for (int64_t i = 1; i < lines.extent; i++) max = larger(max, x[i * lines.step]);
        for (int64_t i = 0; i < lines.extent; i++) sum += exp(x[i * lines.step] - max);
        for (int64_t i = 0; i < lines.extent; i++) {
            const double above = x[i * lines.step] - max;
            y[i * lines.step] = logarithm ? above - log(sum) : exp(above) / sum;
        }
    }
}

void mb_ref_SOFTMAX(const struct mb_ref_args *args) { softmax(args, false); }
void mb_ref_LOG_SOFTMAX(const struct mb_ref_args *args) { softmax(args, true); }

void mb_ref_ARGMAX(const struct mb_ref_args *args) {
    const struct lines lines = lines_of(args);
#pragma omp parallel for
    for (int64_t line = 0; line < lines.count; line++) {
        const double *x = args->operands[0] + line_start(&lines, line);
        int64_t best = 0;
        for (int64_t i = 1; i < lines.extent && !isnan(x[best * lines.step]); i++)
            if (isnan(x[i * lines.step]) || x[i * lines.step] > x[best * lines.step]) best = i;
        args->y[line] = (double)best;
    }
}

void mb_ref_RESHAPE(const struct mb_ref_args *args) {
    memcpy(args->y, args->operands[0], args->count * sizeof *args->y);
}

void mb_ref_SLICE(const struct mb_ref_args *args) {
    const struct mb_attr_slice *at = &args->node->attr.slice;
    const struct mb_shape *x = &args->types[0]->shape;
    int64_t stride[MB_MAX_RANK] = {0};
    strides_of(x, stride);
    const int64_t inner = stride[at->axis];
    for (size_t i = 0; i < args->count; i++) {
        const int64_t column = (int64_t)i % inner, row = (int64_t)i / inner;
        const int64_t from = at->start + row % at->extent * at->step;
        args->y[i] =
            args->operands[0][(row / at->extent * x->dim[at->axis] + from) * inner + column];
    }
}

void mb_ref_CONCAT(const struct mb_ref_args *args) {
    const int32_t axis = args->node->attr.axis.axis;
    const struct mb_shape *shapes[2] = {&args->types[0]->shape, &args->types[1]->shape};
    int64_t stride[MB_MAX_RANK] = {0};
    strides_of(&args->node->type.shape, stride);
    const int64_t rows = args->node->type.shape.dim[axis];
    for (size_t i = 0; i < args->count; i++) {
        const int64_t column = (int64_t)i % stride[axis], row = (int64_t)i / stride[axis] % rows;
        const int64_t outer = (int64_t)i / stride[axis] / rows;
        const int k = row >= shapes[0]->dim[axis];
        const int64_t at = outer * shapes[k]->dim[axis] + row - (k ? shapes[0]->dim[axis] : 0);
        args->y[i] = args->operands[k][at * stride[axis] + column];
    }
}

void mb_ref_GATHER(const struct mb_ref_args *args) {
    const struct mb_attr_gather *at = &args->node->attr.gather;
    const struct mb_shape *x = &args->types[0]->shape, *idx = &args->types[1]->shape;
    int64_t batches = 1, middle = 1, picks = 1, inner = 1;
    for (int32_t i = 0; i < at->batch; i++) batches *= x->dim[i];
    for (int32_t i = at->batch; i < at->axis; i++) middle *= x->dim[i];
    for (int32_t i = at->axis + 1; i < x->rank; i++) inner *= x->dim[i];
    for (int32_t i = at->batch; i < idx->rank; i++) picks *= idx->dim[i];
    const int64_t extent = x->dim[at->axis];
    for (int64_t b = 0; b < batches; b++)
        for (int64_t m = 0; m < middle; m++)
            for (int64_t j = 0; j < picks; j++) {
                const double index = args->operands[1][b * picks + j];
                const int64_t row = b * middle + m;
                double *y = args->y + (row * picks + j) * inner;
                if (!(index >= 0 && index < (double)extent)) {
                    *args->index_outside = true;
                    memset(y, 0, (size_t)inner * sizeof *y);
                    continue;
                }
                memcpy(y, args->operands[0] + (row * extent + (int64_t)index) * inner,
                       (size_t)inner * sizeof *y);
            }
}

void mb_ref_TRANSPOSE(const struct mb_ref_args *args) {
    const struct mb_shape *y = &args->node->type.shape;
    int64_t stride[MB_MAX_RANK];
    strides_of(&args->types[0]->shape, stride);
#pragma omp parallel for
    for (size_t i = 0; i < args->count; i++) {
        int64_t at = 0, rest = (int64_t)i;
        for (int32_t axis = y->rank - 1; axis >= 0; axis--) {
            at += rest % y->dim[axis] * stride[args->node->attr.perm.perm[axis]];
            rest /= y->dim[axis];
        }
        args->y[i] = args->operands[0][at];
    }
}
