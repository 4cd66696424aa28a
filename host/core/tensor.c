#include "tensor.h"

#include <stdio.h>

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {
    [MB_F32] = {"f32", 4}, [MB_F64] = {"f64", 8},   [MB_I32] = {"i32", 4},
    [MB_I64] = {"i64", 8}, [MB_BOOL] = {"bool", 1},
};

size_t mb_dtype_size(enum mb_dtype dtype) { return dtypes[dtype].size; }
const char *mb_dtype_name(enum mb_dtype dtype) { return dtypes[dtype].name; }

bool mb_shape_is_concrete(const struct mb_shape *shape) {
    for (int32_t i = 0; i < shape->rank; i++)
        if (shape->dim[i] < 0) return false;
    return true;
}

bool mb_shape_equal(const struct mb_shape *a, const struct mb_shape *b) {
    if (a->rank != b->rank) return false;
    for (int32_t i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i]) return false;
    return true;
}

bool mb_type_equal(const struct mb_type *a, const struct mb_type *b) {
    return a->dtype == b->dtype && mb_shape_equal(&a->shape, &b->shape);
}

bool mb_shape_count(const struct mb_shape *shape, size_t *count) {
    size_t n = 1;
    if (!mb_shape_is_concrete(shape)) return false;
    for (int32_t i = 0; i < shape->rank; i++)
        if (__builtin_mul_overflow(n, (size_t)shape->dim[i], &n) || n > SIZE_MAX / 2) return false;
    *count = n;
    return true;
}

bool mb_type_bytes(const struct mb_type *type, size_t *bytes) {
    size_t n;
    if (!mb_shape_count(&type->shape, &n)) return false;
    if (__builtin_mul_overflow(n, mb_dtype_size(type->dtype), &n) || n > SIZE_MAX / 2) return false;
    *bytes = n;
    return true;
}

struct text {
    char *buf;
    size_t size, len;
};

static void put(struct text *t, const char *s) {
    for (; *s && t->len + 1 < t->size; s++) t->buf[t->len++] = *s;
    t->buf[t->len] = '\0';
}

static void put_dims(struct text *t, const struct mb_shape *shape, const char *const *symbols,
                     const char *separator) {
    for (int32_t i = 0; i < shape->rank; i++) {
        char number[24];
        int64_t d = shape->dim[i];
        if (i) put(t, separator);
        if (d >= 0) {
            snprintf(number, sizeof number, "%lld", (long long)d);
            put(t, number);
        } else {
            put(t, d == MB_DIM_UNKNOWN || !symbols ? "?" : symbols[-1 - d]);
        }
    }
}

const char *mb_shape_text(char *buf, size_t size, const struct mb_shape *shape,
                          const char *const *symbols) {
    struct text t = {buf, size, 0};
    put(&t, "(");
    put_dims(&t, shape, symbols, ",");
    put(&t, shape->rank == 1 ? ",)" : ")");
    return buf;
}

const char *mb_type_text(char *buf, size_t size, const struct mb_type *type,
                         const char *const *symbols) {
    struct text t = {buf, size, 0};
    put(&t, "tensor<");
    put(&t, mb_dtype_name(type->dtype));
    put(&t, "[");
    put_dims(&t, &type->shape, symbols, ", ");
    put(&t, "]>");
    return buf;
}
