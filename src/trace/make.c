/* Generators: seeded arrivals and lengths. Streams: 0 arrivals, 1 lengths, so that changing one
 * does not change the other. */
#include "rubato/trace.h"

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

/* Mixtures by expectation-maximisation on the logarithms of the Azure LLM inference traces of
 * November 2023 (Azure/AzurePublicDataset, CC-BY; Patel et al., Splitwise, ISCA 2024), fitted
 * 2026-11-23; arrivals by rate and coefficient of variation (conversation, nearly Poisson) or by
 * expectation-maximisation of a hyperexponential on the times between arrivals (code, whose
 * arrivals come in bursts within bursts: Feldmann and Whitt 1998), fitted 2026-11-24. tests/unit/test_trace_make.c holds the
 * errors of the note against the traces. */
static const struct preset {
    const char *name, *note;
    double rate_per_s, cv;
    rub_phases phases; /* none: gamma of that CV */
    rub_lengths input, output;
} presets[] = {
    {"azure-conv",
     "Azure LLM inference trace 2023, conversation (CC-BY). Fit error: input p50 3 %, p90 4 %, p99 "
     "3 %, mean 4 %; "
     "output p50 3 %, p90 3 %, p99 5 %, mean 2 %; rate and CV of arrivals 2 %",
     5.5301,
     1.0942,
     {0},
     {4,
      {0.2028, 0.2283, 0.4004, 0.1685},
      {5.4994, 5.9869, 6.9962, 8.0124},
      {1.0257, 0.0377, 0.0988, 0.3751},
      4200},
     {4,
      {0.1375, 0.5365, 0.0538, 0.2722},
      {4.2221, 4.6033, 6.2278, 6.0019},
      {0.9555, 0.4075, 0.1381, 0.0453},
      1000}},
    {"azure-code",
     "Azure LLM inference trace 2023, code (CC-BY). Fit error: input p50 3 %, p90 8 %, p99 2 %, "
     "mean 2 %; output "
     "p50 4 %, p90 11 %, p99 21 %, mean 7 %; rate 2 %; CV of arrivals 9 %; variance over "
     "mean of counts in 1 s and in 10 s 30 %",
     2.5664,
     13.151,
     {5,
      {0.0762, 0.2693, 0.6276, 0.0201, 0.0068},
      {2.638e-4, 5.5656e-3, 0.348946, 3.24376, 105.4645}},
     {4,
      {0.3059, 0.3364, 0.3055, 0.0522},
      {5.4813, 7.1601, 8.0136, 8.9089},
      {1.266, 0.4904, 0.4454, 0.03},
      7437},
     {4,
      {0.0766, 0.2150, 0.4251, 0.2833},
      {1.7918, 2.1345, 2.6398, 3.7765},
      {0.03, 0.1578, 0.3339, 0.8633},
      1899}},
};

const char *const rub_trace_presets[] = {"azure-conv", "azure-code", NULL};

static const struct preset *preset_named(const char *name) {
    for (size_t i = 0; i < RUB_LEN(presets); i++)
        if (!strcmp(presets[i].name, name))
            return &presets[i];
    return NULL;
}

const char *rub_trace_preset_note(const char *name) {
    const struct preset *p = preset_named(name);
    return p ? p->note : NULL;
}

rub_status rub_trace_preset(const char *name, rub_trace_make_def *out, rub_error *err) {
    const struct preset *p = preset_named(name);
    if (!p)
        return rub_error_set(err, RUB_NOT_FOUND,
                             "found preset '%.60s', expected one of azure-conv, azure-code", name);
    out->arrivals = p->phases.n ? RUB_ARRIVALS_HYPER : RUB_ARRIVALS_GAMMA;
    out->phases = p->phases;
    out->cv = p->cv;
    out->rate_per_s = p->rate_per_s;
    out->input = p->input;
    out->output = p->output;
    return RUB_OK;
}

static int32_t length(const rub_lengths *l, rub_rng *rng) {
    double u = rub_rng_uniform(rng);
    int32_t k = 0;
    while (k + 1 < l->n && u >= l->weight[k])
        u -= l->weight[k++];
    double tok = exp(l->mu[k] + l->sigma[k] * rub_rng_normal(rng));
    return tok < 1.0 ? 1 : tok > l->max_tok ? l->max_tok : (int32_t)lrint(tok);
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

/* Time to the next arrival after t. Diurnal by thinning (Lewis and Shedler 1979). */
static double next_arrival(const rub_trace_make_def *def, double t, rub_rng *rng) {
    if (def->arrivals == RUB_ARRIVALS_POISSON)
        return t + rub_rng_exponential(rng) / def->rate_per_s;
    if (def->arrivals == RUB_ARRIVALS_GAMMA) {
        double shape = 1.0 / (def->cv * def->cv);
        return t + rub_rng_gamma(rng, shape) / (shape * def->rate_per_s);
    }
    if (def->arrivals == RUB_ARRIVALS_HYPER)
        return t + phase_gap(&def->phases, rng) / def->rate_per_s;
    double peak = 1.0 + def->diurnal_frac;
    do
        t += rub_rng_exponential(rng) / (def->rate_per_s * peak);
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
        if (both[i]->n < 1 || both[i]->n > 4 || both[i]->max_tok < 1 ||
            both[i]->max_tok > RUB_TRACE_MAX_TOK)
            return rub_error_set(err, RUB_INVALID,
                                 "lengths need 1 to 4 parts and at most %d tokens",
                                 RUB_TRACE_MAX_TOK);
    return RUB_OK;
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
    source->next_s = next_arrival(def, source->next_s, &arrivals);
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
