/* Measures: quantiles and rates over the requests that arrived in a window. */
#include "rubato/serve.h"

#include "base/array.h"
#include "serve/histogram.h"

#include <math.h>
#include <stdlib.h>

static double bin_middle(size_t i) {
    return ldexp(1.0 + ((double)(i & 63) + 0.5) / 64.0, (int)(i >> 6) - 30);
}

void rub_histogram_add(rub_histogram *h, double s, uint64_t n) {
    h->count[rub_histogram_bin(s)] += n;
    h->n += n;
    h->sum_s += s * (double)n;
    h->max_s = s > h->max_s ? s : h->max_s;
}

static double histogram_quantile(const rub_histogram *h, double q) {
    uint64_t rank = (uint64_t)ceil(q * (double)h->n), sum = 0;
    for (size_t i = 0; i < RUB_HISTOGRAM_N; i++) {
        sum += h->count[i];
        if (sum >= rank && sum > 0)
            return fmin(bin_middle(i), h->max_s);
    }
    return h->max_s;
}

rub_quantiles rub_histogram_quantiles(const rub_histogram *h) {
    if (h->n == 0)
        return (rub_quantiles){NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    return (rub_quantiles){.p50 = histogram_quantile(h, 0.5),
                           .p90 = histogram_quantile(h, 0.9),
                           .p95 = histogram_quantile(h, 0.95),
                           .p99 = histogram_quantile(h, 0.99),
                           .p999 = histogram_quantile(h, 0.999),
                           .max = h->max_s,
                           .mean = h->sum_s / (double)h->n};
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Linear interpolation between order statistics (type 7); infinite where a request never got there.
 */
static double quantile(const double *sorted, size_t n, double q) {
    double at = q * (double)(n - 1);
    size_t low = (size_t)at;
    double a = sorted[low], b = low + 1 < n ? sorted[low + 1] : a;
    return a == b ? a : a + (at - (double)low) * (b - a);
}

static rub_quantiles quantiles(double *value, size_t n) {
    double sum = 0.0;
    if (n == 0)
        return (rub_quantiles){NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    qsort(value, n, sizeof *value, by_value);
    for (size_t i = 0; i < n; i++)
        sum += value[i];
    return (rub_quantiles){.p50 = quantile(value, n, 0.5),
                           .p90 = quantile(value, n, 0.9),
                           .p95 = quantile(value, n, 0.95),
                           .p99 = quantile(value, n, 0.99),
                           .p999 = quantile(value, n, 0.999),
                           .max = value[n - 1],
                           .mean = sum / (double)n};
}

/* One request's measures [s]; infinite for what never happened. */
typedef struct spans {
    double ttft, tpot, e2e, waiting;
} spans;

static double or_never(double s) { return isnan(s) ? HUGE_VAL : s; }

static spans spans_of(const rub_trace *t, const rub_serve_times *times, size_t i) {
    double at = times->arrival_s[i], first = or_never(times->first_token_s[i]);
    double finish = or_never(times->finish_s[i]);
    int32_t n = t->output_tok[i];
    double tpot = n < 2 ? 0.0 : isinf(finish) ? HUGE_VAL : (finish - first) / (n - 1);
    return (spans){first - at, tpot, finish - at, or_never(times->scheduled_s[i]) - at};
}

static bool good(const spans *s, const rub_serve_targets *targets) {
    return !isinf(s->e2e) && (targets->ttft_s <= 0 || s->ttft <= targets->ttft_s) &&
           (targets->tpot_s <= 0 || s->tpot <= targets->tpot_s) &&
           (targets->e2e_s <= 0 || s->e2e <= targets->e2e_s);
}

rub_status rub_serve_measure(const rub_trace *trace, const rub_serve_times *times,
                             const rub_serve_targets *targets, double from_s, double to_s,
                             rub_measures *out, rub_error *err) {
    size_t n = 0, n_tpot = 0;
    double *value[4], input = 0.0, output = 0.0;
    rub_measures m = {.from_s = from_s, .to_s = to_s};
    bool ok = true;
    for (int k = 0; k < 4; k++)
        ok = (value[k] = RUB_NEW(double, trace->n_req)) && ok;
    for (size_t i = 0; ok && i < trace->n_req; i++) {
        if (times->arrival_s[i] < from_s || times->arrival_s[i] > to_s)
            continue;
        spans s = spans_of(trace, times, i);
        value[0][n] = s.ttft;
        value[1][n] = s.e2e;
        value[2][n++] = s.waiting;
        if (trace->output_tok[i] >= 2)
            value[3][n_tpot++] = s.tpot;
        m.n_finished += !isinf(s.e2e);
        m.n_good += good(&s, targets);
        input += trace->input_tok[i];
        output += trace->output_tok[i];
    }
    double span = to_s > from_s ? to_s - from_s : NAN;
    if (ok) {
        m.n_req = n;
        m.ttft = quantiles(value[0], n);
        m.e2e = quantiles(value[1], n);
        m.waiting = quantiles(value[2], n);
        m.tpot = quantiles(value[3], n_tpot);
        m.request_per_s = (double)n / span;
        m.input_tok_per_s = input / span;
        m.output_tok_per_s = output / span;
        m.goodput_per_s = (double)m.n_good / span;
        *out = m;
    }
    for (int k = 0; k < 4; k++)
        free(value[k]);
    return ok ? RUB_OK : rub_error_set(err, RUB_NO_MEMORY, "out of memory for measures");
}
