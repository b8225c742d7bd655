/* Errors of predictions: relative errors, their quantiles, and whether the order is right. */
#include "validate/validate.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const rub_metric_names[RUB_N_METRIC] = {"tpot", "ttft", "throughput"};

int32_t rub_silicon_accelerators(const rub_silicon_row *row) {
    const rub_silicon_pool *p = &row->pool, *q = &row->prefill;
    if (!row->disagg)
        return p->tp * p->dp;
    int32_t n = (p->workers > 0 ? p->workers : 1), m = (q->workers > 0 ? q->workers : 1);
    return n * p->tp * p->dp + m * q->tp * q->dp;
}

double rub_silicon_throughput(const rub_silicon_row *row, double ttft_s, double tpot_s) {
    double output = rub_silicon_mean_frac(row) * row->output_tok;
    double request_s = ttft_s + (output - 1.0) * tpot_s;
    return row->concurrency * output / (request_s * rub_silicon_accelerators(row));
}

double rub_silicon_measured(const rub_silicon_row *row, rub_metric metric) {
    if (metric == RUB_METRIC_THROUGHPUT)
        return rub_silicon_throughput(row, row->ttft_s, row->tpot_s);
    return metric == RUB_METRIC_TTFT ? row->ttft_s : row->tpot_s;
}

double rub_silicon_predicted(const rub_silicon_row *row, rub_metric metric) {
    if (metric == RUB_METRIC_THROUGHPUT)
        return rub_silicon_throughput(row, row->ttft_predicted_s, row->tpot_predicted_s);
    return metric == RUB_METRIC_TTFT ? row->ttft_predicted_s : row->tpot_predicted_s;
}

typedef struct pick {
    const rub_silicon_row *row;
    double measured, predicted, rank[2];
} pick;

static int by_double(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int by_measured(const void *a, const void *b) {
    return by_double(&((const pick *)a)->measured, &((const pick *)b)->measured);
}

static int by_predicted(const void *a, const void *b) {
    return by_double(&((const pick *)a)->predicted, &((const pick *)b)->predicted);
}

/* Mean ranks of equal values. */
static void rank(pick *p, size_t n, int which) {
    qsort(p, n, sizeof *p, which ? by_predicted : by_measured);
    for (size_t i = 0, j; i < n; i = j) {
        double value = which ? p[i].predicted : p[i].measured;
        for (j = i; j < n && (which ? p[j].predicted : p[j].measured) == value; j++)
            ;
        for (size_t k = i; k < j; k++)
            p[k].rank[which] = 0.5 * (double)(i + j - 1);
    }
}

static double rank_correlation(pick *p, size_t n) {
    double mean = 0.5 * ((double)n - 1.0), xy = 0.0, xx = 0.0, yy = 0.0;
    rank(p, n, 0);
    rank(p, n, 1);
    for (size_t i = 0; i < n; i++) {
        double x = p[i].rank[0] - mean, y = p[i].rank[1] - mean;
        xy += x * y;
        xx += x * x;
        yy += y * y;
    }
    return xx > 0.0 && yy > 0.0 ? xy / sqrt(xx * yy) : NAN;
}

/* Pairs that someone would choose between: the same model and lengths, different results. */
static double ordered(const pick *p, size_t n) {
    double right = 0.0, all = 0.0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++) {
            const rub_silicon_row *a = p[i].row, *b = p[j].row;
            if (a->input_tok != b->input_tok || a->output_tok != b->output_tok ||
                strcmp(a->model, b->model) != 0 || p[i].measured == p[j].measured)
                continue;
            all += 1.0;
            right += (p[i].measured > p[j].measured) == (p[i].predicted > p[j].predicted);
        }
    return all > 0.0 ? right / all : NAN;
}

/* Linear interpolation between order statistics. */
static double quantile(const double *sorted, size_t n, double q) {
    double at = q * (double)(n - 1);
    size_t low = (size_t)at, high = low + 1 < n ? low + 1 : low;
    return sorted[low] + (at - (double)low) * (sorted[high] - sorted[low]);
}

static rub_score score_of(pick *p, size_t n, double *scratch) {
    rub_score s = {n, NAN, NAN, NAN, NAN, NAN, NAN};
    if (n == 0)
        return s;
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        scratch[i] = p[i].predicted / p[i].measured - 1.0;
    qsort(scratch, n, sizeof *scratch, by_double);
    s.bias = quantile(scratch, n, 0.5);
    for (size_t i = 0; i < n; i++)
        sum += scratch[i] = fabs(scratch[i]);
    qsort(scratch, n, sizeof *scratch, by_double);
    s.median_ape = quantile(scratch, n, 0.5);
    s.p90_ape = quantile(scratch, n, 0.9);
    s.mean_ape = sum / (double)n;
    s.rank_correlation = rank_correlation(p, n);
    s.ordered_frac = ordered(p, n);
    return s;
}

rub_status rub_silicon_score(const rub_silicon *silicon, rub_row_filter filter, const void *ctx,
                             rub_score score[RUB_N_METRIC], rub_error *err) {
    pick *p = RUB_NEW(pick, silicon->n_row + 1);
    double *scratch = RUB_NEW(double, silicon->n_row + 1);
    rub_status status = p && scratch ? RUB_OK : rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    for (int m = 0; status == RUB_OK && m < RUB_N_METRIC; m++) {
        size_t n = 0;
        for (size_t i = 0; i < silicon->n_row; i++) {
            const rub_silicon_row *r = &silicon->row[i];
            if (isnan(r->tpot_predicted_s) || (filter && !filter(r, ctx)))
                continue;
            p[n++] = (pick){.row = r,
                            .measured = rub_silicon_measured(r, (rub_metric)m),
                            .predicted = rub_silicon_predicted(r, (rub_metric)m)};
        }
        score[m] = score_of(p, n, scratch);
    }
    free(p);
    free(scratch);
    return status;
}
