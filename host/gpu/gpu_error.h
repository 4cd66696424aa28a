/* What a CUDA runtime call that failed says. Needs the runtime alone. Clean as C and as C++. */
#ifndef MB_GPU_ERROR_H
#define MB_GPU_ERROR_H

#include "status.h"

#include <cuda_runtime_api.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* "cudaErrorNoDevice (100): no CUDA-capable device is detected"; cut to `size`, returns `buf`. */
const char *mb_gpu_error_text(char *buf, size_t size, cudaError_t error);

/* MB_OK, MB_E_NOMEM for a lack of device memory, MB_E_UNSUPPORTED for a missing driver or device,
 * else MB_E_DEVICE. */
enum mb_status mb_gpu_status(cudaError_t error);

/* "WHAT: " and the text above, with that status. Clears the runtime's own last error, which the
 * next kernel launch would report as its own. */
__attribute__((format(printf, 3, 4))) enum mb_status
mb_gpu_fail(struct mb_err *err, cudaError_t error, const char *what, ...);

/* MB_OK for cudaSuccess, else as above. */
enum mb_status mb_gpu_check(cudaError_t error, const char *what, struct mb_err *err);

#ifdef __cplusplus
}
#endif
#endif
