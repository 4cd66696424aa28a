#include "build_id.h"
#include "machine.h"
#include "sha256.h"

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

struct mb_build mb_build_identify(void) {
    static char id[MB_BUILD_ID_SIZE], hash[MB_SHA256_HEX];
    static bool read;
    struct mb_build build = *mb_build();
    if (!read) {
        mb_build_id(id);
        if (mb_sha256_file("/proc/self/exe", hash, NULL) != MB_OK) *hash = '\0';
        read = true;
    }
    if (*id) build.build_id = id;
    if (*hash) build.binary_sha256 = hash;
    return build;
}
