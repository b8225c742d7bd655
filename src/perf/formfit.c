#include "perf/formfit.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* SMOOTH: weight of a squared second difference against a squared error of one sample (tried 0.03 to
 * 3 on H100 and B200; errors on left-out shapes are flat from 0.1 to 1). RIDGE keeps values that no
 * sample touches at zero. Errors beyond LINEAR_FROM count by their size, not their square. */
static const double SMOOTH = 0.3, RIDGE = 1e-3, LINEAR_FROM = 0.02, SCALE = 0.05;
enum { ROUNDS = 6, MIN_SAMPLES = 12, MIX = 1 << RUB_MAX_AXES };

typedef struct fit {
    int n_value;
    size_t n;
    const rub_curve *curve;
    double *target;  /* log(measured / base) (n) */
    double *weight;  /* (n) */
    double *feature; /* (n, RUB_MAX_FEATURES) */
    double *penalty; /* (n_value, n_value), lower triangle */
    double *matrix;  /* (n_value, n_value), lower triangle, then its Cholesky factor */
    double *value;   /* (n_value) */
} fit;

bool rub_sample_left_out(const rub_sample *sample) {
    uint64_t x = sample->group;
    x = (x ^ (x >> 31)) * 0x9e3779b97f4a7c15ull;
    return ((x ^ (x >> 29)) >> 7) % 5 == 0;
}

static int mix_all(const rub_curve *c, const double *feature, int *index, double *weight) {
    int n = 0;
    for (int g = 0; g < c->n_grid; g++)
        n += rub_grid_mix(&c->grid[g], feature, index + n, weight + n);
    return n;
}

/* Adds w * (sum of coefficient * value)^2 to a quadratic form. */
static void add_square(double *matrix, int n_value, const int *index, const double *coefficient,
                       int n, double w) {
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            if (index[j] <= index[i])
                matrix[(size_t)index[i] * n_value + index[j]] +=
                    w * coefficient[i] * coefficient[j];
}

/* Second differences along each axis of each grid (first ones where an axis has two knots). */
static void add_penalty(const rub_curve *c, double *matrix) {
    for (int g = 0; g < c->n_grid; g++) {
        const rub_grid *grid = &c->grid[g];
        for (int a = 0, stride = grid->n; a < grid->n_axis; a++) {
            int n = grid->axis[a].n, order = n < 3 ? 1 : 2;
            stride /= n;
            for (int i = 0; i < grid->n; i++) {
                int at = grid->first + i;
                if (i / stride % n >= n - order)
                    continue;
                int index[3] = {at, at + stride, at + 2 * stride};
                static const double first[] = {-1.0, 1.0}, second[] = {1.0, -2.0, 1.0};
                add_square(matrix, c->n_value, index, order == 1 ? first : second, order + 1,
                           SMOOTH);
            }
        }
    }
    /* several grids overlap in their constant: a little ridge makes the sum unique */
    double ridge = c->n_grid > 1 ? 30.0 * RIDGE : RIDGE;
    for (int i = 0; i < c->n_value; i++)
        matrix[(size_t)i * c->n_value + i] += ridge * ridge;
}

/* In place, lower triangle by rows. false: not positive definite. */
static bool cholesky(double *a, int n) {
    for (int i = 0; i < n; i++) {
        double *row = a + (size_t)i * n;
        for (int j = 0; j <= i; j++) {
            const double *other = a + (size_t)j * n;
            double s0 = 0.0, s1 = 0.0, s2 = 0.0, s3 = 0.0;
            int k = 0;
            for (; k + 4 <= j; k += 4) {
                s0 += row[k] * other[k];
                s1 += row[k + 1] * other[k + 1];
                s2 += row[k + 2] * other[k + 2];
                s3 += row[k + 3] * other[k + 3];
            }
            for (; k < j; k++)
                s0 += row[k] * other[k];
            double s = row[j] - ((s0 + s1) + (s2 + s3));
            if (j < i)
                row[j] = s / other[j];
            else if (s > 0.0)
                row[i] = sqrt(s);
            else
                return false;
        }
    }
    return true;
}

static void substitute(const double *a, int n, double *x) {
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < i; k++)
            x[i] -= a[(size_t)i * n + k] * x[k];
        x[i] /= a[(size_t)i * n + i];
    }
    for (int i = n - 1; i >= 0; i--) {
        x[i] /= a[(size_t)i * n + i];
        for (int k = 0; k < i; k++)
            x[k] -= a[(size_t)i * n + k] * x[i];
    }
}

