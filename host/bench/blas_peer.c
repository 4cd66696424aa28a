#include "blas_peer.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { ROW_MAJOR = 101, NO_TRANSPOSE = 111 }; /* of cblas.h */

typedef void sgemm_fn(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha,
                      const float *a, int lda, const float *b, int ldb, float beta, float *c,
                      int ldc);

struct mb_ctx {
    void *library;
    sgemm_fn *sgemm;
    const struct mb_program *program;
    uint32_t w, bias; /* of params; bias: none where it is n_params */
    int m, n, k;
    float *weights, *row; /* [k][n], [n] */
};

struct mb_buf {
    float *data; /* aligned to 64 */
};

static const char *const names[] = {"libopenblas.so.0", "libopenblas.so"};

/* Where neither the system nor the user has said otherwise. */
static void cap(enum mb_isa isa) {
    static const char *const cores[] = {"Prescott", "Haswell"};
    if (isa < MB_ISA_AVX512) setenv("OPENBLAS_CORETYPE", cores[isa], 0);
}

static void blas_close(struct mb_ctx *ctx) {
    if (!ctx) return;
    if (ctx->library) dlclose(ctx->library);
    free(ctx->weights);
    free(ctx->row);
    free(ctx);
}

static enum mb_status blas_open(const struct mb_open_config *config, struct mb_ctx **out,
                                struct mb_err *err) {
    struct mb_ctx *ctx = calloc(1, sizeof *ctx);
    if (!ctx) return mb_fail(err, MB_E_NOMEM, "OpenBLAS: out of memory");
    cap(config->isa_cap);
    for (size_t i = 0; i < sizeof names / sizeof *names && !ctx->library; i++)
        ctx->library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!ctx->library) {
        blas_close(ctx);
        return mb_fail(err, MB_E_UNSUPPORTED,
                       "no %s; install OpenBLAS (Debian: libopenblas0-pthread)", names[0]);
    }
    void (*set_threads)(int);
    *(void **)&ctx->sgemm = dlsym(ctx->library, "cblas_sgemm");
    *(void **)&set_threads = dlsym(ctx->library, "openblas_set_num_threads");
    if (!ctx->sgemm || !set_threads) {
        blas_close(ctx);
        return mb_fail(err, MB_E_UNSUPPORTED, "%s has no cblas_sgemm or is not OpenBLAS", names[0]);
    }
    set_threads(config->n_threads);
    *out = ctx;
    return MB_OK;
}

static enum mb_status blas_probe(const struct mb_open_config *config, struct mb_err *err) {
    struct mb_ctx *ctx = NULL;
    const enum mb_status st = blas_open(config, &ctx, err);
    blas_close(ctx);
    return st;
}

/* ---- buffers ---- */

static enum mb_status blas_buf_alloc(struct mb_ctx *ctx, size_t bytes, struct mb_buf **out,
                                     struct mb_err *err) {
    (void)ctx;
    struct mb_buf *buf = malloc(sizeof *buf);
    void *data = NULL;
    if (!buf || posix_memalign(&data, 64, bytes ? bytes : 1) != 0) {
        free(buf);
        return mb_fail(err, MB_E_NOMEM, "OpenBLAS: out of memory: %zu bytes", bytes);
    }
    buf->data = data;
    *out = buf;
    return MB_OK;
}

static void blas_buf_free(struct mb_ctx *ctx, struct mb_buf *buf) {
    (void)ctx;
    if (buf) free(buf->data);
    free(buf);
}

static enum mb_status blas_upload(struct mb_ctx *ctx, struct mb_buf *dst, const void *src,
                                  size_t bytes, struct mb_err *err) {
    (void)ctx, (void)err;
    memcpy(dst->data, src, bytes);
    return MB_OK;
}

static enum mb_status blas_download(struct mb_ctx *ctx, void *dst, const struct mb_buf *src,
                                    size_t bytes, struct mb_err *err) {
    (void)ctx, (void)err;
    memcpy(dst, src->data, bytes);
    return MB_OK;
}

/* ---- programs ---- */

/* The weight that a node is, or n_params. */
static uint32_t weight_at(const struct mb_program *p, uint32_t node) {
    const struct mb_node *n = &p->nodes[node];
    if (n->op != MB_OP_PARAM || n->type.dtype != MB_F32) return p->n_params;
    return p->params[n->attr.param.index].role == MB_WEIGHT ? n->attr.param.index : p->n_params;
}

