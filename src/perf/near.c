/* Inverse-distance weights (Shepard 1968) over logarithms of dimensions. The ratio to the roofline is
 * interpolated, not the time: the roofline carries most of what size does. */
#include "perf/near.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 4 };

/* How much a difference in a feature counts (squared). What an iteration varies (tokens, requests,
 * lengths) counts most: rows with the same are there for every shape. Zero: follows from others. */
static const double *weights_of(rub_family family) {
    static const double gemm[] = {16, 1, 1}, attention[] = {16, 16, 1, 1, 0, 1e-3, 1, 0, 0},
                        mla[] = {16, 16, 1}, moe[] = {16, 0, 0, 1, 1, 1, 1, 1, 1},
                        collective[] = {1, 16};
    switch (family) {
    case RUB_FAMILY_GEMM:
        return gemm;
    case RUB_FAMILY_PREFILL:
    case RUB_FAMILY_DECODE:
        return attention;
    case RUB_FAMILY_MLA_PREFILL:
    case RUB_FAMILY_MLA_DECODE:
        return mla;
    case RUB_FAMILY_MOE:
        return moe;
    default:
        return collective;
    }
}

static int count_features(rub_family family) {
    int n = 0;
    while (rub_family_features(family)[n])
        n++;
    return n;
}

rub_status rub_near_make(rub_curve *c, const rub_peaks *peaks, const rub_sample *sample, size_t n,
                         rub_error *err) {
    size_t width = (size_t)count_features(c->family);
    rub_curve_prepare(c);
    c->near_feature = RUB_NEW(float, n *width);
    c->near_ratio = RUB_NEW(float, n);
    if (!c->near_feature || !c->near_ratio)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    c->floor_s = INFINITY; /* the least time of all */
    for (size_t i = 0; i < n; i++)
        c->floor_s = fmin(c->floor_s, sample[i].seconds);
    c->floor_s *= 0.8;
    for (size_t i = 0; i < n; i++) {
        double feature[RUB_MAX_FEATURES];
        rub_shape_features(c->family, &sample[i].shape, feature);
        for (size_t k = 0; k < width; k++)
            c->near_feature[i * width + k] = (float)feature[k];
        c->near_ratio[i] =
            (float)log(sample[i].seconds / rub_curve_base(c, peaks, &sample[i].shape));
    }
    c->n_near = n;
    return RUB_OK;
}

typedef struct nearest {
    double distance[ROWS];
    size_t row[ROWS];
    int n;
} nearest;

static void offer(nearest *best, double distance, size_t row) {
    if (best->n == ROWS && distance >= best->distance[ROWS - 1])
        return;
    int i = best->n < ROWS ? best->n++ : ROWS - 1;
    for (; i > 0 && best->distance[i - 1] > distance; i--) {
        best->distance[i] = best->distance[i - 1];
        best->row[i] = best->row[i - 1];
    }
    best->distance[i] = distance;
    best->row[i] = row;
}

double rub_near_log_ratio(const rub_curve *c, const double *feature) {
    const double *weight = weights_of(c->family);
    int width = count_features(c->family);
    nearest best = {0};
    for (size_t i = 0; i < c->n_near; i++) {
        double distance = 0.0;
        for (int k = 0; k < width; k++) {
            double d = (double)c->near_feature[i * (size_t)width + (size_t)k] - feature[k];
            distance += weight[k] * d * d;
        }
        offer(&best, distance, i);
    }
    if (best.n == 0)
        return 0.0;
    double sum = 0.0, total = 0.0;
    for (int i = 0; i < best.n; i++) {
        if (best.distance[0] < 1e-9 && best.distance[i] >= 1e-9)
            break; /* the row itself: its repeats alone count */
        double w = 1.0 / (best.distance[i] + 1e-9);
        sum += w * (double)c->near_ratio[best.row[i]];
        total += w;
    }
    return sum / total;
}

static int by_value(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

int rub_near_values(const rub_curve *c, int feature, double *out, int max) {
    size_t width = (size_t)count_features(c->family), n = 0;
    float *all = RUB_NEW(float, c->n_near);
    if (!all)
        return 0;
    for (size_t i = 0; i < c->n_near; i++)
        all[i] = c->near_feature[i * width + (size_t)feature];
    qsort(all, c->n_near, sizeof *all, by_value);
    for (size_t i = 0; i < c->n_near; i++)
        if (n == 0 || all[i] > all[n - 1] + 1e-4F)
            all[n++] = all[i];
    int kept = n < (size_t)max ? (int)n : max;
    for (int i = 0; i < kept; i++)
        out[i] = (double)all[kept > 1 ? (size_t)i * (n - 1) / (size_t)(kept - 1) : 0];
    free(all);
    return kept;
}
