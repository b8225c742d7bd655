/* Pricing: bound and plan in turns until they meet.
 *
 * A first plan by insertion gives the first prices (what the market would pay for one more unit at
 * each node). Then rounds: chains of search moves from the best plan (four chains, whatever the
 * number of threads, so the plan does not depend on it), then multipliers towards the bound. With
 * CVaR the leaves' weights follow the plan's worst leaves: any weights in the risk envelope give a
 * valid bound. */
#include "portfolio/pricing.h"

#include "base/array.h"
#include "base/ranks.h"
#include "base/rng.h"
#include "base/tasks.h"
#include "portfolio/dual.h"
#include "portfolio/first_prices.h"
#include "portfolio/search.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHAINS = 4,
    MOVES = 6,
    TURNS = 24,
    FIRST_ROUNDS = 8,
    FIRST_TURNS = 120,
    WARM_TURNS = 24,
    FEW = 12,
    FEW_NODES = 300,
    POLISH = 4,
    MOST_INSERTED = 100000
};

typedef struct solver {
    const rub_problem *p;
    const rub_solve_def *def;
    rub_levels levels;
    rub_dual *dual;
    rub_search *best, *base, *chain[CHAINS];
    rub_prices prices;
    double *leaf_weight;              /* of the prices (n_leaf) */
    double *leaf_aim, *weight_before; /* scratch (n_leaf), (n_node) */
    double bound;
    double kept_s; /* when a state was last told */
    rub_watch watch;
    bool have_prices, is_warm;
    rub_rng rng;
    int32_t *deck; /* blocks, shuffled: each chain has its share (n_block) */
} solver;

static void clear(solver *v) {
    for (int i = 0; i < CHAINS; i++)
        rub_search_free(v->chain[i]);
    rub_search_free(v->best);
    rub_search_free(v->base);
    rub_dual_free(v->dual);
    rub_prices_clear(&v->prices);
    rub_levels_clear(&v->levels);
    free(v->deck);
    free(v->leaf_weight);
    free(v->leaf_aim);
    free(v->weight_before);
}

static rub_status create(solver *v, rub_error *err) {
    const rub_plan *root = v->def->keep_root ? v->def->warm : NULL;
    RUB_TRY(rub_levels_make(v->p, v->def->n_thread, &v->levels, err));
    RUB_TRY(
        rub_dual_create(&v->levels, v->def->n_thread, v->def->ranks, v->def->seed, &v->dual, err));
    RUB_TRY(rub_prices_init(v->p, &v->prices, err));
    RUB_TRY(rub_search_create(&v->levels, v->def->seed, root, &v->best, err));
    RUB_TRY(rub_search_create(&v->levels, v->def->seed, root, &v->base, err));
    for (int i = 0; i < CHAINS; i++)
        RUB_TRY(rub_search_create(&v->levels, v->def->seed + 1000u + (uint64_t)i, root,
                                  &v->chain[i], err));
    v->rng = rub_rng_make(v->def->seed, 11);
    v->leaf_weight = RUB_NEW(double, v->p->tree->n_leaf);
    v->leaf_aim = RUB_NEW(double, v->p->tree->n_leaf);
    v->weight_before = RUB_NEW(double, v->p->n_node);
    v->deck = RUB_NEW(int32_t, v->p->n_block);
    for (int32_t b = 0; v->deck && b < v->p->n_block; b++)
        v->deck[b] = b;
    return v->leaf_weight && v->leaf_aim && v->weight_before && v->deck
               ? RUB_OK
               : rub_error_set(err, RUB_NO_MEMORY, "out of memory");
}

/* Prices from the market around the best plan. */
static rub_status first_prices(solver *v, rub_error *err) {
    rub_search_leaf_weights(v->best, v->leaf_weight);
    rub_prices_set_weights(v->p, v->leaf_weight, &v->prices);
    v->is_warm =
        v->def->warm && v->def->multiplier && v->def->n_multiplier == rub_dual_rows_n(v->dual);
    if (v->is_warm) {
        rub_dual_load(v->dual, v->def->multiplier, &v->prices);
        v->bound = rub_dual_bound(v->dual, &v->prices);
        rub_dual_watch(v->dual, &v->watch);
        return RUB_OK;
    }
    return rub_first_prices(v->p, v->dual, v->def->n_thread, rub_search_caps(v->best), FIRST_ROUNDS,
                            &v->prices, &v->bound, &v->watch, err);
}

