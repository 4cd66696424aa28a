/* Matrix products by cuBLASLt. Row-major y = a w is the library's column-major y' = w' a', where w'
 * is n x k, a' is k x m and y' is n x m, each in the very memory of w, a and y; the bias then runs
 * along the rows of y', as the library's epilogues have it. */
#include "arena.h"
#include "vendor.h"

#include <stdint.h>
#include <stdio.h>

enum { MAX_WAYS = 64 };

struct mb_vendor_step {
    const struct mb_vendor *vendor;
    struct mb_matmul_desc desc;
    cublasLtMatmulDesc_t operation;
    cublasLtMatrixLayout_t w, a, y;
    uint32_t n_ways, way;
    struct {
        cublasLtMatmulAlgo_t algorithm;
        uint32_t rank; /* in the library's list, best expected first */
        size_t workspace;
        bool is_tf32;
    } ways[MAX_WAYS];
};

static void release(struct mb_vendor_step *step) {
    if (!step) return;
    const struct mb_cublaslt_api *lt = &step->vendor->cublaslt;
    if (step->y) lt->MatrixLayoutDestroy(step->y);
    if (step->a) lt->MatrixLayoutDestroy(step->a);
    if (step->w) lt->MatrixLayoutDestroy(step->w);
    if (step->operation) lt->MatmulDescDestroy(step->operation);
    mb_allocator.release(step);
}

/* ---- descriptors ---- */

static enum mb_status set_bias(const struct mb_vendor_step *step, const void *bias,
                               struct mb_err *err) {
    return mb_cublaslt_check(
        step->vendor,
        step->vendor->cublaslt.MatmulDescSetAttribute(
            step->operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias),
        "cublasLtMatmulDescSetAttribute, bias", err);
}

static enum mb_status make_operation(struct mb_vendor_step *step, struct mb_err *err) {
    static const cublasLtEpilogue_t epilogues[2][2] = {
        {CUBLASLT_EPILOGUE_DEFAULT, CUBLASLT_EPILOGUE_RELU},
        {CUBLASLT_EPILOGUE_BIAS, CUBLASLT_EPILOGUE_RELU_BIAS},
    };
    enum mb_status st = MB_OK;
    const struct mb_vendor *vendor = step->vendor;
    const struct mb_cublaslt_api *lt = &vendor->cublaslt;
    const cublasComputeType_t compute = vendor->precision == MB_TF32
                                            ? CUBLAS_COMPUTE_32F_FAST_TF32
                                            : CUBLAS_COMPUTE_32F; /* never TF32 */
    const cublasLtEpilogue_t epilogue =
        epilogues[step->desc.has_bias][step->desc.act == MB_ACT_RELU];
    /* The list of algorithms may depend on the bias's alignment: its real place is known later. */
    static const uintptr_t stand_in = 256;
    MB_TRY(mb_cublaslt_check(vendor, lt->MatmulDescCreate(&step->operation, compute, CUDA_R_32F),
                             "cublasLtMatmulDescCreate", err));
    MB_TRY(
        mb_cublaslt_check(vendor,
                          lt->MatmulDescSetAttribute(step->operation, CUBLASLT_MATMUL_DESC_EPILOGUE,
                                                     &epilogue, sizeof epilogue),
                          "cublasLtMatmulDescSetAttribute, epilogue", err));
    if (step->desc.has_bias) MB_TRY(set_bias(step, (const void *)stand_in, err));
out:
    return st;
}

/* A batch of column-major matrices without gaps; stride 0: the same one for every entry. */
static enum mb_status make_layout(const struct mb_vendor_step *step, int64_t rows, int64_t columns,
                                  int64_t stride, cublasLtMatrixLayout_t *out, struct mb_err *err) {
    enum mb_status st = MB_OK;
    const struct mb_vendor *vendor = step->vendor;
    const struct mb_cublaslt_api *lt = &vendor->cublaslt;
    const int32_t batch = (int32_t)step->desc.batch;
    MB_TRY(mb_cublaslt_check(
        vendor, lt->MatrixLayoutCreate(out, CUDA_R_32F, (uint64_t)rows, (uint64_t)columns, rows),
        "cublasLtMatrixLayoutCreate", err));
    if (batch == 1) return MB_OK;
    MB_TRY(mb_cublaslt_check(vendor,
                             lt->MatrixLayoutSetAttribute(*out, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT,
                                                          &batch, sizeof batch),
                             "cublasLtMatrixLayoutSetAttribute, batch", err));
    MB_TRY(mb_cublaslt_check(
        vendor,
        lt->MatrixLayoutSetAttribute(*out, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride,
                                     sizeof stride),
        "cublasLtMatrixLayoutSetAttribute, stride", err));
out:
    return st;
}

