#include "replay/paths.h"

#include "base/array.h"
#include "plan/single.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void rub_replay_path_clear(rub_replay_path *path) {
    rub_plan_clear(&path->plan);
    rub_evaluation_clear(&path->evaluation);
}

/* ---- wishes ---------------------------------------------------------------------------------- */

static bool orders(rub_action action) {
    return action == RUB_ACTION_FIT_OUT || action == RUB_ACTION_REFRESH;
}

static const rub_arc *arc_of(const rub_sight *sight, int32_t block, int32_t arc,
                             const rub_block_state **state) {
    const rub_automaton *a = &sight->automaton[sight->problem->block[block].site];
    *state = &a->state[a->arc[arc].from];
    return &a->arc[arc];
}

/* Among generations that can be ordered the one that gives most per MW: 0 to 1. */
static double by_generation(const rub_sight *sight, const rub_arc *arc, bool training) {
    const rub_problem *p = sight->problem;
    const double *per_mw = training ? p->train_per_mw : p->tok_per_s_per_mw;
    size_t row = (size_t)sight->t * (size_t)p->n_gen;
    double best = 0.0;
    if (!orders((rub_action)arc->action))
        return 0.0;
    for (int32_t g = 0; g < p->n_gen; g++)
        if (p->may_order[row + (size_t)g])
            best = fmax(best, per_mw[row + (size_t)g]);
    return best > 0 ? fmin(1.0, per_mw[row + arc->gen] / best) : 0.0;
}

static double course(const rub_sight *sight, int32_t block, int32_t arc, bool go_on,
                     bool sign_all) {
    const rub_block_state *s;
    const rub_arc *one = arc_of(sight, block, arc, &s);
    bool open = s->stage == RUB_STAGE_TALKS || s->stage == RUB_STAGE_OPTION; /* not a contract */
    bool go = go_on && (sign_all || !open);
    return rub_rule_rank((rub_action)one->action, go) + by_generation(sight, one, s->training);
}

double rub_wish_rank(const rub_wish *wish, const rub_sight *sight, int32_t block, int32_t arc) {
    const rub_block_state *s;
    const rub_arc *one = arc_of(sight, block, arc, &s);
    bool same = wish->given && one->action == wish->action &&
                (!orders((rub_action)one->action) || one->gen == wish->gen);
    return same ? 2 * RUB_POLICY_WISH : course(sight, block, arc, true, false);
}

void rub_wish_from_plan(const rub_onward *onward, const rub_plan *plan, int32_t node,
                        rub_wish *wish) {
    for (int32_t b = 0; b < plan->n_block; b++) {
        const rub_step *step = &plan->step[(size_t)b * (size_t)plan->n_node + (size_t)node];
        wish[onward->block_of[b]] = (rub_wish){1, step->action, step->gen};
    }
}

/* ---- after the last quarter replayed --------------------------------------------------------- */

/* The rest of the outcome as a study, tree and problem of its own. */
typedef struct rest {
    rub_onward onward;
    rub_tree tree;
    rub_problem problem;
    rub_plan plan;
    rub_solve_result solve;
    int32_t first; /* quarter of the story */
} rest;

static void clear_rest(rest *r) {
    rub_plan_clear(&r->plan);
    rub_solve_result_clear(&r->solve);
    rub_problem_clear(&r->problem);
    rub_tree_clear(&r->tree);
    rub_onward_clear(&r->onward);
}

/* Columns before the talks are the story's; talks are by site. */
static void fill_tree(const rub_story *s, rest *r) {
    rub_features from = rub_features_of(&s->study), to = rub_features_of(&r->onward.study);
    for (int32_t t = 0; t < r->tree.n_quarter; t++) {
        const double *was = s->tree.feature + (size_t)(r->first + t) * (size_t)from.n;
        double *row = r->tree.feature + (size_t)t * (size_t)to.n;
        memcpy(row, was, (size_t)to.talks * sizeof *row);
        for (int32_t i = 0; i < r->onward.study.n_site; i++)
            row[to.talks + i] = was[from.talks + r->onward.site_of[i]];
    }
}

/* Of the budget of the first quarter's fiscal year; the replay's own first year began with some spent. */
static double spent_before(const rub_story *s, int32_t t, double walked) {
    const rub_study *whole = s->whole;
    bool first_year = rub_study_fiscal_year(whole, whole->start_q + t) ==
                      rub_study_fiscal_year(whole, whole->start_q);
    bool same = t > 0 && s->problem.budget_of_quarter[t] == s->problem.budget_of_quarter[t - 1];
    return (first_year ? whole->spent_this_fy_usd : 0.0) + (same ? walked : 0.0);
}

