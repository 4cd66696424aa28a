#include "caches.h"

#include <hwloc.h>

size_t mb_last_level_bytes(void) {
    static const hwloc_obj_type_t levels[] = {HWLOC_OBJ_L4CACHE, HWLOC_OBJ_L3CACHE,
                                              HWLOC_OBJ_L2CACHE};
    hwloc_topology_t topology;
    size_t bytes = 0;
    if (hwloc_topology_init(&topology) != 0) return 0;
    if (hwloc_topology_load(topology) == 0)
        for (size_t i = 0; i < sizeof levels / sizeof *levels && bytes == 0; i++)
            for (hwloc_obj_t cache = NULL;
                 (cache = hwloc_get_next_obj_by_type(topology, levels[i], cache));)
                bytes += cache->attr->cache.size;
    hwloc_topology_destroy(topology);
    return bytes;
}
