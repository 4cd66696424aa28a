#include "cudnn_legacy.h"

#include "arena.h"

#include <limits.h>

struct mb_cudnn_legacy {
    const struct mb_vendor *vendor;
    bool has_bias, has_relu, has_conv;
    cudnnTensorDescriptor_t x, y, bias, pooled;
    cudnnFilterDescriptor_t w;
    cudnnConvolutionDescriptor_t conv;
    cudnnActivationDescriptor_t activation;
    cudnnPoolingDescriptor_t pool;
};

/* TRY(SetStream, handle, stream) is cudnnSetStream(handle, stream) and an error that names it. */
#define TRY(name, ...)                                                                             \
    MB_TRY(mb_cudnn_check(legacy->vendor, legacy->vendor->cudnn.name(__VA_ARGS__), "cudnn" #name,  \
                          err))

void mb_cudnn_legacy_free(struct mb_cudnn_legacy *legacy) {
    if (!legacy) return;
    const struct mb_cudnn_api *api = &legacy->vendor->cudnn;
    if (legacy->pool) api->DestroyPoolingDescriptor(legacy->pool);
    if (legacy->activation) api->DestroyActivationDescriptor(legacy->activation);
    if (legacy->conv) api->DestroyConvolutionDescriptor(legacy->conv);
    if (legacy->w) api->DestroyFilterDescriptor(legacy->w);
    if (legacy->pooled) api->DestroyTensorDescriptor(legacy->pooled);
    if (legacy->bias) api->DestroyTensorDescriptor(legacy->bias);
    if (legacy->y) api->DestroyTensorDescriptor(legacy->y);
    if (legacy->x) api->DestroyTensorDescriptor(legacy->x);
    mb_allocator.release(legacy);
}

static enum mb_status make_tensor(const struct mb_cudnn_legacy *legacy, enum mb_layout layout,
                                  int64_t n, int64_t c, int64_t h, int64_t w,
                                  cudnnTensorDescriptor_t *out, struct mb_err *err) {
    enum mb_status st = MB_OK;
    TRY(CreateTensorDescriptor, out);
    TRY(SetTensor4dDescriptor, *out, layout == MB_NCHW ? CUDNN_TENSOR_NCHW : CUDNN_TENSOR_NHWC,
        CUDNN_DATA_FLOAT, (int)n, (int)c, (int)h, (int)w);
out:
    return st;
}

static enum mb_status make_conv(struct mb_cudnn_legacy *legacy, const struct mb_conv2d_desc *d,
                                struct mb_err *err) {
    enum mb_status st = MB_OK;
    const cudnnMathType_t math =
        legacy->vendor->precision == MB_TF32 ? CUDNN_TENSOR_OP_MATH : CUDNN_FMA_MATH;
    TRY(CreateFilterDescriptor, &legacy->w);
    TRY(SetFilter4dDescriptor, legacy->w, CUDNN_DATA_FLOAT,
        d->layout == MB_NCHW ? CUDNN_TENSOR_NCHW : CUDNN_TENSOR_NHWC, (int)d->filters, (int)d->c,
        (int)d->r, (int)d->s);
    TRY(CreateConvolutionDescriptor, &legacy->conv);
    TRY(SetConvolution2dDescriptor, legacy->conv, d->pad_before[0], d->pad_before[1], d->stride[0],
        d->stride[1], 1, 1, CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT);
    TRY(SetConvolutionMathType, legacy->conv, math);
    TRY(CreateActivationDescriptor, &legacy->activation);
    TRY(SetActivationDescriptor, legacy->activation,
        legacy->has_relu ? CUDNN_ACTIVATION_RELU : CUDNN_ACTIVATION_IDENTITY, CUDNN_PROPAGATE_NAN,
        0.0);
out:
    return st;
}

static enum mb_status make_pool(struct mb_cudnn_legacy *legacy, const struct mb_conv2d_desc *d,
                                struct mb_err *err) {
    enum mb_status st = MB_OK;
    MB_TRY(make_tensor(legacy, d->layout, d->n, d->filters, d->pool_h, d->pool_w, &legacy->pooled,
                       err));
    TRY(CreatePoolingDescriptor, &legacy->pool);
    TRY(SetPooling2dDescriptor, legacy->pool, CUDNN_POOLING_MAX, CUDNN_PROPAGATE_NAN,
        d->pool_kernel[0], d->pool_kernel[1], 0, 0, d->pool_stride[0], d->pool_stride[1]);
out:
    return st;
}

