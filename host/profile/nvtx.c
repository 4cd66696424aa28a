#include "nvtx.h"

#include "nvtx_domain.h"

#include <stdlib.h>
#include <unistd.h>

struct mb_nvtx {
    struct mb_nvtx_domain *domain; /* NULL: no profiler listens */
    struct mb_trace_log *log;      /* NULL: no trace is kept */
    bool in_phase;
};

const char *mb_nvtx_phase_text(enum mb_nvtx_phase phase) {
    static const char *const texts[] = {
#define PHASE(name, text) text,
        MB_NVTX_PHASES(PHASE)
#undef PHASE
    };
    return texts[phase];
}

static void log_mark(struct mb_nvtx *n, enum mb_trace_kind kind, const char *name,
                     const char *detail, uint64_t amount) {
    mb_trace_log_mark(n->log, kind, (int32_t)getpid(), name, detail, amount);
}

struct mb_nvtx *mb_nvtx_open(const char *program, const char *executor, size_t colour,
                             struct mb_trace_log *log) {
    struct mb_nvtx_domain *domain = mb_nvtx_domain_open(program, executor, colour);
    if (!domain && !log) return NULL;
    struct mb_nvtx *n = malloc(sizeof *n);
    if (!n) {
        if (domain) mb_nvtx_domain_close(domain);
        return NULL;
    }
    *n = (struct mb_nvtx){.domain = domain, .log = log};
    log_mark(n, MB_TRACE_OPEN, program, executor, 0);
    return n;
}

void mb_nvtx_close(struct mb_nvtx *n) {
    if (!n) return;
    mb_nvtx_end(n);
    if (n->domain) mb_nvtx_domain_close(n->domain);
    log_mark(n, MB_TRACE_CLOSE, "", "", 0);
    free(n);
}

void mb_nvtx_begin(struct mb_nvtx *n, enum mb_nvtx_phase phase, uint64_t n_runs) {
    if (!n) return;
    mb_nvtx_end(n);
    if (n->domain) mb_nvtx_domain_push(n->domain, phase, n_runs);
    log_mark(n, MB_TRACE_BEGIN, mb_nvtx_phase_text(phase), "", n_runs);
    n->in_phase = true;
}

void mb_nvtx_end(struct mb_nvtx *n) {
    if (!n || !n->in_phase) return;
    if (n->domain) mb_nvtx_domain_pop(n->domain);
    log_mark(n, MB_TRACE_END, "", "", 0);
    n->in_phase = false;
}
