/* Back-test, combination and quantiles.
 *
 * Origins roll back from the end; at each the methods forecast values that they have not seen. Weights are
 * one over squared MASE (Bates and Granger 1969, errors taken as independent). Quantiles come from the
 * combination's own errors (on logarithms where values are positive): errors at distance h are scaled by
 * a spread that grows as a fitted power of h, and the sorted scaled errors give the quantiles (split
 * conformal, Vovk et al. 2005). Coverage is judged with each origin's errors left out in turn. */
#include "rubato/forecast.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct test {
    const rub_series *s;
    int32_t n_origin, h;         /* origins, steps tried at each */
    bool positive, not_negative; /* all values */
    double *point;               /* (n_origin, methods, h) */
    double scale;                /* mean absolute seasonal difference in sample */
    double weight[RUB_N_FORECAST];
} test;

static int32_t origin(const test *t, int32_t i) {
    return t->s->n - t->h - i * (t->h > 3 ? t->h / 2 : 1);
}

static double *at(const test *t, int32_t i, int k) {
    return t->point + ((size_t)i * RUB_N_FORECAST + (size_t)k) * (size_t)t->h;
}

static double combined(const test *t, int32_t i, int32_t step) {
    double sum = 0.0;
    for (int k = 0; k < RUB_N_FORECAST; k++)
        sum += t->weight[k] * at(t, i, k)[step];
    return sum;
}

static rub_status prepare(const rub_series *s, int32_t h, test *t, rub_error *err) {
    *t = (test){.s = s, .positive = true, .not_negative = true};
    int32_t least = s->season > 1 ? 2 * s->season + 1 : 5, m = s->season < s->n ? s->season : 1;
    t->h = h < (s->n - least) / 2 ? h : (s->n - least) / 2;
    t->h = t->h < 1 ? 1 : t->h > 120 ? 120 : t->h;
    while (t->n_origin < 12 && origin(t, t->n_origin) >= least)
        t->n_origin++;
    for (int32_t i = 0; i < s->n; i++) {
        t->positive = t->positive && s->value[i] > 0;
        t->not_negative = t->not_negative && s->value[i] >= 0;
    }
    for (int32_t i = m; i < s->n; i++)
        t->scale += fabs(s->value[i] - s->value[i - m]) / (s->n - m);
    t->scale = t->scale > 0 ? t->scale : 1.0;
    t->point = RUB_NEW(double, (size_t)t->n_origin *RUB_N_FORECAST *(size_t)t->h);
    if (!t->point)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for the back-test");
    for (int32_t i = 0; i < t->n_origin; i++)
        for (int k = 0; k < RUB_N_FORECAST; k++)
            if (rub_forecast_point(k, s->value, origin(t, i), s->season, t->h, at(t, i, k)) !=
                RUB_OK)
                return rub_error_set(err, RUB_NO_MEMORY, "out of memory for the back-test");
    return RUB_OK;
}

/* k == RUB_N_FORECAST: the combination. */
static rub_forecast_score score(const test *t, int k) {
    rub_forecast_score r = {0};
    double n = 0.0;
    for (int32_t i = 0; i < t->n_origin; i++)
        for (int32_t step = 0; step < t->h; step++) {
            double f = k == RUB_N_FORECAST ? combined(t, i, step) : at(t, i, k)[step];
            double y = t->s->value[origin(t, i) + step], size = fabs(f) + fabs(y);
            r.mase += fabs(f - y) / t->scale;
            r.smape += size > 0 ? 2.0 * fabs(f - y) / size : 0.0;
            n++;
        }
    r.mase /= n;
    r.smape /= n;
    return r;
}

static void weigh(test *t, rub_forecast *out) {
    double sum = 0.0;
    for (int k = 0; k < RUB_N_FORECAST; k++) {
        out->score[k] = score(t, k);
        t->weight[k] = 1.0 / (out->score[k].mase * out->score[k].mase + 1e-9);
        sum += t->weight[k];
    }
    for (int k = 0; k < RUB_N_FORECAST; k++)
        out->score[k].weight = t->weight[k] /= sum;
    out->score[RUB_N_FORECAST] = score(t, RUB_N_FORECAST);
    out->score[RUB_N_FORECAST].weight = 1.0;
    double naive = out->score[RUB_METHOD_SNAIVE].mase;
    for (int k = 0; k <= RUB_N_FORECAST; k++)
        out->score[k].to_naive = naive > 0 ? out->score[k].mase / naive : NAN;
}

static double error_of(const test *t, double y, double f) {
    return t->positive && f > 0 ? log(y / f) : y - f;
}