static bool is_product(const struct mb_program *p, uint32_t product, uint32_t *w) {
    const struct mb_node *node = &p->nodes[product];
    if (node->op != MB_OP_MATMUL || node->type.shape.rank != 2) return false;
    const struct mb_node *x = &p->nodes[node->operand[0]];
    *w = weight_at(p, node->operand[1]);
    return x->op == MB_OP_PARAM && p->params[x->attr.param.index].role == MB_INPUT &&
           x->type.shape.rank == 2 && *w < p->n_params && p->params[*w].type.shape.rank == 2;
}

static bool fits_int(const struct mb_shape *shape) {
    return shape->dim[0] <= INT_MAX && shape->dim[1] <= INT_MAX;
}

static enum mb_status blas_plan(struct mb_ctx *ctx, const struct mb_program *p,
                                struct mb_err *err) {
    const uint32_t last = p->outputs[0];
    uint32_t product = last;
    ctx->bias = p->n_params;
    if (p->nodes[last].op == MB_OP_ADD) {
        const uint32_t *sides = p->nodes[last].operand;
        const int first = p->nodes[sides[0]].op == MB_OP_MATMUL ? 0 : 1;
        product = sides[first];
        ctx->bias = weight_at(p, sides[1 - first]);
    }
    if (p->n_outputs != 1 || !is_product(p, product, &ctx->w) ||
        !fits_int(&p->params[ctx->w].type.shape) || !fits_int(&p->nodes[product].type.shape) ||
        (product != last &&
         (ctx->bias == p->n_params || p->params[ctx->bias].type.shape.rank != 1 ||
          p->params[ctx->bias].type.shape.dim[0] != p->nodes[product].type.shape.dim[1])))
        return mb_fail(err, MB_E_UNSUPPORTED, "OpenBLAS: not one matrix product");
    ctx->program = p;
    ctx->m = (int)p->nodes[product].type.shape.dim[0];
    ctx->n = (int)p->nodes[product].type.shape.dim[1];
    ctx->k = (int)p->params[ctx->w].type.shape.dim[0];
    return MB_OK;
}

static enum mb_status blas_load(struct mb_ctx *ctx, const void *const *weights,
                                struct mb_err *err) {
    const size_t n = (size_t)ctx->n, count = (size_t)ctx->k * n;
    free(ctx->weights);
    free(ctx->row);
    ctx->weights = malloc(count * sizeof(float));
    ctx->row = calloc(n, sizeof(float));
    if (!ctx->weights || !ctx->row) return mb_fail(err, MB_E_NOMEM, "OpenBLAS: out of memory");
    memcpy(ctx->weights, weights[ctx->w], count * sizeof(float));
    if (ctx->bias < ctx->program->n_params) memcpy(ctx->row, weights[ctx->bias], n * sizeof(float));
    return MB_OK;
}

static enum mb_status blas_launch(struct mb_ctx *ctx, struct mb_buf *const *inputs,
                                  struct mb_buf *const *outputs, struct mb_err *err) {
    const size_t n = (size_t)ctx->n;
    float *y = outputs[0]->data;
    (void)err;
    for (size_t i = 0; i < (size_t)ctx->m; i++) memcpy(y + i * n, ctx->row, n * sizeof *y);
    ctx->sgemm(ROW_MAJOR, NO_TRANSPOSE, NO_TRANSPOSE, ctx->m, ctx->n, ctx->k, 1, inputs[0]->data,
               ctx->k, ctx->weights, ctx->n, 1, y, ctx->n);
    return MB_OK;
}

static enum mb_status blas_sync(struct mb_ctx *ctx, struct mb_err *err) {
    (void)ctx, (void)err;
    return MB_OK;
}

static bool blas_kernel_row(size_t i, struct mb_kernel_row *out) {
    if (i > 0) return false;
    *out = (struct mb_kernel_row){"openblas cblas_sgemm", MB_OP_MATMUL, 1};
    return true;
}

const struct mb_backend *mb_blas_peer(void) {
    static const struct mb_backend backend = {.abi = MB_BACKEND_ABI,
                                              .name = "openblas",
                                              .probe = blas_probe,
                                              .open = blas_open,
                                              .close = blas_close,
                                              .buf_alloc = blas_buf_alloc,
                                              .buf_free = blas_buf_free,
                                              .upload = blas_upload,
                                              .download = blas_download,
                                              .plan = blas_plan,
                                              .load = blas_load,
                                              .launch = blas_launch,
                                              .sync = blas_sync,
                                              .kernel_row = blas_kernel_row};
    return &backend;
}
