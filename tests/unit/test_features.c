#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../portfolio_fixture.h"

/* Columns follow one another in the header's order, each as wide as the study's count. */
static void columns_follow_the_counts(void **state) {
    (void)state;
    rub_study study = {
        .n_demand = 3, .n_generation = 2, .n_region = 4, .n_partner = 1, .n_site = 5};
    rub_features f = rub_features_of(&study);
    assert_int_equal(f.demand, 0);
    assert_int_equal(f.price, 3);
    assert_int_equal(f.available, 5);
    assert_int_equal(f.yield, 7);
    assert_int_equal(f.rent, 8);
    assert_int_equal(f.depth, 9);
    assert_int_equal(f.grid, 10);
    assert_int_equal(f.left, 14);
    assert_int_equal(f.rofr, 15);
    assert_int_equal(f.talks, 16);
    assert_int_equal(f.regime, 21);
    assert_int_equal(f.n, 22);
}

/* The fixture's tree: probabilities and children of a fork with unequal branches. */
static void fixture_builds_a_fork(void **state) {
    (void)state;
    fixture f = fixture_make((fixture_def){.n_node = 5,
                                           .parent = (int32_t[]){-1, 0, 0, 1, 2},
                                           .prob = (double[]){1.0, 0.3, 0.7, 1.0, 1.0}});
    const rub_problem *p = fixture_bind(&f);
    assert_int_equal(p->n_block, 1);
    assert_int_equal(f.tree.n_leaf, 2);
    assert_int_equal(f.tree.n_quarter, 3);
    assert_int_equal(f.tree.first_child[0], 1);
    assert_int_equal(f.tree.n_child[0], 2);
    assert_true(fabs(f.tree.prob[3] - 0.3) < 1e-15 && fabs(f.tree.prob[4] - 0.7) < 1e-15);
    fixture_free(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_follow_the_counts),
        cmocka_unit_test(fixture_builds_a_fork),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
