#include "watch.h"

#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The beginning of a file, terminated; false when it cannot be read. */
static bool read_text(const char *path, char *buf, size_t size) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    const ssize_t len = read(fd, buf, size - 1);
    close(fd);
    buf[len > 0 ? len : 0] = '\0';
    return len > 0;
}

int64_t mb_watch_steal_ticks(const char *stat) {
    enum { STEAL = 8 }; /* user nice system idle iowait irq softirq steal */
    long long ticks = -1;
    char *at = strncmp(stat, "cpu ", 4) == 0 ? (char *)stat + 4 : NULL;
    for (int i = 0; i < STEAL && at; i++) {
        char *end;
        ticks = strtoll(at, &end, 10);
        at = end > at ? end : NULL;
    }
    return at ? ticks : -1;
}

int64_t mb_watch_number(const char *text, const char *key) {
    const size_t len = strlen(key);
    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        if (*line == '\n') line++;
        if (strncmp(line, key, len) != 0) continue;
        const char *colon = line + len + strspn(line + len, " \t");
        if (*colon == ':') return strtoll(colon + 1, NULL, 10);
    }
    return -1;
}

/* Sum over the threads of a process; -1 when none tells. */
static int64_t sum_over_threads(pid_t pid, const char *file, const char *key) {
    char path[96], text[8192];
    int64_t sum = -1;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    if (!tasks) return -1;
    for (struct dirent *d; (d = readdir(tasks));) {
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/%s", (int)pid, d->d_name, file);
        if (d->d_name[0] == '.' || !read_text(path, text, sizeof text)) continue;
        const int64_t value = mb_watch_number(text, key);
        if (value >= 0) sum = (sum < 0 ? 0 : sum) + value;
    }
    closedir(tasks);
    return sum;
}

struct mb_watch mb_watch_read(pid_t pid) {
    char text[512];
    struct mb_watch w = {.steal_ns = (double)NAN};
    const int64_t ticks =
        read_text("/proc/stat", text, sizeof text) ? mb_watch_steal_ticks(text) : -1;
    if (ticks >= 0) w.steal_ns = (double)ticks * 1e9 / (double)sysconf(_SC_CLK_TCK);
    w.migrations = sum_over_threads(pid, "sched", "se.nr_migrations");
    w.context_switches = sum_over_threads(pid, "status", "nonvoluntary_ctxt_switches");
    return w;
}

struct mb_watch_thread mb_watch_thread(pid_t pid) {
    const struct mb_watch_thread unknown = {(double)NAN, (double)NAN};
    char path[96], text[128], *end, *last;
    snprintf(path, sizeof path, "/proc/%d/task/%d/schedstat", (int)pid, (int)pid);
    if (!read_text(path, text, sizeof text)) return unknown;
    const double cpu_ns = strtod(text, &end), waited_ns = strtod(end, &last);
    return last == end ? unknown : (struct mb_watch_thread){cpu_ns, waited_ns};
}

/* The largest number in the files of a pattern; NaN: there is none. */
static double largest(const char *pattern) {
    glob_t found;
    char text[64];
    double most = (double)NAN;
    if (glob(pattern, 0, NULL, &found) != 0) return most;
    for (size_t i = 0; i < found.gl_pathc; i++)
        if (read_text(found.gl_pathv[i], text, sizeof text)) most = fmax(most, strtod(text, NULL));
    globfree(&found);
    return most;
}

/* Where there is no frequency scaling that the kernel knows of: what it measured itself. */
static double cpuinfo_mhz(void) {
    char line[512];
    double most = (double)NAN;
    FILE *in = fopen("/proc/cpuinfo", "re");
    while (in && fgets(line, sizeof line, in)) {
        const char *colon = strncmp(line, "cpu MHz", 7) == 0 ? strchr(line, ':') : NULL;
        if (colon) most = fmax(most, strtod(colon + 1, NULL));
    }
    if (in) fclose(in);
    return most;
}

static int64_t difference(int64_t before, int64_t after) {
    /* a thread that ended took its count along */
    return before >= 0 && after >= before ? after - before : -1;
}

void mb_watch_since(const struct mb_watch *before, pid_t pid, struct mb_block_state *out) {
    const struct mb_watch now = mb_watch_read(pid);
    const double khz = largest("/sys/devices/system/cpu/cpufreq/policy*/scaling_cur_freq");
    out->steal_ns = fmax(now.steal_ns - before->steal_ns, 0);
    if (isnan(now.steal_ns) || isnan(before->steal_ns)) out->steal_ns = (double)NAN;
    out->migrations = difference(before->migrations, now.migrations);
    out->context_switches = difference(before->context_switches, now.context_switches);
    out->cpu_mhz = isnan(khz) ? cpuinfo_mhz() : khz / 1e3;
    out->temperature_c = largest("/sys/class/thermal/thermal_zone*/temp") / 1e3;
}
