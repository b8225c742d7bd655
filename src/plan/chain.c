/* The chain: study -> yields -> tree -> problem -> plan -> document, in this order and no other. */
#include "plan/evaluation.h"
#include "plan/facts.h"
#include "plan/headline.h"
#include "plan/nearby.h"
#include "plan/readable.h"
#include "plan/stability.h"
#include "plan/worth.h"

#include "base/array.h"
#include "base/ranks.h"

#include <stdlib.h>

rub_plan_def rub_plan_default(void) {
    return (rub_plan_def){
        .solve = rub_solve_default(), .worth = true, .worth_time_s = 20.0, .evaluate_time_s = 20.0};
}

void rub_plan_warm_clear(rub_plan_warm *warm) {
    rub_plan_clear(&warm->plan);
    free(warm->multiplier);
    *warm = (rub_plan_warm){0};
}

static const char *outcome_text(rub_outcome outcome) {
    static const char *const text[] = {"gap", "time limit", "stopped", "infeasible"};
    return text[outcome];
}

static const char *method_text(rub_method method) {
    static const char *const text[] = {"auto", "deterministic equivalent (MIP)",
                                       "block pricing by dynamic programming"};
    return text[method];
}

static json_t *solve_row(const rub_facts *facts, const rub_tree_loss *loss) {
    const rub_solve_result *s = facts->solve;
    json_t *row = json_object();
    json_object_set_new(row, "outcome", json_string(outcome_text(s->outcome)));
    json_object_set_new(row, "method", json_string(method_text(s->method)));
    json_object_set_new(row, "value_usd", json_real(s->value_usd));
    json_object_set_new(row, "bound_usd", json_real(s->bound_usd));
    json_object_set_new(row, "gap", json_real(s->gap_frac));
    json_object_set_new(row, "seconds", json_real(s->seconds));
    json_object_set_new(row, "iterations", json_integer(s->iterations));
    json_object_set_new(row, "nodes", json_integer(facts->tree->n_node));
    json_object_set_new(row, "leaves", json_integer(facts->tree->n_leaf));
    json_object_set_new(row, "blocks", json_integer(facts->problem->n_block));
    json_object_set_new(row, "paths", json_integer(facts->study->process.n_path));
    json_object_set_new(row, "tree_distance", json_real(loss->distance_frac));
    json_object_set_new(row, "tree_mean_error", json_real(loss->mean_error_frac));
    json_object_set_new(row, "tree_spread", json_real(loss->spread_frac));
    json_object_set_new(row, "tree_talks_error", json_real(loss->talks_error));
    return row;
}

/* Everything that a run owns; cleared whole. */
typedef struct run {
    rub_yields yields;
    rub_paths paths;
    rub_tree tree;
    rub_tree_loss loss;
    rub_problem problem;
    rub_plan plan;
    rub_solve_result solve;
    rub_evaluation evaluation;
    rub_alternative *alternative;
    size_t n_alternative;
} run;

static void clear(run *r) {
    free(r->alternative);
    rub_evaluation_clear(&r->evaluation);
    rub_solve_result_clear(&r->solve);
    rub_plan_clear(&r->plan);
    rub_problem_clear(&r->problem);
    rub_tree_clear(&r->tree);
    rub_paths_clear(&r->paths);
    rub_yields_clear(&r->yields);
}

/* Yields, tree and problem. */
static rub_status pose(const rub_study *study, const rub_plan_def *def,
                       const rub_progress *progress, run *r, rub_error *err) {
    RUB_TRY(rub_plan_check(study, NULL, err));
    RUB_TRY(rub_yields_make(study, def->solve.n_thread, progress, &r->yields, err));
    if (study->tree.n_node == 0)
        RUB_TRY(rub_process_simulate(study, study->process.n_path, study->seed, &r->paths, err));
    RUB_TRY(rub_tree_reduce(study, study->tree.n_node ? NULL : &r->paths, &r->tree, &r->loss, err));
    RUB_TRY(rub_plan_problem(study, &r->tree, &r->yields, &r->problem, err));
    if (def->warm_from && (def->warm->plan.n_block != r->problem.n_block ||
                           def->warm->plan.n_node != r->problem.n_node))
        return rub_error_at(
            err, RUB_INVALID, def->warm_from, 0, 0,
            "holds a plan of %d blocks over %d nodes, expected %d over %d: it is of "
            "another study, or of other leaves",
            def->warm->plan.n_block, def->warm->plan.n_node, r->problem.n_block, r->problem.n_node);
    return RUB_OK;
}

