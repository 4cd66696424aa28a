#include "guard.h"

#include "random.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Outputs of the two signs that are nearer than this, relative to their size, tell nothing. */
static const double least_distance = 1e-4;

struct output {
    size_t bytes; /* that are looked at */
    enum mb_dtype dtype;
    char *look, *expected[2]; /* expected: as given, signs changed */
};

struct mb_guard {
    struct mb_guard_config c;
    struct output *outputs;
    char *poison;
    /* The input that is varied; n_elements is 0 where there is none. */
    uint32_t param, buffer;
    enum mb_dtype dtype;
    size_t bytes, prefix; /* prefix: up to the last of the elements */
    char *varied;         /* a copy of the whole input */
    size_t elements[MB_GUARD_ELEMENTS];
    size_t n_elements;
    uint64_t seed, n_runs; /* of this process, so that no input comes twice */
    uint64_t run_of_block;
    bool learnt, changed; /* changed: the signs, in this run */
    enum mb_guard_fault fault;
    uint64_t fault_run;
};

static size_t size_of(enum mb_dtype dtype) { return dtype == MB_F32 ? 4 : 8; }

static size_t varied_bytes(const struct mb_program *p, uint32_t i) {
    size_t bytes = 0;
    const enum mb_dtype dtype = p->params[i].type.dtype;
    if (p->params[i].role != MB_INPUT || (dtype != MB_F32 && dtype != MB_F64)) return 0;
    return mb_type_bytes(&p->params[i].type, &bytes) ? bytes : 0;
}

static bool make_outputs(struct mb_guard *g) {
    const struct mb_program *p = g->c.program;
    g->outputs = calloc(p->n_outputs + 1, sizeof *g->outputs);
    g->poison = malloc(MB_GUARD_BYTES);
    if (!g->outputs || !g->poison) return false;
    memset(g->poison, 0xff, MB_GUARD_BYTES);
    for (uint32_t i = 0; i < p->n_outputs; i++) {
        struct output *o = &g->outputs[i];
        const struct mb_type *type = &p->nodes[p->outputs[i]].type;
        mb_type_bytes(type, &o->bytes);
        if (o->bytes > MB_GUARD_BYTES) o->bytes = MB_GUARD_BYTES;
        o->dtype = type->dtype;
        o->look = malloc(o->bytes + 1);
        o->expected[0] = malloc(o->bytes + 1);
        o->expected[1] = malloc(o->bytes + 1);
        if (!o->look || !o->expected[0] || !o->expected[1]) return false;
    }
    return true;
}

enum mb_status mb_guard_new(const struct mb_guard_config *config, struct mb_guard **out,
                            struct mb_err *err) {
    const struct mb_program *p = config->program;
    struct mb_guard *g = calloc(1, sizeof *g);
    if (!g) return mb_fail(err, MB_E_NOMEM, "no memory for a guard");
    g->c = *config;
    for (uint32_t i = 0; i < p->n_params && !g->bytes; i++) {
        g->bytes = varied_bytes(p, i);
        g->param = i;
        g->buffer += !g->bytes && p->params[i].role == MB_INPUT;
    }
    g->dtype = p->n_params ? p->params[g->param].type.dtype : MB_F32;
    g->varied = malloc(g->bytes + 1);
    if (getrandom(&g->seed, sizeof g->seed, 0) != (ssize_t)sizeof g->seed) g->seed = 1;
    if (!g->varied || !make_outputs(g)) {
        mb_guard_free(g);
        return mb_fail(err, MB_E_NOMEM, "no memory for a guard");
    }
    *out = g;
    return MB_OK;
}

void mb_guard_free(struct mb_guard *g) {
    if (!g) return;
    for (uint32_t i = 0; g->outputs && i < g->c.program->n_outputs; i++) {
        free(g->outputs[i].look);
        free(g->outputs[i].expected[0]);
        free(g->outputs[i].expected[1]);
    }
    free(g->outputs);
    free(g->poison);
    free(g->varied);
    free(g);
}

/* ---- inputs ---- */

