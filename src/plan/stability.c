/* In-sample stability: trees of the same shape from other paths give plans of about the same worth.
 * Out-of-sample stability: those plans are of about the same worth on the same fresh futures. The
 * first without the second flatters; the second is what counts. */
#include "plan/stability.h"

#include "base/array.h"
#include "base/ranks.h"
#include "plan/rollout.h"
#include "plan/statistics.h"

#include <math.h>
#include <stdlib.h>

#define FRESH 0x51ed270bu
#define AUDITS 4

/* One tree: its plan, in sample and on fresh futures. */
static rub_status one_tree(const rub_facts *facts, const rub_stability_def *def, int32_t k,
                           const rub_automaton *automaton, double *in_sample, double *out_of_sample,
                           rub_error *err) {
    const rub_study *study = facts->study;
    rub_paths paths = {0};
    rub_tree tree = {0};
    rub_problem problem = {0};
    rub_plan plan = {0};
    rub_solve_result solve = {0};
    rub_tree_policy *followed = NULL;
    rub_rollouts r = {0};
    rub_solve_def how = def->solve;
    rub_facts mine = *facts;
    how.warm = NULL;
    how.explain = false;
    how.ranks = NULL; /* each rank has trees of its own */
    how.time_limit_s = def->solve.time_limit_s * rub_ranks_n(def->solve.ranks) / def->n_tree;
    uint64_t seed = study->seed + 7919u * (uint64_t)(k + 1);
    rub_status status = rub_process_simulate(study, study->process.n_path, seed, &paths, err);
    if (status == RUB_OK)
        status = rub_tree_reduce(study, &paths, &tree, NULL, err);
    if (status == RUB_OK)
        status = rub_plan_problem(study, &tree, facts->yields, &problem, err);
    if (status == RUB_OK)
        status = rub_portfolio_solve(&problem, &how, NULL, &plan, &solve, err);
    bool feasible = status == RUB_OK && solve.outcome != RUB_OUTCOME_INFEASIBLE;
    *in_sample = *out_of_sample = NAN;
    mine.tree = &tree;
    mine.problem = &problem;
    mine.plan = &plan;
    mine.solve = &solve;
    if (feasible)
        status = rub_tree_policy_make(&mine, automaton, &paths, &followed, err);
    if (feasible && status == RUB_OK) {
        rub_policy policy = rub_tree_policy_of(followed, "plan", "");
        rub_rollout_def run = {.n_path = def->n_path,
                               .seed = study->seed ^ ((uint64_t)FRESH << 20),
                               .n_thread = def->n_thread,
                               .n_audit = AUDITS};
        status = rub_rollout_run(study, facts->yields, automaton, &policy, 1, &run, NULL, &r, err);
    }
    if (feasible && status == RUB_OK) {
        size_t n = (size_t)def->n_path;
        double w = problem.cvar_weight;
        *in_sample = solve.value_usd;
        *out_of_sample = (1 - w) * rub_mean_of(r.of[0].npv_usd, n).value +
                         w * rub_tail_mean(r.of[0].npv_usd, n, problem.cvar_alpha).value;
    }
    rub_rollouts_clear(&r);
    rub_tree_policy_free(followed);
    rub_solve_result_clear(&solve);
    rub_plan_clear(&plan);
    rub_problem_clear(&problem);
    rub_tree_clear(&tree);
    rub_paths_clear(&paths);
    return status;
}

/* Mean, standard deviation and range of the trees that had a plan. */
static json_t *spread(const double *x, size_t n) {
    double sum = 0.0, squares = 0.0, low = HUGE_VAL, high = -HUGE_VAL;
    for (size_t i = 0; i < n; i++) {
        sum += x[i];
        low = fmin(low, x[i]);
        high = fmax(high, x[i]);
    }
    double mean = n ? sum / (double)n : 0.0;
    for (size_t i = 0; i < n; i++)
        squares += (x[i] - mean) * (x[i] - mean);
    double sd = n > 1 ? sqrt(squares / (double)(n - 1)) : 0.0;
    return json_pack("{s:f,s:f,s:f,s:f,s:f}", "mean_usd", mean, "sd_usd", sd, "least_usd",
                     n ? low : 0.0, "most_usd", n ? high : 0.0, "sd_frac",
                     mean != 0 ? sd / fabs(mean) : 0.0);
}

/* Trees that had a plan, to the front; how many. */
static size_t keep_planned(double *in, double *fresh, int32_t n_tree) {
    size_t n = 0;
    for (int32_t k = 0; k < n_tree; k++)
        if (isfinite(in[k]) && isfinite(fresh[k])) {
            in[n] = in[k];
            fresh[n++] = fresh[k];
        }
    return n;
}

rub_status rub_document_stability(const rub_facts *facts, const rub_stability_def *def,
                                  const rub_progress *progress, json_t **out, rub_error *err) {
    rub_automaton *automaton = NULL;
    double *in = RUB_NEW(double, def->n_tree), *fresh = RUB_NEW(double, def->n_tree);
    size_t n = 0;
    const rub_ranks *ranks = def->solve.ranks;
    rub_status status = in && fresh ? RUB_OK : rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    if (status == RUB_OK)
        status = rub_automata_make(facts->problem, &automaton, err);
    for (int32_t k = 0; status == RUB_OK && k < def->n_tree; k++) {
        if (!rub_ranks_mine(ranks, def->n_tree, k))
            continue;
        status = one_tree(facts, def, k, automaton, &in[k], &fresh[k], err);
        if (status == RUB_SOLVER) /* no plan in its time: not counted */
            status = RUB_OK;
        if (!rub_progress_report(progress, "stability", k + 1, def->n_tree, NULL))
            status = rub_error_set(err, RUB_INTERRUPTED, "stopped");
    }
    status = rub_ranks_agree(ranks, status, err);
    if (status == RUB_OK) {
        rub_ranks_gather(ranks, in, (size_t)def->n_tree, sizeof *in);
        rub_ranks_gather(ranks, fresh, (size_t)def->n_tree, sizeof *fresh);
        n = keep_planned(in, fresh, def->n_tree);
    }
    if (status == RUB_OK)
        *out = json_pack("{s:i,s:i,s:i,s:o,s:o}", "trees", (int)def->n_tree, "planned", (int)n,
                         "paths", (int)def->n_path, "in_sample", spread(in, n), "out_of_sample",
                         spread(fresh, n));
    rub_automata_free(automaton, facts->study->n_site);
    free(in);
    free(fresh);
    return status;
}
