/* Studies that no plan can keep: which limit, where, by how much, in the study's words; the same words
 * from both methods. Amounts are worked out by hand. */
#include "../rules.h"

static void told(fixture *f, const char *want) {
    static const rub_method methods[] = {RUB_METHOD_MIP, RUB_METHOD_PRICING};
    const rub_problem *p = fixture_bind(f);
    for (int i = 0; i < 2; i++) {
        solved s = rules_solve(p, methods[i], NULL);
        if (s.result.outcome != RUB_OUTCOME_INFEASIBLE)
            fail_msg("%s: found a plan, expected none", s.method);
        if (strcmp(s.result.reason, want) != 0)
            fail_msg("%s: \"%s\", expected \"%s\"", s.method, s.result.reason, want);
        assert_null(s.plan.step);
        solved_clear(&s);
    }
}

/* 2 MW live at 1,000 tok/s each; of 4,000 tok/s three quarters must be served. */
static fixture short_of_capacity(void) {
    fixture f = fixture_make((fixture_def){.n_node = 2});
    snprintf(f.demand[0].name, RUB_NAME_MAX, "chat");
    snprintf(f.region[0].name, RUB_NAME_MAX, "us-east");
    snprintf(f.generation[0].name, RUB_NAME_MAX, "h100");
    f.demand[0].must_serve_frac = 0.75;
    f.site->stage = RUB_STAGE_LIVE;
    f.site->generation = 0;
    f.site->block_mw = 2.0;
    for (int32_t n = 0; n < 2; n++) {
        f.problem.tok_per_s_per_mw[n] = 1000.0;
        f.problem.demand[n] = n ? 4000.0 : 2000.0;
        f.problem.value_usd[n] = 1000.0;
    }
    return f;
}

static void must_serve(void **state) {
    (void)state;
    fixture f = short_of_capacity();
    told(&f,
         "No plan keeps every limit: demand 'chat': 1.00k tok/s of the 3.00k tok/s that must be "
         "served in 2025-Q2 cannot be; it would take a lower must_serve.");
    f.demand[0].load_class = RUB_TRAINING;
    f.demand[0].region = -1;
    f.site->fabric = RUB_FABRIC_TRAINING;
    f.problem.train_per_mw[0] = f.problem.train_per_mw[1] = 1000.0;
    told(&f,
         "No plan keeps every limit: demand 'chat': 1.00k accel of the 3.00k accel that must be "
         "served in 2025-Q2 cannot be; it would take a lower must_serve.");
    fixture_free(&f);
}

/* 4 MW live would do, but the grid feeds 2.5 MW; 3 are needed: half a MW more, or 500 tok/s less. */
static void grid(void **state) {
    (void)state;
    fixture f = short_of_capacity();
    f.site->block_mw = 4.0;
    f.problem.grid_mw[0] = f.problem.grid_mw[1] = 2.5;
    told(&f, "No plan keeps every limit: either demand 'chat': 500 tok/s of the 3.00k tok/s that "
             "must be "
             "served in 2025-Q2 cannot be; it would take a lower must_serve; or grid of region "
             "'us-east': 0.5 MW more needed in 2025-Q2 than the 2.5 MW there is.");
    fixture_free(&f);
}

/* A shell of 4 MW could be live in time; 3 MW can be ordered, 577.5 accelerators a MW. */
static void supply(void **state) {
    (void)state;
    fixture f = short_of_capacity();
    f.site->stage = RUB_STAGE_SHELL;
    f.site->block_mw = 4.0;
    f.problem.demand[0] = 0.0;
    f.problem.supply_mw[0] = 3.0;
    f.problem.accel_per_mw[0] = 577.5;
    told(&f, "No plan keeps every limit: either demand 'chat': 3.00k tok/s of the 3.00k tok/s that "
             "must be served in 2025-Q2 cannot be; it would take a lower must_serve; or supply of "
             "accelerator 'h100': 1 MW more needed in 2025-Q1 than the 3 MW (1732 accelerators) "
             "that can be ordered.");
    fixture_free(&f);
}

