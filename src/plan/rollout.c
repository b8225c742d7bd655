/* Rollout: a policy on one future, quarter by quarter.
 *
 * In each quarter only that quarter's row of the problem is filled, so nothing later can be seen.
 * Blocks act one after another, those with a wish first; each takes its best ranked arc that is
 * open and keeps the supply of accelerators, the market for subleases and (when the policy minds
 * it) the budget, of which what buildings under construction still need this fiscal year is kept
 * back. Then the market clears exactly. Paths are simulated in parts, so memory does not grow with
 * their number. */
#include "plan/rollout.h"

#include "base/array.h"
#include "base/tasks.h"
#include "plan/single.h"
#include "portfolio/market.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PART 500 /* paths simulated at a time */

/* One thread's world: a future as a chain of nodes, and where the blocks stand. */
typedef struct world {
    const rub_yields *yields;
    const rub_automaton *automaton;
    rub_tree tree;
    rub_problem problem;
    rub_market *market;
    rub_plan plan;
    int32_t *first_block; /* (n_site + 1) */
    int32_t *state;       /* (n_block) */
    int32_t *order;       /* in which blocks act (n_block) */
    double *cap;          /* live MW (n_cap) */
    double *ordered;      /* MW (n_gen) */
    double *let;          /* MW (n_region) */
    double spent;         /* from the budget of the quarter, this fiscal year */
    double kept_back;     /* of it, for construction that goes on */
    void *memory;         /* of the policy */
    size_t memory_size;
    double npv, long_usd, short_usd; /* capex of the quarter */
} world;

/* ---- memory --------------------------------------------------------------------------------- */

static void clear_world(world *w) {
    rub_market_free(w->market);
    rub_plan_clear(&w->plan);
    rub_problem_clear(&w->problem);
    rub_tree_clear(&w->tree);
    free(w->first_block);
    free(w->state);
    free(w->order);
    free(w->cap);
    free(w->ordered);
    free(w->let);
    free(w->memory);
}

static rub_status make_world(const rub_study *study, const rub_yields *yields,
                             const rub_automaton *automaton, const double *path, size_t memory_size,
                             world *w, rub_error *err) {
    *w = (world){.yields = yields, .automaton = automaton, .memory_size = memory_size};
    RUB_TRY(rub_single_tree(study->n_quarter, rub_features_of(study).n, path, &w->tree, err));
    RUB_TRY(rub_plan_problem(study, &w->tree, yields, &w->problem, err));
    w->problem.tree = &w->tree;
    RUB_TRY(rub_plan_init(&w->problem, &w->plan, err));
    RUB_TRY(rub_market_create(&w->problem, &w->market, err));
    w->first_block = RUB_NEW(int32_t, study->n_site + 1);
    w->state = RUB_NEW(int32_t, w->problem.n_block);
    w->order = RUB_NEW(int32_t, w->problem.n_block);
    w->cap = RUB_NEW(double, rub_market_n_cap(&w->problem));
    w->ordered = RUB_NEW(double, w->problem.n_gen);
    w->let = RUB_NEW(double, w->problem.n_region);
    w->memory = rub_calloc(1, memory_size + 1);
    if (!w->first_block || !w->state || !w->order || !w->cap || !w->ordered || !w->let ||
        !w->memory)
        return RUB_NO_MEMORY;
    for (int32_t s = 0; s < study->n_site; s++)
        w->first_block[s + 1] = w->first_block[s] + study->site[s].n_block;
    return RUB_OK;
}

/* ---- one quarter ---------------------------------------------------------------------------- */

static const rub_automaton *automaton_of(const world *w, int32_t block) {
    return &w->automaton[w->problem.block[block].site];
}

/* What a block in this state will spend on its shell in the quarters after t of t's fiscal year. */
static double still_to_spend(const world *w, int32_t block, int32_t state, int32_t t) {
    const rub_study_site *site = &w->problem.study->site[w->problem.block[block].site];
    const rub_block_state *s = &automaton_of(w, block)->state[state];
    int32_t budget = w->problem.budget_of_quarter[t], left = 0;
    if (s->stage != RUB_STAGE_BUILDING || budget < 0 || site->build_for_q == 0)
        return 0.0;
    while (t + left + 1 < w->problem.n_quarter &&
           w->problem.budget_of_quarter[t + left + 1] == budget)
        left++;
    int32_t quarters = s->remaining < left ? s->remaining : left;
    return quarters * site->block_mw * site->shell_usd_per_mw / site->build_for_q;
}

/* Due in quarter t itself when construction just goes on. */
static double due_now(const world *w, int32_t block) {
    const rub_study_site *site = &w->problem.study->site[w->problem.block[block].site];
    const rub_block_state *s = &automaton_of(w, block)->state[w->state[block]];
    return s->stage == RUB_STAGE_BUILDING && site->build_for_q > 0
               ? site->block_mw * site->shell_usd_per_mw / site->build_for_q
               : 0.0;
}

