/* Pricing: large portfolios by Lagrangian duality and search.
 *
 * The coupling rows (balances, grid, supply, sublet depth, budgets) are priced; given prices each
 * site's blocks are a dynamic program over (node, state), exact and independent, and the market is
 * a closed form, so their sum is a valid bound at any prices. Multipliers follow the volume
 * algorithm. Plans come from taking blocks out and putting them back by the same dynamic program
 * against the true residual market (large-neighbourhood search). docs/decisions/004-pricing.md
 * argues it. */
#ifndef RUB_PORTFOLIO_PRICING_H
#define RUB_PORTFOLIO_PRICING_H

#include "portfolio/market.h"

/* Prices of everything that blocks share, in objective money (probability and discount inside). */
typedef struct rub_prices {
    double
        *weight; /* of undiscounted cash at a node: risk-adjusted probability * discount (n_node) */
    double *unit;   /* per compute unit; training last (n_node, n_region + 1) */
    double *grid;   /* per MW in use (n_node, n_region) */
    double *order;  /* per MW ordered (n_node, n_gen) */
    double *sublet; /* per MW let (n_node, n_region) */
    double *budget; /* per USD, by the last node of a budget's quarters on a path (n_node) */
    double *capex;  /* per USD spent at a node: sum of budget over the rows it counts in (n_node) */
} rub_prices;

rub_status rub_prices_init(const rub_problem *problem, rub_prices *prices, rub_error *err);
void rub_prices_clear(rub_prices *prices);

/* Weights of the nodes when leaf l of the tree (in node order) counts leaf_weight[l]. */
void rub_prices_set_weights(const rub_problem *problem, const double *leaf_weight,
                            rub_prices *prices);
/* Fills capex from budget. */
void rub_prices_spread_budget(const rub_problem *problem, rub_prices *prices);
/* Is node the last one, on every path through it, of its budget's quarters? */
bool rub_is_budget_row(const rub_problem *problem, int32_t node);

/* Solves; see rub_portfolio_solve. */
rub_status rub_pricing_solve(const rub_problem *problem, const rub_solve_def *def,
                             const rub_progress *progress, rub_plan *plan, rub_solve_result *result,
                             rub_error *err);

#endif
