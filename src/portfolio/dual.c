/* Dual: the bound at given prices.
 *
 * L(prices) = sum of blocks' best values + market's best value + prices * limits. Blocks are priced
 * by dynamic programming, the market in closed form (every load, step and link on its own), so L is
 * an upper bound at any prices >= 0. It is convex; the residual of the rows is a subgradient. Sites
 * run in parallel, then nodes in parallel; sums are taken in one order whatever the threads. */
#include "portfolio/dual.h"

#include "base/array.h"
#include "base/ranks.h"
#include "base/tasks.h"
#include "portfolio/dual_rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 256 }; /* nodes of one task */

static rub_dual_rows layout(const rub_problem *p) {
    size_t n = (size_t)p->n_node, r = (size_t)p->n_region;
    rub_dual_rows at = {.unit = 0, .grid = n * (r + 1)};
    at.order = at.grid + n * r;
    at.sublet = at.order + n * (size_t)p->n_gen;
    at.budget = at.sublet + n * r;
    at.n = at.budget + n;
    return at;
}

static bool allocate(rub_dual *d) {
    const rub_problem *p = d->p;
    size_t n = (size_t)p->n_node, r = (size_t)p->n_region, g = (size_t)p->n_gen;
    size_t pools = r * g * 2 * n;
    bool ok = (d->work = RUB_NEW(rub_level_work, d->n_thread)) != NULL;
    for (int32_t i = 0; ok && i < d->n_thread; i++)
        ok = rub_level_work_init(d->l, &d->work[i]);
    return ok && (d->volume.store = RUB_NEW(double, 5 * d->at.n)) &&
           (d->sample = RUB_NEW(uint16_t, (size_t)p->n_block * n)) &&
           (d->path = RUB_NEW(uint16_t, (size_t)d->l->n_site * n)) &&
           (d->site_value = RUB_NEW(double, d->l->n_site)) &&
           (d->node_value = RUB_NEW(double, n)) && (d->residual = RUB_NEW(double, d->at.n)) &&
           (d->capex = RUB_NEW(double, n)) && (d->order = RUB_NEW(double, g *n)) &&
           (d->resale = RUB_NEW(double, g *n)) && (d->own = RUB_NEW(double, pools)) &&
           (d->own_use = RUB_NEW(uint8_t, pools)) && (d->let = RUB_NEW(double, r *n)) &&
           (d->depth = RUB_NEW(double, r *n)) &&
           (d->held = RUB_NEW(double, ((size_t)p->study->n_partner + 1) * 2 * n));
}

/* Where a partner exercises its right; the last two columns are of sites that no partner has a right
 * on. */
static void fill_held(rub_dual *d) {
    const rub_problem *p = d->p;
    int32_t partners = p->study->n_partner;
    for (int32_t k = 0; k <= partners; k++)
        for (int32_t n = 0; n < p->n_node; n++) {
            bool is = k < partners && p->rofr[(size_t)n * (size_t)partners + (size_t)k];
            double *column = d->held + (size_t)k * 2 * (size_t)p->n_node;
            column[n] = is ? -HUGE_VAL : 0.0;
            column[p->n_node + n] = is ? 0.0 : -HUGE_VAL;
        }
}

rub_status rub_dual_create(const rub_levels *l, int32_t n_thread, const rub_ranks *ranks,
                           uint64_t seed, rub_dual **out, rub_error *err) {
    rub_dual *d = RUB_NEW(rub_dual, 1);
    if (!d)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    d->l = l;
    d->p = l->problem;
    d->at = layout(d->p);
    d->n_thread = rub_thread_count(n_thread);
    d->ranks = ranks;
    if (!allocate(d)) {
        rub_dual_free(d);
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for the bound");
    }
    d->rng = rub_rng_make(seed, 606);
    fill_held(d);
    *out = d;
    return RUB_OK;
}

void rub_dual_free(rub_dual *d) {
    if (!d)
        return;
    for (int32_t i = 0; d->work && i < d->n_thread; i++)
        rub_level_work_clear(&d->work[i]);
    void *all[] = {d->sample,     d->volume.store, d->work,  d->path,  d->site_value,
                   d->node_value, d->residual,     d->capex, d->order, d->resale,
                   d->own,        d->own_use,      d->let,   d->depth, d->held};
    for (size_t i = 0; i < RUB_LEN(all); i++)
        free(all[i]);
    free(d);
}

void rub_dual_watch(rub_dual *d, rub_watch *watch) { d->watch = watch; }

/* ---- blocks ---------------------------------------------------------------------------------- */

