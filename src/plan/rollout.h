/* Rollout: policies run quarter by quarter on futures that no tree has seen, with the same futures
 * for all (common random numbers), so that differences between policies have narrow limits. */
#ifndef RUB_PLAN_ROLLOUT_H
#define RUB_PLAN_ROLLOUT_H

#include "plan/policy.h"

typedef struct rub_rollout_def {
    int32_t n_path;
    uint64_t seed; /* of the futures; not that of the tree */
    int32_t n_thread;
    int32_t n_audit; /* paths that the independent evaluator re-costs and checks, spread evenly */
} rub_rollout_def;

/* What one policy did on each path. */
typedef struct rub_rollout {
    double *npv_usd;   /* (n_path) */
    double *spend_usd; /* capex by fiscal year of the study, long-lived then short-lived
                           (n_path, n_year, 2) */
    double *unserved;  /* share of the loads' worth not served (n_path) */
    double *idle;      /* share of live MW-quarters that idled (n_path) */
    int32_t n_audited;
    int32_t n_wrong;  /* audited paths that the evaluator costs otherwise, by more than 1e-6 */
    int32_t n_broken; /* audited paths on which a rule other than a budget does not hold */
    char broken[256]; /* the first of them */
} rub_rollout;

typedef struct rub_rollouts {
    int32_t n_path, n_policy, n_year, first_year;
    rub_rollout *of; /* (n_policy) */
} rub_rollouts;

/* Errors: RUB_NO_MEMORY, RUB_INTERRUPTED. Same results for any number of threads. */
rub_status rub_rollout_run(const rub_study *study, const rub_yields *yields,
                           const rub_automaton *automaton, const rub_policy *policy,
                           int32_t n_policy, const rub_rollout_def *def,
                           const rub_progress *progress, rub_rollouts *out, rub_error *err);
void rub_rollouts_clear(rub_rollouts *rollouts);

/* One path (as rub_process_simulate gives it) and one policy, with the plan that comes of it. For
 * tests and audits. *problem and *tree are made for the path and owned by the caller. */
rub_status rub_rollout_one(const rub_study *study, const rub_yields *yields,
                           const rub_automaton *automaton, const rub_policy *policy,
                           const double *path, rub_tree *tree, rub_problem *problem, rub_plan *plan,
                           double *npv_usd, rub_error *err);

#endif
