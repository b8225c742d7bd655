/* 1,000 random small studies (4,000 of up to 6 blocks and 40 nodes with RUB_TEST_LONG): both
 * methods solve them, the bound is never under the optimum of the deterministic equivalent, no plan over
 * it, and what must hold of any plan does: perfect information and the stochastic solution are worth
 * nothing or more, more options and larger budgets never less, risk aversion trades mean for tail, and no
 * cash flows without an action. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "../random_problem.h"

#define NONE (-HUGE_VAL)

static int seed_now; /* told when something fails */

static double slack(double value) { return 2e-6 * fabs(value) + 1.0; }

static void holds(bool ok, const char *what, double a, double b) {
    if (!ok)
        fail_msg("seed %d: %s: %.10g, %.10g", seed_now, what, a, b);
}

typedef struct answer {
    double value, bound, mean, cvar;
    rub_plan plan;
} answer;

static void answer_clear(answer *a) { rub_plan_clear(&a->plan); }

static void check_cash(const rub_problem *p, const rub_plan *plan, const rub_evaluation *e);

/* Solves, has the plan evaluated and its cash flows checked. value is NONE when there is no plan. */
static answer solve(const rub_problem *p, rub_method method, const rub_plan *root) {
    rub_solve_def def = rub_solve_default();
    rub_solve_result r = {0};
    rub_evaluation e = {0};
    rub_error err = {0};
    answer a = {.value = NONE, .bound = NONE};
    def.method = method;
    def.gap_frac = method == RUB_METHOD_MIP ? 1e-6 : 1e-4;
    def.iterations = 4;
    def.n_thread = 1;
    def.explain = false;
    def.warm = root;
    def.keep_root = root != NULL;
    if (rub_portfolio_solve(p, &def, NULL, &a.plan, &r, &err) != RUB_OK)
        fail_msg("seed %d: %s", seed_now, err.message);
    if (r.outcome != RUB_OUTCOME_INFEASIBLE) {
        assert_int_equal(rub_plan_evaluate(p, &a.plan, &e, &err), RUB_OK);
        assert_int_equal(e.n_violation, 0);
        holds(fabs(r.value_usd - e.objective_usd) <= slack(r.value_usd), "value told and evaluated",
              r.value_usd, e.objective_usd);
        holds(fabs(r.bound_usd - r.value_usd) <= r.gap_frac * fmax(1.0, fabs(r.value_usd)) + 1e-6 ||
                  r.bound_usd < r.value_usd,
              "gap told", r.gap_frac, r.bound_usd - r.value_usd);
        check_cash(p, &a.plan, &e);
        a.value = e.objective_usd;
        a.bound = r.bound_usd;
        a.mean = e.mean_npv_usd;
        a.cvar = e.cvar_npv_usd;
    }
    rub_evaluation_clear(&e);
    rub_solve_result_clear(&r);
    return a;
}

static double optimum(const rub_problem *p, const rub_plan *root) {
    answer a = solve(p, RUB_METHOD_MIP, root);
    answer_clear(&a);
    return a.value;
}

/* ---- no cash flow without an action ----------------------------------------------------------- */

static uint32_t actions_at(const rub_problem *p, const rub_plan *plan, int32_t n) {
    uint32_t set = 0;
    for (int32_t b = 0; b < p->n_block; b++)
        set |= 1u << plan->step[(size_t)b * (size_t)p->n_node + (size_t)n].action;
    return set;
}

static double sum(const double *x, int64_t n) {
    double total = 0.0;
    for (int64_t i = 0; i < n; i++)
        total += fabs(x[i]);
    return total;
}

#define A(name) (1u << RUB_ACTION_##name)

