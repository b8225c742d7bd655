/* Statistics of values on sampled futures, with confidence limits. */
#ifndef RUB_PLAN_STATISTICS_H
#define RUB_PLAN_STATISTICS_H

#include <stddef.h>

/* Half-widths are of two-sided 95 % limits (normal approximation). */
typedef struct rub_estimate {
    double value, half_width;
} rub_estimate;

rub_estimate rub_mean_of(const double *x, size_t n);
/* Mean of y[i] - x[i]. */
rub_estimate rub_mean_difference(const double *x, const double *y, size_t n);
/* Mean of the worst share alpha. Half-width from the variance of (quantile - x)+ / alpha
 * (Trindade, Uryasev, Shapiro and Zrazhevsky 2007). */
rub_estimate rub_tail_mean(const double *x, size_t n, double alpha);
/* Quantile of unweighted values. NaN for n == 0 or when out of memory. */
double rub_quantile_of(const double *x, size_t n, double quantile);

#endif
