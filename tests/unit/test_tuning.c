/* The choice of kernels by measurement, with a clock and kernels of paper: who wins, what is
 * remembered and when it counts, damaged files, time bounds, failures. */
#include "scratch_folder.h"
#include "tuning.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { N_MAX = 6 };

/* What each paper kernel takes, and what it has been asked for. */
static struct bench {
    double ns[N_MAX];    /* true time */
    double first[N_MAX]; /* of its first run, 0: as ever */
    double spike[N_MAX]; /* of its second run, 0: as ever */
    double wall_factor;  /* wall time of a call, in runs */
    enum mb_status status[N_MAX];
    int fails_from; /* call of a kernel at which `status` comes; 0: the first */
    int calls[N_MAX], total;
    char order[256];
} bench;

static int64_t now;
static int64_t paper_clock(void) { return now; }

static enum mb_status paper_measure(void *self, size_t i, double *ns, struct mb_err *err) {
    struct bench *b = self;
    const int call = b->calls[i]++;
    b->order[b->total++ % 255] = (char)('a' + i);
    double t = b->ns[i];
    if (call == 0 && b->first[i] > 0) t = b->first[i];
    if (call == 1 && b->spike[i] > 0) t = b->spike[i];
    now += (int64_t)(t * b->wall_factor);
    if (b->status[i] != MB_OK && call >= b->fails_from)
        return mb_fail(err, b->status[i], "kernel %zu, refused", i);
    *ns = t;
    return MB_OK;
}

static const struct mb_candidate five[] = {{"A", "kernel_a", 1000},
                                           {"B", "kernel_b", 900},
                                           {"C", "kernel_c", 2000},
                                           {"D", "kernel_d", 3599},
                                           {"E", "kernel_e", 3601}};

static const union mb_step_desc desc = {
    .matmul = {.batch = 1, .m = 3, .n = 4, .k = 5, .has_bias = true}};

static char folder[PATH_MAX];
static struct mb_tuning_options options = {
    .folder = folder, .clock_ns = paper_clock, .step_limit_ns = 60e6};

static struct mb_tuning *open_for(const char *device) {
    struct mb_tuning *tuning = NULL;
    assert_int_equal(mb_tuning_open(device, &options, &tuning, NULL), MB_OK);
    return tuning;
}

static void set_bench(double a, double b, double c, double d, double e) {
    bench = (struct bench){.ns = {a, b, c, d, e}, .wall_factor = 1};
}

static enum mb_status choose_n(struct mb_tuning *tuning, const union mb_step_desc *what, size_t n,
                               struct mb_kernel_choice *out, struct mb_err *err) {
    return mb_tuning_choose(tuning, MB_STEP_MATMUL, what, five, n, paper_measure, &bench, out, err);
}

static struct mb_kernel_choice choose(struct mb_tuning *tuning) {
    struct mb_kernel_choice choice;
    assert_int_equal(choose_n(tuning, &desc, 5, &choice, NULL), MB_OK);
    return choice;
}

/* One choice by a tuning of its own, saved. */
static void choose_and_save(const char *device) {
    struct mb_tuning *tuning = open_for(device);
    choose(tuning);
    mb_tuning_save(tuning);
    mb_tuning_close(tuning);
}

static int calls_of_choice(const char *device) {
    const int before = bench.total;
    struct mb_tuning *tuning = open_for(device);
    choose(tuning);
    mb_tuning_close(tuning);
    return bench.total - before;
}

static const char *path(void) {
    static char text[PATH_MAX + 8];
    snprintf(text, sizeof text, "%s/tuning", folder);
    return text;
}

static int new_folder(void **state) {
    (void)state;
    return mb_scratch_folder_make(folder, NULL) == MB_OK ? 0 : -1;
}
static int remove_folder(void **state) {
    (void)state;
    unlink(path());
    return rmdir(folder);
}

