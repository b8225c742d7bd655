/* docs/portfolio.md, leases: rent, ramp, escalator, deferral, exit fee by date, notice, the lease's
 * end, renewal, assignment. Every answer is worked out by hand beside it, in millions of USD. */
#include "../rules.h"

static void row_at_end(rub_stage stage, row r) {
    fixture f = terms(stage, false);
    f.site->term_years = 1.0;
    f.site->commence_q = FIXTURE_START_Q - 4; /* the first quarter after the term is now */
    f.site->renew_rent_factor = 1.5;
    expect_row(&f, r);
    fixture_free(&f);
}

/* An empty shell of 1 MW on a lease of $100 a kW and month (0.3 a quarter), nothing to do in it. */
static fixture shell_for(int32_t quarters) {
    fixture f = chain_of(quarters);
    f.site->stage = RUB_STAGE_SHELL;
    f.site->owned = false;
    f.site->rent_usd_per_kw_month = 100.0;
    f.problem.allow = 0;
    memset(f.problem.may_order, 0, (size_t)quarters);
    return f;
}

/* From the third quarter on: ramp of a quarter, half, three quarters of 0.3, then full; 10 % more
 * from the fifth quarter after commencement. */
static void rent_ramps_up_and_escalates(void **state) {
    (void)state;
    static const double rent[] = {0,     0,     -0.075, -0.15, -0.225, -0.3,
                                  -0.33, -0.33, -0.33,  -0.33, -0.363};
    fixture f = shell_for(11);
    f.site->commence_q = FIXTURE_START_Q + 2;
    f.site->ramp_for_q = 4;
    f.site->rent_step_per_year = 0.10;
    expect_cash(&f, RUB_CASH_LEASE, rent);
    /* the sum: 0.75 + 4 * 0.33 + 0.363 */
    expect_best(&f, -2.433, NULL);
    f.site->commence_q = RUB_NEVER; /* no date of commencement: no rent */
    expect_best(&f, 0.0, NULL);
    fixture_free(&f);
}

/* Signed in the third quarter after its commencement: rent from the next quarter on, 10 % more from
 * the fifth after commencement. A load of 50 makes it worth signing: 50 - 0.3 - 2 * 0.33 = 49.04. */
static void a_lease_signed_late_pays_from_then_on(void **state) {
    (void)state;
    static const double rent[] = {0, -0.3, -0.33, -0.33};
    fixture f = chain_of(4);
    f.site->stage = RUB_STAGE_OPTION;
    f.site->owned = false;
    f.site->commence_q = FIXTURE_START_Q - 2;
    f.site->rent_usd_per_kw_month = 100.0;
    f.site->rent_step_per_year = 0.10;
    load_of(&f, 3, 3, 50);
    expect_best(&f, 49.04, "sign, proceed, fit out 0, serve");
    expect_cash(&f, RUB_CASH_LEASE, rent);
    fixture_free(&f);
}

/* A signed lease, commencing in the second quarter, which may be put off twice for 0.05 each: fees of
 * 0.1 and one rent of 0.3 instead of three. A fee of 0.4 is more than a rent. */
static void commencement_is_put_off(void **state) {
    (void)state;
    static const double put_off[] = {-0.05, -0.05, 0, -0.3}, rent[] = {0, -0.3, -0.3, -0.3};
    fixture f = chain_of(4);
    f.site->owned = false;
    f.site->shell_usd_per_mw = 1 * M;
    f.site->commence_q = FIXTURE_START_Q + 1;
    f.site->rent_usd_per_kw_month = 100.0;
    f.site->defer_max_q = 2;
    f.site->defer_usd_per_mw_q = 0.05 * M;
    f.problem.allow = RUB_ALLOW_WAIT | RUB_ALLOW_DEFER;
    expect_best(&f, -0.4, "defer, defer, wait, wait");
    expect_cash(&f, RUB_CASH_LEASE, put_off);
    f.site->defer_max_q = 1;
    expect_best(&f, -0.65, "defer, wait, wait, wait");
    f.site->defer_max_q = 2;
    f.site->defer_usd_per_mw_q = 0.4 * M;
    expect_best(&f, -0.9, "wait, wait, wait, wait");
    expect_cash(&f, RUB_CASH_LEASE, rent);
    fixture_free(&f);
}

