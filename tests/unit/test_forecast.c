/* Series and methods against closed forms: what each method must give on series that it can follow exactly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "rubato/forecast.h"

static rub_status read(const char *text, const rub_series_read_def *def, rub_series *out,
                       rub_error *err) {
    return rub_series_read_memory("s.csv", text, strlen(text), def, out, err);
}

static void expect(const char *text, const rub_series_read_def *def, rub_step_kind step, int32_t n,
                   const double *value, int32_t filled, int32_t merged) {
    rub_series s = {0};
    rub_error err = {0};
    if (read(text, def, &s, &err) != RUB_OK)
        fail_msg("%s", err.message);
    assert_int_equal(s.step, step);
    assert_int_equal(s.n, n);
    assert_int_equal(s.n_filled, filled);
    assert_int_equal(s.n_merged, merged);
    for (int32_t i = 0; i < n; i++)
        assert_true(fabs(s.value[i] - value[i]) < 1e-12);
    rub_series_clear(&s);
}

static void series_stand_on_a_grid(void **state) {
    (void)state;
    rub_series_read_def sum = {.sum = true}, seconds = {.unit_days = 1.0 / 86400};
    const char *const only[] = {"section=models"};
    rub_series_read_def models = {.value_column = "tok", .where = only, .n_where = 1, .sum = true};
    expect("date,x\n2024-01-01,1\n2024-02-01,2\n2024-04-01,4\n2024-05-01,5\n", NULL, RUB_STEP_MONTH,
           5, (double[]){1, 2, 2, 4, 5}, 1, 0);
    /* no header, out of order, quarters over a year's end */
    expect("2024-Q1,3\n2023-Q4,2\n2023-Q3,1\n", NULL, RUB_STEP_QUARTER, 3, (double[]){1, 2, 3}, 0,
           0);
    expect("d,x\n2024-02-28,1\n2024-02-29,2\n2024-02-29,4\n2024-03-01,8\n", NULL, RUB_STEP_DAY, 3,
           (double[]){1, 3, 8}, 0, 1);
    expect("d,x\n2024-02-28,1\n2024-02-29,2\n2024-02-29,4\n2024-03-01,8\n", &sum, RUB_STEP_DAY, 3,
           (double[]){1, 6, 8}, 0, 1);
    /* samples every 20 minutes fill hours from the first on */
    expect("t,x\n0,1\n1200,2\n2400,3\n3600,4\n4800,6\n6000,8\n7200,9\n", &seconds, RUB_STEP_HOUR, 3,
           (double[]){2, 6, 9}, 0, 4);
    expect("d,section,tok\n2024-01-01,models,5\n2024-01-01,apps,50\n2024-01-01,models,6\n"
           "2024-01-02,models,7\n",
           &models, RUB_STEP_DAY, 2, (double[]){11, 7}, 0, 1);
    expect("n,x\n10,1\n11,2\n13,3\n", NULL, RUB_STEP_INDEX, 4, (double[]){1, 2, 2, 3}, 1, 0);
}

static void refuse(const char *text, const rub_series_read_def *def, const char *message) {
    rub_series s = {0};
    rub_error err = {0};
    char buf[700];
    assert_int_not_equal(read(text, def, &s, &err), RUB_OK);
    assert_string_equal(rub_error_format(&err, buf, sizeof buf), message);
    assert_null(s.value);
}