/* Best use of a live MW of a pool: idle, inference, training. */
static void price_pool(rub_dual *d, int32_t n, int32_t r, int32_t g) {
    const rub_problem *p = d->p;
    const rub_prices *x = d->prices;
    size_t nr = (size_t)n * (size_t)p->n_region + (size_t)r,
           ng = (size_t)n * (size_t)p->n_gen + (size_t)g;
    const double *unit = x->unit + (size_t)n * (size_t)(p->n_region + 1);
    double cost = x->weight[n] * p->power_usd_per_mw[nr] + x->grid[nr];
    double infer = unit[r] * p->tok_per_s_per_mw[ng] - cost;
    double train = unit[p->n_region] * p->train_per_mw[ng] - cost;
    size_t at = rub_dual_pool(p, r, g, 0) + (size_t)n, second = at + (size_t)p->n_node;
    d->own[at] = d->own[second] = fmax(0.0, infer);
    d->own_use[at] = d->own_use[second] = infer > 0;
    if (train > d->own[second]) {
        d->own[second] = train;
        d->own_use[second] = 2;
    }
}

static void price_nodes(void *ctx, int32_t chunk, int32_t thread) {
    rub_dual *d = ctx;
    const rub_problem *p = d->p;
    const rub_prices *x = d->prices;
    (void)thread;
    for (int32_t n = chunk * CHUNK; n < p->n_node && n < (chunk + 1) * CHUNK; n++) {
        double w = x->weight[n];
        d->capex[n] = -x->capex[n];
        for (int32_t g = 0; g < p->n_gen; g++) {
            size_t ng = (size_t)n * (size_t)p->n_gen + (size_t)g,
                   at = (size_t)g * (size_t)p->n_node + (size_t)n;
            d->resale[at] = w * p->gen_usd_per_mw[ng];
            d->order[at] = p->may_order[ng]
                               ? -(w + x->capex[n]) * p->gen_usd_per_mw[ng] - x->order[ng]
                               : -HUGE_VAL;
        }
        for (int32_t r = 0; r < p->n_region; r++) {
            size_t nr = (size_t)n * (size_t)p->n_region + (size_t)r,
                   at = (size_t)r * (size_t)p->n_node + (size_t)n;
            d->let[at] = w * p->sublet_usd_per_mw[nr];
            d->depth[at] = -x->sublet[nr];
            for (int32_t g = 0; g < p->n_gen; g++)
                price_pool(d, n, r, g);
        }
    }
}

static void view_of(const rub_dual *d, int32_t site, const double **column) {
    const rub_problem *p = d->p;
    size_t n = (size_t)p->n_node, r = (size_t)d->l->site[site].region;
    int32_t k = p->study->site[site].rofr_partner;
    column[RUB_COLUMN_CASH] = d->prices->weight;
    column[RUB_COLUMN_CAPEX] = d->capex;
    column[RUB_COLUMN_LET] = d->let + r * n;
    column[RUB_COLUMN_DEPTH] = d->depth + r * n;
    const double *held = d->held + (size_t)(k >= 0 ? k : p->study->n_partner) * 2 * n;
    column[RUB_COLUMN_FREE] = held;
    column[RUB_COLUMN_HELD] = held + n;
    for (int32_t g = 0; g < p->n_gen; g++) {
        column[rub_column_order(g)] = d->order + (size_t)g * n;
        column[rub_column_resale(g)] = d->resale + (size_t)g * n;
        for (int f = 0; f < 2; f++)
            column[rub_column_own(g, f, 0)] = column[rub_column_own(g, f, 1)] =
                d->own + rub_dual_pool(p, (int32_t)r, g, f);
    }
}

static void price_site(void *ctx, int32_t site, int32_t thread) {
    rub_dual *d = ctx;
    const double *column[RUB_COLUMN_GEN + 6 * 256];
    if (!rub_watch_go(d->watch, thread == 0))
        return;
    view_of(d, site, column);
    double best = rub_levels_best(d->l, site, column, NULL, &d->work[thread]);
    rub_levels_follow(d->l, site, column, NULL, &d->work[thread],
                      d->path + (size_t)site * (size_t)d->p->n_node);
    d->site_value[site] = d->l->site[site].n_block * best;
}

