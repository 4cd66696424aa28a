/* libcublasLt for fake_vendor.h: matrix products of any layout, order, transposition, batch and
 * epilogue that the backend may ask for, checked as the real library checks them. */
#include "fake_cuda.h"
#include "fake_vendor.h"

#include <cublasLt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MAY_FAIL                                                                                   \
    do {                                                                                           \
        if (fake_vendor_fails()) return CUBLAS_STATUS_INTERNAL_ERROR;                              \
    } while (0)

struct operation {
    cublasComputeType_t compute;
    cudaDataType_t scale;
    cublasLtEpilogue_t epilogue;
    cublasOperation_t transposed[2];
    const float *bias;
};
struct layout {
    cublasLtOrder_t order;
    uint64_t rows, columns;
    int64_t ld, stride;
    int32_t batch;
};
struct preference {
    size_t workspace;
    uint32_t alignment[4]; /* of A, B, C, D */
};

/* Opaque pointers are these structs. */
static struct operation *operation_of(cublasLtMatmulDesc_t desc) { return (void *)desc; }
static struct layout *layout_of(cublasLtMatrixLayout_t desc) { return (void *)desc; }

size_t cublasLtGetVersion(void) { return (size_t)fake_vendor.cublaslt_version; }
const char *cublasLtGetStatusName(cublasStatus_t status) {
    switch (status) {
    case CUBLAS_STATUS_INTERNAL_ERROR: return "CUBLAS_STATUS_INTERNAL_ERROR";
    case CUBLAS_STATUS_NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
    case CUBLAS_STATUS_INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
    default: return "CUBLAS_STATUS_OTHER";
    }
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle) {
    MAY_FAIL;
    *handle = fake_vendor_make(1);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
    fake_vendor_drop(handle);
    return CUBLAS_STATUS_SUCCESS;
}

/* ---- descriptors ---- */

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *desc, cublasComputeType_t compute,
                                        cudaDataType_t scale) {
    MAY_FAIL;
    struct operation *operation = fake_vendor_make(sizeof *operation);
    *operation = (struct operation){.compute = compute,
                                    .scale = scale,
                                    .epilogue = CUBLASLT_EPILOGUE_DEFAULT,
                                    .transposed = {CUBLAS_OP_N, CUBLAS_OP_N}};
    *desc = (cublasLtMatmulDesc_t)(void *)operation;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) {
    fake_vendor_drop(desc);
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t take(void *to, size_t size, const void *from, size_t given) {
    if (size != given) return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(to, from, size);
    return CUBLAS_STATUS_SUCCESS;
}
#define TAKE(field) return take(&(field), sizeof(field), buf, bytes)

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void *buf, size_t bytes) {
    MAY_FAIL;
    struct operation *o = operation_of(desc);
    switch ((int)attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA: TAKE(o->transposed[0]);
    case CUBLASLT_MATMUL_DESC_TRANSB: TAKE(o->transposed[1]);
    case CUBLASLT_MATMUL_DESC_EPILOGUE: TAKE(o->epilogue);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER: TAKE(o->bias);
    default: return CUBLAS_STATUS_INVALID_VALUE;
    }
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *desc, cudaDataType type,
                                          uint64_t rows, uint64_t columns, int64_t ld) {
    MAY_FAIL;
    if (type != CUDA_R_32F) return CUBLAS_STATUS_NOT_SUPPORTED;
    struct layout *layout = fake_vendor_make(sizeof *layout);
    *layout = (struct layout){
        .order = CUBLASLT_ORDER_COL, .rows = rows, .columns = columns, .ld = ld, .batch = 1};
    *desc = (cublasLtMatrixLayout_t)(void *)layout;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t desc) {
    fake_vendor_drop(desc);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t desc,
                                                cublasLtMatrixLayoutAttribute_t attribute,
                                                const void *buf, size_t bytes) {
    MAY_FAIL;
    struct layout *l = layout_of(desc);
    switch ((int)attribute) {
    case CUBLASLT_MATRIX_LAYOUT_ORDER: TAKE(l->order);
    case CUBLASLT_MATRIX_LAYOUT_LD: TAKE(l->ld);
    case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT: TAKE(l->batch);
    case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET: TAKE(l->stride);
    default: return CUBLAS_STATUS_INVALID_VALUE;
    }
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *out) {
    MAY_FAIL;
    struct preference *preference = fake_vendor_make(sizeof *preference);
    for (int i = 0; i < 4; i++) preference->alignment[i] = 256;
    *out = (cublasLtMatmulPreference_t)(void *)preference;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
    fake_vendor_drop(preference);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void *buf, size_t bytes) {
    MAY_FAIL;
    struct preference *p = (void *)preference;
    switch ((int)attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES: TAKE(p->workspace);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES: TAKE(p->alignment[0]);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES: TAKE(p->alignment[1]);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES: TAKE(p->alignment[2]);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES: TAKE(p->alignment[3]);
    default: return CUBLAS_STATUS_INVALID_VALUE;
    }
}

