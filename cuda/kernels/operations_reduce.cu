/* Reductions over axes, softmax and argmax. Where neighbouring results are neighbours in memory a
 * thread makes one of them, so that a warp's addresses run along memory; else a block (reductions)
 * or a warp (lines) does, its threads' parts meeting in a fixed order. Few results of many terms
 * are made in two launches: slices of the terms, then the slices of each result, in a fixed order
 * too. */
#include "operations.cuh"

enum { THREADS = MB_OPERATION_THREADS, WARPS = THREADS / 32, FEW_TERMS = 32 };

/* ---- reductions ---- */

struct reduction {
    struct mb_axes kept, folded;
    int64_t outputs, terms;
    int64_t slices, slice_terms; /* slices > 1: the results are partial, [slices][outputs] of A */
    bool by_thread;
};

/* `y` of a whole reduction, or the partial result of one slice. */
template <typename T, typename A>
static __device__ inline void put(const struct reduction &red, const A &total, int64_t output,
                                  int64_t slice, T *y, A *partials, bool mean) {
    if (red.slices > 1)
        partials[slice * red.outputs + output] = total;
    else
        y[output] = static_cast<T>(mean ? total.value() / red.terms : total.value());
}

template <typename T, typename A>
static __global__ void reduce_by_thread(struct reduction red, const T *x, T *y, A *partials,
                                        bool mean) {
    for (int64_t i = mb_first(); i < red.outputs * red.slices; i += mb_step()) {
        const int64_t output = i % red.outputs, slice = i / red.outputs;
        const int64_t begin = slice * red.slice_terms, end = begin + red.slice_terms;
        const T *from = x + mb_offset_at(output, red.kept);
        A total;
        for (int64_t term = begin; term < (end < red.terms ? end : red.terms); term++)
            total.add(from[mb_offset_at(term, red.folded)]);
        put(red, total, output, slice, y, partials, mean);
    }
}

template <typename T, typename A>
static __global__ void reduce_by_block(struct reduction red, const T *x, T *y, A *partials,
                                       bool mean) {
    A *of_warps = reinterpret_cast<A *>(mb_shared());
    for (int64_t i = blockIdx.x; i < red.outputs * red.slices; i += gridDim.x) {
        const int64_t output = i % red.outputs, slice = i / red.outputs;
        const int64_t begin = slice * red.slice_terms, end = begin + red.slice_terms;
        const T *from = x + mb_offset_at(output, red.kept);
        A total;
        for (int64_t term = begin + threadIdx.x; term < (end < red.terms ? end : red.terms);
             term += THREADS)
            total.add(from[mb_offset_at(term, red.folded)]);
        total = mb_total_of_warp(total);
        if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = total;
        __syncthreads();
        if (threadIdx.x == 0) {
            for (int warp = 1; warp < WARPS; warp++) total.add(of_warps[warp]);
            put(red, total, output, slice, y, partials, mean);
        }
        __syncthreads();
    }
}

/* A warp to a result. */
template <typename T, typename A>
static __global__ void reduce_slices(struct reduction red, const A *partials, T *y, bool mean) {
    const int lane = threadIdx.x % 32;
    for (int64_t output = mb_first() / 32; output < red.outputs; output += mb_step() / 32) {
        A total;
        for (int64_t slice = lane; slice < red.slices; slice += 32)
            total.add(partials[slice * red.outputs + output]);
        total = mb_total_of_warp(total);
        if (lane == 0) y[output] = static_cast<T>(mean ? total.value() / red.terms : total.value());
    }
}

static void add_axis(struct mb_axes *axes, int64_t extent, int64_t step) {
    axes->extent[axes->n] = extent;
    axes->step[axes->n++] = step;
}

/* How many slices of at least `least` terms make `wanted` parts of all results. */
static int64_t slices_of(const struct reduction &red, int64_t least, int64_t wanted) {
    return mb_max(1, mb_min(red.terms / least, wanted / red.outputs));
}

static struct reduction reduction_of(const struct mb_node *node, const struct mb_type *type) {
    const struct mb_shape *x = &type->shape;
    struct reduction red = {};
    red.outputs = mb_count_of(&node->type.shape), red.terms = 1;
    int64_t step[MB_MAX_RANK];
    mb_steps_of(x, step);
    for (int32_t i = 0; i < x->rank; i++) {
        const bool folded = node->attr.reduce.axes >> i & 1;
        add_axis(folded ? &red.folded : &red.kept, x->dim[i], step[i]);
        if (folded) red.terms *= x->dim[i];
    }
    const bool last_is_kept = x->rank == 0 || !(node->attr.reduce.axes >> (x->rank - 1) & 1);
    red.by_thread = red.terms < FEW_TERMS || (last_is_kept && red.outputs >= 32);
    red.slices = red.by_thread ? slices_of(red, 64, 65536) : slices_of(red, 8192, 512);
    red.slice_terms = mb_ceil_div(red.terms, red.slices);
    return red;
}

