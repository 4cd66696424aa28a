#include "outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct mb_outfile {
    FILE *stream; /* in memory until commit, which then knows the reason of any failed write */
    char *text;
    size_t len;
    int fd;
    char *name;   /* as the user wrote it, for messages */
    char *target; /* the regular file to replace, links followed; NULL when written straight */
    char *beside; /* the file being written; NULL when written straight */
};

static const char *advice(int error) {
    switch (error) {
    case ENOENT: return "create the folder (mkdir -p) or name another file";
    case ENOTDIR: return "a part of the path is a file; name another one";
    case EISDIR: return "it is a folder; name a file in it";
    case EACCES:
    case EPERM: return "name a file in a folder you may write";
    case EROFS: return "name a file on a writable file system";
    case ENOSPC:
    case EDQUOT: return "free some space or name a file on another disk";
    case EPIPE: return "the reader of the pipe has gone; run again without it";
    default: return "name another file";
    }
}

static enum mb_status io_error(struct mb_err *err, const char *name, int error) {
    if (error == ENOMEM) return mb_fail(err, MB_E_NOMEM, "cannot write %s: out of memory", name);
    return mb_fail(err, MB_E_IO, "cannot write %s: %s; %s", name, strerror(error), advice(error));
}

static void outfile_free(struct mb_outfile *file) {
    if (file->stream) fclose(file->stream);
    free(file->text);
    free(file->name);
    free(file->target);
    free(file->beside);
    free(file);
}

/* DIR/.BASE.PID.N, created for us alone with the permissions that a new or the old target has.
 * errno tells what went wrong. */
static int create_beside(struct mb_outfile *file, mode_t mode, bool keep_mode) {
    const char *slash = strrchr(file->target, '/');
    int dir_len = slash ? (int)(slash + 1 - file->target) : 0;
    int fd = -1;
    for (int i = 0; i < 100 && fd < 0; i++) {
        free(file->beside);
        if (asprintf(&file->beside, "%.*s.%s.%ld.%d", dir_len, file->target, file->target + dir_len,
                     (long)getpid(), i) < 0) {
            file->beside = NULL;
            errno = ENOMEM;
            return -1;
        }
        fd = open(file->beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (fd < 0 && errno != EEXIST) break;
    }
    if (fd < 0) {
        int error = errno;
        free(file->beside);
        file->beside = NULL;
        errno = error;
    } else if (keep_mode) {
        (void)!fchmod(fd, mode);
    }
    return fd;
}

enum mb_status mb_outfile_open(const char *name, struct mb_outfile **out, struct mb_err *err) {
    struct mb_outfile *file = calloc(1, sizeof *file);
    struct stat info;
    bool exists;

    if (!file) return io_error(err, name, ENOMEM);
    file->fd = -1;
    if (!(file->name = strdup(name)) || !(file->stream = open_memstream(&file->text, &file->len)))
        goto fail;
    if (!strcmp(name, "stdout")) {
        file->fd = STDOUT_FILENO;
        *out = file;
        return MB_OK;
    }
    exists = stat(name, &info) == 0;
    if (!exists && errno != ENOENT) goto fail;
    if (exists && S_ISDIR(info.st_mode)) {
        errno = EISDIR;
        goto fail;
    }
    if (exists && !S_ISREG(info.st_mode)) {
        file->fd = open(name, O_WRONLY | O_CLOEXEC);
    } else {
        /* A rename would replace a file that the user has write-protected. */
        if (exists && access(name, W_OK)) goto fail;
        file->target = exists ? realpath(name, NULL) : strdup(name);
        if (!file->target) goto fail;
        file->fd = create_beside(file, exists ? info.st_mode & 0777 : 0666, exists);
    }
    if (file->fd < 0) goto fail;
    *out = file;
    return MB_OK;

fail:;
    enum mb_status st = io_error(err, name, errno);
    outfile_free(file);
    return st;
}

FILE *mb_outfile_stream(struct mb_outfile *file) { return file->stream; }

/* Makes the rename itself last. A file system that cannot sync a folder loses nothing but that. */
static void sync_folder(const char *path) {
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, (size_t)(slash + 1 - path)) : strdup(".");
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
    free(folder);
}

/* 0 or the errno of the write that failed. */
static int write_whole(int fd, const char *text, size_t len) {
    while (len) {
        ssize_t wrote = write(fd, text, len);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0) return errno;
        text += wrote;
        len -= (size_t)wrote;
    }
    return 0;
}

static void close_and_remove(struct mb_outfile *file) {
    if (file->fd >= 0 && file->fd != STDOUT_FILENO) close(file->fd);
    if (file->beside) unlink(file->beside);
    outfile_free(file);
}

static enum mb_status commit(struct mb_outfile *file, bool to_disk, struct mb_err *err) {
    enum mb_status st = MB_OK;
    /* a write to memory fails for want of it alone */
    int error = fflush(file->stream) || ferror(file->stream) ? ENOMEM : 0;
    if (!error && file->fd == STDOUT_FILENO && fflush(stdout)) error = errno;
    if (!error) error = write_whole(file->fd, file->text, file->len);
    if (!error && to_disk && file->target && fsync(file->fd)) error = errno;
    if (file->fd != STDOUT_FILENO) {
        if (close(file->fd) && !error) error = errno;
        file->fd = -1;
    }
    if (!error && file->target && rename(file->beside, file->target)) error = errno;
    if (!error && file->target) {
        free(file->beside);
        file->beside = NULL;
        if (to_disk) sync_folder(file->target);
    }
    if (error) st = io_error(err, file->name, error);
    close_and_remove(file);
    return st;
}

enum mb_status mb_outfile_commit(struct mb_outfile *file, struct mb_err *err) {
    return commit(file, true, err);
}

enum mb_status mb_outfile_commit_cache(struct mb_outfile *file, struct mb_err *err) {
    return commit(file, false, err);
}

void mb_outfile_discard(struct mb_outfile *file) {
    if (file) close_and_remove(file);
}
