/* docs/portfolio.md, courses of several quarters: construction, pause, talks, option, right of first
 * refusal, refresh, upgrade, sublet. Every answer is worked out by hand beside it, in millions of USD. */
#include "../rules.h"

/* Shell of 9 in three quarters (3 each), fit-out in two for 4 + 1, then three quarters of 10. Eight
 * quarters of a life of 16 leave half of the shell: -9 - 5 + 30 + 4.5 = 20.5. */
static void a_site_is_built_fitted_and_serves(void **state) {
    (void)state;
    fixture f = chain_of(8);
    f.site->build_for_q = 3;
    f.site->shell_usd_per_mw = 9 * M;
    f.site->fit_for_q = 2;
    f.site->fit_usd_per_mw = 1 * M;
    f.study.shell_life_years = 4.0;
    servers_cost(&f, 4);
    load_of(&f, 0, 7, 10);
    expect_best(&f, 20.5, "proceed, proceed, proceed, fit out 0, proceed, serve, serve, serve");
    fixture_free(&f);
}

/* Two quarters of construction to go at 5 each; demand of 30 in the last quarter, in half of the
 * futures. Built on, 5 are spent before that is known: -5 + 1/2 * (-5 - 5 + 30) + 1/2 * -0.3 = 4.85.
 * Paused for a quarter (0.1) and then resumed (0.5) or cancelled (0.3):
 *   -0.1 + 1/2 * (-0.5 - 10 - 5 + 30) + 1/2 * -0.3 = 7.0. */
static fixture pausable(int32_t quarters) {
    static int32_t fee_q[] = {FIXTURE_START_Q};
    static double fee_usd[] = {0.3 * M};
    fixture f = fork_of(quarters, 0.5);
    rub_study_site *s = f.site;
    f.study.shell_life_years = 0.0;
    s->stage = RUB_STAGE_BUILDING;
    s->build_for_q = s->remaining_q = 2;
    s->shell_usd_per_mw = 10 * M;
    s->may_pause = true;
    s->pause_usd_per_mw_q = 0.1 * M;
    s->resume_usd_per_mw = 0.5 * M;
    s->exit_fee = (rub_schedule){.n = 1, .quarter = fee_q, .value = fee_usd};
    servers_cost(&f, 5);
    f.problem.demand[2 * quarters - 3] = 1.0;
    f.problem.value_usd[2 * quarters - 3] = 30 * M;
    return f;
}

static void a_pause_waits_for_news(void **state) {
    (void)state;
    fixture f = pausable(6);
    expect_best(
        &f, 7.0,
        "pause, resume, cancel, proceed, none, proceed, none, fit out 0, none, serve, none");
    f.problem.allow &= ~(uint32_t)RUB_ALLOW_PAUSE;
    expect_best(&f, 4.85, NULL);
    fixture_free(&f);
    /* resuming takes two quarters, the second paused: 0.1 more in the half that resumes */
    f = pausable(7);
    f.site->resume_delay_q = 2;
    expect_best(&f, 6.95,
                "pause, resume, cancel, resume, none, proceed, none, proceed, none, fit out 0, "
                "none, serve, none");
    fixture_free(&f);
}

/* Talks close in the second quarter with 60 %: then sign 5, build at once 2, servers 3, two quarters
 * of 10. 0.6 * (-5 - 2 - 3 + 20) = 6. */
static void talks_close_with_a_probability(void **state) {
    (void)state;
    fixture f = fork_of(6, 0.6);
    f.study.shell_life_years = 0.0;
    f.site->stage = RUB_STAGE_TALKS;
    f.site->close_q = FIXTURE_START_Q + 1;
    f.site->sign_usd = 5 * M;
    f.site->shell_usd_per_mw = 2 * M;
    servers_cost(&f, 3);
    load_of(&f, 0, 5, 10);
    for (int32_t n = 1; n < f.tree.n_node; n += 2)
        *fixture_talks(&f, n, 0) = 1.0;
    expect_best(&f, 6.0,
                "wait, sign, none, proceed, none, fit out 0, none, serve, none, serve, none");
    fixture_free(&f);
}

