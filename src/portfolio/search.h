/* Search: plans by taking blocks out and putting each back by exact dynamic programming against
 * what the others leave (large-neighbourhood search; Shaw 1998). */
#ifndef RUB_PORTFOLIO_SEARCH_H
#define RUB_PORTFOLIO_SEARCH_H

#include "portfolio/pricing.h"

/* A plan as paths of entries, with the sums that its blocks make. */
typedef struct rub_search rub_search;

/* keep_root: NULL, or steps whose root actions must be kept (n_block * n_node, row 0 of each). */
rub_status rub_search_create(const rub_compiled *compiled, uint64_t seed, const rub_plan *keep_root,
                             rub_search **out, rub_error *err);
void rub_search_free(rub_search *search);
rub_status rub_search_copy(const rub_search *from, rub_search *to); /* same compiled */

/* Puts every block in, first as cheaply as possible, then one after the other against the rest,
 * judging by prices (may be NULL). */
void rub_search_build(rub_search *search, const rub_prices *prices);

/* Starts from a plan of the same shape; false when it cannot be followed. */
bool rub_search_follow(rub_search *search, const rub_plan *plan);

/* One move: some blocks out, each back in, kept when the objective rises. true when it did. With
 * prices the dynamic program blends the true residual with them now and then. */
bool rub_search_move(rub_search *search, const rub_prices *prices);

/* Every block out and back in once; true when anything rose. */
bool rub_search_sweep(rub_search *search);

double rub_search_value(const rub_search *search); /* objective [USD]; -HUGE_VAL over a budget */
void rub_search_leaf_weights(const rub_search *search,
                             double *leaf_weight); /* risk weights (n_leaf) */
/* Largest excess over a budget, and which budget; 0 when all hold. */
double rub_search_excess(const rub_search *search, int32_t *budget);

/* Market prices at the plan: unit (n_node, n_region + 1) undiscounted, probability out. */
void rub_search_market_prices(rub_search *search, double *unit);

/* Writes the plan out, market cleared. */
rub_status rub_search_plan(rub_search *search, rub_plan *out, rub_error *err);

/* Best objective when only this block plans anew and takes this action (and generation) now;
 * -HUGE_VAL when it cannot. The search is left as it was. */
double rub_search_value_if(rub_search *search, int32_t block, rub_action action, int32_t gen);

#endif
