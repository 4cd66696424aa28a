/* Output files: whole or not at all. */
#include "outfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "outfile_test_XXXXXX";

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    return rmdir(folder);
}

static const char *in_folder(const char *name) {
    static char path[4][256];
    static unsigned next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

static int n_files(void) {
    int n = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *e; (e = readdir(dir));)
        n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
    closedir(dir);
    return n;
}

static void put_content(const char *path, const char *content) {
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(content, out);
    assert_int_equal(fclose(out), 0);
}

static void expect_content(const char *path, const char *want) {
    char got[256] = "";
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    (void)!fread(got, 1, sizeof got - 1, in);
    fclose(in);
    assert_string_equal(got, want);
}

static void content_appears_at_commit(void **state) {
    (void)state;
    const char *path = in_folder("a");
    struct mb_outfile *file;
    struct stat info;
    mode_t mask = umask(027);
    assert_int_equal(mb_outfile_open(path, &file, NULL), MB_OK);
    fputs("new", mb_outfile_stream(file));
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(mb_outfile_commit(file, NULL), MB_OK);
    umask(mask);
    expect_content(path, "new");
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0640);
    assert_int_equal(n_files(), 1);
    unlink(path);
}

static void old_content_stays_until_commit_and_after_discard(void **state) {
    (void)state;
    const char *path = in_folder("a");
    struct mb_outfile *file;
    struct stat info;
    put_content(path, "old");
    assert_int_equal(chmod(path, 0626), 0);
    assert_int_equal(mb_outfile_open(path, &file, NULL), MB_OK);
    fputs("new", mb_outfile_stream(file));
    fflush(mb_outfile_stream(file));
    expect_content(path, "old");
    mb_outfile_discard(file);
    expect_content(path, "old");
    assert_int_equal(n_files(), 1);

    assert_int_equal(mb_outfile_open(path, &file, NULL), MB_OK);
    fputs("new", mb_outfile_stream(file));
    assert_int_equal(mb_outfile_commit(file, NULL), MB_OK);
    expect_content(path, "new");
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0626);
    unlink(path);
}

