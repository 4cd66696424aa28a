#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum mb_status mb_file_read(const char *path, size_t max_bytes, char **text, size_t *len,
                            struct mb_err *err) {
    enum mb_status st = MB_OK;
    char *buf = NULL;
    size_t size = 64 << 10, used = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return mb_fail(err, MB_E_IO, "%s: %s", path, strerror(errno));
    struct stat info;
    if (fstat(fd, &info) == 0) {
        if (S_ISDIR(info.st_mode)) {
            st = mb_fail(err, MB_E_IO, "%s: is a directory; name a file in it", path);
            goto out;
        }
        if (S_ISREG(info.st_mode) && (size_t)info.st_size >= size &&
            (size_t)info.st_size <= max_bytes)
            size = (size_t)info.st_size + 2;
    }
    for (;;) {
        if (!buf || used + 1 == size) {
            if (buf) size *= 2;
            char *grown = realloc(buf, size);
            if (!grown) {
                st = mb_fail(err, MB_E_NOMEM, "%s: no memory for %zu bytes", path, size);
                goto out;
            }
            buf = grown;
        }
        ssize_t got = read(fd, buf + used, size - used - 1);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            st = mb_fail(err, MB_E_IO, "%s: %s", path, strerror(errno));
            goto out;
        }
        if (got == 0) break;
        used += (size_t)got;
        if (used > max_bytes) {
            st = mb_fail(err, MB_E_IO, "%s: larger than %zu MiB", path, max_bytes >> 20);
            goto out;
        }
    }
    buf[used] = '\0';
    *text = buf;
    *len = used;
    buf = NULL;
out:
    free(buf);
    close(fd);
    return st;
}
