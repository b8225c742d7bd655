/* Loads that are never held: the same results as the same requests in memory, whatever the number
 * of threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "rubato/serve.h"

static rub_trace_make_def load_of(size_t n, double rate) {
    rub_trace_make_def load = rub_trace_make_default();
    assert_int_equal(rub_trace_preset("azure-conv", &load, NULL), RUB_OK);
    load.n_req = n;
    load.rate_per_s = rate;
    load.seed = 11;
    return load;
}

static rub_perf linear(void) {
    return (rub_perf){.kind = RUB_PERF_LINEAR, .linear = {6e-3, 2.2e-5, 8.2e-8, 3.4e-9}};
}

static void stream(const rub_trace_make_def *load, const rub_serve_def *def,
                   rub_stream_result *out) {
    rub_perf perf = linear();
    rub_error err = {0};
    rub_serve_targets targets = {.ttft_s = 0.3, .tpot_s = 0.03};
    if (rub_serve_stream(load, &perf, def, &targets, NULL, out, &err) != RUB_OK)
        fail_msg("%s", err.message);
}

static uint64_t mix(uint64_t hash, double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    hash = (hash ^ bits) * 0x9e3779b97f4a7c15u;
    return hash ^ (hash >> 29);
}

/* More requests than the ring holds, on one replica: hash of all times, counts and goodput are those
 * of the run that holds them. */
static void as_if_held(void **state) {
    (void)state;
    rub_trace_make_def load = load_of(150000, 20.0), held = load;
    rub_serve_def def = rub_serve_default();
    rub_perf perf = linear();
    rub_trace trace;
    rub_serve_times times;
    rub_serve_totals *totals = malloc(sizeof *totals);
    rub_stream_result *r = malloc(sizeof *r);
    rub_measures m;
    rub_serve_targets targets = {.ttft_s = 0.3, .tpot_s = 0.03};
    for (int policy = 0; policy < 3; policy++) {
        def.policy = (rub_policy)policy;
        def.kv_blocks = policy == 1 ? 6000 : 20000;
        def.max_batch_tok = policy == 2 ? 16384 : 8192;
        stream(&load, &def, r);
        held.seed = load.seed + 0x9e3779b97f4a7c15u;
        assert_int_equal(rub_trace_make(&held, &trace, NULL), RUB_OK);
        assert_int_equal(rub_serve_times_init(&times, trace.n_req, NULL), RUB_OK);
        assert_int_equal(rub_serve_run(&trace, &perf, &def, NULL, &times, totals, NULL), RUB_OK);
        uint64_t hash = 0;
        for (size_t i = 0; i < trace.n_req; i++)
            if (times.restarts[i] >= 0)
                hash = mix(mix(mix(hash, times.scheduled_s[i]), times.first_token_s[i]),
                           times.finish_s[i]);
        assert_true(r->hash == hash * 0x9e3779b97f4a7c15u);
        assert_int_equal(rub_serve_measure(&trace, &times, &targets, 0, 1e9, &m, NULL), RUB_OK);
        assert_int_equal((size_t)r->n_good, m.n_good);
        assert_int_equal(r->totals.n_iteration, totals->n_iteration);
        assert_int_equal(r->totals.n_restart, totals->n_restart);
        assert_memory_equal(r->totals.itl.count, totals->itl.count, sizeof totals->itl.count);
        assert_true(r->ttft.max_s == m.ttft.max && r->e2e.max_s == m.e2e.max);
        rub_trace_clear(&trace);
        rub_serve_times_clear(&times);
    }
    free(totals);
    free(r);
}

static void any_number_of_threads(void **state) {
    (void)state;
    rub_trace_make_def load = load_of(60000, 100.0);
    rub_serve_def def = rub_serve_default();
    rub_stream_result *r[3];
    static const int32_t threads[] = {1, 2, 8};
    def.n_replica = 37;
    for (int k = 0; k < 3; k++) {
        r[k] = malloc(sizeof *r[k]);
        def.n_thread = threads[k];
        stream(&load, &def, r[k]);
        assert_memory_equal(r[0], r[k], sizeof *r[0]);
    }
    assert_int_equal(r[0]->ttft.n, 60000);
    for (int k = 0; k < 3; k++)
        free(r[k]);
}

static void too_many_open(void **state) {
    (void)state;
    rub_trace_make_def load = load_of(200000, 1e6);
    rub_serve_def def = rub_serve_default();
    rub_perf perf = linear();
    rub_serve_targets targets = {0};
    rub_error err = {0};
    rub_stream_result *r = malloc(sizeof *r);
    assert_int_equal(rub_serve_stream(&load, &perf, &def, &targets, NULL, r, &err), RUB_INVALID);
    assert_non_null(strstr(err.message, "unfinished"));
    free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_if_held),
        cmocka_unit_test(any_number_of_threads),
        cmocka_unit_test(too_many_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
