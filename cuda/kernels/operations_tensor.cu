/* Matrix products, convolutions and pooling that no kernel of kernels.def serves: a thread makes
 * one element of the result at a time. */
#include "operations.cuh"

enum { THREADS = MB_OPERATION_THREADS };

/* ---- matmul ---- */

struct matmul_args {
    int64_t count, m, n, k;
    struct mb_nest batch;
};

template <typename T>
static __global__ void matmul(struct matmul_args args, const T *a, const T *b, T *y) {
    for (int64_t i = mb_first(); i < args.count; i += mb_step()) {
        const int64_t column = i % args.n, row = i / args.n % args.m, entry = i / args.n / args.m;
        const struct mb_nest &batch = args.batch;
        const int64_t a_entry = mb_offset_at(entry, batch.rank, batch.extent, batch.step[0]);
        const int64_t b_entry = mb_offset_at(entry, batch.rank, batch.extent, batch.step[1]);
        const T *left = a + (a_entry * args.m + row) * args.k;
        const T *right = b + b_entry * args.k * args.n + column;
        mb_sum<T> sum;
        for (int64_t k = 0; k < args.k; k++) sum.add(left[k] * right[k * args.n]);
        y[i] = sum.value();
    }
}

template <typename T>
static cudaError_t run_matmul(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
    const struct mb_matrices mm = mb_matrices_of(args->types[0], args->types[1], &args->node->type);
    const struct matmul_args a = {mm.batch * mm.m * mm.n, mm.m, mm.n, mm.k,
                                  mb_nest_broadcast(&mm.batch_shape, &mm.lead[0], &mm.lead[1])};
    return mb_launch(matmul<T>, mb_grid_of(a.count, THREADS), dim3(THREADS), 0, stream, a,
                     static_cast<const T *>(args->operands[0]),
                     static_cast<const T *>(args->operands[1]), static_cast<T *>(args->y));
}

cudaError_t mb_cuda_run_MATMUL(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
    MB_FOR_FLOATS(args->node->type.dtype, run_matmul, args, stream)
}

/* ---- windows over images ---- */

/* Image, channel, row and column of element `i` of y, in NCHW's order. */
struct place {
    int64_t n, c, y, x;
};

static __device__ inline struct place place_of(const struct mb_image &y, int64_t i) {
    return {i / y.w / y.h / y.c, i / y.w / y.h % y.c, i / y.w % y.h, i % y.w};
}

static __device__ inline int64_t offset_of(const struct mb_image &y, const struct place &at) {
    return at.n * y.n_step + at.c * y.c_step + at.y * y.h_step + at.x * y.w_step;
}

/* The attributes' types, which C++ keeps inside the union. */
using conv_attr = decltype(mb_attr::conv);
using pool_attr = decltype(mb_attr::pool);

struct conv_args {
    struct mb_image x, w, y;
    conv_attr at;
};

template <typename T>
static __global__ void conv2d(struct conv_args args, const T *image, const T *w, T *y) {
    const struct mb_image &x = args.x;
    const int64_t count = args.y.n * args.y.c * args.y.h * args.y.w;
    for (int64_t i = mb_first(); i < count; i += mb_step()) {
        const struct place to = place_of(args.y, i);
        const T *from = image + to.n * x.n_step;
        const T *filter = w + to.c * args.w.n_step;
        mb_sum<T> sum;
        for (int64_t r = 0; r < args.w.h; r++) {
            const int64_t in_y = to.y * args.at.stride[0] - args.at.pad_before[0] + r;
            if (in_y < 0 || in_y >= x.h) continue;
            for (int64_t s = 0; s < args.w.w; s++) {
                const int64_t in_x = to.x * args.at.stride[1] - args.at.pad_before[1] + s;
                if (in_x < 0 || in_x >= x.w) continue;
                for (int64_t c = 0; c < x.c; c++)
                    sum.add(filter[c * args.w.c_step + r * args.w.h_step + s * args.w.w_step] *
                            from[c * x.c_step + in_y * x.h_step + in_x * x.w_step]);
            }
        }
        y[offset_of(args.y, to)] = sum.value();
    }
}

template <typename T>
static cudaError_t run_conv2d(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
    const conv_attr *at = &args->node->attr.conv;
    const struct conv_args a = {mb_image_of(&args->types[0]->shape, at->layout),
                                mb_filter_of(&args->types[1]->shape, at->layout),
                                mb_image_of(&args->node->type.shape, at->layout), *at};
    return mb_launch(conv2d<T>, mb_grid_of(mb_count_of(&args->node->type.shape), THREADS),
                     dim3(THREADS), 0, stream, a, static_cast<const T *>(args->operands[0]),
                     static_cast<const T *>(args->operands[1]), static_cast<T *>(args->y));
}

cudaError_t mb_cuda_run_CONV2D(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
    MB_FOR_FLOATS(args->node->type.dtype, run_conv2d, args, stream)
}

struct pool_args {
    struct mb_image x, y;
    pool_attr at;
};

template <typename T, bool AVERAGE>
static __global__ void pool2d(struct pool_args args, const T *image, T *y) {
    const struct mb_image &x = args.x;
    const int64_t count = args.y.n * args.y.c * args.y.h * args.y.w;
    for (int64_t i = mb_first(); i < count; i += mb_step()) {
        const struct place to = place_of(args.y, i);
        const T *window = image + to.n * x.n_step + to.c * x.c_step +
                          to.y * args.at.stride[0] * x.h_step + to.x * args.at.stride[1] * x.w_step;
        T largest = *window;
        mb_sum<T> sum;
        for (int64_t r = 0; r < args.at.kernel[0]; r++)
            for (int64_t s = 0; s < args.at.kernel[1]; s++) {
                const T v = window[r * x.h_step + s * x.w_step];
                if (AVERAGE) sum.add(v);
                largest = mb_larger_of(largest, v);
            }
        const T area = static_cast<T>(static_cast<int64_t>(args.at.kernel[0]) * args.at.kernel[1]);
        y[offset_of(args.y, to)] = AVERAGE ? sum.value() / area : largest;
    }
}

template <typename T>
static cudaError_t run_pool2d(const struct mb_cuda_operation_args *args, bool average,
                              cudaStream_t stream) {
    const pool_attr *at = &args->node->attr.pool;
    const struct pool_args a = {mb_image_of(&args->types[0]->shape, at->layout),
                                mb_image_of(&args->node->type.shape, at->layout), *at};
    return mb_launch(average ? pool2d<T, true> : pool2d<T, false>,
                     mb_grid_of(mb_count_of(&args->node->type.shape), THREADS), dim3(THREADS), 0,
                     stream, a, static_cast<const T *>(args->operands[0]),
                     static_cast<T *>(args->y));
}

cudaError_t mb_cuda_run_MAXPOOL2D(const struct mb_cuda_operation_args *args, cudaStream_t stream){
    MB_FOR_FLOATS(args->node->type.dtype, run_pool2d, args, false, stream)} cudaError_t
    mb_cuda_run_AVGPOOL2D(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
    MB_FOR_FLOATS(args->node->type.dtype, run_pool2d, args, true, stream)
}
