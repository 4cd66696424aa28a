/* A libnvidia-ml.so.1 for tests: one device, GPU-fake. MB_NVML holds NAME=VALUE pairs, apart by
 * spaces, of what it says:
 *   reasons=N     clocks event reasons
 *   sag=N         every other read of the SM clock is N MHz lower than 1980
 *   watts=N       power; the energy counter rises by as much in a second (default 400)
 *   processes=N   that compute on the device
 *   init=N        nvmlInit_v2 fails with N
 *   bare=1        clocks, power, temperature, energy and processes are not supported */
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, DRIVER_NOT_LOADED = 9 };

static long setting(const char *name, long otherwise) {
    const char *text = getenv("MB_NVML");
    const size_t len = strlen(name);
    for (const char *at = text; at && (at = strstr(at, name)); at += len)
        if (at[len] == '=' && (at == text || at[-1] == ' ')) return atol(at + len + 1);
    return otherwise;
}
static int answer(void) { return setting("bare", 0) ? NOT_SUPPORTED : 0; }

int nvmlInit_v2(void);
int nvmlShutdown(void);
const char *nvmlErrorString(int code);
int nvmlDeviceGetHandleByUUID(const char *uuid, void **device);
int nvmlDeviceGetClockInfo(void *device, int type, unsigned *mhz);
int nvmlDeviceGetPowerUsage(void *device, unsigned *milliwatts);
int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *celsius);
int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *millijoules);
int nvmlDeviceGetCurrentClocksEventReasons(void *device, unsigned long long *reasons);
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, void *infos);

int nvmlInit_v2(void) { return (int)setting("init", 0); }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int code) {
    return code == DRIVER_NOT_LOADED ? "Driver Not Loaded" : "Not Found";
}
int nvmlDeviceGetHandleByUUID(const char *uuid, void **device) {
    static int only;
    *device = &only;
    return strcmp(uuid, "GPU-fake") == 0 ? 0 : NOT_FOUND;
}
int nvmlDeviceGetClockInfo(void *device, int type, unsigned *mhz) {
    static int n;
    (void)device;
    *mhz = type == 1 ? (unsigned)(1980 - (n++ % 2 ? setting("sag", 0) : 0)) : 3201;
    return answer();
}
int nvmlDeviceGetPowerUsage(void *device, unsigned *milliwatts) {
    (void)device;
    *milliwatts = (unsigned)setting("watts", 400) * 1000;
    return answer();
}
int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *celsius) {
    (void)device;
    *celsius = sensor == 0 ? 45 : 99;
    return answer();
}
int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *millijoules) {
    struct timespec now;
    (void)device;
    clock_gettime(CLOCK_MONOTONIC, &now);
    *millijoules = (unsigned long long)(((double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6) *
                                        (double)setting("watts", 400));
    return answer();
}
int nvmlDeviceGetCurrentClocksEventReasons(void *device, unsigned long long *reasons) {
    (void)device;
    *reasons = (unsigned long long)setting("reasons", 0);
    return 0;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, void *infos) {
    (void)device;
    *count = (unsigned)setting("processes", 0);
    if (answer()) return answer();
    return *count && !infos ? INSUFFICIENT_SIZE : 0;
}
