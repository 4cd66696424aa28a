/* The executors that a user can name, and the backends behind them.
 *
 * Backends of ours are linked in; others are plugins beside the program, opened only in the worker
 * process that runs them, since a plugin may bring hundreds of megabytes of libraries. Peers that
 * are only to be had from Python are scripts, which take the worker process's place. So that all
 * can be listed without being loaded, the table here names every executor. */
#ifndef MB_EXECUTORS_H
#define MB_EXECUTORS_H

#include "backend.h"

#include <stdbool.h>

struct mb_executor_entry {
    const char *name, *device;
    const char *backend; /* the plugin's file is libmindbench_<backend>.so; of a script: its module,
                            peers/<backend>.py beside the program (scripts/peers) */
    enum { MB_LINKED_IN, MB_PLUGIN, MB_SCRIPT } kind;
    const struct mb_backend *(*builtin)(void); /* of MB_LINKED_IN */
    const char *summary;
    const char *get_it;    /* how to get one that is not linked in */
    const char *remembers; /* what it keeps on disk from one process to the next, and starts quicker
                              with; NULL: nothing */
    const char *builder;   /* module of the script that compiles its package (package.h), which is
                              among what it remembers; or NULL */
};

extern const struct mb_executor_entry mb_executor_entries[];
extern const size_t mb_n_executor_entries;

/* Others that mb_executor_find finds from now on and that no list names: host/selftest's, in its
 * own processes only. The entries outlive the process. */
void mb_executors_admit(const struct mb_executor_entry *entries, size_t n);
bool mb_executor_is_admitted(const struct mb_executor_entry *entry);

/* A number of its own for each entry. */
size_t mb_executor_number(const struct mb_executor_entry *entry);

/* NULL when there is none of that name on that device ("cpu", "cuda"). */
const struct mb_executor_entry *mb_executor_find(const char *name, const char *device);

/* Whether what it needs of ours, a plugin or a script, is where it belongs; the text says what is
 * missing and how to get it. Opens nothing. */
enum mb_status mb_executor_present(const struct mb_executor_entry *entry, struct mb_err *err);

/* Command line of a script's process, NULL-terminated, allocated with malloc as one block: Python
 * ($MINDBENCH_PYTHON, else that of .venv beside the program's folder, else python3 on PATH), the
 * worker script, the module. NULL without memory or for an executor that is no script. */
char **mb_executor_command(const struct mb_executor_entry *entry);

/* The backend of an executor that is no script, its plugin opened (and never closed again). */
enum mb_status mb_executor_backend(const struct mb_executor_entry *entry,
                                   const struct mb_backend **out, struct mb_err *err);

/* Caps from MINDBENCH_ISA: false with a message when the variable's value is none of
 * scalar, avx2, avx512. Unset gives MB_ISA_BEST. */
bool mb_isa_cap_from_environment(enum mb_isa *cap, struct mb_err *err);

#endif
