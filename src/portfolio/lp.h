/* LP: the seam to a solver. A problem is built from columns, rows and coefficients, then solved once
 * by Cbc (2.10; a solved handle must never be solved again, and it is not safe in threads, so each
 * solve makes its own and holds a lock). */
#ifndef RUB_PORTFOLIO_LP_H
#define RUB_PORTFOLIO_LP_H

#include "rubato/base.h"

typedef struct rub_lp {
    int32_t n_col, n_row;
    size_t n_coef;
    double *objective, *col_low, *col_high; /* maximised (n_col) */
    uint8_t *integer;                       /* (n_col) */
    double *row_low, *row_high;             /* (n_row) */
    int32_t *coef_row, *coef_col;           /* (n_coef) */
    double *coef;
    size_t cap_col[4], cap_row[2], cap_coef[3];
    bool failed; /* out of memory while building */
} rub_lp;

int32_t rub_lp_col(rub_lp *lp, double objective, double low, double high, bool integer);
int32_t rub_lp_row(rub_lp *lp, double low, double high);
void rub_lp_put(rub_lp *lp, int32_t row, int32_t col, double value); /* at most once a place */
void rub_lp_clear(rub_lp *lp);

typedef enum rub_lp_outcome { RUB_LP_OPTIMAL, RUB_LP_LIMIT, RUB_LP_INFEASIBLE } rub_lp_outcome;

typedef struct rub_lp_result {
    rub_lp_outcome outcome; /* LIMIT: a feasible point and a bound, gap or time ran out */
    double value, bound;
    double *x; /* (n_col); NULL when there is none */
} rub_lp_result;

/* Maximises. Errors: RUB_NO_MEMORY, RUB_SOLVER (no point found in time, unbounded). Free x. */
rub_status rub_lp_solve(const rub_lp *lp, double time_limit_s, double gap_frac, rub_lp_result *out,
                        rub_error *err);

#endif
