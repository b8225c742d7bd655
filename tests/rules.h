/* Harness of the rules' tests: a hand-computed answer against the evaluator and both solvers.
 *
 * One quarter:  expect_row() takes an action in a state and compares the next state and every cash
 * flow, booked by the evaluator, with what was worked out by hand, and the objective of both solvers
 * made to take that action. Several quarters: expect_best() compares the optimum and its course of
 * actions. Money in tests is in millions of USD. */
#ifndef RUB_TESTS_RULES_H
#define RUB_TESTS_RULES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "portfolio_fixture.h"

#include "portfolio/compiled.h"
#include "portfolio/mip.h"
#include "portfolio/pricing.h"

#define M 1e6
#define Q(year, quarter) ((year)*4 + (quarter)-1) /* calendar quarter */

static inline bool rules_near(double a, double b) { return fabs(a - b) <= 1e-6 * fabs(b) + 1.0; }

#define STATE(...) ((rub_block_state){__VA_ARGS__})
#define ENDED STATE(.stage = RUB_STAGE_ENDED)

/* Solves by one method and evaluates: outcome, plan and evaluation are the caller's. */
typedef struct solved {
    rub_plan plan;
    rub_solve_result result;
    rub_evaluation evaluation;
    const char *method;
} solved;

static inline solved rules_solve(const rub_problem *p, rub_method method, const rub_plan *root) {
    solved s = {.method = method == RUB_METHOD_MIP ? "MIP" : "pricing"};
    rub_solve_def def = rub_solve_default();
    rub_error err = {0};
    def.method = method;
    def.gap_frac = 1e-9;
    def.iterations = 8;
    def.warm = root;
    def.keep_root = root != NULL;
    if (rub_portfolio_solve(p, &def, NULL, &s.plan, &s.result, &err) != RUB_OK)
        fail_msg("%s: %s", s.method, err.message);
    if (s.result.outcome != RUB_OUTCOME_INFEASIBLE &&
        rub_plan_evaluate(p, &s.plan, &s.evaluation, &err) != RUB_OK)
        fail_msg("%s: %s", s.method, err.message);
    if (s.evaluation.n_violation)
        fail_msg("%s: %s", s.method, s.evaluation.violation);
    return s;
}

static inline void solved_clear(solved *s) {
    rub_evaluation_clear(&s->evaluation);
    rub_plan_clear(&s->plan);
    rub_solve_result_clear(&s->result);
}

/* The course of a block as words, node by node: "sign, proceed, fit out 0, serve". */
static inline void rules_course(const rub_plan *plan, int32_t block, char *text, size_t size) {
    size_t n = 0;
    text[0] = 0;
    for (int32_t i = 0; i < plan->n_node && n < size; i++) {
        const rub_step *s = &plan->step[(size_t)block * (size_t)plan->n_node + (size_t)i];
        bool orders = s->action == RUB_ACTION_FIT_OUT || s->action == RUB_ACTION_REFRESH;
        n += (size_t)snprintf(text + n, size - n, "%s%s", i ? ", " : "",
                              rub_action_text((rub_action)s->action));
        if (orders && n < size)
            n += (size_t)snprintf(text + n, size - n, " %d", s->gen);
    }
}

/* Both solvers find this optimum [million USD], with this course of block 0 (NULL: not unique). */
static inline void expect_best(fixture *f, double want, const char *course) {
    static const rub_method methods[] = {RUB_METHOD_MIP, RUB_METHOD_PRICING};
    const rub_problem *p = fixture_bind(f);
    for (int i = 0; i < 2; i++) {
        char found[512];
        solved s = rules_solve(p, methods[i], NULL);
        if (s.result.outcome == RUB_OUTCOME_INFEASIBLE)
            fail_msg("%s: infeasible: %s", s.method, s.result.reason);
        if (!rules_near(s.evaluation.objective_usd, want * M))
            fail_msg("%s: worth %.9g million, expected %.9g", s.method,
                     s.evaluation.objective_usd / M, want);
        if (s.result.bound_usd < want * M - 1e-6 * fabs(want * M) - 1.0)
            fail_msg("%s: bound %.9g under the optimum %.9g", s.method, s.result.bound_usd / M,
                     want);
        rules_course(&s.plan, 0, found, sizeof found);
        if (course && strcmp(found, course) != 0)
            fail_msg("%s: '%s', expected '%s'", s.method, found, course);
        solved_clear(&s);
    }
}