static rub_status decide(const rub_study *study, const rub_plan_def *def,
                         const rub_progress *progress, run *r, rub_error *err) {
    rub_solve_def solve = def->solve;
    /* one rank alone may have been interrupted or have failed: none may begin to solve then */
    RUB_TRY(rub_ranks_agree(solve.ranks, pose(study, def, progress, r, err), err));
    if (def->warm) {
        solve.warm = &def->warm->plan;
        solve.multiplier = def->warm->multiplier;
        solve.n_multiplier = def->warm->n_multiplier;
    }
    RUB_TRY(rub_portfolio_solve(&r->problem, &solve, progress, &r->plan, &r->solve, err));
    if (r->solve.outcome == RUB_OUTCOME_INFEASIBLE)
        return RUB_OK;
    RUB_TRY(rub_plan_evaluate(&r->problem, &r->plan, &r->evaluation, err));
    return rub_plan_alternatives(&r->problem, &r->plan, def->solve.n_thread, &r->alternative,
                                 &r->n_alternative, err);
}

/* Three questions share the time: what today's decisions gain from the tree, what knowing would
 * gain, what each option is worth. One that is stopped is left out. */
static rub_status add_worth(json_t *document, const rub_facts *facts, const rub_plan_def *def,
                            const rub_progress *progress, rub_error *err) {
    static const struct {
        const char *key;
        rub_status (*ask)(const rub_worth_job *, json_t **, rub_error *);
        double share;
    } question[] = {{"vss", rub_worth_vss, 0.15},
                    {"evpi", rub_worth_evpi, 0.35},
                    {"options", rub_worth_options, 0.5}};
    json_t *worth = json_object();
    json_object_set_new(document, "worth", worth);
    for (size_t i = 0; i < RUB_LEN(question); i++) {
        rub_worth_job job = {.facts = facts, .solve = def->solve, .progress = progress};
        job.solve.time_limit_s = def->worth_time_s * question[i].share;
        job.solve.warm = NULL;
        json_t *answer = NULL;
        rub_status status = question[i].ask(&job, &answer, err);
        if (status == RUB_INTERRUPTED)
            return RUB_OK;
        if (status == RUB_SOLVER) {
            answer = json_pack("{s:s}", "note", "not found in its time");
            status = RUB_OK;
        }
        RUB_TRY(status);
        json_object_set_new(worth, question[i].key, answer);
    }
    return RUB_OK;
}

/* What is nearly as good; stopped: left out. */
static rub_status add_nearby(json_t *document, const rub_facts *facts, const rub_plan_def *def,
                             const rub_progress *progress, rub_error *err) {
    rub_worth_job job = {.facts = facts, .solve = def->solve, .progress = progress};
    json_t *answer = NULL;
    job.solve.time_limit_s = 0.25 * def->worth_time_s;
    rub_status status = rub_document_nearby(&job, 0.01, &answer, err);
    if (status == RUB_OK)
        json_object_set_new(document, "nearby", answer);
    return status == RUB_INTERRUPTED ? RUB_OK : status;
}

/* Fresh futures; stopped: left out. */
static rub_status add_out_of_sample(json_t *document, const rub_facts *facts,
                                    const rub_plan_def *def, const rub_progress *progress,
                                    rub_error *err) {
    rub_evaluation_def how = {.n_path = def->evaluate,
                              .n_regret = 32,
                              .n_thread = def->solve.n_thread,
                              .time_s = def->evaluate_time_s,
                              .solve = def->solve};
    json_t *answer = NULL;
    rub_status status = rub_document_out_of_sample(facts, &how, progress, &answer, err);
    if (status == RUB_OK)
        json_object_set_new(document, "out_of_sample", answer);
    return status == RUB_INTERRUPTED ? RUB_OK : status;
}

/* What a script reads first, at the top: the same figures as in solve. */
static void add_summary(json_t *document, const rub_facts *facts) {
    const rub_solve_result *s = facts->solve;
    if (s->outcome != RUB_OUTCOME_INFEASIBLE) {
        json_object_set_new(document, "value", json_real(s->value_usd));
        json_object_set_new(document, "bound", json_real(s->bound_usd));
        json_object_set_new(document, "gap", json_real(s->gap_frac));
    }
    json_object_set_new(document, "seconds", json_real(s->seconds));
    json_object_set_new(document, "nodes", json_integer(facts->tree->n_node));
    json_object_set_new(document, "blocks", json_integer(facts->problem->n_block));
}

static rub_status add_stability(json_t *document, const rub_facts *facts, const rub_plan_def *def,
                                const rub_progress *progress, rub_error *err) {
    rub_stability_def how = {.n_tree = def->stability,
                             .n_path = 1000,
                             .n_thread = def->solve.n_thread,
                             .solve = def->solve};
    json_t *answer = NULL;
    rub_status status = rub_document_stability(facts, &how, progress, &answer, err);
    if (status == RUB_OK)
        json_object_set_new(document, "stability", answer);
    return status == RUB_INTERRUPTED ? RUB_OK : status;
}

