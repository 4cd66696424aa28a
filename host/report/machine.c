/* The machine as the kernel and hwloc describe it. Every reader leaves its field at "unknown" when
 * the file is not there: a container or another kernel shows less, and that is no error. */
#include "machine.h"

#include "topology.h"

#include <ctype.h>
#include <dirent.h>
#include <gnu/libc-version.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* ---- small files ---- */

static void copy_trimmed(char *to, size_t size, const char *from) {
    while (isspace((unsigned char)*from)) from++;
    size_t len = strcspn(from, "\n");
    while (len && isspace((unsigned char)from[len - 1])) len--;
    if (len >= size) len = size - 1;
    memcpy(to, from, len);
    to[len] = '\0';
}

/* First `size` - 1 bytes of the file ROOT/PATH; false when there is none or it is empty. */
static bool read_file(const char *root, char *buf, size_t size, const char *format, ...) {
    char path[512];
    int len = snprintf(path, sizeof path, "%s", root);
    va_list args;
    va_start(args, format);
    vsnprintf(path + len, sizeof path - (size_t)len, format, args);
    va_end(args);
    FILE *file = fopen(path, "re");
    if (!file) return false;
    size_t n = fread(buf, 1, size - 1, file);
    fclose(file);
    buf[n] = '\0';
    return n > 0;
}

/* The value of the first line `KEY<spaces>SEPARATOR VALUE`; false when there is none. */
static bool find_value(const char *text, const char *key, char separator, char *out, size_t size) {
    for (const char *line = text; line; line = strchr(line, '\n')) {
        while (*line == '\n') line++;
        if (strncmp(line, key, strlen(key)) != 0) continue;
        const char *at = line + strlen(key);
        while (*at == ' ' || *at == '\t') at++;
        if (*at != separator) continue;
        copy_trimmed(out, size, at + 1);
        return true;
    }
    return false;
}

static bool has_word(const char *text, const char *word) {
    size_t len = strlen(word);
    for (const char *at = text; (at = strstr(at, word)); at += len)
        if ((at == text || isspace((unsigned char)at[-1])) &&
            (!at[len] || isspace((unsigned char)at[len])))
            return true;
    return false;
}

/* ---- fields ---- */

static void read_system(const char *root, struct mb_machine *m) {
    struct utsname name;
    char text[4096], value[96];
    if (uname(&name)) return;
    snprintf(m->kernel, sizeof m->kernel, "%s", name.release);
    snprintf(m->arch, sizeof m->arch, "%s", name.machine);
    snprintf(m->platform, sizeof m->platform, "%s-%.64s-%.32s-with-glibc%s", name.sysname,
             name.release, name.machine, gnu_get_libc_version());
    if (read_file(root, text, sizeof text, "/etc/os-release") &&
        find_value(text, "PRETTY_NAME", '=', value, sizeof value)) {
        size_t len = strlen(value);
        bool quoted = len >= 2 && value[0] == '"' && value[len - 1] == '"';
        if (quoted) value[len - 1] = '\0';
        snprintf(m->os, sizeof m->os, "%s", value + quoted);
    }
}

static void read_cpuinfo(const char *root, struct mb_machine *m) {
    static const char *const wanted[] = {"avx2",     "fma",      "avx512f",     "avx512dq",
                                         "avx512vl", "avx512bw", "avx512_vnni", "avx512_bf16"};
    char text[16384], flags[8192];
    if (!read_file(root, text, sizeof text, "/proc/cpuinfo")) return;
    find_value(text, "model name", ':', m->cpu, sizeof m->cpu);
    if (!find_value(text, "flags", ':', flags, sizeof flags)) return;
    m->virtualized = has_word(flags, "hypervisor");
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        size_t len = strlen(m->isa);
        if (has_word(flags, wanted[i]))
            snprintf(m->isa + len, sizeof m->isa - len, "%s%s", len ? " " : "", wanted[i]);
    }
}

static void read_memory(const char *root, struct mb_machine *m) {
    char text[4096], value[64];
    if (!read_file(root, text, sizeof text, "/proc/meminfo")) return;
    if (find_value(text, "MemTotal", ':', value, sizeof value))
        m->memory_bytes = strtoll(value, NULL, 10) * 1024;
    if (find_value(text, "MemAvailable", ':', value, sizeof value))
        m->memory_free_bytes = strtoll(value, NULL, 10) * 1024;
}

static void read_load(const char *root, struct mb_machine *m) {
    char text[128], *end;
    if (!read_file(root, text, sizeof text, "/proc/loadavg")) return;
    m->load_1min = strtod(text, &end);
    m->load_5min = strtod(end, NULL);
}

