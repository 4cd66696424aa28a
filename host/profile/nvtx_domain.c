/* NVTX ranges over NVIDIA's header-only library, which finds the profiler at run time. */
#include "nvtx_domain.h"

#include <nvtx3/nvToolsExt.h>
#include <stdio.h>
#include <stdlib.h>

const bool mb_nvtx_built = true;

struct mb_nvtx_domain {
    nvtxDomainHandle_t handle;
    nvtxStringHandle_t messages[MB_NVTX_N_PHASES];
    uint32_t colour; /* ARGB */
};

/* Paul Tol's "bright" and "vibrant" schemes without grey: told apart by everybody, on dark and on
 * light. */
static const uint32_t colours[] = {0xff4477aa, 0xffee6677, 0xff228833, 0xffccbb44, 0xff66ccee,
                                   0xffaa3377, 0xffee7733, 0xff009988, 0xffcc3311, 0xff33bbee};

static void push(struct mb_nvtx_domain *d, nvtxStringHandle_t message, uint32_t category,
                 const uint64_t *payload) {
    nvtxEventAttributes_t event = {.version = NVTX_VERSION,
                                   .size = NVTX_EVENT_ATTRIB_STRUCT_SIZE,
                                   .category = category,
                                   .colorType = NVTX_COLOR_ARGB,
                                   .color = d->colour,
                                   .messageType = NVTX_MESSAGE_TYPE_REGISTERED,
                                   .message.registered = message};
    if (payload) {
        event.payloadType = NVTX_PAYLOAD_TYPE_UNSIGNED_INT64;
        event.payload.ullValue = *payload;
    }
    nvtxDomainRangePushEx(d->handle, &event);
}

struct mb_nvtx_domain *mb_nvtx_domain_open(const char *program, const char *executor,
                                           size_t colour) {
    char text[512]; /* a program's name is at most a file's, 255 bytes, and a batch */
    struct mb_nvtx_domain *d = calloc(1, sizeof *d);
    if (!d) return NULL;
    snprintf(text, sizeof text, "mindbench.%s", program);
    d->handle = nvtxDomainCreateA(text);
    if (!d->handle) { /* nobody listens */
        free(d);
        return NULL;
    }
    d->colour = colours[colour % (sizeof colours / sizeof *colours)];
    for (uint32_t i = 0; i < MB_NVTX_N_PHASES; i++) {
        const char *phase = mb_nvtx_phase_text((enum mb_nvtx_phase)i);
        snprintf(text, sizeof text, "%s/%s/%s", program, executor, phase);
        d->messages[i] = nvtxDomainRegisterStringA(d->handle, i == MB_NVTX_PROFILE ? phase : text);
        nvtxDomainNameCategoryA(d->handle, i + 1, phase);
    }
    push(d, nvtxDomainRegisterStringA(d->handle, program), 0, NULL);
    snprintf(text, sizeof text, "%s/%s", program, executor);
    push(d, nvtxDomainRegisterStringA(d->handle, text), 0, NULL);
    return d;
}

void mb_nvtx_domain_close(struct mb_nvtx_domain *d) {
    nvtxDomainRangePop(d->handle);
    nvtxDomainRangePop(d->handle);
    nvtxDomainDestroy(d->handle);
    free(d);
}

void mb_nvtx_domain_push(struct mb_nvtx_domain *d, enum mb_nvtx_phase phase, uint64_t n_runs) {
    push(d, d->messages[phase], (uint32_t)phase + 1, &n_runs);
}

void mb_nvtx_domain_pop(struct mb_nvtx_domain *d) { nvtxDomainRangePop(d->handle); }
