/* Pricing: bound and plan in turns until they meet.
 *
 * A first plan by insertion gives the first prices (what the market would pay for one more unit at
 * each node). Then rounds: chains of search moves from the best plan (four chains, whatever the
 * number of threads, so the plan does not depend on it), then multipliers towards the bound. With
 * CVaR the leaves' weights follow the plan's worst leaves: any weights in the risk envelope give a
 * valid bound. */
#include "portfolio/pricing.h"

#include "base/array.h"
#include "base/tasks.h"
#include "portfolio/dual.h"
#include "portfolio/search.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CHAINS = 4, MOVES = 6, TURNS = 24 };

typedef struct solver {
    const rub_problem *p;
    const rub_solve_def *def;
    rub_compiled compiled;
    rub_dual *dual;
    rub_search *best, *chain[CHAINS];
    rub_prices prices;
    double *leaf_weight; /* of the prices (n_leaf) */
    double bound, started_s;
    bool have_prices;
} solver;

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void clear(solver *v) {
    for (int i = 0; i < CHAINS; i++)
        rub_search_free(v->chain[i]);
    rub_search_free(v->best);
    rub_dual_free(v->dual);
    rub_prices_clear(&v->prices);
    rub_compiled_clear(&v->compiled);
    free(v->leaf_weight);
}

static rub_status create(solver *v, rub_error *err) {
    const rub_plan *root = v->def->keep_root ? v->def->warm : NULL;
    RUB_TRY(rub_compiled_make(v->p, &v->compiled, err));
    RUB_TRY(rub_dual_create(&v->compiled, v->def->n_thread, &v->dual, err));
    RUB_TRY(rub_prices_init(v->p, &v->prices, err));
    RUB_TRY(rub_search_create(&v->compiled, v->def->seed, root, &v->best, err));
    for (int i = 0; i < CHAINS; i++)
        RUB_TRY(rub_search_create(&v->compiled, v->def->seed + 1000u + (uint64_t)i, root,
                                  &v->chain[i], err));
    v->leaf_weight = RUB_NEW(double, v->p->tree->n_leaf);
    return v->leaf_weight ? RUB_OK : rub_error_set(err, RUB_NO_MEMORY, "out of memory");
}