/* ---- algorithms ---- */

/* What the search may assume: our workspace, and operands aligned as device memory is, but for the
 * caller's. */
static enum mb_status limit(const struct mb_vendor_step *step,
                            cublasLtMatmulPreference_t preference, struct mb_err *err) {
    static const cublasLtMatmulPreferenceAttributes_t operands_of_callers[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    static const uint32_t alignment = 16;
    static const size_t workspace = MB_VENDOR_WORKSPACE;
    enum mb_status st = MB_OK;
    const struct mb_vendor *vendor = step->vendor;
    const struct mb_cublaslt_api *lt = &vendor->cublaslt;
    MB_TRY(mb_cublaslt_check(
        vendor,
        lt->MatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                         &workspace, sizeof workspace),
        "cublasLtMatmulPreferenceSetAttribute, workspace", err));
    for (size_t i = 0; i < sizeof operands_of_callers / sizeof *operands_of_callers; i++)
        MB_TRY(
            mb_cublaslt_check(vendor,
                              lt->MatmulPreferenceSetAttribute(preference, operands_of_callers[i],
                                                               &alignment, sizeof alignment),
                              "cublasLtMatmulPreferenceSetAttribute, alignment", err));
out:
    return st;
}

/* What the algorithm does to products, asked of the library; false: not of the precision. */
static bool fits_precision(const struct mb_vendor_step *step, const cublasLtMatmulAlgo_t *algorithm,
                           bool *is_tf32) {
    static const uint64_t below_tf32 = CUBLASLT_NUMERICAL_IMPL_FLAGS_INPUT_16F |
                                       CUBLASLT_NUMERICAL_IMPL_FLAGS_INPUT_16BF |
                                       CUBLASLT_NUMERICAL_IMPL_FLAGS_ACCUMULATOR_16F;
    uint64_t flags = 0;
    size_t written = 0;
    if (step->vendor->cublaslt.MatmulAlgoCapGetAttribute(
            algorithm, CUBLASLT_ALGO_CAP_NUMERICAL_IMPL_FLAGS, &flags, sizeof flags, &written) !=
        CUBLAS_STATUS_SUCCESS)
        return false;
    *is_tf32 = (flags & CUBLASLT_NUMERICAL_IMPL_FLAGS_INPUT_TF32) != 0;
    return (flags & below_tf32) == 0 && (!*is_tf32 || step->vendor->precision == MB_TF32);
}

static enum mb_status find_ways(struct mb_vendor_step *step, struct mb_err *err) {
    enum mb_status st = MB_OK;
    const struct mb_vendor *vendor = step->vendor;
    const struct mb_cublaslt_api *lt = &vendor->cublaslt;
    cublasLtMatmulPreference_t preference = NULL;
    int n = 0;
    cublasLtMatmulHeuristicResult_t *found = mb_allocator.alloc(MAX_WAYS * sizeof *found);
    if (!found) return mb_fail(err, MB_E_NOMEM, "cuda: out of memory");
    MB_TRY(mb_cublaslt_check(vendor, lt->MatmulPreferenceCreate(&preference),
                             "cublasLtMatmulPreferenceCreate", err));
    MB_TRY(limit(step, preference, err));
    MB_TRY(mb_cublaslt_check(vendor,
                             lt->MatmulAlgoGetHeuristic(vendor->cublaslt_handle, step->operation,
                                                        step->w, step->a, step->y, step->y,
                                                        preference, MAX_WAYS, found, &n),
                             "cublasLtMatmulAlgoGetHeuristic", err));
    for (int i = 0; i < n; i++) {
        bool is_tf32;
        if (found[i].state != CUBLAS_STATUS_SUCCESS ||
            found[i].workspaceSize > MB_VENDOR_WORKSPACE ||
            !fits_precision(step, &found[i].algo, &is_tf32))
            continue;
        step->ways[step->n_ways].algorithm = found[i].algo;
        step->ways[step->n_ways].rank = (uint32_t)i;
        step->ways[step->n_ways].workspace = found[i].workspaceSize;
        step->ways[step->n_ways++].is_tf32 = is_tf32;
    }
    if (step->n_ways == 0)
        st = mb_fail(err, MB_E_UNSUPPORTED,
                     "cuBLASLt has no %s algorithm for this matmul among the %d it lists",
                     vendor->precision == MB_TF32 ? "tf32" : "fp32", n);
out:
    if (preference) lt->MatmulPreferenceDestroy(preference);
    mb_allocator.release(found);
    return st;
}