static bool solve_once(fit *f) {
    int index[MIX * RUB_MAX_GRIDS];
    double weight[MIX * RUB_MAX_GRIDS];
    size_t n = (size_t)f->n_value;
    memcpy(f->matrix, f->penalty, n * n * sizeof(double));
    memset(f->value, 0, n * sizeof(double));
    for (size_t s = 0; s < f->n; s++) {
        int m = mix_all(f->curve, f->feature + s * RUB_MAX_FEATURES, index, weight);
        add_square(f->matrix, f->n_value, index, weight, m, f->weight[s]);
        for (int i = 0; i < m; i++)
            f->value[index[i]] += f->weight[s] * weight[i] * f->target[s];
    }
    if (!cholesky(f->matrix, f->n_value))
        return false;
    substitute(f->matrix, f->n_value, f->value);
    for (size_t s = 0; s < f->n; s++) {
        int m = mix_all(f->curve, f->feature + s * RUB_MAX_FEATURES, index, weight);
        double r = -f->target[s];
        for (int i = 0; i < m; i++)
            r += weight[i] * f->value[index[i]];
        r = fabs(r);
        f->weight[s] = SCALE / (r > LINEAR_FROM ? r : LINEAR_FROM);
    }
    return true;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Four fifths of the second percentile: under every measured time of a small shape but flukes. */
static rub_status floor_of(const rub_sample *sample, size_t n, double *out) {
    double *t = RUB_NEW(double, n);
    size_t kept = 0;
    if (!t)
        return RUB_NO_MEMORY;
    for (size_t i = 0; i < n; i++)
        if (!rub_sample_left_out(&sample[i]))
            t[kept++] = sample[i].seconds;
    qsort(t, kept, sizeof *t, by_value);
    *out = kept ? 0.8 * t[kept / 50] : 0.0;
    free(t);
    return RUB_OK;
}

static void widen(rub_curve *c, const double *feature, bool first) {
    for (int i = 0; rub_family_features(c->family)[i]; i++) {
        c->domain[i][0] = first ? feature[i] : fmin(c->domain[i][0], feature[i]);
        c->domain[i][1] = first ? feature[i] : fmax(c->domain[i][1], feature[i]);
    }
}

static bool allocate(fit *f, size_t n) {
    size_t values = (size_t)f->n_value;
    f->target = RUB_NEW(double, n);
    f->weight = RUB_NEW(double, n);
    f->feature = RUB_NEW(double, n *RUB_MAX_FEATURES);
    f->penalty = RUB_NEW(double, values *values);
    f->matrix = RUB_NEW(double, values *values);
    f->value = RUB_NEW(double, values);
    return f->target && f->weight && f->feature && f->penalty && f->matrix && f->value;
}

static void release(fit *f) {
    free(f->target);
    free(f->weight);
    free(f->feature);
    free(f->penalty);
    free(f->matrix);
    free(f->value);
}

static void load_samples(fit *f, rub_curve *c, const rub_peaks *peaks, const rub_sample *sample,
                         size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (rub_sample_left_out(&sample[i]))
            continue;
        double *feature = f->feature + f->n * RUB_MAX_FEATURES;
        rub_shape_features(c->family, &sample[i].shape, feature);
        widen(c, feature, f->n == 0);
        f->target[f->n] = log(sample[i].seconds / rub_curve_base(c, peaks, &sample[i].shape));
        f->weight[f->n++] = 1.0;
    }
}

/* Weighted absolute residual of the last round: how well the samples were met. */
static double misfit(const fit *f) {
    double sum = 0.0;
    for (size_t s = 0; s < f->n; s++)
        sum += SCALE / f->weight[s];
    return f->n ? sum / (double)f->n : INFINITY;
}