static void links_are_followed(void **state) {
    (void)state;
    const char *target = in_folder("target"), *link = in_folder("link");
    struct mb_outfile *file;
    struct stat info;
    put_content(target, "old");
    assert_int_equal(symlink("target", link), 0);
    assert_int_equal(mb_outfile_open(link, &file, NULL), MB_OK);
    fputs("new", mb_outfile_stream(file));
    assert_int_equal(mb_outfile_commit(file, NULL), MB_OK);
    expect_content(target, "new");
    assert_int_equal(lstat(link, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    unlink(link);
    unlink(target);
}

/* More than a stream buffers, so that the first failure comes before commit. */
static void put_much(FILE *out) {
    for (int i = 0; i < 100000; i++) fputs("0123456789", out);
}

static void a_full_device_is_told(void **state) {
    (void)state;
    struct mb_outfile *file;
    struct mb_err err;
    for (int much = 0; much < 2; much++) {
        assert_int_equal(mb_outfile_open("/dev/full", &file, &err), MB_OK);
        if (much)
            put_much(mb_outfile_stream(file));
        else
            fputs("a", mb_outfile_stream(file));
        assert_int_equal(mb_outfile_commit(file, &err), MB_E_IO);
        assert_string_equal(err.text, "cannot write /dev/full: No space left on device; free some "
                                      "space or name a file on another disk");
    }
}

/* The file size limit stands for a disk that fills up while a regular file is written. */
static void a_file_that_does_not_fit_leaves_the_old_one(void **state) {
    (void)state;
    const char *path = in_folder("a");
    struct mb_outfile *file;
    struct mb_err err;
    struct rlimit old, small;
    put_content(path, "old");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = (struct rlimit){4096, old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum mb_status opened = mb_outfile_open(path, &file, &err);
    if (opened == MB_OK) put_much(mb_outfile_stream(file));
    enum mb_status done = opened == MB_OK ? mb_outfile_commit(file, &err) : opened;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(opened, MB_OK);
    assert_int_equal(done, MB_E_IO);
    assert_non_null(strstr(err.text, strerror(EFBIG)));
    expect_content(path, "old");
    assert_int_equal(n_files(), 1);
    unlink(path);
}

static void expect_refused(const char *path, int error) {
    struct mb_outfile *file = NULL;
    struct mb_err err;
    assert_int_equal(mb_outfile_open(path, &file, &err), MB_E_IO);
    assert_null(file);
    assert_non_null(strstr(err.text, path));
    assert_non_null(strstr(err.text, strerror(error)));
    assert_non_null(strstr(err.text, "; "));
    assert_null(strchr(err.text, '\n'));
}

static void places_that_cannot_be_written_are_refused_at_open(void **state) {
    (void)state;
    const char *plain = in_folder("plain");
    expect_refused(in_folder("missing/a"), ENOENT);
    expect_refused(folder, EISDIR);
    put_content(plain, "");
    expect_refused(in_folder("plain/a"), ENOTDIR);
    unlink(plain);
    assert_int_equal(n_files(), 0);
}

/* Root may write everywhere: the check runs in a child that has given that up. */
static void a_folder_without_permission_is_refused(void **state) {
    (void)state;
    struct mb_outfile *file = NULL;
    struct mb_err err = {MB_OK, ""};
    const uid_t nobody = 65534;
    assert_int_equal(chmod(folder, 0555), 0);
    bool root = geteuid() == 0;
    if (root) assert_int_equal(seteuid(nobody), 0);
    /* The parents may be closed to others, too; the answer is the same. */
    enum mb_status st = mb_outfile_open(in_folder("a"), &file, &err);
    if (root) assert_int_equal(seteuid(0), 0);
    assert_int_equal(chmod(folder, 0755), 0);
    assert_int_equal(st, MB_E_IO);
    assert_non_null(strstr(err.text, strerror(EACCES)));
    assert_non_null(strstr(err.text, "name a file in a folder you may write"));
    assert_int_equal(n_files(), 0);
}

static void what_is_no_regular_file_is_written_straight(void **state) {
    (void)state;
    const char *path = in_folder("pipe");
    struct mb_outfile *file;
    char got[8] = "";
    assert_int_equal(mkfifo(path, 0600), 0);
    int fd = open(path, O_RDONLY | O_NONBLOCK);
    assert_true(fd >= 0);
    assert_int_equal(mb_outfile_open(path, &file, NULL), MB_OK);
    fputs("piped", mb_outfile_stream(file));
    assert_int_equal(mb_outfile_commit(file, NULL), MB_OK);
    assert_int_equal(read(fd, got, sizeof got), 5);
    assert_string_equal(got, "piped");
    close(fd);
    unlink(path);
}

/* The name means the process's standard output, after what was printed before. */
static void stdout_is_a_name(void **state) {
    (void)state;
    const char *path = in_folder("captured");
    struct mb_outfile *file = NULL;
    fflush(stdout);
    int real = dup(STDOUT_FILENO), captured = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(real >= 0 && captured >= 0);
    dup2(captured, STDOUT_FILENO);
    fputs("before ", stdout);
    enum mb_status opened = mb_outfile_open("stdout", &file, NULL);
    if (opened == MB_OK) fputs("written", mb_outfile_stream(file));
    enum mb_status done = opened == MB_OK ? mb_outfile_commit(file, NULL) : opened;
    fputs(" after", stdout);
    fflush(stdout);
    dup2(real, STDOUT_FILENO);
    close(real);
    close(captured);
    assert_int_equal(done, MB_OK);
    expect_content(path, "before written after");
    assert_int_equal(access("stdout", F_OK), -1);
    unlink(path);
    mb_outfile_discard(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(content_appears_at_commit),
        cmocka_unit_test(old_content_stays_until_commit_and_after_discard),
        cmocka_unit_test(links_are_followed),
        cmocka_unit_test(a_full_device_is_told),
        cmocka_unit_test(a_file_that_does_not_fit_leaves_the_old_one),
        cmocka_unit_test(places_that_cannot_be_written_are_refused_at_open),
        cmocka_unit_test(a_folder_without_permission_is_refused),
        cmocka_unit_test(what_is_no_regular_file_is_written_straight),
        cmocka_unit_test(stdout_is_a_name),
    };
    return cmocka_run_group_tests_name("outfile", tests, make_folder, remove_folder);
}
