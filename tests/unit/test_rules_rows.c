/* docs/portfolio.md, states and actions: each row of the table with its cash flows, what is open when,
 * where a block stands at the start. Every answer is worked out by hand, in millions of USD. */
#include "../rules.h"

static void row_of(rub_stage stage, bool owned, row r) {
    fixture f = terms(stage, owned);
    expect_row(&f, r);
    fixture_free(&f);
}

static void leased(rub_stage stage, row r) { row_of(stage, false, r); }
static void owned(rub_stage stage, row r) { row_of(stage, true, r); }

static void rows_before_signing(void **state) {
    (void)state;
    fixture f = terms(RUB_STAGE_TALKS, false);
    f.site->close_q = FIXTURE_START_Q + 1;
    expect_row(&f, (row){.action = RUB_ACTION_WAIT, .next = STATE(.stage = RUB_STAGE_TALKS)});
    expect_row(&f, (row){.action = RUB_ACTION_CANCEL, .next = ENDED});
    fixture_free(&f);
    leased(
        RUB_STAGE_OPTION,
        (row){.action = RUB_ACTION_WAIT, .next = STATE(.stage = RUB_STAGE_OPTION), .lease = -0.3});
    leased(RUB_STAGE_OPTION, (row){.action = RUB_ACTION_SIGN,
                                   .next = STATE(.stage = RUB_STAGE_SIGNED),
                                   .capex_long = -7});
    leased(RUB_STAGE_OPTION, (row){.action = RUB_ACTION_CANCEL, .next = ENDED});
    /* owned: half of the land's price stands at the end */
    owned(RUB_STAGE_OPTION, (row){.action = RUB_ACTION_SIGN,
                                  .next = STATE(.stage = RUB_STAGE_SIGNED),
                                  .capex_long = -7,
                                  .terminal = 3.5});
}

static void rows_of_signed(void **state) {
    (void)state;
    leased(RUB_STAGE_SIGNED, (row){.action = RUB_ACTION_PROCEED,
                                   .next = STATE(.stage = RUB_STAGE_BUILDING, .remaining = 1),
                                   .capex_long = -10,
                                   .lease = -0.6});
    leased(RUB_STAGE_SIGNED, (row){.action = RUB_ACTION_WAIT,
                                   .next = STATE(.stage = RUB_STAGE_SIGNED),
                                   .hold = -0.1,
                                   .lease = -0.6});
    leased(RUB_STAGE_SIGNED, (row){.action = RUB_ACTION_SUBLET, .next = ENDED});
    leased(RUB_STAGE_SIGNED, (row){.action = RUB_ACTION_CANCEL, .next = ENDED, .lease = -3.6});
    /* owned: (7 + 20 * 1/2) * 1/2 stands at the end; no rent; the fee without a notice */
    owned(RUB_STAGE_SIGNED, (row){.action = RUB_ACTION_PROCEED,
                                  .next = STATE(.stage = RUB_STAGE_BUILDING, .remaining = 1),
                                  .capex_long = -10,
                                  .terminal = 8.5});
    owned(RUB_STAGE_SIGNED, (row){.action = RUB_ACTION_WAIT,
                                  .next = STATE(.stage = RUB_STAGE_SIGNED),
                                  .hold = -0.1,
                                  .terminal = 3.5});
    owned(RUB_STAGE_SIGNED, (row){.action = RUB_ACTION_CANCEL, .next = ENDED, .lease = -3});
    /* before commencement: no rent, no notice; commencement may be put off */
    fixture f = terms(RUB_STAGE_SIGNED, false);
    f.site->commence_q = FIXTURE_START_Q + 1;
    expect_row(&f, (row){.action = RUB_ACTION_DEFER,
                         .next = STATE(.stage = RUB_STAGE_SIGNED, .deferred = 1),
                         .lease = -0.12,
                         .hold = -0.1});
    expect_row(&f, (row){.action = RUB_ACTION_CANCEL, .next = ENDED, .lease = -3});
    /* no time to build: all of the shell now */
    f.site->build_for_q = 0;
    expect_row(&f, (row){.action = RUB_ACTION_PROCEED,
                         .next = STATE(.stage = RUB_STAGE_SHELL),
                         .capex_long = -20});
    fixture_free(&f);
}

