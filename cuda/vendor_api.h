/* cuBLASLt and cuDNN as libraries opened at run time: one table of functions for each, typed by the
 * library's own headers, which are needed at build only. Where a header is missing at build, its
 * table and all that uses it are compiled out (MB_CUBLASLT_HEADERS, MB_CUDNN_HEADERS). */
#ifndef MB_VENDOR_API_H
#define MB_VENDOR_API_H

#include "status.h"

#ifdef MB_CUBLASLT_HEADERS
#include <cublasLt.h>

#define MB_CUBLASLT_FUNCTIONS(F)                                                                   \
    F(GetVersion)                                                                                  \
    F(GetStatusName)                                                                               \
    F(Create)                                                                                      \
    F(Destroy)                                                                                     \
    F(MatmulDescCreate)                                                                            \
    F(MatmulDescDestroy)                                                                           \
    F(MatmulDescSetAttribute)                                                                      \
    F(MatrixLayoutCreate)                                                                          \
    F(MatrixLayoutDestroy)                                                                         \
    F(MatrixLayoutSetAttribute)                                                                    \
    F(MatmulPreferenceCreate)                                                                      \
    F(MatmulPreferenceDestroy)                                                                     \
    F(MatmulPreferenceSetAttribute)                                                                \
    F(MatmulAlgoGetHeuristic)                                                                      \
    F(MatmulAlgoCapGetAttribute)                                                                   \
    F(Matmul)

/* api.Matmul is cublasLtMatmul, and so on. */
struct mb_cublaslt_api {
#define F(name) __typeof__(&cublasLt##name) name;
    MB_CUBLASLT_FUNCTIONS(F)
#undef F
};

/* Opens the library of the header's major version. `version` as it says itself: 130100. */
enum mb_status mb_cublaslt_api_open(struct mb_cublaslt_api *out, int *version, struct mb_err *err);
#endif

#ifdef MB_CUDNN_HEADERS
#include <cudnn.h>

#define MB_CUDNN_FUNCTIONS(F)                                                                      \
    F(GetVersion)                                                                                  \
    F(GetErrorString)                                                                              \
    F(Create)                                                                                      \
    F(Destroy)                                                                                     \
    F(SetStream)                                                                                   \
    F(BackendCreateDescriptor)                                                                     \
    F(BackendDestroyDescriptor)                                                                    \
    F(BackendSetAttribute)                                                                         \
    F(BackendGetAttribute)                                                                         \
    F(BackendFinalize)                                                                             \
    F(BackendExecute)                                                                              \
    F(CreateTensorDescriptor)                                                                      \
    F(DestroyTensorDescriptor)                                                                     \
    F(SetTensor4dDescriptor)                                                                       \
    F(CreateFilterDescriptor)                                                                      \
    F(DestroyFilterDescriptor)                                                                     \
    F(SetFilter4dDescriptor)                                                                       \
    F(CreateConvolutionDescriptor)                                                                 \
    F(DestroyConvolutionDescriptor)                                                                \
    F(SetConvolution2dDescriptor)                                                                  \
    F(SetConvolutionMathType)                                                                      \
    F(CreateActivationDescriptor)                                                                  \
    F(DestroyActivationDescriptor)                                                                 \
    F(SetActivationDescriptor)                                                                     \
    F(CreatePoolingDescriptor)                                                                     \
    F(DestroyPoolingDescriptor)                                                                    \
    F(SetPooling2dDescriptor)                                                                      \
    F(GetConvolutionForwardWorkspaceSize)                                                          \
    F(ConvolutionForward)                                                                          \
    F(ConvolutionBiasActivationForward)                                                            \
    F(PoolingForward)

/* api.Create is cudnnCreate, and so on. */
struct mb_cudnn_api {
#define F(name) __typeof__(&cudnn##name) name;
    MB_CUDNN_FUNCTIONS(F)
#undef F
};

enum mb_status mb_cudnn_api_open(struct mb_cudnn_api *out, int *version, struct mb_err *err);
#endif

#endif
