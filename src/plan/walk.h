/* Walk: a policy on one future, quarter by quarter, and what comes of it. */
#ifndef RUB_PLAN_WALK_H
#define RUB_PLAN_WALK_H

#include "plan/policy.h"
#include "portfolio/market.h"

/* Where the blocks stand on a chain of nodes. Borrows problem, yields and automata. */
typedef struct rub_walk {
    rub_problem *problem;
    const rub_yields
        *yields; /* rows of the problem are filled quarter by quarter; NULL: they are */
    const rub_automaton *automaton;
    rub_market *market;
    rub_plan plan;        /* steps and market of the quarters walked */
    int32_t *first_block; /* (n_site + 1) */
    int32_t *state;       /* (n_block) */
    int32_t *order;       /* in which blocks act (n_block) */
    double *cap;          /* live MW (n_cap) */
    double *ordered;      /* MW (n_gen) */
    double *let;          /* MW (n_region) */
    double spent;         /* from the budget of the quarter, this fiscal year */
    double kept_back;     /* of it, for construction that goes on */
    void *memory;         /* of the policy */
    size_t memory_size;
    double npv, long_usd, short_usd; /* so far; capex of the quarter */
} rub_walk;

/* *w is to be cleared on failure too. Errors: RUB_NO_MEMORY. */
rub_status rub_walk_make(rub_problem *problem, const rub_yields *yields,
                         const rub_automaton *automaton, size_t memory_size, rub_walk *w,
                         rub_error *err);
void rub_walk_clear(rub_walk *w);

/* Back to the start of the future. */
void rub_walk_begin(rub_walk *w);

/* Quarters in order from 0. Errors: RUB_INTERNAL when a block finds nothing that it may do. Allocates
 * nothing. */
rub_status rub_walk_quarter(rub_walk *w, const rub_policy *policy, int32_t t);

#endif
