/* Fits a curve's grids to measured samples by least absolute deviations of the logarithm with a
 * penalty on second differences: iteratively reweighted least squares, normal equations, Cholesky. */
#ifndef RUB_PERF_FORMFIT_H
#define RUB_PERF_FORMFIT_H

#include "perf/form.h"

typedef struct rub_sample {
    rub_shape shape;
    double seconds;
    uint64_t group; /* samples of one group are fitted or left out together */
} rub_sample;

/* Is the group of this sample left out of the fit? A fifth of the groups are. */
bool rub_sample_left_out(const rub_sample *sample);

/* Sets floor, grids, values, domain and error of a curve whose family and variant are set. Fits the
 * samples that are not left out and judges by those that are. Errors: RUB_NO_MEMORY, RUB_INVALID (too
 * few samples), RUB_SOLVER. */
rub_status rub_curve_fit(rub_curve *curve, const rub_peaks *peaks, const rub_sample *sample,
                         size_t n, rub_error *err);

/* The error of a curve on the samples that are left out. */
rub_status rub_curve_judge(const rub_curve *curve, const rub_peaks *peaks, const rub_sample *sample,
                           size_t n, rub_curve_error *out, rub_error *err);

#endif
