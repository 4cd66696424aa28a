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

/* Of n values that lie `stride` apart; those that are not finite are none. */
static double median(const double *values, size_t n, size_t stride) {
    double *finite = calloc(n + 1, sizeof *finite), result = (double)NAN;
    size_t used = 0;
    if (!finite) return result;
    for (size_t i = 0; i < n; i++)
        if (isfinite(values[i * stride])) finite[used++] = values[i * stride];
    if (used) result = mb_stats_median(finite, used);
    free(finite);
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
