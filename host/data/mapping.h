/* A whole file, mapped for reading. Private to host/data. */
#ifndef MB_MAPPING_H
#define MB_MAPPING_H

#include "status.h"

#include <stddef.h>

struct mb_mapping {
    char *data; /* read-only memory; NULL when the file is empty */
    size_t len;
};

/* Regular files only. Unmap with mb_unmap. */
enum mb_status mb_map(const char *path, struct mb_mapping *out, struct mb_err *err);
void mb_unmap(struct mb_mapping *mapping);

#endif
