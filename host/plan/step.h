/* Steps that kernels compute: a matrix product or a convolution with what follows it fused in. The
 * planner describes them, and every device's kernels read the same descriptions. All values are
 * f32, row-major unless said; sums are f32. */
#ifndef MB_STEP_H
#define MB_STEP_H

#include "program.h"

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum mb_step_kind { MB_STEP_MATMUL, MB_STEP_CONV2D };

enum mb_activation { MB_ACT_NONE, MB_ACT_RELU /* x > 0 ? x : 0; NaN stays NaN */ };

/* y[b,i,j] = act(sum over k of a[b,i,k] * w[b,k,j] + bias[j]); each matrix contiguous. */
struct mb_matmul_desc {
    int64_t batch, m, n, k;     /* >= 1 */
    int64_t a_stride, w_stride; /* elements from one batch entry to the next; 0: shared */
    bool has_bias;
    enum mb_activation act;
};

/* y = pool(act(conv(x, w) + bias)). x is (n, c, h, w) or (n, h, w, c); w is (filters, c, r, s) or
 * (r, s, c, filters). Taps outside the image read zero. The program's layout is all three's; a
 * value between two steps may have the other one where the device likes that better (plan.h). */
struct mb_conv2d_desc {
    enum mb_layout layout, x_layout, y_layout; /* of w, x and y */
    int64_t n, c, h, w, filters, r, s;
    int32_t stride[2], pad_before[2]; /* vertical, horizontal */
    int64_t out_h, out_w;             /* of the convolution, before pooling */
    bool has_bias;                    /* bias[filters] */
    enum mb_activation act;
    bool has_pool; /* max-pooling after the activation; windows lie inside, extents floor */
    int32_t pool_kernel[2], pool_stride[2];
    int64_t pool_h, pool_w; /* extents of y; out_h and out_w without pooling */
};

union mb_step_desc {
    struct mb_matmul_desc matmul;
    struct mb_conv2d_desc conv2d;
};

#ifdef __cplusplus
}
#endif
#endif
