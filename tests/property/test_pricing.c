/* Block pricing against the deterministic equivalent on random small problems: the bound is never
 * under the optimum, a plan never over it, and plans are near it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "../random_problem.h"
#include "portfolio/mip.h"
#include "portfolio/pricing.h"

static rub_status solve(const rub_problem *p, bool mip, rub_solve_def def, rub_plan *plan,
                        rub_solve_result *r) {
    rub_error err = {0};
    rub_status status = mip ? rub_mip_solve(p, &def, plan, r, &err)
                            : rub_pricing_solve(p, &def, NULL, plan, r, &err);
    if (status != RUB_OK)
        print_error("%s\n", err.message);
    return status;
}

static void pricing_agrees_with_the_deterministic_equivalent(void **state) {
    (void)state;
    int n = getenv("RUB_TEST_LONG") ? 1000 : 150, near = 0, solved = 0;
    for (int seed = 1; seed <= n; seed++) {
        fixture f = random_problem((uint64_t)seed, 3, 20);
        const rub_problem *p = fixture_bind(&f);
        rub_solve_def def = rub_solve_default();
        rub_plan exact = {0}, priced = {0};
        rub_solve_result a = {0}, b = {0};
        def.gap_frac = 1e-6;
        assert_int_equal(solve(p, true, def, &exact, &a), RUB_OK);
        def.iterations = 8;
        assert_int_equal(solve(p, false, def, &priced, &b), RUB_OK);
        assert_int_equal(a.outcome == RUB_OUTCOME_INFEASIBLE, b.outcome == RUB_OUTCOME_INFEASIBLE);
        if (a.outcome != RUB_OUTCOME_INFEASIBLE) {
            double slack = 2e-6 * fabs(a.value_usd) + 1.0;
            if (b.bound_usd < a.value_usd - slack || b.value_usd > a.bound_usd + slack)
                fail_msg("seed %d: optimum %.9g, plan %.9g, bound %.9g", seed, a.value_usd,
                         b.value_usd, b.bound_usd);
            solved++;
            near += b.value_usd >= a.value_usd - 1e-4 * fabs(a.value_usd) - 1.0;
        }
        rub_plan_clear(&exact);
        rub_plan_clear(&priced);
        rub_solve_result_clear(&a);
        rub_solve_result_clear(&b);
        fixture_free(&f);
    }
    assert_true(solved > n / 2);
    assert_true(near >=
                solved * 9 / 10); /* the search, with little time, finds the optimum in most */
}

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
            assert_int_equal(solve(fixture_bind(&f), false, def, &plan, &r), RUB_OK);
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pricing_agrees_with_the_deterministic_equivalent),
        cmocka_unit_test(plan_does_not_depend_on_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
