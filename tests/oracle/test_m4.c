/* Forecast methods on the M4 competition's hourly series with its published test part. The seasonal naive has
 * one answer, so its published accuracy must come out: MASE 1.193, sMAPE 13.912 % over 414 series (M4's
 * "Evaluation and Ranks"). The others are judged by what is published for their class. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "rubato/forecast.h"

#define M4 RUB_ROOT "/../shared/data/m4"
enum { MOST = 2700, HORIZON = 48, SEASON = 24, N_SERIES = 414 };

/* The values of one line after its name; empty cells pad short series. Returns how many. */
static int32_t values(const char **p, const char *end, double *out) {
    const char *stop = memchr(*p, '\n', (size_t)(end - *p)),
               *q = memchr(*p, ',', (size_t)(end - *p));
    int32_t n = 0;
    for (stop = stop ? stop : end; q && q < stop; q = memchr(q, ',', (size_t)(stop - q))) {
        char text[32];
        q += 1 + (q[1] == '"');
        size_t k = 0;
        while (q + k < stop && k < sizeof text - 1 && strchr("0123456789.-e+", q[k]))
            k++;
        memcpy(text, q, k);
        text[k] = '\0';
        if (k > 0 && n < MOST)
            out[n++] = atof(text);
    }
    *p = stop < end ? stop + 1 : end;
    return n;
}

typedef struct sums {
    double mase, smape, n, inside;
} sums;

/* One series' errors, MASE scaled by the seasonal naive in sample as the competition does. */
static void add(sums *to, const double *y, int32_t n, const double *f, const double *truth) {
    double scale = 0.0, mase = 0.0, smape = 0.0;
    for (int32_t i = SEASON; i < n; i++)
        scale += fabs(y[i] - y[i - SEASON]) / (n - SEASON);
    for (int32_t i = 0; i < HORIZON; i++) {
        mase += fabs(truth[i] - f[i]) / HORIZON;
        smape += 2.0 * fabs(truth[i] - f[i]) / (fabs(truth[i]) + fabs(f[i])) / HORIZON;
    }
    to->mase += mase / scale;
    to->smape += 100.0 * smape;
    to->n++;
}

static void hourly(int every, sums *by) {
    rub_file train = {0}, test = {0};
    static double y[MOST], truth[MOST], f[HORIZON];
    assert_int_equal(rub_file_open(M4 "/Hourly-train.csv.gz", &train, NULL), RUB_OK);
    assert_int_equal(rub_file_open(M4 "/Hourly-test.csv.gz", &test, NULL), RUB_OK);
    const char *p = train.data, *q = test.data;
    values(&p, train.data + train.n, y);
    values(&q, test.data + test.n, truth);
    for (int i = 0; i < N_SERIES; i++) {
        int32_t n = values(&p, train.data + train.n, y);
        assert_int_equal(values(&q, test.data + test.n, truth), HORIZON);
        assert_true(n >= 700);
        for (int k = 0; k < RUB_N_FORECAST; k++)
            if (k == RUB_METHOD_SNAIVE || i % every == 0) {
                assert_int_equal(rub_forecast_point(k, y, n, SEASON, HORIZON, f), RUB_OK);
                add(&by[k], y, n, f, truth);
            }
        if (i % every)
            continue;
        rub_series s = {.n = n, .season = SEASON, .step = RUB_STEP_HOUR, .value = y};
        rub_forecast forecast = {0};
        assert_int_equal(rub_forecast_make(&s, HORIZON, &forecast, NULL), RUB_OK);
        add(&by[RUB_N_FORECAST], y, n, forecast.p50, truth);
        for (int32_t t = 0; t < HORIZON; t++)
            by[RUB_N_FORECAST].inside +=
                (truth[t] >= forecast.p10[t] && truth[t] <= forecast.p90[t]) / (double)HORIZON;
        rub_forecast_clear(&forecast);
    }
    rub_file_close(&train);
    rub_file_close(&test);
}

static void m4_hourly(void **state) {
    (void)state;
    if (access(M4 "/README.md", R_OK) != 0) {
        print_message("skipped: no ../shared\n");
        skip();
    }
    const char *tier = getenv("RUB_TEST_LONG");
    sums by[RUB_N_FORECAST + 1] = {0};
    hourly(tier && *tier == '1' ? 1 : 23, by);
    for (int k = 0; k <= RUB_N_FORECAST; k++)
        print_message("# %s: MASE %.3f, sMAPE %.3f %% over %.0f series\n",
                      rub_forecast_method_text(k), by[k].mase / by[k].n, by[k].smape / by[k].n,
                      by[k].n);
    const sums *naive = &by[RUB_METHOD_SNAIVE], *all = &by[RUB_N_FORECAST];
    print_message("# p10 to p90 held %.1f %%\n", 100 * all->inside / all->n);
    assert_true(naive->n == N_SERIES);
    assert_true(fabs(naive->mase / naive->n - 1.193) < 0.0006);
    assert_true(fabs(naive->smape / naive->n - 13.912) < 0.0006);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(m4_hourly)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