/* Spread of errors grows as h^power: power by least squares on the logs of mean absolute errors. */
static double growth_of_error(const test *t, double *first) {
    double sx = 0, sy = 0, sxx = 0, sxy = 0, n = 0;
    for (int32_t step = 0; step < t->h; step++) {
        double mean = 0.0;
        for (int32_t i = 0; i < t->n_origin; i++)
            mean += fabs(error_of(t, t->s->value[origin(t, i) + step], combined(t, i, step))) /
                    t->n_origin;
        if (mean <= 0)
            continue;
        double x = log(step + 1.0), y = log(mean);
        sx += x;
        sy += y;
        sxx += x * x;
        sxy += x * y;
        n++;
    }
    double d = n * sxx - sx * sx, power = d > 1e-9 ? (n * sxy - sx * sy) / d : 0.5;
    power = fmin(1.0, fmax(0.2, power)); /* between a stationary series and a wandering trend */
    *first = n > 0 ? exp((sy - power * sx) / n) : 1e-9;
    return power;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorted errors / spread, origin `without` left out. Returns how many. */
static int32_t scaled_errors(const test *t, double first, double power, int32_t without,
                             double *out) {
    int32_t n = 0;
    for (int32_t i = 0; i < t->n_origin; i++)
        for (int32_t step = 0; step < t->h && i != without; step++)
            out[n++] = error_of(t, t->s->value[origin(t, i) + step], combined(t, i, step)) /
                       (first * pow(step + 1.0, power));
    qsort(out, (size_t)n, sizeof *out, ascending);
    return n;
}

static double quantile(const double *sorted, int32_t n, double q) {
    double place = q * (n + 1) - 1.0; /* conformal: of n + 1 places */
    if (n == 0)
        return 0.0;
    place = fmin(n - 1.0, fmax(0.0, place));
    int32_t low = (int32_t)place, high = low + 1 < n ? low + 1 : low;
    return sorted[low] + (place - low) * (sorted[high] - sorted[low]);
}

/* A series that never was negative (tokens, requests) is not forecast to be. */
static double kept(const test *t, double f) { return t->not_negative && f < 0 ? 0.0 : f; }

static double shifted(const test *t, double f, double e) {
    return kept(t, t->positive && f > 0 ? f * exp(e) : f + e);
}

/* Spread at a distance; beyond what was tested no faster than a random walk's. */
static double spread_at(const test *t, double first, double power, int32_t step) {
    double h = step + 1.0, tested = t->h;
    return h <= tested ? first * pow(h, power)
                       : first * pow(tested, power) * pow(h / tested, fmin(power, 0.5));
}

static double coverage(const test *t, double first, double power, double *scratch) {
    double inside = 0.0, n = 0.0;
    for (int32_t i = 0; i < t->n_origin; i++) {
        int32_t k = scaled_errors(t, first, power, i, scratch);
        double low = quantile(scratch, k, 0.1), high = quantile(scratch, k, 0.9);
        for (int32_t step = 0; step < t->h; step++, n++) {
            double spread = first * pow(step + 1.0, power), f = combined(t, i, step),
                   y = t->s->value[origin(t, i) + step];
            inside += y >= shifted(t, f, low * spread) && y <= shifted(t, f, high * spread);
        }
    }
    return n > 0 ? inside / n : NAN;
}

static rub_status ahead(test *t, rub_forecast *out, rub_error *err) {
    double *scratch = RUB_NEW(double, (size_t)t->n_origin *(size_t)t->h),
           *one = RUB_NEW(double, out->h);
    if (!scratch || !one) {
        free(scratch);
        free(one);
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for a forecast");
    }
    for (int k = 0; k < RUB_N_FORECAST; k++) {
        rub_forecast_point(k, t->s->value, t->s->n, t->s->season, out->h, one);
        for (int32_t i = 0; i < out->h; i++)
            out->mean[i] += t->weight[k] * one[i];
    }
    double first, power = growth_of_error(t, &first);
    out->coverage_80 = coverage(t, first, power, scratch);
    int32_t n = scaled_errors(t, first, power, -1, scratch);
    double middle = quantile(scratch, n, 0.5);
    for (int32_t i = 0; i < out->h; i++) {
        double spread = spread_at(t, first, power, i);
        /* what the back-test was off by on the whole is taken off as far as it was seen, not grown */
        double off = middle * spread_at(t, first, power, i < t->h ? i : t->h - 1),
               mean = out->mean[i];
        out->p50[i] = shifted(t, mean, off);
        out->p10[i] =
            shifted(t, mean, off - fmax(middle - quantile(scratch, n, 0.1), 0.0) * spread);
        out->p90[i] =
            shifted(t, mean, off + fmax(quantile(scratch, n, 0.9) - middle, 0.0) * spread);
        out->mean[i] = kept(t, mean);
    }
    free(scratch);
    free(one);
    return RUB_OK;
}

rub_status rub_forecast_make(const rub_series *series, int32_t h, rub_forecast *out,
                             rub_error *err) {
    test t = {0};
    if (series->n < 8)
        return rub_error_set(err, RUB_INVALID, "series has %d values, expected 8 or more",
                             series->n);
    if (h < 1 || h > 100000)
        return rub_error_set(err, RUB_INVALID, "horizon is %d steps, expected 1 to 100000", h);
    rub_forecast f = {.h = h,
                      .p10 = RUB_NEW(double, h),
                      .p50 = RUB_NEW(double, h),
                      .p90 = RUB_NEW(double, h),
                      .mean = RUB_NEW(double, h)};
    rub_status status = f.p10 && f.p50 && f.p90 && f.mean
                            ? prepare(series, h, &t, err)
                            : rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    if (status == RUB_OK) {
        f.n_origin = t.n_origin;
        f.h_tested = t.h;
        weigh(&t, &f);
        status = ahead(&t, &f, err);
    }
    free(t.point);
    if (status != RUB_OK) {
        rub_forecast_clear(&f);
        return status;
    }
    *out = f;
    return RUB_OK;
}

void rub_forecast_clear(rub_forecast *f) {
    free(f->p10);
    free(f->p50);
    free(f->p90);
    free(f->mean);
    *f = (rub_forecast){0};
}
