/* Search: the best path of one block against what the others leave.
 *
 * What a block's live MW adds at a node is the market's worth with them less its worth without, by the
 * prices kept for the node. Supply and sublet depth are of single nodes, so what the others leave
 * decides which arcs are open. Budgets add up along paths: arcs are charged a price per dollar that
 * rises until the block's path keeps them all. */
#include "portfolio/search_state.h"

#include <math.h>
#include <string.h>

#define BUDGET_ROUNDS 14
#define EXACT_NODES 150

/* What mw of a pool add at a node, per MW. */
static double added(const rub_search *s, int32_t n, int32_t region, int32_t gen, int training,
                    double mw) {
    const rub_problem *p = s->p;
    const double *cut = s->cut_usd + (size_t)n * RUB_SEARCH_CUTS;
    size_t width = 2 * (size_t)p->n_region + 1;
    const double *unit = s->cut_price + (size_t)n * RUB_SEARCH_CUTS * width;
    double before = HUGE_VAL, after = HUGE_VAL;
    for (int k = 0; k < s->n_cut[n]; k++, unit += width) {
        double with = cut[k] + mw * rub_market_mw_price(p, n, region, gen, training, unit,
                                                        unit + p->n_region + 1);
        before = cut[k] < before ? cut[k] : before;
        after = with < after ? with : after;
    }
    return (after - before) / mw;
}

/* Small trees can afford the truth: two linear programs. */
static double added_exactly(rub_search *s, int32_t n, int32_t region, int32_t gen, int training,
                            double mw) {
    double *cap = s->cap + (size_t)n * (size_t)s->n_cap,
           *pool = cap + (region * s->p->n_gen + gen) * 2 + training, before = s->usd[n],
           was = *pool;
    if (s->loose[n])
        before = rub_market_reclear(s->market, n, cap, &s->basis[n], NULL);
    *pool += mw;
    double after = rub_market_reclear(s->market, n, cap, &s->basis[n], NULL);
    *pool = was;
    return (after - before) / mw;
}

static void fill_own(rub_search *s, int32_t block, const rub_prices *x, double blend) {
    const rub_problem *p = s->p;
    int32_t site = s->site_of[block], region = s->l->site[site].region;
    const rub_study_site *terms = &p->study->site[site];
    const bool exact = p->n_node <= EXACT_NODES;
    double share =
        terms->rofr_partner >= 0 ? p->study->partner[terms->rofr_partner].rofr_share_frac : 0.0;
    for (int32_t n = 0; n < p->n_node; n++) {
        uint64_t kinds =
            s->kinds[(size_t)site * (size_t)p->n_quarter + (size_t)p->tree->quarter[n]];
        for (int32_t g = 0; kinds; g++, kinds >>= 4)
            for (int k = 0; k < 4; k++) {
                if (!(kinds >> k & 1))
                    continue;
                double mw = terms->block_mw * (k >= 2 ? 1.0 - share : 1.0), gain = 0.0;
                if (blend < 1)
                    gain = (1 - blend) * s->weight[n] *
                           (exact ? added_exactly(s, n, region, g, k % 2, mw)
                                  : added(s, n, region, g, k % 2, mw));
                if (blend > 0 && x->weight[n] > 0) {
                    /* the dual's prices have its own weights inside */
                    size_t nr = (size_t)n * (size_t)p->n_region + (size_t)region;
                    size_t ng = (size_t)n * (size_t)p->n_gen + (size_t)g;
                    const double *unit = x->unit + (size_t)n * (size_t)(p->n_region + 1);
                    double cost = x->weight[n] * p->power_usd_per_mw[nr] + x->grid[nr];
                    double worth = fmax(0.0, unit[region] * p->tok_per_s_per_mw[ng] - cost);
                    if (k % 2)
                        worth = fmax(worth, unit[p->n_region] * p->train_per_mw[ng] - cost);
                    gain += blend * worth * s->weight[n] / x->weight[n];
                }
                s->own_column[(size_t)(4 * g + k) * (size_t)p->n_node + (size_t)n] = gain;
            }
    }
}

/* What the dual charges for the rows that blocks share, at this search's weights. */
static double charged(const rub_search *s, const rub_prices *x, double blend, size_t n,
                      double price) {
    return x->weight[n] > 0 ? blend * price * s->weight[n] / x->weight[n] : 0.0;
}

static void fill_limits(rub_search *s, int32_t block, const rub_prices *x, double blend) {
    const rub_problem *p = s->p;
    int32_t site = s->site_of[block], k = p->study->site[site].rofr_partner;
    size_t region = (size_t)s->l->site[site].region, nodes = (size_t)p->n_node;
    double mw = p->study->site[site].block_mw;
    for (size_t n = 0; n < nodes; n++) {
        size_t nr = n * (size_t)p->n_region + region;
        bool held = k >= 0 && p->rofr[n * (size_t)p->study->n_partner + (size_t)k];
        s->held_column[n] = held ? -HUGE_VAL : 0.0;
        s->held_column[nodes + n] = held ? 0.0 : -HUGE_VAL;
        bool full = s->let[nr] + mw > p->sublet_depth_mw[nr] * (1 + 1e-9);
        s->depth_column[n] = full ? -HUGE_VAL : 0.0;
        s->mu[n] = 0.0;
        if (x && s->budget_share > 0)
            s->mu[n] = charged(s, x, s->budget_share, n, x->capex[n]);
        if (blend > 0)
            s->depth_column[n] -= charged(s, x, blend, n, x->sublet[nr]);
    }
}

