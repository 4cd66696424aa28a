#include "device_option.h"

#include "cli.h"
#include "executors.h"

#include <string.h>

bool mb_device_option_parse(char *value, const char *command, struct mb_device_option *out) {
    char *colon = strchr(value, ':');
    int64_t index = 0;
    if (colon) *colon = '\0';
    out->name = value;
    if (strcmp(value, "cuda") == 0 && (!colon || mb_cli_integer(colon + 1, 0, 1023, &index))) {
        out->index = (int)index;
        return true;
    }
    if (!colon && (strcmp(value, "cpu") == 0 || strcmp(value, "auto") == 0)) return true;
    if (colon) *colon = ':';
    mb_cli_error(MB_EXIT_USAGE, "%s: --device %s: not a device; use auto, cpu, cuda or cuda:N",
                 command, value);
    return false;
}

int mb_device_option_choose(const struct mb_device_option *option, const char *command,
                            struct mb_open_config *config, const char **reason) {
    static char text[600];
    struct mb_err err;
    const struct mb_executor_entry *cuda = mb_executor_find("mind", "cuda");
    const struct mb_backend *backend;
    struct mb_open_config wanted = *config;
    *reason = NULL;
    config->device = "cpu";
    config->device_index = 0;
    if (strcmp(option->name, "cpu") == 0) return -1;
    wanted.executor = cuda->name;
    wanted.device = cuda->device;
    wanted.device_index = option->index;
    enum mb_status st = mb_executor_backend(cuda, &backend, &err);
    if (st == MB_OK) st = backend->probe(&wanted, &err);
    if (st == MB_OK) {
        config->device = cuda->device;
        config->device_index = option->index;
        return -1;
    }
    if (strcmp(option->name, "cuda") == 0)
        return mb_cli_error(MB_EXIT_USAGE, "%s: --device cuda: %s", command, err.text);
    snprintf(text, sizeof text, "running on the CPU, since there is no CUDA: %s", err.text);
    *reason = text;
    return -1;
}
