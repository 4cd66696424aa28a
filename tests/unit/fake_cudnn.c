/* libcudnn for fake_vendor.h: convolutions from backend descriptors and from the older calls, and
 * max-pooling. Descriptors are checked when they are finalised, as the real library's are. */
#include "fake_cuda.h"
#include "fake_vendor.h"

#include <cudnn.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MAY_FAIL                                                                                   \
    do {                                                                                           \
        if (fake_vendor_fails()) return CUDNN_STATUS_INTERNAL_ERROR;                               \
    } while (0)

enum { FALLBACK_WAY = 90 }; /* what the second heuristic names */

size_t cudnnGetVersion(void) { return (size_t)fake_vendor.cudnn_version; }
const char *cudnnGetErrorString(cudnnStatus_t status) {
    switch ((int)status) {
    case CUDNN_STATUS_INTERNAL_ERROR: return "CUDNN_STATUS_INTERNAL_ERROR";
    case CUDNN_STATUS_NOT_SUPPORTED: return "CUDNN_STATUS_NOT_SUPPORTED";
    case CUDNN_STATUS_NOT_SUPPORTED_LAYOUT: return "CUDNN_STATUS_NOT_SUPPORTED_LAYOUT";
    case CUDNN_STATUS_BAD_PARAM: return "CUDNN_STATUS_BAD_PARAM";
    case CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH: return "CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH";
    default: return "CUDNN_STATUS_OTHER";
    }
}

struct cudnnContext {
    cudaStream_t stream;
};
cudnnStatus_t cudnnCreate(cudnnHandle_t *handle) {
    MAY_FAIL;
    *handle = fake_vendor_make(sizeof **handle);
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
    fake_vendor_drop(handle);
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
    MAY_FAIL;
    handle->stream = stream;
    return CUDNN_STATUS_SUCCESS;
}

/* ---- the convolution itself ---- */

struct image {
    int64_t extent[4], step[4]; /* n c h w, in elements */
};

struct conv {
    struct image x, w, y;
    int64_t stride[2], pad[2], bias_step;
    bool has_relu, rounds;
    int way, *count;
    const float *at_x, *at_w, *at_bias;
    float *at_y;
    void *workspace;
};

static float at(const struct image *image, const float *data, int64_t n, int64_t c, int64_t h,
                int64_t w, bool rounds) {
    if (h < 0 || h >= image->extent[2] || w < 0 || w >= image->extent[3]) return 0;
    const float value =
        data[n * image->step[0] + c * image->step[1] + h * image->step[2] + w * image->step[3]];
    return rounds ? fake_vendor_round_tf32(value) : value;
}

static float result(const struct conv *p, int64_t n, int64_t f, int64_t oh, int64_t ow) {
    double sum = 0;
    for (int64_t c = 0; c < p->x.extent[1]; c++)
        for (int64_t r = 0; r < p->w.extent[2]; r++)
            for (int64_t s = 0; s < p->w.extent[3]; s++)
                sum += (double)at(&p->x, p->at_x, n, c, oh * p->stride[0] - p->pad[0] + r,
                                  ow * p->stride[1] - p->pad[1] + s, p->rounds) *
                       (double)at(&p->w, p->at_w, f, c, r, s, p->rounds);
    float value = (float)sum;
    if (p->at_bias) value += p->at_bias[f * p->bias_step];
    return p->has_relu && value <= 0 ? 0 : value;
}

static void run_conv(const void *args) {
    const struct conv *p = args;
    const struct image *y = &p->y;
    for (int64_t n = 0; n < y->extent[0]; n++)
        for (int64_t f = 0; f < y->extent[1]; f++)
            for (int64_t h = 0; h < y->extent[2]; h++)
                for (int64_t w = 0; w < y->extent[3]; w++)
                    p->at_y[n * y->step[0] + f * y->step[1] + h * y->step[2] + w * y->step[3]] =
                        result(p, n, f, h, w);
    fake_vendor_spoil(p->workspace, fake_vendor.workspace);
    fake_cuda.clock_ns += fake_vendor_way_ns(p->way, fake_vendor.cudnn_ns);
    fake_vendor.last_way = p->way;
    ++*p->count;
}

