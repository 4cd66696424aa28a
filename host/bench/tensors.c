#include "tensors.h"

#include "random.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE_BYTES = 4096 };

void mb_shared_close(struct mb_shared *shared) {
    if (shared->base) munmap(shared->base, shared->bytes);
    if (shared->fd >= 0) close(shared->fd);
    free(shared->data);
    *shared = (struct mb_shared){.fd = -1};
}

static enum mb_status map_tensors(const struct mb_type *const *types, size_t n, int fd,
                                  bool writable, const char *what, struct mb_shared *out,
                                  struct mb_err *err) {
    enum mb_status st = MB_OK;
    struct mb_shared s = {.fd = fd, .n = n, .data = calloc(n ? n : 1, sizeof *s.data)};
    size_t *offsets = calloc(n ? n : 1, sizeof *offsets);
    if (!s.data || !offsets) {
        st = mb_fail(err, MB_E_NOMEM, "%s: no memory for %zu pointers", what, n);
        goto out;
    }
    for (size_t i = 0; i < n; i++) {
        size_t bytes = 0;
        offsets[i] = s.bytes;
        if (!mb_type_bytes(types[i], &bytes) ||
            __builtin_add_overflow(s.bytes, (bytes + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1),
                                   &s.bytes)) {
            st = mb_fail(err, MB_E_NOMEM, "%s: their size overflows; make the dimensions smaller",
                         what);
            goto out;
        }
    }
    if (s.bytes == 0) s.bytes = PAGE_BYTES;
    if (fd < 0) {
        s.fd = memfd_create("mindbench", MFD_CLOEXEC);
        if (s.fd < 0 || ftruncate(s.fd, (off_t)s.bytes) != 0) {
            st = mb_fail(err, MB_E_NOMEM, "%s: no %zu bytes of shared memory: %s", what, s.bytes,
                         strerror(errno));
            goto out;
        }
    } else {
        struct stat info;
        if (fstat(fd, &info) != 0 || (size_t)info.st_size != s.bytes) {
            st = mb_fail(err, MB_E_INVALID, "%s: the shared memory has another size", what);
            goto out;
        }
    }
    s.base =
        mmap(NULL, s.bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, s.fd, 0);
    if (s.base == MAP_FAILED) {
        s.base = NULL;
        st = mb_fail(err, MB_E_NOMEM, "%s: cannot map %zu bytes: %s", what, s.bytes,
                     strerror(errno));
        goto out;
    }
    for (size_t i = 0; i < n; i++) s.data[i] = s.base + offsets[i];
    *out = s;
    s = (struct mb_shared){.fd = -1};
out:
    if (s.fd == fd) s.fd = -1; /* on failure the caller's descriptor stays the caller's */
    mb_shared_close(&s);
    free(offsets);
    return st;
}

static enum mb_status map_all(const struct mb_program *program, bool params, int fd, bool writable,
                              struct mb_shared *out, struct mb_err *err) {
    size_t n = params ? program->n_params : program->n_outputs;
    const struct mb_type **types = calloc(n ? n : 1, sizeof *types);
    if (!types) return mb_fail(err, MB_E_NOMEM, "no memory for %zu types", n);
    for (size_t i = 0; i < n; i++)
        types[i] = params ? &program->params[i].type : &program->nodes[program->outputs[i]].type;
    enum mb_status st =
        map_tensors(types, n, fd, writable,
                    params ? "parameters of the program" : "outputs of the program", out, err);
    free(types);
    return st;
}

enum mb_status mb_shared_params(const struct mb_program *program, int fd, bool writable,
                                struct mb_shared *out, struct mb_err *err) {
    return map_all(program, true, fd, writable, out, err);
}

enum mb_status mb_shared_outputs(const struct mb_program *program, int fd, struct mb_shared *out,
                                 struct mb_err *err) {
    return map_all(program, false, fd, true, out, err);
}

/* ---- values ---- */

