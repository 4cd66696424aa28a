/* Random programs (random_program.h) on every CPU executor and instruction set that runs here,
 * against the FP64 reference.
 *
 *     fuzz_executors [SECONDS [FIRST_SEED]]     default: 300 programs from seed 1
 *
 * A difference prints the seed, the program and the element, and ends with 1; the same first seed
 * shows it again. The last line says how often each operation was in a program. */
#include "random_program.h"

#include "backend_cpu.h"
#include "clock.h"
#include "reference.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_PROGRAMS = 300 };

static const struct mb_open_config configs[] = {
    {.executor = "mind", .device = "cpu", .n_threads = 1, .isa_cap = MB_ISA_SCALAR},
    {.executor = "mind", .device = "cpu", .n_threads = 2, .isa_cap = MB_ISA_AVX2},
    {.executor = "mind", .device = "cpu", .n_threads = 3, .isa_cap = MB_ISA_BEST},
    {.executor = "mind-scalar", .device = "cpu", .n_threads = 2, .isa_cap = MB_ISA_BEST},
    {.executor = "mind-avx2", .device = "cpu", .n_threads = 1, .isa_cap = MB_ISA_BEST},
    {.executor = "mind-avx512", .device = "cpu", .n_threads = 2, .isa_cap = MB_ISA_BEST},
};

static struct rp_program p;

static void *room(size_t bytes) {
    void *memory = malloc(bytes ? bytes : 1);
    if (!memory) {
        fprintf(stderr, "out of memory\n");
        exit(2);
    }
    return memory;
}

static size_t bytes_of(const struct mb_type *type) {
    size_t bytes = 0;
    mb_type_bytes(type, &bytes);
    return bytes;
}

/* One line on stderr, with the program once. */
__attribute__((format(printf, 2, 3))) static bool failed(const struct mb_open_config *config,
                                                         const char *format, ...) {
    va_list args;
    mb_program_print(&p.program, stderr);
    fprintf(stderr, "seed %" PRIu64 ", %s, %d threads, cap %d: ", p.seed, config->executor,
            config->n_threads, (int)config->isa_cap);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return false;
}

static bool compare(const struct mb_open_config *config, uint32_t output, const void *got,
                    const double *expected) {
    const uint32_t node = p.outputs[output];
    const struct mb_type *type = &p.nodes[node].type;
    size_t count = 0;
    mb_shape_count(&type->shape, &count);
    for (size_t i = 0; i < count; i++) {
        const double value = mb_reference_element(type->dtype, got, i);
        if (fabs(value - expected[i]) <= p.bounds[node].error) continue;
        return failed(config, "output %u (%%%u) [%zu]: %.9g, expected %.9g +- %.3g", output, node,
                      i, value, expected[i], p.bounds[node].error);
    }
    return true;
}

