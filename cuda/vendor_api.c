#include "vendor_api.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

#define TEXT_OF(x)  #x
#define TEXT(macro) TEXT_OF(macro)

struct symbol {
    const char *name;
    size_t offset; /* in the table */
};

/* Found by the loader: LD_LIBRARY_PATH, the folders that the build saw (RUNPATH), the system's.
 * Never closed again: both libraries have threads and exit handlers of their own. */
static enum mb_status open_api(const char *soname, const struct symbol *symbols, size_t n_symbols,
                               void *table, struct mb_err *err) {
    void *library = dlopen(soname, RTLD_LAZY | RTLD_LOCAL);
    if (!library) return mb_fail(err, MB_E_UNSUPPORTED, "%s", dlerror());
    for (size_t i = 0; i < n_symbols; i++) {
        void *symbol = dlsym(library, symbols[i].name);
        if (!symbol) return mb_fail(err, MB_E_UNSUPPORTED, "%s", dlerror());
        memcpy((char *)table + symbols[i].offset, &symbol, sizeof symbol);
    }
    return MB_OK;
}

static enum mb_status check_major(const char *soname, int version, int major, struct mb_err *err) {
    if (version / 10000 == major) return MB_OK;
    return mb_fail(err, MB_E_UNSUPPORTED, "%s is version %d.%d.%d, this build needs %d", soname,
                   version / 10000, version / 100 % 100, version % 100, major);
}

#ifdef MB_CUBLASLT_HEADERS
enum mb_status mb_cublaslt_api_open(struct mb_cublaslt_api *out, int *version, struct mb_err *err) {
    static const char soname[] = "libcublasLt.so." TEXT(CUBLAS_VER_MAJOR);
    static const struct symbol symbols[] = {
#define F(name) {"cublasLt" #name, offsetof(struct mb_cublaslt_api, name)},
        MB_CUBLASLT_FUNCTIONS(F)
#undef F
    };
    enum mb_status st = open_api(soname, symbols, sizeof symbols / sizeof *symbols, out, err);
    if (st != MB_OK) return st;
    *version = (int)out->GetVersion();
    return check_major(soname, *version, CUBLAS_VER_MAJOR, err);
}
#endif

#ifdef MB_CUDNN_HEADERS
enum mb_status mb_cudnn_api_open(struct mb_cudnn_api *out, int *version, struct mb_err *err) {
    static const char soname[] = "libcudnn.so." TEXT(CUDNN_MAJOR);
    static const struct symbol symbols[] = {
#define F(name) {"cudnn" #name, offsetof(struct mb_cudnn_api, name)},
        MB_CUDNN_FUNCTIONS(F)
#undef F
    };
    enum mb_status st = open_api(soname, symbols, sizeof symbols / sizeof *symbols, out, err);
    if (st != MB_OK) return st;
    *version = (int)out->GetVersion();
    return check_major(soname, *version, CUDNN_MAJOR, err);
}
#endif
