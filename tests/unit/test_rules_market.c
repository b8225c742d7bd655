/* docs/portfolio.md, the market at a node and what couples sites: balances, power, one-way
 * substitution, rental, shipping, grid, supply, must-serve, budgets, risk, discounting. Every answer is
 * worked out by hand beside it, in millions of USD. */
#include "../rules.h"

/* Live sites of so many MW each, one after the other; no orders, nothing stands at the end. */
static fixture live(fixture_def def, const double *mw) {
    fixture f = fixture_make(def);
    f.study.shell_life_years = 0.0;
    memset(f.problem.may_order, 0, (size_t)(f.problem.n_node * f.problem.n_gen));
    for (int32_t i = 0; i < f.study.n_site; i++) {
        f.site[i].stage = RUB_STAGE_LIVE;
        f.site[i].generation = 0;
        f.site[i].block_mw = mw[i];
    }
    return f;
}

static void set_load(fixture *f, int32_t demand, double units, double value, double penalty) {
    f->problem.demand[demand] = units;
    f->problem.value_usd[demand] = value * M;
    f->problem.penalty_usd[demand] = penalty * M;
}

static void training_load(fixture *f, int32_t demand) {
    f->demand[demand].load_class = RUB_TRAINING;
    f->demand[demand].region = -1;
}

static void loads_earn_and_are_missed(void **state) {
    (void)state;
    fixture f = live((fixture_def){0}, (double[]){2});
    set_load(&f, 0, 5, 3, 1);
    expect_best(&f, 2 * 3 - 3 * 1, "serve"); /* 2 of 5 served */
    f.problem.power_usd_per_mw[0] = 0.5 * M;
    expect_best(&f, 3 - 2 * 0.5, "serve");
    set_load(&f, 0, 1, 3, 1); /* the second MW idles and takes no power */
    expect_best(&f, 3 - 0.5, "serve");
    set_load(&f, 0, 5, 0.2, 0.1); /* power is dearer than a unit's 0.2 + 0.1: all is missed */
    expect_best(&f, -0.5, NULL);
    f.problem.fixed_cash_usd[0] = 7 * M; /* what no decision changes */
    expect_best(&f, 6.5, NULL);
    fixture_free(&f);
}

/* Yields of 1 and 3 units a MW, power 0.5 a MW: the better pool first (3 units, 0.5), then half a MW of
 * the other (0.25): 3.5 - 0.75. */
static void the_cheaper_pool_serves_first(void **state) {
    (void)state;
    fixture f = live((fixture_def){.n_site = 2, .n_gen = 2}, (double[]){1, 1});
    f.site[1].generation = 1;
    f.problem.tok_per_s_per_mw[1] = 3.0;
    f.problem.power_usd_per_mw[0] = 0.5 * M;
    set_load(&f, 0, 3.5, 1, 0);
    expect_best(&f, 2.75, "serve");
    fixture_free(&f);
}

/* 1 MW of inference fabric, 2 MW of training fabric; a training MW gives 2 units at 0.6, an inference
 * MW one. Training fabric serves either, inference fabric inference only. */
static void training_fabric_serves_inference_and_not_the_reverse(void **state) {
    (void)state;
    fixture f = live((fixture_def){.n_site = 2, .n_demand = 2}, (double[]){1, 2});
    training_load(&f, 1);
    f.site[1].fabric = RUB_FABRIC_TRAINING;
    f.problem.train_per_mw[0] = 2.0;
    set_load(&f, 0, 2, 1, 0);
    set_load(&f, 1, 5, 0.6, 0);
    expect_best(&f, 1 + 2 * 2 * 0.6, "serve"); /* a MW of training is worth 1.2, of inference 1 */
    set_load(&f, 0, 2, 1.5, 0);
    expect_best(&f, 2 * 1.5 + 2 * 0.6,
                "serve"); /* inference is worth more, and takes one MW of it */
    set_load(&f, 0, 0, 1, 0);
    expect_best(&f, 2 * 2 * 0.6,
                NULL); /* inference fabric idles while 1 unit of training is missed */
    fixture_free(&f);
}

