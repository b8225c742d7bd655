/* First prices: where the multipliers start. */
#ifndef RUB_PORTFOLIO_FIRST_PRICES_H
#define RUB_PORTFOLIO_FIRST_PRICES_H

#include "portfolio/dual.h"

/* Prices whose weights are set become those of the market at live MW that the blocks, on average over
 * some rounds, choose at such prices; cap: where it begins (n_node, rub_market_n_cap). Gives the least
 * bound met, and prices are its. watch may end it from the second round on. Costs a bound and a clearing of all nodes a round. Errors:
 * RUB_NO_MEMORY. */
rub_status rub_first_prices(const rub_problem *problem, rub_dual *dual, int32_t n_thread,
                            const double *cap, int32_t rounds, rub_prices *prices, double *bound,
                            rub_watch *watch, rub_error *err);

#endif
