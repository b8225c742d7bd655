/* Disaggregated pools, failures and autoscalers: the oracle, which brings every replica to every
 * event, and the fast engine, which touches only those with something to do, give the same results
 * to the last bit; every request ends once whatever fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../random_world.h"

typedef struct outcome {
    rub_serve_times times;
    rub_serve_totals totals;
} outcome;

static void run(const workload *w, rub_engine engine, uint64_t seed, outcome *out) {
    rub_serve_def def = w->def;
    rub_error err = {0};
    def.engine = engine;
    assert_int_equal(rub_serve_times_init(&out->times, w->trace.n_req, NULL), RUB_OK);
    if (rub_serve_run(&w->trace, &w->perf, &def, NULL, &out->times, &out->totals, &err) != RUB_OK)
        fail_msg("workload %llu, engine %d: %s", (unsigned long long)seed, (int)engine,
                 err.message);
}

static void same(const workload *w, uint64_t seed, const outcome *a, const outcome *b) {
    size_t n = w->trace.n_req, bytes = n * sizeof(double);
    const rub_serve_times *x = &a->times, *y = &b->times;
    const rub_serve_totals *t = &a->totals, *u = &b->totals;
    if (memcmp(x->arrival_s, y->arrival_s, bytes) || memcmp(x->finish_s, y->finish_s, bytes) ||
        memcmp(x->first_token_s, y->first_token_s, bytes) ||
        memcmp(x->scheduled_s, y->scheduled_s, bytes) ||
        memcmp(x->restarts, y->restarts, n * sizeof(int32_t)))
        fail_msg("engines differ on workload %llu: disagg %d, failures %d, scaler %d, router %d, "
                 "closed %d, cache %d, groups %d",
                 (unsigned long long)seed, w->def.disagg != NULL, w->def.n_failure,
                 (int)w->def.scale.scaler, (int)w->def.router, w->def.concurrency,
                 w->def.prefix_cache, w->def.n_group);
    assert_int_equal(t->n_iteration, u->n_iteration);
    assert_int_equal(t->n_failure, u->n_failure);
    assert_int_equal(t->n_retry, u->n_retry);
    assert_int_equal(t->n_start, u->n_start);
    assert_int_equal(t->n_stop, u->n_stop);
    assert_true(t->up_s == u->up_s && t->down_s == u->down_s);
    assert_true(t->transfer_bytes == u->transfer_bytes && t->link_busy_s == u->link_busy_s);
    assert_true(t->lockstep_s == u->lockstep_s);
    assert_memory_equal(t->itl.count, u->itl.count, sizeof t->itl.count);
}

static void conserved(const workload *w, const outcome *o) {
    assert_int_equal(o->totals.blocks_left, 0);
    for (size_t i = 0; i < w->trace.n_req; i++) {
        const rub_serve_times *t = &o->times;
        if (t->restarts[i] < 0)
            continue;
        assert_true(t->first_token_s[i] > t->scheduled_s[i]);
        assert_true(t->finish_s[i] >= t->first_token_s[i]);
        /* decoding elsewhere waits for the KV at least */
        if (w->def.disagg && w->trace.output_tok[i] > 1) {
            const rub_serve_disagg *d = w->def.disagg;
            double least = d->link_latency_s +
                           d->kv_bytes_per_tok * w->trace.input_tok[i] / d->link_bytes_per_s;
            assert_true(t->finish_s[i] - t->first_token_s[i] > least - 1e-9);
        }
    }
}

static struct { int64_t ranks, disagg, failures, retries, starts, stops; } seen;

static void compare(uint64_t seed) {
    world_workload w;
    outcome *o = calloc(2, sizeof *o);
    memset(&w, 0, sizeof w);
    random_world(seed, &w);
    const workload *b = &w.wide.base;
    run(b, RUB_ENGINE_NAIVE, seed, &o[0]);
    run(b, RUB_ENGINE_FAST, seed, &o[1]);
    same(b, seed, &o[0], &o[1]);
    conserved(b, &o[1]);
    seen.disagg += b->def.disagg != NULL;
    seen.ranks += b->def.disagg && b->def.attention_dp > 1;
    seen.failures += o[1].totals.n_failure;
    seen.retries += o[1].totals.n_retry;
    seen.starts += o[1].totals.n_start;
    seen.stops += o[1].totals.n_stop;
    rub_serve_times_clear(&o[0].times);
    rub_serve_times_clear(&o[1].times);
    rub_trace_clear(&w.wide.base.trace);
    free(o);
}

static void engines_agree_on_random_worlds(void **state) {
    (void)state;
    const char *tier = getenv("RUB_TEST_LONG");
    uint64_t n = tier && *tier == '1' ? 100000 : 2000;
    for (uint64_t seed = 1; seed <= n; seed++)
        compare(seed);
    print_message("# %lld disaggregated; %lld failures, %lld retries; %lld starts, %lld stops\n",
                  (long long)seen.disagg, (long long)seen.failures, (long long)seen.retries,
                  (long long)seen.starts, (long long)seen.stops);
    assert_true(seen.ranks > 50);
    assert_true(seen.disagg > 500 && seen.failures > 500 && seen.retries > 500);
    assert_true(seen.starts > 500 && seen.stops > 200);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(engines_agree_on_random_worlds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
