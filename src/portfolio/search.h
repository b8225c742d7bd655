/* Search: plans by taking blocks out and putting each back by exact dynamic programming against
 * what the others leave (large-neighbourhood search; Shaw 1998). */
#ifndef RUB_PORTFOLIO_SEARCH_H
#define RUB_PORTFOLIO_SEARCH_H

#include "portfolio/levels.h"
#include "portfolio/pricing.h"
#include "portfolio/watch.h"

/* A plan as paths of entries, with the sums that its blocks make. */
typedef struct rub_search rub_search;

/* keep_root: NULL, or steps whose root actions must be kept (n_block * n_node, row 0 of each). */
rub_status rub_search_create(const rub_levels *levels, uint64_t seed, const rub_plan *keep_root,
                             rub_search **out, rub_error *err);
void rub_search_free(rub_search *search);
/* From now on moves may be broken off; what stands then is a whole plan. caller: as in rub_watch_go. */
void rub_search_watch(rub_search *search, rub_watch *watch, bool caller);
/* Everything but the random stream; both of the same levels. */
void rub_search_copy(const rub_search *from, rub_search *to);

/* Every rank gets what rank `from` has: all that rub_search_copy copies. */
void rub_search_share(rub_search *search, const rub_ranks *ranks, int32_t from);

/* Puts every block in, first as cheaply as possible, then one after the other against the rest,
 * judging by prices (may be NULL). */
void rub_search_build(rub_search *search, const rub_prices *prices);

/* Puts every block in as cheaply as can be, then, unless path_of is NULL, by path_of(ctx, block), and where that breaks a limit by dynamic programming, at
 * prices when they are given. false: no plan that keeps the budgets was found. */
bool rub_search_place(rub_search *search, const uint16_t *(*path_of)(void *, int32_t), void *ctx,
                      const rub_prices *prices);

/* Starts from a plan of the same shape; false when it cannot be followed. Steps that are not open any
 * more are planned anew when mend is set. */
bool rub_search_follow(rub_search *search, const rub_plan *plan, bool mend);

/* One move: some blocks among those given out (at most 6), each back in, kept when the objective
 * rises. true when it did. With prices the dynamic program blends the true residual with them now
 * and then. */
bool rub_search_move(rub_search *search, const rub_prices *prices, const int32_t *block,
                     int32_t n_block);

/* One block out and back in; true when the objective rose. */
bool rub_search_reinsert(rub_search *search, int32_t block);

/* Takes over blocks of another search that differ from base, where that raises the objective. */
bool rub_search_merge(rub_search *search, const rub_search *base, const rub_search *other);

double rub_search_value(const rub_search *search); /* objective [USD]; -HUGE_VAL over a budget */
void rub_search_leaf_weights(const rub_search *search,
                             double *leaf_weight); /* risk weights (n_leaf) */
/* Largest excess over a budget, and which budget; 0 when all hold. */
double rub_search_excess(const rub_search *search, int32_t *budget);

/* Live MW of the plan (n_node, rub_market_n_cap). */
const double *rub_search_caps(const rub_search *search);

/* Writes the steps alone (n_block, n_node). */
void rub_search_steps(const rub_search *search, rub_step *out);

/* Writes the plan out, market cleared. */
rub_status rub_search_plan(rub_search *search, rub_plan *out, rub_error *err);

/* Best objective when only this block plans anew and takes this action (and generation) now;
 * -HUGE_VAL when it cannot. The search is left as it was. */
double rub_search_value_if(rub_search *search, int32_t block, rub_action action, int32_t gen);

#endif
