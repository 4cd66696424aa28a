/* A profiler for tests: what NVTX is told, as lines of a file.
 *
 * NVTX loads this library when NVTX_INJECTION64_PATH names it. Each line is appended whole to the
 * file that MINDBENCH_NVTX_LOG names, fields apart by tabs, the process first:
 *
 *   PID domain NAME         PID category DOMAIN NUMBER NAME
 *   PID pop DOMAIN          PID push DOMAIN KIND MESSAGE CATEGORY ARGB PAYLOAD
 *   PID destroy DOMAIN      PID default-domain FUNCTION
 *
 * KIND is "registered" or "text"; PAYLOAD is "-" where there is none.
 *
 * It also opens the library that MINDBENCH_NVTX_DRIVER names, if any, as a plugin would: for itself
 * alone. */
#include <dlfcn.h>
#include <fcntl.h>
#include <nvtx3/nvToolsExt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static __attribute__((format(printf, 1, 2))) void note(const char *format, ...) {
    char line[1024];
    const char *name = getenv("MINDBENCH_NVTX_LOG");
    int fd = name ? open(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666) : -1;
    if (fd < 0) return;
    int used = snprintf(line, sizeof line, "%d\t", (int)getpid());
    va_list args;
    va_start(args, format);
    used += vsnprintf(line + used, sizeof line - (size_t)used, format, args);
    va_end(args);
    /* a line that does not fit is left out, and the test misses it */
    if (used + 1 < (int)sizeof line) {
        line[used++] = '\n';
        if (write(fd, line, (size_t)used) != used) perror(name);
    }
    close(fd);
}

/* The handles that the process under test holds are the addresses of copies, kept to the end. */
static const char *keep(const char *text) {
    static struct kept {
        struct kept *next;
        char text[];
    } * all;
    size_t size = strlen(text) + 1;
    struct kept *k = malloc(sizeof *k + size);
    if (!k) return NULL;
    memcpy(k->text, text, size);
    k->next = all;
    all = k;
    return k->text;
}

static const char *domain_name(nvtxDomainHandle_t domain) {
    return domain ? (const char *)domain : "(default)";
}

static nvtxDomainHandle_t on_domain(const char *name) {
    note("domain\t%s", name);
    return (nvtxDomainHandle_t)keep(name);
}

static void on_destroy(nvtxDomainHandle_t domain) { note("destroy\t%s", domain_name(domain)); }

static void on_category(nvtxDomainHandle_t domain, uint32_t number, const char *name) {
    note("category\t%s\t%u\t%s", domain_name(domain), number, name);
}

static nvtxStringHandle_t on_string(nvtxDomainHandle_t domain, const char *text) {
    (void)domain;
    return (nvtxStringHandle_t)keep(text);
}

static int on_push(nvtxDomainHandle_t domain, const nvtxEventAttributes_t *e) {
    char payload[32] = "-";
    int registered = e->messageType == NVTX_MESSAGE_TYPE_REGISTERED;
    if (e->payloadType == NVTX_PAYLOAD_TYPE_UNSIGNED_INT64)
        snprintf(payload, sizeof payload, "%llu", (unsigned long long)e->payload.ullValue);
    note("push\t%s\t%s\t%s\t%u\t%08x\t%s", domain_name(domain), registered ? "registered" : "text",
         registered ? (const char *)e->message.registered : e->message.ascii, e->category,
         e->colorType == NVTX_COLOR_ARGB ? e->color : 0, payload);
    return 0;
}

static int on_pop(nvtxDomainHandle_t domain) {
    note("pop\t%s", domain_name(domain));
    return 0;
}

static int on_default_push(const char *text) {
    note("default-domain\tpush %s", text);
    return 0;
}

/* Replaces the entry where NVTX keeps the function to call. */
static void replace(NvtxFunctionTable table, unsigned size, unsigned index,
                    NvtxFunctionPointer function) {
    if (index < size) *table[index] = function;
}

NVTX_DYNAMIC_EXPORT int NVTX_API InitializeInjectionNvtx2(NvtxGetExportTableFunc_t get_table);
NVTX_DYNAMIC_EXPORT int NVTX_API InitializeInjectionNvtx2(NvtxGetExportTableFunc_t get_table) {
    const NvtxExportTableCallbacks *callbacks = get_table(NVTX_ETID_CALLBACKS);
    NvtxFunctionTable core, core2;
    unsigned n, n2;
    const char *driver = getenv("MINDBENCH_NVTX_DRIVER");
    if (driver && !dlopen(driver, RTLD_NOW | RTLD_LOCAL)) return 0;
    if (!callbacks || !callbacks->GetModuleFunctionTable(NVTX_CB_MODULE_CORE, &core, &n) ||
        !callbacks->GetModuleFunctionTable(NVTX_CB_MODULE_CORE2, &core2, &n2))
        return 0;
    replace(core, n, NVTX_CBID_CORE_RangePushA, (NvtxFunctionPointer)on_default_push);
    replace(core2, n2, NVTX_CBID_CORE2_DomainCreateA, (NvtxFunctionPointer)on_domain);
    replace(core2, n2, NVTX_CBID_CORE2_DomainDestroy, (NvtxFunctionPointer)on_destroy);
    replace(core2, n2, NVTX_CBID_CORE2_DomainNameCategoryA, (NvtxFunctionPointer)on_category);
    replace(core2, n2, NVTX_CBID_CORE2_DomainRegisterStringA, (NvtxFunctionPointer)on_string);
    replace(core2, n2, NVTX_CBID_CORE2_DomainRangePushEx, (NvtxFunctionPointer)on_push);
    replace(core2, n2, NVTX_CBID_CORE2_DomainRangePop, (NvtxFunctionPointer)on_pop);
    return 1;
}
