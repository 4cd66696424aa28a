/* Rows of kernels.def that a vendor's library computes: V(name). A row is one struct of functions;
 * what the library needs for one step (descriptors, its list of algorithms) is made once, by
 * `prepare`, and released with the plan. Kernels of ours have no such state (cuda_kernel.h).
 *
 * A library offers several ways of computing a step: its algorithms, times the layouts of weights
 * that they read. Each can be measured; `take` makes one current. */
#ifndef MB_VENDOR_H
#define MB_VENDOR_H

#include "backend.h"
#include "cuda_kernel.h"
#include "gpu.h"
#include "vendor_api.h"

enum mb_vendor_library { MB_CUBLASLT, MB_CUDNN, MB_N_VENDOR_LIBRARIES };

/* Memory that any step may use beside its operands. Ours, not the library's own, so that a captured
 * graph can be replayed while nothing else runs. */
#define MB_VENDOR_WORKSPACE ((size_t)32 << 20)

/* Both libraries on one stream. `missing` says why one cannot be used, "" if it can; `version` is
 * what it says of itself. */
struct mb_vendor {
    cudaStream_t stream;
    enum mb_precision precision; /* MB_FP32: FMA only; MB_TF32: tensor cores may round to it */
    struct {
        const char *name; /* "cuBLASLt" */
        int version;
        struct mb_err missing; /* status MB_OK: it is there */
    } library[MB_N_VENDOR_LIBRARIES];
#ifdef MB_CUBLASLT_HEADERS
    struct mb_cublaslt_api cublaslt;
    cublasLtHandle_t cublaslt_handle;
#endif
#ifdef MB_CUDNN_HEADERS
    struct mb_cudnn_api cudnn;
    cudnnHandle_t cudnn_handle;
#endif
};

/* Opens what there is; a missing library is no failure here. The stream's device is the current
 * one. */
enum mb_status mb_vendor_open(cudaStream_t stream, enum mb_precision precision,
                              struct mb_vendor **out, struct mb_err *err);
void mb_vendor_close(struct mb_vendor *vendor); /* NULL is fine */

static inline bool mb_vendor_has(const struct mb_vendor *vendor, enum mb_vendor_library library) {
    return vendor->library[library].missing.status == MB_OK;
}

struct mb_vendor_step; /* each row's own */

struct mb_vendor_way {
    size_t packed_bytes, scratch_bytes;
    bool is_tf32; /* as the library says of the algorithm */
};

struct mb_vendor_kernel {
    const char *name; /* cublaslt_matmul: also the plan's word */
    enum mb_step_kind kind;
    enum mb_vendor_library library;

    /* Descriptors and a list of n_ways >= 1 ways. MB_E_UNSUPPORTED: the library has none for the
     * step, or none of the precision. The vendor outlives the step. */
    enum mb_status (*prepare)(struct mb_vendor *vendor, const union mb_step_desc *desc,
                              struct mb_vendor_step **out, uint32_t *n_ways, struct mb_err *err);
    void (*release)(struct mb_vendor_step *step); /* NULL is fine */

    /* The way's name within the row: "7", "legacy.1"; the same in every process with the same
     * device and library. Cut to `size`. */
    void (*way_name)(const struct mb_vendor_step *step, uint32_t way, char *buf, size_t size);

    /* Makes the way the current one. MB_E_UNSUPPORTED where the library lists it and cannot do it
     * after all, or only with more than MB_VENDOR_WORKSPACE. */
    enum mb_status (*take)(struct mb_vendor_step *step, uint32_t way, struct mb_vendor_way *out,
                           struct mb_err *err);

    /* As those of a kernel of ours (cuda_kernel.h), by the current way, on the vendor's stream. */
    enum mb_status (*pack)(struct mb_vendor_step *step, const float *w, const float *bias,
                           void *packed, struct mb_err *err);
    enum mb_status (*launch)(struct mb_vendor_step *step, const struct mb_cuda_args *args,
                             struct mb_err *err);
};

/* Every V row of kernels.def whose library's headers the build had. */
extern const struct mb_vendor_kernel *const mb_vendor_kernels[];
extern const size_t mb_vendor_n_kernels;

/* "WHAT: CUBLAS_STATUS_...", "WHAT: CUDNN_STATUS_...": the library's own name of the status. */
#ifdef MB_CUBLASLT_HEADERS
enum mb_status mb_cublaslt_check(const struct mb_vendor *vendor, cublasStatus_t status,
                                 const char *what, struct mb_err *err);
#endif
#ifdef MB_CUDNN_HEADERS
enum mb_status mb_cudnn_check(const struct mb_vendor *vendor, cudnnStatus_t status,
                              const char *what, struct mb_err *err);
#endif

static inline size_t mb_align_256(size_t bytes) { return (bytes + 255) / 256 * 256; }

#endif