static bool extents_fit(const struct conv *p, const int64_t pad_after[2]) {
    for (int i = 0; i < 2; i++)
        if ((p->x.extent[2 + i] + p->pad[i] + pad_after[i] - p->w.extent[2 + i]) / p->stride[i] +
                    1 !=
                p->y.extent[2 + i] ||
            pad_after[i] < 0)
            return false;
    return p->x.extent[0] == p->y.extent[0] && p->x.extent[1] == p->w.extent[1] &&
           p->y.extent[1] == p->w.extent[0];
}

/* ---- backend descriptors: their attributes as they were set ---- */

enum { MAX_ATTRIBUTES = 12, MAX_BYTES = 64 };

struct attribute {
    cudnnBackendAttributeName_t name;
    cudnnBackendAttributeType_t type;
    int64_t count;
    char values[MAX_BYTES];
};

struct descriptor {
    cudnnBackendDescriptorType_t type;
    bool final;
    struct attribute attributes[MAX_ATTRIBUTES];
    int n_attributes;
    int way; /* of engines and configurations */
};

static size_t size_of(cudnnBackendAttributeType_t type) {
    switch ((int)type) {
    case CUDNN_TYPE_BOOLEAN: return sizeof(bool);
    case CUDNN_TYPE_FLOAT: return sizeof(float);
    case CUDNN_TYPE_DATA_TYPE:
    case CUDNN_TYPE_CONVOLUTION_MODE:
    case CUDNN_TYPE_HEUR_MODE:
    case CUDNN_TYPE_POINTWISE_MODE: return sizeof(int);
    default: return 8; /* handles, pointers, descriptors, int64 */
    }
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type,
                                           cudnnBackendDescriptor_t *out) {
    MAY_FAIL;
    struct descriptor *d = fake_vendor_make(sizeof *d);
    d->type = type;
    *out = d;
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor) {
    fake_vendor_drop(descriptor);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t count,
                                       const void *values) {
    MAY_FAIL;
    struct descriptor *d = descriptor;
    const size_t bytes = (size_t)count * size_of(type);
    if (d->final || bytes > MAX_BYTES || d->n_attributes == MAX_ATTRIBUTES)
        return CUDNN_STATUS_BAD_PARAM;
    struct attribute *a = &d->attributes[d->n_attributes++];
    *a = (struct attribute){.name = name, .type = type, .count = count};
    memcpy(a->values, values, bytes);
    return CUDNN_STATUS_SUCCESS;
}

/* `count` values of that type, or NULL. */
static const void *find(const struct descriptor *d, cudnnBackendAttributeName_t name,
                        cudnnBackendAttributeType_t type, int64_t count) {
    for (int i = 0; i < d->n_attributes; i++)
        if (d->attributes[i].name == name)
            return d->attributes[i].type == type && d->attributes[i].count == count
                       ? d->attributes[i].values
                       : NULL;
    return NULL;
}

static const struct descriptor *part(const struct descriptor *d, cudnnBackendAttributeName_t name,
                                     cudnnBackendDescriptorType_t type) {
    const void *value = find(d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1);
    if (!value) return NULL;
    const struct descriptor *found = *(void *const *)value;
    return found && found->final && found->type == type ? found : NULL;
}

static int64_t uid_of(const struct descriptor *tensor) {
    return *(const int64_t *)find(tensor, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1);
}

static bool is_virtual(const struct descriptor *tensor) {
    const void *value = find(tensor, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1);
    return value && *(const bool *)value;
}

static struct image image_of(const struct descriptor *tensor) {
    struct image image;
    memcpy(image.extent, find(tensor, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4),
           sizeof image.extent);
    memcpy(image.step, find(tensor, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4),
           sizeof image.step);
    return image;
}

static bool is_float(const struct descriptor *d, cudnnBackendAttributeName_t name) {
    const void *value = find(d, name, CUDNN_TYPE_DATA_TYPE, 1);
    return value && *(const cudnnDataType_t *)value == CUDNN_DATA_FLOAT;
}

#define TENSOR(op, name) part(op, CUDNN_ATTR_OPERATION_##name, CUDNN_BACKEND_TENSOR_DESCRIPTOR)

