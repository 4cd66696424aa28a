/* Operations on single elements, and those that only move them. */
#include "operations.cuh"

/* ---- y = f(a, b) ---- */

template <typename T, typename F>
static __global__ void binary(struct mb_nest nest, const T *a, const T *b, T *y, int64_t count) {
    for (int64_t i = mb_first(); i < count; i += mb_step())
        y[i] = F::of(a[mb_offset_at(i, nest.rank, nest.extent, nest.step[0])],
                     b[mb_offset_at(i, nest.rank, nest.extent, nest.step[1])]);
}

template <typename F> struct run_binary {
    template <typename T>
    static cudaError_t with(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
        const struct mb_shape *y = &args->node->type.shape;
        const int64_t count = mb_count_of(y);
        return mb_launch(
            binary<T, F>, mb_grid_of(count, MB_OPERATION_THREADS), dim3(MB_OPERATION_THREADS), 0,
            stream, mb_nest_broadcast(y, &args->types[0]->shape, &args->types[1]->shape),
            static_cast<const T *>(args->operands[0]), static_cast<const T *>(args->operands[1]),
            static_cast<T *>(args->y), count);
    }
};

template <typename T> static __device__ inline T divide(T a, T b) {
    if constexpr (std::is_integral<T>::value) {
        typedef typename mb_wrapping<T>::type U;
        if (b == 0) return 0;
        if (b == -1) return static_cast<T>(U(0) - static_cast<U>(a));
    }
    return a / b;
}

#define BINARY(id, expression)                                                                     \
    struct element_##id {                                                                          \
        template <typename T> static __device__ T of(T a, T b) {                                   \
            typedef typename mb_wrapping<T>::type U;                                               \
            static_cast<void>(U(0));                                                               \
            return static_cast<T>(expression);                                                     \
        }                                                                                          \
    };                                                                                             \
    cudaError_t mb_cuda_run_##id(const struct mb_cuda_operation_args *args, cudaStream_t stream) { \
        MB_FOR_NUMBERS(args->node->type.dtype, run_binary<element_##id>::with, args, stream)       \
    }

BINARY(ADD, static_cast<U>(a) + static_cast<U>(b))
BINARY(SUB, static_cast<U>(a) - static_cast<U>(b))
BINARY(MUL, static_cast<U>(a) * static_cast<U>(b))
BINARY(DIV, divide(a, b))
BINARY(MAX, mb_larger_of(a, b))
BINARY(MIN, a < b || a != a ? a : b)

/* ---- y = f(a) ---- */

template <typename T, typename F> static __global__ void unary(const T *a, T *y, int64_t count) {
    for (int64_t i = mb_first(); i < count; i += mb_step()) y[i] = F::of(a[i]);
}

template <typename F> struct run_unary {
    template <typename T>
    static cudaError_t with(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
        const int64_t count = mb_count_of(&args->node->type.shape);
        return mb_launch(
            unary<T, F>, mb_grid_of(count, MB_OPERATION_THREADS), dim3(MB_OPERATION_THREADS), 0,
            stream, static_cast<const T *>(args->operands[0]), static_cast<T *>(args->y), count);
    }
};

template <typename T> static __device__ inline T negative(T a) {
    typedef typename mb_wrapping<T>::type U;
    return static_cast<T>(-static_cast<U>(a));
}

#define UNARY(id, types, expression)                                                               \
    struct element_##id {                                                                          \
        template <typename T> static __device__ T of(T a) { return expression; }                   \
    };                                                                                             \
    cudaError_t mb_cuda_run_##id(const struct mb_cuda_operation_args *args, cudaStream_t stream) { \
        MB_FOR_##types(args->node->type.dtype, run_unary<element_##id>::with, args, stream)        \
    }

UNARY(NEG, NUMBERS, negative(a))
UNARY(ABS, NUMBERS, a < 0 ? negative(a) : a == 0 ? T(0) : a)
UNARY(RELU, NUMBERS, a > 0 || a != a ? a : T(0))
UNARY(SIGMOID, FLOATS, 1 / (1 + exp(-a)))
UNARY(TANH, FLOATS, tanh(a))
UNARY(EXP, FLOATS, exp(a))
UNARY(LOG, FLOATS, log(a))
UNARY(SQRT, FLOATS, sqrt(a))
UNARY(GELU, FLOATS, a *T(0.5) * erfc(-a * T(0.70710678118654752440)))

/* ---- moving elements ---- */

template <typename T> static __global__ void fill(T value, T *y, int64_t count) {
    for (int64_t i = mb_first(); i < count; i += mb_step()) y[i] = value;
}

template <typename T>
static cudaError_t run_fill(const struct mb_cuda_operation_args *args, T value,
                            cudaStream_t stream) {
    const int64_t count = mb_count_of(&args->node->type.shape);
    return mb_launch(fill<T>, mb_grid_of(count, MB_OPERATION_THREADS), dim3(MB_OPERATION_THREADS),
                     0, stream, value, static_cast<T *>(args->y), count);
}

cudaError_t mb_cuda_run_FILL(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
    const double value = args->node->attr.fill.value;
    switch (args->node->type.dtype) {
    case MB_F32: return run_fill(args, static_cast<float>(value), stream);
    case MB_F64: return run_fill(args, value, stream);
    case MB_I32: return run_fill(args, static_cast<int32_t>(value), stream);
    case MB_I64: return run_fill(args, static_cast<int64_t>(value), stream);
    case MB_BOOL: return run_fill(args, static_cast<uint8_t>(value != 0), stream);
    }
    return cudaErrorNotSupported;
}

cudaError_t mb_cuda_run_RESHAPE(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
    const size_t size = mb_dtype_size(args->node->type.dtype);
    return cudaMemcpyAsync(args->y, args->operands[0],
                           static_cast<size_t>(mb_count_of(&args->node->type.shape)) * size,
                           cudaMemcpyDeviceToDevice, stream);
}

template <typename T>
static __global__ void transpose(struct mb_axes axes, const T *a, T *y, int64_t count) {
    for (int64_t i = mb_first(); i < count; i += mb_step()) y[i] = a[mb_offset_at(i, axes)];
}

template <typename T>
static cudaError_t run_transpose(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
    const struct mb_shape *y = &args->node->type.shape;
    const int64_t count = mb_count_of(y);
    struct mb_axes axes;
    int64_t own[MB_MAX_RANK];
    mb_steps_of(&args->types[0]->shape, own);
    axes.n = y->rank;
    for (int32_t i = 0; i < y->rank; i++) {
        axes.extent[i] = y->dim[i];
        axes.step[i] = own[args->node->attr.perm.perm[i]];
    }
    return mb_launch(transpose<T>, mb_grid_of(count, MB_OPERATION_THREADS),
                     dim3(MB_OPERATION_THREADS), 0, stream, axes,
                     static_cast<const T *>(args->operands[0]), static_cast<T *>(args->y), count);
}

cudaError_t mb_cuda_run_TRANSPOSE(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
    switch (mb_dtype_size(args->node->type.dtype)) {
    case 1: return run_transpose<uint8_t>(args, stream);
    case 4: return run_transpose<uint32_t>(args, stream);
    case 8: return run_transpose<uint64_t>(args, stream);
    }
    return cudaErrorNotSupported;
}
