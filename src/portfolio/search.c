/* Search: state and sums. What the market makes of the MW that stand at a node is exact for the plan; for
 * a plan that is only being tried it is bounded from above by the prices of earlier clearings, which
 * rejects most trials without a single linear program. */
#include "portfolio/search_state.h"

#include "base/array.h"
#include "base/ranks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct part {
    void **into;
    size_t n, size;
    bool state; /* part of the plan: copied by rub_search_copy */
} part;

enum { PARTS = 40 };

/* All arrays with their sizes, in one place for making, copying and freeing. */
static int parts(rub_search *s, part *out) {
    const rub_problem *p = s->p;
    size_t n = (size_t)p->n_node, b = (size_t)p->n_block, g = (size_t)p->n_gen,
           r = (size_t)p->n_region, d = sizeof(double), cuts = RUB_SEARCH_CUTS;
    const part all[] = {
        {(void **)&s->path, b * n, 2, true},
        {(void **)&s->in, b, sizeof(bool), true},
        {(void **)&s->cap, n * (size_t)s->n_cap, d, true},
        {(void **)&s->order, n * g, d, true},
        {(void **)&s->let, n * r, d, true},
        {(void **)&s->own_spend, n, d, true},
        {(void **)&s->spend, n, d, true},
        {(void **)&s->cash, n, d, true},
        {(void **)&s->usd, n, d, true},
        {(void **)&s->loose, n, sizeof(bool), true},
        {(void **)&s->n_cut, n, 1, true},
        {(void **)&s->cut_usd, n * cuts, d, true},
        {(void **)&s->cut_price, n * cuts * (2 * r + 1), d, true},
        {(void **)&s->basis, n, sizeof *s->basis, true},
        {(void **)&s->leaf_npv, n, d, true},
        {(void **)&s->leaf_weight, n, d, true},
        {(void **)&s->site_of, b, sizeof(int32_t), false},
        {(void **)&s->touched, n, sizeof(int32_t), false},
        {(void **)&s->is_touched, n, sizeof(bool), false},
        {(void **)&s->was_loose, n, sizeof(bool), false},
        {(void **)&s->was_usd, n, d, false},
        {(void **)&s->weight, n, d, false},
        {(void **)&s->leaf, n, sizeof(int32_t), false},
        {(void **)&s->root_action, b, 1, false},
        {(void **)&s->root_gen, b, 1, false},
        {(void **)&s->kinds, (size_t)s->l->n_site * (size_t)p->n_quarter, sizeof(uint64_t), false},
        {(void **)&s->mu, n, d, false},
        {(void **)&s->capex_column, n, d, false},
        {(void **)&s->order_column, n * g, d, false},
        {(void **)&s->resale_column, n * g, d, false},
        {(void **)&s->let_column, n, d, false},
        {(void **)&s->depth_column, n, d, false},
        {(void **)&s->own_column, n * g * 4, d, false},
        {(void **)&s->held_column, n * 2, d, false},
        {(void **)&s->so_far, n, d, false},
        {(void **)&s->spend_trial, n, d, false},
        {(void **)&s->trial, n, 2, false},
        {(void **)&s->saved_path, b * n, 2, false},
        {(void **)&s->ranking, n, sizeof *s->ranking, false}};
    memcpy(out, all, sizeof all);
    return (int)RUB_LEN(all);
}

void rub_search_free(rub_search *s) {
    if (!s)
        return;
    part all[PARTS];
    int n = parts(s, all);
    for (int i = 0; i < n; i++)
        free(*all[i].into);
    rub_level_work_clear(&s->work);
    rub_market_free(s->market);
    free(s);
}

static bool allocate(rub_search *s) {
    part all[PARTS];
    int n = parts(s, all);
    for (int i = 0; i < n; i++)
        if (!(*all[i].into = rub_calloc(all[i].n, all[i].size)))
            return false;
    return rub_level_work_init(s->l, &s->work);
}

