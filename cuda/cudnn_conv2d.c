/* Convolutions by cuDNN: one operation graph (cudnn_graph.h) for each layout of the filters, and
 * the older fused call (cudnn_legacy.h), all of whose algorithms are ways of the row. A pooling in
 * the step is a second call, from scratch memory. */
#include "arena.h"
#include "cudnn_graph.h"
#include "cudnn_legacy.h"
#include "vendor.h"

#include <stdio.h>

enum layout { KCRS, KRSC, N_LAYOUTS }; /* of filters; the program has KCRS, or RSCK for NHWC */

struct way {
    bool is_legacy;
    enum layout layout;
    uint32_t index; /* plan or algorithm */
};

enum { MAX_WAYS = 128 };

struct mb_vendor_step {
    const struct mb_vendor *vendor;
    struct mb_conv2d_desc desc;
    struct mb_cudnn_graph *graphs[N_LAYOUTS]; /* NULL: none */
    struct mb_cudnn_legacy *legacy;           /* NULL: none */
    struct way ways[MAX_WAYS];
    uint32_t n_ways, way;
    size_t workspace; /* of the current way */
    /* Transposition of the program's filters to each layout; outlives the stream's work. */
    struct mb_type w_type;
    struct mb_node transpose[N_LAYOUTS];
};

static void release(struct mb_vendor_step *step) {
    if (!step) return;
    for (int i = 0; i < N_LAYOUTS; i++) mb_cudnn_graph_free(step->graphs[i]);
    mb_cudnn_legacy_free(step->legacy);
    mb_allocator.release(step);
}

/* ---- geometry ---- */

static void set_steps(struct mb_cudnn_tensor *t, bool channels_last) {
    const int64_t *e = t->extent;
    const int64_t steps[2][4] = {{e[1] * e[2] * e[3], e[2] * e[3], e[3], 1},
                                 {e[1] * e[2] * e[3], 1, e[3] * e[1], e[1]}};
    for (int i = 0; i < 4; i++) t->step[i] = steps[channels_last][i];
}

/* What must be padded behind for exactly `out` results; negative: the image's end is cut off, which
 * no padding says. As much as before where that gives the same: engines like it so. */
static int64_t pad_after(int64_t in, int64_t window, int64_t stride, int64_t before, int64_t out) {
    if ((in + 2 * before - window) / stride + 1 == out) return before;
    const int64_t least = (out - 1) * stride + window - in - before;
    return least < 0 && least + stride > 0 ? 0 : least;
}

static struct mb_cudnn_conv geometry(const struct mb_conv2d_desc *d, enum layout layout) {
    struct mb_cudnn_conv conv = {.x = {.extent = {d->n, d->c, d->h, d->w}},
                                 .w = {.extent = {d->filters, d->c, d->r, d->s}},
                                 .y = {.extent = {d->n, d->filters, d->out_h, d->out_w}},
                                 .has_bias = d->has_bias,
                                 .has_relu = d->act == MB_ACT_RELU};
    set_steps(&conv.x, d->layout == MB_NHWC);
    set_steps(&conv.y, d->layout == MB_NHWC);
    set_steps(&conv.w, layout == KRSC);
    for (int i = 0; i < 2; i++) {
        conv.stride[i] = d->stride[i];
        conv.pad_before[i] = d->pad_before[i];
        conv.pad_after[i] = pad_after(conv.x.extent[2 + i], conv.w.extent[2 + i], d->stride[i],
                                      d->pad_before[i], conv.y.extent[2 + i]);
    }
    return conv;
}

/* ---- packed weights: filters in the way's layout, then the bias, zero where there is none ---- */

static size_t bytes_of_w(const struct mb_conv2d_desc *d) {
    return (size_t)(d->filters * d->c * d->r * d->s) * sizeof(float);
}

static size_t bytes_of_bias(const struct mb_conv2d_desc *d) {
    return (size_t)d->filters * sizeof(float);
}

static void describe_transpositions(struct mb_vendor_step *step) {
    static const struct mb_attr_perm perms[2][N_LAYOUTS] = {
        {{{0, 1, 2, 3}}, {{0, 2, 3, 1}}},  /* from KCRS */
        {{{3, 2, 0, 1}}, {{3, 0, 1, 2}}}}; /* from RSCK */
    const struct mb_conv2d_desc *d = &step->desc;
    const int64_t from[2][4] = {{d->filters, d->c, d->r, d->s}, {d->r, d->s, d->c, d->filters}};
    const bool nhwc = d->layout == MB_NHWC;
    step->w_type = (struct mb_type){.dtype = MB_F32, .shape = {.rank = 4}};
    for (int i = 0; i < 4; i++) step->w_type.shape.dim[i] = from[nhwc][i];
    for (int k = 0; k < N_LAYOUTS; k++) {
        struct mb_node *node = &step->transpose[k];
        *node = (struct mb_node){.op = MB_OP_TRANSPOSE, .n_operands = 1, .type = step->w_type};
        node->attr.perm = perms[nhwc][k];
        for (int i = 0; i < 4; i++) node->type.shape.dim[i] = from[nhwc][perms[nhwc][k].perm[i]];
    }
}

static enum mb_status pack(struct mb_vendor_step *step, const float *w, const float *bias,
                           void *packed, struct mb_err *err) {
    const struct mb_conv2d_desc *d = &step->desc;
    cudaStream_t stream = step->vendor->stream;
    void *packed_bias = (char *)packed + mb_align_256(bytes_of_w(d));
    const struct mb_cuda_operation_args transpose = {
        .node = &step->transpose[step->ways[step->way].layout],
        .types = {&step->w_type},
        .operands = {w},
        .y = packed};
    cudaError_t error = mb_cuda_operation(&transpose, stream);
    if (error == cudaSuccess)
        error = bias ? cudaMemcpyAsync(packed_bias, bias, bytes_of_bias(d),
                                       cudaMemcpyDeviceToDevice, stream)
                     : cudaMemsetAsync(packed_bias, 0, bytes_of_bias(d), stream);
    return mb_gpu_check(error, "layout of filters", err);
}

