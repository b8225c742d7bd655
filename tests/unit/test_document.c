/* The plan document of examples/tiny.yaml against figures worked out by hand; what changed between two
 * documents; invariants of VSS, EVPI and options. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../small_study.h"
#include "rubato/plan.h"
#include "rubato/report.h"

static json_t *plan_of(const char *path, const char *const *overrides, size_t n, bool worth) {
    rub_error err = {0};
    rub_study *study = NULL;
    json_t *document = NULL;
    rub_outcome outcome;
    rub_plan_def def = rub_plan_default();
    def.worth = worth;
    def.worth_time_s = 4;
    def.solve.n_thread = 1;
    if (path && rub_study_read(path, overrides, n, &study, &err) != RUB_OK)
        fail_msg("%s", err.message);
    if (!path && !(study = small_study_read(overrides, n, &err)))
        fail_msg("%s", err.message);
    if (rub_plan_run(study, &def, NULL, &document, &outcome, &err) != RUB_OK)
        fail_msg("%s", err.message);
    rub_study_free(study);
    return document;
}

static double at(const json_t *object, const char *key, size_t i) {
    return json_number_value(json_array_get(json_object_get(object, key), i));
}

static double number(const json_t *object, const char *key) {
    return json_number_value(json_object_get(object, key));
}

#define NEAR(a, b) assert_true(fabs((a) - (b)) <= 1e-6 * fmax(1.0, fabs(b)))

static void tiny_estate_by_hand(void **state) {
    (void)state;
    json_t *d = plan_of(RUB_ROOT "/examples/tiny.yaml", NULL, 0, false);
    const json_t *e = json_object_get(d, "estate");
    /* home 27 MW live throughout; annex 8 MW a shell, then let */
    NEAR(at(e, "contracted_mw", 0), 35.0);
    NEAR(at(e, "live_mw", 4), 27.0);
    NEAR(at(json_object_get(e, "stage_mw"), "shell", 0), 8.0);
    NEAR(at(json_object_get(e, "stage_mw"), "sublet", 1), 8.0);
    /* all: annex would be live in the second quarter: 35 MW against chat 11.3M / 0.5M = 22.6 MW and
     * 4000 accelerators of 1.73 kW = 6.92 MW: 5.48 MW over, in every future */
    const json_t *all = json_array_get(json_object_get(d, "oversupply"), 2);
    NEAR(at(all, "contracted_mw", 1), 35.0);
    NEAR(at(all, "surplus_mw", 1), 35.0 - 22.6 - 6.92);
    NEAR(at(all, "index", 1), (35.0 - 22.6 - 6.92) / 35.0);
    assert_string_equal(json_string_value(json_object_get(all, "worst_quarter")), "2025-Q2");
    const json_t *behind = json_array_get(json_object_get(all, "behind"), 0);
    assert_string_equal(json_string_value(json_object_get(behind, "site")), "annex");
    /* third quarter: 40 % boom 15M (30 MW), 35 % steady 12.7M (25.4 MW), 25 % slump 9M (18 MW) */
    NEAR(at(all, "surplus_mw", 2), 0.35 * (35 - 25.4 - 6.92) + 0.25 * (35 - 18 - 6.92));
    NEAR(at(all, "prob_surplus", 2), 0.6);
    /* first quarter: everything is served and 0.08 MW rented out */
    const json_t *u = json_object_get(d, "utilisation");
    NEAR(at(json_object_get(u, "by_load_mw"), "chat", 0), 20.0);
    NEAR(at(json_object_get(u, "by_load_mw"), "pretraining", 0), 6.92);
    NEAR(at(u, "rented_out_mw", 0), 0.08);
    NEAR(at(u, "utilisation", 0), 1.0);
    /* by column: what is rented out is not own use, and with it makes up what is live */
    const json_t *supply = json_object_get(d, "supply"), *here = json_array_get(supply, 0);
    const json_t *training = json_array_get(supply, 1);
    NEAR(at(training, "own_mw", 0), 6.92);
    NEAR(at(training, "rented_out_mw", 0), 0.08);
    for (size_t t = 0; t < 5; t++) {
        NEAR(at(here, "own_mw", t) + at(here, "rented_out_mw", t) + at(here, "idle_mw", t) +
                 at(training, "own_mw", t) + at(training, "rented_out_mw", t),
             27.0);
        assert_true(at(here, "prob_idle", t) <= at(here, "prob_surplus", t) + 1e-9);
    }
    json_decref(d);
}

