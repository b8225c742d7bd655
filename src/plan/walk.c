/* Walk: see walk.h. Blocks act one after another, those with a wish first; each takes its best ranked
 * arc that is open and keeps the supply of accelerators, the market for subleases and (when the
 * policy minds it) the budget, of which what buildings under construction still need this fiscal
 * year is kept back. Then the market clears exactly. */
#include "plan/walk.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory --------------------------------------------------------------------------------- */

void rub_walk_clear(rub_walk *w) {
    rub_market_free(w->market);
    rub_plan_clear(&w->plan);
    free(w->first_block);
    free(w->state);
    free(w->order);
    free(w->cap);
    free(w->ordered);
    free(w->let);
    free(w->memory);
    *w = (rub_walk){0};
}

rub_status rub_walk_make(rub_problem *problem, const rub_yields *yields,
                         const rub_automaton *automaton, size_t memory_size, rub_walk *w,
                         rub_error *err) {
    const rub_study *study = problem->study;
    *w = (rub_walk){
        .problem = problem, .yields = yields, .automaton = automaton, .memory_size = memory_size};
    RUB_TRY(rub_plan_init(problem, &w->plan, err));
    RUB_TRY(rub_market_create(problem, &w->market, err));
    w->first_block = RUB_NEW(int32_t, study->n_site + 1);
    w->state = RUB_NEW(int32_t, problem->n_block);
    w->order = RUB_NEW(int32_t, problem->n_block);
    w->cap = RUB_NEW(double, rub_market_n_cap(problem));
    w->ordered = RUB_NEW(double, problem->n_gen);
    w->let = RUB_NEW(double, problem->n_region);
    w->memory = rub_calloc(1, memory_size + 1);
    if (!w->first_block || !w->state || !w->order || !w->cap || !w->ordered || !w->let ||
        !w->memory)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for a walk");
    for (int32_t s = 0; s < study->n_site; s++)
        w->first_block[s + 1] = w->first_block[s] + study->site[s].n_block;
    return RUB_OK;
}

void rub_walk_begin(rub_walk *w) {
    memset(w->memory, 0, w->memory_size);
    w->npv = w->spent = 0.0;
    for (int32_t b = 0; b < w->problem->n_block; b++)
        w->state[b] = w->automaton[w->problem->block[b].site].initial;
}

/* ---- one quarter ---------------------------------------------------------------------------- */

static const rub_automaton *automaton_of(const rub_walk *w, int32_t block) {
    return &w->automaton[w->problem->block[block].site];
}

/* What a block in this state will spend on its shell in the quarters after t of t's fiscal year. */
static double still_to_spend(const rub_walk *w, int32_t block, int32_t state, int32_t t) {
    const rub_study_site *site = &w->problem->study->site[w->problem->block[block].site];
    const rub_block_state *s = &automaton_of(w, block)->state[state];
    int32_t budget = w->problem->budget_of_quarter[t], left = 0;
    if (s->stage != RUB_STAGE_BUILDING || budget < 0 || site->build_for_q == 0)
        return 0.0;
    while (t + left + 1 < w->problem->n_quarter &&
           w->problem->budget_of_quarter[t + left + 1] == budget)
        left++;
    int32_t quarters = s->remaining < left ? s->remaining : left;
    return quarters * site->block_mw * site->shell_usd_per_mw / site->build_for_q;
}

/* Due in quarter t itself when construction just goes on. */
static double due_now(const rub_walk *w, int32_t block) {
    const rub_study_site *site = &w->problem->study->site[w->problem->block[block].site];
    const rub_block_state *s = &automaton_of(w, block)->state[w->state[block]];
    return s->stage == RUB_STAGE_BUILDING && site->build_for_q > 0
               ? site->block_mw * site->shell_usd_per_mw / site->build_for_q
               : 0.0;
}

/* Kept back for a block before it acts: this quarter's share and those after, if it went on. */
static double reserve_of(const rub_walk *w, int32_t block, int32_t t) {
    double share = due_now(w, block);
    double after = still_to_spend(w, block, w->state[block], t);
    const rub_block_state *s = &automaton_of(w, block)->state[w->state[block]];
    return share <= 0 ? 0.0 : fmin(share + after, s->remaining * share);
}

static double budget_of(const rub_walk *w, int32_t t) {
    int32_t b = w->problem->budget_of_quarter[t];
    return b >= 0 ? w->problem->budget_usd[b] : HUGE_VAL;
}

/* Supply of accelerators and the sublease market: what the blocks before it have left. */
static bool fits(const rub_walk *w, int32_t block, int32_t t, const rub_arc_flow *f) {
    const rub_problem *p = w->problem;
    int32_t region = p->study->site[p->block[block].site].region;
    size_t g = (size_t)t * (size_t)p->n_gen + f->order_gen,
           r = (size_t)t * (size_t)p->n_region + (size_t)region;
    if (f->order_mw > 0 && w->ordered[f->order_gen] + f->order_mw > p->supply_mw[g] * (1 + 1e-9))
        return false;
    return f->sublet_mw <= 0 || w->let[region] + f->sublet_mw <= p->sublet_depth_mw[r] * (1 + 1e-9);
}

static bool affordable(const rub_walk *w, int32_t block, int32_t to, int32_t t,
                       const rub_arc_flow *f) {
    double all = w->spent + w->kept_back + f->capex_usd + still_to_spend(w, block, to, t);
    double most = budget_of(w, t);
    return f->capex_usd <= 0 || all <= most + 1e-7 * fabs(most);
}