static void rescale(const rub_problem *p, rub_prices *x, const double *from) {
    for (int32_t n = 0; n < p->n_node; n++) {
        double factor = from[n] > 0 ? x->weight[n] / from[n] : 1.0;
        struct {
            double *row;
            int32_t n;
        } const part[] = {{x->unit, p->n_region + 1},
                          {x->grid, p->n_region},
                          {x->order, p->n_gen},
                          {x->sublet, p->n_region},
                          {x->budget, 1}};
        for (size_t k = 0; k < RUB_LEN(part); k++)
            for (int32_t i = 0; i < part[k].n; i++)
                part[k].row[(size_t)n * (size_t)part[k].n + (size_t)i] *= factor;
    }
    rub_prices_spread_budget(p, x);
}

static void set_weights(solver *v, const double *leaf_weight, double *before) {
    memcpy(before, v->prices.weight, (size_t)v->p->n_node * sizeof *before);
    rub_prices_set_weights(v->p, leaf_weight, &v->prices);
    rescale(v->p, &v->prices, before);
}

/* Moves the leaves' weights halfway to the plan's risk weights when that lowers the bound; true when it
 * did. */
static bool follow_risk(solver *v) {
    bool moved = false;
    const rub_problem *p = v->p;
    size_t leaves = (size_t)p->tree->n_leaf;
    double *aim = v->leaf_aim, *before = v->weight_before;
    if (p->cvar_weight > 0) {
        rub_search_leaf_weights(v->best, aim);
        for (size_t l = 0; l < leaves; l++)
            aim[l] = 0.5 * (aim[l] + v->leaf_weight[l]);
        set_weights(v, aim, before);
        double bound = rub_dual_bound(v->dual, &v->prices);
        if (bound < v->bound) {
            v->bound = bound;
            memcpy(v->leaf_weight, aim, leaves * sizeof *aim);
            moved = true;
        } else
            set_weights(v, v->leaf_weight, before);
    }
    return moved;
}

/* With few blocks every chain may move all of them; with many each has a share, so that what they find
 * can be put together. */
static void share_of(const solver *v, int32_t i, const int32_t **block, int32_t *n) {
    int32_t all = v->p->n_block;
    bool split = all >= CHAINS * 2 * MOVES;
    int32_t first = split ? (int32_t)((int64_t)all * i / CHAINS) : 0,
            last = split ? (int32_t)((int64_t)all * (i + 1) / CHAINS) : all;
    *block = v->deck + first;
    *n = last - first;
}

static void run_chain(void *ctx, int32_t i, int32_t thread) {
    solver *v = ctx;
    const int32_t *block;
    int32_t n;
    share_of(v, i, &block, &n);
    rub_search_watch(v->chain[i], &v->watch, thread == 0);
    /* with few blocks the last chain starts from a plan built from the prices alone */
    bool fresh = i == CHAINS - 1 && v->have_prices && n <= FEW && v->p->n_node <= FEW_NODES;
    if (fresh)
        rub_search_build(v->chain[i], &v->prices);
    if (!fresh || !(rub_search_value(v->chain[i]) > -HUGE_VAL))
        rub_search_copy(v->best, v->chain[i]);
    for (int m = 0; m < MOVES && rub_watch_go(&v->watch, thread == 0); m++)
        rub_search_move(v->chain[i], v->have_prices ? &v->prices : NULL, block, n);
}

static void shuffle(solver *v) {
    for (int32_t i = v->p->n_block - 1; i > 0; i--) {
        int32_t k = (int32_t)rub_rng_below(&v->rng, (uint64_t)i + 1), x = v->deck[i];
        v->deck[i] = v->deck[k];
        v->deck[k] = x;
    }
}

