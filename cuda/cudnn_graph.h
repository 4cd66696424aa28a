/* A convolution with its bias and ReLU as one operation graph of cuDNN's backend interface, and the
 * engine configurations that its heuristics name for it. */
#ifndef MB_CUDNN_GRAPH_H
#define MB_CUDNN_GRAPH_H

#include "vendor.h"

/* Extents and steps in elements, in the order n c h w; of w: filters, channels, rows, columns. */
struct mb_cudnn_tensor {
    int64_t extent[4], step[4];
};

/* Cross-correlation without dilation: y = relu(conv(x, w) + bias), the last two where asked for.
 * bias[y.extent[1]]. */
struct mb_cudnn_conv {
    struct mb_cudnn_tensor x, w, y;
    int64_t stride[2], pad_before[2], pad_after[2];
    bool has_bias, has_relu;
};

struct mb_cudnn_graph;

/* MB_E_UNSUPPORTED where no configuration of the vendor's precision is named. */
enum mb_status mb_cudnn_graph_new(const struct mb_vendor *vendor, const struct mb_cudnn_conv *conv,
                                  struct mb_cudnn_graph **out, struct mb_err *err);
void mb_cudnn_graph_free(struct mb_cudnn_graph *graph); /* NULL is fine */

uint32_t mb_cudnn_graph_n_plans(const struct mb_cudnn_graph *graph);

/* Makes plan `index` the one that is launched; compiles it the first time, which may take long. */
enum mb_status mb_cudnn_graph_take(struct mb_cudnn_graph *graph, uint32_t index, size_t *workspace,
                                   bool *is_tf32, struct mb_err *err);

/* Device memory; bias NULL where there is none. */
enum mb_status mb_cudnn_graph_launch(struct mb_cudnn_graph *graph, const float *x, const float *w,
                                     const float *bias, float *y, void *workspace,
                                     struct mb_err *err);

#endif
