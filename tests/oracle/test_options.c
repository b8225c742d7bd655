/* Textbook option values: one block and one price on a binomial tree.
 *
 * Probabilities are risk-neutral and money is discounted at the riskless rate, so the plan's value is the
 * option's. The one-period examples are those of Trigeorgis 1993 (Financial Management 22(3)): a project
 * worth 180 or 60 in a year, 100 today (p = 0.4, r = 8 %), that costs 104. Lattices follow Cox, Ross and
 * Rubinstein 1979 (J. Financial Economics 7): u = exp(s sqrt(dt)), d = 1/u, compared with backward
 * induction over the recombining lattice of as many steps, written here; and as steps get shorter, with the
 * American put of Hull's chapter on lattices and with the perpetual option to invest of McDonald and Siegel
 * 1986 (Quarterly J. of Economics 101). */
#include "../rules.h"

/* ---- the oracle ------------------------------------------------------------------------------- */

typedef struct market {
    double price, rate, yield, vol, dt; /* of one year; dt in years */
} market;

static double up(const market *m) { return exp(m->vol * sqrt(m->dt)); }

static double up_prob(const market *m) {
    double u = up(m);
    return (exp((m->rate - m->yield) * m->dt) - 1.0 / u) / (u - 1.0 / u);
}

/* American option by backward induction: sign +1 a call, -1 a put; exercised at 0, dt, ..., n dt. */
static double backward(const market *m, int n, double strike, double sign) {
    double p = up_prob(m), disc = exp(-m->rate * m->dt), *v = malloc(((size_t)n + 1) * sizeof *v);
    assert_non_null(v);
    for (int t = n; t >= 0; t--)
        for (int i = 0; i <= t; i++) { /* i steps up */
            double s = m->price * pow(up(m), 2 * i - t);
            double now = fmax(0.0, sign * (s - strike));
            double hold = t < n ? disc * (p * v[i + 1] + (1 - p) * v[i]) : 0.0;
            v[i] = fmax(now, hold);
        }
    double value = v[0];
    free(v);
    return value;
}

/* ---- the tree of a block -------------------------------------------------------------------------- */

enum { MOST_STEPS = 14, MOST_NODES = (1 << (MOST_STEPS + 1)) - 1 };

/* Every node has an up child (2i + 1) and a down child (2i + 2). One block of 1 MW that gives one unit;
 * no demand yet. */
static fixture binomial(int steps, double p) {
    static int32_t parent[MOST_NODES];
    static double prob[MOST_NODES];
    int32_t n = (1 << (steps + 1)) - 1;
    for (int32_t i = 0; i < n; i++) {
        parent[i] = i ? (i - 1) / 2 : -1;
        prob[i] = i % 2 ? p : 1.0 - p;
    }
    fixture f =
        fixture_make((fixture_def){.n_node = n, .parent = parent, .prob = prob, .n_site = 2});
    f.study.shell_life_years = 0.0;
    f.generation[0].life_years = 50.0;
    f.site[1].stage = RUB_STAGE_ENDED;
    return f;
}

static void pays(fixture *f, int32_t node, double usd) {
    f->problem.demand[node] = 10.0; /* more than the blocks have: the price is given */
    f->problem.value_usd[node] = usd * M;
}

/* The price at each node, and discounting; returns the tree. */
static fixture lattice(const market *m, int steps, double *price) {
    fixture f = binomial(steps, up_prob(m));
    for (int32_t i = 0; i < f.tree.n_node; i++)
        price[i] = i ? price[(i - 1) / 2] * (i % 2 ? up(m) : 1.0 / up(m)) : m->price;
    for (int32_t t = 0; t <= steps; t++)
        f.problem.discount[t] = exp(-m->rate * m->dt * t);
    return f;
}

/* The optimum [million USD] of one method; its root action in *now when that is not NULL. */
static double optimum(fixture *f, rub_method method, rub_action *now) {
    solved s = rules_solve(fixture_bind(f), method, NULL);
    double value = s.evaluation.objective_usd / M;
    assert_true(s.result.bound_usd >= value * M - 1.0);
    if (now)
        *now = (rub_action)s.plan.step[0].action;
    solved_clear(&s);
    return value;
}