static void measurement_beats_estimates(void **state) {
    (void)state;
    set_bench(500, 800, 400, 700, 1);
    struct mb_tuning *tuning = open_for("paper");
    struct mb_kernel_choice choice = choose(tuning);
    assert_string_equal(choice.name, "kernel_c");
    assert_string_equal((const char *)choice.kernel, "C");
    assert_true(choice.measured);
    assert_true(choice.cost_ns == 400 && choice.runner_up_ns == 500);
    assert_string_equal(choice.runner_up, "kernel_a");
    assert_null(choice.left_out);
    assert_int_equal(bench.calls[4], 0); /* its estimate is beyond 4 times the cheapest */
    /* Warm-up in the order of the estimates, one round, then only those within reach: in turns. */
    assert_int_equal(strncmp(bench.order, "bacdbacdacac", 12), 0);
    assert_int_equal(bench.calls[1], 2);
    assert_int_equal(bench.calls[0], 10);
    assert_true(mb_tuning_spent_ns(tuning) == (double)now);
    mb_tuning_close(tuning);
}

static void disturbances_decide_nothing(void **state) {
    (void)state;
    set_bench(500, 800, 400, 700, 1);
    bench.first[0] = 9000; /* a cold start */
    bench.first[2] = 450;
    bench.spike[2] =
        5000; /* its first turn would have it dropped, and the mean would not choose it */
    struct mb_tuning *tuning = open_for("paper");
    const struct mb_kernel_choice choice = choose(tuning);
    assert_string_equal(choice.name, "kernel_c");
    assert_true(choice.cost_ns == 400);
    mb_tuning_close(tuning);
}

static void one_candidate_takes_no_time(void **state) {
    (void)state;
    struct mb_kernel_choice choice;
    set_bench(500, 800, 400, 700, 1);
    struct mb_tuning *tuning = open_for("paper");
    assert_int_equal(choose_n(tuning, &desc, 1, &choice, NULL), MB_OK);
    assert_string_equal(choice.name, "kernel_a");
    assert_false(choice.measured);
    assert_true(choice.cost_ns == 1000);
    assert_null(choice.runner_up);

    /* Without a measure the estimates decide, and all are considered. */
    assert_int_equal(
        mb_tuning_choose(tuning, MB_STEP_MATMUL, &desc, five, 5, NULL, NULL, &choice, NULL), MB_OK);
    assert_string_equal(choice.name, "kernel_b");
    assert_string_equal(choice.runner_up, "kernel_a");
    assert_false(choice.measured);
    assert_int_equal(bench.total, 0);
    assert_true(mb_tuning_spent_ns(tuning) == 0);
    mb_tuning_save(tuning);
    assert_int_equal(access(path(), F_OK), -1); /* nothing to remember */
    mb_tuning_close(tuning);
}

static void what_is_remembered(void **state) {
    (void)state;
    set_bench(500, 800, 400, 700, 1);
    choose_and_save("paper");
    const int calls = bench.total;

    struct mb_tuning *tuning = open_for("paper");
    struct mb_kernel_choice choice = choose(tuning);
    assert_int_equal(bench.total, calls);
    assert_string_equal(choice.name, "kernel_c");
    assert_true(choice.measured && choice.cost_ns == 400 && choice.runner_up_ns == 500);
    assert_true(mb_tuning_spent_ns(tuning) == 0);

    /* Another step, fewer candidates, another kind: measured. */
    union mb_step_desc other = desc;
    other.matmul.has_bias = false;
    choose_n(tuning, &other, 5, &choice, NULL);
    assert_int_not_equal(bench.total, calls);
    const int then = bench.total;
    choose_n(tuning, &desc, 2, &choice, NULL);
    assert_int_not_equal(bench.total, then);
    assert_string_equal(choice.name, "kernel_a");
    assert_int_equal(mb_tuning_choose(tuning, MB_STEP_MATMUL, &desc, &five[2], 2, paper_measure,
                                      &bench, &choice, NULL),
                     MB_OK); /* as many, but others */
    assert_string_equal((const char *)choice.kernel, "C");
    choose(tuning); /* and the larger set is still known */
    choose_n(tuning, &other, 5, &choice, NULL);
    mb_tuning_save(tuning);
    mb_tuning_close(tuning);

    assert_int_not_equal(calls_of_choice("paper, 2 threads"), 0); /* another device */
    assert_int_equal(calls_of_choice("paper"), 0);
}

