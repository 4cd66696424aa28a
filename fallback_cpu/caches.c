#include "caches.h"

#include "topology.h"

size_t mb_last_level_bytes(void) {
    struct mb_topology topology;
    return mb_topology_read(&topology, NULL) == MB_OK ? topology.last_level_bytes : 0;
}