/* Option of 1 a quarter; signing costs 4, the shell 2, servers 3; two quarters of 10, in half of the
 * futures only. Kept for a quarter and signed when it is worth it: -1 + 1/2 * (-4 - 2 - 3 + 20) = 4.5.
 * When it expires at once, signing blind is -4 + 1/2 * (-2 - 3 + 20) = 3.5. */
static void an_option_is_kept_until_it_expires(void **state) {
    (void)state;
    fixture f = fork_of(6, 0.5);
    f.study.shell_life_years = 0.0;
    f.site->stage = RUB_STAGE_OPTION;
    f.site->option_fee_usd = 1 * M;
    f.site->option_expiry_q = FIXTURE_START_Q + 1;
    f.site->sign_usd = 4 * M;
    f.site->shell_usd_per_mw = 2 * M;
    servers_cost(&f, 3);
    load_of(&f, 4, 5, 10);
    for (int32_t n = 2; n < f.tree.n_node; n += 2)
        f.problem.demand[n] = 0.0;
    expect_best(&f, 4.5,
                "wait, sign, cancel, proceed, none, fit out 0, none, serve, none, serve, none");
    f.site->option_expiry_q = FIXTURE_START_Q;
    expect_best(&f, 3.5, NULL);
    fixture_free(&f);
}

/* 2 MW signed for 1, free to build and fit, three quarters live; a unit is worth 1, power 0.1 a MW.
 * Not held: 3 * (2 - 0.2) - 1 = 4.4. Held with 40 % at 3 a MW: 3 * (1.2 - 0.12 + 3 * 0.8) - 1 = 9.44;
 * at 0.5 a MW: 3 * (1.2 - 0.12 + 0.4) - 1 = 3.44, and signing a quarter later, when the right rests,
 * is 2 * (2 - 0.2) - 1 = 2.6. */
static void a_right_of_first_refusal_takes_its_share(void **state) {
    (void)state;
    fixture f = fixture_make((fixture_def){.n_node = 6, .n_partner = 1});
    f.study.shell_life_years = 0.0;
    f.site->stage = RUB_STAGE_OPTION;
    f.site->sign_usd = 1 * M;
    f.site->block_mw = 2.0;
    f.site->rofr_partner = 0;
    f.partner[0].rofr_share_frac = 0.4;
    for (int32_t n = 0; n < 6; n++) {
        f.problem.demand[n] = 5.0;
        f.problem.value_usd[n] = 1 * M;
        f.problem.power_usd_per_mw[n] = 0.1 * M;
    }
    expect_best(&f, 4.4, "sign, proceed, fit out 0, serve, serve, serve");
    f.problem.rofr[0] = 1;
    f.partner[0].rofr_usd_per_mw_q = 3 * M;
    expect_best(&f, 9.44, "sign, proceed, fit out 0, serve, serve, serve");
    f.partner[0].rofr_usd_per_mw_q = 0.5 * M;
    expect_best(&f, 3.44, "sign, proceed, fit out 0, serve, serve, serve");
    /* signed before the study: the right is not judged. 4 * 1.8 */
    f.site->stage = RUB_STAGE_SIGNED;
    expect_best(&f, 7.2, "proceed, fit out 0, serve, serve, serve, serve");
    fixture_free(&f);
}

/* Accelerators of 4 (yield 1) with one quarter of their life of a year left; a unit is worth 2. From
 * the second quarter on, ones of 5 with yield 3 may be ordered. Serve once (2), refresh (resale of a
 * year old 4 * 0.25 = 1, less 5), serve twice (6 each), and 5 * 0.25^(2/4) = 2.5 stand: 12.5. */
static void a_fleet_is_replaced_at_the_end_of_its_life(void **state) {
    (void)state;
    fixture f = fixture_make((fixture_def){.n_node = 4, .n_gen = 2});
    f.study.shell_life_years = 0.0;
    f.site->stage = RUB_STAGE_LIVE;
    f.site->generation = 0;
    f.site->age_years = 0.75;
    for (int32_t g = 0; g < 2; g++) {
        f.generation[g].life_years = 1.0;
        f.generation[g].residual_frac_per_year = 0.25;
        for (int32_t n = 0; n < 4; n++) {
            f.problem.gen_usd_per_mw[n * 2 + g] = (g ? 5 : 4) * M;
            f.problem.tok_per_s_per_mw[n * 2 + g] = g ? 3 : 1;
            f.problem.may_order[n * 2 + g] = g && n > 0;
        }
    }
    for (int32_t n = 0; n < 4; n++) {
        f.problem.demand[n] = 10.0;
        f.problem.value_usd[n] = 2 * M;
    }
    expect_best(&f, 12.5, "serve, refresh 1, serve, serve");
    /* without the right to refresh: retire into the shell (4 * 0.25^(3/4) = sqrt 2), order (5), serve
     * twice: better than serving first, 2 + 1 - 5 + 6 + 5 * 0.25^(1/4) = 7.54 */
    f.problem.allow &= ~(uint32_t)RUB_ALLOW_REFRESH;
    expect_best(&f, sqrt(2.0) - 5 + 12 + 2.5, "retire, fit out 1, serve, serve");
    fixture_free(&f);
}

