/* The MIND front end: source text to program. It reads and writes no file and knows no device.
 *
 *     struct mb_mind *mind;
 *     mb_mind_open(&mind, &err);
 *     st = mb_mind_compile(mind, &source, &program, &err);
 *     for (i...) mb_diag_print(&diags[i], ...)     // also after success: warnings
 *     mb_mind_close(mind);
 *
 * A compiler context used again allocates nothing once it has grown to its largest program.
 *
 * No tensor is made here: arange, linspace, eye and the random constructors become constants that
 * every executor computes when it loads, all with mb_program_constant, so their bytes depend on the
 * program alone. The generator is random.h's. With a seed of its own (randn(shape, 7)) a constant
 * is stream 0 of that seed; otherwise it is stream k of the source's, the k-th such call as they
 * are evaluated, from 1. rand, random and rand_uniform are uniform in [0, 1), or in [low, high);
 * randn, rand_normal and random_normal have mean 0 and standard deviation `stddev`, or 1. */
#ifndef MB_MIND_H
#define MB_MIND_H

#include "program.h"
#include "status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct mb_mind;

struct mb_mind_binding {
    const char *name; /* a symbolic dimension of the entry function, or a top-level const */
    int64_t extent;   /* >= 1 */
};

struct mb_mind_source {
    const char *file;  /* for messages */
    const char *text;  /* need not be NUL-terminated; borrowed until the next compile or close */
    size_t len;        /* bytes */
    const char *entry; /* function to compile; NULL: a script's last value, else the only `pub fn`,
                          else the only `fn`, else `main` */
    const struct mb_mind_binding *bindings;
    size_t n_bindings;
    uint64_t seed; /* of random constants that name none */
    bool strict;   /* no operand is added along channels that is not shaped so */
    bool lenient;  /* x - mean(x, 2) is taken as x - mean(x, 2, keepdims=true) */
};

enum mb_severity { MB_ERROR, MB_WARNING };

struct mb_diag {
    enum mb_severity severity;
    const char *phase;     /* "parse", "type-check", "ir-verify", "autodiff", "backend" */
    const char *code;      /* mindc's: "E2101", "shape::dim_mismatch" */
    const char *spec_code; /* the specification's, or NULL */
    const char *message;
    const char *file;
    uint32_t line, column, length; /* 1-based, in characters; line 0: no position */
    const char *source_line;       /* text of that line, not terminated */
    size_t source_line_len;
    const char *const *notes;
    size_t n_notes;
    const char *help; /* or NULL */
};

struct mb_mind_phases {
    int64_t parse_ns; /* lexer and parser */
    int64_t check_ns;
    int64_t lower_ns; /* the verifier included */
};

enum mb_status mb_mind_open(struct mb_mind **out, struct mb_err *err);
void mb_mind_close(struct mb_mind *mind); /* NULL is fine */

/* Compiles the entry function with every symbolic dimension bound. MB_E_PROGRAM when the program is
 * rejected: mb_mind_diags has every error, and `err` the first in one line. The program is valid
 * until the next compile, check or close. */
enum mb_status mb_mind_compile(struct mb_mind *mind, const struct mb_mind_source *source,
                               const struct mb_program **out, struct mb_err *err);

/* Diagnostics only: the entry if one is named or can be chosen, else every function; symbolic
 * dimensions may stay unbound. */
enum mb_status mb_mind_check(struct mb_mind *mind, const struct mb_mind_source *source,
                             struct mb_err *err);

/* Of the last compile or check, in source order; valid until the next one. */
const struct mb_diag *mb_mind_diags(const struct mb_mind *mind, size_t *count);

/* Whether the next compiles and checks take the times of their phases (no: it costs a small program
 * a tenth of its time), and those of the last one that did. */
void mb_mind_time_phases(struct mb_mind *mind, bool on);
const struct mb_mind_phases *mb_mind_phases(const struct mb_mind *mind);

enum mb_diag_format { MB_DIAG_HUMAN, MB_DIAG_SHORT, MB_DIAG_JSON };
void mb_diag_print(const struct mb_diag *diag, enum mb_diag_format format, bool color, FILE *out);

/* Stage dumps of a source (`compile --emit tokens|ast`). Diagnostics as after compile. */
enum mb_status mb_mind_print_tokens(struct mb_mind *mind, const struct mb_mind_source *source,
                                    FILE *out, struct mb_err *err);
enum mb_status mb_mind_print_ast(struct mb_mind *mind, const struct mb_mind_source *source,
                                 FILE *out, struct mb_err *err);

#endif
