/* OpenBLAS as one more kernel of matrix products, to be measured beside ours (kernel_bench.h): its
 * cblas_sgemm onto the bias, as it is called by everyone. Opened at run time; open says why where
 * it is not installed. It is capped like ours (MINDBENCH_ISA), which works until the first open. */
#ifndef MB_BLAS_PEER_H
#define MB_BLAS_PEER_H

#include "backend.h"

/* Plans programs of one matmul of an input by a weight, of rank 2, with or without a bias of one
 * row behind it, in f32; MB_E_UNSUPPORTED for all others. */
const struct mb_backend *mb_blas_peer(void);

#endif
