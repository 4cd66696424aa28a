/* Packed weights of a matrix product: [entries][k][n4] weights, [n4] bias, tickets.
 *
 * n4 is n rounded up to 4, filled with zeros, so that four columns can always be read at once;
 * entries is 1 when the batch shares its weights. Tickets count the blocks that have delivered
 * their part of a sum; they are zero between launches, and launches of one packed copy follow each
 * other, as they share a scratch. */
#ifndef MB_MATMUL_PACK_CUH
#define MB_MATMUL_PACK_CUH

#include "common.cuh"

struct mb_matmul_packed {
    int64_t entries, k, n, n4, n_tickets;

    __host__ __device__ int64_t bias_at() const { return entries * k * n4; }
    __host__ __device__ int64_t tickets_at() const { return bias_at() + n4; }
    __host__ __device__ int64_t words() const { return tickets_at() + n_tickets; }
    int64_t entry_step() const { return entries > 1 ? k * n4 : 0; }
};

static inline struct mb_matmul_packed mb_matmul_packed_of(const struct mb_matmul_desc *d,
                                                          int64_t n_tickets) {
    return {d->w_stride ? d->batch : 1, d->k, d->n, mb_round_up(d->n, 4), n_tickets};
}

static inline unsigned *mb_tickets(const struct mb_matmul_packed &p, const void *packed) {
    return reinterpret_cast<unsigned *>(const_cast<void *>(packed)) + p.tickets_at();
}

static __global__ void mb_pack_matmul_kernel(struct mb_matmul_packed p, int64_t w_stride,
                                             const float *w, const float *bias, float *packed) {
    for (int64_t i = mb_first(); i < p.words(); i += mb_step()) {
        const int64_t column = i % p.n4, row = i / p.n4 % p.k, entry = i / p.n4 / p.k;
        float value = 0; /* all bits zero, as a ticket has to be */
        if (i < p.bias_at())
            value = column < p.n ? w[entry * w_stride + row * p.n + column] : 0;
        else if (i < p.tickets_at() && bias && column < p.n)
            value = bias[column];
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
