/* The fleet over time, from the times of its requests: each interval adds a line a + b t to the
 * steps that it covers, by differences, so that a request costs the same however long it takes. */
#include "rubato/serve.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>

typedef struct lines {
    double *a, *b; /* differences (n + 1) */
} lines;

/* Steps k with from <= k * step < to. */
static void add(lines x, const rub_timeline *t, double from_s, double to_s, double a, double b) {
    size_t low = (size_t)ceil(from_s / t->step_s), high = (size_t)ceil(to_s / t->step_s);
    if (low >= high || low >= t->n)
        return;
    high = high < t->n ? high : t->n;
    x.a[low] += a;
    x.a[high] -= a;
    x.b[low] += b;
    x.b[high] -= b;
}

static void sum_up(lines x, const rub_timeline *t, double *out) {
    double a = 0.0, b = 0.0;
    for (size_t k = 0; k < t->n; k++) {
        a += x.a[k];
        b += x.b[k];
        double v = a + b * ((double)k * t->step_s);
        out[k] = v > 1e-6 ? v : 0.0; /* what differences leave behind */
    }
}

enum { WAITING, PREFILLING, DECODING, KV, RATE, N_LINE };

static void add_request(lines x[N_LINE], const rub_timeline *t, const rub_trace *trace,
                        const rub_serve_times *times, size_t i) {
    double at = times->arrival_s[i], start = times->scheduled_s[i];
    double first = times->first_token_s[i], end = times->finish_s[i];
    double input = trace->input_tok[i], more = trace->output_tok[i] - 1;
    add(x[WAITING], t, at, start, 1, 0);
    add(x[PREFILLING], t, start, first, 1, 0);
    double per_s = input / (first - start);
    add(x[KV], t, start, first, -per_s * start, per_s);
    if (!(end > first))
        return;
    per_s = more / (end - first);
    add(x[DECODING], t, first, end, 1, 0);
    add(x[KV], t, first, end, input + 1 - per_s * first, per_s);
    add(x[RATE], t, first, end, per_s, 0);
}

void rub_timeline_clear(rub_timeline *t) {
    free(t->arrival_per_s);
    free(t->waiting);
    free(t->prefilling);
    free(t->decoding);
    free(t->kv_tok);
    free(t->output_tok_per_s);
    *t = (rub_timeline){0};
}

static bool init(rub_timeline *t) {
    t->arrival_per_s = RUB_NEW(double, t->n);
    t->waiting = RUB_NEW(double, t->n);
    t->prefilling = RUB_NEW(double, t->n);
    t->decoding = RUB_NEW(double, t->n);
    t->kv_tok = RUB_NEW(double, t->n);
    t->output_tok_per_s = RUB_NEW(double, t->n);
    return t->arrival_per_s && t->waiting && t->prefilling && t->decoding && t->kv_tok &&
           t->output_tok_per_s;
}

static bool fill(rub_timeline *t, const rub_trace *trace, const rub_serve_times *times) {
    double *data = RUB_NEW(double, 2 * N_LINE * (t->n + 1));
    lines x[N_LINE];
    if (!data)
        return false;
    for (size_t k = 0; k < N_LINE; k++)
        x[k] = (lines){data + 2 * k * (t->n + 1), data + (2 * k + 1) * (t->n + 1)};
    for (size_t i = 0; i < trace->n_req; i++) {
        size_t k = (size_t)(times->arrival_s[i] / t->step_s);
        if (k < t->n)
            t->arrival_per_s[k] += 1.0 / t->step_s;
        if (!isnan(times->finish_s[i]))
            add_request(x, t, trace, times, i);
    }
    double *into[] = {t->waiting, t->prefilling, t->decoding, t->kv_tok, t->output_tok_per_s};
    for (size_t k = 0; k < N_LINE; k++)
        sum_up(x[k], t, into[k]);
    free(data);
    return true;
}

rub_status rub_serve_timeline(const rub_trace *trace, const rub_serve_times *times, double step_s,
                              rub_timeline *out, rub_error *err) {
    double end_s = 0.0;
    for (size_t i = 0; i < trace->n_req; i++)
        end_s = fmax(end_s, isnan(times->finish_s[i]) ? times->arrival_s[i] : times->finish_s[i]);
    if (!(step_s > 0) || !(end_s / step_s < 1e8))
        return rub_error_set(err, RUB_INVALID,
                             "timeline's step is %g s over %g s, expected at most 1e8 steps",
                             step_s, end_s);
    rub_timeline t = {.n = (size_t)(end_s / step_s) + 1, .step_s = step_s};
    if (!init(&t) || !fill(&t, trace, times)) {
        rub_timeline_clear(&t);
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for %zu steps", t.n);
    }
    *out = t;
    return RUB_OK;
}
