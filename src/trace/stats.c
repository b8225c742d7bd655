/* Statistics of a trace: rates, lengths, burstiness. */
#include "rubato/trace.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>

static int by_value(const void *a, const void *b) {
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* Linear interpolation between order statistics (Hyndman and Fan's type 7, numpy's default). */
static double quantile(const int32_t *sorted, size_t n, double q) {
    double at = q * (double)(n - 1);
    size_t low = (size_t)at;
    double high = low + 1 < n ? sorted[low + 1] : sorted[low];
    return sorted[low] + (at - (double)low) * (high - sorted[low]);
}

/* Sorts by counting, as lengths are small numbers; by comparing where that would need more room. */
static rub_status sort_lengths(int32_t *tok, size_t n, rub_error *err) {
    int32_t most = 0;
    for (size_t i = 0; i < n; i++)
        most = tok[i] > most ? tok[i] : most;
    if ((size_t)most > 4 * n + 65536) {
        qsort(tok, n, sizeof *tok, by_value);
        return RUB_OK;
    }
    size_t *count = RUB_NEW(size_t, (size_t)most + 1), at = 0;
    if (!count)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for %zu lengths", n);
    for (size_t i = 0; i < n; i++)
        count[tok[i]]++;
    for (int32_t x = 0; x <= most; x++)
        for (size_t c = count[x]; c > 0; c--)
            tok[at++] = x;
    free(count);
    return RUB_OK;
}

static rub_status lengths(const int32_t *tok, size_t n, rub_trace_quantiles *out,
                          size_t log2_bin[26], rub_error *err) {
    int32_t *sorted = RUB_NEW(int32_t, n);
    double sum = 0.0;
    if (!sorted)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for %zu lengths", n);
    for (size_t i = 0; i < n; i++) {
        sorted[i] = tok[i];
        sum += tok[i];
        log2_bin[31 - __builtin_clz((unsigned)tok[i])]++;
    }
    rub_status status = sort_lengths(sorted, n, err);
    if (status == RUB_OK)
        *out = (rub_trace_quantiles){.p50 = quantile(sorted, n, 0.5),
                                     .p90 = quantile(sorted, n, 0.9),
                                     .p99 = quantile(sorted, n, 0.99),
                                     .max = sorted[n - 1],
                                     .mean = sum / (double)n};
    free(sorted);
    return status;
}

/* Variance over mean of the counts in windows of width s: 1 for Poisson. NaN under two windows. Goes
 * over requests, so that long silences cost nothing. */
static double dispersion(const rub_trace *t, double span, double width) {
    double windows = floor(span / width), current = 0.0, count = 0.0, sum = 0.0, squares = 0.0;
    if (windows < 2)
        return NAN;
    for (size_t i = 0; i < t->n_req; i++) {
        double w = floor(t->arrival_s[i] / width);
        if (w >= windows)
            break;
        if (w != current) {
            squares += count * count;
            count = 0.0;
            current = w;
        }
        count++;
        sum++;
    }
    squares += count * count;
    double mean = sum / windows;
    return mean > 0 ? (squares / windows - mean * mean) / mean : NAN;
}

static double arrival_cv(const rub_trace *t) {
    double n = (double)t->n_req - 1, squares = 0.0;
    if (n < 2)
        return NAN;
    double mean = (t->arrival_s[t->n_req - 1] - t->arrival_s[0]) / n;
    for (size_t i = 1; i < t->n_req; i++) {
        double d = t->arrival_s[i] - t->arrival_s[i - 1] - mean;
        squares += d * d;
    }
    return mean > 0 ? sqrt(squares / n) / mean : NAN;
}

static void bins(const rub_trace *t, rub_trace_stats *s) {
    s->bin_s = s->span_s / RUB_TRACE_N_BIN;
    if (!(s->bin_s > 0))
        return;
    for (size_t i = 0; i < t->n_req; i++) {
        size_t b = (size_t)(t->arrival_s[i] / s->bin_s);
        s->rate_bin[b < RUB_TRACE_N_BIN ? b : RUB_TRACE_N_BIN - 1] += 1.0 / s->bin_s;
    }
    double most = 0.0;
    for (int b = 0; b < RUB_TRACE_N_BIN; b++)
        most = fmax(most, s->rate_bin[b]);
    s->peak_to_mean = most * s->span_s / (double)t->n_req;
}

rub_status rub_trace_stats_of(const rub_trace *trace, rub_trace_stats *out, rub_error *err) {
    size_t n = trace->n_req;
    if (n == 0)
        return rub_error_set(err, RUB_INVALID, "trace has no requests");
    rub_trace_stats s = {.n_req = n, .span_s = trace->arrival_s[n - 1] - trace->arrival_s[0]};
    RUB_TRY(lengths(trace->input_tok, n, &s.input, s.input_log2, err));
    RUB_TRY(lengths(trace->output_tok, n, &s.output, s.output_log2, err));
    s.rate_per_s = s.span_s > 0 ? ((double)n - 1) / s.span_s : 0.0;
    s.input_tok_per_s = s.rate_per_s * s.input.mean;
    s.output_tok_per_s = s.rate_per_s * s.output.mean;
    s.arrival_cv = arrival_cv(trace);
    s.dispersion_1s = dispersion(trace, s.span_s, 1.0);
    s.dispersion_10s = dispersion(trace, s.span_s, 10.0);
    s.dispersion_60s = dispersion(trace, s.span_s, 60.0);
    bins(trace, &s);
    *out = s;
    return RUB_OK;
}