/* Each rank runs its share of the chains; those that found something go to all. */
static void run_chains(solver *v) {
    const rub_ranks *ranks = v->def->ranks;
    double value[CHAINS];
    rub_ranks_for(ranks, CHAINS, v->def->n_thread, run_chain, v);
    for (int i = 0; i < CHAINS; i++)
        value[i] = rub_search_value(v->chain[i]);
    rub_ranks_gather(ranks, value, CHAINS, sizeof *value);
    for (int i = 0; rub_ranks_n(ranks) > 1 && i < CHAINS; i++)
        if (value[i] > rub_search_value(v->best))
            rub_search_share(v->chain[i], ranks, rub_ranks_owner(ranks, CHAINS, i));
        else
            rub_search_copy(v->best, v->chain[i]);
}

/* The best chain's plan, and of the others what still helps. */
static void round_of_moves(solver *v) {
    shuffle(v);
    run_chains(v);
    int best = 0;
    for (int i = 1; i < CHAINS; i++)
        if (rub_search_value(v->chain[i]) > rub_search_value(v->chain[best]))
            best = i;
    if (!(rub_search_value(v->chain[best]) > rub_search_value(v->best)))
        return;
    rub_search_copy(v->best, v->base);
    rub_search_copy(v->chain[best], v->best);
    for (int i = 0; i < CHAINS; i++)
        if (i != best && rub_search_value(v->chain[i]) > rub_search_value(v->base))
            rub_search_merge(v->best, v->base, v->chain[i]);
}

static double gap(double value, double bound) {
    return fmax(0.0, bound - value) / fmax(1.0, fabs(value));
}

static void turns(solver *v, int32_t n, bool afresh) {
    double bound = v->bound;
    rub_dual_improve(v->dual, &v->prices, rub_search_value(v->best), 0.5 * v->def->gap_frac, n,
                     afresh, &bound);
    v->bound = fmin(v->bound, bound);
    v->have_prices = true;
}

/* May the next round begin? */
static bool more(solver *v, int64_t rounds) {
    v->watch.bound = v->bound;
    v->watch.value = rub_search_value(v->best);
    return rub_watch_agree(&v->watch, v->def->ranks) &&
           !(v->def->iterations > 0 && rounds >= v->def->iterations);
}

static const uint16_t *sampled(void *ctx, int32_t block) {
    return rub_dual_path(((const solver *)ctx)->dual, block);
}

/* A plan drawn from the relaxation's solution, when it is better than the one there is. */
static void draw_plan(solver *v) {
    if (rub_search_place(v->base, sampled, v, &v->prices) &&
        rub_search_value(v->base) > rub_search_value(v->best))
        rub_search_copy(v->base, v->best);
}

/* Turns that take about as long as a round of moves. */
static int32_t turns_of_round(const solver *v) {
    int32_t n = CHAINS * MOVES * 8 / (v->levels.n_site + 1);
    return n < 4 ? 4 : n > TURNS ? TURNS : n;
}

/* The multipliers' share of the time before the first plan is drawn from them. */
#define FIRST_SHARE 0.4

static void first_round(solver *v) {
    int32_t most = v->is_warm ? WARM_TURNS : FIRST_TURNS;
    /* ranks have clocks of their own: they take all turns */
    for (int32_t n = 0; n < most; n += TURNS / 2)
        if (n == 0 || v->def->ranks ||
            rub_watch_spent_s(&v->watch) < FIRST_SHARE * v->watch.limit_s)
            turns(v, TURNS / 2, n == 0);
    if (!v->is_warm && rub_watch_agree(&v->watch, v->def->ranks))
        draw_plan(v);
}

static void later_round(solver *v) {
    round_of_moves(v);
    if (!rub_watch_agree(&v->watch, v->def->ranks)) /* the ranks' plans may differ from here on */
        return;
    bool moved = follow_risk(v);
    turns(v, turns_of_round(v), moved);
}

static bool near_enough(const solver *v) {
    double value = rub_search_value(v->best);
    return value > -HUGE_VAL && gap(value, v->bound) <= v->def->gap_frac;
}

