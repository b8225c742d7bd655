/* Generators: seeded arrivals and lengths. Streams: 0 arrivals, 1 lengths, 4 modulation, so that
 * changing one does not change the others (2 and 3: sessions, uniform lengths). */
#include "trace/make.h"

#include "base/array.h"
#include "base/rng.h"

#include <math.h>
#include <string.h>

rub_trace_make_def rub_trace_make_default(void) {
    rub_trace_make_def def = {.arrivals = RUB_ARRIVALS_POISSON,
                              .cv = 1.0,
                              .diurnal_frac = 0.5,
                              .day_s = 86400.0,
                              .rate_per_s = 1.0,
                              .n_req = 1000,
                              .seed = 1};
    def.input = (rub_lengths){.n = 1, .weight = {1}, .mu = {6.9}, .sigma = {1.0}, .max_tok = 32768};
    def.output = (rub_lengths){.n = 1, .weight = {1}, .mu = {4.9}, .sigma = {0.9}, .max_tok = 8192};
    return def;
}

static int32_t cut(const rub_lengths *l, double tok) {
    return tok < 1.0 ? 1 : tok > l->max_tok ? l->max_tok : (int32_t)lrint(tok);
}

static double quantile(const rub_lengths *l, double u) {
    int32_t k = 1;
    while (k + 1 < l->n_quantile && u >= l->prob[k])
        k++;
    double share = (u - l->prob[k - 1]) / (l->prob[k] - l->prob[k - 1]);
    return l->tok[k - 1] + share * (l->tok[k] - l->tok[k - 1]);
}

static int32_t length(const rub_lengths *l, rub_rng *rng) {
    double u = rub_rng_uniform(rng);
    if (l->n_quantile > 0)
        return cut(l, quantile(l, u));
    int32_t k = 0;
    while (k + 1 < l->n && u >= l->weight[k])
        u -= l->weight[k++];
    return cut(l, exp(l->mu[k] + l->sigma[k] * rub_rng_normal(rng)));
}

/* A time between arrivals in units of its mean; the phases' rounding is taken out. */
static double phase_gap(const rub_phases *p, rub_rng *rng) {
    double u = rub_rng_uniform(rng), mean = 0.0;
    int32_t k = 0;
    for (int32_t i = 0; i < p->n; i++)
        mean += p->weight[i] * p->mean[i];
    while (k + 1 < p->n && u >= p->weight[k])
        u -= p->weight[k++];
    return rub_rng_exponential(rng) * p->mean[k] / mean;
}

/* Time of the next arrival. Diurnal by thinning (Lewis and Shedler 1979). */
static double next_arrival(rub_trace_source *source, rub_rng *rng) {
    const rub_trace_make_def *def = source->def;
    double t = source->next_s;
    if (def->arrivals == RUB_ARRIVALS_POISSON)
        return rub_modulation_after(source, t, rub_rng_exponential(rng) / def->rate_per_s);
    if (def->arrivals == RUB_ARRIVALS_GAMMA) {
        double shape = 1.0 / (def->cv * def->cv);
        return rub_modulation_after(source, t,
                                    rub_rng_gamma(rng, shape) / (shape * def->rate_per_s));
    }
    if (def->arrivals == RUB_ARRIVALS_HYPER)
        return rub_modulation_after(source, t, phase_gap(&def->phases, rng) / def->rate_per_s);
    double peak = 1.0 + def->diurnal_frac;
    do
        t = rub_modulation_after(source, t, rub_rng_exponential(rng) / (def->rate_per_s * peak));
    while (rub_rng_uniform(rng) * peak > 1.0 + def->diurnal_frac * sin(2 * M_PI * t / def->day_s));
    return t;
}

