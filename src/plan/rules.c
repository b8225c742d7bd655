/* Rules: plans that need no tree, to set beside the plan.
 *
 * 'As contracted' and 'cancel everything uncommitted' are what a board would do without a planner;
 * 'myopic' reacts to today's load alone. Ranks are by action: the first open one that keeps the
 * limits is taken. */
#include "plan/policy.h"

#include <math.h>

#define MOST_COLUMNS 64 /* regions and training; more regions share the last column */

/* Myopic: MW of load today, by region (inference) and training, that nothing live or coming meets. */
typedef struct memory {
    double lacking_mw[MOST_COLUMNS];  /* against live, fitting, shell and building */
    double unfitted_mw[MOST_COLUMNS]; /* against live and fitting */
} memory;

static int32_t column_of(const rub_problem *p, int32_t region) {
    int32_t c = region < 0 ? p->n_region : region;
    return c < MOST_COLUMNS ? c : MOST_COLUMNS - 1;
}

/* Best generation that is sold or stands in quarter t: what loads are turned into MW by. */
static double best_per_mw(const rub_problem *p, int32_t t, const double *per_mw) {
    double best = 0.0;
    for (int32_t g = 0; g < p->n_gen; g++)
        if (p->may_order[(size_t)t * (size_t)p->n_gen + (size_t)g])
            best = fmax(best, per_mw[(size_t)t * (size_t)p->n_gen + (size_t)g]);
    return best > 0 ? best : per_mw[(size_t)t * (size_t)p->n_gen];
}

static void look(const void *self, const rub_sight *sight, void *scratch) {
    const rub_problem *p = sight->problem;
    memory *m = scratch;
    (void)self;
    *m = (memory){0};
    double tok = best_per_mw(p, sight->t, p->tok_per_s_per_mw);
    double train = best_per_mw(p, sight->t, p->train_per_mw);
    for (int32_t i = 0; i < p->n_demand; i++) {
        const rub_study_demand *d = &p->study->demand[i];
        bool training = d->load_class == RUB_TRAINING;
        double per_mw = training ? train : tok;
        double units = p->demand[(size_t)sight->t * (size_t)p->n_demand + (size_t)i];
        double mw = per_mw > 0 ? units / per_mw : 0.0;
        m->lacking_mw[column_of(p, training ? -1 : d->region)] += mw;
        m->unfitted_mw[column_of(p, training ? -1 : d->region)] += mw;
    }
    for (int32_t b = 0; b < p->n_block; b++) {
        const rub_study_site *site = &p->study->site[p->block[b].site];
        const rub_block_state *s = &sight->automaton[p->block[b].site].state[sight->state[b]];
        int32_t c = column_of(p, s->training ? -1 : site->region);
        bool fitted = s->stage == RUB_STAGE_LIVE || s->stage == RUB_STAGE_FITTING;
        bool coming = fitted || s->stage == RUB_STAGE_BUILDING || s->stage == RUB_STAGE_SHELL;
        m->lacking_mw[c] -= coming ? site->block_mw : 0.0;
        m->unfitted_mw[c] -= fitted ? site->block_mw : 0.0;
    }
}

/* Ranks; what is not listed comes last but before leaving. */
double rub_rule_rank(rub_action action, bool go) {
    switch (action) {
    case RUB_ACTION_NONE:
    case RUB_ACTION_SERVE:
    case RUB_ACTION_RENEW:
        return 100;
    case RUB_ACTION_SIGN:
    case RUB_ACTION_RESUME:
    case RUB_ACTION_FIT_OUT:
    case RUB_ACTION_PROCEED:
        return go ? 90 : 60;
    case RUB_ACTION_WAIT:
        return 80;
    case RUB_ACTION_REFRESH:
        return go ? 70 : 40;
    case RUB_ACTION_DEFER:
        return go ? 55 : 85;
    case RUB_ACTION_RETIRE:
        return 50;
    case RUB_ACTION_PAUSE:
        return 30;
    case RUB_ACTION_CANCEL:
        return 10;
    default:
        return 20;
    }
}