/* Which pools a site's blocks may have live in each quarter: bit gen * 4 + 2 * held + training. */
static void find_kinds(rub_search *s) {
    for (int32_t i = 0; i < s->l->n_site; i++)
        for (int32_t t = 0; t < s->p->n_quarter; t++) {
            const rub_level *level = &s->l->site[i].level[t];
            uint64_t *kinds = &s->kinds[(size_t)i * (size_t)s->p->n_quarter + (size_t)t];
            for (int32_t e = 0; e < level->n_entry; e++) {
                const rub_level_entry *one = &level->entry[e];
                int held = s->l->site[i].automaton.state[one->from].held;
                if (one->f.own_mw > 0)
                    *kinds |= (uint64_t)1
                              << (one->f.live_gen * 4 + 2 * held + (int)one->f.training);
            }
        }
}

rub_status rub_search_create(const rub_levels *l, uint64_t seed, const rub_plan *keep_root,
                             rub_search **out, rub_error *err) {
    rub_search *s = RUB_NEW(rub_search, 1);
    if (!s)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    s->l = l;
    s->p = l->problem;
    s->n_cap = rub_market_n_cap(s->p);
    s->rng = rub_rng_make(seed, 4242);
    if (!allocate(s) || rub_market_create(s->p, &s->market, err) != RUB_OK) {
        rub_search_free(s);
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for the search");
    }
    for (int32_t b = 0; b < s->p->n_block; b++) {
        s->site_of[b] = s->p->block[b].site;
        s->root_action[b] = s->root_gen[b] = 255;
        if (keep_root) {
            const rub_step *root = &keep_root->step[(size_t)b * (size_t)keep_root->n_node];
            s->root_action[b] = root->action;
            s->root_gen[b] = root->gen;
        }
    }
    for (int32_t n = 0; n < s->p->n_node; n++)
        if (s->p->tree->n_child[n] == 0)
            s->leaf[s->n_leaf++] = n;
    find_kinds(s);
    *out = s;
    return RUB_OK;
}

void rub_search_watch(rub_search *s, rub_watch *watch, bool caller) {
    s->watch = watch;
    s->caller = caller;
}

void rub_search_copy(const rub_search *from, rub_search *to) {
    part a[PARTS], b[PARTS];
    int n = parts((rub_search *)(uintptr_t)from, a);
    parts(to, b);
    for (int i = 0; i < n; i++)
        if (a[i].state)
            memcpy(*b[i].into, *a[i].into, a[i].n * a[i].size);
    to->value = from->value;
    to->n_touched = 0;
    memset(to->is_touched, 0, (size_t)to->p->n_node * sizeof(bool));
}

void rub_search_share(rub_search *s, const rub_ranks *ranks, int32_t from) {
    part all[PARTS];
    int n = parts(s, all);
    for (int i = 0; i < n; i++)
        if (all[i].state)
            rub_ranks_share(ranks, *all[i].into, all[i].n * all[i].size, from);
    rub_ranks_share(ranks, &s->value, sizeof s->value, from);
    s->n_touched = 0;
    memset(s->is_touched, 0, (size_t)s->p->n_node * sizeof(bool));
}

/* ---- the market at a node -------------------------------------------------------------------- */

static size_t price_width(const rub_search *s) { return 2 * (size_t)s->p->n_region + 1; }

static void estimate(rub_search *s, int32_t n) {
    const double *cut = s->cut_usd + (size_t)n * RUB_SEARCH_CUTS;
    double least = cut[0];
    for (int k = 1; k < s->n_cut[n]; k++)
        least = cut[k] < least ? cut[k] : least;
    s->usd[n] = least;
    s->loose[n] = true;
}

/* Keeps the prices of the clearing just made, in place of the loosest when there is no room. */
static void keep_prices(rub_search *s, int32_t n, const double *price) {
    const rub_problem *p = s->p;
    double *cut = s->cut_usd + (size_t)n * RUB_SEARCH_CUTS;
    int slot = s->n_cut[n];
    if (slot == RUB_SEARCH_CUTS) {
        slot = 0;
        for (int k = 1; k < RUB_SEARCH_CUTS; k++)
            if (cut[k] > cut[slot])
                slot = k;
    } else
        s->n_cut[n]++;
    double *to = s->cut_price + ((size_t)n * RUB_SEARCH_CUTS + (size_t)slot) * price_width(s);
    memcpy(to, price, price_width(s) * sizeof *to);
    const double *unit = to, *grid = to + p->n_region + 1;
    cut[slot] = rub_market_constant(p, n, unit, grid);
    for (int32_t i = 0; i < s->n_cap; i++) {
        double mw = s->cap[(size_t)n * (size_t)s->n_cap + (size_t)i];
        if (mw > 0)
            cut[slot] += mw * rub_market_mw_price(p, n, i / 2 / p->n_gen, i / 2 % p->n_gen, i % 2,
                                                  unit, grid);
    }
}

