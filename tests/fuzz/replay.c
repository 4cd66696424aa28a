/* Gives every file of the named folders (or the named files) to the fuzz target, without a fuzzer.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int n_files;

static int replay_file(const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END) != 0) return fprintf(stderr, "cannot read %s\n", path), 1;
    long size = ftell(f);
    rewind(f);
    uint8_t *data = malloc(size > 0 ? (size_t)size : 1);
    if (!data || fread(data, 1, (size_t)size, f) != (size_t)size)
        return fprintf(stderr, "cannot read %s\n", path), 1;
    fclose(f);
    LLVMFuzzerTestOneInput(data, (size_t)size);
    free(data);
    n_files++;
    return 0;
}

static int replay(const char *path) {
    DIR *dir = opendir(path);
    int failed = 0;
    if (!dir) return replay_file(path);
    for (struct dirent *e; (e = readdir(dir)) && !failed;) {
        char name[4096];
        if (e->d_name[0] == '.') continue;
        snprintf(name, sizeof name, "%s/%s", path, e->d_name);
        failed = replay_file(name);
    }
    closedir(dir);
    return failed;
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++)
        if (replay(argv[i])) return 1;
    printf("%d inputs\n", n_files);
    return n_files == 0;
}
