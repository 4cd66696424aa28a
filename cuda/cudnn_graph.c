#include "cudnn_graph.h"

#include "arena.h"

#include <string.h>

enum {
    MAX_PLANS = 48, /* of both heuristics together */
    MAX_OF_MODE = 32,
    MAX_PARTS = 16 /* descriptors of the operation graph */
};

/* Which pointer of the variant pack is which tensor. */
enum { UID_X = 1, UID_W, UID_BIAS, UID_Y, UID_SUM, UID_BIASED };

struct plan {
    cudnnBackendDescriptor_t config, plan; /* plan: NULL until it is taken */
    size_t workspace;
    bool is_tf32;
};

struct mb_cudnn_graph {
    const struct mb_vendor *vendor;
    bool has_bias;
    cudnnBackendDescriptor_t parts[MAX_PARTS]; /* each made of earlier ones */
    uint32_t n_parts;
    struct plan plans[MAX_PLANS];
    uint32_t n_plans, current;
    cudnnBackendDescriptor_t pack; /* of the pointers launched last, NULL at first */
    const void *packed[5];
};

/* Steps that follow each other until one fails. */
struct builder {
    struct mb_cudnn_graph *graph;
    const struct mb_cudnn_api *api;
    enum mb_status st;
    struct mb_err *err;
};

static bool step(struct builder *b, cudnnStatus_t status, const char *what) {
    b->st = mb_cudnn_check(b->graph->vendor, status, what, b->err);
    return b->st == MB_OK;
}

/* ---- descriptors ---- */

static cudnnBackendDescriptor_t create(struct builder *b, cudnnBackendDescriptorType_t type,
                                       const char *what) {
    cudnnBackendDescriptor_t descriptor = NULL;
    if (b->st == MB_OK) step(b, b->api->BackendCreateDescriptor(type, &descriptor), what);
    return b->st == MB_OK ? descriptor : NULL;
}

/* One that lives as long as the graph. */
static cudnnBackendDescriptor_t create_part(struct builder *b, cudnnBackendDescriptorType_t type,
                                            const char *what) {
    cudnnBackendDescriptor_t descriptor = create(b, type, what);
    if (descriptor) b->graph->parts[b->graph->n_parts++] = descriptor;
    return descriptor;
}

static void set(struct builder *b, cudnnBackendDescriptor_t descriptor,
                cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
                const void *values, const char *what) {
    if (b->st == MB_OK)
        step(b, b->api->BackendSetAttribute(descriptor, name, type, count, values), what);
}

static void set_part(struct builder *b, cudnnBackendDescriptor_t descriptor,
                     cudnnBackendAttributeName_t name, cudnnBackendDescriptor_t part,
                     const char *what) {
    set(b, descriptor, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &part, what);
}

static void finalize(struct builder *b, cudnnBackendDescriptor_t descriptor, const char *what) {
    if (b->st == MB_OK) step(b, b->api->BackendFinalize(descriptor), what);
}

static void destroy(const struct mb_cudnn_graph *graph, cudnnBackendDescriptor_t descriptor) {
    if (descriptor) graph->vendor->cudnn.BackendDestroyDescriptor(descriptor);
}

/* ---- the operation graph ---- */

static cudnnBackendDescriptor_t tensor(struct builder *b, const struct mb_cudnn_tensor *t,
                                       int64_t uid) {
    static const char what[] = "cuDNN tensor descriptor";
    static const cudnnDataType_t type = CUDNN_DATA_FLOAT;
    const bool is_virtual = uid > UID_Y;
    const int64_t alignment = uid == UID_X || uid == UID_Y ? 16 : 256; /* callers' or ours */
    cudnnBackendDescriptor_t d = create_part(b, CUDNN_BACKEND_TENSOR_DESCRIPTOR, what);
    set(b, d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type, what);
    set(b, d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, t->extent, what);
    set(b, d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, t->step, what);
    set(b, d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &uid, what);
    set(b, d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment, what);
    if (is_virtual)
        set(b, d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &is_virtual, what);
    finalize(b, d, what);
    return d;
}

static cudnnBackendDescriptor_t convolution(struct builder *b, const struct mb_cudnn_conv *conv,
                                            cudnnBackendDescriptor_t y) {
    static const char what[] = "cuDNN convolution descriptor";
    static const cudnnDataType_t type = CUDNN_DATA_FLOAT;
    static const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    static const int64_t axes = 2, no_dilation[2] = {1, 1};
    static const float one = 1, zero = 0;
    cudnnBackendDescriptor_t d = create_part(b, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, what);
    set(b, d, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type, what);
    set(b, d, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode, what);
    set(b, d, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &axes, what);
    set(b, d, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, no_dilation, what);
    set(b, d, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, conv->stride, what);
    set(b, d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, conv->pad_before, what);
    set(b, d, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, conv->pad_after, what);
    finalize(b, d, what);

    cudnnBackendDescriptor_t x = tensor(b, &conv->x, UID_X), w = tensor(b, &conv->w, UID_W);
    cudnnBackendDescriptor_t op =
        create_part(b, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, what);
    set_part(b, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, d, what);
    set_part(b, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x, what);
    set_part(b, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, w, what);
    set_part(b, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, y, what);
    set(b, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, 1, &one, what);
    set(b, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, 1, &zero, what);
    finalize(b, op, what);
    return op;
}

