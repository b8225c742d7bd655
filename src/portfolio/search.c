/* Search: state, reinsertion of one block, moves.
 *
 * What a block's live MW adds at a node is the market's worth with them less its worth without:
 * exact, and found once for each (generation, fabric) that the block may have there. Supply and
 * sublet depth are of single nodes, so what the others leave decides which arcs are open. Budgets
 * add up along paths: arcs are charged a price per dollar that rises until the block's path keeps
 * them all. */
#include "portfolio/search.h"

#include "base/array.h"
#include "base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BUDGET_ROUNDS 14
#define MOST_OUT 6

struct rub_search {
    const rub_compiled *c;
    const rub_problem *p;
    rub_market *market;
    rub_rng rng;
    int32_t n_cap;
    int32_t *path;       /* entry of each block at each node (n_block, n_node) */
    int32_t *site_of;    /* (n_block) */
    bool *in;            /* (n_block) */
    double *cap;         /* live own MW (n_node, n_cap) */
    double *order, *let; /* MW (n_node, n_gen), (n_node, n_region) */
    double *spend;       /* by node: spent so far in the node's budget on its path (n_node) */
    double *own_spend;   /* by node (n_node) */
    double *cash;        /* blocks' cash by node (n_node) */
    double *market_usd;  /* market's cash by node, of the present cap (n_node) */
    double *leaf_npv, *leaf_weight, *weight; /* (n_leaf), (n_leaf), (n_node) */
    int32_t *leaf;                           /* nodes (n_leaf) */
    int32_t n_leaf;
    double value;
    uint8_t *root_action, *root_gen; /* forced at the root, 255: free (n_block) */
    /* scratch */
    double *gain, *dp, *extra, *mu;
    int32_t *choice, *trial;
    double *moved_cap;
    int32_t *saved_path;
};

static size_t states(const rub_search *s) { return (size_t)s->p->n_node * (size_t)s->c->max_state; }

static size_t most_entries(const rub_compiled *c) {
    size_t most = 1;
    for (int32_t i = 0; i < c->n_site; i++)
        if ((size_t)c->site[i].first[c->problem->n_node] > most)
            most = (size_t)c->site[i].first[c->problem->n_node];
    return most;
}

static bool allocate(rub_search *s) {
    const rub_problem *p = s->p;
    size_t n = (size_t)p->n_node, b = (size_t)p->n_block;
    struct {
        void **into;
        size_t n, size;
    } const want[] = {{(void **)&s->path, b * n, sizeof(int32_t)},
                      {(void **)&s->site_of, b, sizeof(int32_t)},
                      {(void **)&s->in, b, sizeof(bool)},
                      {(void **)&s->cap, n * (size_t)s->n_cap, sizeof(double)},
                      {(void **)&s->order, n * (size_t)p->n_gen, sizeof(double)},
                      {(void **)&s->let, n * (size_t)p->n_region, sizeof(double)},
                      {(void **)&s->spend, n, sizeof(double)},
                      {(void **)&s->own_spend, n, sizeof(double)},
                      {(void **)&s->cash, n, sizeof(double)},
                      {(void **)&s->market_usd, n, sizeof(double)},
                      {(void **)&s->leaf_npv, n, sizeof(double)},
                      {(void **)&s->leaf_weight, n, sizeof(double)},
                      {(void **)&s->weight, n, sizeof(double)},
                      {(void **)&s->leaf, n, sizeof(int32_t)},
                      {(void **)&s->root_action, b, 1},
                      {(void **)&s->root_gen, b, 1},
                      {(void **)&s->gain, most_entries(s->c), sizeof(double)},
                      {(void **)&s->dp, states(s), sizeof(double)},
                      {(void **)&s->extra, n * (size_t)p->n_gen * 4, sizeof(double)},
                      {(void **)&s->mu, n, sizeof(double)},
                      {(void **)&s->choice, states(s), sizeof(int32_t)},
                      {(void **)&s->trial, n, sizeof(int32_t)},
                      {(void **)&s->moved_cap, (size_t)s->n_cap, sizeof(double)},
                      {(void **)&s->saved_path, MOST_OUT * n, sizeof(int32_t)}};
    for (size_t i = 0; i < RUB_LEN(want); i++)
        if (!(*want[i].into = rub_calloc(want[i].n, want[i].size)))
            return false;
    return true;
}

