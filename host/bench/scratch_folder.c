#include "scratch_folder.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OPEN_FOLDERS = 16 };

enum mb_status mb_scratch_folder_make(char path[PATH_MAX], struct mb_err *err) {
    const char *base = getenv("TMPDIR");
    const int len = snprintf(path, PATH_MAX, "%s/mindbench-XXXXXX", base && *base ? base : "/tmp");
    if (len > 0 && len < PATH_MAX && mkdtemp(path)) return MB_OK;
    const int why = errno;
    path[0] = '\0';
    return mb_fail(err, MB_E_IO, "cannot make a folder for caches in %s: %s; set TMPDIR",
                   base && *base ? base : "/tmp", strerror(why));
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where) {
    (void)info;
    (void)kind;
    (void)where;
    remove(path);
    return 0;
}

void mb_scratch_folder_remove(const char *path) {
    if (path[0]) nftw(path, remove_one, MAX_OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
}
