/* Dual: the Lagrangian bound at given prices, and multipliers by the volume algorithm. */
#ifndef RUB_PORTFOLIO_DUAL_H
#define RUB_PORTFOLIO_DUAL_H

#include "portfolio/levels.h"
#include "portfolio/pricing.h"
#include "portfolio/watch.h"

typedef struct rub_dual rub_dual;

/* ranks: share the sites' dynamic programs out, or NULL; all must make the same calls. */
rub_status rub_dual_create(const rub_levels *levels, int32_t n_thread, const rub_ranks *ranks,
                           uint64_t seed, rub_dual **out, rub_error *err);
void rub_dual_free(rub_dual *dual);
/* From now on evaluations may be broken off (NULL: they may not). */
void rub_dual_watch(rub_dual *dual, rub_watch *watch);

/* The bound at prices [USD of objective]: no plan is worth more, whatever the prices (weights must
 * lie in the risk envelope); HUGE_VAL when it was broken off. Cost: one dynamic program a site, in
 * parallel. */
double rub_dual_bound(rub_dual *dual, const rub_prices *prices);

/* Improves the bound for at most `turns` evaluations or until it is within gap of value (a plan's
 * worth). Goes on from where it was left, or, afresh, from prices. Prices are the best found, *bound
 * theirs. */
void rub_dual_improve(rub_dual *dual, rub_prices *prices, double value, double gap_frac,
                      int32_t turns, bool afresh, double *bound);

/* Prices as one vector of rub_dual_rows_n, for keeping, and back. */
size_t rub_dual_rows_n(const rub_dual *dual);
void rub_dual_store(const rub_dual *dual, const rub_prices *prices, double *out);
void rub_dual_load(const rub_dual *dual, const double *from, rub_prices *prices);

/* Live MW of all blocks at the last prices evaluated (n_node, rub_market_n_cap). */
void rub_dual_caps(rub_dual *dual, double *cap);

/* A path for the block (entries, n_node), drawn from those of the turns by their weight in the average:
 * on average such paths are the solution of the linear relaxation. */
const uint16_t *rub_dual_path(const rub_dual *dual, int32_t block);

#endif
