/* Parameters and outputs in memory that worker processes share, and the comparison of outputs with
 * the reference. */
#ifndef MB_TENSORS_H
#define MB_TENSORS_H

#include "program.h"
#include "status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Tensors one after another in one anonymous file, each at a page boundary. */
struct mb_shared {
    int fd; /* -1: none */
    char *base;
    size_t bytes;
    void **data; /* one pointer each */
    size_t n;
};

/* All parameters, or all outputs, of a program. From `fd` when it is not -1 (another process made
 * it), else new. Release with mb_shared_close, which accepts an all-zero struct with fd -1. */
enum mb_status mb_shared_params(const struct mb_program *program, int fd, bool writable,
                                struct mb_shared *out, struct mb_err *err);
enum mb_status mb_shared_outputs(const struct mb_program *program, int fd, struct mb_shared *out,
                                 struct mb_err *err);
void mb_shared_close(struct mb_shared *shared);

/* Fills every parameter from the seed: weights N(0, 1) / sqrt(fan-in), inputs N(0, 1), integers
 * uniform in 0..9, bool in 0..1; the stream is the parameter's name (random.h). The fan-in of a
 * matrix product's or a convolution's right operand is the number of terms in each of its sums;
 * that of any other weight is its last extent. */
void mb_tensors_fill(const struct mb_program *program, uint64_t seed, void *const *params);

/* The inputs alone. */
void mb_tensors_fill_inputs(const struct mb_program *program, uint64_t seed, void *const *params);

struct mb_accuracy {
    double rel_l2, max_abs, max_rel; /* max_rel: max |error| / max |reference| */
    bool finite_agree;               /* NaN and infinities stand where the reference has them */
};

/* Of all outputs together. outputs[i] has the program's element type, reference[i] is FP64. */
struct mb_accuracy mb_accuracy_of(const struct mb_program *program, void *const *outputs,
                                  double *const *reference);

#endif