/* What a site's blocks that take this entry use of the rows. */
static void use_rows(rub_dual *d, const rub_level_site *s, int32_t n, const rub_level_entry *e) {
    const rub_problem *p = d->p;
    const rub_arc_terms *f = &e->f;
    double many = s->n_block, *residual = d->residual;
    size_t nr = (size_t)n * (size_t)p->n_region + (size_t)s->region;
    if (f->own_mw > 0) {
        uint8_t use = d->own_use[rub_dual_pool(p, s->region, f->live_gen, f->training) + (size_t)n];
        size_t ng = (size_t)n * (size_t)p->n_gen + f->live_gen;
        double mw = many * f->own_mw;
        double *unit = residual + d->at.unit + (size_t)n * (size_t)(p->n_region + 1);
        if (use == 1)
            unit[s->region] += mw * p->tok_per_s_per_mw[ng];
        else if (use == 2)
            unit[p->n_region] += mw * p->train_per_mw[ng];
        if (use)
            residual[d->at.grid + nr] -= mw;
    }
    if (f->order_mw > 0)
        residual[d->at.order + (size_t)n * (size_t)p->n_gen + f->order_gen] -= many * f->order_mw;
    if (f->sublet_mw > 0)
        residual[d->at.sublet + nr] -= many * f->sublet_mw;
    /* spend by node; added up to rows later */
    if (f->capex_usd > 0 || f->order_mw > 0)
        residual[d->at.budget + (size_t)n] -= many * rub_arc_terms_capex(p, f, n);
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
            sum += limit(d->prices->budget[n], most, &left[n]);
        }
    for (int32_t n = 0; n < p->n_node; n++)
        if (!rub_is_budget_row(p, n))
            left[n] = 0.0;
    return sum;
}

static void settle_nodes(void *ctx, int32_t chunk, int32_t thread) {
    rub_dual *d = ctx;
    const rub_problem *p = d->p;
    (void)thread;
    for (int32_t n = chunk * CHUNK; n < p->n_node && n < (chunk + 1) * CHUNK; n++) {
        int32_t t = p->tree->quarter[n];
        for (int32_t s = 0; s < d->l->n_site; s++) {
            const rub_level_site *site = &d->l->site[s];
            uint16_t e = d->path[(size_t)s * (size_t)p->n_node + (size_t)n];
            use_rows(d, site, n, &site->level[t].entry[e]);
        }
        d->node_value[n] = node_value(d, n);
    }
}

/* Each rank does its share of the sites; false when it was broken off. */
static bool price_sites(rub_dual *d) {
    size_t sites = (size_t)d->l->n_site, path = (size_t)d->p->n_node * sizeof *d->path;
    rub_ranks_for(d->ranks, d->l->n_site, d->n_thread, price_site, d);
    if (!rub_watch_agree(d->watch, d->ranks))
        return false;
    rub_ranks_gather(d->ranks, d->path, sites, path);
    rub_ranks_gather(d->ranks, d->site_value, sites, sizeof *d->site_value);
    return true;
}

double rub_dual_bound(rub_dual *d, const rub_prices *prices) {
    double sum = 0.0;
    int32_t chunks = (d->p->n_node + CHUNK - 1) / CHUNK;
    d->prices = prices;
    rub_parallel_for(chunks, d->n_thread, price_nodes, d);
    if (!price_sites(d))
        return HUGE_VAL;
    memset(d->residual, 0, d->at.n * sizeof(double));
    rub_parallel_for(chunks, d->n_thread, settle_nodes, d);
    for (int32_t s = 0; s < d->l->n_site; s++)
        sum += d->site_value[s];
    for (int32_t n = 0; n < d->p->n_node; n++)
        sum += d->node_value[n];
    return sum + budgets(d);
}

void rub_dual_sample(rub_dual *d, double share) {
    size_t n = (size_t)d->p->n_node;
    for (int32_t b = 0; b < d->p->n_block; b++)
        if (share >= 1.0 || rub_rng_uniform(&d->rng) < share)
            memcpy(d->sample + (size_t)b * n, d->path + (size_t)d->p->block[b].site * n,
                   n * sizeof *d->sample);
}

static void add_caps(void *ctx, int32_t chunk, int32_t thread) {
    const rub_dual *d = ctx;
    const rub_problem *p = d->p;
    size_t pools = (size_t)rub_market_n_cap(p);
    (void)thread;
    for (int32_t n = chunk * CHUNK; n < p->n_node && n < (chunk + 1) * CHUNK; n++) {
        double *cap = d->caps + (size_t)n * pools;
        memset(cap, 0, pools * sizeof *cap);
        for (int32_t s = 0; s < d->l->n_site; s++) {
            const rub_level_site *site = &d->l->site[s];
            uint16_t e = d->path[(size_t)s * (size_t)p->n_node + (size_t)n];
            const rub_arc_terms *f = &site->level[p->tree->quarter[n]].entry[e].f;
            if (f->own_mw > 0)
                cap[(site->region * p->n_gen + f->live_gen) * 2 + f->training] +=
                    site->n_block * f->own_mw;
        }
    }
}

void rub_dual_caps(rub_dual *d, double *cap) {
    d->caps = cap;
    rub_parallel_for((d->p->n_node + CHUNK - 1) / CHUNK, d->n_thread, add_caps, d);
}

const uint16_t *rub_dual_path(const rub_dual *d, int32_t block) {
    return d->sample + (size_t)block * (size_t)d->p->n_node;
}
