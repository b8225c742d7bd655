/* The market's insides, shared by its files: one node's linear program as sparse columns, and the tableau
 * that solves it from nothing. */
#ifndef RUB_PORTFOLIO_MARKET_STATE_H
#define RUB_PORTFOLIO_MARKET_STATE_H

#include "portfolio/market.h"

#define RUB_MARKET_EPS 1e-9

typedef enum rub_market_use { TRAIN, INFER, SERVED, MUST, RENT_IN, RENT_OUT, SHIP } rub_market_use;

/* A structural column: what it is, its objective per unit, its bound and its coefficients. */
typedef struct rub_market_column {
    rub_market_use kind;
    int32_t a, b; /* pool's region and generation, demand, market and step, link */
    double worth, most;
    int32_t id; /* the same whatever else there is */
    int32_t n_entry, row[3];
    double value[3];
} rub_market_column;

struct rub_market {
    const rub_problem *p;
    int32_t max_row, max_col, max_id;
    int32_t m, n;           /* rows, structural columns */
    rub_market_column *col; /* (max_col) */
    int32_t *row_id;        /* ids of the rows' slacks (max_row) */
    double *limit;          /* right-hand sides (max_row) */
    double *t;              /* tableau, m rows of n + m columns */
    double *reduced;        /* (n + m) */
    double *rhs;            /* basic values (m) */
    double *most;           /* bounds of all columns (n + m) */
    int32_t *basis;         /* (m) */
    int8_t *at_most;        /* nonbasic at its bound (n + m) */
    int32_t width;
    double unit[2]; /* inference, training: compute units that count as one here, so that a MW
                       gives about one and all columns are of one size */
    double dearest; /* largest worth of a column */

    /* starting from an earlier basis (market_warm.c) */
    int32_t *place;  /* column of an id, -1: none (max_id) */
    bool *basic;     /* (n + m) */
    double *inverse; /* of the basis (m, m) */
    double *work;    /* (m, 2 m) */
    double *price;   /* of the rows (m) */
};

/* The node's columns and rows; what is basic is not touched. */
void rub_market_list(rub_market *market, int32_t node, const double *cap);
/* Worth of what stands in rhs, basis and at_most, penalties taken off; prices of the balances. */
double rub_market_answer(rub_market *market, int32_t node, rub_plan *plan, double *unit_price);

#endif
