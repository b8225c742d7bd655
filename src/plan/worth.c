/* Worth: the value of the stochastic solution, of perfect information and of each option.
 *
 *  VSS:  the plan for the mean future decides today's actions, everything after is planned anew
 * over the tree; what that loses against the plan (Birge 1982, at the root stage). EVPI: every
 * future planned as if it were known; what that gains over the plan. An option is switched off and
 * the study planned again; what that loses.
 *
 * Each solve has its own bound, so each worth is an interval; the value given is plan against plan.
 */
#include "plan/worth.h"

#include "base/array.h"
#include "base/ranks.h"
#include "plan/single.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_S 0.5 /* for one solve: under it small ones may not find any plan */

/* Plans one path on its own. */
static rub_status solve_path(const rub_worth_job *job, const rub_tree *path,
                             const rub_solve_def *def, rub_plan *plan, rub_solve_result *result,
                             rub_error *err) {
    rub_problem problem = {0};
    rub_status status =
        rub_plan_problem(job->facts->study, path, job->facts->yields, &problem, err);
    if (status == RUB_OK)
        status = rub_portfolio_solve(&problem, def, NULL, plan, result, err);
    rub_problem_clear(&problem);
    return status;
}

/* A plan of the tree's shape whose root steps are those of a path's plan; the rest is left out. */
static rub_status root_of(const rub_plan *from, int32_t n_node, rub_plan *out, rub_error *err) {
    rub_plan plan = {.n_block = from->n_block, .n_node = n_node};
    plan.step = RUB_NEW(rub_step, (size_t)from->n_block * (size_t)n_node);
    if (!plan.step)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for a plan");
    for (int32_t b = 0; b < from->n_block; b++)
        plan.step[(size_t)b * (size_t)n_node] = from->step[(size_t)b * (size_t)from->n_node];
    *out = plan;
    return RUB_OK;
}

/* Time for one of n solves that the ranks share. */
static double share_s(const rub_worth_job *job, size_t n) {
    return fmax(LEAST_S, job->solve.time_limit_s * rub_ranks_n(job->solve.ranks) / (double)n);
}

static json_t *interval(double value, double low, double high) {
    return json_pack("{s:f,s:f,s:f}", "value_usd", value, "at_least_usd", low, "at_most_usd", high);
}

rub_status rub_worth_vss(const rub_worth_job *job, json_t **out, rub_error *err) {
    const rub_facts *facts = job->facts;
    rub_tree mean = {0};
    rub_plan mean_plan = {0}, root = {0}, plan = {0};
    rub_solve_result mean_result = {0}, result = {0};
    rub_solve_def def = job->solve;
    def.explain = false;
    rub_status status = rub_single_mean(facts->study, facts->tree, &mean, err);
    if (status == RUB_OK)
        status = solve_path(job, &mean, &def, &mean_plan, &mean_result, err);
    bool usable = status == RUB_OK && mean_plan.step;
    if (usable)
        status = root_of(&mean_plan, facts->tree->n_node, &root, err);
    if (usable && status == RUB_OK) {
        def.warm = &root;
        def.keep_root = true;
        status = rub_portfolio_solve(facts->problem, &def, NULL, &plan, &result, err);
    }
    if (status == RUB_OK && usable && result.outcome != RUB_OUTCOME_INFEASIBLE) {
        double here = facts->solve->value_usd, vss = here - result.value_usd;
        *out = interval(fmax(vss, 0.0), fmax(0.0, here - result.bound_usd),
                        fmax(0.0, facts->solve->bound_usd - result.value_usd));
    } else if (status == RUB_OK)
        *out = json_pack("{s:s}", "note",
                         "today's actions of the plan for the mean future have no feasible sequel");
    rub_tree_clear(&mean);
    rub_plan_clear(&mean_plan);
    rub_plan_clear(&root);
    rub_plan_clear(&plan);
    rub_solve_result_clear(&mean_result);
    rub_solve_result_clear(&result);
    return status;
}

/* (1 - w) E + w CVaR of values with probabilities, sorted ascending by value. */
typedef struct outcome {
    double value, prob;
} outcome;

static int worst_first(const void *a, const void *b) {
    double x = ((const outcome *)a)->value, y = ((const outcome *)b)->value;
    return (x > y) - (x < y);
}

static double risk_adjusted(outcome *leaf, size_t n, double weight, double alpha) {
    qsort(leaf, n, sizeof *leaf, worst_first);
    double mean = 0.0, tail = 0.0, taken = 0.0;
    for (size_t i = 0; i < n; i++) {
        double part = fmin(leaf[i].prob, fmax(0.0, alpha - taken));
        mean += leaf[i].prob * leaf[i].value;
        tail += part * leaf[i].value;
        taken += part;
    }
    return taken > 0 ? (1.0 - weight) * mean + weight * tail / taken : mean;
}