/* One fit with the curve's floor and cache as they are; *out is its misfit. */
static rub_status fit_once(rub_curve *c, const rub_peaks *peaks, const rub_sample *sample, size_t n,
                           int rounds, fit *f, double *out, rub_error *err) {
    f->n = 0;
    load_samples(f, c, peaks, sample, n);
    if (f->n < MIN_SAMPLES)
        return rub_error_set(err, RUB_INVALID, "%zu measurements of %s %s, expected %d or more",
                             f->n, rub_family_name(c->family), c->variant, MIN_SAMPLES);
    for (int r = 0; r < rounds; r++)
        if (!solve_once(f))
            return rub_error_set(err, RUB_SOLVER, "the fit of %s %s is singular",
                                 rub_family_name(c->family), c->variant);
    *out = misfit(f);
    return RUB_OK;
}

/* Decode attention: is there a cache, of which size? The size of A100's and H100's (40, 50 MB), L40S's
 * (96), Blackwell's (126). It must explain a twentieth of the misfit to be believed. */
static rub_status find_cache(rub_curve *c, const rub_peaks *peaks, const rub_sample *sample,
                             size_t n, fit *f, rub_error *err) {
    static const double sizes[] = {40e6, 50e6, 96e6, 126e6};
    double best = 0.0, found = 0.0, m = 0.0;
    RUB_TRY(fit_once(c, peaks, sample, n, 1, f, &best, err));
    best *= 0.95;
    for (size_t i = 0; i < RUB_LEN(sizes); i++) {
        c->cache_bytes = sizes[i];
        c->cache_gain = 3.0;
        RUB_TRY(fit_once(c, peaks, sample, n, 1, f, &m, err));
        if (m < best) {
            best = m;
            found = sizes[i];
        }
    }
    c->cache_bytes = found;
    c->cache_gain = found > 0.0 ? 3.0 : 1.0;
    return RUB_OK;
}

rub_status rub_curve_fit(rub_curve *c, const rub_peaks *peaks, const rub_sample *sample, size_t n,
                         rub_error *err) {
    rub_curve_prepare(c);
    rub_family_grids(c->family, c);
    fit f = {.curve = c, .n_value = c->n_value};
    double last = 0.0;
    c->value = RUB_NEW(float, c->n_value); /* freed with the curve, on failure too */
    rub_status status = RUB_OK;
    if (!c->value || !allocate(&f, n) || floor_of(sample, n, &c->floor_s) != RUB_OK)
        status = rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    if (status == RUB_OK)
        add_penalty(c, f.penalty);
    if (status == RUB_OK && c->family == RUB_FAMILY_DECODE)
        status = find_cache(c, peaks, sample, n, &f, err);
    if (status == RUB_OK)
        status = fit_once(c, peaks, sample, n, ROUNDS, &f, &last, err);
    for (int i = 0; status == RUB_OK && i < c->n_value; i++)
        c->value[i] = (float)f.value[i];
    if (status == RUB_OK)
        rub_curve_round(c);
    c->error.n_fitted = (int64_t)f.n;
    release(&f);
    return status == RUB_OK ? rub_curve_judge(c, peaks, sample, n, &c->error, err) : status;
}

static int by_group(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

rub_status rub_curve_judge(const rub_curve *c, const rub_peaks *peaks, const rub_sample *sample,
                           size_t n, rub_curve_error *out, rub_error *err) {
    double *ratio = RUB_NEW(double, n);
    uint64_t *group = RUB_NEW(uint64_t, n);
    rub_curve_error e = {.n_fitted = c->error.n_fitted};
    size_t k = 0;
    if (!ratio || !group) {
        free(ratio);
        free(group);
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    }
    for (size_t i = 0; i < n; i++)
        if (rub_sample_left_out(&sample[i])) {
            group[k] = sample[i].group;
            ratio[k++] = rub_curve_seconds(c, peaks, &sample[i].shape) / sample[i].seconds - 1.0;
        }
    qsort(group, k, sizeof *group, by_group);
    for (size_t i = 0; i < k; i++)
        e.n_group_left_out += i == 0 || group[i] != group[i - 1];
    qsort(ratio, k, sizeof *ratio, by_value);
    e.bias = k ? ratio[k / 2] : NAN;
    for (size_t i = 0; i < k; i++)
        ratio[i] = fabs(ratio[i]);
    qsort(ratio, k, sizeof *ratio, by_value);
    e.n_left_out = (int64_t)k;
    e.median = k ? ratio[k / 2] : NAN;
    e.p90 = k ? ratio[(size_t)(0.9 * (double)k)] : NAN;
    free(ratio);
    free(group);
    *out = e;
    return RUB_OK;
}
