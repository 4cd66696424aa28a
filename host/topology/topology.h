/* Cores, threads and caches of this machine, from hwloc.
 *
 * The library is opened when it is first asked: linked to the program, it and what it links would
 * be a quarter of the time that `mindbench check` takes. Where it cannot be opened nothing is
 * known. */
#ifndef MB_TOPOLOGY_H
#define MB_TOPOLOGY_H

#include "status.h"

#include <stddef.h>
#include <stdint.h>

struct mb_topology {
    int n_threads, n_cores; /* that this process may use; 0: unknown */
    int n_packages, n_numa_nodes;
    int64_t l1d_bytes, l2_bytes, l3_bytes; /* of one cache each; 0: unknown */
    size_t last_level_bytes;               /* of all caches of the level farthest from the cores */
};

/* Whatever is not known is 0, which is no error; MB_E_NOMEM only. Takes some milliseconds. */
enum mb_status mb_topology_read(struct mb_topology *out, struct mb_err *err);

#endif
