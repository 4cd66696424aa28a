/* Operations on single elements, and those that only move them. */
#include "operations.cuh"

/* ---- y = f(a, b) ---- */

template <typename T, typename R, typename F>
static __global__ void binary(struct mb_nest nest, const T *a, const T *b, R *y, int64_t count) {
    for (int64_t i = mb_first(); i < count; i += mb_step())
        y[i] = F::of(a[mb_offset_at(i, nest.rank, nest.extent, nest.step[0])],
                     b[mb_offset_at(i, nest.rank, nest.extent, nest.step[1])]);
}

/* The type of a result: the operands', or bool. */
template <bool TO_BOOL, typename T> using result_type = std::conditional_t<TO_BOOL, uint8_t, T>;

template <bool TO_BOOL, typename F> struct run_binary {
    template <typename T>
    static cudaError_t with(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
        typedef result_type<TO_BOOL, T> R;
        const struct mb_shape *y = &args->node->type.shape;
        const int64_t count = mb_count_of(y);
        return mb_launch(
            binary<T, R, F>, mb_grid_of(count, MB_OPERATION_THREADS), dim3(MB_OPERATION_THREADS), 0,
            stream, mb_nest_broadcast(y, &args->types[0]->shape, &args->types[1]->shape),
            static_cast<const T *>(args->operands[0]), static_cast<const T *>(args->operands[1]),
            static_cast<R *>(args->y), count);
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

template <typename T> static __device__ inline T remainder_of(T a, T b) {
    if constexpr (std::is_integral<T>::value)
        return b == 0 || b == -1 ? 0 : a % b;
    else
        return fmod(a, b);
}

#define BINARY_TO(to_bool, set, id, expression)                                                    \
    struct element_##id {                                                                          \
        template <typename T> static __device__ result_type<to_bool, T> of(T a, T b) {             \
            typedef typename mb_wrapping<T>::type U;                                               \
            static_cast<void>(U(0));                                                               \
            return static_cast<result_type<to_bool, T>>(expression);                               \
        }                                                                                          \
    };                                                                                             \
    cudaError_t mb_cuda_run_##id(const struct mb_cuda_operation_args *args, cudaStream_t stream) { \
        using run = run_binary<to_bool, element_##id>;                                             \
        MB_FOR_##set(args->types[0]->dtype, run::template with, args, stream)                      \
    }
#define BINARY(id, expression)       BINARY_TO(false, NUMBERS, id, expression)
#define COMPARE(set, id, expression) BINARY_TO(true, set, id, expression)

BINARY(ADD, static_cast<U>(a) + static_cast<U>(b))
BINARY(SUB, static_cast<U>(a) - static_cast<U>(b))
BINARY(MUL, static_cast<U>(a) * static_cast<U>(b))
BINARY(DIV, divide(a, b))
BINARY(MAX, mb_larger_of(a, b))
BINARY(MIN, mb_smaller_of(a, b))
BINARY(MOD, remainder_of(a, b))
BINARY_TO(false, FLOATS, POW, pow(a, b))
COMPARE(NUMBERS, LT, a < b)
COMPARE(NUMBERS, LE, a <= b)
COMPARE(NUMBERS, GT, a > b)
COMPARE(NUMBERS, GE, a >= b)
COMPARE(ANY, EQ, a == b)
COMPARE(ANY, NE, a != b)
COMPARE(BOOLS, AND, a &&b)
COMPARE(BOOLS, OR, a || b)

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
UNARY(LOG2, FLOATS, log2(a))
UNARY(LOG10, FLOATS, log10(a))
UNARY(SIN, FLOATS, sin(a))
UNARY(COS, FLOATS, cos(a))
UNARY(FLOOR, FLOATS, floor(a))
UNARY(CEIL, FLOATS, ceil(a))
UNARY(ROUND, FLOATS, rint(a))
UNARY(NOT, BOOLS, !a)
UNARY(GELU, FLOATS, a *T(0.5) * erfc(-a * T(0.70710678118654752440)))

/* ---- other element types ---- */

/* Floats to integers toward zero; what does not fit, to the nearest that does; NaN to 0. */
template <typename R, typename T> static __device__ inline R cast_to(T a) {
    if constexpr (std::is_same<R, uint8_t>::value) {
        return a != 0;
    } else if constexpr (std::is_integral<R>::value && !std::is_integral<T>::value) {
        const R least = mb_least<R>(), most = mb_most<R>();
        if (a != a) return 0;
        if (a >= -static_cast<T>(least)) return most;
        if (a < static_cast<T>(least)) return least;
    }
    return static_cast<R>(a);
}