/* Prices from the market at the best plan. */
static void first_prices(solver *v) {
    const rub_problem *p = v->p;
    rub_search_leaf_weights(v->best, v->leaf_weight);
    rub_prices_set_weights(p, v->leaf_weight, &v->prices);
    rub_search_market_prices(v->best, v->prices.unit);
    for (int32_t n = 0; n < p->n_node; n++)
        for (int32_t m = 0; m <= p->n_region; m++)
            v->prices.unit[(size_t)n * (size_t)(p->n_region + 1) + (size_t)m] *=
                v->prices.weight[n];
    v->bound = rub_dual_bound(v->dual, &v->prices);
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

/* Moves the leaves' weights halfway to the plan's risk weights when that lowers the bound. */
static void follow_risk(solver *v) {
    const rub_problem *p = v->p;
    size_t leaves = (size_t)p->tree->n_leaf;
    double *aim = RUB_NEW(double, leaves), *before = RUB_NEW(double, p->n_node);
    if (aim && before && p->cvar_weight > 0) {
        rub_search_leaf_weights(v->best, aim);
        for (size_t l = 0; l < leaves; l++)
            aim[l] = 0.5 * (aim[l] + v->leaf_weight[l]);
        set_weights(v, aim, before);
        double bound = rub_dual_bound(v->dual, &v->prices);
        if (bound < v->bound) {
            v->bound = bound;
            memcpy(v->leaf_weight, aim, leaves * sizeof *aim);
        } else
            set_weights(v, v->leaf_weight, before);
    }
    free(aim);
    free(before);
}

static void run_chain(void *ctx, int32_t i, int32_t thread) {
    solver *v = ctx;
    rub_search *s = v->chain[i];
    (void)thread;
    /* the last chain tries a plan built from the prices alone */
    bool fresh = i == CHAINS - 1 && v->have_prices;
    if (fresh)
        rub_search_build(s, &v->prices);
    if (!fresh || rub_search_value(s) < rub_search_value(v->best))
        rub_search_copy(v->best, s);
    for (int m = 0; m < MOVES; m++)
        rub_search_move(s, v->have_prices ? &v->prices : NULL);
}

static void round_of_moves(solver *v) {
    rub_parallel_for(CHAINS, v->def->n_thread, run_chain, v);
    int best = -1;
    for (int i = 0; i < CHAINS; i++)
        if (rub_search_value(v->chain[i]) > rub_search_value(best < 0 ? v->best : v->chain[best]))
            best = i;
    if (best >= 0)
        rub_search_copy(v->chain[best], v->best);
}

static double gap(double value, double bound) {
    return fmax(0.0, bound - value) / fmax(1.0, fabs(value));
}

static bool report(const solver *v, const rub_progress *progress, double spent) {
    char extra[96];
    double value = rub_search_value(v->best);
    snprintf(extra, sizeof extra, "bound $%.4gB, plan $%.4gB, gap %.2f %%", v->bound / 1e9,
             value / 1e9, 100 * gap(value, v->bound));
    return rub_progress_report(progress, "planning", fmin(spent, v->def->time_limit_s),
                               v->def->time_limit_s, extra);
}

static rub_outcome improve(solver *v, const rub_progress *progress, int64_t *rounds) {
    for (*rounds = 0;; ++*rounds) {
        double value = rub_search_value(v->best), spent = now_s() - v->started_s;
        if (value > -HUGE_VAL && gap(value, v->bound) <= v->def->gap_frac)
            return RUB_OUTCOME_GAP;
        if (v->def->iterations > 0 ? *rounds >= v->def->iterations : spent >= v->def->time_limit_s)
            return RUB_OUTCOME_TIME_LIMIT;
        if (!report(v, progress, spent))
            return RUB_OUTCOME_STOPPED;
        round_of_moves(v);
        follow_risk(v);
        double bound = v->bound;
        rub_dual_improve(v->dual, &v->prices, rub_search_value(v->best), 0.5 * v->def->gap_frac,
                         *rounds < 4 ? 4 * TURNS : TURNS, &bound);
        v->bound = fmin(v->bound, bound);
        v->have_prices = true;
    }
}

static rub_status store_prices(const solver *v, rub_solve_result *result, rub_error *err) {
    const rub_problem *p = v->p;
    size_t m = (size_t)(p->n_region + 1);
    result->unit_price = RUB_NEW(double, (size_t)p->n_node *m);
    result->budget_price = RUB_NEW(double, p->n_budget);
    if (!result->unit_price || !result->budget_price)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for prices");
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

rub_status rub_pricing_solve(const rub_problem *problem, const rub_solve_def *def,
                             const rub_progress *progress, rub_plan *plan, rub_solve_result *result,
                             rub_error *err) {
    solver v = {.p = problem, .def = def, .started_s = now_s()};
    rub_solve_result r = {.method = RUB_METHOD_PRICING};
    rub_status status = create(&v, err);
    if (status == RUB_OK) {
        bool warm = def->warm && !def->keep_root && rub_search_follow(v.best, def->warm);
        if (!warm)
            rub_search_build(v.best, NULL);
        if (rub_search_value(v.best) > -HUGE_VAL) {
            for (int i = 0; i < 3 && rub_search_sweep(v.best); i++)
                ;
            first_prices(&v);
            for (int i = 0; i < CHAINS; i++)
                rub_search_copy(v.best, v.chain[i]);
            r.outcome = improve(&v, progress, &r.iterations);
            r.value_usd = rub_search_value(v.best);
            r.bound_usd = v.bound;
            r.gap_frac = gap(r.value_usd, r.bound_usd);
            status = store_prices(&v, &r, err);
            if (status == RUB_OK)
                status = rub_search_plan(v.best, plan, err);
            if (status == RUB_OK && !serves_what_must_be(&v, plan, &r))
                rub_plan_clear(plan);
        } else
            tell_start(&v, &r);
    }
    r.seconds = now_s() - v.started_s;
    clear(&v);
    if (status != RUB_OK) {
        rub_solve_result_clear(&r);
        return status;
    }
    *result = r;
    return RUB_OK;
}
