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

static rub_trace four_requests(double *arrival, int32_t *input, int32_t *output) {
    return (rub_trace){.n_req = 4, .arrival_s = arrival, .input_tok = input, .output_tok = output};
}

static rub_serve_times four_times(double *arrival, double *scheduled, double *first, double *finish,
                                  int32_t *restarts) {
    return (rub_serve_times){.n_req = 4,
                             .arrival_s = arrival,
                             .scheduled_s = scheduled,
                             .first_token_s = first,
                             .finish_s = finish,
                             .restarts = restarts};
}

/* Four requests: TTFT 1, 2, 3 s and never; TPOT 0.1, 0.2 s, one token, never. */
static void targets_and_windows_by_hand(void **state) {
    (void)state;
    double arrival[] = {0, 1, 2, 3}, scheduled[] = {0.5, 1.5, 2.5, NAN};
    double first[] = {1, 3, 5, NAN}, finish[] = {2, 5, 5, NAN};
    int32_t input[] = {10, 20, 30, 40}, output[] = {11, 11, 1, 5}, restarts[] = {0, 0, 0, -1};
    rub_trace trace = four_requests(arrival, input, output);
    rub_serve_times times = four_times(arrival, scheduled, first, finish, restarts);
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

/* Window 0 to 10 s. Request 0 is served within; 1 has 6 of 11 tokens by 10 s (first at 5 s, the
 * last at 15 s); 2 waits until 12 s; 3 is rejected. */
static void served_and_backlog_by_hand(void **state) {
    (void)state;
    double arrival[] = {0, 1, 9, 10}, scheduled[] = {0.5, 4, 12, NAN};
    double first[] = {1, 5, 13, NAN}, finish[] = {2, 15, 16, NAN};
    int32_t input[] = {10, 20, 30, 40}, output[] = {5, 11, 7, 5}, restarts[] = {0, 0, 0, -1};
    rub_trace trace = four_requests(arrival, input, output);
    rub_serve_times times = four_times(arrival, scheduled, first, finish, restarts);
    rub_serve_targets targets = {0};
    rub_measures m;
    assert_int_equal(rub_serve_measure(&trace, &times, &targets, 0, 10, &m, NULL), RUB_OK);
    assert_true(fabs(m.request_per_s - 0.4) < 1e-15 && fabs(m.served_per_s - 0.1) < 1e-15);
    assert_true(fabs(m.served_input_tok_per_s - 3.0) < 1e-12);
    assert_true(fabs(m.served_output_tok_per_s - (5 + 6) / 10.0) < 1e-12);
    assert_int_equal(m.n_unfinished, 2);
    assert_int_equal(m.n_waiting, 1);
    assert_true(m.taken_up_s == 2.0 && m.drain_s == 6.0);
    assert_false(m.keeps_up); /* 2 s, a twentieth of 10 s and 1 s are granted */
    targets.ttft_s = 4.0;
    assert_int_equal(rub_serve_measure(&trace, &times, &targets, 0, 10, &m, NULL), RUB_OK);
    assert_true(m.keeps_up); /* 4.5 s are granted */
}

/* n requests of one prompt token on a replica that takes tok_s for each token. */
static rub_measures run_at(double rate_per_s, size_t n, int32_t output_tok, double tok_s,
                           int32_t max_seqs) {
    rub_trace trace = {0};
    rub_serve_times times = {0};
    rub_serve_totals *totals = malloc(sizeof *totals);
    rub_serve_targets none = {0};
    rub_perf perf = {.kind = RUB_PERF_LINEAR, .linear = {0, tok_s, 0, 0}};
    rub_serve_def def = rub_serve_default();
    rub_measures m = {0};
    def.max_seqs = max_seqs;
    def.max_batch_tok = 1 << 20;
    assert_non_null(totals);
    assert_int_equal(rub_trace_init(&trace, n, NULL), RUB_OK);
    assert_int_equal(rub_serve_times_init(&times, n, NULL), RUB_OK);
    for (size_t i = 0; i < n; i++) {
        trace.arrival_s[i] = (double)i / rate_per_s;
        trace.input_tok[i] = 1;
        trace.output_tok[i] = output_tok;
    }
    assert_int_equal(rub_serve_run(&trace, &perf, &def, NULL, &times, totals, NULL), RUB_OK);
    assert_int_equal(rub_serve_measure(&trace, &times, &none, 0, trace.arrival_s[n - 1], &m, NULL),
                     RUB_OK);
    rub_trace_clear(&trace);
    rub_serve_times_clear(&times);
    free(totals);
    return m;
}

/* A replica that takes one request of a tenth of a second at a time serves ten a second, whatever
 * is offered. */
static void a_fleet_that_falls_behind_is_told(void **state) {
    (void)state;
    rub_measures m = run_at(20.0, 1001, 1, 0.1, 1);
    assert_true(fabs(m.request_per_s - 20.02) < 1e-9 && fabs(m.served_per_s - 10.0) < 0.03);
    assert_in_range(m.n_waiting, 498, 502);
    assert_true(fabs(m.drain_s - 50.1) < 0.2);
    assert_false(m.keeps_up);
    m = run_at(9.0, 901, 1, 0.1, 1);
    assert_true(fabs(m.served_per_s - 9.0) < 0.03 && m.n_waiting <= 1);
    assert_true(m.keeps_up);
    /* all are taken in, and slow each other down: no queue, but the work grows */
    m = run_at(4.0, 2001, 50, 0.01, 1 << 20);
    assert_true(m.taken_up_s < 26.0 && m.drain_s > 500.0);
    assert_false(m.keeps_up);
    m = run_at(1.8, 901, 50, 0.01, 1 << 20); /* 1.96 is the most */
    assert_true(m.keeps_up);
    m = run_at(10.5, 2101, 1, 0.1, 1);
    assert_true(m.keeps_up);       /* within the margin of a twentieth and a second */
    assert_true(m.n_waiting > 90); /* but the queue is told */
}

/* Every request that arrived by the end of the window has ended, is unfinished or was rejected; over
 * a window that holds everything all tokens are delivered. */
static void what_is_served_and_what_is_left_add_up(void **state) {
    (void)state;
    rub_rng rng = rub_rng_make(8, 0);
    rub_serve_targets none = {0};
    for (int round = 0; round < 500; round++) {
        enum { N = 40 };
        double arrival[N], scheduled[N], first[N], finish[N], tokens = 0.0;
        int32_t input[N], output[N], restarts[N], rejected = 0;
        for (int i = 0; i < N; i++) {
            bool never = rub_rng_below(&rng, 8) == 0;
            arrival[i] = i;
            restarts[i] = never ? -1 : 0;
            input[i] = output[i] = 1 + (int32_t)rub_rng_below(&rng, 50);
            scheduled[i] = never ? NAN : i + 30 * rub_rng_uniform(&rng);
            first[i] = scheduled[i] + rub_rng_uniform(&rng);
            finish[i] = output[i] > 1 ? first[i] + 5 * rub_rng_uniform(&rng) : first[i];
            rejected += never;
            tokens += never ? 0 : output[i];
        }
        rub_trace t = {.n_req = N, .arrival_s = arrival, .input_tok = input, .output_tok = output};
        rub_serve_times times = {N, arrival, scheduled, first, finish, restarts, NULL};
        rub_measures m;
        assert_int_equal(rub_serve_measure(&t, &times, &none, 0, N - 1, &m, NULL), RUB_OK);
        assert_int_equal(llround(m.served_per_s * (N - 1)) + (long long)m.n_unfinished + rejected,
                         N);
        assert_true(m.n_waiting <= m.n_unfinished);
        assert_int_equal(rub_serve_measure(&t, &times, &none, 0, 1000, &m, NULL), RUB_OK);
        assert_true(fabs(m.served_output_tok_per_s * 1000 - tokens) < 1e-9 * tokens);
        assert_true(m.n_unfinished == 0 && m.drain_s == 0.0 && m.keeps_up);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(served_and_backlog_by_hand),
                                       cmocka_unit_test(a_fleet_that_falls_behind_is_told),
                                       cmocka_unit_test(what_is_served_and_what_is_left_add_up),
                                       cmocka_unit_test(quantiles_are_those_of_a_sort),
                                       cmocka_unit_test(targets_and_windows_by_hand)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