/* The end moves with commencement. A lease of two quarters from the second on ends before the fourth,
 * in which a load of 10 waits; put off by one (0.05) it does not: -0.05 - 2 * 0.3 + 10 = 9.35. */
static void deferral_moves_the_end(void **state) {
    (void)state;
    fixture f = chain_of(5);
    f.site->owned = false;
    f.site->commence_q = FIXTURE_START_Q + 1;
    f.site->term_years = 0.5;
    f.site->rent_usd_per_kw_month = 100.0;
    f.site->defer_max_q = 1;
    f.site->defer_usd_per_mw_q = 0.05 * M;
    load_of(&f, 3, 3, 10);
    expect_best(&f, 9.35, "defer, proceed, fit out 0, serve, cancel");
    f.site->defer_max_q = 0;
    expect_best(&f, 0.0, NULL);
    fixture_free(&f);
}

/* 6 from 2025-Q2, 2 from 2025-Q4, and from 2026-Q2 a buyer pays 1. Before the first point, the first. */
static void the_exit_fee_goes_by_date(void **state) {
    (void)state;
    static int32_t at[] = {Q(2025, 2), Q(2025, 4), Q(2026, 2)};
    static double fee[] = {6 * M, 2 * M, -1 * M};
    static const double want[] = {-6, -6, -6, -2, -2, 1, 1};
    for (int32_t t = 0; t < 7; t++) {
        fixture f = terms(RUB_STAGE_SHELL, false);
        f.study.start_q = Q(2025, 1) + t;
        f.site->notice_q = 0;
        f.site->exit_fee = (rub_schedule){.n = 3, .quarter = at, .value = fee};
        expect_row(&f, (row){.action = RUB_ACTION_CANCEL, .next = ENDED, .lease = want[t]});
        f.site->exit_fee = (rub_schedule){0}; /* none given */
        expect_row(&f, (row){.action = RUB_ACTION_CANCEL, .next = ENDED});
        fixture_free(&f);
    }
}

/* Two quarters of notice at the rent of the quarter: none before commencement, half of 0.6 in the
 * first of a ramp of two, 0.6 in the second, 0.66 a year later. On top of the fee of 3. */
static void notice_is_paid_at_the_rent_of_the_quarter(void **state) {
    (void)state;
    static const struct {
        int32_t since;
        double cost;
    } at[] = {{-1, -3}, {0, -3.6}, {1, -4.2}, {4, -4.32}};
    for (int i = 0; i < 4; i++) {
        fixture f = terms(RUB_STAGE_SHELL, false);
        f.site->notice_q = 2;
        f.site->ramp_for_q = 2;
        f.site->rent_step_per_year = 0.10;
        f.site->commence_q = FIXTURE_START_Q - at[i].since;
        expect_row(&f, (row){.action = RUB_ACTION_CANCEL, .next = ENDED, .lease = at[i].cost});
        fixture_free(&f);
    }
}

static void open_at_end(rub_stage stage, double age_years, bool may_renew, const char *want) {
    fixture f = terms(stage, false);
    f.site->term_years = 1.0;
    f.site->commence_q = FIXTURE_START_Q - 4;
    f.site->may_renew = may_renew;
    f.site->age_years = age_years;
    expect_open(&f, want);
    f.problem.allow = 0; /* no right is needed to leave when the lease is over */
    expect_open(&f, want);
    f.site->commence_q++; /* one quarter before the end all is as ever */
    f.problem.allow = RUB_ALLOW_ALL;
    assert_false(evaluator_lets(fixture_bind(&f), RUB_ACTION_RENEW, 0));
    assert_false(automaton_lets(fixture_bind(&f), RUB_ACTION_RENEW, 0));
    fixture_free(&f);
}

static void at_the_end_one_renews_or_leaves(void **state) {
    (void)state;
    static const rub_stage stages[] = {RUB_STAGE_SIGNED, RUB_STAGE_BUILDING, RUB_STAGE_PAUSED,
                                       RUB_STAGE_SHELL,  RUB_STAGE_FITTING,  RUB_STAGE_LIVE,
                                       RUB_STAGE_SUBLET};
    for (size_t i = 0; i < RUB_LEN(stages); i++) {
        open_at_end(stages[i], 0.5, true, "renew, cancel");
        open_at_end(stages[i], 0.5, false, "cancel");
    }
    open_at_end(RUB_STAGE_LIVE, 4.0, true, "cancel"); /* too old to serve */
}