static void put_conv(const struct descriptor *op, struct conv *p, int64_t pad_after[2]) {
    const struct descriptor *d = part(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                                      CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    p->x = image_of(TENSOR(op, CONVOLUTION_FORWARD_X));
    p->w = image_of(TENSOR(op, CONVOLUTION_FORWARD_W));
    p->y = image_of(TENSOR(op, CONVOLUTION_FORWARD_Y));
    memcpy(p->stride, find(d, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2),
           sizeof p->stride);
    memcpy(p->pad, find(d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2),
           sizeof p->pad);
    memcpy(pad_after, find(d, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2),
           2 * sizeof *pad_after);
}

static bool convolution_is_whole(const struct descriptor *d) {
    const int64_t *dilation = find(d, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2);
    const int64_t *axes = find(d, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1);
    const cudnnConvolutionMode_t *mode =
        find(d, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1);
    return is_float(d, CUDNN_ATTR_CONVOLUTION_COMP_TYPE) && dilation && dilation[0] == 1 &&
           dilation[1] == 1 && axes && *axes == 2 && mode && *mode == CUDNN_CROSS_CORRELATION &&
           find(d, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2) &&
           find(d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2) &&
           find(d, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2);
}

static bool tensor_is_whole(const struct descriptor *d) {
    const int64_t *alignment = find(d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1);
    return is_float(d, CUDNN_ATTR_TENSOR_DATA_TYPE) && alignment && *alignment % 16 == 0 &&
           find(d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4) &&
           find(d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4) &&
           find(d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1);
}

static cudnnStatus_t check_conv(const struct descriptor *op) {
    struct conv p;
    int64_t pad_after[2];
    const float *alpha =
        find(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, 1);
    const float *beta =
        find(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, 1);
    if (!part(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
              CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR) ||
        !TENSOR(op, CONVOLUTION_FORWARD_X) || !TENSOR(op, CONVOLUTION_FORWARD_W) ||
        !TENSOR(op, CONVOLUTION_FORWARD_Y) || !alpha || *alpha != 1 || !beta || *beta != 0)
        return CUDNN_STATUS_BAD_PARAM;
    put_conv(op, &p, pad_after);
    return extents_fit(&p, pad_after) ? CUDNN_STATUS_SUCCESS
                                      : CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH;
}

static cudnnPointwiseMode_t mode_of(const struct descriptor *op) {
    const struct descriptor *d =
        part(op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    return *(const cudnnPointwiseMode_t *)find(d, CUDNN_ATTR_POINTWISE_MODE,
                                               CUDNN_TYPE_POINTWISE_MODE, 1);
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor) {
    MAY_FAIL;
    struct descriptor *d = descriptor;
    cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
    bool whole = !d->final;
    switch ((int)d->type) {
    case CUDNN_BACKEND_TENSOR_DESCRIPTOR: whole &= tensor_is_whole(d); break;
    case CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR: whole &= convolution_is_whole(d); break;
    case CUDNN_BACKEND_POINTWISE_DESCRIPTOR:
        whole &= is_float(d, CUDNN_ATTR_POINTWISE_MATH_PREC) &&
                 find(d, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1);
        break;
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR: status = check_conv(d); break;
    case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR:
        whole &= TENSOR(d, POINTWISE_XDESC) && TENSOR(d, POINTWISE_YDESC) &&
                 part(d, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR,
                      CUDNN_BACKEND_POINTWISE_DESCRIPTOR) &&
                 (mode_of(d) == CUDNN_POINTWISE_ADD) == (TENSOR(d, POINTWISE_BDESC) != NULL);
        break;
    case CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR:
        whole &= find(d, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1) != NULL;
        break;
    case CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR:
        whole &= part(d, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH,
                      CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR) &&
                 find(d, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1);
        break;
    case CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR:
        if (fake_vendor.no_plans) return CUDNN_STATUS_NOT_SUPPORTED;
        whole &=
            find(d, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1) &&
            part(d, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
        break;
    case CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR:
        whole &= find(d, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1) != NULL;
        break;
    default: whole = false;
    }
    if (!whole) return CUDNN_STATUS_BAD_PARAM;
    d->final = status == CUDNN_STATUS_SUCCESS;
    return status;
}

/* Configurations remember their graph as an attribute of their own. */
static void name_config(struct descriptor *config, const struct descriptor *graph, int way) {
    config->way = way;
    config->final = true;
    config->n_attributes = 1;
    config->attributes[0] = (struct attribute){.name = CUDNN_ATTR_ENGINE_OPERATION_GRAPH,
                                               .type = CUDNN_TYPE_BACKEND_DESCRIPTOR,
                                               .count = 1};
    memcpy(config->attributes[0].values, &graph, sizeof graph);
}

static bool has_krsc_filters(const struct descriptor *graph) {
    const struct descriptor *const *ops = NULL;
    for (int64_t n = 1; !ops && n <= 3; n++)
        ops = find(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, n);
    return image_of(TENSOR(ops[0], CONVOLUTION_FORWARD_W)).step[1] == 1;
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t const descriptor,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t requested,
                                       int64_t *count, void *values) {
    MAY_FAIL;
    const struct descriptor *d = descriptor;
    (void)type;
    if (!d->final) return CUDNN_STATUS_BAD_PARAM;
    if (name == CUDNN_ATTR_ENGINEHEUR_RESULTS) {
        const struct descriptor *graph =
            part(d, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
        const bool fallback = *(const cudnnBackendHeurMode_t *)find(d, CUDNN_ATTR_ENGINEHEUR_MODE,
                                                                    CUDNN_TYPE_HEUR_MODE,
                                                                    1) == CUDNN_HEUR_MODE_FALLBACK;
        struct descriptor **configs = values;
        *count = fake_vendor.no_graphs || (fake_vendor.krsc_only && !has_krsc_filters(graph)) ? 0
                 : fallback                                                                   ? 1
                            : fake_vendor.n_ways;
        assert_true(*count <= requested);
        for (int i = 0; i < *count; i++)
            name_config(configs[i], graph, fallback ? FALLBACK_WAY : i);
    } else if (name == CUDNN_ATTR_ENGINECFG_ENGINE) {
        struct descriptor *engine = *(void **)values;
        engine->way = d->way;
        engine->final = true;
        *count = 1;
    } else if (name == CUDNN_ATTR_ENGINE_NUMERICAL_NOTE) {
        *(cudnnBackendNumericalNote_t *)values =
            d->way == 1 ? CUDNN_NUMERICAL_NOTE_TENSOR_CORE : CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC;
        *count = 1;
    } else if (name == CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE) {
        *(int64_t *)values = (int64_t)fake_vendor.workspace;
        *count = 1;
    } else {
        return CUDNN_STATUS_BAD_PARAM;
    }
    return CUDNN_STATUS_SUCCESS;
}

static const float *pointer(const struct descriptor *pack, int64_t uid) {
    for (int64_t n = 1; n <= 4; n++) {
        const int64_t *uids = find(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, n);
        const float *const *data =
            find(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, n);
        for (int64_t i = 0; uids && data && i < n; i++)
            if (uids[i] == uid) return data[i];
    }
    return NULL;
}

/* Follows the value from the convolution through the pointwise operations to the one that is in
 * memory. */
cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan,
                                  cudnnBackendDescriptor_t variants) {
    MAY_FAIL;
    const struct descriptor *pack = variants;
    const struct descriptor *config =
        part(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    const struct descriptor *graph =
        part(config, CUDNN_ATTR_ENGINE_OPERATION_GRAPH, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    struct conv p = {.way = config->way,
                     .rounds = config->way == 1,
                     .count = &fake_vendor.n_graphs,
                     .workspace = *(void *const *)find(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE,
                                                       CUDNN_TYPE_VOID_PTR, 1)};
    const struct descriptor *const *ops = NULL;
    int64_t n_ops = 0, pad_after[2];
    while (!ops && n_ops < 3)
        ops = find(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, ++n_ops);
    put_conv(ops[0], &p, pad_after);
    const struct descriptor *value = TENSOR(ops[0], CONVOLUTION_FORWARD_Y);
    for (int64_t i = 1; i < n_ops; i++) {
        if (TENSOR(ops[i], POINTWISE_XDESC) != value || !is_virtual(value))
            return CUDNN_STATUS_BAD_PARAM;
        if (mode_of(ops[i]) == CUDNN_POINTWISE_ADD) {
            const struct descriptor *bias = TENSOR(ops[i], POINTWISE_BDESC);
            p.at_bias = pointer(pack, uid_of(bias));
            p.bias_step = image_of(bias).step[1];
            if (image_of(bias).extent[1] != p.y.extent[1] || !p.at_bias)
                return CUDNN_STATUS_BAD_PARAM;
        } else if (mode_of(ops[i]) == CUDNN_POINTWISE_RELU_FWD) {
            p.has_relu = true;
        } else {
            return CUDNN_STATUS_NOT_SUPPORTED;
        }
        value = TENSOR(ops[i], POINTWISE_YDESC);
    }
    p.at_x = pointer(pack, uid_of(TENSOR(ops[0], CONVOLUTION_FORWARD_X)));
    p.at_w = pointer(pack, uid_of(TENSOR(ops[0], CONVOLUTION_FORWARD_W)));
    p.at_y = (float *)(uintptr_t)pointer(pack, uid_of(value));
    if (is_virtual(value) || !p.at_x || !p.at_w || !p.at_y) return CUDNN_STATUS_BAD_PARAM;
    fake_cuda_enqueue(handle->stream, run_conv, &p, sizeof p);
    return CUDNN_STATUS_SUCCESS;
}

/* ---- the older calls ---- */

struct cudnnTensorStruct {
    struct image image;
};
struct cudnnFilterStruct {
    struct image image;
};
struct cudnnConvolutionStruct {
    int64_t pad[2], stride[2];
    cudnnMathType_t math;
};
struct cudnnActivationStruct {
    bool is_relu;
};
struct cudnnPoolingStruct {
    int64_t window[2], stride[2];
};

#define OBJECT(Name, type)                                                                         \
    cudnnStatus_t cudnnCreate##Name##Descriptor(type *out) {                                       \
        MAY_FAIL;                                                                                  \
        *out = fake_vendor_make(sizeof **out);                                                     \
        return CUDNN_STATUS_SUCCESS;                                                               \
    }                                                                                              \
    cudnnStatus_t cudnnDestroy##Name##Descriptor(type object) {                                    \
        fake_vendor_drop(object);                                                                  \
        return CUDNN_STATUS_SUCCESS;                                                               \
    }
OBJECT(Tensor, cudnnTensorDescriptor_t)
OBJECT(Filter, cudnnFilterDescriptor_t)
OBJECT(Convolution, cudnnConvolutionDescriptor_t)
OBJECT(Activation, cudnnActivationDescriptor_t)
OBJECT(Pooling, cudnnPoolingDescriptor_t)

static struct image packed_image(cudnnTensorFormat_t format, int n, int c, int h, int w) {
    if (format == CUDNN_TENSOR_NHWC)
        return (struct image){{n, c, h, w}, {(int64_t)h * w * c, 1, (int64_t)w * c, c}};
    return (struct image){{n, c, h, w}, {(int64_t)c * h * w, (int64_t)h * w, w, 1}};
}
cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t tensor, cudnnTensorFormat_t format,
                                         cudnnDataType_t type, int n, int c, int h, int w) {
    MAY_FAIL;
    if (type != CUDNN_DATA_FLOAT) return CUDNN_STATUS_NOT_SUPPORTED;
    tensor->image = packed_image(format, n, c, h, w);
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t filter, cudnnDataType_t type,
                                         cudnnTensorFormat_t format, int k, int c, int h, int w) {
    MAY_FAIL;
    if (type != CUDNN_DATA_FLOAT) return CUDNN_STATUS_NOT_SUPPORTED;
    filter->image = packed_image(format, k, c, h, w);
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t conv, int pad_h,
                                              int pad_w, int u, int v, int dilation_h,
                                              int dilation_w, cudnnConvolutionMode_t mode,
                                              cudnnDataType_t compute) {
    MAY_FAIL;
    if (dilation_h != 1 || dilation_w != 1 || mode != CUDNN_CROSS_CORRELATION ||
        compute != CUDNN_DATA_FLOAT)
        return CUDNN_STATUS_NOT_SUPPORTED;
    conv->pad[0] = pad_h, conv->pad[1] = pad_w;
    conv->stride[0] = u, conv->stride[1] = v;
    conv->math = CUDNN_DEFAULT_MATH;
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t conv, cudnnMathType_t math) {
    MAY_FAIL;
    conv->math = math;
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetActivationDescriptor(cudnnActivationDescriptor_t activation,
                                           cudnnActivationMode_t mode, cudnnNanPropagation_t nan,
                                           double coefficient) {
    MAY_FAIL;
    (void)nan, (void)coefficient;
    activation->is_relu = mode == CUDNN_ACTIVATION_RELU;
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetPooling2dDescriptor(cudnnPoolingDescriptor_t pool, cudnnPoolingMode_t mode,
                                          cudnnNanPropagation_t nan, int window_h, int window_w,
                                          int pad_h, int pad_w, int stride_h, int stride_w) {
    MAY_FAIL;
    if (mode != CUDNN_POOLING_MAX || pad_h != 0 || pad_w != 0 || nan != CUDNN_PROPAGATE_NAN)
        return CUDNN_STATUS_NOT_SUPPORTED;
    pool->window[0] = window_h, pool->window[1] = window_w;
    pool->stride[0] = stride_h, pool->stride[1] = stride_w;
    return CUDNN_STATUS_SUCCESS;
}

static bool same_layout(const struct image *x, const struct image *w) {
    return (x->step[1] == 1 && x->extent[1] > 1) == (w->step[1] == 1 && w->extent[1] > 1);
}

static cudnnStatus_t describe(struct conv *p, cudnnTensorDescriptor_t x, cudnnFilterDescriptor_t w,
                              cudnnConvolutionDescriptor_t conv, cudnnTensorDescriptor_t y,
                              cudnnConvolutionFwdAlgo_t algo) {
    *p = (struct conv){.x = x->image, .w = w->image, .y = y->image};
    memcpy(p->pad, conv->pad, sizeof p->pad);
    memcpy(p->stride, conv->stride, sizeof p->stride);
    p->way = 10 + (int)algo; /* slower than what graphs do */
    p->rounds = conv->math != CUDNN_FMA_MATH;
    p->count = &fake_vendor.n_legacy;
    if (algo == CUDNN_CONVOLUTION_FWD_ALGO_DIRECT) return CUDNN_STATUS_NOT_SUPPORTED;
    if (!same_layout(&p->x, &p->w)) return CUDNN_STATUS_NOT_SUPPORTED_LAYOUT;
    return extents_fit(p, p->pad) ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH;
}

cudnnStatus_t cudnnGetConvolutionForwardWorkspaceSize(
    cudnnHandle_t handle, const cudnnTensorDescriptor_t x, const cudnnFilterDescriptor_t w,
    const cudnnConvolutionDescriptor_t conv, const cudnnTensorDescriptor_t y,
    cudnnConvolutionFwdAlgo_t algo, size_t *bytes) {
    struct conv p;
    MAY_FAIL;
    (void)handle;
    *bytes = fake_vendor.workspace;
    return describe(&p, x, w, conv, y, algo);
}

static cudnnStatus_t enqueue(cudnnHandle_t handle, struct conv *p, const void *alpha,
                             const void *beta, const void *x, const void *w, const void *bias,
                             void *y, void *workspace, size_t workspace_bytes) {
    if (workspace_bytes < fake_vendor.workspace || *(const float *)alpha != 1 ||
        *(const float *)beta != 0)
        return CUDNN_STATUS_BAD_PARAM;
    p->at_x = x, p->at_w = w, p->at_bias = bias, p->at_y = y, p->workspace = workspace;
    p->bias_step = 1;
    fake_cuda_enqueue(handle->stream, run_conv, p, sizeof *p);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t handle, const void *alpha,
                                      const cudnnTensorDescriptor_t x_desc, const void *x,
                                      const cudnnFilterDescriptor_t w_desc, const void *w,
                                      const cudnnConvolutionDescriptor_t conv,
                                      cudnnConvolutionFwdAlgo_t algo, void *workspace,
                                      size_t workspace_bytes, const void *beta,
                                      const cudnnTensorDescriptor_t y_desc, void *y) {
    struct conv p;
    MAY_FAIL;
    const cudnnStatus_t status = describe(&p, x_desc, w_desc, conv, y_desc, algo);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    return enqueue(handle, &p, alpha, beta, x, w, NULL, y, workspace, workspace_bytes);
}

cudnnStatus_t cudnnConvolutionBiasActivationForward(
    cudnnHandle_t handle, const void *alpha1, const cudnnTensorDescriptor_t x_desc, const void *x,
    const cudnnFilterDescriptor_t w_desc, const void *w, const cudnnConvolutionDescriptor_t conv,
    cudnnConvolutionFwdAlgo_t algo, void *workspace, size_t workspace_bytes, const void *alpha2,
    const cudnnTensorDescriptor_t z_desc, const void *z, const cudnnTensorDescriptor_t bias_desc,
    const void *bias, const cudnnActivationDescriptor_t activation,
    const cudnnTensorDescriptor_t y_desc, void *y) {
    struct conv p;
    MAY_FAIL;
    cudnnStatus_t status = describe(&p, x_desc, w_desc, conv, y_desc, algo);
    p.has_relu = activation->is_relu;
    if (status == CUDNN_STATUS_SUCCESS && !p.has_relu &&
        algo != CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM)
        status = CUDNN_STATUS_NOT_SUPPORTED;
    if (status != CUDNN_STATUS_SUCCESS) return status;
    if (!z || z_desc != y_desc || bias_desc->image.extent[1] != p.y.extent[1] || !bias)
        return CUDNN_STATUS_BAD_PARAM;
    return enqueue(handle, &p, alpha1, alpha2, x, w, bias, y, workspace, workspace_bytes);
}

/* ---- pooling ---- */

struct pooling {
    struct image x, y;
    int64_t window[2], stride[2];
    const float *at_x;
    float *at_y;
};

static void run_pooling(const void *args) {
    const struct pooling *p = args;
    for (int64_t n = 0; n < p->y.extent[0]; n++)
        for (int64_t c = 0; c < p->y.extent[1]; c++)
            for (int64_t i = 0; i < p->y.extent[2]; i++)
                for (int64_t j = 0; j < p->y.extent[3]; j++) {
                    float largest = -INFINITY;
                    for (int64_t r = 0; r < p->window[0]; r++)
                        for (int64_t s = 0; s < p->window[1]; s++) {
                            const float v = at(&p->x, p->at_x, n, c, i * p->stride[0] + r,
                                               j * p->stride[1] + s, false);
                            largest = largest > v || isnan(largest) ? largest : v;
                        }
                    p->at_y[n * p->y.step[0] + c * p->y.step[1] + i * p->y.step[2] +
                            j * p->y.step[3]] = largest;
                }
    fake_vendor.n_pools++;
}

cudnnStatus_t cudnnPoolingForward(cudnnHandle_t handle, const cudnnPoolingDescriptor_t pool,
                                  const void *alpha, const cudnnTensorDescriptor_t x_desc,
                                  const void *x, const void *beta,
                                  const cudnnTensorDescriptor_t y_desc, void *y) {
    MAY_FAIL;
    struct pooling p = {.x = x_desc->image, .y = y_desc->image, .at_x = x, .at_y = y};
    memcpy(p.window, pool->window, sizeof p.window);
    memcpy(p.stride, pool->stride, sizeof p.stride);
    for (int i = 0; i < 2; i++)
        if ((p.x.extent[2 + i] - p.window[i]) / p.stride[i] + 1 != p.y.extent[2 + i])
            return CUDNN_STATUS_BAD_PARAM;
    if (*(const float *)alpha != 1 || *(const float *)beta != 0) return CUDNN_STATUS_BAD_PARAM;
    fake_cuda_enqueue(handle->stream, run_pooling, &p, sizeof p);
    return CUDNN_STATUS_SUCCESS;
}