static void two_at_once(void **state) {
    (void)state;
    set_bench(500, 800, 400, 700, 1);
    struct mb_tuning *one = open_for("one"), *two = open_for("two");
    choose(one);
    choose(two);
    mb_tuning_save(one);
    mb_tuning_save(two); /* opened before the other saved */
    mb_tuning_close(one);
    mb_tuning_close(two);
    assert_int_equal(calls_of_choice("one"), 0);
    assert_int_equal(calls_of_choice("two"), 0);

    /* Processes that save at the same time leave a sound file. */
    for (int p = 0; p < 4; p++) {
        const pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            char device[16];
            for (int i = 0; i < 25; i++) {
                snprintf(device, sizeof device, "p%d.%d", p, i);
                choose_and_save(device);
            }
            choose_and_save("last");
            _exit(0);
        }
    }
    for (int p = 0; p < 4; p++) {
        int status;
        assert_true(wait(&status) > 0 && status == 0);
    }
    assert_int_equal(calls_of_choice("last"), 0);
}

/* The file's text; its length in *len. */
static char *contents(size_t *len) {
    static char text[1 << 16];
    FILE *file = fopen(path(), "r");
    assert_non_null(file);
    *len = fread(text, 1, sizeof text - 1, file);
    text[*len] = '\0';
    fclose(file);
    return text;
}
static void overwrite(const char *text, size_t len) {
    FILE *file = fopen(path(), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    fclose(file);
}

/* A damaged file counts as none, and the next save makes it sound. */
static void check_damaged(const char *text, size_t len) {
    overwrite(text, len);
    assert_int_not_equal(calls_of_choice("paper"), 0);
    choose_and_save("paper");
    assert_int_equal(calls_of_choice("paper"), 0);
}

static void damaged_files(void **state) {
    (void)state;
    size_t len;
    char sound[1 << 12];
    set_bench(500, 800, 400, 700, 1);
    choose_and_save("paper");
    const char *text = contents(&len);
    assert_true(len < sizeof sound);
    memcpy(sound, text, len);
    for (size_t cut = 0; cut < len; cut += cut < 40 || len - cut < 40 ? 1 : 17)
        check_damaged(sound, cut);
    for (size_t at = 0; at < len; at++) {
        char bent[sizeof sound];
        memcpy(bent, sound, len);
        bent[at] ^= 1; /* of a time's digit: another time */
        check_damaged(bent, len);
    }
    check_damaged("{\"tuning\": 1}\n", 14);
    overwrite(sound, len);
    assert_int_equal(calls_of_choice("paper"), 0);
}

/* Sound in form, but the times make no sense. */
static void values_that_mean_nothing(void **state) {
    (void)state;
    static const char *const values[] = {"400",         "400,500,700", "400,500,700,x",
                                         "1,2,3,-4",    "1,2,3,nan",   "1,2,3,4,5",
                                         "!a,!b,!c,!d", "1,2,,4",      ""};
    set_bench(500, 800, 400, 700, 1);
    choose_and_save("paper");
    size_t len;
    const char *text = contents(&len);
    const char *tab = strchr(text, '\t');
    char key[512];
    snprintf(key, sizeof key, "%.*s", (int)(tab - text), text);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char file[1024];
        int n = snprintf(file, sizeof file, "%s\t%s\n", key, values[i]);
        uint64_t sum = 0xcbf29ce484222325u;
        for (int c = 0; c < n; c++) sum = (sum ^ (unsigned char)file[c]) * 0x100000001b3u;
        n +=
            snprintf(file + n, sizeof file - (size_t)n, "check %016llx\n", (unsigned long long)sum);
        check_damaged(file, (size_t)n);
    }
}

