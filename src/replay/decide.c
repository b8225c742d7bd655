/* Decide: each quarter a plan from where the blocks stand, with what is known and nothing else. Its first
 * steps are taken; the next quarter plans anew. */
#include "replay/paths.h"

#include "base/array.h"

#include <stdlib.h>
#include <string.h>

/* What look needs; the wishes stand in the walk's memory. */
typedef struct planner {
    rub_story *story;
    const rub_replay_def *def;
    const rub_progress *progress;
    const rub_walk *walk;
    rub_replan *replan; /* (n_replayed) */
    rub_status *status;
    rub_error *err;
} planner;

/* One quarter's chain, owned and cleared whole. */
typedef struct quarter {
    rub_onward onward;
    rub_yields yields;
    double *blended, *load;
    rub_paths paths;
    rub_tree tree;
    rub_problem problem;
    rub_plan plan;
    rub_solve_result solve;
    rub_evaluation evaluation;
} quarter;

static void clear(quarter *q) {
    rub_evaluation_clear(&q->evaluation);
    rub_plan_clear(&q->plan);
    rub_solve_result_clear(&q->solve);
    rub_problem_clear(&q->problem);
    rub_tree_clear(&q->tree);
    rub_paths_clear(&q->paths);
    rub_onward_clear(&q->onward);
    free(q->blended);
    free(q->load);
}

/* Capex of the fiscal year so far: what the study began with, and what the walk has spent since. */
static double spent_so_far(const planner *p, int32_t t) {
    const rub_study *whole = p->story->whole;
    int32_t now = rub_study_fiscal_year(whole, whole->start_q + t);
    bool first_year = now == rub_study_fiscal_year(whole, whole->start_q);
    return p->walk->spent + (first_year ? whole->spent_this_fy_usd : 0.0);
}

static rub_status solve(const planner *p, const int32_t *state, int32_t t, quarter *q,
                        rub_error *err) {
    const rub_story *s = p->story;
    const rub_view *view = &s->view[t];
    rub_solve_def def = p->def->solve;
    uint64_t seed = view->study.seed + (uint64_t)t;
    def.seed = seed;
    def.explain = false;
    if (!(q->load = RUB_NEW(double, view->study.n_demand)))
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for loads");
    rub_story_expected_loads(s, t, q->load);
    RUB_TRY(rub_onward_make(s, &view->study, state, t, view->study.n_quarter, spent_so_far(p, t),
                            q->load, &q->onward, err));
    const rub_study *study = &q->onward.study;
    if (study->n_site == 0)
        return RUB_OK;
    RUB_TRY(rub_view_yields(view, &s->yields, &q->yields, &q->blended, err));
    RUB_TRY(rub_process_simulate(study, study->process.n_path, seed, &q->paths, err));
    RUB_TRY(rub_tree_reduce(study, &q->paths, &q->tree, NULL, err));
    RUB_TRY(rub_plan_problem(study, &q->tree, &q->yields, &q->problem, err));
    rub_status status =
        rub_portfolio_solve(&q->problem, &def, p->progress, &q->plan, &q->solve, err);
    if (status == RUB_SOLVER) { /* the contracts go on */
        snprintf(q->solve.reason, sizeof q->solve.reason, "No plan was found in its time.");
        return RUB_OK;
    }
    RUB_TRY(status);
    if (q->solve.outcome == RUB_OUTCOME_STOPPED)
        return rub_error_set(err, RUB_INTERRUPTED, "stopped");
    if (q->solve.outcome == RUB_OUTCOME_INFEASIBLE)
        return RUB_OK;
    return rub_plan_evaluate(&q->problem, &q->plan, &q->evaluation, err);
}

static void note(const quarter *q, rub_replan *out) {
    *out = (rub_replan){.value_usd = q->solve.value_usd,
                        .bound_usd = q->solve.bound_usd,
                        .gap_frac = q->solve.gap_frac,
                        .mean_usd = q->evaluation.mean_npv_usd,
                        .n_node = q->tree.n_node,
                        .n_block = q->problem.n_block,
                        .made = q->plan.step != NULL};
    if (!out->made)
        snprintf(out->reason, sizeof out->reason, "%.255s", q->solve.reason);
}

static void look(const void *self, const rub_sight *sight, void *memory) {
    const planner *p = self;
    quarter q = {0};
    char text[16];
    memset(memory, 0, (size_t)sight->problem->n_block * sizeof(rub_wish));
    if (*p->status != RUB_OK)
        return;
    rub_quarter_text(p->story->whole->start_q + sight->t, text, sizeof text);
    if (rub_progress_report(p->progress, "replay", sight->t, p->story->n_replayed, text))
        *p->status = solve(p, sight->state, sight->t, &q, p->err);
    else
        *p->status = rub_error_set(p->err, RUB_INTERRUPTED, "stopped before %s", text);
    if (*p->status == RUB_OK && q.plan.step)
        rub_wish_from_plan(&q.onward, &q.plan, 0, memory);
    if (*p->status == RUB_OK)
        note(&q, &p->replan[sight->t]);
    clear(&q);
}

static double score(const void *self, const rub_sight *sight, const void *memory, int32_t block,
                    int32_t arc, const rub_arc_flow *flow) {
    (void)self, (void)flow;
    return rub_wish_rank((const rub_wish *)memory + block, sight, block, arc);
}

rub_status rub_path_planned(rub_story *story, const rub_replay_def *def,
                            const rub_progress *progress, rub_replan *replan, rub_replay_path *out,
                            rub_error *err) {
    rub_walk walk;
    rub_status failed = RUB_OK;
    planner p = {.story = story,
                 .def = def,
                 .progress = progress,
                 .walk = &walk,
                 .replan = replan,
                 .status = &failed,
                 .err = err};
    rub_policy policy = {.name = "rubato",
                         .text = "planned anew each quarter with what was known by its start",
                         .memory_size = (size_t)story->problem.n_block * sizeof(rub_wish),
                         .look = look,
                         .score = score,
                         .self = &p};
    rub_status status =
        rub_walk_make(&story->problem, NULL, story->automaton, policy.memory_size, &walk, err);
    if (status == RUB_OK)
        status = rub_path_walk(story, def, &policy, &walk, &failed, out, err);
    rub_walk_clear(&walk);
    return status;
}
