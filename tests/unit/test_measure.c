/* Measures: quantiles against a sort, targets and windows by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "rubato/serve.h"

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double sorted_quantile(const double *v, size_t n, double q) {
    double at = q * (double)(n - 1);
    size_t low = (size_t)at;
    double b = low + 1 < n ? v[low + 1] : v[low];
    return v[low] == b || at == (double)low ? v[low] : v[low] + (at - (double)low) * (b - v[low]);
}

/* Times to first token that many inputs of a selection find hard: ties, ramps up and down, organ
 * pipes, requests that never ended. */
static double hard(rub_rng *rng, int kind, size_t i, size_t n) {
    switch (kind) {
    case 0:
        return 1.0 + rub_rng_uniform(rng);
    case 1:
        return 1.0 + (double)rub_rng_below(rng, 3);
    case 2:
        return 1.0 + (double)i;
    case 3:
        return 1.0 + (double)(n - i);
    case 4:
        return 1.0 + (double)(i < n / 2 ? i : n - i);
    default:
        return rub_rng_below(rng, 4) ? 2.0 + rub_rng_uniform(rng) : NAN;
    }
}

static void quantiles_are_those_of_a_sort(void **state) {
    (void)state;
    rub_rng rng = rub_rng_make(3, 0);
    for (int round = 0; round < 1200; round++) {
        size_t n = 1 + (size_t)rub_rng_below(&rng, 300);
        rub_trace trace = {0};
        rub_serve_times times = {0};
        rub_serve_targets none = {0};
        rub_measures m;
        double *v = calloc(n, sizeof *v);
        assert_non_null(v);
        assert_int_equal(rub_trace_init(&trace, n, NULL), RUB_OK);
        assert_int_equal(rub_serve_times_init(&times, n, NULL), RUB_OK);
        for (size_t i = 0; i < n; i++) {
            double t = hard(&rng, round % 6, i, n);
            times.arrival_s[i] = 0.0;
            trace.input_tok[i] = trace.output_tok[i] = 1;
            times.scheduled_s[i] = 0.0;
            times.first_token_s[i] = times.finish_s[i] = t;
            v[i] = isnan(t) ? HUGE_VAL : t;
        }
        assert_int_equal(rub_serve_measure(&trace, &times, &none, 0, 1, &m, NULL), RUB_OK);
        qsort(v, n, sizeof *v, by_value);
        assert_true(m.ttft.p50 == sorted_quantile(v, n, 0.5));
        assert_true(m.ttft.p90 == sorted_quantile(v, n, 0.9));
        assert_true(m.ttft.p95 == sorted_quantile(v, n, 0.95));
        assert_true(m.ttft.p99 == sorted_quantile(v, n, 0.99));
        assert_true(m.ttft.p999 == sorted_quantile(v, n, 0.999));
        assert_true(m.ttft.max == v[n - 1]);
        rub_trace_clear(&trace);
        rub_serve_times_clear(&times);
        free(v);
    }
}

/* Four requests: TTFT 1, 2, 3 s and never; TPOT 0.1, 0.2 s, one token, never. */
static void targets_and_windows_by_hand(void **state) {
    (void)state;
    double arrival[] = {0, 1, 2, 3}, scheduled[] = {0.5, 1.5, 2.5, NAN};
    double first[] = {1, 3, 5, NAN}, finish[] = {2, 5, 5, NAN};
    int32_t input[] = {10, 20, 30, 40}, output[] = {11, 11, 1, 5}, restarts[] = {0, 0, 0, -1};
    rub_trace trace = {.n_req = 4, .arrival_s = arrival, .input_tok = input, .output_tok = output};
    rub_serve_times times = {.n_req = 4,
                             .arrival_s = arrival,
                             .scheduled_s = scheduled,
                             .first_token_s = first,
                             .finish_s = finish,
                             .restarts = restarts};
    rub_serve_targets targets = {.ttft_s = 2.0, .tpot_s = 0.15};
    rub_measures m;
    assert_int_equal(rub_serve_measure(&trace, &times, &targets, 0, 3, &m, NULL), RUB_OK);
    assert_int_equal(m.n_req, 4);
    assert_int_equal(m.n_finished, 3);
    assert_int_equal(m.n_good, 1); /* the second misses TPOT, the third TTFT, the fourth all */
    assert_true(m.ttft.p50 == 2.5 && isinf(m.ttft.max) && isinf(m.ttft.mean));
    assert_true(fabs(m.goodput_per_s - 1.0 / 3.0) < 1e-15);
    assert_true(fabs(m.input_tok_per_s - 100.0 / 3.0) < 1e-12);
    assert_int_equal(rub_serve_measure(&trace, &times, &targets, 1, 2, &m, NULL), RUB_OK);
    assert_int_equal(m.n_req, 2);
    assert_true(m.waiting.p50 == 0.5 && m.tpot.max == 0.2 && m.e2e.max == 4.0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(quantiles_are_those_of_a_sort),
                                       cmocka_unit_test(targets_and_windows_by_hand)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