/* Half as much rent again (0.9), already in the quarter of renewal; else as by the plain course. */
static void rows_of_renewal(void **state) {
    (void)state;
    row_at_end(RUB_STAGE_SIGNED, (row){.action = RUB_ACTION_RENEW,
                                       .next = STATE(.stage = RUB_STAGE_SIGNED, .renewed = 1),
                                       .hold = -0.1,
                                       .lease = -0.9});
    row_at_end(RUB_STAGE_BUILDING, (row){.action = RUB_ACTION_RENEW,
                                         .next = STATE(.stage = RUB_STAGE_SHELL, .renewed = 1),
                                         .capex_long = -10,
                                         .lease = -0.9});
    row_at_end(RUB_STAGE_PAUSED,
               (row){.action = RUB_ACTION_RENEW,
                     .next = STATE(.stage = RUB_STAGE_PAUSED, .remaining = 1, .renewed = 1),
                     .hold = -0.14,
                     .lease = -0.9});
    row_at_end(RUB_STAGE_SHELL, (row){.action = RUB_ACTION_RENEW,
                                      .next = STATE(.stage = RUB_STAGE_SHELL, .renewed = 1),
                                      .hold = -0.1,
                                      .lease = -0.9});
    row_at_end(RUB_STAGE_FITTING, (row){.action = RUB_ACTION_RENEW,
                                        .next = STATE(.stage = RUB_STAGE_LIVE, .renewed = 1),
                                        .lease = -0.9,
                                        .terminal = 12});
    row_at_end(RUB_STAGE_LIVE, (row){.action = RUB_ACTION_RENEW,
                                     .next = STATE(.stage = RUB_STAGE_LIVE, .age = 3, .renewed = 1),
                                     .value = 2,
                                     .opex = -0.6,
                                     .lease = -0.9,
                                     .terminal = 12 / (2 * sqrt(2.0))});
    row_at_end(RUB_STAGE_SUBLET, (row){.action = RUB_ACTION_RENEW,
                                       .next = STATE(.stage = RUB_STAGE_SUBLET, .renewed = 1),
                                       .sublet = 0.9,
                                       .lease = -0.9});
}

/* Leaving at the end costs nothing; accelerators are sold; who was let to pays no more. */
static void rows_of_leaving_at_the_end(void **state) {
    (void)state;
    row_at_end(RUB_STAGE_SHELL, (row){.action = RUB_ACTION_CANCEL, .next = ENDED});
    row_at_end(RUB_STAGE_BUILDING, (row){.action = RUB_ACTION_CANCEL, .next = ENDED});
    row_at_end(RUB_STAGE_FITTING, (row){.action = RUB_ACTION_CANCEL, .next = ENDED});
    row_at_end(RUB_STAGE_LIVE, (row){.action = RUB_ACTION_CANCEL, .next = ENDED, .resale = 6});
    row_at_end(RUB_STAGE_SUBLET, (row){.action = RUB_ACTION_CANCEL, .next = ENDED});
}

/* Resumed with two quarters of delay to come when the lease ends: renewed, it goes on resuming.
 * -1 (resume) - 0.6 - 5 * 0.9 (rent) - 2 * 0.14 (paused) - 10 (shell) - 14 (fit out) + 60 - 0.6 (serves
 * 2 MW at 30) + 12 * 0.25^(1/4) that stand = 29.02 + 12 / sqrt 2. */
static void a_resume_goes_on_through_renewal(void **state) {
    (void)state;
    fixture f = fixture_make((fixture_def){.n_node = 6});
    fixture base = terms(RUB_STAGE_PAUSED, false);
    *f.site = *base.site;
    f.site->resume_delay_q = 3;
    f.site->term_years = 1.0;
    f.site->commence_q = FIXTURE_START_Q - 3;
    f.site->renew_rent_factor = 1.5;
    f.generation[0].residual_frac_per_year = 0.25;
    servers_cost(&f, 6);
    f.problem.demand[5] = 2.0;
    f.problem.value_usd[5] = 30 * M;
    f.problem.power_usd_per_mw[5] = 0.1 * M;
    expect_best(&f, 29.02 + 12 / sqrt(2.0), "resume, renew, resume, proceed, fit out 0, serve");
    fixture_free(&base);
    fixture_free(&f);
}