/* Kept back for a block before it acts: this quarter's share and those after, if it went on. */
static double reserve_of(const world *w, int32_t block, int32_t t) {
    double share = due_now(w, block);
    double after = still_to_spend(w, block, w->state[block], t);
    const rub_block_state *s = &automaton_of(w, block)->state[w->state[block]];
    return share <= 0 ? 0.0 : fmin(share + after, s->remaining * share);
}

static double budget_of(const world *w, int32_t t) {
    int32_t b = w->problem.budget_of_quarter[t];
    return b >= 0 ? w->problem.budget_usd[b] : HUGE_VAL;
}

/* Supply of accelerators and the sublease market: what the blocks before it have left. */
static bool fits(const world *w, int32_t block, int32_t t, const rub_arc_flow *f) {
    const rub_problem *p = &w->problem;
    int32_t region = p->study->site[p->block[block].site].region;
    size_t g = (size_t)t * (size_t)p->n_gen + f->order_gen,
           r = (size_t)t * (size_t)p->n_region + (size_t)region;
    if (f->order_mw > 0 && w->ordered[f->order_gen] + f->order_mw > p->supply_mw[g] * (1 + 1e-9))
        return false;
    return f->sublet_mw <= 0 || w->let[region] + f->sublet_mw <= p->sublet_depth_mw[r] * (1 + 1e-9);
}

static bool affordable(const world *w, int32_t block, int32_t to, int32_t t,
                       const rub_arc_flow *f) {
    double all = w->spent + w->kept_back + f->capex_usd + still_to_spend(w, block, to, t);
    double most = budget_of(w, t);
    return f->capex_usd <= 0 || all <= most + 1e-7 * fabs(most);
}

/* The best ranked arc that keeps the limits; one that only breaks the budget if there is no other,
 * the cheapest of those. */
static int32_t choose(const world *w, const rub_policy *policy, const rub_sight *sight,
                      int32_t block, rub_arc_flow *flow) {
    const rub_automaton *a = automaton_of(w, block);
    int32_t s = w->state[block], best = -1, cheapest = -1;
    double most = -HUGE_VAL, least = HUGE_VAL;
    for (int32_t e = a->first_arc[s]; e < a->first_arc[s + 1]; e++) {
        if (!rub_arc_allowed(&w->problem, a, e, sight->t))
            continue;
        rub_arc_flow f = rub_arc_flow_at(&w->problem, a, e, sight->t);
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
        *flow = rub_arc_flow_at(&w->problem, a, best, sight->t);
    }
    return best;
}

