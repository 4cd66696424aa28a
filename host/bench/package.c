#include "package.h"

enum mb_status mb_package_get(const struct mb_worker_config *config, int64_t deadline_ns,
                              struct mb_arena *arena, struct mb_executor_result *build,
                              const char **path, struct mb_err *err) {
    struct mb_worker *worker = NULL;
    struct mb_executor_entry builder = *config->executor;
    struct mb_worker_config job = *config;
    builder.kind = MB_SCRIPT;
    builder.backend = builder.builder;
    job.executor = &builder;
    job.cold = job.transfers = false; /* of the runs: it makes none */
    enum mb_status st = mb_worker_start(&job, deadline_ns, arena, build, &worker, err);
    if (st == MB_OK) *path = build->plan_text;
    mb_worker_stop(worker);
    return st;
}
