/* A program's domain in NVTX, as far as nvtx.c needs it. Private to host/profile. */
#ifndef MB_NVTX_DOMAIN_H
#define MB_NVTX_DOMAIN_H

#include "nvtx.h"

struct mb_nvtx_domain;

/* NULL when no profiler listens, memory is short, or NVTX's header was not there at build time. Has
 * the ranges of the program and of the executor open. */
struct mb_nvtx_domain *mb_nvtx_domain_open(const char *program, const char *executor,
                                           size_t colour);
void mb_nvtx_domain_close(struct mb_nvtx_domain *domain); /* not NULL, like those below */

void mb_nvtx_domain_push(struct mb_nvtx_domain *domain, enum mb_nvtx_phase phase, uint64_t n_runs);
void mb_nvtx_domain_pop(struct mb_nvtx_domain *domain);

#endif
