/* Dual: the bound and its multipliers.
 *
 * L(prices) = sum of blocks' best values + market's best value + prices * limits. Blocks are priced
 * by dynamic programming, the market in closed form (every load, step and link on its own), so L is
 * an upper bound at any prices >= 0. It is convex; the residual of the rows is a subgradient.
 * Multipliers follow the volume algorithm (Barahona and Anbil 2000, Math. Program. 87): steps from
 * the best point along an average of residuals, in a metric that measures each row in its own
 * money. */
#include "portfolio/dual.h"

#include "base/array.h"
#include "base/tasks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Rows in one vector: balances, grid, order, sublet (by node), then budgets by node. */
typedef struct rows {
    size_t n, unit, grid, order, sublet, budget; /* count, and where each kind begins */
} rows;

struct rub_dual {
    const rub_compiled *c;
    const rub_problem *p;
    rows at;
    int32_t n_thread;
    double **gain, **value; /* scratch by thread */
    int32_t **choice, **path;
    double *site_value;    /* (n_site) */
    double *site_residual; /* (n_site, rows.n): what the site's blocks use, negative */
    double *residual;      /* (rows.n) */
    double *mw_price;      /* (n_node, n_region, n_gen, 2): price of a live MW, best use */
    uint8_t *mw_use;       /* 0 idle, 1 inference, 2 training */
    const rub_prices *prices;
    size_t max_entry;
};

static rows layout(const rub_problem *p) {
    size_t n = (size_t)p->n_node, r = (size_t)p->n_region;
    rows at = {.unit = 0, .grid = n * (r + 1)};
    at.order = at.grid + n * r;
    at.sublet = at.order + n * (size_t)p->n_gen;
    at.budget = at.sublet + n * r;
    at.n = at.budget + n;
    return at;
}

rub_status rub_dual_create(const rub_compiled *c, int32_t n_thread, rub_dual **out,
                           rub_error *err) {
    rub_dual *d = RUB_NEW(rub_dual, 1);
    const rub_problem *p = c->problem;
    if (!d)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    d->c = c;
    d->p = p;
    d->at = layout(p);
    d->n_thread = rub_thread_count(n_thread);
    for (int32_t s = 0; s < c->n_site; s++)
        d->max_entry = c->site[s].first[p->n_node] > (int32_t)d->max_entry
                           ? (size_t)c->site[s].first[p->n_node]
                           : d->max_entry;
    size_t t = (size_t)d->n_thread, states = (size_t)p->n_node * (size_t)c->max_state;
    bool ok = (d->gain = RUB_NEW(double *, t)) && (d->value = RUB_NEW(double *, t)) &&
              (d->choice = RUB_NEW(int32_t *, t)) && (d->path = RUB_NEW(int32_t *, t));
    for (size_t i = 0; ok && i < t; i++)
        ok = (d->gain[i] = RUB_NEW(double, d->max_entry)) &&
             (d->value[i] = RUB_NEW(double, states)) && (d->choice[i] = RUB_NEW(int32_t, states)) &&
             (d->path[i] = RUB_NEW(int32_t, p->n_node));
    size_t pools = (size_t)p->n_node * (size_t)rub_market_n_cap(p);
    ok = ok && (d->site_value = RUB_NEW(double, c->n_site)) &&
         (d->site_residual = RUB_NEW(double, (size_t)c->n_site * d->at.n)) &&
         (d->residual = RUB_NEW(double, d->at.n)) && (d->mw_price = RUB_NEW(double, pools)) &&
         (d->mw_use = RUB_NEW(uint8_t, pools));
    if (!ok) {
        rub_dual_free(d);
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for the bound");
    }
    *out = d;
    return RUB_OK;
}

