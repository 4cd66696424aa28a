/* The executors that a user can name, and the backends behind them.
 *
 * Backends of ours are linked in; others are plugins beside the program, opened only in the worker
 * process that runs them, since a plugin may bring hundreds of megabytes of libraries. So that they
 * can be listed without being loaded, the table here names every executor. */
#ifndef MB_EXECUTORS_H
#define MB_EXECUTORS_H

#include "backend.h"

#include <stdbool.h>

struct mb_executor_entry {
    const char *name, *device;
    const char *backend;                       /* the plugin's file is libmindbench_<backend>.so */
    const struct mb_backend *(*builtin)(void); /* NULL for a plugin */
    const char *summary;
    const char *get_it; /* how to get a plugin that is not there */
};

extern const struct mb_executor_entry mb_executor_entries[];
extern const size_t mb_n_executor_entries;

/* NULL when there is none of that name on that device ("cpu", "cuda"). */
const struct mb_executor_entry *mb_executor_find(const char *name, const char *device);

/* Whether any executor of ours exists for the device and its plugin is beside the program; the
 * text says what is missing and how to get it. Opens nothing. */
enum mb_status mb_executor_present(const struct mb_executor_entry *entry, struct mb_err *err);

/* The backend of an executor, its plugin opened (and never closed again). */
enum mb_status mb_executor_backend(const struct mb_executor_entry *entry,
                                   const struct mb_backend **out, struct mb_err *err);

/* Caps from MINDBENCH_ISA: false with a message when the variable's value is none of
 * scalar, avx2, avx512. Unset gives MB_ISA_BEST. */
bool mb_isa_cap_from_environment(enum mb_isa *cap, struct mb_err *err);

#endif
