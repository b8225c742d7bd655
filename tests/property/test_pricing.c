/* Block pricing gives one plan whatever the number of threads, and from a plan to start with one at least
 * as good as that plan is under what has changed since. (Against the deterministic equivalent:
 * test_invariants.c.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../random_problem.h"
#include "portfolio/pricing.h"

static void plan_does_not_depend_on_threads(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        double value[3], bound[3];
        static const int32_t threads[] = {1, 2, 8};
        for (int k = 0; k < 3; k++) {
            fixture f = random_problem(seed, 5, 60);
            rub_plan plan = {0};
            rub_solve_result r = {0};
            rub_solve_def def = rub_solve_default();
            def.iterations = 4;
            def.gap_frac = 0.0;
            def.n_thread = threads[k];
            assert_int_equal(rub_pricing_solve(fixture_bind(&f), &def, NULL, &plan, &r, NULL),
                             RUB_OK);
            value[k] = r.value_usd;
            bound[k] = r.bound_usd;
            rub_plan_clear(&plan);
            rub_solve_result_clear(&r);
            fixture_free(&f);
        }
        assert_true(value[0] == value[1] && value[1] == value[2]);
        assert_true(bound[0] == bound[1] && bound[1] == bound[2]);
    }
}

/* ---- from an earlier plan --------------------------------------------------------------------- */

/* What the plan's blocks are worth in a problem, its market cleared anew; false: a limit is passed. */
static bool worth_now(const rub_problem *p, rub_plan *plan, double *value) {
    rub_market *market = NULL;
    rub_evaluation e = {0};
    size_t pools = (size_t)rub_market_n_cap(p);
    double *cap = calloc((size_t)p->n_node * pools, sizeof *cap);
    assert_non_null(cap);
    assert_int_equal(rub_market_create(p, &market, NULL), RUB_OK);
    for (int32_t b = 0; b < p->n_block; b++)
        for (int32_t n = 0; n < p->n_node; n++) {
            const rub_step *step = &plan->step[(size_t)b * (size_t)p->n_node + (size_t)n];
            const rub_study_site *site = &p->study->site[p->block[b].site];
            bool on = step->action == RUB_ACTION_SERVE || step->action == RUB_ACTION_RENEW;
            if (step->state.stage != RUB_STAGE_LIVE || !on)
                continue;
            double kept =
                step->state.held ? 1 - p->study->partner[site->rofr_partner].rofr_share_frac : 1.0;
            cap[(size_t)n * pools + (size_t)((site->region * p->n_gen + step->state.gen) * 2 +
                                             step->state.training)] += kept * site->block_mw;
        }
    for (int32_t n = 0; n < p->n_node; n++)
        rub_market_clear(market, n, cap + (size_t)n * pools, plan, NULL);
    assert_int_equal(rub_plan_evaluate(p, plan, &e, NULL), RUB_OK);
    bool keeps = e.n_violation == 0;
    *value = e.objective_usd;
    rub_evaluation_clear(&e);
    rub_market_free(market);
    free(cap);
    return keeps;
}

/* One slider: demand, supply, servers' prices, sublet depth or budgets, all by one factor. */
static void change(rub_problem *p, rub_rng *rng) {
    struct {
        double *x;
        size_t n;
    } const slider[] = {{p->demand, (size_t)p->n_node * (size_t)p->n_demand},
                        {p->supply_mw, (size_t)p->n_node * (size_t)p->n_gen},
                        {p->gen_usd_per_mw, (size_t)p->n_node * (size_t)p->n_gen},
                        {p->sublet_depth_mw, (size_t)p->n_node * (size_t)p->n_region},
                        {p->budget_usd, (size_t)p->n_budget}};
    int k = pick(rng, 0, 4);
    double factor = uniform(rng, 0.7, 1.4);
    for (size_t i = 0; i < slider[k].n; i++)
        slider[k].x[i] *= factor;
}

static void warm_is_never_worse(void **state) {
    (void)state;
    int judged = 0;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        rub_rng rng = rub_rng_make(seed, 5);
        fixture f = random_problem(seed, 12, 40);
        const rub_problem *p = fixture_bind(&f);
        rub_plan plan = {0}, next = {0};
        rub_solve_result r = {0}, again = {0};
        rub_solve_def def = rub_solve_default();
        def.iterations = 3;
        def.gap_frac = 0.0;
        assert_int_equal(rub_pricing_solve(p, &def, NULL, &plan, &r, NULL), RUB_OK);
        change(&f.problem, &rng);
        def.warm = &plan;
        def.multiplier = r.multiplier;
        def.n_multiplier = r.n_multiplier;
        def.iterations = 1;
        double value = 0.0;
        bool keeps = r.outcome != RUB_OUTCOME_INFEASIBLE && worth_now(p, &plan, &value);
        if (keeps) {
            judged++;
            assert_int_equal(rub_pricing_solve(p, &def, NULL, &next, &again, NULL), RUB_OK);
            if (again.outcome == RUB_OUTCOME_INFEASIBLE ||
                !(again.value_usd >= value - 1e-9 * fabs(value)))
                fail_msg("seed %d: %.10g from a plan worth %.10g", (int)seed, again.value_usd,
                         value);
            assert_true(again.bound_usd >= value - 1e-9 * fabs(value));
        }
        rub_plan_clear(&plan);
        rub_plan_clear(&next);
        rub_solve_result_clear(&r);
        rub_solve_result_clear(&again);
        fixture_free(&f);
    }
    assert_true(judged > 80);
}

/* ---- a node's market from an earlier basis ------------------------------------------------------ */

/* Capacity comes, goes and changes; worth and what the prices bound must be those of a solve from nothing. */
static void reclearing_is_clearing(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        rub_rng rng = rub_rng_make(seed, 8);
        fixture f = random_problem(seed, 4, 30);
        random_hard_limits(&f, seed);
        const rub_problem *p = fixture_bind(&f);
        rub_market *market = NULL;
        rub_market_basis basis = {0};
        int32_t pools = rub_market_n_cap(p);
        double cap[64] = {0};
        assert_int_equal(rub_market_create(p, &market, NULL), RUB_OK);
        for (int turn = 0; turn < 60; turn++) {
            int32_t node = turn < 50 ? 0 : pick(&rng, 0, p->n_node - 1),
                    k = pick(&rng, 0, pools - 1);
            double unit[8], grid[8];
            cap[k] = chance(&rng, 0.3) ? 0.0 : fmax(0.0, cap[k] + uniform(&rng, -4, 5));
            double cold = rub_market_clear(market, node, cap, NULL, NULL);
            double warm = rub_market_reclear(market, node, cap, &basis, unit);
            rub_market_grid_prices(market, node, grid);
            double dual = rub_market_constant(p, node, unit, grid);
            for (int32_t i = 0; i < pools; i++)
                dual += cap[i] * rub_market_mw_price(p, node, i / 2 / p->n_gen, i / 2 % p->n_gen,
                                                     i % 2, unit, grid);
            double slack = 1e-7 * (1.0 + fabs(cold));
            if (fabs(cold - warm) > slack || fabs(dual - cold) > 10 * slack)
                fail_msg("seed %d turn %d: %.12g from nothing, %.12g warm, %.12g by prices",
                         (int)seed, turn, cold, warm, dual);
        }
        rub_market_free(market);
        fixture_free(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(plan_does_not_depend_on_threads),
                                       cmocka_unit_test(warm_is_never_worse),
                                       cmocka_unit_test(reclearing_is_clearing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