static void rows_of_building_and_paused(void **state) {
    (void)state;
    leased(RUB_STAGE_BUILDING, (row){.action = RUB_ACTION_PROCEED,
                                     .next = STATE(.stage = RUB_STAGE_SHELL),
                                     .capex_long = -10,
                                     .lease = -0.6});
    leased(RUB_STAGE_BUILDING, (row){.action = RUB_ACTION_PAUSE,
                                     .next = STATE(.stage = RUB_STAGE_PAUSED, .remaining = 1),
                                     .hold = -0.14,
                                     .lease = -0.6});
    leased(RUB_STAGE_BUILDING, (row){.action = RUB_ACTION_CANCEL, .next = ENDED, .lease = -3.6});
    leased(RUB_STAGE_PAUSED, (row){.action = RUB_ACTION_WAIT,
                                   .next = STATE(.stage = RUB_STAGE_PAUSED, .remaining = 1),
                                   .hold = -0.14,
                                   .lease = -0.6});
    leased(RUB_STAGE_PAUSED, (row){.action = RUB_ACTION_RESUME,
                                   .next = STATE(.stage = RUB_STAGE_BUILDING, .remaining = 1),
                                   .capex_long = -1,
                                   .lease = -0.6});
    leased(RUB_STAGE_PAUSED, (row){.action = RUB_ACTION_SUBLET, .next = ENDED});
    leased(RUB_STAGE_PAUSED, (row){.action = RUB_ACTION_CANCEL, .next = ENDED, .lease = -3.6});
    /* owned: of a shell half built (1 of 2 quarters to go) (7 + 20 * 1/2) * 1/2 stands; of a whole one
     * (7 + 20) * 1/2 */
    owned(RUB_STAGE_BUILDING, (row){.action = RUB_ACTION_PROCEED,
                                    .next = STATE(.stage = RUB_STAGE_SHELL),
                                    .capex_long = -10,
                                    .terminal = 13.5});
    owned(RUB_STAGE_PAUSED, (row){.action = RUB_ACTION_WAIT,
                                  .next = STATE(.stage = RUB_STAGE_PAUSED, .remaining = 1),
                                  .hold = -0.14,
                                  .terminal = 8.5});
    /* resuming takes three quarters: two more of them paused */
    fixture f = terms(RUB_STAGE_PAUSED, false);
    f.site->resume_delay_q = 3;
    expect_row(&f, (row){.action = RUB_ACTION_RESUME,
                         .next = STATE(.stage = RUB_STAGE_PAUSED, .remaining = 1, .age = 2),
                         .capex_long = -1,
                         .lease = -0.6});
    fixture_free(&f);
}

static void rows_of_shell_and_fitting(void **state) {
    (void)state;
    leased(RUB_STAGE_SHELL, (row){.action = RUB_ACTION_WAIT,
                                  .next = STATE(.stage = RUB_STAGE_SHELL),
                                  .hold = -0.1,
                                  .lease = -0.6});
    /* (8 + 1) * 2; new accelerators stand at the end at their price, 16 */
    leased(RUB_STAGE_SHELL, (row){.action = RUB_ACTION_FIT_OUT,
                                  .gen = 1,
                                  .next = STATE(.stage = RUB_STAGE_LIVE, .gen = 1),
                                  .capex_short = -18,
                                  .lease = -0.6,
                                  .terminal = 16});
    leased(RUB_STAGE_SHELL, (row){.action = RUB_ACTION_UPGRADE,
                                  .next = STATE(.stage = RUB_STAGE_SHELL, .training = 1),
                                  .capex_long = -0.8,
                                  .hold = -0.1,
                                  .lease = -0.6});
    leased(RUB_STAGE_SHELL, (row){.action = RUB_ACTION_SUBLET,
                                  .next = STATE(.stage = RUB_STAGE_SUBLET, .remaining = 2),
                                  .hold = -0.1,
                                  .lease = -0.6});
    leased(RUB_STAGE_SHELL, (row){.action = RUB_ACTION_CANCEL, .next = ENDED, .lease = -3.6});
    leased(RUB_STAGE_FITTING, (row){.action = RUB_ACTION_PROCEED,
                                    .next = STATE(.stage = RUB_STAGE_LIVE),
                                    .lease = -0.6,
                                    .terminal = 12});
    owned(RUB_STAGE_SHELL, (row){.action = RUB_ACTION_CANCEL, .next = ENDED, .lease = -3});
    owned(RUB_STAGE_SHELL, (row){.action = RUB_ACTION_WAIT,
                                 .next = STATE(.stage = RUB_STAGE_SHELL),
                                 .hold = -0.1,
                                 .terminal = 13.5});
    fixture f = terms(RUB_STAGE_SHELL, false);
    f.site->fit_for_q = 2; /* accelerators that are being installed count as new */
    expect_row(&f, (row){.action = RUB_ACTION_FIT_OUT,
                         .next = STATE(.stage = RUB_STAGE_FITTING, .remaining = 1),
                         .capex_short = -14,
                         .lease = -0.6,
                         .terminal = 12});
    fixture_free(&f);
}

