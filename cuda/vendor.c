#include "vendor.h"

#include "arena.h"

#define V(name) extern const struct mb_vendor_kernel mb_vendor_##name;
#include "kernels.def"

/* Ends with NULL, so that a build without any library's headers has an array too. */
const struct mb_vendor_kernel *const mb_vendor_kernels[] = {
#define V(name) &mb_vendor_##name,
#include "kernels.def"
    NULL};
const size_t mb_vendor_n_kernels = sizeof mb_vendor_kernels / sizeof *mb_vendor_kernels - 1;

#ifdef MB_CUBLASLT_HEADERS
enum mb_status mb_cublaslt_check(const struct mb_vendor *vendor, cublasStatus_t status,
                                 const char *what, struct mb_err *err) {
    enum mb_status st = MB_E_DEVICE;
    if (status == CUBLAS_STATUS_SUCCESS) return MB_OK;
    if (status == CUBLAS_STATUS_ALLOC_FAILED) st = MB_E_NOMEM;
    if (status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_ARCH_MISMATCH)
        st = MB_E_UNSUPPORTED;
    return mb_fail(err, st, "%s: %s", what, vendor->cublaslt.GetStatusName(status));
}

static enum mb_status open_cublaslt(struct mb_vendor *vendor, struct mb_err *err) {
    enum mb_status st =
        mb_cublaslt_api_open(&vendor->cublaslt, &vendor->library[MB_CUBLASLT].version, err);
    if (st != MB_OK) return st;
    return mb_cublaslt_check(vendor, vendor->cublaslt.Create(&vendor->cublaslt_handle),
                             "cublasLtCreate", err);
}

static void close_cublaslt(struct mb_vendor *vendor) {
    if (vendor->cublaslt_handle) vendor->cublaslt.Destroy(vendor->cublaslt_handle);
}
#else
static enum mb_status open_cublaslt(struct mb_vendor *vendor, struct mb_err *err) {
    (void)vendor;
    return mb_fail(err, MB_E_UNSUPPORTED, "cublasLt.h was not there when this was built");
}
static void close_cublaslt(struct mb_vendor *vendor) { (void)vendor; }
#endif

#ifdef MB_CUDNN_HEADERS
enum mb_status mb_cudnn_check(const struct mb_vendor *vendor, cudnnStatus_t status,
                              const char *what, struct mb_err *err) {
    enum mb_status st = MB_E_DEVICE;
    if (status == CUDNN_STATUS_SUCCESS) return MB_OK;
    if (status == CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED ||
        status == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED)
        st = MB_E_NOMEM;
    if (CUDNN_STATUS_CATEGORY((int)status) == CUDNN_STATUS_NOT_SUPPORTED) st = MB_E_UNSUPPORTED;
    return mb_fail(err, st, "%s: %s", what, vendor->cudnn.GetErrorString(status));
}

static enum mb_status open_cudnn(struct mb_vendor *vendor, struct mb_err *err) {
    enum mb_status st = MB_OK;
    MB_TRY(mb_cudnn_api_open(&vendor->cudnn, &vendor->library[MB_CUDNN].version, err));
    MB_TRY(mb_cudnn_check(vendor, vendor->cudnn.Create(&vendor->cudnn_handle), "cudnnCreate", err));
    MB_TRY(mb_cudnn_check(vendor, vendor->cudnn.SetStream(vendor->cudnn_handle, vendor->stream),
                          "cudnnSetStream", err));
out:
    return st;
}

static void close_cudnn(struct mb_vendor *vendor) {
    if (vendor->cudnn_handle) vendor->cudnn.Destroy(vendor->cudnn_handle);
}
#else
static enum mb_status open_cudnn(struct mb_vendor *vendor, struct mb_err *err) {
    (void)vendor;
    return mb_fail(err, MB_E_UNSUPPORTED, "cudnn.h was not there when this was built");
}
static void close_cudnn(struct mb_vendor *vendor) { (void)vendor; }
#endif

enum mb_status mb_vendor_open(cudaStream_t stream, enum mb_precision precision,
                              struct mb_vendor **out, struct mb_err *err) {
    struct mb_vendor *vendor = mb_allocator.alloc(sizeof *vendor);
    if (!vendor) return mb_fail(err, MB_E_NOMEM, "cuda: out of memory");
    *vendor = (struct mb_vendor){.stream = stream, .precision = precision};
    vendor->library[MB_CUBLASLT].name = "cuBLASLt";
    vendor->library[MB_CUDNN].name = "cuDNN";
    open_cublaslt(vendor, &vendor->library[MB_CUBLASLT].missing);
    open_cudnn(vendor, &vendor->library[MB_CUDNN].missing);
    *out = vendor;
    return MB_OK;
}

void mb_vendor_close(struct mb_vendor *vendor) {
    if (!vendor) return;
    close_cudnn(vendor);
    close_cublaslt(vendor);
    mb_allocator.release(vendor);
}