static void read_frequency(const char *root, struct mb_machine *m) {
    char text[64];
    const char *cpu = "/sys/devices/system/cpu";
    if (read_file(root, text, sizeof text, "%s/cpu0/cpufreq/scaling_governor", cpu))
        copy_trimmed(m->governor, sizeof m->governor, text);
    if (read_file(root, text, sizeof text, "%s/intel_pstate/no_turbo", cpu))
        m->turbo = text[0] == '0';
    else if (read_file(root, text, sizeof text, "%s/cpufreq/boost", cpu))
        m->turbo = text[0] == '1';
}

static void lower_quota(struct mb_machine *m, double quota_us, double period_us) {
    if (quota_us > 0 && period_us > 0 && !(m->cpu_quota <= quota_us / period_us))
        m->cpu_quota = quota_us / period_us;
}

/* Version 2 has one file with both numbers, version 1 two files; each group up to the root may set
 * a limit, and the least counts. A process in a cgroup namespace sees its own group as the root. */
static void read_quota(const char *root, struct mb_machine *m) {
    char groups[4096], text[128], period[64], group[256];
    if (!read_file(root, groups, sizeof groups, "/proc/self/cgroup")) return;
    for (char *line = groups; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path) break;
        *path++ = '\0';
        controllers++;
        bool v2 = !*controllers;
        bool v1 = !strcmp(controllers, "cpu") || !strncmp(controllers, "cpu,", 4) ||
                  strstr(controllers, ",cpu,") || !strcmp(controllers, "cpuacct,cpu");
        copy_trimmed(group, sizeof group, path);
        line = path;
        for (char *slash = group; (v1 || v2) && slash;) {
            if (v2 && read_file(root, text, sizeof text, "/sys/fs/cgroup%s/cpu.max", group)) {
                char *end;
                double quota = strtod(text, &end); /* "max" gives 0: no limit */
                lower_quota(m, quota, strtod(end, NULL));
            }
            if (v1 &&
                read_file(root, text, sizeof text, "/sys/fs/cgroup/%s%s/cpu.cfs_quota_us",
                          controllers, group) &&
                read_file(root, period, sizeof period, "/sys/fs/cgroup/%s%s/cpu.cfs_period_us",
                          controllers, group))
                lower_quota(m, strtod(text, NULL), strtod(period, NULL));
            slash = strrchr(group, '/');
            if (slash) *slash = '\0';
        }
    }
}

static void read_nvidia(const char *root, struct mb_machine *m) {
    char text[2048], folder[512];
    if (read_file(root, text, sizeof text, "/proc/driver/nvidia/version")) {
        const char *at = strstr(text, "Kernel Module");
        at = at ? at + strcspn(at, "0123456789") : "";
        snprintf(m->nvidia_driver, sizeof m->nvidia_driver, "%.*s", (int)strspn(at, "0123456789."),
                 at);
    }
    snprintf(folder, sizeof folder, "%s/proc/driver/nvidia/gpus", root);
    DIR *gpus = opendir(folder);
    if (!gpus) return;
    for (struct dirent *entry; !*m->gpu && (entry = readdir(gpus));)
        if (entry->d_name[0] != '.' &&
            read_file(root, text, sizeof text, "/proc/driver/nvidia/gpus/%s/information",
                      entry->d_name))
            find_value(text, "Model", ':', m->gpu, sizeof m->gpu);
    closedir(gpus);
}

static enum mb_status read_topology(struct mb_machine *m, struct mb_err *err) {
    struct mb_topology t;
    enum mb_status st = mb_topology_read(&t, err);
    if (st != MB_OK) return st;
    if (t.n_threads) {
        m->n_threads = t.n_threads;
        m->n_cores = t.n_cores;
    }
    if (t.n_packages) m->n_packages = t.n_packages;
    if (t.n_numa_nodes) m->n_numa_nodes = t.n_numa_nodes;
    if (t.l1d_bytes) m->l1d_bytes = t.l1d_bytes;
    if (t.l2_bytes) m->l2_bytes = t.l2_bytes;
    if (t.l3_bytes) m->l3_bytes = t.l3_bytes;
    return MB_OK;
}

enum mb_status mb_machine_read(const char *root, struct mb_machine *out, struct mb_err *err) {
    int online = (int)sysconf(_SC_NPROCESSORS_ONLN);
    struct mb_machine m = {
        .n_packages = -1,
        .n_numa_nodes = -1,
        .n_cores = online,
        .n_threads = online,
        .n_online_threads = online,
        .l1d_bytes = -1,
        .l2_bytes = -1,
        .l3_bytes = -1,
        .memory_bytes = -1,
        .memory_free_bytes = -1,
        .cpu_quota = NAN,
        .load_1min = NAN,
        .load_5min = NAN,
        .turbo = -1,
        .virtualized = -1,
    };
    enum mb_status st = read_topology(&m, err);
    if (st != MB_OK) return st;
    if (!root) root = "";
    read_system(root, &m);
    read_cpuinfo(root, &m);
    read_memory(root, &m);
    read_load(root, &m);
    read_frequency(root, &m);
    read_quota(root, &m);
    read_nvidia(root, &m);
    *out = m;
    return MB_OK;
}

