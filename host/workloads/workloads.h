/* The workloads that ship with the program: MIND sources, embedded as they are. */
#ifndef MB_WORKLOADS_H
#define MB_WORKLOADS_H

#include <stddef.h>

struct mb_workload {
    const char *name; /* the file's, without .mind */
    const char *summary;
    const char *text; /* len bytes and a NUL */
    size_t len;
};

extern const struct mb_workload mb_workloads[];
extern const size_t mb_n_workloads;

const struct mb_workload *mb_workload_find(const char *name); /* NULL: none of that name */

#endif