static rub_status plan_rest(const rub_story *s, const rub_replay_def *def, const rub_walk *w,
                            rest *r, rub_error *err) {
    int32_t n = s->n - r->first;
    double *load = RUB_NEW(double, s->whole->n_demand);
    if (!load)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for loads");
    for (int32_t i = 0; i < s->whole->n_demand; i++)
        load[i] = s->whole->replay.outcome[r->first].as.demand[i];
    rub_status status = rub_onward_make(s, s->whole, w->state, r->first, n,
                                        spent_before(s, r->first, w->spent), load, &r->onward, err);
    free(load);
    RUB_TRY(status);
    if (r->onward.study.n_site == 0)
        return RUB_OK;
    /* what is written down by the last quarter is written down over the whole story */
    r->onward.study.shell_life_years = s->whole->shell_life_years * n / s->n;
    RUB_TRY(rub_single_tree(n, rub_features_of(&r->onward.study).n, NULL, &r->tree, err));
    fill_tree(s, r);
    RUB_TRY(rub_plan_problem(&r->onward.study, &r->tree, &s->yields, &r->problem, err));
    for (int32_t t = 0; t < n; t++)
        rub_story_copy_node(&r->problem, t, &s->problem, r->first + t);
    rub_solve_def solve = def->solve;
    solve.gap_frac = def->hindsight_gap_frac;
    solve.time_limit_s = def->hindsight_time_s;
    solve.seed = s->whole->seed;
    solve.explain = false;
    return rub_portfolio_solve(&r->problem, &solve, NULL, &r->plan, &r->solve, err);
}

static void look_at_rest(const void *self, const rub_sight *sight, void *memory) {
    const rest *r = self;
    memset(memory, 0, (size_t)sight->problem->n_block * sizeof(rub_wish));
    if (r->plan.step)
        rub_wish_from_plan(&r->onward, &r->plan, sight->t - r->first, memory);
}

static double score_wish(const void *self, const rub_sight *sight, const void *memory,
                         int32_t block, int32_t arc, const rub_arc_flow *flow) {
    (void)self, (void)flow;
    return rub_wish_rank((const rub_wish *)memory + block, sight, block, arc);
}

static rub_status walk_rest(rub_story *s, const rub_replay_def *def, rub_walk *w, bool *rests,
                            rub_error *err) {
    rest r = {.first = s->n_replayed};
    rub_policy policy = {.name = "rest", .look = look_at_rest, .score = score_wish, .self = &r};
    rub_status status = plan_rest(s, def, w, &r, err);
    *rests = status == RUB_OK && !r.plan.step && r.onward.study.n_site > 0;
    for (int32_t t = r.first; status == RUB_OK && t < s->n; t++)
        status = rub_walk_quarter(w, &policy, t);
    clear_rest(&r);
    return status;
}

/* ---- a path ---------------------------------------------------------------------------------- */

rub_status rub_path_walk(rub_story *s, const rub_replay_def *def, const rub_policy *policy,
                         rub_walk *w, const rub_status *failed, rub_replay_path *out,
                         rub_error *err) {
    rub_replay_path made = {.name = policy->name, .text = policy->text};
    rub_status status = RUB_OK;
    rub_walk_begin(w);
    for (int32_t t = 0; status == RUB_OK && t < s->n_replayed; t++) {
        status = rub_walk_quarter(w, policy, t);
        if (failed && *failed != RUB_OK)
            return *failed; /* told by the policy */
    }
    if (status == RUB_OK && s->n > s->n_replayed)
        status = walk_rest(s, def, w, &made.rests, err);
    if (status == RUB_INTERNAL)
        return rub_error_set(err, status, "path '%s' finds nothing that a block may do",
                             policy->name);
    RUB_TRY(status);
    RUB_TRY(rub_plan_evaluate(&s->problem, &w->plan, &made.evaluation, err));
    made.plan = w->plan;
    w->plan = (rub_plan){0};
    *out = made;
    return RUB_OK;
}

static rub_status walk_policy(rub_story *s, const rub_replay_def *def, const rub_policy *policy,
                              rub_replay_path *out, rub_error *err) {
    rub_walk walk;
    size_t memory = (size_t)s->problem.n_block * sizeof(rub_wish); /* also for the rest */
    rub_status status = rub_walk_make(&s->problem, NULL, s->automaton, memory, &walk, err);
    if (status == RUB_OK)
        status = rub_path_walk(s, def, policy, &walk, NULL, out, err);
    rub_walk_clear(&walk);
    return status;
}

/* ---- as reported ----------------------------------------------------------------------------- */

/* The latest row up to quarter q that speaks of this block: blocks of a site are taken in their order until
 * the row's power is reached. */
