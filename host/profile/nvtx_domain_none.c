/* Stands in for nvtx_domain.c in a build without NVTX's header. */
#include "nvtx_domain.h"

const bool mb_nvtx_built = false;

struct mb_nvtx_domain *mb_nvtx_domain_open(const char *program, const char *executor,
                                           size_t colour) {
    (void)program;
    (void)executor;
    (void)colour;
    return NULL;
}

void mb_nvtx_domain_close(struct mb_nvtx_domain *domain) { (void)domain; }

void mb_nvtx_domain_push(struct mb_nvtx_domain *domain, enum mb_nvtx_phase phase, uint64_t n_runs) {
    (void)domain;
    (void)phase;
    (void)n_runs;
}

void mb_nvtx_domain_pop(struct mb_nvtx_domain *domain) { (void)domain; }
