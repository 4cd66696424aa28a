#include "report_controls.h"

#include "report_view.h"

#include <math.h>
#include <stdio.h>

static const char *percent(char *buf, size_t size, double share) {
    if (isfinite(share))
        snprintf(buf, size, "%.1f %%", 100 * share);
    else
        snprintf(buf, size, "unknown");
    return buf;
}

static void put_control(const struct mb_page *page, const struct mb_executor_result *e) {
    const struct mb_control *c = &e->control;
    char ratio[64], least[32];
    if (c->reason) {
        mb_page_prose(page, 2, MB_PLAIN, "%s: none: %s", e->name, c->reason);
        return;
    }
    const bool alarm = c->verdict == MB_FAST || c->verdict == MB_SLOW;
    mb_page_prose(page, 2, alarm ? MB_RED : MB_PLAIN, "%s: %s %s%s; detectable: %s", e->name,
                  mb_view_ratio(ratio, sizeof ratio, &c->ratio, page->times),
                  mb_verdict_name(c->verdict), alarm ? ", a false alarm" : "",
                  percent(least, sizeof least, c->detectable));
}

void mb_report_controls(const struct mb_page *page, const struct mb_benchmark_result *b) {
    putc('\n', page->out);
    mb_page_prose(page, 0, MB_PLAIN, "%s, each executor against itself (A/A):", b->name);
    for (size_t i = 0; i < b->n_executors; i++) {
        const struct mb_executor_result *e = &b->executors[i];
        if (!e->measured) continue;
        put_control(page, e);
        if (e->unsteady) mb_page_prose(page, 2, MB_RED, "%s: %s", e->name, e->unsteady);
    }
    for (size_t i = 0; i < b->n_comparisons; i++) {
        const struct mb_comparison *c = &b->comparisons[i];
        if (mb_view_has_ratio(c) && c->verdict_reason)
            mb_page_prose(page, 2, MB_PLAIN, "%s against %s: AMBG: %s", c->a, c->b,
                          c->verdict_reason);
    }
}

void mb_report_false_alarms(const struct mb_page *page, const struct mb_result *result) {
    size_t n = 0, alarms = 0;
    for (size_t i = 0; i < result->n_benchmarks; i++) {
        n += result->benchmarks[i].n_controls;
        alarms += result->benchmarks[i].n_false_alarms;
    }
    if (n)
        mb_page_prose(page, 0, alarms ? MB_RED : MB_PLAIN,
                      "A/A controls: %zu false alarm%s in %zu comparison%s.", alarms,
                      alarms == 1 ? "" : "s", n, n == 1 ? "" : "s");
}