/* Two quarters old: resale 12 * 0.25^(2/4) = 6; three at the end: 12 * 0.25^(3/4) = 12 / 2^1.5. */
static void rows_of_live(void **state) {
    (void)state;
    double older = 12 / (2 * sqrt(2.0));
    leased(RUB_STAGE_LIVE, (row){.action = RUB_ACTION_SERVE,
                                 .next = STATE(.stage = RUB_STAGE_LIVE, .age = 3),
                                 .value = 2,         /* 2 MW at 1 unit each */
                                 .opex = -0.4 - 0.2, /* and their power */
                                 .lease = -0.6,
                                 .terminal = older});
    leased(RUB_STAGE_LIVE, (row){.action = RUB_ACTION_REFRESH,
                                 .gen = 1,
                                 .next = STATE(.stage = RUB_STAGE_LIVE, .gen = 1),
                                 .resale = 6,
                                 .capex_short = -18,
                                 .lease = -0.6,
                                 .terminal = 16});
    leased(RUB_STAGE_LIVE, (row){.action = RUB_ACTION_UPGRADE, /* serves nothing meanwhile */
                                 .next = STATE(.stage = RUB_STAGE_LIVE, .age = 3, .training = 1),
                                 .capex_long = -0.8,
                                 .opex = -0.4,
                                 .lease = -0.6,
                                 .terminal = older});
    leased(RUB_STAGE_LIVE, (row){.action = RUB_ACTION_RETIRE,
                                 .next = STATE(.stage = RUB_STAGE_SHELL),
                                 .resale = 6,
                                 .lease = -0.6});
    leased(RUB_STAGE_LIVE,
           (row){.action = RUB_ACTION_CANCEL, .next = ENDED, .resale = 6, .lease = -3.6});
    owned(RUB_STAGE_LIVE, (row){.action = RUB_ACTION_SERVE,
                                .next = STATE(.stage = RUB_STAGE_LIVE, .age = 3),
                                .value = 2,
                                .opex = -0.6,
                                .terminal = older + 13.5});
}

static void rows_of_sublet_and_ended(void **state) {
    (void)state;
    leased(RUB_STAGE_SUBLET, (row){.action = RUB_ACTION_WAIT,
                                   .next = STATE(.stage = RUB_STAGE_SUBLET),
                                   .sublet = 0.9,
                                   .lease = -0.6});
    owned(RUB_STAGE_SUBLET, (row){.action = RUB_ACTION_WAIT,
                                  .next = STATE(.stage = RUB_STAGE_SUBLET),
                                  .sublet = 0.9,
                                  .terminal = 13.5});
    fixture f = terms(RUB_STAGE_SUBLET, false);
    f.site->remaining_q = 0;
    expect_row(&f, (row){.action = RUB_ACTION_WAIT,
                         .next = STATE(.stage = RUB_STAGE_SUBLET),
                         .sublet = 0.9,
                         .lease = -0.6});
    expect_row(&f, (row){.action = RUB_ACTION_RESUME,
                         .next = STATE(.stage = RUB_STAGE_SHELL),
                         .sublet = 0.9,
                         .lease = -0.6});
    fixture_free(&f);
    leased(RUB_STAGE_ENDED, (row){.action = RUB_ACTION_NONE, .next = ENDED});
}

/* ---- what is open ------------------------------------------------------------------------------- */

