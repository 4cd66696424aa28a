#include "report_view.h"

#include "report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct mb_time_unit units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
enum { N_UNITS = sizeof units / sizeof *units };

const struct mb_executor_result *mb_view_executor(const struct mb_benchmark_result *benchmark,
                                                  const char *name) {
    for (size_t i = 0; i < benchmark->n_executors; i++)
        if (!strcmp(benchmark->executors[i].name, name)) return &benchmark->executors[i];
    return NULL;
}

const char *mb_view_status(const struct mb_executor_result *executor) {
    if (!executor->measured) return "not_measured";
    return executor->n_samples ? "measured" : "failed";
}

const struct mb_comparison *mb_view_comparison(const struct mb_benchmark_result *benchmark,
                                               const char *a, const char *b) {
    for (size_t i = 0; i < benchmark->n_comparisons; i++) {
        const struct mb_comparison *c = &benchmark->comparisons[i];
        if (!strcmp(c->a, a) && !strcmp(c->b, b)) return c;
    }
    return NULL;
}

const struct mb_comparison *mb_view_headline(const struct mb_benchmark_result *benchmark,
                                             int index) {
    const struct mb_comparison *c = index < 0 ? NULL : &benchmark->comparisons[index];
    return c && !strcmp(c->a, MB_REPORT_MIND) ? c : NULL;
}

bool mb_view_has_ratio(const struct mb_comparison *comparison) {
    return comparison && !comparison->withheld && isfinite(comparison->speedup.value);
}

const struct mb_device_time *mb_view_device_time(const struct mb_benchmark_result *benchmark,
                                                 const struct mb_executor_result *executor) {
    return &executor->device_time[benchmark->cold ? MB_DEVICE_cold : MB_DEVICE_batch];
}

const char *mb_precision_name(enum mb_precision precision) {
    switch (precision) {
    case MB_FP32: return "fp32";
    case MB_TF32: return "tf32";
    case MB_BF16: return "bf16";
    case MB_FP16: return "fp16";
    }
    return "unknown";
}

/* Decimals that leave three or four significant digits. The bounds are where rounding to so many
 * decimals would carry into the next digit. */
static int decimals(double value) {
    value = fabs(value);
    if (value >= 999.95) return 0;
    if (value >= 99.995) return 1;
    return value >= 0.9995 || value == 0 ? 2 : 3;
}

const char *mb_view_number(char *buf, size_t size, double value) {
    if (isfinite(value))
        snprintf(buf, size, "%.*f", decimals(value), value);
    else
        snprintf(buf, size, "-");
    return buf;
}

/* `carry`: from where on a value would round up to 1000 and so takes the next unit. */
static int unit_of(double ns, double carry) {
    int i = 0;
    while (i + 1 < N_UNITS && ns / units[i].ns >= carry) i++;
    return i;
}

const char *mb_view_time(char *buf, size_t size, double ns) {
    struct mb_time_unit unit = units[unit_of(ns, 999.95)];
    if (isfinite(ns))
        snprintf(buf, size, "%.*f %s", decimals(ns / unit.ns), ns / unit.ns, unit.name);
    else
        snprintf(buf, size, "-");
    return buf;
}

const char *mb_view_time_short(char *buf, size_t size, double ns) {
    struct mb_time_unit unit = units[unit_of(ns, 999.5)];
    double value = ns / unit.ns;
    if (isfinite(ns))
        snprintf(buf, size, "%.*f %s",
                 value >= 99.95   ? 0
                 : value >= 9.995 ? 1
                                  : 2,
                 value, unit.name);
    else
        snprintf(buf, size, "-");
    return buf;
}

const char *mb_view_rate(char *buf, size_t size, double per_second) {
    static const char *const prefix[] = {"", "K", "M", "G"};
    int i = 0;
    if (!isfinite(per_second)) {
        snprintf(buf, size, "-");
        return buf;
    }
    while (i < 3 && per_second >= 999.95) {
        per_second /= 1000;
        i++;
    }
    snprintf(buf, size, "%.1f%s samples/sec", per_second, prefix[i]);
    return buf;
}

/* Three digits: no interval is wider than its column, however wide it is. */
static int ratio_decimals(double value) {
    return value >= 99.95 ? 0 : value >= 9.995 ? 1 : value >= 0.0995 ? 2 : 3;
}

const char *mb_view_ratio(char *buf, size_t size, const struct mb_interval *ratio,
                          const char *sign) {
    snprintf(buf, size, "%.*f%s [%.*f, %.*f]", ratio_decimals(ratio->value), ratio->value, sign,
             ratio_decimals(ratio->low), ratio->low, ratio_decimals(ratio->high), ratio->high);
    return buf;
}

struct mb_time_unit mb_view_unit(double smallest, double largest) {
    int i = 0;
    while (i + 1 < N_UNITS && smallest >= units[i + 1].ns) i++;
    while (i + 1 < N_UNITS && largest / units[i].ns >= 99999.5) i++;
    return units[i];
}

const char *mb_view_count(char *buf, size_t size, double n) {
    if (!isfinite(n))
        snprintf(buf, size, "-");
    else
        snprintf(buf, size, n < 1e5 ? "%.0f" : "%.2e", n);
    return buf;
}
