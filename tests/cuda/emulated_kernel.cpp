#include "emulated_kernel.h"

#include "launch.h"

#include <stdio.h>

namespace {

long failures;

/* With clusters, overlapping launches and much shared memory; and the least of what is supported.
 */
enum generation { HOPPER = 90, TURING = 75 };

mb_gpu_properties gpu_with(generation cc, int n_sms) {
    return {cc, n_sms, (cc == HOPPER ? 227 : 64) * 1024, 1980000, size_t{64} << 10, 4800};
}

/* What the kernel before may be writing or reading when one in a chain begins. */
size_t x_elements(mb_step_kind kind, const union mb_step_desc *desc) {
    const mb_matmul_desc *m = &desc->matmul;
    const mb_conv2d_desc *c = &desc->conv2d;
    return static_cast<size_t>(kind == MB_STEP_MATMUL ? (m->batch - 1) * m->a_stride + m->m * m->k
                                                      : c->n * c->c * c->h * c->w);
}
size_t y_elements(mb_step_kind kind, const union mb_step_desc *desc) {
    const mb_matmul_desc *m = &desc->matmul;
    const mb_conv2d_desc *c = &desc->conv2d;
    return static_cast<size_t>(kind == MB_STEP_MATMUL ? m->batch * m->m * m->n
                                                      : c->n * c->filters * c->pool_h * c->pool_w);
}

void expect_success(const char *name, cudaError_t error) {
    const char *why = mb_emulation_error();
    if (error == cudaSuccess && !why) return;
    failures++;
    fprintf(stderr, "FAILED %s: error %d: %s\n", name, static_cast<int>(error), why ? why : "?");
}

/* The functions of one row, which have no room for a context. */
template <const mb_cuda_kernel *row, generation cc> struct adapter {
    static bool supports(const union mb_step_desc *desc, int n_threads) {
        const mb_gpu_properties gpu = gpu_with(cc, n_threads);
        return row->supports(desc, &gpu);
    }
    static double cost(const union mb_step_desc *desc, int n_threads) {
        const mb_gpu_properties gpu = gpu_with(cc, n_threads);
        return row->cost(desc, &gpu);
    }
    static size_t packed_bytes(const union mb_step_desc *desc, int n_threads) {
        const mb_gpu_properties gpu = gpu_with(cc, n_threads);
        return row->packed_bytes(desc, &gpu);
    }
    static size_t scratch_bytes(const union mb_step_desc *desc, int n_threads) {
        const mb_gpu_properties gpu = gpu_with(cc, n_threads);
        return row->scratch_bytes(desc, &gpu);
    }
    static void pack(const union mb_step_desc *desc, const float *w, const float *bias,
                     void *packed, const mb_thread *thread) {
        if (thread->index != 0) return;
        const mb_gpu_properties gpu = gpu_with(cc, thread->count);
        expect_success(row->name, row->pack(desc, &gpu, w, bias, packed, nullptr));
    }
    static void run(const union mb_step_desc *desc, const mb_kernel_args *args,
                    const mb_thread *thread) {
        if (thread->index != 0) return;
        const mb_gpu_properties gpu = gpu_with(cc, thread->count);
        const mb_cuda_args same = {args->x, args->packed, args->y, args->scratch, false};
        mb_emulation_hide(args->x, x_elements(row->kind, desc) * sizeof(float), false);
        mb_emulation_hide(args->y, y_elements(row->kind, desc) * sizeof(float), false);
        mb_emulation_hide(args->scratch, row->scratch_bytes(desc, &gpu), false);
        mb_emulation_hide(args->packed, row->packed_bytes(desc, &gpu), true);
        const cudaError_t error = row->launch(desc, &gpu, &same, nullptr);
        mb_emulation_hide_nothing();
        expect_success(row->name, error);
    }
};

} // namespace

extern "C" {
#define K(name) extern const struct mb_cuda_kernel mb_cuda_##name;
#include "kernels.def"
}

namespace {
#define K(name)                                                                                    \
    KERNEL_ON(name, HOPPER)                                                                        \
    KERNEL_ON(name, TURING)
#define KERNEL_ON(name, cc)                                                                        \
    using adapter_##name##_##cc = adapter<&mb_cuda_##name, cc>;                                    \
    const mb_cpu_kernel kernel_##name##_##cc = {                                                   \
        #name,                                                                                     \
        MB_ISA_SCALAR,                                                                             \
        mb_cuda_##name.kind,                                                                       \
        mb_cuda_##name.products,                                                                   \
        adapter_##name##_##cc::supports,                                                           \
        adapter_##name##_##cc::cost,                                                               \
        adapter_##name##_##cc::packed_bytes,                                                       \
        adapter_##name##_##cc::scratch_bytes,                                                      \
        adapter_##name##_##cc::pack,                                                               \
        adapter_##name##_##cc::run,                                                                \
        nullptr,                                                                                   \
        nullptr,                                                                                   \
    };
#include "kernels.def"
} // namespace

const mb_cpu_kernel *const emulated_kernels[] = {
#define K(name) &kernel_##name##_HOPPER, &kernel_##name##_TURING,
#include "kernels.def"
};
const size_t n_emulated_kernels = sizeof emulated_kernels / sizeof *emulated_kernels;

long emulated_failures() { return failures; }
