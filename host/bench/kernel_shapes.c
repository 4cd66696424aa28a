#include "kernel_shapes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Made by CMake from shapes.csv: `static const char text_shapes[]`, NUL-terminated. */
#include "shape_texts.h"

enum { N_FIELDS = 12, FIELD_BYTES = 64 };
enum field { KIND, FROM, N, C, H, W, FILTERS, R, S, STRIDE, PAD, SHORT };

/* Splits [line, end) at its commas; no field of the table is quoted. */
static bool split(const char *line, const char *end, char fields[N_FIELDS][FIELD_BYTES]) {
    for (int i = 0; i < N_FIELDS; i++) {
        const char *comma = memchr(line, ',', (size_t)(end - line));
        const char *stop = comma ? comma : end;
        const size_t len = (size_t)(stop - line);
        if (len >= FIELD_BYTES || (comma == NULL) != (i == N_FIELDS - 1)) return false;
        memcpy(fields[i], line, len);
        fields[i][len] = '\0';
        line = stop + 1;
    }
    return true;
}

static bool parse(char fields[N_FIELDS][FIELD_BYTES], struct mb_kernel_shape *out) {
    struct mb_kernel_shape shape = {.op = MB_OP_MATMUL};
    int64_t *const numbers[] = {&shape.n, &shape.c, &shape.h,      &shape.w,  &shape.filters,
                                &shape.r, &shape.s, &shape.stride, &shape.pad};
    if (strcmp(fields[KIND], "conv2d") == 0)
        shape.op = MB_OP_CONV2D;
    else if (strcmp(fields[KIND], "matmul") != 0)
        return false;
    for (int i = N; i <= PAD; i++) {
        char *end;
        const bool of_matmul = i == N || i == C || i == FILTERS;
        if (shape.op == MB_OP_MATMUL && !of_matmul) continue;
        *numbers[i - N] = strtoll(fields[i], &end, 10);
        if (*end || *numbers[i - N] < (i == PAD ? 0 : 1) || !fields[i][0]) return false;
    }
    memcpy(shape.from, fields[FROM], sizeof shape.from);
    shape.is_short = strcmp(fields[SHORT], "yes") == 0;
    if (shape.op == MB_OP_MATMUL)
        snprintf(shape.label, sizeof shape.label, "matmul (%" PRId64 ", %" PRId64 ") x %" PRId64 "",
                 shape.n, shape.c, shape.filters);
    else
        snprintf(shape.label, sizeof shape.label,
                 "conv2d (%" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64 ") by %" PRId64
                 " of %" PRId64 "x%" PRId64 "/%" PRId64,
                 shape.n, shape.c, shape.h, shape.w, shape.filters, shape.r, shape.s, shape.stride);
    *out = shape;
    return true;
}

bool mb_kernel_shape_next(const char **at, struct mb_kernel_shape *out) {
    char fields[N_FIELDS][FIELD_BYTES];
    const char *line = *at ? *at : strchr(text_shapes, '\n') + 1; /* behind the header */
    const char *end = strchr(line, '\n');
    if (!end || !split(line, end, fields) || !parse(fields, out)) return false;
    *at = end + 1;
    return true;
}

bool mb_kernel_shape_matches(const struct mb_kernel_shape *shape, const char *filter) {
    char text[sizeof shape->label + sizeof shape->from];
    if (!filter) return shape->is_short;
    snprintf(text, sizeof text, "%s %s", shape->label, shape->from);
    return strcmp(filter, "all") == 0 || strstr(text, filter);
}

void mb_kernel_shape_source(const struct mb_kernel_shape *shape,
                            char text[MB_KERNEL_SOURCE_BYTES]) {
    const struct mb_kernel_shape *d = shape;
    const int32_t pad = (int32_t)d->pad, stride = (int32_t)d->stride;
    if (d->op == MB_OP_MATMUL) {
        snprintf(text, MB_KERNEL_SOURCE_BYTES,
                 "pub fn matmul_shape(x: tensor<f32[%" PRId64 ", %" PRId64 "]>,"
                 " w: tensor<f32[%" PRId64 ", %" PRId64 "]>, b: tensor<f32[%" PRId64 "]>)"
                 " -> tensor<f32[%" PRId64 ", %" PRId64 "]> {\n"
                 "    return matmul(x, w) + b;\n}\n",
                 d->n, d->c, d->c, d->filters, d->filters, d->n, d->filters);
        return;
    }
    snprintf(text, MB_KERNEL_SOURCE_BYTES,
             "pub fn conv2d_shape(x: tensor<f32[%" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64
             "]>, w: tensor<f32[%" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64 "]>,"
             " b: tensor<f32[%" PRId64 "]>) -> tensor<f32[%" PRId64 ", %" PRId64 ", %" PRId64
             ", %" PRId64 "]> {\n"
             "    return relu(conv2d(x, w, [%d, %d], [%d, %d])"
             " + reshape(b, [1, %" PRId64 ", 1, 1]));\n}\n",
             d->n, d->c, d->h, d->w, d->filters, d->c, d->r, d->s, d->filters, d->n, d->filters,
             mb_window_extent(d->h, pad, pad, d->r, stride),
             mb_window_extent(d->w, pad, pad, d->s, stride), stride, stride, pad, pad, d->filters);
}
