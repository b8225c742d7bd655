/* Every feature of the serving simulator: the oracle and the fast engine of all features give the
 * same results to the last bit, and so does the plain fast engine where it will do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../random_wide.h"

typedef struct outcome {
    rub_serve_times times;
    rub_serve_totals totals;
} outcome;

static void run(const workload *w, rub_engine engine, outcome *out) {
    rub_serve_def def = w->def;
    rub_error err = {0};
    def.engine = engine;
    assert_int_equal(rub_serve_times_init(&out->times, w->trace.n_req, NULL), RUB_OK);
    if (rub_serve_run(&w->trace, &w->perf, &def, NULL, &out->times, &out->totals, &err) != RUB_OK)
        fail_msg("%s", err.message);
}

static void same(const workload *w, uint64_t seed, const outcome *a, const outcome *b) {
    size_t n = w->trace.n_req, bytes = n * sizeof(double);
    const rub_serve_times *x = &a->times, *y = &b->times;
    if (memcmp(x->arrival_s, y->arrival_s, bytes) || memcmp(x->finish_s, y->finish_s, bytes) ||
        memcmp(x->first_token_s, y->first_token_s, bytes) ||
        memcmp(x->scheduled_s, y->scheduled_s, bytes) ||
        memcmp(x->restarts, y->restarts, n * sizeof(int32_t)) ||
        memcmp(x->cached_tok, y->cached_tok, n * sizeof(int32_t)))
        fail_msg("engines differ on workload %llu: policy %d, order %d, reserve %d, pp %d, router "
                 "%d, cache %d, long %lld, groups %d, closed %d, async %d, host %g, ranks %d",
                 (unsigned long long)seed, (int)w->def.policy, (int)w->def.order,
                 (int)w->def.reserve, w->def.pp, (int)w->def.router, w->def.prefix_cache,
                 (long long)w->def.long_prefill_tok, w->def.n_group, w->def.concurrency,
                 (int)w->def.async, w->def.host_s, w->def.attention_dp);
    assert_int_equal(a->totals.n_iteration, b->totals.n_iteration);
    assert_int_equal(a->totals.prefill_tok, b->totals.prefill_tok);
    assert_int_equal(a->totals.decode_tok, b->totals.decode_tok);
    assert_int_equal(a->totals.kv_most_blocks, b->totals.kv_most_blocks);
    assert_int_equal(a->totals.n_restart, b->totals.n_restart);
    assert_int_equal(a->totals.fetched_tok, b->totals.fetched_tok);
    assert_true(a->totals.lockstep_s == b->totals.lockstep_s);
    assert_memory_equal(a->totals.itl.count, b->totals.itl.count, sizeof a->totals.itl.count);
}

/* Every request ends once or is rejected; blocks return; time goes on. */
static void conserved(const workload *w, const outcome *o) {
    assert_int_equal(o->totals.blocks_left, 0);
    for (size_t i = 0; i < w->trace.n_req; i++) {
        const rub_serve_times *t = &o->times;
        if (t->restarts[i] < 0) {
            assert_true(isnan(t->finish_s[i]));
            continue;
        }
        assert_true(t->scheduled_s[i] >= t->arrival_s[i]);
        assert_true(t->first_token_s[i] > t->scheduled_s[i]);
        assert_true(t->finish_s[i] >= t->first_token_s[i]);
        assert_true(t->cached_tok[i] < w->trace.input_tok[i]);
    }
}

/* What the workloads had, so that no path stays unwalked. */
static struct {
    int64_t fetched, restarts[5], hits, pp, speculative, adapters, router[9], async[3], ranks[4];
} seen;

static void compare(uint64_t seed) {
    wide_workload w;
    outcome *o = calloc(3, sizeof *o);
    memset(&w, 0, sizeof w);
    random_wide(seed, &w);
    run(&w.base, RUB_ENGINE_NAIVE, &o[0]);
    run(&w.base, RUB_ENGINE_WIDE, &o[1]);
    same(&w.base, seed, &o[0], &o[1]);
    conserved(&w.base, &o[1]);
    run(&w.base, RUB_ENGINE_FAST, &o[2]);
    same(&w.base, seed, &o[0], &o[2]);
    seen.restarts[w.base.def.policy] += o[1].totals.n_restart;
    seen.pp += w.base.def.pp > 1;
    seen.async[w.base.def.async] += o[1].totals.n_restart;
    if (w.base.def.attention_dp > 1)
        seen.ranks[w.base.def.rank_router] += o[1].totals.lockstep_s > 0;
    seen.fetched += o[1].totals.fetched_tok > 0;
    seen.speculative += w.base.def.spec_draft > 0;
    seen.adapters += w.base.def.max_loras > 0;
    seen.router[w.base.def.router]++;
    for (size_t i = 0; i < w.base.trace.n_req; i++)
        seen.hits += o[1].times.cached_tok[i] > 0;
    for (int k = 0; k < 3; k++)
        rub_serve_times_clear(&o[k].times);
    rub_trace_clear(&w.base.trace);
    free(o);
}

static void engines_agree_on_random_workloads(void **state) {
    (void)state;
    const char *tier = getenv("RUB_TEST_LONG");
    uint64_t n = tier && *tier == '1' ? 100000 : 2500;
    for (uint64_t seed = 1; seed <= n; seed++)
        compare(seed);
    assert_true(seen.restarts[RUB_POLICY_VLLM] > 600);
    assert_true(seen.restarts[RUB_POLICY_SARATHI] > 600);
    assert_true(seen.restarts[RUB_POLICY_VLLM_V0] > 600);
    assert_true(seen.hits > 600);
    assert_true(seen.pp > 300 && seen.speculative > 100 && seen.adapters > 100);
    assert_true(seen.async[RUB_ASYNC_LENGTH] > 300 && seen.async[RUB_ASYNC_STOP] > 300);
    assert_true(seen.fetched > 100);
    for (int r = 0; r < 4; r++)
        assert_true(seen.ranks[r] > 30);
    for (int r = 0; r < 9; r++)
        assert_true(seen.router[r] > 50);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(engines_agree_on_random_workloads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