/* Steps of 1 unit at 2 and 1 at 4; a unit served is worth 3, or 5 with the penalty of 2. */
static void renting_in_climbs_the_steps(void **state) {
    (void)state;
    fixture f = fixture_make((fixture_def){.n_step = 2});
    f.site->stage = RUB_STAGE_ENDED;
    f.problem.rent_in_depth[0] = f.problem.rent_in_depth[1] = 1.0;
    f.problem.rent_in_usd[0] = 2 * M;
    f.problem.rent_in_usd[1] = 4 * M;
    set_load(&f, 0, 3, 3, 0);
    expect_best(&f, 3 - 2, "none");
    set_load(&f, 0, 3, 3, 2);
    expect_best(&f, 2 * 3 - 2 - 4 - 1 * 2, "none");
    f.problem.allow &= ~(uint32_t)RUB_ALLOW_RENT_IN;
    expect_best(&f, -3 * 2, "none");
    fixture_free(&f);
}

/* The third MW is rented out at 1 less 0.5 of power; the next step pays 0.4, less than power. */
static void renting_out_descends_the_steps(void **state) {
    (void)state;
    fixture f = live((fixture_def){.n_step = 2}, (double[]){3});
    f.problem.rent_out_depth[0] = f.problem.rent_out_depth[1] = 1.0;
    f.problem.rent_out_usd[0] = 1 * M;
    f.problem.rent_out_usd[1] = 0.4 * M;
    f.problem.power_usd_per_mw[0] = 0.5 * M;
    set_load(&f, 0, 1, 3, 0);
    expect_best(&f, 3 - 0.5 + 1 - 0.5, "serve");
    f.problem.allow &= ~(uint32_t)RUB_ALLOW_RENT_OUT;
    expect_best(&f, 2.5, "serve");
    fixture_free(&f);
}

/* Training has a market of its own (after the regions'): what is rented for one class does not serve
 * the other. */
static void training_is_rented_in_its_own_market(void **state) {
    (void)state;
    fixture f = fixture_make((fixture_def){.n_demand = 2});
    f.site->stage = RUB_STAGE_ENDED;
    training_load(&f, 1);
    set_load(&f, 0, 5, 3, 0);
    set_load(&f, 1, 5, 4, 0);
    f.problem.rent_in_depth[0] = 2.0; /* inference of region 0 */
    f.problem.rent_in_usd[0] = 1 * M;
    expect_best(&f, 2 * (3 - 1), "none");
    f.problem.rent_in_depth[1] = 3.0; /* training */
    f.problem.rent_in_usd[1] = 1 * M;
    expect_best(&f, 4 + 3 * (4 - 1), "none");
    fixture_free(&f);
}

/* 3 MW in region 0; a unit is worth 1 there, 2 in region 1 less 0.3 for the way. The link goes one way;
 * training is served from anywhere. */
static void inference_is_shipped_over_links(void **state) {
    (void)state;
    fixture f = live((fixture_def){.n_region = 2, .n_demand = 3, .n_link = 1}, (double[]){3});
    f.demand[1].region = 1;
    training_load(&f, 2);
    f.link[0].from = 0;
    f.link[0].to = 1;
    f.problem.ship_usd[0] = 0.3 * M;
    set_load(&f, 0, 1, 1, 0);
    set_load(&f, 1, 5, 2, 0);
    expect_best(&f, 3 * 1.7, "serve");
    set_load(&f, 1, 2, 2, 0);
    expect_best(&f, 2 * 1.7 + 1, "serve");
    f.problem.allow &= ~(uint32_t)RUB_ALLOW_SHIP;
    expect_best(&f, 1, "serve");
    f.problem.allow = RUB_ALLOW_ALL;
    f.site->region = 1; /* nothing goes back to region 0 */
    expect_best(&f, 2 * 2, "serve");
    f.site->fabric = RUB_FABRIC_TRAINING;
    set_load(&f, 2, 4, 5, 0);
    expect_best(&f, 3 * 5, "serve");
    fixture_free(&f);
}