/* Tells the caller where the solve stands, every so often. */
static rub_status keep_state(solver *v, rub_error *err) {
    const rub_solve_keep *keep = v->def->keep;
    double now = rub_watch_spent_s(&v->watch);
    if (!keep || now - v->kept_s < keep->every_s || rub_ranks_rank(v->def->ranks) > 0)
        return RUB_OK;
    size_t n = rub_dual_rows_n(v->dual);
    double *multiplier = RUB_NEW(double, n);
    rub_step *step = RUB_NEW(rub_step, (size_t)v->p->n_block * (size_t)v->p->n_node);
    rub_solve_state state = {{.n_block = v->p->n_block, .n_node = v->p->n_node, .step = step},
                             multiplier,
                             n,
                             rub_search_value(v->best),
                             v->bound};
    rub_status status = step && multiplier
                            ? RUB_OK
                            : rub_error_set(err, RUB_NO_MEMORY, "out of memory for a checkpoint");
    if (status == RUB_OK) {
        rub_search_steps(v->best, step);
        rub_dual_store(v->dual, &v->prices, multiplier);
        status = keep->keep(keep->ctx, &state, err);
    }
    v->kept_s = now;
    free(step);
    free(multiplier);
    return status;
}

/* Rounds until plan and bound are near enough, or the watch says that it is enough. */
static rub_status improve(solver *v, rub_solve_result *r, rub_error *err) {
    for (r->iterations = 0; more(v, r->iterations) && !near_enough(v); r->iterations++) {
        if (r->iterations == 0)
            first_round(v);
        else
            later_round(v);
        RUB_TRY(keep_state(v, err));
    }
    r->outcome = near_enough(v)                        ? RUB_OUTCOME_GAP
                 : v->watch.state == RUB_WATCH_STOPPED ? RUB_OUTCOME_STOPPED
                                                       : RUB_OUTCOME_TIME_LIMIT;
    return RUB_OK;
}

/* Building a plan by insertion asks the market once for each block and node. */
static bool large(const rub_problem *p) { return (int64_t)p->n_block * p->n_node > MOST_INSERTED; }

/* Near enough to the bound, but not so that a block by itself would do better: each is planned anew
 * against the rest until none gains, or the watch says that it is enough. */
static void polish(solver *v) {
    bool better = true;
    for (int pass = 0; pass < POLISH && better; pass++) {
        better = false;
        for (int32_t b = 0; b < v->p->n_block && rub_watch_go(&v->watch, true); b++)
            better = rub_search_reinsert(v->best, b) || better;
    }
}

static rub_status store_prices(const solver *v, rub_solve_result *result, rub_error *err) {
    const rub_problem *p = v->p;
    size_t m = (size_t)(p->n_region + 1);
    result->unit_price = RUB_NEW(double, (size_t)p->n_node *m);
    result->budget_price = RUB_NEW(double, p->n_budget);
    result->n_multiplier = rub_dual_rows_n(v->dual);
    result->multiplier = RUB_NEW(double, result->n_multiplier);
    if (!result->unit_price || !result->budget_price || !result->multiplier)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for prices");
    rub_dual_store(v->dual, &v->prices, result->multiplier);
    for (int32_t n = 0; n < p->n_node; n++) {
        for (size_t i = 0; i < m; i++)
            result->unit_price[(size_t)n * m + i] =
                v->prices.weight[n] > 0 ? v->prices.unit[(size_t)n * m + i] / v->prices.weight[n]
                                        : 0.0;
        if (rub_is_budget_row(p, n))
            result->budget_price[p->budget_of_quarter[p->tree->quarter[n]]] += v->prices.budget[n];
    }
    return RUB_OK;
}

/* Without any course of the sites: over a budget by what is committed, or stuck. */
static void tell_start(const solver *v, rub_solve_result *result) {
    int32_t b = 0;
    double over = rub_search_excess(v->best, &b);
    result->outcome = RUB_OUTCOME_INFEASIBLE;
    if (over <= 0)
        snprintf(
            result->reason, sizeof result->reason,
            "No plan keeps every limit: a site has no course left from its stage at the start.");
    else
        snprintf(
            result->reason, sizeof result->reason,
            "Budget FY%d: what is committed already needs at least $%.3gM more than the $%.4gM "
            "that the budget leaves "
            "from the study's start (found by the cheapest course of every site).",
            v->p->study->budget[b].fiscal_year, over / 1e6, v->p->budget_usd[b] / 1e6);
}

