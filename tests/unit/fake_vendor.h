/* cuBLASLt and cuDNN for tests without a GPU: shared objects that are found in place of the real
 * ones and really compute, on host memory, from the descriptors that they are given. Work is
 * enqueued on fake_cuda.h's stream.
 *
 * Each library lists `n_ways` algorithms. Way 1 is the fastest and rounds to TF32, as its notes
 * say; after it `best_way` is the fastest. */
#ifndef MB_FAKE_VENDOR_H
#define MB_FAKE_VENDOR_H

#include <stdbool.h>
#include <stddef.h>

struct fake_vendor {
    bool has_cublaslt, has_cudnn; /* else dlopen fails */
    int cublaslt_version, cudnn_version;
    int n_ways, best_way;
    double cublaslt_ns, cudnn_ns; /* of the best way on the device's clock */
    size_t workspace;             /* that each way asks for; it is filled with NaN */
    bool no_graphs;               /* cuDNN's heuristics name nothing */
    bool krsc_only;               /* and that for filters with channels last alone */
    bool no_plans;                /* and what they name does not become a plan */
    int fail_at; /* the library call, counted from 1, that fails with an internal error; 0: none */
    int n_calls; /* of those that can fail */
    int n_alive; /* handles and descriptors */
    int n_matmuls, n_graphs, n_legacy, n_pools; /* that ran */
    int last_way;
};
extern struct fake_vendor fake_vendor;

/* Both libraries there, of the right versions, with three ways; nothing fails. */
void fake_vendor_reset(void);

/* For the libraries. */
bool fake_vendor_fails(void);
void *fake_vendor_make(size_t bytes); /* cleared */
void fake_vendor_drop(void *object);
float fake_vendor_round_tf32(float value);
double fake_vendor_way_ns(int way, double best_ns);
void fake_vendor_spoil(void *workspace, size_t bytes);

#endif