static void clear_market(rub_search *s, int32_t n) {
    double price[2 * 64 + 1];
    double usd = rub_market_reclear(s->market, n, s->cap + (size_t)n * (size_t)s->n_cap,
                                    &s->basis[n], price);
    rub_market_grid_prices(s->market, n, price + s->p->n_region + 1);
    if (s->n_cut[n] > 0)
        estimate(s, n);
    if (s->n_cut[n] == 0 || s->usd[n] > usd + 1e-9 * fabs(usd))
        keep_prices(s, n, price);
    s->usd[n] = usd;
    s->loose[n] = false;
}

static void touch(rub_search *s, int32_t n) {
    if (s->is_touched[n])
        return;
    s->is_touched[n] = true;
    s->was_usd[n] = s->usd[n];
    s->was_loose[n] = s->loose[n];
    s->touched[s->n_touched++] = n;
}

/* mw more of a pool at a node. */
static void change_cap(rub_search *s, int32_t n, int32_t region, int32_t gen, int training,
                       double mw) {
    size_t pool = (size_t)((region * s->p->n_gen + gen) * 2 + training);
    double *cap = &s->cap[(size_t)n * (size_t)s->n_cap + pool];
    touch(s, n);
    *cap += mw;
    *cap = *cap < 1e-9 ? 0.0 : *cap;
    for (int k = 0; k < s->n_cut[n]; k++) {
        size_t at = (size_t)n * RUB_SEARCH_CUTS + (size_t)k;
        const double *unit = s->cut_price + at * price_width(s);
        s->cut_usd[at] += mw * rub_market_mw_price(s->p, n, region, gen, training, unit,
                                                   unit + s->p->n_region + 1);
    }
    estimate(s, n);
}

void rub_search_clear_touched(rub_search *s) {
    for (int32_t i = 0; i < s->n_touched; i++)
        if (s->loose[s->touched[i]])
            clear_market(s, s->touched[i]);
}

void rub_search_commit(rub_search *s) {
    for (int32_t i = 0; i < s->n_touched; i++)
        s->is_touched[s->touched[i]] = false;
    s->n_touched = 0;
}

void rub_search_forget(rub_search *s) {
    for (int32_t i = 0; i < s->n_touched; i++) {
        int32_t n = s->touched[i];
        s->is_touched[n] = false;
        s->usd[n] = s->was_usd[n];
        s->loose[n] = s->was_loose[n];
    }
    s->n_touched = 0;
}

/* ---- sums ------------------------------------------------------------------------------------ */

void rub_search_count(rub_search *s, int32_t block, double sign) {
    const rub_problem *p = s->p;
    int32_t region = s->l->site[s->site_of[block]].region;
    const rub_automaton *a = &s->l->site[s->site_of[block]].automaton;
    const uint16_t *path = rub_search_path(s, block);
    for (int32_t n = 0; n < p->n_node; n++) {
        const rub_level_entry *e = rub_search_entry(s, block, n, path[n]);
        const rub_arc_terms *f = &e->f;
        s->cash[n] += sign * rub_arc_terms_cash(p, f, region, n);
        if (p->tree->n_child[n] == 0)
            s->cash[n] += sign * rub_state_terminal_usd(p, a, e->to, n);
        if (f->capex_usd > 0 || f->order_mw > 0)
            s->own_spend[n] += sign * rub_arc_terms_capex(p, f, n);
        if (f->order_mw > 0)
            s->order[(size_t)n * (size_t)p->n_gen + f->order_gen] += sign * f->order_mw;
        if (f->sublet_mw > 0)
            s->let[(size_t)n * (size_t)p->n_region + (size_t)region] += sign * f->sublet_mw;
        if (f->own_mw > 0)
            change_cap(s, n, region, f->live_gen, f->training, sign * f->own_mw);
    }
    s->in[block] = sign > 0;
}

