#include "report_plan.h"

#include "precision_plan.h"
#include "report_view.h"

#include <math.h>

/* Half widths of the interval, as shares. */
static const double wished[] = {0.05, 0.02, 0.01, 0.005};

static void print_row(const struct mb_pilot *pilot, double max_noise, FILE *out) {
    const struct mb_effort p = mb_pilot_effort(pilot, max_noise);
    char time[32], told[32] = "-";
    mb_view_time_short(time, sizeof time, p.wall_s * 1e9);
    if (isfinite(p.detectable)) snprintf(told, sizeof told, "%.2g %%", 100 * p.detectable);
    fprintf(out, "+- %-5g%% %8.0f %10.0f %12s %14s\n", 100 * max_noise, p.n_starts, p.n_samples,
            time, told);
}

void mb_report_plan(const struct mb_benchmark_result *b, double wall_s, FILE *out) {
    struct mb_pilot pilot;
    const char *reason = mb_pilot_read(b, wall_s, &pilot);
    if (reason) {
        fprintf(out, "\n%s: no plan: %s\n", b->name, reason);
        return;
    }
    char time[32];
    fprintf(out, "\n%s, %s%s%s: a pilot of %u starts and %s came to +- %.2g %%\n", b->name,
            b->executors[0].name, pilot.alone ? "" : " against ",
            pilot.alone ? "" : b->executors[1].name, pilot.n_starts,
            mb_view_time_short(time, sizeof time, wall_s * 1e9), 100 * sinh(pilot.half_width));
    fprintf(out, "%-9s %8s %10s %12s %14s\n", "Interval", "starts", "samples", "time",
            "told from none");
    fputs("---------------------------------------------------------\n", out);
    for (size_t i = 0; i < sizeof wished / sizeof *wished; i++) print_row(&pilot, wished[i], out);
    fflush(out); /* each as soon as it is known */
}
