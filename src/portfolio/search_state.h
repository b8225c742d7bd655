/* The search's insides, shared by its files. */
#ifndef RUB_PORTFOLIO_SEARCH_STATE_H
#define RUB_PORTFOLIO_SEARCH_STATE_H

#include "base/rng.h"
#include "portfolio/search.h"

#define RUB_SEARCH_MOST_OUT 6
#define RUB_SEARCH_CUTS 8

/* A leaf by its value, for the risk weights. */
typedef struct rub_ranked {
    double npv;
    int32_t leaf;
} rub_ranked;

struct rub_search {
    const rub_levels *l;
    const rub_problem *p;
    rub_market *market;
    rub_level_work work;
    rub_rng rng;
    rub_watch *watch;
    bool caller;
    int32_t n_cap, n_leaf;
    uint16_t *path;      /* entry of each block at each node (n_block, n_node) */
    int32_t *site_of;    /* (n_block) */
    bool *in;            /* (n_block) */
    double *cap;         /* live own MW (n_node, n_cap) */
    double *order, *let; /* MW (n_node, n_gen), (n_node, n_region) */
    double *own_spend;   /* by node (n_node) */
    double *spend;       /* so far in the node's budget on its path (n_node) */
    double *cash;        /* blocks' cash by node (n_node) */

    /* What the market is worth at the present cap. Exact by linear program; in between an upper
     * estimate from the prices of earlier ones (any prices bound the market from above). */
    double *usd;             /* (n_node) */
    bool *loose;             /* usd is an estimate (n_node) */
    uint8_t *n_cut;          /* (n_node) */
    double *cut_usd;         /* estimate by each set of prices, at the present cap (n_node, CUTS) */
    rub_market_basis *basis; /* of the last clearing (n_node) */
    double *cut_price;       /* unit prices, then grid prices (n_node, CUTS, 2 n_region + 1) */

    /* nodes whose cap a move has changed, and what stood there before it */
    int32_t *touched, n_touched;
    bool *is_touched, *was_loose;
    double *was_usd;

    double *leaf_npv, *leaf_weight, *weight; /* (n_leaf), (n_leaf), (n_node) */
    int32_t *leaf;                           /* nodes (n_leaf) */
    double value;
    double budget_share;             /* of the prices' budget price that best_path begins with */
    uint8_t *root_action, *root_gen; /* forced at the root, 255: free (n_block) */
    uint64_t *kinds; /* pools that a site's entries of a quarter give (n_site, n_quarter) */

    /* columns of the block that is being put in, and scratch */
    double *mu, *capex_column, *order_column, *resale_column, *let_column, *depth_column,
        *own_column, *held_column, *so_far, *spend_trial;
    uint16_t *trial, *saved_path;
    rub_ranked *ranking; /* (n_leaf) */
};

/* ---- sums (search.c) ---- */

/* Adds a block that follows path, or takes one out. */
void rub_search_count(rub_search *s, int32_t block, double sign);
void rub_search_put(rub_search *s, int32_t block, const uint16_t *path);
/* The market at nodes touched since the last commit, exactly. */
void rub_search_clear_touched(rub_search *s);
void rub_search_commit(rub_search *s); /* what stands is the plan */
void rub_search_forget(rub_search *s); /* caps are those of the last commit again */
void rub_search_judge(rub_search *s);  /* value, leaves, spend */
void rub_search_weigh(rub_search *s);  /* weights of nodes from the leaves' risk weights */
void rub_search_reset(rub_search *s);  /* no block in */
bool rub_search_fits(rub_search *s, int32_t block, const uint16_t *path); /* limits and budgets */

static inline bool rub_search_go(const rub_search *s) { return rub_watch_go(s->watch, s->caller); }

static inline const rub_level_entry *rub_search_entry(const rub_search *s, int32_t block,
                                                      int32_t node, uint16_t e) {
    return &s->l->site[s->site_of[block]].level[s->p->tree->quarter[node]].entry[e];
}
static inline uint16_t *rub_search_path(const rub_search *s, int32_t block) {
    return s->path + (size_t)block * (size_t)s->p->n_node;
}

/* ---- one block (search_put.c) ---- */

/* Best path of a block that is out, into s->trial. false: none keeps the budgets. */
bool rub_search_best_path(rub_search *s, int32_t block, const rub_prices *prices, double blend);
/* The path that spends least capex, whatever it is worth, into s->trial: what is committed already; put
 * off where a budget would be passed with those that are in. false: there is none. */
bool rub_search_cheapest(rub_search *s, int32_t block);

#endif
