/* An audit in progress: what evaluate.c and evaluate_block.c share. */
#ifndef RUB_PORTFOLIO_EVALUATE_H
#define RUB_PORTFOLIO_EVALUATE_H

#include "rubato/portfolio.h"

typedef struct rub_audit {
    const rub_problem *p;
    const rub_plan *plan;
    rub_evaluation e;
    int32_t block;    /* whose cash flows these are; -1: the market's */
    double *own_mw;   /* live at our disposal (n_node, n_region, n_gen, 2 fabrics) */
    double *order_mw; /* (n_node, n_gen) */
    double *let_mw;   /* let or assigned (n_node, n_region) */
} rub_audit;

/* Books a cash flow of the audit's block (or the market) at a node; income is positive. */
void rub_pay(rub_audit *audit, int32_t node, rub_cash_kind kind, double usd);

/* Counts a broken rule; the first is kept in words. */
void rub_violate(rub_audit *audit, double excess, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* One block at one node: is the step one that the rules allow, and what does it pay and use? */
void rub_audit_step(rub_audit *audit, int32_t node);

#endif