static void no_place_to_write(void **state) {
    (void)state;
    static const char *const places[] = {"/dev/null/x", "/proc/none"};
    set_bench(500, 800, 400, 700, 1);
    for (size_t i = 0; i < 2; i++) {
        const struct mb_tuning_options there = {
            .folder = places[i], .clock_ns = paper_clock, .step_limit_ns = 60e6};
        struct mb_tuning *tuning = NULL;
        assert_int_equal(mb_tuning_open("paper", &there, &tuning, NULL), MB_OK);
        assert_string_equal(choose(tuning).name, "kernel_c");
        const int calls = bench.total;
        choose(tuning); /* in memory all the same */
        assert_int_equal(bench.total, calls);
        mb_tuning_save(tuning);
        mb_tuning_close(tuning);
    }
    /* A pipe in the file's place is left alone and does not block. */
    assert_int_equal(mkfifo(path(), 0600), 0);
    choose_and_save("paper");
    struct stat info;
    assert_true(stat(path(), &info) == 0 && S_ISFIFO(info.st_mode));
}

static void folders_of_the_user(void **state) {
    (void)state;
    char home[PATH_MAX + 8], file[PATH_MAX + 40];
    struct mb_tuning *tuning = NULL;
    set_bench(500, 800, 400, 700, 1);
    snprintf(home, sizeof home, "%s/home", folder);
    assert_int_equal(mkdir(home, 0700), 0);
    unsetenv("XDG_CACHE_HOME");
    setenv("HOME", home, 1);
    assert_int_equal(mb_tuning_open("paper", NULL, &tuning, NULL), MB_OK);
    choose(tuning);
    mb_tuning_save(tuning);
    mb_tuning_close(tuning);
    snprintf(file, sizeof file, "%s/.cache/mindbench/tuning", home);
    assert_int_equal(unlink(file), 0);
    *strrchr(file, '/') = '\0';
    assert_int_equal(rmdir(file), 0);
    *strrchr(file, '/') = '\0';
    assert_int_equal(rmdir(file), 0);

    setenv("XDG_CACHE_HOME", home, 1);
    assert_int_equal(mb_tuning_open("paper", NULL, &tuning, NULL), MB_OK);
    choose(tuning);
    mb_tuning_save(tuning);
    mb_tuning_close(tuning);
    snprintf(file, sizeof file, "%s/mindbench/tuning", home);
    assert_int_equal(unlink(file), 0);
    *strrchr(file, '/') = '\0';
    assert_int_equal(rmdir(file), 0);
    assert_int_equal(rmdir(home), 0);

    unsetenv("HOME");
    setenv("XDG_CACHE_HOME", "relative", 1);
    assert_int_equal(mb_tuning_open("paper", NULL, &tuning, NULL), MB_OK);
    choose(tuning);
    mb_tuning_save(tuning);
    mb_tuning_close(tuning);
    assert_int_equal(access("relative", F_OK), -1);
}

static void time_is_bounded(void **state) {
    (void)state;
    /* 10 ms a run: warm-up of four and two runs more fit into 60 ms. */
    set_bench(11e6, 10e6, 9e6, 10e6, 1);
    struct mb_tuning *tuning = open_for("paper");
    now = 0;
    assert_string_equal(choose(tuning).name, "kernel_c");
    assert_true(now <= 60000000);
    assert_int_equal(bench.total, 5); /* 40 ms, b again; a would end after the limit */
    mb_tuning_close(tuning);

    /* 50 ms a run: the third has no time to begin, and that is remembered. */
    set_bench(60e6, 50e6, 40e6, 10e6, 1);
    tuning = open_for("slow paper");
    now = 0;
    struct mb_kernel_choice choice = choose(tuning);
    assert_string_equal(choice.name, "kernel_b");
    assert_true(choice.cost_ns == 50e6);
    assert_string_equal(bench.order, "ba");
    assert_string_equal(choice.left_out, "kernel_c: no time was left to measure it; "
                                         "kernel_d: no time was left to measure it");
    mb_tuning_save(tuning);
    mb_tuning_close(tuning);
    tuning = open_for("slow paper");
    choice = choose(tuning);
    assert_int_equal(bench.total, 2);
    assert_string_equal(choice.left_out, "kernel_c: no time was left to measure it; "
                                         "kernel_d: no time was left to measure it");
    mb_tuning_close(tuning);
}

