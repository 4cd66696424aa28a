#include "measure_kernel.h"

#include "arena.h"
#include "gpu_time.h"
#include "random.h"

/* A kernel may stop the stream: the gate then opens, and the kernel is left out. */
enum { GATE_TIMEOUT_MS = 200 };
static const double batch_ns = 100e3; /* long against an event's resolution of 500 ns */
static const double most_runs = 20;
static const size_t block_floats = (size_t)1 << 20; /* made once and repeated */

struct block {
    void *memory; /* on the device */
    size_t bytes;
};

struct mb_stand_in {
    struct mb_gpu *gpu;
    struct mb_gpu_timer *timer;
    bool has_bias;
    struct block x, w, bias, y;
    struct block packed, scratch; /* grown as kernels need */
};

void mb_stand_in_free(struct mb_stand_in *data) {
    if (!data) return;
    mb_gpu_timer_free(data->timer);
    const struct block *const blocks[] = {&data->x, &data->w,      &data->bias,
                                          &data->y, &data->packed, &data->scratch};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) mb_gpu_free(blocks[i]->memory);
    mb_allocator.release(data);
}

/* Its contents are lost where it grows. */
static enum mb_status grow(struct block *block, size_t bytes, struct mb_err *err) {
    if (block->memory && block->bytes >= bytes) return MB_OK;
    mb_gpu_free(block->memory);
    *block = (struct block){NULL, 0};
    enum mb_status st = mb_gpu_alloc(bytes, &block->memory, err);
    if (st == MB_OK) block->bytes = bytes;
    return st;
}

/* `count` floats of a list of normal numbers that begins again after `n_values`. */
static enum mb_status make(struct mb_stand_in *data, struct block *block, int64_t count,
                           const float *values, size_t n_values, struct mb_err *err) {
    enum mb_status st = grow(block, (size_t)count * sizeof(float), err);
    for (size_t at = 0; st == MB_OK && at < (size_t)count; at += n_values) {
        const size_t left = (size_t)count - at, n = left < n_values ? left : n_values;
        st = mb_gpu_upload(data->gpu, (float *)block->memory + at, values, n * sizeof(float), err);
    }
    return st;
}

struct counts {
    int64_t x, w, bias, y;
};

static struct counts counts_of(enum mb_step_kind kind, const union mb_step_desc *desc) {
    const struct mb_matmul_desc *m = &desc->matmul;
    const struct mb_conv2d_desc *c = &desc->conv2d;
    if (kind == MB_STEP_MATMUL)
        return (struct counts){(m->batch - 1) * m->a_stride + m->m * m->k,
                               (m->batch - 1) * m->w_stride + m->k * m->n, m->n,
                               m->batch * m->m * m->n};
    return (struct counts){c->n * c->c * c->h * c->w, c->filters * c->c * c->r * c->s, c->filters,
                           c->n * c->filters * c->pool_h * c->pool_w};
}

enum mb_status mb_stand_in_new(struct mb_gpu *gpu, enum mb_step_kind kind,
                               const union mb_step_desc *desc, struct mb_stand_in **out,
                               struct mb_err *err) {
    enum mb_status st = MB_OK;
    const struct counts count = counts_of(kind, desc);
    const size_t larger = (size_t)(count.x > count.w ? count.x : count.w);
    const size_t n_values = larger < block_floats ? larger + 1 : block_floats;
    float *values;
    struct mb_stand_in *data = mb_allocator.alloc(sizeof *data);
    if (!data) return mb_fail(err, MB_E_NOMEM, "cuda: out of memory");
    *data = (struct mb_stand_in){.gpu = gpu};
    values = mb_allocator.alloc((n_values + 1) * sizeof *values);
    if (!values) {
        st = mb_fail(err, MB_E_NOMEM, "cuda: out of memory");
        goto out;
    }
    data->has_bias = kind == MB_STEP_MATMUL ? desc->matmul.has_bias : desc->conv2d.has_bias;
    for (size_t i = 0; i < n_values; i += 2) {
        double pair[2];
        mb_random_normal_pair(1, 0, i, pair);
        values[i] = (float)pair[0];
        values[i + 1] = (float)pair[1];
    }
    MB_TRY(make(data, &data->x, count.x, values, n_values, err));
    MB_TRY(make(data, &data->w, count.w, values, n_values, err));
    MB_TRY(make(data, &data->bias, count.bias, values, n_values, err));
    MB_TRY(grow(&data->y, (size_t)count.y * sizeof(float), err));
    MB_TRY(mb_gpu_timer_new(gpu->stream, GATE_TIMEOUT_MS, &data->timer, err));
    *out = data;
    data = NULL;
out:
    mb_allocator.release(values);
    mb_stand_in_free(data);
    return st;
}

struct work {
    const struct mb_step_kernel *kernel;
    struct mb_cuda_args args;
};

static enum mb_status run(void *arg, struct mb_err *err) {
    const struct work *work = arg;
    return mb_step_kernel_launch(work->kernel, &work->args, err);
}

enum mb_status mb_stand_in_measure(struct mb_stand_in *data, const struct mb_step_kernel *kernel,
                                   double *ns, struct mb_err *err) {
    enum mb_status st = MB_OK;
    double once;
    MB_TRY(grow(&data->packed, kernel->way.packed_bytes, err));
    MB_TRY(grow(&data->scratch, kernel->way.scratch_bytes, err));
    struct work work = {kernel,
                        {.x = data->x.memory,
                         .packed = data->packed.memory,
                         .y = data->y.memory,
                         .scratch = data->scratch.memory}};
    const struct mb_gpu_work timed = {.run = run, .arg = &work, .run_entries = 4};
    MB_TRY(mb_step_kernel_pack(kernel, data->w.memory, data->has_bias ? data->bias.memory : NULL,
                               data->packed.memory, err));
    MB_TRY(run(&work, err));
    MB_TRY(mb_gpu_sync(data->gpu, err)); /* code is loaded, and its faults show here */
    MB_TRY(mb_gpu_time_batch(data->timer, &timed, 1, &once, err));
    const double fitting = batch_ns / (once > 1 ? once : 1);
    const uint32_t n = (uint32_t)(fitting < 1 ? 1 : fitting > most_runs ? most_runs : fitting);
    MB_TRY(mb_gpu_time_batch(data->timer, &timed, n, ns, err));
    *ns /= n;
out:
    return st;
}
