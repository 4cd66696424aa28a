/* What an NVIDIA GPU is doing besides the work that is measured: clocks, power, temperature, what
 * holds the clocks back, energy, other processes. Read through the driver's management library,
 * which is opened at run time: building needs neither a GPU nor a toolkit.
 *
 * A read takes tens to hundreds of microseconds of the driver's time, so it has no place in a timed
 * region. One thread. */
#ifndef MB_NVML_H
#define MB_NVML_H

#include "status.h"

#include <stddef.h>
#include <stdint.h>

struct mb_nvml;

/* At one moment. NaN, or -1 in `reasons`, where the driver does not say. */
struct mb_nvml_state {
    double sm_mhz, memory_mhz, power_w, temperature_c;
    double energy_mj; /* since the driver was loaded; renewed every 20 to 100 ms */
    int64_t reasons;  /* bits of what holds the clocks back: NVML's clocks event reasons */
};

/* Reasons for which a measurement is not what the device does at its best. The others (idle, a
 * clock that was set, the power cap in ordinary use) are recorded only. */
enum {
    MB_NVML_HW_SLOWDOWN = 0x8,
    MB_NVML_SW_THERMAL = 0x20,
    MB_NVML_HW_THERMAL = 0x40,
    MB_NVML_POWER_BRAKE = 0x80,
    MB_NVML_THROTTLED =
        MB_NVML_HW_SLOWDOWN | MB_NVML_SW_THERMAL | MB_NVML_HW_THERMAL | MB_NVML_POWER_BRAKE
};

/* uuid: "GPU-3f2a...", as nvidia-smi -L prints it. MB_E_UNSUPPORTED without libnvidia-ml.so.1 or
 * without such a device, MB_E_DEVICE when the driver refuses; NVML's own words are in the text. */
enum mb_status mb_nvml_open(const char *uuid, struct mb_nvml **out, struct mb_err *err);
void mb_nvml_close(struct mb_nvml *nvml); /* NULL is fine */

struct mb_nvml_state mb_nvml_read(const struct mb_nvml *nvml);

/* Processes that compute on the device, this one's children among them; -1 where the driver does
 * not say. Those that it hides from this container are not counted. */
int mb_nvml_n_processes(const struct mb_nvml *nvml);

/* "hardware slowdown, power brake": the names of the reasons of MB_NVML_THROTTLED that are set, ""
 * for none. Always terminated, cut to `size`; returns `buf`. */
const char *mb_nvml_throttle_text(char *buf, size_t size, int64_t reasons);

#endif
