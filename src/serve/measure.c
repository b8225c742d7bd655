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

/* ---- offered and served ---------------------------------------------------------------------- */

/* Tokens of an answer of n delivered between from_s and to_s: the first one at first, the others
 * evenly until finish. */
static double delivered(double first, double finish, int32_t n, double from_s, double to_s) {
    if (isinf(first) || first > to_s || finish < from_s)
        return 0.0;
    double tok = first >= from_s ? 1.0 : 0.0, span = finish - first;
    double a = fmax(first, from_s), b = fmin(finish, to_s);
    return tok + (span > 0 && b > a ? (n - 1) * (b - a) / span : 0.0);
}

/* What was done in the window, and what stood undone at its end. */
static void serve(const rub_trace *t, const rub_serve_times *times, rub_measures *m) {
    double ended = 0.0, input = 0.0, output = 0.0, span = m->to_s - m->from_s, last = m->to_s;
    double taken_up = m->to_s;
    for (size_t i = 0; i < t->n_req; i++) {
        double at = times->arrival_s[i], finish = or_never(times->finish_s[i]);
        double first = or_never(times->first_token_s[i]),
               scheduled = or_never(times->scheduled_s[i]);
        ended += finish >= m->from_s && finish <= m->to_s;
        input += first >= m->from_s && first <= m->to_s ? t->input_tok[i] : 0;
        output += delivered(first, finish, t->output_tok[i], m->from_s, m->to_s);
        if (at > m->to_s || times->restarts[i] < 0)
            continue;
        m->n_unfinished += finish > m->to_s;
        m->n_waiting += scheduled > m->to_s;
        last = finish > last ? finish : last;
        taken_up = scheduled > taken_up ? scheduled : taken_up;
    }
    m->served_per_s = span > 0 ? ended / span : NAN;
    m->served_input_tok_per_s = span > 0 ? input / span : NAN;
    m->served_output_tok_per_s = span > 0 ? output / span : NAN;
    m->drain_s = last - m->to_s;
    m->taken_up_s = taken_up - m->to_s;
}

/* Mean E2E of the requests that arrived in the window's first tenth; 0: there are none. */
static double early_e2e(const rub_trace *t, const rub_serve_times *times, const rub_measures *m) {
    double until = m->from_s + 0.1 * (m->to_s - m->from_s), sum = 0.0, n = 0.0;
    for (size_t i = 0; i < t->n_req; i++)
        if (times->arrival_s[i] >= m->from_s && times->arrival_s[i] <= until &&
            !isnan(times->finish_s[i])) {
            sum += times->finish_s[i] - times->arrival_s[i];
            n++;
        }
    return n > 0 ? sum / n : 0.0;
}

static bool keeps_up(const rub_trace *t, const rub_serve_times *times,
                     const rub_serve_targets *targets, const rub_measures *m) {
    double span = m->to_s - m->from_s, patience = fmax(targets->ttft_s, targets->e2e_s);
    if (m->taken_up_s > RUB_SERVE_BACKLOG_FRAC * span + (patience > 0 ? patience : 1.0))
        return false;
    return m->drain_s <= 0.2 * span + 60.0 || m->drain_s <= 2.0 * early_e2e(t, times, m);
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
    serve(trace, times, &m);
    m.keeps_up = keeps_up(trace, times, targets, &m);
    free(scratch);
    *out = m;
    return RUB_OK;
}