/* Among generations the one that gives most per MW. */
static double by_generation(const rub_sight *sight, const rub_arc *arc, bool training) {
    const rub_problem *p = sight->problem;
    size_t at = (size_t)sight->t * (size_t)p->n_gen + arc->gen;
    if (arc->action != RUB_ACTION_FIT_OUT && arc->action != RUB_ACTION_REFRESH)
        return 0.0;
    const double *per_mw = training ? p->train_per_mw : p->tok_per_s_per_mw;
    double best = best_per_mw(p, sight->t, per_mw);
    return best > 0 ? fmin(1.0, per_mw[at] / best) : 0.0;
}

static bool wants(const rub_sight *sight, const memory *m, int32_t block,
                  const rub_block_state *s) {
    const rub_problem *p = sight->problem;
    int32_t region = p->study->site[p->block[block].site].region;
    const double *lack =
        s->stage == RUB_STAGE_SHELL || s->stage == RUB_STAGE_LIVE ? m->unfitted_mw : m->lacking_mw;
    double here = lack[column_of(p, s->training ? -1 : region)];
    for (int32_t b = 0; b < block; b++) { /* blocks before it in the same stage take their share */
        const rub_study_site *other = &p->study->site[p->block[b].site];
        const rub_block_state *o = &sight->automaton[p->block[b].site].state[sight->state[b]];
        if (o->stage == s->stage && o->training == s->training && other->region == region)
            here -= other->block_mw;
    }
    return here > 0;
}

static double score_myopic(const void *self, const rub_sight *sight, const void *scratch,
                           int32_t block, int32_t arc, const rub_arc_flow *flow) {
    const rub_automaton *a = &sight->automaton[sight->problem->block[block].site];
    const rub_arc *one = &a->arc[arc];
    const rub_block_state *s = &a->state[one->from];
    (void)self, (void)flow;
    bool goes_on = s->stage == RUB_STAGE_BUILDING || s->stage == RUB_STAGE_FITTING;
    bool go = goes_on || wants(sight, scratch, block, s);
    return rub_rule_rank((rub_action)one->action, go) + by_generation(sight, one, s->training);
}

static double score_contracted(const void *self, const rub_sight *sight, const void *scratch,
                               int32_t block, int32_t arc, const rub_arc_flow *flow) {
    const rub_automaton *a = &sight->automaton[sight->problem->block[block].site];
    const rub_arc *one = &a->arc[arc];
    const rub_block_state *s = &a->state[one->from];
    (void)self, (void)scratch, (void)flow;
    bool open = s->stage == RUB_STAGE_TALKS || s->stage == RUB_STAGE_OPTION; /* not a contract */
    return rub_rule_rank((rub_action)one->action, !open) + by_generation(sight, one, s->training);
}

static double score_cancel(const void *self, const rub_sight *sight, const void *scratch,
                           int32_t block, int32_t arc, const rub_arc_flow *flow) {
    const rub_automaton *a = &sight->automaton[sight->problem->block[block].site];
    const rub_arc *one = &a->arc[arc];
    rub_stage stage = (rub_stage)a->state[one->from].stage;
    bool uncommitted =
        stage == RUB_STAGE_TALKS || stage == RUB_STAGE_OPTION || stage == RUB_STAGE_SIGNED;
    if (uncommitted && one->action == RUB_ACTION_CANCEL)
        return 1000;
    return score_contracted(self, sight, scratch, block, arc, flow);
}

static void look_at_nothing(const void *self, const rub_sight *sight, void *scratch) {
    (void)self, (void)sight, (void)scratch;
}

rub_policy rub_rule_policy(rub_rule rule, const rub_problem *problem) {
    static const rub_policy rules[RUB_N_RULE] = {
        [RUB_RULE_CONTRACTED] = {.name = "build as contracted",
                                 .text = "everything under contract is built and fitted out on "
                                         "schedule, whatever the budget; talks and options lapse",
                                 .look = look_at_nothing,
                                 .score = score_contracted},
        [RUB_RULE_CANCEL] = {.name = "cancel everything uncommitted",
                             .text = "talks, options and signed sites without construction are "
                                     "cancelled now; the rest goes on",
                             .look = look_at_nothing,
                             .score = score_cancel},
        [RUB_RULE_MYOPIC] = {.name = "myopic",
                             .text = "commits the next block only while today's load exceeds what "
                                     "is live or coming; no view ahead",
                             .keeps_budget = true,
                             .memory_size = sizeof(memory),
                             .look = look,
                             .score = score_myopic}};
    rub_policy made = rules[rule];
    made.self = problem;
    return made;
}