int mb_machine_default_threads(const struct mb_machine *m) {
    int n = m->n_cores;
    if (isfinite(m->cpu_quota) && m->cpu_quota < n) n = (int)m->cpu_quota;
    return n > 1 ? n : 1;
}

/* ---- for people ---- */

static const char *or_unknown(const char *text) { return *text ? text : "unknown"; }

static const char *size_text(char *buf, size_t size, int64_t bytes) {
    if (bytes < 0)
        snprintf(buf, size, "unknown");
    else if (bytes >= (int64_t)1 << 30)
        snprintf(buf, size, "%.1f GiB", (double)bytes / (1 << 30));
    else if (bytes >= 1 << 20)
        snprintf(buf, size, "%.1f MiB", (double)bytes / (1 << 20));
    else
        snprintf(buf, size, "%lld KiB", (long long)bytes / 1024);
    return buf;
}

void mb_machine_print(const struct mb_machine *m, FILE *out) {
    static const char *const answer[] = {"unknown", "no", "yes"};
    char a[32], b[32], c[32];

    fprintf(out, "  system      %s%s%s\n", m->platform, *m->os ? ", " : "", m->os);
    fprintf(out, "  cpu         %s\n", or_unknown(m->cpu));
    fprintf(out, "  usable      %d cores, %d threads (of %d online)\n", m->n_cores, m->n_threads,
            m->n_online_threads);
    fprintf(out, "  vector      %s\n", or_unknown(m->isa));
    fprintf(out, "  caches      L1d %s, L2 %s, L3 %s\n", size_text(a, sizeof a, m->l1d_bytes),
            size_text(b, sizeof b, m->l2_bytes), size_text(c, sizeof c, m->l3_bytes));
    fprintf(out, "  memory      %s, %s free\n", size_text(a, sizeof a, m->memory_bytes),
            size_text(b, sizeof b, m->memory_free_bytes));
    if (isfinite(m->cpu_quota))
        fprintf(out, "  cpu quota   %.2f cores\n", m->cpu_quota);
    else
        fprintf(out, "  cpu quota   none seen\n");
    fprintf(out, "  governor    %s, turbo %s\n", or_unknown(m->governor),
            m->turbo < 0 ? "unknown"
            : m->turbo   ? "on"
                         : "off");
    fprintf(out, "  virtual     %s\n", answer[m->virtualized + 1]);
    if (isfinite(m->load_1min))
        fprintf(out, "  load        %.2f (1 min), %.2f (5 min)\n", m->load_1min, m->load_5min);
    else
        fprintf(out, "  load        unknown\n");
    fprintf(out, "  nvidia      %s%s%s\n", *m->nvidia_driver ? "driver " : "no driver",
            m->nvidia_driver, *m->gpu ? ", " : "");
    if (*m->gpu) fprintf(out, "  gpu         %s\n", m->gpu);
}

struct warnings {
    struct mb_machine_warning *out;
    size_t n, max;
};

static void __attribute__((format(printf, 2, 3)))
warn(struct warnings *w, const char *format, ...) {
    if (w->n == w->max) return;
    va_list args;
    va_start(args, format);
    vsnprintf(w->out[w->n].text, sizeof w->out[w->n].text, format, args);
    va_end(args);
    w->n++;
}

size_t mb_machine_warnings(const struct mb_machine *m, struct mb_machine_warning *out, size_t max) {
    struct warnings w = {out, 0, max};
    if (*m->governor && strcmp(m->governor, "performance") != 0)
        warn(&w,
             "CPU governor is %s: clocks change between samples; try "
             "`cpupower frequency-set -g performance`",
             m->governor);
    if (m->turbo == 1)
        warn(&w, "turbo is on: clocks follow heat and load; turn it off for steadier times");
    if (isfinite(m->cpu_quota) && m->cpu_quota < m->n_cores)
        warn(&w,
             "the cgroup allows %.2f of %d cores: threads will be stopped; pass --threads %d "
             "or lift the limit",
             m->cpu_quota, m->n_cores, m->cpu_quota < 1 ? 1 : (int)m->cpu_quota);
    if (m->load_1min > 0.5)
        warn(&w, "load is %.2f: other programs run here; stop them", m->load_1min);
    if (m->virtualized == 1)
        warn(&w, "virtual machine: neighbours and the hypervisor add noise; prefer bare metal");
    if (m->n_threads < m->n_online_threads)
        warn(&w, "only %d of %d hardware threads are usable: an affinity mask or a cpuset is set",
             m->n_threads, m->n_online_threads);
    if (m->memory_free_bytes >= 0 && m->memory_free_bytes < (int64_t)1 << 30)
        warn(&w, "less than 1 GiB of memory is free: swapping would be timed; free some");
    if (!strcmp(mb_build()->type, "Debug"))
        warn(&w, "debug build: times mean nothing; build with `cmake --preset release`");
    return w.n;
}
