/* What readers of cold starts ask: names of the steps, medians of what was measured. */
#include "cold_start.h"

#include <math.h>
#include <stdlib.h>

const char *mb_start_step_name(enum mb_start_step step) {
    static const char *const names[] = {
#define STEP(name, meaning) #name,
        MB_START_STEPS(STEP)
#undef STEP
    };
    return names[step];
}

static int compare_doubles(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of n values that lie `stride` apart; those that are not finite are none. */
static double median(const double *values, size_t n, size_t stride) {
    double *sorted = calloc(n + 1, sizeof *sorted), result = (double)NAN;
    size_t used = 0;
    if (!sorted) return result;
    for (size_t i = 0; i < n; i++)
        if (isfinite(values[i * stride])) sorted[used++] = values[i * stride];
    if (used) {
        qsort(sorted, used, sizeof *sorted, compare_doubles);
        result = mb_stats_quantile_sorted(sorted, used, 0.5);
    }
    free(sorted);
    return result;
}

double mb_start_median_step(const struct mb_start_row *row, enum mb_start_step step) {
    return row->n ? median(&row->steps_ns[0][step], row->n, MB_N_START_STEPS) : (double)NAN;
}

double mb_start_median_whole(const struct mb_start_row *row) {
    return row->n ? median(&row->outputs_ns[0][0], row->n, MB_FIRST_RUNS) : (double)NAN;
}

double mb_start_median_peak(const struct mb_start_row *row) {
    return median(row->peak_bytes, row->n, 1);
}

double mb_start_median_loaded(const struct mb_start_row *row) {
    return median(row->loaded_bytes, row->n, 1);
}
