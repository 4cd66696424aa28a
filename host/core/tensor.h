/* Element types, shapes and tensor types: plain values, copied freely. Tensors are row-major and
 * contiguous everywhere outside an executor's own plan. */
#ifndef MB_TENSOR_H
#define MB_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum mb_dtype { MB_F32, MB_F64, MB_I32, MB_I64, MB_BOOL /* one byte, 0 or 1 */ };

enum { MB_MAX_RANK = 8 };

/* A dimension is its extent. Below zero stand, only in the front end and before symbols are bound:
 *   -1 - i            symbol number i of the function being checked
 *   MB_DIM_UNKNOWN    an extent computed from symbols; it agrees with every other extent */
#define MB_DIM_UNKNOWN INT64_MIN

struct mb_shape {
    int32_t rank; /* 0..MB_MAX_RANK; 0 is a scalar */
    int64_t dim[MB_MAX_RANK];
};

struct mb_type {
    enum mb_dtype dtype;
    struct mb_shape shape;
};

size_t mb_dtype_size(enum mb_dtype dtype);      /* bytes per element */
const char *mb_dtype_name(enum mb_dtype dtype); /* "f32", ...; static */

bool mb_shape_is_concrete(const struct mb_shape *shape); /* no symbol, no unknown */
bool mb_shape_equal(const struct mb_shape *a, const struct mb_shape *b);
bool mb_type_equal(const struct mb_type *a, const struct mb_type *b);

/* Number of elements, and bytes, of a concrete shape. False when the product overflows SIZE_MAX/2
 * or the shape is not concrete; the out parameter is then untouched. */
bool mb_shape_count(const struct mb_shape *shape, size_t *count);
bool mb_type_bytes(const struct mb_type *type, size_t *bytes);

/* "(2,3)", "(batch,784)", "()", "(5,)" as MIND's messages print a shape, and "tensor<f32[2, 3]>"
 * for a type. `symbols` names symbol i and may be NULL when the shape is concrete. Always
 * terminated; returns `buf`. */
const char *mb_shape_text(char *buf, size_t size, const struct mb_shape *shape,
                          const char *const *symbols);
const char *mb_type_text(char *buf, size_t size, const struct mb_type *type,
                         const char *const *symbols);

#ifdef __cplusplus
}
#endif
#endif