template <typename T, typename R> static __global__ void cast(const T *a, R *y, int64_t count) {
    for (int64_t i = mb_first(); i < count; i += mb_step()) y[i] = cast_to<R>(a[i]);
}

template <typename T> struct run_cast_from {
    template <typename R>
    static cudaError_t to(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
        const int64_t count = mb_count_of(&args->node->type.shape);
        return mb_launch(
            cast<T, R>, mb_grid_of(count, MB_OPERATION_THREADS), dim3(MB_OPERATION_THREADS), 0,
            stream, static_cast<const T *>(args->operands[0]), static_cast<R *>(args->y), count);
    }
};

template <typename T>
static cudaError_t run_cast(const struct mb_cuda_operation_args *args, cudaStream_t stream){
    MB_FOR_ANY(args->node->type.dtype, run_cast_from<T>::template to, args, stream)}

cudaError_t mb_cuda_run_CAST(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
    MB_FOR_ANY(args->types[0]->dtype, run_cast, args, stream)
}

/* ---- moving elements ---- */

template <typename T>
static __global__ void select(struct mb_nest nest, const uint8_t *which, const T *a, const T *b,
                              T *y, int64_t count) {
    for (int64_t i = mb_first(); i < count; i += mb_step())
        y[i] = which[mb_offset_at(i, nest.rank, nest.extent, nest.step[0])]
                   ? a[mb_offset_at(i, nest.rank, nest.extent, nest.step[1])]
                   : b[mb_offset_at(i, nest.rank, nest.extent, nest.step[2])];
}

template <typename T>
static cudaError_t run_select(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
    const struct mb_shape *y = &args->node->type.shape;
    const struct mb_shape *operands[] = {&args->types[0]->shape, &args->types[1]->shape,
                                         &args->types[2]->shape};
    const int64_t count = mb_count_of(y);
    return mb_launch(select<T>, mb_grid_of(count, MB_OPERATION_THREADS), dim3(MB_OPERATION_THREADS),
                     0, stream, mb_nest_of(y, operands, 3),
                     static_cast<const uint8_t *>(args->operands[0]),
                     static_cast<const T *>(args->operands[1]),
                     static_cast<const T *>(args->operands[2]), static_cast<T *>(args->y), count);
}

cudaError_t mb_cuda_run_SELECT(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
    MB_FOR_SIZES(args->node->type.dtype, run_select, args, stream)
}

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

/* Constants are made on the host, so that all executors have the same bytes: a piece at a time,
 * which is in the driver's hands when its copy returns. Part of load alone. */
static cudaError_t run_constant(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
    enum { PIECE = 1024 };
    double piece[PIECE]; /* room for any element type */
    const size_t size = mb_dtype_size(args->node->type.dtype);
    const int64_t count = mb_count_of(&args->node->type.shape);
    for (int64_t i = 0; i < count; i += PIECE) {
        const int64_t end = mb_min(count, i + PIECE);
        mb_program_constant(args->node, i, end, piece);
        MB_TRY_CUDA(cudaMemcpyAsync(static_cast<char *>(args->y) + static_cast<size_t>(i) * size,
                                    piece, static_cast<size_t>(end - i) * size,
                                    cudaMemcpyHostToDevice, stream));
    }
    return cudaSuccess;
}

cudaError_t mb_cuda_run_RANGE(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
    return run_constant(args, stream);
}
cudaError_t mb_cuda_run_EYE(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
    return run_constant(args, stream);
}
cudaError_t mb_cuda_run_UNIFORM(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
    return run_constant(args, stream);
}
cudaError_t mb_cuda_run_NORMAL(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
    return run_constant(args, stream);
}

/* Rows of `a_row` and `b_row` elements, one after the other. */
template <typename T>
static __global__ void concat(const T *a, const T *b, T *y, int64_t a_row, int64_t b_row,
                              int64_t count) {
    for (int64_t i = mb_first(); i < count; i += mb_step()) {
        const int64_t row = i / (a_row + b_row), column = i % (a_row + b_row);
        y[i] = column < a_row ? a[row * a_row + column] : b[row * b_row + column - a_row];
    }
}

