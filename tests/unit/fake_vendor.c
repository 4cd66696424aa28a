#include "fake_vendor.h"

#include "vendor_api.h"

#include <dlfcn.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#ifndef MB_CUBLASLT_HEADERS
#define CUBLAS_VER_MAJOR 0
#endif
#ifndef MB_CUDNN_HEADERS
#define CUDNN_MAJOR 0
#endif

struct fake_vendor fake_vendor;

void fake_vendor_reset(void) {
    fake_vendor = (struct fake_vendor){.has_cublaslt = true,
                                       .has_cudnn = true,
                                       .cublaslt_version = CUBLAS_VER_MAJOR * 10000 + 102,
                                       .cudnn_version = CUDNN_MAJOR * 10000 + 1900,
                                       .n_ways = 3,
                                       .best_way = 2,
                                       .cublaslt_ns = 500,
                                       .cudnn_ns = 700,
                                       .workspace = 1000};
}

/* In place of the loader's, for the backend's call alone: the real libraries may be installed. */
void *dlopen(const char *name, int flags) {
    void *(*real)(const char *, int);
    *(void **)&real = dlsym(RTLD_NEXT, "dlopen");
    if (name && strncmp(name, "libcublasLt.so.", 15) == 0)
        name = fake_vendor.has_cublaslt ? MB_FAKE_CUBLASLT : "libcublasLt.so.none";
    else if (name && strncmp(name, "libcudnn.so.", 12) == 0)
        name = fake_vendor.has_cudnn ? MB_FAKE_CUDNN : "libcudnn.so.none";
    return real(name, flags);
}

bool fake_vendor_fails(void) { return ++fake_vendor.n_calls == fake_vendor.fail_at; }

void *fake_vendor_make(size_t bytes) {
    void *object = calloc(1, bytes);
    assert_non_null(object);
    fake_vendor.n_alive++;
    return object;
}

void fake_vendor_drop(void *object) {
    assert_non_null(object);
    free(object);
    fake_vendor.n_alive--;
}

float fake_vendor_round_tf32(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits = (bits + 0x1000u) & ~0x1fffu;
    memcpy(&value, &bits, sizeof value);
    return value;
}

double fake_vendor_way_ns(int way, double best_ns) {
    if (way == 1) return best_ns / 2;
    return best_ns * (1 + 0.1 * abs(way - fake_vendor.best_way));
}

void fake_vendor_spoil(void *workspace, size_t bytes) {
    for (size_t i = 0; i + sizeof(float) <= bytes; i += sizeof(float)) {
        const float nan = NAN;
        memcpy((char *)workspace + i, &nan, sizeof nan);
    }
}
