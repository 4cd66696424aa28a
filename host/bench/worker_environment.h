/* The environment of a worker process: this process's, with what a race or a cold start sets. */
#ifndef MB_WORKER_ENVIRONMENT_H
#define MB_WORKER_ENVIRONMENT_H

#include "backend.h"

/* NULL-terminated, for mb_worker_environment_free; NULL without memory. Under `cap` the libraries
 * behind libtorch are capped by variables of their own, so that a race stays like for like.
 * `cache_folder`, unless NULL, is where whatever a program remembers on disk goes: our tuning cache
 * and the compilers of PyTorch. */
char **mb_worker_environment(enum mb_isa cap, const char *cache_folder);
void mb_worker_environment_free(char **environment); /* NULL is fine */

#endif
