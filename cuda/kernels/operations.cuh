/* What operations on their own share: one function for each row of ops.def, choice by element type,
 * sums, and where elements lie. */
#ifndef MB_OPERATIONS_CUH
#define MB_OPERATIONS_CUH

#include "common.cuh"
#include "generic_index.h"

#include <type_traits>

/* Each enqueues its operation; PARAM and DENSE have none. */
#define OP(id, text, operands, attributes, shape_rule, flops, meaning)                             \
    cudaError_t mb_cuda_run_##id(const struct mb_cuda_operation_args *args, cudaStream_t stream);
#include "ops.def"

enum { MB_OPERATION_THREADS = 256 };

/* Scratch of the operations that reduce: one partial result takes so much. */
enum { MB_PARTIAL_BYTES = 8 };
size_t mb_cuda_reduce_scratch(const struct mb_node *node, const struct mb_type *type);

/* return function<T>(args, stream) for the element type; as mb_cuda_has_operation says which. */
#define MB_FOR_BOOLS(dtype, function, ...) return function<uint8_t>(__VA_ARGS__);
#define MB_FOR_ANY(dtype, function, ...)                                                           \
    switch (dtype) {                                                                               \
    case MB_F32: return function<float>(__VA_ARGS__);                                              \
    case MB_F64: return function<double>(__VA_ARGS__);                                             \
    case MB_I32: return function<int32_t>(__VA_ARGS__);                                            \
    case MB_I64: return function<int64_t>(__VA_ARGS__);                                            \
    case MB_BOOL: return function<uint8_t>(__VA_ARGS__);                                           \
    default: return cudaErrorNotSupported;                                                         \
    }
/* For operations that only move elements: any type of the same size stands for theirs. */
#define MB_FOR_SIZES(dtype, function, ...)                                                         \
    switch (mb_dtype_size(dtype)) {                                                                \
    case 1: return function<uint8_t>(__VA_ARGS__);                                                 \
    case 4: return function<uint32_t>(__VA_ARGS__);                                                \
    case 8: return function<uint64_t>(__VA_ARGS__);                                                \
    default: return cudaErrorNotSupported;                                                         \
    }
#define MB_FOR_FLOATS(dtype, function, ...)                                                        \
    switch (dtype) {                                                                               \
    case MB_F32: return function<float>(__VA_ARGS__);                                              \
    case MB_F64: return function<double>(__VA_ARGS__);                                             \
    default: return cudaErrorNotSupported;                                                         \
    }
#define MB_FOR_NUMBERS(dtype, function, ...)                                                       \
    switch (dtype) {                                                                               \
    case MB_F32: return function<float>(__VA_ARGS__);                                              \
    case MB_F64: return function<double>(__VA_ARGS__);                                             \
    case MB_I32: return function<int32_t>(__VA_ARGS__);                                            \
    case MB_I64: return function<int64_t>(__VA_ARGS__);                                            \
    default: return cudaErrorNotSupported;                                                         \
    }

/* Unsigned for integers, which wrap; floats are their own. */
template <typename T, bool = std::is_integral<T>::value> struct mb_wrapping { typedef T type; };
template <typename T> struct mb_wrapping<T, true> {
    typedef typename std::make_unsigned<T>::type type;
};

/* The ends of a type's order. */
template <typename T> static __device__ inline T mb_least() {
    if constexpr (!std::is_integral<T>::value) return static_cast<T>(-INFINITY);
    return static_cast<T>(sizeof(T) == 8 ? INT64_MIN : INT32_MIN);
}
template <typename T> static __device__ inline T mb_most() {
    if constexpr (!std::is_integral<T>::value) return static_cast<T>(INFINITY);
    return static_cast<T>(sizeof(T) == 8 ? INT64_MAX : INT32_MAX);
}

/* The larger of the two, NaN if either is. */
template <typename T> static __device__ inline T mb_larger_of(T a, T b) {
    return a > b || a != a ? a : b;
}

template <typename T> static __device__ inline T mb_smaller_of(T a, T b) {
    return a < b || a != a ? a : b;
}

/* A sum of many elements: doubles as they are, integers wrapping. */
template <typename T> struct mb_sum {
    T sum;

    __device__ mb_sum() : sum(0) {}
    __device__ void add(T v) {
        typedef typename mb_wrapping<T>::type U;
        sum = static_cast<T>(static_cast<U>(sum) + static_cast<U>(v));
    }
    __device__ void add(const mb_sum &other) { add(other.sum); }
    __device__ T value() const { return sum; }
    __device__ mb_sum below(int lanes) const {
        mb_sum other;
        other.sum = __shfl_down_sync(0xffffffffu, sum, lanes);
        return other;
    }
};

/* Floats with what each addition lost (Neumaier). A sum that is not finite has lost nonsense. */
template <> struct mb_sum<float> {
    float sum, lost;

    __device__ mb_sum() : sum(0), lost(0) {}
    __device__ void add(float v) {
        const float after = sum + v;
        lost += fabsf(sum) >= fabsf(v) ? (sum - after) + v : (v - after) + sum;
        sum = after;
    }
    __device__ void add(const mb_sum &other) {
        add(other.sum);
        lost += other.lost;
    }
    __device__ float value() const {
        const float total = sum + lost;
        return total == total ? total : sum;
    }
    __device__ mb_sum below(int lanes) const {
        mb_sum other;
        other.sum = __shfl_down_sync(0xffffffffu, sum, lanes);
        other.lost = __shfl_down_sync(0xffffffffu, lost, lanes);
        return other;
    }
};

/* One value, and how two become one; `F` has first<T>() and of(a, b). */
template <typename T, typename F> struct mb_fold {
    T folded;

    __device__ mb_fold() : folded(F::template first<T>()) {}
    __device__ void add(T v) { folded = F::of(folded, v); }
    __device__ void add(const mb_fold &other) { add(other.folded); }
    __device__ T value() const { return folded; }
    __device__ mb_fold below(int lanes) const {
        mb_fold other;
        other.folded = __shfl_down_sync(0xffffffffu, folded, lanes);
        return other;
    }
};

/* mb_sum or mb_fold over a warp's lanes, in lane 0; every lane calls it. */
template <typename A> static __device__ inline A mb_total_of_warp(A total) {
#pragma unroll
    for (int lanes = 16; lanes > 0; lanes /= 2) total.add(total.below(lanes));
    return total;
}

/* Axes and the steps along them. */
struct mb_axes {
    int32_t n;
    int64_t extent[MB_MAX_RANK], step[MB_MAX_RANK];
};

static __device__ inline int64_t mb_offset_at(int64_t index, int32_t n, const int64_t *extent,
                                              const int64_t *step) {
    int64_t at = 0;
#pragma unroll 1
    for (int32_t i = n - 1; i >= 0; i--) {
        at += index % extent[i] * step[i];
        index /= extent[i];
    }
    return at;
}
static __device__ inline int64_t mb_offset_at(int64_t index, const struct mb_axes &axes) {
    return mb_offset_at(index, axes.n, axes.extent, axes.step);
}

#endif
