/* Memory whose bounds are watched: what reads or writes beyond its end faults, what writes before
 * it is found out. For operands in tests. */
#ifndef MB_KT_REGION_H
#define MB_KT_REGION_H

#include <stdbool.h>
#include <stddef.h>

/* Guarded memory: [guard][bytes][slack] and then an unmapped page; slack < align. */
struct kt_region {
    unsigned char *map, *data;
    size_t map_bytes, bytes, slack;
};
struct kt_region kt_region_new(size_t bytes, size_t align); /* exits when there is none */
void kt_region_free(struct kt_region *region);
bool kt_region_intact(const struct kt_region *region); /* guards and slack as they were */

#endif