/* 3 MW live under a grid limit of 2 MW that training and inference share. */
static void the_grid_limits_the_mw_in_use(void **state) {
    (void)state;
    fixture f = live((fixture_def){.n_demand = 2}, (double[]){3});
    training_load(&f, 1);
    f.site->fabric = RUB_FABRIC_TRAINING;
    set_load(&f, 0, 5, 1, 0);
    set_load(&f, 1, 1, 4, 0);
    expect_best(&f, 4 + 2 * 1, "serve");
    f.problem.grid_mw[0] = 2.0;
    expect_best(&f, 4 + 1, "serve");
    f.problem.grid_mw[0] = 0.0;
    expect_best(&f, 0, NULL);
    fixture_free(&f);
}

/* Three shells of 1 MW, servers 2, a MW earns 10 a quarter. Supply of 2 MW, then 1.5: two ordered at
 * once, one in the second quarter: 20 + 30 - 6. With 1.9 at first, one and one: 10 + 20 - 4. */
static void supply_caps_the_orders_of_a_quarter(void **state) {
    (void)state;
    fixture f = fixture_make((fixture_def){.n_node = 3, .n_site = 2});
    f.study.shell_life_years = 0.0;
    f.site[0].stage = f.site[1].stage = RUB_STAGE_SHELL;
    f.site[1].n_block = 2;
    servers_cost(&f, 2);
    for (int32_t n = 0; n < 3; n++) {
        f.problem.demand[n] = 3.0;
        f.problem.value_usd[n] = 10 * M;
    }
    expect_best(&f, 2 * 30 - 6, NULL);
    f.problem.supply_mw[0] = 2.0;
    f.problem.supply_mw[1] = 1.5;
    expect_best(&f, 44, NULL);
    f.problem.supply_mw[0] = 1.9;
    expect_best(&f, 26, NULL);
    fixture_free(&f);
}

/* Two shells, servers 2 each, a MW earns 10 a quarter, four quarters; budget of 3 for the first two,
 * plenty for the others: the second order waits for the new fiscal year: 10 + 10 + 20 - 4. */
static void capex_is_within_each_fiscal_year_s_budget(void **state) {
    (void)state;
    fixture f = fixture_make((fixture_def){.n_node = 4, .n_budget = 2});
    f.study.shell_life_years = 0.0;
    f.site->stage = RUB_STAGE_SHELL;
    f.site->n_block = 2;
    servers_cost(&f, 2);
    for (int32_t n = 0; n < 4; n++) {
        f.problem.demand[n] = 2.0;
        f.problem.value_usd[n] = 10 * M;
    }
    expect_best(&f, 3 * 20 - 4, NULL);
    for (int32_t t = 0; t < 4; t++)
        f.problem.budget_of_quarter[t] = t / 2;
    f.problem.budget_usd[0] = 3 * M;
    expect_best(&f, 36, NULL);
    f.problem.budget_usd[0] = 4 * M; /* just enough */
    expect_best(&f, 56, NULL);
    f.site->upgrade_usd_per_mw = -1;
    f.problem.budget_usd[0] = f.problem.budget_usd[1] = 1.9 * M;
    expect_best(&f, 0, NULL);
    fixture_free(&f);
}

/* A budget holds on each path by itself. One order of 2 in the second quarter of either future (4 in
 * all) keeps a budget of 3: 10 - 2. And one now and one more in half of the futures (3 in the mean)
 * does not: only one is ordered, 2 * 10 - 2. */
static void a_budget_holds_on_every_path(void **state) {
    (void)state;
    fixture f = fork_of(3, 0.5);
    f.study.n_budget = 1;
    f.study.shell_life_years = 0.0;
    f.study.budget = fixture_own(&f, 1, sizeof *f.study.budget);
    f.problem.n_budget = 1;
    f.problem.budget_usd = fixture_doubles(&f, 1, 3 * M);
    memset(f.problem.budget_of_quarter, 0, 3 * sizeof(int32_t));
    f.site->stage = RUB_STAGE_SHELL;
    servers_cost(&f, 2);
    load_of(&f, 1, 2, 10);
    f.problem.may_order[0] = 0;
    expect_best(&f, 10 - 2, "wait, fit out 0, fit out 0, serve, serve");
    f.problem.may_order[0] = 1;
    f.site->n_block = 2;
    f.problem.demand[3] = 2.0; /* a second unit, in the last quarter of the first future */
    expect_best(&f, 2 * 10 - 2, NULL);
    f.problem.budget_usd[0] = 4 * M; /* the second order too: 1/2 * (10 - 2) more */
    expect_best(&f, 2 * 10 - 2 + 4, NULL);
    fixture_free(&f);
}

