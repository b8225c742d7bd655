/* The demand process against closed forms: moments of growth and innovations, correlations, hazards,
 * regimes, dated shocks. Limits are four standard errors of the sample, so a right process fails one
 * check in 15,000; the seed is fixed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../small_study.h"
#include "rubato/portfolio.h"

enum { N = 8000 };

typedef struct sample {
    rub_study *study;
    rub_paths paths;
    rub_features f;
} sample;

static sample draw(const char *const *overrides, size_t n) {
    rub_error err = {0};
    sample s = {.study = small_study_read(overrides, n, &err)};
    if (!s.study)
        fail_msg("%s", err.message);
    if (rub_process_simulate(s.study, N, 11, &s.paths, &err) != RUB_OK)
        fail_msg("%s", err.message);
    s.f = rub_features_of(s.study);
    return s;
}

static void clear(sample *s) {
    rub_paths_clear(&s->paths);
    rub_study_free(s->study);
}

static double at(const sample *s, int32_t path, int32_t t, int32_t column) {
    return s->paths.value[((size_t)path * (size_t)s->paths.n_quarter + (size_t)t) *
                              (size_t)s->paths.n_feature +
                          (size_t)column];
}

typedef struct moments {
    double mean, variance;
} moments;

static moments of(const double *x) {
    moments m = {0};
    for (int i = 0; i < N; i++)
        m.mean += x[i] / N;
    for (int i = 0; i < N; i++)
        m.variance += (x[i] - m.mean) * (x[i] - m.mean) / (N - 1);
    return m;
}

/* |found - expected| within four standard errors, given the variance of one value. */
static void near(double found, double expected, double variance, const char *what) {
    double limit = 4.0 * sqrt(variance / N) + 1e-12 * fabs(expected);
    if (!(fabs(found - expected) <= limit))
        fail_msg("%s: %.6g, expected %.6g within %.2g", what, found, expected, limit);
}

static const char *const plain[] = {"process.regimes=null", "process.shocks=null",
                                    "partners.anchor.leave_hazard=0%/yr", "demand.chat.season=0%"};

static void innovations_have_their_moments(void **state) {
    (void)state;
    sample s = draw(plain, 4);
    double *x = malloc(N * sizeof *x);
    const double sigma[] = {0.4, 0.5, 0.2}, growth[] = {0.6, 0.8, 0.0};
    const double base[] = {10e6, 5e6, 6e3};
    for (int32_t d = 0; d < 3; d++)
        for (int32_t t = 1; t < 8; t++) {
            double years = t / 4.0, v = sigma[d] * sigma[d] * years;
            double mean = base[d] * pow(1 + growth[d], years);
            for (int i = 0; i < N; i++)
                x[i] = at(&s, i, t, s.f.demand + d);
            near(of(x).mean, mean, mean * mean * (exp(v) - 1), "mean of a load");
            for (int i = 0; i < N; i++)
                x[i] = log(at(&s, i, t, s.f.demand + d) / mean);
            near(of(x).mean, -0.5 * v, v, "mean of its logarithm");
            /* variance of a normal's sample variance: 2 v^2 */
            near(of(x).variance, v, 2 * v * v, "variance of its logarithm");
        }
    for (int i = 0; i < N; i++)
        x[i] = log(at(&s, i, 4, s.f.rent));
    near(of(x).variance, 0.04, 2 * 0.04 * 0.04, "variance of the rental price");
    free(x);
    clear(&s);
}

/* Correlation of two loads' logarithms. */
static double correlation(const sample *s, int32_t a, int32_t b, int32_t t) {
    double *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y), sum = 0.0;
    for (int i = 0; i < N; i++) {
        x[i] = log(at(s, i, t, s->f.demand + a));
        y[i] = log(at(s, i, t, s->f.demand + b));
    }
    moments mx = of(x), my = of(y);
    for (int i = 0; i < N; i++)
        sum += (x[i] - mx.mean) * (y[i] - my.mean) / (N - 1);
    free(x);
    free(y);
    return sum / sqrt(mx.variance * my.variance);
}