static void tiny_returns_by_hand(void **state) {
    (void)state;
    json_t *d = plan_of(RUB_ROOT "/examples/tiny.yaml", NULL, 0, false);
    const json_t *last = json_array_get(json_object_get(d, "returns"), 1);
    /* home's servers: 27 MW / 1.73 kW * $38k over 20 quarters, no shell cost given */
    double cost = 27e3 / 1.73 * 38e3, per_q = cost / 20;
    NEAR(number(last, "quarters"), 1.0);
    NEAR(number(last, "written_down_usd"), per_q);
    /* one year old at the start, four quarters later: 12 of 20 left, 11 at the end */
    NEAR(number(last, "invested_usd"), per_q * 11.5);
    double profit = number(last, "operating_profit_usd");
    NEAR(profit, number(last, "revenue_usd") - number(last, "operating_cost_usd"));
    NEAR(number(last, "roic"), 4 * (profit - per_q) / (per_q * 11.5));
    /* winter: served 13.5M, 13.5M or 7M tokens/s at most (27 MW of home) */
    assert_true(number(last, "tokens_m") <= 7.884 * 13.5e6 && number(last, "tokens_m") > 0);
    json_decref(d);
}

static void what_changed(void **state) {
    (void)state;
    static const char *const less[] = {"market.us-east.sublet_price=$1/kW-month"};
    json_t *a = plan_of(RUB_ROOT "/examples/tiny.yaml", NULL, 0, false);
    json_t *b = plan_of(RUB_ROOT "/examples/tiny.yaml", less, 1, false);
    json_t *same = rub_plan_since(a, a), *other = rub_plan_since(a, b);
    assert_int_equal(json_array_size(json_object_get(same, "sites")), 0);
    assert_int_equal(json_array_size(json_object_get(same, "capex")), 0);
    assert_int_equal(json_array_size(json_object_get(other, "sites")), 1);
    const json_t *site = json_array_get(json_object_get(other, "sites"), 0);
    assert_string_equal(json_string_value(json_object_get(site, "site")), "annex");
    assert_string_equal(json_string_value(json_object_get(site, "from")), "sublet");
    assert_string_not_equal(json_string_value(json_object_get(site, "to")), "sublet");
    assert_true(number(other, "mean_to_usd") < number(other, "mean_from_usd"));
    json_decref(same);
    json_decref(other);
    json_decref(a);
    json_decref(b);
}

/* A document of another kind, or bare, gives sentences and no crash. */
static void what_changed_from_nothing(void **state) {
    (void)state;
    json_t *a = plan_of(RUB_ROOT "/examples/tiny.yaml", NULL, 0, false), *none = json_object();
    json_t *since = rub_plan_since(none, a), *back = rub_plan_since(a, none);
    assert_int_equal(json_array_size(json_object_get(since, "sites")), 2);
    assert_int_equal(json_array_size(json_object_get(back, "sites")), 2);
    json_decref(since);
    json_decref(back);
    json_decref(none);
    json_decref(a);
}

/* An interval holds its value, and nothing under 0; sites turned stay within the share. */
static void worths_hold_together(void **state) {
    (void)state;
    static const char *const changes[] = {"study.quarters=6", "tree.branching=2-2"};
    json_t *d = plan_of(NULL, changes, 2, true);
    const json_t *worth = json_object_get(d, "worth"), *options = json_object_get(worth, "options");
    const json_t *nearby = json_object_get(d, "nearby");
    double value = number(json_object_get(d, "solve"), "value_usd");
    static const char *const keys[] = {"vss", "evpi"};
    for (size_t i = 0; i < 2; i++) {
        const json_t *one = json_object_get(worth, keys[i]);
        if (!json_object_get(one, "value_usd"))
            continue;
        assert_true(number(one, "value_usd") >= 0 && number(one, "at_least_usd") >= 0);
        assert_true(number(one, "value_usd") <= number(one, "at_most_usd") + 1.0);
    }
    for (size_t i = 0; i < json_array_size(options); i++) {
        const json_t *one = json_array_get(options, i);
        assert_true(number(one, "value_usd") <= number(one, "at_most_usd") + 1.0);
        assert_true(number(one, "at_least_usd") <= number(one, "at_most_usd") + 1.0);
    }
    assert_non_null(nearby);
    assert_true(number(nearby, "loses_usd") <= 0.01 * fabs(value) + 1.0);
    for (size_t i = 0; i < json_array_size(json_object_get(nearby, "swaps")); i++)
        assert_true(number(json_array_get(json_object_get(nearby, "swaps"), i), "loses_usd") <=
                    0.01 * fabs(value) + 1.0);
    char *text = NULL;
    rub_error err = {0};
    assert_int_equal(rub_report_html(d, &text, &err), RUB_OK);
    assert_non_null(strstr(text, "The estate"));
    free(text);
    for (size_t k = 0; rub_report_tables[k]; k++) {
        assert_int_equal(rub_report_csv(d, rub_report_tables[k], &text, &err), RUB_OK);
        assert_true(strlen(text) > 5);
        free(text);
    }
    json_decref(d);
}

