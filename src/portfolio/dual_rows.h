/* The dual's insides, shared by its files. */
#ifndef RUB_PORTFOLIO_DUAL_ROWS_H
#define RUB_PORTFOLIO_DUAL_ROWS_H

#include "base/rng.h"
#include "portfolio/dual.h"

/* Rows in one vector: balances, grid, order, sublet (by node), then budgets by node. */
typedef struct rub_dual_rows {
    size_t n, unit, grid, order, sublet, budget; /* count, and where each kind begins */
} rub_dual_rows;

/* The volume algorithm's state. */
typedef struct rub_volume {
    bool running;
    double *store, *price, *amount; /* each row's natural price and amount (at.n) */
    double *best, *mean, *now;      /* multipliers of the least bound, average residual, trial */
    double least, f, alpha;
    int32_t red; /* turns without a better bound */
} rub_volume;

struct rub_dual {
    const rub_levels *l;
    const rub_problem *p;
    rub_dual_rows at;
    int32_t n_thread;
    rub_watch *watch;
    const rub_ranks *ranks;
    rub_level_work *work; /* by thread */
    uint16_t *path;       /* entries (n_site, n_node) */
    double *site_value;   /* (n_site) */
    double *node_value;   /* market and limits (n_node) */
    double *residual;     /* (at.n) */
    /* columns over nodes (see RUB_COLUMN_*) */
    double *capex, *order, *resale, *let, *depth, *held;
    double *own;      /* best use of a MW (n_region, n_gen, 2, n_node) */
    uint8_t *own_use; /* 0 idle, 1 inference, 2 training */
    const rub_prices *prices;
    double *caps; /* where rub_dual_caps writes */
    rub_volume volume;
    rub_rng rng;
    uint16_t *sample; /* a path for each block, drawn from those of all turns by their weight in the
                         average (n_block, n_node) */
};

/* Takes the paths of the last evaluation into the sample, each block with probability `share`. */
void rub_dual_sample(rub_dual *dual, double share);

static inline size_t rub_dual_pool(const rub_problem *p, int32_t region, int32_t gen,
                                   int training) {
    return ((size_t)(region * p->n_gen + gen) * 2 + (size_t)training) * (size_t)p->n_node;
}

#endif
