/* Client mixes of ServeGen (Xiang et al. 2025; alibaba/ServeGen): a load as the sum of its clients, each
 * with a rate and a burstiness of its own, under one curve of the whole load over time.
 *
 * Each client is a renewal process with gamma gaps of its coefficient of variation, in a time that runs
 * as fast as the load is high (Lambda(t), the integral of the curve over its mean). It has been running
 * for 4 cv^2 mean gaps when the trace begins, so that clients do not all start with a burst. Lengths are
 * drawn from the load's distributions, prompt and answer each on its own, since no joint one is
 * published. */
#include "rubato/trace.h"

#include "base/array.h"
#include "base/csvtable.h"
#include "base/file.h"
#include "base/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct column {
    double *v;
    size_t n;
} column;

typedef struct mix {
    column rate, cv;         /* of each client */
    column curve_s, curve;   /* the whole load's rate from each time on */
    column input, input_cum; /* tokens, and probability of so many or fewer */
    column output, output_cum;
    double total_per_s, mean, step_s;
} mix;

static void mix_clear(mix *m) {
    column *all[] = {&m->rate,  &m->cv,        &m->curve_s, &m->curve,
                     &m->input, &m->input_cum, &m->output,  &m->output_cum};
    for (size_t k = 0; k < RUB_LEN(all); k++)
        free(all[k]->v);
}

/* ---- reading ---- */

static rub_status numbers(const char *path, const rub_csv_table *t, size_t c, double least,
                          column *out, rub_error *err) {
    out->v = RUB_NEW(double, t->n_row + 1);
    if (!out->v)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for %zu rows", t->n_row);
    for (; out->n < t->n_row; out->n++) {
        const rub_csv_cell *cell = &t->cell[out->n * t->n_column + c];
        char *end;
        double x = strtod(cell->text, &end);
        if (end == cell->text || *end || !(x >= least) || !isfinite(x))
            return rub_error_set(err, RUB_PARSE,
                                 "%s:%d:%d: found '%.40s', expected a number of %g or more", path,
                                 cell->line, cell->column, cell->text, least);
        out->v[out->n] = x;
    }
    return RUB_OK;
}

/* The first two or three columns of PREFIX_NAME.csv or .csv.gz: a, b and, if wanted, c. */
static rub_status table(const char *prefix, const char *name, column *a, column *b, column *c,
                        double least_a, rub_error *err) {
    char path[4096];
    rub_file file;
    rub_csv_table t = {0};
    snprintf(path, sizeof path, "%s_%s.csv", prefix, name);
    if (access(path, F_OK) != 0)
        snprintf(path, sizeof path, "%s_%s.csv.gz", prefix, name);
    RUB_TRY(rub_file_open(path, &file, err));
    rub_status status = rub_csv_table_read(path, file.data, file.n, &t, err);
    if (status == RUB_OK && (t.n_column < (c ? 3u : 2u) || t.n_row == 0))
        status = rub_error_set(err, RUB_PARSE, "%s:1:1: expected %d columns and a row or more",
                               path, c ? 3 : 2);
    if (status == RUB_OK && a)
        status = numbers(path, &t, 0, least_a, a, err);
    if (status == RUB_OK)
        status = numbers(path, &t, 1, 0.0, b, err);
    if (status == RUB_OK && c)
        status = numbers(path, &t, 2, 0.0, c, err);
    rub_csv_table_clear(&t);
    rub_file_close(&file);
    return status;
}

static rub_status cumulate(const char *prefix, column *prob, rub_error *err) {
    double sum = 0.0;
    for (size_t k = 0; k < prob->n; k++)
        prob->v[k] = sum += prob->v[k];
    if (!(sum > 0))
        return rub_error_set(err, RUB_INVALID, "%s: lengths have no probability", prefix);
    for (size_t k = 0; k < prob->n; k++)
        prob->v[k] /= sum; /* published to seven figures */
    return RUB_OK;
}

static rub_status check_curve(const char *prefix, mix *m, rub_error *err) {
    m->step_s = m->curve.n > 1 ? m->curve_s.v[1] - m->curve_s.v[0] : 600.0;
    for (size_t k = 0; k < m->curve.n; k++) {
        m->mean += m->curve.v[k] / (double)m->curve.n;
        if (fabs(m->curve_s.v[k] - m->curve_s.v[0] - (double)k * m->step_s) > 1e-6)
            return rub_error_set(err, RUB_INVALID, "%s: the rate's times are not evenly spaced",
                                 prefix);
    }
    for (size_t k = 0; k < m->rate.n; k++) {
        m->total_per_s += m->rate.v[k];
        if (!(m->cv.v[k] >= 0.01 && m->cv.v[k] <= 100))
            return rub_error_set(err, RUB_INVALID,
                                 "%s: client %zu has a CV of %g, expected 0.01 to 100", prefix, k,
                                 m->cv.v[k]);
    }
    if (!(m->step_s > 0) || !(m->mean > 0) || !(m->total_per_s > 0))
        return rub_error_set(err, RUB_INVALID, "%s: no client or no rate above 0", prefix);
    return RUB_OK;
}

static rub_status mix_read(const char *prefix, mix *m, rub_error *err) {
    RUB_TRY(table(prefix, "clients", NULL, &m->rate, &m->cv, 0.0, err));
    RUB_TRY(table(prefix, "rate_10min", &m->curve_s, &m->curve, NULL, 0.0, err));
    RUB_TRY(table(prefix, "input_tokens_pmf", &m->input, &m->input_cum, NULL, 0.0, err));
    RUB_TRY(table(prefix, "output_tokens_pmf", &m->output, &m->output_cum, NULL, 0.0, err));
    RUB_TRY(cumulate(prefix, &m->input_cum, err));
    RUB_TRY(cumulate(prefix, &m->output_cum, err));
    return check_curve(prefix, m, err);
}

