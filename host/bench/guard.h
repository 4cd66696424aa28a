/* What a worker does around each timed run of a host device, so that a run that did not compute its
 * outputs from its inputs shows. All of it is outside of the timed region.
 *
 * Before a run the outputs are poisoned, the lowest bits of some elements of one input count on, so
 * that no two runs have the same inputs, and a coin decides whether these elements have their sign
 * changed as well, which can be seen in the outputs. Right after the clock has stopped the outputs
 * are read back: no poison may be left (nothing computed, or not yet), and they must be nearer to
 * those of the inputs that the run was given than to those of the others, which two runs at the
 * start of the block have told. The last run of a block has the inputs of the reference but for
 * the lowest bits: an error of at most one unit in the last place of each of MB_GUARD_ELEMENTS
 * elements.
 *
 * Of an output larger than MB_GUARD_BYTES the beginning is poisoned and read back; the harness
 * compares all of it after the block. Inputs without a normal floating-point number stay as they
 * are. Between runs on a GPU nothing is done: copies would leave it idle in between. */
#ifndef MB_GUARD_H
#define MB_GUARD_H

#include "backend.h"

enum { MB_GUARD_ELEMENTS = 24, MB_GUARD_BYTES = 64 << 10 };

/* What the first run that was found out did. */
enum mb_guard_fault {
    MB_GUARD_NONE,
    MB_GUARD_POISON, /* (part of) an output was not there when the run had returned */
    MB_GUARD_OTHER   /* the output is that of other inputs */
};

struct mb_guard;

struct mb_guard_config {
    const struct mb_backend *backend;
    struct mb_ctx *ctx;
    const struct mb_program *program;
    struct mb_buf *const *in, *const *out;
    void *const *params; /* of the program, as given; read when a block begins */
};

/* Borrows what the config names until mb_guard_free, which accepts NULL. */
enum mb_status mb_guard_new(const struct mb_guard_config *config, struct mb_guard **out,
                            struct mb_err *err);
void mb_guard_free(struct mb_guard *guard);

/* At the start of a block: takes the inputs as they are now. `launch` runs once, and is called
 * twice; NULL: nothing is learnt, and inputs keep their signs. */
enum mb_status mb_guard_begin(struct mb_guard *guard,
                              enum mb_status (*launch)(void *arg, struct mb_err *err), void *arg,
                              struct mb_err *err);

/* Before and after a timed run. `last`: of its block. */
enum mb_status mb_guard_before(struct mb_guard *guard, bool last, struct mb_err *err);
enum mb_status mb_guard_after(struct mb_guard *guard, struct mb_err *err);

/* The content of parameter i for a run that begins with its inputs in the host's memory. */
const void *mb_guard_param(const struct mb_guard *guard, uint32_t i);

/* Puts the inputs back as they were given; then what the block came to: the first fault, and which
 * run of the block it was. */
enum mb_status mb_guard_end(struct mb_guard *guard, enum mb_guard_fault *fault, uint64_t *run,
                            struct mb_err *err);

#endif