static void check_cash(const rub_problem *p, const rub_plan *plan, const rub_evaluation *e) {
    static const struct {
        rub_cash_kind kind;
        uint32_t actions;
    } needs[] = {
        {RUB_CASH_CAPEX_LONG, A(SIGN) | A(PROCEED) | A(RESUME) | A(UPGRADE) | A(RENEW)},
        {RUB_CASH_CAPEX_SHORT, A(FIT_OUT) | A(REFRESH)},
        {RUB_CASH_RESALE, A(REFRESH) | A(RETIRE) | A(CANCEL)},
        {RUB_CASH_ROFR, A(SERVE) | A(RENEW)},
        {RUB_CASH_SUBLET, A(WAIT) | A(RESUME) | A(RENEW)},
        {RUB_CASH_OPEX, A(SERVE) | A(UPGRADE) | A(RENEW)},
        {RUB_CASH_HOLD,
         A(WAIT) | A(PAUSE) | A(RESUME) | A(DEFER) | A(UPGRADE) | A(SUBLET) | A(RENEW)},
        {RUB_CASH_LEASE, ~(A(NONE) | A(SIGN))},
    };
    int64_t steps = (int64_t)(p->n_region + 1) * p->n_step;
    for (int32_t n = 0; n < p->n_node; n++) {
        const double *cash = e->cash_usd + (size_t)n * RUB_N_CASH;
        uint32_t set = actions_at(p, plan, n);
        for (size_t k = 0; k < RUB_LEN(needs); k++)
            holds(cash[needs[k].kind] == 0.0 || (set & needs[k].actions),
                  rub_cash_text(needs[k].kind), cash[needs[k].kind], n);
        holds(cash[RUB_CASH_VALUE] == 0.0 || sum(plan->served + n * p->n_demand, p->n_demand) > 0,
              "earned without serving", cash[RUB_CASH_VALUE], n);
        holds(cash[RUB_CASH_RENT_IN] == 0.0 || sum(plan->rent_in + n * steps, steps) > 0,
              "paid without renting in", cash[RUB_CASH_RENT_IN], n);
        holds(cash[RUB_CASH_RENT_OUT] == 0.0 || sum(plan->rent_out + n * steps, steps) > 0,
              "paid without renting out", cash[RUB_CASH_RENT_OUT], n);
        holds(cash[RUB_CASH_TERMINAL] == 0.0 || p->tree->n_child[n] == 0, "value before the end",
              cash[RUB_CASH_TERMINAL], n);
        holds(cash[RUB_CASH_FIXED] == p->fixed_cash_usd[n], "fixed cash", cash[RUB_CASH_FIXED], n);
    }
}

/* ---- one path of a problem, or the mean of all ---------------------------------------------------- */

typedef struct path {
    rub_problem p;
    rub_tree tree;
    void *owned[40];
    int n_owned;
} path;

static void *take(path *x, size_t n, size_t size) {
    void *memory = rub_calloc(n, size);
    assert_true(memory && x->n_owned < 40);
    return x->owned[x->n_owned++] = memory;
}

static void path_free(path *x) {
    for (int i = 0; i < x->n_owned; i++)
        free(x->owned[i]);
}

/* Rows of `from` weighted into quarters. */
static double *rows(path *x, const rub_problem *p, const double *from, const double *weight,
                    int64_t width) {
    double *to = take(x, (size_t)(p->n_quarter * width), sizeof *to);
    for (int32_t n = 0; n < p->n_node; n++)
        for (int64_t k = 0; weight[n] > 0 && k < width; k++)
            to[p->tree->quarter[n] * width + k] += weight[n] * from[n * width + k];
    return to;
}

/* Yes or no: what holds in most of the weight. */
static uint8_t *flags(path *x, const rub_problem *p, const uint8_t *from, const double *weight,
                      int64_t width) {
    uint8_t *to = take(x, (size_t)(p->n_quarter * width), 1);
    double *share = take(x, (size_t)(p->n_quarter * width), sizeof *share);
    for (int32_t n = 0; n < p->n_node; n++)
        for (int64_t k = 0; k < width; k++)
            share[p->tree->quarter[n] * width + k] += weight[n] * from[n * width + k];
    for (int64_t k = 0; k < p->n_quarter * width; k++)
        to[k] = share[k] >= 0.5;
    return to;
}

static void path_tree(path *x, const rub_problem *p, const double *weight) {
    rub_tree *t = &x->tree;
    size_t q = (size_t)p->n_quarter;
    *t = (rub_tree){.n_node = p->n_quarter,
                    .n_quarter = p->n_quarter,
                    .n_leaf = 1,
                    .n_feature = p->tree->n_feature,
                    .parent = take(x, q, sizeof(int32_t)),
                    .quarter = take(x, q, sizeof(int32_t)),
                    .first_child = take(x, q, sizeof(int32_t)),
                    .n_child = take(x, q, sizeof(int32_t)),
                    .prob = take(x, q, sizeof(double))};
    for (int32_t i = 0; i < p->n_quarter; i++) {
        t->parent[i] = i - 1;
        t->quarter[i] = i;
        t->first_child[i] = i + 1;
        t->n_child[i] = i + 1 < p->n_quarter;
        t->prob[i] = 1.0;
    }
    t->feature = rows(x, p, p->tree->feature, weight, t->n_feature);
    for (size_t i = 0; i < q * (size_t)t->n_feature; i++)
        t->feature[i] = t->feature[i] >= 0.5; /* talks are all that the solvers read of them */
}

