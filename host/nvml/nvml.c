#include "nvml.h"

#include "arena.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char library_name[] = "libnvidia-ml.so.1";

/* Of nvml.h, which few machines have. */
typedef struct nvmlDevice_st *nvmlDevice_t;
enum { NVML_SUCCESS = 0, NVML_ERROR_INSUFFICIENT_SIZE = 7 };
enum { NVML_CLOCK_SM = 1, NVML_CLOCK_MEM = 2 };
enum { NVML_TEMPERATURE_GPU = 0 };

/* FUNCTION(name, parameters): each returns an nvmlReturn_t. */
#define NEEDED(FUNCTION)                                                                           \
    FUNCTION(nvmlInit_v2, (void))                                                                  \
    FUNCTION(nvmlShutdown, (void))                                                                 \
    FUNCTION(nvmlDeviceGetHandleByUUID, (const char *, nvmlDevice_t *))
#define OPTIONAL(FUNCTION)                                                                         \
    FUNCTION(nvmlDeviceGetClockInfo, (nvmlDevice_t, int, unsigned *))                              \
    FUNCTION(nvmlDeviceGetPowerUsage, (nvmlDevice_t, unsigned *))                                  \
    FUNCTION(nvmlDeviceGetTemperature, (nvmlDevice_t, int, unsigned *))                            \
    FUNCTION(nvmlDeviceGetTotalEnergyConsumption, (nvmlDevice_t, unsigned long long *))            \
    FUNCTION(nvmlDeviceGetCurrentClocksEventReasons, (nvmlDevice_t, unsigned long long *))         \
    FUNCTION(nvmlDeviceGetCurrentClocksThrottleReasons, (nvmlDevice_t, unsigned long long *))      \
    FUNCTION(nvmlDeviceGetComputeRunningProcesses_v3, (nvmlDevice_t, unsigned *, void *))

struct mb_nvml {
    void *library;
    nvmlDevice_t device;
    const char *(*nvmlErrorString)(int);
#define FUNCTION(name, parameters) int(*name) parameters;
    NEEDED(FUNCTION)
    OPTIONAL(FUNCTION)
#undef FUNCTION
};

static enum mb_status refused(const struct mb_nvml *n, int code, enum mb_status status,
                              const char *what, struct mb_err *err) {
    return mb_fail(err, status, "%s: %s: %s (%d)", library_name, what,
                   n->nvmlErrorString ? n->nvmlErrorString(code) : "error", code);
}

enum mb_status mb_nvml_open(const char *uuid, struct mb_nvml **out, struct mb_err *err) {
    enum mb_status st = MB_OK;
    const char *missing = NULL;
    int code;
    struct mb_nvml *n = mb_allocator.alloc(sizeof *n);
    if (!n) return mb_fail(err, MB_E_NOMEM, "%s: out of memory", library_name);
    *n = (struct mb_nvml){0};
    n->library = dlopen(library_name, RTLD_NOW | RTLD_LOCAL);
    if (!n->library) {
        st = mb_fail(err, MB_E_UNSUPPORTED, "no NVML: %s", dlerror());
        goto out;
    }
    *(void **)&n->nvmlErrorString = dlsym(n->library, "nvmlErrorString");
#define FUNCTION(name, parameters) *(void **)&n->name = dlsym(n->library, #name);
    NEEDED(FUNCTION)
    OPTIONAL(FUNCTION)
#undef FUNCTION
#define FUNCTION(name, parameters)                                                                 \
    if (!n->name) missing = #name;
    NEEDED(FUNCTION)
#undef FUNCTION
    if (missing) {
        st = mb_fail(err, MB_E_UNSUPPORTED, "%s: has no %s: too old", library_name, missing);
        goto out;
    }
    if ((code = n->nvmlInit_v2()) != NVML_SUCCESS) {
        st = refused(n, code, MB_E_DEVICE, "nvmlInit_v2", err);
        goto out;
    }
    if ((code = n->nvmlDeviceGetHandleByUUID(uuid, &n->device)) != NVML_SUCCESS) {
        st = refused(n, code, MB_E_UNSUPPORTED, uuid, err);
        n->nvmlShutdown();
        goto out;
    }
    *out = n;
    return MB_OK;
out:
    if (n->library) dlclose(n->library);
    mb_allocator.release(n);
    return st;
}