/* Whether a lowest bit more or less leaves it what it is: no zero, which would become a subnormal
 * number, on which processors are slow. */
static bool is_normal(const struct mb_guard *g, size_t i) {
    float f;
    double d;
    if (g->dtype == MB_F32) {
        memcpy(&f, g->varied + 4 * i, sizeof f);
        return isnormal(f) && fabsf(f) < FLT_MAX;
    }
    memcpy(&d, g->varied + 8 * i, sizeof d);
    return isnormal(d) && fabs(d) < DBL_MAX;
}

static void take_inputs(struct mb_guard *g) {
    const size_t size = size_of(g->dtype);
    g->n_elements = g->prefix = 0;
    if (g->bytes) memcpy(g->varied, g->c.params[g->param], g->bytes);
    for (size_t i = 0; i < g->bytes / size && g->n_elements < MB_GUARD_ELEMENTS; i++)
        if (is_normal(g, i)) g->elements[g->n_elements++] = i;
    if (g->n_elements) g->prefix = (g->elements[g->n_elements - 1] + 1) * size;
}

/* The elements as given, their lowest bits replaced by the count, their signs changed or not. */
static void vary(struct mb_guard *g, uint64_t count, bool changed) {
    const size_t size = size_of(g->dtype);
    const char *given = g->c.params[g->param];
    for (size_t k = 0; k < g->n_elements; k++) {
        const size_t at = g->elements[k] * size;
        uint64_t bits = 0; /* little-endian, as all that the program runs on */
        memcpy(&bits, given + at, size);
        bits = (bits & ~(uint64_t)1) | (count >> k & 1);
        if (changed) bits ^= (uint64_t)1 << (8 * size - 1);
        memcpy(g->varied + at, &bits, size);
    }
}

static enum mb_status send_varied(struct mb_guard *g, struct mb_err *err) {
    if (!g->prefix) return MB_OK;
    return g->c.backend->upload(g->c.ctx, g->c.in[g->buffer], g->varied, g->prefix, err);
}

const void *mb_guard_param(const struct mb_guard *g, uint32_t i) {
    return g->prefix && i == g->param ? g->varied : g->c.params[i];
}

/* ---- outputs ---- */

static enum mb_status poison(struct mb_guard *g, struct mb_err *err) {
    enum mb_status st = MB_OK;
    for (uint32_t i = 0; i < g->c.program->n_outputs && st == MB_OK; i++)
        st = g->c.backend->upload(g->c.ctx, g->c.out[i], g->poison, g->outputs[i].bytes, err);
    return st;
}

static enum mb_status look(struct mb_guard *g, struct mb_err *err) {
    enum mb_status st = MB_OK;
    for (uint32_t i = 0; i < g->c.program->n_outputs && st == MB_OK; i++)
        st = g->c.backend->download(g->c.ctx, g->outputs[i].look, g->c.out[i], g->outputs[i].bytes,
                                    err);
    return st;
}

static double value_of(const struct output *o, const char *data, size_t i) {
    float f;
    double d;
    if (o->dtype == MB_F64) {
        memcpy(&d, data + 8 * i, sizeof d);
        return d;
    }
    memcpy(&f, data + 4 * i, sizeof f);
    return (double)f;
}

/* Sum of squared differences; what is no finite number on both sides is passed over. */
static double distance(const struct output *o, const char *a, const char *b) {
    double sum = 0;
    if (o->dtype != MB_F32 && o->dtype != MB_F64) return 0;
    for (size_t i = 0; i < o->bytes / size_of(o->dtype); i++) {
        const double difference = value_of(o, a, i) - value_of(o, b, i);
        if (isfinite(difference)) sum += difference * difference;
    }
    return sum;
}

static double squares(const struct output *o, const char *a) {
    double sum = 0;
    if (o->dtype != MB_F32 && o->dtype != MB_F64) return 0;
    for (size_t i = 0; i < o->bytes / size_of(o->dtype); i++) {
        const double value = value_of(o, a, i);
        if (isfinite(value)) sum += value * value;
    }
    return sum;
}

