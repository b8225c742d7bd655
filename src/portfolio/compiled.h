/* Compiled: every site's open arcs at every node with what they pay and use, laid out for the
 * dynamic program's loop: one array of entries by node, states in reach only. */
#ifndef RUB_PORTFOLIO_COMPILED_H
#define RUB_PORTFOLIO_COMPILED_H

#include "portfolio/blocks.h"

/* One open arc at a node. Money undiscounted USD of the node's quarter. */
typedef struct rub_entry {
    double cash_usd;  /* terminal value included at leaves */
    double capex_usd; /* spent from the budget */
    double own_mw, order_mw, sublet_mw;
    int32_t from, to, arc;
    uint8_t live_gen, order_gen, training, action;
} rub_entry;

typedef struct rub_compiled_site {
    rub_automaton automaton;
    int32_t n_block;     /* equal blocks */
    int32_t first_block; /* in the problem */
    int32_t region;
    int32_t *first; /* entries of node n: first[n] .. first[n + 1] - 1, by from (n_node + 1) */
    rub_entry *entry;
} rub_compiled_site;

typedef struct rub_compiled {
    const rub_problem *problem;
    int32_t n_site, max_state;
    rub_compiled_site *site;
} rub_compiled;

rub_status rub_compiled_make(const rub_problem *problem, rub_compiled *out, rub_error *err);
void rub_compiled_clear(rub_compiled *compiled);

/* Best behaviour of one block. gain[entry] is what an entry is worth at its node (all prices in);
 * value (n_state of the site) is scratch, one row a node (n_node, max_state). choice (n_node,
 * max_state) gets the entry taken. Returns the value from the root. */
double rub_compiled_best(const rub_compiled *compiled, int32_t site, const double *gain,
                         double *value, int32_t *choice);

/* The entries that a block takes at each node when it follows choice (n_node). */
void rub_compiled_follow(const rub_compiled *compiled, int32_t site, const int32_t *choice,
                         int32_t *path);

#endif
