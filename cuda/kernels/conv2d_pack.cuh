/* Packed weights of a convolution: [r][s][c][filters4] weights, [filters4] bias, tickets.
 * filters4 is the filters rounded up to a multiple, filled with zeros; tickets as in
 * matmul_pack.cuh. */
#ifndef MB_CONV2D_PACK_CUH
#define MB_CONV2D_PACK_CUH

#include "common.cuh"

struct mb_conv2d_packed {
    int64_t rows, filters, filters4, n_tickets; /* rows: r * s * c */

    __host__ __device__ int64_t bias_at() const { return rows * filters4; }
    __host__ __device__ int64_t tickets_at() const { return bias_at() + filters4; }
    __host__ __device__ int64_t words() const { return tickets_at() + n_tickets; }
};

static inline struct mb_conv2d_packed mb_conv2d_packed_of(const struct mb_conv2d_desc *d,
                                                          int64_t multiple, int64_t n_tickets) {
    return {d->r * d->s * d->c, d->filters, mb_round_up(d->filters, multiple), n_tickets};
}

static __global__ void mb_pack_conv2d_kernel(struct mb_conv2d_packed p, int64_t c, bool nhwc,
                                             const float *w, const float *bias, float *packed) {
    const int64_t taps = p.rows / c;
    for (int64_t i = mb_first(); i < p.words(); i += mb_step()) {
        const int64_t f = i % p.filters4, row = i / p.filters4;
        float value = 0; /* all bits zero, as a ticket has to be */
        if (i < p.bias_at()) {
            if (f < p.filters)
                value = nhwc ? w[row * p.filters + f] : w[(f * c + row % c) * taps + row / c];
        } else if (i < p.tickets_at() && bias && f < p.filters) {
            value = bias[f];
        }
        packed[i] = value;
    }
}

static inline cudaError_t mb_pack_conv2d(const struct mb_conv2d_desc *d,
                                         const struct mb_conv2d_packed &p, const float *w,
                                         const float *bias, void *packed, cudaStream_t stream) {
    return mb_launch(mb_pack_conv2d_kernel, mb_grid_of(p.words(), MB_PACK_THREADS),
                     dim3(MB_PACK_THREADS), 0, stream, p, d->c, d->layout == MB_NHWC, w, bias,
                     static_cast<float *>(packed));
}

/* Whether the pooling is of the four sums of a 2 x 2 window, windows side by side. */
static inline bool mb_conv2d_pools_by_two(const struct mb_conv2d_desc *d) {
    return d->has_pool && d->pool_kernel[0] == 2 && d->pool_kernel[1] == 2 &&
           d->pool_stride[0] == 2 && d->pool_stride[1] == 2;
}

/* Whether x and y lie as the program has them; kernels here know no other case. */
static inline bool mb_conv2d_layouts_alike(const struct mb_conv2d_desc *d) {
    return d->x_layout == d->layout && d->y_layout == d->layout;
}

/* Steps of an image in its layout. */
struct mb_conv2d_steps {
    int64_t n, c, h, w;
};

static inline struct mb_conv2d_steps mb_conv2d_steps_of(enum mb_layout layout, int64_t c, int64_t h,
                                                        int64_t w) {
    if (layout == MB_NCHW) return {c * h * w, h * w, w, 1};
    return {h * w * c, 1, w * c, c};
}

#endif