/* The best ranked arc that keeps the limits; one that only breaks the budget if there is no other,
 * the cheapest of those. */
static int32_t choose(const rub_walk *w, const rub_policy *policy, const rub_sight *sight,
                      int32_t block, rub_arc_flow *flow) {
    const rub_automaton *a = automaton_of(w, block);
    int32_t s = w->state[block], best = -1, cheapest = -1;
    double most = -HUGE_VAL, least = HUGE_VAL;
    for (int32_t e = a->first_arc[s]; e < a->first_arc[s + 1]; e++) {
        if (!rub_arc_allowed(w->problem, a, e, sight->t))
            continue;
        rub_arc_flow f = rub_arc_flow_at(w->problem, a, e, sight->t);
        if (!fits(w, block, sight->t, &f))
            continue;
        if (f.capex_usd < least) {
            least = f.capex_usd;
            cheapest = e;
        }
        if (policy->keeps_budget && !affordable(w, block, a->arc[e].to, sight->t, &f))
            continue;
        double rank = policy->score(policy->self, sight, w->memory, block, e, &f);
        if (rank > most) {
            most = rank;
            best = e;
            *flow = f;
        }
    }
    if (best < 0 && cheapest >= 0) {
        best = cheapest;
        *flow = rub_arc_flow_at(w->problem, a, best, sight->t);
    }
    return best;
}

static void book(rub_walk *w, int32_t block, int32_t arc, const rub_arc_flow *f, int32_t t) {
    const rub_problem *p = w->problem;
    const rub_automaton *a = automaton_of(w, block);
    const rub_arc *one = &a->arc[arc];
    int32_t region = p->study->site[p->block[block].site].region;
    double cash = f->cash_usd;
    if (f->order_mw > 0)
        w->ordered[f->order_gen] += f->order_mw;
    if (f->sublet_mw > 0)
        w->let[region] += f->sublet_mw;
    if (f->own_mw > 0)
        w->cap[(region * p->n_gen + f->live_gen) * 2 + f->training] += f->own_mw;
    if (t + 1 == p->n_quarter)
        cash += rub_state_terminal_usd(p, a, one->to, t);
    w->spent += f->capex_usd;
    w->kept_back += still_to_spend(w, block, one->to, t);
    *(f->order_mw > 0 ? &w->short_usd : &w->long_usd) += f->capex_usd;
    w->npv += p->discount[t] * cash;
    w->plan.step[(size_t)block * (size_t)p->n_quarter + (size_t)t] =
        (rub_step){.state = a->state[one->from],
                   .next = a->state[one->to],
                   .action = one->action,
                   .gen = one->gen};
    w->state[block] = one->to;
}

/* Blocks whose first choice is a wish act before the others. */
static void set_order(const rub_walk *w, const rub_policy *policy, const rub_sight *sight) {
    int32_t n = 0, n_block = w->problem->n_block;
    for (int32_t pass = 0; pass < 2; pass++)
        for (int32_t b = 0; b < n_block; b++) {
            const rub_automaton *a = automaton_of(w, b);
            int32_t s = w->state[b];
            bool wished = false;
            rub_arc_flow none = {0};
            for (int32_t e = a->first_arc[s]; !wished && e < a->first_arc[s + 1]; e++)
                wished =
                    policy->score(policy->self, sight, w->memory, b, e, &none) > RUB_POLICY_WISH;
            if (wished == (pass == 0))
                w->order[n++] = b;
        }
}

static void start_quarter(rub_walk *w, int32_t t) {
    const rub_problem *p = w->problem;
    if (w->yields)
        rub_problem_fill_node(w->problem, t, w->yields);
    memset(w->cap, 0, (size_t)rub_market_n_cap(p) * sizeof *w->cap);
    memset(w->ordered, 0, (size_t)p->n_gen * sizeof *w->ordered);
    memset(w->let, 0, (size_t)p->n_region * sizeof *w->let);
    if (t > 0 && p->budget_of_quarter[t] != p->budget_of_quarter[t - 1])
        w->spent = 0.0;
    w->kept_back = w->long_usd = w->short_usd = 0.0;
    for (int32_t b = 0; b < p->n_block; b++) {
        w->state[b] = rub_state_arrive(p, automaton_of(w, b), w->state[b], t);
        w->kept_back += reserve_of(w, b, t);
    }
}

rub_status rub_walk_quarter(rub_walk *w, const rub_policy *policy, int32_t t) {
    const rub_problem *p = w->problem;
    start_quarter(w, t);
    rub_sight sight = {.problem = p,
                       .automaton = w->automaton,
                       .first_block = w->first_block,
                       .known = p->tree->feature + (size_t)t * (size_t)p->tree->n_feature,
                       .state = w->state,
                       .t = t};
    policy->look(policy->self, &sight, w->memory);
    set_order(w, policy, &sight);
    for (int32_t i = 0; i < p->n_block; i++) {
        int32_t b = w->order[i];
        rub_arc_flow flow = {0};
        w->kept_back -= reserve_of(w, b, t);
        int32_t arc = choose(w, policy, &sight, b, &flow);
        if (arc < 0)
            return RUB_INTERNAL;
        book(w, b, arc, &flow, t);
    }
    double market = rub_market_clear(w->market, t, w->cap, &w->plan, NULL);
    w->npv += p->discount[t] * (market + p->fixed_cash_usd[t]);
    return RUB_OK;
}