static bool phases_add_up(const rub_phases *p) {
    double weight = 0.0, mean = 0.0;
    bool ok = p->n >= 1 && p->n <= RUB_TRACE_MAX_PHASE;
    for (int32_t i = 0; ok && i < p->n; i++) {
        ok = p->weight[i] > 0 && p->mean[i] > 0 && isfinite(p->mean[i]);
        weight += p->weight[i];
        mean += p->weight[i] * p->mean[i];
    }
    return ok && fabs(weight - 1.0) < 0.01 && fabs(mean - 1.0) < 0.01;
}

static rub_status check_lengths(const rub_lengths *l, rub_error *err) {
    int32_t n = l->n_quantile;
    if (l->max_tok < 1 || l->max_tok > RUB_TRACE_MAX_TOK || (n == 0 && (l->n < 1 || l->n > 4)))
        return rub_error_set(err, RUB_INVALID, "lengths need 1 to 4 parts and at most %d tokens",
                             RUB_TRACE_MAX_TOK);
    bool ok = n == 0 || (n >= 2 && n <= RUB_TRACE_MAX_QUANTILE && l->prob[0] == 0.0 &&
                         l->prob[n - 1] == 1.0 && l->tok[0] >= 1.0);
    for (int32_t k = 1; ok && k < n; k++)
        ok = l->prob[k] > l->prob[k - 1] && l->tok[k] >= l->tok[k - 1] &&
             l->tok[k] <= RUB_TRACE_MAX_TOK;
    return ok ? RUB_OK
              : rub_error_set(err, RUB_INVALID,
                              "quantiles of lengths are %d, expected 2 to %d of rising probability "
                              "from 0 to 1, with tokens from 1 on that do not fall",
                              n, RUB_TRACE_MAX_QUANTILE);
}

static rub_status check(const rub_trace_make_def *def, rub_error *err) {
    const rub_lengths *both[] = {&def->input, &def->output};
    if (!(def->rate_per_s > 0) || !isfinite(def->rate_per_s))
        return rub_error_set(err, RUB_INVALID, "rate is %g requests/s, expected more than 0",
                             def->rate_per_s);
    if (def->arrivals == RUB_ARRIVALS_GAMMA && !(def->cv > 0.01 && def->cv < 100))
        return rub_error_set(err, RUB_INVALID, "CV is %g, expected 0.01 to 100", def->cv);
    if (def->arrivals == RUB_ARRIVALS_DIURNAL &&
        !(def->diurnal_frac >= 0 && def->diurnal_frac <= 1 && def->day_s > 0))
        return rub_error_set(err, RUB_INVALID, "diurnal share is %g, expected 0 to 1",
                             def->diurnal_frac);
    if (def->arrivals == RUB_ARRIVALS_HYPER && !phases_add_up(&def->phases))
        return rub_error_set(err, RUB_INVALID,
                             "phases of the arrivals are %d, expected 1 to %d with weights and "
                             "weighted means that add up to 1",
                             def->phases.n, RUB_TRACE_MAX_PHASE);
    if (def->n_req == 0 && !(def->duration_s > 0 && def->duration_s * def->rate_per_s < 4e9))
        return rub_error_set(err, RUB_INVALID,
                             "neither a number of requests nor a duration is given");
    for (int i = 0; i < 2 && !def->empirical; i++)
        RUB_TRY(check_lengths(both[i], err));
    return rub_modulation_check(&def->modulation, def->rate_per_s, err);
}

static rub_status push(rub_trace *t, size_t *cap, double at, int32_t input, int32_t output,
                       rub_error *err) {
    size_t c[3] = {*cap, *cap, *cap};
    if (rub_array_reserve((void **)&t->arrival_s, &c[0], t->n_req + 1, sizeof(double)) != RUB_OK ||
        rub_array_reserve((void **)&t->input_tok, &c[1], t->n_req + 1, sizeof(int32_t)) != RUB_OK ||
        rub_array_reserve((void **)&t->output_tok, &c[2], t->n_req + 1, sizeof(int32_t)) != RUB_OK)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory at %zu requests", t->n_req);
    *cap = c[0];
    t->arrival_s[t->n_req] = at;
    t->input_tok[t->n_req] = input;
    t->output_tok[t->n_req++] = output;
    return RUB_OK;
}

