#include "process_facts.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static FILE *open_proc(pid_t pid, const char *name) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    return fopen(path, "re");
}

double mb_process_peak_bytes(pid_t pid) {
    double kib = (double)NAN;
    char line[256];
    FILE *status = open_proc(pid, "status");
    while (status && fgets(line, sizeof line, status))
        if (strncmp(line, "VmHWM:", 6) == 0) kib = strtod(line + 6, NULL);
    if (status) fclose(status);
    return kib * 1024;
}

/* Files are few hundred at most, so that a list will do. */
struct files {
    struct {
        dev_t device;
        ino_t number;
    } * seen;
    size_t n, capacity;
    double bytes;
};

/* False without memory. */
static bool add_file(struct files *files, const char *path) {
    struct stat info;
    if (stat(path, &info) != 0 || !S_ISREG(info.st_mode)) return true;
    for (size_t i = 0; i < files->n; i++)
        if (files->seen[i].device == info.st_dev && files->seen[i].number == info.st_ino)
            return true;
    if (files->n == files->capacity) {
        const size_t capacity = files->capacity * 2 + 64;
        void *grown = realloc(files->seen, capacity * sizeof *files->seen);
        if (!grown) return false;
        files->seen = grown;
        files->capacity = capacity;
    }
    files->seen[files->n].device = info.st_dev;
    files->seen[files->n++].number = info.st_ino;
    files->bytes += (double)info.st_size;
    return true;
}

double mb_process_loaded_bytes(pid_t pid) {
    struct files files = {0};
    char *line = NULL;
    size_t size = 0;
    ssize_t len;
    FILE *maps = open_proc(pid, "maps");
    bool ok = maps != NULL;
    while (ok && (len = getline(&line, &size, maps)) > 0) {
        char *path = strchr(line, '/');
        if (line[len - 1] == '\n') line[len - 1] = '\0';
        if (path) ok = add_file(&files, path);
    }
    if (maps) fclose(maps);
    free(line);
    free(files.seen);
    return ok && files.n ? files.bytes : (double)NAN;
}
