#include "outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct mb_outfile {
    FILE *stream;
    bool is_stdout;
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
    int fd = -1;
    bool exists;

    if (!file || !(file->name = strdup(name))) goto fail_nomem;
    if (!strcmp(name, "stdout")) {
        file->is_stdout = true;
        file->stream = stdout;
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
        fd = open(name, O_WRONLY | O_CLOEXEC);
    } else {
        /* A rename would replace a file that the user has write-protected. */
        if (exists && access(name, W_OK)) goto fail;
        file->target = exists ? realpath(name, NULL) : strdup(name);
        if (!file->target) goto fail;
        fd = create_beside(file, exists ? info.st_mode & 0777 : 0666, exists);
    }
    if (fd < 0 || !(file->stream = fdopen(fd, "w"))) goto fail;
    *out = file;
    return MB_OK;

fail:;
    enum mb_status st = io_error(err, name, errno);
    if (fd >= 0) close(fd);
    if (file->beside) unlink(file->beside);
    outfile_free(file);
    return st;

fail_nomem:
    free(file);
    return io_error(err, name, ENOMEM);
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

enum mb_status mb_outfile_commit(struct mb_outfile *file, struct mb_err *err) {
    int error = 0;
    enum mb_status st = MB_OK;

    /* An earlier write may have failed and left only the flag; the reason is then EIO unless the
     * flush meets it again. */
    errno = 0;
    if (fflush(file->stream) || ferror(file->stream)) error = errno ? errno : EIO;
    if (!error && file->target && fsync(fileno(file->stream))) error = errno;
    if (!file->is_stdout && fclose(file->stream) && !error) error = errno;
    if (!error && file->target && rename(file->beside, file->target)) error = errno;
    if (!error && file->target) sync_folder(file->target);
    if (error) {
        if (file->beside) unlink(file->beside);
        st = io_error(err, file->name, error);
    }
    outfile_free(file);
    return st;
}

void mb_outfile_discard(struct mb_outfile *file) {
    if (!file) return;
    if (!file->is_stdout) fclose(file->stream);
    if (file->beside) unlink(file->beside);
    outfile_free(file);
}