/* ---- options as blocks ------------------------------------------------------------------------------ */

/* A live block whose load pays the price in the last quarter only; cancelling pays the strike at any
 * time. Without dividends the right to it is worth the price and an American put. */
static double put_as_block(const market *m, int steps, double strike, rub_method method) {
    static double price[MOST_NODES];
    int32_t from = FIXTURE_START_Q;
    double sale = -strike * M;
    fixture f = lattice(m, steps, price);
    f.site->stage = RUB_STAGE_LIVE;
    f.site->generation = 0;
    f.site->exit_fee = (rub_schedule){.n = 1, .quarter = &from, .value = &sale};
    for (int32_t i = f.tree.n_node / 2; i < f.tree.n_node; i++)
        pays(&f, i, price[i]);
    double value = optimum(&f, method, NULL);
    fixture_free(&f);
    return value - m->price;
}

/* An empty shell, fitted out at the strike at any time but the last, live a quarter later. Live, it earns
 * f = 1/g - 1 of the price each quarter and 1/g of it in the last, g = exp(-yield dt) being what a
 * quarter's dividends leave: what follows an order is then worth the price when it is given,
 * W(t) = g (f + W(t + 1)) = 1, and the right to order an American call with steps - 1 steps. */
static double call_as_block(const market *m, int steps, double strike, rub_method method,
                            rub_action *now) {
    static double price[MOST_NODES];
    double g = exp(-m->yield * m->dt);
    fixture f = lattice(m, steps, price);
    f.site->stage = RUB_STAGE_SHELL;
    for (int32_t i = 0; i < f.tree.n_node; i++) {
        bool last = i >= f.tree.n_node / 2;
        pays(&f, i, price[i] * (last ? 1.0 / g : 1.0 / g - 1.0));
        /* only the first order costs the strike: a resale at the same price would undo it */
        f.problem.gen_usd_per_mw[i] = 0.0;
    }
    f.site->fit_usd_per_mw = strike * M;
    double value = optimum(&f, method, now);
    fixture_free(&f);
    return value;
}

/* ---- one period ---------------------------------------------------------------------------------- */

/* Worth 180 or 60 from the second quarter on, which stands a year later; nothing is discounted after. */
static fixture project(int steps) {
    fixture f = binomial(steps, 0.4);
    for (int32_t t = 1; t <= steps; t++)
        f.problem.discount[t] = 1.0 / 1.08;
    for (int32_t i = 0; i < f.tree.n_node; i++) { /* after the first step the price stays */
        int32_t first = i;
        while (first > 2)
            first = (first - 1) / 2;
        if (f.tree.n_child[i] == 0)
            pays(&f, i, first == 1 ? 180 : 60);
    }
    return f;
}

static void both(fixture *f, double want) {
    for (int k = 0; k < 2; k++) {
        double found = optimum(f, k ? RUB_METHOD_PRICING : RUB_METHOD_MIP, NULL);
        if (fabs(found - want) > 1e-6)
            fail_msg("%s: %.9g, expected %.9g", k ? "pricing" : "MIP", found, want);
    }
}

/* Invest 104 now, or 104 * 1.08 = 112.32 in a year when it is worth it:
 * 0.4 * (180 - 112.32) / 1.08 = 25.0667, against -4 now. */
static void option_to_defer(void **state) {
    (void)state;
    fixture f = project(2);
    f.site->stage = RUB_STAGE_SHELL;
    f.problem.gen_usd_per_mw[0] = 104 * M;
    f.problem.gen_usd_per_mw[1] = f.problem.gen_usd_per_mw[2] = 112.32 * M;
    both(&f, 0.4 * (180 - 112.32) / 1.08);
    fixture_free(&f);
}