static inline void expect_infeasible(fixture *f) {
    static const rub_method methods[] = {RUB_METHOD_MIP, RUB_METHOD_PRICING};
    const rub_problem *p = fixture_bind(f);
    for (int i = 0; i < 2; i++) {
        solved s = rules_solve(p, methods[i], NULL);
        if (s.result.outcome != RUB_OUTCOME_INFEASIBLE)
            fail_msg("%s: found a plan, expected none", s.method);
        solved_clear(&s);
    }
}

/* In both solvers' plans the cash of this kind is, node by node, what was worked out [million USD]. */
static inline void expect_cash(fixture *f, rub_cash_kind kind, const double *want) {
    static const rub_method methods[] = {RUB_METHOD_MIP, RUB_METHOD_PRICING};
    const rub_problem *p = fixture_bind(f);
    for (int i = 0; i < 2; i++) {
        solved s = rules_solve(p, methods[i], NULL);
        for (int32_t n = 0; n < p->n_node; n++) {
            double found = s.evaluation.cash_usd[n * RUB_N_CASH + (int32_t)kind];
            if (!rules_near(found, want[n] * M))
                fail_msg("%s: %s at node %d is %.9g million, expected %.9g", s.method,
                         rub_cash_text(kind), n, found / M, want[n]);
        }
        solved_clear(&s);
    }
}

/* What a row of the table does, by hand. */
typedef struct row {
    rub_action action;
    int gen;
    rub_block_state next;
    double value, capex_long, capex_short, lease, hold, opex, sublet, rofr, resale, terminal;
} row;

static inline void compare_kind(const rub_evaluation *e, rub_cash_kind kind, double want,
                                const char *method, rub_action action) {
    double found = e->cash_usd[kind];
    if (!rules_near(found, want * M))
        fail_msg("%s, %s: %s is %.9g million, expected %.9g", method, rub_action_text(action),
                 rub_cash_text(kind), found / M, want);
}

/* Block 0 at the root of a tree of one node, made to take the row's action. */
static inline void expect_row(fixture *f, row r) {
    static const rub_method methods[] = {RUB_METHOD_MIP, RUB_METHOD_PRICING};
    const rub_problem *p = fixture_bind(f);
    rub_step root = {.action = (uint8_t)r.action, .gen = (uint8_t)r.gen, .next = r.next};
    rub_plan forced = {.n_block = 1, .n_node = 1, .step = &root};
    assert_int_equal(p->n_node, 1);
    assert_int_equal(p->n_block, 1);
    double sum = r.value + r.capex_long + r.capex_short + r.lease + r.hold + r.opex + r.sublet +
                 r.rofr + r.resale + r.terminal;
    for (int i = 0; i < 2; i++) {
        solved s = rules_solve(p, methods[i], &forced);
        if (s.result.outcome == RUB_OUTCOME_INFEASIBLE)
            fail_msg("%s: %s is not open, or leads elsewhere", s.method, rub_action_text(r.action));
        const rub_step *x = &s.plan.step[0];
        assert_int_equal(x->action, r.action);
        assert_memory_equal(&x->next, &r.next, sizeof r.next);
        const rub_evaluation *e = &s.evaluation;
        compare_kind(e, RUB_CASH_VALUE, r.value, s.method, r.action);
        compare_kind(e, RUB_CASH_CAPEX_LONG, r.capex_long, s.method, r.action);
        compare_kind(e, RUB_CASH_CAPEX_SHORT, r.capex_short, s.method, r.action);
        compare_kind(e, RUB_CASH_LEASE, r.lease, s.method, r.action);
        compare_kind(e, RUB_CASH_HOLD, r.hold, s.method, r.action);
        compare_kind(e, RUB_CASH_OPEX, r.opex, s.method, r.action);
        compare_kind(e, RUB_CASH_SUBLET, r.sublet, s.method, r.action);
        compare_kind(e, RUB_CASH_ROFR, r.rofr, s.method, r.action);
        compare_kind(e, RUB_CASH_RESALE, r.resale, s.method, r.action);
        compare_kind(e, RUB_CASH_TERMINAL, r.terminal, s.method, r.action);
        if (!rules_near(s.result.value_usd, sum * M))
            fail_msg("%s, %s: worth %.9g million, expected %.9g", s.method,
                     rub_action_text(r.action), s.result.value_usd / M, sum);
        solved_clear(&s);
    }
}

