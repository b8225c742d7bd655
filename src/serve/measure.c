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

double rub_histogram_quantile(const rub_histogram *h, double q) {
    if (h->n == 0)
        return NAN;
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
    return (rub_quantiles){.p50 = rub_histogram_quantile(h, 0.5),
                           .p90 = rub_histogram_quantile(h, 0.9),
                           .p95 = rub_histogram_quantile(h, 0.95),
                           .p99 = rub_histogram_quantile(h, 0.99),
                           .p999 = rub_histogram_quantile(h, 0.999),
                           .max = h->max_s,
                           .mean = h->sum_s / (double)h->n};
}

/* Puts the value of rank k where it would stand if v[n] were sorted, smaller ones before it: Hoare's
 * selection, pivots by a fixed generator, so that no order of times is a bad one for long. */
static void place(double *v, size_t n, size_t k) {
    size_t low = 0, high = n - 1;
    uint64_t random = 0x9e3779b97f4a7c15u;
    while (low < high) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        double pivot = v[low + (size_t)(random >> 33) % (high - low + 1)];
        size_t i = low, j = high;
        while (i <= j) {
            while (v[i] < pivot)
                i++;
            while (v[j] > pivot)
                j--;
            if (i > j)
                break;
            double swapped = v[i];
            v[i++] = v[j];
            v[j] = swapped;
            if (j-- == 0)
                break;
        }
        if (k <= j && j != SIZE_MAX)
            high = j;
        else if (k >= i)
            low = i;
        else
            return;
    }
}

/* Linear interpolation between order statistics (type 7); infinite where a request never got there.
 * Ranks come in ascending order; what stands before *from has been placed. */
static double quantile(double *v, size_t n, double q, size_t *from) {
    double at = q * (double)(n - 1);
    size_t low = (size_t)at, next = low + 1 < n ? low + 1 : low;
    place(v + *from, n - *from, low - *from);
    *from = low;
    double a = v[low], b = a;
    if (next > low) {
        b = v[next];
        for (size_t i = next; i < n; i++)
            b = v[i] < b ? v[i] : b;
    }
    /* at a rank itself what comes after does not count, be it infinite */
    return a == b || at == (double)low ? a : a + (at - (double)low) * (b - a);
}

/* Reorders value. */
static rub_quantiles quantiles(double *value, size_t n) {
    double sum = 0.0, most = -HUGE_VAL;
    size_t from = 0;
    if (n == 0)
        return (rub_quantiles){NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    for (size_t i = 0; i < n; i++) {
        sum += value[i];
        most = value[i] > most ? value[i] : most;
    }
    rub_quantiles out = {.max = most, .mean = sum / (double)n};
    out.p50 = quantile(value, n, 0.5, &from);
    out.p90 = quantile(value, n, 0.9, &from);
    out.p95 = quantile(value, n, 0.95, &from);
    out.p99 = quantile(value, n, 0.99, &from);
    out.p999 = quantile(value, n, 0.999, &from);
    return out;
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

/* Which of a request's spans a pass over the requests gathers. */
typedef enum which { TTFT, E2E, WAITING, TPOT, N_WHICH } which;

static rub_quantiles gather(const rub_trace *trace, const rub_serve_times *times, which w,
                            const rub_measures *window, double *scratch) {
    size_t n = 0;
    for (size_t i = 0; i < trace->n_req; i++) {
        if (times->arrival_s[i] < window->from_s || times->arrival_s[i] > window->to_s ||
            (w == TPOT && trace->output_tok[i] < 2))
            continue;
        spans s = spans_of(trace, times, i);
        const double value[N_WHICH] = {s.ttft, s.e2e, s.waiting, s.tpot};
        scratch[n++] = value[w];
    }
    return quantiles(scratch, n);
}

/* One column of scratch at a time: ten million requests are to be measured in little memory. */
rub_status rub_serve_measure(const rub_trace *trace, const rub_serve_times *times,
                             const rub_serve_targets *targets, double from_s, double to_s,
                             rub_measures *out, rub_error *err) {
    rub_measures m = {.from_s = from_s, .to_s = to_s};
    double input = 0.0, output = 0.0, span = to_s > from_s ? to_s - from_s : NAN;
    double *scratch = RUB_NEW(double, trace->n_req);
    if (!scratch)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for measures");
    for (size_t i = 0; i < trace->n_req; i++) {
        if (times->arrival_s[i] < from_s || times->arrival_s[i] > to_s)
            continue;
        spans s = spans_of(trace, times, i);
        m.n_req++;
        m.n_finished += !isinf(s.e2e);
        m.n_good += good(&s, targets);
        input += trace->input_tok[i];
        output += trace->output_tok[i];
    }
    m.ttft = gather(trace, times, TTFT, &m, scratch);
    m.e2e = gather(trace, times, E2E, &m, scratch);
    m.waiting = gather(trace, times, WAITING, &m, scratch);
    m.tpot = gather(trace, times, TPOT, &m, scratch);
    m.request_per_s = (double)m.n_req / span;
    m.input_tok_per_s = input / span;
    m.output_tok_per_s = output / span;
    m.goodput_per_s = (double)m.n_good / span;
    free(scratch);
    *out = m;
    return RUB_OK;
}
