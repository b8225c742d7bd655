/* Table mode: a curve that keeps its measured rows and answers with the nearest ones. */
#ifndef RUB_PERF_NEAR_H
#define RUB_PERF_NEAR_H

#include "perf/formfit.h"

/* Gives a curve (family and variant set, no grids) the rows of its table. Errors: RUB_NO_MEMORY. */
rub_status rub_near_make(rub_curve *curve, const rub_peaks *peaks, const rub_sample *sample,
                         size_t n, rub_error *err);

/* Logarithm of measured / base at these features: of the row itself where one has them, else the mean of
 * the RUB_NEAR_ROWS nearest, weighted by the inverse square of their distance. */
double rub_near_log_ratio(const rub_curve *curve, const double *feature);

/* Distinct values of a feature over the rows, ascending, at most max of them; returns how many. */
int rub_near_values(const rub_curve *curve, int feature, double *out, int max);

#endif
