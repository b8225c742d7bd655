/* Blocks: the stage graph of a site's blocks as an automaton: states, arcs, and what an arc pays,
 * uses and gives at a node. One automaton serves all (equal) blocks of a site; the deterministic
 * equivalent, the pricing and the plan all read it. The rules are docs/portfolio.md's. */
#ifndef RUB_PORTFOLIO_BLOCKS_H
#define RUB_PORTFOLIO_BLOCKS_H

#include "rubato/portfolio.h"

/* One decision: in state `from`, do `action` (to generation gen), stand in `to` next quarter. */
typedef struct rub_arc {
    int32_t from, to;
    uint8_t action;
    uint8_t gen;
} rub_arc;

/* States reachable from the site's initial one within the horizon, and the arcs between them. */
typedef struct rub_automaton {
    int32_t site;
    int32_t n_state, n_arc;
    int32_t initial;        /* state at the root, before talks resolve */
    int32_t option, ended;  /* the states that talks resolve to (option: -1 when unreachable) */
    rub_block_state *state; /* (n_state) */
    int32_t *first_arc; /* arcs of state s: first_arc[s] .. first_arc[s + 1] - 1 (n_state + 1) */
    rub_arc *arc;       /* (n_arc) */
} rub_automaton;

rub_status rub_automaton_make(const rub_problem *problem, int32_t site, rub_automaton *out,
                              rub_error *err);
void rub_automaton_clear(rub_automaton *automaton);

/* The state that a block in `state` stands in on arrival at node: talks resolve in close_q. */
int32_t rub_state_arrive(const rub_problem *problem, const rub_automaton *automaton, int32_t state,
                         int32_t node);

/* May the arc be taken in quarter t? (dates, lease end, rights switched off) */
bool rub_arc_open(const rub_problem *problem, const rub_automaton *automaton, int32_t arc,
                  int32_t t);
/* Does the node have what the arc needs? (an orderable generation, the partner's answer) */
bool rub_arc_has(const rub_problem *problem, const rub_automaton *automaton, int32_t arc,
                 int32_t node);
/* Both. */
bool rub_arc_allowed(const rub_problem *problem, const rub_automaton *automaton, int32_t arc,
                     int32_t node);

/* What one block does by an arc in a quarter, whatever the node: money is linear in the node's prices.
 * USD of that quarter, undiscounted. */
typedef struct rub_arc_terms {
    double cash_usd;  /* that needs no price of the node */
    double capex_usd; /* of it, spent from the budget (positive) */
    double order_mw;  /* servers ordered [MW]: costs order_gen's price, from the budget too */
    double resale_mw; /* MW sold, aged: earns resale_gen's price */
    double let_mw;    /* MW let, our share: earns the sublet price */
    double own_mw;    /* live MW at our disposal in this quarter, of generation live_gen */
    double sublet_mw; /* MW let or assigned in this quarter */
    uint8_t order_gen, resale_gen, live_gen;
    bool training; /* own_mw may serve training */
} rub_arc_terms;

rub_arc_terms rub_arc_terms_at(const rub_problem *problem, const rub_automaton *automaton,
                               int32_t arc, int32_t t);
/* Value of standing in `state` after the last quarter: cash_usd and resale. */
rub_arc_terms rub_state_terminal_terms(const rub_problem *problem, const rub_automaton *automaton,
                                       int32_t state);
double rub_arc_terms_cash(const rub_problem *problem, const rub_arc_terms *terms, int32_t region,
                          int32_t node);
double rub_arc_terms_capex(const rub_problem *problem, const rub_arc_terms *terms, int32_t node);

/* The same at a node. Money in USD of that quarter, undiscounted. */
typedef struct rub_arc_flow {
    double cash_usd;  /* everything but the market: capex, rent, fees, opex, resale, income */
    double capex_usd; /* of it, spent from the budget (positive) */
    double order_mw;  /* servers ordered [MW] of generation order_gen */
    double own_mw;    /* live MW at our disposal in this quarter, of generation live_gen */
    double sublet_mw; /* MW let or assigned in this quarter */
    uint8_t order_gen, live_gen;
    bool training; /* own_mw may serve training */
} rub_arc_flow;

rub_arc_flow rub_arc_flow_at(const rub_problem *problem, const rub_automaton *automaton,
                             int32_t arc, int32_t node);

/* Value of standing in `state` after the last quarter, in that quarter's money [USD]. */
double rub_state_terminal_usd(const rub_problem *problem, const rub_automaton *automaton,
                              int32_t state, int32_t leaf);

#endif