/* These calls pad alike on both sides; what is padded behind and never reached does no harm. */
static bool pads_alike(const struct mb_conv2d_desc *d) {
    return (d->h + (int64_t)2 * d->pad_before[0] - d->r) / d->stride[0] + 1 == d->out_h &&
           (d->w + (int64_t)2 * d->pad_before[1] - d->s) / d->stride[1] + 1 == d->out_w;
}

static bool fits_int(const struct mb_conv2d_desc *d) {
    const int64_t extents[] = {d->n, d->c, d->h, d->w, d->filters, d->r, d->s, d->out_h, d->out_w};
    for (size_t i = 0; i < sizeof extents / sizeof *extents; i++)
        if (extents[i] > INT_MAX) return false;
    return true;
}

enum mb_status mb_cudnn_legacy_new(const struct mb_vendor *vendor,
                                   const struct mb_conv2d_desc *desc, struct mb_cudnn_legacy **out,
                                   struct mb_err *err) {
    enum mb_status st = MB_OK;
    if (!fits_int(desc))
        return mb_fail(err, MB_E_UNSUPPORTED, "cuDNN has no extents above 2^31 - 1");
    struct mb_cudnn_legacy *legacy = mb_allocator.alloc(sizeof *legacy);
    if (!legacy) return mb_fail(err, MB_E_NOMEM, "cuda: out of memory");
    *legacy = (struct mb_cudnn_legacy){.vendor = vendor,
                                       .has_bias = desc->has_bias,
                                       .has_relu = desc->act == MB_ACT_RELU,
                                       .has_conv = pads_alike(desc)};
    MB_TRY(make_tensor(legacy, desc->layout, desc->n, desc->c, desc->h, desc->w, &legacy->x, err));
    MB_TRY(make_tensor(legacy, desc->layout, desc->n, desc->filters, desc->out_h, desc->out_w,
                       &legacy->y, err));
    MB_TRY(make_tensor(legacy, MB_NCHW, 1, desc->filters, 1, 1, &legacy->bias, err));
    if (legacy->has_conv) MB_TRY(make_conv(legacy, desc, err));
    if (desc->has_pool) MB_TRY(make_pool(legacy, desc, err));
    *out = legacy;
    return MB_OK;
out:
    mb_cudnn_legacy_free(legacy);
    return st;
}

bool mb_cudnn_legacy_can(const struct mb_cudnn_legacy *legacy, uint32_t algorithm) {
    if (!legacy->has_conv || algorithm >= CUDNN_CONVOLUTION_FWD_ALGO_COUNT) return false;
    return legacy->has_relu || !legacy->has_bias ||
           algorithm == CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;
}

enum mb_status mb_cudnn_legacy_workspace(const struct mb_cudnn_legacy *legacy, uint32_t algorithm,
                                         size_t *bytes, struct mb_err *err) {
    enum mb_status st = MB_OK;
    TRY(GetConvolutionForwardWorkspaceSize, legacy->vendor->cudnn_handle, legacy->x, legacy->w,
        legacy->conv, legacy->y, (cudnnConvolutionFwdAlgo_t)algorithm, bytes);
out:
    return st;
}

enum mb_status mb_cudnn_legacy_conv(const struct mb_cudnn_legacy *legacy, uint32_t algorithm,
                                    const float *x, const float *w, const float *bias, float *y,
                                    void *workspace, size_t workspace_bytes, struct mb_err *err) {
    static const float one = 1, zero = 0;
    enum mb_status st = MB_OK;
    const cudnnConvolutionFwdAlgo_t algo = (cudnnConvolutionFwdAlgo_t)algorithm;
    if (!legacy->has_bias && !legacy->has_relu)
        TRY(ConvolutionForward, legacy->vendor->cudnn_handle, &one, legacy->x, x, legacy->w, w,
            legacy->conv, algo, workspace, workspace_bytes, &zero, legacy->y, y);
    else
        TRY(ConvolutionBiasActivationForward, legacy->vendor->cudnn_handle, &one, legacy->x, x,
            legacy->w, w, legacy->conv, algo, workspace, workspace_bytes, &zero, legacy->y, y,
            legacy->bias, bias, legacy->activation, legacy->y, y);
out:
    return st;
}

enum mb_status mb_cudnn_legacy_pool(const struct mb_cudnn_legacy *legacy, const float *x, float *y,
                                    struct mb_err *err) {
    static const float one = 1, zero = 0;
    enum mb_status st = MB_OK;
    TRY(PoolingForward, legacy->vendor->cudnn_handle, legacy->pool, &one, legacy->y, x, &zero,
        legacy->pooled, y);
out:
    return st;
}