static void broken_series_are_told_by_place(void **state) {
    (void)state;
    rub_series_read_def named = {.value_column = "y"};
    const char *const bad[] = {"x"};
    rub_series_read_def where = {.where = bad, .n_where = 1};
    refuse("", NULL, "s.csv: has 0 values, expected 2 or more");
    refuse("d,x\n2024-01-01,1\n2024-02-30x,2\n", NULL,
           "s.csv:3:1: found '2024-02-30x', expected a date (2024-03-05, 2024-03, 2024-Q3) or a "
           "number");
    refuse("d,x\n2024-01-01,1\n2024-01-02,two\n", NULL,
           "s.csv:3:12: found 'two', expected a number");
    refuse("d,x\n2024-01-01,1\n2024-01-02\n", NULL, "s.csv:3:11: found '', expected a number");
    refuse("d,x\n2024-01-01,1\n7,2\n", NULL,
           "s.csv:3:1: found '7', expected a date, as in the rows above");
    refuse("d,x\n1,1\n2,2\n", &named, "s.csv:1:1: has no column 'y', expected one of d,x");
    refuse("d,x\n1,1\n2,2\n", &where, "--where: found 'x', expected COLUMN=VALUE");
    refuse("d,x\n2024-01-01,1\n2024-01-01,2\n", NULL,
           "s.csv: has all its values in one hour, expected 2 steps or more");
    rub_series_read_def index = {.index = true}, weekly = {.step = RUB_STEP_WEEK};
    rub_series_read_def hourly = {.step = RUB_STEP_HOUR};
    refuse("d,x\n1662859176,1\n1672859176,2\n1672859177,2\n", &index,
           "s.csv: spans 1e+07 steps, expected at most 1e6 (are they times? then --unit s)");
    refuse("d,x\n1,1\n2,2\n", &weekly,
           "s.csv: column 'd' is a plain index, expected dates with --step (--unit says what its "
           "numbers count)");
    refuse("d,x\n2024-01-01,1\n2024-01-08,2\n", &hourly,
           "s.csv: has a value every 7 days, expected --step no shorter");
}

static rub_series series_of(const char *text, const rub_series_read_def *def) {
    rub_series s = {0};
    rub_error err = {0};
    if (read(text, def, &s, &err) != RUB_OK)
        fail_msg("%s", err.message);
    return s;
}

/* The same three days, written as planners' exports write them; 19787 days are 2024-03-05. */
static void times_are_known_by_their_size(void **state) {
    (void)state;
    static const char *const same[] = {
        "t,x\n1709596800,1\n1709683200,2\n1709769600,3\n",
        "t,x\n1709596800000,1\n1709683200000,2\n1709769600000,3\n",
        "t,x\n1709596800000000,1\n1709683200000000,2\n1709769600000000,3\n",
        "t,x\n1709596800000000000,1\n1709683200000000000,2\n1709769600000000000,3\n",
        "t,x\n20240305,1\n20240306,2\n20240307,3\n",
        "t,x\n2024/03/05,1\n2024/3/6,2\n2024/03/07,3\n",
        "t,x\n2024-03-05T00:00:00Z,1\n2024-03-06 00:00,2\n2024-03-07,3\n"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        rub_series s = series_of(same[i], NULL);
        assert_int_equal(s.step, RUB_STEP_DAY);
        assert_int_equal(s.n, 3);
        assert_true(s.calendar && fabs(s.first_day - 19787) < 1e-9);
        assert_true(i > 3 ? s.clock == NULL : strncmp(s.clock, "epoch ", 6) == 0);
        assert_string_equal(s.time_name, "t");
        assert_string_equal(s.value_name, "x");
        rub_series_clear(&s);
    }
    rub_series_read_def index = {.index = true}, minutes = {.unit_days = 1.0 / 1440};
    rub_series s = series_of("20240305,1\n20240306,2\n", &index);
    assert_true(s.step == RUB_STEP_INDEX && !s.calendar && s.first_day == 20240305);
    assert_string_equal(s.value_name, "column 2");
    rub_series_clear(&s);
    s = series_of("m,x\n0,1\n60,2\n120,3\n", &minutes); /* counted from 0: no calendar */
    assert_true(s.step == RUB_STEP_HOUR && !s.calendar);
    rub_series_clear(&s);
    s = series_of("q,x\n2024Q3,1\n2024 Q4,2\n2025-Q1,3\n", NULL);
    assert_true(s.step == RUB_STEP_QUARTER && s.n == 3 && s.calendar);
    rub_series_clear(&s);
    /* an index counts by its own step: no holes between 0, 5, 10, one at 15 */
    s = series_of("n,x\n0,1\n5,2\n10,3\n20,5\n", NULL);
    assert_true(s.length == 5 && s.n == 5 && s.n_filled == 1 && s.value[3] == 3);
    rub_series_clear(&s);
}

