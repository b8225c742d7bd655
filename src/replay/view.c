#include "replay/view.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define QUARTERS_PER_YEAR 4.0

void rub_view_clear(rub_view *v) {
    free(v->demand);
    free(v->generation);
    free(v->region);
    free(v->market);
    free(v->step);
    *v = (rub_view){0};
}

static double a_quarter_on(double usd, double rate_per_year) {
    return usd * pow(1.0 + rate_per_year, 1.0 / QUARTERS_PER_YEAR);
}

/* What rows that are new in quarter q make of section.name.key: 0 when one sets it (the study read has its
 * value), else the product of those that change what holds by then. */
static double told(const rub_study *known, int32_t q, const char *section, const char *name,
                   const char *key) {
    char path[3 * RUB_NAME_MAX];
    double factor = 1.0;
    snprintf(path, sizeof path, "%s.%s.%s", section, name, key);
    for (int32_t i = 0; i < known->replay.n_information; i++) {
        const rub_study_information *info = &known->replay.information[i];
        for (int32_t k = 0; info->from_q == q && k < info->n_set; k++)
            if (rub_study_key_covers(info->key[k], path))
                factor *= info->factor[k];
    }
    return factor;
}

static void carry(double *now, double carried, double factor) {
    if (factor > 0)
        *now = carried * factor;
}

static void carry_demand(const rub_view *before, int32_t q, rub_view *v) {
    for (int32_t i = 0; i < before->study.n_demand; i++) {
        rub_study_demand *d = &v->demand[i];
        const rub_study_demand *was = &before->demand[i];
        carry(&d->value_usd, a_quarter_on(was->value_usd, was->value_trend_per_year),
              told(&v->study, q, "demand", d->name, "value"));
        carry(&d->penalty_usd, a_quarter_on(was->penalty_usd, was->value_trend_per_year),
              told(&v->study, q, "demand", d->name, "penalty"));
    }
}

/* A price falls from the quarter on in which the generation can first be ordered. */
static void carry_generation(const rub_view *before, int32_t q, rub_view *v) {
    for (int32_t i = 0; i < before->study.n_generation; i++) {
        rub_study_generation *g = &v->generation[i];
        const rub_study_generation *was = &before->generation[i];
        bool ages = g->first_q <= q - 1;
        carry(&g->price_usd,
              ages ? a_quarter_on(was->price_usd, was->price_trend_per_year) : was->price_usd,
              told(&v->study, q, "accelerators", g->name, "price"));
    }
}

static void carry_region(const rub_view *before, int32_t q, rub_view *v) {
    for (int32_t i = 0; i < before->study.n_region; i++) {
        rub_study_region *r = &v->region[i];
        const rub_study_region *was = &before->region[i];
        carry(&r->power_usd_per_mwh,
              a_quarter_on(was->power_usd_per_mwh, was->power_trend_per_year),
              told(&v->study, q, "regions", r->name, "power_price"));
    }
}

/* Steps one for one; where their number has changed they were told anew. */
static void carry_steps(const rub_study *now, int32_t q, const char *market, const char *key,
                        double trend, const rub_market_step *was, int32_t n_was,
                        rub_market_step *step, int32_t n) {
    char path[RUB_NAME_MAX];
    for (int32_t i = 0; i < n && n == n_was; i++) {
        snprintf(path, sizeof path, "%s.%d.price", key, i);
        carry(&step[i].usd, a_quarter_on(was[i].usd, trend), told(now, q, "market", market, path));
    }
}

static void carry_market(const rub_view *before, int32_t q, rub_view *v) {
    double trend = before->study.process.rent_trend_per_year;
    for (int32_t i = 0; i < before->study.n_market; i++) {
        rub_study_market *m = &v->market[i];
        const rub_study_market *was = &before->market[i];
        const char *name = m->region < 0 ? "training" : v->study.region[m->region].name;
        carry_steps(&v->study, q, name, "rent_in", trend, was->in, was->n_in, m->in, m->n_in);
        carry_steps(&v->study, q, name, "rent_out", trend, was->out, was->n_out, m->out, m->n_out);
        carry(&m->sublet_usd_per_kw_month, a_quarter_on(was->sublet_usd_per_kw_month, trend),
              told(&v->study, q, "market", name, "sublet_price"));
    }
}

static void *copy_of(const void *array, int32_t n, size_t size) {
    void *copy = rub_calloc((size_t)n, size);
    if (copy && n > 0)
        memcpy(copy, array, (size_t)n * size);
    return copy;
}

/* Own copies of what is carried: reading the next study leaves them as they are. */
static bool copy_arrays(const rub_study *known, rub_view *v) {
    size_t n_step = 0, at = 0;
    for (int32_t i = 0; i < known->n_market; i++)
        n_step += (size_t)(known->market[i].n_in + known->market[i].n_out);
    v->demand = copy_of(known->demand, known->n_demand, sizeof *v->demand);
    v->generation = copy_of(known->generation, known->n_generation, sizeof *v->generation);
    v->region = copy_of(known->region, known->n_region, sizeof *v->region);
    v->market = copy_of(known->market, known->n_market, sizeof *v->market);
    v->step = RUB_NEW(rub_market_step, n_step);
    if (!v->demand || !v->generation || !v->region || !v->market || !v->step)
        return false;
    for (int32_t i = 0; i < known->n_market; i++) {
        rub_study_market *m = &v->market[i];
        for (int32_t s = 0; s < m->n_in; s++)
            v->step[at + (size_t)s] = m->in[s];
        m->in = v->step + at;
        at += (size_t)m->n_in;
        for (int32_t s = 0; s < m->n_out; s++)
            v->step[at + (size_t)s] = m->out[s];
        m->out = v->step + at;
        at += (size_t)m->n_out;
    }
    return true;
}

rub_status rub_view_make(const rub_study *known, int32_t q, const rub_view *before, rub_view *out,
                         rub_error *err) {
    rub_view v = {.study = *known, .yield = 1.0};
    if (!copy_arrays(known, &v)) {
        rub_view_clear(&v);
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for a quarter's study");
    }
    v.study.demand = v.demand;
    v.study.generation = v.generation;
    v.study.region = v.region;
    v.study.market = v.market;
    if (before) {
        carry_demand(before, q, &v);
        carry_generation(before, q, &v);
        carry_region(before, q, &v);
        carry_market(before, q, &v);
        v.yield = a_quarter_on(before->yield, before->study.process.yield_trend_per_year);
    }
    *out = v;
    return RUB_OK;
}

rub_status rub_view_yields(const rub_view *view, const rub_yields *at_start, rub_yields *out,
                           double **blended, rub_error *err) {
    int32_t n = view->study.n_generation;
    double *scaled = RUB_NEW(double, n);
    if (!scaled)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for yields");
    for (int32_t g = 0; g < n; g++)
        scaled[g] = at_start->blended[g] * view->yield;
    *out = (rub_yields){.n_gen = n,
                        .blended = scaled,
                        .accel_per_mw = at_start->accel_per_mw,
                        .training_yield = at_start->training_yield};
    *blended = scaled;
    return RUB_OK;
}