static void path_make(path *x, const rub_problem *p, const double *weight) {
    int64_t d = p->n_demand, g = p->n_gen, r = p->n_region, m = (r + 1) * p->n_step;
    *x = (path){.p = *p};
    rub_problem *y = &x->p;
    path_tree(x, p, weight);
    y->tree = &x->tree;
    y->n_node = p->n_quarter;
    y->cvar_weight = 0.0;
    y->demand = rows(x, p, p->demand, weight, d);
    y->value_usd = rows(x, p, p->value_usd, weight, d);
    y->penalty_usd = rows(x, p, p->penalty_usd, weight, d);
    y->may_order = flags(x, p, p->may_order, weight, g);
    y->gen_usd_per_mw = rows(x, p, p->gen_usd_per_mw, weight, g);
    y->tok_per_s_per_mw = rows(x, p, p->tok_per_s_per_mw, weight, g);
    y->train_per_mw = rows(x, p, p->train_per_mw, weight, g);
    y->supply_mw = rows(x, p, p->supply_mw, weight, g);
    y->power_usd_per_mw = rows(x, p, p->power_usd_per_mw, weight, r);
    y->grid_mw = rows(x, p, p->grid_mw, weight, r);
    y->sublet_usd_per_mw = rows(x, p, p->sublet_usd_per_mw, weight, r);
    y->sublet_depth_mw = rows(x, p, p->sublet_depth_mw, weight, r);
    y->rent_in_depth = rows(x, p, p->rent_in_depth, weight, m);
    y->rent_in_usd = rows(x, p, p->rent_in_usd, weight, m);
    y->rent_out_depth = rows(x, p, p->rent_out_depth, weight, m);
    y->rent_out_usd = rows(x, p, p->rent_out_usd, weight, m);
    y->ship_usd = rows(x, p, p->ship_usd, weight, p->n_link);
    y->fixed_cash_usd = rows(x, p, p->fixed_cash_usd, weight, 1);
    y->rofr = flags(x, p, p->rofr, weight, p->study->n_partner);
}

/* ---- invariants ------------------------------------------------------------------------------------ */

typedef struct leaf {
    double value, prob;
} leaf;

static int worst_first(const void *a, const void *b) {
    double x = ((const leaf *)a)->value, y = ((const leaf *)b)->value;
    return (x > y) - (x < y);
}

static double risk_adjusted(leaf *x, int32_t n, double w, double alpha) {
    double mean = 0.0, tail = 0.0, left = alpha;
    qsort(x, (size_t)n, sizeof *x, worst_first);
    for (int32_t i = 0; i < n; i++) {
        double part = fmin(x[i].prob, left);
        mean += x[i].prob * x[i].value;
        tail += part * x[i].value / alpha;
        left -= part;
    }
    return (1.0 - w) * mean + w * tail;
}

/* Every future planned as if it were known is worth at least the plan. */
static void perfect_information(const rub_problem *p, double best) {
    leaf *known = RUB_NEW(leaf, p->tree->n_leaf);
    double *weight = RUB_NEW(double, p->n_node);
    int32_t l = 0;
    assert_true(known && weight);
    for (int32_t n = 0; n < p->n_node; n++) {
        if (p->tree->n_child[n] > 0)
            continue;
        path x;
        memset(weight, 0, (size_t)p->n_node * sizeof *weight);
        for (int32_t a = n; a >= 0; a = p->tree->parent[a])
            weight[a] = 1.0;
        path_make(&x, p, weight);
        known[l++] = (leaf){optimum(&x.p, NULL), p->tree->prob[n]};
        path_free(&x);
    }
    double value = risk_adjusted(known, l, p->cvar_weight, p->cvar_alpha);
    holds(value >= best - slack(best), "perfect information is worth less than nothing", value,
          best);
    free(known);
    free(weight);
}

/* Today's decisions of the plan for the mean future, followed by the best course, are worth at most the
 * plan. Some have no sequel. */