static void loads_move_together_as_told(void **state) {
    (void)state;
    const char *more[] = {plain[0],
                          plain[1],
                          plain[2],
                          plain[3],
                          "process.correlation=30%",
                          "process.class_correlation=25%",
                          "process.region_correlation=20%"};
    sample s = draw(more, 7);
    /* chat and code: inference, different regions: common + class; with training: common alone */
    near(correlation(&s, 0, 1, 6), 0.55, pow(1 - 0.55 * 0.55, 2), "same class");
    near(correlation(&s, 0, 2, 6), 0.30, pow(1 - 0.3 * 0.3, 2), "other class");
    clear(&s);
    const char *same[] = {plain[0],
                          plain[1],
                          plain[2],
                          plain[3],
                          "process.correlation=30%",
                          "process.class_correlation=25%",
                          "process.region_correlation=20%",
                          "demand.code.region=east"};
    s = draw(same, 8);
    near(correlation(&s, 0, 1, 6), 0.75, pow(1 - 0.75 * 0.75, 2), "same class and region");
    clear(&s);
}

static void too_much_correlation_is_an_error(void **state) {
    (void)state;
    const char *much[] = {"process.correlation=60%", "process.class_correlation=50%"};
    rub_error err = {0};
    assert_null(small_study_read(much, 2, &err));
    assert_int_equal(err.code, RUB_INVALID);
}

static void saturation_is_logistic(void **state) {
    (void)state;
    const char *some[] = {plain[0],
                          plain[1],
                          plain[2],
                          plain[3],
                          "demand.chat.volatility=0%",
                          "demand.chat.saturation=20M tok/s"};
    sample s = draw(some, 6);
    for (int32_t t = 0; t < 8; t++) {
        double x = 20e6 / (1 + (2.0 - 1) * exp(-log(1.6) * t / 4));
        assert_true(fabs(at(&s, 3, t, s.f.demand) - x) < 1e-6 * x);
    }
    clear(&s);
}

static void hazards_and_rights_come_as_often_as_told(void **state) {
    (void)state;
    sample s = draw(NULL, 0);
    for (int32_t t = 1; t < 8; t++) {
        double left = 0.0, right = 0.0, gone = 1 - exp(-0.4 * t / 4);
        for (int i = 0; i < N; i++) {
            left += at(&s, i, t, s.f.left) > 0 ? 1.0 / N : 0.0;
            right += at(&s, i, t, s.f.rofr) / N;
        }
        near(left, gone, gone * (1 - gone), "partner gone");
        double p = 0.3 * (1 - gone); /* only while it stays */
        near(right, p, p * (1 - p), "right exercised");
    }
    double closed = 0.0, cheap = 0.0;
    for (int i = 0; i < N; i++) {
        closed += at(&s, i, 2, s.f.talks + 3) / N; /* deal closes in 2025-Q3 */
        cheap += at(&s, i, 7, s.f.yield) > 1.5 ? 1.0 / N : 0.0;
    }
    near(closed, 0.6, 0.24, "talks closed");
    double p = 1 - exp(-0.15 * 7 / 4);
    near(cheap, p, p * (1 - p), "cheap model");
    clear(&s);
}

static void regimes_are_a_markov_chain(void **state) {
    (void)state;
    sample s = draw(NULL, 0);
    double boom = 0.6;
    for (int32_t t = 1; t < 8; t++) {
        double found = 0.0;
        for (int i = 0; i < N; i++)
            found += at(&s, i, t, s.f.regime) == 0 ? 1.0 / N : 0.0;
        near(found, boom, boom * (1 - boom), "boom");
        boom = 0.9 * boom + 0.1 * (1 - boom);
    }
    clear(&s);
}

static void generations_slip_and_are_banned(void **state) {
    (void)state;
    sample s = draw(NULL, 0);
    /* b200: from 2025-Q3 (t = 2); by 40 % two quarters later */
    for (int32_t t = 0; t < 8; t++) {
        double open = 0.0, p = t < 2 ? 0.0 : t < 4 ? 0.6 : 1.0;
        for (int i = 0; i < N; i++)
            open += at(&s, i, t, s.f.available + 1) / N;
        near(open, p, p * (1 - p), "b200 on sale");
    }
    clear(&s);
    const char *ban[] = {"process.shocks={rule: {kind: export, target: h100, at: 2025-Q2, lasts: 3 "
                         "quarters, probability: 100%}}"};
    s = draw(ban, 1);
    for (int32_t t = 0; t < 8; t++) {
        assert_true((at(&s, 0, t, s.f.available) > 0.5) == (t < 1 || t >= 4));
        assert_true((at(&s, 0, t, s.f.available + 1) > 0.5) == (t >= 2));
    }
    clear(&s);
}