rub_status rub_worth_evpi(const rub_worth_job *job, json_t **out, rub_error *err) {
    const rub_facts *facts = job->facts;
    const rub_tree *tree = facts->tree;
    const rub_problem *p = facts->problem;
    size_t n = (size_t)tree->n_leaf, leaf = 0;
    outcome *known = RUB_NEW(outcome, n), *bound = RUB_NEW(outcome, n);
    rub_status status =
        known && bound ? RUB_OK : rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    const rub_ranks *ranks = job->solve.ranks;
    rub_solve_def def = job->solve;
    def.time_limit_s = share_s(job, n);
    def.explain = false;
    def.ranks = NULL; /* each rank has futures of its own */
    for (int32_t node = 0; status == RUB_OK && node < tree->n_node; node++) {
        if (tree->quarter[node] != tree->n_quarter - 1 ||
            !rub_ranks_mine(ranks, (int32_t)n, (int32_t)leaf++))
            continue;
        rub_tree path = {0};
        rub_plan plan = {0};
        rub_solve_result result = {0};
        status = rub_single_leaf(tree, node, &path, err);
        if (status == RUB_OK)
            status = solve_path(job, &path, &def, &plan, &result, err);
        known[leaf - 1] = (outcome){result.value_usd, tree->prob[node]};
        bound[leaf - 1] = (outcome){result.bound_usd, tree->prob[node]};
        rub_tree_clear(&path);
        rub_plan_clear(&plan);
        rub_solve_result_clear(&result);
        if (!rub_progress_report(job->progress, "perfect information", (double)leaf, (double)n,
                                 NULL))
            status = rub_error_set(err, RUB_INTERRUPTED, "stopped");
    }
    status = rub_ranks_agree(ranks, status, err);
    if (status == RUB_OK) {
        rub_ranks_gather(ranks, known, n, sizeof *known);
        rub_ranks_gather(ranks, bound, n, sizeof *bound);
        double value = risk_adjusted(known, n, p->cvar_weight, p->cvar_alpha);
        double most = risk_adjusted(bound, n, p->cvar_weight, p->cvar_alpha);
        *out = interval(fmax(0.0, value - facts->solve->value_usd),
                        fmax(0.0, value - facts->solve->bound_usd),
                        fmax(0.0, most - facts->solve->value_usd));
    }
    free(known);
    free(bound);
    return status;
}

static const struct {
    uint32_t flags;
    const char *name;
} options[] = {
    {RUB_ALLOW_PAUSE, "pause"},
    {RUB_ALLOW_CANCEL, "cancel"},
    {RUB_ALLOW_DEFER, "defer"},
    {RUB_ALLOW_SUBLET, "sublet"},
    {RUB_ALLOW_RENT_IN, "rent in"},
    {RUB_ALLOW_RENT_OUT, "rent out"},
    {RUB_ALLOW_REFRESH, "refresh"},
    {RUB_ALLOW_UPGRADE, "upgrade"},
    {RUB_ALLOW_SHIP, "serve from another region"},
    {RUB_ALLOW_WAIT, "wait"},
    {RUB_ALLOW_PAUSE | RUB_ALLOW_CANCEL | RUB_ALLOW_DEFER | RUB_ALLOW_SUBLET | RUB_ALLOW_WAIT,
     "all pacing: pause, cancel, defer, sublet, wait"}};

/* Without one option the plan that stands is the best start, and what it does with the option is planned
 * anew; without all of them little of it stays, and a cold start is better. A cold start for each made
 * every option of the hyperscaler's study look worth 3 billion: the search's own shortfall. */
static void start_from(const rub_facts *facts, uint32_t flags, rub_solve_def *def) {
    bool one = (flags & (flags - 1)) == 0;
    def->warm = one ? facts->plan : NULL;
    def->multiplier = one ? facts->solve->multiplier : NULL;
    def->n_multiplier = one ? facts->solve->n_multiplier : 0;
}

/* What is left without an option. */
typedef struct without {
    double value_usd, bound_usd;
    bool none, late;
} without;

static rub_status solve_without(const rub_worth_job *job, const rub_solve_def *def, uint32_t flags,
                                without *out, rub_error *err) {
    rub_problem problem = *job->facts->problem; /* shares its arrays */
    rub_plan plan = {0};
    rub_solve_result result = {0};
    rub_solve_def from = *def;
    problem.allow &= ~flags;
    start_from(job->facts, flags, &from);
    rub_status status = rub_portfolio_solve(&problem, &from, NULL, &plan, &result, err);
    bool late = status == RUB_SOLVER;
    *out = (without){.value_usd = result.value_usd,
                     .bound_usd = result.bound_usd,
                     .none = late || result.outcome == RUB_OUTCOME_INFEASIBLE,
                     .late = late};
    rub_plan_clear(&plan);
    rub_solve_result_clear(&result);
    return late ? RUB_OK : status;
}

static json_t *option_row(const rub_facts *facts, const char *name, const without *w) {
    double here = facts->solve->value_usd, most = facts->solve->bound_usd;
    const char *note = w->late ? "no plan without it was found in its time"
                               : "without it no plan keeps every limit";
    json_t *row = w->none ? json_pack("{s:s}", "note", note)
                          : interval(fmax(0.0, here - w->value_usd), fmax(0.0, here - w->bound_usd),
                                     fmax(0.0, most - w->value_usd));
    json_object_set_new(row, "option", json_string(name));
    return row;
}

rub_status rub_worth_options(const rub_worth_job *job, json_t **out, rub_error *err) {
    enum { N = RUB_LEN(options) };
    const rub_ranks *ranks = job->solve.ranks;
    without without_it[N];
    rub_status status = RUB_OK;
    rub_solve_def def = job->solve;
    def.time_limit_s = share_s(job, N);
    def.explain = false;
    def.ranks = NULL; /* each rank has options of its own */
    for (int32_t i = 0; status == RUB_OK && i < N; i++) {
        if (!rub_ranks_mine(ranks, N, i))
            continue;
        status = solve_without(job, &def, options[i].flags, &without_it[i], err);
        if (status == RUB_OK &&
            !rub_progress_report(job->progress, "value of options", i + 1.0, N, NULL))
            status = rub_error_set(err, RUB_INTERRUPTED, "stopped");
    }
    status = rub_ranks_agree(ranks, status, err);
    if (status != RUB_OK)
        return status;
    rub_ranks_gather(ranks, without_it, N, sizeof *without_it);
    *out = json_array();
    for (int32_t i = 0; i < N; i++)
        json_array_append_new(*out, option_row(job->facts, options[i].name, &without_it[i]));
    return RUB_OK;
}