static const rub_study_reported *standing(const rub_story *s, int32_t block, int32_t q) {
    const rub_study_replay *replay = &s->whole->replay;
    const rub_block *b = &s->problem.block[block];
    double before_mw = b->number * s->whole->site[b->site].block_mw;
    const rub_study_reported *latest = NULL;
    for (int32_t i = 0; i < replay->n_reported; i++) {
        const rub_study_reported *r = &replay->reported[i];
        bool meant = r->site < 0 || (r->site == b->site && (r->mw <= 0 || before_mw < r->mw));
        if (meant && r->quarter <= q && (!latest || r->quarter >= latest->quarter))
            latest = r;
    }
    return latest;
}

static double score_reported(const void *self, const rub_sight *sight, const void *memory,
                             int32_t block, int32_t arc, const rub_arc_flow *flow) {
    static const rub_action action[RUB_N_DONE] = {
        [RUB_DONE_WAIT] = RUB_ACTION_WAIT,       [RUB_DONE_SIGN] = RUB_ACTION_SIGN,
        [RUB_DONE_PROCEED] = RUB_ACTION_PROCEED, [RUB_DONE_PAUSE] = RUB_ACTION_PAUSE,
        [RUB_DONE_RESUME] = RUB_ACTION_RESUME,   [RUB_DONE_DEFER] = RUB_ACTION_DEFER,
        [RUB_DONE_SUBLET] = RUB_ACTION_SUBLET,   [RUB_DONE_CANCEL] = RUB_ACTION_CANCEL};
    const rub_story *s = self;
    const rub_study_reported *row = standing(s, block, s->whole->start_q + sight->t);
    const rub_block_state *state;
    const rub_arc *one = arc_of(sight, block, arc, &state);
    (void)memory, (void)flow;
    if (!row)
        return course(sight, block, arc, true, false);
    bool holds = row->done == RUB_DONE_WAIT || row->done == RUB_DONE_PAUSE ||
                 row->done == RUB_DONE_DEFER || row->done == RUB_DONE_SUBLET;
    bool signs = row->done == RUB_DONE_SIGN || row->done == RUB_DONE_PROCEED;
    if (one->action == action[row->done])
        return 2 * RUB_POLICY_WISH;
    if (holds && one->action == RUB_ACTION_WAIT)
        return RUB_POLICY_WISH / 2; /* not above a wish: second choice */
    return course(sight, block, arc, !holds, signs);
}

static void look_at_nothing(const void *self, const rub_sight *sight, void *memory) {
    (void)self, (void)sight, (void)memory;
}

rub_status rub_path_reported(rub_story *s, const rub_replay_def *def, rub_replay_path *out,
                             rub_error *err) {
    rub_policy policy = {.name = "as reported",
                         .text = "what was reported to have been done; where nothing was, "
                                 "contracts are built and fitted out, talks and options lapse",
                         .look = look_at_nothing,
                         .score = score_reported,
                         .self = s};
    return walk_policy(s, def, &policy, out, err);
}

/* ---- everything ------------------------------------------------------------------------------ */

static double score_everything(const void *self, const rub_sight *sight, const void *memory,
                               int32_t block, int32_t arc, const rub_arc_flow *flow) {
    (void)self, (void)memory, (void)flow;
    return course(sight, block, arc, true, true);
}

rub_status rub_path_everything(rub_story *s, const rub_replay_def *def, rub_replay_path *out,
                               rub_error *err) {
    rub_policy policy = {.name = "build everything",
                         .text = "options are signed, everything is built and fitted out as soon "
                                 "as it can be, whatever the budget",
                         .look = look_at_nothing,
                         .score = score_everything,
                         .self = s};
    return walk_policy(s, def, &policy, out, err);
}

/* ---- hindsight ------------------------------------------------------------------------------- */

rub_status rub_path_hindsight(rub_story *s, const rub_replay_def *def, const rub_progress *progress,
                              rub_replay_path *out, double *bound_usd, rub_error *err) {
    rub_replay_path made = {.name = "hindsight", .text = "the best for who knew what came"};
    rub_solve_def solve = def->solve;
    rub_solve_result result = {0};
    solve.gap_frac = def->hindsight_gap_frac;
    solve.time_limit_s = def->hindsight_time_s;
    solve.seed = s->whole->seed;
    RUB_TRY(rub_portfolio_solve(&s->problem, &solve, progress, &made.plan, &result, err));
    rub_status status = RUB_OK;
    if (result.outcome == RUB_OUTCOME_INFEASIBLE)
        status = rub_error_set(err, RUB_SOLVER, "with the outcome known: %.400s", result.reason);
    else if (result.outcome == RUB_OUTCOME_STOPPED)
        status = rub_error_set(err, RUB_INTERRUPTED, "stopped");
    else
        status = rub_plan_evaluate(&s->problem, &made.plan, &made.evaluation, err);
    *bound_usd = result.bound_usd;
    rub_solve_result_clear(&result);
    if (status != RUB_OK) {
        rub_replay_path_clear(&made);
        return status;
    }
    *out = made;
    return RUB_OK;
}
