/* Levels: a site's automaton quarter by quarter, for a dynamic program that runs over all nodes of a
 * quarter at once.
 *
 * What an arc pays is linear in a few things that nodes know (weights, prices), so an arc of a quarter
 * is a handful of coefficients, whatever the number of nodes, and the inner loop is over nodes that lie
 * side by side. States are rows; only those in reach in the quarter have one. All that ends a live
 * fit-out (refresh, retire, cancel) is the same for every age but for the resale, so it is found once
 * in a hub row that the live rows lead to. */
#ifndef RUB_PORTFOLIO_LEVELS_H
#define RUB_PORTFOLIO_LEVELS_H

#include "portfolio/blocks.h"

/* An open arc of a quarter. */
typedef struct rub_level_entry {
    rub_arc_terms f;
    int32_t from, to, arc; /* states of the automaton */
    uint8_t action, gen;
} rub_level_entry;

#define RUB_MOST_TERMS 5

/* A step of the dynamic program: row `from` may take row `to` of the next quarter (or of this one) and
 * gains the sum of coef * column over its terms. */
typedef struct rub_level_move {
    int32_t from, to;
    bool same; /* `to` is a hub of this quarter */
    uint8_t n_term, column[RUB_MOST_TERMS];
    uint8_t action, gen;
    double coef[RUB_MOST_TERMS];
} rub_level_move;

typedef struct rub_level {
    int32_t n_row, n_state_row;    /* hubs come after the states */
    int32_t *state_of;             /* (n_state_row) */
    int32_t *row_of;               /* -1: not in reach (n_state of the automaton) */
    int32_t talks, option, ended;  /* rows; talks >= 0: resolved on arrival in this quarter */
    rub_level_move *move;          /* by from, hubs first (first_move[row] ..) */
    int32_t n_move, *first_move;   /* (n_row + 1) */
    rub_level_entry *entry;        /* by from */
    int32_t n_entry, *first_entry; /* of a state (n_state + 1) */
    size_t at;                     /* where the quarter's values begin */
} rub_level;

typedef struct rub_level_site {
    rub_automaton automaton;
    int32_t n_block, first_block, region;
    rub_level *level; /* (n_quarter + 1): the last holds terminal values */
    size_t n_value;   /* doubles that values take */
} rub_level_site;

typedef struct rub_levels {
    const rub_problem *problem;
    int32_t n_site;
    rub_level_site *site;
    int32_t *first_node; /* of each quarter (n_quarter + 1) */
    bool *branches;      /* some node of the quarter has more than one child (n_quarter) */
    size_t most_value;   /* largest n_value */
    size_t most_row;     /* largest rows * nodes of one quarter */
    int32_t n_column;
} rub_levels;

rub_status rub_levels_make(const rub_problem *problem, int32_t n_thread, rub_levels *out,
                           rub_error *err);
void rub_levels_clear(rub_levels *levels);

/* Columns: arrays over nodes that gains are linear in. A site's view picks its own. */
enum {
    RUB_COLUMN_CASH,  /* weight of a dollar */
    RUB_COLUMN_CAPEX, /* minus the price of a dollar of budget */
    RUB_COLUMN_LET,   /* what a MW let earns */
    RUB_COLUMN_DEPTH, /* minus the price of a MW of sublet depth; -HUGE_VAL: none left */
    RUB_COLUMN_FREE,  /* 0 where no partner exercises its right, else -HUGE_VAL */
    RUB_COLUMN_HELD,  /* 0 where the site's partner does, else -HUGE_VAL */
    RUB_COLUMN_GEN    /* from here on by generation: order, resale, own by (training, held) */
};
static inline int32_t rub_column_order(int32_t gen) { return RUB_COLUMN_GEN + 6 * gen; }
static inline int32_t rub_column_resale(int32_t gen) { return RUB_COLUMN_GEN + 6 * gen + 1; }
static inline int32_t rub_column_own(int32_t gen, int training, int held) {
    return RUB_COLUMN_GEN + 6 * gen + 2 + 2 * held + training;
}

/* Scratch of one thread. */
typedef struct rub_level_work {
    double *value; /* (most_value) */
    double *sum;   /* children's values added up (most_row) */
} rub_level_work;

bool rub_level_work_init(const rub_levels *levels, rub_level_work *work);
void rub_level_work_clear(rub_level_work *work);

/* Best behaviour of one block of a site: its value from the root. column: by RUB_COLUMN_*, each
 * (n_node). only: NULL, or the entry of quarter 0 that has to be taken. */
double rub_levels_best(const rub_levels *levels, int32_t site, const double *const *column,
                       const rub_level_entry *only, rub_level_work *work);

/* What it does at each node: entries of the node's quarter (n_node). After rub_levels_best. */
void rub_levels_follow(const rub_levels *levels, int32_t site, const double *const *column,
                       const rub_level_entry *only, const rub_level_work *work, uint16_t *path);

/* Entry of state `from` with this step; -1: none. */
int32_t rub_levels_entry(const rub_levels *levels, int32_t site, int32_t t, const rub_step *step);

#endif