static enum mb_status prepare(struct mb_vendor *vendor, const union mb_step_desc *desc,
                              struct mb_vendor_step **out, uint32_t *n_ways, struct mb_err *err) {
    enum mb_status st = MB_OK;
    const struct mb_matmul_desc *d = &desc->matmul;
    if (d->batch > INT32_MAX)
        return mb_fail(err, MB_E_UNSUPPORTED, "cuBLASLt has no batches above 2^31 - 1");
    struct mb_vendor_step *step = mb_allocator.alloc(sizeof *step);
    if (!step) return mb_fail(err, MB_E_NOMEM, "cuda: out of memory");
    *step = (struct mb_vendor_step){.vendor = vendor, .desc = *d};
    MB_TRY(make_operation(step, err));
    MB_TRY(make_layout(step, d->n, d->k, d->w_stride, &step->w, err));
    MB_TRY(make_layout(step, d->k, d->m, d->a_stride, &step->a, err));
    MB_TRY(make_layout(step, d->n, d->m, d->m * d->n, &step->y, err));
    MB_TRY(find_ways(step, err));
    *out = step;
    *n_ways = step->n_ways;
    return MB_OK;
out:
    release(step);
    return st;
}

static void way_name(const struct mb_vendor_step *step, uint32_t way, char *buf, size_t size) {
    snprintf(buf, size, "%u", step->ways[way].rank);
}

/* ---- packed weights: w as it is, then the bias ---- */

static size_t bytes_of_w(const struct mb_matmul_desc *d) {
    return (size_t)((d->batch - 1) * d->w_stride + d->k * d->n) * sizeof(float);
}

static size_t bytes_of_bias(const struct mb_matmul_desc *d) {
    return d->has_bias ? (size_t)d->n * sizeof(float) : 0;
}

static enum mb_status take(struct mb_vendor_step *step, uint32_t way, struct mb_vendor_way *out,
                           struct mb_err *err) {
    (void)err;
    step->way = way;
    *out = (struct mb_vendor_way){.packed_bytes = mb_align_256(bytes_of_w(&step->desc)) +
                                                  bytes_of_bias(&step->desc),
                                  .scratch_bytes = step->ways[way].workspace,
                                  .is_tf32 = step->ways[way].is_tf32};
    return MB_OK;
}

static enum mb_status pack(struct mb_vendor_step *step, const float *w, const float *bias,
                           void *packed, struct mb_err *err) {
    const struct mb_matmul_desc *d = &step->desc;
    cudaError_t error =
        cudaMemcpyAsync(packed, w, bytes_of_w(d), cudaMemcpyDeviceToDevice, step->vendor->stream);
    if (error == cudaSuccess && d->has_bias)
        error = cudaMemcpyAsync((char *)packed + mb_align_256(bytes_of_w(d)), bias,
                                bytes_of_bias(d), cudaMemcpyDeviceToDevice, step->vendor->stream);
    return mb_gpu_check(error, "copy of weights", err);
}

static enum mb_status launch(struct mb_vendor_step *step, const struct mb_cuda_args *args,
                             struct mb_err *err) {
    static const float one = 1, zero = 0;
    const struct mb_vendor *vendor = step->vendor;
    if (step->desc.has_bias) {
        enum mb_status st =
            set_bias(step, (const char *)args->packed + mb_align_256(bytes_of_w(&step->desc)), err);
        if (st != MB_OK) return st;
    }
    return mb_cublaslt_check(
        vendor,
        vendor->cublaslt.Matmul(vendor->cublaslt_handle, step->operation, &one, args->packed,
                                step->w, args->x, step->a, &zero, args->y, step->y, args->y,
                                step->y, &step->ways[step->way].algorithm, args->scratch,
                                step->ways[step->way].workspace, vendor->stream),
        "cublasLtMatmul", err);
}

const struct mb_vendor_kernel mb_vendor_cublaslt_matmul = {
    "cublaslt_matmul", MB_STEP_MATMUL, MB_CUBLASLT, prepare, release, way_name, take, pack, launch};
