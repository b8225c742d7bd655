/* Demand series: whatever the bytes, equally spaced finite values and a forecast whose quantiles stand in
 * order, or an error with a message. */
#include "rubato/forecast.h"

#include "replay.h"

#include <math.h>

static void check(bool ok, const char *what) {
    if (!ok) {
        fprintf(stderr, "fuzz_series: %s\n", what);
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    rub_series series = {0};
    rub_series_read_def def = {.sum = n % 2,
                               .unit_days = n % 3 ? 0.0 : 1.0,
                               .index = n % 5 == 0,
                               .step = n % 7 == 0 ? (rub_step_kind)(n % 6) : RUB_STEP_INDEX};
    rub_forecast f = {0};
    rub_error err = {0};
    rub_status status =
        rub_series_read_memory("fuzz.csv", (const char *)data, n, &def, &series, &err);
    if (status != RUB_OK) {
        check(err.code == status && err.message[0] && !series.value, "an error without a message");
        return 0;
    }
    check(series.n >= 2 && series.season >= 1, "length and season");
    for (int32_t i = 0; i < series.n; i++)
        check(isfinite(series.value[i]), "a value");
    if (series.n <= 200 && rub_forecast_make(&series, 5, &f, &err) == RUB_OK)
        for (int32_t i = 0; i < f.h; i++)
            check(f.p10[i] <= f.p50[i] && f.p50[i] <= f.p90[i] && isfinite(f.mean[i]), "quantiles");
    rub_forecast_clear(&f);
    rub_series_clear(&series);
    return 0;
}

#ifndef RUB_LIBFUZZER
int main(void) {
    static const char *const seeds[] = {
        "date,value\n2024-01-01,5\n2024-02-01,6\n2024-03-01,8\n2024-04-01,7\n2024-05-01,9\n2024-06-"
        "01,9.5\n2024-07-01,11\n2024-08-01,10\n2024-09-01,12\n2024-10-01,13\n",
        "quarter,tokens\n2023-Q1,1e12\n2023-Q2,2e12\n2023-Q3,4e12\n2024-Q1,9e12\n",
        "t,x\n1,1\n2,2\n3,1\n4,2\n5,1\n6,2\n7,1\n8,2\n9,1\n",
        "time,qps\n2024-03-05 00:00:00,1\n2024-03-05 01:00:00,2\n2024-03-05 02:00:00,\n2024-03-05 "
        "05:00:00,4\n"};
    return replay(seeds, sizeof seeds / sizeof *seeds);
}
#endif