template <typename T>
static cudaError_t run_concat(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
    const int64_t count = mb_count_of(&args->node->type.shape);
    const int32_t axis = args->node->attr.axis.axis;
    int64_t row[2];
    for (int k = 0; k < 2; k++) {
        int64_t steps[MB_MAX_RANK];
        mb_steps_of(&args->types[k]->shape, steps);
        row[k] = args->types[k]->shape.dim[axis] * steps[axis];
    }
    return mb_launch(concat<T>, mb_grid_of(count, MB_OPERATION_THREADS), dim3(MB_OPERATION_THREADS),
                     0, stream, static_cast<const T *>(args->operands[0]),
                     static_cast<const T *>(args->operands[1]), static_cast<T *>(args->y), row[0],
                     row[1], count);
}

cudaError_t mb_cuda_run_CONCAT(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
    MB_FOR_SIZES(args->node->type.dtype, run_concat, args, stream)
}

/* An index that is none gives 0. */
template <typename T, typename I>
static __global__ void gather(struct mb_gathering g, const T *x, const I *indices, T *y,
                              int64_t count) {
    for (int64_t i = mb_first(); i < count; i += mb_step()) {
        const int64_t column = i % g.inner, pick = i / g.inner % g.picks;
        const int64_t row = i / g.inner / g.picks;
        const int64_t index = indices[row / g.middle * g.picks + pick];
        y[i] = index >= 0 && index < g.extent ? x[(row * g.extent + index) * g.inner + column] : 0;
    }
}

template <typename T, typename I>
static cudaError_t run_gather_by(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
    const int64_t count = mb_count_of(&args->node->type.shape);
    return mb_launch(gather<T, I>, mb_grid_of(count, MB_OPERATION_THREADS),
                     dim3(MB_OPERATION_THREADS), 0, stream,
                     mb_gathering_of(args->node, args->types[0], args->types[1]),
                     static_cast<const T *>(args->operands[0]),
                     static_cast<const I *>(args->operands[1]), static_cast<T *>(args->y), count);
}

template <typename T>
static cudaError_t run_gather(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
    return args->types[1]->dtype == MB_I64 ? run_gather_by<T, int64_t>(args, stream)
                                           : run_gather_by<T, int32_t>(args, stream);
}

cudaError_t mb_cuda_run_GATHER(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
    MB_FOR_SIZES(args->node->type.dtype, run_gather, args, stream)
}

template <typename T>
static __global__ void move(struct mb_axes axes, const T *a, T *y, int64_t count) {
    for (int64_t i = mb_first(); i < count; i += mb_step()) y[i] = a[mb_offset_at(i, axes)];
}

/* y = a along its own steps, from its element `base` on. */
template <typename T>
static cudaError_t run_move(const struct mb_cuda_operation_args *args, struct mb_axes axes,
                            int64_t base, cudaStream_t stream) {
    const struct mb_shape *y = &args->node->type.shape;
    const int64_t count = mb_count_of(y);
    axes.n = y->rank;
    for (int32_t i = 0; i < y->rank; i++) axes.extent[i] = y->dim[i];
    return mb_launch(move<T>, mb_grid_of(count, MB_OPERATION_THREADS), dim3(MB_OPERATION_THREADS),
                     0, stream, axes, static_cast<const T *>(args->operands[0]) + base,
                     static_cast<T *>(args->y), count);
}

cudaError_t mb_cuda_run_TRANSPOSE(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
    struct mb_axes axes = {};
    int64_t own[MB_MAX_RANK] = {};
    mb_steps_of(&args->types[0]->shape, own);
    for (int32_t i = 0; i < args->node->type.shape.rank; i++)
        axes.step[i] = own[args->node->attr.perm.perm[i]];
    MB_FOR_SIZES(args->node->type.dtype, run_move, args, axes, 0, stream)
}

cudaError_t mb_cuda_run_SLICE(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
    const int32_t axis = args->node->attr.slice.axis;
    struct mb_axes axes = {};
    mb_steps_of(&args->types[0]->shape, axes.step);
    const int64_t base = args->node->attr.slice.start * axes.step[axis];
    axes.step[axis] *= args->node->attr.slice.step;
    MB_FOR_SIZES(args->node->type.dtype, run_move, args, axes, base, stream)
}