static double fan_in(const struct mb_program *p, const struct mb_param *param) {
    const struct mb_shape *shape = &param->type.shape;
    for (uint32_t i = 0; i < p->n_nodes; i++) {
        const struct mb_node *n = &p->nodes[i];
        if (n->n_operands < 2 || n->operand[1] != param->node) continue;
        if (n->op == MB_OP_MATMUL)
            return (double)shape->dim[shape->rank == 1 ? 0 : shape->rank - 2];
        if (n->op == MB_OP_CONV2D) {
            bool nchw = n->attr.conv.layout == MB_NCHW;
            const int64_t *d = shape->dim;
            return (double)(nchw ? d[1] * d[2] * d[3] : d[0] * d[1] * d[2]);
        }
    }
    return shape->rank ? (double)shape->dim[shape->rank - 1] : 1;
}

static void fill_normal(const struct mb_type *type, void *data, size_t count, uint64_t seed,
                        uint64_t stream, double scale) {
    for (size_t i = 0; i < count; i += 2) {
        double pair[2];
        mb_random_normal_pair(seed, stream, i, pair);
        for (size_t j = 0; j < 2 && i + j < count; j++) {
            if (type->dtype == MB_F32)
                ((float *)data)[i + j] = (float)(scale * pair[j]);
            else
                ((double *)data)[i + j] = scale * pair[j];
        }
    }
}

static void fill(const struct mb_program *p, uint64_t seed, bool inputs_only, void *const *params) {
    for (uint32_t i = 0; i < p->n_params; i++) {
        const struct mb_param *param = &p->params[i];
        if (inputs_only && param->role != MB_INPUT) continue;
        uint64_t stream = mb_random_stream(param->name);
        size_t count = 0;
        mb_shape_count(&param->type.shape, &count);
        switch (param->type.dtype) {
        case MB_F32:
        case MB_F64:
            fill_normal(&param->type, params[i], count, seed, stream,
                        param->role == MB_INPUT ? 1 : 1 / sqrt(fan_in(p, param)));
            break;
        case MB_I32:
            for (size_t j = 0; j < count; j++)
                ((int32_t *)params[i])[j] = (int32_t)mb_random_below(seed, stream, j, 10);
            break;
        case MB_I64:
            for (size_t j = 0; j < count; j++)
                ((int64_t *)params[i])[j] = mb_random_below(seed, stream, j, 10);
            break;
        case MB_BOOL:
            for (size_t j = 0; j < count; j++)
                ((uint8_t *)params[i])[j] = (uint8_t)mb_random_below(seed, stream, j, 2);
            break;
        }
    }
}

void mb_tensors_fill(const struct mb_program *p, uint64_t seed, void *const *params) {
    fill(p, seed, false, params);
}

void mb_tensors_fill_inputs(const struct mb_program *p, uint64_t seed, void *const *params) {
    fill(p, seed, true, params);
}

/* ---- accuracy ---- */

static double element(enum mb_dtype dtype, const void *data, size_t i) {
    switch (dtype) {
    case MB_F32: return (double)((const float *)data)[i];
    case MB_F64: return ((const double *)data)[i];
    case MB_I32: return ((const int32_t *)data)[i];
    case MB_I64: return (double)((const int64_t *)data)[i];
    case MB_BOOL: return ((const uint8_t *)data)[i];
    }
    return NAN;
}

struct mb_accuracy mb_accuracy_of(const struct mb_program *program, void *const *outputs,
                                  double *const *reference) {
    struct mb_accuracy a = {.finite_agree = true};
    double error_squares = 0, squares = 0, largest = 0;
    for (uint32_t o = 0; o < program->n_outputs; o++) {
        const struct mb_type *type = &program->nodes[program->outputs[o]].type;
        size_t count = 0;
        mb_shape_count(&type->shape, &count);
        for (size_t i = 0; i < count; i++) {
            double want = reference[o][i], got = element(type->dtype, outputs[o], i);
            if (!isfinite(want) || !isfinite(got)) {
                if (!(want == got || (isnan(want) && isnan(got)))) a.finite_agree = false;
                continue;
            }
            double error = fabs(got - want);
            error_squares += error * error;
            squares += want * want;
            if (error > a.max_abs) a.max_abs = error;
            if (fabs(want) > largest) largest = fabs(want);
        }
    }
    /* Against a reference of zeros only zeros are right: 0 / 0 counts as no error. */
    a.rel_l2 = error_squares > 0 ? sqrt(error_squares / squares) : 0;
    a.max_rel = a.max_abs > 0 ? a.max_abs / largest : 0;
    return a;
}