/* The tree keeps every mean, and says how much of the spread. */
static void the_tree_keeps_means_and_states_its_loss(void **state) {
    (void)state;
    sample s = draw(NULL, 0);
    rub_tree tree = {0};
    rub_tree_loss loss = {0};
    rub_error err = {0};
    assert_int_equal(rub_tree_reduce(s.study, &s.paths, &tree, &loss, &err), RUB_OK);
    for (int32_t t = 0; t < 8; t++)
        for (int32_t d = 0; d < 3; d++) {
            double over_paths = 0.0, over_nodes = 0.0;
            for (int i = 0; i < N; i++)
                over_paths += at(&s, i, t, s.f.demand + d) / N;
            for (int32_t n = 0; n < tree.n_node; n++)
                if (tree.quarter[n] == t)
                    over_nodes +=
                        tree.prob[n] * tree.feature[(size_t)n * (size_t)tree.n_feature + (size_t)d];
            assert_true(fabs(over_nodes - over_paths) < 1e-9 * over_paths);
        }
    assert_true(loss.mean_error_frac < 1e-9);
    assert_true(loss.spread_frac > 0.05 && loss.spread_frac < 1.0);
    rub_tree_clear(&tree);
    clear(&s);
    const char *finer[] = {"tree.branching=6-4-3"};
    s = draw(finer, 1);
    rub_tree_loss less = {0};
    assert_int_equal(rub_tree_reduce(s.study, &s.paths, &tree, &less, &err), RUB_OK);
    assert_true(less.spread_frac > loss.spread_frac && less.distance_frac < loss.distance_frac);
    rub_tree_clear(&tree);
    clear(&s);
}

/* Few paths, many branchings: no node is left with fewer paths than leaves are to come from it. */
static void the_tree_has_the_leaves_asked_for(void **state) {
    (void)state;
    const char *twos[] = {"tree.branching=2-2-2-2-2-2-2"};
    sample s = draw(twos, 1);
    int32_t drawn = s.paths.n_path;
    rub_error err = {0};
    for (int32_t n = 128; n <= 200; n += 24) {
        rub_tree tree = {0};
        s.paths.n_path = n;
        assert_int_equal(rub_tree_reduce(s.study, &s.paths, &tree, NULL, &err), RUB_OK);
        assert_int_equal(tree.n_leaf, 128);
        rub_tree_clear(&tree);
    }
    s.paths.n_path = drawn;
    clear(&s);
}

/* Paths are numbered: any part of the sequence is the same on its own. */
static void parts_of_the_sequence_agree(void **state) {
    (void)state;
    sample s = draw(NULL, 0);
    rub_paths part = {0};
    rub_error err = {0};
    assert_int_equal(rub_process_simulate_from(s.study, 100, 50, 11, &part, &err), RUB_OK);
    size_t row = (size_t)part.n_quarter * (size_t)part.n_feature;
    assert_memory_equal(part.value, s.paths.value + 100 * row, 50 * row * sizeof(double));
    rub_paths_clear(&part);
    clear(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(innovations_have_their_moments),
        cmocka_unit_test(loads_move_together_as_told),
        cmocka_unit_test(too_much_correlation_is_an_error),
        cmocka_unit_test(saturation_is_logistic),
        cmocka_unit_test(hazards_and_rights_come_as_often_as_told),
        cmocka_unit_test(regimes_are_a_markov_chain),
        cmocka_unit_test(generations_slip_and_are_banned),
        cmocka_unit_test(the_tree_keeps_means_and_states_its_loss),
        cmocka_unit_test(the_tree_has_the_leaves_asked_for),
        cmocka_unit_test(parts_of_the_sequence_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