rub_status rub_trace_source_init(rub_trace_source *source, const rub_trace_make_def *def,
                                 rub_error *err) {
    RUB_TRY(check(def, err));
    rub_rng arrivals = rub_rng_make(def->seed, 0), lengths = rub_rng_make(def->seed, 1);
    *source = (rub_trace_source){.def = def}; /* the first request arrives at 0 */
    memcpy(source->arrivals, arrivals.s, sizeof arrivals.s);
    memcpy(source->lengths, lengths.s, sizeof lengths.s);
    rub_modulation_start(source);
    return RUB_OK;
}

void rub_trace_source_next(rub_trace_source *source, double *arrival_s, int32_t *input_tok,
                           int32_t *output_tok) {
    const rub_trace_make_def *def = source->def;
    rub_rng arrivals, lengths;
    memcpy(arrivals.s, source->arrivals, sizeof arrivals.s);
    memcpy(lengths.s, source->lengths, sizeof lengths.s);
    *arrival_s = source->next_s;
    if (def->empirical) {
        size_t i = (size_t)rub_rng_below(&lengths, def->empirical->n_req);
        *input_tok = def->empirical->input_tok[i];
        *output_tok = def->empirical->output_tok[i];
    } else {
        *input_tok = length(&def->input, &lengths);
        *output_tok = length(&def->output, &lengths);
    }
    source->next_s = next_arrival(source, &arrivals);
    memcpy(source->arrivals, arrivals.s, sizeof arrivals.s);
    memcpy(source->lengths, lengths.s, sizeof lengths.s);
}

rub_status rub_trace_make(const rub_trace_make_def *def, rub_trace *out, rub_error *err) {
    rub_trace_source source;
    RUB_TRY(rub_trace_source_init(&source, def, err));
    rub_trace t = {0};
    size_t cap = 0;
    rub_status status = RUB_OK;
    while (status == RUB_OK &&
           (def->n_req ? t.n_req < def->n_req : source.next_s <= def->duration_s)) {
        double at;
        int32_t input, output;
        rub_trace_source_next(&source, &at, &input, &output);
        status = push(&t, &cap, at, input, output, err);
    }
    if (status != RUB_OK) {
        rub_trace_clear(&t);
        return status;
    }
    *out = t;
    return RUB_OK;
}

static int32_t uniform_length(rub_rng *rng, int32_t most, double least_frac) {
    int32_t least = (int32_t)ceil(least_frac * most);
    least = least < 1 ? 1 : least;
    return least + (int32_t)rub_rng_below(rng, (uint64_t)(most - least) + 1);
}

rub_status rub_trace_make_uniform(size_t n_req, int32_t input_tok, int32_t output_tok,
                                  double least_frac, uint64_t seed, rub_trace *out,
                                  rub_error *err) {
    if (n_req < 1 || input_tok < 1 || output_tok < 1 || input_tok > RUB_TRACE_MAX_TOK ||
        output_tok > RUB_TRACE_MAX_TOK || !(least_frac >= 0.0 && least_frac <= 1.0))
        return rub_error_set(err, RUB_INVALID,
                             "%zu requests of %d and %d tokens, least share %g: expected at least "
                             "one, of 1 to %d tokens, share 0 to 1",
                             n_req, input_tok, output_tok, least_frac, RUB_TRACE_MAX_TOK);
    rub_trace trace;
    RUB_TRY(rub_trace_init(&trace, n_req, err));
    rub_rng rng = rub_rng_make(seed, 3);
    for (size_t i = 0; i < n_req; i++) {
        trace.arrival_s[i] = 0.0;
        trace.input_tok[i] = uniform_length(&rng, input_tok, least_frac);
        trace.output_tok[i] = uniform_length(&rng, output_tok, least_frac);
    }
    *out = trace;
    return RUB_OK;
}
