#include "script.h"

#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

bool mb_beside_program(char path[PATH_MAX], const char *before, const char *name,
                       const char *after) {
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    if (len < 0) return false;
    self[len] = '\0';
    int wrote = snprintf(path, PATH_MAX, "%s/%s%s%s", dirname(self), before, name, after);
    return wrote > 0 && wrote < PATH_MAX && access(path, R_OK) == 0;
}

void mb_script_python(char python[PATH_MAX]) {
    const char *named = getenv("MINDBENCH_PYTHON");
    if ((named && *named) || !mb_beside_program(python, "../.venv/bin/", "python3", ""))
        snprintf(python, PATH_MAX, "%s", named && *named ? named : "python3");
}