void mb_nvml_close(struct mb_nvml *n) {
    if (!n) return;
    n->nvmlShutdown();
    dlclose(n->library);
    mb_allocator.release(n);
}

static double clock_of(const struct mb_nvml *n, int type) {
    unsigned mhz = 0;
    if (!n->nvmlDeviceGetClockInfo ||
        n->nvmlDeviceGetClockInfo(n->device, type, &mhz) != NVML_SUCCESS)
        return NAN;
    return mhz;
}

/* Drivers older than 535 know the reasons by another name. */
static int64_t reasons_of(const struct mb_nvml *n) {
    unsigned long long bits = 0;
    int (*const get)(nvmlDevice_t, unsigned long long *) =
        n->nvmlDeviceGetCurrentClocksEventReasons ? n->nvmlDeviceGetCurrentClocksEventReasons
                                                  : n->nvmlDeviceGetCurrentClocksThrottleReasons;
    return get && get(n->device, &bits) == NVML_SUCCESS ? (int64_t)(bits & INT64_MAX) : -1;
}

struct mb_nvml_state mb_nvml_read(const struct mb_nvml *n) {
    struct mb_nvml_state state = {
        clock_of(n, NVML_CLOCK_SM), clock_of(n, NVML_CLOCK_MEM), NAN, NAN, NAN, reasons_of(n)};
    unsigned milliwatts = 0, celsius = 0;
    unsigned long long millijoules = 0;
    if (n->nvmlDeviceGetPowerUsage &&
        n->nvmlDeviceGetPowerUsage(n->device, &milliwatts) == NVML_SUCCESS)
        state.power_w = milliwatts / 1e3;
    if (n->nvmlDeviceGetTemperature &&
        n->nvmlDeviceGetTemperature(n->device, NVML_TEMPERATURE_GPU, &celsius) == NVML_SUCCESS)
        state.temperature_c = celsius;
    if (n->nvmlDeviceGetTotalEnergyConsumption &&
        n->nvmlDeviceGetTotalEnergyConsumption(n->device, &millijoules) == NVML_SUCCESS)
        state.energy_mj = (double)millijoules;
    return state;
}

/* Asked with room for none, the driver says how many there are. */
int mb_nvml_n_processes(const struct mb_nvml *n) {
    unsigned count = 0;
    if (!n->nvmlDeviceGetComputeRunningProcesses_v3) return -1;
    const int code = n->nvmlDeviceGetComputeRunningProcesses_v3(n->device, &count, NULL);
    return code == NVML_SUCCESS || code == NVML_ERROR_INSUFFICIENT_SIZE ? (int)count : -1;
}

const char *mb_nvml_throttle_text(char *buf, size_t size, int64_t reasons) {
    static const struct {
        int bit;
        const char *name;
    } names[] = {{MB_NVML_HW_SLOWDOWN, "hardware slowdown"},
                 {MB_NVML_SW_THERMAL, "software thermal slowdown"},
                 {MB_NVML_HW_THERMAL, "hardware thermal slowdown"},
                 {MB_NVML_POWER_BRAKE, "power brake"}};
    size_t used = 0;
    if (size) buf[0] = '\0';
    for (size_t i = 0; reasons > 0 && i < sizeof names / sizeof *names && used < size; i++)
        if (reasons & names[i].bit)
            used +=
                (size_t)snprintf(buf + used, size - used, "%s%s", used ? ", " : "", names[i].name);
    return buf;
}
