#include "plan/statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define Z95 1.959964 /* 97.5 % quantile of the normal distribution */

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double *sorted(const double *x, size_t n) {
    double *copy = malloc((n ? n : 1) * sizeof *copy);
    if (copy) {
        memcpy(copy, x, n * sizeof *copy);
        qsort(copy, n, sizeof *copy, ascending);
    }
    return copy;
}

rub_estimate rub_mean_of(const double *x, size_t n) {
    double sum = 0.0, squares = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    double mean = n ? sum / (double)n : NAN;
    for (size_t i = 0; i < n; i++)
        squares += (x[i] - mean) * (x[i] - mean);
    return (rub_estimate){mean,
                          n > 1 ? Z95 * sqrt(squares / (double)(n - 1) / (double)n) : HUGE_VAL};
}

rub_estimate rub_mean_difference(const double *x, const double *y, size_t n) {
    double *d = malloc((n ? n : 1) * sizeof *d);
    if (!d)
        return (rub_estimate){NAN, NAN};
    for (size_t i = 0; i < n; i++)
        d[i] = y[i] - x[i];
    rub_estimate e = rub_mean_of(d, n);
    free(d);
    return e;
}

rub_estimate rub_tail_mean(const double *x, size_t n, double alpha) {
    double *order = sorted(x, n);
    if (!order || n == 0 || alpha <= 0) {
        free(order);
        return rub_mean_of(x, n);
    }
    double left = alpha * (double)n, sum = 0.0, taken = 0.0;
    size_t last = 0;
    for (size_t i = 0; i < n && left > 0; i++) {
        double part = left < 1.0 ? left : 1.0;
        sum += part * order[i];
        taken += part;
        left -= part;
        last = i;
    }
    double quantile = order[last];
    for (size_t i = 0; i < n; i++)
        order[i] = fmax(0.0, quantile - order[i]) / alpha;
    double half_width = rub_mean_of(order, n).half_width;
    free(order);
    return (rub_estimate){sum / taken, half_width};
}

double rub_quantile_of(const double *x, size_t n, double quantile) {
    double *order = sorted(x, n);
    if (!order || n == 0) {
        free(order);
        return NAN;
    }
    double at = ceil(quantile * (double)n) - 1.0;
    size_t i = at < 0 ? 0 : at > (double)(n - 1) ? n - 1 : (size_t)at;
    double value = order[i];
    free(order);
    return value;
}