/* Plans, loads and runs the program twice on one executor. */
static bool run_on(const struct mb_open_config *config, void *const *data,
                   double *const *expected) {
    const struct mb_backend *be = mb_backend_cpu();
    struct mb_err err = {MB_OK, ""};
    struct mb_ctx *ctx = NULL;
    struct mb_buf *inputs[RP_MAX_PARAMS] = {NULL}, *outputs[RP_MAX_OUTPUTS] = {NULL};
    const void *weights[RP_MAX_PARAMS];
    uint32_t n_inputs = 0;
    bool sound = true;
    enum mb_status st = be->open(config, &ctx, &err);
    if (st == MB_OK) st = be->plan(ctx, &p.program, &err);
    for (uint32_t i = 0; i < p.program.n_params && st == MB_OK; i++) {
        const bool is_input = p.params[i].role == MB_INPUT;
        const size_t bytes = bytes_of(&p.params[i].type);
        weights[i] = is_input ? NULL : data[i];
        if (!is_input) continue;
        st = be->buf_alloc(ctx, bytes, &inputs[n_inputs], &err);
        if (st == MB_OK) st = be->upload(ctx, inputs[n_inputs++], data[i], bytes, &err);
    }
    for (uint32_t i = 0; i < p.program.n_outputs && st == MB_OK; i++)
        st = be->buf_alloc(ctx, bytes_of(&p.nodes[p.outputs[i]].type), &outputs[i], &err);
    if (st == MB_OK) st = be->load(ctx, weights, &err);
    for (int repeat = 0; repeat < 2 && st == MB_OK && sound; repeat++) {
        st = be->launch(ctx, inputs, outputs, &err);
        if (st == MB_OK) st = be->sync(ctx, &err);
        for (uint32_t i = 0; i < p.program.n_outputs && st == MB_OK && sound; i++) {
            const size_t bytes = bytes_of(&p.nodes[p.outputs[i]].type);
            void *got = room(bytes);
            st = be->download(ctx, got, outputs[i], bytes, &err);
            if (st == MB_OK) sound = compare(config, i, got, expected[i]);
            memset(got, 0xff, bytes);
            if (st == MB_OK) st = be->upload(ctx, outputs[i], got, bytes, &err);
            free(got);
        }
    }
    for (uint32_t i = 0; i < n_inputs; i++) be->buf_free(ctx, inputs[i]);
    for (uint32_t i = 0; i < p.program.n_outputs; i++) be->buf_free(ctx, outputs[i]);
    be->close(ctx);
    return st == MB_OK ? sound : failed(config, "%s", err.text);
}

static bool run_seed(uint64_t seed, uint64_t counts[MB_OP_COUNT]) {
    struct mb_err err;
    void *data[RP_MAX_PARAMS];
    double *expected[RP_MAX_OUTPUTS];
    rp_make(&p, seed);
    for (uint32_t i = 0; i < p.program.n_nodes; i++) counts[p.nodes[i].op]++;
    for (uint32_t i = 0; i < p.program.n_params; i++) {
        data[i] = room(bytes_of(&p.params[i].type));
        rp_fill_param(&p, i, data[i]);
    }
    for (uint32_t i = 0; i < p.program.n_outputs; i++) {
        size_t count = 0;
        mb_shape_count(&p.nodes[p.outputs[i]].type.shape, &count);
        expected[i] = room(count * sizeof(double));
    }
    bool sound = true;
    if (mb_reference_run(&p.program, (const void *const *)data, expected, &err) != MB_OK)
        sound = failed(&(struct mb_open_config){.executor = "reference"}, "%s", err.text);
    for (size_t i = 0; i < sizeof configs / sizeof *configs && sound; i++)
        if (mb_backend_cpu()->probe(&configs[i], &err) == MB_OK)
            sound = run_on(&configs[i], data, expected);
    for (uint32_t i = 0; i < p.program.n_params; i++) free(data[i]);
    for (uint32_t i = 0; i < p.program.n_outputs; i++) free(expected[i]);
    return sound;
}

int main(int argc, char **argv) {
    const double seconds = argc > 1 ? strtod(argv[1], NULL) : 0;
    const uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    const int64_t begin = mb_clock_ns();
    uint64_t counts[MB_OP_COUNT] = {0}, n = 0;
    int n_missing = 0;
    while (seconds > 0 ? (double)(mb_clock_ns() - begin) < seconds * 1e9 : n < DEFAULT_PROGRAMS)
        if (!run_seed(first + n++, counts)) return 1;
    printf("%" PRIu64 " programs from seed %" PRIu64 ", no difference;", n, first);
    for (int op = 0; op < MB_OP_COUNT; op++) {
        printf(" %s %" PRIu64, mb_op_info((enum mb_op)op)->name, counts[op]);
        if (counts[op]) continue;
        fprintf(stderr, "no program has %s\n", mb_op_info((enum mb_op)op)->name);
        n_missing++;
    }
    putchar('\n');
    return n_missing > 0 && seconds == 0;
}
