/* Made studies through the whole chain: the plan keeps every rule (the evaluator says so, or the chain
 * fails), the bound is never under it, and a solve that starts from a solved plan is at least as good. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rubato/plan.h"

static rub_study *make(uint64_t seed) {
    rub_study_make_def def = {.n_site = 3 + (int32_t)(seed % 4),
                              .blocks_per_site = 2,
                              .n_quarter = 12,
                              .n_leaf = 6,
                              .seed = seed};
    char *text = NULL;
    rub_study *study = NULL;
    rub_error err = {0};
    assert_int_equal(rub_study_make(&def, &text, &err), RUB_OK);
    assert_int_equal(rub_study_read_memory("made", text, strlen(text), NULL, 0, &study, &err),
                     RUB_OK);
    free(text);
    return study;
}

static double number(const json_t *document, const char *key) {
    return json_number_value(json_object_get(document, key));
}

/* What a site's groups say adds up to what the site says, and no text contradicts the shares beside it. */
static void check_sites(const json_t *document) {
    size_t i, k;
    json_t *site, *group, *trigger;
    json_array_foreach(json_object_get(document, "sites"), i, site) {
        double live = 0.0;
        json_int_t blocks = 0, all = json_integer_value(json_object_get(site, "blocks"));
        json_array_foreach(json_object_get(site, "groups"), k, group) {
            json_int_t n = json_integer_value(json_object_get(group, "blocks"));
            const char *why = json_string_value(json_object_get(group, "why"));
            const char *action = json_string_value(json_object_get(group, "action"));
            double prob = json_number_value(json_object_get(group, "prob_ever_live"));
            json_int_t told =
                json_integer_value(json_object_get(json_object_get(site, "actions_now"), action));
            assert_true(n > 0 && n <= told);
            assert_true(!strstr(why, "none of the futures") || prob < 1e-9);
            assert_true(!strstr(why, "no future of the tree") || prob < 1e-9);
            assert_true(!strstr(why, "most futures") || prob >= 0.5);
            assert_true(!strstr(why, "some futures only") || prob < 0.5);
            assert_true(strcmp(action, "cancel") != 0 || prob < 1e-9);
            blocks += n;
            live += (double)n * prob;
        }
        assert_int_equal(blocks, all);
        assert_true(fabs(live / (double)all - number(site, "prob_ever_live")) < 1e-9);
        json_array_foreach(json_object_get(site, "triggers"), k, trigger) {
            assert_null(strstr(json_string_value(json_object_get(trigger, "text")), "e+0"));
            assert_true(number(trigger, "probability") <= 1 + 1e-9);
        }
    }
}

static void plans_of_made_studies_hold(void **state) {
    (void)state;
    int planned = 0;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        rub_study *study = make(seed);
        rub_plan_warm kept = {0};
        rub_plan_def def = rub_plan_default();
        json_t *cold = NULL, *warm = NULL;
        rub_outcome outcome;
        rub_error err = {0};
        def.worth = false;
        def.solve.method = RUB_METHOD_PRICING;
        def.solve.gap_frac = 0.0;
        def.solve.iterations = 3;
        def.solve.explain = false;
        def.keep = &kept;
        if (rub_plan_run(study, &def, NULL, &cold, &outcome, &err) != RUB_OK)
            fail_msg("seed %d: %s", (int)seed, err.message);
        if (outcome != RUB_OUTCOME_INFEASIBLE) {
            planned++;
            check_sites(cold);
            assert_true(number(cold, "bound") >= number(cold, "value"));
            def.keep = NULL;
            def.warm = &kept;
            if (rub_plan_run(study, &def, NULL, &warm, &outcome, &err) != RUB_OK)
                fail_msg("seed %d, warm: %s", (int)seed, err.message);
            assert_true(number(warm, "value") >= number(cold, "value") * (1 - 1e-9));
            assert_true(number(warm, "bound") >= number(cold, "value") * (1 - 1e-9));
        }
        json_decref(cold);
        json_decref(warm);
        rub_plan_warm_clear(&kept);
        rub_study_free(study);
    }
    assert_true(planned >= 6);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(plans_of_made_studies_hold)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
