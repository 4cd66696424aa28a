#include "kt_region.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, GUARD = 256 };
static const unsigned char guard_byte = 0xa5;

struct kt_region kt_region_new(size_t bytes, size_t align) {
    struct kt_region r = {.bytes = bytes};
    r.slack = (align - bytes % align) % align;
    size_t pages = (bytes + r.slack + GUARD + PAGE - 1) / PAGE + 1;
    r.map_bytes = pages * PAGE;
    r.map = mmap(NULL, r.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (r.map == MAP_FAILED || mprotect(r.map + r.map_bytes - PAGE, PAGE, PROT_NONE)) {
        fprintf(stderr, "out of memory: %zu bytes\n", r.map_bytes);
        exit(1);
    }
    r.data = r.map + r.map_bytes - PAGE - r.slack - bytes;
    memset(r.data - GUARD, guard_byte, GUARD);
    memset(r.data + bytes, guard_byte, r.slack);
    return r;
}

void kt_region_free(struct kt_region *r) { munmap(r->map, r->map_bytes); }

bool kt_region_intact(const struct kt_region *r) {
    for (size_t i = 1; i <= GUARD; i++)
        if (r->data[-(ptrdiff_t)i] != guard_byte) return false;
    for (size_t i = 0; i < r->slack; i++)
        if (r->data[r->bytes + i] != guard_byte) return false;
    return true;
}