/* Tables of parts that only some plans have: exact rows; a heading alone without the part. */
static void tables_of_parts(void **state) {
    static const struct {
        const char *table, *csv;
    } row[] = {{"since", "site,stage_from,stage_to,from,to,live_from,live_to,text\n"
                         "a,signed,building,wait,proceed,0.25,0.75,\"x, y\"\n"},
               {"nearby", "kind,site,mw,from,to,loses_usd,text\n"
                          "turn,a,12.5,wait,sign,1000000,\nswap,,,,,2000000,a and b\n"},
               {"stability", "worth,trees,mean_usd,sd_usd,sd_frac,least_usd,most_usd\n"
                             "in_sample,3,10,1,0.1,9,11\nout_of_sample,3,8,2,0.25,6,10\n"},
               {"regret", "policy,mean_usd,ci_usd,at_most_usd,at_most_ci_usd\nthe plan,5,1,7,2\n"}};
    json_t *plan = json_pack(
        "{s:{s:[{s:s,s:s,s:s,s:s,s:s,s:f,s:f,s:s}]},s:{s:[{s:s,s:f,s:s,s:s,s:f}],s:[{s:f,s:s}]},"
        "s:{s:i,s:{s:f,s:f,s:f,s:f,s:f},s:{s:f,s:f,s:f,s:f,s:f}},s:{s:[{s:s,s:f,s:f,s:f,s:f}]}}",
        "since", "sites", "site", "a", "stage_from", "signed", "stage_to", "building", "from",
        "wait", "to", "proceed", "live_from", 0.25, "live_to", 0.75, "text", "x, y", "nearby",
        "turned", "site", "a", "mw", 12.5, "from", "wait", "to", "sign", "alone_loses_usd", 1e6,
        "swaps", "loses_usd", 2e6, "text", "a and b", "stability", "planned", 3, "in_sample",
        "mean_usd", 10.0, "sd_usd", 1.0, "sd_frac", 0.1, "least_usd", 9.0, "most_usd", 11.0,
        "out_of_sample", "mean_usd", 8.0, "sd_usd", 2.0, "sd_frac", 0.25, "least_usd", 6.0,
        "most_usd", 10.0, "out_of_sample", "regret", "policy", "the plan", "mean_usd", 5.0,
        "ci_usd", 1.0, "at_most_usd", 7.0, "at_most_ci_usd", 2.0);
    (void)state;
    assert_non_null(plan);
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        char *text = NULL;
        assert_int_equal(rub_report_csv(plan, row[i].table, &text, NULL), RUB_OK);
        assert_string_equal(text, row[i].csv);
        free(text);
        json_t *none = json_object();
        assert_int_equal(rub_report_csv(none, row[i].table, &text, NULL), RUB_OK);
        assert_int_equal(strlen(text), strcspn(row[i].csv, "\n") + 1);
        free(text);
        json_decref(none);
    }
    json_decref(plan);
}

/* 8 MW let where 7.99999998 MW may be: within what the MIP and the evaluator grant, beyond what the
 * search does. The plan stands, and so does what else its blocks could do. */
static void a_limit_met_within_tolerance(void **state) {
    (void)state;
    const char *depth = "market.us-east.sublet_depth=7.99999998 MW";
    json_t *d = plan_of(RUB_ROOT "/examples/tiny.yaml", &depth, 1, false);
    const json_t *annex = json_array_get(json_object_get(d, "sites"), 1);
    assert_string_equal(json_string_value(json_object_get(annex, "action")), "sublet");
    assert_non_null(json_object_get(annex, "runner_up"));
    json_decref(d);
}

static rub_status count_states(void *ctx, const rub_solve_state *state, rub_error *err) {
    (void)err;
    assert_true(state->plan.n_block > 0 && state->n_multiplier > 0);
    ++*(int *)ctx;
    return RUB_OK;
}

/* How often the state of a solve is told while a study is planned. */
static int states_told(bool worth) {
    int n = 0;
    rub_error err = {0};
    rub_study *study = small_study_read(NULL, 0, &err);
    rub_solve_keep keep = {0.0, count_states, &n};
    rub_plan_def def = rub_plan_default();
    json_t *document = NULL;
    rub_outcome outcome;
    def.solve.method = RUB_METHOD_PRICING;
    def.solve.iterations = 1;
    def.solve.gap_frac = 0.0;
    def.solve.n_thread = 1;
    def.solve.keep = &keep;
    def.worth = worth;
    def.evaluate = worth ? 20 : 0;
    def.stability = worth ? 1 : 0;
    if (!study || rub_plan_run(study, &def, NULL, &document, &outcome, &err) != RUB_OK)
        fail_msg("%s", err.message);
    json_decref(document);
    rub_study_free(study);
    return n;
}

/* A checkpoint is of the study's plan: of none that is solved to say what something is worth. */
static void checkpoints_are_of_the_plan(void **state) {
    (void)state;
    int alone = states_told(false);
    assert_true(alone > 0);
    assert_int_equal(states_told(true), alone);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checkpoints_are_of_the_plan),
        cmocka_unit_test(a_limit_met_within_tolerance),
        cmocka_unit_test(tables_of_parts),
        cmocka_unit_test(tiny_estate_by_hand),
        cmocka_unit_test(tiny_returns_by_hand),
        cmocka_unit_test(what_changed),
        cmocka_unit_test(what_changed_from_nothing),
        cmocka_unit_test(worths_hold_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
