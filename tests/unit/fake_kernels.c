/* Kernels and operations for fake_cuda.h: the CPU's scalar ones, enqueued. */
#include "cuda_kernel.h"
#include "fake_cuda.h"
#include "generic.h"
#include "kernel.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Every launch that can fail begins so. */
#define MAY_FAIL                                                                                   \
    do {                                                                                           \
        if (fake_cuda_fails()) return cudaErrorLaunchFailure;                                      \
    } while (0)

static const struct mb_thread alone = {0, 1};

static const struct mb_cpu_kernel *scalar(enum mb_step_kind kind) {
    for (size_t i = 0; i < mb_cpu_n_kernels; i++)
        if (mb_cpu_kernels[i]->kind == kind && mb_cpu_kernels[i]->isa == MB_ISA_SCALAR)
            return mb_cpu_kernels[i];
    fail_msg("no scalar kernel");
    return NULL;
}

struct kernel_work {
    const struct mb_cpu_kernel *kernel;
    union mb_step_desc desc;
    const float *w, *bias;
    void *packed;
    struct mb_kernel_args args;
    double ns; /* on the device's clock */
};
static void run_pack(const void *args) {
    const struct kernel_work *work = args;
    work->kernel->pack(&work->desc, work->w, work->bias, work->packed, &alone);
    fake_cuda.n_run++;
}
static void run_kernel(const void *args) {
    const struct kernel_work *work = args;
    work->kernel->run(&work->desc, &work->args, &alone);
    fake_cuda.clock_ns += work->ns;
    fake_cuda.n_run++;
    fake_cuda_note('k');
}

static cudaError_t enqueue_pack(enum mb_step_kind kind, const union mb_step_desc *desc,
                                const float *w, const float *bias, void *packed,
                                cudaStream_t stream) {
    MAY_FAIL;
    const struct kernel_work work = {
        .kernel = scalar(kind), .desc = *desc, .w = w, .bias = bias, .packed = packed};
    fake_cuda_enqueue(stream, run_pack, &work, sizeof work);
    return cudaGetLastError(); /* as after every launch: another's error would show here */
}
static cudaError_t enqueue_run(enum mb_step_kind kind, const union mb_step_desc *desc,
                               const struct mb_cuda_args *args, double ns, cudaStream_t stream) {
    MAY_FAIL;
    const struct kernel_work work = {
        .kernel = scalar(kind),
        .desc = *desc,
        .args = {.x = args->x, .packed = args->packed, .y = args->y, .scratch = args->scratch},
        .ns = ns};
    fake_cuda_enqueue(stream, run_kernel, &work, sizeof work);
    return cudaGetLastError();
}

