#include "profiler.h"

#include <dlfcn.h>
#include <stddef.h>

static void call(const char *name) {
    int (*function)(void); /* its error is no concern here: the run goes on unprofiled */
    void *driver = dlopen("libcuda.so.1", RTLD_NOLOAD | RTLD_LAZY);
    if (!driver) return;
    *(void **)&function = dlsym(driver, name);
    if (function) function();
    dlclose(driver);
}

void mb_profiler_start(void) { call("cuProfilerStart"); }

void mb_profiler_stop(void) { call("cuProfilerStop"); }