/* Days added up by calendar months: 31, 29, 31 of a leap year. */
static void steps_can_be_chosen(void **state) {
    (void)state;
    static char text[91 * 16 + 8];
    int n = snprintf(text, sizeof text, "d,x\n");
    for (int i = 0, year, month, day; i < 91; i++) {
        rub_series_date(19723 + i, &year, &month, &day); /* 2024-01-01 */
        n += snprintf(text + n, sizeof text - (size_t)n, "%d-%02d-%02d,1\n", year, month, day);
    }
    rub_series_read_def months = {.step = RUB_STEP_MONTH, .sum = true};
    rub_series_read_def weeks = {.step = RUB_STEP_WEEK, .sum = true};
    expect(text, &months, RUB_STEP_MONTH, 3, (double[]){31, 29, 31}, 0, 88);
    expect(text, &weeks, RUB_STEP_WEEK, 13, (double[]){7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7}, 0,
           78);
}

static void dates_go_there_and_back(void **state) {
    (void)state;
    int year, month, day, before = 0;
    for (int i = -200000; i < 200000; i++) {
        rub_series_date(i, &year, &month, &day);
        int number = (year * 13 + month) * 32 + day;
        assert_true(i == -200000 || number > before);
        assert_true(month >= 1 && month <= 12 && day >= 1 && day <= 31);
        before = number;
    }
    rub_series_date(19782.5, &year, &month, &day);
    assert_true(year == 2024 && month == 2 && day == 29);
}

/* Counts that fall to nothing now and then: no quantile is under 0, and they stand in order. */
static void what_never_was_negative_is_not_forecast_to_be(void **state) {
    (void)state;
    double y[80];
    for (uint64_t round = 0; round < 100; round++) {
        rub_rng rng = rub_rng_make(5, round);
        for (int i = 0; i < 80; i++)
            y[i] = fmax(0.0, 3 + 5 * rub_rng_normal(&rng));
        rub_series s = {.n = 80, .season = 1, .step = RUB_STEP_INDEX, .value = y};
        rub_forecast f = {0};
        assert_int_equal(rub_forecast_make(&s, 60, &f, NULL), RUB_OK);
        for (int i = 0; i < 60; i++)
            assert_true(f.p10[i] >= 0 && f.p10[i] <= f.p50[i] && f.p50[i] <= f.p90[i] &&
                        f.mean[i] >= 0);
        rub_forecast_clear(&f);
    }
}

/* The yardstick: a cycle that repeats but for noise; the naive method is 100 % of itself. */
static void errors_are_measured_by_the_naive_method(void **state) {
    (void)state;
    double y[96];
    rub_rng rng = rub_rng_make(6, 0);
    for (int i = 0; i < 96; i++)
        y[i] = 100 + 20 * (i % 12) + 5 * rub_rng_normal(&rng);
    rub_series s = {.n = 96, .season = 12, .step = RUB_STEP_MONTH, .value = y};
    rub_forecast f = {0};
    assert_int_equal(rub_forecast_make(&s, 12, &f, NULL), RUB_OK);
    assert_true(f.score[RUB_METHOD_SNAIVE].to_naive == 1.0);
    for (int k = 0; k <= RUB_N_FORECAST; k++)
        assert_true(fabs(f.score[k].to_naive - f.score[k].mase / f.score[RUB_METHOD_SNAIVE].mase) <
                    1e-12);
    assert_int_equal(f.h_tested, 12);
    rub_forecast_clear(&f);
}

