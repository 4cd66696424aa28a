/* The machine fingerprint, read from another machine's /proc and /sys laid out in a folder. */
#include "machine.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[] = "machine_test_XXXXXX";

static int make_root(void **state) {
    (void)state;
    strcpy(root + strlen(root) - 6, "XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state) {
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -r %s", root);
    return system(command);
}

static void put_file(const char *name, const char *content) {
    char path[512];
    snprintf(path, sizeof path, "%s%s", root, name);
    for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(path, 0755);
        *slash = '/';
    }
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(content, out);
    assert_int_equal(fclose(out), 0);
}

static struct mb_machine read_root(void) {
    struct mb_machine m;
    struct mb_err err;
    assert_int_equal(mb_machine_read(root, &m, &err), MB_OK);
    return m;
}

static void a_bare_machine_is_read(void **state) {
    (void)state;
    put_file("/etc/os-release", "NAME=x\nPRETTY_NAME=\"Some Linux 12\"\n");
    put_file("/proc/cpuinfo", "processor\t: 0\nmodel name\t: Fast CPU 9000 \n"
                              "flags\t\t: fpu avx2 fma avx512f sse\n\nprocessor\t: 1\n");
    put_file("/proc/meminfo", "MemTotal:       16384 kB\nMemFree: 1 kB\nMemAvailable:  8192 kB\n");
    put_file("/proc/loadavg", "0.75 1.50 2.00 1/100 999\n");
    put_file("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n");
    put_file("/sys/devices/system/cpu/intel_pstate/no_turbo", "0\n");
    put_file("/proc/driver/nvidia/version",
             "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27\nGCC\n");
    put_file("/proc/driver/nvidia/gpus/0000:01:00.0/information",
             "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ: 1\n");
    struct mb_machine m = read_root();
    assert_string_equal(m.os, "Some Linux 12");
    assert_string_equal(m.cpu, "Fast CPU 9000");
    assert_string_equal(m.isa, "avx2 fma avx512f");
    assert_int_equal(m.virtualized, 0);
    assert_int_equal(m.memory_bytes, 16384 * 1024);
    assert_int_equal(m.memory_free_bytes, 8192 * 1024);
    assert_true(m.load_1min == 0.75 && m.load_5min == 1.5);
    assert_string_equal(m.governor, "powersave");
    assert_int_equal(m.turbo, 1);
    assert_true(isnan(m.cpu_quota));
    assert_string_equal(m.nvidia_driver, "580.65.06");
    assert_string_equal(m.gpu, "NVIDIA H100 80GB HBM3");

    struct mb_machine_warning warnings[MB_MACHINE_MAX_WARNINGS];
    size_t n = mb_machine_warnings(&m, warnings, MB_MACHINE_MAX_WARNINGS);
    assert_true(n >= 4);
    assert_non_null(strstr(warnings[0].text, "governor is powersave"));
    assert_non_null(strstr(warnings[1].text, "turbo is on"));
    assert_non_null(strstr(warnings[2].text, "load is 0.75"));
    assert_int_equal(mb_machine_warnings(&m, warnings, 1), 1);
}

static void the_lowest_quota_of_the_groups_counts(void **state) {
    (void)state;
    put_file("/proc/self/cgroup", "0::/a/b\n");
    put_file("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    put_file("/sys/fs/cgroup/a/cpu.max", "150000 100000\n");
    put_file("/sys/fs/cgroup/cpu.max", "400000 100000\n");
    assert_true(read_root().cpu_quota == 1.5);
}

static void a_quota_of_the_old_kind_is_read(void **state) {
    (void)state;
    put_file("/proc/self/cgroup", "5:memory:/z\n4:cpuacct:/y\n3:cpu,cpuacct:/x\n0::/\n");
    put_file("/sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "50000\n");
    put_file("/sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us", "100000\n");
    put_file("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
    put_file("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    assert_true(read_root().cpu_quota == 0.5);
}

static void what_cannot_be_read_is_unknown(void **state) {
    (void)state;
    struct mb_machine m = read_root();
    assert_string_equal(m.cpu, "");
    assert_string_equal(m.isa, "");
    assert_string_equal(m.governor, "");
    assert_string_equal(m.nvidia_driver, "");
    assert_string_equal(m.gpu, "");
    assert_int_equal(m.turbo, -1);
    assert_int_equal(m.virtualized, -1);
    assert_int_equal(m.memory_bytes, -1);
    assert_true(isnan(m.load_1min) && isnan(m.cpu_quota));
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    mb_machine_print(&m, out);
    fclose(out);
    assert_non_null(strstr(text, "cpu         unknown\n"));
    assert_non_null(strstr(text, "load        unknown\n"));
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "-1"));
    free(text);
}

static void this_machine_has_a_processor_and_no_name(void **state) {
    struct mb_machine m;
    char host[256] = "";
    char *text = NULL;
    size_t size;
    (void)state;
    assert_int_equal(mb_machine_read(NULL, &m, NULL), MB_OK);
    assert_in_range(m.n_threads, 1, m.n_online_threads);
    assert_in_range(m.n_cores, 1, m.n_threads);
    assert_true(m.memory_bytes > 0);
    assert_true(*m.kernel && *m.arch);
    FILE *out = open_memstream(&text, &size);
    mb_machine_print(&m, out);
    fclose(out);
    assert_int_equal(gethostname(host, sizeof host - 1), 0);
    if (strlen(host) > 3) assert_null(strstr(text, host));
    assert_null(strchr(mb_build()->flags, '\n'));
    assert_true(strlen(mb_build()->version) >= 5);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_bare_machine_is_read, make_root, remove_root),
        cmocka_unit_test_setup_teardown(the_lowest_quota_of_the_groups_counts, make_root,
                                        remove_root),
        cmocka_unit_test_setup_teardown(a_quota_of_the_old_kind_is_read, make_root, remove_root),
        cmocka_unit_test_setup_teardown(what_cannot_be_read_is_unknown, make_root, remove_root),
        cmocka_unit_test(this_machine_has_a_processor_and_no_name),
    };
    return cmocka_run_group_tests_name("machine", tests, NULL, NULL);
}