static void failures(void **state) {
    (void)state;
    struct mb_kernel_choice choice;
    struct mb_err err = {.text = ""};

    /* For good: remembered, with the reason. */
    set_bench(500, 800, 400, 700, 1);
    bench.status[2] = MB_E_UNSUPPORTED;
    choose_and_save("paper");
    const int calls = bench.total;
    struct mb_tuning *tuning = open_for("paper");
    choice = choose(tuning);
    assert_int_equal(bench.total, calls);
    assert_string_equal(choice.name, "kernel_a");
    assert_string_equal(choice.left_out, "kernel_c: kernel 2  refused");
    mb_tuning_close(tuning);

    /* This time, in a later round: not remembered. */
    set_bench(500, 800, 400, 700, 1);
    bench.status[2] = MB_E_NOMEM;
    bench.fails_from = 3;
    tuning = open_for("full paper");
    choice = choose(tuning);
    assert_string_equal(choice.name, "kernel_a");
    assert_string_equal(choice.left_out, "kernel_c: kernel 2  refused");
    mb_tuning_save(tuning);
    mb_tuning_close(tuning);
    bench.status[2] = MB_OK;
    tuning = open_for("full paper");
    assert_string_equal(choose(tuning).name, "kernel_c");
    mb_tuning_close(tuning);

    /* A time that is none. */
    set_bench(500, 800, -1, 700, 1);
    bench.wall_factor = 0;
    tuning = open_for("odd paper");
    assert_string_equal(choose(tuning).left_out, "kernel_c: its time is not a positive number");
    mb_tuning_close(tuning);

    /* All: the cheapest one's failure. */
    set_bench(500, 800, 400, 700, 1);
    for (int i = 0; i < 5; i++) bench.status[i] = i == 1 ? MB_E_DEVICE : MB_E_UNSUPPORTED;
    tuning = open_for("torn paper");
    choice = (struct mb_kernel_choice){.name = "untouched"};
    assert_int_equal(choose_n(tuning, &desc, 5, &choice, &err), MB_E_DEVICE);
    assert_string_equal(err.text, "kernel 1  refused");
    assert_string_equal(choice.name, "untouched");
    mb_tuning_close(tuning);
}

static void many_entries(void **state) {
    (void)state;
    struct mb_kernel_choice choice;
    set_bench(500, 800, 400, 700, 1);
    struct mb_tuning *tuning = open_for("paper");
    union mb_step_desc step = desc;
    for (int i = 0; i < 4100; i++) {
        step.matmul.m = i + 1;
        assert_int_equal(choose_n(tuning, &step, 2, &choice, NULL), MB_OK);
    }
    mb_tuning_save(tuning);
    mb_tuning_close(tuning);
    tuning = open_for("paper");
    const int calls = bench.total;
    for (int i = 4; i < 4100; i += 63) { /* the newest 4096 are kept */
        step.matmul.m = i + 1;
        assert_int_equal(choose_n(tuning, &step, 2, &choice, NULL), MB_OK);
    }
    assert_int_equal(bench.total, calls);
    step.matmul.m = 4;
    assert_int_equal(choose_n(tuning, &step, 2, &choice, NULL), MB_OK);
    assert_int_not_equal(bench.total, calls);
    mb_tuning_close(tuning);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, new_folder, remove_folder)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER(measurement_beats_estimates),
        IN_FOLDER(disturbances_decide_nothing),
        IN_FOLDER(one_candidate_takes_no_time),
        IN_FOLDER(what_is_remembered),
        IN_FOLDER(two_at_once),
        IN_FOLDER(damaged_files),
        IN_FOLDER(values_that_mean_nothing),
        IN_FOLDER(no_place_to_write),
        IN_FOLDER(folders_of_the_user),
        IN_FOLDER(time_is_bounded),
        IN_FOLDER(failures),
        IN_FOLDER(many_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