/* Sites, and the decision trees that say what the plan does with each. */
static rub_status add_sites(json_t *document, const rub_facts *facts, rub_error *err) {
    rub_readable *readable = NULL;
    RUB_TRY(rub_readable_fit(facts, 3, &readable, err));
    json_object_set_new(document, "sites", rub_document_sites(facts, readable));
    json_object_set_new(document, "rules", rub_readable_document(readable));
    rub_readable_free(readable);
    return RUB_OK;
}

static json_t *document_of(const rub_facts *facts, const rub_plan_def *def,
                           const rub_tree_loss *loss) {
    json_t *document = json_object();
    json_object_set_new(
        document, "rubato",
        json_pack("{s:s,s:s,s:i}", "version", rub_version(), "kind", "plan", "schema", 1));
    json_object_set_new(document, "study", rub_document_study(facts, def->what_if, def->n_what_if));
    json_object_set_new(document, "solve", solve_row(facts, loss));
    add_summary(document, facts);
    json_object_set_new(document, "sources", rub_document_sources(facts));
    json_object_set_new(document, "yields", rub_document_yields(facts));
    if (facts->solve->outcome == RUB_OUTCOME_INFEASIBLE) {
        json_object_set_new(document, "infeasible", json_string(facts->solve->reason));
        return document;
    }
    json_object_set_new(document, "supply", rub_document_supply(facts));
    json_object_set_new(document, "commitments", rub_document_commitments(facts));
    json_object_set_new(document, "oversupply", rub_document_oversupply(facts));
    json_object_set_new(document, "estate", rub_document_estate(facts));
    json_object_set_new(document, "utilisation", rub_document_utilisation(facts));
    json_object_set_new(document, "returns", rub_document_returns(facts));
    json_object_set_new(document, "capex", rub_document_capex(facts));
    json_object_set_new(document, "npv", rub_document_npv(facts));
    json_object_set_new(document, "cash", rub_document_cash(facts));
    return document;
}

/* Fresh futures and other trees are drawn from a process, of which a tree given in full has none. */
static rub_status check_sampling(const rub_study *study, const rub_plan_def *def, rub_error *err) {
    if (study->tree.n_node == 0 || (def->evaluate <= 0 && def->stability <= 0))
        return RUB_OK;
    return rub_error_set(
        err, RUB_INVALID,
        "study '%s' gives its tree in full (tree.nodes), so there is no process to "
        "draw %s from: give a 'process' and tree.branching instead, or plan "
        "without --%s",
        study->name, def->evaluate > 0 ? "fresh futures" : "other trees",
        def->evaluate > 0 ? "evaluate" : "stability");
}

rub_status rub_plan_run(const rub_study *study, const rub_plan_def *def,
                        const rub_progress *progress, json_t **document, rub_outcome *outcome,
                        rub_error *err) {
    run r = {0};
    RUB_TRY(check_sampling(study, def, err));
    rub_status status = decide(study, def, progress, &r, err);
    if (status != RUB_OK) {
        clear(&r);
        return status;
    }
    rub_facts facts = {study,         &r.tree,  &r.problem,    &r.yields,      &r.plan,
                       &r.evaluation, &r.solve, r.alternative, r.n_alternative};
    json_t *result = document_of(&facts, def, &r.loss);
    rub_plan_def rest = *def;
    rest.solve.keep = NULL; /* a checkpoint is of this plan, not of those solved beside it */
    if (r.solve.outcome != RUB_OUTCOME_INFEASIBLE)
        status = add_sites(result, &facts, err);
    if (status == RUB_OK && r.solve.outcome != RUB_OUTCOME_INFEASIBLE && def->worth)
        status = add_worth(result, &facts, &rest, progress, err);
    if (status == RUB_OK && r.solve.outcome != RUB_OUTCOME_INFEASIBLE && def->worth)
        status = add_nearby(result, &facts, &rest, progress, err);
    if (status == RUB_OK && r.solve.outcome != RUB_OUTCOME_INFEASIBLE && def->evaluate > 0)
        status = add_out_of_sample(result, &facts, &rest, progress, err);
    if (status == RUB_OK && r.solve.outcome != RUB_OUTCOME_INFEASIBLE && def->stability > 0)
        status = add_stability(result, &facts, &rest, progress, err);
    if (status == RUB_OK && r.solve.outcome != RUB_OUTCOME_INFEASIBLE)
        json_object_set_new(result, "headline", rub_headline(result));
    rub_outcome how = r.solve.outcome;
    if (status == RUB_OK && def->keep && how != RUB_OUTCOME_INFEASIBLE) {
        *def->keep =
            (rub_plan_warm){r.plan, r.solve.multiplier, r.solve.n_multiplier, r.solve.gap_frac};
        r.plan = (rub_plan){0};
        r.solve.multiplier = NULL;
    }
    clear(&r);
    if (status != RUB_OK) {
        json_decref(result);
        return status;
    }
    *document = result;
    *outcome = how;
    return RUB_OK;
}
