/* cuDNN's older calls for one conv2d step: convolution with bias and ReLU in one call, by
 * algorithm, and max-pooling. */
#ifndef MB_CUDNN_LEGACY_H
#define MB_CUDNN_LEGACY_H

#include "vendor.h"

struct mb_cudnn_legacy;

/* Descriptors of the step; its pooling's too, where it has one. */
enum mb_status mb_cudnn_legacy_new(const struct mb_vendor *vendor,
                                   const struct mb_conv2d_desc *desc, struct mb_cudnn_legacy **out,
                                   struct mb_err *err);
void mb_cudnn_legacy_free(struct mb_cudnn_legacy *legacy); /* NULL is fine */

/* Whether the convolution can be said in these calls (padding alike on both sides), and with this
 * algorithm: they add a bias without a ReLU by one algorithm only. */
bool mb_cudnn_legacy_can(const struct mb_cudnn_legacy *legacy, uint32_t algorithm);

enum mb_status mb_cudnn_legacy_workspace(const struct mb_cudnn_legacy *legacy, uint32_t algorithm,
                                         size_t *bytes, struct mb_err *err);

/* y = act(conv(x, w) + bias), y of the extents before pooling. w is filters, c, r, s for an NCHW
 * step and filters, r, s, c for NHWC; bias is never NULL. */
enum mb_status mb_cudnn_legacy_conv(const struct mb_cudnn_legacy *legacy, uint32_t algorithm,
                                    const float *x, const float *w, const float *bias, float *y,
                                    void *workspace, size_t workspace_bytes, struct mb_err *err);

enum mb_status mb_cudnn_legacy_pool(const struct mb_cudnn_legacy *legacy, const float *x, float *y,
                                    struct mb_err *err);

#endif