/* ---- making ---- */

typedef struct call {
    double at_s;
    int32_t client;
} call;

static int earlier(const void *a, const void *b) {
    const call *x = a, *y = b;
    if (x->at_s != y->at_s)
        return x->at_s < y->at_s ? -1 : 1;
    return (x->client > y->client) - (x->client < y->client);
}

typedef struct clock {
    const mix *m;
    size_t slot;   /* of the curve, counted on over its end */
    double left_s; /* of the slot */
    double at_s;
} clock;

static clock clock_at(const mix *m, double from_s) {
    size_t slot = (size_t)(from_s / m->step_s);
    return (clock){m, slot, (double)(slot + 1) * m->step_s - from_s, 0.0};
}

/* Goes on until `lambda` of the load's own time has passed, at most to_s. */
static void pass(clock *c, double lambda, double to_s) {
    while (c->at_s < to_s) {
        double speed = c->m->curve.v[c->slot % c->m->curve.n] / c->m->mean;
        if (lambda <= speed * c->left_s) {
            double dt = speed > 0 ? lambda / speed : 0.0;
            c->at_s += dt;
            c->left_s -= dt;
            return;
        }
        lambda -= speed * c->left_s;
        c->at_s += c->left_s;
        c->left_s = c->m->step_s;
        c->slot++;
    }
}

static rub_status call_all(const mix *m, const rub_client_mix *def, double to_s, call **out,
                           size_t *n, size_t *cap) {
    double scale = def->rate_per_s > 0 ? def->rate_per_s / m->total_per_s : 1.0;
    *n = 0;
    for (size_t k = 0; k < m->rate.n; k++) {
        double shape = 1.0 / (m->cv.v[k] * m->cv.v[k]), mean_s = 1.0 / (scale * m->rate.v[k]);
        if (!(m->rate.v[k] > 0))
            continue;
        rub_rng rng = rub_rng_make(def->seed, 1000 + k);
        clock c = clock_at(m, def->from_s);
        double before = 4.0 * mean_s / shape, gap = 0.0;
        while (before > 0) { /* what is left of the gap over the beginning */
            gap = rub_rng_gamma(&rng, shape) / shape * mean_s;
            before -= gap;
        }
        for (gap = -before; c.at_s < to_s; gap = rub_rng_gamma(&rng, shape) / shape * mean_s) {
            pass(&c, gap, to_s);
            if (c.at_s < to_s)
                RUB_TRY(RUB_ARRAY_PUSH(*out, *n, *cap, ((call){c.at_s, (int32_t)k})));
        }
    }
    if (*n > 0)
        qsort(*out, *n, sizeof **out, earlier);
    return RUB_OK;
}

static int32_t draw(const column *value, const column *cum, rub_rng *rng) {
    double u = rub_rng_uniform(rng);
    size_t low = 0, high = cum->n - 1;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (cum->v[middle] > u)
            high = middle;
        else
            low = middle + 1;
    }
    double tok = fmin(value->v[low], RUB_TRACE_MAX_TOK);
    return tok < 1.0 ? 1 : (int32_t)tok;
}

static rub_status to_trace(const mix *m, const rub_client_mix *def, const call *c, size_t n,
                           rub_trace *out, rub_error *err) {
    rub_trace t = {0};
    rub_rng rng = rub_rng_make(def->seed, 1);
    RUB_TRY(rub_trace_init(&t, n, err));
    t.tenant = RUB_NEW(int32_t, n);
    if (!t.tenant) {
        rub_trace_clear(&t);
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for %zu requests", n);
    }
    for (size_t i = 0; i < n; i++) {
        t.arrival_s[i] = c[i].at_s - c[0].at_s;
        t.input_tok[i] = draw(&m->input, &m->input_cum, &rng);
        t.output_tok[i] = draw(&m->output, &m->output_cum, &rng);
        t.tenant[i] = c[i].client;
    }
    *out = t;
    return RUB_OK;
}

/* Until there are enough requests where their number is asked for. */
static rub_status make(const mix *m, const rub_client_mix *def, rub_trace *out, rub_error *err) {
    call *c = NULL;
    size_t n = 0, cap = 0;
    double rate = def->rate_per_s > 0 ? def->rate_per_s : m->total_per_s;
    double to_s = def->duration_s > 0 ? def->duration_s : 1.3 * (double)def->n_req / rate + 10.0;
    rub_status status = call_all(m, def, to_s, &c, &n, &cap);
    while (status == RUB_OK && def->duration_s == 0 && n < def->n_req)
        status = call_all(m, def, to_s *= 2.0, &c, &n, &cap);
    n = def->n_req > 0 && n > def->n_req ? def->n_req : n;
    if (status != RUB_OK)
        status = rub_error_set(err, status, "out of memory for %zu requests", n);
    else if (n == 0)
        status = rub_error_set(err, RUB_INVALID, "no request within %g s", to_s);
    else
        status = to_trace(m, def, c, n, out, err);
    free(c);
    return status;
}

rub_status rub_trace_clients(const rub_client_mix *def, rub_trace *out, rub_error *err) {
    mix m = {0};
    if (!(def->from_s >= 0 && def->from_s < 1e12) || !(def->rate_per_s >= 0) ||
        !(def->duration_s >= 0) || (def->n_req == 0 && !(def->duration_s > 0)))
        return rub_error_set(err, RUB_INVALID,
                             "client mix: expected times and rates of 0 or more, and a number of "
                             "requests or a duration");
    rub_status status = mix_read(def->prefix, &m, err);
    if (status == RUB_OK)
        status = make(&m, def, out, err);
    mix_clear(&m);
    return status;
}