void rub_search_put(rub_search *s, int32_t block, const uint16_t *path) {
    memcpy(rub_search_path(s, block), path, (size_t)s->p->n_node * sizeof *path);
    rub_search_count(s, block, 1.0);
}

void rub_search_reset(rub_search *s) {
    const rub_problem *p = s->p;
    size_t n = (size_t)p->n_node;
    memset(s->in, 0, (size_t)p->n_block * sizeof *s->in);
    memset(s->cap, 0, n * (size_t)s->n_cap * sizeof(double));
    memset(s->order, 0, n * (size_t)p->n_gen * sizeof(double));
    memset(s->let, 0, n * (size_t)p->n_region * sizeof(double));
    memset(s->own_spend, 0, n * sizeof(double));
    memset(s->cash, 0, n * sizeof(double));
    memset(s->n_cut, 0, n);
    rub_search_commit(s);
    for (int32_t i = 0; i < p->n_node; i++)
        clear_market(s, i);
    for (int32_t i = 0; i < s->n_leaf; i++)
        s->leaf_weight[i] = p->tree->prob[s->leaf[i]];
}

static double budget_at(const rub_problem *p, int32_t node) {
    int32_t b = p->budget_of_quarter[p->tree->quarter[node]];
    return b >= 0 ? p->budget_usd[b] : HUGE_VAL;
}

static double tolerance(double most) { return 1e-7 * fabs(most) + 1.0; }

/* Spend of each path within a budget's quarters, up to each node. */
static void add_spend(rub_search *s) {
    const rub_problem *p = s->p;
    for (int32_t n = 0; n < p->n_node; n++) {
        int32_t parent = p->tree->parent[n], t = p->tree->quarter[n];
        bool same = parent >= 0 && p->budget_of_quarter[t] == p->budget_of_quarter[t - 1];
        s->spend[n] = s->own_spend[n] + (same ? s->spend[parent] : 0.0);
    }
}

double rub_search_excess(const rub_search *s, int32_t *budget) {
    double worst = 0.0;
    for (int32_t n = 0; n < s->p->n_node; n++) {
        double most = budget_at(s->p, n), over = s->spend[n] - most;
        if (isfinite(most) && over > tolerance(most) && over > worst) {
            worst = over;
            *budget = s->p->budget_of_quarter[s->p->tree->quarter[n]];
        }
    }
    return worst;
}

bool rub_search_fits(rub_search *s, int32_t block, const uint16_t *path) {
    const rub_problem *p = s->p;
    int32_t region = s->l->site[s->site_of[block]].region;
    for (int32_t n = 0; n < p->n_node; n++) {
        const rub_arc_terms *f = &rub_search_entry(s, block, n, path[n])->f;
        size_t ng = (size_t)n * (size_t)p->n_gen + f->order_gen,
               nr = (size_t)n * (size_t)p->n_region + (size_t)region;
        if (f->order_mw > 0 && s->order[ng] + f->order_mw > p->supply_mw[ng] * (1 + 1e-9))
            return false;
        if (f->sublet_mw > 0 && s->let[nr] + f->sublet_mw > p->sublet_depth_mw[nr] * (1 + 1e-9))
            return false;
        int32_t parent = p->tree->parent[n], t = p->tree->quarter[n];
        bool same = parent >= 0 && p->budget_of_quarter[t] == p->budget_of_quarter[t - 1];
        double most = budget_at(p, n);
        s->spend_trial[n] =
            s->own_spend[n] + rub_arc_terms_capex(p, f, n) + (same ? s->spend_trial[parent] : 0.0);
        if (s->spend_trial[n] > most + tolerance(most))
            return false;
    }
    return true;
}

static int worst_first(const void *a, const void *b) {
    const rub_ranked *x = a, *y = b;
    if (x->npv != y->npv)
        return x->npv < y->npv ? -1 : 1;
    return (x->leaf > y->leaf) - (x->leaf < y->leaf);
}

