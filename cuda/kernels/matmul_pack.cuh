/* Packed weights of a matrix product: [entries][panels][k_padded][width] weights, [panels][width]
 * bias, tickets.
 *
 * A panel is `width` neighbouring columns, a multiple of 4, so that four can always be read at
 * once; what w does not have, at the right and below, is zero. entries is 1 when the batch shares
 * its weights. Tickets count the blocks that have delivered their part of a sum; they are zero
 * between launches, and launches of one packed copy follow each other, as they share a scratch. */
#ifndef MB_MATMUL_PACK_CUH
#define MB_MATMUL_PACK_CUH

#include "common.cuh"

struct mb_matmul_packed {
    int64_t entries, panels, k_padded, width, k, n, n_tickets;

    __host__ __device__ int64_t entry_words() const { return panels * k_padded * width; }
    __host__ __device__ int64_t bias_at() const { return entries * entry_words(); }
    __host__ __device__ int64_t tickets_at() const { return bias_at() + panels * width; }
    __host__ __device__ int64_t words() const { return tickets_at() + n_tickets; }
    int64_t entry_step() const { return entries > 1 ? entry_words() : 0; }
};

/* In panels of `width` columns, k a multiple of `rows`. */
static inline struct mb_matmul_packed mb_matmul_panels_of(const struct mb_matmul_desc *d,
                                                          int64_t width, int64_t rows,
                                                          int64_t n_tickets) {
    return {d->w_stride ? d->batch : 1,
            mb_ceil_div(d->n, width),
            mb_round_up(d->k, rows),
            width,
            d->k,
            d->n,
            n_tickets};
}

/* In one panel: [entries][k][n4], n4 being n rounded up to 4. */
static inline struct mb_matmul_packed mb_matmul_packed_of(const struct mb_matmul_desc *d,
                                                          int64_t n_tickets) {
    return mb_matmul_panels_of(d, mb_round_up(d->n, 4), 1, n_tickets);
}

static inline unsigned *mb_tickets(const struct mb_matmul_packed &p, const void *packed) {
    return reinterpret_cast<unsigned *>(const_cast<void *>(packed)) + p.tickets_at();
}

static __global__ void mb_pack_matmul_kernel(struct mb_matmul_packed p, int64_t w_stride,
                                             const float *w, const float *bias, float *packed) {
    for (int64_t i = mb_first(); i < p.words(); i += mb_step()) {
        float value = 0; /* all bits zero, as a ticket has to be */
        if (i < p.bias_at()) {
            const int64_t above = i / p.width, panel = above / p.k_padded;
            const int64_t row = above % p.k_padded, entry = panel / p.panels;
            const int64_t column = panel % p.panels * p.width + i % p.width;
            if (row < p.k && column < p.n) value = w[entry * w_stride + row * p.n + column];
        } else if (bias && i < p.bias_at() + p.n) {
            value = bias[i - p.bias_at()];
        }
        packed[i] = value;
    }
}

static inline cudaError_t mb_pack_matmul(const struct mb_matmul_desc *d,
                                         const struct mb_matmul_packed &p, const float *w,
                                         const float *bias, void *packed, cudaStream_t stream) {
    return mb_launch(mb_pack_matmul_kernel, mb_grid_of(p.words(), MB_PACK_THREADS),
                     dim3(MB_PACK_THREADS), 0, stream, p, d->w_stride, w, bias,
                     static_cast<float *>(packed));
}

#endif