/* Does the evaluator let block 0 take the action at the root? */
static inline bool evaluator_lets(const rub_problem *p, rub_action action, int gen) {
    rub_plan plan = {0};
    rub_evaluation e = {0};
    rub_compiled c = {0};
    assert_int_equal(rub_plan_init(p, &plan, NULL), RUB_OK);
    assert_int_equal(rub_compiled_make(p, &c, NULL), RUB_OK);
    const rub_automaton *a = &c.site[0].automaton;
    plan.step[0].state = a->state[rub_state_arrive(p, a, a->initial, 0)];
    plan.step[0].action = (uint8_t)action;
    plan.step[0].gen = (uint8_t)gen;
    assert_int_equal(rub_plan_evaluate(p, &plan, &e, NULL), RUB_OK);
    if (strstr(e.violation, "stands in"))
        fail_msg("the state at the start: %s", e.violation);
    bool lets = !strstr(e.violation, "is not open in");
    rub_evaluation_clear(&e);
    rub_compiled_clear(&c);
    rub_plan_clear(&plan);
    return lets;
}

/* Has the solvers' automaton an open arc for it at the root? */
static inline bool automaton_lets(const rub_problem *p, rub_action action, int gen) {
    rub_compiled c = {0};
    bool lets = false;
    assert_int_equal(rub_compiled_make(p, &c, NULL), RUB_OK);
    for (int32_t i = c.site[0].first[0]; i < c.site[0].first[1]; i++)
        lets = lets || (c.site[0].entry[i].action == action &&
                        c.site[0].automaton.arc[c.site[0].entry[i].arc].gen == gen);
    rub_compiled_clear(&c);
    return lets;
}

/* Exactly these actions are open to block 0 at the root: "wait, sign, cancel". Orders stand for all
 * generations. */
static inline void expect_open(fixture *f, const char *want) {
    const rub_problem *p = fixture_bind(f);
    for (int a = 0; a < RUB_N_ACTION; a++) {
        bool orders = a == RUB_ACTION_FIT_OUT || a == RUB_ACTION_REFRESH;
        for (int g = 0; g < (orders ? p->n_gen : 1); g++) {
            const char *word = rub_action_text((rub_action)a), *at = strstr(want, word);
            bool open = at && (at[strlen(word)] == ',' || at[strlen(word)] == 0);
            if (evaluator_lets(p, (rub_action)a, g) != open)
                fail_msg("evaluator: %s is %s", word, open ? "not open" : "open");
            if (automaton_lets(p, (rub_action)a, g) != open)
                fail_msg("automaton: %s is %s", word, open ? "not open" : "open");
        }
    }
}

/* ---- small studies ------------------------------------------------------------------------------ */

/* One site of 2 MW whose terms are all different, so that one taken for another shows.
 *   option 0.3 a quarter, sign 7; shell 10 a MW in two quarters (10 each); hold 0.05 a MW (0.1);
 *   pause 0.07 a MW (0.14), resume 0.5 a MW (1); servers 6 (gen 0) and 8 (gen 1) a MW, installation 1
 *   a MW (orders 14 and 18); opex 0.2 a MW (0.4), upgrade 0.4 a MW (0.8); resale loses 3/4 a year.
 *   Leased: $100 a kW and month = 100 * 3000 * 2 = 0.6 a quarter; deferral 0.06 a MW (0.12); exit 3
 *   and one quarter of notice (3.6 in all). Sublet: 0.9 a MW, half of it ours (0.9 in all).
 *   Load: 3 units worth 1 each, 1 unit a MW, power 0.1 a MW. */
