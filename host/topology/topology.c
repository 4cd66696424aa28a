#include "topology.h"

#include <dlfcn.h>
#include <hwloc.h>
#include <stdbool.h>

/* The soname of hwloc 2, whose header this is compiled with. */
static const char library_name[] = "libhwloc.so.15";

/* What is used of the library. hwloc.h's inline functions call it by name and are of no use here.
 */
#define FUNCTIONS(F)                                                                               \
    F(topology_init)                                                                               \
    F(topology_load)                                                                               \
    F(topology_destroy)                                                                            \
    F(topology_get_allowed_cpuset)                                                                 \
    F(get_cpubind)                                                                                 \
    F(get_type_depth)                                                                              \
    F(get_nbobjs_by_depth)                                                                         \
    F(get_obj_by_depth)                                                                            \
    F(bitmap_alloc)                                                                                \
    F(bitmap_free)                                                                                 \
    F(bitmap_copy)                                                                                 \
    F(bitmap_intersects)

struct hwloc {
#define F(name) __typeof__(hwloc_##name) *name;
    FUNCTIONS(F)
#undef F
};

static bool open_library(struct hwloc *h) {
    void *library = dlopen(library_name, RTLD_LAZY | RTLD_LOCAL);
    if (!library) return false;
        /* ISO C has no conversion from an object to a function pointer; POSIX gives this one. */
#define F(name)                                                                                    \
    *(void **)&h->name = dlsym(library, "hwloc_" #name);                                           \
    if (!h->name) return false;
    FUNCTIONS(F)
#undef F
    return true;
}

/* Calls `each` for all objects of a type; returns how many there are. */
typedef void object_fn(const struct hwloc *h, hwloc_obj_t object, void *arg);

static int for_each(const struct hwloc *h, hwloc_topology_t t, hwloc_obj_type_t type,
                    object_fn *each, void *arg) {
    const int depth = h->get_type_depth(t, type);
    if (depth == HWLOC_TYPE_DEPTH_UNKNOWN || depth == HWLOC_TYPE_DEPTH_MULTIPLE) return 0;
    const unsigned n = h->get_nbobjs_by_depth(t, depth);
    for (unsigned i = 0; each && i < n; i++) each(h, h->get_obj_by_depth(t, depth, i), arg);
    return (int)n;
}

struct usable {
    hwloc_const_bitmap_t allowed;
    int n;
};

static void count_usable(const struct hwloc *h, hwloc_obj_t object, void *arg) {
    struct usable *u = arg;
    u->n += h->bitmap_intersects(object->cpuset, u->allowed);
}

static void take_first_size(const struct hwloc *h, hwloc_obj_t object, void *arg) {
    (void)h;
    int64_t *bytes = arg;
    if (*bytes == 0) *bytes = (int64_t)object->attr->cache.size;
}

static void add_size(const struct hwloc *h, hwloc_obj_t object, void *arg) {
    (void)h;
    *(size_t *)arg += object->attr->cache.size;
}

static void read_loaded(const struct hwloc *h, hwloc_topology_t t, hwloc_bitmap_t allowed,
                        struct mb_topology *out) {
    static const hwloc_obj_type_t levels[] = {HWLOC_OBJ_L4CACHE, HWLOC_OBJ_L3CACHE,
                                              HWLOC_OBJ_L2CACHE};
    struct usable threads = {allowed, 0}, cores = {allowed, 0};
    /* The topology leaves out what the cgroup forbids; the binding, what taskset forbids. */
    if (h->get_cpubind(t, allowed, HWLOC_CPUBIND_PROCESS))
        h->bitmap_copy(allowed, h->topology_get_allowed_cpuset(t));
    for_each(h, t, HWLOC_OBJ_PU, count_usable, &threads);
    for_each(h, t, HWLOC_OBJ_CORE, count_usable, &cores);
    out->n_threads = threads.n;
    out->n_cores = cores.n ? cores.n : threads.n; /* some machines show no cores */
    out->n_packages = for_each(h, t, HWLOC_OBJ_PACKAGE, NULL, NULL);
    out->n_numa_nodes = for_each(h, t, HWLOC_OBJ_NUMANODE, NULL, NULL);
    for_each(h, t, HWLOC_OBJ_L1CACHE, take_first_size, &out->l1d_bytes);
    for_each(h, t, HWLOC_OBJ_L2CACHE, take_first_size, &out->l2_bytes);
    for_each(h, t, HWLOC_OBJ_L3CACHE, take_first_size, &out->l3_bytes);
    for (size_t i = 0; i < sizeof levels / sizeof *levels && out->last_level_bytes == 0; i++)
        for_each(h, t, levels[i], add_size, &out->last_level_bytes);
}

enum mb_status mb_topology_read(struct mb_topology *out, struct mb_err *err) {
    struct hwloc h;
    hwloc_topology_t t;
    struct mb_topology read = {0};
    if (open_library(&h)) {
        hwloc_bitmap_t allowed = h.bitmap_alloc();
        if (!allowed || h.topology_init(&t) != 0) {
            h.bitmap_free(allowed);
            return mb_fail(err, MB_E_NOMEM, "machine topology: out of memory");
        }
        if (h.topology_load(t) == 0) read_loaded(&h, t, allowed, &read);
        h.bitmap_free(allowed);
        h.topology_destroy(t);
    }
    *out = read;
    return MB_OK;
}
