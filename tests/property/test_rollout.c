/* Policies on sampled futures: costed as the independent evaluator does, every rule kept, nothing
 * later than the present seen, the same for any number of threads, never better than knowing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../small_study.h"
#include "plan/readable.h"
#include "plan/rollout.h"
#include "plan/stability.h"
#include "plan/statistics.h"

enum { N_POLICY = 2 + RUB_N_RULE };

/* A solved study with its policies. */
typedef struct solved {
    rub_study *study;
    rub_yields yields;
    rub_paths paths;
    rub_tree tree;
    rub_problem problem;
    rub_plan plan;
    rub_solve_result solve;
    rub_evaluation evaluation;
    rub_facts facts;
    rub_automaton *automaton;
    rub_tree_policy *followed;
    rub_readable *readable;
    rub_policy policy[N_POLICY];
} solved;

#define OK(expr)                                                                                   \
    do {                                                                                           \
        if ((expr) != RUB_OK)                                                                      \
            fail_msg("%s: %s", #expr, err.message);                                                \
    } while (0)

/* s stays where it is: facts point into it. */
static void solve(solved *s, const char *const *overrides, size_t n) {
    rub_error err = {0};
    *s = (solved){0};
    s->study = small_study_read(overrides, n, &err);
    if (!s->study)
        fail_msg("%s", err.message);
    rub_solve_def def = rub_solve_default();
    def.iterations = 3;
    OK(rub_yields_make(s->study, 1, NULL, &s->yields, &err));
    OK(rub_process_simulate(s->study, s->study->process.n_path, s->study->seed, &s->paths, &err));
    OK(rub_tree_reduce(s->study, &s->paths, &s->tree, NULL, &err));
    OK(rub_plan_problem(s->study, &s->tree, &s->yields, &s->problem, &err));
    OK(rub_portfolio_solve(&s->problem, &def, NULL, &s->plan, &s->solve, &err));
    OK(rub_plan_evaluate(&s->problem, &s->plan, &s->evaluation, &err));
    s->facts = (rub_facts){.study = s->study,
                           .tree = &s->tree,
                           .problem = &s->problem,
                           .yields = &s->yields,
                           .plan = &s->plan,
                           .evaluation = &s->evaluation,
                           .solve = &s->solve};
    OK(rub_automata_make(&s->problem, &s->automaton, &err));
    OK(rub_tree_policy_make(&s->facts, s->automaton, &s->paths, &s->followed, &err));
    s->policy[0] = rub_tree_policy_of(s->followed, "plan", "");
    for (int k = 0; k < RUB_N_RULE; k++)
        s->policy[1 + k] = rub_rule_policy((rub_rule)k, &s->problem);
    OK(rub_readable_fit(&s->facts, 3, &s->readable, &err));
    s->policy[1 + RUB_N_RULE] = rub_readable_policy(s->readable);
}

static void clear(solved *s) {
    rub_readable_free(s->readable);
    rub_tree_policy_free(s->followed);
    rub_automata_free(s->automaton, s->study->n_site);
    rub_evaluation_clear(&s->evaluation);
    rub_solve_result_clear(&s->solve);
    rub_plan_clear(&s->plan);
    rub_problem_clear(&s->problem);
    rub_tree_clear(&s->tree);
    rub_paths_clear(&s->paths);
    rub_yields_clear(&s->yields);
    rub_study_free(s->study);
}

static rub_rollouts run(const solved *s, int32_t n_path, int32_t n_thread, int32_t n_audit) {
    rub_error err = {0};
    rub_rollouts r = {0};
    rub_rollout_def def = {.n_path = n_path, .seed = 99, .n_thread = n_thread, .n_audit = n_audit};
    OK(rub_rollout_run(s->study, &s->yields, s->automaton, s->policy, N_POLICY, &def, NULL, &r,
                       &err));
    return r;
}

static void every_path_is_costed_and_checked(void **state) {
    (void)state;
    static const char *const changes[][2] = {{"study.seed=5", "tree.branching=2-2"},
                                             {"study.seed=6", "budget.FY2025=$120M"},
                                             {"study.seed=7", "accelerators.h100.supply=3k accel"}};
    for (size_t i = 0; i < 3; i++) {
        solved s;
        solve(&s, changes[i], 2);
        rub_rollouts r = run(&s, 150, 2, 150);
        for (int k = 0; k < r.n_policy; k++) {
            assert_int_equal(r.of[k].n_audited, 150);
            assert_int_equal(r.of[k].n_wrong, 0);
            if (r.of[k].n_broken)
                fail_msg("%s: %s", s.policy[k].name, r.of[k].broken);
        }
        rub_rollouts_clear(&r);
        clear(&s);
    }
}

static void threads_do_not_matter(void **state) {
    (void)state;
    solved s;
    solve(&s, NULL, 0);
    rub_rollouts a = run(&s, 60, 1, 5), b = run(&s, 60, 3, 5);
    for (int k = 0; k < a.n_policy; k++) {
        assert_memory_equal(a.of[k].npv_usd, b.of[k].npv_usd, 60 * sizeof(double));
        assert_memory_equal(a.of[k].spend_usd, b.of[k].spend_usd,
                            60 * (size_t)a.n_year * 2 * sizeof(double));
    }
    rub_rollouts_clear(&a);
    rub_rollouts_clear(&b);
    clear(&s);
}

/* Decisions before quarter k stay the same when everything from k on is another future's. */
static void nothing_later_is_seen(void **state) {
    (void)state;
    solved s;
    rub_error err = {0};
    rub_paths paths = {0};
    solve(&s, NULL, 0);
    OK(rub_process_simulate(s.study, 24, 1234, &paths, &err));
    size_t f = (size_t)paths.n_feature, row = (size_t)paths.n_quarter * f;
    double *mixed = malloc(row * sizeof *mixed);
    int differ = 0;
    for (int i = 0; i + 1 < 24; i++)
        for (int k = 0; k < N_POLICY; k++) {
            int32_t cut = 1 + i % (paths.n_quarter - 1);
            rub_tree tree[2] = {0};
            rub_problem problem[2] = {0};
            rub_plan plan[2] = {0};
            double npv[2];
            memcpy(mixed, paths.value + (size_t)i * row, row * sizeof *mixed);
            memcpy(mixed + (size_t)cut * f, paths.value + (size_t)(i + 1) * row + (size_t)cut * f,
                   (row - (size_t)cut * f) * sizeof *mixed);
            for (int side = 0; side < 2; side++)
                OK(rub_rollout_one(s.study, &s.yields, s.automaton, &s.policy[k],
                                   side ? mixed : paths.value + (size_t)i * row, &tree[side],
                                   &problem[side], &plan[side], &npv[side], &err));
            for (int32_t b = 0; b < plan[0].n_block; b++)
                for (int32_t t = 0; t < paths.n_quarter; t++) {
                    size_t at = (size_t)b * (size_t)paths.n_quarter + (size_t)t;
                    bool same = !memcmp(&plan[0].step[at], &plan[1].step[at], sizeof(rub_step));
                    if (t < cut && !same)
                        fail_msg("%s sees quarter %d in quarter %d", s.policy[k].name, cut, t);
                    differ += !same;
                }
            for (int side = 0; side < 2; side++) {
                rub_plan_clear(&plan[side]);
                rub_problem_clear(&problem[side]);
                rub_tree_clear(&tree[side]);
            }
        }
    assert_true(differ > 0); /* the futures do differ, and are answered differently */
    free(mixed);
    rub_paths_clear(&paths);
    clear(&s);
}

/* A policy on a future is worth no more than the bound of that future's own plan. */
static void knowing_is_never_worse(void **state) {
    (void)state;
    solved s;
    rub_error err = {0};
    rub_paths paths = {0};
    solve(&s, NULL, 0);
    OK(rub_process_simulate(s.study, 8, 77, &paths, &err));
    size_t row = (size_t)paths.n_quarter * (size_t)paths.n_feature;
    for (int i = 0; i < 8; i++)
        for (int k = 0; k < N_POLICY; k++) {
            rub_tree tree = {0};
            rub_problem problem = {0};
            rub_plan plan = {0}, known = {0};
            rub_solve_result result = {0};
            rub_solve_def def = rub_solve_default();
            double npv;
            def.iterations = 2;
            if (!s.policy[k].keeps_budget)
                continue;
            OK(rub_rollout_one(s.study, &s.yields, s.automaton, &s.policy[k],
                               paths.value + (size_t)i * row, &tree, &problem, &plan, &npv, &err));
            OK(rub_portfolio_solve(&problem, &def, NULL, &known, &result, &err));
            assert_true(npv <= result.bound_usd + 1e-6 * fabs(result.bound_usd));
            rub_solve_result_clear(&result);
            rub_plan_clear(&known);
            rub_plan_clear(&plan);
            rub_problem_clear(&problem);
            rub_tree_clear(&tree);
        }
    rub_paths_clear(&paths);
    clear(&s);
}

/* Without any chance the tree is one future: following the plan gives what the plan is worth. */
static void a_certain_future_is_worth_what_the_plan_says(void **state) {
    (void)state;
    static const char *const certain[] = {"demand.*.volatility=0%",
                                          "process.rent_volatility=0%",
                                          "process.shocks=null",
                                          "process.regimes=null",
                                          "tree.branching=1",
                                          "partners.anchor.leave_hazard=0%/yr",
                                          "partners.anchor.rofr_probability=0%",
                                          "sites.deal.close_probability=100%"};
    solved s;
    solve(&s, certain, sizeof certain / sizeof certain[0]);
    rub_error err = {0};
    rub_tree_policy *kept = NULL;
    OK(rub_tree_policy_make(&s.facts, s.automaton, NULL, &kept, &err));
    s.policy[1] = rub_tree_policy_of(kept, "kept", "");
    rub_rollouts r = run(&s, 3, 1, 3);
    double mean = s.evaluation.mean_npv_usd, bound = s.solve.bound_usd;
    for (int i = 0; i < 3; i++) {
        assert_true(fabs(r.of[1].npv_usd[i] - mean) <= 1e-9 * fabs(mean));
        assert_true(r.of[0].npv_usd[i] <= bound + 1e-6 * fabs(bound));
    }
    assert_int_equal(r.of[0].n_broken + r.of[1].n_broken, 0);
    rub_tree_policy_free(kept);
    rub_rollouts_clear(&r);
    clear(&s);
}

/* More questions tell no less of the plan; answers of a stage add up. */
static void rules_tell_the_plan(void **state) {
    (void)state;
    solved s;
    rub_error err = {0};
    double told[2] = {0};
    solve(&s, NULL, 0);
    for (int deep = 0; deep < 2; deep++) {
        rub_readable *r = NULL;
        OK(rub_readable_fit(&s.facts, deep ? 3 : 0, &r, &err));
        json_t *rows = rub_readable_document(r);
        assert_true(json_array_size(rows) > 0 || deep);
        for (size_t i = 0; i < json_array_size(rows); i++) {
            const json_t *row = json_array_get(rows, i), *rules = json_object_get(row, "rules");
            double sum = 0.0;
            told[deep] += json_number_value(json_object_get(row, "accuracy")) *
                          json_number_value(json_object_get(row, "share"));
            for (size_t k = 0; k < json_array_size(rules); k++)
                sum += json_number_value(json_object_get(json_array_get(rules, k), "probability"));
            assert_true(fabs(sum - 1.0) < 1e-9);
            assert_true(json_array_size(rules) <= 8);
            assert_true(deep || json_array_size(rules) == 1);
        }
        json_decref(rows);
        rub_readable_free(r);
    }
    assert_true(told[1] >= told[0]);
    clear(&s);
}

static void other_trees_give_about_the_same(void **state) {
    (void)state;
    solved s;
    rub_error err = {0};
    json_t *out = NULL;
    solve(&s, NULL, 0);
    rub_stability_def def = {
        .n_tree = 3, .n_path = 100, .n_thread = 1, .solve = rub_solve_default()};
    def.solve.iterations = 2;
    OK(rub_document_stability(&s.facts, &def, NULL, &out, &err));
    assert_int_equal(json_integer_value(json_object_get(out, "planned")), 3);
    const json_t *in = json_object_get(out, "in_sample");
    double mean = json_number_value(json_object_get(in, "mean_usd"));
    assert_true(json_number_value(json_object_get(in, "least_usd")) <= mean);
    assert_true(json_number_value(json_object_get(in, "most_usd")) >= mean);
    /* the tree's own worth is one of the same kind: within ten deviations of the mean */
    double sd = json_number_value(json_object_get(in, "sd_usd"));
    assert_true(sd > 0 && fabs(s.solve.value_usd - mean) < 10 * sd + 0.05 * fabs(mean));
    json_decref(out);
    clear(&s);
}

static void estimates_by_hand(void **state) {
    (void)state;
    const double x[] = {4, 1, 3, 2}, y[] = {5, 2, 5, 2};
    rub_estimate mean = rub_mean_of(x, 4), more = rub_mean_difference(x, y, 4);
    assert_true(fabs(mean.value - 2.5) < 1e-12);
    /* variance 5/3, standard error sqrt(5/12) */
    assert_true(fabs(mean.half_width - 1.959964 * sqrt(5.0 / 12.0)) < 1e-9);
    assert_true(fabs(more.value - 1.0) < 1e-12); /* 1, 1, 2, 0 */
    assert_true(fabs(more.half_width - 1.959964 * sqrt(2.0 / 3.0 / 4.0)) < 1e-9);
    assert_true(fabs(rub_tail_mean(x, 4, 0.5).value - 1.5) < 1e-12);
    /* worst 0.375 of four: 1 whole, 2 by half */
    assert_true(fabs(rub_tail_mean(x, 4, 0.375).value - 2.0 / 1.5) < 1e-12);
    assert_true(fabs(rub_quantile_of(x, 4, 0.5) - 2.0) < 1e-12);
    assert_true(fabs(rub_quantile_of(x, 4, 1.0) - 4.0) < 1e-12);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_path_is_costed_and_checked),
        cmocka_unit_test(threads_do_not_matter),
        cmocka_unit_test(nothing_later_is_seen),
        cmocka_unit_test(knowing_is_never_worse),
        cmocka_unit_test(a_certain_future_is_worth_what_the_plan_says),
        cmocka_unit_test(rules_tell_the_plan),
        cmocka_unit_test(other_trees_give_about_the_same),
        cmocka_unit_test(estimates_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