/* ---- ways ---- */

static void add_way(struct mb_vendor_step *step, bool is_legacy, enum layout layout,
                    uint32_t index) {
    if (step->n_ways < MAX_WAYS)
        step->ways[step->n_ways++] = (struct way){is_legacy, layout, index};
}

static enum mb_status prepare(struct mb_vendor *vendor, const union mb_step_desc *desc,
                              struct mb_vendor_step **out, uint32_t *n_ways, struct mb_err *err) {
    enum mb_status st = MB_OK;
    struct mb_vendor_step *step = mb_allocator.alloc(sizeof *step);
    if (!step) return mb_fail(err, MB_E_NOMEM, "cuda: out of memory");
    *step = (struct mb_vendor_step){.vendor = vendor, .desc = desc->conv2d};
    describe_transpositions(step);
    for (int k = 0; k < N_LAYOUTS; k++) {
        const struct mb_cudnn_conv conv = geometry(&desc->conv2d, (enum layout)k);
        if (conv.pad_after[0] < 0 || conv.pad_after[1] < 0) continue;
        st = mb_cudnn_graph_new(vendor, &conv, &step->graphs[k], err);
        if (st != MB_OK) continue;
        for (uint32_t i = 0; i < mb_cudnn_graph_n_plans(step->graphs[k]); i++)
            add_way(step, false, (enum layout)k, i);
    }
    st = mb_cudnn_legacy_new(vendor, &desc->conv2d, &step->legacy, err);
    if (st != MB_OK && desc->conv2d.has_pool) goto out; /* nothing pools then */
    for (uint32_t i = 0; st == MB_OK && i < CUDNN_CONVOLUTION_FWD_ALGO_COUNT; i++)
        if (mb_cudnn_legacy_can(step->legacy, i))
            add_way(step, true, desc->conv2d.layout == MB_NCHW ? KCRS : KRSC, i);
    if (step->n_ways > 0) {
        *out = step;
        *n_ways = step->n_ways;
        return MB_OK;
    }
    if (st == MB_OK)
        st = mb_fail(err, MB_E_UNSUPPORTED, "cuDNN has no %s algorithm for this convolution",
                     vendor->precision == MB_TF32 ? "tf32" : "fp32");
out:
    release(step);
    return st;
}

static void way_name(const struct mb_vendor_step *step, uint32_t way, char *buf, size_t size) {
    static const char *const layouts[] = {"kcrs", "krsc"};
    const struct way *w = &step->ways[way];
    if (w->is_legacy)
        snprintf(buf, size, "legacy.%u", w->index);
    else
        snprintf(buf, size, "graph.%s.%u", layouts[w->layout], w->index);
}

/* Scratch: the convolution's result where it is pooled, then the workspace. */
static size_t bytes_before_pool(const struct mb_conv2d_desc *d) {
    return d->has_pool
               ? mb_align_256((size_t)(d->n * d->filters * d->out_h * d->out_w) * sizeof(float))
               : 0;
}

static enum mb_status take(struct mb_vendor_step *step, uint32_t way, struct mb_vendor_way *out,
                           struct mb_err *err) {
    const struct way *w = &step->ways[way];
    bool is_tf32 = step->vendor->precision == MB_TF32; /* as the older calls are told to be */
    size_t workspace = 0;
    enum mb_status st =
        w->is_legacy
            ? mb_cudnn_legacy_workspace(step->legacy, w->index, &workspace, err)
            : mb_cudnn_graph_take(step->graphs[w->layout], w->index, &workspace, &is_tf32, err);
    if (st != MB_OK) return st;
    if (workspace > MB_VENDOR_WORKSPACE)
        return mb_fail(err, MB_E_UNSUPPORTED, "a workspace of %zu bytes; %zu is the most",
                       workspace, MB_VENDOR_WORKSPACE);
    step->way = way;
    step->workspace = workspace;
    *out = (struct mb_vendor_way){.packed_bytes = mb_align_256(bytes_of_w(&step->desc)) +
                                                  bytes_of_bias(&step->desc),
                                  .scratch_bytes = bytes_before_pool(&step->desc) + workspace,
                                  .is_tf32 = is_tf32};
    return MB_OK;
}

static enum mb_status launch(struct mb_vendor_step *step, const struct mb_cuda_args *args,
                             struct mb_err *err) {
    const struct mb_conv2d_desc *d = &step->desc;
    const struct way *way = &step->ways[step->way];
    const float *w = args->packed;
    const float *bias = (const void *)((const char *)args->packed + mb_align_256(bytes_of_w(d)));
    void *workspace = (char *)args->scratch + bytes_before_pool(d);
    float *y = d->has_pool ? args->scratch : args->y;
    enum mb_status st = way->is_legacy
                            ? mb_cudnn_legacy_conv(step->legacy, way->index, args->x, w, bias, y,
                                                   workspace, step->workspace, err)
                            : mb_cudnn_graph_launch(step->graphs[way->layout], args->x, w,
                                                    d->has_bias ? bias : NULL, y, workspace, err);
    if (st != MB_OK || !d->has_pool) return st;
    return mb_cudnn_legacy_pool(step->legacy, y, args->y, err);
}

const struct mb_vendor_kernel mb_vendor_cudnn_conv2d = {
    "cudnn_conv2d", MB_STEP_CONV2D, MB_CUDNN, prepare, release, way_name, take, pack, launch};
