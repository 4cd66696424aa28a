/* Sums over axes and softmax. Where neighbouring results are neighbours in memory a thread makes
 * one of them, so that a warp's addresses run along memory; else a block (sums) or a warp (softmax)
 * does, its threads' sums meeting in a fixed order. */
#include "operations.cuh"

enum { THREADS = MB_OPERATION_THREADS, WARPS = THREADS / 32, FEW_TERMS = 32 };

/* ---- sums ---- */

struct reduction {
    struct mb_axes kept, summed;
    int64_t outputs, terms;
};

template <typename T>
static __device__ inline T result_of(const mb_sum<T> &sum, int64_t terms, bool mean) {
    return mean ? sum.value() / static_cast<T>(terms) : sum.value();
}

template <typename T>
static __global__ void reduce_by_thread(struct reduction red, const T *x, T *y, bool mean) {
    for (int64_t i = mb_first(); i < red.outputs; i += mb_step()) {
        const T *from = x + mb_offset_at(i, red.kept);
        mb_sum<T> sum;
        for (int64_t term = 0; term < red.terms; term++)
            sum.add(from[mb_offset_at(term, red.summed)]);
        y[i] = result_of(sum, red.terms, mean);
    }
}

template <typename T>
static __global__ void reduce_by_block(struct reduction red, const T *x, T *y, bool mean) {
    mb_sum<T> *of_warps = reinterpret_cast<mb_sum<T> *>(mb_shared());
    for (int64_t i = blockIdx.x; i < red.outputs; i += gridDim.x) {
        const T *from = x + mb_offset_at(i, red.kept);
        mb_sum<T> sum;
        for (int64_t term = threadIdx.x; term < red.terms; term += THREADS)
            sum.add(from[mb_offset_at(term, red.summed)]);
        sum = mb_sum_of_warp(sum);
        if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = sum;
        __syncthreads();
        if (threadIdx.x == 0) {
            for (int warp = 1; warp < WARPS; warp++) sum.add(of_warps[warp]);
            y[i] = result_of(sum, red.terms, mean);
        }
        __syncthreads();
    }
}

static void add_axis(struct mb_axes *axes, int64_t extent, int64_t step) {
    axes->extent[axes->n] = extent;
    axes->step[axes->n++] = step;
}

template <typename T>
static cudaError_t run_reduce(const struct mb_cuda_operation_args *args, bool mean,
                              cudaStream_t stream) {
    const struct mb_shape *x = &args->types[0]->shape;
    struct reduction red = {};
    red.outputs = mb_count_of(&args->node->type.shape), red.terms = 1;
    int64_t step[MB_MAX_RANK];
    mb_steps_of(x, step);
    for (int32_t i = 0; i < x->rank; i++) {
        const bool summed = args->node->attr.reduce.axes >> i & 1;
        add_axis(summed ? &red.summed : &red.kept, x->dim[i], step[i]);
        if (summed) red.terms *= x->dim[i];
    }
    const bool last_is_kept = x->rank == 0 || !(args->node->attr.reduce.axes >> (x->rank - 1) & 1);
    const bool by_thread = red.terms < FEW_TERMS || (last_is_kept && red.outputs >= 32);
    const T *from = static_cast<const T *>(args->operands[0]);
    T *to = static_cast<T *>(args->y);
    if (by_thread)
        return mb_launch(reduce_by_thread<T>, mb_grid_of(red.outputs, THREADS), dim3(THREADS), 0,
                         stream, red, from, to, mean);
    return mb_launch(reduce_by_block<T>, mb_grid_of(red.outputs, 1), dim3(THREADS),
                     WARPS * sizeof(mb_sum<T>), stream, red, from, to, mean);
}

cudaError_t mb_cuda_run_SUM(const struct mb_cuda_operation_args *args, cudaStream_t stream){
    MB_FOR_NUMBERS(args->node->type.dtype, run_reduce, args, false, stream)} cudaError_t
    mb_cuda_run_MEAN(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
    MB_FOR_FLOATS(args->node->type.dtype, run_reduce, args, true, stream)
}

/* ---- softmax ---- */

/* LANES threads to a line: 32 or 1. */
template <typename T, int LANES>
static __global__ void softmax(const T *x, T *y, int64_t lines, int64_t extent, int64_t step) {
    const int lane = threadIdx.x % LANES;
    for (int64_t line = mb_first() / LANES; line < lines; line += mb_step() / LANES) {
        const int64_t at = line / step * step * extent + line % step;
        T largest = x[at];
        for (int64_t i = lane; i < extent; i += LANES)
            largest = mb_larger_of(x[at + i * step], largest);
        if constexpr (LANES > 1)
            for (int mask = 16; mask > 0; mask /= 2)
                largest = mb_larger_of(__shfl_xor_sync(0xffffffffu, largest, mask), largest);
        mb_sum<T> sum;
        for (int64_t i = lane; i < extent; i += LANES) sum.add(exp(x[at + i * step] - largest));
        T total = sum.value();
        if constexpr (LANES > 1) total = __shfl_sync(0xffffffffu, mb_sum_of_warp(sum).value(), 0);
        for (int64_t i = lane; i < extent; i += LANES)
            y[at + i * step] = exp(x[at + i * step] - largest) / total;
    }
}

template <typename T>
static cudaError_t run_softmax(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
    const struct mb_shape *shape = &args->node->type.shape;
    const int32_t axis = args->node->attr.axis.axis;
    int64_t steps[MB_MAX_RANK];
    mb_steps_of(shape, steps);
    const int64_t extent = shape->dim[axis], lines = mb_count_of(shape) / extent;
    const T *x = static_cast<const T *>(args->operands[0]);
    T *y = static_cast<T *>(args->y);
    if (steps[axis] >= 32 || extent < 8)
        return mb_launch(softmax<T, 1>, mb_grid_of(lines, THREADS), dim3(THREADS), 0, stream, x, y,
                         lines, extent, steps[axis]);
    return mb_launch(softmax<T, 32>, mb_grid_of(lines, THREADS / 32), dim3(THREADS), 0, stream, x,
                     y, lines, extent, steps[axis]);
}

cudaError_t mb_cuda_run_SOFTMAX(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
    MB_FOR_FLOATS(args->node->type.dtype, run_softmax, args, stream)
}