void rub_search_free(rub_search *s) {
    if (!s)
        return;
    void *all[] = {s->path,     s->site_of,     s->in,        s->cap,       s->order,
                   s->let,      s->spend,       s->own_spend, s->cash,      s->market_usd,
                   s->leaf_npv, s->leaf_weight, s->weight,    s->leaf,      s->root_action,
                   s->root_gen, s->gain,        s->dp,        s->extra,     s->mu,
                   s->choice,   s->trial,       s->moved_cap, s->saved_path};
    for (size_t i = 0; i < RUB_LEN(all); i++)
        free(all[i]);
    rub_market_free(s->market);
    free(s);
}

rub_status rub_search_create(const rub_compiled *c, uint64_t seed, const rub_plan *keep_root,
                             rub_search **out, rub_error *err) {
    rub_search *s = RUB_NEW(rub_search, 1);
    if (!s)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    s->c = c;
    s->p = c->problem;
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
    *out = s;
    return RUB_OK;
}

static const rub_entry *entry_at(const rub_search *s, int32_t block, int32_t entry) {
    return &s->c->site[s->site_of[block]].entry[entry];
}

static size_t cap_at(const rub_search *s, int32_t node, int32_t region, const rub_entry *e) {
    return (size_t)node * (size_t)s->n_cap +
           (size_t)((region * s->p->n_gen + e->live_gen) * 2 + e->training);
}

/* ---- sums ------------------------------------------------------------------------------------ */

static void count(rub_search *s, int32_t block, double sign) {
    const rub_problem *p = s->p;
    int32_t region = s->c->site[s->site_of[block]].region;
    for (int32_t n = 0; n < p->n_node; n++) {
        const rub_entry *e =
            entry_at(s, block, s->path[(size_t)block * (size_t)p->n_node + (size_t)n]);
        s->cash[n] += sign * e->cash_usd;
        s->own_spend[n] += sign * e->capex_usd;
        if (e->order_mw > 0)
            s->order[(size_t)n * (size_t)p->n_gen + e->order_gen] += sign * e->order_mw;
        if (e->sublet_mw > 0)
            s->let[(size_t)n * (size_t)p->n_region + (size_t)region] += sign * e->sublet_mw;
        if (e->own_mw > 0) {
            double *cap = &s->cap[cap_at(s, n, region, e)];
            *cap += sign * e->own_mw;
            *cap = *cap < 1e-9 ? 0.0 : *cap;
            s->market_usd[n] = NAN; /* to be cleared anew */
        }
    }
    s->in[block] = sign > 0;
}

static double market_at(rub_search *s, int32_t n) {
    if (isnan(s->market_usd[n]))
        s->market_usd[n] =
            rub_market_clear(s->market, n, s->cap + (size_t)n * (size_t)s->n_cap, NULL, NULL);
    return s->market_usd[n];
}

/* Spend of each path within a budget's quarters, up to each node. */
static void add_spend(rub_search *s) {
    const rub_problem *p = s->p;
    for (int32_t n = 0; n < p->n_node; n++) {
        int32_t parent = p->tree->parent[n], t = p->tree->quarter[n];
        bool same = parent >= 0 && p->budget_of_quarter[t] == p->budget_of_quarter[t - 1];
        s->spend[n] = s->own_spend[n] + (same ? s->spend[parent] : 0.0);
    }
}

static double budget_at(const rub_problem *p, int32_t node) {
    int32_t b = p->budget_of_quarter[p->tree->quarter[node]];
    return b >= 0 ? p->budget_usd[b] : HUGE_VAL;
}

static double tolerance(double most) { return 1e-7 * fabs(most) + 1.0; }

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

typedef struct ranked {
    double npv;
    int32_t leaf;
} ranked;

static int worst_first(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    if (x->npv != y->npv)
        return x->npv < y->npv ? -1 : 1;
    return (x->leaf > y->leaf) - (x->leaf < y->leaf);
}