static void book(world *w, int32_t block, int32_t arc, const rub_arc_flow *f, int32_t t) {
    const rub_problem *p = &w->problem;
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
static void set_order(const world *w, const rub_policy *policy, const rub_sight *sight) {
    int32_t n = 0, n_block = w->problem.n_block;
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

static void start_quarter(world *w, int32_t t) {
    const rub_problem *p = &w->problem;
    rub_problem_fill_node(&w->problem, t, w->yields);
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

static rub_status quarter(world *w, const rub_policy *policy, int32_t t) {
    const rub_problem *p = &w->problem;
    start_quarter(w, t);
    rub_sight sight = {.problem = p,
                       .automaton = w->automaton,
                       .first_block = w->first_block,
                       .known = w->tree.feature + (size_t)t * (size_t)w->tree.n_feature,
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

static void begin_path(world *w, const double *path) {
    if (path)
        memcpy(w->tree.feature, path,
               (size_t)w->tree.n_node * (size_t)w->tree.n_feature * sizeof(double));
    memset(w->memory, 0, w->memory_size);
    w->npv = w->spent = 0.0;
    for (int32_t b = 0; b < w->problem.n_block; b++)
        w->state[b] = automaton_of(w, b)->initial;
}

/* ---- many paths ----------------------------------------------------------------------------- */

typedef struct job {
    const rub_study *study;
    const rub_policy *policy;
    const rub_rollout_def *def;
    const rub_paths *paths;
    rub_rollout *out;
    world *world; /* (threads) */
    int32_t first, n_year, first_year;
    int32_t stride;     /* every so many paths one is audited */
    uint8_t *verdict;   /* of this part: 0 not audited, 1 fine, +2 costed otherwise, +4 broken */
    rub_status *status; /* (threads) */
} job;

static void use_of_path(const world *w, double *unserved, double *idle) {
    const rub_problem *p = &w->problem;
    double worth = 0.0, lost = 0.0, live = 0.0, used = 0.0;
    for (size_t i = 0; i < (size_t)p->n_node * (size_t)p->n_demand; i++) {
        worth += p->value_usd[i] * p->demand[i];
        lost += p->value_usd[i] * (p->demand[i] - w->plan.served[i]);
    }
    for (size_t i = 0; i < (size_t)p->n_node * (size_t)p->n_region * (size_t)p->n_gen; i++)
        used += w->plan.train_mw[i] + w->plan.infer_mw[i];
    for (int32_t b = 0; b < p->n_block; b++)
        for (int32_t t = 0; t < p->n_quarter; t++) {
            const rub_step *step = &w->plan.step[(size_t)b * (size_t)p->n_quarter + (size_t)t];
            bool serves = step->state.stage == RUB_STAGE_LIVE &&
                          (step->action == RUB_ACTION_SERVE || step->action == RUB_ACTION_RENEW);
            const rub_study_site *site = &p->study->site[p->block[b].site];
            double mine = step->state.held && site->rofr_partner >= 0
                              ? 1.0 - p->study->partner[site->rofr_partner].rofr_share_frac
                              : 1.0;
            live += serves ? mine * site->block_mw : 0.0;
        }
    *unserved = worth > 0 ? lost / worth : 0.0;
    *idle = live > 0 ? fmax(0.0, 1.0 - used / live) : 0.0;
}

static uint8_t audit(const job *j, const world *w, char broken[256]) {
    rub_evaluation e = {0};
    uint8_t verdict = 1;
    if (rub_plan_evaluate(&w->problem, &w->plan, &e, NULL) != RUB_OK)
        return 0;
    if (fabs(e.mean_npv_usd - w->npv) > 1e-6 * fmax(1.0, fabs(w->npv)))
        verdict |= 2;
    bool budget_only = !j->policy->keeps_budget && !strncmp(e.violation, "capex of", 8);
    if (e.n_violation > 0 && !budget_only) {
        verdict |= 4;
        memcpy(broken, e.violation, 256);
    }
    rub_evaluation_clear(&e);
    return verdict;
}

static void run_path(void *ctx, int32_t i, int32_t thread) {
    job *j = ctx;
    world *w = &j->world[thread];
    size_t path = (size_t)(j->first + i), row = (size_t)w->tree.n_node * (size_t)w->tree.n_feature;
    char broken[256];
    begin_path(w, j->paths->value + (size_t)i * row);
    memset(j->out->spend_usd + path * (size_t)j->n_year * 2, 0,
           (size_t)j->n_year * 2 * sizeof(double));
    for (int32_t t = 0; t < w->tree.n_node; t++) {
        rub_status status = quarter(w, j->policy, t);
        if (status != RUB_OK) {
            j->status[thread] = status;
            return;
        }
        int32_t year = rub_study_fiscal_year(j->study, j->study->start_q + t) - j->first_year;
        double *spend = j->out->spend_usd + (path * (size_t)j->n_year + (size_t)year) * 2;
        spend[0] += w->long_usd;
        spend[1] += w->short_usd;
    }
    j->out->npv_usd[path] = w->npv;
    use_of_path(w, &j->out->unserved[path], &j->out->idle[path]);
    if (path % (size_t)j->stride == 0)
        j->verdict[i] = audit(j, w, broken);
}

static bool allocate(const rub_study *study, int32_t n_path, int32_t n_policy, rub_rollouts *r) {
    r->n_path = n_path;
    r->n_policy = n_policy;
    r->first_year = rub_study_fiscal_year(study, study->start_q);
    r->n_year =
        rub_study_fiscal_year(study, study->start_q + study->n_quarter - 1) - r->first_year + 1;
    r->of = RUB_NEW(rub_rollout, n_policy);
    bool ok = r->of;
    for (int32_t k = 0; ok && k < n_policy; k++) {
        r->of[k].npv_usd = RUB_NEW(double, n_path);
        r->of[k].spend_usd = RUB_NEW(double, (size_t)n_path *(size_t)r->n_year * 2);
        r->of[k].unserved = RUB_NEW(double, n_path);
        r->of[k].idle = RUB_NEW(double, n_path);
        ok = r->of[k].npv_usd && r->of[k].spend_usd && r->of[k].unserved && r->of[k].idle;
    }
    return ok;
}

void rub_rollouts_clear(rub_rollouts *r) {
    for (int32_t k = 0; r->of && k < r->n_policy; k++) {
        free(r->of[k].npv_usd);
        free(r->of[k].spend_usd);
        free(r->of[k].unserved);
        free(r->of[k].idle);
    }
    free(r->of);
    *r = (rub_rollouts){0};
}

/* The audit's words of the first broken path: run again, as tasks share no text. */
static void count_verdicts(job *j, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        j->out->n_audited += j->verdict[i] & 1;
        j->out->n_wrong += (j->verdict[i] & 2) != 0;
        j->out->n_broken += (j->verdict[i] & 4) != 0;
        if ((j->verdict[i] & 4) && !j->out->broken[0]) {
            int32_t stride = j->stride;
            run_path(j, i, 0);
            audit(j, &j->world[0], j->out->broken);
            j->stride = stride;
        }
    }
}

static rub_status run_part(job *j, int32_t n, int32_t n_thread, rub_error *err) {
    memset(j->verdict, 0, (size_t)n);
    memset(j->status, 0, (size_t)n_thread * sizeof *j->status);
    rub_parallel_for(n, n_thread, run_path, j);
    for (int32_t i = 0; i < n_thread; i++)
        if (j->status[i] != RUB_OK)
            return rub_error_set(err, j->status[i], "policy '%s' finds nothing that a block may do",
                                 j->policy->name);
    count_verdicts(j, n);
    return RUB_OK;
}

static rub_status run_parts(job *j, const rub_policy *policy, int32_t n_policy, int32_t n_thread,
                            const rub_progress *progress, rub_rollouts *r, rub_error *err) {
    const rub_rollout_def *def = j->def;
    for (int32_t first = 0; first < def->n_path; first += PART) {
        int32_t n = def->n_path - first < PART ? def->n_path - first : PART;
        rub_paths paths = {0};
        RUB_TRY(rub_process_simulate_from(j->study, first, n, def->seed, &paths, err));
        rub_status status = RUB_OK;
        for (int32_t k = 0; status == RUB_OK && k < n_policy; k++) {
            j->first = first;
            j->paths = &paths;
            j->policy = &policy[k];
            j->out = &r->of[k];
            status = run_part(j, n, n_thread, err);
        }
        rub_paths_clear(&paths);
        RUB_TRY(status);
        if (!rub_progress_report(progress, "out of sample", first + n, def->n_path, NULL))
            return rub_error_set(err, RUB_INTERRUPTED, "stopped");
    }
    return RUB_OK;
}

rub_status rub_rollout_run(const rub_study *study, const rub_yields *yields,
                           const rub_automaton *automaton, const rub_policy *policy,
                           int32_t n_policy, const rub_rollout_def *def,
                           const rub_progress *progress, rub_rollouts *out, rub_error *err) {
    rub_rollouts r = {0};
    int32_t n_thread = rub_thread_count(def->n_thread), made = 0;
    size_t most = 0;
    for (int32_t k = 0; k < n_policy; k++)
        most = policy[k].memory_size > most ? policy[k].memory_size : most;
    world *world_of = rub_calloc((size_t)n_thread, sizeof *world_of);
    job j = {.study = study,
             .def = def,
             .world = world_of,
             .stride =
                 def->n_audit > 0 ? (def->n_path + def->n_audit - 1) / def->n_audit : INT32_MAX,
             .verdict = RUB_NEW(uint8_t, PART),
             .status = RUB_NEW(rub_status, n_thread)};
    bool ok = allocate(study, def->n_path, n_policy, &r) && world_of && j.verdict && j.status;
    rub_status status = ok ? RUB_OK : rub_error_set(err, RUB_NO_MEMORY, "out of memory for paths");
    j.first_year = r.first_year;
    j.n_year = r.n_year;
    for (; status == RUB_OK && made < n_thread; made++)
        status = make_world(study, yields, automaton, NULL, most, &world_of[made], err);
    if (status == RUB_OK)
        status = run_parts(&j, policy, n_policy, n_thread, progress, &r, err);
    for (int32_t i = 0; world_of && i < made; i++)
        clear_world(&world_of[i]);
    free(world_of);
    free(j.verdict);
    free(j.status);
    if (status != RUB_OK) {
        rub_rollouts_clear(&r);
        return rub_error_set(err, status, "%s",
                             err && err->message[0] ? err->message : rub_status_text(status));
    }
    *out = r;
    return RUB_OK;
}

rub_status rub_rollout_one(const rub_study *study, const rub_yields *yields,
                           const rub_automaton *automaton, const rub_policy *policy,
                           const double *path, rub_tree *tree, rub_problem *problem, rub_plan *plan,
                           double *npv_usd, rub_error *err) {
    world w;
    rub_status status = make_world(study, yields, automaton, path, policy->memory_size, &w, err);
    if (status == RUB_OK) {
        begin_path(&w, path);
        for (int32_t t = 0; status == RUB_OK && t < w.tree.n_node; t++)
            status = quarter(&w, policy, t);
    }
    if (status == RUB_OK) {
        *tree = w.tree;
        *problem = w.problem;
        problem->tree = tree;
        *plan = w.plan;
        *npv_usd = w.npv;
        w.tree = (rub_tree){0};
        w.problem = (rub_problem){0};
        w.plan = (rub_plan){0};
    } else
        rub_error_set(err, status, "%s", err && err->message[0] ? err->message : "rollout");
    clear_world(&w);
    return status;
}
