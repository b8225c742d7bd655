/* Measured deployments: every fourth aggregated one is simulated in a closed loop and compared. What
 * all of them give, and pairs of model and system left out of the fit: docs/validate.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rubato/validate.h"

#define SILICON "../shared/data/silicon/silicon.csv.gz"

/* Keeps every nth of the rows that are wanted. */
static void thin(rub_silicon *s, bool disagg, size_t every) {
    size_t n = 0, seen = 0;
    for (size_t i = 0; i < s->n_row; i++)
        if (s->row[i].disagg == disagg && seen++ % every == 0)
            s->row[n++] = s->row[i];
    s->n_row = n;
}

static rub_silicon predicted(bool disagg, size_t every, const rub_validate_def *def) {
    rub_silicon s = {0};
    rub_catalog *catalog = NULL;
    rub_error err = {0};
    if (rub_silicon_read(SILICON, &s, &err) != RUB_OK) {
        print_message("# skipped: no ../shared\n");
        skip();
    }
    thin(&s, disagg, every);
    assert_int_equal(rub_catalog_load(&catalog, NULL), RUB_OK);
    assert_int_equal(rub_silicon_predict(&s, catalog, def, NULL, &err), RUB_OK);
    rub_catalog_free(catalog);
    return s;
}

static void print_scores(const rub_silicon *s, const rub_score score[RUB_N_METRIC]) {
    for (int m = 0; m < RUB_N_METRIC; m++)
        print_message(
            "# %zu of %zu rows: %s median %.1f %%, p90 %.1f %%, bias %+.1f %%, rank %.2f\n",
            score[m].n, s->n_row, rub_metric_names[m], 100 * score[m].median_ape,
            100 * score[m].p90_ape, 100 * score[m].bias, score[m].rank_correlation);
}

/* Limits a little above what today's model reaches. */
static void aggregated_deployments_are_near_what_was_measured(void **state) {
    (void)state;
    rub_validate_def def = rub_validate_default();
    rub_silicon s = predicted(false, 4, &def);
    rub_score score[RUB_N_METRIC];
    assert_int_equal(rub_silicon_score(&s, NULL, NULL, score, NULL), RUB_OK);
    print_scores(&s, score);
    size_t told = 0;
    for (size_t i = 0; i < s.n_row; i++)
        told += isnan(s.row[i].tpot_predicted_s) && *s.row[i].reason;
    assert_int_equal(score[0].n + told, s.n_row); /* none is left out silently */
    assert_true(score[RUB_METRIC_TPOT].n > 450);
    assert_true(score[RUB_METRIC_TPOT].median_ape < 0.09 && score[RUB_METRIC_TPOT].p90_ape < 0.30);
    assert_true(score[RUB_METRIC_TTFT].median_ape < 0.28);
    assert_true(score[RUB_METRIC_THROUGHPUT].median_ape < 0.09);
    assert_true(score[RUB_METRIC_THROUGHPUT].rank_correlation > 0.95);
    rub_silicon_clear(&s);
}

static void results_do_not_depend_on_threads(void **state) {
    (void)state;
    rub_validate_def def = rub_validate_default();
    def.requests_per_client = 2;
    def.n_thread = 1;
    rub_silicon a = predicted(false, 40, &def);
    def.n_thread = 3;
    rub_silicon b = predicted(false, 40, &def);
    assert_int_equal(a.n_row, b.n_row);
    for (size_t i = 0; i < a.n_row; i++) {
        double x[2] = {a.row[i].tpot_predicted_s, a.row[i].ttft_predicted_s};
        double y[2] = {b.row[i].tpot_predicted_s, b.row[i].ttft_predicted_s};
        assert_memory_equal(x, y, sizeof x);
    }
    rub_silicon_clear(&a);
    rub_silicon_clear(&b);
}

static void disaggregated_deployments_are_ranked(void **state) {
    (void)state;
    rub_validate_def def = rub_validate_default();
    def.requests_per_client = 4;
    rub_silicon s = predicted(true, 16, &def);
    rub_score score[RUB_N_METRIC];
    assert_int_equal(rub_silicon_score(&s, NULL, NULL, score, NULL), RUB_OK);
    print_scores(&s, score);
    assert_true(score[RUB_METRIC_THROUGHPUT].n > 30);
    assert_true(score[RUB_METRIC_THROUGHPUT].rank_correlation > 0.85);
    assert_true(score[RUB_METRIC_THROUGHPUT].median_ape < 0.30);
    assert_true(score[RUB_METRIC_TPOT].median_ape < 0.42);
    rub_silicon_clear(&s);
}

/* The scores of made-up predictions, by hand. */
static void scores_are_what_they_say(void **state) {
    (void)state;
    rub_silicon_row row[5];
    memset(row, 0, sizeof row);
    static const double measured[5] = {1, 2, 3, 4, 5}, predicted_s[5] = {1.1, 1.8, 3, 6, 5};
    for (int i = 0; i < 5; i++) {
        row[i].model = "m";
        row[i].input_tok = row[i].output_tok = 100;
        row[i].concurrency = row[i].pool.tp = row[i].pool.dp = 1;
        row[i].tpot_s = measured[i];
        row[i].tpot_predicted_s = predicted_s[i];
        row[i].ttft_s = row[i].ttft_predicted_s = 1.0;
    }
    rub_silicon s = {.n_row = 5, .row = row};
    rub_score score[RUB_N_METRIC];
    assert_int_equal(rub_silicon_score(&s, NULL, NULL, score, NULL), RUB_OK);
    const rub_score *t = &score[RUB_METRIC_TPOT];
    /* errors +10, -10, 0, +50, 0 %: sorted 0 0 10 10 50 */
    assert_true(fabs(t->median_ape - 0.1) < 1e-12 && fabs(t->mean_ape - 0.14) < 1e-12);
    assert_true(fabs(t->p90_ape - 0.34) < 1e-12 && fabs(t->bias) < 1e-12);
    /* the last two are swapped: 1 - 6 * 2 / (5 * 24); 9 of 10 pairs right */
    assert_true(fabs(t->rank_correlation - 0.9) < 1e-12 && fabs(t->ordered_frac - 0.9) < 1e-12);
    assert_true(isnan(score[RUB_METRIC_TTFT].ordered_frac)); /* all measured alike */
    assert_int_equal(score[RUB_METRIC_TTFT].n, 5);
}

static void broken_tables_are_told(void **state) {
    (void)state;
    rub_silicon s;
    rub_error err = {0};
    assert_int_equal(rub_silicon_read("nowhere.csv", &s, &err), RUB_IO);
    assert_int_equal(rub_silicon_read("CHANGELOG.md", &s, &err), RUB_PARSE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aggregated_deployments_are_near_what_was_measured),
        cmocka_unit_test(results_do_not_depend_on_threads),
        cmocka_unit_test(disaggregated_deployments_are_ranked),
        cmocka_unit_test(scores_are_what_they_say), cmocka_unit_test(broken_tables_are_told)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
