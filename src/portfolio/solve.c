/* Solve: which method, and the evaluator's word on what it gives. */
#include "rubato/portfolio.h"

#include "base/array.h"
#include "portfolio/infeasible.h"
#include "portfolio/levels.h"
#include "portfolio/mip.h"
#include "portfolio/pricing.h"
#include "portfolio/share.h"

#include <math.h>
#include <stdio.h>

static double gap(double value, double bound) {
    return fmax(0.0, bound - value) / fmax(1.0, fabs(value));
}

/* The plan's worth is what the independent evaluator says; a plan that breaks a rule is a fault of
 * ours. */
static rub_status settle(const rub_problem *problem, const rub_plan *plan, rub_solve_result *r,
                         rub_error *err) {
    rub_evaluation e = {0};
    RUB_TRY(rub_plan_evaluate(problem, plan, &e, err));
    r->value_usd = e.objective_usd;
    r->gap_frac = gap(r->value_usd, r->bound_usd);
    rub_status status = RUB_OK;
    if (e.n_violation > 0)
        status = rub_error_set(err, RUB_INTERNAL, "the plan breaks a rule: %s", e.violation);
    rub_evaluation_clear(&e);
    return status;
}

/* Arcs over nodes that Cbc is still quick with: 2,000 integer columns take it seconds, 20,000 minutes
 * (docs/decisions/004-pricing.md). */
#define MIP_MOST_ARCS 2000

/* Arcs over all nodes, which the forms that list them one by one need memory for. */
static rub_status count_arcs(const rub_problem *problem, int32_t n_thread, int64_t *n,
                             rub_error *err) {
    rub_levels l = {0};
    RUB_TRY(rub_levels_make(problem, n_thread, &l, err));
    for (int32_t s = 0; s < l.n_site; s++)
        for (int32_t t = 0; t < problem->n_quarter; t++)
            *n += (int64_t)l.site[s].level[t].n_entry * (l.first_node[t + 1] - l.first_node[t]);
    rub_levels_clear(&l);
    return RUB_OK;
}

/* Arcs that finding out why there is no plan can still list (60 bytes each). */
#define EXPLAIN_MOST_ARCS 5000000

/* Longest that finding out why there is no plan may take. */
#define EXPLAIN_S 12.0

/* Finds out why no plan was found. When one does exist (the search missed it), the MIP gives it. */
static rub_status explain(const rub_problem *problem, const rub_solve_def *def, rub_plan *plan,
                          rub_solve_result *r, rub_error *err) {
    bool possible = false;
    RUB_TRY(rub_infeasible_explain(problem, fmin(EXPLAIN_S, fmax(3.0, def->time_limit_s)),
                                   r->reason, sizeof r->reason, &possible, err));
    if (!possible || r->method == RUB_METHOD_MIP)
        return RUB_OK;
    rub_solve_result other = {0};
    RUB_TRY(rub_mip_solve(problem, def, plan, &other, err));
    rub_solve_result_clear(r);
    *r = other;
    return RUB_OK;
}

rub_status rub_portfolio_solve(const rub_problem *problem, const rub_solve_def *def,
                               const rub_progress *progress, rub_plan *plan,
                               rub_solve_result *result, rub_error *err) {
    rub_plan made = {0};
    rub_solve_result r = {0};
    rub_method method = def->method;
    int64_t arcs = 0;
    rub_status status = count_arcs(problem, def->n_thread, &arcs, err);
    if (method == RUB_METHOD_AUTO)
        method = arcs <= MIP_MOST_ARCS ? RUB_METHOD_MIP : RUB_METHOD_PRICING;
    if (status == RUB_OK)
        status = method == RUB_METHOD_MIP
                     ? rub_mip_solve(problem, def, &made, &r, err)
                     : rub_pricing_solve(problem, def, progress, &made, &r, err);
    if (status == RUB_OK && r.outcome == RUB_OUTCOME_INFEASIBLE && def->explain &&
        !def->keep_root && arcs <= EXPLAIN_MOST_ARCS)
        status = explain(problem, def, &made, &r, err);
    if (status == RUB_OK && r.outcome == RUB_OUTCOME_INFEASIBLE && !r.reason[0])
        snprintf(r.reason, sizeof r.reason, "No plan keeps every limit.");
    status = rub_answer_share(problem, def->ranks, status, &made, &r, err);
    if (status == RUB_OK && r.outcome != RUB_OUTCOME_INFEASIBLE)
        status = settle(problem, &made, &r, err);
    if (status != RUB_OK) {
        rub_plan_clear(&made);
        rub_solve_result_clear(&r);
        return status;
    }
    *plan = made;
    *result = r;
    return RUB_OK;
}