/* Whether an element is still all ones: a NaN that no arithmetic makes, and no bool. An integer may
 * well be -1, so of those nothing is said. */
static bool poison_left(const struct output *o) {
    static const unsigned char ones[8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    const size_t size = o->dtype == MB_BOOL ? 1 : size_of(o->dtype);
    if (o->dtype == MB_I32 || o->dtype == MB_I64) return false;
    for (size_t at = 0; at + size <= o->bytes; at += size)
        if (memcmp(o->look + at, ones, size) == 0) return true;
    return false;
}

static void judge_poison(struct mb_guard *g) {
    for (uint32_t i = 0; i < g->c.program->n_outputs && !g->fault; i++)
        if (poison_left(&g->outputs[i])) g->fault = MB_GUARD_POISON;
}

static void judge(struct mb_guard *g) {
    double to_own = 0, to_other = 0;
    judge_poison(g);
    for (uint32_t i = 0; g->learnt && i < g->c.program->n_outputs; i++) {
        const struct output *o = &g->outputs[i];
        to_own += distance(o, o->look, o->expected[g->changed]);
        to_other += distance(o, o->look, o->expected[!g->changed]);
    }
    if (!g->fault && to_other < to_own) g->fault = MB_GUARD_OTHER;
}

/* ---- a block ---- */

static enum mb_status learn(struct mb_guard *g, bool changed,
                            enum mb_status (*launch)(void *arg, struct mb_err *err), void *arg,
                            struct mb_err *err) {
    enum mb_status st = MB_OK;
    vary(g, g->n_runs++, changed);
    MB_TRY(send_varied(g, err));
    MB_TRY(poison(g, err));
    MB_TRY(launch(arg, err));
    MB_TRY(look(g, err));
    judge_poison(g);
    for (uint32_t i = 0; i < g->c.program->n_outputs; i++)
        memcpy(g->outputs[i].expected[changed], g->outputs[i].look, g->outputs[i].bytes);
out:
    return st;
}

enum mb_status mb_guard_begin(struct mb_guard *g,
                              enum mb_status (*launch)(void *arg, struct mb_err *err), void *arg,
                              struct mb_err *err) {
    enum mb_status st = MB_OK;
    double apart = 0, size = 0;
    take_inputs(g);
    g->learnt = g->changed = false;
    g->fault = MB_GUARD_NONE;
    g->run_of_block = g->fault_run = 0;
    if (!launch || !g->n_elements) return MB_OK;
    MB_TRY(learn(g, true, launch, arg, err));
    MB_TRY(learn(g, false, launch, arg, err));
    for (uint32_t i = 0; i < g->c.program->n_outputs; i++) {
        const struct output *o = &g->outputs[i];
        apart += distance(o, o->expected[0], o->expected[1]);
        size += squares(o, o->expected[0]);
    }
    g->learnt = apart > least_distance * least_distance * size;
out:
    return st;
}

enum mb_status mb_guard_before(struct mb_guard *g, bool last, struct mb_err *err) {
    const uint64_t coin = mb_random_bits(g->seed, mb_random_stream("signs"), g->n_runs);
    g->changed = g->learnt && !last && (coin & 1);
    vary(g, g->n_runs++, g->changed);
    const enum mb_status st = send_varied(g, err);
    return st == MB_OK ? poison(g, err) : st;
}

enum mb_status mb_guard_after(struct mb_guard *g, struct mb_err *err) {
    const enum mb_status st = look(g, err);
    if (st == MB_OK && !g->fault) {
        judge(g);
        g->fault_run = g->run_of_block;
    }
    g->run_of_block++;
    return st;
}

enum mb_status mb_guard_end(struct mb_guard *g, enum mb_guard_fault *fault, uint64_t *run,
                            struct mb_err *err) {
    *fault = g->fault;
    *run = g->fault_run;
    if (g->prefix) memcpy(g->varied, g->c.params[g->param], g->prefix);
    const enum mb_status st = send_varied(g, err);
    g->prefix = 0; /* until the next block */
    return st;
}
