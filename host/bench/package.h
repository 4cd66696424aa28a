/* What a peer's compiler makes ahead of time: a package on disk, which the executor loads. */
#ifndef MB_PACKAGE_H
#define MB_PACKAGE_H

#include "worker.h"

/* Has the builder of config->executor (executors.h) find the package of config's program, weights
 * and machine in the user's cache, or in config->cache_folder, or make it there. A package made by
 * another version of the library, or for other shapes, weights, threads or instructions, is another
 * one. *path lives in the arena. `build` has the phases and marks of the builder's process; what a
 * package cost that was found is in none of them. MB_E_UNSUPPORTED where the builder lacks
 * something, as Python, the library or a compiler. */
enum mb_status mb_package_get(const struct mb_worker_config *config, int64_t deadline_ns,
                              struct mb_arena *arena, struct mb_executor_result *build,
                              const char **path, struct mb_err *err);

#endif
