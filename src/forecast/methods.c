/* Methods: seasonal naive; damped trend with additive season; growth curve.
 *
 * Damped trend (Gardner and McKenzie 1985; Hyndman et al. 2008, ETS(A,Ad,A)), fitted by the squared
 * one-step error over a grid of smoothing constants refined twice; on logarithms where all values are
 * positive, so that growth is a rate. Growth curve: a logistic, its ceiling by search, the rest by a
 * straight line through the logits. */
#include "rubato/forecast.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *rub_forecast_method_text(int method) {
    static const char *const text[] = {"seasonal naive", "damped trend", "growth curve",
                                       "combination"};
    return text[method];
}

static void seasonal_naive(const double *y, int32_t n, int32_t m, int32_t h, double *out) {
    int32_t cycle = m < n ? m : 1;
    for (int32_t i = 0; i < h; i++)
        out[i] = y[n - cycle + i % cycle];
}

/* Constants of the damped trend. */
typedef struct damped {
    double alpha, beta, phi, gamma;
} damped;

/* Runs through the series; returns the sum of squared one-step errors, and the forecast when out is
 * given. season has room for m values. */
static double smooth(const double *y, int32_t n, int32_t m, damped c, double *season, int32_t h,
                     double *out) {
    double level = 0.0, trend = 0.0, sum = 0.0;
    int32_t first = m < n ? m : 1;
    for (int32_t i = 0; i < first; i++)
        level += y[i] / first;
    for (int32_t i = 0; i < m; i++)
        season[i] = m > 1 ? y[i] - level : 0.0;
    if (n >= 2 * first && first > 1)
        for (int32_t i = 0; i < first; i++)
            trend += (y[first + i] - y[i]) / first / first;
    else if (n > 1)
        trend = (y[n > 4 ? 4 : n - 1] - y[0]) / (n > 4 ? 4 : n - 1);
    for (int32_t t = m > 1 ? m : 1; t < n; t++) {
        double *s = &season[t % m], expected = level + c.phi * trend + *s, e = y[t] - expected;
        level += c.phi * trend + c.alpha * e;
        trend = c.phi * trend + c.alpha * c.beta * e;
        *s += m > 1 ? c.gamma * (1 - c.alpha) * e : 0.0;
        sum += e * e;
    }
    double damping = 0.0;
    for (int32_t i = 0; out && i < h; i++) {
        damping += pow(c.phi, i + 1);
        out[i] = level + damping * trend + season[(n + i) % m];
    }
    return sum;
}

static damped fit_damped(const double *y, int32_t n, int32_t m, double *season) {
    static const double grid[] = {0.05, 0.2, 0.4, 0.6, 0.8, 0.98},
                        damping[] = {0.8, 0.9, 0.95, 0.98};
    damped best = {0.4, 0.05, 0.9, 0.05};
    double least = smooth(y, n, m, best, season, 0, NULL);
    for (size_t a = 0; a < RUB_LEN(grid); a++)
        for (size_t b = 0; b < RUB_LEN(grid); b++)
            for (size_t p = 0; p < RUB_LEN(damping); p++)
                for (size_t g = 0; g < (m > 1 ? RUB_LEN(grid) : 1); g++) {
                    damped c = {grid[a], grid[b] * 0.5, damping[p], grid[g] * 0.5};
                    double sum = smooth(y, n, m, c, season, 0, NULL);
                    if (sum < least) {
                        least = sum;
                        best = c;
                    }
                }
    for (double width = 0.1; width > 0.01; width *= 0.5)
        for (int k = 0; k < 8; k++) {
            damped c = best;
            double *part[] = {&c.alpha, &c.beta, &c.phi, &c.gamma};
            double *x = part[k / 2];
            *x = fmin(0.99, fmax(0.001, *x + (k % 2 ? width : -width)));
            double sum = smooth(y, n, m, c, season, 0, NULL);
            if (sum < least) {
                least = sum;
                best = c;
            }
        }
    return best;
}

static rub_status damped_trend(const double *value, int32_t n, int32_t m, int32_t h, double *out) {
    double *y = RUB_NEW(double, n), *season = RUB_NEW(double, m);
    bool positive = true;
    for (int32_t i = 0; i < n; i++)
        positive = positive && value[i] > 0;
    if (y && season) {
        for (int32_t i = 0; i < n; i++)
            y[i] = positive ? log(value[i]) : value[i];
        smooth(y, n, m, fit_damped(y, n, m, season), season, h, out);
        for (int32_t i = 0; positive && i < h; i++)
            out[i] = exp(fmin(out[i], 700.0));
    }
    rub_status status = y && season ? RUB_OK : RUB_NO_MEMORY;
    free(y);
    free(season);
    return status;
}

/* Squared error of a logistic with ceiling k; a + b t by least squares on the logits. */
static double logistic(const double *y, int32_t n, double k, double *a, double *b) {
    double st = 0, sz = 0, stt = 0, stz = 0, sum = 0;
    for (int32_t t = 0; t < n; t++) {
        double z = log(y[t] / (k - y[t]));
        st += t;
        sz += z;
        stt += (double)t * t;
        stz += t * z;
    }
    double d = n * stt - st * st;
    *b = d > 0 ? (n * stz - st * sz) / d : 0.0;
    *a = (sz - *b * st) / n;
    for (int32_t t = 0; t < n; t++) {
        double e = log(y[t]) - log(k / (1.0 + exp(-(*a + *b * t))));
        sum += e * e;
    }
    return sum;
}

/* The curve's last level is moved to the last values, so that it goes on from where the series is. */
static void growth_curve(const double *y, int32_t n, int32_t m, int32_t h, double *out) {
    double most = 0.0, a, b, best_a = 0, best_b = 0, best_k = 0, least = HUGE_VAL;
    bool positive = true;
    for (int32_t i = 0; i < n; i++) {
        positive = positive && y[i] > 0;
        most = fmax(most, y[i]);
    }
    if (!positive) {
        seasonal_naive(y, n, m, h, out);
        return;
    }
    for (double k = 1.05 * most; k < 60.0 * most; k *= 1.25) {
        double sum = logistic(y, n, k, &a, &b);
        if (sum < least * 0.999) {
            least = sum;
            best_a = a;
            best_b = b;
            best_k = k;
        }
    }
    for (double step = 1.118; step > 1.005; step = sqrt(step)) /* between the coarse ceilings */
        for (int up = 0; up < 2; up++) {
            double k = up ? best_k * step : best_k / step;
            double sum = k > 1.01 * most ? logistic(y, n, k, &a, &b) : HUGE_VAL;
            if (sum < least * 0.999) {
                least = sum;
                best_a = a;
                best_b = b;
                best_k = k;
            }
        }
    double recent = 0.0;
    int32_t tail = m > 1 ? m : n < 4 ? 1 : 4;
    for (int32_t t = n - tail; t < n; t++)
        recent += log(y[t]) - log(best_k / (1.0 + exp(-(best_a + best_b * t))));
    for (int32_t i = 0; i < h; i++)
        out[i] = exp(recent / tail) * best_k / (1.0 + exp(-(best_a + best_b * (n + i))));
}

rub_status rub_forecast_point(int method, const double *value, int32_t n, int32_t season, int32_t h,
                              double *out) {
    int32_t m = season > 1 && n >= 2 * season ? season : 1;
    if (method == RUB_METHOD_DAMPED)
        return damped_trend(value, n, m, h, out);
    if (method == RUB_METHOD_GROWTH)
        growth_curve(value, n, m, h, out);
    else
        seasonal_naive(value, n, m, h, out);
    return RUB_OK;
}
