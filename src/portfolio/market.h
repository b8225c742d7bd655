/* Market: clearing one node exactly, given the MW that are live there.
 *
 * A linear program of a dozen rows: pools of capacity (region, generation, fabric) serve training
 * or inference, loads earn, rental steps and links fill the rest. Every row is "<=" with a
 * right-hand side of zero or more, so the bounded primal simplex starts from doing nothing, without
 * a phase 1. */
#ifndef RUB_PORTFOLIO_MARKET_H
#define RUB_PORTFOLIO_MARKET_H

#include "rubato/portfolio.h"

/* Live MW at our disposal: cap[(region * n_gen + gen) * 2 + training fabric]. */
typedef struct rub_market rub_market; /* scratch, one a thread */

rub_status rub_market_create(const rub_problem *problem, rub_market **out, rub_error *err);
void rub_market_free(rub_market *market);
int32_t rub_market_n_cap(const rub_problem *problem);

/* Best cash of the node's market for one quarter [USD, undiscounted], penalties of what is not
 * served included, fixed cash left out. A must-serve share that cannot be met costs RUB_MARKET_HUGE
 * a unit (told by the evaluator). With plan, its market arrays of the node are filled; with
 * unit_price, what one more unit is worth (n_region + 1). */
double rub_market_clear(rub_market *market, int32_t node, const double *cap, rub_plan *plan,
                        double *unit_price);

/* The basis of a node's last clearing. {0}: none yet. */
#define RUB_MARKET_BASIS_ROWS 48
typedef struct rub_market_basis {
    uint16_t n, id[RUB_MARKET_BASIS_ROWS];
    uint8_t has[96]; /* rows that there were, by id */
} rub_market_basis;

/* The same worth and prices from the basis of an earlier clearing of the node, which becomes this one's. Ten
 * times as fast where the market has changed little. */
double rub_market_reclear(rub_market *market, int32_t node, const double *cap,
                          rub_market_basis *basis, double *unit_price);

/* After rub_market_clear or rub_market_reclear at node: what one more MW of grid is worth (n_region). */
void rub_market_grid_prices(const rub_market *market, int32_t node, double *grid_price);

/* No market can be worth more than this plus sum of cap * rub_market_mw_price, at any prices of 0 or more
 * that differ over a link by at most its cost; the prices of rub_market_clear give its worth. */
double rub_market_constant(const rub_problem *problem, int32_t node, const double *unit_price,
                           const double *grid_price);

/* What those prices make of one live MW. */
static inline double rub_market_mw_price(const rub_problem *p, int32_t node, int32_t region,
                                         int32_t gen, int training, const double *unit_price,
                                         const double *grid_price) {
    size_t ng = (size_t)node * (size_t)p->n_gen + (size_t)gen;
    double cost = p->power_usd_per_mw[(size_t)node * (size_t)p->n_region + (size_t)region] +
                  grid_price[region];
    double infer = unit_price[region] * p->tok_per_s_per_mw[ng] - cost;
    double train = training ? unit_price[p->n_region] * p->train_per_mw[ng] - cost : 0.0;
    double most = infer > train ? infer : train;
    return most > 0 ? most : 0.0;
}

/* Worth of one unit of load that must be served and is not, relative to the dearest load. */
#define RUB_MARKET_HUGE 100.0

#endif