/* With each right, and without it. */
static void open_in(rub_stage stage, bool is_owned, uint32_t without, const char *want) {
    fixture f = terms(stage, is_owned);
    f.problem.allow = RUB_ALLOW_ALL & ~without;
    f.site->close_q = FIXTURE_START_Q + 1;
    f.site->commence_q = FIXTURE_START_Q + 1;
    expect_open(&f, want);
    fixture_free(&f);
}

static void each_right_opens_its_actions(void **state) {
    (void)state;
    open_in(RUB_STAGE_TALKS, false, 0, "wait, cancel");
    open_in(RUB_STAGE_TALKS, false, RUB_ALLOW_CANCEL, "wait, cancel");
    open_in(RUB_STAGE_OPTION, false, RUB_ALLOW_ALL, "wait, sign, cancel");
    open_in(RUB_STAGE_SIGNED, false, 0, "proceed, wait, defer, sublet, cancel");
    open_in(RUB_STAGE_SIGNED, true, 0, "proceed, wait, cancel");
    open_in(RUB_STAGE_SIGNED, false, RUB_ALLOW_ALL, "proceed");
    open_in(RUB_STAGE_SIGNED, false, RUB_ALLOW_WAIT, "proceed, defer, sublet, cancel");
    open_in(RUB_STAGE_SIGNED, false, RUB_ALLOW_DEFER, "proceed, wait, sublet, cancel");
    open_in(RUB_STAGE_SIGNED, false, RUB_ALLOW_SUBLET, "proceed, wait, defer, cancel");
    open_in(RUB_STAGE_SIGNED, false, RUB_ALLOW_CANCEL, "proceed, wait, defer, sublet");
    open_in(RUB_STAGE_BUILDING, false, 0, "proceed, pause, cancel");
    open_in(RUB_STAGE_BUILDING, false, RUB_ALLOW_PAUSE, "proceed, cancel");
    open_in(RUB_STAGE_BUILDING, true, RUB_ALLOW_CANCEL, "proceed, pause");
    open_in(RUB_STAGE_PAUSED, false, 0, "wait, resume, sublet, cancel");
    open_in(RUB_STAGE_PAUSED, true, 0, "wait, resume, cancel");
    open_in(RUB_STAGE_PAUSED, false, RUB_ALLOW_ALL, "wait, resume");
    open_in(RUB_STAGE_SHELL, false, 0, "wait, fit out, upgrade, sublet, cancel");
    open_in(RUB_STAGE_SHELL, true, 0, "wait, fit out, upgrade, sublet, cancel");
    open_in(RUB_STAGE_SHELL, false, RUB_ALLOW_ALL, "wait, fit out");
    open_in(RUB_STAGE_FITTING, false, 0, "proceed");
    open_in(RUB_STAGE_LIVE, false, 0, "serve, refresh, upgrade, retire, cancel");
    open_in(RUB_STAGE_LIVE, false, RUB_ALLOW_ALL, "serve, retire");
    open_in(RUB_STAGE_SUBLET, false, 0, "wait");
    open_in(RUB_STAGE_ENDED, false, 0, "none");
}

static void terms_of_the_site_open_and_close(void **state) {
    (void)state;
    fixture f = terms(RUB_STAGE_SIGNED, false);
    expect_open(&f, "proceed, wait, sublet, cancel"); /* commenced: too late to defer */
    f.site->commence_q = FIXTURE_START_Q + 1;
    f.site->defer_max_q = 0;
    expect_open(&f, "proceed, wait, sublet, cancel");
    f.site->commence_q = RUB_NEVER;
    f.site->defer_max_q = 2;
    expect_open(&f, "proceed, wait, sublet, cancel");
    f.site->may_sublet = false;
    expect_open(&f, "proceed, wait, cancel");
    f.site->stage = RUB_STAGE_BUILDING;
    f.site->may_pause = false;
    expect_open(&f, "proceed, cancel");
    f.site->stage = RUB_STAGE_SHELL;
    f.site->upgrade_usd_per_mw = -1;
    expect_open(&f, "wait, fit out, cancel");
    f.problem.may_order[0] = f.problem.may_order[1] = 0;
    expect_open(&f, "wait, cancel");
    f.site->upgrade_usd_per_mw = 0;
    f.site->fabric = RUB_FABRIC_TRAINING; /* nothing to upgrade */
    expect_open(&f, "wait, cancel");
    f.site->stage = RUB_STAGE_LIVE;
    expect_open(&f, "serve, retire, cancel");
    f.site->age_years = 4.0; /* as old as they may be */
    expect_open(&f, "retire, cancel");
    f.site->stage = RUB_STAGE_SUBLET;
    f.site->remaining_q = 0;
    expect_open(&f, "wait, resume");
    f.site->stage = RUB_STAGE_OPTION;
    f.site->option_expiry_q = FIXTURE_START_Q; /* last quarter to sign in */
    expect_open(&f, "sign, cancel");
    f.site->option_expiry_q = FIXTURE_START_Q - 1;
    expect_open(&f, "cancel");
    fixture_free(&f);
}

