/* Block pricing gives one plan whatever the number of threads. (Against the deterministic equivalent:
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

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(plan_does_not_depend_on_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