static void methods_follow_what_they_can(void **state) {
    (void)state;
    double y[120], f[24];
    /* a cycle of 12 repeats: seasonal naive is exact */
    for (int i = 0; i < 120; i++)
        y[i] = 10 + i % 12;
    assert_int_equal(rub_forecast_point(RUB_METHOD_SNAIVE, y, 117, 12, 24, f), RUB_OK);
    for (int i = 0; i < 24; i++)
        assert_true(f[i] == 10 + (117 + i) % 12);
    /* and the damped trend with season, which has no trend to follow, finds it too */
    assert_int_equal(rub_forecast_point(RUB_METHOD_DAMPED, y, 117, 12, 24, f), RUB_OK);
    for (int i = 0; i < 24; i++)
        assert_true(fabs(f[i] / (10 + (117 + i) % 12) - 1) < 0.01);
    /* steady growth by 3 % a step: damped, so a little under it, never over it */
    for (int i = 0; i < 120; i++)
        y[i] = exp(0.03 * i);
    assert_int_equal(rub_forecast_point(RUB_METHOD_DAMPED, y, 100, 1, 4, f), RUB_OK);
    for (int i = 0; i < 4; i++) {
        assert_true(f[i] <= exp(0.03 * (100 + i)) * (1 + 1e-6));
        assert_true(f[i] >= exp(0.03 * (100 + i)) * 0.99);
    }
    /* a logistic of ceiling 100: the curve follows it, through its bend, to a few percent */
    for (int i = 0; i < 120; i++)
        y[i] = 100 / (1 + exp(4 - 0.1 * i));
    assert_int_equal(rub_forecast_point(RUB_METHOD_GROWTH, y, 60, 1, 24, f), RUB_OK);
    for (int i = 0; i < 24; i++)
        assert_true(fabs(f[i] / y[60 + i] - 1) < 0.05);
}

/* White noise around a level: quantiles of the noise itself, and they hold 80 % of what comes. */
static void quantiles_hold_what_they_say(void **state) {
    (void)state;
    enum { N = 300, H = 20, ROUNDS = 60 };
    double y[N + H], inside = 0.0, width = 0.0, stated = 0.0;
    for (int round = 0; round < ROUNDS; round++) {
        rub_rng rng = rub_rng_make(9, (uint64_t)round);
        for (int i = 0; i < N + H; i++)
            y[i] = 1000 + 50 * rub_rng_normal(&rng);
        rub_series s = {.n = N, .season = 1, .step = RUB_STEP_INDEX, .value = y};
        rub_forecast f = {0};
        assert_int_equal(rub_forecast_make(&s, H, &f, NULL), RUB_OK);
        for (int i = 0; i < H; i++) {
            assert_true(f.p10[i] <= f.p50[i] && f.p50[i] <= f.p90[i]);
            inside += y[N + i] >= f.p10[i] && y[N + i] <= f.p90[i];
            width += f.p90[i] - f.p10[i];
        }
        stated += f.coverage_80 / ROUNDS;
        rub_forecast_clear(&f);
    }
    inside /= ROUNDS * H;
    width /= ROUNDS * H;
    print_message("# held %.3f, stated %.3f, width %.1f (noise alone 128.2)\n", inside, stated,
                  width);
    assert_true(inside > 0.72 && inside < 0.92);
    assert_true(fabs(stated - inside) < 0.08);
    assert_true(width > 115 && width < 190);
}

static void a_forecast_is_the_same_every_time(void **state) {
    (void)state;
    double y[60];
    for (int i = 0; i < 60; i++)
        y[i] = 100 + 3 * i + 20 * sin(i);
    rub_series s = {.n = 60, .season = 12, .step = RUB_STEP_MONTH, .value = y};
    rub_forecast a = {0}, b = {0};
    assert_int_equal(rub_forecast_make(&s, 24, &a, NULL), RUB_OK);
    assert_int_equal(rub_forecast_make(&s, 24, &b, NULL), RUB_OK);
    assert_memory_equal(a.p90, b.p90, 24 * sizeof(double));
    double weights = 0.0;
    for (int k = 0; k < RUB_N_FORECAST; k++)
        weights += a.score[k].weight;
    assert_true(fabs(weights - 1) < 1e-12);
    rub_forecast_clear(&a);
    rub_forecast_clear(&b);
    s.n = 7;
    assert_int_equal(rub_forecast_make(&s, 4, &a, NULL), RUB_INVALID);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(series_stand_on_a_grid),
        cmocka_unit_test(broken_series_are_told_by_place),
        cmocka_unit_test(times_are_known_by_their_size),
        cmocka_unit_test(steps_can_be_chosen),
        cmocka_unit_test(dates_go_there_and_back),
        cmocka_unit_test(what_never_was_negative_is_not_forecast_to_be),
        cmocka_unit_test(errors_are_measured_by_the_naive_method),
        cmocka_unit_test(methods_follow_what_they_can),
        cmocka_unit_test(quantiles_hold_what_they_say),
        cmocka_unit_test(a_forecast_is_the_same_every_time)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
