/* What this machine and this build are: the fingerprint in every result and in `mindbench doctor`.
 * It holds no host name, no user name and no path. */
#ifndef MB_MACHINE_H
#define MB_MACHINE_H

#include "status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* What cannot be read is empty, -1, or NaN as each line says. */
struct mb_machine {
    char platform[192]; /* "Linux-6.1.0-x86_64-with-glibc2.36", as Python's platform.platform() */
    char os[96];        /* "Debian GNU/Linux 12 (bookworm)" or "" */
    char kernel[96];
    char arch[65];
    char cpu[128];                /* model, or "" */
    char isa[64];                 /* "avx2 fma avx512f ..." of those that our kernels ask for */
    int n_packages, n_numa_nodes; /* -1 */
    int n_cores, n_threads;       /* physical cores and hardware threads this process may use */
    int n_online_threads;         /* of the whole machine */
    int64_t l1d_bytes, l2_bytes;  /* of one core; -1 */
    int64_t l3_bytes;             /* of one cache, shared; -1 */
    int64_t memory_bytes;         /* -1 */
    int64_t memory_free_bytes;    /* available without swapping; -1 */
    double cpu_quota;             /* cores' worth of time the cgroup allows; NaN: no limit seen */
    double load_1min, load_5min;  /* NaN */
    char governor[32];            /* CPU frequency governor, or "" */
    int turbo;                    /* 1 on, 0 off, -1 */
    int virtualized;              /* 1: under a hypervisor, 0: not, -1 */
    char nvidia_driver[32];       /* version, or "" without the driver */
    char gpu[96];                 /* first NVIDIA GPU's model, or "" */
};

/* Reads all of it; takes some milliseconds (topology). `root` is put before /proc and /sys paths,
 * so that a test can show it another machine; NULL or "" for this one. Topology, libc and uname are
 * always this machine's. Nothing missing is an error; MB_E_NOMEM only. */
enum mb_status mb_machine_read(const char *root, struct mb_machine *out, struct mb_err *err);

/* One thread for each core that this process may use, fewer where the cgroup allows less time; at
 * least 1. */
int mb_machine_default_threads(const struct mb_machine *machine);

/* For people: one line a field, "  cpu         AMD EPYC ...", the build excepted. */
void mb_machine_print(const struct mb_machine *machine, FILE *out);

/* What would disturb a measurement here: one line each, `WHAT: WHY; TRY`, at most `max`. Returns
 * how many were written. */
enum { MB_MACHINE_MAX_WARNINGS = 8 };
struct mb_machine_warning {
    char text[160];
};
size_t mb_machine_warnings(const struct mb_machine *machine, struct mb_machine_warning *out,
                           size_t max);

/* The build, fixed when it was made (git state and flags are read again by every build). */
struct mb_build {
    const char *version;  /* "0.1.0" */
    const char *git_sha;  /* 40 hex digits, or "unknown" outside a repository */
    bool git_is_dirty;    /* tracked files differed from that commit */
    const char *compiler; /* "GNU 12.2.0" */
    const char *flags;    /* "-O2 -g -DNDEBUG" */
    const char *type;     /* "Release" */
    /* Of the program's file, in hexadecimal. NULL from mb_build: mb_build_identify finds them. */
    const char *build_id;      /* the linker's; NULL when it wrote none */
    const char *binary_sha256; /* NULL when the file cannot be read */
};
const struct mb_build *mb_build(void);

/* With the marks of the running program's file, which is read for it once: milliseconds. The texts
 * are static. */
struct mb_build mb_build_identify(void);

#endif
