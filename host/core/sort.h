/* Sorting of numbers: the one order that medians, quantiles and bootstraps are read from. */
#ifndef MB_SORT_H
#define MB_SORT_H

#include <stddef.h>

/* In place, ascending; no value is NaN. */
void mb_sort_doubles(double *values, size_t n);

#endif