/* The second term has no end, and the factor on its rent stays: 0.3 * 2, then 0.45 * 3. */
static void the_second_term_has_no_end(void **state) {
    (void)state;
    static const double rent[] = {-0.3, -0.3, -0.45, -0.45, -0.45};
    fixture f = chain_of(5);
    f.site->stage = RUB_STAGE_LIVE;
    f.site->generation = 0;
    f.site->owned = false;
    f.site->commence_q = FIXTURE_START_Q;
    f.site->term_years = 0.5;
    f.site->may_renew = true;
    f.site->renew_rent_factor = 1.5;
    f.site->rent_usd_per_kw_month = 100.0;
    load_of(&f, 0, 4, 1);
    expect_best(&f, 5 - 1.95, "serve, serve, renew, serve, serve");
    expect_cash(&f, RUB_CASH_LEASE, rent);
    /* dearer than the load is worth: leave for nothing. 2 * (1 - 0.3) */
    f.site->renew_rent_factor = 4.0;
    expect_best(&f, 1.4, "serve, serve, cancel, none, none");
    fixture_free(&f);
}

/* Signed when its first term is over: in its second from the start, which has no end. The term ends
 * with the quarter of signing: still in its first, and over at once. */
static void signed_after_the_term_is_renewed(void **state) {
    (void)state;
    fixture f = terms(RUB_STAGE_OPTION, false);
    f.site->term_years = 1.0;
    f.site->commence_q = FIXTURE_START_Q - 4; /* the next quarter is after the end, which is now */
    expect_row(&f, (row){.action = RUB_ACTION_SIGN,
                         .next = STATE(.stage = RUB_STAGE_SIGNED, .renewed = 1),
                         .capex_long = -7});
    f.site->commence_q = FIXTURE_START_Q - 3; /* the next quarter is the end */
    expect_row(&f, (row){.action = RUB_ACTION_SIGN,
                         .next = STATE(.stage = RUB_STAGE_SIGNED),
                         .capex_long = -7});
    f.site->stage = RUB_STAGE_SHELL; /* in its second term since before the study: all is open */
    f.site->commence_q = FIXTURE_START_Q - 5;
    f.site->renew_rent_factor = 1.5;
    expect_open(&f, "wait, fit out, upgrade, sublet, cancel");
    expect_row(&f, (row){.action = RUB_ACTION_WAIT,
                         .next = STATE(.stage = RUB_STAGE_SHELL, .renewed = 1),
                         .hold = -0.1,
                         .lease = -0.9});
    fixture_free(&f);
}

/* Two leases of 2 MW, signed. With room for 4 MW both are assigned for nothing; with room for 3 one
 * is, and the other waits (rent 0.6, holding 0.1) rather than pay 3.6 to leave. */
static void assigning_takes_the_market_s_depth(void **state) {
    (void)state;
    fixture f = terms(RUB_STAGE_SIGNED, false);
    f.site->n_block = 2;
    f.problem.sublet_depth_mw[0] = 4.0;
    expect_best(&f, 0.0, "sublet");
    f.problem.sublet_depth_mw[0] = 3.0;
    expect_best(&f, -0.7, NULL);
    f.problem.allow &= ~(uint32_t)RUB_ALLOW_SUBLET;
    expect_best(&f, -1.4, "wait");
    fixture_free(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rent_ramps_up_and_escalates),
        cmocka_unit_test(a_lease_signed_late_pays_from_then_on),
        cmocka_unit_test(commencement_is_put_off),
        cmocka_unit_test(deferral_moves_the_end),
        cmocka_unit_test(the_exit_fee_goes_by_date),
        cmocka_unit_test(notice_is_paid_at_the_rent_of_the_quarter),
        cmocka_unit_test(at_the_end_one_renews_or_leaves),
        cmocka_unit_test(rows_of_renewal),
        cmocka_unit_test(rows_of_leaving_at_the_end),
        cmocka_unit_test(a_resume_goes_on_through_renewal),
        cmocka_unit_test(the_second_term_has_no_end),
        cmocka_unit_test(signed_after_the_term_is_renewed),
        cmocka_unit_test(assigning_takes_the_market_s_depth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