/* The market pays dearly for what must be served and is not, so the search leaves it unserved only
 * where it finds no other way. */
static bool serves_what_must_be(const solver *v, const rub_plan *plan, rub_solve_result *result) {
    const rub_problem *p = v->p;
    double worst = 1e-6;
    for (int32_t n = 0; n < p->n_node; n++)
        for (int32_t i = 0; i < p->n_demand; i++) {
            size_t at = (size_t)n * (size_t)p->n_demand + (size_t)i;
            double must = p->study->demand[i].must_serve_frac * p->demand[at];
            double lacks = (must - plan->served[at]) / fmax(1.0, must);
            char quarter[16];
            if (lacks <= worst)
                continue;
            worst = lacks;
            result->outcome = RUB_OUTCOME_INFEASIBLE;
            snprintf(
                result->reason, sizeof result->reason,
                "No plan was found that serves what must be: of demand '%s' in %s the best one "
                "serves %.4g of %.4g.",
                p->study->demand[i].name,
                rub_quarter_text(p->study->start_q + p->tree->quarter[n], quarter, sizeof quarter),
                plan->served[at], must);
        }
    return result->outcome != RUB_OUTCOME_INFEASIBLE;
}

/* The plan to begin with: the one given, or one made by insertion. */
static void first_plan(solver *v) {
    const rub_problem *p = v->p;
    const rub_plan *given = v->def->keep_root ? NULL : v->def->warm;
    bool same_shape = given && given->n_node == p->n_node && given->n_block == p->n_block;
    bool followed = same_shape && rub_search_follow(v->best, given, true);
    rub_search_watch(v->best, &v->watch, true);
    rub_search_watch(v->base, &v->watch, true);
    if (!followed && large(p))
        rub_search_place(v->best, NULL, NULL, NULL); /* better ones are drawn later */
    else if (!followed)
        rub_search_build(v->best, NULL);
    bool found = rub_search_value(v->best) > -HUGE_VAL;
    for (int32_t b = 0; found && p->n_node <= FEW_NODES && b < 2 * p->n_block; b++)
        rub_search_reinsert(v->best, b % p->n_block);
}

/* What the solver's state says, into plan and result. */
static rub_status answer(solver *v, rub_plan *plan, rub_solve_result *r, rub_error *err) {
    r->value_usd = rub_search_value(v->best);
    r->bound_usd = v->bound;
    r->gap_frac = gap(r->value_usd, r->bound_usd);
    RUB_TRY(store_prices(v, r, err));
    RUB_TRY(rub_search_plan(v->best, plan, err));
    if (!serves_what_must_be(v, plan, r))
        rub_plan_clear(plan);
    return RUB_OK;
}

rub_status rub_pricing_solve(const rub_problem *problem, const rub_solve_def *def,
                             const rub_progress *progress, rub_plan *plan, rub_solve_result *result,
                             rub_error *err) {
    solver v = {.p = problem, .def = def};
    rub_solve_result r = {.method = RUB_METHOD_PRICING};
    rub_watch_start(&v.watch, progress, def->iterations > 0 ? HUGE_VAL : def->time_limit_s);
    rub_status status = create(&v, err);
    if (status == RUB_OK)
        first_plan(&v);
    if (status == RUB_OK && !rub_watch_agree(&v.watch, def->ranks))
        rub_search_share(v.best, def->ranks, 0); /* each was broken off elsewhere */
    bool found = status == RUB_OK && rub_search_value(v.best) > -HUGE_VAL;
    if (found)
        status = first_prices(&v, err);
    if (found && status == RUB_OK) {
        status = improve(&v, &r, err);
        if (status == RUB_OK && r.outcome == RUB_OUTCOME_GAP && !large(problem))
            polish(&v);
        if (status == RUB_OK)
            status = answer(&v, plan, &r, err);
    } else if (status == RUB_OK)
        tell_start(&v, &r);
    r.seconds = rub_watch_spent_s(&v.watch);
    clear(&v);
    if (status != RUB_OK) {
        rub_solve_result_clear(&r);
        return status;
    }
    *result = r;
    return RUB_OK;
}
