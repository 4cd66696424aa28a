#include "emulated_kernel.h"

#include "cuda_kernel.h"
#include "emulation.h"

#include <stdio.h>

namespace {

long failures;

mb_gpu_properties gpu_with(int n_sms) {
    return {90, n_sms, 48 * 1024, 1980000, size_t{50} << 20, 4800};
}

void expect_success(const char *name, cudaError_t error) {
    const char *why = mb_emulation_error();
    if (error == cudaSuccess && !why) return;
    failures++;
    fprintf(stderr, "FAILED %s: error %d: %s\n", name, static_cast<int>(error), why ? why : "?");
}

/* The functions of one row, which have no room for a context. */
template <const mb_cuda_kernel *row> struct adapter {
    static bool supports(const union mb_step_desc *desc, int n_threads) {
        const mb_gpu_properties gpu = gpu_with(n_threads);
        return row->supports(desc, &gpu);
    }
    static double cost(const union mb_step_desc *desc, int n_threads) {
        const mb_gpu_properties gpu = gpu_with(n_threads);
        return row->cost(desc, &gpu);
    }
    static size_t packed_bytes(const union mb_step_desc *desc, int n_threads) {
        const mb_gpu_properties gpu = gpu_with(n_threads);
        return row->packed_bytes(desc, &gpu);
    }
    static size_t scratch_bytes(const union mb_step_desc *desc, int n_threads) {
        const mb_gpu_properties gpu = gpu_with(n_threads);
        return row->scratch_bytes(desc, &gpu);
    }
    static void pack(const union mb_step_desc *desc, const float *w, const float *bias,
                     void *packed, const mb_thread *thread) {
        if (thread->index != 0) return;
        const mb_gpu_properties gpu = gpu_with(thread->count);
        expect_success(row->name, row->pack(desc, &gpu, w, bias, packed, nullptr));
    }
    static void run(const union mb_step_desc *desc, const mb_kernel_args *args,
                    const mb_thread *thread) {
        if (thread->index != 0) return;
        const mb_gpu_properties gpu = gpu_with(thread->count);
        const mb_cuda_args same = {args->x, args->packed, args->y, args->scratch};
        expect_success(row->name, row->launch(desc, &gpu, &same, nullptr));
    }
};

} // namespace

extern "C" {
#define K(name) extern const struct mb_cuda_kernel mb_cuda_##name;
#include "kernels.def"
}

namespace {
#define K(name)                                                                                    \
    using adapter_##name = adapter<&mb_cuda_##name>;                                               \
    const mb_cpu_kernel kernel_##name = {                                                          \
        #name,                                                                                     \
        MB_ISA_SCALAR,                                                                             \
        mb_cuda_##name.kind,                                                                       \
        adapter_##name::supports,                                                                  \
        adapter_##name::cost,                                                                      \
        adapter_##name::packed_bytes,                                                              \
        adapter_##name::scratch_bytes,                                                             \
        adapter_##name::pack,                                                                      \
        adapter_##name::run,                                                                       \
    };
#include "kernels.def"
} // namespace

const mb_cpu_kernel *const emulated_kernels[] = {
#define K(name) &kernel_##name,
#include "kernels.def"
};
const size_t n_emulated_kernels = sizeof emulated_kernels / sizeof *emulated_kernels;

long emulated_failures() { return failures; }