static void stochastic_solution(const rub_problem *p, double best) {
    path x;
    path_make(&x, p, p->tree->prob);
    answer mean = solve(&x.p, RUB_METHOD_MIP, NULL);
    if (mean.plan.step) {
        rub_plan root = {.n_block = p->n_block, .n_node = p->n_node};
        root.step = RUB_NEW(rub_step, (size_t)p->n_block * (size_t)p->n_node);
        assert_non_null(root.step);
        for (int32_t b = 0; b < p->n_block; b++)
            root.step[(size_t)b * (size_t)p->n_node] =
                mean.plan.step[(size_t)b * (size_t)p->n_quarter];
        double value = optimum(p, &root);
        holds(value <= best + slack(best), "the mean future's start is better than the best", value,
              best);
        free(root.step);
    }
    answer_clear(&mean);
    path_free(&x);
}

static void fewer_options(const rub_problem *p, double best, rub_rng *rng) {
    rub_problem q = *p;
    q.allow &= ~((uint32_t)rub_rng_below(rng, RUB_ALLOW_ALL) + 1u);
    double value = optimum(&q, NULL);
    holds(value <= best + slack(best), "fewer options are worth more", value, best);
}

static void tighter_budget(const rub_problem *p, double best, rub_rng *rng) {
    rub_problem q = *p;
    double cut[8];
    assert_true(p->n_budget <= 8);
    for (int32_t b = 0; b < p->n_budget; b++)
        cut[b] = p->budget_usd[b] * rub_rng_uniform(rng);
    q.budget_usd = cut;
    double value = optimum(&q, NULL);
    holds(value <= best + slack(best), "smaller budgets are worth more", value, best);
}

static void risk_trades_mean_for_tail(const rub_problem *p) {
    rub_problem q = *p;
    q.cvar_weight = 0.0;
    answer neutral = solve(&q, RUB_METHOD_MIP, NULL);
    q.cvar_weight = 0.5;
    answer averse = solve(&q, RUB_METHOD_MIP, NULL);
    double s = 4.0 * slack(fmax(fabs(neutral.mean), fabs(neutral.cvar)));
    holds(averse.mean <= neutral.mean + s, "risk aversion raises the mean", averse.mean,
          neutral.mean);
    holds(averse.cvar >= neutral.cvar - s, "risk aversion lowers the tail", averse.cvar,
          neutral.cvar);
    answer_clear(&neutral);
    answer_clear(&averse);
}

/* ---- the run ------------------------------------------------------------------------------------ */

typedef struct tally {
    int solved, infeasible, near;
    double worst_gap;
} tally;

static void one(int seed, int32_t sites, int32_t nodes, tally *t) {
    rub_rng rng = rub_rng_make((uint64_t)seed, 5);
    fixture f = random_problem((uint64_t)seed, sites, nodes);
    random_hard_limits(&f, (uint64_t)seed);
    const rub_problem *p = fixture_bind(&f);
    seed_now = seed;
    answer exact = solve(p, RUB_METHOD_MIP, NULL), priced = solve(p, RUB_METHOD_PRICING, NULL);
    double best = exact.value, s = slack(best);
    holds((best == NONE) == (priced.value == NONE), "one method finds a plan", best, priced.value);
    if (best == NONE)
        t->infeasible++;
    else {
        holds(priced.bound >= best - s, "the bound is under the optimum", priced.bound, best);
        holds(priced.value <= exact.bound + s, "the plan is over the optimum", priced.value,
              exact.bound);
        t->solved++;
        t->near += priced.value >= best - 1e-4 * fabs(best) - 1.0;
        switch (seed % 5) {
        case 0:
            perfect_information(p, best);
            break;
        case 1:
            stochastic_solution(p, best);
            break;
        case 2:
            fewer_options(p, best, &rng);
            break;
        case 3:
            tighter_budget(p, best, &rng);
            break;
        default:
            risk_trades_mean_for_tail(p);
        }
    }
    answer_clear(&exact);
    answer_clear(&priced);
    fixture_free(&f);
}

static void random_studies(void **state) {
    (void)state;
    bool thorough = getenv("RUB_TEST_LONG") != NULL;
    int n = thorough ? 4000 : 1000;
    tally t = {0};
    for (int seed = 1; seed <= n; seed++) {
        bool larger = thorough ? seed > 1000 : seed % 50 == 0;
        one(seed, larger ? 3 : 1 + seed % 2, larger ? thorough ? 40 : 20 : 8, &t);
    }
    print_message("%d solved, %d infeasible, %d of the plans within 0.01 %% of the optimum\n",
                  t.solved, t.infeasible, t.near);
    assert_true(t.solved >= n * 8 / 10 && t.infeasible >= n / 100); /* both kinds are there */
    assert_true(t.near >= t.solved * 9 / 10); /* the search, with little time, finds most optima */
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_studies)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