template <typename T, typename A>
static cudaError_t run_reduce(const struct mb_cuda_operation_args *args, bool mean,
                              cudaStream_t stream) {
    static_assert(sizeof(A) <= MB_PARTIAL_BYTES, "room for every partial result");
    const struct reduction red = reduction_of(args->node, args->types[0]);
    const T *from = static_cast<const T *>(args->operands[0]);
    T *to = static_cast<T *>(args->y);
    A *partials = static_cast<A *>(args->scratch);
    const int64_t parts = red.outputs * red.slices;
    MB_TRY_CUDA(red.by_thread
                    ? mb_launch(reduce_by_thread<T, A>, mb_grid_of(parts, THREADS), dim3(THREADS),
                                0, stream, red, from, to, partials, mean)
                    : mb_launch(reduce_by_block<T, A>, mb_grid_of(parts, 1), dim3(THREADS),
                                WARPS * sizeof(A), stream, red, from, to, partials, mean));
    if (red.slices == 1) return cudaSuccess;
    return mb_launch(reduce_slices<T, A>, mb_grid_of(red.outputs, WARPS), dim3(THREADS), 0, stream,
                     red, partials, to, mean);
}

size_t mb_cuda_reduce_scratch(const struct mb_node *node, const struct mb_type *type) {
    const struct reduction red = reduction_of(node, type);
    return red.slices == 1 ? 0 : static_cast<size_t>(red.outputs * red.slices) * MB_PARTIAL_BYTES;
}

struct fold_larger {
    template <typename T> static __device__ T first() { return mb_least<T>(); }
    template <typename T> static __device__ T of(T a, T b) { return mb_larger_of(a, b); }
};

struct fold_smaller {
    template <typename T> static __device__ T first() { return mb_most<T>(); }
    template <typename T> static __device__ T of(T a, T b) { return mb_smaller_of(a, b); }
};

struct fold_product {
    template <typename T> static __device__ T first() { return 1; }
    template <typename T> static __device__ T of(T a, T b) {
        typedef typename mb_wrapping<T>::type U;
        return static_cast<T>(static_cast<U>(a) * static_cast<U>(b));
    }
};

/* Products of floats are made in double precision: they leave f32's range sooner than they end. */
template <typename T>
using product_of = mb_fold<std::conditional_t<std::is_integral<T>::value, T, double>, fold_product>;

template <typename T>
static cudaError_t run_sum(const struct mb_cuda_operation_args *args, bool mean,
                           cudaStream_t stream) {
    return run_reduce<T, mb_sum<T>>(args, mean, stream);
}
template <typename T>
static cudaError_t run_product(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
    return run_reduce<T, product_of<T>>(args, false, stream);
}
template <typename T>
static cudaError_t run_largest(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
    return run_reduce<T, mb_fold<T, fold_larger>>(args, false, stream);
}
template <typename T>
static cudaError_t run_smallest(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
    return run_reduce<T, mb_fold<T, fold_smaller>>(args, false, stream);
}

#define OPERATION(id, set, ...)                                                                    \
    cudaError_t mb_cuda_run_##id(const struct mb_cuda_operation_args *args, cudaStream_t stream) { \
        MB_FOR_##set(args->types[0]->dtype, __VA_ARGS__, stream)                                   \
    }

OPERATION(SUM, NUMBERS, run_sum, args, false)
OPERATION(MEAN, FLOATS, run_sum, args, true)
OPERATION(PROD, NUMBERS, run_product, args)
OPERATION(REDUCE_MAX, NUMBERS, run_largest, args)
OPERATION(REDUCE_MIN, NUMBERS, run_smallest, args)

/* ---- lines along one axis ---- */

struct lines {
    int64_t count, extent, step;
};

static __device__ inline int64_t start_of(const struct lines &lines, int64_t line) {
    return line / lines.step * lines.step * lines.extent + line % lines.step;
}

/* Whether neighbouring lines are neighbours in memory, or too short for a warp: a thread each. */
static bool by_thread(const struct lines &lines) { return lines.step >= 32 || lines.extent < 8; }

