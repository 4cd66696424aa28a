#include "targets.h"

#include "cli.h"
#include "file.h"
#include "workloads.h"

#include <stdlib.h>
#include <string.h>

/* Far above any program, far below what would exhaust memory when a device is named by mistake. */
static const size_t max_source_bytes = (size_t)1 << 30;

bool mb_bindings_add(struct mb_bindings *bindings, char *text, const char *command) {
    char *equals = strchr(text, '=');
    int64_t extent;
    if (!equals || equals == text || !mb_cli_integer(equals + 1, 1, INT64_MAX, &extent)) {
        mb_cli_error(MB_EXIT_USAGE,
                     "%s: --bind %s: not of the form NAME=N with N at least 1; "
                     "for example --bind batch=32",
                     command, text);
        return false;
    }
    if (bindings->n == MB_MAX_BINDINGS) {
        mb_cli_error(MB_EXIT_USAGE, "%s: more than %d --bind", command, MB_MAX_BINDINGS);
        return false;
    }
    *equals = '\0';
    bindings->items[bindings->n++] = (struct mb_mind_binding){text, extent};
    return true;
}

int mb_read_source(const char *path, char **text, size_t *len) {
    struct mb_err err;
    if (mb_file_read(path, max_source_bytes, text, len, &err) == MB_OK) return MB_EXIT_OK;
    return mb_cli_error(MB_EXIT_USAGE, "%s", err.text);
}

static bool is_file(const char *argument) {
    size_t len = strlen(argument);
    return strchr(argument, '/') || (len > 5 && strcmp(argument + len - 5, ".mind") == 0);
}

static int unknown_workload(const char *argument) {
    const char *names[16];
    size_t n = 0;
    for (; n < mb_n_workloads && n < sizeof names / sizeof *names; n++)
        names[n] = mb_workloads[n].name;
    const char *nearest = mb_cli_nearest(argument, names, n);
    if (nearest)
        return mb_cli_error(MB_EXIT_USAGE, "run: no workload %s; did you mean %s?", argument,
                            nearest);
    return mb_cli_error(MB_EXIT_USAGE,
                        "run: no workload %s; mindbench list workloads names them, "
                        "and a file's name ends in .mind",
                        argument);
}

/* The name in the result: without folders and .mind, with the batch of a sweep. */
static char *name_of(const char *argument, bool file, int64_t batch) {
    const char *base = file && strrchr(argument, '/') ? strrchr(argument, '/') + 1 : argument;
    size_t len = strlen(base), size = len + 40;
    if (file && len > 5 && strcmp(base + len - 5, ".mind") == 0) len -= 5;
    char *name = malloc(size);
    if (!name) return NULL;
    if (batch > 0)
        snprintf(name, size, "%.*s[batch=%lld]", (int)len, base, (long long)batch);
    else
        snprintf(name, size, "%.*s", (int)len, base);
    return name;
}

int mb_target_read(const char *argument, const struct mb_target_options *options,
                   struct mb_target *out) {
    struct mb_target t = {0};
    int status = MB_EXIT_OK;
    const bool file = is_file(argument);
    t.source.file = argument;
    t.source.entry = options->entry;
    t.source.seed = options->seed;
    t.source.strict = options->strict;
    t.source.lenient = options->lenient;
    if (file) {
        t.file = argument;
        status = mb_read_source(argument, &t.text, &t.source.len);
        if (status != MB_EXIT_OK) return status;
        t.source.text = t.text;
    } else {
        const struct mb_workload *workload = mb_workload_find(argument);
        if (!workload) return unknown_workload(argument);
        t.source.text = workload->text;
        t.source.len = workload->len;
    }
    t.bindings = *options->bindings;
    if (options->batch > 0 && t.bindings.n < MB_MAX_BINDINGS)
        t.bindings.items[t.bindings.n++] = (struct mb_mind_binding){"batch", options->batch};
    t.source.n_bindings = t.bindings.n;
    t.name = name_of(argument, file, options->batch);
    if (!t.name) {
        status = mb_cli_error(MB_EXIT_USAGE, "no memory for %s", argument);
        mb_target_close(&t);
        return status;
    }
    *out = t;
    out->source.bindings = out->bindings.items;
    return MB_EXIT_OK;
}

int mb_target_open(const char *argument, const struct mb_target_options *options,
                   struct mb_target *out) {
    struct mb_err err;
    int status = mb_target_read(argument, options, out);
    if (status != MB_EXIT_OK) return status;
    enum mb_status st = mb_mind_open(&out->mind, &err);
    if (st == MB_OK) {
        st = mb_mind_compile(out->mind, &out->source, &out->program, &err);
        mb_print_diags(out->mind, &options->diags, options->quiet);
    }
    if (st == MB_OK) return MB_EXIT_OK;
    status = st == MB_E_PROGRAM ? MB_EXIT_REJECTED
                                : mb_cli_error(MB_EXIT_USAGE, "%s: %s", argument, err.text);
    mb_target_close(out);
    return status;
}

void mb_target_close(struct mb_target *t) {
    mb_mind_close(t->mind);
    free(t->text);
    free(t->name);
    *t = (struct mb_target){0};
}