/* A live inference site of 2 MW; training pays 5 a MW, inference 1. Upgrade for 0.8 (a quarter
 * without serving), then two quarters of 10: 19.2. */
static void a_fabric_upgrade_opens_training(void **state) {
    (void)state;
    fixture f = fixture_make((fixture_def){.n_node = 3, .n_demand = 2});
    f.study.shell_life_years = 0.0;
    f.site->stage = RUB_STAGE_LIVE;
    f.site->generation = 0;
    f.site->block_mw = 2.0;
    f.site->upgrade_usd_per_mw = 0.4 * M;
    f.demand[1].load_class = RUB_TRAINING;
    f.demand[1].region = -1;
    for (int32_t n = 0; n < 3; n++) {
        f.problem.demand[n * 2] = f.problem.demand[n * 2 + 1] = 10.0;
        f.problem.value_usd[n * 2] = 1 * M;
        f.problem.value_usd[n * 2 + 1] = 5 * M;
    }
    expect_best(&f, 19.2, "upgrade, serve, serve");
    f.problem.allow &= ~(uint32_t)RUB_ALLOW_UPGRADE;
    expect_best(&f, 6.0, "serve, serve, serve"); /* 3 quarters of 2 MW at 1 */
    fixture_free(&f);
}

/* A shell that is needed in the sixth quarter only (30 there; servers 3 and installation 1, opex 0.3
 * while live, holding 0.2). Let for at least two quarters at 1 a MW of which half is ours: -0.2 + 3 *
 * 0.5 - 4 + 30 - 0.3 = 27. For at least three it would come back too late: -4 * 0.2 - 4 + 30 - 0.3 =
 * 24.9. */
static void a_shell_is_let_until_it_is_needed(void **state) {
    (void)state;
    fixture f = chain_of(6);
    f.site->stage = RUB_STAGE_SHELL;
    f.site->hold_usd_per_mw_q = 0.2 * M;
    f.site->opex_usd_per_mw_q = 0.3 * M;
    f.site->may_sublet = true;
    f.site->sublet_frac = 0.5;
    f.site->sublet_min_q = 2;
    f.site->fit_usd_per_mw = 1 * M;
    servers_cost(&f, 3);
    load_of(&f, 5, 5, 30);
    for (int32_t n = 0; n < 6; n++) {
        f.problem.sublet_usd_per_mw[n] = 1 * M;
        f.problem.sublet_depth_mw[n] = 1.0;
    }
    expect_best(&f, 27.0, "sublet, wait, wait, resume, fit out 0, serve");
    f.site->sublet_min_q = 3;
    expect_best(&f, 24.9, "wait, wait, wait, wait, fit out 0, serve");
    f.site->sublet_min_q = 2;
    f.problem.sublet_depth_mw[2] = 0.9; /* no room for 1 MW in the third quarter */
    expect_best(&f, 24.9, "wait, wait, wait, wait, fit out 0, serve");
    fixture_free(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_site_is_built_fitted_and_serves),
        cmocka_unit_test(a_pause_waits_for_news),
        cmocka_unit_test(talks_close_with_a_probability),
        cmocka_unit_test(an_option_is_kept_until_it_expires),
        cmocka_unit_test(a_right_of_first_refusal_takes_its_share),
        cmocka_unit_test(a_fleet_is_replaced_at_the_end_of_its_life),
        cmocka_unit_test(a_fabric_upgrade_opens_training),
        cmocka_unit_test(a_shell_is_let_until_it_is_needed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
