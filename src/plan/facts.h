/* Facts: all that a plan document is written from, and the parts that write it. Each part returns a
 * new JSON reference, or NULL when out of memory. The document's shape is docs/plan-json.md's. */
#ifndef RUB_PLAN_FACTS_H
#define RUB_PLAN_FACTS_H

#include "rubato/plan.h"

typedef struct rub_facts {
    const rub_study *study;
    const rub_tree *tree;
    const rub_problem *problem;
    const rub_yields *yields;
    const rub_plan *plan;
    const rub_evaluation *evaluation;
    const rub_solve_result *solve;
    const rub_alternative *alternative; /* what blocks could do instead now (n_alternative) */
    size_t n_alternative;
} rub_facts;

/* What node's features say, as the problem's arrays of that node; for rolling forward one quarter
 * at a time. Allocates nothing. */
void rub_problem_fill_node(rub_problem *problem, int32_t node, const rub_yields *yields);

/* Quantile (0..1) of n values with weights; sorts index scratch. NaN for n == 0. */
double rub_weighted_quantile(const double *value, const double *weight, size_t n, double quantile);

/* Tokens/s per MW of what is live at a node (the reference generation's when nothing is). */
double rub_fleet_tok_per_mw(const rub_facts *facts, int32_t node);
/* Accelerator-equivalents per MW likewise. */
double rub_fleet_train_per_mw(const rub_facts *facts, int32_t node);

/* Own MW of region m (training: n_region) whose output is rented out at a node. */
double rub_rented_out_mw(const rub_facts *facts, int32_t node, int32_t m);

json_t *rub_document_supply(const rub_facts *facts);     /* supply against demand by quarter */
json_t *rub_document_capex(const rub_facts *facts);      /* by fiscal year against budget */
json_t *rub_document_npv(const rub_facts *facts);        /* distribution over futures */
json_t *rub_document_cash(const rub_facts *facts);       /* expected discounted by kind */
json_t *rub_document_estate(const rub_facts *facts);     /* contracted, committed, live, by stage */
json_t *rub_document_oversupply(const rub_facts *facts); /* contracts against demand */
json_t *rub_document_utilisation(const rub_facts *facts); /* who uses what is live */
json_t *rub_document_returns(const rub_facts *facts);     /* ROIC, cost of tokens, by year */
json_t *rub_document_yields(const rub_facts *facts);      /* what each generation gives */
json_t *rub_document_study(const rub_facts *facts, const char *const *what_if, size_t n_what_if);
json_t *rub_document_sources(const rub_facts *facts); /* where figures come from */

/* MW of the block that serve at node (serve, or renew while live), held share included. */
double rub_block_live_mw(const rub_facts *facts, int32_t block, int32_t node);

static inline const rub_step *rub_step_of(const rub_facts *facts, int32_t block, int32_t node) {
    return &facts->plan->step[(size_t)block * (size_t)facts->plan->n_node + (size_t)node];
}

#endif
