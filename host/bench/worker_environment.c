#include "worker_environment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

static const struct {
    enum mb_isa cap;
    const char *name, *value;
} caps[] = {
    {MB_ISA_AVX2, "ATEN_CPU_CAPABILITY", "avx2"},
    {MB_ISA_AVX2, "ONEDNN_MAX_CPU_ISA", "AVX2"},
    {MB_ISA_AVX2, "MKL_ENABLE_INSTRUCTIONS", "AVX2"},
    {MB_ISA_SCALAR, "ATEN_CPU_CAPABILITY", "default"},
    {MB_ISA_SCALAR, "ONEDNN_MAX_CPU_ISA", "SSE41"},
    {MB_ISA_SCALAR, "MKL_ENABLE_INSTRUCTIONS", "SSE4_2"},
};
enum { N_CAPS = sizeof caps / sizeof *caps };

/* Each is a folder in the cache folder. */
static const struct {
    const char *name, *below;
} caches[] = {
    {"XDG_CACHE_HOME", ""},
    {"TORCHINDUCTOR_CACHE_DIR", "/inductor"},
    {"TRITON_CACHE_DIR", "/triton"},
};
enum { N_CACHES = sizeof caches / sizeof *caches };

static bool names_variable(const char *entry, const char *name) {
    const size_t len = strlen(name);
    return strncmp(entry, name, len) == 0 && entry[len] == '=';
}

static bool is_replaced(const char *entry, enum mb_isa cap, const char *cache_folder) {
    for (size_t i = 0; i < N_CAPS; i++)
        if (caps[i].cap == cap && names_variable(entry, caps[i].name)) return true;
    for (size_t i = 0; cache_folder && i < N_CACHES; i++)
        if (names_variable(entry, caches[i].name)) return true;
    return false;
}

/* NAME=VALUE, the value in two parts; from malloc. */
static char *variable(const char *name, const char *value, const char *rest) {
    const size_t size = strlen(name) + strlen(value) + strlen(rest) + 2;
    char *text = malloc(size);
    if (text) snprintf(text, size, "%s=%s%s", name, value, rest);
    return text;
}

char **mb_worker_environment(enum mb_isa cap, const char *cache_folder) {
    size_t n = 0, used = 0;
    while (environ[n]) n++;
    char **env = calloc(n + N_CAPS + N_CACHES + 1, sizeof *env);
    if (!env) return NULL;
    for (size_t i = 0; i < n; i++) {
        if (is_replaced(environ[i], cap, cache_folder)) continue;
        if (!(env[used++] = strdup(environ[i]))) goto fail;
    }
    for (size_t i = 0; i < N_CAPS; i++)
        if (caps[i].cap == cap && !(env[used++] = variable(caps[i].name, caps[i].value, "")))
            goto fail;
    for (size_t i = 0; cache_folder && i < N_CACHES; i++)
        if (!(env[used++] = variable(caches[i].name, cache_folder, caches[i].below))) goto fail;
    return env;
fail:
    mb_worker_environment_free(env);
    return NULL;
}

void mb_worker_environment_free(char **environment) {
    for (size_t i = 0; environment && environment[i]; i++) free(environment[i]);
    free(environment);
}