/* Columns of money at weights w per dollar, with mu per dollar of budget. */
static void fill_money(rub_search *s, int32_t block, const double *w, const rub_prices *x,
                       double blend) {
    const rub_problem *p = s->p;
    size_t region = (size_t)s->l->site[s->site_of[block]].region, nodes = (size_t)p->n_node;
    double mw = p->study->site[s->site_of[block]].block_mw;
    for (size_t n = 0; n < nodes; n++) {
        s->capex_column[n] = -s->mu[n];
        s->let_column[n] = w[n] * p->sublet_usd_per_mw[n * (size_t)p->n_region + region];
        for (size_t g = 0; g < (size_t)p->n_gen; g++) {
            size_t ng = n * (size_t)p->n_gen + g;
            bool open = p->may_order[ng] && s->order[ng] + mw <= p->supply_mw[ng] * (1 + 1e-9);
            s->resale_column[g * nodes + n] = w[n] * p->gen_usd_per_mw[ng];
            s->order_column[g * nodes + n] =
                open ? -(w[n] + s->mu[n]) * p->gen_usd_per_mw[ng] : -HUGE_VAL;
            if (blend > 0)
                s->order_column[g * nodes + n] -= charged(s, x, blend, n, x->order[ng]);
        }
    }
}

static void view_of(const rub_search *s, const double *w, const double **column) {
    size_t nodes = (size_t)s->p->n_node;
    column[RUB_COLUMN_CASH] = w;
    column[RUB_COLUMN_CAPEX] = s->capex_column;
    column[RUB_COLUMN_LET] = s->let_column;
    column[RUB_COLUMN_DEPTH] = s->depth_column;
    column[RUB_COLUMN_FREE] = s->held_column;
    column[RUB_COLUMN_HELD] = s->held_column + nodes;
    for (int32_t g = 0; g < s->p->n_gen; g++) {
        column[rub_column_order(g)] = s->order_column + (size_t)g * nodes;
        column[rub_column_resale(g)] = s->resale_column + (size_t)g * nodes;
        for (int k = 0; k < 4; k++)
            column[rub_column_own(g, k % 2, k / 2)] = s->own_column + (size_t)(4 * g + k) * nodes;
    }
}

/* The dynamic program with the columns as they stand, into s->trial. */
static bool run(rub_search *s, int32_t block, const double *w) {
    const double *column[RUB_COLUMN_GEN + 6 * 256];
    rub_level_entry root = {.action = s->root_action[block], .gen = s->root_gen[block]};
    bool orders = root.action == RUB_ACTION_FIT_OUT || root.action == RUB_ACTION_REFRESH;
    root.gen = orders ? root.gen : 0;
    const rub_level_entry *only = s->root_action[block] != 255 ? &root : NULL;
    view_of(s, w, column);
    double value = rub_levels_best(s->l, s->site_of[block], column, only, &s->work);
    if (!(value > -HUGE_VAL))
        return false;
    rub_levels_follow(s->l, s->site_of[block], column, only, &s->work, s->trial);
    return true;
}

static double budget_at(const rub_problem *p, int32_t node) {
    int32_t b = p->budget_of_quarter[p->tree->quarter[node]];
    return b >= 0 ? p->budget_usd[b] : HUGE_VAL;
}

/* Nodes from which the trial path leads over a budget get dearer; false: none does. */
static bool raise_mu(rub_search *s, int32_t block, double factor) {
    const rub_problem *p = s->p;
    bool any = false;
    for (int32_t n = 0; n < p->n_node; n++) {
        int32_t parent = p->tree->parent[n], t = p->tree->quarter[n];
        bool same = parent >= 0 && p->budget_of_quarter[t] == p->budget_of_quarter[t - 1];
        const rub_arc_terms *f = &rub_search_entry(s, block, n, s->trial[n])->f;
        s->spend_trial[n] =
            s->own_spend[n] + rub_arc_terms_capex(p, f, n) + (same ? s->spend_trial[parent] : 0.0);
    }
    for (int32_t n = 0; n < p->n_node; n++) {
        double most = budget_at(p, n);
        if (!(s->spend_trial[n] > most + 1e-7 * fabs(most) + 1.0))
            continue;
        any = true;
        for (int32_t a = n; a >= 0; a = p->tree->parent[a]) {
            if (p->budget_of_quarter[p->tree->quarter[a]] !=
                p->budget_of_quarter[p->tree->quarter[n]])
                break;
            double least = 0.05 * s->weight[a];
            s->mu[a] = s->mu[a] < least ? least : fmin(s->mu[a] * factor, 1e6 * s->weight[a]);
        }
    }
    return any;
}

bool rub_search_best_path(rub_search *s, int32_t block, const rub_prices *prices, double blend) {
    if (!rub_search_go(s))
        return false;
    fill_limits(s, block, prices, blend);
    fill_own(s, block, prices, blend);
    for (int round = 0; round < BUDGET_ROUNDS; round++) {
        fill_money(s, block, s->weight, prices, blend);
        if (!rub_search_go(s) || !run(s, block, s->weight))
            return false;
        if (!raise_mu(s, block, 3.0))
            return true;
    }
    return false;
}

bool rub_search_cheapest(rub_search *s, int32_t block) {
    const rub_problem *p = s->p;
    double *w = s->so_far; /* scratch is free here */
    fill_limits(s, block, NULL, 0.0);
    for (int32_t n = 0; n < p->n_node; n++) {
        s->mu[n] = p->tree->prob[n];
        w[n] = 1e-4 * p->tree->prob[n];
    }
    memset(s->own_column, 0, (size_t)p->n_node * (size_t)p->n_gen * 4 * sizeof(double));
    for (int round = 0; round < BUDGET_ROUNDS; round++) {
        fill_money(s, block, w, NULL, 0.0);
        if (!run(s, block, w))
            return false;
        if (!raise_mu(s, block, 3.0))
            break;
    }
    return true;
}