/* Servers for 4 MW at 10 are 40, the budget leaves 25. */
static void budget(void **state) {
    (void)state;
    fixture f = short_of_capacity();
    f.site->stage = RUB_STAGE_SHELL;
    f.site->block_mw = 4.0;
    f.problem.demand[0] = 0.0;
    servers_cost(&f, 10);
    f.study.n_budget = f.problem.n_budget = 1;
    f.study.budget = fixture_own(&f, 1, sizeof *f.study.budget);
    f.study.budget->fiscal_year = 2025;
    f.problem.budget_usd = fixture_doubles(&f, 1, 25 * M);
    f.problem.budget_of_quarter[0] = f.problem.budget_of_quarter[1] = 0;
    told(&f, "No plan keeps every limit: either demand 'chat': 3.00k tok/s of the 3.00k tok/s that "
             "must be served in 2025-Q2 cannot be; it would take a lower must_serve; or budget "
             "FY2025: $15M more needed than the $25M that is left of it.");
    fixture_free(&f);
}

/* Construction that may not stop: 2 quarters of 10 in a year with 12 left, or already overspent by 3. */
static void committed_capex(void **state) {
    (void)state;
    fixture f = fixture_make((fixture_def){.n_node = 3, .n_budget = 1});
    f.study.budget[0].fiscal_year = 2026;
    f.site->stage = RUB_STAGE_BUILDING;
    f.site->build_for_q = f.site->remaining_q = 2;
    f.site->shell_usd_per_mw = 20 * M;
    f.problem.allow &= ~(uint32_t)RUB_ALLOW_CANCEL;
    for (int32_t t = 0; t < 3; t++)
        f.problem.budget_of_quarter[t] = 0;
    f.problem.budget_usd[0] = 12 * M;
    told(&f, "No plan keeps every limit: budget FY2026: $8M more needed than the $12M that is left "
             "of it.");
    f.problem.budget_usd[0] = -3 * M;
    told(&f,
         "No plan keeps every limit: budget FY2026: $23M more needed than the -$3M that is left "
         "of it.");
    /* it may pause, and the next fiscal year has room: not infeasible */
    f.problem.budget_of_quarter[1] = f.problem.budget_of_quarter[2] = -1;
    f.problem.budget_usd[0] = 0.0;
    f.site->may_pause = true;
    f.site->pause_usd_per_mw_q = 1 * M;
    f.site->resume_usd_per_mw = 2 * M;
    f.study.shell_life_years = 0.0;
    expect_best(&f, -3, "pause, wait, wait"); /* 1 a quarter, better than 2 to resume */
    fixture_free(&f);
}

/* A sublease that runs on, in a market that no longer takes it. */
static void sublet_depth(void **state) {
    (void)state;
    fixture f = fixture_make((fixture_def){.n_node = 2});
    snprintf(f.region[0].name, RUB_NAME_MAX, "eu-west");
    f.site->stage = RUB_STAGE_SUBLET;
    f.site->remaining_q = 3;
    f.site->block_mw = 5.0;
    f.problem.sublet_depth_mw[0] = 5.0;
    f.problem.sublet_depth_mw[1] = 3.5;
    told(&f, "No plan keeps every limit: sublet depth of region 'eu-west': 1.5 MW more needed in "
             "2025-Q2 than the 3.5 MW there is.");
    fixture_free(&f);
}

/* Nothing is live for the load, and what is being built is over the budget: two limits at once. */
static void several_limits_together(void **state) {
    (void)state;
    fixture f = fixture_make((fixture_def){.n_node = 1, .n_demand = 1, .n_budget = 1});
    snprintf(f.demand[0].name, RUB_NAME_MAX, "chat");
    snprintf(f.region[0].name, RUB_NAME_MAX, "us-east");
    f.study.budget[0].fiscal_year = 2025;
    f.demand[0].must_serve_frac = 1.0;
    f.problem.demand[0] = 3.0;
    f.site->stage = RUB_STAGE_BUILDING;
    f.site->build_for_q = f.site->remaining_q = 1;
    f.site->shell_usd_per_mw = 20 * M;
    f.problem.allow &= ~(uint32_t)RUB_ALLOW_CANCEL;
    f.problem.budget_of_quarter[0] = 0;
    f.problem.budget_usd[0] = 12 * M;
    told(&f, "No plan keeps every limit: demand 'chat': 3 tok/s of the 3 tok/s that must be served "
             "in 2025-Q1 cannot be; it would take a lower must_serve; and budget FY2025: $8M more "
             "needed than the $12M that is left of it.");
    fixture_free(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(must_serve),
        cmocka_unit_test(grid),
        cmocka_unit_test(supply),
        cmocka_unit_test(budget),
        cmocka_unit_test(committed_capex),
        cmocka_unit_test(sublet_depth),
        cmocka_unit_test(several_limits_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
