/* Folders that last no longer than they are needed. */
#ifndef MB_SCRATCH_FOLDER_H
#define MB_SCRATCH_FOLDER_H

#include "status.h"

#include <limits.h>

/* Makes an empty folder in $TMPDIR, or else in /tmp, and writes its name. */
enum mb_status mb_scratch_folder_make(char path[PATH_MAX], struct mb_err *err);

/* Removes it with all that is in it, symbolic links not followed; "" is fine. What cannot be
 * removed stays. */
void mb_scratch_folder_remove(const char *path);

#endif
