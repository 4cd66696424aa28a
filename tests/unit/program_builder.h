/* Programs built by hand, data for their parameters, and the comparison of two sets of outputs. */
#ifndef MB_PROGRAM_BUILDER_H
#define MB_PROGRAM_BUILDER_H

#include "backend.h"
#include "program.h"

enum { PB_MAX = 96 };

struct pb {
    struct mb_program program;
    struct mb_node nodes[PB_MAX];
    struct mb_param params[PB_MAX];
    uint32_t outputs[PB_MAX];
};

void pb_init(struct pb *pb);

/* Types are inferred; an operation that the shape rules refuse fails the test. All return the
 * node's index. */
uint32_t pb_param(struct pb *pb, enum mb_role role, struct mb_type type);
uint32_t pb_node(struct pb *pb, enum mb_op op, uint32_t a, uint32_t b, union mb_attr attr);
uint32_t pb_fill(struct pb *pb, struct mb_type type, double value);
uint32_t pb_dense(struct pb *pb, struct mb_type type, const void *data);
uint32_t pb_computed(struct pb *pb, enum mb_op op, struct mb_type type, union mb_attr attr);
uint32_t pb_reshape(struct pb *pb, uint32_t a, struct mb_type type);
uint32_t pb_conv(struct pb *pb, uint32_t x, uint32_t w, enum mb_layout layout, int32_t stride,
                 int32_t pad);
uint32_t pb_pool(struct pb *pb, enum mb_op op, uint32_t x, enum mb_layout layout, int32_t kernel,
                 int32_t stride);
uint32_t pb_ternary(struct pb *pb, enum mb_op op, uint32_t a, uint32_t b, uint32_t c);
uint32_t pb_cast(struct pb *pb, uint32_t a, enum mb_dtype dtype);
void pb_output(struct pb *pb, uint32_t node);

/* The program, which has passed mb_program_check. */
const struct mb_program *pb_done(struct pb *pb);

struct mb_type pb_type(enum mb_dtype dtype, int32_t rank, int64_t a, int64_t b, int64_t c,
                       int64_t d);
static inline struct mb_type pb_f32(int32_t rank, int64_t a, int64_t b, int64_t c, int64_t d) {
    return pb_type(MB_F32, rank, a, b, c, d);
}
static inline uint32_t pb_binary(struct pb *pb, enum mb_op op, uint32_t a, uint32_t b) {
    return pb_node(pb, op, a, b, (union mb_attr){.fill = {0}});
}
static inline uint32_t pb_unary(struct pb *pb, enum mb_op op, uint32_t a) {
    return pb_node(pb, op, a, 0, (union mb_attr){.fill = {0}});
}

/* Data for every parameter: floats normal, weights of rank >= 2 divided by the square root of their
 * fan-in; integers -9..9 without 0. pb_data_free releases it. */
void **pb_data(const struct mb_program *program, uint64_t seed);
void pb_data_free(const struct mb_program *program, void **data);

/* An executor on the CPU, fp32, no instruction set held back. */
struct mb_open_config pb_config(const char *executor, int n_threads);

/* Runs the program through mb_reference_run and through an executor of the backend, twice, and
 * asserts |error| <= tolerance * max |reference| for each output, NaN and infinities in the same
 * places. */
void pb_check_on(const struct mb_backend *backend, const struct mb_open_config *config,
                 const struct mb_program *program, uint64_t seed, double tolerance);

/* The same on the CPU backend with this many threads. */
void pb_check(const struct mb_program *program, const char *executor, int n_threads, uint64_t seed,
              double tolerance);

/* The text of the executor's plan; static storage. */
const char *pb_plan_text(const struct mb_program *program, const char *executor, int n_threads);

#endif