/* Objective from the leaves' values, and the weights at which it is attained. */
static double risk(rub_search *s) {
    const rub_problem *p = s->p;
    double w = p->cvar_weight, alpha = p->cvar_alpha, taken = 0.0, sum = 0.0;
    ranked *order = RUB_NEW(ranked, s->n_leaf);
    if (!order)
        return -HUGE_VAL;
    for (int32_t l = 0; l < s->n_leaf; l++)
        order[l] = (ranked){s->leaf_npv[l], l};
    qsort(order, (size_t)s->n_leaf, sizeof *order, worst_first);
    for (int32_t i = 0; i < s->n_leaf; i++) {
        int32_t l = order[i].leaf;
        double prob = p->tree->prob[s->leaf[l]], part = fmin(prob, fmax(0.0, alpha - taken));
        taken += part;
        s->leaf_weight[l] = w > 0 && alpha > 0 ? (1.0 - w) * prob + w * part / alpha : prob;
        sum += s->leaf_weight[l] * s->leaf_npv[l];
    }
    free(order);
    return sum;
}

static void judge(rub_search *s) {
    const rub_problem *p = s->p;
    double *so_far = s->dp; /* scratch is free here */
    int32_t leaf = 0, budget;
    for (int32_t n = 0; n < p->n_node; n++) {
        int32_t parent = p->tree->parent[n];
        double cash = s->cash[n] + market_at(s, n) + p->fixed_cash_usd[n];
        so_far[n] = (parent >= 0 ? so_far[parent] : 0.0) + p->discount[p->tree->quarter[n]] * cash;
        if (p->tree->n_child[n] == 0)
            s->leaf_npv[leaf++] = so_far[n];
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

/* Weights of nodes from the leaves' present risk weights. */
static void weigh(rub_search *s) {
    rub_prices prices = {.weight = s->weight};
    rub_prices_set_weights(s->p, s->leaf_weight, &prices);
}

/* ---- putting one block back ------------------------------------------------------------------ */

/* What a block's MW adds at a node, by generation, fabric and whether a partner holds a share of
 * it; found on demand. */
static double added(rub_search *s, int32_t n, int32_t site, const rub_entry *e) {
    int held = e->own_mw < s->p->study->site[site].block_mw;
    size_t kind =
        ((size_t)n * (size_t)s->p->n_gen + e->live_gen) * 4 + (size_t)(2 * held + e->training);
    if (isnan(s->extra[kind])) {
        size_t at = cap_at(s, n, s->c->site[site].region, e);
        double before = market_at(s, n);
        s->cap[at] += e->own_mw;
        s->extra[kind] =
            rub_market_clear(s->market, n, s->cap + (size_t)n * (size_t)s->n_cap, NULL, NULL) -
            before;
        s->cap[at] -= e->own_mw;
    }
    return s->extra[kind];
}

static bool open_to(const rub_search *s, int32_t block, int32_t n, int32_t region,
                    const rub_entry *e) {
    const rub_problem *p = s->p;
    size_t ng = (size_t)n * (size_t)p->n_gen + e->order_gen,
           nr = (size_t)n * (size_t)p->n_region + (size_t)region;
    if (e->order_mw > 0 && s->order[ng] + e->order_mw > p->supply_mw[ng] * (1 + 1e-9))
        return false;
    if (e->sublet_mw > 0 && s->let[nr] + e->sublet_mw > p->sublet_depth_mw[nr] * (1 + 1e-9))
        return false;
    if (n == 0 && s->root_action[block] != 255) {
        bool orders = e->action == RUB_ACTION_FIT_OUT || e->action == RUB_ACTION_REFRESH;
        uint8_t gen = s->c->site[s->site_of[block]].automaton.arc[e->arc].gen;
        return e->action == s->root_action[block] && (!orders || gen == s->root_gen[block]);
    }
    return true;
}

/* Price of a live MW under the dual prices, for blending. */
static double priced(const rub_search *s, const rub_prices *x, int32_t n, int32_t region,
                     const rub_entry *e) {
    const rub_problem *p = s->p;
    size_t nr = (size_t)n * (size_t)p->n_region + (size_t)region,
           ng = (size_t)n * (size_t)p->n_gen + e->live_gen;
    const double *unit = x->unit + (size_t)n * (size_t)(p->n_region + 1);
    double cost = s->weight[n] * p->power_usd_per_mw[nr] + x->grid[nr];
    double worth = fmax(0.0, unit[region] * p->tok_per_s_per_mw[ng] - cost);
    if (e->training)
        worth = fmax(worth, unit[p->n_region] * p->train_per_mw[ng] - cost);
    return worth * e->own_mw;
}

static void fill_gain(rub_search *s, int32_t block, const rub_prices *prices, double blend) {
    const rub_compiled_site *site = &s->c->site[s->site_of[block]];
    for (int32_t n = 0; n < s->p->n_node; n++)
        for (int32_t i = site->first[n]; i < site->first[n + 1]; i++) {
            const rub_entry *e = &site->entry[i];
            double gain = -HUGE_VAL;
            if (open_to(s, block, n, site->region, e)) {
                gain = s->weight[n] * e->cash_usd;
                if (e->own_mw > 0 && blend < 1)
                    gain += (1 - blend) * s->weight[n] * added(s, n, s->site_of[block], e);
                if (e->own_mw > 0 && blend > 0)
                    gain += blend * priced(s, prices, n, site->region, e);
            }
            s->gain[i] = gain;
        }
}

/* Charges capex by mu (per discounted, weighted dollar of the rows that a node counts in). */
static void charge(rub_search *s, int32_t block, double sign) {
    const rub_compiled_site *site = &s->c->site[s->site_of[block]];
    for (int32_t n = 0; n < s->p->n_node; n++)
        for (int32_t i = site->first[n]; s->mu[n] > 0 && i < site->first[n + 1]; i++)
            if (site->entry[i].capex_usd > 0 && s->gain[i] > -HUGE_VAL)
                s->gain[i] -= sign * s->mu[n] * site->entry[i].capex_usd;
}

/* Nodes from which the trial path leads over a budget get dearer; false: none does. */
static bool raise_mu(rub_search *s, int32_t block, double factor) {
    const rub_problem *p = s->p;
    bool any = false;
    for (int32_t n = 0; n < p->n_node; n++) {
        int32_t parent = p->tree->parent[n], t = p->tree->quarter[n];
        bool same = parent >= 0 && p->budget_of_quarter[t] == p->budget_of_quarter[t - 1];
        s->extra[n] = s->own_spend[n] + entry_at(s, block, s->trial[n])->capex_usd +
                      (same ? s->extra[parent] : 0.0);
    }
    for (int32_t n = 0; n < p->n_node; n++) {
        double most = budget_at(p, n);
        if (!(s->extra[n] > most + tolerance(most)))
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

/* Best path of a block that is out, into s->trial. false: none keeps the budgets. */
static bool best_path(rub_search *s, int32_t block, const rub_prices *prices, double blend) {
    const rub_problem *p = s->p;
    int32_t site = s->site_of[block];
    for (size_t i = 0; i < (size_t)p->n_node * (size_t)p->n_gen * 4; i++)
        s->extra[i] = NAN;
    fill_gain(s, block, prices, blend);
    memset(s->mu, 0, (size_t)p->n_node * sizeof(double));
    for (int round = 0; round < BUDGET_ROUNDS; round++) {
        charge(s, block, 1.0);
        double value = rub_compiled_best(s->c, site, s->gain, s->dp, s->choice);
        charge(s, block, -1.0);
        if (!(value > -HUGE_VAL))
            return false;
        rub_compiled_follow(s->c, site, s->choice, s->trial);
        if (!raise_mu(s, block, 3.0))
            return true;
    }
    return false;
}

static void put(rub_search *s, int32_t block, const int32_t *path) {
    memcpy(s->path + (size_t)block * (size_t)s->p->n_node, path,
           (size_t)s->p->n_node * sizeof *path);
    count(s, block, 1.0);
}

/* ---- plans ----------------------------------------------------------------------------------- */

/* The path that spends least capex, whatever it is worth: what is committed already; put off where a
 * budget would be passed with those that are in. false: there is none. */
static bool cheapest(rub_search *s, int32_t block) {
    const rub_compiled_site *site = &s->c->site[s->site_of[block]];
    for (int32_t n = 0; n < s->p->n_node; n++)
        for (int32_t i = site->first[n]; i < site->first[n + 1]; i++) {
            const rub_entry *e = &site->entry[i];
            bool open = open_to(s, block, n, site->region, e);
            s->gain[i] =
                open ? s->p->tree->prob[n] * (-e->capex_usd + 1e-4 * e->cash_usd) : -HUGE_VAL;
        }
    memset(s->mu, 0, (size_t)s->p->n_node * sizeof(double));
    for (int round = 0; round < BUDGET_ROUNDS; round++) {
        charge(s, block, 1.0);
        double value = rub_compiled_best(s->c, s->site_of[block], s->gain, s->dp, s->choice);
        charge(s, block, -1.0);
        if (!(value > -HUGE_VAL))
            return false;
        rub_compiled_follow(s->c, s->site_of[block], s->choice, s->trial);
        if (!raise_mu(s, block, 3.0))
            break;
    }
    return true;
}

static void reset(rub_search *s) {
    const rub_problem *p = s->p;
    size_t n = (size_t)p->n_node;
    memset(s->in, 0, (size_t)p->n_block * sizeof *s->in);
    memset(s->cap, 0, n * (size_t)s->n_cap * sizeof(double));
    memset(s->order, 0, n * (size_t)p->n_gen * sizeof(double));
    memset(s->let, 0, n * (size_t)p->n_region * sizeof(double));
    memset(s->own_spend, 0, n * sizeof(double));
    memset(s->cash, 0, n * sizeof(double));
    for (size_t i = 0; i < n; i++)
        s->market_usd[i] = NAN;
    for (int32_t l = 0; l < s->n_leaf; l++)
        s->leaf_weight[l] = p->tree->prob[s->leaf[l]];
}

void rub_search_build(rub_search *s, const rub_prices *prices) {
    const rub_problem *p = s->p;
    reset(s);
    weigh(s);
    for (int32_t b = 0; b < p->n_block; b++) {
        if (!cheapest(s, b)) {
            s->value = -HUGE_VAL;
            return;
        }
        put(s, b, s->trial);
    }
    judge(s);
    weigh(s);
    for (int32_t b = 0; b < p->n_block; b++) {
        count(s, b, -1.0);
        memcpy(s->saved_path, s->path + (size_t)b * (size_t)p->n_node,
               (size_t)p->n_node * sizeof(int32_t));
        bool found = best_path(s, b, prices, prices ? 0.5 : 0.0);
        put(s, b, found ? s->trial : s->saved_path);
    }
    judge(s);
}

static int32_t entry_for(const rub_search *s, int32_t block, int32_t node, const rub_step *step) {
    const rub_compiled_site *site = &s->c->site[s->site_of[block]];
    const rub_automaton *a = &site->automaton;
    for (int32_t i = site->first[node]; i < site->first[node + 1]; i++) {
        const rub_entry *e = &site->entry[i];
        if (e->action == step->action &&
            !memcmp(&a->state[e->from], &step->state, sizeof step->state) &&
            !memcmp(&a->state[e->to], &step->next, sizeof step->next))
            return i;
    }
    return -1;
}

bool rub_search_follow(rub_search *s, const rub_plan *plan) {
    const rub_problem *p = s->p;
    reset(s);
    for (int32_t b = 0; b < p->n_block; b++) {
        for (int32_t n = 0; n < p->n_node; n++)
            if ((s->trial[n] = entry_for(
                     s, b, n, &plan->step[(size_t)b * (size_t)p->n_node + (size_t)n])) < 0)
                return false;
        put(s, b, s->trial);
    }
    judge(s);
    return true;
}

static double moved_value(rub_search *s, double before, const int32_t *out, int32_t n_out) {
    const rub_problem *p = s->p;
    judge(s);
    if (s->value > before + 1e-9 * fabs(before))
        return s->value;
    for (int32_t i = 0; i < n_out; i++)
        count(s, out[i], -1.0);
    for (int32_t i = 0; i < n_out; i++)
        put(s, out[i], s->saved_path + (size_t)i * (size_t)p->n_node);
    judge(s);
    return before;
}

static bool reinsert(rub_search *s, const int32_t *out, int32_t n_out, const rub_prices *prices,
                     double blend) {
    const rub_problem *p = s->p;
    double before = s->value;
    weigh(s);
    for (int32_t i = 0; i < n_out; i++) {
        memcpy(s->saved_path + (size_t)i * (size_t)p->n_node,
               s->path + (size_t)out[i] * (size_t)p->n_node, (size_t)p->n_node * sizeof(int32_t));
        count(s, out[i], -1.0);
    }
    for (int32_t i = 0; i < n_out; i++) {
        bool found = best_path(s, out[i], prices, blend);
        put(s, out[i], found ? s->trial : s->saved_path + (size_t)i * (size_t)p->n_node);
    }
    return moved_value(s, before, out, n_out) > before;
}

bool rub_search_sweep(rub_search *s) {
    bool rose = false;
    for (int32_t b = 0; b < s->p->n_block; b++)
        rose = reinsert(s, &b, 1, NULL, 0.0) || rose;
    return rose;
}

bool rub_search_move(rub_search *s, const rub_prices *prices) {
    const rub_problem *p = s->p;
    int32_t out[MOST_OUT], n_out = 1 + (int32_t)rub_rng_below(&s->rng, MOST_OUT);
    n_out = n_out < p->n_block ? n_out : p->n_block;
    for (int32_t i = 0; i < n_out; i++) {
        bool again = true;
        while (again) {
            out[i] = (int32_t)rub_rng_below(&s->rng, (uint64_t)p->n_block);
            again = false;
            for (int32_t k = 0; k < i; k++)
                again = again || out[k] == out[i];
        }
    }
    double blend = prices && rub_rng_uniform(&s->rng) < 0.6 ? 0.7 * rub_rng_uniform(&s->rng) : 0.0;
    return reinsert(s, out, n_out, prices, blend);
}

rub_status rub_search_copy(const rub_search *from, rub_search *to) {
    const rub_problem *p = from->p;
    reset(to);
    for (int32_t b = 0; b < p->n_block; b++)
        put(to, b, from->path + (size_t)b * (size_t)p->n_node);
    judge(to);
    return RUB_OK;
}

void rub_search_market_prices(rub_search *s, double *unit) {
    for (int32_t n = 0; n < s->p->n_node; n++)
        rub_market_clear(s->market, n, s->cap + (size_t)n * (size_t)s->n_cap, NULL,
                         unit + (size_t)n * (size_t)(s->p->n_region + 1));
}

double rub_search_value_if(rub_search *s, int32_t block, rub_action action, int32_t gen) {
    const rub_problem *p = s->p;
    uint8_t was_action = s->root_action[block], was_gen = s->root_gen[block];
    double value = -HUGE_VAL;
    weigh(s);
    memcpy(s->saved_path, s->path + (size_t)block * (size_t)p->n_node,
           (size_t)p->n_node * sizeof(int32_t));
    count(s, block, -1.0);
    s->root_action[block] = (uint8_t)action;
    s->root_gen[block] = (uint8_t)gen;
    if (best_path(s, block, NULL, 0.0)) {
        put(s, block, s->trial);
        judge(s);
        value = s->value;
        count(s, block, -1.0);
    }
    s->root_action[block] = was_action;
    s->root_gen[block] = was_gen;
    put(s, block, s->saved_path);
    judge(s);
    return value;
}

rub_status rub_search_plan(rub_search *s, rub_plan *out, rub_error *err) {
    const rub_problem *p = s->p;
    rub_plan plan = {0};
    rub_status status = rub_plan_init(p, &plan, err);
    if (status != RUB_OK)
        return status;
    for (int32_t b = 0; b < p->n_block; b++) {
        const rub_automaton *a = &s->c->site[s->site_of[b]].automaton;
        for (int32_t n = 0; n < p->n_node; n++) {
            const rub_entry *e = entry_at(s, b, s->path[(size_t)b * (size_t)p->n_node + (size_t)n]);
            plan.step[(size_t)b * (size_t)p->n_node + (size_t)n] =
                (rub_step){.state = a->state[e->from],
                           .next = a->state[e->to],
                           .action = e->action,
                           .gen = a->arc[e->arc].gen};
        }
    }
    for (int32_t n = 0; n < p->n_node; n++)
        rub_market_clear(s->market, n, s->cap + (size_t)n * (size_t)s->n_cap, &plan, NULL);
    *out = plan;
    return RUB_OK;
}
