#include "gpu_error.h"

#include <stdarg.h>
#include <stdio.h>

const char *mb_gpu_error_text(char *buf, size_t size, cudaError_t error) {
    snprintf(buf, size, "%s (%d): %s", cudaGetErrorName(error), (int)error,
             cudaGetErrorString(error));
    return buf;
}

enum mb_status mb_gpu_status(cudaError_t error) {
    switch (error) {
    case cudaSuccess: return MB_OK;
    case cudaErrorMemoryAllocation: return MB_E_NOMEM;
    case cudaErrorInsufficientDriver:
    case cudaErrorNoDevice:
    case cudaErrorInvalidDevice:
    case cudaErrorStubLibrary:
    case cudaErrorSystemNotReady:
    case cudaErrorSystemDriverMismatch:
    case cudaErrorCompatNotSupportedOnDevice:
    case cudaErrorDevicesUnavailable: return MB_E_UNSUPPORTED;
    default: return MB_E_DEVICE;
    }
}

enum mb_status mb_gpu_fail(struct mb_err *err, cudaError_t error, const char *what, ...) {
    char text[256], where[200];
    va_list args;
    va_start(args, what);
    vsnprintf(where, sizeof where, what, args);
    va_end(args);
    cudaGetLastError();
    return mb_fail(err, mb_gpu_status(error), "%s: %s", where,
                   mb_gpu_error_text(text, sizeof text, error));
}

enum mb_status mb_gpu_check(cudaError_t error, const char *what, struct mb_err *err) {
    return error == cudaSuccess ? MB_OK : mb_gpu_fail(err, error, "%s", what);
}
