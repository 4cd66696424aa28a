#include "machine.h"

#include "mb_build_info.h"

const struct mb_build *mb_build(void) {
    static const struct mb_build build = {
        .version = MB_BUILD_VERSION,
        .git_sha = MB_BUILD_GIT_SHA,
        .git_is_dirty = MB_BUILD_GIT_DIRTY,
        .compiler = MB_BUILD_COMPILER,
        .flags = MB_BUILD_FLAGS,
        .type = MB_BUILD_TYPE,
    };
    return &build;
}