/* y = mode(x, other); `other` NULL for an operation of one operand. */
static cudnnBackendDescriptor_t pointwise(struct builder *b, cudnnPointwiseMode_t mode,
                                          cudnnBackendDescriptor_t x,
                                          cudnnBackendDescriptor_t other,
                                          cudnnBackendDescriptor_t y) {
    static const char what[] = "cuDNN pointwise descriptor";
    static const cudnnDataType_t type = CUDNN_DATA_FLOAT;
    cudnnBackendDescriptor_t d = create_part(b, CUDNN_BACKEND_POINTWISE_DESCRIPTOR, what);
    set(b, d, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode, what);
    set(b, d, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &type, what);
    finalize(b, d, what);

    cudnnBackendDescriptor_t op =
        create_part(b, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, what);
    set_part(b, op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, d, what);
    set_part(b, op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x, what);
    if (other) set_part(b, op, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, other, what);
    set_part(b, op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y, what);
    finalize(b, op, what);
    return op;
}

/* conv -> sum -> + bias -> biased -> relu -> y, the last operation that there is writing y. */
static cudnnBackendDescriptor_t operation_graph(struct builder *b,
                                                const struct mb_cudnn_conv *conv) {
    static const char what[] = "cuDNN operation graph";
    const int64_t filters = conv->y.extent[1];
    const struct mb_cudnn_tensor bias = {{1, filters, 1, 1}, {filters, 1, filters, filters}};
    cudnnBackendDescriptor_t ops[3];
    int64_t n_ops = 0;
    cudnnBackendDescriptor_t y = tensor(b, &conv->y, UID_Y), sum = y, biased = y;
    if (conv->has_bias || conv->has_relu) sum = tensor(b, &conv->y, UID_SUM);
    if (conv->has_relu) biased = conv->has_bias ? tensor(b, &conv->y, UID_BIASED) : sum;
    ops[n_ops++] = convolution(b, conv, sum);
    if (conv->has_bias)
        ops[n_ops++] = pointwise(b, CUDNN_POINTWISE_ADD, sum, tensor(b, &bias, UID_BIAS), biased);
    if (conv->has_relu) ops[n_ops++] = pointwise(b, CUDNN_POINTWISE_RELU_FWD, biased, NULL, y);

    cudnnBackendDescriptor_t graph = create_part(b, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, what);
    set(b, graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, n_ops, ops, what);
    set(b, graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1,
        &b->graph->vendor->cudnn_handle, what);
    finalize(b, graph, what);
    return graph;
}

/* ---- engine configurations ---- */

/* What a configuration's engine does to products, asked of the library; false: not of the
 * precision, or not told. */
static bool fits_precision(const struct mb_cudnn_graph *graph, cudnnBackendDescriptor_t config,
                           bool *is_tf32) {
    const struct mb_cudnn_api *api = &graph->vendor->cudnn;
    cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    cudnnBackendDescriptor_t engine = NULL;
    int64_t n = 0;
    bool fits =
        api->BackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine) ==
            CUDNN_STATUS_SUCCESS &&
        api->BackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                                 1, &n, &engine) == CUDNN_STATUS_SUCCESS &&
        api->BackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
                                 CUDNN_TYPE_NUMERICAL_NOTE, CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &n,
                                 notes) == CUDNN_STATUS_SUCCESS;
    *is_tf32 = false;
    for (int64_t i = 0; fits && i < n; i++) {
        if (notes[i] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE) *is_tf32 = true;
        if (notes[i] == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS ||
            notes[i] == CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION)
            fits = false;
    }
    destroy(graph, engine);
    return fits && (!*is_tf32 || graph->vendor->precision == MB_TF32);
}

/* Takes over the configurations that one heuristic names, best first. */
static void add_plans(struct builder *b, cudnnBackendDescriptor_t operations,
                      cudnnBackendHeurMode_t mode) {
    static const char what[] = "cuDNN heuristics";
    struct mb_cudnn_graph *graph = b->graph;
    cudnnBackendDescriptor_t configs[MAX_OF_MODE] = {NULL};
    int64_t n = 0;
    cudnnBackendDescriptor_t heuristics = create(b, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, what);
    set_part(b, heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, operations, what);
    set(b, heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode, what);
    finalize(b, heuristics, what);
    for (int i = 0; i < MAX_OF_MODE; i++)
        configs[i] = create(b, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, what);
    if (b->st == MB_OK)
        step(b,
             b->api->BackendGetAttribute(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                         CUDNN_TYPE_BACKEND_DESCRIPTOR, MAX_OF_MODE, &n, configs),
             what);
    for (int i = 0; i < MAX_OF_MODE; i++) {
        bool is_tf32;
        if (b->st == MB_OK && i < n && graph->n_plans < MAX_PLANS &&
            fits_precision(graph, configs[i], &is_tf32))
            graph->plans[graph->n_plans++] =
                (struct plan){.config = configs[i], .is_tf32 = is_tf32};
        else
            destroy(graph, configs[i]);
    }
    destroy(graph, heuristics);
}