/* Half as much again for 40 in a year: (0.4 * (270 - 40) + 0.6 * 60) / 1.08 - 104 = 14.5185. */
static void option_to_expand(void **state) {
    (void)state;
    fixture f = project(2);
    f.problem.fixed_cash_usd[0] = -104 * M;
    f.site[0].stage = RUB_STAGE_LIVE;
    f.site[0].generation = 0;
    f.site[1].stage = RUB_STAGE_SHELL;
    f.site[1].block_mw = 0.5;
    f.problem.may_order[0] = 0;
    f.problem.gen_usd_per_mw[1] = f.problem.gen_usd_per_mw[2] = 80 * M; /* 40 for half a MW */
    both(&f, (0.4 * 230 + 0.6 * 60) / 1.08 - 104);
    fixture_free(&f);
}

/* Given up for its worth in another use, 72 when things go badly:
 * (0.4 * 180 + 0.6 * 72) / 1.08 - 104 = 2.6667. */
static void option_to_abandon(void **state) {
    (void)state;
    static int32_t from[] = {FIXTURE_START_Q};
    static double sale[] = {-72 * M};
    fixture f = project(2);
    f.problem.fixed_cash_usd[0] = -104 * M;
    f.site->stage = RUB_STAGE_LIVE;
    f.site->generation = 0;
    f.site->exit_fee = (rub_schedule){.n = 1, .quarter = from, .value = sale};
    both(&f, (0.4 * 180 + 0.6 * 72) / 1.08 - 104);
    fixture_free(&f);
}

/* Built in stages: 44 now (paid), 60 * 1.08 = 64.8 in a year, or not:
 * 0.4 * (180 - 64.8) / 1.08 - 44 = -1.3333. */
static void option_to_stage(void **state) {
    (void)state;
    fixture f = project(3);
    f.problem.fixed_cash_usd[0] = -44 * M;
    f.site->stage = RUB_STAGE_SIGNED;
    f.site->shell_usd_per_mw = 64.8 * M;
    both(&f, 0.4 * (180 - 64.8) / 1.08 - 44);
    fixture_free(&f);
}

/* ---- lattices ----------------------------------------------------------------------------------- */

/* Hull, Options, Futures and Other Derivatives, "Basic numerical procedures": a put of five months on a
 * stock at 50, strike 50, 10 %, volatility 40 %. */
static market hull(int steps) {
    return (market){.price = 50, .rate = 0.10, .vol = 0.40, .dt = 5.0 / 12 / steps};
}

static void american_put_on_a_lattice(void **state) {
    (void)state;
    market m = hull(5);
    double five = put_as_block(&m, 5, 50, RUB_METHOD_MIP);
    assert_true(fabs(five - 4.49) < 0.005); /* his tree of five steps */
    for (int n = 1; n <= 13; n += 2) {
        m = hull(n);
        double want = backward(&m, n, 50, -1), found = put_as_block(&m, n, 50, RUB_METHOD_PRICING);
        if (fabs(found - want) > 1e-6 * want)
            fail_msg("%d steps: %.9g, expected %.9g", n, found, want);
        if (n <= 5)
            assert_true(fabs(put_as_block(&m, n, 50, RUB_METHOD_MIP) - want) <= 1e-6 * want);
    }
}

/* What a lattice leaves out is the gain from convexity within one step, gamma/2 (S vol)^2 dt, with
 * gamma = phi(d1) / (S vol sqrt(T)) of the European option: 2.47 / n here. */
static double one_step_gamma(const market *m, int n, double strike) {
    double t = m->dt * n, sd = m->vol * sqrt(t);
    double d1 = (log(m->price / strike) + (m->rate + 0.5 * m->vol * m->vol) * t) / sd;
    double gamma = exp(-0.5 * d1 * d1) / sqrt(2 * M_PI) / (m->price * sd);
    return 0.5 * gamma * pow(m->price * m->vol, 2) * m->dt;
}

