/* NVTX ranges over NVIDIA's header-only library, which finds the profiler at run time. */
#include "nvtx.h"

#include <nvtx3/nvToolsExt.h>
#include <stdio.h>
#include <stdlib.h>

const bool mb_nvtx_built = true;

struct mb_nvtx {
    nvtxDomainHandle_t domain;
    nvtxStringHandle_t messages[MB_NVTX_N_PHASES];
    uint32_t colour; /* ARGB */
    bool in_phase;
};

static const char *const phase_texts[] = {
#define PHASE(name, text) text,
    MB_NVTX_PHASES(PHASE)
#undef PHASE
};

/* Paul Tol's "bright" and "vibrant" schemes without grey: told apart by everybody, on dark and on
 * light. */
static const uint32_t colours[] = {0xff4477aa, 0xffee6677, 0xff228833, 0xffccbb44, 0xff66ccee,
                                   0xffaa3377, 0xffee7733, 0xff009988, 0xffcc3311, 0xff33bbee};

static void push(struct mb_nvtx *n, nvtxStringHandle_t message, uint32_t category,
                 const uint64_t *payload) {
    nvtxEventAttributes_t event = {.version = NVTX_VERSION,
                                   .size = NVTX_EVENT_ATTRIB_STRUCT_SIZE,
                                   .category = category,
                                   .colorType = NVTX_COLOR_ARGB,
                                   .color = n->colour,
                                   .messageType = NVTX_MESSAGE_TYPE_REGISTERED,
                                   .message.registered = message};
    if (payload) {
        event.payloadType = NVTX_PAYLOAD_TYPE_UNSIGNED_INT64;
        event.payload.ullValue = *payload;
    }
    nvtxDomainRangePushEx(n->domain, &event);
}

struct mb_nvtx *mb_nvtx_open(const char *program, const char *executor, size_t colour) {
    char text[512]; /* a program's name is at most a file's, 255 bytes, and a batch */
    struct mb_nvtx *n = calloc(1, sizeof *n);
    if (!n) return NULL;
    snprintf(text, sizeof text, "mindbench.%s", program);
    n->domain = nvtxDomainCreateA(text);
    if (!n->domain) { /* nobody listens */
        free(n);
        return NULL;
    }
    n->colour = colours[colour % (sizeof colours / sizeof *colours)];
    for (uint32_t i = 0; i < MB_NVTX_N_PHASES; i++) {
        snprintf(text, sizeof text, "%s/%s/%s", program, executor, phase_texts[i]);
        n->messages[i] =
            nvtxDomainRegisterStringA(n->domain, i == MB_NVTX_PROFILE ? phase_texts[i] : text);
        nvtxDomainNameCategoryA(n->domain, i + 1, phase_texts[i]);
    }
    push(n, nvtxDomainRegisterStringA(n->domain, program), 0, NULL);
    snprintf(text, sizeof text, "%s/%s", program, executor);
    push(n, nvtxDomainRegisterStringA(n->domain, text), 0, NULL);
    return n;
}

void mb_nvtx_close(struct mb_nvtx *n) {
    if (!n) return;
    mb_nvtx_end(n);
    nvtxDomainRangePop(n->domain);
    nvtxDomainRangePop(n->domain);
    nvtxDomainDestroy(n->domain);
    free(n);
}

void mb_nvtx_begin(struct mb_nvtx *n, enum mb_nvtx_phase phase, uint64_t n_runs) {
    if (!n) return;
    mb_nvtx_end(n);
    push(n, n->messages[phase], (uint32_t)phase + 1, &n_runs);
    n->in_phase = true;
}

void mb_nvtx_end(struct mb_nvtx *n) {
    if (!n || !n->in_phase) return;
    nvtxDomainRangePop(n->domain);
    n->in_phase = false;
}