enum mb_status mb_cudnn_graph_new(const struct mb_vendor *vendor, const struct mb_cudnn_conv *conv,
                                  struct mb_cudnn_graph **out, struct mb_err *err) {
    enum mb_status st = MB_OK;
    struct mb_cudnn_graph *graph = mb_allocator.alloc(sizeof *graph);
    if (!graph) return mb_fail(err, MB_E_NOMEM, "cuda: out of memory");
    *graph = (struct mb_cudnn_graph){.vendor = vendor, .has_bias = conv->has_bias};
    struct builder b = {graph, &vendor->cudnn, MB_OK, err};
    cudnnBackendDescriptor_t operations = operation_graph(&b, conv);
    MB_TRY(b.st);
    static const cudnnBackendHeurMode_t modes[] = {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        b.st = MB_OK; /* a heuristic that fails names nothing */
        add_plans(&b, operations, modes[i]);
    }
    if (graph->n_plans > 0) {
        *out = graph;
        return MB_OK;
    }
    st = b.st != MB_OK ? b.st
                       : mb_fail(err, MB_E_UNSUPPORTED, "cuDNN's heuristics name no %s engine",
                                 vendor->precision == MB_TF32 ? "tf32" : "fp32");
out:
    mb_cudnn_graph_free(graph);
    return st;
}

void mb_cudnn_graph_free(struct mb_cudnn_graph *graph) {
    if (!graph) return;
    destroy(graph, graph->pack);
    for (uint32_t i = 0; i < graph->n_plans; i++) {
        destroy(graph, graph->plans[i].plan);
        destroy(graph, graph->plans[i].config);
    }
    while (graph->n_parts > 0) destroy(graph, graph->parts[--graph->n_parts]);
    mb_allocator.release(graph);
}

uint32_t mb_cudnn_graph_n_plans(const struct mb_cudnn_graph *graph) { return graph->n_plans; }

/* ---- plans ---- */

static enum mb_status build(struct mb_cudnn_graph *graph, struct plan *plan, struct mb_err *err) {
    static const char what[] = "cuDNN execution plan";
    struct builder b = {graph, &graph->vendor->cudnn, MB_OK, err};
    int64_t workspace = 0, n = 0;
    cudnnBackendDescriptor_t d = create(&b, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, what);
    set(&b, d, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &graph->vendor->cudnn_handle,
        what);
    set_part(&b, d, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, plan->config, what);
    finalize(&b, d, what);
    if (b.st == MB_OK)
        step(&b,
             b.api->BackendGetAttribute(d, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                        CUDNN_TYPE_INT64, 1, &n, &workspace),
             what);
    if (b.st != MB_OK) {
        destroy(graph, d);
        return b.st;
    }
    plan->plan = d;
    plan->workspace = (size_t)workspace;
    return MB_OK;
}

enum mb_status mb_cudnn_graph_take(struct mb_cudnn_graph *graph, uint32_t index, size_t *workspace,
                                   bool *is_tf32, struct mb_err *err) {
    struct plan *plan = &graph->plans[index];
    enum mb_status st = plan->plan ? MB_OK : build(graph, plan, err);
    if (st != MB_OK) return st;
    graph->current = index;
    *workspace = plan->workspace;
    *is_tf32 = plan->is_tf32;
    return MB_OK;
}

/* The descriptor of these pointers: the last one, where they are the same again. */
static enum mb_status pack_pointers(struct mb_cudnn_graph *graph, const void *const pointers[5],
                                    struct mb_err *err) {
    static const char what[] = "cuDNN variant pack";
    static const int64_t uids[] = {UID_X, UID_W, UID_Y, UID_BIAS};
    const int64_t n = graph->has_bias ? 4 : 3;
    if (graph->pack && memcmp(pointers, graph->packed, sizeof graph->packed) == 0) return MB_OK;
    struct builder b = {graph, &graph->vendor->cudnn, MB_OK, err};
    cudnnBackendDescriptor_t d = create(&b, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, what);
    set(&b, d, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, n, uids, what);
    set(&b, d, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, n, pointers, what);
    set(&b, d, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &pointers[4], what);
    finalize(&b, d, what);
    if (b.st != MB_OK) {
        destroy(graph, d);
        return b.st;
    }
    destroy(graph, graph->pack);
    graph->pack = d;
    memcpy(graph->packed, pointers, sizeof graph->packed);
    return MB_OK;
}

enum mb_status mb_cudnn_graph_launch(struct mb_cudnn_graph *graph, const float *x, const float *w,
                                     const float *bias, float *y, void *workspace,
                                     struct mb_err *err) {
    const void *const pointers[5] = {x, w, y, bias, workspace};
    enum mb_status st = pack_pointers(graph, pointers, err);
    if (st != MB_OK) return st;
    return mb_cudnn_check(graph->vendor,
                          graph->vendor->cudnn.BackendExecute(graph->vendor->cudnn_handle,
                                                              graph->plans[graph->current].plan,
                                                              graph->pack),
                          "cudnnBackendExecute", err);
}
