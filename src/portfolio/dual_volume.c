/* Dual: multipliers by the volume algorithm (Barahona and Anbil 2000, Math. Program. 87): steps from the
 * best point along an average of residuals, in a metric that measures each row in its own money. */
#include "portfolio/dual.h"

#include "base/array.h"
#include "portfolio/dual_rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Each row's natural price and amount: a step moves a price by its natural price times the
 * residual's share of the natural amount. */
static void natural(const rub_dual *d, const rub_prices *x, double *price, double *amount) {
    const rub_problem *p = d->p;
    for (int32_t n = 0; n < p->n_node; n++) {
        double w = x->weight[n];
        for (int32_t i = 0; i < p->n_demand; i++) {
            const rub_study_demand *load = &p->study->demand[i];
            size_t from = (size_t)n * (size_t)p->n_demand + (size_t)i;
            size_t to = d->at.unit + (size_t)n * (size_t)(p->n_region + 1) +
                        (size_t)(load->load_class == RUB_TRAINING ? p->n_region : load->region);
            price[to] = fmax(price[to], w * (p->value_usd[from] + p->penalty_usd[from]));
            amount[to] += p->demand[from];
        }
        for (int32_t r = 0; r < p->n_region; r++) {
            size_t nr = (size_t)n * (size_t)p->n_region + (size_t)r;
            price[d->at.grid + nr] = w * 2e6; /* about the yearly cost of a MW, a quarter of it */
            amount[d->at.grid + nr] = p->grid_mw[nr];
            price[d->at.sublet + nr] = w * p->sublet_usd_per_mw[nr];
            amount[d->at.sublet + nr] = p->sublet_depth_mw[nr];
        }
        for (int32_t g = 0; g < p->n_gen; g++) {
            size_t ng = (size_t)n * (size_t)p->n_gen + (size_t)g;
            price[d->at.order + ng] = w * p->gen_usd_per_mw[ng];
            amount[d->at.order + ng] = p->supply_mw[ng];
        }
        if (rub_is_budget_row(p, n)) {
            price[d->at.budget + (size_t)n] = w;
            amount[d->at.budget + (size_t)n] =
                p->budget_usd[p->budget_of_quarter[p->tree->quarter[n]]];
        }
    }
    for (size_t i = 0; i < d->at.n; i++)
        if (!(amount[i] > 0) || !isfinite(amount[i]) || !(price[i] > 0))
            amount[i] = price[i] = 0.0; /* a row without scale: its price stays */
}

static void gather(const rub_dual *d, const rub_prices *x, double *v) {
    memcpy(v + d->at.unit, x->unit, (d->at.grid - d->at.unit) * sizeof *v);
    memcpy(v + d->at.grid, x->grid, (d->at.order - d->at.grid) * sizeof *v);
    memcpy(v + d->at.order, x->order, (d->at.sublet - d->at.order) * sizeof *v);
    memcpy(v + d->at.sublet, x->sublet, (d->at.budget - d->at.sublet) * sizeof *v);
    memcpy(v + d->at.budget, x->budget, (d->at.n - d->at.budget) * sizeof *v);
}

static void scatter(const rub_dual *d, const double *v, rub_prices *x) {
    memcpy(x->unit, v + d->at.unit, (d->at.grid - d->at.unit) * sizeof *v);
    memcpy(x->grid, v + d->at.grid, (d->at.order - d->at.grid) * sizeof *v);
    memcpy(x->order, v + d->at.order, (d->at.sublet - d->at.order) * sizeof *v);
    memcpy(x->sublet, v + d->at.sublet, (d->at.budget - d->at.sublet) * sizeof *v);
    memcpy(x->budget, v + d->at.budget, (d->at.n - d->at.budget) * sizeof *v);
    rub_prices_spread_budget(d->p, x);
}

size_t rub_dual_rows_n(const rub_dual *d) { return d->at.n; }

void rub_dual_store(const rub_dual *d, const rub_prices *x, double *out) { gather(d, x, out); }

void rub_dual_load(const rub_dual *d, const double *from, rub_prices *x) { scatter(d, from, x); }

/* A new start: the best point is x, the average its residual. */
static void restart(rub_dual *d, rub_prices *x) {
    size_t n = d->at.n;
    rub_volume *v = &d->volume;
    v->price = v->store;
    v->amount = v->store + n;
    v->best = v->store + 2 * n;
    v->mean = v->store + 3 * n;
    v->now = v->store + 4 * n;
    natural(d, x, v->price, v->amount);
    gather(d, x, v->best);
    rub_prices_spread_budget(d->p, x);
    v->least = rub_dual_bound(d, x);
    v->running = isfinite(v->least);
    if (!v->running)
        return;
    memcpy(v->mean, d->residual, n * sizeof *v->mean);
    v->f = 0.4;
    v->alpha = 0.3;
    v->red = 0;
    rub_dual_sample(d, 1.0);
}

/* Step lengths follow how the last turns went. */
static void learn(rub_volume *v, bool better, double agree) {
    if (better) {
        v->f = fmin(2.0, agree > 0 ? v->f * 1.1 : v->f);
        v->red = 0;
    } else if (++v->red >= 8) {
        v->f = fmax(v->f * 0.66, 1e-4);
        v->alpha = fmax(0.02, v->alpha * 0.9);
        v->red = 0;
    }
}

static bool turn(rub_dual *d, rub_prices *x, double value) {
    rub_volume *v = &d->volume;
    size_t n = d->at.n;
    double norm = 0.0, agree = 0.0;
    for (size_t i = 0; i < n; i++)
        if (v->amount[i] > 0 && !(v->best[i] <= 0 && v->mean[i] > 0))
            norm += v->price[i] * v->mean[i] * v->mean[i] / v->amount[i];
    if (!(norm > 0))
        return false;
    double target = fmax(value, v->least - 0.2 * fabs(v->least));
    double step = v->f * (v->least - target) / norm;
    for (size_t i = 0; i < n; i++)
        v->now[i] = v->amount[i] > 0
                        ? fmax(0.0, v->best[i] - step * v->price[i] * v->mean[i] / v->amount[i])
                        : v->best[i];
    scatter(d, v->now, x);
    double here = rub_dual_bound(d, x);
    if (!isfinite(here))
        return false;
    for (size_t i = 0; i < n; i++)
        agree += v->amount[i] > 0 ? d->residual[i] * v->mean[i] * v->price[i] / v->amount[i] : 0.0;
    for (size_t i = 0; i < n; i++)
        v->mean[i] = v->alpha * d->residual[i] + (1 - v->alpha) * v->mean[i];
    rub_dual_sample(d, v->alpha);
    bool better = here < v->least;
    if (better) {
        v->least = here;
        memcpy(v->best, v->now, n * sizeof *v->best);
    }
    learn(v, better, agree);
    return true;
}

void rub_dual_improve(rub_dual *d, rub_prices *x, double value, double gap_frac, int32_t turns,
                      bool afresh, double *bound) {
    rub_volume *v = &d->volume;
    if (afresh || !v->running)
        restart(d, x);
    if (!v->running)
        return;
    for (int32_t i = 0; i < turns && v->least - value > gap_frac * fmax(1.0, fabs(value)); i++)
        if (!turn(d, x, value))
            break;
    scatter(d, v->best, x);
    *bound = v->least;
}