/* ---- where a block stands at the start ---------------------------------------------------------- */

static void starts(fixture *f, rub_block_state want) {
    const rub_problem *p = fixture_bind(f);
    rub_compiled c = {0};
    assert_int_equal(rub_compiled_make(p, &c, NULL), RUB_OK);
    const rub_automaton *a = &c.site[0].automaton;
    const rub_block_state *is = &a->state[rub_state_arrive(p, a, a->initial, 0)];
    assert_memory_equal(is, &want, sizeof want);
    evaluator_lets(p, RUB_ACTION_NONE, 0); /* fails when it expects another state */
    rub_compiled_clear(&c);
}

static void the_start_is_the_study_s(void **state) {
    (void)state;
    fixture f = terms(RUB_STAGE_BUILDING, false);
    f.site->remaining_q = 2;
    starts(&f, STATE(.stage = RUB_STAGE_BUILDING, .remaining = 2));
    f.site->remaining_q = 0;
    starts(&f, STATE(.stage = RUB_STAGE_SHELL));
    f.site->stage = RUB_STAGE_PAUSED;
    starts(&f, STATE(.stage = RUB_STAGE_SHELL));
    f.site->stage = RUB_STAGE_FITTING;
    f.site->generation = 1;
    starts(&f, STATE(.stage = RUB_STAGE_LIVE, .gen = 1));
    f.site->remaining_q = 2;
    starts(&f, STATE(.stage = RUB_STAGE_FITTING, .remaining = 2, .gen = 1));
    f.site->stage = RUB_STAGE_LIVE;
    f.site->age_years = 0.6; /* 2.4 quarters */
    starts(&f, STATE(.stage = RUB_STAGE_LIVE, .gen = 1, .age = 2));
    f.site->age_years = 9.0; /* at most the life of 4 years */
    starts(&f, STATE(.stage = RUB_STAGE_LIVE, .gen = 1, .age = 16));
    f.site->stage = RUB_STAGE_SUBLET;
    f.site->fabric = RUB_FABRIC_TRAINING;
    starts(&f, STATE(.stage = RUB_STAGE_SUBLET, .remaining = 2, .training = 1));
    /* a lease whose term ended before the start is in its second; one that ends now is not */
    f.site->stage = RUB_STAGE_SHELL;
    f.site->term_years = 1.0;
    f.site->commence_q = FIXTURE_START_Q - 5;
    starts(&f, STATE(.stage = RUB_STAGE_SHELL, .training = 1, .renewed = 1));
    f.site->commence_q = FIXTURE_START_Q - 4;
    starts(&f, STATE(.stage = RUB_STAGE_SHELL, .training = 1));
    f.site->stage = RUB_STAGE_TALKS; /* concluded at the start */
    f.site->close_q = FIXTURE_START_Q;
    starts(&f, ENDED);
    *fixture_talks(&f, 0, 0) = 1.0;
    starts(&f, STATE(.stage = RUB_STAGE_OPTION, .training = 1));
    fixture_free(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_before_signing),
        cmocka_unit_test(rows_of_signed),
        cmocka_unit_test(rows_of_building_and_paused),
        cmocka_unit_test(rows_of_shell_and_fitting),
        cmocka_unit_test(rows_of_live),
        cmocka_unit_test(rows_of_sublet_and_ended),
        cmocka_unit_test(each_right_opens_its_actions),
        cmocka_unit_test(terms_of_the_site_open_and_close),
        cmocka_unit_test(the_start_is_the_study_s),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
