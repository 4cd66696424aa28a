/* The option --device, for every command that has it. */
#ifndef MB_DEVICE_OPTION_H
#define MB_DEVICE_OPTION_H

#include "backend.h"

#include <stdbool.h>

struct mb_device_option {
    const char *name; /* "auto", "cpu", "cuda" */
    int index;
};

/* Takes "auto", "cpu", "cuda" or "cuda:N" (borrowed, and cut at the colon). False after an error on
 * stderr. */
bool mb_device_option_parse(char *value, const char *command, struct mb_device_option *out);

/* Sets config's device and device_index: CUDA where its plugin answers to the rest of config, else
 * the CPU, and then *reason is the line that says why, else NULL; static. CUDA asked for and not
 * there is an error: an exit status; -1 to go on. */
int mb_device_option_choose(const struct mb_device_option *option, const char *command,
                            struct mb_open_config *config, const char **reason);

#endif