/* As steps get shorter the block's value goes to 4.283 (Hull, with 500 steps; 4.2842 in the limit). */
static void american_put_converges(void **state) {
    (void)state;
    double before = HUGE_VAL;
    market fine = hull(2000);
    double limit = backward(&fine, 2000, 50, -1);
    assert_true(fabs(limit - 4.284) < 0.001);
    for (int n = 3; n <= 12; n *= 2) { /* even and odd lie on either side: their mean is smooth */
        market m = hull(n), odd = hull(n + 1);
        double a = put_as_block(&m, n, 50, RUB_METHOD_PRICING),
               b = put_as_block(&odd, n + 1, 50, RUB_METHOD_PRICING);
        double error = fabs(0.5 * (a + b) - limit);
        assert_true(fabs(a - limit) <= one_step_gamma(&m, n, 50));
        assert_true(fabs(b - limit) <= one_step_gamma(&odd, n + 1, 50));
        assert_true(error < before);
        before = error;
    }
}

static void call_with_dividends_on_a_lattice(void **state) {
    (void)state;
    for (int n = 2; n <= 12; n += 5) {
        market m = {.price = 100, .rate = 0.05, .yield = 0.08, .vol = 0.3, .dt = 3.0 / n};
        double want = backward(&m, n - 1, 90, 1),
               found = call_as_block(&m, n, 90, RUB_METHOD_PRICING, NULL);
        if (fabs(found - want) > 1e-6 * want)
            fail_msg("%d steps: %.9g, expected %.9g", n, found, want);
        if (n == 2)
            assert_true(fabs(call_as_block(&m, n, 90, RUB_METHOD_MIP, NULL) - want) <= 1e-6 * want);
    }
}

static double normal(double x) { return 0.5 * erfc(-x / sqrt(2.0)); }

/* Dixit and Pindyck's case (Investment under Uncertainty, 1994, chapter 5): rate and yield 4 %,
 * volatility 20 %, cost 1. beta = 1/2 + sqrt(1/4 + 2 * 0.04 / 0.04) = 2: invest from twice the cost on, and
 * at a price of 1 the right is worth 1/4. A tree of 48 years leaves out what is invested later, 1/4 of the
 * probability (in the measure of price^2, whose drift is 6 %) that twice the price is not met by then; and
 * within a step the convexity of price^2/4: 1/2 * 1/2 * 0.04 dt. */
static void perpetual_option_to_invest(void **state) {
    (void)state;
    double years = 48, drift = 0.06, vol = 0.2, level = log(2.0), sd = vol * sqrt(years);
    double never = normal((level - drift * years) / sd) -
                   exp(2 * drift * level / (vol * vol)) * normal((-level - drift * years) / sd);
    double before = HUGE_VAL;
    for (int n = 4; n <= 13; n += 4 + (n == 8)) {
        market m = {.price = 1, .rate = 0.04, .yield = 0.04, .vol = vol, .dt = years / (n - 1)};
        double found = call_as_block(&m, n, 1, RUB_METHOD_PRICING, NULL);
        double want = backward(&m, n - 1, 1, 1), error = fabs(found - 0.25);
        assert_true(fabs(found - want) <= 1e-6 * want);
        if (error > 0.25 * never + 0.01 * m.dt)
            fail_msg("%d steps: %.6g is off 1/4 by %.3g", n, found, error);
        assert_true(error < before);
        before = error;
    }
    /* and the rule: wait at 1.5 times the cost, invest at 2.2 times */
    static const struct {
        double price;
        rub_action now;
    } rule[] = {{1.5, RUB_ACTION_WAIT}, {2.2, RUB_ACTION_FIT_OUT}};
    for (int i = 0; i < 2; i++) {
        rub_action now;
        market m = {.price = rule[i].price, .rate = 0.04, .yield = 0.04, .vol = vol, .dt = 4};
        call_as_block(&m, 13, 1, RUB_METHOD_PRICING, &now);
        assert_int_equal(now, rule[i].now);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(option_to_defer),
        cmocka_unit_test(option_to_expand),
        cmocka_unit_test(option_to_abandon),
        cmocka_unit_test(option_to_stage),
        cmocka_unit_test(american_put_on_a_lattice),
        cmocka_unit_test(american_put_converges),
        cmocka_unit_test(call_with_dividends_on_a_lattice),
        cmocka_unit_test(perpetual_option_to_invest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
