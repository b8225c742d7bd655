/* Out-of-sample evaluation (Shapiro, Dentcheva and Ruszczynski 2021, chapter 5): a plan's worth on
 * the tree that it was made for flatters it; its worth on fresh futures, followed as a policy, does
 * not. All policies meet the same futures, so their differences have narrow limits. Regret is what
 * knowing each future beforehand would have added. */
#include "plan/evaluation.h"

#include "base/array.h"
#include "base/ranks.h"
#include "plan/readable.h"
#include "plan/rollout.h"
#include "plan/single.h"
#include "plan/statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FRESH 0x9e3779b9u /* told from the seed of the tree's paths */
#define AUDITS 100

/* A plan that is followed as a policy: its own tree, problem and result. */
typedef struct followed {
    rub_tree tree;
    rub_problem problem;
    rub_plan plan;
    rub_solve_result solve;
    rub_facts facts;
    rub_tree_policy *policy;
} followed;

static void clear_followed(followed *f) {
    rub_tree_policy_free(f->policy);
    rub_plan_clear(&f->plan);
    rub_solve_result_clear(&f->solve);
    rub_problem_clear(&f->problem);
    rub_tree_clear(&f->tree);
}

/* The plan for the mean future alone. */
static rub_status plan_mean(const rub_facts *facts, const rub_evaluation_def *def,
                            const rub_automaton *automaton, followed *f, rub_error *err) {
    rub_solve_def solve = def->solve;
    solve.warm = NULL;
    solve.explain = false;
    solve.time_limit_s = fmin(solve.time_limit_s, 0.25 * def->time_s);
    RUB_TRY(rub_single_mean(facts->study, facts->tree, &f->tree, err));
    RUB_TRY(rub_plan_problem(facts->study, &f->tree, facts->yields, &f->problem, err));
    RUB_TRY(rub_portfolio_solve(&f->problem, &solve, NULL, &f->plan, &f->solve, err));
    f->facts = *facts;
    f->facts.tree = &f->tree;
    f->facts.problem = &f->problem;
    f->facts.plan = &f->plan;
    f->facts.solve = &f->solve;
    if (f->solve.outcome == RUB_OUTCOME_INFEASIBLE)
        return RUB_OK;
    return rub_tree_policy_make(&f->facts, automaton, NULL, &f->policy, err);
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static json_t *estimate(rub_estimate e) {
    return json_pack("{s:f,s:f}", "value_usd", e.value, "ci_usd", e.half_width);
}

static double mean_column(const double *x, size_t n, size_t stride) {
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += x[i * stride];
    return sum / (double)n;
}

static json_t *year_row(const rub_facts *facts, const rub_rollouts *r, const rub_rollout *of,
                        int32_t year, double *total) {
    size_t n = (size_t)r->n_path, stride = (size_t)r->n_year * 2;
    const double *spend = of->spend_usd + (size_t)year * 2;
    double budget = HUGE_VAL, whole = 0.0, over = 0.0;
    for (int32_t b = 0; b < facts->problem->n_budget; b++)
        if (facts->study->budget[b].fiscal_year == r->first_year + year) {
            budget = facts->problem->budget_usd[b];
            whole = facts->study->budget[b].capex_usd;
        }
    for (size_t i = 0; i < n; i++) {
        total[i] = spend[i * stride] + spend[i * stride + 1];
        over += total[i] > budget * (1 + 1e-6) + 1.0;
    }
    char name[16];
    snprintf(name, sizeof name, "FY%d", r->first_year + year);
    return json_pack("{s:s,s:o,s:f,s:f,s:f,s:f,s:f,s:f}", "fiscal_year", name, "budget_usd",
                     isfinite(budget) ? json_real(whole) : json_null(), "long_lived_usd",
                     mean_column(spend, n, stride), "short_lived_usd",
                     mean_column(spend + 1, n, stride), "mean_usd", mean_column(total, n, 1),
                     "p10_usd", rub_quantile_of(total, n, 0.1), "p90_usd",
                     rub_quantile_of(total, n, 0.9), "prob_over_budget", over / (double)n);
}

static json_t *policy_row(const rub_facts *facts, const rub_rollouts *r, const rub_policy *policy,
                          int32_t k) {
    const rub_rollout *of = &r->of[k], *plan = &r->of[0];
    size_t n = (size_t)r->n_path;
    double w = facts->problem->cvar_weight, better = 0.0;
    rub_estimate mean = rub_mean_of(of->npv_usd, n);
    rub_estimate tail = rub_tail_mean(of->npv_usd, n, facts->problem->cvar_alpha);
    double *total = RUB_NEW(double, n);
    json_t *row = json_object(), *years = json_array();
    for (size_t i = 0; i < n; i++)
        better += of->npv_usd[i] > plan->npv_usd[i] ? 1.0 / (double)n : 0.0;
    json_object_set_new(row, "policy", json_string(policy->name));
    json_object_set_new(row, "text", json_string(policy->text));
    json_object_set_new(row, "mean_usd", json_real(mean.value));
    json_object_set_new(row, "mean_ci_usd", json_real(mean.half_width));
    json_object_set_new(row, "cvar_usd", json_real(tail.value));
    json_object_set_new(row, "cvar_ci_usd", json_real(tail.half_width));
    json_object_set_new(row, "objective_usd", json_real((1 - w) * mean.value + w * tail.value));
    json_object_set_new(row, "p05_usd", json_real(rub_quantile_of(of->npv_usd, n, 0.05)));
    json_object_set_new(row, "p50_usd", json_real(rub_quantile_of(of->npv_usd, n, 0.5)));
    json_object_set_new(row, "p95_usd", json_real(rub_quantile_of(of->npv_usd, n, 0.95)));
    if (k > 0) {
        rub_estimate d = rub_mean_difference(of->npv_usd, plan->npv_usd, n);
        json_object_set_new(row, "plan_is_worth_more_usd", json_real(d.value));
        json_object_set_new(row, "plan_is_worth_more_ci_usd", json_real(d.half_width));
        json_object_set_new(row, "prob_better_than_plan", json_real(better));
    }
    json_object_set_new(row, "unserved", json_real(rub_mean_of(of->unserved, n).value));
    json_object_set_new(row, "idle", json_real(rub_mean_of(of->idle, n).value));
    for (int32_t y = 0; total && y < r->n_year; y++)
        json_array_append_new(years, year_row(facts, r, of, y, total));
    json_object_set_new(row, "capex", years);
    json_object_set_new(row, "audited", json_integer(of->n_audited));
    json_object_set_new(row, "costed_otherwise", json_integer(of->n_wrong));
    json_object_set_new(row, "rules_broken", json_integer(of->n_broken));
    if (of->n_broken)
        json_object_set_new(row, "broken", json_string(of->broken));
    free(total);
    return row;
}

/* ---- regret --------------------------------------------------------------------------------- */

/* What a future is worth when it is known: value of a plan, and bound. */
static rub_status solve_known(const rub_facts *facts, const rub_evaluation_def *def,
                              const double *path, double time_s, double *value, double *bound,
                              rub_error *err) {
    rub_tree tree = {0};
    rub_problem problem = {0};
    rub_plan plan = {0};
    rub_solve_result result = {0};
    rub_solve_def solve = def->solve;
    solve.warm = NULL;
    solve.explain = false;
    solve.time_limit_s = fmax(0.5, time_s);
    rub_status status =
        rub_single_tree(facts->study->n_quarter, facts->tree->n_feature, path, &tree, err);
    if (status == RUB_OK)
        status = rub_plan_problem(facts->study, &tree, facts->yields, &problem, err);
    if (status == RUB_OK)
        status = rub_portfolio_solve(&problem, &solve, NULL, &plan, &result, err);
    *value = result.value_usd;
    *bound = result.bound_usd;
    rub_plan_clear(&plan);
    rub_solve_result_clear(&result);
    rub_problem_clear(&problem);
    rub_tree_clear(&tree);
    return status;
}

static rub_status add_regret(const rub_facts *facts, const rub_evaluation_def *def, uint64_t seed,
                             const rub_rollouts *r, const rub_policy *policy,
                             const rub_progress *progress, json_t *out, rub_error *err) {
    int32_t n = def->n_regret < r->n_path ? def->n_regret : r->n_path;
    rub_paths paths = {0};
    double *value = RUB_NEW(double, n), *bound = RUB_NEW(double, n);
    rub_status status = value && bound ? RUB_OK : RUB_NO_MEMORY;
    if (status == RUB_OK && n > 0)
        status = rub_process_simulate(facts->study, n, seed, &paths, err);
    for (int32_t i = 0; status == RUB_OK && i < n; i++) {
        size_t row = (size_t)paths.n_quarter * (size_t)paths.n_feature;
        status = solve_known(facts, def, paths.value + (size_t)i * row, def->time_s / n, &value[i],
                             &bound[i], err);
        if (status == RUB_SOLVER) { /* found none in its time: the paths before it will do */
            status = RUB_OK;
            n = i;
        }
        if (!rub_progress_report(progress, "regret", i + 1, n, NULL))
            status = rub_error_set(err, RUB_INTERRUPTED, "stopped");
        status = rub_ranks_agree(def->solve.ranks, status, err);
    }
    json_t *rows = json_array();
    for (int32_t k = 0; status == RUB_OK && n > 1 && k < r->n_policy; k++) {
        const double *npv = r->of[k].npv_usd;
        rub_estimate mean = rub_mean_difference(npv, value, (size_t)n);
        rub_estimate most = rub_mean_difference(npv, bound, (size_t)n);
        json_array_append_new(rows, json_pack("{s:s,s:f,s:f,s:f,s:f}", "policy", policy[k].name,
                                              "mean_usd", mean.value, "ci_usd", mean.half_width,
                                              "at_most_usd", most.value, "at_most_ci_usd",
                                              most.half_width));
    }
    json_object_set_new(out, "regret", rows);
    json_object_set_new(out, "regret_paths", json_integer(n));
    free(value);
    free(bound);
    rub_paths_clear(&paths);
    return status;
}

/* ---- all of it ------------------------------------------------------------------------------ */

static json_t *document(const rub_facts *facts, const rub_rollouts *r, const rub_policy *policy,
                        uint64_t seed, int32_t mean_at) {
    json_t *out = json_object(), *rows = json_array();
    size_t n = (size_t)r->n_path;
    json_object_set_new(out, "paths", json_integer(r->n_path));
    json_object_set_new(out, "seed", json_integer((json_int_t)(seed >> 1)));
    for (int32_t k = 0; k < r->n_policy; k++)
        json_array_append_new(rows, policy_row(facts, r, &policy[k], k));
    json_object_set_new(out, "policies", rows);
    json_object_set_new(out, "in_sample_mean_usd", json_real(facts->evaluation->mean_npv_usd));
    if (mean_at > 0)
        json_object_set_new(
            out, "vss", estimate(rub_mean_difference(r->of[mean_at].npv_usd, r->of[0].npv_usd, n)));
    return out;
}

rub_status rub_document_out_of_sample(const rub_facts *facts, const rub_evaluation_def *def,
                                      const rub_progress *progress, json_t **out, rub_error *err) {
    enum { MOST = 4 + RUB_N_RULE };
    rub_policy policy[MOST];
    rub_automaton *automaton = NULL;
    rub_tree_policy *plan = NULL;
    rub_readable *readable = NULL;
    followed mean = {0};
    rub_rollouts r = {0};
    rub_paths seen = {0};
    json_t *made = NULL;
    int32_t n = 0, mean_at = -1;
    rub_rollout_def run = {.n_path = def->n_path,
                           .seed = facts->study->seed ^ ((uint64_t)FRESH << 20),
                           .n_thread = def->n_thread,
                           .n_audit = AUDITS};
    rub_status status = rub_automata_make(facts->problem, &automaton, err);
    if (status == RUB_OK)
        status = rub_process_simulate(facts->study, facts->study->process.n_path,
                                      facts->study->seed, &seen, err);
    if (status == RUB_OK)
        status = rub_tree_policy_make(facts, automaton, &seen, &plan, err);
    rub_paths_clear(&seen);
    if (status == RUB_OK) {
        policy[n++] = rub_tree_policy_of(plan, "plan", "this plan, followed as a policy");
        status = rub_readable_fit(facts, 3, &readable, err);
    }
    if (status == RUB_OK) {
        policy[n++] = rub_readable_policy(readable);
        status = plan_mean(facts, def, automaton, &mean, err);
    }
    if (status == RUB_OK && mean.policy) {
        mean_at = n;
        policy[n++] =
            rub_tree_policy_of(mean.policy, "mean-value plan",
                               "the plan for the mean future alone, followed as a policy");
    }
    for (int32_t k = RUB_N_RULE - 1; status == RUB_OK && k >= 0; k--)
        policy[n++] = rub_rule_policy((rub_rule)k, facts->problem);
    if (status == RUB_OK)
        status = rub_rollout_run(facts->study, facts->yields, automaton, policy, n, &run, progress,
                                 &r, err);
    status = rub_ranks_agree(def->solve.ranks, status, err); /* all solve together from here on */
    if (status == RUB_OK) {
        made = document(facts, &r, policy, run.seed, mean_at);
        status = add_regret(facts, def, run.seed, &r, policy, progress, made, err);
    }
    rub_rollouts_clear(&r);
    clear_followed(&mean);
    rub_readable_free(readable);
    rub_tree_policy_free(plan);
    rub_automata_free(automaton, facts->study->n_site);
    if (status != RUB_OK) {
        json_decref(made);
        return status;
    }
    *out = made;
    return RUB_OK;
}
