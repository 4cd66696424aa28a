#include "mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum mb_status mb_map(const char *path, struct mb_mapping *out, struct mb_err *err) {
    enum mb_status st = MB_OK;
    struct stat info;
    void *data = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return mb_fail(err, MB_E_IO, "%s: %s", path, strerror(errno));
    if (fstat(fd, &info) != 0) {
        st = mb_fail(err, MB_E_IO, "%s: %s", path, strerror(errno));
    } else if (!S_ISREG(info.st_mode)) {
        st = mb_fail(err, MB_E_IO, "%s: is no regular file; name one", path);
    } else if (info.st_size > 0) {
        data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) st = mb_fail(err, MB_E_IO, "%s: %s", path, strerror(errno));
    }
    close(fd);
    if (st == MB_OK) *out = (struct mb_mapping){data, (size_t)info.st_size};
    return st;
}

void mb_unmap(struct mb_mapping *mapping) {
    if (mapping->data) munmap(mapping->data, mapping->len);
    *mapping = (struct mb_mapping){NULL, 0};
}