/* Objective from the leaves' values, and the weights at which it is attained. */
static double risk(rub_search *s) {
    const rub_problem *p = s->p;
    double w = p->cvar_weight, alpha = p->cvar_alpha, taken = 0.0, sum = 0.0;
    rub_ranked *order = s->ranking;
    for (int32_t l = 0; l < s->n_leaf; l++)
        order[l] = (rub_ranked){s->leaf_npv[l], l};
    if (w > 0)
        qsort(order, (size_t)s->n_leaf, sizeof *order, worst_first);
    for (int32_t i = 0; i < s->n_leaf; i++) {
        int32_t l = order[i].leaf;
        double prob = p->tree->prob[s->leaf[l]], tail = fmin(prob, fmax(0.0, alpha - taken));
        taken += tail;
        s->leaf_weight[l] = w > 0 && alpha > 0 ? (1.0 - w) * prob + w * tail / alpha : prob;
        sum += s->leaf_weight[l] * s->leaf_npv[l];
    }
    return sum;
}

void rub_search_judge(rub_search *s) {
    const rub_problem *p = s->p;
    int32_t leaf = 0, budget;
    for (int32_t n = 0; n < p->n_node; n++) {
        int32_t parent = p->tree->parent[n];
        double cash = s->cash[n] + s->usd[n] + p->fixed_cash_usd[n];
        s->so_far[n] =
            (parent >= 0 ? s->so_far[parent] : 0.0) + p->discount[p->tree->quarter[n]] * cash;
        if (p->tree->n_child[n] == 0)
            s->leaf_npv[leaf++] = s->so_far[n];
    }
    add_spend(s);
    s->value = risk(s);
    if (rub_search_excess(s, &budget) > 0)
        s->value = -HUGE_VAL;
}

double rub_search_value(const rub_search *s) { return s->value; }

void rub_search_leaf_weights(const rub_search *s, double *leaf_weight) {
    memcpy(leaf_weight, s->leaf_weight, (size_t)s->n_leaf * sizeof(double));
}

void rub_search_weigh(rub_search *s) {
    rub_prices prices = {.weight = s->weight};
    rub_prices_set_weights(s->p, s->leaf_weight, &prices);
}

const double *rub_search_caps(const rub_search *s) { return s->cap; }

void rub_search_steps(const rub_search *s, rub_step *out) {
    const rub_problem *p = s->p;
    for (int32_t b = 0; b < p->n_block; b++) {
        const rub_automaton *a = &s->l->site[s->site_of[b]].automaton;
        const uint16_t *path = s->path + (size_t)b * (size_t)p->n_node;
        for (int32_t n = 0; n < p->n_node; n++) {
            const rub_level_entry *e = rub_search_entry(s, b, n, path[n]);
            out[(size_t)b * (size_t)p->n_node + (size_t)n] = (rub_step){.state = a->state[e->from],
                                                                        .next = a->state[e->to],
                                                                        .action = e->action,
                                                                        .gen = e->gen};
        }
    }
}

rub_status rub_search_plan(rub_search *s, rub_plan *out, rub_error *err) {
    const rub_problem *p = s->p;
    rub_plan plan = {0};
    RUB_TRY(rub_plan_init(p, &plan, err));
    memset(s->cap, 0, (size_t)p->n_node * (size_t)s->n_cap * sizeof(double)); /* afresh */
    rub_search_steps(s, plan.step);
    for (int32_t b = 0; b < p->n_block; b++) {
        int32_t region = s->l->site[s->site_of[b]].region;
        for (int32_t n = 0; n < p->n_node; n++) {
            const rub_level_entry *e = rub_search_entry(s, b, n, rub_search_path(s, b)[n]);
            if (e->f.own_mw > 0)
                s->cap[(size_t)n * (size_t)s->n_cap +
                       (size_t)((region * p->n_gen + e->f.live_gen) * 2 + e->f.training)] +=
                    e->f.own_mw;
        }
    }
    for (int32_t n = 0; n < p->n_node; n++)
        rub_market_clear(s->market, n, s->cap + (size_t)n * (size_t)s->n_cap, &plan, NULL);
    *out = plan;
    return RUB_OK;
}