void rub_dual_free(rub_dual *d) {
    if (!d)
        return;
    for (int32_t i = 0; i < d->n_thread; i++) {
        free(d->gain ? d->gain[i] : NULL);
        free(d->value ? d->value[i] : NULL);
        free(d->choice ? d->choice[i] : NULL);
        free(d->path ? d->path[i] : NULL);
    }
    free(d->gain);
    free(d->value);
    free(d->choice);
    free(d->path);
    free(d->site_value);
    free(d->site_residual);
    free(d->residual);
    free(d->mw_price);
    free(d->mw_use);
    free(d);
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static void price_capacity(rub_dual *d) {
    const rub_problem *p = d->p;
    const rub_prices *x = d->prices;
    for (int32_t n = 0; n < p->n_node; n++)
        for (int32_t r = 0; r < p->n_region; r++)
            for (int32_t g = 0; g < p->n_gen; g++) {
                size_t nr = (size_t)n * (size_t)p->n_region + (size_t)r,
                       ng = (size_t)n * (size_t)p->n_gen + (size_t)g;
                const double *unit = x->unit + (size_t)n * (size_t)(p->n_region + 1);
                double cost = x->weight[n] * p->power_usd_per_mw[nr] + x->grid[nr];
                double infer = unit[r] * p->tok_per_s_per_mw[ng] - cost;
                double train = unit[p->n_region] * p->train_per_mw[ng] - cost;
                size_t at = (nr * (size_t)p->n_gen + (size_t)g) * 2;
                d->mw_price[at] = d->mw_price[at + 1] = fmax(0.0, infer);
                d->mw_use[at] = d->mw_use[at + 1] = infer > 0;
                if (train > d->mw_price[at + 1]) {
                    d->mw_price[at + 1] = train;
                    d->mw_use[at + 1] = 2;
                }
            }
}

static size_t pool_of(const rub_problem *p, int32_t node, int32_t region, const rub_entry *e) {
    return (((size_t)node * (size_t)p->n_region + (size_t)region) * (size_t)p->n_gen +
            e->live_gen) *
               2 +
           e->training;
}

static double gain_of(const rub_dual *d, const rub_compiled_site *s, int32_t n,
                      const rub_entry *e) {
    const rub_problem *p = d->p;
    const rub_prices *x = d->prices;
    double gain = x->weight[n] * e->cash_usd - x->capex[n] * e->capex_usd;
    if (e->own_mw > 0)
        gain += e->own_mw * d->mw_price[pool_of(p, n, s->region, e)];
    if (e->order_mw > 0)
        gain -= e->order_mw * x->order[(size_t)n * (size_t)p->n_gen + e->order_gen];
    if (e->sublet_mw > 0)
        gain -= e->sublet_mw * x->sublet[(size_t)n * (size_t)p->n_region + (size_t)s->region];
    return gain;
}

/* What n_block blocks that take this entry use of the rows. */
static void use_rows(const rub_dual *d, const rub_compiled_site *s, int32_t n, const rub_entry *e,
                     double *residual) {
    const rub_problem *p = d->p;
    double many = s->n_block;
    size_t nr = (size_t)n * (size_t)p->n_region + (size_t)s->region;
    if (e->own_mw > 0) {
        size_t pool = pool_of(p, n, s->region, e), ng = (size_t)n * (size_t)p->n_gen + e->live_gen;
        double mw = many * e->own_mw;
        double *unit = residual + d->at.unit + (size_t)n * (size_t)(p->n_region + 1);
        if (d->mw_use[pool] == 1)
            unit[s->region] += mw * p->tok_per_s_per_mw[ng];
        else if (d->mw_use[pool] == 2)
            unit[p->n_region] += mw * p->train_per_mw[ng];
        if (d->mw_use[pool])
            residual[d->at.grid + nr] -= mw;
    }
    residual[d->at.order + (size_t)n * (size_t)p->n_gen + e->order_gen] -= many * e->order_mw;
    residual[d->at.sublet + nr] -= many * e->sublet_mw;
    residual[d->at.budget + (size_t)n] -= many * e->capex_usd; /* by node; added up to rows later */
}

static void price_site(void *ctx, int32_t site, int32_t thread) {
    rub_dual *d = ctx;
    const rub_compiled_site *s = &d->c->site[site];
    double *gain = d->gain[thread], *residual = d->site_residual + (size_t)site * d->at.n;
    for (int32_t n = 0; n < d->p->n_node; n++)
        for (int32_t e = s->first[n]; e < s->first[n + 1]; e++)
            gain[e] = gain_of(d, s, n, &s->entry[e]);
    double best = rub_compiled_best(d->c, site, gain, d->value[thread], d->choice[thread]);
    rub_compiled_follow(d->c, site, d->choice[thread], d->path[thread]);
    d->site_value[site] = s->n_block * best;
    memset(residual, 0, d->at.n * sizeof *residual);
    for (int32_t n = 0; n < d->p->n_node; n++)
        use_rows(d, s, n, &s->entry[d->path[thread][n]], residual);
}

/* ---- market and limits in closed form ---------------------------------------------------------
 */

static double loads(const rub_dual *d, int32_t n, double *needs) {
    const rub_problem *p = d->p;
    const double *unit = d->prices->unit + (size_t)n * (size_t)(p->n_region + 1);
    double w = d->prices->weight[n], sum = 0.0;
    for (int32_t i = 0; i < p->n_demand; i++) {
        const rub_study_demand *load = &p->study->demand[i];
        size_t at = (size_t)n * (size_t)p->n_demand + (size_t)i;
        int32_t m = load->load_class == RUB_TRAINING ? p->n_region : load->region;
        double worth = w * (p->value_usd[at] + p->penalty_usd[at]) - unit[m];
        double served = worth > 0 ? p->demand[at] : load->must_serve_frac * p->demand[at];
        sum += worth * served - w * p->penalty_usd[at] * p->demand[at];
        needs[m] -= served;
    }
    return sum;
}

static double rental(const rub_dual *d, int32_t n, double *needs, double *out_depth) {
    const rub_problem *p = d->p;
    const double *unit = d->prices->unit + (size_t)n * (size_t)(p->n_region + 1);
    double w = d->prices->weight[n], sum = 0.0;
    for (int32_t m = 0; m <= p->n_region; m++)
        for (int32_t s = 0; s < p->n_step; s++) {
            size_t at =
                ((size_t)n * (size_t)(p->n_region + 1) + (size_t)m) * (size_t)p->n_step + (size_t)s;
            double in = unit[m] - w * p->rent_in_usd[at], out = w * p->rent_out_usd[at] - unit[m];
            if (in > 0 && (p->allow & RUB_ALLOW_RENT_IN)) {
                sum += in * p->rent_in_depth[at];
                needs[m] += p->rent_in_depth[at];
            }
            if (!(p->allow & RUB_ALLOW_RENT_OUT))
                continue;
            *out_depth += m < p->n_region ? p->rent_out_depth[at] : 0.0;
            if (out > 0) {
                sum += out * p->rent_out_depth[at];
                needs[m] -= p->rent_out_depth[at];
            }
        }
    return sum;
}

/* A link carries at most all inference load and rent-out of the node: an implied limit that keeps
 * the closed form finite and cuts off no plan worth having. */
static double links(const rub_dual *d, int32_t n, double most, double *needs) {
    const rub_problem *p = d->p;
    const double *unit = d->prices->unit + (size_t)n * (size_t)(p->n_region + 1);
    double sum = 0.0;
    for (int32_t l = 0; l < p->n_link && (p->allow & RUB_ALLOW_SHIP); l++) {
        const rub_study_link *link = &p->study->link[l];
        double gain = unit[link->to] - unit[link->from] -
                      d->prices->weight[n] * p->ship_usd[(size_t)n * (size_t)p->n_link + (size_t)l];
        if (gain <= 0)
            continue;
        sum += gain * most;
        needs[link->to] += most;
        needs[link->from] -= most;
    }
    return sum;
}

static double inference_load(const rub_problem *p, int32_t n) {
    double sum = 0.0;
    for (int32_t i = 0; i < p->n_demand; i++)
        if (p->study->demand[i].load_class == RUB_INFERENCE)
            sum += p->demand[(size_t)n * (size_t)p->n_demand + (size_t)i];
    return sum;
}

/* price * limit of a row, and the limit into its residual. No limit: nothing. */
static double limit(double price, double most, double *residual) {
    if (!isfinite(most)) {
        *residual = 0.0; /* never scarce: its price stays 0 */
        return 0.0;
    }
    *residual += most;
    return price * most;
}

static double node_value(rub_dual *d, int32_t n) {
    const rub_problem *p = d->p;
    const rub_prices *x = d->prices;
    double *needs = d->residual + d->at.unit + (size_t)n * (size_t)(p->n_region + 1),
           out_depth = 0.0;
    double sum =
        x->weight[n] * p->fixed_cash_usd[n] + loads(d, n, needs) + rental(d, n, needs, &out_depth);
    sum += links(d, n, inference_load(p, n) + out_depth, needs);
    for (int32_t r = 0; r < p->n_region; r++) {
        size_t nr = (size_t)n * (size_t)p->n_region + (size_t)r;
        sum += limit(x->grid[nr], p->grid_mw[nr], &d->residual[d->at.grid + nr]);
        sum += limit(x->sublet[nr], p->sublet_depth_mw[nr], &d->residual[d->at.sublet + nr]);
    }
    for (int32_t g = 0; g < p->n_gen; g++) {
        size_t ng = (size_t)n * (size_t)p->n_gen + (size_t)g;
        sum += limit(x->order[ng], p->supply_mw[ng], &d->residual[d->at.order + ng]);
    }
    return sum;
}

/* Spend by node becomes what is left of the budget at each row. */
static double budgets(rub_dual *d) {
    const rub_problem *p = d->p;
    double *left = d->residual + d->at.budget, sum = 0.0;
    for (int32_t n = 0; n < p->n_node; n++) {
        int32_t parent = p->tree->parent[n], t = p->tree->quarter[n];
        if (parent >= 0 && p->budget_of_quarter[t] >= 0 &&
            p->budget_of_quarter[t - 1] == p->budget_of_quarter[t])
            left[n] += left[parent];
    }
    for (int32_t n = 0; n < p->n_node; n++)
        if (rub_is_budget_row(p, n)) {
            double most = p->budget_usd[p->budget_of_quarter[p->tree->quarter[n]]];
            left[n] += most;
            sum += d->prices->budget[n] * most;
        }
    for (int32_t n = 0; n < p->n_node; n++)
        if (!rub_is_budget_row(p, n))
            left[n] = 0.0;
    return sum;
}

double rub_dual_bound(rub_dual *d, const rub_prices *prices) {
    double sum = 0.0;
    d->prices = prices;
    price_capacity(d);
    rub_parallel_for(d->c->n_site, d->n_thread, price_site, d);
    memset(d->residual, 0, d->at.n * sizeof(double));
    for (int32_t s = 0; s < d->c->n_site; s++) {
        const double *from = d->site_residual + (size_t)s * d->at.n;
        sum += d->site_value[s];
        for (size_t i = 0; i < d->at.n; i++)
            d->residual[i] += from[i];
    }
    for (int32_t n = 0; n < d->p->n_node; n++)
        sum += node_value(d, n);
    return sum + budgets(d);
}

/* ---- volume algorithm ------------------------------------------------------------------------ */

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

void rub_dual_improve(rub_dual *d, rub_prices *x, double value, double gap_frac, int32_t turns,
                      double *bound) {
    size_t n = d->at.n;
    double *store = RUB_NEW(double, 5 * n);
    if (!store)
        return;
    double *price = store, *amount = store + n, *best = store + 2 * n, *mean = store + 3 * n,
           *now = store + 4 * n;
    natural(d, x, price, amount);
    gather(d, x, best);
    rub_prices_spread_budget(d->p, x);
    double least = rub_dual_bound(d, x), f = 0.4, alpha = 0.3;
    memcpy(mean, d->residual, n * sizeof *mean);
    int32_t red = 0;
    for (int32_t turn = 0; turn < turns && least - value > gap_frac * fmax(1.0, fabs(value));
         turn++) {
        double norm = 0.0, agree = 0.0;
        for (size_t i = 0; i < n; i++)
            if (amount[i] > 0 && !(best[i] <= 0 && mean[i] > 0))
                norm += price[i] * mean[i] * mean[i] / amount[i];
        if (!(norm > 0))
            break;
        double target = fmax(value, least - 0.2 * fabs(least)), step = f * (least - target) / norm;
        for (size_t i = 0; i < n; i++)
            now[i] = amount[i] > 0 ? fmax(0.0, best[i] - step * price[i] * mean[i] / amount[i])
                                   : best[i];
        scatter(d, now, x);
        double here = rub_dual_bound(d, x);
        for (size_t i = 0; i < n; i++)
            agree += amount[i] > 0 ? d->residual[i] * mean[i] * price[i] / amount[i] : 0.0;
        for (size_t i = 0; i < n; i++)
            mean[i] = alpha * d->residual[i] + (1 - alpha) * mean[i];
        if (here < least) {
            least = here;
            memcpy(best, now, n * sizeof *best);
            f = fmin(2.0, agree > 0 ? f * 1.1 : f);
            red = 0;
        } else if (++red >= 8) {
            f = fmax(f * 0.66, 1e-4);
            alpha = fmax(0.02, alpha * 0.9);
            red = 0;
        }
    }
    scatter(d, best, x);
    *bound = least;
    free(store);
}
