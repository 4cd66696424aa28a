/* The CUDA plugin as it is built, through its one interface: what it refuses and what it says on
 * this machine, with a driver or without. */
#include "backend.h"
#include "gpu.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct mb_backend *cuda;
static struct mb_err err;

static const struct mb_open_config config = {.executor = "mind",
                                             .device = "cuda",
                                             .n_threads = 1,
                                             .precision = MB_FP32,
                                             .isa_cap = MB_ISA_BEST};

static void has(const char *text, const char *part) {
    if (!strstr(text, part)) fail_msg("no \"%s\" in\n%s", part, text);
}

static void interface(void **state) {
    (void)state;
    assert_int_equal(cuda->abi, MB_BACKEND_ABI);
    assert_string_equal(cuda->name, "cuda");
}

static void error_text(void **state) {
    (void)state;
    char text[128];
    assert_string_equal(mb_gpu_error_text(text, sizeof text, cudaErrorNoDevice),
                        "cudaErrorNoDevice (100): no CUDA-capable device is detected");
    assert_string_equal(mb_gpu_error_text(text, 9, cudaErrorNoDevice), "cudaErro");
    assert_int_equal(mb_gpu_fail(&err, cudaErrorNoDevice, "step %d", 3), MB_E_UNSUPPORTED);
    assert_string_equal(err.text,
                        "step 3: cudaErrorNoDevice (100): no CUDA-capable device is detected");
    assert_int_equal(mb_gpu_fail(&err, cudaErrorInsufficientDriver, "probe"), MB_E_UNSUPPORTED);
    has(err.text, "probe: cudaErrorInsufficientDriver (35): CUDA driver version is insufficient");
    assert_int_equal(mb_gpu_fail(&err, cudaErrorMemoryAllocation, "x"), MB_E_NOMEM);
    assert_int_equal(mb_gpu_fail(&err, cudaErrorIllegalAddress, "x"), MB_E_DEVICE);
    assert_int_equal(mb_gpu_fail(NULL, cudaErrorIllegalAddress, "x"), MB_E_DEVICE);
    assert_int_equal(mb_gpu_check(cudaSuccess, "x", &err), MB_OK);
}

static void refusals(void **state) {
    (void)state;
    struct mb_open_config asked = config;
    struct mb_ctx *ctx = NULL;
    asked.executor = "torch-eager";
    assert_int_equal(cuda->probe(&asked, &err), MB_E_INVALID);
    asked = config;
    asked.precision = MB_BF16;
    assert_int_equal(cuda->open(&asked, &ctx, &err), MB_E_UNSUPPORTED);
    asked = config;
    asked.device_index = 1023;
    assert_int_equal(cuda->open(&asked, &ctx, &err), MB_E_UNSUPPORTED);
    assert_null(ctx);
}

/* Ready, or CUDA's own words why not. */
static void this_machine(void **state) {
    (void)state;
    struct mb_ctx *ctx = NULL;
    const enum mb_status st = cuda->probe(&config, &err);
    assert_int_equal(cuda->open(&config, &ctx, &err), st);
    cuda->close(ctx);
    if (st == MB_OK) return;
    assert_int_equal(st, MB_E_UNSUPPORTED);
    has(err.text, "cudaError");
    assert_null(strchr(err.text, '\n'));
}

int main(void) {
    void *library = dlopen(MB_CUDA_PLUGIN, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        print_error("%s\n", dlerror());
        return 1;
    }
    const struct mb_backend *(*get)(void);
    *(void **)&get = dlsym(library, MB_BACKEND_SYMBOL);
    if (!get) return 1;
    cuda = get();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interface),
        cmocka_unit_test(error_text),
        cmocka_unit_test(refusals),
        cmocka_unit_test(this_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
