/* Whole files. */
#ifndef MB_FILE_H
#define MB_FILE_H

#include "status.h"

#include <stddef.h>

/* Reads all of `path` into memory from malloc, which the caller frees, with a NUL after its end.
 * Directories, unreadable files and anything above `max_bytes` give MB_E_IO with the reason. */
enum mb_status mb_file_read(const char *path, size_t max_bytes, char **text, size_t *len,
                            struct mb_err *err);

#endif