/* A load worth 0.1 against power of 0.5 is not served unless half of it must be. */
static void what_must_be_served_is(void **state) {
    (void)state;
    fixture f = live((fixture_def){0}, (double[]){2});
    set_load(&f, 0, 2, 0.1, 0);
    f.problem.power_usd_per_mw[0] = 0.5 * M;
    expect_best(&f, 0, NULL);
    f.demand[0].must_serve_frac = 0.5;
    expect_best(&f, 0.1 - 0.5, "serve");
    set_load(&f, 0, 4.1, 0.1, 0); /* 2.05 of 2 MW */
    expect_infeasible(&f);
    f.problem.rent_in_depth[0] =
        1.0; /* the rest is rented in, at 3: 2.05 * 0.1 - 2 * 0.5 - 0.05 * 3 */
    f.problem.rent_in_usd[0] = 3 * M;
    expect_best(&f, 0.205 - 1 - 0.15, "serve");
    fixture_free(&f);
}

/* 4 now for 12 in one future and nothing in the other: +8 or -4, 2 in the mean. The mean of the worst
 * half is -4, of the worst three quarters (1/2 * -4 + 1/4 * 8) / (3/4) = 0. */
static void risk_weighs_the_tail(void **state) {
    (void)state;
    fixture f = fork_of(2, 0.5);
    f.study.shell_life_years = 0.0;
    f.site->stage = RUB_STAGE_SHELL;
    f.problem.gen_usd_per_mw[0] = 4 * M; /* and worth nothing a quarter later */
    f.problem.demand[1] = 1.0;
    f.problem.value_usd[1] = 12 * M;
    expect_best(&f, 2, "fit out 0, serve, serve");
    f.problem.cvar_alpha = 0.5;
    f.problem.cvar_weight = 0.25;
    expect_best(&f, 0.75 * 2 + 0.25 * -4, NULL);
    f.problem.cvar_weight = 0.5; /* 1 - 2 = -1: better not */
    expect_best(&f, 0, NULL);
    f.problem.cvar_alpha = 0.75;
    expect_best(&f, 0.5 * 2 + 0.5 * 0, NULL);
    f.problem.cvar_alpha = 1.0; /* the worst of all is the mean */
    expect_best(&f, 2, NULL);
    fixture_free(&f);
}

/* 1 in each of three quarters at 1, 1/2, 1/4; and resale of the last quarter counts 1/4 too. */
static void money_is_discounted_by_its_quarter(void **state) {
    (void)state;
    fixture f = live((fixture_def){.n_node = 3}, (double[]){1});
    for (int32_t n = 0; n < 3; n++) {
        set_load(&f, n, 1, 1, 0);
        f.problem.discount[n] = pow(0.5, n);
    }
    expect_best(&f, 1.75, "serve, serve, serve");
    f.generation[0].residual_frac_per_year = 1.0;
    f.problem.gen_usd_per_mw[2] = 8 * M;
    expect_best(&f, 3.75, "serve, serve, serve");
    fixture_free(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads_earn_and_are_missed),
        cmocka_unit_test(the_cheaper_pool_serves_first),
        cmocka_unit_test(training_fabric_serves_inference_and_not_the_reverse),
        cmocka_unit_test(renting_in_climbs_the_steps),
        cmocka_unit_test(renting_out_descends_the_steps),
        cmocka_unit_test(training_is_rented_in_its_own_market),
        cmocka_unit_test(inference_is_shipped_over_links),
        cmocka_unit_test(the_grid_limits_the_mw_in_use),
        cmocka_unit_test(supply_caps_the_orders_of_a_quarter),
        cmocka_unit_test(capex_is_within_each_fiscal_year_s_budget),
        cmocka_unit_test(a_budget_holds_on_every_path),
        cmocka_unit_test(what_must_be_served_is),
        cmocka_unit_test(risk_weighs_the_tail),
        cmocka_unit_test(money_is_discounted_by_its_quarter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