static struct lines lines_of(const struct mb_cuda_operation_args *args) {
    const struct mb_shape *x = &args->types[0]->shape;
    const int32_t axis = args->node->attr.axis.axis;
    int64_t steps[MB_MAX_RANK];
    mb_steps_of(x, steps);
    return {mb_count_of(x) / x->dim[axis], x->dim[axis], steps[axis]};
}

/* LANES threads to a line: 32 or 1. */
template <typename T, int LANES, bool LOGARITHM>
static __global__ void softmax(const T *x, T *y, struct lines lines) {
    const int lane = threadIdx.x % LANES;
    const int64_t step = lines.step;
    for (int64_t line = mb_first() / LANES; line < lines.count; line += mb_step() / LANES) {
        const int64_t at = start_of(lines, line);
        T largest = x[at];
        for (int64_t i = lane; i < lines.extent; i += LANES)
            largest = mb_larger_of(x[at + i * step], largest);
        if constexpr (LANES > 1)
            for (int mask = 16; mask > 0; mask /= 2)
                largest = mb_larger_of(__shfl_xor_sync(0xffffffffu, largest, mask), largest);
        mb_sum<T> sum;
        for (int64_t i = lane; i < lines.extent; i += LANES)
            sum.add(exp(x[at + i * step] - largest));
        T total = sum.value();
        if constexpr (LANES > 1) total = __shfl_sync(0xffffffffu, mb_total_of_warp(sum).value(), 0);
        if (LOGARITHM) total = log(total);
        for (int64_t i = lane; i < lines.extent; i += LANES) {
            const T above = x[at + i * step] - largest;
            y[at + i * step] = LOGARITHM ? above - total : exp(above) / total;
        }
    }
}

template <typename T, bool LOGARITHM>
static cudaError_t run_softmax(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
    const struct lines lines = lines_of(args);
    const T *x = static_cast<const T *>(args->operands[0]);
    T *y = static_cast<T *>(args->y);
    if (by_thread(lines))
        return mb_launch(softmax<T, 1, LOGARITHM>, mb_grid_of(lines.count, THREADS), dim3(THREADS),
                         0, stream, x, y, lines);
    return mb_launch(softmax<T, 32, LOGARITHM>, mb_grid_of(lines.count, WARPS), dim3(THREADS), 0,
                     stream, x, y, lines);
}

template <typename T>
static cudaError_t run_plain_softmax(const struct mb_cuda_operation_args *args,
                                     cudaStream_t stream) {
    return run_softmax<T, false>(args, stream);
}
template <typename T>
static cudaError_t run_log_softmax(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
    return run_softmax<T, true>(args, stream);
}

OPERATION(SOFTMAX, FLOATS, run_plain_softmax, args)
OPERATION(LOG_SOFTMAX, FLOATS, run_log_softmax, args)

/* Takes the candidate if it is larger, or as large and earlier; NaN is the largest. */
template <typename T>
static __device__ inline void keep_larger(T &best, int32_t &at, T value, int32_t index) {
    const bool same = value == best || (value != value && best != best);
    const bool larger = value > best || (value != value && best == best);
    if (!(larger || (same && index < at))) return;
    best = value;
    at = index;
}

template <typename T, int LANES>
static __global__ void argmax(const T *x, int32_t *y, struct lines lines) {
    const int lane = threadIdx.x % LANES;
    for (int64_t line = mb_first() / LANES; line < lines.count; line += mb_step() / LANES) {
        const T *from = x + start_of(lines, line);
        T best = from[0];
        int32_t at = 0;
        for (int64_t i = lane; i < lines.extent; i += LANES)
            keep_larger(best, at, from[i * lines.step], static_cast<int32_t>(i));
        if constexpr (LANES > 1)
            for (int mask = 16; mask > 0; mask /= 2) {
                const T value = __shfl_xor_sync(0xffffffffu, best, mask);
                keep_larger(best, at, value, __shfl_xor_sync(0xffffffffu, at, mask));
            }
        if (lane == 0) y[line] = at;
    }
}

template <typename T>
static cudaError_t run_argmax(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
    const struct lines lines = lines_of(args);
    const T *x = static_cast<const T *>(args->operands[0]);
    int32_t *y = static_cast<int32_t *>(args->y);
    if (by_thread(lines))
        return mb_launch(argmax<T, 1>, mb_grid_of(lines.count, THREADS), dim3(THREADS), 0, stream,
                         x, y, lines);
    return mb_launch(argmax<T, 32>, mb_grid_of(lines.count, WARPS), dim3(THREADS), 0, stream, x, y,
                     lines);
}

OPERATION(ARGMAX, NUMBERS, run_argmax, args)