static inline fixture terms(rub_stage stage, bool owned) {
    static int32_t fee_q[] = {Q(2024, 1)};
    static double fee_usd[] = {3 * M};
    fixture f = fixture_make((fixture_def){.n_node = 1, .n_gen = 2});
    rub_study_site *s = f.site;
    s->stage = stage;
    s->owned = owned;
    s->block_mw = 2.0;
    s->option_fee_usd = 0.3 * M;
    s->sign_usd = 7 * M;
    s->build_for_q = 2;
    s->shell_usd_per_mw = 10 * M;
    s->hold_usd_per_mw_q = 0.05 * M;
    s->may_pause = true;
    s->pause_usd_per_mw_q = 0.07 * M;
    s->resume_usd_per_mw = 0.5 * M;
    s->fit_usd_per_mw = 1 * M;
    s->opex_usd_per_mw_q = 0.2 * M;
    s->upgrade_usd_per_mw = 0.4 * M;
    s->remaining_q = 1;
    s->generation = 0;
    s->age_years = 0.5; /* two quarters */
    s->commence_q = FIXTURE_START_Q;
    s->rent_usd_per_kw_month = 100.0;
    s->defer_max_q = 2;
    s->defer_usd_per_mw_q = 0.06 * M;
    s->notice_q = 1;
    s->exit_fee = (rub_schedule){.n = 1, .quarter = fee_q, .value = fee_usd};
    s->may_renew = true;
    s->may_sublet = true;
    s->sublet_frac = 0.5;
    s->sublet_min_q = 2;
    f.study.shell_life_years =
        0.5; /* of a shell, half is left after the one quarter: 1 - 0.25/0.5 */
    f.generation[0].residual_frac_per_year = f.generation[1].residual_frac_per_year = 0.25;
    f.problem.gen_usd_per_mw[0] = 6 * M;
    f.problem.gen_usd_per_mw[1] = 8 * M;
    f.problem.demand[0] = 3.0;
    f.problem.value_usd[0] = 1 * M;
    f.problem.power_usd_per_mw[0] = 0.1 * M;
    f.problem.sublet_usd_per_mw[0] = 0.9 * M;
    f.problem.sublet_depth_mw[0] = 100.0;
    return f;
}

enum { MOST_QUARTERS = 12 };

/* One quarter, then two futures for the rest: 1, 3, 5... is the first, 2, 4, 6... the second. */
static inline fixture fork_of(int32_t quarters, double first_prob) {
    int32_t parent[2 * MOST_QUARTERS];
    double prob[2 * MOST_QUARTERS];
    for (int32_t i = 0; i < 2 * quarters - 1; i++) {
        parent[i] = i == 0 ? -1 : i < 3 ? 0 : i - 2;
        prob[i] = i == 1 ? first_prob : i == 2 ? 1.0 - first_prob : 1.0;
    }
    return fixture_make((fixture_def){.n_node = 2 * quarters - 1, .parent = parent, .prob = prob});
}

static inline fixture chain_of(int32_t quarters) {
    fixture f = fixture_make((fixture_def){.n_node = quarters});
    f.study.shell_life_years = 0.0; /* nothing stands at the end unless a test says so */
    return f;
}

/* A load of one unit that is worth `value` from quarter `from` to `to`. */
static inline void load_of(fixture *f, int32_t from, int32_t to, double value) {
    for (int32_t n = 0; n < f->tree.n_node; n++) {
        bool on = f->tree.quarter[n] >= from && f->tree.quarter[n] <= to;
        f->problem.demand[n] = on;
        f->problem.value_usd[n] = value * M;
    }
}

static inline void servers_cost(fixture *f, double usd_per_mw) {
    for (int32_t i = 0; i < f->tree.n_node * f->problem.n_gen; i++)
        f->problem.gen_usd_per_mw[i] = usd_per_mw * M;
}

#endif