/* ---- what is asked for ---- */

struct problem {
    struct operation operation;
    struct layout a, b, c, d;
    uint64_t k;
    int way;
    float alpha, beta;
    const float *at_a, *at_b, *at_c;
    float *at_d;
    void *workspace;
    size_t workspace_bytes;
};

static bool is_whole(const struct layout *l) {
    const uint64_t least = l->order == CUBLASLT_ORDER_COL ? l->rows : l->columns;
    return l->rows > 0 && l->columns > 0 && l->ld >= (int64_t)least;
}

static uint64_t extent(const struct problem *p, int which, bool second) {
    const struct layout *l = which == 0 ? &p->a : &p->b;
    const bool turned = p->operation.transposed[which] != CUBLAS_OP_N;
    return second != turned ? l->columns : l->rows;
}

static cublasStatus_t describe(struct problem *p, cublasLtMatmulDesc_t operation,
                               cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                               cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d) {
    p->operation = *operation_of(operation);
    p->a = *layout_of(a), p->b = *layout_of(b), p->c = *layout_of(c), p->d = *layout_of(d);
    p->k = extent(p, 0, true);
    const bool fits = is_whole(&p->a) && is_whole(&p->b) && is_whole(&p->c) && is_whole(&p->d) &&
                      extent(p, 1, false) == p->k && extent(p, 0, false) == p->d.rows &&
                      extent(p, 1, true) == p->d.columns && p->c.rows == p->d.rows &&
                      p->c.columns == p->d.columns && p->a.batch == p->d.batch &&
                      p->b.batch == p->d.batch && p->c.batch == p->d.batch &&
                      p->operation.scale == CUDA_R_32F;
    const bool has_bias = (p->operation.epilogue & CUBLASLT_EPILOGUE_BIAS) != 0;
    return fits && has_bias == (p->operation.bias != NULL) ? CUBLAS_STATUS_SUCCESS
                                                           : CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle,
                                              cublasLtMatmulDesc_t operation,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int requested,
                                              cublasLtMatmulHeuristicResult_t results[],
                                              int *returned) {
    struct problem p;
    const struct preference *limits = (void *)preference;
    MAY_FAIL;
    cublasStatus_t status = describe(&p, operation, a, b, c, d);
    if (!handle || status != CUBLAS_STATUS_SUCCESS) return status;
    assert_true(requested >= 32);
    assert_int_equal(limits->workspace, 32 << 20);
    for (int i = 1; i < 4; i++) assert_int_equal(limits->alignment[i], 16);
    if (fake_vendor.n_ways == 0) {
        *returned = 0;
        return CUBLAS_STATUS_NOT_SUPPORTED;
    }
    for (int i = 0; i < fake_vendor.n_ways; i++) {
        memset(&results[i], 0, sizeof results[i]);
        results[i].algo.data[0] = (uint64_t)i;
        results[i].algo.data[1] = p.operation.compute;
        results[i].workspaceSize = fake_vendor.workspace;
        results[i].state = CUBLAS_STATUS_SUCCESS;
    }
    *returned = fake_vendor.n_ways;
    return CUBLAS_STATUS_SUCCESS;
}

static bool rounds(int way) { return way == 1; }

