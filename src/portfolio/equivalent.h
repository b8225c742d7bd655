/* Equivalent: the deterministic equivalent as one program: integer flows of equal blocks over (site,
 * node, arc), the market's continuous columns at each node, coupling rows, CVaR by cumulative cash.
 *
 * Its elastic form has no money in it: limits of chosen kinds may be passed, and the objective is
 * minus the sum of what they are passed by, each measured by its own size. */
#ifndef RUB_PORTFOLIO_EQUIVALENT_H
#define RUB_PORTFOLIO_EQUIVALENT_H

#include "portfolio/compiled.h"
#include "portfolio/lp.h"

/* Limits that sites share, and what has to be served. */
typedef enum rub_limit_kind {
    RUB_LIMIT_MUST_SERVE,
    RUB_LIMIT_GRID,
    RUB_LIMIT_SUPPLY,
    RUB_LIMIT_SUBLET,
    RUB_LIMIT_BUDGET,
    RUB_N_LIMIT
} rub_limit_kind;

/* A limit that may be passed. slack and most are in the program's measure: times unit, the study's. */
typedef struct rub_limit {
    rub_limit_kind kind;
    int32_t which; /* demand, region, generation or budget */
    int32_t node;
    int32_t slack; /* column: by how much it is passed */
    double most, unit;
} rub_limit;

typedef struct rub_equivalent {
    const rub_compiled *c;
    const rub_problem *p;
    rub_lp lp;           /* money in millions, loads in what a MW of the best generation gives */
    int32_t **entry_col; /* per site: column of each entry */
    int32_t *cum_row;    /* cash row of each node; NULL without CVaR */
    double *weight;      /* objective weight of undiscounted cash at a node, without CVaR */
    double constant_usd; /* what the objective has without any decision */
    uint32_t elastic;    /* kinds of limits that may be passed: 1 << rub_limit_kind */
    rub_limit *limit;    /* (n_limit) */
    size_t n_limit, limit_cap;
} rub_equivalent;

/* keep_root: NULL, or a plan whose root steps are kept. elastic 0: the equivalent itself. */
rub_status rub_equivalent_make(const rub_compiled *compiled, const rub_plan *keep_root,
                               uint32_t elastic, rub_equivalent *out, rub_error *err);
void rub_equivalent_clear(rub_equivalent *equivalent);

#endif
