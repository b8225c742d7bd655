/* Made studies through the whole chain: the plan keeps every rule (the evaluator says so, or the chain
 * fails), the bound is never under it, and a solve that starts from a solved plan is at least as good. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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
    return json_real_value(json_object_get(document, key));
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