cublasStatus_t cublasLtMatmulAlgoCapGetAttribute(const cublasLtMatmulAlgo_t *algo,
                                                 cublasLtMatmulAlgoCapAttributes_t attribute,
                                                 void *buf, size_t bytes, size_t *written) {
    MAY_FAIL;
    assert_int_equal(attribute, CUBLASLT_ALGO_CAP_NUMERICAL_IMPL_FLAGS);
    assert_int_equal(bytes, sizeof(uint64_t));
    const uint64_t flags =
        CUBLASLT_NUMERICAL_IMPL_FLAGS_ACCUMULATOR_32F |
        (rounds((int)algo->data[0])
             ? CUBLASLT_NUMERICAL_IMPL_FLAGS_HMMA | CUBLASLT_NUMERICAL_IMPL_FLAGS_INPUT_TF32
             : CUBLASLT_NUMERICAL_IMPL_FLAGS_FMA | CUBLASLT_NUMERICAL_IMPL_FLAGS_INPUT_32F);
    memcpy(buf, &flags, sizeof flags);
    *written = sizeof flags;
    return CUBLAS_STATUS_SUCCESS;
}

/* ---- the product ---- */

static size_t place(const struct layout *l, int32_t entry, uint64_t row, uint64_t column) {
    const uint64_t ld = (uint64_t)l->ld;
    return (size_t)(entry * l->stride) +
           (l->order == CUBLASLT_ORDER_COL ? row + column * ld : row * ld + column);
}

static float operand(const struct problem *p, int which, int32_t entry, uint64_t row,
                     uint64_t column) {
    const struct layout *l = which == 0 ? &p->a : &p->b;
    const float *at = which == 0 ? p->at_a : p->at_b;
    const float value = p->operation.transposed[which] == CUBLAS_OP_N
                            ? at[place(l, entry, row, column)]
                            : at[place(l, entry, column, row)];
    return rounds(p->way) ? fake_vendor_round_tf32(value) : value;
}

static void run(const void *args) {
    const struct problem *p = args;
    for (int32_t entry = 0; entry < p->d.batch; entry++)
        for (uint64_t i = 0; i < p->d.rows; i++)
            for (uint64_t j = 0; j < p->d.columns; j++) {
                double sum = 0;
                for (uint64_t k = 0; k < p->k; k++)
                    sum += (double)operand(p, 0, entry, i, k) * (double)operand(p, 1, entry, k, j);
                float value = p->alpha * (float)sum;
                if (p->beta != 0) value += p->beta * p->at_c[place(&p->c, entry, i, j)];
                if (p->operation.epilogue & CUBLASLT_EPILOGUE_BIAS) value += p->operation.bias[i];
                if (p->operation.epilogue & CUBLASLT_EPILOGUE_RELU && value <= 0) value = 0;
                p->at_d[place(&p->d, entry, i, j)] = value;
            }
    fake_vendor_spoil(p->workspace, p->workspace_bytes);
    fake_cuda.clock_ns += fake_vendor_way_ns(p->way, fake_vendor.cublaslt_ns);
    fake_vendor.n_matmuls++;
    fake_vendor.last_way = p->way;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation,
                              const void *alpha, const void *a, cublasLtMatrixLayout_t layout_a,
                              const void *b, cublasLtMatrixLayout_t layout_b, const void *beta,
                              const void *c, cublasLtMatrixLayout_t layout_c, void *d,
                              cublasLtMatrixLayout_t layout_d, const cublasLtMatmulAlgo_t *algo,
                              void *workspace, size_t workspace_bytes, cudaStream_t stream) {
    struct problem p;
    MAY_FAIL;
    cublasStatus_t status = describe(&p, operation, layout_a, layout_b, layout_c, layout_d);
    if (!handle || status != CUBLAS_STATUS_SUCCESS) return status;
    if (algo->data[1] != (uint64_t)p.operation.compute) return CUBLAS_STATUS_INVALID_VALUE;
    if (workspace_bytes < fake_vendor.workspace) return CUBLAS_STATUS_INVALID_VALUE;
    p.way = (int)algo->data[0];
    p.alpha = *(const float *)alpha, p.beta = *(const float *)beta;
    p.at_a = a, p.at_b = b, p.at_c = c, p.at_d = d;
    p.workspace = workspace, p.workspace_bytes = workspace_bytes;
    fake_cuda_enqueue(stream, run, &p, sizeof p);
    return CUBLAS_STATUS_SUCCESS;
}