#define KERNEL(id, KIND, ns)                                                                       \
    static bool id##_supports(const union mb_step_desc *desc,                                      \
                              const struct mb_gpu_properties *gpu) {                               \
        assert_true(gpu->n_sms == 132 && gpu->memory_gbps > 4900 && gpu->memory_gbps < 4950);      \
        return scalar(KIND)->supports(desc, 1);                                                    \
    }                                                                                              \
    static double id##_cost(const union mb_step_desc *desc, const struct mb_gpu_properties *gpu) { \
        (void)desc, (void)gpu;                                                                     \
        return ns;                                                                                 \
    }                                                                                              \
    static size_t id##_packed(const union mb_step_desc *desc,                                      \
                              const struct mb_gpu_properties *gpu) {                               \
        (void)gpu;                                                                                 \
        return scalar(KIND)->packed_bytes(desc, 1);                                                \
    }                                                                                              \
    static size_t id##_scratch(const union mb_step_desc *desc,                                     \
                               const struct mb_gpu_properties *gpu) {                              \
        (void)gpu;                                                                                 \
        return scalar(KIND)->scratch_bytes(desc, 1);                                               \
    }                                                                                              \
    static cudaError_t id##_pack(const union mb_step_desc *desc,                                   \
                                 const struct mb_gpu_properties *gpu, const float *w,              \
                                 const float *bias, void *packed, cudaStream_t stream) {           \
        (void)gpu;                                                                                 \
        return enqueue_pack(KIND, desc, w, bias, packed, stream);                                  \
    }                                                                                              \
    static cudaError_t id##_launch(const union mb_step_desc *desc,                                 \
                                   const struct mb_gpu_properties *gpu,                            \
                                   const struct mb_cuda_args *args, cudaStream_t stream) {         \
        (void)gpu;                                                                                 \
        return enqueue_run(KIND, desc, args, ns, stream);                                          \
    }                                                                                              \
    static const struct mb_cuda_kernel id = {#id,       KIND,        id##_supports,                \
                                             id##_cost, id##_packed, id##_scratch,                 \
                                             id##_pack, id##_launch, 0};

KERNEL(matmul_slow, MB_STEP_MATMUL, 2000)
KERNEL(matmul_quick, MB_STEP_MATMUL, 1000)
KERNEL(conv2d_only, MB_STEP_CONV2D, 5000)

const struct mb_cuda_kernel *const mb_cuda_kernels[] = {&matmul_slow, &matmul_quick, &conv2d_only};
const size_t mb_cuda_n_kernels = 3;

/* ---- operations ---- */

static enum mb_dtype dtype_of(const struct mb_cuda_operation_args *args) {
    return args->types[0] ? args->types[0]->dtype : args->node->type.dtype;
}
static void run_operation(const void *args) {
    const struct mb_cuda_operation_args *a = args;
    bool divided_by_zero = false;
    const struct mb_generic_args generic = {
        .node = a->node,
        .types = {a->types[0], a->types[1], a->types[2]},
        .operands = {a->operands[0], a->operands[1], a->operands[2]},
        .y = a->y,
        .divided_by_zero = &divided_by_zero};
    mb_generic_find(MB_ISA_SCALAR, a->node->op, dtype_of(a))(&generic, &alone);
    fake_cuda.n_run++;
}
size_t mb_cuda_operation_scratch(const struct mb_node *node, const struct mb_type *const *types) {
    (void)node, (void)types;
    return 0;
}
bool mb_cuda_has_operation(enum mb_op op, enum mb_dtype dtype) {
    return mb_generic_find(MB_ISA_SCALAR, op, dtype) != NULL;
}
cudaError_t mb_cuda_operation(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
    MAY_FAIL;
    fake_cuda_enqueue(stream, run_operation, args, sizeof *args);
    return cudaGetLastError();
}

struct reading {
    const float *from;
    int64_t count;
    const float *sink;
};
/* Takes 1 us, and 'x' in the order of things. */
static void run_evict(const void *args) {
    const struct reading *reading = args;
    float sum = *reading->sink;
    for (int64_t i = 0; i < reading->count; i++) sum += reading->from[i];
    assert_true(sum == 0);
    fake_cuda.clock_ns += 1000;
    fake_cuda_note('x');
}
cudaError_t mb_cuda_evict(const float *from, int64_t count, float *sink, cudaStream_t stream) {
    MAY_FAIL;
    const struct reading reading = {from, count, sink};
    assert_true(count * (int64_t)sizeof *from == 2 * 60 << 20);
    fake_cuda_enqueue(stream, run_evict, &reading, sizeof reading);
    return cudaGetLastError();
}

/* ---- ceilings: of this device, 4000 GB/s, 60 Tflop/s and 1250 ns from one kernel to the next ----
 */

struct mb_cuda_reads mb_cuda_ceiling_reads(int n_sms, size_t bytes, size_t wanted_bytes) {
    assert_int_equal(n_sms, 132);
    return (struct mb_cuda_reads){1, (unsigned)(bytes / 16), (unsigned)(wanted_bytes / 16)};
}
double mb_cuda_ceiling_bytes(const struct mb_cuda_reads *reads) { return 16.0 * reads->n_loads; }

struct mb_cuda_fmas mb_cuda_ceiling_fmas(int n_sms, unsigned n_rounds) {
    return (struct mb_cuda_fmas){(unsigned)n_sms, n_rounds};
}
double mb_cuda_ceiling_flops(const struct mb_cuda_fmas *fmas) {
    return 1e6 * fmas->n_blocks * fmas->n_rounds;
}

static void run_ns(const void *args) { fake_cuda.clock_ns += *(const double *)args; }
static cudaError_t enqueue_ns(double ns, cudaStream_t stream) {
    MAY_FAIL;
    fake_cuda_enqueue(stream, run_ns, &ns, sizeof ns);
    return cudaGetLastError();
}
cudaError_t mb_cuda_ceiling_read(const struct mb_cuda_reads *reads, const float *from, float *sums,
                                 cudaStream_t stream) {
    assert_true(from && sums);
    return enqueue_ns(mb_cuda_ceiling_bytes(reads) / 4000, stream);
}
cudaError_t mb_cuda_ceiling_fma(const struct mb_cuda_fmas *fmas, float *sums, cudaStream_t stream) {
    assert_non_null(sums);
    return enqueue_ns(mb_cuda_ceiling_flops(fmas) / 60000, stream);
}
cudaError_t mb_cuda_ceiling_nothing(cudaStream_t stream) { return enqueue_ns(1250, stream); }
cudaError_t mb_cuda_ceiling_fill(float *to, size_t count, cudaStream_t stream) {
    to[count - 1] = 0;
    return enqueue_ns(0, stream);
}
