/* What to run: workloads of ours and .mind files, compiled. */
#ifndef MB_TARGETS_H
#define MB_TARGETS_H

#include "diag_options.h"
#include "mind.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MB_MAX_BINDINGS = 64 };

struct mb_bindings {
    struct mb_mind_binding items[MB_MAX_BINDINGS];
    size_t n;
};

/* Takes "NAME=N" (borrowed, and cut at the =). False after an error on stderr. */
bool mb_bindings_add(struct mb_bindings *bindings, char *text, const char *command);

struct mb_target {
    char *name;       /* workload, or the file's name without .mind, with [batch=N] in a sweep */
    const char *file; /* NULL for a workload of ours */
    char *text;       /* owned, files only */
    struct mb_bindings bindings;
    struct mb_mind_source source;
    struct mb_mind *mind; /* holds the program */
    const struct mb_program *program;
};

/* How to compile one. */
struct mb_target_options {
    const char *entry; /* or NULL; see mb_mind_source */
    const struct mb_bindings *bindings;
    int64_t batch;        /* > 0: bound to `batch` */
    uint64_t seed;        /* of random constants that name none */
    bool strict, lenient; /* see mb_mind_source */
    struct mb_diag_options diags;
    bool quiet; /* no warnings on stderr */
};

/* Reads a workload or a file and compiles it; diagnostics go to stderr. Returns an exit status
 * (cli.h); the target is there to be closed only on success. */
int mb_target_open(const char *argument, const struct mb_target_options *options,
                   struct mb_target *out);
void mb_target_close(struct mb_target *target);

/* The first half of that: the source is read, `mind` and `program` stay NULL. The target must not
 * be moved: its source points into it. */
int mb_target_read(const char *argument, const struct mb_target_options *options,
                   struct mb_target *out);

/* Reads a .mind file; an error goes to stderr. */
int mb_read_source(const char *path, char **text, size_t *len);

#endif
